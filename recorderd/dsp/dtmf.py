"""Digits keyed as two tones (DTMF, ITU-T Q.23 and Q.24).

The spectra say where two tones of the keypad may be and nothing much else is. There the samples are
measured: when both tones began and ended, their frequencies to a hertz or two, their levels, and
how much of the sound they do not explain. A digit is decided when it ends, or 400 ms
after it began. Speech and music hold two such tones for a moment now and then, but not this steadily, not on
these frequencies, and not without more sound coming and going with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recorderd.dsp.spectrum import BIN_HZ, HOP, RATE_HZ, WINDOW, Batch, Spectrum, bin_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_HZ: Final = np.array([697.0, 770.0, 852.0, 941.0])
COLUMNS_HZ: Final = np.array([1209.0, 1336.0, 1477.0, 1633.0])
KEYS: Final = "123A456B789C*0#D"

# Looking for them.
ROW_BINS = (bin_of(650), bin_of(1000))
COLUMN_BINS = (bin_of(1140), bin_of(1710))
TONE_BINS = 4  # to each side of a tone's peak: a Hann window of 16 ms leaves nothing beyond
SHARE_MIN = 0.45  # of a frame's power
WEAK = 0.1  # of the loudest frame's power: a frame that covers an edge or a pause
FRAMES_MIN = 3
PAUSE_FRAMES = 3  # a break of 10 ms weakens two (Q.24 has them bridged), one of 30 ms five
DECIDED_FRAMES = 80  # 400 ms: what follows most notes and syllables is heard too

_NEAR: Final = np.arange(-TONE_BINS, TONE_BINS + 1)

# Measuring them.
MARGIN = 240  # samples to each side: 30 ms
SMOOTHING = 64  # samples; keeps the other tone, 268 Hz away or more, out
ON_MIN = 252  # samples: 31.5 ms, half way from 23 ms (Q.24: never) to 40 ms (Q.24: always)
BREAK_MAX = 96  # samples: 12 ms
MEASURED_MAX = 800  # samples
TONES_MIN = 96  # samples, between two breaks
FREQUENCY_ERROR_MAX = 0.0225  # Q.24: 1.5 to 1.8 % must pass, 3.0 to 3.5 % must not
TWIST_MAX_DB = 11.0  # Q.24 asks for 8 one way, Brazil for 9
LEVEL_MIN_DBM0 = -48.0  # a tone's
SINE_DBM0 = 3.14  # of full scale (ITU-T G.711)
UNSTEADY_MAX_DB = 4.0  # between the thirds of a tone

EXPLAINED_ALWAYS = 0.93
EXPLAINED_MIN = 0.70  # 5 dB of noise on average leave 0.76
NOISE_RISE_MAX = 2.5
"""Where the tones explain less than EXPLAINED_ALWAYS, the rest must have been there around them as
well, as a line's noise is; what comes and goes with the tones is speech."""

AROUND_MAX = 0.4
"""Of the tones' power: there is a pause before and after a digit, and none between notes."""

# 350 to 440 Hz everywhere (Asterisk, configs/samples/indications.conf.sample), and a margin.
DIAL_TONE_HZ = (280.0, 520.0)
DIAL_TONE_RISE_MAX = 4.0  # two tones of Australia beat 25 times a second

FINE_TRANSFORM = 4096  # bins 2 Hz apart


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit, and the samples through which it was heard (or had been, when it was decided)."""

    digit: str
    start: int
    stop: int


@dataclass(slots=True)
class _Run:
    """Frames in which the same two tones stand out."""

    key: int
    first: int
    last: int
    power: float
    row_hz: list[float]
    column_hz: list[float]
    is_decided: bool = False


class DigitReceiver:
    """Follows the tones through the spectra, and measures where they may be a digit."""

    def __init__(self, spectrum: Spectrum) -> None:
        self._spectrum = spectrum
        self._run: _Run | None = None

    def handle(self, batch: Batch) -> list[Digit]:
        """The digits that are decided in these frames."""
        keys, power, row_hz, column_hz = _look(batch)
        if self._run is None and (keys < 0).all():
            return []
        found: list[Digit] = []
        columns = (each.tolist() for each in (keys, power, row_hz, column_hz))
        for frame, (key, *tones) in enumerate(zip(*columns, strict=True), batch.first_frame):
            found += self._step(frame, key, *tones)
        return found

    def finish(self, frame: int) -> list[Digit]:
        """The digit that goes on when the sound ends."""
        return self._end(frame)

    def _step(
        self, frame: int, key: int, power: float, row_hz: float, column_hz: float
    ) -> list[Digit]:
        found = []
        run = self._run
        if run is not None and key == run.key and power >= WEAK * run.power:
            run.last = frame
            run.power = max(run.power, power)
            if not run.is_decided:
                run.row_hz.append(row_hz)
                run.column_hz.append(column_hz)
                if frame - run.first >= DECIDED_FRAMES:
                    found = self._decide(run)
            return found
        if run is not None and frame - run.last >= PAUSE_FRAMES:
            found = self._end(frame)
        if self._run is None and key >= 0:
            self._run = _Run(key, frame, frame, power, [row_hz], [column_hz])
        return found

    def _end(self, frame: int) -> list[Digit]:
        run, self._run = self._run, None
        if run is None or run.is_decided or frame - run.first < FRAMES_MIN:
            return []
        return self._decide(run)

    def _decide(self, run: _Run) -> list[Digit]:
        run.is_decided = True
        first = run.first * HOP - MARGIN
        last = run.last * HOP + WINDOW + MARGIN
        segment = self._spectrum.samples(first, min(last, self._spectrum.end))
        middle = (run.first + run.last) * HOP // 2 + WINDOW // 2 - first
        guess = (float(np.median(run.row_hz)), float(np.median(run.column_hz)))
        span = _measure(segment, middle, guess, divmod(run.key, 4))
        if span is None:
            return []
        return [Digit(KEYS[run.key], first + span[0], first + span[1])]


def _look(
    batch: Batch,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each frame the key whose tones stand out (-1: none), their power and frequencies."""
    (row_hz, column_hz), (row_power, column_power) = _peaks(batch.power)
    power = row_power + column_power
    row = np.abs(row_hz[:, None] - ROWS_HZ).argmin(axis=1)
    column = np.abs(column_hz[:, None] - COLUMNS_HZ).argmin(axis=1)
    twist = 10 ** (TWIST_MAX_DB * 1.3 / 10)
    fits = (
        (power >= SHARE_MIN * batch.total)
        & (row_power <= twist * column_power)
        & (column_power <= twist * row_power)
    )
    return np.where(fits, 4 * row + column, -1), power, row_hz, column_hz


def _peaks(power: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequency and power of the strongest tone among the rows and among the columns, for each frame.

    Both are (2, frames).
    """
    peak = np.stack([
        low + power[:, low : high + 1].argmax(axis=1) for low, high in (ROW_BINS, COLUMN_BINS)
    ])
    frames = np.arange(len(power))[:, None]
    near = power[frames, peak[:, :, None] + _NEAR]  # (2, frames, bins)
    around = np.log(near[:, :, TONE_BINS - 1 : TONE_BINS + 2] + 1e-30)
    before, there, after = around[:, :, 0], around[:, :, 1], around[:, :, 2]
    bend = np.minimum(before - 2 * there + after, -1e-6)
    shift = np.clip(0.5 * (before - after) / bend, -0.5, 0.5)
    return (peak + shift) * BIN_HZ, near.sum(axis=2)


# ---------------------------------------------------------------- one digit on the samples


def _measure(
    segment: NDArray[np.float64], middle: int, guess: tuple[float, float], key: tuple[int, int]
) -> tuple[int, int] | None:
    """Where the digit begins and ends in the segment; None where it is none."""
    right_hz = (ROWS_HZ[key[0]], COLUMNS_HZ[key[1]])
    if not _are_near(guess, right_hz, 2 * FREQUENCY_ERROR_MAX):
        return None
    pieces = _on_time(segment, middle, guess)
    if not pieces or pieces[-1][1] - pieces[0][0] < ON_MIN:
        return None
    span = pieces[0][0], pieces[-1][1]
    segment = _without_dial_tone(segment, span)
    start, stop = max(pieces, key=lambda piece: piece[1] - piece[0])
    tones = segment[start + 12 : min(stop - 12, start + MEASURED_MAX)]
    if len(tones) < TONES_MIN:
        return None
    found_hz = (_frequency(tones, guess[0]), _frequency(tones, guess[1]))
    if not _are_near(found_hz, right_hz, FREQUENCY_ERROR_MAX):
        return None
    levels, explained, rest = _fit(tones, found_hz)
    if explained < EXPLAINED_MIN or not _levels_fit(tones, found_hz, levels):
        return None
    around = _power_around(segment, span)
    wanted = sum(level**2 for level in levels) / 2
    if max(around) > AROUND_MAX * wanted:
        return None
    is_noise = rest <= NOISE_RISE_MAX * min(around)
    return span if is_noise or explained >= EXPLAINED_ALWAYS else None


def _are_near(found_hz: tuple[float, float], right_hz: tuple[float, float], error: float) -> bool:
    return all(abs(hz / right - 1) <= error for hz, right in zip(found_hz, right_hz, strict=True))


def _on_time(
    segment: NDArray[np.float64], middle: int, guess: tuple[float, float]
) -> list[tuple[int, int]]:
    """Where both tones have more than half of their amplitude around `middle`: one stretch, or
    several with breaks that are bridged.
    """
    is_on = np.ones(len(segment), bool)
    for hz in guess:
        strength = _strength(segment, hz)
        usual = np.sort(strength[max(0, middle - 80) : middle + 80])
        is_on &= strength > usual[len(usual) // 2] / 2
    changes = np.flatnonzero(np.diff(np.concatenate(([False], is_on, [False])).astype(np.int8)))
    joined: list[tuple[int, int]] = []
    for start, stop in zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True):
        if joined and start - joined[-1][1] > BREAK_MAX:
            if joined[-1][1] > middle:
                break
            joined = []
        joined.append((start, stop))
    return joined if joined and joined[0][0] <= middle < joined[-1][1] else []


def _strength(segment: NDArray[np.float64], hz: float) -> NDArray[np.float64]:
    """The amplitude of one tone at each sample: two running means, one after the other."""
    smooth = segment * np.exp(-2j * np.pi * hz / RATE_HZ * np.arange(len(segment)))
    for _ in range(2):
        sums = np.cumsum(np.concatenate((np.zeros(SMOOTHING // 2 + 1), smooth)))
        smooth = sums[SMOOTHING // 2 + 1 :] - sums[: -SMOOTHING // 2 - 1]
    strength: NDArray[np.float64] = np.abs(smooth)
    return np.concatenate((strength[SMOOTHING // 2 :], np.zeros(SMOOTHING // 2)))


def _without_dial_tone(segment: NDArray[np.float64], span: tuple[int, int]) -> NDArray[np.float64]:
    """The first digit is keyed over the dial tone: what lies there, and lay there before, is left out.

    What begins with the digit is not: a voice has most of its power there.
    """
    spectrum = np.fft.rfft(segment)
    frequency = np.fft.rfftfreq(len(segment), 1 / RATE_HZ)
    spectrum[(frequency < DIAL_TONE_HZ[0]) | (frequency > DIAL_TONE_HZ[1])] = 0
    dial_tone = np.fft.irfft(spectrum, len(segment))
    before = dial_tone[max(0, span[0] - 160) : span[0] - 32]
    during = dial_tone[span[0] : span[1]]
    if len(before) < 64 or np.mean(during**2) > DIAL_TONE_RISE_MAX * np.mean(before**2):
        return segment
    return segment - dial_tone


def _frequency(tones: NDArray[np.float64], guess_hz: float) -> float:
    """The frequency of the tone near `guess_hz`, by the peak of its spectrum."""
    low, high = (round((guess_hz + side) * FINE_TRANSFORM / RATE_HZ) for side in (-30, 30))
    spectrum = np.fft.rfft(tones * np.hanning(len(tones)), FINE_TRANSFORM)
    power = np.abs(spectrum[low - 1 : high + 2]) ** 2
    peak = 1 + int(power[1:-1].argmax())
    before, there, after = np.log(power[peak - 1 : peak + 2] + 1e-30)
    bend = before - 2 * there + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float((low - 1 + peak + np.clip(shift, -1, 1)) * RATE_HZ / FINE_TRANSFORM)


def _fit(
    tones: NDArray[np.float64], found_hz: tuple[float, float]
) -> tuple[list[float], float, float]:
    """Amplitudes of both tones by least squares, the share of power that they explain, the rest.

    Hum and direct current, which take no part, are the slow curve that is fitted with them.
    """
    time = np.arange(len(tones))
    slow = np.linspace(-1, 1, len(tones))
    waves = [np.exp(2j * np.pi * hz / RATE_HZ * time) for hz in found_hz]
    columns = [part for wave in waves for part in (wave.real, wave.imag)]
    basis = np.stack((*columns, np.ones_like(slow), slow, slow**2, slow**3), axis=1)
    weights = np.linalg.solve(basis.T @ basis, basis.T @ tones)
    levels = [float(np.hypot(*weights[place : place + 2])) for place in (0, 2)]
    rest = float(np.mean((tones - basis @ weights) ** 2))
    wanted = sum(level**2 for level in levels) / 2
    return levels, wanted / (wanted + rest + 1e-30), rest


def _levels_fit(
    tones: NDArray[np.float64], found_hz: tuple[float, float], levels: list[float]
) -> bool:
    """Whether both tones are loud enough, alike enough, and steady."""
    dbm0 = [20 * np.log10(level + 1e-30) + SINE_DBM0 for level in levels]
    if min(dbm0) < LEVEL_MIN_DBM0 or abs(dbm0[0] - dbm0[1]) > TWIST_MAX_DB:
        return False
    thirds = [_fit(part, found_hz)[0] for part in np.array_split(tones, 3)]
    for place in (0, 1):
        parts = [levels[place] for levels in thirds]
        if max(parts) > 10 ** (UNSTEADY_MAX_DB / 20) * min(parts):
            return False
    return True


def _power_around(segment: NDArray[np.float64], span: tuple[int, int]) -> list[float]:
    """The power on both sides of the tones where it is known, hum and direct current left out."""
    powers = []
    for part in (
        segment[max(0, span[0] - 160) : span[0] - 32],
        segment[span[1] + 32 : span[1] + 160],
    ):
        if len(part) >= 64:
            slow = np.vander(np.linspace(-1, 1, len(part)), 4)
            left = part - slow @ np.linalg.solve(slow.T @ slow, slow.T @ part)
            powers.append(float(np.mean(left**2)))
    return powers
