"""Virtual time, its agenda and its inbox; and the world that follows the real clock."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.errors import RecorderdError
from recorderd.events import StopRequested
from recorderd.sim.clock import (
    INBOX_LIMIT,
    VIRTUAL_START,
    RealTimeDriver,
    SimClock,
    VirtualInbox,
    World,
)
from recorderd.units import MonoNs, WallNs, later, seconds


@settings(max_examples=60)
@given(st.lists(st.integers(-5, 50)), st.lists(st.integers(0, 60)))
def test_entries_run_once_in_order_at_their_own_moment(delays, stops):
    world = World()
    ran = []
    for number, delay in enumerate(delays):
        at = later(world.start, delay)
        world.schedule(at, lambda n=number: ran.append((world.now(), n)))
    for stop in [*sorted(stops), 60]:
        world.advance(later(world.start, stop))
        assert world.now() == world.start + stop
    due = [(max(delay, 0) + world.start, number) for number, delay in enumerate(delays)]
    assert ran == sorted(due)


def test_an_entry_may_schedule_another_that_is_due_too():
    world = World()
    seen = []
    world.schedule(
        later(world.start, 5), lambda: world.schedule(world.now(), lambda: seen.append(1))
    )
    world.advance(later(world.start, 5))
    assert seen == [1]


def test_waiting_makes_time_pass_up_to_the_next_input():
    world = World()
    inbox = VirtualInbox(world)
    at = later(world.start, seconds(3600))
    world.schedule(at, lambda: inbox.post(StopRequested(world.now())))
    assert inbox.wait(later(world.start, seconds(10))) is None
    assert world.now() == world.start + seconds(10)
    assert inbox.wait(later(at, seconds(99))) == StopRequested(at)
    assert world.now() == at


def test_an_input_due_at_the_deadline_comes_before_it():
    world = World()
    inbox = VirtualInbox(world)
    world.schedule(world.start, lambda: inbox.post(StopRequested(world.now())))
    assert inbox.wait(world.start) is not None
    assert inbox.wait(world.start) is None


def test_a_full_inbox_is_fatal():
    inbox = VirtualInbox(World())
    for _ in range(INBOX_LIMIT):
        inbox.post(StopRequested(VIRTUAL_START))
    with pytest.raises(RecorderdError, match="control loop stands still"):
        inbox.post(StopRequested(VIRTUAL_START))


def test_the_clock_keeps_wall_time_in_step():
    world = World()
    clock = SimClock(world.now, world.start, WallNs(seconds(1_700_000_000)))
    world.advance(later(world.start, seconds(90)))
    reading = clock.reading()
    assert reading.mono == clock.now() == world.start + seconds(90)
    assert reading.wall == seconds(1_700_000_090)
    assert reading.synchronised
    assert reading.source == "simulated"


def test_in_real_time_things_happen_when_it_is_their_time():
    start = MonoNs(time.monotonic_ns())
    world = World(start)
    at = later(start, seconds(0.1))
    happened = threading.Event()
    seen = []

    def happen():
        seen.append((world.now(), time.monotonic_ns()))
        happened.set()

    world.schedule(at, happen)
    driver = RealTimeDriver(world)
    driver.start()
    try:
        assert happened.wait(5)
    finally:
        driver.close()
    world_time, real_time = seen[0]
    assert world_time == at
    assert real_time >= at


def test_a_closed_driver_lets_no_more_time_pass():
    world = World(MonoNs(time.monotonic_ns()))
    moved = threading.Event()
    world.schedule(world.start, moved.set)
    driver = RealTimeDriver(world)
    driver.start()
    assert moved.wait(5)
    driver.close()
    assert "simulated-world" not in {thread.name for thread in threading.enumerate()}
