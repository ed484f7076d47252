"""The simulated sound card: ports.SoundCard over the sounds of the lines wired to it.

It holds no ring. A frame is worked out when it is read (see sound.py), so `head` is the clock
counted in frames and `tail` lies one ring behind it; frames outside are refused as by a real ring.
While the card is lost, or an overrun lasts, the head stands still; afterwards it jumps to where
time is, and the hole is a loss that reads as silence.

An announcement goes into the line that it is meant for, whichever card plays it, and is heard
there: whole on the far side, at -20 dB on the near one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from recorderd.events import AnnouncementFinished, DriverLost, DriverReady
from recorderd.ports import LostFrames
from recorderd.sim.sound import interleaved
from recorderd.units import NS_PER_S, FrameIndex, MonoNs, frames_to_ns, later, ms, ns_to_frames

if TYPE_CHECKING:
    from recorderd.core.manifest import GapCause
    from recorderd.ports import Clip, Post
    from recorderd.sim.clock import World
    from recorderd.sim.sound import LineSound, Span, Wired

# A real card is called lost once it has stood still for this long; 2 s is promised.
NOTICED_AFTER_NS = ms(1500)
HOLES_LIMIT = 1000  # older ones have long left the ring


@dataclass(slots=True)
class _Hole:
    first: FrameIndex
    end: FrameIndex | None  # None: it still lasts
    cause: GapCause


@dataclass(slots=True)
class _Playing:
    line: str
    call_id: str
    clip: Clip
    at: MonoNs
    span: Span


class SimCard:
    """One simulated card: `lines` are heard at its inputs, `outputs` can be played into, by name.

    `ring_seconds` of the past can be read.
    """

    def __init__(
        self,
        world: World,
        name: str,
        rate_hz: int,
        channels: int,
        post: Post,
        *,
        ring_seconds: float,
        lines: list[Wired],
        outputs: dict[str, LineSound],
    ) -> None:
        self.name = name
        self.rate_hz = rate_hz
        self.channels = channels
        self._world = world
        self._post = post
        self._ring_frames = round(ring_seconds * rate_hz)
        self._lines = lines
        self._outputs = outputs
        self._started_at: MonoNs | None = None
        self._closed_at: MonoNs | None = None
        self._lost_since: MonoNs | None = None
        self._lost_reported = False
        self._holes: list[_Hole] = []
        self._playing: list[_Playing] = []

    # ------------------------------------------------------------ ports.SoundCard

    def start(self) -> None:
        """Begin, or begin anew after a close, at this moment of the world; frame 0 is now."""
        with self._world.lock:
            self._started_at = self._world.now()
            self._closed_at = None
            self._holes.clear()
            if self._lost_since is None:
                detail = f"simulated, {self.channels} channels at {self.rate_hz} Hz"
                self._post(DriverReady(self._started_at, "card", self.name, detail))
            else:
                self._open_hole("card-lost")
                self._report_lost(self._started_at, "it is not there")

    def watch(self, now: MonoNs) -> None:
        with self._world.lock:
            since = self._lost_since
            if since is None or self._lost_reported or now < since + NOTICED_AFTER_NS:
                return
            self._report_lost(now, "no sound comes from it any more")

    def head(self) -> FrameIndex:
        with self._world.lock:
            if self._holes and self._holes[-1].end is None:
                return self._holes[-1].first
            return self._frames_until(self._latest())

    def tail(self) -> FrameIndex:
        return FrameIndex(max(0, self.head() - self._ring_frames))

    def read(self, first: FrameIndex, frames: int) -> bytes:
        with self._world.lock:
            head = self.head()
            tail = max(0, head - self._ring_frames)
            if frames < 0 or first < tail or first + frames > head:
                wanted = f"frames {first} to {first + frames}"
                raise LookupError(f"{wanted} of {self.name} are not in the ring ({tail} to {head})")
            holes = [(loss.first, loss.frames) for loss in self.lost(first, frames)]
            return interleaved(
                self._lines, self.channels, first, frames, frame_at=self.frame_at, holes=holes
            )

    def lost(self, first: FrameIndex, frames: int) -> list[LostFrames]:
        with self._world.lock:
            found = []
            for hole in self._holes:
                if hole.end is None:
                    continue
                begin, end = max(first, hole.first), min(first + frames, hole.end)
                if begin < end:
                    found.append(LostFrames(FrameIndex(begin), end - begin, hole.cause))
            return found

    def frame_at(self, at: MonoNs) -> FrameIndex:
        return FrameIndex(ns_to_frames(at - self._first_moment(), self.rate_hz))

    def time_of(self, frame: FrameIndex) -> MonoNs:
        return later(self._first_moment(), frames_to_ns(frame, self.rate_hz))

    def play(self, line: str, call_id: str, clip: Clip, channel: int | None, at: MonoNs) -> None:
        with self._world.lock:
            at = max(at, self._world.now())
            if problem := self._why_not(line, channel):
                self._finish(line, call_id, started_at=None, frames=0, error=problem)
                return
            playing = _Playing(line, call_id, clip, at, self._outputs[line].play_clip(clip, at))
            self._playing.append(playing)
            self._world.schedule(playing.span.until, partial(self._end, playing))

    def stop_play(self, call_id: str) -> None:
        with self._world.lock:
            for playing in list(self._playing):
                if playing.call_id == call_id:
                    self._end(playing)

    def close(self) -> None:
        with self._world.lock:
            self._closed_at = self._world.now()
            self._end_all("the sound card was closed")

    # ------------------------------------------------------------ the world's side

    def lose(self) -> None:
        """The card disappears; its clips end with it."""
        with self._world.lock:
            if self._lost_since is not None:
                return
            self._lost_since = self._world.now()
            if self._started_at is None:
                return
            self._close_hole()
            self._open_hole("card-lost")
            self._end_all("the sound card was lost")
            # In virtual time nobody looks at the clock in between, so the card's own moment of
            # being noticed is on the agenda.
            noticed = later(self._lost_since, NOTICED_AFTER_NS)
            self._world.schedule(noticed, partial(self.watch, noticed))

    def come_back(self) -> None:
        with self._world.lock:
            if self._lost_since is None:
                return
            self._lost_since = None
            self._close_hole()
            if self._lost_reported:
                self._lost_reported = False
                self._post(DriverReady(self._world.now(), "card", self.name, "back again"))

    def overrun(self, duration_ns: int) -> None:
        """Lose the coming `duration_ns`; a card that is lost already has nothing to lose."""
        with self._world.lock:
            if self._started_at is None or (self._holes and self._holes[-1].end is None):
                return
            self._open_hole("overrun")
            hole = self._holes[-1]
            self._world.schedule(
                later(self._world.now(), duration_ns), partial(self._close_hole, hole)
            )

    # ------------------------------------------------------------ within

    def _first_moment(self) -> MonoNs:
        return self._world.now() if self._started_at is None else self._started_at

    def _latest(self) -> MonoNs:
        return self._world.now() if self._closed_at is None else self._closed_at

    def _frames_until(self, at: MonoNs) -> FrameIndex:
        """Frames that are wholly there at `at`."""
        return FrameIndex((at - self._first_moment()) * self.rate_hz // NS_PER_S)

    def _open_hole(self, cause: GapCause) -> None:
        self._holes.append(_Hole(self._frames_until(self._world.now()), None, cause))
        del self._holes[:-HOLES_LIMIT]

    def _close_hole(self, hole: _Hole | None = None) -> None:
        """End the hole that lasts, if it is `hole` (None: whichever it is)."""
        if not self._holes or self._holes[-1].end is not None:
            return
        if hole is None or hole is self._holes[-1]:
            self._holes[-1].end = self._frames_until(self._world.now())

    def _report_lost(self, at: MonoNs, reason: str) -> None:
        self._lost_reported = True
        self._post(DriverLost(at, "card", self.name, reason))

    def _why_not(self, line: str, channel: int | None) -> str | None:
        if self._started_at is None or self._closed_at is not None:
            return f"{self.name} is not running"
        if self._lost_since is not None:
            return f"{self.name} is lost"
        if channel is not None and not 1 <= channel <= self.channels:
            return f"{self.name} has no output channel {channel}; it has {self.channels}"
        if line not in self._outputs:
            return f"{self.name} is not connected to {line}"
        return None

    def _end(self, playing: _Playing, error: str | None = None) -> None:
        """Answer for a clip, once: by its end, by a stop, or by an error."""
        if not any(other is playing for other in self._playing):
            return
        self._playing = [other for other in self._playing if other is not playing]
        now = self._world.now()
        completed = error is None and now >= playing.span.until
        playing.span.until = min(now, playing.span.until)
        played_ns = max(0, playing.span.until - playing.at)
        clip = playing.clip
        frames = clip.frames if completed else ns_to_frames(played_ns, clip.rate_hz)
        started_at = playing.at if played_ns else None
        self._finish(
            playing.line,
            playing.call_id,
            started_at=started_at,
            frames=frames,
            completed=completed,
            error=error,
        )

    def _end_all(self, error: str) -> None:
        for playing in list(self._playing):
            self._end(playing, error)

    def _finish(
        self,
        line: str,
        call_id: str,
        *,
        started_at: MonoNs | None,
        frames: int,
        completed: bool = False,
        error: str | None = None,
    ) -> None:
        now = self._world.now()
        self._post(AnnouncementFinished(now, line, call_id, started_at, frames, completed, error))
