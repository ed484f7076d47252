"""Japan: is a short off-hook a person's, or a caller-ID set's that takes the number?

Theory of operation. The exchange wakes a caller-ID set by short ringing; the set closes the loop for
some seconds, receives the number, opens it, and only then the phone rings. So an off-hook is in
doubt until the longest closure has passed (`until`). If it ends before, it is *judged* by what
follows: one real ring burst, a RING of the modem, or an answer during ringing, and it was a closure.
Short ringing twice wakes the set for another call, silence means nobody rang: it was a short call. A
recording too many is better than one too few.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from recorderd.units import later, ms

if TYPE_CHECKING:
    from recorderd.core.livecall import LiveCall
    from recorderd.core.profile import Profile
    from recorderd.units import MonoNs

REAL_BURST_NS = 800_000_000
"""A burst this long is real ringing (1 s nominal; 0.58 s at the least), not the short ringing of
0.5 s that wakes a caller-ID set."""

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
    judged_at: MonoNs | None = None
    _rings: bool = False  # ringing has begun since it ended
    _short_bursts: int = 0

    def ended(self, at: MonoNs) -> None:
        """The phone is on-hook again, in time to have been a closure."""
        self.judged_at = later(at, self.ring_within_ns)

    def ringing_started(self, at: MonoNs) -> None:
        """A burst began: there is to be time for its end."""
        assert self.judged_at is not None
        self.judged_at = max(self.judged_at, later(at, LONGEST_BURST_NS))
        self._rings = True

    def burst_ended(self, burst_ns: int) -> Verdict:
        """A burst was short: ringing to wake a set, or real ringing that an answer cut off."""
        if burst_ns >= REAL_BURST_NS:
            return Verdict.CLOSURE
        self._short_bursts += 1
        return Verdict.CALL if self._short_bursts > 1 else Verdict.OPEN

    def off_hook(self) -> Verdict:
        """Somebody lifts the phone: answers the ringing after a closure, or begins another call."""
        return Verdict.CLOSURE if self._rings else Verdict.CALL


def closure_doubt(call: LiveCall, profile: Profile, at: MonoNs) -> ClosureDoubt | None:
    """The doubt about an off-hook at `at`; None where it cannot be a closure: in other countries,
    after real ringing, or when the caller is known already."""
    if profile.caller_id_closure_max_ms == 0 or call.found or call.caller is not None:
        return None
    burst_ns = call.longest_burst_ns
    if call.ringing_since is not None:
        burst_ns = max(burst_ns, at - call.ringing_since)
    if burst_ns >= REAL_BURST_NS:
        return None
    until = later(at, ms(profile.caller_id_closure_max_ms))
    return ClosureDoubt(until, ms(profile.caller_id_closure_ring_within_ms))
