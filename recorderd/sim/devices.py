"""The simulated devices of a configuration, as the composition root asks for them.

In virtual time everything runs on the control thread and a day takes seconds; in real time the
world follows the kernel's clock on a thread of its own, and the daemon is run as with hardware.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from recorderd.sim.clock import RealTimeDriver, VirtualInbox, World
from recorderd.sim.office import build_office
from recorderd.sim.script import load_script
from recorderd.units import MonoNs

if TYPE_CHECKING:
    from recorderd.config.values import Config, Line
    from recorderd.ports import Clock, HookSensor, Inbox, Modem, SoundCard
    from recorderd.sim.office import Office


class SimDevices:
    """Implements daemon.Devices over one simulated office."""

    def __init__(self, config: Config, world: World, inbox: Inbox, ring_seconds: int) -> None:
        assert config.simulation is not None
        script = load_script(config.simulation.script, config.path.parent)
        self.inbox = inbox
        self.world = world
        self.office: Office = build_office(script, config, world, inbox.post, ring_seconds)
        self.clock: Clock = self.office.clock(world, world.now)

    def card(self, name: str, *_: int) -> SoundCard:
        """The card as the script's office has it: built for the rate and channels it is asked for."""
        return self.office.cards[name]

    def sensor(self, line: Line) -> HookSensor:
        return self.office.hooks[line.name]

    def modem(self, line: Line) -> Modem:
        return self.office.modems[line.name]


class VirtualOffice(SimDevices):
    """Time passes as fast as the program runs; `world` tells how far it has come."""

    def __init__(self, config: Config, ring_seconds: int) -> None:
        world = World()
        super().__init__(config, world, VirtualInbox(world), ring_seconds)


class RealTimeOffice(SimDevices):
    """Time passes as it does outside."""

    def __init__(self, config: Config, inbox: Inbox, ring_seconds: int) -> None:
        world = World(MonoNs(time.monotonic_ns()))
        super().__init__(config, world, inbox, ring_seconds)
        self.clock = self.office.clock(self.world, lambda: MonoNs(time.monotonic_ns()))
        self._driver = RealTimeDriver(self.world)

    def start(self) -> None:
        """Let time pass."""
        self._driver.start()

    def close(self) -> None:
        """Let no more time pass."""
        self._driver.close()
