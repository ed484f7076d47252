"""What every driver of hook and ring pins must do, over stand-ins for the hardware.

Three benches: RPi.GPIO with edge detection, RPi.GPIO where that fails and pins are polled, and the
real gpiod package with a stand-in for the request that its chip would give.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import logging
import os
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING

import gpiod
import pytest

from recorderd.config.values import Hook, Line, LineAudio, Ring
from recorderd.core import backoff
from recorderd.drivers import gpio_rpi
from recorderd.drivers.gpio_chip import GpiodSensor
from recorderd.drivers.gpio_rpi import RpiGpioSensor
from recorderd.events import DriverLost, DriverReady, EdgesLost, HookEdge, Input, RingEdge
from recorderd.units import ms, seconds
from tests.drivers.gpio_benches import Bench, GpiodBench, Posted, RpiBench, Time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorderd.drivers.pin_driver import PinDriver


HOOK_PIN, RING_PIN = 17, 27
LINE = Line(
    retention="standard",
    name="desk",
    audio=LineAudio("sim", "", 8000, 8000, 1, 2, 2000, 60),
    hook=Hook("rpi-gpio", HOOK_PIN, "low", "up", "/dev/gpiochip0", None, 15, -45),
    ring=Ring(RING_PIN, "low", "up"),
    modem=None,
    announcement=None,
)


def with_polarity(active: str) -> Line:
    hook = dataclasses.replace(LINE.hook, active=active)
    return dataclasses.replace(LINE, hook=hook, ring=Ring(RING_PIN, active, "none"))


# ---------------------------------------------------------------- fixtures


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def posted() -> Posted:
    return Posted()


def rpi_bench(time: Time, monkeypatch: pytest.MonkeyPatch) -> RpiBench:
    bench = RpiBench(time)
    package = ModuleType("RPi")
    package.GPIO = bench.gpio  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "RPi", package)
    monkeypatch.setitem(sys.modules, "RPi.GPIO", bench.gpio)
    return bench


@pytest.fixture(params=["rpi-edges", "rpi-polled", "gpiod"])
def bench(
    request: pytest.FixtureRequest, time: Time, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    monkeypatch.setattr(backoff, "FIRST_NS", ms(10))
    # The driver's own look at the pins must not come between an edge and its callback.
    monkeypatch.setattr(gpio_rpi, "CHECK_S", 30.0)
    before = set(threading.enumerate())
    if request.param == "gpiod":
        chip = GpiodBench(time)
        monkeypatch.setattr(gpiod, "request_lines", chip.request_lines)
        yield chip
    else:
        rpi = rpi_bench(time, monkeypatch)
        if request.param == "rpi-polled":
            rpi.gpio.detect_error = RuntimeError("Failed to add edge detection")
        yield rpi
    assert set(threading.enumerate()) <= before, "a thread was left behind"


class Session:
    """A started sensor that is closed at the end of the test."""

    def __init__(self, bench: Bench, line: Line, posted: Posted, time: Time) -> None:
        self.sensor = bench.sensor(line, posted.post, time.now)

    def __enter__(self) -> PinDriver:
        self.sensor.start()
        return self.sensor

    def __exit__(self, *_: object) -> None:
        self.sensor.close()


def ready(posted: Posted, count: int = 1) -> None:
    posted.wait(lambda events: sum(isinstance(each, DriverReady) for each in events) >= count)


# ---------------------------------------------------------------- levels at the start


@pytest.mark.parametrize("active", ["low", "high"])
@pytest.mark.parametrize("off_hook", [True, False])
def test_the_level_at_start_is_posted_by_polarity(
    bench: Bench, posted: Posted, time: Time, active: str, off_hook: bool
) -> None:
    bench.drive(HOOK_PIN, off_hook == (active == "high"))
    bench.drive(RING_PIN, active == "low")
    with Session(bench, with_polarity(active), posted, time):
        ready(posted)
    assert posted.edges() == [HookEdge(time.at, "desk", off_hook, at_start=True)]


def test_a_ring_pin_active_at_start_is_posted(bench: Bench, posted: Posted, time: Time) -> None:
    bench.drive(RING_PIN, False)
    with Session(bench, LINE, posted, time):
        ready(posted)
    assert posted.edges()[1:] == [RingEdge(time.at, "desk", True)]


def test_the_pull_of_each_pin_is_set(bench: Bench, posted: Posted, time: Time) -> None:
    line = dataclasses.replace(LINE, ring=Ring(RING_PIN, "high", "down"))
    with Session(bench, line, posted, time):
        ready(posted)
        assert (bench.pull(HOOK_PIN), bench.pull(RING_PIN)) == ("up", "down")


def test_a_line_without_a_ring_pin(bench: Bench, posted: Posted, time: Time) -> None:
    with Session(bench, dataclasses.replace(LINE, ring=None), posted, time):
        ready(posted)
        assert bench.taken() == {HOOK_PIN}


# ---------------------------------------------------------------- edges


@pytest.mark.parametrize("active", ["low", "high"])
def test_edges_of_both_pins_come_in_order_with_their_stamps(
    bench: Bench, posted: Posted, time: Time, active: str
) -> None:
    is_low = active == "low"
    bench.drive(HOOK_PIN, is_low)
    bench.drive(RING_PIN, is_low)
    expected: list[Input] = []
    with Session(bench, with_polarity(active), posted, time):
        ready(posted)
        start = len(posted.events)
        for index in range(20):
            pin, is_active = (HOOK_PIN, RING_PIN)[index % 2], index % 4 < 2
            at = time.move(ms(7))
            bench.drive(pin, is_active != is_low)
            kind = HookEdge if pin == HOOK_PIN else RingEdge
            expected.append(kind(at, "desk", is_active))
            posted.wait_count(start + index + 1)
    assert posted.events[start:] == expected


def test_two_lines_do_not_disturb_each_other(bench: Bench, time: Time) -> None:
    other_hook = dataclasses.replace(LINE.hook, pin=22)
    other = dataclasses.replace(LINE, name="shop", hook=other_hook, ring=None)
    mine, theirs = Posted(), Posted()
    with Session(bench, LINE, mine, time):
        with Session(bench, other, theirs, time):
            ready(mine)
            ready(theirs)
            at = time.move(ms(50))
            bench.drive(22, False)
            theirs.wait(lambda events: HookEdge(at, "shop", True) in events)
        at = time.move(ms(50))
        bench.drive(HOOK_PIN, False)
        mine.wait(lambda events: HookEdge(at, "desk", True) in events)
    assert len(theirs.edges()) == 2


# ---------------------------------------------------------------- the end


def test_close_gives_the_pins_back_and_posts_no_more(
    bench: Bench, posted: Posted, time: Time
) -> None:
    with Session(bench, LINE, posted, time):
        ready(posted)
        assert bench.taken() == {HOOK_PIN, RING_PIN}
    assert bench.taken() == set()
    count = len(posted.events)
    bench.drive(HOOK_PIN, False)
    assert len(posted.events) == count


def test_close_before_start_is_allowed(bench: Bench, posted: Posted, time: Time) -> None:
    bench.sensor(LINE, posted.post, time.now).close()
    assert posted.events == []


# ---------------------------------------------------------------- failure and recovery


def test_pins_that_cannot_be_taken_are_reported_once_and_tried_again(
    bench: Bench, posted: Posted, time: Time
) -> None:
    bench.refuse()
    with Session(bench, LINE, posted, time):
        bench.wait_tries(4)
        bench.mend()
        ready(posted)
    lost = posted.of_kind(DriverLost)
    assert len(lost) == 1
    assert "17 and 27" in lost[0].reason
    assert "another program" in lost[0].reason
    assert [type(event) for event in posted.events] == [DriverLost, HookEdge, DriverReady]


def test_pins_that_go_away_are_found_again_with_their_level(
    bench: Bench, posted: Posted, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpio_rpi, "CHECK_S", 0.01)
    with Session(bench, LINE, posted, time):
        ready(posted)
        bench.cut()
        posted.wait(lambda events: any(isinstance(event, DriverLost) for event in events))
        at = time.move(seconds(3))
        bench.drive(HOOK_PIN, False)
        bench.mend()
        ready(posted, 2)
    assert posted.edges()[-1] == HookEdge(at, "desk", True, at_start=True)
    assert len(posted.of_kind(DriverLost)) == 1


# ---------------------------------------------------------------- flood


def drive_flood(bench: Bench, time: Time, edges: int) -> None:
    """Ten edges a millisecond on the hook pin, which then rests off-hook."""
    for index in range(edges):
        time.move(ms(0.1))
        bench.drive(HOOK_PIN, index % 2 == 1)
        if isinstance(bench, GpiodBench) and index % 500 == 0:
            bench.requests[0].drained()
    bench.drive(HOOK_PIN, False)
    if isinstance(bench, GpiodBench):
        bench.requests[0].drained()


def test_an_error_that_nobody_foresaw_ends_no_line(
    bench: Bench, posted: Posted, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that died of it would leave a line without calls, and nobody would be told."""
    serve, falls = bench.sensor._serve, iter([True])

    def fall_once(sensor: PinDriver) -> None:
        if next(falls, False):
            raise KeyError("a defect")
        serve(sensor)

    monkeypatch.setattr(bench.sensor, "_serve", fall_once)
    with Session(bench, LINE, posted, time):
        ready(posted, 2)
    (lost,) = posted.of_kind(DriverLost)
    assert "a defect" in lost.reason


@pytest.mark.parametrize("bench", ["rpi-edges", "gpiod"], indirect=True)
def test_ten_thousand_edges_a_second_do_not_flood_the_inbox(
    bench: Bench, posted: Posted, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpio_rpi, "CHECK_S", 0.01)
    edges = 20_000
    with Session(bench, LINE, posted, time):
        ready(posted)
        drive_flood(bench, time, edges)
        calm = HookEdge(time.move(seconds(1)), "desk", True)
        posted.wait(lambda events: any(isinstance(each, EdgesLost) for each in events))
        for _ in range(50):
            if posted.soon(calm):
                break
            calm = HookEdge(time.move(ms(260)), "desk", True)
    assert posted.edges()[-1] == calm
    lost = posted.of_kind(EdgesLost)
    assert len(lost) <= 4 * 4
    assert len(posted.edges()) <= 300
    # Every edge is told, one by one or counted. The levels at start and after are extra, and so are
    # the few that the driver's own look at the pin saw before their callback came.
    told = sum(each.count for each in lost) + len(posted.edges())
    assert edges <= told <= edges * 1.01


# ---------------------------------------------------------------- RPi.GPIO only


@pytest.mark.parametrize("bench", ["rpi-edges"], indirect=True)
def test_a_callback_before_the_level_is_posted_is_part_of_it(
    bench: RpiBench, posted: Posted, time: Time
) -> None:
    bench.gpio.is_busy_while_detecting = True
    with Session(bench, LINE, posted, time):
        ready(posted)
    assert posted.edges() == [HookEdge(time.at, "desk", False, at_start=True)]


@pytest.mark.parametrize("bench", ["rpi-polled"], indirect=True)
def test_polling_says_why(
    bench: Bench, posted: Posted, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), Session(bench, LINE, posted, time):
        ready(posted)
    reason = "read every 2 ms, for edges cannot be detected: Failed to add edge detection"
    assert [record.getMessage() for record in caplog.records] == [f"line desk: pins are {reason}"]
    assert posted.of_kind(DriverReady)[0].detail == reason


@pytest.mark.parametrize("bench", ["rpi-edges"], indirect=True)
def test_an_edge_that_the_library_missed_is_found(
    bench: RpiBench, posted: Posted, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpio_rpi, "CHECK_S", 0.01)
    with Session(bench, LINE, posted, time):
        ready(posted)
        bench.gpio.drive(HOOK_PIN, 0, silently=True)
        posted.wait(lambda events: HookEdge(time.at, "desk", True) in events)


@pytest.mark.parametrize("bench", ["rpi-edges"], indirect=True)
@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (RuntimeError("Cannot determine SOC peripheral base address"), "pip install rpi-lgpio"),
        (RuntimeError("No access to /dev/mem.  Try running as root!"), "group gpio"),
        (Exception("can not open gpiochip"), "group gpio"),
        (RuntimeError("This module can only be run on a Raspberry Pi!"), 'driver = "gpiod"'),
        (OSError("something else"), "something else"),
    ],
)
def test_errors_of_the_library_name_the_mend(
    bench: RpiBench, posted: Posted, time: Time, error: Exception, mend: str
) -> None:
    bench.gpio.setup_error = error
    with Session(bench, LINE, posted, time):
        posted.wait_count(1)
    assert mend in posted.of_kind(DriverLost)[0].reason


@pytest.mark.parametrize("bench", ["rpi-edges"], indirect=True)
def test_two_lines_take_their_pins_one_after_the_other(
    bench: RpiBench, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two threads at once rpi-lgpio's setmode opens the chip twice, and loses what one has set up."""
    meeting, met, setmode = threading.Barrier(2), [], bench.gpio.setmode

    def meets(mode: int) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):  # nobody else came
            met.append(meeting.wait(0.3))
        setmode(mode)

    monkeypatch.setattr(bench.gpio, "setmode", meets)
    ours, others = Posted(), Posted()
    other_hook = dataclasses.replace(LINE.hook, pin=22)
    other = dataclasses.replace(LINE, name="shop", hook=other_hook, ring=None)
    with Session(bench, LINE, ours, time), Session(bench, other, others, time):
        ready(ours)
        ready(others)
    assert met == []


def test_a_missing_rpi_gpio_names_the_package(
    posted: Posted, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "RPi", None)
    sensor = RpiGpioSensor(LINE, posted.post, time.now)
    sensor.start()
    posted.wait_count(1)
    sensor.close()
    assert 'pip install "recorderd[pi]"' in posted.of_kind(DriverLost)[0].reason


# ---------------------------------------------------------------- gpiod only


@pytest.mark.parametrize("bench", ["gpiod"], indirect=True)
def test_an_edge_before_the_level_is_posted_is_part_of_it(
    bench: GpiodBench, posted: Posted, time: Time
) -> None:
    bench.is_busy_while_opening = True
    with Session(bench, LINE, posted, time):
        ready(posted)
        bench.requests[0].drained()
    assert posted.edges() == [HookEdge(time.at, "desk", False, at_start=True)]


@pytest.mark.parametrize("bench", ["gpiod"], indirect=True)
def test_edges_that_the_kernel_dropped_are_told_and_the_level_stays_true(
    bench: GpiodBench, posted: Posted, time: Time
) -> None:
    with Session(bench, LINE, posted, time):
        ready(posted)
        bench.requests[0].seqnos[HOOK_PIN] += 40
        time.move(ms(10))
        bench.drive(HOOK_PIN, False)
        bench.requests[0].drained()
        for _ in range(50):
            if posted.soon(HookEdge(time.at, "desk", True)):
                break
            time.move(ms(260))
    assert sum(each.count for each in posted.of_kind(EdgesLost)) >= 40
    assert posted.edges()[-1].off_hook


@pytest.mark.parametrize("bench", ["gpiod"], indirect=True)
@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.ENOENT, "no such chip"),
        (errno.EACCES, "group gpio"),
        (errno.EBUSY, "another program"),
        (errno.ENOTTY, "no GPIO chip"),
        (errno.EINVAL, "no such pin"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_errors_of_the_chip_name_the_mend(
    bench: GpiodBench, posted: Posted, time: Time, number: int, mend: str
) -> None:
    bench.error = OSError(number, os.strerror(number))
    with Session(bench, LINE, posted, time):
        posted.wait_count(1)
    assert mend in posted.of_kind(DriverLost)[0].reason


def test_a_chip_that_does_not_exist_is_explained_by_the_real_library(
    posted: Posted, time: Time
) -> None:
    hook = dataclasses.replace(LINE.hook, chip="/dev/gpiochip-of-nobody")
    sensor = GpiodSensor(dataclasses.replace(LINE, hook=hook), posted.post, time.now)
    sensor.start()
    posted.wait_count(1)
    sensor.close()
    assert "no such chip" in posted.of_kind(DriverLost)[0].reason


def test_version_1_of_gpiod_is_named(
    posted: Posted, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(gpiod, "request_lines")
    sensor = GpiodSensor(LINE, posted.post, time.now)
    sensor.start()
    posted.wait_count(1)
    sensor.close()
    assert 'pip install "gpiod>=2.1"' in posted.of_kind(DriverLost)[0].reason
