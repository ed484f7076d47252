"""A line's two channels out of its card's ring, at the detectors' rate, each frame with its moment.

A reader that came too late begins anew at the newest frame: nothing that is missed here is
missing in a recording, which has a reader of its own (recording/capture.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recorderd.dsp.spectrum import RATE_HZ
from recorderd.media.resample import Resampler
from recorderd.units import FrameIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recorderd.config.values import LineAudio
    from recorderd.ports import SoundCard
    from recorderd.units import MonoNs


class LineStream:
    """`position` counts frames of 8 kHz since the stream began, or since it began anew."""

    def __init__(self, card: SoundCard, audio: LineAudio) -> None:
        self.position = 0
        self._card = card
        self._pair = [audio.near_channel - 1, audio.far_channel - 1]
        self._origin: int | None = None  # the card's frame at position 0
        self._next = 0
        self._resampler = Resampler(card.rate_hz, RATE_HZ)

    @property
    def has_begun(self) -> bool:
        """Whether there are positions yet."""
        return self._origin is not None

    def read(self) -> NDArray[np.int16] | None:
        """The next frames, near and far, of a second at most; None while there are none."""
        if self._origin is None:
            self._origin = self._next = self._card.head()
        frames = min(self._card.head() - self._next, self._card.rate_hz)
        if frames <= 0:
            return None
        block = self._card.read(FrameIndex(self._next), frames)
        self._next += frames
        all_channels = np.frombuffer(block, np.int16).reshape(frames, -1)
        pair = all_channels[:, self._pair]
        if self._card.rate_hz != RATE_HZ:
            pair = np.frombuffer(self._resampler.feed(pair.tobytes()), np.int16).reshape(-1, 2)
        self.position += len(pair)
        return pair

    def begin_anew(self) -> None:
        """Go on at the newest frame: what came before was overwritten."""
        self._origin, self.position = None, 0
        self._resampler = Resampler(self._card.rate_hz, RATE_HZ)

    def lost_share(self, start: int, stop: int) -> float:
        """How much between two positions the card lost, from 0 to 1: it reads as silence."""
        assert self._origin is not None
        first = self._origin + start * self._card.rate_hz // RATE_HZ
        frames = (stop - start) * self._card.rate_hz // RATE_HZ
        losses = self._card.lost(FrameIndex(first), frames)
        return sum(loss.frames for loss in losses) / max(1, frames)

    def time_of(self, position: int) -> MonoNs:
        """When a frame was on the line."""
        assert self._origin is not None
        return self._card.time_of(
            FrameIndex(self._origin + position * self._card.rate_hz // RATE_HZ)
        )

    def position_of(self, at: MonoNs) -> int:
        """The frame that was on the line at a moment."""
        assert self._origin is not None
        return (self._card.frame_at(at) - self._origin) * RATE_HZ // self._card.rate_hz
