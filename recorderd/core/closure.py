"""Japan: is a short off-hook a person's, or a caller-ID set's that takes the number?

Theory of operation. The exchange wakes a caller-ID set by short ringing; the set closes the loop for
some seconds, receives the number, opens it, and only then the phone rings. So an off-hook is in
doubt until the longest closure has passed (`until`). If it ends before, it is *judged* by what
follows: one real ring burst, a RING of the modem, or an answer that cuts a burst off, and it was a
closure. Short ringing twice, or once and then an off-hook after a pause, wakes the set for another
call; silence means nobody rang: it was a short call.

Ringing that follows is not enough: whoever lifts the phone and puts it down may be rung up at once.
So an off-hook is a closure only where the set was woken: by short ringing, or, where a modem alone
sees ringing and is silent about the short, as far as anyone can tell; or where a caller ID came, which is
sent to a closed loop only. A recording too many is better than one too few.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from recorderd.units import later, ms

if TYPE_CHECKING:
    from recorderd.core.livecall import LiveCall
    from recorderd.units import MonoNs

REAL_BURST_NS = 800_000_000
"""A burst this long is real ringing (1 s nominal; 0.58 s at the least), not the short ringing of
0.5 s that wakes a caller-ID set."""

CUT_OFF_NS = 150_000_000
"""An answer this soon after the last edge of ringing cut the burst off: the longest cycle of the
current (67 ms at 15 Hz: 事業用電気通信設備規則, annex 4), and as much again for the contact and for
edges that are missed."""

LONGEST_BURST_NS = 2_500_000_000
"""Time enough for a ring burst that has begun to end (1.6 s at the most)."""


class Verdict(Enum):
    """What a short off-hook was."""

    OPEN = auto()
    CLOSURE = auto()
    CALL = auto()


@dataclass(slots=True)
class ClosureDoubt:
    """The doubt about one off-hook. `judged_at` is set when it has ended early."""

    until: MonoNs
    ring_within_ns: int
    woken: bool  # what goes before a closure was there, or could not have been seen
    judged_at: MonoNs | None = None
    _is_ringing: bool = False
    _short_burst_ended: MonoNs | None = None

    def caller_id_came(self) -> None:
        """Somebody received it, and only a set does."""
        self.woken = True

    def ended(self, at: MonoNs) -> None:
        """The phone is on-hook again, in time to have been a closure."""
        self.judged_at = later(at, self.ring_within_ns)

    def ringing_started(self, at: MonoNs) -> None:
        """A burst began: there is to be time for its end."""
        assert self.judged_at is not None
        self.judged_at = max(self.judged_at, later(at, LONGEST_BURST_NS))
        self._is_ringing = True

    def burst_ended(self, at: MonoNs, burst_ns: int) -> Verdict:
        """A burst was short: ringing to wake a set, or real ringing that an answer cut off."""
        self._is_ringing = False
        if burst_ns >= REAL_BURST_NS:
            return self.rang()
        is_second = self._short_burst_ended is not None
        self._short_burst_ended = at
        return Verdict.CALL if is_second else Verdict.OPEN

    def rang(self) -> Verdict:
        """The phone really rings."""
        return Verdict.CLOSURE if self.woken else Verdict.CALL

    def off_hook(self, at: MonoNs) -> Verdict:
        """Somebody lifts the phone: answers the ringing after a closure, or begins another call; or
        a set that short ringing woke closes the loop for another call."""
        ended = self._short_burst_ended
        is_answer = self._is_ringing or (ended is not None and at - ended <= CUT_OFF_NS)
        return self.rang() if is_answer else Verdict.CALL


def closure_doubt(call: LiveCall, at: MonoNs) -> ClosureDoubt | None:
    """The doubt about an off-hook at `at`; None where it cannot be a closure: in other countries,
    after real ringing, or when the caller is known already."""
    profile = call.settings.profile
    if profile.caller_id_closure_max_ms == 0 or call.found or call.caller is not None:
        return None
    burst_ns = call.longest_burst_ns
    if call.ringing_since is not None:
        burst_ns = max(burst_ns, at - call.ringing_since)
    hears_real_ringing_only = not call.settings.short_ringing_is_seen
    if burst_ns >= REAL_BURST_NS or (hears_real_ringing_only and call.modem_rings):
        return None
    until = later(at, ms(profile.caller_id_closure_max_ms))
    woken = burst_ns > 0 or hears_real_ringing_only
    return ClosureDoubt(until, ms(profile.caller_id_closure_ring_within_ms), woken)
