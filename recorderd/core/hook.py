"""The hook sensor's edges read into off-hook, on-hook, flash and dial pulses.

Theory of operation
-------------------
Edges come raw. A `Debouncer` accepts a new level once it has held for `bounce_ms` and dates it by
the first edge of the bounce, so that durations stay true although decisions come late. The filter
has to stay short: at 20 pulses a second the loop is closed for as little as 13.9 ms between two
pulses (Japan: 事業用電気通信設備規則, annex 1: 20±1.6 pulses/s, make 30 to 36 %).

Accepted changes drive four states::

    ON_HOOK --closed--> LIFTING --steady--> OFF_HOOK --opened--> BREAK --hung up--> ON_HOOK
       ^                   |                    ^                  |
       +------opened-------+                    +-----closed-------+

LIFTING guards against ringing current, which makes a current sensor close for most of every half
cycle. The loop is believed closed only when no raw edge at all came for `off_hook_confirm_ms`,
which is longer than a whole cycle of the slowest ringing (15 Hz: 67 ms). Once off-hook, a break is
judged by its length: shorter than a dial pulse: noise; up to `pulse_max_ms`: a pulse; up to the
hang-up time: a flash; longer: a hang-up. Pulses at 7 to 25 a second are counted, and the digit
is reported when the loop then stays closed for `inter_digit_ms`. Pulses that run straight
into a hang-up are the rattle of a handset put down: the hang-up is dated by the first of them.

Edges that fit nothing are counted. Too many mean a fault, not calls: until the level has been
steady for five seconds no hook fact is reported, and a call that was going on stays as it is.
After that the level is believed again, dated by the last edge.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

from recorderd.events import (
    HookFlashed,
    LineFact,
    LineFaulted,
    LineRestored,
    PulseDialled,
    WentOffHook,
    WentOnHook,
)
from recorderd.units import MonoNs, later, ms, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.core.profile import Profile

# A break shorter than this is no dial pulse but a bad contact (DAHDI, dahdi/kernel.h: minimum
# pulse 15 ms); at a lift, an opening shorter than this still belongs to the lift.
PULSE_MIN_NS = ms(15)
# From pulse to pulse: 25 to 7 a second. The networks ask for 20±1.6 and 10±1 (Japan:
# 事業用電気通信設備規則, annex 1); worn dials and ±2 ms of polling are let through.
PULSE_PERIOD_MIN_NS = ms(40)
PULSE_PERIOD_MAX_NS = ms(145)
# Digit n is n pulses, 0 is ten (Japan: same rules, article 30 (2)); so in all countries we know a
# profile for. New Zealand and Sweden are said to count otherwise and have no profile.
PULSES_MAX = 10
# A lift that still bounces after this is ringing current seen by the sensor, which goes on until
# the exchange has noticed the answer: the lift is dated anew, so it is never dated a burst early.
LIFT_BOUNCE_MAX_NS = ms(200)
# Nothing on a telephone line makes 150 edges a second for ten seconds: dialling at 20 pulses a
# second with five bounces a contact makes about 100, ringing seen by the hook sensor about 40.
CHATTER_EDGES = 1500
CHATTER_NS = seconds(10)
# Breaks that are no digit, and flashes: nobody flashes twice a second for ten seconds.
MISFITS = 20
MISFITS_NS = seconds(10)
# Nobody lifts and replaces a handset a dozen times within a minute.
LIFTS = 12
LIFTS_NS = seconds(60)
# Level without an edge that ends a fault.
CALM_NS = seconds(5)


class RateLimit:
    """Tells when something happened `count` times within `window_ns`."""

    def __init__(self, count: int, window_ns: int) -> None:
        self._times: deque[MonoNs] = deque(maxlen=count)
        self._window_ns = window_ns

    def is_reached(self, at: MonoNs) -> bool:
        """Count one at `at`; times must not go backwards."""
        self._times.append(at)
        return len(self._times) == self._times.maxlen and at - self._times[0] <= self._window_ns

    def clear(self) -> None:
        self._times.clear()


class Debouncer:
    """One contact's level: accepted when it has held, dated by the first edge of its bounce."""

    def __init__(self, hold_ns: int) -> None:
        self.is_closed = False  # the accepted level
        self.raw_is_closed = False
        self.last_edge_at = MonoNs(0)
        self._hold_ns = hold_ns
        self._left_at: MonoNs | None = None  # when the accepted level was first left

    def edge(self, at: MonoNs, *, is_closed: bool) -> None:
        if is_closed != self.is_closed and self._left_at is None:
            self._left_at = at
        self.raw_is_closed = is_closed
        self.last_edge_at = at

    def due(self) -> MonoNs | None:
        """When the level will have held; None where nothing is open."""
        return None if self._left_at is None else later(self.last_edge_at, self._hold_ns)

    def settle(self) -> MonoNs | None:
        """The level has held: when the accepted level changed, or None where it came back."""
        left_at, self._left_at = self._left_at, None
        if self.raw_is_closed == self.is_closed:
            return None
        self.is_closed = self.raw_is_closed
        return left_at

    def believe(self) -> None:
        """Accept the raw level as it stands."""
        self.is_closed = self.raw_is_closed
        self._left_at = None


class State(Enum):
    ON_HOOK = auto()
    LIFTING = auto()
    OFF_HOOK = auto()
    BREAK = auto()


class Change(Enum):
    CLOSED = auto()
    OPENED = auto()
    STEADY = auto()  # LIFTING: no raw edge for off_hook_confirm_ms
    PAUSED = auto()  # OFF_HOOK: closed for inter_digit_ms after a break
    HUNG_UP = auto()  # BREAK: open for the hang-up time


class HookReader:
    """The hook part of a line. Calls must come in time order; `due` says when `expire` is."""

    def __init__(self, line: str, profile: Profile, hang_up_ms: int) -> None:
        self._line = line
        self._confirm_ns = ms(profile.off_hook_confirm_ms)
        self._pulse_max_ns = ms(profile.pulse_max_ms)
        self._inter_digit_ns = ms(profile.inter_digit_ms)
        self._hang_up_ns = ms(hang_up_ms)
        self._contact = Debouncer(ms(profile.bounce_ms))
        self.state = State.ON_HOOK
        self.is_faulted = False
        self._lift_at = MonoNs(0)
        self._lift_dropped_at: MonoNs | None = None
        self._lift_was_found = False  # off-hook was read, not seen to happen
        self._break_at = MonoNs(0)
        self._closed_at: MonoNs | None = None  # end of the last break, until PAUSED
        self._unrest_at: MonoNs | None = None  # first break since the loop was last steady
        self._pulses = 0
        self._pulses_fit = True
        self._first_pulse_at = MonoNs(0)
        self._last_pulse_at = MonoNs(0)
        self._edges = RateLimit(CHATTER_EDGES, CHATTER_NS)
        self._misfits = RateLimit(MISFITS, MISFITS_NS)
        self._lifts = RateLimit(LIFTS, LIFTS_NS)
        self._transitions: dict[tuple[State, Change], Callable[[MonoNs], list[LineFact]]] = {
            (State.ON_HOOK, Change.CLOSED): self._lift,
            (State.LIFTING, Change.OPENED): self._drop_lift,
            (State.LIFTING, Change.STEADY): self._confirm_lift,
            (State.OFF_HOOK, Change.OPENED): self._open_break,
            (State.OFF_HOOK, Change.PAUSED): self._end_digit,
            (State.BREAK, Change.CLOSED): self._close_break,
            (State.BREAK, Change.HUNG_UP): self._hang_up,
        }

    # ------------------------------------------------------------ what comes in

    def edge(self, at: MonoNs, *, off_hook: bool, at_start: bool, ringing: bool) -> list[LineFact]:
        """A raw edge. While `ringing`, edges are the ringing current's and no sign of chatter."""
        is_first = self._contact.due() is None
        self._contact.edge(at, is_closed=off_hook)
        if self.is_faulted:
            return []
        if self.state is State.ON_HOOK and off_hook and is_first:
            self._lift_was_found = at_start
        if self.state is State.LIFTING and off_hook and at - self._lift_at > LIFT_BOUNCE_MAX_NS:
            self._lift_at = at
            self._lift_was_found = False
        if not ringing and self._edges.is_reached(at):
            return self._fault(at, "too many edges in 10 s; check the hook sensor and its wiring")
        return []

    def lost(self, at: MonoNs, count: int) -> list[LineFact]:
        """The driver saw more edges than it could post."""
        self._contact.last_edge_at = at
        if self.is_faulted:
            return []
        return self._fault(at, f"{count} edges in a burst; check the hook sensor and its wiring")

    # ------------------------------------------------------------ time

    def due(self) -> MonoNs | None:
        """When `expire` must be called next, if no edge comes before."""
        if self.is_faulted:
            return later(self._contact.last_edge_at, CALM_NS)
        settling_at = self._contact.due()
        if settling_at is not None:
            return settling_at  # whatever else is due depends on how the bounce ends
        if self.state is State.LIFTING:
            return later(self._contact.last_edge_at, self._confirm_ns)
        if self.state is State.BREAK:
            return later(self._break_at, self._hang_up_ns)
        if self._closed_at is not None:
            return later(self._closed_at, self._inter_digit_ns)
        return None

    def expire(self, at: MonoNs) -> list[LineFact]:
        """What `due` announced has come."""
        if self.is_faulted:
            return self._restore(at)
        if self._contact.due() is not None:
            changed_at = self._contact.settle()
            if changed_at is None:
                return []
            change = Change.CLOSED if self._contact.is_closed else Change.OPENED
            return self._transitions[self.state, change](changed_at)
        timers = {State.LIFTING: Change.STEADY, State.BREAK: Change.HUNG_UP}
        return self._transitions[self.state, timers.get(self.state, Change.PAUSED)](at)

    # ------------------------------------------------------------ lifting

    def _lift(self, at: MonoNs) -> list[LineFact]:
        self.state = State.LIFTING
        dropped_at, self._lift_dropped_at = self._lift_dropped_at, None
        is_bounce = dropped_at is not None and at - dropped_at < PULSE_MIN_NS
        if not is_bounce or at - self._lift_at > LIFT_BOUNCE_MAX_NS:
            self._lift_at = at
        return []

    def _drop_lift(self, at: MonoNs) -> list[LineFact]:
        self.state = State.ON_HOOK
        self._lift_dropped_at = at
        return []

    def _confirm_lift(self, at: MonoNs) -> list[LineFact]:
        self.state = State.OFF_HOOK
        self._forget_pulses()
        if self._lifts.is_reached(at):
            self.state = State.ON_HOOK
            return self._fault(at, "off-hook a dozen times in a minute; check the hook sensor")
        return [WentOffHook(self._lift_at, self._line, self._lift_was_found)]

    # ------------------------------------------------------------ breaks of the loop

    def _open_break(self, at: MonoNs) -> list[LineFact]:
        self.state = State.BREAK
        self._break_at = at
        if self._unrest_at is None:
            self._unrest_at = at
        return []

    def _close_break(self, at: MonoNs) -> list[LineFact]:
        self.state = State.OFF_HOOK
        self._closed_at = at
        duration_ns = at - self._break_at
        if duration_ns < PULSE_MIN_NS:
            return self._count_misfit(at)
        if duration_ns <= self._pulse_max_ns:
            return self._count_pulse(at)
        self._forget_pulses()
        flash = HookFlashed(self._break_at, self._line, duration_ns)
        return [flash, *self._count_misfit(at)]

    def _count_pulse(self, at: MonoNs) -> list[LineFact]:
        if self._pulses == 0:
            self._first_pulse_at = self._break_at
            self._pulses_fit = True
        else:
            period_ns = self._break_at - self._last_pulse_at
            is_regular = PULSE_PERIOD_MIN_NS <= period_ns <= PULSE_PERIOD_MAX_NS
            self._pulses_fit &= is_regular and self._pulses < PULSES_MAX
        self._pulses += 1
        self._last_pulse_at = self._break_at
        return [] if self._pulses_fit else self._count_misfit(at)

    def _end_digit(self, _at: MonoNs) -> list[LineFact]:
        pulses = self._pulses
        self._forget_pulses()
        if pulses == 0 or not self._pulses_fit:
            return []
        return [PulseDialled(self._first_pulse_at, self._line, str(pulses % PULSES_MAX))]

    def _hang_up(self, _at: MonoNs) -> list[LineFact]:
        self.state = State.ON_HOOK
        self._lift_dropped_at = None
        ended_at = self._break_at if self._unrest_at is None else self._unrest_at
        self._forget_pulses()
        return [WentOnHook(ended_at, self._line)]

    def _forget_pulses(self) -> None:
        self._closed_at = None
        self._unrest_at = None
        self._pulses = 0

    # ------------------------------------------------------------ faults

    def _count_misfit(self, at: MonoNs) -> list[LineFact]:
        if self._misfits.is_reached(at):
            return self._fault(
                at, "breaks that are no digits; check the hook sensor and its wiring"
            )
        return []

    def _fault(self, at: MonoNs, detail: str) -> list[LineFact]:
        self.is_faulted = True
        is_in_call = self.state in {State.OFF_HOOK, State.BREAK}
        self.state = State.OFF_HOOK if is_in_call else State.ON_HOOK
        for limit in (self._edges, self._misfits, self._lifts):
            limit.clear()
        return [LineFaulted(at, self._line, "hook-chatter", detail)]

    def _restore(self, at: MonoNs) -> list[LineFact]:
        self.is_faulted = False
        self._contact.believe()
        facts: list[LineFact] = [LineRestored(at, self._line, "hook-chatter")]
        steady_since = self._contact.last_edge_at
        self._forget_pulses()
        if self._contact.is_closed and self.state is State.ON_HOOK:
            self.state = State.OFF_HOOK
            facts.append(WentOffHook(steady_since, self._line))
        elif not self._contact.is_closed and self.state is State.OFF_HOOK:
            self.state = State.ON_HOOK
            facts.append(WentOnHook(steady_since, self._line))
        return facts
