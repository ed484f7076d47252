"""Digits: what Q.24 wants heard is heard, what it wants left is left, and talk is no digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import recorderd
from recorderd.dsp.hearing import DigitHeard, Ear
from tests.dsp import signals
from tests.dsp.conversation import music, resampled, tones

TEXT = "159D*0#A7B3C2846"
SPEECH = sorted((Path(recorderd.__file__).parent / "data" / "speech").glob("*.flac"))


def heard(samples: np.ndarray) -> list[DigitHeard]:
    ear = Ear(())
    found = ear.feed(samples) + ear.finish()
    return sorted(
        (each for each in found if isinstance(each, DigitHeard)), key=lambda each: each.start
    )


def keys(samples: np.ndarray) -> str:
    return "".join(each.digit for each in heard(samples))


def sent(text: str = TEXT, snr_db: float = 25, **how: float) -> np.ndarray:
    burst = signals.digits(text, **how)
    return signals.on_line(burst, snr_db, power_of=burst[np.abs(burst) > 0])


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"snr_db": np.inf},
        {"snr_db": 6},
        {"on_s": 0.04, "off_s": 0.04},
        {"on_s": 0.04, "off_s": 0.04, "snr_db": 6},
        {"twist_db": -8},
        {"twist_db": 4},
        {"twist_db": 8},
        {"twist_db": -8, "snr_db": 6},
        {"error": 0.015, "snr_db": 6},
        {"error": -0.015, "snr_db": 6},
        {"error": 0.018},
        {"error": -0.018},
        {"dbm0": -40},
        {"dbm0": -3},
        {"on_s": 0.4},
    ],
    ids=str,
)
def test_digits_that_must_be_heard(how):
    assert keys(sent(**how)) == TEXT


@pytest.mark.parametrize(
    "how",
    [{"error": 0.035}, {"error": -0.035}, {"on_s": 0.023}, {"on_s": 0.015}, {"dbm0": -55}],
    ids=str,
)
def test_digits_that_must_not_be_heard(how):
    assert keys(sent(**how)) == ""
    assert keys(sent(snr_db=np.inf, **how)) == ""


def test_a_digit_has_its_place():
    (one, two) = heard(sent("12", on_s=0.1, off_s=0.05))
    assert one.start == pytest.approx(4000, abs=16)
    assert one.stop == pytest.approx(4800, abs=16)
    assert two.start == pytest.approx(5200, abs=16)


def test_a_break_of_10_ms_is_bridged_and_one_of_40_is_not():
    for gap_s, text in ((0.01, "5"), (0.04, "55")):
        half = signals.digits("5", on_s=0.06, off_s=gap_s)
        assert keys(signals.on_line(np.concatenate((half, half)), 25)) == text


def test_a_key_that_is_held_down_is_one_digit():
    assert keys(sent("8", on_s=6.0)) == "8"


def test_one_tone_alone_is_no_digit():
    for hz in (697.0, 941.0, 1209.0, 1633.0):
        assert keys(signals.on_line(signals.tone([hz], 0.5), 30)) == ""


def test_hum_and_direct_current_do_no_harm():
    samples = sent().astype(float)
    time = np.arange(len(samples)) / 8000
    hum = 1500 * np.sin(2 * np.pi * 60 * time) + 3000
    assert keys(np.clip(samples + hum, -32768, 32767).astype(np.int16)) == TEXT


@pytest.mark.parametrize("dial_tone", [(350, 440), (400,), (425,), (413, 438)])
def test_digits_over_the_dial_tone_that_the_first_of_them_ends(dial_tone):
    digits = signals.digits(TEXT, on_s=0.1)
    before = signals.tone(dial_tone, 0.8, -13)
    whole = np.concatenate((before, np.zeros(len(digits))))
    whole[len(before) - 640 :] += np.append(digits, np.zeros(640))[: len(whole) - len(before) + 640]
    assert keys(signals.on_line(whole, 30)) == TEXT


def test_tones_that_come_with_a_third_are_no_digit():
    """A chord that holds a digit's tones begins and ends as one; noise would have been there before."""
    chord = signals.tone((770, 1336, 2600), 0.1, (-10, -10, -13))
    assert keys(signals.on_line(chord, 30)) == ""


def test_notes_that_follow_each_other_are_no_digit():
    """A melody in two voices that comes by a digit's tones: there is a pause around a digit."""
    chords = ((560, 1900), (770, 1336), (610, 2000))
    melody = np.concatenate([signals.tone(chord, 0.15) for chord in chords])
    assert keys(signals.on_line(melody, 30)) == ""


@pytest.mark.parametrize("path", SPEECH, ids=lambda path: path.stem)
def test_no_digit_in_speech(path):
    samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    voice = samples[:, 0] if rate == 8000 else resampled(samples[:, 0], rate)
    assert heard(np.clip(np.rint(voice * 32767), -32768, 32767).astype(np.int16)) == []


def test_no_digit_in_music_and_tones():
    random = np.random.default_rng(4)
    sound = np.concatenate((music(random, 20), tones(random, 10)))
    assert heard((sound * 12000).astype(np.int16)) == []


@pytest.mark.parametrize("block", [1, 13, 160, 4000])
def test_blocks_of_any_size_give_the_same(block):
    samples = sent(snr_db=8)
    ear = Ear(())
    found = [
        each
        for start in range(0, len(samples), block)
        for each in ear.feed(samples[start : start + block])
    ]
    assert sorted(found + ear.finish(), key=lambda each: each.start) == heard(samples)
