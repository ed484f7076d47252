"""Amendments: later corrections of a call record, each a file of its own, entered in the ledger.

`call.json` is never changed. When the clock of a boot becomes right, the calls that were filed
before get their times by it: the monotonic clock has run through, so all of a call's times move by
one amount. Files and folders keep their names.

The order: amendment, ledger, row. What a cut left undone is found by the row, which is still wrong:
by the next start, since after a cut nobody can correct times of the boot before any more.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from recorderd.core.chain import utc
from recorderd.disk import files
from recorderd.disk.layout import RECORD
from recorderd.store.catalogue import Entry, wall_ns
from recorderd.store.records import amendments, read_record
from recorderd.units import NS_PER_S, MonoNs

if TYPE_CHECKING:
    from pathlib import Path

    from recorderd.store.books import Books
    from recorderd.units import ClockReading


def amend_times(entry: Entry, reading: ClockReading, books: Books) -> None:
    """Give a call of this boot its times by a reading that can be trusted. Raises StoreError."""
    if not (entry.folder / RECORD).exists():
        return  # it was erased meanwhile
    record = read_record(entry.folder)
    if not record["clock"]["synchronised"]:
        changes = corrected_times(record, reading)
        content = {
            "call": record["id"],
            "at": utc(reading.wall),
            "why": "clock",
            "changes": changes,
        }
        data = (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()
        number = len(amendments(entry.folder)) + 1
        files.write_durable(entry.folder / f"amend-{number:04d}.json", data)
    finish_amending(entry.folder, books)


def finish_amending(folder: Path, books: Books) -> None:
    """Bring the amendments of a call into the ledger and its row. Raises StoreError."""
    files.fsync_directory(folder)  # the disk may have refused just that when one was written
    for path in amendments(folder):
        enter_amendment(books, folder.name, path)
    books.ledger.sign()
    books.catalogue.add(read_record(folder), folder)


def enter_amendment(books: Books, call_id: str, path: Path) -> None:
    """Enter an amendment in the ledger, unless it was just entered."""
    with files.guarded(path):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    data = {"call": call_id, "file": path.name, "sha256": sha256}
    if books.ledger.last("record-amended", call_id) != data:
        books.ledger.append("record-amended", **data)


def corrected_times(record: dict[str, Any], reading: ClockReading) -> dict[str, Any]:
    """What changes in a call record whose boot's clock turns out to be as `reading` says.

    It is a merge patch, where null would take a key away: a time that is not known is left out.
    """
    right_ns = reading.wall_at(MonoNs(record["clock"]["monotonic_ns"]))
    moved_ns = right_ns - wall_ns(record["started_at"])
    moved = timedelta(microseconds=moved_ns // 1000)

    def at(text: str) -> str:
        return (datetime.fromisoformat(text) + moved).isoformat(timespec="milliseconds")

    return {
        **{
            key: at(record[key])
            for key in ("started_at", "answered_at", "ended_at", "far_end_ended_at")
            if record.get(key) is not None
        },
        **{
            key: [{**item, "at": at(item["at"])} for item in record[key]]
            for key in ("flashes", "call_waiting")
        },
        "clock": {
            "synchronised": True,
            "source": reading.source,
            "moved_by_s": round(moved_ns / NS_PER_S, 3),
        },
    }
