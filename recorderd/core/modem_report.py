"""One caller-ID report put together from the lines that a modem prints for it.

Theory of operation. The lines of a report come in any order, any of them may be missing, and
nothing marks the last one. A report therefore ends when a ring comes, when the device says so,
when a second date begins another report, or when the modem has been quiet for a moment; the
machine in modem.py closes it for that. A name that comes after the end is dropped, because the
only other place for it would be somebody else's call: no report begins with a name soon after
another, and a name alone is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recorderd import events as ev
from recorderd.core.callerid import (
    CallerIdMessage,
    FrameError,
    absence_of,
    parse_parameter,
    parse_raw_report,
    who,
)
from recorderd.units import seconds

if TYPE_CHECKING:
    from recorderd.core.modem_text import Field, TextLine
    from recorderd.units import MonoNs

RAW_CHARACTERS = 1000
"""Of a report's own text that goes on record: several times the longest that is known."""


LATE_NAME_NS = seconds(10)
"""Longer than a message and its ring last; a name this soon after a report may still be of it."""


@dataclass(slots=True)
class _Report:
    """A report so far. None and the empty string differ: a field may come and be empty."""

    at: MonoNs
    raw: list[str] = field(default_factory=list)
    date: str | None = None
    time: str | None = None
    number: str | None = None
    name: str | None = None
    absence: ev.Absence | None = None
    call_back: str | None = None  # the number to call back, where there is no other
    message: str | None = None
    waiting: bool | None = None
    is_call: bool = True


class ReportBuilder:
    """Collects the lines of one report at a time."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._report: _Report | None = None
        self._last_line_at: MonoNs | None = None

    @property
    def is_open(self) -> bool:
        return self._report is not None

    def take(self, line: TextLine, fields: list[Field]) -> list[ev.ModemFact]:
        """Add one line; the facts are of the report that it ended, and of its ring."""
        facts: list[ev.ModemFact] = []
        for tag, value in fields:
            if tag == "end":
                facts += self.close()
            elif tag == "ring":
                facts += [*self.close(), ev.ModemRang(line.at, self._line)]
            elif tag != "alert" and not (tag == "name" and self._is_late(line.at)):
                if self._begins_another(tag, value):
                    facts += self.close()
                self._set(self._note(line), tag, value)
        return facts

    def close(self) -> list[ev.ModemFact]:
        """The report has ended: what it said."""
        report, self._report = self._report, None
        if report is None:
            return []
        facts: list[ev.ModemFact] = []
        if report.waiting is not None:
            facts.append(ev.MessageWaitingReported(report.at, self._line, report.waiting))
        caller = _caller(report)
        if caller is not None:
            facts.append(ev.CallerIdReported(report.at, self._line, caller))
        return facts

    def _begins_another(self, tag: str, value: str) -> bool:
        report = self._report
        if report is None:
            return False
        if tag == "message":
            return report.message != value
        return tag == "date" and report.date is not None

    def _is_late(self, at: MonoNs) -> bool:
        """Whether a name would begin a report while the last one may still lack it."""
        last_at = self._last_line_at
        return self._report is None and last_at is not None and at - last_at < LATE_NAME_NS

    def _note(self, line: TextLine) -> _Report:
        """The report that `line` belongs to, with the line's text in it once."""
        report = self._report
        if report is None:
            report = self._report = _Report(line.at)
        self._last_line_at = line.at
        text = line.text.strip()
        if text not in report.raw[-1:] and sum(map(len, report.raw)) < RAW_CHARACTERS:
            report.raw.append(text)
        return report

    @staticmethod
    def _set(report: _Report, tag: str, value: str) -> None:
        match tag:
            case "date":
                report.date = value
            case "time":
                report.time = report.time or value
            case "number" | "digits":
                _set_number(report, value)
            case "name":
                report.name = report.name or value
            case "reason":
                report.absence = absence_of(value) or "unavailable"
            case "lamp":
                report.waiting, report.is_call = value == "on", False
            case "parameter":
                _add_parameter(report, value)
            case "message":
                _add_message(report, value)


def _set_number(report: _Report, value: str) -> None:
    """The first number counts, save that a reason for absence after it hides it.

    Some exchanges send the number and then the caller's wish that it be kept back.
    """
    if not report.number or absence_of(value) is not None:
        report.number = value


def _add_parameter(report: _Report, hexadecimal: str) -> None:
    """A parameter that the modem did not understand; never a name, and never before a number."""
    try:
        message = parse_parameter(bytes.fromhex(hexadecimal))
    except (FrameError, ValueError):
        return  # some modems print words here, such as CALID_202 for a message that they missed
    _add_flags(report, message)
    report.call_back = report.call_back or message.number
    report.absence = report.absence or message.absence


def _add_message(report: _Report, hexadecimal: str) -> None:
    """A whole message; a damaged one adds nothing, so that it gives no caller."""
    report.message = hexadecimal
    try:
        message = parse_raw_report(bytes.fromhex(hexadecimal))
    except FrameError:
        return
    _add_flags(report, message)
    report.date, report.time = message.reported_date or "", message.reported_time
    report.number, report.name, report.absence = message.number, message.name, message.absence


def _add_flags(report: _Report, message: CallerIdMessage) -> None:
    report.is_call = report.is_call and message.is_call
    if message.message_waiting is not None:
        report.waiting = message.message_waiting


def _caller(report: _Report) -> ev.Caller | None:
    """Who called, where the report is of a call and of more than a name."""
    number, name, absence = who(
        report.number or report.call_back or "", report.name or "", report.absence
    )
    says_who = number is not None or absence is not None or report.number is not None
    says_when = report.date is not None or report.time is not None
    is_lamp_only = report.waiting is not None and not says_who
    if not report.is_call or is_lamp_only or not (says_who or says_when):
        return None
    return ev.Caller(
        number=number,
        name=name,
        absence=absence,
        source="modem",
        raw="\n".join(report.raw)[:RAW_CHARACTERS],
        reported_date=_month_and_day(report.date),
        reported_time=_digits(report.time),
    )


def _month_and_day(date: str | None) -> str | None:
    """MMDD of a date, which may lead with its year, in two figures or four."""
    digits = _digits(date)
    return digits[-4:] if digits is not None and len(digits) in {6, 8} else digits


def _digits(value: str | None) -> str | None:
    return re.sub(r"[^0-9]", "", value or "")[:8] or None
