"""The age clock against a model of true time: never early, and late only where it must be."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from recorderd.core.boxtime import DAY_NS, HOUR_NS, PROBATION_MIN_NS, SAVE_EVERY_NS, AgeClock
from recorderd.units import NS_PER_S, ClockReading, MonoNs, WallNs

MINUTE_NS = 60 * NS_PER_S
BEGAN = 1_795_427_100 * NS_PER_S
YEAR_NS = 365 * DAY_NS


class Box:
    """A box in true time: it runs, is switched off, and its wall clock is wrong by `error_ns`."""

    def __init__(self) -> None:
        self.now = 0  # true time
        self.boot = 0
        self.booted_at = 0
        self.error_ns = 0
        self.synchronised = True
        self.saved = None
        self.saved_at = 0
        self.calls: list[tuple[int, int]] = []  # true time and position
        self.wrong_ns = 0  # running time during which a wrong clock called itself synchronised
        self._start()

    def reading(self) -> ClockReading:
        mono = MonoNs(self.now - self.booted_at)
        wall = WallNs(BEGAN + self.now + self.error_ns)
        return ClockReading(f"boot-{self.boot}", mono, wall, self.synchronised, "simulated")

    def _start(self) -> None:
        newest = max((position for _, position in self.calls), default=0)
        self.clock = AgeClock(self.saved, self.reading(), newest)
        self._save()

    def _save(self) -> None:
        self.saved, self.saved_at = self.clock.state(), self.now

    def call(self) -> None:
        self.calls.append((self.now, self.clock.position(self.reading().mono)))

    def run(self, ns: int, step_ns: int = MINUTE_NS) -> None:
        end = self.now + ns
        while self.now < end:
            step = min(step_ns, end - self.now)
            self.now += step
            if self.synchronised and abs(self.error_ns) > 5 * NS_PER_S:
                self.wrong_ns += step
            self.clock.update(self.reading())
            if self.now - self.saved_at >= SAVE_EVERY_NS:
                self._save()

    def off(self, ns: int, *, cut: bool = False) -> None:
        """Switched off for `ns`; a cut loses what was not saved."""
        if not cut:
            self._save()
        self.now += ns
        self.boot += 1
        self.booted_at = self.now
        self._start()

    def restart(self) -> None:
        """The process alone."""
        self._start()

    def set_clock(self, error_ns: int, *, synchronised: bool) -> None:
        self.error_ns, self.synchronised = error_ns, synchronised
        self.clock.update(self.reading())

    def lateness(self) -> list[int]:
        """By how much each call is taken for younger than it is; negative is early."""
        self.clock.update(self.reading())
        return [self.now - at - max(0, self.clock.age(position)) for at, position in self.calls]


def test_running_time_alone_makes_calls_older():
    box = Box()
    box.call()
    box.run(3 * DAY_NS)
    assert box.lateness() == [0]


def test_steps_of_the_clock_add_nothing():
    box = Box()
    box.call()
    box.run(2 * DAY_NS)
    for error in (10 * YEAR_NS, -50 * YEAR_NS, -HOUR_NS, 0):
        for synchronised in (True, False):
            box.set_clock(error, synchronised=synchronised)
            box.run(5 * HOUR_NS)
    assert box.lateness() == [0]


def test_time_switched_off_counts_when_the_clock_is_synchronised_again():
    box = Box()
    box.run(2 * DAY_NS)
    box.call()
    box.off(10 * DAY_NS)
    box.set_clock(-50 * YEAR_NS, synchronised=False)
    box.run(HOUR_NS)
    box.call()  # before it is known how long the box was off: it must not age by that
    box.set_clock(0, synchronised=True)
    box.run(7 * HOUR_NS)
    assert min(box.lateness()) >= 9 * DAY_NS or box.lateness()[1] == 0
    box.run(2 * HOUR_NS)
    before, after = box.lateness()
    assert 0 <= before <= 20 * NS_PER_S
    assert after == 0


def test_a_cut_costs_no_more_than_what_was_not_saved():
    box = Box()
    box.run(2 * DAY_NS + 50 * MINUTE_NS)
    box.call()
    box.off(MINUTE_NS, cut=True)
    box.set_clock(0, synchronised=False)
    box.run(3 * DAY_NS)
    assert 0 <= box.lateness()[0] <= HOUR_NS + MINUTE_NS


def test_offices_that_switch_the_box_off_at_night_lose_little():
    box = Box()
    for day in range(40):
        if day == 5:
            box.call()
        box.run(10 * HOUR_NS)
        box.off(14 * HOUR_NS)
    box.run(HOUR_NS)
    assert 0 <= box.lateness()[0] <= HOUR_NS


def test_a_long_time_off_is_believed_after_a_day_of_running_also_in_parts():
    box = Box()
    box.run(2 * DAY_NS)
    box.call()
    box.off(90 * DAY_NS)
    for _ in range(2):
        box.run(10 * HOUR_NS)
        assert box.lateness()[0] >= 90 * DAY_NS
        box.off(14 * HOUR_NS)
    box.run(5 * HOUR_NS)
    assert box.lateness()[0] <= 20 * NS_PER_S


def test_a_box_that_is_never_synchronised_counts_running_time():
    box = Box()
    box.set_clock(-50 * YEAR_NS, synchronised=False)
    box.call()
    for _ in range(10):
        box.run(10 * HOUR_NS)
        box.off(14 * HOUR_NS)
    assert box.lateness()[0] == 140 * HOUR_NS


def test_a_wrong_clock_that_calls_itself_synchronised_for_less_than_its_probation():
    box = Box()
    box.run(2 * DAY_NS)
    box.call()
    box.off(HOUR_NS)
    box.set_clock(10 * YEAR_NS, synchronised=True)
    box.run(23 * HOUR_NS)
    box.set_clock(0, synchronised=True)
    box.run(3 * DAY_NS)
    assert 0 <= box.lateness()[0] <= 20 * NS_PER_S


def test_what_is_believed_is_the_least_that_was_claimed():
    box = Box()
    box.run(2 * DAY_NS)
    box.call()
    box.off(10 * DAY_NS)
    box.run(HOUR_NS)
    box.set_clock(YEAR_NS, synchronised=True)
    box.run(3 * DAY_NS)
    assert 0 <= box.lateness()[0] <= 20 * NS_PER_S


def test_a_step_begins_the_probation_anew():
    box = Box()
    box.run(2 * DAY_NS)
    box.call()
    box.off(HOUR_NS)
    for days in (10, 20):
        box.set_clock(days * DAY_NS, synchronised=True)
        box.run(7 * HOUR_NS)
    box.set_clock(0, synchronised=True)
    box.run(HOUR_NS)
    assert 0 <= box.lateness()[0] <= 20 * NS_PER_S


def test_a_clock_that_was_wrong_for_long_and_is_put_right_adds_nothing():
    box = Box()
    box.set_clock(-YEAR_NS, synchronised=True)
    box.run(3 * DAY_NS)
    box.call()
    box.set_clock(0, synchronised=True)
    box.run(HOUR_NS)
    box.off(HOUR_NS)
    box.run(2 * DAY_NS)
    assert 0 <= box.lateness()[0] <= 20 * NS_PER_S


def test_a_clock_that_is_a_little_wrong_before_and_after_is_no_reason_to_be_early():
    box = Box()
    box.set_clock(-5 * NS_PER_S, synchronised=True)
    box.run(2 * DAY_NS)
    box.call()
    box.off(HOUR_NS)
    box.set_clock(5 * NS_PER_S, synchronised=True)
    box.run(2 * DAY_NS)
    assert 0 <= box.lateness()[0] <= 20 * NS_PER_S


def test_a_clock_that_loses_time_bit_by_bit_is_followed_a_day_late():
    box = Box()
    box.run(2 * DAY_NS)
    box.call()
    for error in range(0, -450, -9):
        box.set_clock(error * NS_PER_S, synchronised=True)
        box.run(HOUR_NS)
    box.off(HOUR_NS)
    box.set_clock(0, synchronised=True)
    box.run(DAY_NS)
    assert box.lateness()[0] >= -25 * 9 * NS_PER_S  # of the fifty steps


def test_a_clock_that_was_wrong_for_a_moment_before_the_box_is_switched_off():
    box = Box()
    box.run(2 * DAY_NS)
    box.call()
    box.set_clock(-5 * HOUR_NS, synchronised=True)
    box.run(MINUTE_NS)
    box.off(0)
    box.set_clock(0, synchronised=True)
    box.run(2 * HOUR_NS)
    assert box.lateness() == [0]


def test_a_state_that_was_lost_or_is_older_than_the_calls_makes_nothing_older():
    box = Box()
    box.run(2 * DAY_NS)
    old = box.clock.state()
    box.call()
    for _ in range(5):
        box.off(HOUR_NS)
        box.call()
        box.run(DAY_NS)
        box.call()
    for state in (None, old):
        box.saved = state
        box.restart()
        assert min(box.lateness()) >= 0
        box.run(DAY_NS)
        assert min(box.lateness()) >= 0
        assert box.clock.age(box.calls[0][1]) >= DAY_NS
        box.off(HOUR_NS)
        assert min(box.lateness()) >= 0


def test_forgetting_boots_changes_no_age():
    box = Box()
    for _ in range(10):
        box.run(2 * DAY_NS)
        box.call()
        box.off(HOUR_NS)
    before = [box.clock.age(position) for _, position in box.calls]
    box.clock.forget(box.calls[4][1])
    assert [box.clock.age(position) for _, position in box.calls[4:]] == before[4:]
    assert len(box.clock.state().boots) == 7


ERRORS = st.integers(-60 * YEAR_NS, 15 * YEAR_NS)
RUN = st.tuples(st.just("run"), st.integers(MINUTE_NS, 3 * DAY_NS))
OFF = st.tuples(
    st.just("off"), st.integers(0, 60 * DAY_NS), st.booleans(), st.sampled_from([True, True, False])
)
UNSYNCHRONISED = st.tuples(st.just("set"), ERRORS)
RIGHT = st.tuples(st.just("right"), st.integers(-5, 5))
HONEST = st.one_of(
    RUN, OFF, UNSYNCHRONISED, RIGHT, st.tuples(st.just("restart")), st.tuples(st.just("call"))
)


def wrong(longest_ns):
    """A wrong clock that calls itself synchronised for a while."""
    error = st.one_of(ERRORS, st.integers(-2 * DAY_NS, 2 * DAY_NS))
    return st.tuples(st.just("lie"), error, st.integers(0, longest_ns), st.booleans())


def live(box: Box, acts) -> None:
    box.call()
    box.run(25 * HOUR_NS, HOUR_NS)
    box.call()
    for what, *numbers in acts:
        match what:
            case "run":
                box.run(numbers[0], max(MINUTE_NS, numbers[0] // 50))
            case "off":
                box.off(numbers[0], cut=numbers[1])
                box.set_clock(0, synchronised=numbers[2])
            case "restart":
                box.restart()
            case "call":
                box.call()
            case "set":
                box.set_clock(numbers[0], synchronised=False)
            case "right":
                box.set_clock(numbers[0] * NS_PER_S, synchronised=True)
            case "lie":
                box.set_clock(numbers[0], synchronised=True)
                box.run(numbers[1])
                box.set_clock(0, synchronised=numbers[2])


@settings(max_examples=300, deadline=None)
@given(st.lists(HONEST, max_size=25))
def test_no_clock_makes_a_call_older_than_it_is(acts):
    box = Box()
    live(box, acts)
    assert min(box.lateness()) >= 0


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(RUN, OFF, RIGHT, wrong(PROBATION_MIN_NS // 10)), max_size=9))
@example([("run", 3 * DAY_NS), ("off", 0, False, True), ("lie", YEAR_NS, MINUTE_NS, True)])
def test_nor_does_a_wrong_one_that_calls_itself_synchronised_for_a_while(acts):
    box = Box()
    live(box, acts)
    assert box.wrong_ns < PROBATION_MIN_NS
    assert min(box.lateness()) >= 0


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(RUN, OFF, RIGHT, wrong(2 * HOUR_NS)), max_size=10))
@example([("run", 3 * DAY_NS), ("off", 0, False, True), ("lie", DAY_NS, HOUR_NS, True)])
def test_for_longer_it_makes_calls_older_by_thirty_times_as_much_at_most(acts):
    box = Box()
    live(box, acts)
    assert box.wrong_ns < DAY_NS
    assert min(box.lateness()) >= -30 * (box.wrong_ns + MINUTE_NS)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(HONEST, wrong(DAY_NS)), max_size=20), st.integers(0, 100 * DAY_NS))
def test_calls_above_the_bound_are_younger(acts, age):
    box = Box()
    live(box, [*acts, ("call",)])
    bound = box.clock.bound(age)
    for _, position in box.calls:
        assert position <= bound or box.clock.age(position) < age
