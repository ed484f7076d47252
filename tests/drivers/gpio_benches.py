"""Stand-ins for GPIO hardware that tests of the drivers drive: RPi.GPIO's module, gpiod's request."""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import gpiod
import gpiod.line

from recorderd.drivers.gpio_chip import GpiodSensor
from recorderd.drivers.gpio_rpi import RpiGpioSensor
from recorderd.events import HookEdge, Input, RingEdge
from recorderd.units import MonoNs, seconds
from tests.drivers.fake_rpi_gpio import FakeRpiGpio

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.drivers.pin_driver import PinDriver

DEADLINE_S = 10.0

# ---------------------------------------------------------------- what a test holds in its hand


class Time:
    """A clock that moves only when the test says so."""

    def __init__(self) -> None:
        self.at = MonoNs(seconds(100))

    def now(self) -> MonoNs:
        return self.at

    def move(self, ns: int) -> MonoNs:
        self.at = MonoNs(self.at + ns)
        return self.at


class Posted:
    """What the driver posted, and a way to wait for it."""

    def __init__(self) -> None:
        self.events: list[Input] = []
        self._changed = threading.Condition()

    def post(self, event: Input) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait(self, is_there: Callable[[list[Input]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: is_there(self.events), DEADLINE_S), self.events

    def soon(self, event: Input) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: event in self.events, 0.2)

    def wait_count(self, count: int) -> None:
        self.wait(lambda events: len(events) >= count)

    def of_kind(self, *kinds: type) -> list[Any]:
        with self._changed:
            return [event for event in self.events if isinstance(event, kinds)]

    def edges(self) -> list[Any]:
        return self.of_kind(HookEdge, RingEdge)


class Bench(Protocol):
    sensor: type[PinDriver]

    def drive(self, pin: int, is_high: bool) -> None: ...
    def refuse(self) -> None: ...
    def cut(self) -> None: ...
    def mend(self) -> None: ...
    def wait_tries(self, count: int) -> None: ...
    def taken(self) -> set[int]: ...
    def pull(self, pin: int) -> str: ...


class RpiBench:
    sensor = RpiGpioSensor

    def __init__(self, time: Time) -> None:
        self.gpio = FakeRpiGpio()
        self.time = time

    def drive(self, pin: int, is_high: bool) -> None:
        self.gpio.drive(pin, int(is_high))

    def refuse(self) -> None:
        self.gpio.setup_error = RuntimeError("GPIO busy")

    def cut(self) -> None:
        self.gpio.input_error = RuntimeError("GPIO not allocated")

    def mend(self) -> None:
        self.gpio.setup_error = self.gpio.input_error = None

    def wait_tries(self, count: int) -> None:
        assert all(self.gpio.tried.acquire(timeout=DEADLINE_S) for _ in range(count))

    def taken(self) -> set[int]:
        return set(self.gpio.pulls) | set(self.gpio.detected)

    def pull(self, pin: int) -> str:
        return {20: "none", 21: "down", 22: "up"}[self.gpio.pulls[pin]]


class FakeRequest:
    """What gpiod.request_lines gives: settings are the real ones, and so are the events."""

    def __init__(self, bench: GpiodBench, config: dict[int, Any], buffer_size: int) -> None:
        self.bench = bench
        self.config = config
        self.events: deque[Any] = deque(maxlen=buffer_size)  # the oldest are dropped, as in Linux
        self.seqnos = dict.fromkeys(config, 0)
        self.changed = threading.Condition()

    def get_value(self, offset: int) -> Any:
        is_active = self.bench.high(offset) != self.config[offset].active_low
        return gpiod.line.Value.ACTIVE if is_active else gpiod.line.Value.INACTIVE

    def edge(self, offset: int) -> None:
        self.seqnos[offset] += 1
        kinds = gpiod.EdgeEvent.Type
        kind = kinds.RISING_EDGE if self.get_value(offset) else kinds.FALLING_EDGE
        seqno = self.seqnos[offset]
        event = gpiod.EdgeEvent(kind.value, self.bench.time.at, offset, seqno, seqno)
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def wait_edge_events(self, timeout_s: float) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.events or self.bench.error, timeout_s)

    def read_edge_events(self) -> list[Any]:
        if self.bench.error is not None:
            raise self.bench.error
        with self.changed:
            events = [self.events.popleft() for _ in range(min(64, len(self.events)))]
            self.changed.notify_all()
        return events

    def drained(self) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: not self.events, DEADLINE_S)

    def release(self) -> None:
        self.bench.requests.remove(self)


class GpiodBench:
    sensor = GpiodSensor

    def __init__(self, time: Time) -> None:
        self.time = time
        self.levels: dict[int, bool] = {}
        self.requests: list[FakeRequest] = []
        self.error: OSError | None = None
        self.tried = threading.Semaphore(0)
        self.is_busy_while_opening = False  # an edge waits before the level is read

    def request_lines(
        self, path: str, config: dict[int, Any], consumer: str, event_buffer_size: int
    ) -> FakeRequest:
        assert (path, consumer) == ("/dev/gpiochip0", "recorderd")
        self.tried.release()
        if self.error is not None:
            raise self.error
        for settings in config.values():
            assert settings.edge_detection is gpiod.line.Edge.BOTH
            assert settings.event_clock is gpiod.line.Clock.MONOTONIC
        self.requests.append(FakeRequest(self, config, event_buffer_size))
        if self.is_busy_while_opening:
            self.requests[-1].edge(next(iter(config)))
        return self.requests[-1]

    def high(self, pin: int) -> bool:
        return self.levels.get(pin, True)

    def drive(self, pin: int, is_high: bool) -> None:
        if self.high(pin) == is_high:
            return
        self.levels[pin] = is_high
        for request in self.requests:
            if pin in request.config:
                request.edge(pin)

    def refuse(self) -> None:
        self.error = OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    def cut(self) -> None:
        self.error = OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        for request in self.requests:
            with request.changed:
                request.changed.notify_all()

    def mend(self) -> None:
        self.error = None

    def wait_tries(self, count: int) -> None:
        assert all(self.tried.acquire(timeout=DEADLINE_S) for _ in range(count))

    def taken(self) -> set[int]:
        return {pin for request in self.requests for pin in request.config}

    def pull(self, pin: int) -> str:
        names = {"PULL_UP": "up", "PULL_DOWN": "down", "DISABLED": "none"}
        return names[self.requests[-1].config[pin].bias.name]
