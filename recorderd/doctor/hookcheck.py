"""Is the hook sensor right? Its level at rest, and what it did while somebody lifted the handset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recorderd.doctor.outcome import Change, Finding, Outcome, Value
from recorderd.events import EdgesLost, HookEdge
from recorderd.units import NS_PER_MS, NS_PER_S, ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recorderd.config.values import Hook
    from recorderd.events import Fact, Input
    from recorderd.units import MonoNs

MOVE_GAP_NS = ms(150)
"""Edges that follow sooner are bounce of one movement: nobody lifts and replaces that fast."""

BOUNCE_MAX_MS = 30.0
"""A good cradle contact or relay settles in a few milliseconds. Breaks within a longer one come to
the length of dial pulses (15 ms and more: DAHDI, include/dahdi/kernel.h)."""

EDGES_MAX = 400
"""Of one lift and replace. A bouncing contact makes some tens."""

IDLE_EDGES_MAX = 4
"""While nobody touches the phone there should be none."""


@dataclass(frozen=True, slots=True)
class Move:
    """The contact moved, bounced, and came to rest at `off_hook`."""

    at: MonoNs
    settled_at: MonoNs
    off_hook: bool
    edges: int

    @property
    def bounce_ms(self) -> float:
        return (self.settled_at - self.at) / NS_PER_MS


def moves_of(events: Iterable[Input | Fact]) -> list[Move]:
    """The movements in a stream of events."""
    moves: list[Move] = []
    for edge in events:
        if not isinstance(edge, HookEdge) or edge.at_start:
            continue
        if moves and edge.at - moves[-1].settled_at <= MOVE_GAP_NS:
            last = moves.pop()
            moves.append(Move(last.at, edge.at, edge.off_hook, last.edges + 1))
        else:
            moves.append(Move(edge.at, edge.at, edge.off_hook, 1))
    return moves


def lost_edges(events: Iterable[Input | Fact], sensor: str) -> int:
    """Edges that came too fast to be passed on."""
    return sum(e.count for e in events if isinstance(e, EdgesLost) and e.sensor == sensor)


def judge_hook(
    line: str,
    index: int,
    hook: Hook,
    events: Sequence[Input | Fact],
    *,
    idle: bool | None,
    elsewhere: str | None = None,
) -> Outcome:
    """`idle`: what was read while the handset was down (None: nothing). `index`: the line's place in
    the configuration. `events`: while somebody lifted the handset and replaced it. `elsewhere`: the
    other line whose sensor moved then."""
    moves = moves_of(events)
    measured: dict[str, Value] = {
        "idle_level": _level(idle=idle),
        "moves": len(moves),
        "bounce_ms": round(max((move.bounce_ms for move in moves), default=0.0), 1),
        "lifted_s": _lifted_s(moves),
    }
    findings, changes = _found(line, index, hook, moves, lost_edges(events, "hook"), idle=idle)
    if elsewhere is not None and [each.code for each in findings] == ["hook-open"]:
        findings = [Finding("hook-elsewhere", *_elsewhere(line, elsewhere))]
    return Outcome("hook", line, measured, tuple(findings), tuple(changes))


def is_inverted(moves: Sequence[Move], *, idle: bool | None) -> bool:
    """It reads off-hook at rest, and the reverse when the handset is lifted."""
    return bool(idle) and any(not move.off_hook for move in moves)


def _level(*, idle: bool | None) -> str:
    return "not read" if idle is None else "off-hook" if idle else "on-hook"


def _lifted_s(moves: Sequence[Move]) -> float | None:
    return round((moves[1].at - moves[0].at) / NS_PER_S, 2) if len(moves) > 1 else None


def _found(
    line: str, index: int, hook: Hook, moves: Sequence[Move], lost: int, *, idle: bool | None
) -> tuple[list[Finding], list[Change]]:
    if idle is None:
        return [Finding("hook-missing", *_MISSING)], []
    if lost or sum(move.edges for move in moves) > EDGES_MAX:
        return [Finding("hook-chatter", *_CHATTER)], []
    findings, changes = [], []
    if is_inverted(moves, idle=idle):
        other = "high" if hook.active == "low" else "low"
        findings.append(Finding("hook-inverted", *_inverted(hook, other)))
        why = f"the pin is {hook.active} while the handset of {line} is down"
        changes.append(Change(("line", index, "hook", "active"), other, why))
    elif idle:
        return [Finding("hook-stuck", *_STUCK)], []
    elif not moves:
        return [Finding("hook-open", *_open(hook))], []
    elif moves[-1].off_hook:
        findings.append(Finding("hook-not-replaced", *_NOT_REPLACED))
    if max((move.bounce_ms for move in moves), default=0.0) > BOUNCE_MAX_MS:
        findings.append(Finding("hook-bounce", *_BOUNCE))
    return findings, changes


def _elsewhere(line: str, other: str) -> tuple[str, str]:
    return (
        f"when the handset of {line} was lifted, the hook sensor of {other} moved",
        f"change line.hook.pin of {line} and {other} for each other, or their two wires",
    )


_MISSING = (
    "the hook sensor's pin could not be read",
    "see what is said about the devices, and check line.hook in the configuration",
)
_CHATTER = (
    "the hook sensor changes far more often than a handset moves",
    "look for a loose wire, a missing pull resistor (line.hook.pull) or a cable beside a power cable",
)
_STUCK = (
    "the hook sensor reads off-hook while the handset is down, and lifting it changes nothing",
    (
        "see that nobody else holds this line; then look for a short in the sensor's wires, or a wrong pin "
        "or pull (line.hook.pin, line.hook.pull)"
    ),
)
_NOT_REPLACED = (
    "the hook sensor still reads off-hook after the handset was replaced",
    "see that the handset lies well on its rest; if it does, the sensor sticks: replace it",
)
_BOUNCE = (
    (
        f"the hook contact bounces for more than {BOUNCE_MAX_MS:.0f} ms, and its breaks may be read as dial "
        "pulses"
    ),
    "clean or replace the contact or relay; no capacitor there, it would hide dial pulses",
)


def _inverted(hook: Hook, other: str) -> tuple[str, str]:
    return (
        (
            "the hook sensor is read upside down: off-hook while the handset is down, on-hook when it is "
            "lifted"
        ),
        f'set line.hook.active to "{other}" (it is "{hook.active}"), or swap the sensor\'s output',
    )


def _open(hook: Hook) -> tuple[str, str]:
    pin = "" if hook.pin is None else f" (line.hook.pin is {hook.pin})"
    return (
        (
            "the hook sensor did not move while the handset was lifted and replaced: its wire is open, or it "
            "is on another pin"
        ),
        f"follow the wire from the line interface to the pin{pin}, and measure there while somebody lifts",
    )
