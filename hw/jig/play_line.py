"""Plays a `.line` script on real pins and a real serial port: the exchange of the bench jig.

    python hw/jig/play_line.py hw/jig/one-call.line --line desk --hook 5 --ring 6 --modem /dev/ttyUSB0

Runs on the jig, not on the box that is tested; hw/jig/README.md has the wiring. An active pin is
high: hook off, or ringing. Of the script only the verbs that say what a sensor sees are played:
`hook`, `ring-edge` and `modem-bytes`; any other is refused before anything moves. The first event
comes a second after the start, whatever its time of day. On the modem's port every AT command is
answered with OK, as the recorder asks its modem for caller ID before it listens.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recorderd.errors import ConfigError, DeviceError
from recorderd.sim.actions import Hook, ModemText, RingLevel
from recorderd.sim.script import load_script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recorderd.sim.actions import Script

LEAD_NS = 1_000_000_000  # both ends have settled by the first event
COMMAND_LIMIT_BYTES = 256  # a longer line without its end is noise, and is forgotten
POLL_S = 0.1


class Pins(Protocol):
    def set(self, number: int, *, active: bool) -> None: ...


class Port(Protocol):
    def read(self, size: int) -> bytes: ...
    def write(self, data: bytes) -> object: ...


class GpiodPins:
    """Output pins of one GPIO chip; inactive at the start and at the end."""

    def __init__(self, chip: str, numbers: Sequence[int]) -> None:
        try:
            import gpiod  # noqa: PLC0415  (only where there are pins)
        except ImportError as error:
            raise DeviceError(
                'the Python library gpiod is missing; pip install "gpiod>=2.1"'
            ) from error
        self._value = gpiod.line.Value
        settings = gpiod.LineSettings(
            direction=gpiod.line.Direction.OUTPUT, output_value=self._value.INACTIVE
        )
        try:
            self._request = gpiod.request_lines(
                chip, consumer="play_line", config=dict.fromkeys(numbers, settings)
            )
        except (OSError, ValueError) as error:
            raise DeviceError(
                f"cannot take pins {', '.join(map(str, numbers))} of {chip}: {error}; "
                "`gpioinfo` lists the pins and who holds them"
            ) from error
        self._numbers = numbers

    def set(self, number: int, *, active: bool) -> None:
        self._request.set_value(number, self._value.ACTIVE if active else self._value.INACTIVE)

    def close(self) -> None:
        for number in self._numbers:
            self.set(number, active=False)
        self._request.release()


class AnsweringModem:
    """Says OK to every command on its port, from a thread of its own, until it is closed."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._is_open = True
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def say(self, data: bytes) -> None:
        with self._lock:
            self._port.write(data)

    def close(self) -> None:
        self._is_open = False
        self._thread.join()

    def _answer(self) -> None:
        heard = b""
        while self._is_open:
            heard += self._port.read(64)
            *commands, heard = heard.replace(b"\n", b"").split(b"\r")
            heard = heard if len(heard) < COMMAND_LIMIT_BYTES else b""
            for command in commands:
                if command.strip().upper().startswith(b"AT"):
                    self.say(b"\r\nOK\r\n")


def check(script: Script, line: str, *, has_ring: bool, has_modem: bool) -> list[str]:
    """What of the script cannot be played here, one sentence each."""
    problems = []
    if not any(event.target == line for event in script.events):
        names = ", ".join(sorted({event.target for event in script.events})) or "none"
        problems.append(f"{script.origin}: no event of line {line}; it has: {names}")
    for event in script.events:
        where = f"{script.origin}:{event.source_line}"
        if event.target != line or isinstance(event.action, Hook):
            continue
        if isinstance(event.action, RingLevel):
            if not has_ring:
                problems.append(f"{where}: ring-edge needs --ring PIN")
        elif isinstance(event.action, ModemText):
            if not has_modem:
                problems.append(f"{where}: modem-bytes needs --modem PORT")
        else:
            problems.append(f"{where}: the jig plays only hook, ring-edge and modem-bytes")
    return problems


def play(
    script: Script,
    line: str,
    *,
    hook: Callable[[bool], None],
    ring: Callable[[bool], None],
    modem: Callable[[bytes], None],
    wait_until: Callable[[int], None],
) -> int:
    """Play the line's events; `wait_until` takes nanoseconds since the start. How many there were.

    Each event has its moment counted from the start, so that no lateness adds up.
    """
    events = [event for event in script.events if event.target == line]
    for event in events:
        wait_until(event.after_ns - events[0].after_ns + LEAD_NS)
        match event.action:
            case Hook(off_hook):
                hook(off_hook)
            case RingLevel(active):
                ring(active)
            case ModemText(data):
                modem(data)
    return len(events)


def _real_time() -> Callable[[int], None]:
    start = time.monotonic_ns()

    def wait_until(after_ns: int) -> None:
        # The script's own pace: a line moves when its event says so, and nothing is waited for.
        time.sleep(max(0, start + after_ns - time.monotonic_ns()) / 1e9)

    return wait_until


def _serial_port(path: str) -> Any:
    try:
        import serial  # noqa: PLC0415  (only where there is a modem to play)
    except ImportError as error:
        raise DeviceError(
            'the Python library pyserial is missing; pip install "pyserial"'
        ) from error
    try:
        return serial.Serial(path, 115200, timeout=POLL_S, exclusive=True)
    except (OSError, ValueError) as error:
        raise DeviceError(
            f"cannot open {path}: {error}; `ls /dev/serial/by-id` lists ports"
        ) from error


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Play a .line script on pins and a serial port.")
    parser.add_argument("script", type=Path, help="a .line file with raw verbs")
    parser.add_argument("--line", required=True, help="the line's name in the script")
    parser.add_argument("--chip", default="/dev/gpiochip0", help="GPIO chip (default: %(default)s)")
    parser.add_argument("--hook", type=int, required=True, help="output pin: high is off-hook")
    parser.add_argument("--ring", type=int, help="output pin: high is ringing")
    parser.add_argument("--modem", help="serial port on which the modem speaks")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        script = _playable(options)
        with ExitStack() as stack:
            count = _play_on_hardware(script, options, stack)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # as the shell has it
    except (ConfigError, DeviceError) as error:
        print(error, file=sys.stderr)
        return os.EX_CONFIG if isinstance(error, ConfigError) else os.EX_UNAVAILABLE
    print(f"{script.origin}: {count} events of {options.line} played")
    return os.EX_OK


def _playable(options: argparse.Namespace) -> Script:
    script = load_script(options.script.name, options.script.parent)
    has_ring, has_modem = options.ring is not None, bool(options.modem)
    if problems := check(script, options.line, has_ring=has_ring, has_modem=has_modem):
        raise ConfigError(problems)
    return script


def _play_on_hardware(script: Script, options: argparse.Namespace, stack: ExitStack) -> int:
    numbers = [pin for pin in (options.hook, options.ring) if pin is not None]
    pins = GpiodPins(options.chip, numbers)
    stack.callback(pins.close)
    say: Callable[[bytes], None] = _nothing
    if options.modem:
        port = stack.enter_context(_serial_port(options.modem))
        modem = AnsweringModem(port)
        stack.callback(modem.close)
        say = modem.say
    return play(
        script,
        options.line,
        hook=lambda off_hook: pins.set(options.hook, active=off_hook),
        ring=lambda active: pins.set(options.ring, active=active),
        modem=say,
        wait_until=_real_time(),
    )


def _nothing(_data: bytes) -> None:
    """Stands for a modem that the script does not need."""


if __name__ == "__main__":
    sys.exit(main())
