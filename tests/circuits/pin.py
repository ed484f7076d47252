"""What the Pi reads from a pin's voltage, and what recorderd's line machine makes of it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from recorderd.config.profiles import load_profile
from recorderd.core.line import LineMachine
from recorderd.events import HookEdge, LineFact, RingEdge, TimePassed
from recorderd.units import MonoNs, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

# Below LOW_V a pin surely reads low, above HIGH_V surely high: [manual] 0.9 and 1.6 V up to the
# Pi 3 (Raspberry Pi documentation, pull request 2461); [unverified] 0.8 and 2.0 V from the Pi 4 on.
LOW_V = 0.8
HIGH_V = 2.0
LINE = "desk"

Edge = tuple[float, bool]  # seconds, low (active)


def edges_of(time_s: np.ndarray, volts: np.ndarray) -> list[Edge]:
    """The pin's edges; between the two limits it keeps the level that it had."""
    found: list[Edge] = []
    is_low = bool(volts[0] < LOW_V)
    for at, value in zip(time_s, volts, strict=True):
        if (value > HIGH_V) if is_low else (value < LOW_V):
            is_low = not is_low
            found.append((float(at), is_low))
    return found


def longest_low_s(edges: list[Edge]) -> float:
    return max((b[0] - a[0] for a, b in pairwise(edges) if a[1]), default=0.0)


def shortest_high_s(edges: list[Edge]) -> float:
    return min((b[0] - a[0] for a, b in pairwise(edges) if not a[1]), default=float("inf"))


def facts_of(
    hook: list[Edge], ring: Iterable[Edge] = (), country: str = "US", quiet_s: float = 8
) -> list[LineFact]:
    """What recorderd tells of these edges, and of `quiet_s` seconds of silence after them."""
    events: list[HookEdge | RingEdge] = [HookEdge(_ns(at), LINE, low) for at, low in hook]
    events += [RingEdge(_ns(at), LINE, low) for at, low in ring]
    machine = LineMachine(LINE, load_profile(country), None)
    facts: list[LineFact] = []
    last = MonoNs(0)
    for event in sorted(events, key=lambda event: event.at):
        facts += machine.handle(event)
        last = event.at
    return facts + machine.handle(TimePassed(MonoNs(last + seconds(quiet_s))))


def _ns(at_s: float) -> MonoNs:
    return MonoNs(seconds(at_s) + seconds(1))
