"""What the daemon needs from the outside world; drivers/ and sim/ implement the same few ports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from recorderd.units import frames_to_ns, later

if TYPE_CHECKING:
    from recorderd.core.manifest import GapCause
    from recorderd.events import Input
    from recorderd.units import ClockReading, FrameIndex, MonoNs

Post = Callable[["Input"], None]
"""How a driver hands an input to the control thread; safe from any thread, never blocks."""


class Clock(Protocol):
    """Both clocks. The core never sees this: time comes in on the event."""

    def now(self) -> MonoNs: ...
    def reading(self) -> ClockReading: ...


class Inbox(Protocol):
    """The control thread's one mailbox."""

    def post(self, event: Input) -> None: ...

    def wait(self, until: MonoNs) -> Input | None:
        """The next input, or None when `until` has come."""
        ...


@dataclass(frozen=True, slots=True)
class LostFrames:
    """Frames of a card's ring that never came and read as silence."""

    first: FrameIndex
    frames: int
    cause: GapCause


@dataclass(frozen=True, slots=True)
class Clip:
    """An announcement ready to play: mono, 16 bit, native byte order."""

    name: str
    sha256: str  # of the file as it is on disk
    rate_hz: int
    pcm: bytes

    @property
    def frames(self) -> int:
        return len(self.pcm) // 2


@dataclass(frozen=True, slots=True)
class PlayedNotice:
    """An announcement that was played into a line, to be looked for in the line's sound."""

    line: str
    call_id: str
    clip: Clip
    started_at: MonoNs
    frames: int  # of the clip, that were played

    @property
    def ended_at(self) -> MonoNs:
        return later(self.started_at, frames_to_ns(self.frames, self.clip.rate_hz))


class SoundCard(Protocol):
    """One sound card: capture into a ring for ever, and playback of clips.

    Frame 0 is the first frame after start; the index goes on through every loss, so that
    `frame_at` and `time_of` stay true. All frames are interleaved 16-bit of all `channels`.
    """

    name: str
    rate_hz: int
    channels: int

    def start(self) -> None:
        """Begin; success and failure are posted as DriverReady and DriverLost, kind "card"."""
        ...

    def watch(self, now: MonoNs) -> None:
        """Called a few times a second: notice a card that stands still, restart it, report it."""
        ...

    def head(self) -> FrameIndex:
        """One past the newest frame."""
        ...

    def tail(self) -> FrameIndex:
        """The oldest frame that can still be read."""
        ...

    def read(self, first: FrameIndex, frames: int) -> bytes:
        """Frames `first` up to `first + frames`, all of which must lie in tail..head.

        Raises LookupError where some have been overwritten or are not there yet.
        """
        ...

    def lost(self, first: FrameIndex, frames: int) -> list[LostFrames]:
        """The losses that lie in a range, cut to it, in order."""
        ...

    def frame_at(self, at: MonoNs) -> FrameIndex:
        """The frame that was on the line at `at`; may lie before the tail or beyond the head."""
        ...

    def time_of(self, frame: FrameIndex) -> MonoNs:
        """When `frame` was on the line."""
        ...

    def play(self, line: str, call_id: str, clip: Clip, channel: int | None, at: MonoNs) -> None:
        """Let `clip` leave output `channel` (1-based; None: all) at `at`.

        Always answered by exactly one AnnouncementFinished, whatever goes wrong.
        """
        ...

    def stop_play(self, call_id: str) -> None: ...

    def close(self) -> None:
        """Let the device go. The frames in the ring can still be read by who holds this."""
        ...


class HookSensor(Protocol):
    """The hook and ring pins of one line, posting HookEdge and RingEdge, kind "hook"."""

    def start(self) -> None: ...
    def close(self) -> None: ...


class Modem(Protocol):
    """The serial port of one line's modem, posting ModemBytes, DriverReady, DriverLost."""

    def start(self) -> None: ...

    def write(self, data: bytes) -> None:
        """Queue bytes for the port; dropped while it is lost. Never blocks."""
        ...

    def close(self) -> None: ...


class Watchdog(Protocol):
    """The service manager."""

    def ready(self, status: str) -> None: ...
    def alive(self) -> None: ...
    def reloading(self) -> None: ...
    def stopping(self) -> None: ...


class Onlookers(Protocol):
    """People who look on. Nothing here blocks or fails, and all is done with at once where there
    are none."""

    def see(self, event: object) -> None:
        """An input came, or a fact or command followed."""
        ...

    def admit(self, now: MonoNs) -> None:
        """Called a few times a second: let in who has come."""
        ...

    def deadline(self) -> MonoNs | None:
        """When they next want to be shown something; None: never."""
        ...

    def show(self, now: MonoNs) -> None: ...
