"""The people of a simulated office, who do what they are asked to: lift, call, speak, hang up.

A script says beforehand what happens; here it is said while the day runs, as whoever commissions a
box says it to a person beside it.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from recorderd.sim.actions import Inbound, Outbound, ScriptEvent
from recorderd.sim.exchange import Happening, SoundPlayed, happenings, hook_moves
from recorderd.units import MonoNs, later, ms, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recorderd.sim.clock import World
    from recorderd.sim.office import Office

REACTS_NS = seconds(1)
LIFTED_NS = seconds(2)
SPEAKS_NS = seconds(11)
RINGS = 3
CALLER = "0312345678"
DIALLED = "0398765432"
AFTER_LIFT_NS = ms(50)  # the contact has settled


class Hands:
    """Carries out one wish at a time on a line of an office."""

    def __init__(self, office: Office, world: World) -> None:
        self._office = office
        self._world = world
        self._wishes = 0

    def please(self, line: str, wish: str) -> None:
        """Do it in a second: lift-and-replace, call-in, call-out, talk-near, talk-far, hang-up."""
        with self._world.lock:
            at = later(self._world.now(), REACTS_NS)
            self._wishes += 1
            self._office.lines[line].schedule(self._done(line, wish, at))

    def _done(self, line: str, wish: str, at: MonoNs) -> Iterable[Happening]:
        rng = random.Random(f"{self._office.script.seed}:{self._wishes}")  # noqa: S311 - repeatable
        match wish:
            case "lift-and-replace":
                yield from hook_moves(at, off_hook=True, rng=rng)
                yield from hook_moves(later(at, LIFTED_NS), off_hook=False, rng=rng)
            case "call-in":
                yield from self._call_in(line, at)
            case "call-out":
                yield from self._call_out(line, at)
            case "talk-near" | "talk-far":
                yield SoundPlayed(at, later(at, SPEAKS_NS), wish)
            case "hang-up":
                yield from hook_moves(at, off_hook=False, rng=rng)
            case _:
                raise AssertionError(wish)

    def _call_in(self, line: str, at: MonoNs) -> Iterable[Happening]:
        """It rings three times, and is lifted before the fourth; nobody speaks yet."""
        cadence_ns = ms(sum(self._office.network.ring_cadence_ms))
        answer_ns = RINGS * cadence_ns - ms(500)
        call = Inbound(CALLER, None, None, None, answer_ns, seconds(3600), None, None)
        found = self._played(ScriptEvent(0, line, call, self._wishes), at)
        lifted = _lifted(found)
        return [
            each for each in found if each.at < later(lifted, AFTER_LIFT_NS) and not _talk(each)
        ]

    def _call_out(self, line: str, at: MonoNs) -> Iterable[Happening]:
        """A number is dialled, rings for a while, and the handset is put down again."""
        call = Outbound(DIALLED, by_pulse=False, pulses_per_s=10, talk_ns=seconds(1))
        found = self._played(ScriptEvent(0, line, call, self._wishes), at)
        return [each for each in found if not _talk(each)]

    def _played(self, event: ScriptEvent, at: MonoNs) -> list[Happening]:
        return happenings(event, at, self._office.script, self._office.network)


def _lifted(found: list[Happening]) -> MonoNs:
    """When the handset is lifted for good: Japan's caller-ID set closes the loop before that."""
    return next(each.at for each in found if _talk(each))


def _talk(happening: Happening) -> bool:
    return isinstance(happening, SoundPlayed) and happening.sound == "talk"
