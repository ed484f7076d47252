"""The virtual exchange and phone, heard by the same line machine that hears the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd import events as ev
from recorderd.config.profiles import load_profile
from recorderd.core.line import LineMachine
from recorderd.errors import ConfigError
from recorderd.sim import actions
from recorderd.sim.exchange import (
    HookMoved,
    ReportArrived,
    RingMoved,
    SoundPlayed,
    happenings,
    network_of,
)
from recorderd.units import MonoNs, later, ms, seconds

COUNTRIES = ("JP", "US", "GB", "DE", "FR")
START = MonoNs(seconds(1000))


@dataclass
class Told:
    """What one action makes happen, and what the line machine makes of it."""

    found: list
    facts: list

    def only(self, kind):
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def happened(self, kind):
        return [happening for happening in self.found if isinstance(happening, kind)]


def tell(action, country="JP", seed=1, *, after=()):
    """Work out an action (and those of `after`, each some seconds later) and play it."""
    script = actions.Script("x.line", datetime(2026, 11, 23, tzinfo=UTC), seed, ())
    found = []
    for number, (delay_s, one) in enumerate([(0, action), *after]):
        at = later(START, seconds(delay_s))
        event = actions.ScriptEvent(at - START, "a", one, number + 1)
        found += happenings(event, at, script, network_of(country))
    found.sort(key=lambda happening: happening.at)
    return Told(found, heard(found, country))


def heard(found, country):
    machine = LineMachine("a", load_profile(country), None)
    facts = machine.handle(ev.HookEdge(MonoNs(0), "a", off_hook=False, at_start=True))
    for happening in found:
        facts += pass_time(machine, happening.at)
        if isinstance(happening, HookMoved):
            facts += machine.handle(ev.HookEdge(happening.at, "a", happening.off_hook))
        elif isinstance(happening, RingMoved):
            facts += machine.handle(ev.RingEdge(happening.at, "a", happening.active))
    return facts + pass_time(machine, later(found[-1].at, seconds(30)))


def pass_time(machine, until):
    facts = []
    while (deadline := machine.deadline()) is not None and deadline <= until:
        facts += machine.handle(ev.TimePassed(deadline))
    return facts


def inbound(**given):
    values = {
        "number": "0312345678",
        "name": None,
        "absence": None,
        "rings": None,
        "answer_ns": seconds(5),
        "talk_ns": seconds(30),
        "late_id_ns": None,
        "caller_id": None,
    }
    return actions.Inbound(**{**values, **given})


# ---------------------------------------------------------------- inbound


@pytest.mark.parametrize("country", COUNTRIES)
@pytest.mark.parametrize("seed", range(4))
def test_an_answered_call_rings_is_lifted_and_hung_up(country, seed):
    told = tell(inbound(caller_id="between"), country, seed)
    assert len(told.only(ev.RingingStarted)) == 1
    (lifted,) = told.only(ev.WentOffHook)
    (hung_up,) = told.only(ev.WentOnHook)
    assert lifted.at == later(told.only(ev.RingingStarted)[0].at, seconds(5))
    assert hung_up.at == later(lifted.at, seconds(30))
    assert not told.only(ev.LineFaulted)


@pytest.mark.parametrize(
    ("country", "bursts"), [("JP", 3), ("US", 3), ("GB", 6), ("DE", 3), ("FR", 3)]
)
def test_a_missed_call_rings_as_often_as_told(country, bursts):
    told = tell(inbound(rings=3, answer_ns=None, caller_id="between"), country)
    (stopped,) = told.only(ev.RingingStopped)
    assert stopped.bursts in {3, bursts}  # a machine may take the British double ring for one
    assert not told.only(ev.WentOffHook)


@pytest.mark.parametrize(
    ("country", "ring_hz"), [("JP", 16), ("US", 20), ("GB", 25), ("DE", 25), ("FR", 25)]
)
def test_ring_edges_come_at_the_country_s_frequency(country, ring_hz):
    told = tell(inbound(caller_id="between"), country)
    first, second = [edge.at for edge in told.happened(RingMoved) if edge.active][:2]
    assert second - first == pytest.approx(seconds(1) / ring_hz, rel=1e-6)


def test_japan_alerts_closes_the_loop_reports_and_then_rings():
    told = tell(inbound())
    closed, answered = told.only(ev.WentOffHook)
    opened = told.only(ev.WentOnHook)[0]
    (report,) = told.happened(ReportArrived)
    rang = next(edge.at for edge in told.happened(RingMoved) if edge.at > opened.at)
    profile = load_profile("JP")
    assert ms(500) < closed.at - START < seconds(6)  # the exchange waits no longer
    assert opened.at - closed.at < ms(profile.caller_id_closure_max_ms)
    assert closed.at < report.at < opened.at < rang < answered.at
    assert rang - opened.at < ms(profile.caller_id_closure_ring_within_ms)
    assert answered.at == later(rang, seconds(5))


@pytest.mark.parametrize(("country", "before"), [("GB", True), ("US", False), ("DE", False)])
def test_the_number_comes_before_or_between_the_rings(country, before):
    told = tell(inbound(answer_ns=seconds(9)), country)
    (report,) = told.happened(ReportArrived)
    first_ring = told.happened(RingMoved)[0].at
    second_ring = next(e.at for e in told.happened(RingMoved) if e.at > first_ring + seconds(2.2))
    assert (report.at < first_ring) == before
    assert report.at < second_ring


def test_who_answers_at_once_cuts_the_number_off():
    assert not tell(inbound(answer_ns=seconds(1)), "US").happened(ReportArrived)


def test_a_late_number_comes_in_the_conversation():
    told = tell(inbound(late_id_ns=seconds(2)))
    (report,) = told.happened(ReportArrived)
    (lifted,) = told.only(ev.WentOffHook)
    assert report.at == later(lifted.at, seconds(2))


@pytest.mark.parametrize(
    ("given_", "fields"),
    [
        ({"name": "SATO"}, (("NMBR", "0312345678"), ("NAME", "SATO"))),
        ({"number": None, "absence": "private"}, (("NMBR", "P"),)),
        ({"number": None, "absence": "out-of-area"}, (("NMBR", "O"),)),
        ({"number": None, "absence": "payphone"}, (("NMBR", "C"),)),
        ({"number": None, "absence": "unavailable"}, (("NMBR", "S"),)),
    ],
)
def test_the_report_says_who_calls_and_when(given_, fields):
    (report,) = tell(inbound(**given_)).happened(ReportArrived)
    assert report.fields == (("DATE", "1123"), ("TIME", "0000"), *fields)


def test_an_answer_after_the_last_ring_is_refused_with_its_line():
    with pytest.raises(ConfigError, match=r"x\.line:1: inbound: answer=20 is after the last"):
        tell(inbound(rings=2, answer_ns=seconds(20)))


# ---------------------------------------------------------------- outbound, flash, closure


@pytest.mark.parametrize("country", COUNTRIES)
@pytest.mark.parametrize("pulses_per_s", [10, 20])
@settings(max_examples=6, deadline=None)
@given(dial=st.text("0123456789", min_size=1, max_size=4), seed=st.integers(0, 99))
def test_the_dial_is_read_back(country, pulses_per_s, dial, seed):
    call = actions.Outbound(dial, by_pulse=True, pulses_per_s=pulses_per_s, talk_ns=seconds(20))
    told = tell(call, country, seed)
    assert "".join(digit.digit for digit in told.only(ev.PulseDialled)) == dial
    assert [fact.at for fact in told.only(ev.WentOffHook)] == [START]
    assert len(told.only(ev.WentOnHook)) == 1


def test_tones_are_heard_one_after_the_other_and_not_pulsed():
    told = tell(actions.Outbound("12#", by_pulse=False, pulses_per_s=10, talk_ns=seconds(9)))
    sounds = [sound.sound for sound in told.happened(SoundPlayed)]
    assert sounds == ["dial", "digit-1", "digit-2", "digit-#", "ringback", "talk"]
    assert not told.only(ev.PulseDialled)
    ends = [sound.until for sound in told.happened(SoundPlayed)]
    begins = [sound.at for sound in told.happened(SoundPlayed)]
    assert all(end <= begin for end, begin in zip(ends, begins[1:], strict=False))


@pytest.mark.parametrize("country", ["JP", "US"])
def test_a_flash_is_a_flash(country):
    flash = actions.Flash(ms(600))
    told = tell(inbound(caller_id="none", number=None), country, after=[(20, flash)])
    (flashed,) = told.only(ev.HookFlashed)
    assert flashed.at == START + seconds(20)
    assert flashed.duration_ns == pytest.approx(ms(600), abs=ms(15))
    assert len(told.only(ev.WentOnHook)) == 1


def test_a_closure_alone_is_japanese():
    closed, opened = (
        fact
        for fact in tell(actions.Closure(seconds(1.4))).facts
        if isinstance(fact, ev.WentOffHook | ev.WentOnHook)
    )
    assert opened.at - closed.at == seconds(1.4)
    with pytest.raises(ConfigError, match="only Japan"):
        tell(actions.Closure(seconds(1.4)), "US")


# ---------------------------------------------------------------- in general


ACTIONS = st.one_of(
    st.builds(
        inbound,
        number=st.just("1"),
        answer_ns=st.none() | st.integers(0, seconds(30)),
        caller_id=st.sampled_from([None, "before", "between"]),
    ),
    st.builds(
        actions.Outbound,
        st.text("0123456789", min_size=1, max_size=5),
        st.booleans(),
        st.sampled_from([10, 20]),
        st.integers(0, seconds(60)),
    ),
    st.builds(actions.Flash, st.integers(ms(10), ms(5000))),
    st.builds(actions.MessageWaiting, st.booleans()),
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS, st.sampled_from(COUNTRIES), st.integers(0, 2**31))
def test_happenings_repeat_come_in_order_and_leave_the_phone_at_rest(action, country, seed):
    first, again = tell(action, country, seed), tell(action, country, seed)
    assert first == again
    moments = [happening.at for happening in first.found]
    assert moments == sorted(moments)
    assert moments[0] >= START
    moved = first.happened(HookMoved)
    assert not moved or moved[-1].off_hook == isinstance(action, actions.Flash)
    assert not first.happened(RingMoved) or not first.happened(RingMoved)[-1].active


def test_another_seed_bounces_otherwise():
    assert tell(inbound(), seed=1).found != tell(inbound(), seed=2).found


def test_message_waiting_carries_its_checksum():
    for waiting, text in ((True, "0B01FFF5"), (False, "0B0100F4")):
        (report,) = tell(actions.MessageWaiting(waiting)).happened(ReportArrived)
        assert report.fields == (("MESG", text),)


def test_countries():
    assert network_of("uk") == network_of("GB")
    with pytest.raises(ConfigError, match="no telephone network of XX; known: JP"):
        network_of("XX")
