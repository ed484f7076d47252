"""The telephone exchange as a witness of the time: what its caller ID says, beside our own clock.

A caller-ID report carries the exchange's local date and minute (Bellcore GR-30 and ETSI EN 300
659-3, parameter 01: month, day, hour, minute; no year, no seconds). A box whose clock was set wrong
knows it no other way; but modems and PBXs also report dates of their own invention, so the
disagreement is told and nothing is corrected by it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recorderd.events import Caller

DOUBT_S = 600
"""Exchanges and PBXs are minutes off; a clock that was never set, or a wrong time zone, is hours."""

_HALF_MINUTE = timedelta(seconds=30)


def caller_id_offset_s(caller: Caller | None, ours: datetime) -> int | None:
    """By how many seconds the exchange's clock is ahead of `ours`, known to half a minute.

    `ours` is aware, in the time zone of the exchange. None where the report has no time, or one that
    cannot be; where it has no date, the nearest day is meant.
    """
    if caller is None or not caller.reported_time:
        return None
    said = [
        moment
        for day in _days(caller.reported_date, ours)
        if (moment := _moment(day, caller.reported_time)) is not None
    ]
    local = ours.replace(tzinfo=None)
    offsets = [round((moment + _HALF_MINUTE - local).total_seconds()) for moment in said]
    return min(offsets, key=abs, default=None)


def _days(date: str | None, ours: datetime) -> list[str]:
    """The days that may be meant, as YYYYMMDD: a report has no year, and sometimes no date."""
    if date:
        return [f"{ours.year + years}{date}" for years in (-1, 0, 1)]
    near = [ours.replace(tzinfo=None) + timedelta(days=days) for days in (-1, 0, 1)]
    return [f"{day:%Y%m%d}" for day in near]


def _moment(day: str, time: str) -> datetime | None:
    """Midnight may come as hour 24."""
    try:
        hours, minutes = divmod(int(time), 100)
        midnight = datetime.strptime(day, "%Y%m%d")  # noqa: DTZ007  (exchanges speak local time)
    except (ValueError, OverflowError):
        return None
    if len(time) != 4 or not 0 <= hours <= 24 or not 0 <= minutes < 60:
        return None
    return midnight + timedelta(hours=hours % 24, minutes=minutes)
