"""What a `.line` script can say: one frozen class a verb, the values already checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime

    from recorderd.events import Absence

CallerIdMoment = Literal["before", "between", "none"]


@dataclass(frozen=True, slots=True)
class Hook:
    """The hook contact alone, without bounce."""

    off_hook: bool


@dataclass(frozen=True, slots=True)
class RingLevel:
    """The ring detector's output alone."""

    active: bool


@dataclass(frozen=True, slots=True)
class ModemText:
    """Bytes out of the modem's port, whatever it was asked for."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ModemPlug:
    plugged: bool


@dataclass(frozen=True, slots=True)
class Inbound:
    """Somebody calls; the moment of the action is the first thing the exchange does."""

    number: str | None
    name: str | None
    absence: Absence | None
    rings: int | None  # cadences until the caller gives up; None: until answered, or 5
    answer_ns: int | None  # from the first normal ring to the lift; None: nobody answers
    talk_ns: int
    late_id_ns: int | None  # from the lift to a caller ID that came too late
    caller_id: CallerIdMoment | None  # None: as the country does it
    busy_ns: int = 0  # of busy tone after the talk, before the handset is put down


@dataclass(frozen=True, slots=True)
class Outbound:
    """Somebody here calls out."""

    dial: str
    by_pulse: bool
    pulses_per_s: int
    talk_ns: int
    busy_ns: int = 0  # as for an inbound one


@dataclass(frozen=True, slots=True)
class Flash:
    duration_ns: int


@dataclass(frozen=True, slots=True)
class Closure:
    """Japan: the caller-ID set answers the exchange, and the phone never rings."""

    duration_ns: int


@dataclass(frozen=True, slots=True)
class MessageWaiting:
    waiting: bool


@dataclass(frozen=True, slots=True)
class CardLost:
    """The sound card disappears."""


@dataclass(frozen=True, slots=True)
class CardBack:
    """The sound card is there again."""


@dataclass(frozen=True, slots=True)
class CardOverrun:
    duration_ns: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Something is wired or set wrong, from the first moment to the last; see faults.py."""

    kind: str
    country: str = ""  # of the fault "network": the line is another country's


LineAction: TypeAlias = (
    Hook
    | RingLevel
    | ModemText
    | ModemPlug
    | Inbound
    | Outbound
    | Flash
    | Closure
    | MessageWaiting
    | Fault
)
CardAction: TypeAlias = CardLost | CardBack | CardOverrun


@dataclass(frozen=True, slots=True)
class ScriptEvent:
    """One line of a script. `after_ns` counts from the script's first moment."""

    after_ns: int
    target: str  # a line's name, a card's device name for a CardAction, or "box"
    action: LineAction | CardAction
    source_line: int


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script, its events in order of time."""

    origin: str  # file name, for messages
    day: datetime  # aware: the first moment
    seed: int
    events: tuple[ScriptEvent, ...]
