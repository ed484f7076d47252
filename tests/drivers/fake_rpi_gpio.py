"""A stand-in for the module RPi.GPIO: its functions, constants and errors, over pins a test drives.

Behaviour follows RPi.GPIO 0.7.1 (source/py_gpio.c) and rpi-lgpio 0.6: errors have their words,
callbacks run on a thread that is not the driver's and get the channel only, and what a callback
raises is swallowed.
"""

from __future__ import annotations

import contextlib
import threading
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeRpiGpio(ModuleType):
    BOARD, BCM = 10, 11
    OUT, IN = 0, 1
    LOW, HIGH = 0, 1
    PUD_OFF, PUD_DOWN, PUD_UP = 20, 21, 22
    RISING, FALLING, BOTH = 31, 32, 33

    def __init__(self) -> None:
        super().__init__("RPi.GPIO")
        self.levels: dict[int, int] = {}
        self.pulls: dict[int, int] = {}
        self.detected: dict[int, Callable[[int], None]] = {}
        self.mode: int | None = None
        self.setup_error: Exception | None = None
        self.input_error: Exception | None = None
        self.detect_error: Exception | None = None
        self.tried = threading.Semaphore(0)  # released by each setup
        self.is_busy_while_detecting = False  # a callback comes before add_event_detect returns

    # ------------------------------------------------------------ the module's functions

    def setwarnings(self, _on: bool) -> None:
        return

    def setmode(self, mode: int) -> None:
        if self.mode not in {None, mode}:
            raise ValueError("A different mode has already been set!")
        self.mode = mode

    def setup(self, channel: int, direction: int, pull_up_down: int = PUD_OFF) -> None:
        self._check(channel)
        assert direction == self.IN
        self.tried.release()
        if self.setup_error is not None:
            raise self.setup_error
        self.pulls[channel] = pull_up_down

    def input(self, channel: int) -> int:
        self._check(channel)
        if channel not in self.pulls:
            raise RuntimeError("You must setup() the GPIO channel first")
        if self.input_error is not None:
            raise self.input_error
        return self.levels.get(channel, self.HIGH)

    def add_event_detect(self, channel: int, edge: int, callback: Callable[[int], None]) -> None:
        self._check(channel)
        assert edge == self.BOTH
        if channel not in self.pulls:
            raise RuntimeError("You must setup() the GPIO channel as an input first")
        if channel in self.detected:
            raise RuntimeError("Conflicting edge detection already enabled for this GPIO channel")
        if self.detect_error is not None:
            raise self.detect_error
        self.detected[channel] = callback
        if self.is_busy_while_detecting:
            callback(channel)

    def remove_event_detect(self, channel: int) -> None:
        self._check(channel)
        self.detected.pop(channel, None)

    def cleanup(self, channels: list[int]) -> None:
        for channel in channels:
            self._check(channel)
            self.detected.pop(channel, None)
            self.pulls.pop(channel, None)

    def _check(self, channel: int) -> None:
        if self.mode is None:
            raise RuntimeError(
                "Please set pin numbering mode using GPIO.setmode(GPIO.BOARD) or "
                "GPIO.setmode(GPIO.BCM)"
            )
        if not 0 <= channel < 54:
            raise ValueError("The channel sent is invalid on a Raspberry Pi")

    # ------------------------------------------------------------ the test's side

    def drive(self, channel: int, level: int, *, silently: bool = False) -> None:
        """Put a level on a pin; `silently`: the library misses the edge."""
        if self.levels.get(channel, self.HIGH) == level:
            return
        self.levels[channel] = level
        callback = self.detected.get(channel)
        if callback is not None and not silently:
            with contextlib.suppress(Exception):
                callback(channel)
