"""A line's health: each planted fault is found and named, and good lines have none."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.dsp.health import SECONDS_MIN, HealthMeter, LineHealth, findings
from recorderd.dsp.speechlevel import SpeechLevel
from tests.dsp import lines, signals
from tests.dsp.conversation import music
from tests.dsp.lines import RATE, echoed, hum, noise, sampled, talk, voice

SECONDS = 30
SHAPE = (SECONDS * RATE, 2)


def measured(samples: np.ndarray, block: int | None = None) -> LineHealth:
    meter = HealthMeter()
    size = block or len(samples)
    for start in range(0, len(samples), size):
        meter.feed(samples[start : start + size])
    return meter.measure()


def codes(pair: np.ndarray) -> list[str]:
    return [found.code for found in findings(measured(sampled(pair)))]


def both(mono: np.ndarray) -> np.ndarray:
    return np.stack([mono, mono], axis=1)


def alone(sound: np.ndarray, side: int, floor_dbm0: float = -62.0) -> np.ndarray:
    """A sound on one channel, and noise on both."""
    pair = noise((len(sound), 2), floor_dbm0)
    pair[:, side] += sound
    return pair


def repeated(sound: np.ndarray) -> np.ndarray:
    return np.resize(sound, SECONDS * RATE)


def ringback() -> np.ndarray:
    return repeated(np.concatenate((signals.tone((440, 480), 2, -19), signals.silence(4))))


def song(seed: int) -> np.ndarray:
    return 0.15 * music(np.random.default_rng(seed), SECONDS)


def with_clicks(pair: np.ndarray) -> np.ndarray:
    """Lifting and hanging up: 30 ms of full scale at both ends."""
    for at in (RATE, len(pair) - RATE):
        pair[at : at + 240] = np.sign(noise((240, 2), 0)) * 2
    return pair


GOOD = {
    "talk": echoed(talk()) + noise(SHAPE, -62),
    "talk on a very quiet line": echoed(talk()) + noise(SHAPE, -76),
    "talk on a noisy line": echoed(talk()) + noise(SHAPE, -48),
    "echo without delay": echoed(talk(), -20, 0) + noise(SHAPE, -62),
    "late echo": echoed(talk(), -15, 40) + noise(SHAPE, -62),
    "quiet far side": echoed(talk(far_dbm0=-33)) + noise(SHAPE, -65),
    "loud near side": echoed(talk(near_dbm0=-12)) + noise(SHAPE, -62),
    "near side talks alone": echoed(alone(voice(1), 0)),
    "far side talks alone": echoed(alone(voice(3), 1)),
    "far side talks alone, echo without delay": echoed(alone(voice(3), 1, -75), -20, 0),
    "both talk at once": echoed(np.stack([voice(0), voice(3)], axis=1)) + noise(SHAPE, -62),
    "hum below the limit, 50 Hz": echoed(talk()) + noise(SHAPE, -62) + both(hum(30, 50, -50)),
    "hum below the limit, 60 Hz": echoed(talk()) + noise(SHAPE, -62) + both(hum(30, 60, -50, (2,))),
    "music on hold": echoed(alone(song(1), 1)),
    "music on both": np.stack([song(2), song(3)], axis=1) + noise(SHAPE, -65),
    "dial tone": echoed(alone(signals.tone((350, 440), 30, -13), 1, -75), -12, 0),
    "400 Hz for ever": echoed(alone(signals.tone((400,), 30, -13), 1, -75), -12, 0),
    "ringback": echoed(alone(ringback(), 1)),
    "keys": echoed(alone(repeated(signals.digits("159D*0#A7B3C2846")), 0)),
    "idle": noise(SHAPE, -65),
    "idle and very quiet": noise(SHAPE, -82),
    "idle with hum on both": noise(SHAPE, -75) + both(hum(30, 50, -48, (1, 3, 5, 7, 9, 11))),
    "clicks at lift and hang-up": with_clicks(echoed(talk()) + noise(SHAPE, -62)),
    "slightly off centre": echoed(talk()) + noise(SHAPE, -62) + 0.01,
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_line_has_no_finding(name):
    health = measured(sampled(GOOD[name]))
    assert findings(health) == [], health


def dithered(pair: np.ndarray) -> np.ndarray:
    steps = np.random.default_rng(5).integers(-1, 2, pair.shape)
    return pair + steps / 32768


def mono(scale: float = 1.0) -> np.ndarray:
    one = echoed(talk()).sum(axis=1) + noise(SECONDS * RATE, -62)
    return np.stack([one, scale * one], axis=1)


def crossed(level_db: float, which: int) -> np.ndarray:
    """The side `which` leaks into the other channel, without delay."""
    pair = talk() + noise(SHAPE, -62)
    pair[:, 1 - which] += 10 ** (level_db / 20) * pair[:, which]
    return pair


def one_side(change, which: int = 1) -> np.ndarray:
    """A good talk of which one channel is changed."""
    pair = echoed(talk()) + noise(SHAPE, -62)
    pair[:, which] = change(pair[:, which])
    return pair


def squeezed(samples: np.ndarray, limit: float) -> np.ndarray:
    return np.clip(8 * samples, -limit, limit)


FAULTS = {
    "mono card": (mono(), ["copy"]),
    "mono card with dither": (dithered(mono()), ["copy"]),
    "mono card, one gain lower": (dithered(mono(0.5)), ["copy"]),
    "mono card, one gain higher": (mono(2.0), ["copy"]),
    "mono card, idle": (both(noise(SECONDS * RATE, -65)), ["copy"]),
    "inverted": (dithered(mono(-1.0)), ["inverted"]),
    "inverted and weaker": (dithered(mono(-0.6)), ["inverted"]),
    "near leaks into far": (crossed(-6, 0), ["crosstalk-to-far"]),
    "far leaks into near": (crossed(-3, 1), ["crosstalk-to-near"]),
    "leaks both ways": (echoed(talk(), -4, 0.5) + noise(SHAPE, -62), ["crosstalk-to-far", "crosstalk-to-near"]),
    "far muted": (one_side(np.zeros_like), ["far-muted"]),
    "near muted": (one_side(np.zeros_like, 0), ["near-muted"]),
    "stuck at one value": (one_side(lambda far: far * 0 + 0.2), ["far-muted"]),
    "both muted": (np.zeros(SHAPE), ["near-muted", "far-muted"]),
    "far holds the card's noise alone": (one_side(lambda far: noise(len(far), -80)), ["far-dead"]),
    "near holds the card's noise alone": (one_side(lambda near: noise(len(near), -76), 0), ["near-dead"]),
    "far quiet": (one_side(lambda far: far * 0.08), ["far-quiet"]),
    "far clipped": (one_side(lambda far: 25 * far), ["far-clipped"]),
    "far clipped before the card": (one_side(lambda far: squeezed(far, 0.3)), ["far-clipped"]),
    "near clipped before the card": (one_side(lambda near: squeezed(near, 0.4), 0), ["near-clipped"]),
    "direct current": (one_side(lambda far: far + 0.1), ["far-offset"]),
    "direct current, other way": (one_side(lambda near: near - 0.05, 0), ["near-offset"]),
    "hum of 50 Hz": (one_side(lambda far: far + hum(30, 50, -38)), ["far-hum"]),
    "hum of 60 Hz": (one_side(lambda near: near + hum(30, 60, -40), 0), ["near-hum"]),
    "hum of 49.8 Hz": (one_side(lambda far: far + hum(30, 49.8, -38)), ["far-hum"]),
    "hum of a rectifier": (one_side(lambda far: far + hum(30, 50, -40, (2, 4))), ["far-hum"]),
    "noise": (one_side(lambda far: far + noise(len(far), -38)), ["far-noise"]),
    "noise on the idle line": (noise(SHAPE, -40), ["near-noise", "far-noise"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_nothing_else(name):
    pair, expected = FAULTS[name]
    health = measured(sampled(pair))
    assert [found.code for found in findings(health)] == expected, health


def test_the_mains_are_named():
    for mains_hz in (50, 60):
        pair = noise(SHAPE, -62) + both(hum(30, mains_hz, -40))
        health = measured(sampled(pair))
        assert health.near.mains_hz == health.far.mains_hz == mains_hz
        assert health.near.hum_dbm0 == pytest.approx(-40, abs=1.5)
        assert f"{mains_hz} Hz" in findings(health)[0].text


def test_what_is_measured_is_what_was_there():
    pair = talk(near_dbm0=-23, far_dbm0=-17) + noise(SHAPE, -60) + (0.02, -0.01)
    pair[:, 1] += 10 ** (-15 / 20) * talk(near_dbm0=-23)[:, 0]
    health = measured(sampled(pair))
    assert health.seconds == SECONDS
    assert health.near.active_dbm0 == pytest.approx(-23, abs=1)
    assert health.far.active_dbm0 == pytest.approx(-17, abs=1)
    assert health.near.offset_share == pytest.approx(0.02, abs=0.001)
    assert health.far.offset_share == pytest.approx(-0.01, abs=0.001)
    assert health.crosstalk_to_far_db == pytest.approx(-15, abs=0.5)
    assert health.crosstalk_to_near_db < -30
    assert health.near.noise_dbm0 == pytest.approx(-61, abs=1.5)  # 3.1 of 4 kHz
    assert json.loads(json.dumps(dataclasses.asdict(health)))["far"]["clipped_s"] == 0


def test_a_tone_of_full_scale_is_3_14_dbm0():
    tone = signals.tone((1000,), 10, 3.13)
    health = measured(sampled(both(tone)))
    assert health.near.level_dbm0 == pytest.approx(3.14, abs=0.06)
    assert health.near.active_dbm0 == pytest.approx(3.14, abs=0.1)
    assert health.near.peak_share == pytest.approx(1, abs=0.01)


def active_level_by_sample(samples: np.ndarray) -> float:
    """ITU-T P.56, method B, as it is written: sample by sample. Samples from -1 to 1, result in dB."""
    keep = np.exp(-1 / RATE / 0.03)
    thresholds = [0.5**place for place in range(16, 0, -1)]
    active, since = [0] * 16, [round(0.2 * RATE)] * 16
    first = second = 0.0
    for sample in samples.tolist():
        first = keep * first + (1 - keep) * abs(sample)
        second = keep * second + (1 - keep) * first
        for place, threshold in enumerate(thresholds):
            since[place] = 0 if second >= threshold else since[place] + 1
            active[place] += since[place] < 0.2 * RATE
    power = float((samples**2).sum())
    levels = [10 * np.log10(power / max(count, 1)) for count in active]
    above = [
        level - 20 * np.log10(each) - 15.9 for level, each in zip(levels, thresholds, strict=True)
    ]
    after = next(place for place, value in enumerate(above) if value <= 0)
    share = above[after - 1] / (above[after - 1] - above[after])
    return levels[after - 1] + share * (levels[after] - levels[after - 1])


@pytest.mark.parametrize("which", range(4))
def test_the_active_level_is_that_of_p_56(which):
    samples = (voice(which) * lines.turns())[: 6 * RATE]
    samples = samples - samples.mean()
    level = SpeechLevel(RATE, 1)
    for start in range(0, len(samples), RATE):
        level.feed(samples[start : start + RATE, None])
    assert level.active_db(0) == pytest.approx(active_level_by_sample(samples), abs=0.2)


@pytest.mark.parametrize("block", [40, 400, 2000])
def test_the_active_level_does_not_depend_on_the_blocks(block):
    samples = 0.3 * voice(1)[: 4 * RATE]
    levels = []
    for size in (block, RATE):
        level = SpeechLevel(size, 1)
        for start in range(0, len(samples), size):
            level.feed(samples[start : start + size, None])
        levels.append(level.active_db(0))
    assert levels[0] == pytest.approx(levels[1], abs=1e-9)


def test_the_seconds_that_are_needed_and_the_speech():
    """Of too little sound there is no verdict at all, of too little speech none on its level."""
    muted = np.zeros(((SECONDS_MIN - 1) * RATE, 2))
    assert codes(muted) == []
    assert codes(np.zeros((SECONDS_MIN * RATE, 2))) == ["near-muted", "far-muted"]
    quiet = talk(near_dbm0=-43, far_dbm0=-20) + noise(SHAPE, -72)
    assert codes(quiet) == ["near-quiet"]
    quiet[6 * RATE :, 0] = noise(24 * RATE, -72)
    assert codes(quiet) == []


@pytest.mark.parametrize("block", [1, 7, 160, 7999, 8000, 8001, 20000])
def test_blocks_of_any_size_give_the_same(block):
    samples = sampled(echoed(talk()) + noise(SHAPE, -62))[: 6 * RATE + 123]
    if block == 1:
        samples = samples[: 2 * RATE + 10]
    assert measured(samples, block) == measured(samples)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_sound_is_measured_and_asking_changes_nothing(data):
    pieces = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(["zeros", "full", "low", "noise", "step", "square"]),
                st.integers(0, 3 * RATE),
            ),
            max_size=8,
        )
    )
    random = np.random.default_rng(data.draw(st.integers(0, 9)))
    meter, quiet_meter = HealthMeter(), HealthMeter()
    for kind, length in pieces:
        samples = {
            "zeros": np.zeros((length, 2)),
            "full": np.full((length, 2), 32767),
            "low": np.full((length, 2), -32768),
            "noise": random.integers(-32768, 32768, (length, 2)),
            "step": np.stack([np.arange(length) % 2 * 5, np.zeros(length)], axis=1),
            "square": both(np.where(np.arange(length) % 8 < 4, 32767, -32768)),
        }[kind].astype(np.int16)
        meter.feed(samples)
        json.dumps([dataclasses.asdict(meter.measure())], allow_nan=False)
        assert all(found.text for found in findings(meter.measure()))
        quiet_meter.feed(samples)
    assert meter.measure() == quiet_meter.measure()
    assert meter.measure().seconds == sum(length for _, length in pieces) // RATE


def test_memory_stays():
    meter = HealthMeter()
    block = sampled(noise((RATE * 20 + 17, 2), -30))
    for _ in range(5):
        meter.feed(block)
        assert len(meter._rest) < RATE
        assert meter._rest.base is None


@settings(max_examples=15, deadline=None)
@given(st.floats(-12, 4), st.floats(-14, 14), st.booleans(), st.integers(0, 3))
def test_a_copy_is_found_at_any_level_and_two_voices_are_none(level_db, scale_db, inverted, which):
    """Where the weaker channel has -46 dBm0 or more, and the stronger is not cut."""
    one = voice(which, 10) * 10 ** (level_db / 20)
    other = one * 10 ** (scale_db / 20) * (-1 if inverted else 1)
    pair = np.stack([one, other], axis=1)
    pair *= min(1, 0.99 / np.abs(pair).max())
    copy = measured(sampled(dithered(pair))).copy
    assert copy == ("inverted" if inverted else "same")
    pair[:, 1] = voice((which + 1) % 4, 10)
    assert measured(sampled(pair)).copy is None
