"""What holds of the line machine whatever the edges are."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.config.profiles import load_profile
from recorderd.core.line import LineMachine
from recorderd.events import (
    EdgesLost,
    HookEdge,
    LineFact,
    LineFaulted,
    LineRestored,
    RingEdge,
    RingingStarted,
    RingingStopped,
    TimePassed,
    WentOffHook,
    WentOnHook,
)
from recorderd.units import MonoNs, ms, seconds

LINE = "desk"
Edge = HookEdge | RingEdge | EdgesLost

# Times that lie about every limit of the machine: contact bounce, pulses, flashes, rings, faults.
GAPS_MS = st.one_of(
    st.sampled_from([0, 1, 4, 5, 6, 15, 33, 50, 60, 90, 100, 101, 200, 201, 300, 1000, 1300, 1301]),
    st.integers(0, 200),
    st.integers(0, 12_000),
)
STEPS = st.lists(
    st.tuples(
        GAPS_MS,
        st.sampled_from([
            "off",
            "on",
            "off",
            "on",
            "ring",
            "rest",
            "hook-lost",
            "ring-lost",
            "start",
        ]),
    ),
    max_size=60,
)
COUNTRIES = st.sampled_from(["JP", "US", "GB"])


def edges_of(steps: list[tuple[int, str]]) -> list[Edge]:
    now = 0
    edges: list[Edge] = []
    for gap_ms, what in steps:
        now += ms(gap_ms)
        edges.append(edge(MonoNs(now), what))
    return edges


def edge(at: MonoNs, what: str) -> Edge:
    if what in {"hook-lost", "ring-lost"}:
        return EdgesLost(at, LINE, "hook" if what == "hook-lost" else "ring", 500)
    if what in {"ring", "rest"}:
        return RingEdge(at, LINE, what == "ring")
    return HookEdge(at, LINE, what != "on", at_start=what == "start")


def run(edges: list[Edge], country: str, ticks: list[int] | None = None) -> list[LineFact]:
    """The facts of the edges; `ticks` are moments at which time is also said to have passed."""
    machine = LineMachine(LINE, load_profile(country), None)
    end = (edges[-1].at if edges else 0) + seconds(60)
    events: list[Edge | TimePassed] = [*edges]
    events += [TimePassed(MonoNs(tick)) for tick in ticks or [] if tick < end]
    facts: list[LineFact] = []
    for event in sorted(events, key=lambda each: each.at):
        facts += machine.handle(event)
    return facts + machine.handle(TimePassed(MonoNs(end)))


def run_by_deadlines(edges: list[Edge], country: str) -> list[LineFact]:
    """The facts when time is told exactly when the machine asks for it."""
    machine = LineMachine(LINE, load_profile(country), None)
    facts: list[LineFact] = []
    end = MonoNs((edges[-1].at if edges else 0) + seconds(60))
    for event in [*edges, TimePassed(end)]:
        while (deadline := machine.deadline()) is not None and deadline < event.at:
            facts += machine.handle(TimePassed(deadline))
        facts += machine.handle(event)
    return facts


@settings(max_examples=150, deadline=None)
@given(STEPS, COUNTRIES, st.lists(st.integers(0, seconds(90)), max_size=30))
def test_more_time_events_never_change_the_facts(
    steps: list[tuple[int, str]], country: str, ticks: list[int]
) -> None:
    edges = edges_of(steps)
    facts = run(edges, country)
    assert run(edges, country, ticks) == facts
    assert run_by_deadlines(edges, country) == facts


@settings(max_examples=150, deadline=None)
@given(STEPS, COUNTRIES)
def test_every_off_hook_has_one_on_hook_before_the_next(
    steps: list[tuple[int, str]], country: str
) -> None:
    facts = run(edges_of(steps), country)
    turns = [type(fact) for fact in facts if isinstance(fact, WentOffHook | WentOnHook)]
    assert turns == [(WentOffHook, WentOnHook)[index % 2] for index in range(len(turns))]


@settings(max_examples=150, deadline=None)
@given(STEPS, COUNTRIES)
def test_every_ringing_is_answered_or_stops(steps: list[tuple[int, str]], country: str) -> None:
    facts = run(edges_of([*steps, (0, "rest")]), country)
    is_ringing = False
    for fact in facts:
        if isinstance(fact, RingingStarted):
            assert not is_ringing
            is_ringing = True
        elif isinstance(fact, RingingStopped):
            assert is_ringing
            is_ringing = False
        elif isinstance(fact, WentOffHook):
            is_ringing = False
    assert not is_ringing


@settings(max_examples=150, deadline=None)
@given(STEPS, COUNTRIES)
def test_every_fault_is_restored_before_the_next(
    steps: list[tuple[int, str]], country: str
) -> None:
    facts = run(edges_of([*steps, (0, "rest")]), country)
    for fault in ("hook-chatter", "ring-chatter"):
        mine = [
            type(fact)
            for fact in facts
            if isinstance(fact, LineFaulted | LineRestored) and fact.fault == fault
        ]
        assert mine == [(LineFaulted, LineRestored)[index % 2] for index in range(len(mine))]
        assert len(mine) % 2 == 0


@settings(max_examples=150, deadline=None)
@given(STEPS, COUNTRIES)
def test_times_of_a_kind_never_go_backwards(steps: list[tuple[int, str]], country: str) -> None:
    last: dict[tuple[str, str], MonoNs] = {}
    for fact in run(edges_of(steps), country):
        kind = (type(fact).__name__, getattr(fact, "fault", ""))
        assert fact.at >= last.get(kind, MonoNs(0))
        last[kind] = fact.at


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, seconds(20)), st.sampled_from(["off", "on", "ring", "rest"]))
    ),
    st.lists(st.integers(-seconds(1), seconds(30)), max_size=10),
)
def test_edges_out_of_order_raise_nothing(stamped: list[tuple[int, str]], ticks: list[int]) -> None:
    machine = LineMachine(LINE, load_profile("JP"), None)
    for stamp, what in stamped:
        machine.handle(edge(MonoNs(stamp), what))
    for tick in ticks:
        machine.handle(TimePassed(MonoNs(tick)))
    deadline = machine.deadline()
    assert deadline is None or deadline > 0


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 400), st.sampled_from(["off", "on", "ring", "rest"])),
        min_size=2,
        max_size=8,
    ),
    COUNTRIES,
)
def test_facts_are_few_under_any_flood(pattern: list[tuple[int, str]], country: str) -> None:
    """The pattern over and over for a minute makes no more than a handful of facts a second."""
    period_ms = sum(gap_ms for gap_ms, _ in pattern)
    steps = pattern * (60_000 // period_ms + 1)
    assert len(run(edges_of(steps), country)) < 60 * 6


@settings(max_examples=60, deadline=None)
@given(STEPS, COUNTRIES)
def test_the_deadline_moves_on_once_its_time_has_come(
    steps: list[tuple[int, str]], country: str
) -> None:
    machine = LineMachine(LINE, load_profile(country), None)
    for event in edges_of(steps):
        machine.handle(event)
    moments = []
    while (deadline := machine.deadline()) is not None:
        moments.append(deadline)
        machine.handle(TimePassed(deadline))
        assert len(moments) < 50
    assert all(earlier < after for earlier, after in pairwise(moments))
