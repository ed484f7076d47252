"""The line machine's hook: lifts, hang-ups, flashes, dial pulses, chatter, and their bounce."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.config.profiles import load_profile
from recorderd.core.line import LATE_EDGE_NS, LineMachine
from recorderd.events import (
    EdgesLost,
    HookEdge,
    HookFlashed,
    LineFact,
    LineFaulted,
    LineRestored,
    PulseDialled,
    RingEdge,
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


def at(milliseconds: float) -> MonoNs:
    return MonoNs(ms(milliseconds))


def hook(milliseconds: float, off_hook: bool, at_start: bool = False) -> HookEdge:
    return HookEdge(at(milliseconds), LINE, off_hook, at_start)


def machine(country: str = "JP", hang_up_ms: int | None = None) -> LineMachine:
    return LineMachine(LINE, load_profile(country), hang_up_ms)


def facts_of(events: Iterable[Event], country: str = "JP", quiet_s: float = 30) -> list[LineFact]:
    """All facts of the events, and of `quiet_s` seconds without any after them."""
    line = machine(country)
    facts: list[LineFact] = []
    last = MonoNs(0)
    for event in events:
        facts += line.handle(event)
        last = max(last, event.at)
    return facts + line.handle(TimePassed(MonoNs(last + seconds(quiet_s))))


def of_kind(facts: list[LineFact], kind: type[FactT]) -> list[FactT]:
    return [fact for fact in facts if isinstance(fact, kind)]


def bouncing(milliseconds: float, off_hook: bool, bounce_ms: list[float]) -> list[HookEdge]:
    """One change of the contact that bounces: the lengths of the wrong and right levels in turn."""
    edges = [hook(milliseconds, off_hook)]
    for index, length_ms in enumerate(bounce_ms):
        milliseconds += length_ms
        edges.append(hook(milliseconds, off_hook if index % 2 else not off_hook))
    return edges


def dialled(
    start_ms: float, number: str, pps: float, make: float, pause_ms: float = 700
) -> tuple[list[HookEdge], float]:
    """The pulses of a number from an off-hook line, and when the line is steady again."""
    edges, now_ms, period_ms = [], start_ms, 1000 / pps
    for digit in number:
        for _ in range(int(digit) or 10):
            edges += [hook(now_ms, False), hook(now_ms + period_ms * (1 - make), True)]
            now_ms += period_ms
        now_ms += pause_ms
    return edges, now_ms


# ---------------------------------------------------------------- lift and hang-up


def test_a_call_is_dated_by_its_first_edges() -> None:
    facts = facts_of([
        *bouncing(1000, True, [1, 2, 1, 3]),
        *bouncing(9000, False, [2, 1, 4, 1]),
    ])
    assert facts == [WentOffHook(at(1000), LINE), WentOnHook(at(9000), LINE)]


def test_a_slow_bounce_still_belongs_to_the_lift() -> None:
    facts = facts_of([hook(1000, True), hook(1030, False), hook(1042, True), hook(8000, False)])
    assert of_kind(facts, WentOffHook) == [WentOffHook(at(1000), LINE)]


def test_a_handset_that_rattles_down_ends_the_call_at_its_first_edge() -> None:
    edges = [hook(0, True), hook(5000, False), hook(5040, True), hook(5090, False)]
    assert facts_of(edges) == [WentOffHook(at(0), LINE), WentOnHook(at(5000), LINE)]


def test_a_short_knock_on_the_handset_is_no_call() -> None:
    assert facts_of([hook(1000, True), hook(1090, False)]) == []


def test_off_hook_is_told_once_steady_and_no_earlier() -> None:
    line = machine()
    assert line.handle(hook(1000, True)) == []
    assert line.handle(TimePassed(MonoNs(at(1100) + LATE_EDGE_NS - 1))) == []
    deadline = line.deadline()
    assert deadline == at(1100) + LATE_EDGE_NS
    assert line.handle(TimePassed(deadline)) == [WentOffHook(at(1000), LINE)]
    assert line.deadline() is None


def test_an_edge_that_arrives_late_is_still_in_time() -> None:
    line = machine()
    assert line.handle(hook(1000, True)) == []
    assert line.handle(TimePassed(at(1130))) == []
    assert line.handle(hook(1090, False)) == []
    assert line.handle(TimePassed(at(9000))) == []


def test_an_edge_that_arrives_far_too_late_happens_now() -> None:
    line = machine()
    line.handle(TimePassed(at(10_000)))
    line.handle(hook(4000, True))
    facts = line.handle(TimePassed(at(20_000)))
    assert facts == [WentOffHook(MonoNs(at(10_000) - LATE_EDGE_NS), LINE)]


def test_a_line_off_hook_at_start_is_found() -> None:
    facts = facts_of([hook(1000, True, at_start=True), hook(7000, False)])
    assert facts == [WentOffHook(at(1000), LINE, at_start=True), WentOnHook(at(7000), LINE)]


def test_a_line_found_off_hook_while_it_bounces_was_still_found() -> None:
    edges = [hook(1000, True, at_start=True), hook(1001, False), hook(1003, True)]
    assert facts_of(edges) == [WentOffHook(at(1000), LINE, at_start=True)]


def test_a_line_on_hook_at_start_is_idle() -> None:
    facts = facts_of([hook(0, False, at_start=True), hook(1000, True)])
    assert facts == [WentOffHook(at(1000), LINE, at_start=False)]


def test_a_driver_that_comes_back_finds_the_call_ended_or_still_there() -> None:
    same = facts_of([hook(0, True), hook(9000, True, at_start=True)])
    assert same == [WentOffHook(at(0), LINE)]
    ended = facts_of([hook(0, True), hook(9000, False, at_start=True)])
    assert ended == [WentOffHook(at(0), LINE), WentOnHook(at(9000), LINE)]


def test_the_configs_hang_up_time_replaces_the_countrys() -> None:
    line = machine("JP", hang_up_ms=400)
    for edge in (hook(0, True), hook(5000, False)):
        line.handle(edge)
    assert line.handle(hook(5500, True)) == [WentOnHook(at(5000), LINE)]


# ---------------------------------------------------------------- flash


@pytest.mark.parametrize(
    ("country", "flash_ms"),
    [("US", 300), ("US", 1000), ("GB", 100), ("DE", 170), ("DE", 310), ("FR", 270), ("JP", 700)],
)
def test_a_flash_is_told_and_the_call_goes_on(country: str, flash_ms: int) -> None:
    edges = [hook(0, True), hook(5000, False), hook(5000 + flash_ms, True)]
    assert facts_of(edges, country) == [
        WentOffHook(at(0), LINE),
        HookFlashed(at(5000), LINE, ms(flash_ms)),
    ]


def test_the_longest_flash_and_the_shortest_hang_up() -> None:
    for length_ms, kind in ((1299, HookFlashed), (1301, WentOnHook)):
        edges = [hook(0, True), hook(5000, False), hook(5000 + length_ms, True)]
        assert isinstance(facts_of(edges)[1], kind)


# ---------------------------------------------------------------- dial pulses


@pytest.mark.parametrize(
    ("pps", "make"), [(9, 0.30), (10, 0.33), (11, 0.42), (18.4, 0.36), (20, 0.33), (21.6, 0.30)]
)
def test_japans_dials_are_read_at_their_legal_limits(pps: float, make: float) -> None:
    pause_ms = 600 if pps < 15 else 450
    edges, _ = dialled(3000, "0312345678", pps, make, pause_ms)
    facts = facts_of([hook(0, True), *edges])
    assert "".join(fact.digit for fact in of_kind(facts, PulseDialled)) == "0312345678"
    assert len(facts) == 11


@pytest.mark.parametrize("country", ["JP", "US", "GB", "DE", "FR"])
@settings(max_examples=25, deadline=None)
@given(
    number=st.text("0123456789", min_size=1, max_size=8),
    pps=st.floats(8, 22),
    seed=st.integers(0, 2**32),
)
def test_any_number_survives_speed_and_bounce(
    country: str, number: str, pps: float, seed: int
) -> None:
    shaker = random.Random(seed)
    make = shaker.uniform(0.33, 0.40) if pps < 14 else shaker.uniform(0.30, 0.36)
    edges, end_ms = dialled(3000, number, pps, make, pause_ms=300)
    noisy: list[HookEdge] = []
    for edge in edges:
        bounce_ms = [shaker.uniform(0.1, 0.9) for _ in range(2 * shaker.randrange(3))]
        noisy += bouncing(edge.at / 1e6, edge.off_hook, bounce_ms)
    facts = facts_of([hook(0, True), *noisy, hook(end_ms + 3000, False)], country)
    assert "".join(fact.digit for fact in of_kind(facts, PulseDialled)) == number
    assert of_kind(facts, HookFlashed) == []
    assert of_kind(facts, WentOnHook) == [WentOnHook(at(end_ms + 3000), LINE)]


def test_a_digit_is_dated_by_its_first_pulse() -> None:
    edges, _ = dialled(3000, "2", 10, 0.4)
    assert of_kind(facts_of([hook(0, True), *edges]), PulseDialled) == [
        PulseDialled(at(3000), LINE, "2")
    ]


@pytest.mark.parametrize(("pulses", "pps"), [(11, 10), (5, 5), (5, 30)])
def test_pulses_that_no_dial_makes_are_no_digit(pulses: int, pps: float) -> None:
    period_ms = 1000 / pps
    edges = [hook(0, True)]
    for index in range(pulses):
        start_ms = 3000 + index * period_ms
        edges += [hook(start_ms, False), hook(start_ms + period_ms * 0.6, True)]
    assert of_kind(facts_of(edges), PulseDialled) == []


def test_a_digit_cut_off_by_hanging_up_is_not_dialled() -> None:
    edges, end_ms = dialled(3000, "5", 10, 0.4, pause_ms=0)
    facts = facts_of([hook(0, True), *edges, hook(end_ms, False)])
    assert of_kind(facts, PulseDialled) == []
    assert len(of_kind(facts, WentOnHook)) == 1


# ---------------------------------------------------------------- chatter


def square(start_ms: float, end_ms: float, on_ms: float, off_ms: float) -> list[HookEdge]:
    """A contact that keeps opening (`on_ms`) and closing (`off_ms`)."""
    edges, now_ms = [], start_ms
    while now_ms < end_ms:
        edges += [hook(now_ms, True), hook(now_ms + off_ms, False)]
        now_ms += off_ms + on_ms
    return edges


@pytest.mark.parametrize(
    ("on_ms", "off_ms"), [(2, 2), (50, 150), (100, 150), (300, 120), (1500, 200), (1500, 2500)]
)
def test_chatter_is_one_fault_and_not_a_thousand_calls(on_ms: float, off_ms: float) -> None:
    facts = facts_of(square(1000, 600_000, on_ms, off_ms))
    faults = of_kind(facts, LineFaulted)
    assert [fault.fault for fault in faults] == ["hook-chatter"]
    assert len(of_kind(facts, WentOffHook)) <= 12
    assert len(of_kind(facts, WentOffHook)) == len(of_kind(facts, WentOnHook))
    assert len(of_kind(facts, LineRestored)) == 1


def test_edges_lost_by_the_driver_are_a_fault() -> None:
    facts = facts_of([
        EdgesLost(at(1000), LINE, "hook", 2500),
        EdgesLost(at(1250), LINE, "hook", 9),
    ])
    assert [type(fact) for fact in facts] == [LineFaulted, LineRestored]
    assert facts[1].at == at(6250)


def test_a_call_outlives_chatter_until_the_level_is_steady() -> None:
    begin = [hook(0, True), EdgesLost(at(60_000), LINE, "hook", 2500)]
    goes_on = facts_of([*begin, hook(60_300, False), hook(60_500, True)])
    assert of_kind(goes_on, WentOnHook) == []
    ended = facts_of([*begin, hook(60_300, False)])
    assert of_kind(ended, WentOnHook) == [WentOnHook(at(60_300), LINE)]


def test_off_hook_after_chatter_is_believed_when_steady() -> None:
    edges = [EdgesLost(at(1000), LINE, "hook", 2500), hook(1400, True)]
    facts = facts_of(edges)
    assert facts[1:] == [LineRestored(at(6400), LINE, "hook-chatter"), WentOffHook(at(1400), LINE)]


def test_busy_but_honest_dialling_is_no_chatter() -> None:
    edges, _ = dialled(3000, "0" * 30, 21.6, 0.33, pause_ms=450)
    noisy = [each for edge in edges for each in bouncing(edge.at / 1e6, edge.off_hook, [0.5] * 4)]
    facts = facts_of([hook(0, True), *noisy])
    assert of_kind(facts, LineFaulted) == []
    assert len(of_kind(facts, PulseDialled)) == 30
