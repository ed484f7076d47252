"""How loud both channels are just now, for somebody who looks on: the level and the peak.

Levels are in dBm0, where a sine of full scale has 3.14 (ITU-T G.711, table 5), as those of
dsp/health.py are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recorderd.dsp.channelhealth import FULL_SCALE, SQUARE_DBM0


@dataclass(frozen=True, slots=True)
class Meter:
    """One channel over a moment."""

    level_dbm0: float | None  # None: nothing but zeros
    peak_share: float  # of full scale


def meter(block: bytes, channels: int, channel: int) -> Meter:
    """What `channel` (1-based) of interleaved 16-bit frames is like; there is one frame at least."""
    samples = np.frombuffer(block, np.int16)[channel - 1 :: channels].astype(np.float64)
    power = float(np.mean(np.square(samples))) / FULL_SCALE**2
    level_dbm0 = 10 * float(np.log10(power)) + SQUARE_DBM0 if power > 0 else None
    return Meter(level_dbm0, float(np.max(np.abs(samples))) / FULL_SCALE)
