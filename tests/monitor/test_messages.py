"""What goes out to people who look on, and what does not."""

from __future__ import annotations

import dataclasses
import json
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd import commands, heard
from recorderd import events as ev
from recorderd.monitor.messages import SENT, as_message, caller_fields, packet
from recorderd.units import MonoNs

AT = MonoNs(5)


@pytest.mark.parametrize("fact", typing.get_args(ev.Fact), ids=lambda fact: fact.__name__)
def test_every_fact_is_told(fact):
    assert fact.__name__ in SENT


@pytest.mark.parametrize("name", sorted(SENT))
def test_what_is_told_exists(name):
    kinds = [vars(module)[name] for module in (ev, heard, commands) if name in vars(module)]
    fields = {field.name for field in dataclasses.fields(kinds[0])}
    assert set(SENT[name]) <= fields


def test_fields_are_told_as_they_are():
    assert as_message(ev.RingEdge(AT, "one", active=True), is_sealed=False) == {
        "what": "RingEdge",
        "at": 5,
        "line": "one",
        "active": True,
    }
    assert as_message(ev.TimePassed(AT), is_sealed=False) is None
    assert as_message(commands.WriteModem("one", b"AT\r"), is_sealed=False) is None


def test_bytes_arrive_as_they_came():
    data = bytes(range(256))
    message = json.loads(packet(as_message(ev.ModemBytes(AT, "one", data), is_sealed=False)))
    assert message["data"].encode("latin-1") == data


@given(st.text("0123456789ABCabc", min_size=3), st.text(min_size=3), st.binary(min_size=1))
def test_nothing_of_a_sealed_call_goes_out(number, name, data):
    caller = ev.Caller(number, name, None, "modem", raw=f"NMBR={number}")
    told = [
        as_message(event, is_sealed=True)
        for event in (
            ev.ModemBytes(AT, "one", data),
            ev.ModemBytes(AT, "one", f"NMBR = {number}".encode()),
            ev.CallerIdentified(AT, "one", "id", caller),
            ev.CallerIdReported(AT, "one", caller),
            ev.CallWaitingIdentified(AT, "one", "id", caller),
            ev.PulseDialled(AT, "one", "7"),
        )
    ]
    assert set(told[0]["data"].encode("latin-1")) <= set(b"x \t\r\n\x0b\x0c=:,")
    assert set(told[1]["data"]) <= set("x =")
    assert all(message["caller"]["number"] == "x" for message in told[2:5])
    assert all(message["caller"]["name"] == "x" for message in told[2:5])
    assert told[5]["digit"] == "x"
    assert caller_fields(caller, is_sealed=True)["number"] == "x"


def test_that_there_is_no_number_is_told_of_sealed_calls_too():
    caller = ev.Caller(None, None, "private", "modem", raw="P")
    assert caller_fields(caller, is_sealed=True) == {
        "number": None,
        "name": None,
        "absence": "private",
        "source": "modem",
    }
    assert caller_fields(None, is_sealed=True) is None
