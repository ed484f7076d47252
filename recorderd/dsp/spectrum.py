"""Short spectra of one channel, cut the same way whatever the blocks that it comes in.

All detectors look at the same frames first: 128 samples (16 ms) under a Hann window, every 40
samples (5 ms), as powers in bins 31.25 Hz apart. What they find interesting they measure again on
the samples themselves, which are kept for some seconds.

Work is done in batches of a fixed number of frames: floating-point sums are then the same to the
last bit for blocks of any size, and so is every decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE_HZ = 8000
WINDOW = 128
HOP = 40
TRANSFORM = 256
BIN_HZ = RATE_HZ / TRANSFORM
BATCH_FRAMES = 32  # 160 ms
KEPT = 8 * RATE_HZ
"""Samples that can be looked at again: more than the longest burst of caller ID."""

BOTTOM_BIN, TOP_BIN = 7, 124
"""From 219 Hz to 3.9 kHz: direct current and hum take no part in any comparison."""

POWER_MIN = 1e-10
"""In units of a full-scale square wave's: 6 dB below one step of 16 bits, nothing is heard."""

_SCALE = 1 / 32768
_BATCH_SAMPLES = (BATCH_FRAMES - 1) * HOP + WINDOW
_PLACES = np.arange(BATCH_FRAMES)[:, None] * HOP + np.arange(WINDOW)
"""Of each frame's samples among those of a batch."""


def bin_of(frequency_hz: float) -> int:
    """The bin nearest to a frequency."""
    return round(frequency_hz / BIN_HZ)


class Batch:
    """Spectra of consecutive frames: `power` is frames by bins, `total` the sum over the band."""

    def __init__(self, first_frame: int, power: NDArray[np.float64]) -> None:
        self.first_frame = first_frame
        self.power = power
        self.total = power[:, BOTTOM_BIN:TOP_BIN].sum(axis=1) + POWER_MIN

    def share(self, low_hz: float, high_hz: float) -> NDArray[np.float64]:
        """How much of each frame's power lies between two frequencies, from 0 to 1."""
        inside = self.power[:, bin_of(low_hz) : bin_of(high_hz) + 1].sum(axis=1)
        share: NDArray[np.float64] = inside / self.total
        return share


class Spectrum:
    """Takes samples in blocks of any size and gives batches of frames; keeps the last samples."""

    def __init__(self) -> None:
        self._room = np.zeros(2 * KEPT)
        self._first = 0  # position of _room[0]
        self._end = 0
        self._next_frame = 0
        window = np.hanning(WINDOW + 1)[:WINDOW]
        self._window = window * (2 / np.sqrt((window**2).sum() * TRANSFORM))

    @property
    def end(self) -> int:
        """Samples taken so far."""
        return self._end

    def feed(self, block: NDArray[np.int16]) -> list[Batch]:
        """The batches that `block` completes; it may have up to half of KEPT."""
        if self._end + len(block) - self._first > len(self._room):
            kept = self._room[self._end - self._first - KEPT : self._end - self._first].copy()
            self._room[:KEPT] = kept
            self._first = self._end - KEPT
        self._room[self._end - self._first :][: len(block)] = block * _SCALE
        self._end += len(block)
        batches = []
        while self.end - self._next_frame * HOP >= _BATCH_SAMPLES:
            batches.append(self._batch())
        return batches

    def samples(self, start: int, stop: int) -> NDArray[np.float64]:
        """Samples by their position, from -1 to 1; zeros where none are kept or have come yet."""
        found = np.zeros(max(0, stop - start))
        low, high = max(start, self._first), min(stop, self.end)
        if low < high:
            found[low - start : high - start] = self._room[low - self._first : high - self._first]
        return found

    def _batch(self) -> Batch:
        start = self._next_frame * HOP - self._first
        cut = self._room[start : start + _BATCH_SAMPLES][_PLACES] * self._window
        spectra = np.fft.rfft(cut, TRANSFORM, axis=1)
        power = spectra.real**2 + spectra.imag**2
        batch = Batch(self._next_frame, power)
        self._next_frame += BATCH_FRAMES
        return batch
