"""`recorderd status`: what the recorder is doing now, from the file that it keeps."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from time import sleep
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recorderd.config import find_config, load
from recorderd.errors import StoreError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

READS_MAX = 5

STALE_S = 90
"""The recorder writes the file at least every 30 s."""


def status(options: argparse.Namespace) -> int:
    """Show the state of each line; exit 1 while there is an alarm or nobody is recording."""
    config = load(find_config(options.config))
    found = read_status(config.storage.directory / "status.json")
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        print_status(found, Console())
    return 1 if found["alarms"] else 0


def read_status(path: Path) -> dict[str, Any]:
    """status.json, with an alarm of its own when it has grown old."""
    try:
        found = _load(path)
    except FileNotFoundError:
        raise StoreError(
            f"{path}: not there; the recorder has not run yet: recorderd run"
        ) from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error})") from None
    age_s = (datetime.now(UTC) - datetime.fromisoformat(found["at"])).total_seconds()
    if age_s > STALE_S:
        found["alarms"].insert(0, f"the recorder has not reported since {found['at']}")
    return found


def _load(path: Path) -> dict[str, Any]:
    """Read again where it was just being written over."""
    for _ in range(READS_MAX - 1):
        with suppress(ValueError):
            return dict(json.loads(path.read_text("utf-8")))
        sleep(0.05)
    return dict(json.loads(path.read_text("utf-8")))


def print_status(found: dict[str, Any], console: Console) -> None:
    """Lines as a table, then the alarms."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("line", "now", "calls", "recorded", "missed", "last recording", "devices"):
        table.add_column(title, no_wrap=title != "devices")
    for name, line in found["lines"].items():
        ready = [kind for kind, state in line["devices"].items() if state == "ready"]
        table.add_row(
            escape(name),
            line["state"],
            str(line["calls"]),
            str(line["recorded"]),
            str(line["missed"]),
            (line["last_recording_at"] or "-")[:19].replace("T", " "),
            ", ".join(sorted(ready)) or "none ready",
        )
    console.print(table)
    console.print(
        f"device key  {found.get('device_fingerprint', 'not made yet')}",
        soft_wrap=True,
        highlight=False,
    )
    disk = found.get("disk")
    if disk is not None:
        console.print(disk_line(disk), highlight=False)
    for alarm in found["alarms"]:
        console.print(f"[red]alarm[/red]  {escape(alarm)}")
    if not found["alarms"]:
        console.print("no alarms")


def disk_line(disk: dict[str, Any]) -> str:
    """How full the disk is, and when it will be."""
    words = [f"disk: {disk['free_mb']} MB free"]
    if disk["used_mb_per_day"] is not None:
        words.append(f"calls take {disk['used_mb_per_day']} MB a day")
        words.append(f"full on {disk['full_on']}" if disk["full_on"] else "never full at this rate")
    return ", ".join(words)
