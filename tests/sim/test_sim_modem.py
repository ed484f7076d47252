"""The simulated modem: spoken to by hand, and by the machine that speaks to real ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd import commands
from recorderd import events as ev
from recorderd.core.modem import ModemMachine
from recorderd.sim.clock import VirtualInbox, World
from recorderd.sim.modem import HASH_CID, IDENTITY, LINE_LIMIT_BYTES, VCID, SimModem
from recorderd.units import later, ms, seconds

FIELDS = (("DATE", "1123"), ("TIME", "0905"), ("NMBR", "0312345678"), ("NAME", "SATO"))


class Bench:
    def __init__(self, dialect=VCID):
        self.world = World()
        self.inbox = VirtualInbox(self.world)
        self.modem = SimModem(self.world, "a", self.inbox.post, dialect)
        self.modem.start()
        assert self.events() == [ev.DriverReady(self.world.start, "modem", "a", "simulated")]

    def events(self, wait_s=1.0):
        until = later(self.world.now(), seconds(wait_s))
        found = []
        while (event := self.inbox.wait(until)) is not None:
            found.append(event)
        return found

    def says(self):
        found = self.events()
        assert all(isinstance(event, ev.ModemBytes) for event in found)
        return b"".join(event.data for event in found)

    def ask(self, command):
        self.modem.write(command)
        return self.says()


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"AT\r", b"\r\nOK\r\n"),
        (b"at s0=0 \r", b"\r\nERROR\r\n"),
        (b"ATS0=0V1Q0&D0&C1X4M0\r", b"\r\nOK\r\n"),
        (b"ATI\r", b"\r\n" + IDENTITY.encode() + b"\r\n\r\nOK\r\n"),
        (b"AT+VCID=1\r", b"\r\nOK\r\n"),
        (b"AT#CID=1\r", b"\r\nERROR\r\n"),
        (b"AT+FCLASS=8;+VCID=1\r", b"\r\nOK\r\n"),
        (b"ATNONSENSE\r", b"\r\nERROR\r\n"),
        (b"HELLO\r", b""),
        (b"\r\r", b""),
    ],
)
def test_answers_without_echo(command, answer):
    bench = Bench()
    assert bench.ask(b"ATE0\r") == b"ATE0\r\r\nOK\r\n"
    assert bench.ask(command) == answer


def test_the_dialects_refuse_each_other_s_command():
    bench = Bench(HASH_CID)
    bench.ask(b"ATE0\r")
    assert bench.ask(b"AT+VCID=1\r") == b"\r\nERROR\r\n"
    assert bench.ask(b"AT#CID=1\r") == b"\r\nOK\r\n"
    bench.modem.report(FIELDS[2:3])
    assert bench.says() == b"\r\nNMBR=0312345678\r\n"


def test_no_caller_id_unless_enabled_since_the_last_reset():
    bench = Bench()
    bench.modem.report(FIELDS)
    assert bench.says() == b""
    bench.ask(b"AT+VCID=1\r")
    bench.modem.report(FIELDS)
    assert b"NMBR = 0312345678" in bench.says()
    for loss in (
        lambda: bench.ask(b"ATZ\r"),
        lambda: replug(bench),
        lambda: bench.ask(b"AT+VCID=0\r"),
    ):
        bench.ask(b"AT+VCID=1\r")
        loss()
        bench.modem.report(FIELDS)
        assert bench.says() == b""


def replug(bench):
    bench.modem.set_plugged(plugged=False)
    bench.modem.set_plugged(plugged=True)
    kinds = [type(event) for event in bench.events()]
    assert kinds == [ev.DriverLost, ev.DriverReady]


def test_an_unplugged_modem_neither_hears_nor_speaks():
    bench = Bench()
    bench.modem.write(b"ATI\r")  # its answer is under way when the plug is pulled
    echo = bench.inbox.wait(bench.world.now())
    assert echo.data == b"AT"
    bench.modem.set_plugged(plugged=False)
    (lost,) = bench.events()
    assert (lost.kind, lost.name, lost.reason) == ("modem", "a", "unplugged")
    assert bench.ask(b"ATI\r") == b""
    bench.modem.say(b"\r\nRING\r\n")
    bench.modem.set_plugged(plugged=False)
    assert bench.says() == b""


def test_what_was_under_way_at_the_unplug_never_comes():
    bench = Bench()
    bench.modem.write(b"ATI\r")
    assert bench.inbox.wait(bench.world.now()).data == b"AT"
    bench.modem.set_plugged(plugged=False)
    bench.modem.set_plugged(plugged=True)
    assert [type(event) for event in bench.events()] == [ev.DriverLost, ev.DriverReady]


def test_a_command_without_end_takes_no_memory():
    bench = Bench()
    for _ in range(100):
        bench.modem.write(b"A" * 1000)
    assert len(bench.modem._command) <= LINE_LIMIT_BYTES


def test_a_closed_modem_is_silent():
    bench = Bench()
    bench.modem.close()
    assert bench.ask(b"ATI\r") == b""
    bench.modem.set_plugged(plugged=False)
    assert bench.says() == b""


@settings(max_examples=80, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_any_bytes_are_borne(pieces):
    bench = Bench()
    for piece in pieces:
        bench.modem.write(piece)
    bench.says()
    bench.modem.write(b"\rATE0\r")
    bench.says()
    assert bench.ask(b"AT\r") == b"\r\nOK\r\n"


@pytest.mark.parametrize("dialect", [VCID, HASH_CID])
def test_the_modem_machine_sets_it_up_and_reads_its_reports(dialect):
    world = World()
    inbox = VirtualInbox(world)
    modem = SimModem(world, "a", inbox.post, dialect)
    machine = ModemMachine("a")
    modem.start()
    facts = run(world, inbox, modem, machine, 60)
    (ready,) = [fact for fact in facts if isinstance(fact, ev.ModemReady)]
    assert IDENTITY in ready.identity
    assert dialect.enable in ready.caller_id_command
    modem.report(FIELDS)
    modem.set_plugged(plugged=True)
    facts = run(world, inbox, modem, machine, 20)
    (report,) = [fact for fact in facts if isinstance(fact, ev.CallerIdReported)]
    assert (report.caller.number, report.caller.name) == ("0312345678", "SATO")
    modem.set_plugged(plugged=False)
    modem.set_plugged(plugged=True)
    facts = run(world, inbox, modem, machine, 60)
    assert any(isinstance(fact, ev.ModemReady) for fact in facts)
    modem.report((("MESG", "0B01FFF5"),))
    facts = run(world, inbox, modem, machine, 20)
    assert [fact.waiting for fact in facts if isinstance(fact, ev.MessageWaitingReported)] == [True]


def run(world, inbox, modem, machine, for_s):
    """The control loop in small: inputs and deadlines to the machine, its writes to the modem."""
    facts = []
    end = later(world.now(), seconds(for_s))
    while world.now() < end:
        deadline = machine.deadline()
        event = inbox.wait(end if deadline is None else min(end, deadline))
        outputs = machine.handle(event or ev.TimePassed(world.now()))
        for output in outputs:
            if isinstance(output, commands.WriteModem):
                modem.write(output.data)
            else:
                facts.append(output)
        if event is None and machine.deadline() == deadline and world.now() < end:
            world.advance(later(world.now(), ms(1)))
    return facts
