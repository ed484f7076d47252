"""The line machine's ringing: cadences, kinds of detector, coupling into the hook, faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pytest

from recorderd.config.profiles import load_profile
from recorderd.core.line import LineMachine
from recorderd.events import (
    EdgesLost,
    HookEdge,
    LineFact,
    LineFaulted,
    LineRestored,
    RingBurstEnded,
    RingEdge,
    RingingStarted,
    RingingStopped,
    TimePassed,
    WentOffHook,
    WentOnHook,
)
from recorderd.units import MonoNs, ms, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

LINE = "desk"
Event = HookEdge | RingEdge | EdgesLost | TimePassed
FactT = TypeVar("FactT")

# One cycle of each country's cadence: (starts, lasts) of the bursts and the period, in ms. A burst
# of ours may be several of the exchange's. Asterisk, configs/samples/indications.conf.sample.
CADENCES = {
    "JP": ([(0, 1000)], 3000),
    "US": ([(0, 2000)], 6000),
    "GB": ([(0, 400), (600, 400)], 3000),
    "DE": ([(0, 1000)], 5000),
    "FR": ([(0, 1500)], 5000),
}
DETECTORS = ["half-wave", "full-wave", "narrow", "envelope"]


def at(milliseconds: float) -> MonoNs:
    return MonoNs(ms(milliseconds))


def hook(milliseconds: float, off_hook: bool) -> HookEdge:
    return HookEdge(at(milliseconds), LINE, off_hook)


def ring(milliseconds: float, active: bool) -> RingEdge:
    return RingEdge(at(milliseconds), LINE, active)


def facts_of(events: Iterable[Event], country: str = "JP", quiet_s: float = 30) -> list[LineFact]:
    """All facts of the events in time order, and of `quiet_s` seconds without any after them."""
    line = LineMachine(LINE, load_profile(country), None)
    facts: list[LineFact] = []
    ordered = sorted(events, key=lambda event: event.at)
    for event in ordered:
        facts += line.handle(event)
    return facts + line.handle(TimePassed(MonoNs(ordered[-1].at + seconds(quiet_s))))


def of_kind(facts: list[LineFact], kind: type[FactT]) -> list[FactT]:
    return [fact for fact in facts if isinstance(fact, kind)]


def pulses(start_ms: float, end_ms: float, period_ms: float, share: float) -> list[RingEdge]:
    edges, now_ms = [], start_ms
    while now_ms < end_ms:
        edges += [ring(now_ms, True), ring(now_ms + period_ms * share, False)]
        now_ms += period_ms
    return edges


def burst(start_ms: float, length_ms: float, hz: float, detector: str) -> list[RingEdge]:
    """One burst of ringing current as a detector shows it."""
    end_ms = start_ms + length_ms
    if detector == "envelope":
        return [ring(start_ms, True), ring(end_ms, False)]
    if detector == "half-wave":
        return pulses(start_ms, end_ms, 1000 / hz, 0.5)
    return pulses(start_ms, end_ms, 500 / hz, 0.05 if detector == "narrow" else 0.8)


def ringing(
    country: str, hz: float, detector: str, cycles: int, start_ms: float = 1000
) -> list[RingEdge]:
    bursts, period_ms = CADENCES[country]
    return [
        edge
        for cycle in range(cycles)
        for offset_ms, length_ms in bursts
        for edge in burst(start_ms + cycle * period_ms + offset_ms, length_ms, hz, detector)
    ]


def coupled(edges: list[RingEdge]) -> list[HookEdge]:
    """The same ringing current as a hook sensor sees it."""
    return [HookEdge(edge.at, LINE, edge.active) for edge in edges]


# ---------------------------------------------------------------- cadence


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("hz", [15, 16, 20, 25])
@pytest.mark.parametrize("country", CADENCES)
def test_ringing_that_nobody_answers(country: str, hz: float, detector: str) -> None:
    edges = ringing(country, hz, detector, cycles=4)
    facts = facts_of(edges, country)
    kinds = [type(fact) for fact in facts]
    assert kinds == [RingingStarted, *[RingBurstEnded] * 4, RingingStopped]
    assert facts[0] == RingingStarted(edges[0].at, LINE)
    assert facts[-1] == RingingStopped(edges[-1].at, LINE, 4)


def test_each_burst_has_its_first_and_last_edge() -> None:
    facts = facts_of(ringing("JP", 16, "envelope", cycles=2))
    assert of_kind(facts, RingBurstEnded) == [
        RingBurstEnded(at(2000), LINE, at(1000)),
        RingBurstEnded(at(5000), LINE, at(4000)),
    ]


def test_japans_waking_rings_are_bursts_of_their_own() -> None:
    edges = [edge for cycle in range(6) for edge in burst(1000 * cycle, 500, 16, "half-wave")]
    assert len(of_kind(facts_of(edges), RingBurstEnded)) == 6


def test_japans_slowest_legal_cadence_is_one_ringing() -> None:
    edges = [edge for cycle in range(4) for edge in burst(3750 * cycle, 860, 15, "half-wave")]
    facts = facts_of(edges)
    assert len(of_kind(facts, RingingStarted)) == 1
    assert of_kind(facts, RingingStopped)[0].bursts == 4


def test_two_calls_with_a_pause_between_them_are_two_ringings() -> None:
    edges = ringing("JP", 16, "half-wave", 2) + ringing("JP", 16, "half-wave", 3, start_ms=20_000)
    stops = of_kind(facts_of(edges), RingingStopped)
    assert [stop.bursts for stop in stops] == [2, 3]


def test_a_click_on_the_line_is_no_ringing() -> None:
    edges = [ring(1000, True), ring(1080, False), ring(5000, True), ring(5180, False)]
    assert facts_of(edges) == []


# ---------------------------------------------------------------- answer


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("lift_ms", [4500, 6000])
def test_an_answer_ends_ringing_within_and_between_bursts(detector: str, lift_ms: float) -> None:
    edges = [edge for edge in ringing("JP", 16, detector, 2) if edge.at < at(lift_ms + 40)]
    if edges[-1].active:
        edges.append(ring(lift_ms + 41, False))
    facts = facts_of([*edges, hook(lift_ms, True), hook(30_000, False)])
    assert [type(fact) for fact in facts] == [
        RingingStarted,
        RingBurstEnded,
        RingBurstEnded,
        WentOffHook,
        WentOnHook,
    ]
    assert facts[3].at == at(lift_ms)


def test_an_answer_just_before_ringing_would_be_called_stopped() -> None:
    edges = ringing("JP", 16, "envelope", 1)
    lift_ms = 2000 + load_profile("JP").ring_stopped_ms - 50
    facts = facts_of([*edges, hook(lift_ms, True)])
    assert [type(fact) for fact in facts] == [RingingStarted, RingBurstEnded, WentOffHook]


@pytest.mark.parametrize("detector", ["half-wave", "full-wave"])
@pytest.mark.parametrize("hz", [15, 16, 20, 25])
def test_ringing_current_in_the_hook_sensor_is_no_answer(hz: float, detector: str) -> None:
    edges = ringing("US", hz, detector, 5)
    with_ring_pin = facts_of([*edges, *coupled(edges)], "US")
    assert of_kind(with_ring_pin, WentOffHook) == []
    assert of_kind(with_ring_pin, LineFaulted) == []
    assert facts_of(coupled(edges), "US") == []


@pytest.mark.parametrize("detector", ["half-wave", "full-wave"])
def test_an_answer_through_ringing_current_is_dated_by_the_lift(detector: str) -> None:
    """The exchange trips the ringing 150 ms after the lift; the sensor sees both at once."""
    current = [edge for edge in ringing("US", 20, detector, 1) if edge.at < at(2150)]
    lift_ms = current[-1].at / 1e6 + 1
    facts = facts_of([*current, *coupled(current), hook(lift_ms, True), hook(30_000, False)], "US")
    answered = of_kind(facts, WentOffHook)
    assert len(answered) == 1
    assert at(lift_ms - 200) <= answered[0].at <= at(lift_ms)


def test_edges_of_dial_pulses_in_the_ring_detector_are_no_ringing() -> None:
    edges: list[Event] = [hook(0, True)]
    for index in range(10):
        opened_ms = 2000 + 100 * index
        edges += [hook(opened_ms, False), ring(opened_ms + 0.1, True), ring(opened_ms + 20, False)]
        edges += [hook(opened_ms + 60, True), ring(opened_ms + 60.1, True)]
        edges += [ring(opened_ms + 80, False)]
    assert of_kind(facts_of(edges), RingingStarted) == []


def test_a_closed_loop_cannot_ring() -> None:
    edges: list[Event] = [hook(0, True), *burst(5000, 1000, 16, "envelope"), hook(9000, False)]
    assert [type(fact) for fact in facts_of(edges)] == [WentOffHook, WentOnHook]


def test_a_flash_that_rattles_the_ring_detector_is_no_ringing() -> None:
    edges: list[Event] = [hook(0, True), hook(5000, False), hook(6000, True)]
    edges += burst(5100, 400, 16, "envelope")
    assert of_kind(facts_of(edges), RingingStarted) == []


def test_a_ring_back_right_after_hanging_up_keeps_its_first_edge() -> None:
    edges = [hook(0, True), hook(5000, False), *burst(5600, 1000, 16, "envelope")]
    facts = facts_of(edges)
    assert [type(fact) for fact in facts] == [
        WentOffHook,
        WentOnHook,
        RingingStarted,
        RingBurstEnded,
        RingingStopped,
    ]
    assert facts[2].at == at(5600)


# ---------------------------------------------------------------- faults


def test_a_ring_pin_stuck_active_is_one_fault_until_it_lets_go() -> None:
    facts = facts_of([ring(1000, True), ring(100_000, False)])
    assert [type(fact) for fact in facts] == [
        RingingStarted,
        LineFaulted,
        RingingStopped,
        LineRestored,
    ]
    assert facts[1].at == at(11_000)
    assert of_kind(facts, RingingStopped)[0].bursts == 0
    assert facts[3].at == at(105_000)


def test_mains_hum_on_the_ring_pin_is_one_fault() -> None:
    facts = facts_of(pulses(0, 60_000, 20, 0.5))
    assert len(of_kind(facts, LineFaulted)) == 1
    assert len(of_kind(facts, RingingStarted)) == 1
    assert len(of_kind(facts, LineRestored)) == 1


def test_ten_thousand_edges_a_second_are_one_fault() -> None:
    facts = facts_of(pulses(0, 2000, 0.2, 0.5))
    assert [type(fact) for fact in facts] == [LineFaulted, LineRestored]
    lost = facts_of([EdgesLost(at(250 * index), LINE, "ring", 2500) for index in range(40)])
    assert [type(fact) for fact in lost] == [LineFaulted, LineRestored]


def test_calls_are_still_seen_while_the_ring_pin_is_faulty() -> None:
    edges = [*pulses(0, 60_000, 20, 0.5), hook(30_000, True), hook(40_000, False)]
    facts = facts_of(edges)
    assert of_kind(facts, WentOffHook) == [WentOffHook(at(30_000), LINE)]
    assert of_kind(facts, WentOnHook) == [WentOnHook(at(40_000), LINE)]
