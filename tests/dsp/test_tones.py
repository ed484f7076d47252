"""Progress tones: every country's heard in noise, hum and haste, and nothing else taken for one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import recorderd
from recorderd.config.profiles import countries, every_tone, load_profile
from recorderd.core.profile import Tone
from recorderd.dsp.hearing import Ear
from recorderd.dsp.spectrum import RATE_HZ
from recorderd.dsp.tones import ToneHeard
from tests.dsp import signals
from tests.dsp.conversation import music, resampled, tones
from tests.dsp.test_fsk import burst

DATA = Path(recorderd.__file__).parent / "data"
EDGE = 80  # samples: 10 ms
ALIKE = {"JP", "AU", "HU", "MX"}  # busy and congestion
EVERY = {
    (tone, load_profile(country).tones): (country, tone)
    for country in countries()
    for tone in load_profile(country).tones
}
SOME = [(country, tone) for country, tone in EVERY.values() if country in {"JP", "US", "GB", "ES"}]


def tone_of(country: str, kind: str) -> Tone:
    return next(tone for tone in load_profile(country).tones if tone.kind == kind)


def heard(samples: np.ndarray, of: str | tuple[Tone, ...], block: int = 0) -> list[ToneHeard]:
    ear = Ear((), load_profile(of).tones if isinstance(of, str) else of)
    size = block or max(1, len(samples))
    found = [
        each for start in range(0, len(samples), size) for each in ear.feed(samples[start:][:size])
    ]
    return [each for each in found + ear.finish() if isinstance(each, ToneHeard)]


def in_short(found: list[ToneHeard]) -> list[str]:
    """`busy 0.50`, and `busy 0.50-3.00` when it has ended."""
    return [
        f"{each.tone} {each.start / RATE_HZ:.1f}"
        + ("" if each.stop is None else f"-{each.stop / RATE_HZ:.1f}")
        for each in found
    ]


def long_enough(tone: Tone) -> float:
    return max(4.0, 2.6 * sum(tone.cadence_ms) / 1000)


def sent(tone: Tone, snr_db: float = 20, noise: int = 1, **changes: float) -> np.ndarray:
    """The tone from 0.5 s on, and silence until it must have ended."""
    signal = signals.progress(tone, long_enough(tone), **changes)
    random = np.random.default_rng(noise)
    tail_s = max(tone.cadence_ms[1::2], default=0) / 1000 * 1.3 + 4
    return signals.on_line(signal, snr_db, random, 0.5, tail_s, signal[np.abs(signal) > 0])


def assert_heard(tone: Tone, country: str, snr_db: float = 20, **changes: float) -> None:
    kind = "busy" if tone.kind == "congestion" and country in ALIKE else tone.kind
    found = heard(sent(tone, snr_db, **changes), country)
    assert [(each.tone, each.stop is None) for each in found] == [(kind, True), (kind, False)]
    # A burst may begin and end in a trough of the modulation, or where two frequencies cancel out.
    apart_hz = abs(tone.frequencies_hz[-1] - tone.frequencies_hz[0])
    beat_hz = tone.modulation_hz or (0 if tone.is_sequence else apart_hz)
    slack = EDGE + (RATE_HZ // (2 * beat_hz) if beat_hz else 0)
    assert found[0].start == pytest.approx(RATE_HZ // 2, abs=slack)
    ended = np.flatnonzero(signals.progress(tone, long_enough(tone), **changes))[-1]
    assert found[1].stop == pytest.approx(RATE_HZ // 2 + ended, abs=slack)


@pytest.mark.parametrize("country", countries())
@pytest.mark.parametrize("dbm0", [-10, -40])
def test_every_tone_of_every_country(country, dbm0):
    for tone in load_profile(country).tones:
        assert_heard(tone, country, dbm0=dbm0)


CHANGES = {
    "frequency low": {"error": -0.015},
    "frequency high": {"error": 0.015},
    "clock slow": {"speed": 0.98},
    "clock fast": {"speed": 1.02},
    "cadence short": {"stretch": 0.9},
    "cadence long": {"stretch": 1.1},
    "10 dB of noise": {"snr_db": 10},
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("country", ["JP", "US", "GB", "ES"])
def test_what_senders_and_lines_change(country, name):
    for tone in load_profile(country).tones:
        if sum(tone.cadence_ms) < 4000:
            assert_heard(tone, country, **CHANGES[name])


@pytest.mark.long
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("country", countries())
def test_what_senders_and_lines_change_everywhere(country, name):
    for tone in load_profile(country).tones:
        assert_heard(tone, country, **CHANGES[name])


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
@pytest.mark.parametrize("country", ["JP", "US", "GB", "DE"])
def test_over_mains_hum(country, mains_hz):
    tone = tone_of(country, "busy")
    samples = sent(tone, dbm0=-30) / 32768
    hummed = samples + signals.hum(len(samples), mains_hz, -25)
    assert in_short(heard((hummed * 32768).astype(np.int16), country))[0] == "busy 0.5"


def test_nothing_but_hum():
    for mains_hz in (50.0, 60.0):
        hum = signals.on_line(signals.hum(80000, mains_hz, -15), 40)
        assert heard(hum, every_tone()) == []


# ---------------------------------------------------------------- when it is certain


@pytest.mark.parametrize(
    ("country", "kind", "at_s"),
    [
        ("JP", "busy", 2.5),  # the end of the third burst
        ("US", "congestion", 1.25),
        ("GB", "busy", 1.875),
        ("GB", "congestion", 1.9),  # three bursts: 400, 225, 400
        ("ES", "busy", 1.4),  # a fourth: congestion begins with three of the same
        ("SG", "busy", 3.75),
        ("JP", "ringback", 4.0),
        ("US", "ringback", 8.0),
        ("GB", "ringback", 3.4),
        ("US", "dial", 1.5),
        ("FR", "dial", 1.73),  # its ringback is on for 1.5 s
        ("DE", "special-information", 0.99),
    ],
)
def test_how_soon_a_tone_is_certain(country, kind, at_s):
    samples = sent(tone_of(country, kind))[RATE_HZ // 2 :]
    late_s = 0.25  # 50 ms of pause that is no trough, and a batch of 160 ms
    soon, later = ((at_s + more) * RATE_HZ for more in (0, late_s))
    ears = [Ear((), load_profile(country).tones) for _ in range(2)]
    assert ears[0].feed(samples[: round(soon)]) == []
    assert [each.tone for each in ears[1].feed(samples[: round(later)])] == [kind]


def test_what_lasts_to_the_end_has_no_stop():
    whole = sent(tone_of("JP", "busy"))
    assert in_short(heard(whole, "JP")) == ["busy 0.5", "busy 0.5-4.0"]
    for cut_s in (3.6, 3.9, 4.2):  # in a pause, in a burst, in the last pause
        assert in_short(heard(whole[: round(cut_s * RATE_HZ)], "JP")) == ["busy 0.5"]
    assert in_short(heard(whole[: 5 * RATE_HZ], "JP")) == ["busy 0.5", "busy 0.5-4.0"]
    dial = sent(tone_of("JP", "dial"))
    assert in_short(heard(dial[: 3 * RATE_HZ], "JP")) == ["dial 0.5"]
    assert in_short(heard(dial[: 1 * RATE_HZ], "JP")) == []


def test_a_call_from_dial_tone_to_busy():
    call = [
        signals.progress(tone_of("JP", "dial"), 2.0),
        signals.digits("0312345678"),
        signals.silence(1.0),
        signals.progress(tone_of("JP", "ringback"), 6.0),
        signals.silence(5.0),
        signals.progress(tone_of("JP", "busy"), 4.0),
        signals.silence(4.0),
    ]
    assert in_short(heard(signals.on_line(np.concatenate(call), 25), "JP")) == [
        "dial 0.5", "dial 0.5-2.5", "ringback 4.9", "ringback 4.9-8.9", "busy 15.9", "busy 15.9-19.4",
    ]  # fmt: skip


def test_one_tone_after_another_without_a_pause():
    ring, busy = (
        signals.progress(tone_of("DE", kind), seconds)
        for kind, seconds in (("ringback", 6.0), ("busy", 4.0))
    )
    both = np.concatenate((ring, busy, signals.silence(4)))
    assert [text.split()[0] for text in in_short(heard(signals.on_line(both, 25), "DE"))] == [
        "ringback", "ringback", "busy", "busy",
    ]  # fmt: skip


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_burst_that_is_missing(missing):
    """The fourth follows by its place; the tone is one."""
    tone = tone_of("US", "busy")
    signal = signals.progress(tone, 6.0)
    signal[missing * RATE_HZ :][: RATE_HZ // 2] = 0
    samples = signals.on_line(signal, 20, tail_s=4)
    assert in_short(heard(samples, "US")) == ["busy 0.5", "busy 0.5-6.0"]


@pytest.mark.parametrize("country", ["JP", "US", "GB", "FR"])
@pytest.mark.parametrize("apart_db", [0, 6])
def test_somebody_speaks_over_busy(country, apart_db):
    """A sentence of 2 s after 3 s, and another after 8 s, as loud as the tone or half as loud."""
    tone = signals.progress(tone_of(country, "busy"), 13.0, -20)
    voice = speech("office-en")
    gain = np.sqrt(np.mean(tone**2) / np.mean(voice**2)) * 10 ** (-apart_db / 20)
    for at_s, from_s in ((3, 1), (8, 3)):
        piece = slice(at_s * RATE_HZ, (at_s + 2) * RATE_HZ)
        tone[piece] += gain * voice[from_s * RATE_HZ :][: 2 * RATE_HZ]
    found = heard(signals.on_line(tone, 25, tail_s=5), country)
    assert [each.tone for each in found] == ["busy", "busy"]
    assert found[0].start == pytest.approx(RATE_HZ // 2, abs=EDGE)
    assert found[1].stop > 12 * RATE_HZ


# ---------------------------------------------------------------- names


def test_where_nothing_tells_two_apart_it_is_busy():
    for country in ALIKE:
        for kind in ("busy", "congestion"):
            assert in_short(heard(sent(tone_of(country, kind)), country))[0] == "busy 0.5"


def test_spains_busy_and_congestion_begin_alike():
    for kind in ("busy", "congestion"):
        assert in_short(heard(sent(tone_of("ES", kind)), "ES"))[0] == f"{kind} 0.5"


def test_a_steady_tone_is_what_the_country_means_by_it():
    steady = sent(Tone("dial", (400,)))
    for country, kind in {"JP": "dial", "CL": "dial", "GB": "special-information"}.items():
        assert in_short(heard(steady, country))[0] == f"{kind} 0.5"
    for country in ("US", "DE", "FR", "CN"):
        assert heard(steady, country) == []


@pytest.mark.parametrize(
    ("frequencies", "on_off_ms", "kind"),
    [
        ((400,), 500, "busy"),
        ((480, 620), 500, "busy"),
        ((480, 620), 250, "congestion"),
        ((425,), 250, "congestion"),
        ((425,), 240, "congestion"),
        ((425,), 200, "congestion"),
        ((425,), 375, "busy"),
        ((400,), 750, "busy"),
        ((450,), 350, "busy"),
        ((450,), 700, "congestion"),
    ],
)
def test_of_a_country_that_is_not_known_most_countries_name_is_heard(frequencies, on_off_ms, kind):
    tone = Tone("busy", frequencies, 0, (on_off_ms, on_off_ms))
    assert in_short(heard(sent(tone), every_tone()))[0] == f"{kind} 0.5"


def test_each_tone_is_heard_where_the_country_is_not_known():
    everything = every_tone()
    for tone in everything:
        if sum(tone.cadence_ms) < 5000:
            found = heard(sent(tone), everything)
            assert [each.tone for each in found] == [tone.kind, tone.kind], tone


def test_japans_ringback_as_a_pbx_makes_it():
    """Asterisk adds 15 Hz, which no telephone line lets through, instead of modulating."""
    tone = Tone("ringback", (400,), 0, (1000, 2000))
    assert in_short(heard(sent(tone), "JP")) == ["ringback 0.5", "ringback 0.5-7.5"]


@pytest.mark.parametrize(
    ("frequencies", "lengths_ms"),
    [
        ((914, 1371, 1777), (274, 274, 380)),
        ((985, 1371, 1777), (380, 274, 380)),
        ((914, 1429, 1777), (274, 380, 380)),
        ((985, 1429, 1777), (380, 380, 380)),
    ],
)
def test_north_americas_special_information_tells_why_by_its_lengths(frequencies, lengths_ms):
    """Intercept, vacant code, reorder, no circuit (IBM's Voice Response manual, tone parameters)."""
    tones = [signals.tone((hz,), ms / 1000) for hz, ms in zip(frequencies, lengths_ms, strict=True)]
    samples = signals.on_line(np.concatenate(tones), 20, tail_s=5)
    assert in_short(heard(samples, "US"))[0] == "special-information 0.5"
    assert in_short(heard(samples, every_tone()))[0] == "special-information 0.5"


# ---------------------------------------------------------------- what is no tone


def speech(name: str) -> np.ndarray:
    samples, rate = soundfile.read(DATA / "speech" / f"{name}.flac")
    return np.tile(resampled(samples, rate), 2)  # sentences of 3 to 5 s


def test_our_own_voices_and_announcements():
    paths = [*(DATA / "speech").glob("*.flac"), *(DATA / "announcements").glob("*.*")]
    sounds = [soundfile.read(path) for path in paths if path.suffix in {".flac", ".wav"}]
    assert len(sounds) >= 5
    for samples, rate in sounds:
        mono = samples if samples.ndim == 1 else samples[:, 0]
        whole = signals.on_line(resampled(mono, rate), 40)
        assert heard(np.concatenate((whole, whole)), every_tone()) == []


def test_music_and_scattered_tones():
    random = np.random.default_rng(11)
    pieces = [make(random, 30) for make in (music, music, tones) for _ in range(2)]
    whole = np.concatenate([piece / np.abs(piece).max() * 0.3 for piece in pieces])
    assert heard(signals.on_line(whole, 40), every_tone()) == []


def test_digits_and_callers():
    keys = [signals.digits("0123456789ABCD*#" * 2, on, on) for on in (0.05, 0.25, 0.5)]
    callers = [burst(case) for case in ("mdmf", "v23", "number display")]
    whole = np.concatenate([part for each in keys + callers for part in (each, signals.silence(1))])
    assert heard(signals.on_line(whole, 30), every_tone()) == []


def held(hz: float, seconds: float, vibrato: float = 0, overtones: int = 1, fading: float = 0):
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    angle = 2 * np.pi * hz * (time + vibrato / (2 * np.pi * 5) * np.sin(2 * np.pi * 5 * time))
    wave = sum(np.sin(order * angle) / order for order in range(1, overtones + 1))
    return 0.2 * wave * np.exp(-fading * time)


@pytest.mark.parametrize("hz", [392, 400, 425, 440])
@pytest.mark.parametrize(
    ("seconds", "vibrato", "overtones", "fading"),
    [(1.4, 0, 1, 0), (6, 0.02, 1, 0), (6, 0, 3, 0), (6, 0, 1, 0.4)],
    ids=["too short", "vibrato", "overtones", "fading"],
)
def test_a_long_vowel_or_note_is_no_dial_tone(hz, seconds, vibrato, overtones, fading):
    note = held(hz, seconds, vibrato, overtones, fading)
    assert heard(signals.on_line(note, 40, tail_s=3), every_tone()) == []


@pytest.mark.parametrize("error", [-0.04, 0.04])
@pytest.mark.parametrize(("country", "tone"), SOME, ids=lambda each: getattr(each, "kind", each))
def test_other_frequencies_are_other_tones(country, tone, error):
    if tone.frequencies_hz[0] < 900 and sum(tone.cadence_ms) < 4000:
        assert heard(sent(tone, error=error), country) == []


@pytest.mark.parametrize("cadence", [(500, 300), (350, 500), (500, 1000), (120, 120), (900, 900)])
def test_other_cadences_are_other_tones(cadence):
    for country in ("JP", "US"):
        hz = tone_of(country, "busy").frequencies_hz
        assert heard(sent(Tone("busy", hz, 0, cadence)), country) == []


def test_two_bursts_are_not_busy():
    signal = signals.progress(tone_of("US", "busy"), 1.5)
    assert heard(signals.on_line(signal, 25, tail_s=5), "US") == []


def test_one_of_two_frequencies_is_not_the_tone():
    for hz in (480, 620):
        assert heard(sent(Tone("busy", (hz,), 0, (500, 500))), "US") == []


# ---------------------------------------------------------------- blocks, and anything at all


CALL = signals.on_line(
    np.concatenate((
        signals.progress(tone_of("GB", "ringback"), 6.0),
        signals.digits("12"),
        signals.progress(tone_of("GB", "busy"), 3.0),
        signals.silence(4.0),
    )),
    20,
)  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=30))
def test_any_blocks_give_the_same(sizes):
    whole = Ear((), load_profile("GB").tones)
    expected = whole.feed(CALL) + whole.finish()
    names = [each.tone for each in expected if isinstance(each, ToneHeard)]
    assert names == ["ringback", "ringback", "busy", "busy"]
    ear = Ear((), load_profile("GB").tones)
    found, at, place = [], 0, 0
    while at < len(CALL):
        size = sizes[place % len(sizes)]
        found += ear.feed(CALL[at : at + size])
        at, place = at + size, place + 1
    assert found + ear.finish() == expected
    assert ear._tones._bursts == whole._tones._bursts  # what was measured too


def test_sample_by_sample():
    assert heard(CALL[:60000], "GB", block=1) == heard(CALL[:60000], "GB")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["silence", "constant", "noise", "busy", "low", "clipped", "square"]),
            st.integers(1, 6000),
            st.floats(0, 1),
        ),
        max_size=12,
    )
)
@pytest.mark.filterwarnings("error")
def test_anything_at_all_is_heard_without_an_exception(parts):
    time = np.arange(6000) / RATE_HZ
    random = np.random.default_rng(1)
    shapes = {
        "silence": np.zeros(6000),
        "constant": np.ones(6000),
        "noise": random.uniform(-1, 1, 6000),
        "busy": np.sin(2 * np.pi * 425 * time),
        "low": np.sin(2 * np.pi * 30 * time),
        "clipped": np.clip(5 * np.sin(2 * np.pi * 400 * time), -1, 1),
        "square": np.sign(np.sin(2 * np.pi * 440 * time)),
    }
    pieces = [shapes[name][:length] * gain for name, length, gain in parts]
    samples = (np.concatenate([np.zeros(1), *pieces]) * 32767).astype(np.int16)
    found = heard(samples, every_tone())
    for each in found:
        assert 0 <= each.start < (len(samples) if each.stop is None else each.stop)
        assert each.stop is None or each.stop <= len(samples) + EDGE


def test_memory_stays_however_long_a_tone_lasts():
    ear = Ear((), load_profile("JP").tones)
    dial = signals.on_line(signals.progress(tone_of("JP", "dial"), 60.0), 30)
    busy = signals.on_line(signals.progress(tone_of("JP", "busy"), 120.0), 30)
    ear.feed(dial[: 50 * RATE_HZ])
    (run,) = ear._tones._finder.going_on
    assert len(run.powers) < 300
    ear.feed(busy)
    assert len(ear._tones._bursts) <= 32


def test_an_ear_without_tones_hears_none():
    assert Ear().feed(sent(tone_of("US", "busy"))) == []
