"""How loud the speech of a channel is while somebody speaks: the active speech level.

ITU-T P.56, method B: the signal's envelope (rectified, smoothed twice) is held against thresholds
that are 6 dB apart; what lies above one, and for 200 ms after it, is active at it. The level over
the active time falls with the threshold, and where it is 15.9 dB above the threshold, it is the
level of the speech. P.56 does this for each sample; here the envelope has a value every 5 ms, a
sixth of its own time constant, which changes the result by less than 0.2 dB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recorderd.dsp.spectrum import RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP = 40
"""Samples for each value of the envelope: 5 ms."""

SMOOTHING_S = 0.03
HANGOVER_STEPS = 40  # 200 ms
MARGIN_DB = 15.9
THRESHOLDS = 0.5 ** np.arange(16, 0, -1)  # of full scale: from half a step of 16 bits up


class SpeechLevel:
    """Takes channels side by side, always as many samples at a time; (samples, channels)."""

    def __init__(self, block: int, channels: int) -> None:
        assert block % STEP == 0, "an envelope has no part of a value"
        steps = block // STEP
        keep = float(np.exp(-STEP / RATE_HZ / SMOOTHING_S))
        behind = np.arange(steps)[:, None] - np.arange(steps)
        # A recursion over all steps of a block at once, and what is left of the one before.
        self._filter = np.where(behind >= 0, (1 - keep) * keep ** np.maximum(behind, 0), 0.0)
        self._rest = keep ** np.arange(1, steps + 1)[:, None]
        self._smooth = np.zeros((2, channels))  # the last value of each of two stages
        self._held = np.zeros((HANGOVER_STEPS, channels))  # the envelope's last values
        self._active = np.zeros((len(THRESHOLDS), channels), np.int64)
        self._power = np.zeros(channels)

    def feed(self, samples: NDArray[np.float64]) -> None:
        """One block, from -1 to 1, without its direct current."""
        envelope = np.abs(samples).reshape(-1, STEP, samples.shape[1]).mean(axis=1)
        for stage in range(2):
            envelope = self._filter @ envelope + self._rest * self._smooth[stage]
            self._smooth[stage] = envelope[-1]
        held = np.concatenate((self._held, envelope))
        self._held = held[-HANGOVER_STEPS:]
        highest = np.lib.stride_tricks.sliding_window_view(held[1:], HANGOVER_STEPS, axis=0)
        loud = highest.max(axis=2)
        self._active += (loud >= THRESHOLDS[:, None, None]).sum(axis=1)
        self._power += np.einsum("nc,nc->c", samples, samples)

    def active_db(self, channel: int) -> float | None:
        """The level against a full-scale square wave, in dB; None where nothing is active."""
        active, power = self._active[:, channel], float(self._power[channel])
        heard = active > 0
        if not heard.any() or not power:
            return None
        levels = 10 * np.log10(power / (active[heard] * STEP))
        above = levels - 20 * np.log10(THRESHOLDS[heard]) - MARGIN_DB
        # Falls as thresholds rise; the crossing is found between two of them.
        crossed = np.flatnonzero(above <= 0)
        if not len(crossed) or crossed[0] == 0:
            return float(levels[-1] if not len(crossed) else levels[0])
        after = int(crossed[0])
        share = above[after - 1] / (above[after - 1] - above[after])
        return float(levels[after - 1] + share * (levels[after] - levels[after - 1]))
