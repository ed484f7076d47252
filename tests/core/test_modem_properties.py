"""What holds for every modem and every order of events."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.commands import WriteModem
from recorderd.core.modem import ModemMachine
from recorderd.core.modem_text import LINE_BYTES
from recorderd.events import (
    CallerIdReported,
    DriverLost,
    DriverReady,
    ModemBytes,
    RingingStarted,
    RingingStopped,
    StopRequested,
    TimePassed,
)
from recorderd.units import MonoNs, seconds
from tests.core.modem_bench import LINE, USR, Answering, Bench, dead

TEXTS = [
    "\r\nRING\r\n",
    "RING RING DATE=0224 NAME=ONMBR=5072884388\r\n",
    "DATE = 0321\r\nTIME = 1405\r\n",
    "NMBR = 5551212\r\n",
    "NMBR = P\r\n",
    "NAME = VÄHÄLÄ\r\n",
    "NAME = SPRINGFIELD\r\n",
    "MESG = 030735353531323132\r\n",
    "MESG = 0B01FF\r\n",
    "041230353131313835323430373535353030303059\r\n",
    "###DATE03301423...NMBR4075551212...NAMEWIRELESS CALL+++\r",
    "01     11/24     12:05 AM       813-555-1212           WIRELESS CALLER\r\n",
    '+CLIP: "+4989123",145,"",,"ANNA",0\r\n',
    "\x10R\x10X\r\n\x10.",
    "\r\nOK\r\n",
    "\r\nERROR\r\n",
    "AT+VCID=1\r",
    "5601\r\n",
    "NMBR = 55",
    "x" * 1500,
]

streams = st.lists(
    st.one_of(st.sampled_from(TEXTS).map(str.encode), st.binary(max_size=40)), max_size=12
).map(b"".join)


def facts_of(outputs):
    return [output for output in outputs if not isinstance(output, WriteModem)]


@settings(max_examples=150, deadline=None)
@given(streams, st.lists(st.integers(0, 3000), max_size=8), st.booleans())
def test_splitting_the_bytes_anywhere_gives_the_same(stream, cuts, opened):
    def run(pieces):
        machine, at = ModemMachine(LINE), MonoNs(seconds(5))
        outputs = machine.handle(DriverReady(at, "modem", LINE)) if opened else []
        outputs += machine.handle(TimePassed(at))
        for piece in pieces:
            outputs += machine.handle(ModemBytes(at, LINE, piece))
        deadline = machine.deadline()
        return outputs + machine.handle(TimePassed(MonoNs(at + seconds(1)))), deadline

    marks = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    pieces = [stream[start:end] for start, end in pairwise(marks)]
    whole = run([stream])
    assert run(pieces) == whole
    assert run([bytes((byte,)) for byte in stream]) == whole


happenings = st.lists(
    st.tuples(
        st.integers(0, seconds(70)),  # before it
        st.one_of(
            st.sampled_from(TEXTS).map(str.encode),
            st.binary(max_size=20),
            st.sampled_from(["ready", "lost", "ringing", "stopped"]),
        ),
        st.lists(st.integers(0, seconds(70)), max_size=3),  # when in it extra TimePassed come
    ),
    max_size=15,
)


def event_of(what, at):
    if isinstance(what, bytes):
        return ModemBytes(at, LINE, what)
    return {
        "ready": DriverReady(at, "modem", LINE),
        "lost": DriverLost(at, "modem", LINE, "pulled out"),
        "ringing": RingingStarted(at, LINE),
        "stopped": RingingStopped(MonoNs(at - seconds(6)), LINE, 3),
    }[what]


@settings(max_examples=150, deadline=None)
@given(happenings, st.booleans())
def test_extra_time_passed_changes_nothing(steps, answers):
    def run(*, extra):
        bench = Bench(Answering(USR) if answers else dead)
        bench.plug()
        for wait_ns, what, extra_ns in steps:
            began = bench.now
            for place in [*sorted(extra_ns), wait_ns] if extra else [wait_ns]:
                bench.wait_until(MonoNs(began + min(place, wait_ns)))
            bench.give(event_of(what, bench.now))
        bench.wait(100)
        return bench

    plain, busy = run(extra=False), run(extra=True)
    assert busy.facts == plain.facts
    assert busy.commands == plain.commands


events_at_any_time = st.lists(
    st.tuples(
        st.integers(0, 2**62),
        st.one_of(
            st.sampled_from(TEXTS).map(str.encode),
            st.binary(max_size=60),
            st.sampled_from(["ready", "lost", "ringing", "stopped", "time", "stop"]),
        ),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(events_at_any_time)
def test_any_order_of_events_raises_nothing_and_stays_bounded(steps):
    machine = ModemMachine(LINE, "JP")
    for at, what in steps:
        match what:
            case "time":
                event = TimePassed(MonoNs(at))
            case "stop":
                event = StopRequested(MonoNs(at))
            case _:
                event = event_of(what, MonoNs(at))
        outputs = machine.handle(event)
        assert sum(isinstance(output, WriteModem) for output in outputs) <= 1
        for fact in facts_of(outputs):
            if isinstance(fact, CallerIdReported):
                caller = fact.caller
                assert caller.number is None or caller.absence is None
                assert caller.number is None or caller.number.lstrip("+").isdecimal()
                assert caller.name is None or caller.name.isprintable()
                assert len(caller.raw) <= 1000
        assert len(machine._cutter._buffer) <= LINE_BYTES


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.permutations(["DATE", "TIME", "NMBR", "NAME"]),
            st.sets(st.sampled_from(["DATE", "TIME", "NMBR", "NAME"]), max_size=3),  # missing
            st.lists(st.floats(0, 1.5), min_size=4, max_size=4),  # before each line
            st.booleans(),  # a ring before it
            st.floats(10, 40),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_no_report_ever_carries_another_callers_name(reports):
    bench = Bench()
    for index, (order, missing, waits, rung, pause) in enumerate(reports):
        if rung:
            bench.lines("RING")
        values = {"DATE": "0321", "TIME": "1405", "NMBR": f"700{index}", "NAME": f"CALLER {index}"}
        for key, wait in zip(order, waits, strict=True):
            bench.wait(wait)
            if key not in missing:
                bench.lines(f"{key} = {values[key]}")
        bench.wait(pause)
    for caller in bench.callers:
        if caller.number is not None and caller.name is not None:
            assert caller.name == f"CALLER {int(caller.number) - 7000}"
        said = {
            line.rsplit(" ", 1)[1] for line in caller.raw.split("\n") if line.startswith("NAME")
        }
        if caller.number is not None:
            assert said <= {str(int(caller.number) - 7000)}
