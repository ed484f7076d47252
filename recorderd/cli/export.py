"""`recorderd export`: calls as an evidence bundle, which a stranger can check with stock tools."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from recorderd.cli.hold import user
from recorderd.config import find_config, load
from recorderd.errors import UsageError
from recorderd.evidence.export import CALLS_MAX, Request, seconds_of
from recorderd.evidence.export import export as write_bundle
from recorderd.evidence.sound import is_sealed
from recorderd.runtime.clock import SystemClock
from recorderd.store.catalogue import NAME, open_catalogue
from recorderd.units import iso

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from recorderd.config.values import Config
    from recorderd.seal.age import Identities
    from recorderd.store.catalogue import Entry


def export(options: argparse.Namespace) -> int:
    """Write the bundle, and say how it is checked."""
    config = load(find_config(options.config))
    entries = _entries(config, options.ids)
    clock = SystemClock()
    request = Request(
        directory=config.storage.directory,
        site=config.site.name,
        folders=[entry.folder for entry in entries],
        target=options.to.absolute(),
        who=user(),
        at=iso(clock.reading().wall, ZoneInfo(config.site.time_zone)),
        identities=_identities(options.identity),
    )
    console = Console(stderr=True)
    with Progress(
        TextColumn("exporting"),
        BarColumn(),
        TaskProgressColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=sum(seconds_of(entry.record) for entry in entries) or None)
        digest = write_bundle(
            request, clock.reading, lambda seconds: bar.update(task, advance=seconds)
        )
    print(f"{options.to}: {len(entries)} call{'' if len(entries) == 1 else 's'}")
    print(f"its list of hashes (MANIFEST.sha256) has the SHA-256 {digest}")
    if options.identity is not None and (sealed := sum(is_sealed(e.record) for e in entries)):
        print(f"sealed calls that are open in it: {sealed}; the ledger says so")
    print("README.txt in it says how it is checked; recorderd verify does it all at once")
    return 0


def _identities(path: Path | None) -> Identities | None:
    if path is None:
        return None
    from recorderd.seal.age import read_identities  # noqa: PLC0415  (pyrage, only where it is used)

    return read_identities(path)


def _entries(config: Config, ids: list[str]) -> list[Entry]:
    """The calls that are meant, each once."""
    if len(ids) > CALLS_MAX:
        raise UsageError(f"{len(ids)} calls: a bundle holds at most {CALLS_MAX}; make several")
    with closing(open_catalogue(config.storage.directory / NAME, read_only=True)) as catalogue:
        found = [catalogue.get(each) for each in ids]
    return list({entry.record["id"]: entry for entry in found}.values())
