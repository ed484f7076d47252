"""Does the ring detector see the line ring? Its bursts while somebody calls, and its rest before."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recorderd.doctor.hookcheck import IDLE_EDGES_MAX, lost_edges
from recorderd.doctor.outcome import Change, Finding, Outcome, Value
from recorderd.events import ModemRang, RingEdge
from recorderd.units import NS_PER_MS, NS_PER_S, ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recorderd.config.values import Ring
    from recorderd.events import Fact, Input
    from recorderd.units import MonoNs

BURST_GAP_NS = ms(130)
"""Longer than two cycles of 16 Hz, and shorter than the 200 ms within a British double ring."""

BURST_MIN_NS = ms(150)
"""Shorter ones are no ringing: somebody hung up, or the polarity was reversed."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Ringing current, from its first to its last edge."""

    at: MonoNs
    until: MonoNs
    edges: int

    @property
    def on_ms(self) -> int:
        return round((self.until - self.at) / NS_PER_MS)


def bursts_of(events: Iterable[Input | Fact]) -> list[Burst]:
    """The bursts of ringing in a stream of events."""
    bursts: list[Burst] = []
    for edge in events:
        if not isinstance(edge, RingEdge):
            continue
        if bursts and edge.at - bursts[-1].until <= BURST_GAP_NS:
            last = bursts.pop()
            bursts.append(Burst(last.at, edge.at, last.edges + 1))
        else:
            bursts.append(Burst(edge.at, edge.at, 1))
    return _of_envelopes(bursts)


def _of_envelopes(bursts: list[Burst]) -> list[Burst]:
    """A detector that gives the envelope has two edges a burst, seconds apart: pairs of single edges."""
    if any(burst.edges > 1 for burst in bursts):
        return [burst for burst in bursts if burst.until - burst.at >= BURST_MIN_NS]
    starts, ends = bursts[::2], bursts[1::2]
    return [Burst(a.at, b.at, 2) for a, b in zip(starts, ends, strict=False)]


def cadence_of(bursts: Sequence[Burst]) -> list[tuple[int, int]]:
    """Each burst's length and the pause after it, in ms."""
    return [
        (burst.on_ms, round((after.at - burst.until) / NS_PER_MS))
        for burst, after in itertools.pairwise(bursts)
    ]


def ring_hz_of(bursts: Sequence[Burst]) -> float | None:
    """The ringing current's frequency, where the detector follows it once a cycle."""
    longest = max(bursts, key=lambda burst: burst.until - burst.at, default=None)
    if longest is None or longest.edges < 4:
        return None
    return round((longest.edges - 1) / 2 / ((longest.until - longest.at) / NS_PER_S), 1)


def judge_ring(
    line: str,
    index: int,
    ring: Ring | None,
    idle: Sequence[Input | Fact],
    call: Sequence[Input | Fact],
    *,
    phone_rang: bool,
    elsewhere: str | None = None,
) -> Outcome:
    """`idle`: while nobody touched the line; `call`: while somebody called. `phone_rang`: the person
    heard it, or the modem. `elsewhere`: the other line whose detector saw ringing then."""
    bursts = bursts_of(call)
    modem_rings = sum(isinstance(each, ModemRang) for each in call)
    measured: dict[str, Value] = {
        "bursts": len(bursts),
        "ring_hz": ring_hz_of(bursts),
        "cadence_ms": " ".join(f"{on}/{off}" for on, off in cadence_of(bursts)) or None,
        "modem_rings": modem_rings,
    }
    if ring is None:
        return Outcome("ring", line, {"modem_rings": modem_rings})
    rang = phone_rang or modem_rings > 0
    findings, changes = _found(line, index, ring, idle, bursts, rang=rang)
    if elsewhere is not None and [each.code for each in findings] == ["ring-open"]:
        findings = [Finding("ring-elsewhere", *_elsewhere(line, elsewhere))]
    return Outcome("ring", line, measured, tuple(findings), tuple(changes))


def _found(
    line: str,
    index: int,
    ring: Ring,
    idle: Sequence[Input | Fact],
    bursts: Sequence[Burst],
    *,
    rang: bool,
) -> tuple[list[Finding], list[Change]]:
    edges = [each for each in idle if isinstance(each, RingEdge)]
    if lost_edges(idle, "ring") or len(edges) > IDLE_EDGES_MAX:
        return [Finding("ring-noise", *_NOISE)], []
    if edges and edges[-1].active:
        other = "high" if ring.active == "low" else "low"
        why = f"the pin is {ring.active} while {line} does not ring"
        change = Change(("line", index, "ring", "active"), other, why)
        return [Finding("ring-inverted", *_inverted(ring, other))], [change]
    if not bursts and rang:
        return [Finding("ring-open", *_open(ring))], []
    if not bursts:
        return [Finding("ring-none", *_NONE)], []
    return [], []


_NOISE = (
    "the ring detector sees something all the time, while nobody calls: mains hum, or a pin that floats",
    (
        "check line.ring.pin and line.ring.pull, keep its cable away from power cables, and see that the "
        "detector is on the telephone line"
    ),
)
_NONE = (
    "nobody called, or the line is dead: neither the ring detector nor the modem saw it ring",
    "call the line again; if a telephone on it does not ring either, ask the telephone company",
)


def _inverted(ring: Ring, other: str) -> tuple[str, str]:
    return (
        "the ring detector is read upside down: it says ringing while nobody calls",
        f'set line.ring.active to "{other}" (it is "{ring.active}"), or check line.ring.pull',
    )


def _elsewhere(line: str, other: str) -> tuple[str, str]:
    return (
        f"when {line} rang, the ring detector of {other} saw it",
        f"change line.ring.pin of {line} and {other} for each other, or their two wires",
    )


def _open(ring: Ring) -> tuple[str, str]:
    pin = "" if ring.pin is None else f" (line.ring.pin is {ring.pin})"
    return (
        "the line rang and the ring detector did not see it: its wire is open, or it is on another pin",
        f"follow the wire from the line interface to the pin{pin}, and measure there while it rings",
    )
