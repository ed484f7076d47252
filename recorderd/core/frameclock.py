"""Which frame of a sound card was on the line at which moment.

A card delivers its frames in blocks, and the arrival of a block says when its last frame was
captured: never too early, often late (the processor was busy, the driver handed over several
blocks at once). So the truth is the lower envelope of the arrivals: within a few seconds, the
block that came least late. A card's crystal may be wrong by some 100 ppm, which is 1 ms in ten
seconds, so the envelope follows the card instead of trusting its nominal rate for long.

Frames count up through every loss, so one straight line per neighbourhood serves both directions;
beyond the newest and before the oldest anchor the nominal rate continues the line.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from recorderd.units import NS_PER_S, FrameIndex, MonoNs, frames_to_ns, ns_to_frames

if TYPE_CHECKING:
    from collections.abc import Sequence

ENVELOPE_REACH_NS = 4 * NS_PER_S
"""How far on either side an anchor looks for one that came less late: a busy machine delivers at
least one block in time in eight seconds, and 100 ppm of drift make less than half a millisecond
of error in four."""


class Anchor(NamedTuple):
    """`frame` frames had been captured when the block that ends there arrived, at `at`."""

    frame: FrameIndex
    at: MonoNs


class FrameClock:
    """A mapping between frames and moments, built from anchors in order of frame (at least one)."""

    def __init__(self, rate_hz: int, anchors: Sequence[Anchor]) -> None:
        self._rate_hz = rate_hz
        origins = [anchor.at - frames_to_ns(anchor.frame, rate_hz) for anchor in anchors]
        elapsed = [frames_to_ns(anchor.frame, rate_hz) for anchor in anchors]
        floor = _lower_envelope(elapsed, origins)
        self._elapsed, self._moments = _rising(elapsed, floor)

    def time_of(self, frame: FrameIndex) -> MonoNs:
        """When `frame` was on the line."""
        elapsed = frames_to_ns(frame, self._rate_hz)
        return MonoNs(_interpolate(elapsed, self._elapsed, self._moments))

    def frame_at(self, at: MonoNs) -> FrameIndex:
        """The frame that was on the line at `at`, to the nearest."""
        elapsed = _interpolate(at, self._moments, self._elapsed)
        return FrameIndex(ns_to_frames(elapsed, self._rate_hz))


def _lower_envelope(elapsed: Sequence[int], origins: Sequence[int]) -> list[int]:
    """For each anchor the least origin (moment of frame 0, as it saw it) within reach."""
    floor = []
    first = last = 0
    for here in elapsed:
        while elapsed[first] < here - ENVELOPE_REACH_NS:
            first += 1
        while last < len(elapsed) and elapsed[last] <= here + ENVELOPE_REACH_NS:
            last += 1
        floor.append(min(origins[first:last]))
    return floor


def _rising(elapsed: Sequence[int], floor: Sequence[int]) -> tuple[list[int], list[int]]:
    """The knots of the line, without those where time would not go on."""
    knots = [elapsed[0]]
    moments = [elapsed[0] + floor[0]]
    for at_card, origin in zip(elapsed[1:], floor[1:], strict=True):
        if at_card > knots[-1] and at_card + origin > moments[-1]:
            knots.append(at_card)
            moments.append(at_card + origin)
    return knots, moments


def _interpolate(value: int, known: Sequence[int], wanted: Sequence[int]) -> int:
    """`value` carried from one scale to the other; at slope 1 outside of the knots."""
    after = bisect_right(known, value)
    if after == 0:
        return wanted[0] + (value - known[0])
    if after == len(known):
        return wanted[-1] + (value - known[-1])
    run = known[after] - known[after - 1]
    rise = wanted[after] - wanted[after - 1]
    return wanted[after - 1] + (value - known[after - 1]) * rise // run
