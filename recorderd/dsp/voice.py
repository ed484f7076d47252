"""Off-hook by ear, for a line without a hook sensor: somebody speaks, or a tone sounds.

Theory of operation. Each channel is looked at every 20 ms, in the band from 300 to 3400 Hz. A frame is
sound where it stands well above the channel's own noise, and above a fixed level; the noise is the
quietest of the last half minute, so that a line that becomes noisy is silent again after that time.
What lies below the band (hum, ringing current) is no sound, and where much more of it comes than there
was, the band does not count either: its overtones reach up there.

On the hook, sound becomes a call in two ways: by enough of it within a second or so, or, where nearly all
of it lies between 1 and 2.5 kHz, by much more of it. There are the exchange's bursts of caller ID, which
no call need follow; they last 1.5 s at the most. Clicks are too short for either. Off the hook,
any sound of three frames goes on; after `hangover_s` without any the call ended a little after
the last of it.

What it cannot tell: the direction of a call, whether two calls followed each other within the hangover,
and whether a long silence was a hold or the end. It never looks at what is said.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from recorderd.dsp.spectrum import RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

HANGOVER_S = 15
"""Longer than any pause in ringback (4 s) and than most pauses in talk; shorter than it takes to hang up
and be called again."""

LEVEL_DBM0 = -45
"""The quietest sound that counts: 25 dB under ordinary speech."""

FRAME = 160
FRAMES_A_SECOND = RATE_HZ // FRAME
BATCH = 8
"""Frames that are looked at together: 160 ms. What is found does not depend on the blocks fed."""

BIN_HZ = RATE_HZ / FRAME
BAND = slice(7, 69)  # of bins 50 Hz apart: 350 to 3400 Hz
DATA = slice(19, 52)  # 950 to 2550 Hz: all that FSK at 1200 bit/s has, of Bell 202 and V.23
BELOW = slice(0, 4)  # up to 150 Hz
SQUARE_DBM0 = 6.15  # of power 1, full scale as a square wave; a sine has 3.14 (ITU-T G.711)

OVER_NOISE_DB = 12.0
"""The noise of a frame comes 3 dB above its mean once in ten thousand times, and its quietest frames,
which the floor is taken from, lie 2 dB below."""
STAY_DB = 4.0
"""So much lower is the bar once there is a call: words end more quietly than they begin."""

BELOW_BAND_DB = 10.0
"""Of a square wave's power a fifteenth at the most is in the band, at 50 Hz and below; of a low voice's
much more than a tenth."""

DATA_SHARE = 0.9

FLOOR_PARTS = 8
FLOOR_PART = 4 * FRAMES_A_SECOND
"""The floor is the lowest of the last 28 to 32 s."""
SMOOTHED = 5
"""Frames over which the power is averaged before the lowest is taken: one frame alone is luck."""

START_FRAMES = 15
START_WITHIN = 60
"""0.3 s within 1.2 s: a word. A click has two frames, a hook switch that bounces up to five."""
DATA_FRAMES = 100
DATA_WITHIN = 150
"""2 s within 3 s, where it could be a burst of caller ID: longer than any."""

GO_ON_FRAMES = 3
TAIL = RATE_HZ
"""A call's end is put 1 s after its last sound: a last word may have been too quiet."""


@dataclass(frozen=True, slots=True)
class VoiceEdge:
    """The line went off or on the hook, by its sound, at this sample from the first that was fed."""

    sample: int
    off_hook: bool


class _Floor:
    """The lowest power of the last half minute, of each channel; `smooth` is the present one."""

    def __init__(self) -> None:
        self.smooth = np.zeros(2)
        self._recent: deque[NDArray[np.float64]] = deque(maxlen=SMOOTHED)
        self._parts: deque[NDArray[np.float64]] = deque(maxlen=FLOOR_PARTS)
        self._frames = 0

    def take(self, power: NDArray[np.float64]) -> NDArray[np.float64]:
        """The floor with this frame in it."""
        self._recent.append(power)
        self.smooth = sum(self._recent, np.zeros(2)) / len(self._recent)
        if self._frames % FLOOR_PART == 0:
            self._parts.append(self.smooth)
        self._frames += 1
        self._parts[-1] = np.minimum(self._parts[-1], self.smooth)
        return reduce(np.minimum, self._parts)


class VoiceTrigger:
    """Takes near and far side by side, in blocks of any size; see above.

    An edge comes later than it happened: off-hook by up to 3 s, on-hook by the hangover.
    """

    def __init__(self, hangover_s: float = HANGOVER_S, level_dbm0: float = LEVEL_DBM0) -> None:
        self._hangover = round(hangover_s * RATE_HZ)
        self._level = _power(level_dbm0)
        self._rest = np.zeros((0, 2), np.int16)
        self._frame = 0
        self._noise, self._below = _Floor(), _Floor()
        self._sounds: deque[int] = deque(maxlen=DATA_FRAMES)  # frames, while on the hook
        self._words: deque[int] = deque(maxlen=START_FRAMES)  # those of them that are no data
        self._run = 0
        self._last_sound: int | None = None  # while off the hook

    def feed(self, samples: NDArray[np.int16]) -> list[VoiceEdge]:
        """What has become clear by these samples at 8 kHz: (n, 2), near first."""
        samples = np.concatenate((self._rest, samples))
        whole = len(samples) // (BATCH * FRAME) * (BATCH * FRAME)
        self._rest = samples[whole:].copy()
        edges: list[VoiceEdge] = []
        for start in range(0, whole, BATCH * FRAME):
            edges += self._look_at(samples[start : start + BATCH * FRAME])
        return edges

    def _look_at(self, batch: NDArray[np.int16]) -> list[VoiceEdge]:
        frames = batch.reshape(BATCH, FRAME, 2) * _WINDOW
        spectrum = np.fft.rfft(frames, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2) * _SCALE
        band, data, below = (power[:, part].sum(axis=1) for part in (BAND, DATA, BELOW))
        edges = []
        for place in range(BATCH):
            is_sound = self._is_sound(band[place], below[place])
            is_data = bool((data[place] >= DATA_SHARE * band[place])[is_sound].all())
            edge = self._step(is_sound=bool(is_sound.any()), is_data=is_data)
            self._frame += 1
            if edge is not None:
                edges.append(edge)
        return edges

    def _is_sound(self, band: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.bool_]:
        """For each channel."""
        noise = self._noise.take(band)
        below_floor = self._below.take(below)
        came_below = self._below.smooth - _UP * below_floor
        stay = 1.0 if self._last_sound is None else _STAY
        loud = band >= stay * np.maximum(self._level, _OVER_NOISE * noise)
        is_sound: NDArray[np.bool_] = loud & (self._noise.smooth >= _BELOW_BAND * came_below)
        return is_sound

    def _step(self, *, is_sound: bool, is_data: bool) -> VoiceEdge | None:
        self._run = self._run + 1 if is_sound else 0
        if self._last_sound is None:
            return self._start(is_data=is_data) if is_sound else None
        if self._run >= GO_ON_FRAMES:
            self._last_sound = self._frame
        last = (self._last_sound + 1) * FRAME
        if (self._frame + 1) * FRAME - last < self._hangover:
            return None
        self._last_sound = None
        self._sounds.clear()
        self._words.clear()
        # Before this moment, where the next call may begin at once.
        return VoiceEdge(last + min(TAIL, self._hangover // 2), off_hook=False)

    def _start(self, *, is_data: bool) -> VoiceEdge | None:
        """Off-hook from the first of the frames that made it so."""
        for found, is_one, within in (
            (self._words, not is_data, START_WITHIN),
            (self._sounds, True, DATA_WITHIN),
        ):
            if is_one:
                found.append(self._frame)
            if len(found) == found.maxlen and self._frame - found[0] < within:
                self._last_sound = self._frame
                first = next(each for each in self._sounds if self._frame - each < DATA_WITHIN)
                return VoiceEdge(first * FRAME, off_hook=True)
        return None


def _power(level_dbm0: float) -> float:
    return float(10 ** ((level_dbm0 - SQUARE_DBM0) / 10))


_OVER_NOISE = 10 ** (OVER_NOISE_DB / 10)
_STAY = 10 ** (-STAY_DB / 10)
_UP = 4.0  # the low band's own ups and downs, as of a hum whose harmonics beat: 6 dB
_BELOW_BAND = 10 ** (-BELOW_BAND_DB / 10)
_WINDOW = np.hanning(FRAME + 1)[:FRAME, None]
_SCALE = 2 / (FRAME * float((_WINDOW**2).sum())) / 32768**2
