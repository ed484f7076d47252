from __future__ import annotations

import threading
from datetime import datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.archive.target import Content, content_of_bytes
from recorderd.upload.pace import WAIT_LONGEST_S, Pace, Patience, Stopped, is_within

TIMES = st.times().map(lambda at: at.replace(second=0, microsecond=0))


class Stop:
    """An event whose waits let virtual time pass."""

    def __init__(self):
        self.now_s = 0.0
        self.is_told = False

    def wait(self, seconds):
        self.now_s += seconds
        return self.is_told

    def is_set(self):
        return self.is_told

    def now(self):
        return self.now_s


@given(st.integers(1, 100_000), st.lists(st.integers(0, 1 << 16), min_size=1, max_size=40))
def test_no_more_is_sent_than_the_limit_allows(limit, sizes):
    stop = Stop()
    pace = Pace(limit, stop, stop.now)
    content = Content(sum(sizes), "", lambda: (bytes(size) for size in sizes))
    sent = 0
    for block in pace.paced(content).blocks():
        assert sent <= limit * (stop.now_s + 0.25) + 1e-3
        sent += len(block)
    assert sent == sum(sizes)
    assert stop.now_s <= sum(sizes) / limit * (1 + 1e-9)  # it is a sum of many parts


def test_without_a_limit_nothing_waits():
    stop = Stop()
    assert b"".join(Pace(0, stop, stop.now).paced(content_of_bytes(b"abc")).blocks()) == b"abc"
    assert stop.now_s == 0


@pytest.mark.parametrize("limit", [0, 1])
def test_a_stop_is_heard_between_blocks(limit):
    stop = threading.Event()
    blocks = Pace(limit, stop).paced(Content(2, "", lambda: iter([b"a", b"b"]))).blocks()
    next(blocks)
    stop.set()
    with pytest.raises(Stopped):
        next(blocks)


@given(st.lists(st.floats(0, 1), min_size=30, max_size=30))
def test_waits_are_random_parts_of_a_span_that_doubles_to_five_minutes(chances):
    draws = iter(chances)
    patience = Patience(lambda: next(draws))
    for attempt, chance in enumerate(chances):
        assert patience.next_s() == pytest.approx(chance * min(2**attempt, WAIT_LONGEST_S))
    patience.reset()
    draws = iter([1.0])
    assert patience.next_s() == 1.0


@given(TIMES, TIMES, TIMES)
def test_hours_by_the_clock_face(begin, end, at):
    hours = f"{begin:%H:%M}-{end:%H:%M}"
    day = datetime(2026, 11, 26)  # noqa: DTZ001  (a time of day alone)
    moment, expected = datetime.combine(day, begin), False
    while moment.time() != end or (begin == end and moment == datetime.combine(day, begin)):
        if moment.time() == at:
            expected = True
            break
        moment += timedelta(minutes=1)
        if moment - datetime.combine(day, begin) >= timedelta(days=1):
            break
    assert is_within(hours, datetime.combine(day, at)) == expected


def test_no_hours_are_all_hours():
    assert is_within("", datetime.combine(datetime(2026, 1, 1), time(3)))  # noqa: DTZ001  (as above)
