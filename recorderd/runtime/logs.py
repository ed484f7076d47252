"""The log: one structured line a fact, on standard error, where the service manager keeps it.

Callers' numbers and names do not go into the log; it is read by technicians, and kept elsewhere and
longer than the calls. The call record has them.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
from typing import TYPE_CHECKING, Any

from recorderd import events as ev
from recorderd import heard

if TYPE_CHECKING:
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


def set_up_logging() -> None:
    """Log to standard error; the service manager adds the time."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def log_fact(fact: ev.Fact | ev.Input, reading: ClockReading) -> None:
    """Write one fact as `Name key=value …`; times as UTC seconds since 1970."""
    level = logging.WARNING if isinstance(fact, _WARNINGS) else logging.INFO
    if log.isEnabledFor(level):
        log.log(level, "%s", fact_line(fact, reading))


def fact_line(fact: ev.Fact | ev.Input, reading: ClockReading) -> str:
    """The text of one fact."""
    words = [type(fact).__name__]
    for field in dataclasses.fields(fact):
        value = getattr(fact, field.name)
        if field.name in _MOMENTS and value is not None:
            value = f"{reading.wall_at(value) / 1e9:.3f}"
        words.append(f"{field.name}={_shown(value)}")
    return " ".join(words)


def _shown(value: Any) -> str:
    if isinstance(value, ev.Caller):
        return value.absence or ("number" if value.number else "unknown")
    text = str(value)
    return repr(text) if " " in text or "\n" in text or not text else text
