"""What the line's sound tells the core: inputs, as those in events.py, posted by the analyst.

Each is stamped where it lies in the sound, which is some time before it was heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recorderd.events import Caller
    from recorderd.units import MonoNs

Channel = Literal["near", "far"]
NoticeVerdict = Literal["heard", "partly", "not-heard"]
ToneKind = Literal["dial", "ringback", "busy", "congestion", "call-waiting", "special-information"]
"""What an exchange says in tones, named as in ITU-T E.182; congestion is also called reorder, and
special information that a number cannot be reached."""


@dataclass(frozen=True, slots=True)
class CallerIdHeard:
    """A caller ID in the line's sound; `at` is where its burst began."""

    at: MonoNs
    line: str
    caller: Caller


@dataclass(frozen=True, slots=True)
class DigitHeard:
    """A key pressed on the line. One that both channels hear is the near one's."""

    at: MonoNs
    line: str
    channel: Channel
    digit: str


@dataclass(frozen=True, slots=True)
class ToneHeard:
    """A tone of the exchange: once when it is certain, once more when it has ended."""

    at: MonoNs  # where it began
    line: str
    tone: ToneKind
    ended_at: MonoNs | None


@dataclass(frozen=True, slots=True)
class VoiceEdge:
    """On a line without a hook sensor: sound began or, some time ago, ended."""

    at: MonoNs
    line: str
    off_hook: bool


@dataclass(frozen=True, slots=True)
class SoundReturned:
    """After a busy or congestion tone there is sound on the line again that is no tone."""

    at: MonoNs
    line: str


@dataclass(frozen=True, slots=True)
class NoticeHeard:
    """What was found of a call's announcement in the line's sound."""

    at: MonoNs
    line: str
    call_id: str
    verdict: NoticeVerdict
    score: float  # 0 to 1
    completeness: float  # 0 to 1: how much of what can be heard of the clip
    heard_at: MonoNs | None  # where its first sample lies; None: not found
    level_dbm0: float | None
    channel: Channel | None


@dataclass(frozen=True, slots=True)
class LineMeasured:
    """How the sound of a call is so far, and what is wrong with it."""

    at: MonoNs
    line: str
    measures: Mapping[str, Any]
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListeningFailed:
    """The line's sound could not be listened to; it is recorded all the same."""

    at: MonoNs
    line: str
    reason: str


Heard: TypeAlias = (
    CallerIdHeard
    | DigitHeard
    | ToneHeard
    | VoiceEdge
    | SoundReturned
    | NoticeHeard
    | LineMeasured
    | ListeningFailed
)
