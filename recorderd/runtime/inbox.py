"""The control thread's mailbox in real time."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING

from recorderd.errors import RecorderdError
from recorderd.units import NS_PER_S

if TYPE_CHECKING:
    from recorderd.events import Input
    from recorderd.units import MonoNs

INBOX_EVENTS_MAX = 10_000
"""Drivers gate their floods at some tens of events a second; so many waiting means that the control
thread stands still, and going on would be guessing."""


class InboxFullError(RecorderdError):
    """The control thread fell behind beyond repair: seal and leave; the service manager restarts."""


class ThreadInbox:
    """Implements ports.Inbox over a bounded queue."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Input] = queue.Queue(INBOX_EVENTS_MAX)
        self._is_full = False

    def post(self, event: Input) -> None:
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self._is_full = True

    def wait(self, until: MonoNs) -> Input | None:
        if self._is_full:
            raise InboxFullError(
                f"more than {INBOX_EVENTS_MAX} events wait for the control thread; restarting"
            )
        return next_event(self._queue, until)


def next_event(events: queue.Queue[Input], until: MonoNs) -> Input | None:
    """The next event, waited for until then; None where none came."""
    wait_ns = until - time.monotonic_ns()
    try:
        if wait_ns <= 0:
            return events.get_nowait()
        return events.get(timeout=wait_ns / NS_PER_S)
    except queue.Empty:
        return None
