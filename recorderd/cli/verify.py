"""`recorderd verify`: what is proven of calls, of a bundle, or of everything, and what is not."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from recorderd.cli.fold import folded
from recorderd.config import find_config, load
from recorderd.disk.layout import LEDGER
from recorderd.errors import ConfigError, StoreError, UsageError
from recorderd.evidence.bundlecheck import verify_bundle
from recorderd.evidence.part import device_pem
from recorderd.evidence.storecheck import read_checkpoint, verify_call, verify_store
from recorderd.store.catalogue import NAME, open_catalogue
from recorderd.store.signing import fingerprint_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from recorderd.evidence.findings import Judgement, Verdict

    Tell = Callable[[int, int], None]

PROBLEMS_SHOWN_MAX = 40

FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def verify(options: argparse.Namespace) -> int:
    """Judge what was named; 0 only where all is proven."""
    if bool(options.what) == options.all:
        raise UsageError(
            "say what to verify: a call's ID, the PATH of a bundle (folder or ZIP) or of a state "
            "directory, or --all for the store of the configuration"
        )
    console = Console(stderr=True)
    judgements: list[Judgement] = []
    with progress(console) as tell, ExitStack() as opened:
        judges = _archive_judges(options, opened) if options.archive else _judges(options)
        judgements.extend(judge(tell) for judge in judges)
    if options.json:
        found = [judgement.as_json() for judgement in judgements]
        proven = all(judgement.is_proven for judgement in judgements)
        print(json.dumps({"proven": proven, "verified": found}, ensure_ascii=False, indent=1))
    else:
        for judgement in judgements:
            print_judgement(judgement, Console())
    return 0 if all(judgement.is_proven for judgement in judgements) else 1


def _judges(options: argparse.Namespace) -> list[Callable[[Tell], Judgement]]:
    """What to do for each thing that was named, in its order."""
    fingerprint = parse_fingerprint(options.fingerprint)
    notes = [read_checkpoint(path) for path in options.checkpoint]
    places = [_storage(options)] if options.all else [_place(name) for name in options.what]
    if notes and not all(place is not None and _is_store(place) for place in places):
        raise UsageError("--checkpoint goes with a whole store: --all, or the PATH of one")
    own = _own_fingerprint(options) if fingerprint is None else None
    judges: list[Callable[[Tell], Judgement]] = []
    for place, name in zip(places, options.what or ["--all"], strict=True):
        if place is None:
            judges.append(partial(_verify_call, *_call(options, name), fingerprint))
        elif _is_store(place):
            judges.append(partial(verify_store, place, fingerprint, notes))
        else:
            judges.append(partial(verify_bundle, place, fingerprint, own))
    return judges


def _archive_judges(
    options: argparse.Namespace, opened: ExitStack
) -> list[Callable[[Tell], Judgement]]:
    """What the archive holds of calls of this box, or of all of them, read back."""
    config = load(find_config(options.config))
    if config.archive is None:
        raise ConfigError([
            f"{config.path}: there is no table headed [archive]: nothing is archived"
        ])
    if options.checkpoint:
        raise UsageError("--checkpoint goes with a whole store, and not with --archive")
    from recorderd.archive.places import open_target  # noqa: PLC0415  (a box may have no archive)
    from recorderd.central import ownbox  # noqa: PLC0415  (as above)

    target = opened.enter_context(closing(open_target(config.archive)))
    directory, fingerprint = config.storage.directory, parse_fingerprint(options.fingerprint)
    if options.all:
        return [partial(ownbox.verify_archived, directory, config.site.name, target, fingerprint)]
    folders = [_call(options, name)[1] for name in options.what]
    return [
        partial(
            ownbox.verify_archived_call, directory, config.site.name, folder, target, fingerprint
        )
        for folder in folders
    ]


def _verify_call(directory: Path, folder: Path, fingerprint: str | None, _: Tell) -> Judgement:
    return verify_call(directory, folder, fingerprint)


def parse_fingerprint(text: str | None) -> str | None:
    """As a person types it: colons, spaces and capitals do no harm."""
    if text is None:
        return None
    plain = re.sub(r"[\s:]", "", text).lower()
    if not FINGERPRINT.fullmatch(plain):
        raise UsageError("--fingerprint: not a SHA-256, which has 64 hexadecimal digits")
    return plain


def _place(name: str) -> Path | None:
    """The thing in the file system that is meant, or None: then it is a call's id."""
    path = Path(name)
    if path.exists():
        return path
    if "/" in name or "." in name:
        raise StoreError(f"{name}: no such file or folder")
    return None


def _storage(options: argparse.Namespace) -> Path:
    return load(find_config(options.config)).storage.directory


def _own_fingerprint(options: argparse.Namespace) -> str | None:
    """The key's of the box on which this runs, where it is a recorder."""
    try:
        return fingerprint_of(device_pem(_storage(options)))
    except (ConfigError, StoreError):
        return None


def _is_store(path: Path) -> bool:
    """Whether a folder is a state directory and not a bundle, which has its ledger in one file."""
    return path.is_dir() and any((path / LEDGER).glob("*/"))


def _call(options: argparse.Namespace, call_id: str) -> tuple[Path, Path]:
    directory = _storage(options)
    with closing(open_catalogue(directory / NAME, read_only=True)) as catalogue:
        return directory, catalogue.get(call_id).folder


# ---------------------------------------------------------------- for people


@contextmanager
def progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar while a person looks on."""
    if not console.is_terminal:
        yield lambda _done, _total: None
        return
    columns = (TextColumn("verifying"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_judgement(judgement: Judgement, console: Console) -> None:
    """Two sentences, and what speaks against them."""
    console.print(Text(printable(judgement.what), style="bold"), soft_wrap=True)
    for verdict in (judgement.altered, judgement.missing):
        _print_verdict(verdict, console)


def _print_verdict(verdict: Verdict, console: Console) -> None:
    style = "green" if verdict.is_proven else "red"
    sign = "✓" if verdict.is_proven else "✗"
    sentence = folded(f" {sign} {printable(verdict.sentence)}", 3)
    console.print(Text(sentence, style=style), soft_wrap=True)
    for problem in verdict.problems[:PROBLEMS_SHOWN_MAX]:
        console.print(Text(folded(f"     {printable(problem)}", 7)), soft_wrap=True)
    more = len(verdict.problems) - PROBLEMS_SHOWN_MAX
    if more > 0:
        console.print(Text(f"     … {more} more: --json lists them"))


def printable(text: str) -> str:
    """Names in a bundle may come from anybody: no control character reaches the terminal."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
