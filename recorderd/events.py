"""What goes into the core (inputs) and what comes out of it (facts; commands.py has the commands).

Inputs are posted by drivers and workers, stamped where they happened. Facts say what happened on
the line, in the past tense, with the time it *happened*, not the time it was decided; the log is
the facts. All are frozen and carry no behaviour. What the line's sound tells is in heard.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from recorderd.heard import Heard

if TYPE_CHECKING:
    from recorderd.heard import ToneKind
    from recorderd.units import ClockReading, MonoNs

Direction = Literal["inbound", "outbound", "unknown"]
Absence = Literal["private", "out-of-area", "payphone", "unavailable"]
CallerSource = Literal["modem", "line-audio", "smdr"]
DeviceKind = Literal["card", "modem", "hook"]
AlarmTopic = Literal["disk", "retention", "age", "ledger", "recovery", "times", "key"]


# ---------------------------------------------------------------- inputs


@dataclass(frozen=True, slots=True)
class HookEdge:
    """The hook sensor changed, or was read at start (`at_start`). Raw: bounce is still in it."""

    at: MonoNs
    line: str
    off_hook: bool
    at_start: bool = False


@dataclass(frozen=True, slots=True)
class RingEdge:
    """The ring detector changed: once or twice per cycle of the 16 to 25 Hz ringing current."""

    at: MonoNs
    line: str
    active: bool


@dataclass(frozen=True, slots=True)
class EdgesLost:
    """A pin changed faster than anything on a telephone line does; `count` edges were not posted."""

    at: MonoNs
    line: str
    sensor: Literal["hook", "ring"]
    count: int


@dataclass(frozen=True, slots=True)
class ModemBytes:
    """Bytes as the serial port gave them, cut anywhere."""

    at: MonoNs
    line: str
    data: bytes


@dataclass(frozen=True, slots=True)
class DriverReady:
    """A device opened. `name` is the card's device name, or the line's name for modem and hook."""

    at: MonoNs
    kind: DeviceKind
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DriverLost:
    """A device failed or went away; its driver tries again for ever by itself."""

    at: MonoNs
    kind: DeviceKind
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class AnnouncementFinished:
    """An announcement ended: played to its end, stopped, or never played (`error`)."""

    at: MonoNs
    line: str
    call_id: str
    started_at: MonoNs | None  # when its first sample left the output; None: never
    frames: int  # of the clip, at the clip's own rate, that were played
    completed: bool
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RecordingFiled:
    """The writer closed a call: its segments are sealed and its record is durable."""

    at: MonoNs
    line: str
    call_id: str
    segments: int
    gaps: int
    path: str


@dataclass(frozen=True, slots=True)
class StoreAlarm:
    """Something about the store as a whole is wrong, or (`text` None) is well again."""

    at: MonoNs
    topic: AlarmTopic
    text: str | None


@dataclass(frozen=True, slots=True)
class DiskMeasured:
    """How full the disk is, and when it will be full if calls come as they did in the last days."""

    at: MonoNs
    free_mb: int
    used_mb_per_day: float | None  # None: not known yet
    full_on: str | None  # a date; None: not known, or never


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """The writer could not write; what it holds stays in memory as long as the ring does."""

    at: MonoNs
    line: str
    call_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class WriteResumed:
    """The writer can write this call again."""

    at: MonoNs
    line: str
    call_id: str


@dataclass(frozen=True, slots=True)
class WallClockStepped:
    """The first reading of the clocks, and each later one that disagrees with the last."""

    at: MonoNs
    reading: ClockReading


@dataclass(frozen=True, slots=True)
class StopRequested:
    """End of service: seal what is open and leave."""

    at: MonoNs


@dataclass(frozen=True, slots=True)
class ReloadRequested:
    """Read the configuration again."""

    at: MonoNs


@dataclass(frozen=True, slots=True)
class TimePassed:
    """A deadline that a machine asked for has come."""

    at: MonoNs


# ---------------------------------------------------------------- values carried by facts


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller as reported: exactly one of `number` and `absence` is set, or neither is known."""

    number: str | None
    name: str | None
    absence: Absence | None
    source: CallerSource
    raw: str  # what the line or modem said, for the record
    reported_date: str | None = None  # MMDD of the telephone exchange, where it came
    reported_time: str | None = None  # HHMM, as received, sane or not


# ---------------------------------------------------------------- facts of the line (core/line.py)


@dataclass(frozen=True, slots=True)
class RingingStarted:
    at: MonoNs
    line: str


@dataclass(frozen=True, slots=True)
class RingBurstEnded:
    """One ring burst, from its first to its last edge."""

    at: MonoNs  # its last edge
    line: str
    started_at: MonoNs


@dataclass(frozen=True, slots=True)
class RingingStopped:
    """No burst came for longer than the country's longest pause."""

    at: MonoNs  # end of the last burst
    line: str
    bursts: int


@dataclass(frozen=True, slots=True)
class WentOffHook:
    at: MonoNs
    line: str
    at_start: bool = False  # the line was already off-hook when the daemon began


@dataclass(frozen=True, slots=True)
class HookFlashed:
    at: MonoNs
    line: str
    duration_ns: int


@dataclass(frozen=True, slots=True)
class PulseDialled:
    """One digit dialled by loop pulses."""

    at: MonoNs  # its first pulse
    line: str
    digit: str


@dataclass(frozen=True, slots=True)
class WentOnHook:
    at: MonoNs  # the first on-hook edge, though it is final only after the hang-up time
    line: str


@dataclass(frozen=True, slots=True)
class LineFaulted:
    at: MonoNs
    line: str
    fault: Literal["hook-chatter", "ring-chatter", "no-line"]
    detail: str


@dataclass(frozen=True, slots=True)
class LineRestored:
    at: MonoNs
    line: str
    fault: Literal["hook-chatter", "ring-chatter", "no-line"]


# ---------------------------------------------------------------- facts of the modem (core/modem.py)


@dataclass(frozen=True, slots=True)
class ModemReady:
    """The modem answered its initialisation. `identity` is its answer to ATI."""

    at: MonoNs
    line: str
    identity: str
    caller_id_command: str


@dataclass(frozen=True, slots=True)
class ModemSilent:
    """The modem no longer answers, or rings come and no caller ID ever does."""

    at: MonoNs
    line: str
    reason: str


@dataclass(frozen=True, slots=True)
class ModemRang:
    """The modem printed RING (in any of its spellings)."""

    at: MonoNs
    line: str


@dataclass(frozen=True, slots=True)
class CallerIdReported:
    """One whole caller-ID report. `at` is the time of its first byte."""

    at: MonoNs
    line: str
    caller: Caller


@dataclass(frozen=True, slots=True)
class MessageWaitingReported:
    """A message-waiting spill: no call comes with it."""

    at: MonoNs
    line: str
    waiting: bool


# ---------------------------------------------------------------- facts of the call (core/call.py)


@dataclass(frozen=True, slots=True)
class CallOffered:
    at: MonoNs
    line: str
    call_id: str


@dataclass(frozen=True, slots=True)
class CallerIdentified:
    at: MonoNs
    line: str
    call_id: str
    caller: Caller


@dataclass(frozen=True, slots=True)
class CallWaitingIdentified:
    """Somebody else rang in while this call went on; never its caller."""

    at: MonoNs
    line: str
    call_id: str
    caller: Caller


@dataclass(frozen=True, slots=True)
class CallAnswered:
    at: MonoNs
    line: str
    call_id: str


@dataclass(frozen=True, slots=True)
class CallPlaced:
    at: MonoNs
    line: str
    call_id: str


@dataclass(frozen=True, slots=True)
class CallFound:
    """A call was already going on when the daemon began; its direction cannot be known."""

    at: MonoNs
    line: str
    call_id: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    at: MonoNs
    line: str
    call_id: str


@dataclass(frozen=True, slots=True)
class CallMissed:
    at: MonoNs
    line: str
    call_id: str


@dataclass(frozen=True, slots=True)
class CallNotRecorded:
    """An off-hook that has no recording, and why."""

    at: MonoNs
    line: str
    call_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class CallerIdClosureSeen:
    """Japan: the caller-ID set closed the loop to receive the number; nobody answered."""

    at: MonoNs
    line: str
    call_id: str
    duration_ns: int


@dataclass(frozen=True, slots=True)
class NoticeEnded:
    """The announcement of a call came to its end, or why it did not."""

    at: MonoNs
    line: str
    call_id: str
    completed: bool
    failed: bool  # it could not be played, which is an alarm; a caller who hangs up is none
    reason: str | None


@dataclass(frozen=True, slots=True)
class CallersDisagree:
    """Modem and line audio reported different callers of one call."""

    at: MonoNs
    line: str
    call_id: str
    shown: CallerSource


@dataclass(frozen=True, slots=True)
class FarEndGone:
    """The exchange's tone says that the far end has hung up."""

    at: MonoNs
    line: str
    call_id: str
    tone: ToneKind


@dataclass(frozen=True, slots=True)
class CallReopened:
    """There was sound again on a line whose call had been closed with the handset still up."""

    at: MonoNs
    line: str
    call_id: str
    continues: str


Input: TypeAlias = (
    HookEdge
    | RingEdge
    | EdgesLost
    | ModemBytes
    | DriverReady
    | DriverLost
    | AnnouncementFinished
    | RecordingFiled
    | WriteFailed
    | StoreAlarm
    | DiskMeasured
    | WriteResumed
    | WallClockStepped
    | Heard
    | StopRequested
    | ReloadRequested
    | TimePassed
)

LineFact: TypeAlias = (
    RingingStarted
    | RingBurstEnded
    | RingingStopped
    | WentOffHook
    | HookFlashed
    | PulseDialled
    | WentOnHook
    | LineFaulted
    | LineRestored
)

ModemFact: TypeAlias = (
    ModemReady | ModemSilent | ModemRang | CallerIdReported | MessageWaitingReported
)

CallFact: TypeAlias = (
    CallOffered
    | CallerIdentified
    | CallWaitingIdentified
    | CallAnswered
    | CallPlaced
    | CallFound
    | CallEnded
    | CallMissed
    | CallNotRecorded
    | CallerIdClosureSeen
    | NoticeEnded
    | CallersDisagree
    | FarEndGone
    | CallReopened
)

Fact: TypeAlias = LineFact | ModemFact | CallFact
