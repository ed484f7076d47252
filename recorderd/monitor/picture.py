"""What is known of the recorder from the messages so far: the state behind the screen. Pure."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from recorderd.monitor import messages
from recorderd.units import NS_PER_S, MonoNs, WallNs

Message: TypeAlias = dict[str, Any]

RING_SHOWN_NS = 10 * NS_PER_S
"""More than one of the longest cadence (North America: 2 s on, 4 s off)."""

RING_EDGES_MAX = 2000
BYTES_MAX = 400
EVENTS_MAX = 100

_RAW = {"HookEdge", "RingEdge", "ModemBytes", "RingBurstEnded", "AnnouncementFinished"}
"""Shown in their own rows; as events they would push out all others."""

_VALUES = ("digit", "tone")  # say what they are by themselves
_DETAILS = ("bursts", "verdict", "kind", "fault", "topic", "segments", "gaps")
_REASONS = ("reason", "detail", "text")


@dataclass(slots=True)
class Happened:
    """One fact, in words."""

    at: MonoNs
    line: str
    text: str


@dataclass(slots=True)
class Call:
    """The call on a line, or the last one."""

    id: str
    direction: str
    started_at: MonoNs
    answered_at: MonoNs | None = None
    ended_at: MonoNs | None = None
    caller: Message | None = None
    digits: str = ""
    notice: str = ""
    filed: str = ""  # how it came to the disk
    not_recorded: str = ""


@dataclass(slots=True)
class LineView:
    """One line."""

    off_hook: bool | None = None
    hook_since: MonoNs | None = None  # None: since before anybody looked
    hook_edges: int = 0  # raw, since it last was quiet
    ringing: bool = False
    ring_edges: deque[tuple[MonoNs, bool]] = field(
        default_factory=lambda: deque(maxlen=RING_EDGES_MAX)
    )
    bursts: int = 0
    burst: tuple[MonoNs, MonoNs] | None = None  # the newest whole one
    pause_ns: int | None = None  # before it
    modem_text: str = ""
    modem_at: MonoNs | None = None
    call: Call | None = None
    sound: list[list[float | None]] | None = None  # near, far: dBm0 and peak


class Picture:
    """Messages in, oldest first; `lines` in the order of the configuration."""

    def __init__(self) -> None:
        self.lines: dict[str, LineView] = {}
        self.events: deque[Happened] = deque(maxlen=EVENTS_MAX)
        self.version = ""
        self.is_sealed = False
        self.is_refused = False
        self.synchronised = True
        self.lost = 0
        self.wall_offset_ns: int | None = None
        self.gone_at: MonoNs | None = None

    def wall_at(self, at: MonoNs) -> WallNs | None:
        """By the recorder's clock; None before it was heard of."""
        return None if self.wall_offset_ns is None else WallNs(at + self.wall_offset_ns)

    def went(self, at: MonoNs) -> None:
        """The recorder ended, or its connection to us."""
        self.gone_at = at
        self.events.append(Happened(at, "", "the recorder is gone"))
        for line in self.lines.values():
            line.sound = None

    def take(self, message: Message) -> None:
        """Bring one message into the picture."""
        match message["what"]:
            case messages.HELLO:
                self._meet(message)
            case messages.SOUND:
                self._set_clock(message)
                self._hear(message["lines"])
            case messages.LOST:
                self.lost += message["count"]
            case messages.FULL:
                self.is_refused = True
            case what:
                self._happened(what, message)

    def _meet(self, hello: Message) -> None:
        """A recorder's first word; of a restarted one nothing older holds, but what happened."""
        if self.gone_at is not None:
            self.events.append(Happened(hello["at"], "", "the recorder is there again"))
        self.gone_at, self.is_refused, self.lost = None, False, 0
        self.version, self.is_sealed = hello["version"], hello["sealed"]
        self._set_clock(hello)
        self.lines = {name: _line_of(state) for name, state in hello["lines"].items()}

    def _set_clock(self, message: Message) -> None:
        self.wall_offset_ns = message["wall"] - message["at"]
        self.synchronised = message["synchronised"]

    def _hear(self, levels: dict[str, Any]) -> None:
        self.lines = {name: self.lines.get(name) or LineView() for name in levels}
        for name, sound in levels.items():
            self.lines[name].sound = sound

    def _happened(self, what: str, message: Message) -> None:
        line = self.lines.get(message["line"] or "")
        if line is not None:
            _take(line, what, message)
        if what not in _RAW:
            name = message["line"] or message.get("name") or ""
            self.events.append(Happened(message["at"], name, words(what, message)))


def words(what: str, message: Message) -> str:
    """A fact as a person reads it: `ModemSilent` is "modem silent"."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", what).lower()
    text = re.sub(r"\bcaller id\b", "caller ID", text)
    found = [str(message[name]) for name in _VALUES if message.get(name) is not None]
    found += [f"{name} {message[name]}" for name in _DETAILS if message.get(name) is not None]
    if message.get("ended_at") is not None:
        found.append("ended")
    if message.get("caller"):
        found.append(who(message["caller"]))
    found += [str(message[name]) for name in _REASONS if message.get(name)]
    return ": ".join([text, ", ".join(found)] if found else [text])


def who(caller: Message) -> str:
    """A caller: number and name, or why there is none."""
    shown = [text for text in (caller["number"] or caller["absence"], caller["name"]) if text]
    return " ".join(shown) or "unknown"


def _line_of(state: Message) -> LineView:
    found = LineView(off_hook=state["off_hook"], ringing=state["ringing"])
    call = state["call"]
    if call is not None:
        found.call = Call(
            call["id"],
            call["direction"],
            call["started_at"],
            answered_at=call["answered_at"],
            caller=call["caller"],
        )
        found.hook_since = call["answered_at"]
    return found


def _take(line: LineView, what: str, message: Message) -> None:  # noqa: C901  (one table)
    at: MonoNs = message["at"]
    match what:
        case "HookEdge":
            line.hook_edges += 1
        case "RingEdge":
            line.ring_edges.append((at, message["active"]))
            while len(line.ring_edges) > 1 and line.ring_edges[1][0] < at - RING_SHOWN_NS:
                line.ring_edges.popleft()
        case "ModemBytes":
            line.modem_text = (line.modem_text + message["data"])[-BYTES_MAX:]
            line.modem_at = at
        case "WentOffHook":
            line.off_hook, line.hook_since, line.ringing = True, at, False
        case "WentOnHook":
            line.off_hook, line.hook_since, line.hook_edges = False, at, 0
        case "RingingStarted":
            line.ringing, line.bursts, line.burst, line.pause_ns = True, 0, None, None
        case "RingBurstEnded":
            started_at = message["started_at"]
            line.pause_ns = None if line.burst is None else started_at - line.burst[1]
            line.burst, line.bursts = (started_at, at), line.bursts + 1
        case "RingingStopped":
            line.ringing = False
        case "CallOffered":
            line.call = Call(message["call_id"], "inbound", at)
        case "CallAnswered" | "CallPlaced" | "CallFound" | "CallReopened":
            _begin(line, what, message)
        case _:
            _take_call_fact(line, what, message)


def _begin(line: LineView, what: str, message: Message) -> None:
    at, call_id = message["at"], message["call_id"]
    if line.call is None or line.call.id != call_id:
        line.call = Call(call_id, "unknown", at)
    line.call.answered_at = at
    if what == "CallAnswered":
        line.call.direction = "inbound"
    elif what == "CallPlaced":
        line.call.direction = "outbound"


def _take_call_fact(line: LineView, what: str, message: Message) -> None:
    call = line.call
    if call is None or message.get("call_id", call.id) != call.id:
        return
    match what:
        case "CallerIdentified":
            call.caller = message["caller"]
        case "DigitHeard" | "PulseDialled":
            call.digits += message["digit"]
        case "CallEnded" | "CallMissed":
            call.ended_at = message["at"]
        case "CallerIdClosureSeen":
            call.answered_at, call.notice = None, ""
        case "CallNotRecorded":
            call.not_recorded = message["reason"]
        case _:
            _take_outcome(call, what, message)


def _take_outcome(call: Call, what: str, message: Message) -> None:
    """How the announcement and the recording went."""
    match what:
        case "PlayAnnouncement":
            call.notice = f"playing {message['clip']}"
        case "NoticeEnded":
            call.notice = "played" if message["completed"] else message["reason"] or "not played"
        case "NoticeHeard":
            share = round(100 * message["completeness"])
            call.notice = f"{message['verdict'].replace('-', ' ')} ({share} %)"
        case "RecordingFiled":
            segments, gaps = message["segments"], message["gaps"]
            call.filed = f"{_counted(segments, 'segment')} filed, {_counted(gaps, 'gap')}"
        case "WriteFailed":
            call.filed = f"not written: {message['reason']}"
        case "WriteResumed":
            call.filed = ""
        case _:
            pass


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
