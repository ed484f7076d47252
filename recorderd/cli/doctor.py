"""`recorderd doctor`: commissioning with a person at a terminal, and the nightly look without one."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from recorderd.archive.places import open_target
from recorderd.cli.devices import find_devices
from recorderd.cli.fold import folded
from recorderd.config import find_config, load
from recorderd.config.words import printable
from recorderd.disk import files
from recorderd.doctor import unattended
from recorderd.doctor.bench import RING_SECONDS, PatientInbox
from recorderd.doctor.box import RealBox, SimulatedBox
from recorderd.doctor.guided import Helpers, commission
from recorderd.doctor.ports import PersonAtThePhone
from recorderd.doctor.sheet import SheetFacts, sheet_page
from recorderd.doctor.words import CHECKS, label, sentence
from recorderd.drivers.hardware import HardwareDevices
from recorderd.errors import StoreError, UsageError
from recorderd.evidence.findings import counted
from recorderd.runtime.clock import SystemClock
from recorderd.runtime.statusfile import recorder_status

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

    from recorderd.config.values import Config
    from recorderd.daemon import Devices
    from recorderd.doctor.guided import Visit
    from recorderd.doctor.outcome import Finding, Outcome
    from recorderd.doctor.ports import Box, Hands
    from recorderd.sim.devices import RealTimeOffice


def doctor(options: argparse.Namespace) -> int:
    """Exit 0 where nothing was found, 1 where something was or the walk was ended."""
    config = load(find_config(options.config))
    if options.unattended and options.sheet is not None:
        raise UsageError(
            "--sheet goes with the walk; what --unattended finds is in recorderd status"
        )
    _check_permitted(config.storage.directory)
    if options.unattended:
        return _look(config, as_json=options.json)
    if options.json:
        raise UsageError("--json goes with --unattended; the walk with a person has --sheet FILE")
    if not sys.stdin.isatty():
        raise UsageError(
            "doctor asks questions and needs a terminal (ssh -t); without one: "
            "recorderd doctor --unattended"
        )
    return _walk(config, options.sheet)


def _check_permitted(directory: Path) -> None:
    """Whoever forgot sudo is told that, and not to give the recorder's directory to somebody else."""
    # Not W_OK: to a disk that went read-only nobody may write, and the checks say that.
    if directory.is_dir() and not os.access(directory, os.R_OK | os.X_OK):
        raise StoreError(f"{directory}: this user may not look there; run the doctor with sudo")


def _look(config: Config, *, as_json: bool) -> int:
    found = unattended.look(config, _box(config), open_target)
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        for check in found["checks"]:
            where = f" {check['where']}" if check["where"] else ""
            print(f"{check['verdict']:<8}{check['check']}{where}")
            for finding in check["findings"]:
                told = f"        {finding['code']}: {finding['what']}; {finding['mend']}"
                print(folded(told, 10))
    return 1 if any(check["findings"] for check in found["checks"]) else 0


def _walk(config: Config, sheet: Path | None) -> int:
    if sheet is not None:
        _check_sheet(sheet)
    # What drivers log is among the findings, and would fall between two questions.
    logging.getLogger().addHandler(logging.NullHandler())
    person = Terminal(Console(highlight=False))
    if (taken := _why_taken(config)) is not None:
        person.say(
            f"{sentence(taken)} While the recorder runs it has the devices; for the whole walk: systemctl "
            "stop recorderd. Without devices, this is what there is to see:"
        )
        if sheet is not None:
            person.say(f"(The sheet {sheet} is not written: it is of a whole walk.)")
        return _look(config, as_json=False) or 1
    box = _box(config)
    try:
        with _ending_by_signal(), _surroundings(config) as (devices, hands):
            helpers = Helpers(person, hands, box, lambda: _offered(config), open_target)
            visit = commission(config, devices, helpers)
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be what ended it
            person.say(f"\nEnded. {_how_it_is(config)}")
        return 1
    _summarise(visit, person)
    if sheet is not None:
        files.write_durable(sheet, sheet_page(visit, _facts(config, box)).encode())
        person.say(f"The acceptance sheet is {sheet}.")
    if config.simulation is None:
        person.say(START)
    return 1 if visit.findings else 0


START = "Start the recorder, now and at every boot: systemctl enable --now recorderd"


def _check_sheet(sheet: Path) -> None:
    """Before the walk: nobody wants to walk it again for a sheet that could not be written."""
    if not sheet.parent.is_dir():
        raise UsageError(f"--sheet: there is no folder {sheet.parent}")
    if sheet.is_dir():
        raise UsageError(f"--sheet: {sheet} is a folder; name a file in it: {sheet / 'sheet.html'}")
    if not os.access(sheet.parent, os.W_OK | os.X_OK):
        raise UsageError(f"--sheet: {sheet.parent} cannot be written to; name another folder")


@contextmanager
def _ending_by_signal() -> Iterator[None]:
    """A connection that is lost, and SIGTERM, end the walk as Ctrl-C does, with all put back."""
    numbers = (signal.SIGHUP, signal.SIGTERM)
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _how_it_is(config: Config) -> str:
    """Of the configuration, after an interrupt that may have come as it was written."""
    with suppress(OSError):
        if hashlib.sha256(config.path.read_bytes()).hexdigest() != config.sha256:
            return f"{config.path} is not what it was at the start: see recorderd check."
    again = "" if config.simulation is not None else f" {START}"
    return f"The configuration is as it was.{again}"


def _why_taken(config: Config) -> str | None:
    """Why the state directory is not ours, which in most cases is a recorder that runs."""
    if not config.storage.directory.is_dir():
        return None
    try:
        with files.hold_directory(config.storage.directory):
            return None
    except StoreError as error:
        return str(error)


def _box(config: Config) -> Box:
    """The machine, or the one of a simulated office."""
    if config.simulation is None:
        return RealBox(SystemClock(config.storage.directory))
    office = _office(config, PatientInbox())
    return SimulatedBox(office.clock, office.office.faults)


@contextmanager
def _surroundings(config: Config) -> Iterator[tuple[Devices, Hands]]:
    """The box's devices, or a simulated office with people in it, for a while."""
    inbox = PatientInbox()
    if config.simulation is None:
        yield HardwareDevices(SystemClock(), inbox), PersonAtThePhone()
        return
    # Only here, so that a box with hardware never loads the simulator.
    from recorderd.sim.hands import Hands as SimulatedHands  # noqa: PLC0415  (as said above)

    office = _office(config, inbox)
    office.start()
    try:
        yield office, SimulatedHands(office.office, office.world)
    finally:
        office.close()


def _office(config: Config, inbox: PatientInbox) -> RealTimeOffice:
    from recorderd.sim.devices import RealTimeOffice  # noqa: PLC0415  (as above)

    return RealTimeOffice(config, inbox, RING_SECONDS)


def _offered(config: Config) -> dict[str, Any]:
    return {} if config.simulation is not None else find_devices()[0]


def _facts(config: Config, box: Box) -> SheetFacts:
    try:
        fingerprint = recorder_status(config.storage.directory).get("device_fingerprint")
    except StoreError:
        fingerprint = None
    lines = tuple(line.name for line in config.lines)
    return SheetFacts(
        site=config.site.name,
        lines=lines,
        model=box.model(),
        fingerprint=fingerprint,
        config=config.path,
        is_simulated=config.simulation is not None,
        config_sha256=config.sha256,
    )


def _summarise(visit: Visit, person: Terminal) -> None:
    person.title("Summary")
    for outcome, finding in visit.findings:
        person.finding(finding, outcome.where)
    left_out = [f"{each.check} {each.where}".strip() for each in visit.outcomes if each.skipped]
    if left_out:
        person.say(f"Not looked at: {', '.join(left_out)}.")
    checks = sum(each.skipped is None for each in visit.outcomes)
    count = len(visit.findings)
    person.say(
        f"{checks} checks, {counted(count, 'finding')}."
        if count
        else f"{checks} checks, nothing found."
    )


def _harmless(text: str) -> str:
    """Nothing that rich takes for markup, nor a terminal for an order: a modem says what it likes."""
    return escape("\n".join(printable(line) for line in text.split("\n")))


class Terminal:
    """ports.Person at a terminal of 80 columns, with a keyboard and nothing else."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        self._console.print(_harmless(text))

    def title(self, text: str) -> None:
        self._console.print(f"\n[bold]{_harmless(text)}[/bold]")

    def show(self, outcome: Outcome) -> None:
        name = CHECKS[outcome.check].english
        where = f" ({outcome.where})" if outcome.where else ""
        if outcome.skipped is not None:
            self.say(f"  --  {name}{where}: not looked at, {outcome.skipped}")
            return
        mark = "!!" if outcome.findings else "ok"
        told = [
            f"{label(key)} {value}"
            for key, value in outcome.measured.items()
            if value not in {None, ""}
        ]
        self._console.print(
            Padding(_harmless(f"{mark}  {name}{where}: {', '.join(told)}"), (0, 0, 0, 2))
        )
        for finding in outcome.findings:
            self.finding(finding)

    def finding(self, finding: Finding, where: str = "") -> None:
        place = f"{where}: " if where else ""
        what, mend = sentence(finding.what), sentence(finding.mend)
        text = f"[red]{finding.code}[/red]  {_harmless(place + what)}\n{_harmless(mend)}"
        self._console.print(Padding(text, (0, 0, 0, 6)))

    def ask(self, question: str) -> str:
        self._console.print(f"[bold]{_harmless(question)}[/bold] ", end="")
        return self._read()

    def confirm(self, question: str, *, default: bool) -> bool:
        choices = "Y/n" if default else "y/N"
        while True:
            answer = self.ask(f"{question} [{choices}]").strip().lower()
            if answer in {"", "y", "yes", "n", "no"}:
                return answer[:1] == "y" if answer else default
            self.say("Please answer y or n, or press Enter for the one in capitals.")

    @staticmethod
    def _read() -> str:
        try:
            return input()
        except EOFError:
            # Whoever closes the terminal has not said yes to anything.
            raise KeyboardInterrupt from None
