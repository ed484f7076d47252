"""A program to be watched: an office of two lines takes twenty calls and dies in the last one.

    python -m tests.faults.sealed_office FOLDER recover|abort

The real daemon in virtual time, its log at its most talkative; then either recovery, as the next
start does it, or an abort, of which a core dump may be left. `prepare` has made FOLDER; the program
adds `recorder.log` and fills `state`.
"""

from __future__ import annotations

import logging
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from recorderd.cli import demo
from recorderd.config import load
from recorderd.config.needs import ring_seconds_of
from recorderd.daemon import Daemon
from recorderd.runtime.watchdog import ServiceManager
from recorderd.runtime.workers import InlineWorker
from recorderd.sim.devices import VirtualOffice
from recorderd.store.ledger import open_recorder_ledger
from recorderd.store.recovery import recover
from tests.deaf import Deaf

if TYPE_CHECKING:
    from collections.abc import Sequence

CALLS = 20
LINES = ("front-desk", "back-office")
CALL_EVERY_S = 12


def callers() -> list[tuple[str, str]]:
    """Number and name of each caller."""
    choice = random.Random(6)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return [
        (f"03{choice.randrange(10**8):08d}", "".join(choice.choices(letters, k=12)))
        for _ in range(CALLS)
    ]


def script() -> str:
    """The .line script of the day."""
    lines = ["day 2026-11-23T09:00:00+09:00"]
    for index, (number, name) in enumerate(callers()):
        seconds = 10 + index // 2 * 2 * CALL_EVERY_S + index % 2 * 3
        lines.append(
            f"09:{seconds // 60:02d}:{seconds % 60:02d} {LINES[index % 2]} inbound "
            f'number={number} name="{name}" answer=3 talk=8'
        )
    return "\n".join(lines) + "\n"


def config_text(recipients: Sequence[str]) -> str:
    texts = ", ".join(f'"{recipient}"' for recipient in recipients)
    seal = f"[seal]\nrecipients = [{texts}]\n\n" if recipients else ""
    return (
        demo.CONFIG
        .replace("[simulation]", f"{seal}[simulation]")
        .replace('"recordings"', '"state"')
        .replace("segment_s = 30", "segment_s = 5")
        .replace("office-day.line", "calls.line")
    )


def prepare(folder: Path, recipients: Sequence[str]) -> None:
    """Without recipients nothing is sealed."""
    (folder / "state").mkdir(parents=True)
    (folder / "calls.line").write_text(script(), "utf-8")
    (folder / "recorderd.toml").write_text(config_text(recipients), "utf-8")


def main(folder: Path, end_by: str) -> None:
    logging.basicConfig(filename=folder / "recorder.log", level=logging.DEBUG, force=True)
    config = load(folder / "recorderd.toml")
    office = VirtualOffice(config, ring_seconds_of(config))
    (folder / "calls.line").unlink()  # whoever searches this folder must not find the script
    daemon = Daemon(config, office, ServiceManager(), InlineWorker, Deaf)
    daemon.start()
    last_began_s = 10 + (CALLS - 1) // 2 * 2 * CALL_EVERY_S
    end = office.world.start + (last_began_s + 11) * 1_000_000_000
    while office.world.now() < end:
        daemon.loop.step()
    if end_by == "abort":
        os.abort()
    daemon._held.close()
    ledger = open_recorder_ledger(config.storage.directory, config.site.name, office.clock.reading)
    report = recover(config.storage, config.site, ledger)
    assert report.cut, "it was to die in mid-call"
    assert not report.problems, report.problems


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
