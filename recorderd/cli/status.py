"""`recorderd status`: what the recorder is doing now, from the file that it keeps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recorderd.config import find_config, load
from recorderd.config.words import printable
from recorderd.errors import StoreError
from recorderd.evidence.findings import counted
from recorderd.runtime.statusfile import (
    DOCTOR,
    STATUS,
    doctor_status,
    office_clock,
    recorder_status,
    upload_status,
)

if TYPE_CHECKING:
    import argparse
    from datetime import datetime
    from pathlib import Path

    from recorderd.config.values import Config


def status(options: argparse.Namespace) -> int:
    """Show the state of each line; exit 1 while there is an alarm or nobody is recording."""
    config = load(find_config(options.config))
    directory = config.storage.directory
    found = recorder_status(directory, _clock(config, STATUS))
    if config.archive is not None:
        found["upload"] = _upload_status(directory)
        found["alarms"] += [f"archive: {text}" for text in found["upload"]["alarms"]]
    if (doctor := _doctor_status(config)) is not None:
        found["doctor"] = doctor
        found["alarms"] += [f"doctor: {text}" for text in doctor["alarms"]]
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        print_status(found, Console())
        if found.get("config_sha256", config.sha256) != config.sha256:
            print(f"{config.path} was changed and is not taken yet: systemctl reload recorderd")
    return 1 if found["alarms"] else 0


def _clock(config: Config, name: str) -> datetime | None:
    """By which clock a status file is judged: None is this machine's."""
    return None if config.simulation is None else office_clock(config.storage.directory / name)


def _upload_status(directory: Path) -> dict[str, Any]:
    """How the uploader is doing; an alarm in its place where it tells nothing."""
    try:
        return upload_status(directory)
    except StoreError as error:
        return {"alarms": [str(error)]}


def _doctor_status(config: Config) -> dict[str, Any] | None:
    """What the nightly look has found; None where nobody ever looked."""
    try:
        return doctor_status(config.storage.directory, _clock(config, DOCTOR))
    except StoreError as error:
        return {"alarms": [str(error)]}


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
    if "doing" in found.get("upload", {}):
        console.print(upload_line(found["upload"]), highlight=False, markup=False)
    if "at" in found.get("doctor", {}):
        console.print(doctor_line(found["doctor"]), highlight=False, markup=False)
    for alarm in found["alarms"]:
        console.print(f"[red]alarm[/red]  {escape(printable(alarm))}")
    if not found["alarms"]:
        console.print("no alarms")


def disk_line(disk: dict[str, Any]) -> str:
    """How full the disk is, and when it will be."""
    words = [f"disk: {disk['free_mb']} MB free"]
    if disk["used_mb_per_day"] is not None:
        words.append(f"calls take {disk['used_mb_per_day']} MB a day")
        words.append(f"full on {disk['full_on']}" if disk["full_on"] else "never full at this rate")
    return ", ".join(words)


def upload_line(upload: dict[str, Any]) -> str:
    """What of the calls is in the archive, and what is not."""
    words = [f"archive: {upload['doing']}", f"{counted(upload['waiting'], 'call')} waiting"]
    if upload["oldest_at"]:
        words.append(f"the oldest since {upload['oldest_at'][:16].replace('T', ' ')}Z")
    if upload["last_upload_at"]:
        words.append(f"last upload {upload['last_upload_at'][:19].replace('T', ' ')}Z")
    return ", ".join(words)


def doctor_line(doctor: dict[str, Any]) -> str:
    """When it was last looked after without anybody, and what was found."""
    wrong = sum(check["verdict"] == "wrong" for check in doctor["checks"])
    when = doctor["at"][:16].replace("T", " ")
    found = "nothing found"
    if wrong:
        mended = "once it is mended: systemctl start recorderd-doctor"
        found = f"{counted(wrong, 'check')} found something ({mended})"
    return f"doctor: {when}, {counted(len(doctor['checks']), 'check')}, {found}"
