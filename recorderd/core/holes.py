"""Finds where a sound card lost frames, and how many, from when its blocks arrived.

Theory of operation. A card that loses input delivers the next good block as if nothing had
happened; its own flag says only that something was lost (and JACK raises it a block too late).
But frames come at a steady rate, so every block has a moment at which it was due. A block can be
late for two reasons: the machine was slow to hand it over, or frames before it are missing. Slow
hand-over heals: some later block comes in time again. A loss never heals. So the frames missing
before a block are the least lateness of that block and all that follow it.

There are two accounts of when a block's last frame was captured: its arrival, and what the card
says of the age of its frames. Each can be shifted for good with nothing lost (a sound server
changes its latency, a driver's report settles after the start), but a loss shows in both. So the
lateness is the lesser of the two.

A block that is late (or flagged, where lateness alone cannot tell) is therefore held, with those
after it, until either one comes in time (nothing was lost: all are released) or `WINDOW_NS` has
passed since the oldest arrived; then it is released with the loss put before it, the timetable
moves on by that loss, and the others are looked at again. JACK loses whole periods only, so there
the estimate is rounded to periods and thereby exact; elsewhere it is as good as the clock, about
a millisecond. The first block of a stream that continues an older one is late by the whole
time that the card was away: the same rule fills that hole.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from recorderd.units import NS_PER_MS, NS_PER_S, FrameIndex, MonoNs, frames_to_ns, ns_to_frames

WINDOW_NS: Final = NS_PER_S
"""How long slow hand-over may last before it counts as a loss. Longer makes the estimate better on
a busy machine and keeps frames from the reader for longer."""

ARRIVALS_SPAN_NS: Final = 5 * NS_PER_S
"""The timetable of arrivals is the earliest of the last 5 to 10 s; a crystal that is wrong by
100 ppm drifts by at most 1 ms in that."""

ACCOUNT_SPAN_NS: Final = NS_PER_S
"""A card's account does not depend on hand-over, so the last 1 to 2 s are enough, and it needs to
follow a sound server that mends its account."""

SMALLEST_LOSS_NS: Final = NS_PER_MS
"""Less than this is the clock's own error, not a loss."""


@dataclass(frozen=True, slots=True)
class Block:
    """Frames as the card delivered them.

    `at` is the arrival; `captured_at` is when the last frame was captured by the card's account;
    `flagged` is the card's word that input was lost before these frames.
    """

    data: bytes
    frames: int
    at: MonoNs
    captured_at: MonoNs
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """A block, and how many frames were lost just before it."""

    lost_before: int
    block: Block


class Timetable:
    """When frame 0 would have come, by the earliest block of the last one to two spans."""

    def __init__(self, origin_ns: int, span_ns: int) -> None:
        self._span_ns = span_ns
        self._before = self._lately = origin_ns
        self._turns_at: int | None = None

    @property
    def origin_ns(self) -> int:
        return min(self._before, self._lately)

    def note(self, origin_ns: int, at: MonoNs) -> None:
        """A block in time or late said that frame 0 arrived at `origin_ns`."""
        if self._turns_at is None:
            self._turns_at = at + self._span_ns
        if at < self._turns_at:
            self._lately = min(self._lately, origin_ns)
            return
        self._before, self._lately = self._lately, origin_ns
        self._turns_at = at + self._span_ns


class HoleFinder:
    """Takes blocks as they arrive, gives them back in order with the losses between them.

    `head` is the frame that comes next, had nothing been lost, and `due_at` when it was due.
    `grain_frames` is the unit in which this card loses frames once its stream runs, 1: any.
    `proof_ns` is the lateness that proves a loss which the card did not flag.
    """

    def __init__(
        self, rate_hz: int, head: FrameIndex, due_at: MonoNs, grain_frames: int, proof_ns: int
    ) -> None:
        self._rate_hz = rate_hz
        self._grain_frames = grain_frames
        self._proof_ns = proof_ns
        self._next: int = head
        self._held: deque[Block] = deque()
        self._held_frames = 0
        self._arrivals = Timetable(due_at - frames_to_ns(head, rate_hz), ARRIVALS_SPAN_NS)
        self._account: Timetable | None = None  # the card's; None until the first block is placed

    def feed(self, block: Block) -> list[Placed]:
        """The blocks that are settled by the arrival of this one."""
        self._held.append(block)
        self._held_frames += block.frames
        placed: list[Placed] = []
        while self._held and self._is_doubtful():
            if block.at - self._held[0].at < WINDOW_NS:
                return placed
            placed.append(self._release(self._lost_before_oldest()))
        while self._held:
            placed.append(self._release(0))
        return placed

    def _is_doubtful(self) -> bool:
        newest = self._held[-1]
        end = self._next + self._held_frames
        if self._lateness_ns(newest, end) >= self._least_proof_ns():
            return True
        return self._grain_frames == 1 and any(block.flagged for block in self._held)

    def _lost_before_oldest(self) -> int:
        """Frames, from the least lateness of all blocks held."""
        ends = accumulate((block.frames for block in self._held), initial=self._next)
        next(ends)
        lateness = [self._lateness_ns(*pair) for pair in zip(self._held, ends, strict=True)]
        return self._whole_grains(min(lateness), self._held[0])

    def _whole_grains(self, late_ns: int, block: Block) -> int:
        least_ns = SMALLEST_LOSS_NS if block.flagged else self._least_proof_ns()
        frames = ns_to_frames(late_ns, self._rate_hz)
        if self._account is None or self._grain_frames == 1:
            return frames if late_ns >= least_ns else 0
        grain = self._grain_frames
        return max(0, (frames + grain // 2) // grain * grain)

    def _release(self, lost: int) -> Placed:
        block = self._held.popleft()
        self._held_frames -= block.frames
        self._next += lost + block.frames
        elapsed_ns = frames_to_ns(self._next, self._rate_hz)
        self._arrivals.note(block.at - elapsed_ns, block.at)
        if self._account is None:
            self._account = Timetable(block.captured_at - elapsed_ns, ACCOUNT_SPAN_NS)
        self._account.note(block.captured_at - elapsed_ns, block.at)
        return Placed(lost, block)

    def _lateness_ns(self, block: Block, end: int) -> int:
        """How late a block was that ends before frame `end`."""
        elapsed_ns = frames_to_ns(end, self._rate_hz)
        late_ns = block.at - elapsed_ns - self._arrivals.origin_ns
        if self._account is None:
            return late_ns
        return min(late_ns, block.captured_at - elapsed_ns - self._account.origin_ns)

    def _least_proof_ns(self) -> int:
        """The hole before the first block needs no proof, and has no unit: the card was away."""
        return SMALLEST_LOSS_NS if self._account is None else self._proof_ns
