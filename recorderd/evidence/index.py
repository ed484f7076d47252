"""What all chains together say of every call, kept in a temporary database and not in memory.

The memory stays the same for a hundred calls and for a million. SQLite removes its file by itself.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from recorderd.evidence.callcheck import Entered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorderd.core.chain import Entry

_TABLES = """
CREATE TABLE call (id TEXT PRIMARY KEY, opened_at TEXT, closed_at TEXT, segments INTEGER,
  frames INTEGER, record_sha256 TEXT, sounds TEXT, seen TEXT) WITHOUT ROWID;
CREATE TABLE erased (id TEXT PRIMARY KEY, tombstone_sha256 TEXT) WITHOUT ROWID;
CREATE TABLE archived (id TEXT PRIMARY KEY, archived_sha256 TEXT) WITHOUT ROWID;
CREATE TABLE uploaded (id TEXT PRIMARY KEY, receipt_sha256 TEXT) WITHOUT ROWID;
CREATE TABLE held (id TEXT PRIMARY KEY, hold_sha256 TEXT) WITHOUT ROWID;
CREATE TABLE amended (id TEXT, file TEXT, sha256 TEXT, PRIMARY KEY (id, file)) WITHOUT ROWID;
"""


class CallIndex:
    """Every call that a ledger names. `live` are those that were opened and not closed so far."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a temporary file of SQLite's
        self._database.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_TABLES}"
        )
        self.live: dict[str, Entered] = {}

    def close(self) -> None:
        self._database.close()

    def take(self, entry: Entry) -> None:
        """An entry of any chain."""
        call_id = entry.data.get("call")
        if not isinstance(call_id, str):
            return
        if entry.kind == "call-erased":
            tombstone = str(entry.data.get("tombstone_sha256"))
            self._set("erased (id, tombstone_sha256) VALUES (?, ?)", call_id, tombstone)
        elif entry.kind == "sound-removed":
            note = str(entry.data.get("note_sha256"))
            self._set("archived (id, archived_sha256) VALUES (?, ?)", call_id, note)
        elif entry.kind == "call-uploaded":
            receipt = str(entry.data.get("receipt_sha256"))
            self._set("uploaded (id, receipt_sha256) VALUES (?, ?)", call_id, receipt)
        elif entry.kind == "hold":
            self._set(
                "held (id, hold_sha256) VALUES (?, ?)", call_id, str(entry.data.get("sha256"))
            )
        elif entry.kind == "release":
            self._database.execute("DELETE FROM held WHERE id = ?", (call_id,))
        elif entry.kind == "record-amended":
            file, sha256 = str(entry.data.get("file")), str(entry.data.get("sha256"))
            self._set("amended (id, file, sha256) VALUES (?, ?, ?)", call_id, file, sha256)
        elif entry.kind in {"call-opened", "call-abandoned", "segment-sealed", "call-closed"}:
            self._take_live(call_id, entry)

    def _take_live(self, call_id: str, entry: Entry) -> None:
        entered = self.live.setdefault(call_id, Entered())
        entered.take(entry)
        if entered.closed_at is not None:
            self._set(
                "call (id, opened_at, closed_at, segments, frames, record_sha256, sounds) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                call_id,
                entered.opened_at,
                entered.closed_at,
                entered.segments,
                entered.frames,
                entered.record_sha256,
                entered.sounds,
            )
        if entered.closed_at is not None or entered.is_abandoned:
            del self.live[call_id]

    def _set(self, what: str, *values: object) -> None:
        self._database.execute(f"INSERT OR REPLACE INTO {what}", values)

    def find(self, call_id: str) -> Entered | None:
        """A call that was closed."""
        row = self._database.execute(
            "SELECT opened_at, closed_at, segments, frames, record_sha256, sounds, "
            "tombstone_sha256, archived_sha256, hold_sha256, receipt_sha256 FROM call "
            "LEFT JOIN erased USING (id) LEFT JOIN archived USING (id) LEFT JOIN held USING (id) "
            "LEFT JOIN uploaded USING (id) WHERE id = ?",
            (call_id,),
        ).fetchone()
        if row is None:
            return None
        amended = self._database.execute(
            "SELECT file, sha256 FROM amended WHERE id = ?", (call_id,)
        ).fetchall()
        *known, tombstone, archived, hold, receipt = row
        entered = Entered(*known)
        entered.tombstone_sha256, entered.archived_sha256 = tombstone, archived
        entered.hold_sha256, entered.receipt_sha256 = hold, receipt
        entered.amendments = dict(amended)
        return entered

    def mark_seen(self, call_id: str, place: str) -> bool:
        """Note where a call's folder was found; False where it was found in another place before."""
        changed = self._database.execute(
            "UPDATE call SET seen = ? WHERE id = ? AND coalesce(seen, ?) = ?",
            (place, call_id, place, place),
        )
        if changed.rowcount == 1:
            return True
        known = self._database.execute("SELECT 1 FROM call WHERE id = ?", (call_id,))
        return known.fetchone() is None

    def count(self) -> int:
        """How many calls were closed."""
        return int(self._database.execute("SELECT count(*) FROM call").fetchone()[0])

    def unseen(self) -> Iterator[str]:
        """The ids of calls whose folder was not found."""
        for (call_id,) in self._database.execute(
            "SELECT id FROM call WHERE seen IS NULL ORDER BY id"
        ):
            yield call_id
