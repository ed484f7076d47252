"""The sound of one call: from its card's ring to frames of the recording, with the gaps in them.

A recording is a stretch of the card's endless run of frames, from the pre-roll before the hook edge
to the on-hook edge. Its reader keeps its place by frame index; whatever does not come - lost by the
card, overwritten before it was read, or still not there long after the end - is counted, replaced
by silence of the same length, and told as a gap, so that a frame's position always tells its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.core.manifest import Gap
from recorderd.media.resample import Resampler, take_channels
from recorderd.units import NS_PER_S, FrameIndex, later, ms

if TYPE_CHECKING:
    from recorderd.config.values import LineAudio
    from recorderd.core.manifest import GapCause
    from recorderd.ports import LostFrames, SoundCard
    from recorderd.units import MonoNs

CARD_PATIENCE_NS = 3 * NS_PER_S
"""How long after the end of a call its last frames are waited for. A card is reported as lost
within 2 s; one that only stood still that long has caught up by then."""


SKIPPED_S = 15
"""What is lost is passed over in larger pieces than sound is copied: the silence for a card that was
away for half an hour must be written while the ring, of half a minute, goes round once."""

FRAME_BYTES = 4  # near and far, 16 bits each


class Capture:
    """Reads one call's frames. `at` is the hook edge."""

    def __init__(self, card: SoundCard, audio: LineAudio, at: MonoNs) -> None:
        self.card = card
        self.at = at
        self.record_rate_hz = audio.record_rate_hz
        self.finished = False
        self.pre_roll_frames = 0
        self._audio = audio
        self._resampler = Resampler(audio.capture_rate_hz, audio.record_rate_hz)
        self._start: int | None = None  # in frames of the card, like the next two
        self._next = 0
        self._end: int | None = None
        self._ended_at: MonoNs | None = None
        self._late_cause: GapCause = "writer-late"

    @property
    def total_frames(self) -> int:
        """The length of the recording, in its own frames. Only when its end is known."""
        if self._start is None or self._end is None:
            return 0
        return self._to_record(max(0, self._end - self._start))

    @property
    def is_behind(self) -> bool:
        """Whether some of what comes next is no longer in the ring, and the rest is about to go."""
        return self._start is not None and self._limit(self.card.tail()) > self._next

    def begin(self) -> bool:
        """Take the place in the ring where the recording begins; False while the card is silent.

        That is the pre-roll before the hook edge, or the oldest frame there is. A card that came
        later than the edge, or a reader that did, leaves a gap from the edge on; one that comes when
        the recording was given up is too late.
        """
        if self._start is None and not self.finished and self.card.head() > 0:
            hook = self.card.frame_at(self.at)
            wanted = self.card.frame_at(later(self.at, -ms(self._audio.pre_roll_ms)))
            self._start = self._next = min(max(wanted, self.card.tail()), hook)
            self.pre_roll_frames = self._to_record(hook - self._start)
            self._find_end()
        return self._start is not None

    def end(self, ended_at: MonoNs) -> None:
        """Let the recording end at the on-hook edge, however far it has been read."""
        self._ended_at = ended_at
        self._find_end()

    def blame_disk(self) -> None:
        """Call what is overwritten before the next read lost by the disk, not by a late writer."""
        self._late_cause = "write-failed"

    def read(self, now: MonoNs) -> tuple[bytes, list[Gap]] | None:
        """Give the next frames of the recording and the gaps in them: a second of sound at most, or a
        longer stretch of silence.

        None while there are none. Sets `finished` with the last of them. Where the rate is changed
        the frames of a gap may come with a later piece than the gap itself.
        """
        if not self.begin():
            self.finished = self._is_given_up(now)
            return None
        lost_frames = self._limit(max(0, self.card.tail())) - self._next
        if lost_frames > 0:
            return self._skip(min(lost_frames, SKIPPED_S * self.card.rate_hz))
        self._late_cause = "writer-late"
        frames = self._limit(self.card.head()) - self._next
        if frames > 0:
            return self._take(min(frames, self.card.rate_hz))
        return self._read_end(now)

    def _read_end(self, now: MonoNs) -> tuple[bytes, list[Gap]] | None:
        """Give what the end of the call leaves to give, once the ring has nothing more."""
        if self._end is None or self.finished:
            return None
        if self._next >= self._end:
            self.finished = True
            return self._resampler.finish(), []
        if self._is_given_up(now):
            return self._pad(min(self._end - self._next, SKIPPED_S * self.card.rate_hz))
        return None

    def _find_end(self) -> None:
        if self._start is not None and self._ended_at is not None:
            self._end = self.card.frame_at(self._ended_at)

    def _limit(self, frame: int) -> int:
        return frame if self._end is None else min(frame, self._end)

    def _is_given_up(self, now: MonoNs) -> bool:
        return self._ended_at is not None and now >= later(self._ended_at, CARD_PATIENCE_NS)

    # ------------------------------------------------------------ a piece of ...

    def _take(self, frames: int) -> tuple[bytes, list[Gap]] | None:
        """... frames that are in the ring."""
        first = FrameIndex(self._next)
        try:
            block = self.card.read(first, frames)
        except LookupError:
            return None  # overwritten at this very moment: the next call skips them
        losses = self.card.lost(first, frames)
        pcm = take_channels(
            block, self.card.channels, self._audio.near_channel, self._audio.far_channel
        )
        return self._advance(pcm, frames, [self._gap(loss) for loss in losses])

    def _skip(self, frames: int) -> tuple[bytes, list[Gap]]:
        """... frames that are no longer in the ring, or never were."""
        first = self._next
        if first < 0:  # the card came after the call had begun
            frames = min(frames, -first)
            return self._lose(frames, [self._gap_of(first, frames, "card-lost")])
        end = first + frames
        gaps: list[Gap] = []
        for loss in self.card.lost(FrameIndex(first), frames):
            if loss.first > first:
                gaps.append(self._gap_of(first, loss.first - first, self._late_cause))
            gaps.append(self._gap(loss))
            first = loss.first + loss.frames
        if end > first:
            gaps.append(self._gap_of(first, end - first, self._late_cause))
        return self._lose(frames, gaps)

    def _pad(self, frames: int) -> tuple[bytes, list[Gap]]:
        """... frames that the card owes and will not give."""
        return self._lose(frames, [self._gap_of(self._next, frames, "card-lost")])

    def _lose(self, frames: int, gaps: list[Gap]) -> tuple[bytes, list[Gap]]:
        return self._advance(bytes(FRAME_BYTES * frames), frames, gaps)

    def _advance(self, pcm: bytes, frames: int, gaps: list[Gap]) -> tuple[bytes, list[Gap]]:
        self._next += frames
        return self._resampler.feed(pcm), gaps

    # ------------------------------------------------------------ positions

    def _to_record(self, frames: int) -> int:
        """Frames of the card as frames of the recording, a half rounded up, like the resampler."""
        top, bottom = self._audio.record_rate_hz, self._audio.capture_rate_hz
        return (2 * frames * top + bottom) // (2 * bottom)

    def _gap(self, loss: LostFrames) -> Gap:
        return self._gap_of(loss.first, loss.frames, loss.cause)

    def _gap_of(self, first: int, frames: int, cause: GapCause) -> Gap:
        """Map a stretch of the card's frames to the recording: every frame it touches."""
        assert self._start is not None
        top, bottom = self._audio.record_rate_hz, self._audio.capture_rate_hz
        begin = (first - self._start) * top // bottom
        end = -(-(first + frames - self._start) * top // bottom)
        return Gap(begin, end - begin, cause)
