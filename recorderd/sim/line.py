"""One simulated line while it lives: what happens on it reaches its sensors, modem and sound.

exchange.py has worked out what happens and when; here each happening comes true at its moment.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from recorderd.events import DriverReady, HookEdge, RingEdge
from recorderd.sim.exchange import (
    CallerSent,
    Happening,
    HookMoved,
    ModemPlugged,
    ModemSpoke,
    ReportArrived,
    RingMoved,
    SoundPlayed,
)
from recorderd.sim.faults import BOUNCE_HALF_NS, BOUNCE_NS
from recorderd.units import MonoNs, later, ms, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recorderd.ports import Post
    from recorderd.sim.clock import World
    from recorderd.sim.modem import SimModem
    from recorderd.sim.sound import LineSound

BUZZ_HALF_NS = ms(10)  # of 50 Hz


class SimLine:
    """A line: its state, and what listens to it. `kept_s` of past sound can be read again."""

    def __init__(self, world: World, name: str, sound: LineSound, kept_s: float) -> None:
        self.name = name
        self.off_hook = False
        self.ringing = False
        self.sensor: SimHookSensor | None = None
        self.modem: SimModem | None = None
        self._world = world
        self._sound = sound
        self._kept_ns = seconds(kept_s)

    def schedule(self, found: Iterable[Happening]) -> None:
        for happening in found:
            self._world.schedule(happening.at, partial(self._let, happening))

    def _let(self, happening: Happening) -> None:
        match happening:
            case HookMoved(at, off_hook):
                self._move_hook(at, off_hook=off_hook)
            case RingMoved(at, active):
                self._move_ring(at, active=active)
            case SoundPlayed(at, until, sound, skipped_ns):
                # Here, because the timeline grows only with what happens on the line.
                self._sound.forget_before(later(at, -self._kept_ns))
                self._sound.play(sound, at, until, skipped_ns)
            case CallerSent(at, form, fields):
                self._sound.play_burst(form, fields, at)
            case _:
                self._let_modem(happening)

    def _move_hook(self, at: MonoNs, *, off_hook: bool) -> None:
        if off_hook != self.off_hook:
            self.off_hook = off_hook
            if self.sensor is not None:
                self.sensor.hook_moved(at, off_hook=off_hook)

    def _move_ring(self, at: MonoNs, *, active: bool) -> None:
        if active != self.ringing:
            self.ringing = active
            if self.sensor is not None:
                self.sensor.ring_moved(at, active=active)

    def _let_modem(self, happening: ModemSpoke | ReportArrived | ModemPlugged) -> None:
        if self.modem is None:
            return
        match happening:
            case ModemSpoke(_, data):
                self.modem.say(data)
            case ReportArrived(_, fields):
                self.modem.report(fields)
            case ModemPlugged(_, plugged):
                self.modem.set_plugged(plugged=plugged)


class SimHookSensor:
    """ports.HookSensor of one simulated line, with what is wrong with its wires."""

    def __init__(
        self, world: World, line: SimLine, post: Post, faults: frozenset[str] = frozenset()
    ) -> None:
        self._world = world
        self._line = line
        self._post = post
        self._faults = faults

    def start(self) -> None:
        """Post the line's state as it is now, and every edge from now on."""
        with self._world.lock:
            now, name = self._world.now(), self._line.name
            self._line.sensor = self
            off_hook = self._line.off_hook
            if "hook-open" in self._faults:
                off_hook = False
            elif "hook-stuck" in self._faults:
                off_hook = True
            self._post(DriverReady(now, "hook", name, "simulated"))
            self._post_hook(off_hook=off_hook, at_start=True)
            if "ring-inverted" in self._faults:
                self._post_ring(active=self._line.ringing)
            if "ring-noise" in self._faults:
                self._buzz(active=True)

    def close(self) -> None:
        with self._world.lock:
            self._line.sensor = None

    def hook_moved(self, at: MonoNs, *, off_hook: bool) -> None:
        if self._faults & {"hook-open", "hook-stuck"}:
            return
        self._post_hook(off_hook=off_hook)
        if "hook-bouncy" in self._faults:
            for number in range(1, BOUNCE_NS // BOUNCE_HALF_NS + 1):
                level = off_hook if number % 2 == 0 else not off_hook
                bounce = partial(self._post_hook, off_hook=level)
                self._world.schedule(later(at, number * BOUNCE_HALF_NS), bounce)

    def ring_moved(self, _at: MonoNs, *, active: bool) -> None:
        if "ring-open" not in self._faults:
            self._post_ring(active=active)

    def _post_hook(self, *, off_hook: bool, at_start: bool = False) -> None:
        if "hook-inverted" in self._faults:
            off_hook = not off_hook
        self._post(HookEdge(self._world.now(), self._line.name, off_hook, at_start))

    def _post_ring(self, *, active: bool) -> None:
        if "ring-inverted" in self._faults:
            active = not active
        self._post(RingEdge(self._world.now(), self._line.name, active))

    def _buzz(self, *, active: bool) -> None:
        if self._line.sensor is self:
            self._post_ring(active=active)
            at = later(self._world.now(), BUZZ_HALF_NS)
            self._world.schedule(at, partial(self._buzz, active=not active))
