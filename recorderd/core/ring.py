"""The ring detector's edges read into bursts and ringing.

Theory of operation
-------------------
A detector follows the 15 to 25 Hz ringing current once a cycle (half-wave), twice (full-wave), or
gives its envelope, two edges a burst. All three are read alike: a burst lasts as long as edges
come closer than `ring_burst_gap_ms` or the level stays active. An edge counts whatever its level,
for a late reading may see the level after the next edge. A burst shorter than `ring_burst_min_ms`
is noise of the line: a polarity reversal, somebody hanging up.

::

    quiet --edge--> burst --long enough--> ringing: burst, pause, burst, pause ... --> stopped

Ringing starts with the first edge of its first burst, stops `ring_stopped_ms` after its last, and
ends without a word when the phone goes off-hook. An exchange never rings a closed loop,
so edges are dropped while the loop is closed (dial pulses and lifts make some); in a break, which
may turn out to be a hang-up, a burst is followed but told only after the hang-up is.

A burst of more than ten seconds, or edges that no ringing current makes, are a fault. It
ends when the pin has been inactive and still for five seconds.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from recorderd.core.hook import CALM_NS, RateLimit
from recorderd.events import (
    LineFact,
    LineFaulted,
    LineRestored,
    RingBurstEnded,
    RingingStarted,
    RingingStopped,
)
from recorderd.units import MonoNs, later, ms, seconds

if TYPE_CHECKING:
    from recorderd.core.profile import Profile

# The longest burst of the cadences we know is 2 s (North America); mains hum on the pin and
# a wrong `active` level go on for ever.
BURST_MAX_NS = seconds(10)
# A full-wave detector makes 100 edges a second at 25 Hz; four times that allows for bounce.
EDGES_MAX = 400
EDGES_NS = seconds(1)


class Loop(Enum):
    """The hook as the ring detector's edges must be read by it."""

    OPEN = auto()
    LIFTING = auto()  # perhaps an answer: ringing must not be called stopped just now
    CLOSED = auto()
    BREAK = auto()  # open, but perhaps only for a pulse or flash


class RingReader:
    """The ring part of a line. Calls must come in time order; `due` says when `expire` is."""

    def __init__(self, line: str, profile: Profile) -> None:
        self._line = line
        self._gap_ns = ms(profile.ring_burst_gap_ms)
        self._burst_min_ns = ms(profile.ring_burst_min_ms)
        self._stopped_ns = ms(profile.ring_stopped_ms)
        self._loop = Loop.OPEN
        self._is_active = False
        self._is_faulted = False
        self._is_ringing = False
        self._last_edge_at = MonoNs(0)
        self._burst_at: MonoNs | None = None  # first edge of the burst that goes on
        self._burst_is_told = False  # long enough, and so part of the ringing
        self._bursts = 0
        self._burst_ended_at = MonoNs(0)
        self._edges = RateLimit(EDGES_MAX, EDGES_NS)

    @property
    def in_burst(self) -> bool:
        return self._burst_at is not None

    # ------------------------------------------------------------ what comes in

    def edge(self, at: MonoNs, *, active: bool) -> list[LineFact]:
        """A raw edge of the ring pin."""
        self._is_active = active
        self._last_edge_at = at
        if self._is_faulted:
            return []
        if self._edges.is_reached(at):
            return self._fault(at, "too many edges in 1 s; check the ring detector and its wiring")
        if self._loop is Loop.CLOSED:
            return []
        if self._burst_at is None:
            self._burst_at = at
        elif at - self._burst_at >= self._burst_min_ns:
            return self._tell_burst()
        return []

    def lost(self, at: MonoNs, count: int) -> list[LineFact]:
        """The driver saw more edges than it could post."""
        self._last_edge_at = at
        if self._is_faulted:
            return []
        return self._fault(at, f"{count} edges in a burst; check the ring detector and its wiring")

    def loop_is(self, loop: Loop) -> None:
        """The hook moved: a closed loop cannot ring."""
        self._loop = loop
        if loop is Loop.CLOSED:
            self._burst_at = None
            self._burst_is_told = False

    def answer(self) -> list[LineFact]:
        """The phone went off-hook: ringing is over; the burst that it cut is told."""
        facts = self._end_burst()
        self._is_ringing = False
        self._bursts = 0
        return facts

    # ------------------------------------------------------------ time

    def due(self) -> MonoNs | None:
        """When `expire` must be called next, if nothing comes before."""
        if self._is_faulted:
            return None if self._is_active else later(self._last_edge_at, CALM_NS)
        if self._burst_at is not None:
            return self._burst_due(self._burst_at)
        if self._is_ringing and self._loop is not Loop.LIFTING:
            return later(self._burst_ended_at, self._stopped_ns)
        return None

    def _burst_due(self, burst_at: MonoNs) -> MonoNs:
        if not self._is_active:
            return later(self._last_edge_at, self._gap_ns)
        if self._burst_is_told or self._loop is Loop.BREAK:
            return later(burst_at, BURST_MAX_NS)
        return later(burst_at, self._burst_min_ns)

    def expire(self, at: MonoNs) -> list[LineFact]:
        """What `due` announced has come."""
        if self._is_faulted:
            return self._restore(at)
        if self._burst_at is None:
            return self._stop_ringing()
        if at - self._burst_at >= BURST_MAX_NS:
            return self._fault(
                at, "active for 10 s; check the ring detector, and `active` of [line.ring]"
            )
        if self._is_active:
            return self._tell_burst()
        return self._end_burst()

    # ------------------------------------------------------------ steps

    def _tell_burst(self) -> list[LineFact]:
        burst_at = self._burst_at
        if burst_at is None or self._burst_is_told or self._loop is Loop.BREAK:
            return []
        self._burst_is_told = True
        if self._is_ringing:
            return []
        self._is_ringing = True
        self._bursts = 0
        return [RingingStarted(burst_at, self._line)]

    def _end_burst(self) -> list[LineFact]:
        burst_at, self._burst_at = self._burst_at, None
        was_told, self._burst_is_told = self._burst_is_told, False
        if burst_at is None or not was_told:
            return []
        self._bursts += 1
        self._burst_ended_at = self._last_edge_at
        return [RingBurstEnded(self._last_edge_at, self._line, burst_at)]

    def _stop_ringing(self) -> list[LineFact]:
        self._is_ringing = False
        return [RingingStopped(self._burst_ended_at, self._line, self._bursts)]

    # ------------------------------------------------------------ faults

    def _fault(self, at: MonoNs, detail: str) -> list[LineFact]:
        self._is_faulted = True
        self._edges.clear()
        facts: list[LineFact] = [LineFaulted(at, self._line, "ring-chatter", detail)]
        if self._is_ringing:
            self._is_ringing = False
            ended_at = self._burst_ended_at if self._bursts else at
            facts.append(RingingStopped(ended_at, self._line, self._bursts))
        self._burst_at = None
        self._burst_is_told = False
        return facts

    def _restore(self, at: MonoNs) -> list[LineFact]:
        self._is_faulted = False
        return [LineRestored(at, self._line, "ring-chatter")]
