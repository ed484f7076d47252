"""Everything that goes wrong, made to happen."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from recorderd import events as ev
from recorderd.units import seconds
from tests.simulate.disk import GROWING, WRITING, Fault

if TYPE_CHECKING:
    from tests.simulate.plan import Trouble
    from tests.simulate.run import Simulation

FLOOD_PIECES, FLOOD_BYTES = 200, 512
NOISE_PIECES, NOISE_BYTES = 5, 40
PIECE_EVERY_NS = 5_000_000
CLOCK_STEPS_NS = (-seconds(3600), seconds(3600), seconds(3652 * 86_400), -seconds(40), None)
"""An hour either way, ten years ahead, less than a minute; None: back to 1970."""


class Troubles:
    """Each begins at its moment, and puts its end on the agenda."""

    def __init__(self, simulation: Simulation) -> None:
        self._sim = simulation
        self._box = simulation.box
        self._alarms = simulation.checker.alarms

    def begin(self, trouble: Trouble) -> None:
        """Let it begin: its moment has come."""
        self._sim.event = trouble.kind
        self._sim.counts[trouble.kind] += 1
        self._sim.note(repr(trouble))
        {
            "disk": self._disk_trouble,
            "power": self._death,
            "killed": self._death,
            "stopped": self._death,
            "clock": self._clock_trouble,
            "modem": self._modem_trouble,
            "card": self._card_trouble,
            "hook": self._hook_trouble,
            "wrong": self._config_trouble,
            "other": self._config_trouble,
        }[trouble.kind.partition("-")[0]](trouble)

    def _disk_trouble(self, trouble: Trouble) -> None:
        if self._sim.disk.fault is not None:
            return
        operations, chance = WRITING, 1.0
        if trouble.kind == "disk-full":
            operations = GROWING
        elif trouble.kind == "disk-failing":
            chance = self._sim.rng.choice((1.0, 0.5, 0.1))
            operations = self._sim.rng.choice((WRITING, frozenset({"fsync"}), frozenset({"write"})))
        fault = Fault(trouble.number, operations, chance, writes_part=trouble.kind == "disk-full")
        self._sim.disk.fault = fault
        self._alarms.disk_fails()
        self._sim.outside.add(
            self._sim.outside.now + trouble.span_ns, lambda: self._mend_disk(fault)
        )

    def _mend_disk(self, fault: Fault) -> None:
        if self._sim.disk.fault is fault:
            self._sim.disk.fault = None
            self._sim.event = "the disk works again"
        self._alarms.disk_works()

    def _death(self, trouble: Trouble) -> None:
        if self._sim.process is None or self._sim.doomed is not None:
            return
        self._sim.doomed = trouble
        if trouble.kind.endswith("in-write"):
            self._sim.disk.kill_after = trouble.number
        self._sim.is_interrupted = True

    def _clock_trouble(self, trouble: Trouble) -> None:
        clock, now = self._box.clock, self._sim.outside.now
        step_ns = CLOCK_STEPS_NS[trouble.number % len(CLOCK_STEPS_NS)]
        synchronised = trouble.number % 2 == 0
        if step_ns is None:
            clock.set_to(seconds(60), synchronised=synchronised)
        else:
            clock.move(step_ns, synchronised=synchronised)
        if clock.synchronised:
            self._sim.checker.clock_misleads()
        self._sim.outside.add(now + trouble.span_ns, clock.synchronise)

    def _modem_trouble(self, trouble: Trouble) -> None:
        now = self._sim.outside.now
        if trouble.kind == "modem-lost":
            self._plug(trouble.line, plugged=False)
            self._sim.outside.add(
                now + trouble.span_ns, lambda: self._plug(trouble.line, plugged=True)
            )
            return
        is_flood = trouble.kind == "modem-flood"
        pieces, size = (FLOOD_PIECES, FLOOD_BYTES) if is_flood else (NOISE_PIECES, NOISE_BYTES)
        noise = random.Random(trouble.number)
        self._alarms.modem_babbles(trouble.line, now + pieces * PIECE_EVERY_NS)
        phone = self._box.phones[trouble.line]
        for number in range(pieces):
            data = noise.randbytes(size)
            at = now + number * PIECE_EVERY_NS
            self._sim.outside.add(at, lambda data=data: phone.modem and phone.modem.say(data))

    def _plug(self, line: str, *, plugged: bool) -> None:
        phone = self._box.phones[line]
        phone.plugged = plugged
        if phone.modem is not None:
            phone.modem.set_plugged(plugged=plugged)
        self._alarms.modem_is(line, plugged=plugged)

    def _card_trouble(self, trouble: Trouble) -> None:
        cards = (
            []
            if self._sim.process is None
            else list(self._sim.process.daemon._actors.cards.values())
        )
        if trouble.kind == "card-overrun":
            for card in cards:
                card.overrun(trouble.span_ns)
            return
        if self._box.card_is_lost:
            return
        self._box.card_is_lost = True
        for card in cards:
            card.lose()
        self._alarms.card_is(there=False)
        self._sim.outside.add(self._sim.outside.now + trouble.span_ns, self._card_comes_back)

    def _card_comes_back(self) -> None:
        self._box.card_is_lost = False
        if self._sim.process is not None:
            for card in self._sim.process.daemon._actors.cards.values():
                card.come_back()
        self._alarms.card_is(there=True)

    def _hook_trouble(self, trouble: Trouble) -> None:
        until = self._sim.outside.now + trouble.span_ns
        self._alarms.hook_chatters(trouble.line, until)
        self._box.phones[trouble.line].chatter(until)

    def _config_trouble(self, trouble: Trouble) -> None:
        configuration = self._sim.configuration
        if trouble.kind == "other-configuration":
            configuration.pre_roll_ms = 1000 + trouble.number % 5 * 500
            self._reload()
            return
        self._offer(is_right=False)
        self._sim.outside.add(
            self._sim.outside.now + trouble.span_ns, lambda: self._offer(is_right=True)
        )

    def _offer(self, *, is_right: bool) -> None:
        self._sim.configuration.is_right = is_right
        self._reload()
        self._alarms.config_is(right=is_right)

    def _reload(self) -> None:
        self._sim.configuration.write()
        process = self._sim.process
        if process is not None:
            process.devices.inbox.post(ev.ReloadRequested(process.devices.boot.now()))
