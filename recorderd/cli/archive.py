"""`recorderd archive compact`, `search`, `sites` and `verify`: the central side, on a server over all boxes."""

from __future__ import annotations

import json
import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recorderd.archive.layout import is_site
from recorderd.central.compact import compact as compact_archive
from recorderd.central.engine import MEMORY_MB
from recorderd.central.manifest import newest
from recorderd.central.place import open_place
from recorderd.central.search import Question
from recorderd.central.search import search as search_archive
from recorderd.central.sites import sites as sites_of
from recorderd.cli.calls import moment
from recorderd.cli.verify import parse_fingerprint, print_judgement, printable, progress
from recorderd.config import find_config, load_archive
from recorderd.core.numbers import search_keys
from recorderd.errors import StoreError, UsageError
from recorderd.evidence.findings import counted
from recorderd.seal.searchkey import hashed, read_key_file
from recorderd.units import NS_PER_S

if TYPE_CHECKING:
    import argparse
    from collections.abc import Set as AbstractSet

    from recorderd.central.compact import Report
    from recorderd.central.place import Place
    from recorderd.central.search import Answer
    from recorderd.central.sites import Site

PROBLEMS_SHOWN_MAX = 40
KEY_SUFFIX = ".key"

Call = dict[str, Any]


def compact(options: argparse.Namespace) -> int:
    """Take what boxes have landed into the tables; 1 where something of it is wrong."""
    console = Console(stderr=True)
    memory_mb = options.memory_mb or MEMORY_MB
    with closing(_place(options)) as place:
        if console.is_terminal:
            with console.status("compacting") as status:
                report = compact_archive(
                    place, options.work, tell=status.update, memory_mb=memory_mb
                )
        else:
            report = compact_archive(place, options.work, memory_mb=memory_mb)
    for problem in report.problems[:PROBLEMS_SHOWN_MAX]:
        console.print(printable(str(problem)), soft_wrap=True, markup=False)
    more = len(report.problems) - PROBLEMS_SHOWN_MAX
    if more > 0:
        console.print(f"… and {more} more problems")
    print(_told(report))
    return 1 if report.problems else 0


def _told(report: Report) -> str:
    words = [
        f"{counted(report.rows, 'row')} of {_batches(report.batches)} taken in",
        counted(report.merges, "merge"),
        f"{counted(report.swept, 'old file')} removed",
    ]
    if report.kept:
        words.append(f"left in landing/, for the archive keeps it: {_batches(report.kept)}")
    if report.problems:
        words.append(counted(len(report.problems), "problem"))
    return ", ".join(words)


def _batches(count: int) -> str:
    return f"{count:,} batch{'' if count == 1 else 'es'}"


# ---------------------------------------------------------------- search


def search(options: argparse.Namespace) -> int:
    """Find calls of all sites."""
    zone = _zone(options.time_zone)
    with closing(_place(options)) as place:
        answer = search_archive(place, _question(options, zone))
    if options.json:
        print(json.dumps(answer.calls, ensure_ascii=False, indent=1))
    else:
        _print_calls(answer.calls, zone, Console())
    _print_limits(answer, zone, Console(stderr=True))
    return 0


def _question(options: argparse.Namespace, zone: ZoneInfo) -> Question:
    for name in options.site:
        if not is_site(name):
            raise UsageError(
                f"--site {name!r}: no site has such a name, which has ASCII letters, digits and hyphens"
            )
    keys: dict[str, AbstractSet[str]] = {}
    if options.search_keys is not None:
        if options.number is None:
            raise UsageError("--search-keys goes with --number")
        wanted = search_keys(options.number)
        keys = {site: hashed(key, wanted) for site, key in _keys(options).items()}
    return Question(
        number=options.number,
        since=_moment(options.since, zone, end=False),
        until=_moment(options.until, zone, end=True),
        sites=frozenset(options.site),
        line=options.line,
        direction=options.direction,
        limit=options.limit,
        keys=keys,
    )


def _keys(options: argparse.Namespace) -> dict[str, bytes]:
    """The search keys in a folder, by site; of the sites that are asked for."""
    folder: Path = options.search_keys
    if not folder.is_dir():
        raise StoreError(f"{folder}: no such folder; it holds a copy of each box's keys/search.key")
    paths = {path.stem: path for path in sorted(folder.glob(f"*{KEY_SUFFIX}"))}
    wanted = options.site or paths
    return {site: read_key_file(path) for site, path in paths.items() if site in wanted}


def _moment(text: str | None, zone: ZoneInfo, *, end: bool) -> datetime | None:
    if text is None:
        return None
    return datetime.fromtimestamp(moment(text, zone, end=end) / NS_PER_S, UTC)


def _zone(name: str | None) -> ZoneInfo:
    """The time zone in which times are given and shown: the option's, TZ's, or the machine's."""
    wanted = name or os.environ.get("TZ", "").removeprefix(":") or _zone_of_machine()
    try:
        return ZoneInfo(wanted)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"{wanted!r} is no time zone; write one as in Asia/Tokyo") from None


def _zone_of_machine() -> str:
    _, found, name = str(Path("/etc/localtime").resolve()).partition("zoneinfo/")
    return name if found else "UTC"


def _print_calls(calls: list[Call], zone: ZoneInfo, console: Console) -> None:
    """A table of calls for people, as `recorderd calls` has it, with their sites."""
    if not calls:
        console.print("no calls match")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("id", "site", "started", "line", ""):
        table.add_column(name, no_wrap=True)
    table.add_column("other party", min_width=len("(unavailable)"), overflow="fold")
    table.add_column("length", justify="right", no_wrap=True)
    table.add_column("outcome")
    for call in calls:
        cells = (
            call["call"][:8],
            call["site"],
            _shown(call["started_utc"], zone),
            call["line"],
            {"inbound": "in", "outbound": "out"}.get(call["direction"], "?"),
            _other_party(call),
            _length(call),
            _outcome(call),
        )
        table.add_row(*(escape(printable(cell)) for cell in cells))
    console.print(table)
    console.print(f"{len(calls)} call{'s' if len(calls) != 1 else ''}")


def _shown(moment_text: str, zone: ZoneInfo) -> str:
    at = datetime.fromisoformat(moment_text).astimezone(zone)
    return at.isoformat(sep=" ", timespec="seconds")


def _other_party(call: Call) -> str:
    if call["erased_at"]:
        return "(erased)"
    words = " ".join(word for word in (call["number"], call["name"]) if word)
    return words or ("(sealed)" if call["sealed"] else f"({call['absence'] or 'no number'})")


def _length(call: Call) -> str:
    if call["disposition"] == "missed" or call["duration_s"] is None:
        return "-"
    minutes, seconds = divmod(round(call["duration_s"]), 60)
    return f"{minutes}:{seconds:02d}"


def _outcome(call: Call) -> str:
    words = [call["disposition"]]
    if call["disposition"] == "not-recorded":
        words.append(call["reason"] or "")
    if call["cut"]:
        words.append("cut")
    if call["gaps"]:
        words.append(f"{call['gaps']} gap{'s' if call['gaps'] != 1 else ''}")
    if call["notice_completed"] is False:
        words.append("notice not finished")
    if call["erased_at"]:
        words.append(f"erased on {call['erased_at'][:10]}")
    return ", ".join(word for word in words if word)


def _print_limits(answer: Answer, zone: ZoneInfo, console: Console) -> None:
    """What the answer holds and what it cannot hold, beside it: standard output is for the calls."""
    text = f"of all that had landed at {_shown(answer.as_of, zone)}"
    if answer.landed:
        since = f" since {_shown(answer.compacted_at, zone)}" if answer.compacted_at else ""
        text += f", {_batches(answer.landed)} of it not compacted{since}"
    console.print(text + "; `recorderd archive sites` says which boxes are behind", soft_wrap=True)
    if answer.has_more:
        console.print(f"older calls match too: these are the last {len(answer.calls)}")
    if answer.sealed_sites:
        console.print(
            f"not searched: the sealed calls of {_some(answer.sealed_sites)} (at most "
            f"{answer.sealed_calls} in that time); --search-keys FOLDER searches them",
            soft_wrap=True,
            markup=False,
        )
    for problem in answer.problems[:PROBLEMS_SHOWN_MAX]:
        console.print(f"left out: {printable(str(problem))}", soft_wrap=True, markup=False)


def _some(names: list[str], shown_max: int = 5) -> str:
    more = len(names) - shown_max
    return ", ".join(names[:shown_max]) + (f" and {more} more sites" if more > 0 else "")


# ---------------------------------------------------------------- sites


def sites(options: argparse.Namespace) -> int:
    """How all boxes are; 0 only where all are well."""
    now = datetime.now(UTC)
    with closing(_place(options)) as place:
        found = sites_of(place.target, newest(place.target).sites, now)
    if options.json:
        print(json.dumps([site.as_json() for site in found], ensure_ascii=False, indent=1))
    else:
        _print_sites(found, now, Console())
    return 0 if all(site.is_ok for site in found) else 1


def _print_sites(found: list[Site], now: datetime, console: Console) -> None:
    """A row for each box; what is wrong stands below, where it has the whole width."""
    if not found:
        console.print("no site has sent a heartbeat")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("site", "state", "version", "seen", "last recordings", "waiting", "disk"):
        table.add_column(name, no_wrap=name != "last recordings")
    for site in found:
        beat = site.heartbeat
        cells = (
            site.name,
            ", ".join(site.states) or "ok",
            beat.get("version", "-"),
            "never" if site.age_s is None else f"{_age(site.age_s)} ago",
            _recordings(beat, now),
            _queue(beat),
            _disk(beat),
        )
        style = None if site.is_ok else "red"
        table.add_row(*(escape(printable(cell)) for cell in cells), style=style)
    console.print(table)
    for site in found:
        for reason in site.reasons:
            text = f"{site.name}: {printable(reason)}"
            console.print(text, soft_wrap=True, markup=False, highlight=False)
    bad = sum(not site.is_ok for site in found)
    console.print(f"{counted(len(found), 'site')}, {bad} not ok")


def _recordings(beat: dict[str, Any], now: datetime) -> str:
    """Each line with the age of its last good recording."""
    words = []
    for name, line in beat.get("lines", {}).items():
        at = line["last_recording_at"]
        age_s = (now - datetime.fromisoformat(at)).total_seconds() if at else 0.0
        words.append(f"{name} {_age(max(0.0, age_s))} ago" if at else f"{name} none yet")
    return ", ".join(words) or "-"


def _queue(beat: dict[str, Any]) -> str:
    if not beat:
        return "-"
    queue = beat["queue"]
    return f"{queue['calls']} calls" if queue["calls"] else "none"


def _disk(beat: dict[str, Any]) -> str:
    disk = beat.get("disk")
    if not disk:
        return "-"
    free, full_on = disk.get("free_mb"), disk.get("full_on")
    words = [] if free is None else [f"{free / 1000:.1f} GB free"]
    if full_on:
        words.append(f"full on {full_on[:10]}")
    return ", ".join(words) or "-"


def _age(age_s: float) -> str:
    """How long ago, in the unit that people would say."""
    age = timedelta(seconds=round(age_s))
    if age.days:
        return f"{age.days} d"
    hours, rest = divmod(age.seconds, 3600)
    return f"{hours} h" if hours else f"{rest // 60} min"


# ---------------------------------------------------------------- verify


def verify(options: argparse.Namespace) -> int:
    """What is proven of a site's copies; 0 only where all is."""
    from recorderd.central.verify import verify_site  # noqa: PLC0415  (its sound libraries take as long as a search)

    fingerprint = parse_fingerprint(options.fingerprint)
    with closing(_place(options)) as place, progress(Console(stderr=True)) as tell:
        judgement = verify_site(place.target, options.site, fingerprint, tell, deep=options.deep)
    if options.json:
        print(json.dumps(judgement.as_json(), ensure_ascii=False, indent=1))
    else:
        print_judgement(judgement, Console())
    return 0 if judgement.is_proven else 1


def _place(options: argparse.Namespace) -> Place:
    return open_place(load_archive(find_config(options.config)))
