"""A call that rings and that nobody has answered yet, and until when a further sign of it is awaited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recorderd.units import NS_PER_S, MonoNs, later, ms

if TYPE_CHECKING:
    from recorderd.core.livecall import LiveCall

ID_THEN_RING_NS = 10 * NS_PER_S
"""A caller ID with no ring after it for so long was an offer that ended. EN 300 659-1 lets the
first ring follow the data within 0.5 s; modems that hide RING are why it is this long."""

BURST_MAX_NS = 15 * NS_PER_S
"""The line machine ends every burst, or calls the pin stuck after 10 s; nothing is decided before."""


@dataclass(slots=True)
class Offer:
    """`until` None: for as long as the burst lasts that goes on."""

    call: LiveCall
    until: MonoNs | None = None

    def rang(self, at: MonoNs) -> None:
        """A ring, or another sign of ringing."""
        self.call.last_ring_at = _latest(self.call.last_ring_at, at)
        self._wait(later(at, ms(self.call.settings.profile.ring_stopped_ms)))

    def burst_began(self, at: MonoNs) -> None:
        """Its end will be told."""
        self.call.ringing_since = at
        self._wait(later(at, BURST_MAX_NS))

    def burst_ended(self, at: MonoNs, burst_ns: int) -> None:
        """The end that was waited for."""
        self.call.bursts += 1
        self.call.ringing_since = None
        self.call.longest_burst_ns = max(self.call.longest_burst_ns, burst_ns)
        self.until = None
        self.rang(at)

    def identified(self, at: MonoNs) -> None:
        """A caller ID came, before any ring or between two."""
        self.call.started_at = min(self.call.started_at, at)
        self._wait(later(at, ID_THEN_RING_NS))

    @property
    def ended_at(self) -> MonoNs:
        """When it was over, where no more of it comes."""
        # A burst that went on when a second caller's report came began before it.
        return _latest(self.call.last_ring_at, self.call.started_at)

    def _wait(self, until: MonoNs) -> None:
        self.until = _latest(self.until, until)


def _latest(one: MonoNs | None, other: MonoNs) -> MonoNs:
    return other if one is None or other > one else one
