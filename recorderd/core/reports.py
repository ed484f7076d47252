"""Two witnesses of one caller-ID burst: the modem, and the line's sound.

Both send a report of their own, the modem when the burst is over or some seconds later. Reports of
different sources that lie so near to each other speak of the same burst, whatever they say: one
source never turns the other's caller into another call.

Where they agree, the first one is the call's caller, or the one that knows a name. Where they do
not, both are kept, and the line's sound is what shows: its frame's checksum was looked at here, while
a modem's print has gone through firmware that cuts numbers short and loses bytes of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.core.numbers import dialable
from recorderd.units import NS_PER_S, later

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recorderd.core.closure import ClosureDoubt
    from recorderd.core.livecall import LiveCall
    from recorderd.events import Caller, CallerIdReported

LATE_ID_NS = 6 * NS_PER_S
"""One ringing cycle. The data burst lies before the answer and lasts under a second; modems print
it when it is over. A longer wait would let a call-waiting report pass for the caller."""


def differ(one: Caller, other: Caller) -> bool:
    """Whether two reports cannot both be right. One that knows nothing contradicts nobody."""
    if not (_knows(one) and _knows(other)):
        return False
    return (_number(one), one.absence) != (_number(other), other.absence)


def of_same_burst(reports: Iterable[CallerIdReported], event: CallerIdReported) -> Caller | None:
    """The caller that the other source reported of the burst that `event` speaks of."""
    for report in reports:
        is_other = report.caller.source != event.caller.source
        if is_other and abs(report.at - event.at) <= LATE_ID_NS:
            return report.caller
    return None


def shown(known: Caller, other: Caller) -> Caller:
    """Which of two reports of one burst shows, `known` having come first."""
    if not _knows(known) or not _knows(other):
        return known if _knows(known) else other
    if differ(known, other):
        return other if other.source == "line-audio" else known
    return other if known.name is None and other.name is not None else known


def is_another(call: LiveCall, event: CallerIdReported) -> bool:
    """Whether a report speaks of another call than the one that is offered."""
    if call.caller is None or of_same_burst(call.reports, event) is not None:
        return False
    return differ(call.caller, event.caller)


def may_be_callers(call: LiveCall, event: CallerIdReported, doubt: ClosureDoubt | None) -> bool:
    """Whether a report that comes while somebody talks was sent before the answer."""
    assert call.answered_at is not None
    if call.caller is not None or call.dialled or call.found:
        return False
    if event.caller.source == "line-audio":  # it tells the place exactly
        in_closure = doubt is not None and event.at <= doubt.until
        return event.at <= call.answered_at or in_closure
    is_judged = doubt is not None and doubt.judged_at is not None
    return is_judged or event.at <= later(call.answered_at, LATE_ID_NS)


def _knows(caller: Caller) -> bool:
    return caller.number is not None or caller.absence is not None


def _number(caller: Caller) -> str | None:
    return None if caller.number is None else dialable(caller.number)
