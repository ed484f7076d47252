"""Calls that are over and wait for an answer before they are filed: how their announcement ended, or
whether it was heard. No answer is waited for longer than said, and none keeps another call waiting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recorderd.units import NS_PER_S, MonoNs, later

if TYPE_CHECKING:
    from recorderd.core.livecall import LiveCall

NOTICE_ANSWER_NS = 2 * NS_PER_S
"""A card answers every announcement; one that has not by then will not."""

VERDICT_NS = 4 * NS_PER_S
"""The line's sound is listened to once a second, and to half a second after the announcement's end."""


@dataclass(slots=True)
class _Closing:
    call: LiveCall
    until: MonoNs


class Closings:
    """By call id, in the order in which they ended."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Closing] = {}

    def add(self, call: LiveCall, now: MonoNs) -> None:
        """A call that waits from `now` on for what is pending of it."""
        patience_ns = NOTICE_ANSWER_NS if call.notice_pending else VERDICT_NS
        self._waiting[call.id] = _Closing(call, later(now, patience_ns))

    def find(self, call_id: str) -> LiveCall | None:
        """The call, where it waits."""
        closing = self._waiting.get(call_id)
        return None if closing is None else closing.call

    def take(self, call_id: str) -> LiveCall | None:
        """The call of which the answer has come."""
        closing = self._waiting.pop(call_id, None)
        return None if closing is None else closing.call

    def deadline(self) -> MonoNs | None:
        return min((closing.until for closing in self._waiting.values()), default=None)

    def take_due(self, at: MonoNs) -> list[LiveCall]:
        """Those of which no answer came in time."""
        due = [call_id for call_id, closing in self._waiting.items() if closing.until <= at]
        return [self._waiting.pop(call_id).call for call_id in due]

    def take_all(self) -> list[LiveCall]:
        calls = [closing.call for closing in self._waiting.values()]
        self._waiting.clear()
        return calls
