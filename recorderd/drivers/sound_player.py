"""Plays clips at given moments through one output stream of a sound card.

`Mixer` runs in the sound library's thread: each call fills the next block of the output, told
when that block will leave the card. `Player` runs in the child's main thread: it opens the stream
when a clip is announced, so that the stream is already running when the clip's moment comes,
reports each clip's end once, and closes the stream when no clip has played for a second. The two
share no lock: the mixer must never wait for a thread that is closing its stream.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from recorderd.units import NS_PER_S, MonoNs, frames_to_ns, later, ns_to_frames

if TYPE_CHECKING:
    from collections.abc import Callable

LINGER_NS: Final = NS_PER_S
"""The stream stays open this long after a clip: reopening takes some 100 ms."""

STANDSTILL_NS: Final = 2 * NS_PER_S
"""An output that asks for no block for this long has died; opening may take over a second."""

_SAMPLE_MIN, _SAMPLE_MAX = -32768, 32767


class Stream(Protocol):
    """An open output stream that pulls its blocks from a mixer."""

    def close(self) -> None: ...


@dataclass(eq=False, slots=True)
class Voice:
    """One clip on its way out. Written by the mixer alone, but for `stopped`."""

    token: int
    samples: array[int]  # mono
    channel: int | None  # 1-based; None: all
    at: MonoNs
    position: int = 0
    started_at: MonoNs | None = None
    ends_at: MonoNs | None = None  # when the last sample handed out leaves the card
    stopped: bool = False

    @property
    def is_spent(self) -> bool:
        return self.stopped or self.position == len(self.samples)


@dataclass(frozen=True, slots=True)
class Played:
    """How a clip ended. `frames` is what left the card, at the output's rate."""

    token: int
    at: MonoNs
    started_at: MonoNs | None
    frames: int
    error: str | None


class Mixer:
    """Fills blocks of the output from the voices whose moment has come."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.voices: tuple[Voice, ...] = ()
        self.asked_at: MonoNs | None = None  # the newest block

    def block(self, frames: int, now: MonoNs, leaves_at: MonoNs) -> bytes:
        """`frames` interleaved frames, of which the first leaves the card at `leaves_at`."""
        self.asked_at = now
        out = array("h", bytes(2 * frames * self.channels))
        for voice in self.voices:
            if not voice.is_spent:
                self._mix(voice, out, frames, leaves_at)
        return out.tobytes()

    def _mix(self, voice: Voice, out: array[int], frames: int, leaves_at: MonoNs) -> None:
        start = 0
        if voice.position == 0:
            start = max(0, ns_to_frames(voice.at - leaves_at, self.rate_hz))
            if start >= frames:
                return
            voice.started_at = later(leaves_at, frames_to_ns(start, self.rate_hz))
        part = voice.samples[voice.position : voice.position + frames - start]
        for channel in self._outputs(voice.channel):
            first = start * self.channels + channel
            place = slice(first, first + len(part) * self.channels, self.channels)
            out[place] = _sum(out[place], part)
        voice.ends_at = later(leaves_at, frames_to_ns(start + len(part), self.rate_hz))
        voice.position += len(part)

    def _outputs(self, channel: int | None) -> range:
        return range(self.channels) if channel is None else range(channel - 1, channel)


def _sum(below: array[int], above: array[int]) -> array[int]:
    """Two signals added and held within 16 bit; the usual case, over silence, costs nothing."""
    if not any(below):
        return above
    pairs = zip(below, above, strict=True)
    return array("h", [max(_SAMPLE_MIN, min(_SAMPLE_MAX, a + b)) for a, b in pairs])


class Player:
    """The clips of one card. `open_stream` raises OSError where the card refuses."""

    def __init__(
        self,
        mixer: Mixer,
        open_stream: Callable[[], Stream],
        report: Callable[[Played], None],
        now: Callable[[], MonoNs],
    ) -> None:
        self._mixer = mixer
        self._open_stream = open_stream
        self._report = report
        self._now = now
        self._stream: Stream | None = None
        self._busy_at = MonoNs(0)  # when the stream was opened, or last had a clip

    def play(self, token: int, pcm: bytes, channel: int | None, at: MonoNs) -> None:
        """Play mono 16-bit `pcm`, at the mixer's rate, from `at` on."""
        voice = Voice(token, array("h", pcm), channel, at)
        try:
            self._ensure_stream()
        except OSError as error:
            self._report(Played(token, self._now(), None, 0, f"the output cannot open: {error}"))
            return
        self._mixer.voices += (voice,)

    def stop(self, token: int) -> None:
        """End a clip; what the card already holds of it (some 50 ms) still leaves."""
        for voice in self._mixer.voices:
            voice.stopped = voice.stopped or voice.token == token

    def tend(self) -> None:
        """Report clips that have ended, and close a stream that is idle or dead."""
        now = self._now()
        if self._stream is None:
            return
        for voice in self._mixer.voices:
            if voice.is_spent and (voice.stopped or (voice.ends_at or now) <= now):
                self._end(voice, now, None)
        if self._mixer.voices:
            self._end_if_dead(now)
            self._busy_at = now
        elif now - self._busy_at >= LINGER_NS:
            self._close()

    @property
    def is_open(self) -> bool:
        """Whether `tend` needs to be called."""
        return self._stream is not None

    def _ensure_stream(self) -> None:
        if self._stream is None:
            self._mixer.asked_at = self._now()
            self._stream = self._open_stream()
            self._busy_at = self._now()

    def _end_if_dead(self, now: MonoNs) -> None:
        asked_at = self._mixer.asked_at
        if asked_at is None or now - asked_at < STANDSTILL_NS:
            return
        for voice in self._mixer.voices:
            self._end(voice, now, "the output stands still")
        self._close()

    def _end(self, voice: Voice, now: MonoNs, error: str | None) -> None:
        self._mixer.voices = tuple(other for other in self._mixer.voices if other is not voice)
        at = now if voice.ends_at is None or voice.stopped else voice.ends_at
        self._report(Played(voice.token, at, voice.started_at, voice.position, error))

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
