"""What waits to be uploaded: the uploader's own SQLite file, flat in memory however long it grows.

It holds nothing that could not be made again from the ledger and the receipts: when it is lost or
damaged, it begins anew with the ledger's first entry, finds what the archive has, and writes nothing
twice. So its commits need not be synced one by one: going back in time is harmless.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recorderd.core.chain import GENESIS, Head
from recorderd.disk import files
from recorderd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

NAME = "uploads.sqlite"
DAMAGED = "uploads.sqlite.damaged"
VERSION = 1

REASONS_SHOWN_MAX = 5

_TABLES = """
CREATE TABLE call (id TEXT PRIMARY KEY, seq INTEGER NOT NULL, at TEXT NOT NULL, parked TEXT) WITHOUT ROWID;
CREATE INDEX call_waiting ON call (seq) WHERE parked IS NULL;
CREATE INDEX call_parked ON call (seq) WHERE parked IS NOT NULL;
CREATE TABLE counted (waiting INTEGER NOT NULL, parked INTEGER NOT NULL);
INSERT INTO counted VALUES (0, 0);
CREATE TRIGGER call_came AFTER INSERT ON call BEGIN
  UPDATE counted SET waiting = waiting + (NEW.parked IS NULL), parked = parked + (NEW.parked NOT NULL);
END;
CREATE TRIGGER call_went AFTER DELETE ON call BEGIN
  UPDATE counted SET waiting = waiting - (OLD.parked IS NULL), parked = parked - (OLD.parked NOT NULL);
END;
CREATE TRIGGER call_changed AFTER UPDATE OF parked ON call BEGIN
  UPDATE counted SET waiting = waiting + (NEW.parked IS NULL) - (OLD.parked IS NULL),
    parked = parked + (NEW.parked NOT NULL) - (OLD.parked NOT NULL);
END;
CREATE TABLE landing (call TEXT PRIMARY KEY, date TEXT NOT NULL, row TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE batch (key TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE known (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that something is to be uploaded of. `seq` is the entry that says so, `at` its time."""

    id: str
    seq: int
    at: str


@dataclass(frozen=True, slots=True)
class State:
    """How much there is to do."""

    waiting: int
    oldest_at: str | None  # the entry's time of the call that waits longest
    parked: int
    reasons: tuple[str, ...]  # of the first parked calls


class Queue:
    """Use it on one thread; one process alone has it open. Raises StoreError."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        try:
            self._database = self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise self._error(error) from error
            self._set_aside()
            with self._guarded():
                self._database = self._open()

    def close(self) -> None:
        self._database.close()

    def begin_with(self, archive: str, site: str) -> None:
        """What is known is of one place in one archive: where it is another one than before (by the
        archive's URL or the site's name), all begins anew with the ledger's first entry."""
        place = [archive, site]
        if self.known("place") != place:
            with self._transaction():
                self._database.execute("DELETE FROM known")
                self._know("place", place)

    # ------------------------------------------------------------ calls

    def followed(self) -> Head:
        """How far the recorder's chain has been read."""
        known = self.known("followed")
        return Head(known["entries"], known["hash"]) if known else Head(0, GENESIS)

    def enter(self, calls: Iterable[Waiting], head: Head) -> None:
        """Calls that the chain names up to `head`. One that is parked is tried again: it changed."""
        with self._transaction():
            self._database.executemany(
                "INSERT INTO call (id, seq, at) VALUES (?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, parked = NULL",
                ((call.id, call.seq, call.at) for call in calls),
            )
            self._know("followed", {"entries": head.entries, "hash": head.hash})

    def next(self, count: int, besides: Collection[str], *, newest_first: bool) -> list[Waiting]:
        """The next calls to upload, without those `besides`."""
        order = "DESC" if newest_first else "ASC"
        rows = self._rows(
            f"SELECT id, seq, at FROM call WHERE parked IS NULL ORDER BY seq {order} LIMIT ?",  # noqa: S608  (one of two words)
            count + len(besides),
        )
        return [Waiting(*row) for row in rows if row[0] not in besides][:count]

    def done(self, call: Waiting, row: dict[str, Any] | None) -> None:
        """Everything of the call is in the archive; `row` is to be told to the catalogue.

        Where an entry came meanwhile that says more, it stays in the queue.
        """
        with self._transaction():
            self._database.execute("DELETE FROM call WHERE id = ? AND seq = ?", (call.id, call.seq))
            if row is not None:
                self._database.execute(
                    "INSERT OR REPLACE INTO landing (call, date, row) VALUES (?, ?, ?)",
                    (call.id, row["date"], json.dumps(row, ensure_ascii=False)),
                )

    def park(self, call: Waiting, reason: str) -> None:
        """Leave a call until somebody has mended what is wrong with it."""
        with self._transaction():
            self._database.execute(
                "UPDATE call SET parked = ? WHERE id = ? AND seq = ?", (reason, call.id, call.seq)
            )

    def unpark(self) -> int:
        """Let all parked calls be tried again; how many there were."""
        with self._transaction():
            return self._database.execute(
                "UPDATE call SET parked = NULL WHERE parked IS NOT NULL"
            ).rowcount

    def state(self) -> State:
        """How much there is to do."""
        ((waiting, parked),) = self._rows("SELECT waiting, parked FROM counted")
        oldest = self._rows("SELECT at FROM call WHERE parked IS NULL ORDER BY seq LIMIT 1")
        reasons = self._rows(
            "SELECT parked FROM call WHERE parked IS NOT NULL ORDER BY seq LIMIT ?",
            REASONS_SHOWN_MAX,
        )
        return State(
            waiting, oldest[0][0] if oldest else None, parked, tuple(text for (text,) in reasons)
        )

    # ------------------------------------------------------------ rows for the catalogue

    def rows_waiting(self) -> int:
        """How many rows are in no batch yet."""
        ((count,),) = self._rows("SELECT count(*) FROM landing")
        return int(count)

    def rows_of_a_date(self, most: int) -> tuple[str, list[dict[str, Any]]] | None:
        """At most so many rows of one date, in the order of their ids; None: there are none."""
        first = self._rows("SELECT date FROM landing LIMIT 1")
        if not first:
            return None
        ((date,),) = first
        rows = self._rows(
            "SELECT row FROM landing WHERE date = ? ORDER BY call LIMIT ?", date, most
        )
        return date, [json.loads(text) for (text,) in rows]

    def put_in_batch(self, key: str, data: bytes, calls: Iterable[str]) -> None:
        """These calls' rows are in a batch now, which is kept until the archive has it."""
        with self._transaction():
            self._database.execute("INSERT OR REPLACE INTO batch VALUES (?, ?)", (key, data))
            self._database.executemany(
                "DELETE FROM landing WHERE call = ?", ((call,) for call in calls)
            )

    def first_batch(self) -> tuple[str, bytes] | None:
        """A batch that the archive does not have yet."""
        rows = self._rows("SELECT key, data FROM batch ORDER BY key LIMIT 1")
        return (rows[0][0], bytes(rows[0][1])) if rows else None

    def batch_done(self, key: str) -> None:
        """The archive has it. The numbers in it leave the database's log, too: their calls may be
        erased at any time."""
        with self._transaction():
            self._database.execute("DELETE FROM batch WHERE key = ?", (key,))
        self._rows("PRAGMA wal_checkpoint(TRUNCATE)")

    # ------------------------------------------------------------ what else is known

    def known(self, name: str) -> Any:
        """A value that was kept, or None."""
        rows = self._rows("SELECT value FROM known WHERE name = ?", name)
        return json.loads(rows[0][0]) if rows else None

    def know(self, name: str, value: Any) -> None:
        """Keep a value."""
        with self._transaction():
            self._know(name, value)

    def _know(self, name: str, value: Any) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO known VALUES (?, ?)", (name, json.dumps(value))
        )

    # ------------------------------------------------------------ the file

    def _open(self) -> sqlite3.Connection:
        files.claim_database(self._path)
        database = sqlite3.connect(self._path, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA secure_delete = ON")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        except sqlite3.Error:
            database.close()
            raise
        if version not in {0, VERSION}:
            database.close()
            raise StoreError(
                f"{self._path}: made by a newer recorderd (form {version}); install that one, or "
                "remove the file: it is made again from the ledger"
            )
        return database

    def _set_aside(self) -> None:
        """A damaged file is kept for whoever wants to look, the newest one."""
        with suppress(OSError):
            self._path.replace(self._path.with_name(DAMAGED))
        for suffix in ("-wal", "-shm"):
            with suppress(OSError):
                self._path.with_name(NAME + suffix).unlink()

    def _rows(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._guarded():
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guarded():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> StoreError:
        return StoreError(
            f"{self._path}: {error}; where the disk is full, make room; otherwise stop the uploader "
            "and remove the file: it is made again from the ledger"
        )
