"""Lines with two people, music or tones on them, as a sound card hears them: near and far."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import soundfile

import recorderd
from recorderd.dsp.speechlevel import SpeechLevel
from tests.dsp.conversation import resampled

RATE = 8000
SPEECH = sorted((Path(recorderd.__file__).parent / "data" / "speech").glob("*.flac"))
SQUARE_DBM0 = 6.15


@cache
def voice(which: int, seconds: int = 30, dbm0: float = -20.0) -> np.ndarray:
    """One of the voices that ship, again and again, at this active level."""
    samples, rate = soundfile.read(SPEECH[which], dtype="float64", always_2d=True)
    once = samples[:, 0] if rate == RATE else resampled(samples[:, 0], rate)
    spoken = np.resize(once - once.mean(), seconds * RATE)
    level = SpeechLevel(RATE, 1)
    for second in spoken.reshape(seconds, RATE, 1):
        level.feed(second)
    return spoken * 10 ** ((dbm0 - SQUARE_DBM0 - level.active_db(0)) / 20)


def turns(seconds: int = 30, turn_s: float = 4.0) -> np.ndarray:
    """1 while the near side has the word, 0 while the far side has."""
    return (np.arange(seconds * RATE) // round(turn_s * RATE)) % 2 == 0


def talk(seconds: int = 30, near_dbm0: float = -20.0, far_dbm0: float = -20.0) -> np.ndarray:
    """Two people who take turns: (samples, 2), from -1 to 1."""
    near, far = voice(0, seconds, near_dbm0), voice(2, seconds, far_dbm0)
    who = turns(seconds)
    return np.stack([near * who, far * ~who], axis=1)


def noise(shape, dbm0: float, seed: int = 1) -> np.ndarray:
    """White, over 0 to 4 kHz."""
    deviation = 10 ** ((dbm0 - SQUARE_DBM0) / 20)
    return np.random.default_rng(seed).normal(0, deviation, shape)


def hum(seconds: int, mains_hz: float, dbm0: float, harmonics=(1, 3, 5)) -> np.ndarray:
    """Sines whose power together is `dbm0`."""
    time = np.arange(seconds * RATE) / RATE
    each = 10 ** ((dbm0 - 3.14 - 10 * np.log10(len(harmonics))) / 20)
    return each * np.sum([np.sin(2 * np.pi * mains_hz * n * time + n) for n in harmonics], axis=0)


def echoed(pair: np.ndarray, level_db: float = -20.0, delay_ms: float = 3.0) -> np.ndarray:
    """Each side comes back weaker on the other channel."""
    late = round(delay_ms * RATE / 1000)
    back = np.zeros_like(pair)
    back[late:] = pair[: len(pair) - late, ::-1]
    return pair + 10 ** (level_db / 20) * back


def sampled(pair: np.ndarray) -> np.ndarray:
    """As 16-bit samples, which end at full scale."""
    return np.clip(np.rint(pair * 32768), -32768, 32767).astype(np.int16)
