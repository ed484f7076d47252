"""Hook and ring pins through the RPi.GPIO interface, which RPi.GPIO and rpi-lgpio both offer.

Edges come as callbacks on the library's own thread; each is stamped first and its level read then,
so two edges closer than that read the same level twice. The library may also swallow an edge (its
first wake-up is taken for the initial state). Therefore the thread of this driver reads
the pins itself five times a second, and posts what was missed. Busy threads in this process make
stamps late by their turn of the interpreter, 5 ms each; `gpiod`, whose stamps are the kernel's,
does not suffer from that.

RPi.GPIO finds edges through the kernel's old sysfs interface, whose numbering moved with Linux 6.6:
`add_event_detect` then fails while reading still works. In that case the same thread reads the
pins every 2 ms instead. The shortest thing to be seen is the 13.9 ms for which the loop is closed
between two pulses at 20 a second (Japan: 事業用電気通信設備規則, annex 1); seven readings of it leave
room for the 5 ms of the contact filter and for a thread that wakes late.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from importlib import import_module
from typing import TYPE_CHECKING

from recorderd.drivers.pin_driver import PinDriver
from recorderd.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from recorderd.config.values import Line
    from recorderd.drivers.pin_driver import Pin
    from recorderd.ports import Post
    from recorderd.units import MonoNs

log = logging.getLogger(__name__)

POLL_S = 0.002
CHECK_S = 0.2

_TAKING = threading.Lock()
"""Each line has a thread, and the libraries are made for one: rpi-lgpio 0.6 opens the chip twice where
two call setmode at once, and knows nothing of what was set up by the first."""

# What the libraries say, in part, and how to mend it. RPi.GPIO 0.7.1 (source/py_gpio.c), lgpio 0.2.
_MENDS = {
    "Cannot determine SOC peripheral base address": "RPi.GPIO does not know this board (a Pi 5?); "
    "replace it: pip uninstall RPi.GPIO, pip install rpi-lgpio",
    "only be run on a Raspberry Pi": 'this is no Raspberry Pi; use driver = "gpiod"',
    "/dev/mem": "no permission; add the user of the service to the group gpio",
    "can not open gpiochip": "no permission; add the user of the service to the group gpio",
    "busy": "another program or a device-tree overlay holds the pin; `gpioinfo` names it",
}


class RpiGpioSensor(PinDriver):
    """The hook and ring pins of one line by their BCM numbers; a `ports.HookSensor`."""

    def __init__(self, line: Line, post: Post, now: Callable[[], MonoNs]) -> None:
        super().__init__(line, post, now)
        self._gpio: ModuleType | None = None
        self._lock = threading.Lock()  # makes stamp, level and post of an edge one step
        self._period_s = CHECK_S
        self._is_serving = False

    def _open(self) -> str:
        # lgpio raises an error class of its own, which rpi-lgpio does not pass on by name.
        try:
            gpio = _load()
            self._gpio = gpio
            with _TAKING:
                self._set_up(gpio)
                detail = self._watch(gpio)
            with self._lock:
                for pin in self._pins.values():
                    self._post_level(pin, self._now(), is_active=_is_active(gpio, pin))
                self._is_serving = True
        except DeviceError:
            raise
        except Exception as error:
            raise self._explained(error) from error
        return detail

    def _serve(self) -> None:
        self._stopping.wait(self._period_s)
        gpio = self._gpio
        if gpio is None:
            return
        try:
            for pin in self._pins.values():
                self._look(gpio, pin)
        except Exception as error:
            raise self._explained(error) from error

    def _release(self) -> None:
        gpio, self._gpio = self._gpio, None
        with self._lock:
            self._is_serving = False
        if gpio is None:
            return
        # What was never taken, or is lost already, cannot be given back; nobody can mend that.
        with contextlib.suppress(Exception):
            for number in self._pins:
                gpio.remove_event_detect(number)
        with contextlib.suppress(Exception):
            gpio.cleanup(list(self._pins))

    # ------------------------------------------------------------ taking the pins

    def _set_up(self, gpio: ModuleType) -> None:
        pulls = {"up": gpio.PUD_UP, "down": gpio.PUD_DOWN, "none": gpio.PUD_OFF}
        gpio.setwarnings(False)
        gpio.setmode(gpio.BCM)
        for pin in self._pins.values():
            gpio.setup(pin.number, gpio.IN, pull_up_down=pulls[pin.pull])

    def _watch(self, gpio: ModuleType) -> str:
        """Edge detection on all pins, or on none: then they are polled. How, in words."""
        try:
            for pin in self._pins.values():
                gpio.add_event_detect(pin.number, gpio.BOTH, callback=self._edge)
        except RuntimeError as error:
            self._period_s = POLL_S
            for number in self._pins:
                gpio.remove_event_detect(number)
            detail = f"read every {POLL_S * 1000:.0f} ms, for edges cannot be detected: {error}"
            log.warning("line %s: pins are %s", self._line.name, detail)
            return detail
        self._period_s = CHECK_S
        return "edges"

    # ------------------------------------------------------------ edges

    def _edge(self, number: int) -> None:
        """The library's callback, on its thread."""
        at = self._now()
        with self._lock:
            gpio = self._gpio
            if gpio is None or not self._is_serving:
                return  # the level that a session begins with holds this edge
            pin = self._pins[number]
            pin.gate.edge(at, level=_is_active(gpio, pin))

    def _look(self, gpio: ModuleType, pin: Pin) -> None:
        with self._lock:
            at = self._now()
            is_active = _is_active(gpio, pin)
            if is_active == pin.gate.level:
                pin.gate.tick(at)
            else:
                pin.gate.edge(at, level=is_active)

    def _explained(self, error: Exception) -> DeviceError:
        said = str(error)
        mend = next((mend for part, mend in _MENDS.items() if part in said), said)
        pins = " and ".join(str(number) for number in self._pins)
        return DeviceError(f"cannot read GPIO {pins}: {mend}")


def _load() -> ModuleType:
    try:
        return import_module("RPi.GPIO")
    except ImportError as error:
        raise DeviceError(
            'the Python library RPi.GPIO is missing; install it: pip install "recorderd[pi]"'
        ) from error


def _is_active(gpio: ModuleType, pin: Pin) -> bool:
    return bool(gpio.input(pin.number)) != pin.is_active_low
