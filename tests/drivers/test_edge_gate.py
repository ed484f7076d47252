"""The rate gate by itself."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.drivers.edges import EDGES_PER_WINDOW, WINDOW_NS, EdgeGate
from recorderd.units import MonoNs, ms


class Told:
    def __init__(self) -> None:
        self.edges: list[tuple[MonoNs, bool]] = []
        self.lost: list[tuple[MonoNs, int]] = []
        self.gate = EdgeGate(
            lambda at, level: self.edges.append((at, level)),
            lambda at, count: self.lost.append((at, count)),
        )


def test_edges_of_a_telephone_line_all_pass() -> None:
    told = Told()
    edges = [(MonoNs(ms(10 * index)), index % 2 == 0) for index in range(3000)]
    for at, level in edges:
        told.gate.edge(at, level=level)
    assert told.edges == edges
    assert told.lost == []


def test_a_flood_is_counted_and_the_level_told_when_it_calms() -> None:
    told = Told()
    for index in range(1000):
        told.gate.edge(MonoNs(ms(0.1 * index)), level=index % 2 == 0)
    told.gate.tick(MonoNs(ms(260)))
    assert len(told.edges) == EDGES_PER_WINDOW
    assert told.lost == [(MonoNs(ms(260)), 1000 - EDGES_PER_WINDOW)]
    told.gate.tick(MonoNs(ms(520)))
    assert told.edges[-1] == (MonoNs(ms(520)), False)
    told.gate.edge(MonoNs(ms(530)), level=True)
    assert told.edges[-1] == (MonoNs(ms(530)), True)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 600), st.integers(0, ms(80)), st.booleans()), max_size=40))
def test_posts_are_few_and_the_last_level_is_always_told(
    runs: list[tuple[int, int, bool]],
) -> None:
    """Runs of edges 50 µs apart with pauses between them, then rest."""
    told, now, last = Told(), 0, None
    seen = 0
    for count, pause_ns, level in runs:
        for index in range(count):
            now += ms(0.05)
            last = level ^ (index % 2 == 0)
            told.gate.edge(MonoNs(now), level=last)
            seen += 1
        now += pause_ns
    for _ in range(3):
        now += WINDOW_NS
        told.gate.tick(MonoNs(now))
    windows = now // WINDOW_NS + 1
    assert len(told.edges) <= (EDGES_PER_WINDOW + 1) * windows
    assert len(told.lost) <= windows
    assert len(told.edges) + sum(count for _, count in told.lost) >= seen
    if last is not None:
        assert told.edges[-1][1] == last
