"""A sound card through PyAudio, in a child process: the recorder's side of it.

Theory of operation. The card is in one of these states, moved on by `watch`, a few times a second:

    waiting   no child; one is started when the back-off is over
    starting  a child runs, and no block has come from it yet
    flowing   blocks come: DriverReady has been posted
    standing  blocks have stopped for `NOTICE_NS`: DriverLost has been posted

A block that comes leads from starting and standing to flowing. A child that ends, says that it
failed, or delivers nothing for too long leads to waiting. A card that stands still is reported
well before it is killed, because a stall that ends by itself is measured more exactly by the
stream that lived through it than by closing and opening it again.

Frame 0 is the moment of `start`. While there is no card its frames are missing like any others:
when blocks come, the child first fills the hole by the clock ("card-lost", or "card-stalled"
where we killed it) and the index is true again. Nothing here waits, and there is no thread.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recorderd.core.frameclock import Anchor, FrameClock
from recorderd.drivers.sound_devices import DeviceInfo
from recorderd.errors import DeviceError
from recorderd.events import AnnouncementFinished, DriverLost, DriverReady
from recorderd.media.resample import clip_at
from recorderd.media.ring import Ring, RingWriter
from recorderd.units import NS_PER_MS, NS_PER_S, FrameIndex, MonoNs, frames_to_ns, later

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.core.manifest import GapCause
    from recorderd.ports import Clip, LostFrames, Post

log = logging.getLogger(__name__)

NOTICE_NS: Final = 1500 * NS_PER_MS
"""A dead card must be noticed within 2 s, and we look every 0.4 s. PulseAudio alone makes pauses
of up to a second when its clients come and go."""
KILL_NS: Final = 3500 * NS_PER_MS
START_NS: Final = 10 * NS_PER_S  # opening: three looks for the device, and 2 s for the first block
LONGEST_START_NS: Final = 60 * NS_PER_S
"""A machine that is too slow for that gives each further child twice as long: else it would end every
one before its first block."""
BACK_OFF_NS: Final = 500 * NS_PER_MS
LONGEST_BACK_OFF_NS: Final = 5 * NS_PER_S
OVERDUE_NS: Final = 5 * NS_PER_S
"""A clip that has not been answered so long after its end never will be."""
LIST_WITHIN_S: Final = 15
GONE_WITHIN_S: Final = 2
MESSAGE_BYTES: Final = 65536
CONVERTED_CLIPS: Final = 8  # kept in the output's rate; an office has two or three


def list_devices() -> list[DeviceInfo]:
    """The sound devices of this machine, asked in a child. Raises DeviceError."""
    command = [sys.executable, "-m", "recorderd.drivers.sound_child", "list"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIST_WITHIN_S, check=True)  # noqa: S603
        answer = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise DeviceError(f"the sound devices cannot be listed: {error}") from error
    if "reason" in answer:
        raise DeviceError(f"the sound devices cannot be listed: {answer['reason']}")
    return [DeviceInfo(**device) for device in answer["devices"]]


class _Child:
    """The process, our end of its socket, and what it has said of its output."""

    def __init__(self, settings: dict[str, Any], ring_fd: int, now: MonoNs) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._socket = ours
        self.started_at = now
        self.is_open = False
        self.is_flowing = False
        self.output_rate_hz = 0  # 0: it has no output that can be used
        self.output_channels = 0
        settings = {**settings, "ring_fd": ring_fd, "socket_fd": theirs.fileno()}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "recorderd.drivers.sound_child", json.dumps(settings)],
                pass_fds=(ring_fd, theirs.fileno()),
                stdin=subprocess.DEVNULL,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def receive(self) -> dict[str, Any] | None:
        """The next message, None where there is none now. Raises EOFError after the last."""
        try:
            data = self._socket.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise EOFError(str(error)) from error
        if not data:
            raise EOFError
        message: dict[str, Any] = json.loads(data)
        return message

    def send(self, order: dict[str, Any], samples: bytes | None = None) -> None:
        """Raises OSError where the child is gone or does not listen."""
        data = json.dumps(order).encode()
        if samples is None:
            self._socket.send(data)
            return
        fd = os.memfd_create("recorderd-clip", os.MFD_CLOEXEC)
        with os.fdopen(fd, "wb") as file:
            file.write(samples)
            file.flush()
            socket.send_fds(self._socket, [data], [fd])

    def kill(self) -> None:
        """End it now; `is_gone` tells when the system has let go of it."""
        self._socket.close()
        self._process.kill()

    def is_gone(self) -> bool:
        return self._process.poll() is not None

    def wait(self) -> None:
        """Wait until a killed process is gone; one that hangs in the kernel is left behind."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GONE_WITHIN_S)


@dataclass(frozen=True, slots=True)
class _Play:
    """A clip handed to the child and not yet answered."""

    line: str
    call_id: str
    clip: Clip
    rate_hz: int  # in which the child counts
    due_at: MonoNs  # when the answer must have come


class PyAudioCard:
    """ports.SoundCard over a child process. All methods are for one thread, but the reading ones.

    `channels` 0 makes a card for playback only: its ring stays empty.
    """

    def __init__(
        self,
        name: str,
        rate_hz: int,
        channels: int,
        ring_seconds: float,
        post: Post,
        now: Callable[[], MonoNs],
    ) -> None:
        self.name = name
        self.rate_hz = rate_hz
        self.channels = channels
        self._post = post
        self._now = now
        self._ring = Ring(rate_hz, max(channels, 1), ring_seconds if channels else 1)
        self._child: _Child | None = None
        self._dying: list[_Child] = []
        self._is_started = False
        self._retry_at = MonoNs(0)
        self._back_off_ns = BACK_OFF_NS
        self._start_ns = START_NS
        self._cause: GapCause = "card-lost"
        self._beats = 0
        self._reported: str | None = ""  # reason of the DriverLost that stands; None: it is ready
        self._plays: dict[int, _Play] = {}
        self._last_token = 0
        self._converted: dict[tuple[str, int], bytes] = {}
        self._known_clock: tuple[int, FrameClock] | None = None

    # ------------------------------------------------------------ life

    def start(self) -> None:
        now = self._now()
        RingWriter(self._ring.fd).anchor(Anchor(FrameIndex(0), now))
        self._is_started = True
        self._spawn(now)

    def watch(self, now: MonoNs) -> None:
        """Hear the child, and judge whether the card lives."""
        self._dying = [child for child in self._dying if not child.is_gone()]
        if not self._is_started:
            return
        if self._child is not None:
            self._hear(self._child, now)
        if self._child is not None:
            self._judge(self._child, now)
        elif now >= self._retry_at:
            self._spawn(now)
        self._give_up_overdue(now)

    def close(self) -> None:
        """Let the card go. What its ring holds can be read for as long as somebody holds this."""
        if not self._is_started:
            return
        self._is_started = False
        self._end_child("the recorder stops", self._now())
        for child in self._dying:
            child.wait()  # so that whoever opens the card next finds it free

    def _spawn(self, now: MonoNs) -> None:
        settings = {
            "name": self.name,
            "rate_hz": self.rate_hz,
            "channels": self.channels,
            "cause": self._cause,
        }
        self._beats = self._ring.beats()
        try:
            self._child = _Child(settings, self._ring.fd, now)
        except OSError as error:  # out of memory or processes, which may pass; others record on
            self._lose(f"its process cannot be started: {error}", self._cause, now)

    def _hear(self, child: _Child, now: MonoNs) -> None:
        try:
            while self._child is child and (message := child.receive()) is not None:
                self._take(child, message, now)
        except EOFError:
            self._lose("its process ended", "card-lost", now)

    def _take(self, child: _Child, message: dict[str, Any], now: MonoNs) -> None:
        match message.pop("kind"):
            case "opened":
                child.is_open = True
                child.output_rate_hz = message["output_rate_hz"]
                child.output_channels = message["output_channels"]
            case "failed":
                self._lose(message["reason"], "card-lost", now)
            case "played":
                self._finish(**message)

    def _judge(self, child: _Child, now: MonoNs) -> None:
        beats = self._ring.beats()
        if beats != self._beats or (child.is_open and not self.channels):
            child.is_flowing = True
            self._beats = beats
            self._back_off_ns = BACK_OFF_NS
            self._start_ns = START_NS
            self._report_ready(now)
        elif child.is_flowing:
            self._judge_silence(now - self._ring.last_beat_at(), now)
        elif now - child.started_at >= self._start_ns:
            self._start_ns = min(2 * self._start_ns, LONGEST_START_NS)
            self._lose("it does not deliver any sound", "card-stalled", now)

    def _judge_silence(self, silence_ns: int, now: MonoNs) -> None:
        if silence_ns >= KILL_NS:
            self._lose("it delivers no more sound", "card-stalled", now)
        elif silence_ns >= NOTICE_NS:
            self._report_lost("it delivers no more sound", now)

    def _lose(self, reason: str, cause: GapCause, now: MonoNs) -> None:
        self._report_lost(reason, now)
        self._end_child(reason, now)
        self._cause = cause
        self._retry_at = later(now, self._back_off_ns)
        self._back_off_ns = min(2 * self._back_off_ns, LONGEST_BACK_OFF_NS)

    def _end_child(self, reason: str, now: MonoNs) -> None:
        if self._child is not None:
            self._child.kill()
            self._dying.append(self._child)
            self._child = None
        for token in list(self._plays):
            self._finish(token, now, None, 0, f'sound card "{self.name}": {reason}')

    def _report_ready(self, now: MonoNs) -> None:
        if self._reported is not None:
            self._reported = None
            log.info("sound card %s: ready", self.name)
            self._post(DriverReady(now, "card", self.name))

    def _report_lost(self, reason: str, now: MonoNs) -> None:
        if reason != self._reported:
            self._reported = reason
            log.warning("sound card %s: %s", self.name, reason)
            self._post(DriverLost(now, "card", self.name, reason))

    # ------------------------------------------------------------ frames

    def head(self) -> FrameIndex:
        return self._ring.head()

    def tail(self) -> FrameIndex:
        return self._ring.tail()

    def read(self, first: FrameIndex, frames: int) -> bytes:
        return self._ring.read(first, frames)

    def lost(self, first: FrameIndex, frames: int) -> list[LostFrames]:
        return self._ring.lost(first, frames)

    def frame_at(self, at: MonoNs) -> FrameIndex:
        return self._clock().frame_at(at)

    def time_of(self, frame: FrameIndex) -> MonoNs:
        return self._clock().time_of(frame)

    def _clock(self) -> FrameClock:
        """Built anew twice a second, as anchors come."""
        count = self._ring.anchor_count()
        known = self._known_clock
        if known is None or known[0] != count:
            known = (count, FrameClock(self.rate_hz, self._ring.anchors()))
            self._known_clock = known
        return known[1]

    # ------------------------------------------------------------ playback

    def play(self, line: str, call_id: str, clip: Clip, channel: int | None, at: MonoNs) -> None:
        problem = self._why_not_play(channel)
        if problem is None:
            problem = self._send_clip(line, call_id, clip, channel, at)
        if problem is not None:
            error = f'sound card "{self.name}": {problem}'
            now = self._now()
            self._post(
                AnnouncementFinished(now, line, call_id, None, 0, completed=False, error=error)
            )

    def stop_play(self, call_id: str) -> None:
        for token, play in self._plays.items():
            if play.call_id == call_id and self._child is not None:
                # A child that cannot be told is dead or dying, and its clips are answered then.
                with contextlib.suppress(OSError):
                    self._child.send({"kind": "stop", "token": token})

    def _why_not_play(self, channel: int | None) -> str | None:
        child = self._child
        if child is None or not child.is_open:
            return self._reported or "it is not open yet"
        if not child.output_channels:
            return "it has no output that can be used"
        if channel is not None and channel > child.output_channels:
            return f"it has {child.output_channels} output channels, so there is no {channel}"
        return None

    def _send_clip(
        self, line: str, call_id: str, clip: Clip, channel: int | None, at: MonoNs
    ) -> str | None:
        """Hand a clip to the child; the answer says why that was not possible."""
        assert self._child is not None, "looked at just before"
        rate_hz = self._child.output_rate_hz
        samples = self._samples(clip, rate_hz)
        self._last_token += 1
        token = self._last_token
        try:
            order = {"kind": "play", "token": token, "channel": channel, "at": at}
            self._child.send(order, samples)
        except OSError as error:
            return f"its process does not listen: {error}"
        ends_at = later(max(at, self._now()), frames_to_ns(clip.frames, clip.rate_hz))
        due_at = later(ends_at, OVERDUE_NS)
        self._plays[token] = _Play(line, call_id, clip, rate_hz, due_at)
        return None

    def _samples(self, clip: Clip, rate_hz: int) -> bytes:
        """The clip at the output's rate, kept for the next call."""
        if clip.rate_hz == rate_hz:
            return clip.pcm
        key = (clip.sha256, rate_hz)
        if key not in self._converted:
            while len(self._converted) >= CONVERTED_CLIPS:
                del self._converted[next(iter(self._converted))]
            self._converted[key] = clip_at(clip, rate_hz)
        return self._converted[key]

    def _finish(
        self, token: int, at: int, started_at: int | None, frames: int, error: str | None
    ) -> None:
        """Answer a clip, unless it has been answered already."""
        play = self._plays.pop(token, None)
        if play is None:
            return
        played = min(play.clip.frames, round(frames * play.clip.rate_hz / play.rate_hz))
        self._post(
            AnnouncementFinished(
                at=MonoNs(at),
                line=play.line,
                call_id=play.call_id,
                started_at=None if started_at is None else MonoNs(started_at),
                frames=played,
                completed=error is None and played == play.clip.frames,
                error=error,
            )
        )

    def _give_up_overdue(self, now: MonoNs) -> None:
        overdue = [token for token, play in self._plays.items() if now >= play.due_at]
        for token in overdue:
            self._finish(token, now, None, 0, f'sound card "{self.name}": no answer')
        if overdue and self._child is not None and not self.channels:
            # It hangs, as it will for the next clip; one that captures is not ended for that.
            self._lose("its output does not answer", "card-lost", now)
