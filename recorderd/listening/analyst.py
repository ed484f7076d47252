"""Listens to all lines, on a worker of its own.

Nothing here may cost a recording. A line that cannot be listened to is told of, and listened to anew
with fresh ears; the recorder goes on, with no caller ID, digits and verdicts from its sound meanwhile.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from recorderd import events as ev
from recorderd import heard
from recorderd.listening.listener import Listener, Told
from recorderd.listening.orders import ListenTo, StopListening
from recorderd.units import NS_PER_S, later

if TYPE_CHECKING:
    from recorderd.ports import Clock, Post
    from recorderd.units import MonoNs

log = logging.getLogger(__name__)

TELL_EVERY_NS = 60 * NS_PER_S
"""What fails fails once a second, for weeks."""


class Analyst:
    """The listeners of all lines; `post` hands what they hear to the control thread."""

    rest_s = 1.0  # a digit or a tone is told within it

    def __init__(self, post: Post, clock: Clock) -> None:
        self._post = post
        self._clock = clock
        self._listeners: dict[str, Listener] = {}
        self._tell_at: dict[str, MonoNs] = {}  # lines whose listening failed

    def handle(self, command: object) -> None:
        """Take a line, let go of one, or hear of a line's call."""
        match command:
            case ListenTo(line, profile, card):
                self._listeners[line.name] = Listener(line, profile, card)
            case StopListening(line=name):
                self._listeners.pop(name, None)
            case _ if isinstance(command, Told) and command.line in self._listeners:
                self._listeners[command.line].handle(command)

    def pump(self) -> None:
        """Listen to what came since the last time."""
        for name, listener in self._listeners.items():
            for event in self._heard(name, listener):
                self._post(event)

    def _heard(self, name: str, listener: Listener) -> list[ev.Input]:
        try:
            return listener.listen()
        except Exception as error:  # whatever it is, the recording goes on
            self._listeners[name] = listener.fresh()
            over = listener.give_up()
            if self._is_told_lately(name):
                return over
            log.exception("%s: listening failed", name)
            return [heard.ListeningFailed(self._clock.now(), name, repr(error)), *over]

    def _is_told_lately(self, name: str) -> bool:
        """Whether this line's failure was told a short time ago; else it is told now."""
        now = self._clock.now()
        if now < self._tell_at.get(name, now):
            return True
        self._tell_at[name] = later(now, TELL_EVERY_NS)
        return False

    def pending(self) -> bool:
        """What is listened to comes at its own pace."""
        return False

    def must_finish(self) -> bool:
        """Nothing has to be finished before a stop."""
        return False

    def close(self) -> None:
        """What is not heard yet is not told any more."""
