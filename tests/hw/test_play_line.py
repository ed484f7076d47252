"""The bench jig's player: with fake pins and a pty, in virtual time, and once as a whole program."""

from __future__ import annotations

import os
import pty
import threading
import tty
from pathlib import Path
from typing import Any

import gpiod
import pytest

from hw.jig import play_line
from recorderd.config.profiles import load_profile
from recorderd.core.line import LineMachine
from recorderd.events import (
    HookEdge,
    HookFlashed,
    RingEdge,
    RingingStarted,
    TimePassed,
    WentOffHook,
    WentOnHook,
)
from recorderd.sim.script import parse_script
from recorderd.units import MonoNs, seconds

JIG = Path(play_line.__file__).parent
DAY = "day 2026-11-23T09:00:00+09:00\n"
DEADLINE_S = 10


class Bench:
    """Notes what happens and when, on a clock that jumps to where it is told to wait."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.seen: list[tuple[float, str, Any]] = []

    def wait_until(self, after_ns: int) -> None:
        assert after_ns >= self.now_ns
        self.now_ns = after_ns

    def note(self, what: str) -> Any:
        return lambda value: self.seen.append((self.now_ns / 1e9, what, value))

    def play(self, text: str, line: str = "desk") -> int:
        return play_line.play(
            parse_script(text, "test.line"),
            line,
            hook=self.note("hook"),
            ring=self.note("ring"),
            modem=self.note("modem"),
            wait_until=self.wait_until,
        )


def test_events_come_at_their_times_and_of_one_line_only():
    bench = Bench()
    count = bench.play(
        DAY + '09:00:10 desk hook off\n+0.25 other hook off\n+0.25 desk modem-bytes "A\\r"\n'
        "+1.5 desk ring-edge on\n+0 desk hook on\n"
    )
    assert count == 4
    assert bench.seen == [
        (1.0, "hook", True),
        (1.5, "modem", b"A\r"),
        (3.0, "ring", True),
        (3.0, "hook", False),
    ]


def test_the_shipped_call_is_a_call_to_recorderd():
    bench = Bench()
    bench.play((JIG / "one-call.line").read_text("utf-8"))
    machine = LineMachine("desk", load_profile("US"), None)
    facts = []
    for at_s, what, value in bench.seen:
        at = MonoNs(seconds(at_s))
        if what == "hook":
            facts += machine.handle(HookEdge(at, "desk", value))
        elif what == "ring":
            facts += machine.handle(RingEdge(at, "desk", value))
    facts += machine.handle(TimePassed(MonoNs(bench.now_ns + seconds(10))))
    kinds = [type(fact) for fact in facts]
    assert kinds.count(RingingStarted) == kinds.count(WentOffHook) == kinds.count(WentOnHook) == 1
    assert [round(fact.duration_ns / 1e6) for fact in facts if isinstance(fact, HookFlashed)] == [
        600
    ]


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ("desk inbound number=1 answer=never", "plays only hook, ring-edge and modem-bytes"),
        ("desk flash 600", "plays only hook, ring-edge and modem-bytes"),
        ("desk ring-edge on", "ring-edge needs --ring"),
        ('desk modem-bytes "A"', "modem-bytes needs --modem"),
        ("other hook off", "no event of line desk; it has: other"),
    ],
)
def test_what_cannot_be_played_is_refused(event, problem):
    script = parse_script(f"{DAY}09:00:00 {event}\n", "test.line")
    (found,) = play_line.check(script, "desk", has_ring=False, has_modem=False)
    assert problem in found
    assert "test.line" in found


class FakeRequest:
    """What gpiod.request_lines gives, for outputs; the settings are the real ones."""

    def __init__(self, config: dict[int, gpiod.LineSettings]) -> None:
        assert all(
            settings.direction is gpiod.line.Direction.OUTPUT for settings in config.values()
        )
        self.levels = {pin: settings.output_value for pin, settings in config.items()}
        self.history: list[tuple[int, bool]] = []
        self.is_released = False

    def set_value(self, pin: int, value: gpiod.line.Value) -> None:
        assert not self.is_released
        assert pin in self.levels
        self.levels[pin] = value
        self.history.append((pin, value is gpiod.line.Value.ACTIVE))

    def release(self) -> None:
        self.is_released = True


@pytest.fixture
def requests(monkeypatch):
    made: list[FakeRequest] = []

    def request_lines(chip, consumer, config):
        assert (chip, consumer) == ("/dev/gpiochip0", "play_line")
        made.append(FakeRequest(config))
        return made[-1]

    monkeypatch.setattr(gpiod, "request_lines", request_lines)
    monkeypatch.setattr(play_line, "_real_time", lambda: lambda _after_ns: None)
    return made


@pytest.fixture
def terminal():
    """The far side of a pseudo-terminal, and the name of the near one."""
    far, near = pty.openpty()
    tty.setraw(near)
    yield far, os.ttyname(near)
    os.close(far)
    os.close(near)


def read_until(descriptor: int, wanted: bytes) -> bytes:
    found: list[bytes] = []

    def read() -> None:
        while wanted not in b"".join(found):
            found.append(os.read(descriptor, 256))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(DEADLINE_S)
    assert wanted in b"".join(found), found
    return b"".join(found)


def test_the_whole_program(requests, terminal, capsys):
    far, port = terminal
    script = JIG / "one-call.line"
    arguments = [str(script), "--line", "desk", "--hook", "5", "--ring", "6", "--modem", port]
    assert play_line.main(arguments) == 0
    (request,) = requests
    hook = [active for pin, active in request.history if pin == 5]
    ring = [active for pin, active in request.history if pin == 6]
    assert hook == [True, False, True, False, False]  # the last by closing
    assert ring == [True, False, True, False, False]
    assert request.is_released
    assert b"NMBR = 0312345678" in read_until(far, b"NAME = TEST CALL")
    assert "9 events of desk played" in capsys.readouterr().out


def test_the_modem_answers_commands_and_nothing_else(terminal):
    far, port = terminal
    with play_line._serial_port(port) as near:
        modem = play_line.AnsweringModem(near)
        os.write(far, b"ATZ\rat+vcid=1\r\nhello\rATI\r")
        assert read_until(far, b"\r\nOK\r\n" * 3) == b"\r\nOK\r\n" * 3
        os.write(far, b"x" * 1000 + b"\rAT\r")
        assert read_until(far, b"OK") == b"\r\nOK\r\n"
        modem.close()


def test_pins_end_inactive_when_the_port_fails(requests, capsys):
    arguments = [str(JIG / "one-call.line"), "--line", "desk", "--hook", "5", "--ring", "6"]
    assert play_line.main([*arguments, "--modem", "/dev/no-such-port"]) == os.EX_UNAVAILABLE
    (request,) = requests
    assert request.is_released
    assert all(level is gpiod.line.Value.INACTIVE for level in request.levels.values())
    assert "/dev/no-such-port" in capsys.readouterr().err


def test_an_interrupted_play_lets_go_of_the_pins(requests, monkeypatch, tmp_path):
    def interrupted(after_ns: int) -> None:
        if after_ns > 5 * 10**9:  # the phone is off the hook by then
            raise KeyboardInterrupt

    monkeypatch.setattr(play_line, "_real_time", lambda: interrupted)
    script = tmp_path / "cut.line"
    script.write_text(f"{DAY}09:00:00 desk hook off\n+10 desk hook on\n", "utf-8")
    assert play_line.main([str(script), "--line", "desk", "--hook", "5"]) == 130
    (request,) = requests
    assert request.history[0] == (5, True)
    assert request.is_released
    assert all(level is gpiod.line.Value.INACTIVE for level in request.levels.values())


def test_a_wrong_script_moves_nothing(requests, tmp_path, capsys):
    script = tmp_path / "wrong.line"
    script.write_text(f"{DAY}09:00:00 desk hook sideways\n", "utf-8")
    assert play_line.main([str(script), "--line", "desk", "--hook", "5"]) == os.EX_CONFIG
    assert not requests
    assert "wrong.line:2" in capsys.readouterr().err
