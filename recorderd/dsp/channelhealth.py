"""What one channel of a line is like: how loud, how noisy, clipped, off centre, humming.

A channel is looked at in pieces of one second. What is told of the whole time is a sum, or comes
from a histogram of levels in steps of 1 dB, so that a day takes no more memory than a second.

Levels are in dBm0, where a sine of full scale has 3.14 (ITU-T G.711, table 5). Those of frames are
within 400 to 3400 Hz, above all of hum that is strong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recorderd.dsp.spectrum import RATE_HZ
from recorderd.dsp.speechlevel import SpeechLevel

if TYPE_CHECKING:
    from numpy.typing import NDArray

SQUARE_DBM0 = 6.15
"""Of power 1: full scale as a square wave, 3.01 dB above a sine."""

FULL_SCALE = 32768
SECOND = RATE_HZ
FRAME = 250
FRAMES = SECOND // FRAME  # in a second
"""31 ms: short enough to fall between two words, long enough to keep hum out of the band."""

LOW_HZ, HIGH_HZ = 300, 3400
BAND = slice(13, 107)  # of a frame's bins: 416 to 3392 Hz

BOTTOM_DB, TOP_DB = -110, 7  # of histograms

NEAR_FULL = 32440
"""Within 1 % of full scale: a clipped top that was resampled ripples by about so much."""

FLAT_MIN = FULL_SCALE // 10
"""A top is flat where three samples in a row are the same. Quiet sound has such by chance."""

CLIPPED_SAMPLES_MIN = 8
"""In a second, for it to be a clipped one: fewer are a single click."""

SPEECH_OVER_NOISE_DB = 15
SPEECH_MIN_DBM0 = -50
"""Sound that is so far above the channel's own noise, and above the quietest that is understood."""

FLOOR_SHARE = 0.1
"""Of the time, the quietest: in talk there are at least so many pauses."""

STEADY_DB = 3
STEADY_SHARE = 0.3
BELOW_SHARE = 0.02
"""Noise is steady: much of the time lies close to the floor, and hardly any below it. The power of
noise in a frame of this band differs by 0.6 dB; music and talk have no level of their own."""

NOISE_BAND_HZ = 100
MAINS_HZ = (50, 60)
HARMONICS = {50: (50, 100, 150, 200, 250), 60: (60, 120, 180, 240)}  # 300 belongs to both
HUM_WIDTH = 3
"""Bins of 1 Hz on each side: the main lobe of the window and 1 Hz for a network that is 0.2 Hz off."""


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """What was measured of one channel; None: nothing of the kind was heard."""

    speech_s: float  # sound well above the noise, and no echo of the other channel
    active_dbm0: float | None  # active speech level (ITU-T P.56)
    level_dbm0: float | None  # over the whole time and band, without direct current
    peak_share: float  # of full scale
    clipped_share: float  # of samples, within 1 % of full scale
    flat_share: float  # of samples, in flat tops at any level
    clipped_s: int  # seconds with clipped or flat tops in them
    offset_share: float  # direct current, of full scale, with its sign
    hum_dbm0: float | None  # steady, at the mains' frequency and its harmonics up to 250 Hz
    mains_hz: int | None  # 50 or 60; None where that cannot be told
    noise_dbm0: float | None  # steady noise between words; None where nothing was steady
    loudest_dbm0: float | None  # of 99 % of the time
    zero_share: float  # of the time: nothing but zeros, or one value


def dbm0(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power in units of a full-scale square wave's as a level."""
    return 10 * np.log10(power + 1e-12) + SQUARE_DBM0


def power_of(spectrum: NDArray[np.complex128]) -> NDArray[np.float64]:
    """The squares of the magnitudes; a third of the work of `abs` and a square."""
    power: NDArray[np.float64] = spectrum.real**2 + spectrum.imag**2
    return power


class Histogram:
    """How often each level was there, in steps of 1 dB."""

    def __init__(self) -> None:
        self._counts = np.zeros(TOP_DB - BOTTOM_DB, np.int64)

    def add(self, levels: NDArray[np.float64]) -> None:
        places = np.clip(np.floor(levels) - BOTTOM_DB, 0, len(self._counts) - 1)
        self._counts += np.bincount(places.astype(np.int64), minlength=len(self._counts))

    @property
    def total(self) -> int:
        return int(self._counts.sum())

    def quantile(self, share: float) -> float | None:
        """The level below which `share` of all lie, to 1 dB; None of nothing."""
        if not self.total:
            return None
        return float(BOTTOM_DB + 0.5 + np.searchsorted(self._counts.cumsum(), share * self.total))

    def count(self, low: float, high: float = TOP_DB) -> int:
        """How many lie from `low` up to `high`."""
        first, last = (max(0, round(level - BOTTOM_DB)) for level in (low, high))
        return int(self._counts[first:last].sum())


class ChannelMeter:
    """One channel, a second at a time. The spectra come from whoever looks at both channels."""

    def __init__(self) -> None:
        self._speech = SpeechLevel(SECOND, 1)
        self._seconds = 0
        self._sum = 0
        self._power = 0.0
        self._peak = 0
        self._near_full = self._flat = self._clipped_s = self._zero_frames = 0
        self._frames = Histogram()
        self._own_frames = Histogram()
        self._hiss = Histogram()
        self._hum = {mains_hz: Histogram() for mains_hz in MAINS_HZ}

    def feed(
        self,
        samples: NDArray[np.int16],
        frame_powers: NDArray[np.float64],
        is_own: NDArray[np.bool_],
    ) -> None:
        """One second, the power within the band of each of its frames, and which of them
        are not the other side's echo."""
        self._seconds += 1
        wide = samples.astype(np.int32)
        self._sum += int(wide.sum())
        self._look_at_tops(wide)
        centred = (wide - wide.mean()) / FULL_SCALE
        self._power += float(centred @ centred) / SECOND
        self._speech.feed(centred[:, None])
        by_frame = samples.reshape(FRAMES, FRAME)
        is_alive = by_frame.max(axis=1) != by_frame.min(axis=1)
        self._zero_frames += FRAMES - int(is_alive.sum())
        self._frames.add(dbm0(frame_powers[is_alive]))
        self._own_frames.add(dbm0(frame_powers[is_alive & is_own]))
        if is_alive.all():  # a hole would look like a click in each of these
            self._look_at_spectrum(centred)

    def _look_at_tops(self, samples: NDArray[np.int32]) -> None:
        size = np.abs(samples)
        self._peak = max(self._peak, int(size.max()))
        near_full = int((size >= NEAR_FULL).sum())
        same = samples[1:] == samples[:-1]
        flat = int((same[1:] & same[:-1] & (size[1:-1] >= FLAT_MIN)).sum())
        self._near_full += near_full
        self._flat += flat
        self._clipped_s += near_full + flat >= CLIPPED_SAMPLES_MIN

    def _look_at_spectrum(self, centred: NDArray[np.float64]) -> None:
        # Twice the power of a bin is a tone's or a noise's of positive frequency.
        power = power_of(np.fft.rfft(centred * _WINDOW)) * _WINDOW_SCALE
        band = power[LOW_HZ:HIGH_HZ].reshape(-1, NOISE_BAND_HZ)
        # Of noise, the median of a bin's power is ln 2 of its mean; tones do not move the median.
        middle = NOISE_BAND_HZ // 2
        hiss = np.partition(band, middle, axis=1)[:, middle].sum() * NOISE_BAND_HZ / np.log(2)
        self._hiss.add(dbm0(np.array([hiss])))
        # A hum is a line; a voice's pitch moves within a second, and is beside it as well.
        beside = power[_BESIDE_BINS].max(axis=1)
        steady = power[_HUM_BINS].sum(axis=1) - beside * _HUM_BINS.shape[1]
        steady = np.maximum(steady, 0.0)
        for mains_hz, histogram in self._hum.items():
            histogram.add(dbm0(steady[_OF_MAINS[mains_hz]].sum(keepdims=True)))

    def measure(self) -> ChannelHealth:
        """All of it so far."""
        samples = max(1, self._seconds * SECOND)
        floor = self._frames.quantile(FLOOR_SHARE)
        own_noise = BOTTOM_DB if floor is None else floor
        speech_from = max(SPEECH_MIN_DBM0, own_noise + SPEECH_OVER_NOISE_DB)
        hum_dbm0, mains_hz = self._measure_hum()
        active = self._speech.active_db(0)
        power = self._power / max(1, self._seconds)
        return ChannelHealth(
            speech_s=self._own_frames.count(speech_from) / FRAMES,
            active_dbm0=None if active is None else _rounded(active + SQUARE_DBM0),
            level_dbm0=_rounded(float(dbm0(np.array(power)))) if power else None,
            peak_share=round(self._peak / FULL_SCALE, 4),
            clipped_share=round(self._near_full / samples, 6),
            flat_share=round(self._flat / samples, 6),
            clipped_s=self._clipped_s,
            offset_share=round(self._sum / samples / FULL_SCALE, 5),
            hum_dbm0=hum_dbm0,
            mains_hz=mains_hz,
            noise_dbm0=self._measure_noise(floor),
            loudest_dbm0=self._frames.quantile(0.99),
            zero_share=round(self._zero_frames / max(1, self._seconds * FRAMES), 4),
        )

    def _measure_noise(self, floor: float | None) -> float | None:
        hiss = self._hiss.quantile(FLOOR_SHARE)
        if floor is None or hiss is None:
            return None
        near = self._frames.count(floor - STEADY_DB, floor + STEADY_DB)
        below = self._frames.count(BOTTOM_DB, floor - STEADY_DB)
        is_steady = near >= STEADY_SHARE * self._frames.total
        is_steady = is_steady and below <= BELOW_SHARE * self._frames.total
        return min(floor, hiss) if is_steady else None

    def _measure_hum(self) -> tuple[float | None, int | None]:
        """The level at the mains that fit better, and which they are where the other fit worse."""
        levels = {mains: each.quantile(FLOOR_SHARE) for mains, each in self._hum.items()}
        found = {mains: level for mains, level in levels.items() if level is not None}
        if not found:
            return None, None
        best = max(found, key=lambda mains: found[mains])
        other = min(found.values())
        return found[best], best if found[best] - other >= HUM_CLEAR_DB else None


HUM_CLEAR_DB = 6
"""A hum at one mains frequency leaves nothing at the other; sound of another kind is at both."""

_WINDOW = np.hanning(SECOND + 1)[:SECOND]
_WINDOW_SCALE = 2 / (SECOND * (_WINDOW**2).sum())

_TONES_HZ = np.array([hz for mains_hz in MAINS_HZ for hz in HARMONICS[mains_hz]])
_OF_MAINS = {50: slice(0, len(HARMONICS[50])), 60: slice(len(HARMONICS[50]), None)}
_NEAR_BINS = np.arange(1 - HUM_WIDTH * 3, HUM_WIDTH * 3)
_IS_HUM = np.abs(_NEAR_BINS) <= HUM_WIDTH
_HUM_BINS = _TONES_HZ[:, None] + _NEAR_BINS[_IS_HUM]
_BESIDE_BINS = _TONES_HZ[:, None] + _NEAR_BINS[~_IS_HUM]


def _rounded(level: float) -> float:
    return round(level, 1)
