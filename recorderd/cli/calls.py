"""`recorderd calls` and `recorderd show`: find calls, for people and for programs."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recorderd.config import find_config, load
from recorderd.config.words import printable
from recorderd.disk.layout import ARCHIVED
from recorderd.errors import StoreError, UsageError
from recorderd.seal.vault import opened_key, with_party
from recorderd.store.catalogue import INTEGER_MAX, NAME, open_catalogue
from recorderd.store.holds import is_held, read_hold
from recorderd.store.records import read_record
from recorderd.units import NS_PER_S, WallNs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from recorderd.config.values import Config
    from recorderd.store.catalogue import Entry

Record = dict[str, Any]

CALLS_MAX = 100_000
"""Ten years of a small office; a search that finds more wants a narrower question."""


def calls(options: argparse.Namespace) -> int:
    """List the calls that match, oldest first."""
    config = load(find_config(options.config))
    zone = ZoneInfo(config.site.time_zone)
    since = None if options.since is None else moment(options.since, zone, end=False)
    until = None if options.until is None else moment(options.until, zone, end=True)
    if since is not None and until is not None and since >= until:
        raise UsageError(f"--from {options.since} is not before --to {options.until}")
    with closing(open_catalogue(config.storage.directory / NAME, read_only=True)) as catalogue:
        entries = catalogue.find(
            number=options.number,
            since=since,
            until=until,
            line=options.line,
            direction=options.direction,
            limit=CALLS_MAX,
        )
    entries.reverse()
    if options.json:
        wholes = [with_hold(_whole_or_told(entry)) for entry in entries]
        print(json.dumps(wholes, ensure_ascii=False, indent=1))
    else:
        records = [with_hold(entry) for entry in entries]
        print_calls(records, Console())
        _doubt_line(options.line, config, records)
    return 0


def _doubt_line(name: str | None, config: Config, records: list[Record]) -> None:
    """A slip of the keyboard finds nothing; so does a line of which there is no call yet."""
    names = [line.name for line in config.lines]
    if name is not None and not records and name not in names:
        print(f"the configuration has no line {name}; it has: {', '.join(names)}")


def show(options: argparse.Namespace) -> int:
    """One call: everything its record holds."""
    config = load(find_config(options.config))
    with closing(open_catalogue(config.storage.directory / NAME, read_only=True)) as catalogue:
        entry = catalogue.get(options.id)
    if options.identity is not None:
        entry = opened(entry, config.storage.directory, options.identity)
    elif options.json:
        entry = whole(entry)
    if options.json:
        print(json.dumps(with_hold(entry), ensure_ascii=False, indent=1))
    else:
        print_call(entry, Console())
    return 0


def with_hold(entry: Entry) -> Record:
    """The record, and whether a hold is on the call, which only its folder knows."""
    return {**entry.record, "held": is_held(entry.folder)}


def whole(entry: Entry) -> Entry:
    """With what the catalogue leaves out of a sealed call's record. Raises StoreError."""
    if entry.record["sealed"] is None:
        return entry
    return entry._replace(record=read_record(entry.folder))


def _whole_or_told(entry: Entry) -> Entry:
    """One record that cannot be read does not hide the others."""
    try:
        return whole(entry)
    except StoreError as error:
        print(error, file=sys.stderr)
        return entry


def opened(entry: Entry, directory: Path, identity: Path) -> Entry:
    """A sealed call with its numbers and names, by a supervisor's key. Raises StoreError."""
    if entry.record["sealed"] is None:
        return entry
    from recorderd.seal.age import read_identities  # noqa: PLC0415  (pyrage, only where it is used)

    opener = opened_key(directory, entry.record["id"], read_identities(identity))
    return entry._replace(record=with_party(read_record(entry.folder), opener))


def moment(text: str, zone: ZoneInfo, *, end: bool) -> WallNs:
    """A date or time as a person writes it; a whole day for `--to` means its end.

    Takes `2026-11-23`, `2026-11-23T18:45`, ISO 8601 with or without offset (without: the site's
    time zone), `today` and `yesterday`.
    """
    words = {"today": 0, "yesterday": 1}
    try:
        if text in words:
            day = datetime.now(zone).date() - timedelta(days=words[text])
            text = day.isoformat()
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no time: write 2026-11-23, 2026-11-23T18:45, today or yesterday"
        ) from None
    is_day = len(text) <= len("2026-11-23")
    try:
        if is_day and end:
            at = datetime.combine(at.date() + timedelta(days=1), time(), at.tzinfo)
        if at.tzinfo is None:
            at = at.replace(tzinfo=zone)
        found = round(at.timestamp() * NS_PER_S)
    except OverflowError:  # the first or the last day that there is
        found = -INTEGER_MAX if at.year == 1 else INTEGER_MAX
    return WallNs(max(-INTEGER_MAX, min(found, INTEGER_MAX)))  # who writes 9999 means all


def print_calls(records: list[Record], console: Console) -> None:
    """A table of calls for people."""
    if not records:
        console.print("no calls match")
        return
    # One blank between columns, and no word of an outcome cut: eighty columns are few.
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    table.add_column("id", no_wrap=True)
    table.add_column("started", no_wrap=True)
    table.add_column("line", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("other party", overflow="fold")
    table.add_column("length", justify="right", no_wrap=True)
    words = " ".join(map(outcome, records)).split()
    table.add_column("outcome", min_width=max(map(len, words)))
    for record in records:
        table.add_row(
            record["id"][:8],
            record["started_at"][:19].replace("T", " "),
            escape(record["line"]),
            {"inbound": "in", "outbound": "out", "unknown": "?"}[record["direction"]],
            escape(other_party(record)),
            length(record),
            escape(outcome(record)),
        )
    console.print(table)
    console.print(f"{len(records)} call{'s' if len(records) != 1 else ''}")


def other_party(record: Record) -> str:
    """The number and name of whoever is at the other end, or why there is none."""
    if "erased" in record:
        return "(erased)"
    is_sealed = record["sealed"] is not None
    if record["direction"] == "outbound":
        return record["dialled"] or ("(sealed)" if is_sealed else "(number unknown)")
    caller = record["caller"]
    words = [caller["number"] or "", caller["name"] or ""]
    text = " ".join(word for word in words if word)
    absence = caller["absence"] or ("sealed" if is_sealed else "no caller ID")
    return text or f"({absence})"


def length(record: Record) -> str:
    """Minutes and seconds of conversation."""
    if record["disposition"] == "missed" or record["duration_s"] is None:
        return "-"
    minutes, seconds = divmod(round(record["duration_s"]), 60)
    return f"{minutes}:{seconds:02d}"


def outcome(record: Record) -> str:
    """Disposition, with what is remarkable about the recording."""
    words = [record["disposition"]]
    if record["disposition"] == "not-recorded":
        words.append(record["reason"] or "")
    if record["cut"]:
        words.append("cut")
    if record["gaps"]:
        words.append(f"{len(record['gaps'])} gap{'s' if len(record['gaps']) != 1 else ''}")
    notice = record["notice"]
    if notice is not None and not notice["completed"]:
        words.append("notice not finished")
    if notice is not None and notice["heard"] is False:
        words.append("notice not heard")
    if record.get("other_caller"):
        words.append("caller disputed")
    if "erased" in record:
        words.append(f"erased on {record['erased']['at'][:10]}")
    if record.get("held"):
        words.append("held")
    return ", ".join(word for word in words if word)


def print_call(entry: Entry, console: Console) -> None:
    """One call for people."""
    record = entry.record
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for key, value in (*_rows(record), *_fate(entry)):
        table.add_row(key, escape(printable(value)))
    console.print(table)
    if (entry.folder / ARCHIVED).exists():
        return
    for segment in record["segments"]:
        seconds = segment["frames"] / record["audio"]["sample_rate_hz"]
        console.print(
            f"  {entry.folder / segment['file']}  {seconds:.1f} s", soft_wrap=True, markup=False
        )


def _rows(record: Record) -> list[tuple[str, str]]:
    rows = [
        ("call", record["id"]),
        ("line", f"{record['line']} ({record['direction']}) at {record['site']}"),
        ("other party", other_party(record)),
        ("began", record["started_at"]),
        ("answered", record["answered_at"] or "-"),
        ("ended", record["ended_at"] or "-"),
        ("length", length(record)),
        ("outcome", outcome(record)),
        ("notice", _notice(record)),
        *_heard_rows(record),
    ]
    rows += [
        (
            "gap",
            f"{_seconds(record, gap['first_frame'])} for {_seconds(record, gap['frames'])}: {gap['cause']}",
        )
        for gap in record["gaps"]
    ]
    rows += [
        ("hook flash", f"{flash['at']} ({flash['duration_ms']} ms)") for flash in record["flashes"]
    ]
    rows += [
        (
            "call waiting",
            f"{other['at']} {other_party({**record, 'direction': 'inbound', **other})}",
        )
        for other in record["call_waiting"]
    ]
    if record["sealed"] is not None:
        rows.append(("sealed", f"the key is {record['sealed']['vault']}; --identity FILE opens it"))
    return rows


def _fate(entry: Entry) -> list[tuple[str, str]]:
    """How long the call is kept, or what has become of it."""
    rows = [("kept as", entry.record.get("retention") or "-")]
    erased = entry.record.get("erased")
    if erased is not None:
        rule = f"by the rule of {erased['rule']}: {erased['days']} days"
        rows.append(("erased", f"{erased['at']}, {rule}"))
    elif (entry.folder / ARCHIVED).exists():
        rows.append(("sound", "only in the archive; it was removed here to make room"))
    hold = read_hold(entry.folder)
    if hold is not None:
        by = f"by {hold.get('who', '?')}, {hold.get('at', '?')}: {hold.get('why', '?')}"
        rows.append(("held", by))
    return rows


def _notice(record: Record) -> str:
    notice = record["notice"]
    if notice is None:
        return f"none: {record['notice_reason']}" if record["notice_reason"] else "none"
    played = _seconds(record, notice["frames"])
    end = "to its end" if notice["completed"] else f"broken off: {record['notice_reason']}"
    return f"{notice['clip']}, {played} played, {end}; {_verdict(notice)}"


def _verdict(notice: dict[str, Any]) -> str:
    """What was found of it in the line's sound."""
    if notice["heard"] is None:
        return "not listened for"
    if not notice["heard"]:
        return "NOT heard on the line"
    return (
        f"{notice['completeness']:.0%} of it heard on the line ({notice['channel']}, "
        f"{notice['level_dbm0']:.0f} dBm0)"
    )


def _heard_rows(record: Record) -> Iterator[tuple[str, str]]:
    """What the line's sound told beside: of another caller, keys, and the far end."""
    other = record.get("other_caller")
    if other:
        said = other["number"] or other["name"] or other["absence"] or "sealed"
        yield (
            "other caller",
            f"{said}, says the {other['source']}; the {record['caller']['source']} shows",
        )
    if record.get("digits"):
        by_source: dict[str, str] = {}
        for digit in record["digits"]:
            by_source[digit["source"]] = by_source.get(digit["source"], "") + digit["digit"]
        for source, digits in by_source.items():
            yield "keys", f"{digits} ({source})"
    if record.get("far_end_ended_at"):
        yield "far end gone", record["far_end_ended_at"]
    if record.get("continues"):
        yield "continues", f"call {record['continues']}, closed while the handset stayed up"


def _seconds(record: Record, frames: int) -> str:
    return f"{frames / record['audio']['sample_rate_hz']:.2f} s"
