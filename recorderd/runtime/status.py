"""What `recorderd status` shows: kept by the control thread, written to status.json.

The file is a courtesy to people and not a record: it is replaced whole, without a sync. On a full
disk, where its alarms matter most, there is no room for a new one: the old one is written over, which
has blanks at its end to have room for that.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from recorderd import __version__, heard
from recorderd import events as ev
from recorderd.core.witness import DOUBT_S, caller_id_offset_s
from recorderd.units import NS_PER_S, MonoNs, iso, to_datetime

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo
    from pathlib import Path

    from recorderd.units import ClockReading

log = logging.getLogger(__name__)

WRITE_EVERY_NS = 30 * NS_PER_S
"""Also when nothing changed, so that an old file shows that nobody writes it."""

WRITE_AT_MOST_NS = 1 * NS_PER_S

READY = "ready"

CHATTER = ("hook-chatter", "ring-chatter")
"""Faults that a line's machines find, and take back themselves."""

SOUND_JUDGED_S = 20
"""A call this long in which nothing is wrong shows that the line was mended."""

BLANKS = 4096
"""A block of most file systems. One written in place needs no other."""


@dataclass(slots=True)
class LineStatus:
    """One line, as a person asks after it."""

    state: str = "idle"  # idle, ringing, talking
    call_id: str | None = None
    calls: int = 0
    recorded: int = 0
    missed: int = 0
    not_recorded: int = 0
    last_recording_at: MonoNs | None = None
    devices: dict[str, str] = field(default_factory=dict)  # kind -> "ready" or why not
    faults: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # calls that the disk refuses, and why
    notices: dict[str, int] = field(default_factory=dict)  # announcements played, by what was heard
    sound: Mapping[str, Any] | None = None  # how the newest call's is

    def all_faults(self) -> dict[str, str]:
        """Every fault; of what the disk refuses, the newest."""
        if not self.refused:
            return self.faults
        return {**self.faults, "writing": list(self.refused.values())[-1]}


class Status:
    """Everything of the daemon's state that is worth showing."""

    def __init__(self, path: Path, zone: tzinfo, line_cards: dict[str, set[str]]) -> None:
        self._path = path
        self._zone = zone
        self._line_cards = line_cards  # card name -> lines that use it
        self._cards: dict[str, str] = {}  # "ready" or why not, by name: a line may use two
        self.lines: dict[str, LineStatus] = {}
        self.problem: str | None = None  # with the configuration offered last
        self.extra: dict[str, Any] = {}
        self._store: dict[str, str] = {}  # what is wrong with it, by topic
        self.disk: ev.DiskMeasured | None = None
        self._dirty = True
        self._written_at: MonoNs | None = None
        self._reading: ClockReading | None = None  # the newest

    def set_lines(self, line_cards: dict[str, set[str]], lines: list[str]) -> None:
        """The configuration's lines; what is known of those that stay is kept."""
        self._line_cards = line_cards
        self._cards = {name: state for name, state in self._cards.items() if name in line_cards}
        self.lines = {name: self.lines.get(name, LineStatus()) for name in lines}
        self._dirty = True

    def begin_anew(self, name: str) -> None:
        """The line's sensor, modem and machines are made anew: each tells again how it is, and nobody
        would ever take back what those before them said."""
        line = self.lines[name]
        line.devices.clear()
        for fault in CHATTER:
            line.faults.pop(fault, None)

    def expect_no_notice(self, name: str) -> None:
        """The line has no announcement any more."""
        for fault in ("announcement", "notice"):
            self.lines[name].faults.pop(fault, None)

    def take(self, fact: ev.Fact | ev.Input) -> None:
        """Bring one fact into the picture."""
        self._dirty = True
        if isinstance(fact, ev.CallerIdentified) and self._reading is not None:
            self._compare_clocks(fact, self._reading)
        if isinstance(fact, ev.DriverReady | ev.DriverLost):
            state = READY if isinstance(fact, ev.DriverReady) else fact.reason
            if fact.kind == "card":
                self._cards[fact.name] = state
            elif fact.name in self.lines:
                self.lines[fact.name].devices[fact.kind] = state
            return
        if isinstance(fact, ev.StoreAlarm):
            self._store.pop(fact.topic, None)
            if fact.text is not None:
                self._store[fact.topic] = fact.text
        line = self.lines.get(getattr(fact, "line", ""))
        if line is not None:
            _take_line_fact(line, fact)

    def _compare_clocks(self, fact: ev.CallerIdentified, reading: ClockReading) -> None:
        line = self.lines.get(fact.line)
        offset_s = caller_id_offset_s(
            fact.caller, to_datetime(reading.wall_at(fact.at), self._zone)
        )
        if line is None or offset_s is None:
            return
        line.faults.pop("clock", None)
        if abs(offset_s) > DOUBT_S:
            way = "ahead of" if offset_s > 0 else "behind"
            line.faults["clock"] = (
                f"the caller ID's time is {timedelta(minutes=round(abs(offset_s) / 60))} {way} this "
                "box; check "
                "the clock and site.time_zone, or the PBX's"
            )

    def _devices(self, name: str) -> dict[str, str]:
        """A line's devices by kind; of two cards, one to hear and one to play, the one that is not ready."""
        states = [
            self._cards[card]
            for card, users in self._line_cards.items()
            if name in users and card in self._cards
        ]
        lost = [state for state in states if state != READY]
        card = {"card": (lost or states)[0]} if states else {}
        return {**card, **self.lines[name].devices}

    def alarms(self) -> list[str]:
        """Everything that is not as it should be, one sentence each."""
        found = [] if self.problem is None else [f"config: {self.problem}"]
        found += [f"{topic}: {text}" for topic, text in self._store.items()]
        for name, line in self.lines.items():
            found += [
                f"{name}: {kind}: {state}"
                for kind, state in self._devices(name).items()
                if state != READY
            ]
            found += [f"{name}: {fault}: {detail}" for fault, detail in line.all_faults().items()]
        return found

    def write(self, reading: ClockReading) -> None:
        """Replace status.json if something changed, or if it has grown old."""
        self._reading = reading
        age_ns = None if self._written_at is None else reading.mono - self._written_at
        if age_ns is not None and age_ns < (WRITE_AT_MOST_NS if self._dirty else WRITE_EVERY_NS):
            return
        self._written_at, self._dirty = reading.mono, False
        text = json.dumps(self.as_json(reading), ensure_ascii=False).encode()
        try:
            self._replace(text)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error.strerror)

    def _replace(self, text: bytes) -> None:
        part = self._path.with_name(".status.json.part")
        blanks = BLANKS - len(text) % BLANKS + BLANKS
        try:
            part.write_bytes(text + b" " * blanks)
            part.replace(self._path)
        except OSError:
            part.unlink(missing_ok=True)
            with self._path.open("r+b") as file:
                file.write(text.ljust(self._path.stat().st_size))

    def as_json(self, reading: ClockReading) -> dict[str, Any]:
        """The content of status.json."""

        def when(at: MonoNs | None) -> str | None:
            return None if at is None else iso(reading.wall_at(at), self._zone)

        return {
            "version": __version__,
            "pid": os.getpid(),
            "at": when(reading.mono),
            "clock_synchronised": reading.synchronised,
            "lines": {
                name: {
                    "state": line.state,
                    "call_id": line.call_id,
                    "calls": line.calls,
                    "recorded": line.recorded,
                    "missed": line.missed,
                    "not_recorded": line.not_recorded,
                    "last_recording_at": when(line.last_recording_at),
                    "devices": self._devices(name),
                    "notices": line.notices,
                    "sound": None if line.sound is None else dict(line.sound),
                    "faults": line.all_faults(),
                }
                for name, line in self.lines.items()
            },
            "disk": None
            if self.disk is None
            else {
                "free_mb": self.disk.free_mb,
                "used_mb_per_day": self.disk.used_mb_per_day,
                "full_on": self.disk.full_on,
            },
            "alarms": self.alarms(),
            **self.extra,
        }


def _take_line_fact(line: LineStatus, fact: ev.Fact | ev.Input) -> None:  # noqa: C901, PLR0912, PLR0915  (one table)
    match fact:
        case ev.CallOffered():
            line.state, line.call_id = "ringing", fact.call_id
        case ev.CallAnswered() | ev.CallPlaced() | ev.CallFound() | ev.CallReopened():
            line.state, line.call_id = "talking", fact.call_id
            line.calls += 1
        case ev.CallEnded():
            line.state, line.call_id = "idle", None
        case ev.CallerIdClosureSeen():
            line.state, line.calls = "ringing", line.calls - 1
        case ev.RingingStopped(bursts=0):
            line.state, line.call_id = "idle", None
        case ev.CallMissed():
            line.state, line.call_id = "idle", None
            line.missed += 1
        case ev.CallNotRecorded():
            line.not_recorded += 1
        case ev.RecordingFiled():
            line.refused.pop(fact.call_id, None)
            if fact.segments:
                line.recorded += 1
                line.last_recording_at = fact.at
        case ev.WriteFailed():
            line.refused[fact.call_id] = fact.reason
        case ev.WriteResumed():
            line.refused.pop(fact.call_id, None)
        case ev.ModemSilent():
            line.devices["modem"] = fact.reason
        case ev.ModemReady():
            line.devices["modem"] = READY
        case heard.ListeningFailed():
            line.faults["listening"] = f"the line's sound could not be listened to: {fact.reason}"
        case heard.NoticeHeard():
            _take_verdict(line, fact)
        case heard.LineMeasured():
            line.sound = fact.measures
            line.faults.pop("listening", None)
            if fact.findings:
                line.faults["sound"] = "; ".join(fact.findings)
            elif fact.measures["seconds"] >= SOUND_JUDGED_S:
                line.faults.pop("sound", None)
        case ev.LineFaulted():
            line.faults[fact.fault] = fact.detail
        case ev.LineRestored():
            line.faults.pop(fact.fault, None)
        case ev.NoticeEnded():
            if fact.completed:
                line.faults.pop("announcement", None)
            elif fact.failed:
                line.faults["announcement"] = fact.reason or "not played"
        case _:
            pass


def _take_verdict(line: LineStatus, fact: heard.NoticeHeard) -> None:
    """An announcement that was played and not heard is an alarm, until one is heard again."""
    line.notices[fact.verdict] = line.notices.get(fact.verdict, 0) + 1
    if fact.verdict == "not-heard":
        line.faults["notice"] = (
            "the announcement was played and is not in the line's sound; callers may not have heard "
            "it: check announcement.output_device and its cable into the line"
        )
    elif fact.verdict == "heard":
        line.faults.pop("notice", None)
