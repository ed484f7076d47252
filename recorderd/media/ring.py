"""A sound card's frames in memory that two processes share.

The reader (the recorder) makes the ring and keeps it; the writer (the card's child process) maps
the same memory by an inherited descriptor. The memory has no name: nobody else can open it,
and nothing is left behind after a kill. It outlives the writer, and the next one goes on with it.

Layout, in native 64-bit words: a header, a circular table of anchors (frame, moment), a circular
table of losses (first frame, frames, cause), then the interleaved 16-bit samples, of which frame
`f` lies at `f % capacity`. There is one writer at a time. It announces how far it will write,
writes, and then moves the head, so that a reader can tell which frames it may have torn.

Order of publication. Processors of the ARM family may show two stores to another core in either
order, so a counter could be seen before its samples. Releasing a lock and acquiring it again
orders everything before against everything after (a release, then an acquire, of one variable),
which is why both sides pass `_fence()` between samples and counter. A 64-bit counter may be
stored in two halves on a 32-bit processor, so the reader takes it only when two readings agree.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from typing import Final, get_args

from recorderd.core.frameclock import Anchor
from recorderd.core.manifest import GapCause
from recorderd.ports import LostFrames
from recorderd.units import NS_PER_MS, FrameIndex, MonoNs, frames_to_ns

ANCHOR_EVERY_NS: Final = 500 * NS_PER_MS
"""Of the blocks of half a second, one anchor is kept: the block that came least late."""
ANCHOR_SLOTS: Final = 256  # two minutes: longer than any ring, so that all its frames have anchors
LOSS_SLOTS: Final = 1024
"""Losses kept by place. A card that loses frames more often than that while one ring goes by (25
times a second) is of no use; the frames lost are counted without limit."""

_MAGIC: Final = 0x7265_636F_7264_6572  # "recorder": the memory is a ring, of this layout
_CAUSES: Final[tuple[GapCause, ...]] = get_args(GapCause)
_WORD_BYTES: Final = 8
_SAMPLE_BYTES: Final = 2

# The header, word by word.
_MAGIC_AT: Final = 0
_RATE: Final = 1
_CHANNELS: Final = 2
_CAPACITY: Final = 3
_HEAD: Final = 4
_RESERVED: Final = 5  # one past the frame that the writer is about to write
_BEATS: Final = 6
_OVERRUNS: Final = 7
_LOST: Final = 8
_ANCHOR_COUNT: Final = 9
_LOSS_COUNT: Final = 10
_BEAT_AT: Final = 11

_ANCHOR_TABLE: Final = 16
_LOSS_TABLE: Final = _ANCHOR_TABLE + 2 * ANCHOR_SLOTS
_SAMPLES_AT: Final = (_LOSS_TABLE + 3 * LOSS_SLOTS) * _WORD_BYTES


class _Mapping:
    """The shared memory, as both sides see it."""

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, 0)
        self._words = memoryview(self._memory)[:_SAMPLES_AT].cast("Q")
        if self._words[_MAGIC_AT] != _MAGIC:
            raise ValueError("the descriptor is not that of a sound ring")
        self._samples = memoryview(self._memory)[_SAMPLES_AT:]
        self.rate_hz = self._words[_RATE]
        self.channels = self._words[_CHANNELS]
        self.capacity_frames = self._words[_CAPACITY]
        self._frame_bytes = self.channels * _SAMPLE_BYTES
        self._ring_bytes = self.capacity_frames * self._frame_bytes

    def head(self) -> FrameIndex:
        """One past the newest frame."""
        return FrameIndex(self._count(_HEAD))

    def anchor_count(self) -> int:
        """How many anchors there have been: what was made of them holds until it changes."""
        return self._count(_ANCHOR_COUNT)

    def anchors(self) -> list[Anchor]:
        """The kept anchors, oldest first."""
        rows = self._table(_ANCHOR_COUNT, _ANCHOR_TABLE, ANCHOR_SLOTS, columns=2)
        return [Anchor(FrameIndex(frame), MonoNs(at)) for frame, at in rows]

    def _fence(self) -> None:
        """See "Order of publication" above. The lock is of this passage alone: several threads read."""
        order = threading.Lock()
        order.acquire()
        order.release()
        order.acquire()

    def _count(self, word: int) -> int:
        while (value := self._words[word]) != self._words[word]:
            pass
        return value

    def _table(self, counter: int, table: int, slots: int, columns: int) -> list[tuple[int, ...]]:
        """The rows of a circular table, but for those that the writer overwrote meanwhile."""
        written = self._count(counter)
        self._fence()
        first = max(0, written - slots)
        starts = [table + number % slots * columns for number in range(first, written)]
        rows = [tuple(self._words[start : start + columns]) for start in starts]
        self._fence()
        being_written = self._count(counter) + 1
        return rows[max(0, being_written - slots - first) :]


class Ring(_Mapping):
    """The reader's side, which also makes the ring and owns its descriptor.

    It lives as long as somebody holds it: readers on other threads may still want its frames when the
    card is closed. The memory is given back when the writer has gone, too.
    """

    def __init__(self, rate_hz: int, channels: int, seconds: float) -> None:
        capacity_frames = round(seconds * rate_hz)
        self.fd = os.memfd_create("recorderd-ring", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, _SAMPLES_AT + capacity_frames * channels * _SAMPLE_BYTES)
        header = memoryview(bytearray(4 * _WORD_BYTES)).cast("Q")
        header[_MAGIC_AT] = _MAGIC
        header[_RATE], header[_CHANNELS], header[_CAPACITY] = rate_hz, channels, capacity_frames
        os.pwrite(self.fd, header, 0)
        super().__init__(self.fd)
        weakref.finalize(self, os.close, self.fd)

    def tail(self) -> FrameIndex:
        """The oldest frame that can still be read."""
        return FrameIndex(max(0, self._count(_RESERVED) - self.capacity_frames))

    def beats(self) -> int:
        """How many blocks the card has delivered: it lives as long as this number moves."""
        return self._count(_BEATS)

    def last_beat_at(self) -> MonoNs:
        """When the newest of these blocks came; 0 before the first."""
        return MonoNs(self._count(_BEAT_AT))

    def overruns(self) -> int:
        """How often the card said that it had lost input."""
        return self._count(_OVERRUNS)

    def lost_frames(self) -> int:
        """All frames that never came and were replaced by silence."""
        return self._count(_LOST)

    def read(self, first: FrameIndex, frames: int) -> bytes:
        """Interleaved samples of frames `first` up to `first + frames`.

        Raises LookupError where some are not there yet or have been overwritten.
        """
        if not self.tail() <= first <= first + frames <= self.head():
            raise LookupError(f"frames {first} to {first + frames} are not in the ring")
        self._fence()
        samples = self._copy_out(first, frames)
        self._fence()
        if first < self.tail():
            raise LookupError(f"frames from {first} were overwritten while being read")
        return samples

    def _copy_out(self, first: int, frames: int) -> bytes:
        """One stretch of the memory, or two round its end."""
        start = first % self.capacity_frames * self._frame_bytes
        end = start + frames * self._frame_bytes
        samples = bytes(self._samples[start:end])
        if end > self._ring_bytes:
            samples += bytes(self._samples[: end - self._ring_bytes])
        return samples

    def lost(self, first: FrameIndex, frames: int) -> list[LostFrames]:
        """The losses that lie in a range, cut to it, in order."""
        rows = self._table(_LOSS_COUNT, _LOSS_TABLE, LOSS_SLOTS, columns=3)
        end = first + frames
        cut = [(max(at, first), min(at + lost, end), cause) for at, lost, cause in rows]
        return [
            LostFrames(FrameIndex(start), stop - start, _CAUSES[cause])
            for start, stop, cause in cut
            if start < stop
        ]


class RingWriter(_Mapping):
    """The writer's side, on an inherited descriptor. It continues where the last one ended."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._best: tuple[int, int, Anchor] | None = None
        self._forget_losses_beyond_head()

    def beat(self, at: MonoNs, *, overrun: bool) -> None:
        """A block came; `overrun`: with the card's word that input was lost before it."""
        self._words[_BEAT_AT] = at
        self._words[_BEATS] += 1
        self._words[_OVERRUNS] += overrun

    def append(self, block: bytes, ended_at: MonoNs) -> None:
        """Interleaved samples, not longer than the ring, whose last frame came by `ended_at`."""
        head = self._words[_HEAD]
        end = head + len(block) // self._frame_bytes
        self._reserve(end)
        self._copy_in(head, block)
        self._publish(_HEAD, end)
        self._keep_least_late(Anchor(FrameIndex(end), ended_at))

    def append_loss(self, frames: int, cause: GapCause) -> None:
        """Silence for frames that never came, listed and counted before it can be read."""
        head = self._words[_HEAD]
        row = _LOSS_TABLE + self._words[_LOSS_COUNT] % LOSS_SLOTS * 3
        self._words[row], self._words[row + 1] = head, frames
        self._words[row + 2] = _CAUSES.index(cause)
        self._publish(_LOSS_COUNT, self._words[_LOSS_COUNT] + 1)
        self._reserve(head + frames)
        kept = min(frames, self.capacity_frames)
        self._copy_in(head + frames - kept, bytes(kept * self._frame_bytes))
        self._publish(_HEAD, head + frames)
        self._words[_LOST] += frames

    def anchor(self, anchor: Anchor) -> None:
        """Say when a frame was captured. `append` does so by itself for its blocks."""
        row = _ANCHOR_TABLE + self._words[_ANCHOR_COUNT] % ANCHOR_SLOTS * 2
        self._words[row], self._words[row + 1] = anchor
        self._publish(_ANCHOR_COUNT, self._words[_ANCHOR_COUNT] + 1)

    def _copy_in(self, first: int, samples: bytes) -> None:
        start = first % self.capacity_frames * self._frame_bytes
        fitting = min(len(samples), self._ring_bytes - start)
        self._samples[start : start + fitting] = samples[:fitting]
        if fitting < len(samples):
            self._samples[: len(samples) - fitting] = samples[fitting:]

    def _reserve(self, end: int) -> None:
        self._words[_RESERVED] = end
        self._fence()

    def _publish(self, counter: int, value: int) -> None:
        self._fence()
        self._words[counter] = value

    def _keep_least_late(self, anchor: Anchor) -> None:
        """Publish the best anchor of a half second when the next half second begins."""
        elapsed_ns = frames_to_ns(anchor.frame, self.rate_hz)
        newest = (elapsed_ns // ANCHOR_EVERY_NS, anchor.at - elapsed_ns, anchor)
        if self._best is not None and self._best[0] != newest[0]:
            self.anchor(self._best[2])
            self._best = None
        self._best = newest if self._best is None else min(self._best, newest)

    def _forget_losses_beyond_head(self) -> None:
        """A writer that was killed between listing a loss and moving the head left one too many."""
        while (count := self._words[_LOSS_COUNT]) > 0:
            row = _LOSS_TABLE + (count - 1) % LOSS_SLOTS * 3
            if self._words[row] < self._words[_HEAD]:
                return
            self._words[_LOSS_COUNT] = count - 1
