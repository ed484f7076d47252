"""Bursts as exchanges send them, digits as phones send them, and what a line adds to both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recorderd.sim import burst
from recorderd.sim.burst import bits_of, character, mdmf, number_display, with_checksum

if TYPE_CHECKING:
    from recorderd.core.profile import Tone

__all__ = ["bits_of", "character", "mdmf", "number_display"]

RATE = 8000
FULL_SCALE_DBM0 = 3.14  # a sine of full scale (ITU-T G.711, table 5)
TONES = burst.TONES_HZ
ROWS = (697.0, 770.0, 852.0, 941.0)
COLUMNS = (1209.0, 1336.0, 1477.0, 1633.0)
KEYS = "123A456B789C*0#D"
ALERT = (2130.0, 2750.0)


def amplitude(dbm0: float) -> float:
    return 10 ** ((dbm0 - FULL_SCALE_DBM0) / 20)


def sdmf(date: bytes, number: bytes) -> bytes:
    return with_checksum(bytes((0x04, len(date + number))) + date + number)


def cpfsk(
    bits: list[int], tones: tuple[float, float], dbm0: float = -14.0, speed: float = 1.0, phase=0.0
) -> np.ndarray:
    """Continuous in phase, bits changing at the sample that is next, as in spandsp's sender."""
    return amplitude(dbm0) * burst.cpfsk(bits, tones, RATE, speed, phase)


def tone(frequencies, seconds: float, dbm0=-14.0, speed: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE / speed)) / RATE
    levels = dbm0 if isinstance(dbm0, tuple) else (dbm0,) * len(frequencies)
    parts = [
        amplitude(level) * np.sin(2 * np.pi * hz * speed * time)
        for hz, level in zip(frequencies, levels, strict=True)
    ]
    return np.sum(parts, axis=0)


def progress(
    sent: Tone, seconds: float, dbm0=-20.0, speed=1.0, stretch=1.0, error=0.0
) -> np.ndarray:
    """A call progress tone for at least `seconds`, in whole cycles; `dbm0` is that of all frequencies
    together, where they are not modulated.
    """
    cadence = sent.cadence_ms or (round(seconds * 1000), 0)
    count = len(cadence) // 2
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < seconds * RATE:
        place = (len(parts) // 2) % count
        hz = (sent.frequencies_hz[place],) if sent.is_sequence else sent.frequencies_hz
        each = dbm0 - 10 * np.log10(len(hz))
        on_s, off_s = (time * stretch / 1000 for time in cadence[2 * place : 2 * place + 2])
        wave = tone([one * (1 + error) for one in hz], on_s, each, speed)
        if sent.modulation_hz:
            time = np.arange(len(wave)) / RATE
            wave *= 0.5 + 0.5 * np.sin(2 * np.pi * sent.modulation_hz * speed * time)
        parts += [wave, silence(off_s / speed)]
    return np.concatenate(parts)


def hum(length: int, mains_hz=50.0, dbm0=-30.0) -> np.ndarray:
    """Mains hum with the odd harmonics that a transformer adds."""
    time = np.arange(length) / RATE
    return sum(
        amplitude(dbm0 - 5 * (order - 1)) * np.sin(2 * np.pi * mains_hz * order * time)
        for order in (1, 3, 5, 7)
    )


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE))


def digits(
    text: str, on_s=0.07, off_s=0.07, dbm0=-10.0, twist_db=0.0, error=0.0, speed=1.0
) -> np.ndarray:
    """Keys as two tones; `dbm0` is the row's, `twist_db` how much louder the column is."""
    parts = []
    for key in text:
        row, column = divmod(KEYS.index(key), 4)
        pair = (ROWS[row] * (1 + error), COLUMNS[column] * (1 + error))
        parts += [tone(pair, on_s, (dbm0, dbm0 + twist_db), speed), silence(off_s / speed)]
    return np.concatenate(parts)


def noise_for(signal: np.ndarray, snr_db: float, random: np.random.Generator) -> float:
    """Standard deviation of white noise that lies `snr_db` under the power of `signal`."""
    return float(np.sqrt(np.mean(signal**2) / 10 ** (snr_db / 10)))


def on_line(
    signal: np.ndarray,
    snr_db: float = np.inf,
    random: np.random.Generator | None = None,
    lead_s: float = 0.5,
    tail_s: float = 0.3,
    power_of: np.ndarray | None = None,
) -> np.ndarray:
    """The signal with a pause around it and noise over all, as 16-bit samples."""
    whole = np.concatenate((silence(lead_s), signal, silence(tail_s)))
    if np.isfinite(snr_db):
        random = random or np.random.default_rng(1)
        deviation = noise_for(signal if power_of is None else power_of, snr_db, random)
        whole = whole + random.normal(0, deviation, len(whole))
    return np.clip(np.rint(whole * 32768), -32768, 32767).astype(np.int16)
