"""Call records as they lie on the disk: `call.json`, and the amendments beside it.

`call.json` is written once and never changed. A later correction is a file of its own,
`amend-0001.json` and so on; its `changes` is a merge patch (RFC 7396) on the record as it was then.
Of a call that is erased (store/erasing.py) only the text record in `erased.json` is left.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any

from recorderd.disk import files
from recorderd.disk.layout import CALLS, ERASED, RECORD
from recorderd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOLD = (
    "id",
    "site",
    "line",
    "source",
    "direction",
    "disposition",
    "started_at",
    "answered_at",
    "ended_at",
    "duration_s",
    "cut",
    "retention",
)
"""What the text record of an erased call keeps of the call's record."""

_NO_CALLER = {"number": None, "name": None, "absence": None, "source": None, "raw": None}


RECORD_BYTES_MAX = 16 << 20  # four days of five-second segments
_AMENDMENT = re.compile(r"amend-\d{4}\.json")


def write_record(folder: Path, record: dict[str, Any]) -> str:
    """Write `call.json`, durable, and give its SHA-256."""
    data = (json.dumps(record, ensure_ascii=False, indent=2) + "\n").encode()
    files.write_durable(folder / RECORD, data)
    return hashlib.sha256(data).hexdigest()


def read_original(folder: Path) -> tuple[dict[str, Any], str]:
    """The record as it was written, and the SHA-256 of its file. Raises StoreError."""
    return read_json(folder / RECORD), files.sha256_of(folder / RECORD)


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a call with its amendments; StoreError where it cannot be read."""
    record = read_json(folder / RECORD)
    for path in amendments(folder):
        record = _merged(record, read_json(path).get("changes", {}))
    return record


def amendments(folder: Path) -> list[Path]:
    """The amendments of a call, in their order. Raises StoreError."""
    with files.guarded(folder):
        return sorted(path for path in folder.iterdir() if _AMENDMENT.fullmatch(path.name))


def text_record(folder: Path) -> dict[str, Any]:
    """What the catalogue says of an erased call, in the form of a call record. Raises StoreError."""
    stays = read_json(folder / ERASED)
    try:
        return {
            **{key: stays[key] for key in TOLD},
            "reason": None,
            "caller": _NO_CALLER,
            "dialled": None,
            "sealed": None,
            "flashes": [],
            "call_waiting": [],
            "notice": None,
            "notice_reason": None,
            "audio": None,
            "segments": [],
            "gaps": [],
            "clock": {"box_time_s": stays["call_box_time_s"]},
            "erased": {"at": stays["erased_at"], "rule": stays["rule"], "days": stays["days"]},
        }
    except KeyError as error:
        raise StoreError(f"{folder / ERASED}: no {error} in it; restore it from a copy") from error


def walk_folders(directory: Path) -> Iterator[Path]:
    """The folders of all calls in the state directory, oldest day first."""
    with files.guarded(directory / CALLS):
        for year in _folders_in(directory / CALLS):
            for month in _folders_in(year):
                for day in _folders_in(month):
                    yield from _folders_in(day)


def _folders_in(place: Path) -> list[Path]:
    """By name. Every start does this for all calls: a directory is listed, and nothing is opened."""
    with os.scandir(place) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    return [place / name for name in names]


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; StoreError where there is none."""
    with files.guarded(path), path.open("rb") as file:
        data = file.read(RECORD_BYTES_MAX)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        message = f"{path}: not JSON ({error}); restore it from a copy"
        raise StoreError(message) from error
    if not isinstance(value, dict):
        message = f"{path}: holds no JSON object; restore it from a copy"
        raise StoreError(message)
    return value


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged
