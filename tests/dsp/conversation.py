"""Sound that is neither caller ID nor a dialled digit: many voices, music and tones."""

from __future__ import annotations

import io
import subprocess
import wave
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 8000
LANGUAGES = ("en-gb", "en-us", "de", "fr-fr", "es", "it", "nl", "pt", "sv", "pl", "fi", "tr", "hi")
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5", "croak")
TEXT = """hello yes no thank you good morning please hold the line my number is seven eight nine
we see each other on Monday I will send you the invoice tomorrow what time does it open could you
repeat that beep boo who you do two blue zoo sing ring king idea area euro lalala mmm eee ooo aaa
wow really exactly perhaps the doctor is not in today"""


def speech(random: np.random.Generator, words: int = 60) -> np.ndarray:
    """A voice that espeak-ng has not used before in this pitch and speed; needs espeak-ng."""
    text = " ".join(random.choice(TEXT.split(), words))
    voice = f"{random.choice(LANGUAGES)}+{random.choice(VARIANTS)}"
    command = ["espeak-ng", "-v", voice, "-p", str(random.integers(0, 100)), "--stdout"]
    command += ["-s", str(random.integers(110, 240)), text]
    spoken = subprocess.run(command, capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(spoken[:4] + b"\xff\xff\xff\x7f" + spoken[8:])) as file:
        rate = file.getframerate()
        samples = np.frombuffer(spoken[44:], np.int16) / 32768
    return resampled(samples, rate)


def resampled(samples: np.ndarray, rate: int, to_rate: int = RATE) -> np.ndarray:
    import soxr

    return soxr.resample(samples, rate, to_rate)


def music(random: np.random.Generator, seconds: float = 10) -> np.ndarray:
    """Chords and tunes of tempered notes, bells to organs, some of them whistles of a single tone."""
    sound = np.zeros(round(seconds * RATE))
    at = 0.0
    while at < seconds:
        length = random.choice([0.08, 0.12, 0.25, 0.5, 1.0])
        time = np.arange(round(length * RATE)) / RATE
        notes = random.integers(45, 100, random.choice([1, 2, 2, 3, 4]))
        chord = np.zeros(len(time))
        for note in notes:
            hz = 440 * 2 ** ((note - 69) / 12)
            for harmonic in range(1, random.choice([2, 4, 8])):
                if hz * harmonic < 3900:
                    chord += np.sin(2 * np.pi * hz * harmonic * time) / harmonic
        chord *= np.exp(-time * random.choice([0, 2, 8]))
        start = round(at * RATE)
        sound[start : start + len(chord)] += chord[: len(sound) - start]
        at += length
    return sound / np.abs(sound).max()


def tones(random: np.random.Generator, seconds: float = 5) -> np.ndarray:
    """Progress tones of many countries and frequencies beside the keypad's."""
    parts = []
    pairs = [
        (350, 440),
        (440, 480),
        (480, 620),
        (400,),
        (425,),
        (950,),
        (1400,),
        (1800,),
        (2130, 2750),
    ]
    while sum(map(len, parts)) < seconds * RATE:
        pair = pairs[random.integers(len(pairs))]
        time = np.arange(round(random.choice([0.2, 0.33, 0.5]) * RATE)) / RATE
        parts += [0.3 * np.sum([np.sin(2 * np.pi * hz * time) for hz in pair], axis=0)]
        parts += [np.zeros(round(0.1 * RATE))]
    return np.concatenate(parts)


def conversation(minutes: float, seed: int = 1) -> Iterator[np.ndarray]:
    """Pieces of 16-bit sound of some seconds, together `minutes` long."""
    random = np.random.default_rng(seed)
    left = minutes * 60 * RATE
    while left > 0:
        kind = random.choice(["speech", "both", "music", "tones"], p=[0.5, 0.25, 0.2, 0.05])
        if kind == "speech":
            sound = speech(random)
        elif kind == "both":
            first, second = speech(random), speech(random)
            size = min(len(first), len(second))
            sound = first[:size] + random.uniform(0.1, 1) * second[:size]
        else:
            sound = music(random) if kind == "music" else tones(random)
        level = 10 ** (random.uniform(-30, -3) / 20)
        sound = sound / max(np.abs(sound).max(), 1e-9) * level
        sound += random.normal(0, 10 ** (random.uniform(-75, -45) / 20), len(sound))
        left -= len(sound)
        yield np.clip(np.rint(sound * 32767), -32768, 32767).astype(np.int16)
