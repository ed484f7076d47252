"""The log: one structured line a fact, on standard error or, under systemd, in the journal with fields.

`journalctl -u recorderd CALL_ID=…` finds all of one call, `LINE=front-desk` all of one line, `FACT=CallAnswered`
all of one kind, `-p warning` what is not as it should be.

Numbers and names, called or calling, do not go into the log; it is read by technicians, and kept elsewhere and
longer than the calls. The call record has them.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from recorderd import events as ev
from recorderd import heard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recorderd.units import ClockReading

log = logging.getLogger("recorderd.facts")

_WARNINGS = (
    ev.LineFaulted,
    ev.ModemSilent,
    ev.DriverLost,
    ev.WriteFailed,
    ev.StoreAlarm,
    ev.CallNotRecorded,
    heard.ListeningFailed,
    ev.CallersDisagree,
)

_MOMENTS = {"at", "ended_at", "heard_at"}


JOURNAL = "/run/systemd/journal/socket"

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
"""As syslog(3) counts them; what is more than an error is 2."""


def set_up_logging() -> None:
    """Log to the journal where standard error leads there, else to standard error."""
    handler = JournalHandler(JOURNAL) if _stderr_is_journal() else logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _stderr_is_journal() -> bool:
    """systemd.exec(5): $JOURNAL_STREAM names the stream that a service was given, by device and inode."""
    status = os.fstat(2)
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournalHandler(logging.StreamHandler[Any]):
    """One entry of the journal for each record; a journal that does not take it has it on its stream.

    A record's `fields` become fields of the entry. The form is systemd's native journal protocol.
    """

    def __init__(self, path: str) -> None:
        super().__init__(sys.stderr)
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        # The control thread logs too: it must not wait for a journal that is busy with its disk.
        self._socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        fields = {
            "MESSAGE": self.format(record),
            "PRIORITY": str(_PRIORITIES.get(record.levelno, 2)),
            "SYSLOG_IDENTIFIER": "recorderd",
            **getattr(record, "fields", {}),
        }
        try:
            self._socket.sendto(_entry(fields), self._path)
        except OSError:
            super().emit(record)


def _entry(fields: Mapping[str, str]) -> bytes:
    """Each field in the form for values of any content: name, line end, length, value, line end."""
    parts = []
    for name, value in fields.items():
        data = value.encode(errors="replace")
        parts.append(b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data))
    return b"".join(parts)


def log_fact(fact: ev.Fact | ev.Input, reading: ClockReading) -> None:
    """Write one fact as `Name key=value …`; times as UTC seconds since 1970."""
    level = logging.WARNING if isinstance(fact, _WARNINGS) else logging.INFO
    if log.isEnabledFor(level):
        log.log(level, "%s", fact_line(fact, reading), extra={"fields": _fields(fact)})


def _fields(fact: ev.Fact | ev.Input) -> dict[str, str]:
    """What a technician looks for by itself."""
    found = {"FACT": type(fact).__name__}
    for name in ("line", "call_id"):
        value = getattr(fact, name, None)
        if value is not None:
            found[name.upper()] = str(value)
    return found


def fact_line(fact: ev.Fact | ev.Input, reading: ClockReading) -> str:
    """The text of one fact."""
    words = [type(fact).__name__]
    for field in dataclasses.fields(fact):
        value = getattr(fact, field.name)
        if field.name in _MOMENTS and value is not None:
            value = f"{reading.wall_at(value) / 1e9:.3f}"
        if field.name == "digit":  # of a number that is dialled
            value = "*"
        words.append(f"{field.name}={_shown(value)}")
    return " ".join(words)


def _shown(value: Any) -> str:
    if isinstance(value, ev.Caller):
        return value.absence or ("number" if value.number else "unknown")
    text = str(value)
    return repr(text) if " " in text or "\n" in text or not text else text
