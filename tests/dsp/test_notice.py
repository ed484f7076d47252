"""The announcement in the line's audio: found through what lines and people do, and nothing else."""

from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.dsp import notice_ear
from recorderd.dsp.notice import LENGTH_MAX, NoticeTemplate, _lines, _Peak, find_notice
from recorderd.dsp.notice_ear import NoticeEar
from recorderd.dsp.notice_match import HOP
from recorderd.errors import ClipError
from tests.dsp import notice_lines as lines
from tests.dsp.conversation import RATE, music, tones

LEAD = round(0.7 * RATE)
CLIPS = {name: lines.shipped(f"notice-{name}.wav") for name in ("en", "ja")}
TEMPLATES = {name: NoticeTemplate(clip) for name, clip in CLIPS.items()}
TALKS = [lines.talk(f"{who}-{name}.flac") for who in ("caller", "office") for name in ("en", "ja")]
VOICE = np.concatenate(TALKS)


def under_voice(name: str, seed: int = 1, **line) -> np.ndarray:
    random = np.random.default_rng(seed)
    return lines.line(CLIPS[name], random, voice=VOICE, under_db=line.pop("under_db", 5), **line)


def kept_share(name: str, kept: np.ndarray) -> float:
    audible = TEMPLATES[name].frames.audible
    middle = np.zeros((len(audible) + 1) * HOP)
    middle[: len(kept)] = kept
    middle = middle[HOP // 2 :][: len(audible) * HOP].reshape(-1, HOP).mean(axis=1)
    return float((middle * audible).sum() / audible.sum())


def only(kept: np.ndarray):
    def change(samples: np.ndarray) -> np.ndarray:
        samples = samples.copy()
        samples[LEAD : LEAD + len(kept)] *= kept
        return samples

    return change


def assert_heard(name: str, sound: np.ndarray, dbm0: float = -20, start: int = LEAD) -> None:
    found = find_notice(TEMPLATES[name], sound)
    assert found.verdict == "heard", found
    assert found.start == pytest.approx(start, abs=8)
    assert found.completeness >= 0.97
    assert found.level_dbm0 == pytest.approx(dbm0, abs=3)
    assert 0.7 < found.score < 1


@pytest.mark.parametrize("under_db", [0, 3, 5])
@pytest.mark.parametrize("dbm0", [-10, -23, -36])
@pytest.mark.parametrize("name", ["en", "ja"])
def test_under_a_louder_voice(name, dbm0, under_db):
    seed = 100 + under_db - dbm0
    assert_heard(name, under_voice(name, seed, dbm0=dbm0, under_db=under_db), dbm0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["en", "ja"])
def test_under_a_far_louder_voice(name, seed):
    assert_heard(name, under_voice(name, seed, under_db=16))


LINES = {
    "clean": {"under_db": -40},
    "clock fast": {"ppm": 200},
    "clock slow": {"ppm": -200},
    "echo of 10 ms": {"through": partial(lines.echo, delay_ms=10, gain_db=-6)},
    "echo of 60 ms": {"through": partial(lines.echo, delay_ms=60, gain_db=-6)},
    "hybrid": {"through": partial(lines.echo, delay_ms=1.5, gain_db=-8)},
    "A-law": {"through": lines.a_law},
    "mu-law": {"through": lines.mu_law},
    "turned round": {"through": np.negative},
    "white noise": {"under_db": -20, "noise_dbm0": -20},
    "automatic gain": {"through": lines.swinging},
}


@pytest.mark.parametrize("case", LINES)
@pytest.mark.parametrize("name", ["en", "ja"])
def test_through_what_a_line_does(name, case):
    assert_heard(name, under_voice(name, 7, **LINES[case]))


@pytest.mark.parametrize("ppm", [-200, 0, 200])
def test_half_a_minute_with_a_wrong_clock(ppm):
    clip = np.concatenate([*CLIPS.values(), lines.whole(0.8 * VOICE), *CLIPS.values()] * 2)[:240000]
    sound = lines.line(clip, np.random.default_rng(2), ppm=ppm)
    found = find_notice(NoticeTemplate(clip), sound)
    assert found.verdict == "heard"
    assert found.completeness > 0.98
    assert found.start == pytest.approx(LEAD, abs=8)


@pytest.mark.parametrize("under_db", [-30, 5])
@pytest.mark.parametrize("name", ["en", "ja"])
@pytest.mark.parametrize("share", [(0, 0.3), (0, 0.6), (0.4, 1), (0.7, 1)])
def test_a_part_of_it(name, share, under_db):
    size = len(CLIPS[name])
    kept = np.zeros(size)
    kept[int(share[0] * size) : int(share[1] * size)] = 1
    sound = under_voice(name, 3, change=only(kept), under_db=under_db)
    found = find_notice(TEMPLATES[name], sound)
    assert found.verdict == "partly"
    assert found.start == pytest.approx(LEAD, abs=8)
    assert found.completeness == pytest.approx(kept_share(name, kept), abs=0.05)


@pytest.mark.parametrize("under_db", [-30, 5])
@pytest.mark.parametrize("name", ["en", "ja"])
@pytest.mark.parametrize("hole", [(0.3, 0.5), (0.45, 0.7), (0.2, 0.8)])
def test_a_hole_in_it(name, hole, under_db):
    kept = np.ones(len(CLIPS[name]))
    kept[int(hole[0] * len(kept)) : int(hole[1] * len(kept))] = 0
    sound = under_voice(name, 4, change=only(kept), under_db=under_db)
    found = find_notice(TEMPLATES[name], sound)
    assert found.verdict == "partly"
    assert found.completeness == pytest.approx(kept_share(name, kept), abs=0.05)


def test_begun_before_the_sound_and_broken_off_by_its_end():
    sound = under_voice("ja", 5)
    begun = find_notice(TEMPLATES["ja"], sound[LEAD + 10000 :])
    assert begun.start == pytest.approx(-10000, abs=8)
    assert begun.completeness == pytest.approx(
        kept_share("ja", np.arange(len(CLIPS["ja"])) >= 10000), abs=0.05
    )
    broken = find_notice(TEMPLATES["ja"], sound[: LEAD + 10000])
    assert broken.start == pytest.approx(LEAD, abs=8)
    assert broken.completeness == pytest.approx(
        kept_share("ja", np.arange(len(CLIPS["ja"])) < 10000), abs=0.05
    )


@pytest.mark.parametrize("kept", [slice(LEAD + 1600, None), slice(0, LEAD + 2500)])
def test_half_a_second_of_which_a_part_lies_outside(kept):
    clip = CLIPS["ja"][10000:14000]
    sound = lines.line(clip, np.random.default_rng(1))[kept]
    found = find_notice(NoticeTemplate(clip), sound)
    assert found.verdict == "partly"
    assert found.start == pytest.approx(LEAD - (kept.start or 0), abs=8)


def test_it_begins_where_it_may():
    sound = np.concatenate((under_voice("en", 8, lead_s=1), under_voice("en", 9, lead_s=1)))
    second = len(sound) // 2 + RATE
    for place in (RATE, second):
        found = find_notice(TEMPLATES["en"], sound, (place - 4000, place + 4000))
        assert found.start == pytest.approx(place, abs=8)
    assert find_notice(TEMPLATES["en"], sound, (RATE + 800, second - 800)).verdict == "not-heard"


def impostors() -> dict[str, tuple[str, np.ndarray]]:
    random = np.random.default_rng(6)
    line = partial(lines.line, random=random)
    square = np.where(np.arange(5 * RATE) % 80 < 40, 20000, -20000).astype(np.int16)
    return {
        "English for Japanese": ("ja", line(CLIPS["en"])),
        "Japanese for English": ("en", line(CLIPS["ja"])),
        "Japanese under a voice": ("en", line(CLIPS["ja"], voice=VOICE, under_db=0)),
        "reversed English": ("en", line(CLIPS["en"][::-1])),
        "reversed Japanese": ("ja", line(CLIPS["ja"][::-1])),
        "voices": ("ja", line(lines.whole(VOICE))),
        "two voices": ("en", line(lines.whole(VOICE), voice=VOICE[::-1].copy())),
        "music": ("ja", line(lines.whole(0.3 * music(random)))),
        "tones": ("en", line(lines.whole(tones(random)))),
        "noise": ("ja", line(None, length_s=6, noise_dbm0=-15)),
        "silence": ("en", np.zeros(6 * RATE, np.int16)),
        "faint noise": ("en", random.integers(-1, 2, 6 * RATE).astype(np.int16)),
        "constant": ("ja", np.full(5 * RATE, 12000, np.int16)),
        "square wave": ("en", square),
        "150 ms of it": ("ja", line(CLIPS["ja"][10000:11200], lead_s=2, tail_s=2)),
    }


IMPOSTORS = impostors()


@pytest.mark.parametrize("case", IMPOSTORS)
def test_nothing_else_is_found(case):
    name, sound = IMPOSTORS[case]
    found = find_notice(TEMPLATES[name], sound)
    assert (found.verdict, found.start, found.completeness) == ("not-heard", None, 0)
    assert found.level_dbm0 is None
    assert found.score < 0.45


def test_how_little_is_enough():
    clip = CLIPS["ja"]
    sounds = [
        lines.line(clip[10000 : 10000 + size], np.random.default_rng(1)) for size in (1200, 2400)
    ]
    little, enough = (find_notice(TEMPLATES["ja"], sound) for sound in sounds)
    assert 0.2 < little.score < 0.45  # it is seen, and too little to go by
    assert enough.verdict == "partly"
    assert enough.start == pytest.approx(LEAD - 10000, abs=8)


def test_two_peaks_of_chance_do_not_hide_a_third():
    chance = [_Peak(9000, 0, 5.6), _Peak(9002, 4096, 5.6)]
    found = _lines([*chance, _Peak(70000, 8192, 7)])
    assert [round(line.start) for line in found] == [9001, 70000]


@pytest.mark.parametrize("name", ["en", "ja"])
def test_other_words_of_the_same_voice(name):
    first, second = np.array_split(CLIPS[name], 2)
    sound = lines.line(second, np.random.default_rng(3))
    assert find_notice(NoticeTemplate(first), sound).score < 0.45
    assert find_notice(NoticeTemplate(second), sound).verdict == "heard"


def test_the_shortest_clip():
    clip = CLIPS["ja"][8000 : 8000 + RATE // 5]
    sound = lines.line(clip, np.random.default_rng(3), noise_dbm0=-45)
    found = find_notice(NoticeTemplate(clip), sound)
    assert (found.verdict, found.start) == ("heard", pytest.approx(LEAD, abs=8))


SOUNDS = [
    np.zeros(0, np.int16),
    np.ones(1, np.int16),
    np.full(1600, -32768, np.int16),
    np.where(np.arange(20000) % 2, 32767, -32768).astype(np.int16),
    CLIPS["en"][:3000],
]


@pytest.mark.parametrize("number", range(len(SOUNDS)))
def test_odd_sounds(number):
    for template in (TEMPLATES["ja"], NoticeTemplate(np.full(1600, 99, np.int16))):
        for around in (None, (0, 0), (-50, 50), (10**6, 10**6 + 9), (9, 3)):
            assert find_notice(template, SOUNDS[number], around).verdict == "not-heard"


@pytest.mark.parametrize("level", [0, 1, -32768])
def test_clips_with_nothing_in_them(level):
    template = NoticeTemplate(np.full(4000, level, np.int16))
    assert find_notice(template, under_voice("en")).verdict == "not-heard"


@pytest.mark.parametrize("size", [0, 1, 1599, LENGTH_MAX + 1])
def test_clips_that_are_too_short_or_too_long(size):
    with pytest.raises(ClipError, match=r"use one of 0\.2 to 60 s"):
        NoticeTemplate(np.ones(size, np.int16))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 9000), st.floats(-50, 0))
def test_any_noise_is_nothing(seed, size, dbfs):
    random = np.random.default_rng(seed)
    sound = lines.whole(random.normal(0, 10 ** (dbfs / 20), size))
    assert find_notice(TEMPLATES["en"], sound).score < 0.45


def test_long_sounds_are_searched_in_blocks():
    parts = [lines.whole(VOICE)] * 20
    sound = np.concatenate((*parts, under_voice("ja", 2), *parts))
    place = 20 * len(VOICE) + LEAD
    tracemalloc.start()
    try:
        found = find_notice(TEMPLATES["ja"], sound)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found.verdict, found.start) == ("heard", pytest.approx(place, abs=8))
    assert most < 12_000_000


# ---------------------------------------------------------------- every place, from blocks


def places(sound: np.ndarray, block: int, name: str = "en") -> list:
    ear = NoticeEar(TEMPLATES[name])
    found = []
    for start in range(0, len(sound), block):
        found += ear.feed(sound[start : start + block])
    return found + ear.finish()


@pytest.mark.parametrize("stretch_s", [2, 3.1, 60])
def test_every_place_once_from_blocks_of_any_size(monkeypatch, stretch_s):
    monkeypatch.setattr(notice_ear, "STRETCH", round(stretch_s * RATE))
    echoed = partial(lines.echo, delay_ms=40, gain_db=-3)
    parts = [under_voice("en", seed, lead_s=0.7, through=echoed) for seed in (1, 2, 3)]
    sound = np.concatenate((parts[0], lines.whole(VOICE[:30000]), *parts[1:]))
    begins = [LEAD, len(parts[0]) + 30000 + LEAD]
    begins.append(begins[1] + len(parts[1]))
    found = places(sound, 1000)
    assert [each.start for each in found] == [pytest.approx(place, abs=8) for place in begins]
    assert {each.verdict for each in found} == {"heard"}
    assert places(sound, len(sound)) == found
    assert places(sound, 77) == found


@pytest.mark.parametrize("shift", [-2000, *range(-3, 4), 100])
def test_a_stretch_ends_in_the_middle_of_one(monkeypatch, shift):
    stretch = len(CLIPS["en"]) + LEAD + shift  # so that the next begins at the clip's first samples
    monkeypatch.setattr(notice_ear, "STRETCH", stretch)
    echoed = partial(lines.echo, delay_ms=40, gain_db=-3)
    (found,) = places(under_voice("en", 2, under_db=-20, tail_s=3, through=echoed), 500)
    assert found.verdict == "heard"
    assert found.start == pytest.approx(LEAD, abs=8)


def test_an_ear_that_hears_nothing():
    assert NoticeEar(TEMPLATES["en"]).finish() == []
    assert places(lines.whole(VOICE), 4000) == []
