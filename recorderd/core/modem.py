"""The caller-ID modem of one line: its dialogue, its health and its reports. No input or output.

Theory of operation. Three things run side by side over the same bytes.

Reports: each line is read in every known dialect (modem_text.py) and put together with the others
of its report (modem_report.py). A report goes out when a ring or its own end mark comes, or
REPORT_GAP after its last line. This works in every phase, whatever the modem answers otherwise.

The dialogue has one command under way at a time, and these phases:

    LOST    the port is not open                 DriverReady -> SETUP
    SETUP   the script of modem_script.py runs   its end -> READY, or SILENT where all was refused
    READY   caller ID is on; probed when idle    caller ID found off -> SETUP
    SILENT  not usable; waits, longer each time  the wait is over -> SETUP
    BOX     never answered AT, but reports       (left as READY is, by rings without caller ID)

From any phase DriverLost leads to LOST, and DriverReady to SETUP. In SETUP and READY three
commands in a row without an answer lead to SILENT, or to BOX where reports came all the same;
after that silence the first report leads to BOX too, unless the device did answer AT before.
Nothing is written from a ring or a report line until the line has been quiet for QUIET, for a
modem that is spoken to drops the message that it is receiving; a command that was under way then
is given up and written again after it. An answer that comes when no command is under way, or
after the echo of another command, answers nothing; after a command without answer the next waits
for GUARD, so that a late answer falls into that time.

Health: rings are counted from the modem's own RING and from the ring sensor. When calls with two
rings or more (a message may be cut off by an answer before that) came again and again without any
report, the modem is set up anew.

Deadlines are compared with the times of the events, whatever the event: a TimePassed that comes
when nothing is due changes nothing.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from recorderd import commands
from recorderd import events as ev
from recorderd.core.backoff import Backoff
from recorderd.core.modem_report import ReportBuilder
from recorderd.core.modem_script import ATTENTION, QUERIES, Reply, SetUp, set_up
from recorderd.core.modem_text import LineCutter, TextLine, fields_of
from recorderd.units import MonoNs, later, ms, seconds

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

REPORT_GAP_NS = ms(600)
"""Lines of one report follow each other at once, or, in modems that print while they receive, as
fast as 1200 bit/s bring them (20 characters: 170 ms). Two reports are seconds apart."""

QUIET_NS = seconds(10)
"""Longer than any pause between two rings, or between a report and the ring after it."""

REPLY_NS = seconds(3)
GUARD_NS = seconds(2)
COMMAND_GAP_NS = ms(100)
"""Older modems lose what comes sooner after their answer."""

PROBE_NS = seconds(60)
UNANSWERED_LIMIT = 3

RINGS_WITH_REPORT = 2
UNIDENTIFIED_LIMIT = 3
UNIDENTIFIED_LIMIT_MAX = 48
"""The limit doubles up to here: a line without the service must not raise an alarm a day."""

REPLY_LINES = 8

_RESULT = re.compile(r"(OK)|ERROR|\+CM[ES] ERROR.*|COMMAND NOT SUPPORT(ED)?")
_ECHO = re.compile(r"AT\S*")

Output: TypeAlias = ev.ModemFact | commands.WriteModem


class _Phase(Enum):
    LOST = auto()
    SETUP = auto()
    READY = auto()
    SILENT = auto()
    BOX = auto()


class ModemMachine:
    """Takes the port's events, the ring sensor's facts and TimePassed; see above.

    `country` (ISO 3166 alpha-2) chooses the standard of caller ID in modems that know several.
    """

    def __init__(self, line: str, country: str = "") -> None:
        self._line = line
        self._country = country
        self._out: list[Output] = []
        self._cutter = LineCutter()
        self._report = ReportBuilder(line)
        self._report_due: MonoNs | None = None

        self._phase = _Phase.LOST
        self._script: Generator[str, Reply, SetUp] = set_up(country)
        self._next_command = ""
        self._act_due: MonoNs | None = None
        self._command: str | None = None  # the one under way
        self._reply_due: MonoNs | None = None
        self._reply_lines: list[str] = []
        self._echo = ""  # the last one since the last answer
        self._unanswered = 0
        self._backoff = Backoff()
        self._silent_reason: str | None = None

        self._answers_at = False  # each of these four: since the port was opened
        self._has_reported = False  # this one also since it was last distrusted
        self._has_spoken = False
        self._is_given_up = False  # it never answered: the next report shows it to be a box

        self._quiet_due: MonoNs | None = None
        self._is_ringing = False  # by the sensor
        self._bursts = 0  # by the sensor, of this call
        self._rings = 0  # by the modem, of this call
        self._reports = 0  # of this call
        self._unidentified = 0
        self._unidentified_limit = UNIDENTIFIED_LIMIT

    def handle(self, event: ev.Input | ev.LineFact) -> list[Output]:
        """What follows from one event, in order; events of no concern here are left alone."""
        self._out = []
        self._expire(event.at)
        match event:
            case ev.ModemBytes():
                self._bytes_came(event)
            case ev.DriverReady(kind="modem"):
                self._port_opened(event.at)
            case ev.DriverLost(kind="modem"):
                self._port_lost(event)
            case ev.RingingStarted():
                self._is_ringing = True
                self._keep_quiet(event.at)
            case ev.RingingStopped():
                self._ringing_stopped(event)
            case _:
                pass
        return self._out

    def deadline(self) -> MonoNs | None:
        """When a TimePassed is needed next."""
        act_due = self._act_due if self._quiet_due is None else None
        times = (self._report_due, self._quiet_due, self._reply_due, act_due)
        return min((at for at in times if at is not None), default=None)

    def _expire(self, at: MonoNs) -> None:
        if _is_due(self._report_due, at):
            self._close_report(at)
        if _is_due(self._quiet_due, at):
            self._quiet_due = None
            if not self._is_ringing:
                self._call_over(at)
        if _is_due(self._reply_due, at):
            self._command_ended(at, None)
        if _is_due(self._act_due, at) and self._quiet_due is None:
            self._act(at)

    # ------------------------------------------------------------ the port

    def _port_opened(self, at: MonoNs) -> None:
        self._forget_stream(at)
        self._answers_at = self._has_reported = self._has_spoken = self._is_given_up = False
        self._backoff.reset()
        self._start_setup(at)

    def _port_lost(self, event: ev.DriverLost) -> None:
        self._forget_stream(event.at)
        self._phase, self._act_due = _Phase.LOST, None
        self._drop_command()
        self._say_silent(event.at, event.reason)

    def _forget_stream(self, at: MonoNs) -> None:
        """Whole lines of a report still count; half a line could be half a number."""
        self._close_report(at)
        self._cutter.reset()

    def _bytes_came(self, event: ev.ModemBytes) -> None:
        self._has_spoken = True
        for line in self._cutter.feed(event.at, event.data):
            self._line_came(event.at, line)

    def _line_came(self, at: MonoNs, line: TextLine) -> None:
        fields = fields_of(line)
        if fields and not (fields[0].tag == "digits" and self._answers_at):
            self._keep_quiet(at)
            self._tell(at, self._report.take(line, fields))
            self._report_due = later(at, REPORT_GAP_NS) if self._report.is_open else None
        else:
            self._answer_came(at, line.text.strip())

    # ------------------------------------------------------------ reports

    def _close_report(self, at: MonoNs) -> None:
        self._report_due = None
        self._tell(at, self._report.close())

    def _tell(self, at: MonoNs, facts: Iterable[ev.ModemFact]) -> None:
        for fact in facts:
            self._out.append(fact)
            self._heard(at)
            if isinstance(fact, ev.ModemRang):
                self._rings += 1
            else:
                self._reports += 1
                self._has_reported = True
                if self._is_given_up:
                    self._be_box(at)

    # ------------------------------------------------------------ calls without caller ID

    def _keep_quiet(self, at: MonoNs) -> None:
        """Something is going on on the line: write nothing until QUIET after it."""
        quiet_due = later(at, QUIET_NS)
        self._quiet_due = max(quiet_due, self._quiet_due or quiet_due)
        if self._command is not None:
            self._drop_command()
            self._act_due = at

    def _ringing_stopped(self, event: ev.RingingStopped) -> None:
        self._is_ringing = False
        self._bursts += event.bursts
        if self._quiet_due is None:
            self._call_over(event.at)

    def _call_over(self, at: MonoNs) -> None:
        rings, reports = max(self._rings, self._bursts), self._reports
        self._rings = self._bursts = self._reports = 0
        if reports:
            self._unidentified, self._unidentified_limit = 0, UNIDENTIFIED_LIMIT
        elif rings >= RINGS_WITH_REPORT and self._phase in {_Phase.READY, _Phase.BOX}:
            self._unidentified += 1
            if self._unidentified >= self._unidentified_limit:
                self._distrust(at)

    def _distrust(self, at: MonoNs) -> None:
        self._say_silent(
            at,
            f"the last {self._unidentified} calls on line '{self._line}' rang without caller ID: "
            "the modem is set up again; if this goes on, ask the telephone company whether the "
            "line has caller ID, and check the cable from the modem to the line",
        )
        self._has_reported = False
        self._unidentified = 0
        self._unidentified_limit = min(2 * self._unidentified_limit, UNIDENTIFIED_LIMIT_MAX)
        self._start_setup(at)

    # ------------------------------------------------------------ the dialogue

    def _start_setup(self, at: MonoNs) -> None:
        self._phase = _Phase.SETUP
        self._drop_command()
        self._unanswered = 0
        self._script = set_up(self._country)
        self._next_command = next(self._script)
        self._act_due = at

    def _act(self, at: MonoNs) -> None:
        if self._phase is _Phase.SILENT:
            self._start_setup(at)
        self._act_due = None
        self._command, self._reply_due = self._next_command, later(at, REPLY_NS)
        self._out.append(commands.WriteModem(self._line, f"{self._command}\r".encode("ascii")))

    def _answer_came(self, at: MonoNs, text: str) -> None:
        result = _RESULT.fullmatch(text)
        if result is not None:
            self._heard(at)
            is_ours = self._echo in {"", self._command}
            self._echo = ""
            if self._command is not None and is_ours:
                self._answers_at, self._is_given_up = True, False
                self._command_ended(at, "OK" if result[1] else "ERROR")
        elif _ECHO.fullmatch(text):
            self._echo = text
        elif self._command is not None and len(self._reply_lines) < REPLY_LINES:
            self._reply_lines.append(text)

    def _command_ended(self, at: MonoNs, result: str | None) -> None:
        reply = Reply(result, tuple(self._reply_lines))
        self._drop_command()
        self._unanswered = 0 if result else self._unanswered + 1
        if self._unanswered >= UNANSWERED_LIMIT:
            self._give_up(at)
            return
        self._act_due = later(at, COMMAND_GAP_NS if result else GUARD_NS)
        if self._phase is _Phase.SETUP:
            self._go_on(at, reply)
        else:
            self._probed(at, reply)

    def _go_on(self, at: MonoNs, reply: Reply) -> None:
        try:
            self._next_command = self._script.send(reply)
        except StopIteration as end:
            self._set_up_ended(at, end.value)

    def _set_up_ended(self, at: MonoNs, found: SetUp) -> None:
        if found.caller_id_command is None:
            self._wait_silent(
                at,
                f"the modem on line '{self._line}' ({found.identity or 'of unknown make'}) refuses "
                "every command that turns caller ID on: use a modem with caller ID",
            )
            return
        self._next_command = QUERIES.get(found.caller_id_command, ATTENTION)
        self._be_ready(at, _Phase.READY, found.identity, found.caller_id_command)
        self._act_due = later(at, PROBE_NS)

    def _probed(self, at: MonoNs, reply: Reply) -> None:
        if reply.says_off:
            self._start_setup(later(at, COMMAND_GAP_NS))
            return
        if reply.result == "ERROR":
            self._next_command = ATTENTION  # it cannot be asked for its caller ID
        if reply.result is not None:
            self._act_due = later(at, PROBE_NS)

    def _heard(self, at: MonoNs) -> None:
        """A line that only a working modem sends."""
        self._unanswered = 0
        if self._phase is _Phase.READY and self._command is None:
            self._act_due = later(at, PROBE_NS)

    def _drop_command(self) -> None:
        self._command, self._reply_due, self._reply_lines = None, None, []

    # ------------------------------------------------------------ health

    def _give_up(self, at: MonoNs) -> None:
        if self._has_reported and not self._answers_at:
            self._be_box(at)
            return
        self._is_given_up = not self._answers_at
        if self._has_spoken and not self._answers_at:
            self._wait_silent(
                at,
                f"what is on the port of line '{self._line}' sends bytes but does not answer AT: "
                "check that this is the modem's port, and its baud rate (a caller-ID box that "
                "only reports is taken as such from its first report on)",
            )
        else:
            self._wait_silent(
                at,
                f"the modem on line '{self._line}' does not answer: check its power and its "
                "cable, or unplug it and plug it in again",
            )

    def _wait_silent(self, at: MonoNs, reason: str) -> None:
        self._phase = _Phase.SILENT
        self._act_due = later(at, self._backoff.next_ns())
        self._say_silent(at, reason)

    def _say_silent(self, at: MonoNs, reason: str) -> None:
        if reason != self._silent_reason:
            self._silent_reason = reason
            self._out.append(ev.ModemSilent(at, self._line, reason))

    def _be_box(self, at: MonoNs) -> None:
        self._drop_command()
        self._act_due, self._is_given_up = None, False
        self._be_ready(at, _Phase.BOX, "", "")

    def _be_ready(self, at: MonoNs, phase: _Phase, identity: str, command: str) -> None:
        self._phase = phase
        self._silent_reason = None
        self._unanswered = 0
        self._backoff.reset()
        self._out.append(ev.ModemReady(at, self._line, identity, command))


def _is_due(due: MonoNs | None, at: MonoNs) -> bool:
    return due is not None and at >= due
