"""One telephone line: what its hook and ring pins do, read into facts.

Theory of operation
-------------------
The line is two readers, `HookReader` (core/hook.py) and `RingReader` (core/ring.py), and this
machine keeps their time and tells each what it must know of the other: the ring reader
whether the loop is closed, the hook reader whether it rings. Going off-hook ends ringing: the burst
that it cut is told by RingBurstEnded, and no RingingStopped follows.

Time comes in on events only. An edge first lets everything fall due that was due before it, so the
facts depend on the edges' own stamps and not on how often the machine is asked. Edges reach the
machine a little after they happened, so time that merely passed is believed `LATE_EDGE_NS` late:
an edge that was on its way is then still in time. An edge that comes even later is read as if it
happened now.

Faults: "hook-chatter" and "ring-chatter", each reported once and restored once. "no-line" is never
reported here: with one hook and one ring contact a dead line looks like an idle one (a current
sensor) or like a phone left off the hook (a voltage sensor). A sensor with a contact of its own for
line voltage would be needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from recorderd.core.hook import HookReader, State
from recorderd.core.ring import Loop, RingReader
from recorderd.events import (
    EdgesLost,
    HookEdge,
    LineFact,
    RingEdge,
    TimePassed,
    WentOffHook,
)
from recorderd.units import MonoNs, later, ms

if TYPE_CHECKING:
    from recorderd.core.profile import Profile

# From edge to machine: kernel, driver thread, inbox. A busy single-core board may take 20 ms.
LATE_EDGE_NS = ms(50)

_LOOPS = {
    State.ON_HOOK: Loop.OPEN,
    State.LIFTING: Loop.LIFTING,
    State.OFF_HOOK: Loop.CLOSED,
    State.BREAK: Loop.BREAK,
}


class LineMachine:
    """Hook and ring of one line. `hang_up_ms` replaces the country's where it is given."""

    def __init__(self, line: str, profile: Profile, hang_up_ms: int | None) -> None:
        if hang_up_ms is None:
            hang_up_ms = profile.hang_up_ms
        self._hook = HookReader(line, profile, hang_up_ms)
        self._ring = RingReader(line, profile)
        self._now = MonoNs(0)

    @property
    def is_off_hook(self) -> bool:
        """As far as is decided: a lift that may still be ringing current, or a flash, is not."""
        return self._hook.state in {State.OFF_HOOK, State.BREAK}

    def handle(self, event: HookEdge | RingEdge | EdgesLost | TimePassed) -> list[LineFact]:
        """The facts that `event`, or the time up to it, decides, in the order they are decided."""
        if isinstance(event, TimePassed):
            return self._advance(later(event.at, -LATE_EDGE_NS))
        at = max(event.at, self._now)
        return self._advance(at) + self._take(event, at)

    def deadline(self) -> MonoNs | None:
        """When a TimePassed is needed next, if nothing else comes."""
        due = self._due()
        return None if due is None else later(due, LATE_EDGE_NS)

    def _take(self, event: HookEdge | RingEdge | EdgesLost, at: MonoNs) -> list[LineFact]:
        match event:
            case HookEdge():
                return self._hook_did(
                    self._hook.edge(
                        at,
                        off_hook=event.off_hook,
                        at_start=event.at_start,
                        ringing=self._ring.in_burst,
                    )
                )
            case RingEdge():
                return self._ring.edge(at, active=event.active)
            case EdgesLost(sensor="hook"):
                return self._hook_did(self._hook.lost(at, event.count))
            case EdgesLost():
                return self._ring.lost(at, event.count)
            case _:
                assert_never(event)

    def _advance(self, until: MonoNs) -> list[LineFact]:
        facts: list[LineFact] = []
        while (due := self._due()) is not None and due <= until:
            self._now = max(self._now, due)
            if due == self._hook.due():
                facts += self._hook_did(self._hook.expire(due))
            else:
                facts += self._ring.expire(due)
        self._now = max(self._now, until)
        return facts

    def _due(self) -> MonoNs | None:
        dues = [due for due in (self._hook.due(), self._ring.due()) if due is not None]
        return min(dues, default=None)

    def _hook_did(self, facts: list[LineFact]) -> list[LineFact]:
        if any(isinstance(fact, WentOffHook) for fact in facts):
            facts = self._ring.answer() + facts
        self._ring.loop_is(_LOOPS[self._hook.state])
        return facts
