"""The command around the walk: who may start it and how it ends; and a box without its devices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from recorderd.cli.doctor import Terminal
from recorderd.cli.main import main
from recorderd.config import load
from recorderd.disk import files
from recorderd.doctor import guided
from recorderd.doctor.bench import INBOX_MAX, Bench, PatientInbox
from recorderd.doctor.box import SimulatedBox
from recorderd.doctor.guided import Helpers, commission
from recorderd.doctor.outcome import Finding, Outcome
from recorderd.doctor.ports import PersonAtThePhone
from recorderd.drivers.hardware import HardwareDevices
from recorderd.errors import StoreError
from recorderd.events import TimePassed
from recorderd.runtime.clock import SystemClock
from recorderd.sim.devices import VirtualOffice
from recorderd.units import MonoNs
from tests.doctor.test_unattended import status
from tests.doctor.walks import Written, codes, make_box, no_archive, walk

HARDWARE = """\
[site]
name = "test-office"
country = "US"
time_zone = "America/New_York"
[storage]
directory = "state"
[[line]]
name = "front-desk"
[line.audio]
driver = "pyaudio"
device = "No such card"
[line.hook]
driver = "gpiod"
pin = 17
chip = "/dev/gpiochip-none"
[line.modem]
port = "/dev/no-such-modem"
"""


def test_without_a_terminal_it_asks_nothing(tmp_path, capsys):
    assert main(["doctor", "--config", str(make_box(tmp_path))]) == 2
    assert "--unattended" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--json"], ["--sheet", "/no/such/folder/sheet.html"]])
def test_wrong_usage(tmp_path, monkeypatch, options):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert main(["doctor", "--config", str(make_box(tmp_path)), *options]) == 2


def test_a_wrong_configuration_is_78(tmp_path):
    path = make_box(tmp_path)
    path.write_text("nonsense = 1\n", "utf-8")
    assert main(["doctor", "--unattended", "--config", str(path)]) == 78


def test_while_the_recorder_runs_no_device_is_touched(tmp_path, monkeypatch, capsys):
    path = make_box(tmp_path)
    status(path)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(Bench, "__enter__", lambda _self: pytest.fail("opened"))
    with files.hold_directory(tmp_path / "state"):
        assert main(["doctor", "--config", str(path)]) == 1
    told = capsys.readouterr().out
    assert "systemctl stop recorderd" in " ".join(told.split())
    assert "recorder" in told


def test_a_recorder_cannot_start_in_the_middle_of_a_walk(tmp_path):
    held = []

    class Curious(Written):
        def title(self, text):
            if text.startswith("Line"):
                with pytest.raises(StoreError), files.hold_directory(tmp_path / "state"):
                    pass
                held.append(text)

    walk(make_box(tmp_path), Curious({"Is the handset": False}))
    assert held
    with files.hold_directory(tmp_path / "state"):
        pass


def test_devices_are_let_go_whatever_happens(tmp_path):
    config = load(make_box(tmp_path))
    office = VirtualOffice(config, 120)
    with pytest.raises(KeyboardInterrupt), Bench(config, office):
        raise KeyboardInterrupt
    assert office.office.lines["front-desk"].sensor is None

    def fails(_line):
        raise RuntimeError

    office = VirtualOffice(config, 120)
    office.sensor = fails
    closed = []
    for card in office.office.cards.values():
        card.close = lambda: closed.append(True)
    with pytest.raises(RuntimeError), Bench(config, office):
        pass
    assert closed == [True]


def test_a_box_without_its_devices_says_which(tmp_path, monkeypatch):
    monkeypatch.setattr(guided, "COUNTING_S", 0.1)
    (tmp_path / "state").mkdir()
    path = tmp_path / "recorderd.toml"
    path.write_text(HARDWARE, "utf-8")
    clock = SystemClock()
    person = Written({"Is the handset": False})
    box = SimulatedBox(clock, frozenset())
    helpers = Helpers(person, PersonAtThePhone(), box, dict, no_archive)
    visit = commission(load(path), HardwareDevices(clock, PatientInbox()), helpers)
    assert [each for each in codes(visit) if each != "clock-free"] == [
        *("card-missing", "modem-missing", "sensor-missing")
    ]


def test_a_pin_that_hums_while_a_person_reads_fills_no_memory():
    inbox = PatientInbox()
    for number in range(INBOX_MAX + 10):
        inbox.post(TimePassed(MonoNs(number)))
    assert inbox.wait(MonoNs(0)) == TimePassed(MonoNs(10))


def test_what_is_shown_fits_80_columns_and_no_text_is_taken_for_markup(capsys):
    finding = Finding("card-missing", "a [b]c[/b] " + "word " * 40, "mend it")
    terminal = Terminal(Console(width=80, highlight=False))
    terminal.show(Outcome("card", "[red]x", {"detail": "[/red]"}, (finding,)))
    told = capsys.readouterr().out
    assert "[b]c[/b]" in told
    assert "[red]x" in told
    assert max(map(len, told.split("\n"))) <= 80


def test_what_a_modem_says_gives_the_terminal_no_orders(capsys):
    terminal = Terminal(Console(width=80, highlight=False))
    order = "\x1b]0;mine\x07\x9b2J"
    terminal.show(Outcome("modem", order, {"identity": order}, (Finding("hot", order, order),)))
    terminal.show(Outcome("modem", "", skipped=order))
    terminal.title(order)
    terminal.say(f"one\ntwo{order}")
    told = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\x9b"} & set(told)
    assert "one\ntwo" in told


def test_a_closed_keyboard_is_no_consent():
    """End of input in the middle of the walk is taken as Ctrl-C."""
    code = (
        "from rich.console import Console\nfrom recorderd.cli.doctor import Terminal\n"
        "try:\n    Terminal(Console()).confirm('Write this?', default=False)\n"
        "except KeyboardInterrupt:\n    print('ended')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent.parent,
        env={**os.environ, "TERM": "dumb"},
    )
    assert done.stdout.rstrip().endswith("ended")
