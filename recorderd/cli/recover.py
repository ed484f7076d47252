"""`recorderd recover`: what every start does by itself, by hand; and the catalogue made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from recorderd.config import find_config, load
from recorderd.daemon import prepare_directory
from recorderd.disk import files
from recorderd.runtime.clock import SystemClock
from recorderd.store.ledger import open_recorder_ledger
from recorderd.store.recovery import recover as recover_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from recorderd.store.recovery import RecoveryReport


def recover(options: argparse.Namespace) -> int:
    """Seal journals that a crash left; with --rebuild make the catalogue from the call folders."""
    config = load(find_config(options.config))
    prepare_directory(config.storage)
    console = Console()
    with (
        files.hold_directory(config.storage.directory),
        Console(stderr=True).status("looking through the calls"),
    ):
        ledger = open_recorder_ledger(
            config.storage.directory, config.site.name, SystemClock().reading
        )
        report = recover_store(config.storage, config.site, ledger, drop_catalogue=options.rebuild)
        ledger.append("recovered", cut=report.cut, rebuilt=options.rebuild)
        ledger.sign()
        ledger.close()
    print_report(report, console)
    return 1 if report.problems else 0


def print_report(report: RecoveryReport, console: Console) -> None:
    """What was found, a line each."""
    rows: dict[str, Sequence[str]] = {
        "calls that a crash cut, sealed": report.cut,
        "calls that only had to be filed": report.finished,
        "files set aside in open/quarantine": report.set_aside,
        "calls added to the catalogue": report.reindexed.added,
        "rows without a call taken out": report.reindexed.removed,
    }
    for what, names in rows.items():
        console.print(f"{len(names):5}  {what}", highlight=False)
    for problem in (*report.problems, *report.reindexed.unreadable):
        console.print(f"problem: {problem}", markup=False, soft_wrap=True)
