"""Bursts of pure sound on the frequencies of progress tones, each with its beginning and end.

The spectra say where one band holds most of the sound, and since when it has been as strong as now.
Each such stretch is measured on its samples, half a second at a time: which of the wanted sounds
explains it, and whether it is steady. A vowel has its harmonics move, more sound beside them, and no
second of the same strength; the notes of an instrument fade or have overtones. What passes all
the same is told from a tone by its cadence (tones.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recorderd.dsp.spectrum import BIN_HZ, HOP, RATE_HZ, TOP_BIN, WINDOW, Batch, Spectrum

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Looking for them.
BAND_SIDE_HZ = 70.0  # of a tone in a spectrum of 16 ms
BAND_APART_HZ = 150.0  # tones nearer than this are looked for in one band
BOTTOM_BIN = 9  # 281 Hz: the third harmonic of mains hum stays out
SHARE_MIN = 0.5  # of a frame's power
EDGE = 0.25  # of the power: half of the amplitude, where a window is half full
BRIDGED_FRAMES = 10  # 50 ms: modulation of 15 Hz weakens 33; no pause on one frequency is shorter
LEVEL_MIN_DBM0 = -48.0
SINE_DBM0: Final = 3.14  # of full scale (ITU-T G.711)

# Measuring them.
PIECE = 3200  # samples: 400 ms, over 5 Hz
EDGE_SAMPLES = 64
TRANSFORM = 4096
FREQUENCY_ERROR_MAX = 0.022
"""A sender may be off by 1.5 %, or the sound card's clock by 2 %. Notes of music are as near: G is 392 Hz
and A is 440."""
HIGH_HZ, HIGH_ERROR_HZ = 800.0, 50.0
"""Special information: ITU-T E.180 allows 50 Hz, and North America's are up to 36 Hz off."""
APART_ERROR = 0.3  # of the difference of two frequencies: a vibrato has peaks too, but nearer
MODULATION = (0.9, 1.3)  # of its frequency; Japan: 15 to 20 Hz, nominally 16
EXPLAINED_MIN = 0.75  # of the power from 300 to 3900 Hz; 6 dB of noise leave 0.8
SIDEBANDS_MAX = 0.8  # of a modulated tone's carrier; 0.5 where it is modulated wholly
TWIST_MAX = 10.0  # of the powers of two tones: 10 dB
STEADY_MAX = 1.8  # between the powers of a burst's thirds and of its pieces: 2.5 dB
STEADY_FRAMES = (30, 200)
"""Thirds are compared in bursts of 150 ms to 1 s; longer ones have pieces."""

_FINE_HZ = RATE_HZ / TRANSFORM
_WINDOW: Final = np.hanning(PIECE)


@dataclass(frozen=True, slots=True)
class Sound:
    """What a burst may consist of: one or two frequencies together, one of them perhaps modulated."""

    frequencies_hz: tuple[float, ...]
    modulation_hz: float = 0.0


@dataclass(frozen=True, slots=True)
class Burst:
    """One burst, in samples, and the sounds that it may be: each with how far it is off, 0 to 1."""

    start: int
    stop: int
    errors: dict[Sound, float]


@dataclass(slots=True)
class Run:
    """A band that has been full since `start`, and all that fits it so far."""

    first_frame: int
    last_frame: int
    peak: float
    before: float  # power of the frame before it
    last: float  # power of its last frame, and of the one after that
    after: float
    powers: list[float]  # of its first frames
    measured: int = 0  # pieces
    errors: dict[Sound, float] | None = None  # None: nothing was measured yet
    level: float = 0.0  # of the first piece

    @property
    def start(self) -> int:
        """Its first sample, as near as frames say: where half of the amplitude is reached."""
        back = _back(self.powers[0], self.before, EDGE * self.peak)
        return _center(self.first_frame) - back

    @property
    def stop(self) -> int:
        """The sample after its last one."""
        return _center(self.last_frame) + _back(self.last, self.after, EDGE * self.peak)


class BurstFinder:
    """Follows each band through the spectra, and measures what fills it."""

    def __init__(self, spectrum: Spectrum, sounds: tuple[Sound, ...]) -> None:
        self._bands = [_Band(spectrum, *each) for each in _bands(sounds)]

    @property
    def going_on(self) -> list[Run]:
        """The bursts that have not ended."""
        return [band.run for band in self._bands if band.run is not None]

    def handle(self, batch: Batch) -> list[Burst]:
        """The bursts that are known to have ended in these frames, by their end."""
        if not self._bands:
            return []
        total = batch.power[:, BOTTOM_BIN:TOP_BIN].sum(axis=1)
        bursts = [burst for band in self._bands for burst in band.handle(batch, total)]
        return sorted(bursts, key=lambda burst: burst.stop)

    def finish(self) -> list[Burst]:
        """The bursts that go on when the sound ends."""
        return [burst for band in self._bands for burst in band.finish()]


class _Band:
    """One band, and the run in it."""

    def __init__(
        self, spectrum: Spectrum, low_hz: float, high_hz: float, sounds: tuple[Sound, ...]
    ) -> None:
        self.run: Run | None = None
        self._spectrum = spectrum
        self._sounds = sounds
        self._bins = slice(
            max(BOTTOM_BIN, round((low_hz - BAND_SIDE_HZ) / BIN_HZ)),
            round((high_hz + BAND_SIDE_HZ) / BIN_HZ) + 1,
        )
        self._floor = 10 ** ((LEVEL_MIN_DBM0 - SINE_DBM0) / 10) / 2
        self._previous = 0.0

    def handle(self, batch: Batch, total: NDArray[np.float64]) -> list[Burst]:
        power = batch.power[:, self._bins].sum(axis=1)
        is_full = (power >= SHARE_MIN * total) & (power >= self._floor)
        bursts: list[Burst] = []
        if self.run is not None or is_full.any():
            frames = zip(power.tolist(), is_full.tolist(), strict=True)
            for frame, (each, full) in enumerate(frames, batch.first_frame):
                bursts += self._step(frame, each, full)
                self._previous = each
        self._previous = float(power[-1])
        return bursts

    def finish(self) -> list[Burst]:
        return self._end()

    def _step(self, frame: int, power: float, is_full: bool) -> list[Burst]:  # noqa: FBT001  (a frame's power and sign)
        run, bursts = self.run, []
        if run is not None and is_full and power * EDGE > run.peak:
            bursts, run = self._end(), None  # what was weaker by half is another sound
        if run is None:
            if is_full:
                self.run = Run(frame, frame, power, self._previous, power, power, [power])
            return bursts
        if len(run.powers) <= STEADY_FRAMES[1]:
            run.powers.append(power)
        if is_full and power >= EDGE * run.peak:
            run.last_frame, run.peak, run.last = frame, max(run.peak, power), power
            self._go_on(run)
        elif frame == run.last_frame + 1:
            run.after = power
        elif frame - run.last_frame > BRIDGED_FRAMES:
            return self._end()
        return bursts

    def _go_on(self, run: Run) -> None:
        """Measures the next piece once it is there; a run that is nothing wanted begins anew."""
        end = (run.measured + 1) * PIECE + 2 * EDGE_SAMPLES
        if (run.last_frame - run.first_frame) * HOP >= end:
            first = run.start + EDGE_SAMPLES + run.measured * PIECE
            self._measure(run, first, first + PIECE)
            if not run.errors:
                self.run = None

    def _end(self) -> list[Burst]:
        run, self.run = self.run, None
        if run is None or run.last_frame - run.first_frame < 3:
            return []
        start, stop = run.start, run.stop
        margin = min(EDGE_SAMPLES, (stop - start) // 8)
        self._measure(run, max(start + margin, stop - margin - PIECE), stop - margin)
        if not run.errors or not _is_steady(run):
            return []
        return [Burst(start, stop, run.errors)]

    def _measure(self, run: Run, start: int, stop: int) -> None:
        """Leaves those of the run's sounds that explain these samples too, at the same level."""
        run.measured += 1
        piece = self._spectrum.samples(start, stop)
        level = float(np.mean(piece**2))
        run.level = run.level or level
        found = _explained_by(piece, self._sounds if run.errors is None else tuple(run.errors))
        if not level / STEADY_MAX <= run.level <= level * STEADY_MAX:
            found = {}
        known = run.errors or {}
        run.errors = {sound: max(error, known.get(sound, 0.0)) for sound, error in found.items()}


def _center(frame: int) -> int:
    return frame * HOP + WINDOW // 2


def _back(inside: float, outside: float, edge: float) -> int:
    """How far from the frame with `inside` to that with `outside`, in samples, `edge` is crossed."""
    high, low, middle = inside**0.5, outside**0.5, edge**0.5
    part = (high - middle) / (high - low) if high > middle > low else 0.0
    return round(part * HOP)


def _bands(sounds: tuple[Sound, ...]) -> list[tuple[float, float, tuple[Sound, ...]]]:
    """Bands, each from its lowest to its highest frequency, with the sounds in it."""
    bands: list[tuple[float, float, tuple[Sound, ...]]] = []
    for sound in sorted(sounds, key=lambda sound: sound.frequencies_hz):
        low, high = min(sound.frequencies_hz), max(sound.frequencies_hz)
        if bands and low - bands[-1][1] < BAND_APART_HZ:
            low, before, others = bands.pop()
            bands.append((low, max(before, high), (*others, sound)))
        else:
            bands.append((low, high, (sound,)))
    return bands


def _is_steady(run: Run) -> bool:
    """Whether a burst's thirds are as strong as each other."""
    inner = run.powers[3 : run.last_frame - run.first_frame - 2]
    if not STEADY_FRAMES[0] <= len(inner) < STEADY_FRAMES[1] - 3:
        return True
    third = len(inner) // 3
    parts = [sum(inner[place * third : (place + 1) * third]) for place in range(3)]
    return max(parts) <= STEADY_MAX * min(parts)


# ---------------------------------------------------------------- one piece on its samples


def _explained_by(piece: NDArray[np.float64], sounds: tuple[Sound, ...]) -> dict[Sound, float]:
    """The sounds that hold nearly all of a piece's power, and how far their frequencies are off."""
    window = _WINDOW if len(piece) == PIECE else np.hanning(len(piece))
    power = np.abs(np.fft.rfft(piece * window, TRANSFORM)) ** 2
    sums = np.concatenate((np.zeros(1), np.cumsum(power)))
    total = float(sums[round(3900 / _FINE_HZ)] - sums[round(300 / _FINE_HZ)]) + 1e-30
    width_hz = 2 * RATE_HZ / len(piece)  # half of a Hann window's main lobe
    found = {}
    for sound in sounds:
        fit = [_peak(power, hz) for hz in sound.frequencies_hz]
        peaks = [hz for hz in fit if hz is not None]
        if len(peaks) < len(fit):
            continue
        between_hz = sound.frequencies_hz[-1] - sound.frequencies_hz[0]
        if abs(peaks[-1] - peaks[0] - between_hz) > APART_ERROR * abs(between_hz):
            continue
        apart_hz = min(width_hz, abs(between_hz) / 2 or width_hz)
        inside = [_between(sums, hz - apart_hz, hz + apart_hz) for hz in peaks]
        if sound.modulation_hz:
            beside = _sidebands(sums, peaks[0], width_hz, sound.modulation_hz)
            if beside > SIDEBANDS_MAX * inside[0]:
                continue
            inside[0] += beside
        if sum(inside) >= EXPLAINED_MIN * total and max(inside) <= TWIST_MAX * min(inside):
            pairs = zip(peaks, sound.frequencies_hz, strict=True)
            found[sound] = max(abs(hz / right - 1) for hz, right in pairs)
    return found


def _sidebands(
    sums: NDArray[np.float64], carrier_hz: float, width_hz: float, modulation_hz: float
) -> float:
    """The power in both sidebands. There is none between them and the carrier, as a vibrato has."""
    near_hz = max(width_hz, MODULATION[0] * modulation_hz - width_hz)
    far_hz = MODULATION[1] * modulation_hz + width_hz
    below = _between(sums, carrier_hz - far_hz, carrier_hz - near_hz)
    return below + _between(sums, carrier_hz + near_hz, carrier_hz + far_hz)


def _between(sums: NDArray[np.float64], low_hz: float, high_hz: float) -> float:
    return float(sums[round(high_hz / _FINE_HZ) + 1] - sums[round(low_hz / _FINE_HZ)])


def _peak(power: NDArray[np.float64], right_hz: float) -> float | None:
    """The frequency of the peak near `right_hz`; None where it is too far off."""
    error_hz = HIGH_ERROR_HZ if right_hz > HIGH_HZ else FREQUENCY_ERROR_MAX * right_hz
    low, high = (int((right_hz + side * error_hz) / _FINE_HZ) for side in (-1, 1))
    peak = low + int(power[low : high + 2].argmax())
    before, there, after = np.log(power[peak - 1 : peak + 2] + 1e-30)
    if not before <= there >= after:
        return None
    bend = before - 2 * there + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    hz = float((peak + shift) * _FINE_HZ)
    return hz if abs(hz - right_hz) <= error_hz else None
