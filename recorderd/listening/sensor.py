"""The hook of a line that has no sensor: it is on-hook until its sound says otherwise (listener.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.events import DriverReady, HookEdge

if TYPE_CHECKING:
    from recorderd.ports import Clock, Post


class VoiceSensor:
    """ports.HookSensor of a line whose calls are found by their sound."""

    def __init__(self, line: str, post: Post, clock: Clock) -> None:
        self._line = line
        self._post = post
        self._clock = clock

    def start(self) -> None:
        now = self._clock.now()
        self._post(DriverReady(now, "hook", self._line, "by the line's sound"))
        self._post(HookEdge(now, self._line, off_hook=False, at_start=True))

    def close(self) -> None:
        """There is nothing to let go of."""
