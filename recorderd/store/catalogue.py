"""The catalogue: an SQLite index over the call records, for searching.

One process writes it; all others open it read-only. That is a rule of safety: SQLite 3.7.0 to
3.51.2 can damage a WAL database that two connections write and checkpoint at the same moment.
Commits are synced (synchronous=FULL), so a row that was added survives a power cut. The folders are
the truth: reindexing.py makes a damaged catalogue again from them.
"""

from __future__ import annotations

import gc
import json
import sqlite3
import unicodedata
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from recorderd.core.numbers import (
    index_keys,
    is_narrow_key_all,
    narrow_key,
    numbers_match,
    search_keys,
)
from recorderd.disk import files
from recorderd.disk.layout import RECORD
from recorderd.errors import StoreError, UsageError
from recorderd.seal.searchkey import hashed, read_search_key
from recorderd.units import WallNs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

NAME = "catalogue.sqlite"
SCHEMA_VERSION = 2
BUSY_S = 5.0
INTEGER_MAX = 2**63 - 1
"""The greatest that SQLite holds; as nanoseconds since 1970 a time in the year 2262."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Entry(NamedTuple):
    """One call of the catalogue: its record with amendments, and where its folder is."""

    record: dict[str, Any]  # one that comes out has of `sealed` the `vault` alone
    directory: Path  # the state directory
    place: str  # the folder's in it

    @property
    def folder(self) -> Path:
        """Made when it is asked for: a search finds hundreds of calls, and opens few."""
        return self.directory / self.place


def entry_of(record: dict[str, Any], folder: Path, directory: Path) -> Entry:
    """A call whose folder lies in a state directory."""
    return Entry(record, directory, folder.relative_to(directory).as_posix())


class Catalogue:
    """An open catalogue. Use it on the thread that opened it. All methods raise StoreError."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def add(self, record: dict[str, Any], folder: Path) -> None:
        """Add a call, or replace it; durable when this returns."""
        self.add_all([entry_of(record, folder, self._path.parent)])

    def add_all(self, entries: Iterable[Entry]) -> None:
        """Add or replace many calls in one transaction."""
        with _guarded(self._path), self._connection:
            for entry in entries:
                columns, keys = _row(entry)
                self._connection.execute(_FORGET_KEYS, (columns["id"],))
                seq = self._connection.execute(_ADD, columns).lastrowid
                rows = ((key, columns["started_ns"], seq) for key in keys)
                self._connection.executemany(_ADD_KEY, rows)

    def remove(self, call_id: str) -> None:
        """Forget a call."""
        with _guarded(self._path), self._connection:
            self._connection.execute(_FORGET_KEYS, (call_id,))
            self._connection.execute("DELETE FROM call WHERE id = ?", (call_id,))

    def find(
        self,
        *,
        number: str | None = None,
        since: WallNs | None = None,
        until: WallNs | None = None,
        line: str | None = None,
        direction: str | None = None,
        disposition: str | None = None,
        limit: int = 1000,
    ) -> list[Entry]:
        """Calls that fit all that is given, newest first; `since` <= start < `until`.

        `number` is the caller's or the one dialled, see core/numbers.py.
        """
        conditions: dict[str, str | int | None] = {
            "started_ns >= ?": since,
            "started_ns < ?": until,
            "line = ?": line,
            "direction = ?": direction,
            "disposition = ?": disposition,
        }
        asked = {text: value for text, value in conditions.items() if value is not None}
        texts, values = list(asked), list(asked.values())
        if number is None:
            where = " AND ".join(texts) or "1"
            rest = f"WHERE {where} ORDER BY started_ns DESC, id DESC LIMIT ?"
            return self._select(rest, *values, limit)
        plain = unicodedata.normalize("NFKC", number)
        keys = self._keys_of(plain)
        has_number, also = [f"key IN ({', '.join('?' * len(keys))})"], []
        if not is_narrow_key_all(plain):
            has_number.append(_IS_MATCH)
            also = [plain, plain]
        where = " AND ".join([*has_number, *texts])
        return self._select(
            f"JOIN number_key USING (seq, started_ns) WHERE {where} {_ONCE_EACH} LIMIT ?",
            *(*keys, *also, *values, limit),
        )

    def _keys_of(self, number: str) -> list[str]:
        """Where the calls of a number lie.

        Of a sealed call there is no number to compare: the keyed hash of a key decides.
        """
        search_key = read_search_key(self._path.parent)
        sealed = hashed(search_key, search_keys(number)) if search_key is not None else ()
        return [narrow_key(number), *sealed]

    def get(self, text: str) -> Entry:
        """The call with this id, or the only one whose id begins so; UsageError for none or two."""
        found = self._select("WHERE id = ?", text) or self._select(
            "WHERE substr(id, 1, ?) = ? LIMIT 2", len(text), text
        )
        if len(found) == 1:
            return found[0]
        what = "more than one call has an id that begins so" if found else "no call has this id"
        raise UsageError(f"{text}: {what}; `recorderd calls` lists them")

    def of_wrong_clock(self, boot_id: str | None = None) -> list[Entry]:
        """The calls, of one boot or of all, that were filed before its clock could be trusted, oldest
        first."""
        of_boot = "" if boot_id is None else " AND json_extract(record, '$.clock.boot_id') = ?"
        return self._select(
            f"WHERE NOT json_extract(record, '$.clock.synchronised'){of_boot} "
            "ORDER BY started_ns, id",
            *([] if boot_id is None else [boot_id]),
        )

    def kept(
        self,
        *,
        retention: str | None = None,
        since_s: int = 0,
        until_s: int | None = None,
        after: Entry | None = None,
        limit: int,
    ) -> list[Entry]:
        """Calls that are not erased, of one class or of all, in the order of their box time.

        `since_s` <= box time <= `until_s`. `after` is the last one of the page before.
        """
        last = (since_s, "") if after is None else (box_time_of(after), after.record["id"])
        conditions = {
            "retention = ?": retention,
            "box_time_s <= ?": until_s,
        }
        asked = {text: value for text, value in conditions.items() if value is not None}
        where = " AND ".join(["is_erased = 0", "(box_time_s, id) > (?, ?)", *asked])
        return self._select(
            f"WHERE {where} ORDER BY box_time_s, id LIMIT ?", *last, *asked.values(), limit
        )

    def classes(self) -> dict[str, int | None]:
        """The classes of calls that are not erased, and the box time of each one's oldest call."""
        with _guarded(self._path):
            rows = self._connection.execute(
                "SELECT retention, min(box_time_s) FROM call WHERE is_erased = 0 "
                "AND retention IS NOT NULL GROUP BY retention"
            ).fetchall()
        return dict(rows)

    def newest_s(self) -> int:
        """The greatest box time of any call."""
        with _guarded(self._path):
            row = self._connection.execute("SELECT max(box_time_s) FROM call").fetchone()
        return row[0] or 0

    def scrub(self) -> bool:
        """Leave nothing of what was erased in the log of the database; False while it is read."""
        with _guarded(self._path):
            row = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not row[0]

    def folders(self) -> dict[str, Path]:
        """The folder of every call, by its id."""
        with _guarded(self._path):
            rows = self._connection.execute("SELECT id, folder FROM call").fetchall()
        return {call_id: self._path.parent / folder for call_id, folder in rows}

    def check(self) -> None:
        """Raise DamagedError where the database is not sound."""
        with _guarded(self._path):
            answer = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if answer != "ok":
            raise DamagedError(f"{self._path}: damaged ({answer})")

    def close(self) -> None:
        with _guarded(self._path):
            self._connection.close()

    def _select(self, rest: str, *values: str | int) -> list[Entry]:
        with _guarded(self._path):
            query = f"SELECT record, folder FROM call {rest}"  # noqa: S608  (rest is ours)
            rows = self._connection.execute(query, values).fetchall()
        root = self._path.parent
        with _collector_paused():
            # As one text: the decoder then keeps the records' keys, which are the same ones, once.
            records = json.loads(f"[{','.join(record for record, _ in rows)}]")
            return [
                Entry(record, root, place) for record, (_, place) in zip(records, rows, strict=True)
            ]


# ---------------------------------------------------------------- rows

_ADD = """INSERT OR REPLACE INTO call
    (id, site, line, direction, disposition, started_ns, ended_ns, number, name, absence, dialled,
     folder, record)
    VALUES (:id, :site, :line, :direction, :disposition, :started_ns, :ended_ns, :number, :name,
        :absence, :dialled, :folder, :record)"""


_ADD_KEY = "INSERT INTO number_key (key, started_ns, seq) VALUES (?, ?, ?)"
_FORGET_KEYS = "DELETE FROM number_key WHERE seq IN (SELECT seq FROM call WHERE id = ?)"
_IS_MATCH = """(number IS NULL AND dialled IS NULL
    OR number_matches(number, ?) OR number_matches(dialled, ?))"""
# In the order in which number_key holds the calls of a key: nothing need be sorted.
_ONCE_EACH = """GROUP BY number_key.started_ns, number_key.seq
    ORDER BY number_key.started_ns DESC, number_key.seq DESC"""


def check_entry(entry: Entry) -> None:
    """Raises StoreError where the catalogue has no row for this record."""
    _row(entry)


class _Row(NamedTuple):
    """What the catalogue holds of a call."""

    columns: dict[str, str | int | None]
    keys: frozenset[str]  # under which it is found by its numbers, or the hashes of such keys


def _row(entry: Entry) -> _Row:
    """StoreError where the record does not hold what a row needs."""
    record = entry.record
    texts = ("site", "line", "direction", "disposition")
    try:
        # What SQLite reads out of the text itself.
        _text_or_none(record["retention"])
        _int_or_none(record["clock"]["box_time_s"])
        columns: dict[str, str | int | None] = {
            "id": _id_of(entry),
            **{key: _text(record[key]) for key in texts},
            "started_ns": wall_ns(record["started_at"]),
            "ended_ns": None if record["ended_at"] is None else wall_ns(record["ended_at"]),
            **{key: _text_or_none(record["caller"][key]) for key in ("number", "name", "absence")},
            "dialled": _text_or_none(record["dialled"]),
            "folder": entry.place,
            "record": _text(json.dumps(without_sealed_part(record), ensure_ascii=False)),
        }
        return _Row(columns, _keys(record))
    except (KeyError, TypeError, ValueError) as error:
        message = f"{entry.folder / RECORD}: not a call record ({error!r}); restore it from a copy"
        raise StoreError(message) from error


def _keys(record: dict[str, Any]) -> frozenset[str]:
    if record.get("sealed") is not None:
        return frozenset(map(_text, record["sealed"]["numbers"]))
    numbers = (record["caller"]["number"], record["dialled"])
    return frozenset().union(*(index_keys(number) for number in numbers if number))


def without_sealed_part(record: dict[str, Any]) -> dict[str, Any]:
    """A call's folder alone keeps what only a supervisor can read, and the hashes that are keys here
    already: half of a record, of which a search decodes hundreds."""
    if record.get("sealed") is None:
        return record
    return {**record, "sealed": {"vault": record["sealed"]["vault"]}}


def box_time_of(entry: Entry) -> int:
    """Where a call lies on the axis of running time (core/boxtime.py), in seconds."""
    return int(entry.record["clock"]["box_time_s"])


def _id_of(entry: Entry) -> str:
    call_id = _text(entry.record["id"])
    if call_id != entry.folder.name:
        raise ValueError(f"id {call_id!r} in folder {entry.folder.name!r}")
    return call_id


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()  # half of a surrogate pair is no text either
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _int_or_none(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return _fitting(value)


def _fitting(value: int) -> int:
    if abs(value) > INTEGER_MAX:
        raise ValueError(f"{value} is out of range")
    return value


def wall_ns(text: str) -> WallNs:
    """Nanoseconds since 1970 of an ISO 8601 time with an offset, of 1678 to 2262. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset")
    return WallNs(_fitting((moment - _EPOCH) // timedelta(microseconds=1) * 1000))


# ---------------------------------------------------------------- opening


class DamagedError(StoreError):
    """The catalogue cannot be used as it is, and can be made again from the call records."""


def open_catalogue(path: Path, *, read_only: bool = False) -> Catalogue:
    """Open the catalogue; to be written, it is made where it is not there.

    Raises DamagedError where it must be made again, otherwise StoreError.
    """
    with _guarded(path):
        connection = _connect_to_read(path) if read_only else _connect_to_write(path)
        try:
            _check_version(connection, path)
            connection.create_function("number_matches", 2, numbers_match, deterministic=True)
        except BaseException:
            connection.close()
            raise
    return Catalogue(connection, path)


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        message = f"{path}: made by another version of recorderd (schema {version}, not"
        raise DamagedError(f"{message} {SCHEMA_VERSION}); run `recorderd recover --rebuild`")


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """SQLite readers of a WAL database make its side files where they are missing. Whoever may not
    do that, while no writer has made them, reads the file as one that does not change: do not keep
    such a connection open for long.
    """
    try:
        return _connect_read_only(path, "mode=ro")
    except sqlite3.OperationalError:
        if path.with_name(path.name + "-wal").exists():
            raise
        return _connect_read_only(path, "mode=ro&immutable=1")


def _connect_read_only(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=BUSY_S)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA schema_version")  # the first that looks into the file
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_to_write(path: Path) -> sqlite3.Connection:
    files.claim_database(path)
    connection = sqlite3.connect(path, timeout=BUSY_S)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # numbers of erased calls are overwritten
        # Where the disk refuses once to open the file to write, SQLite opens it to read, for good.
        connection.execute("BEGIN")
        connection.execute("PRAGMA user_version = 0")
        connection.rollback()
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            schema = resources.files("recorderd.store") / "schema" / f"{SCHEMA_VERSION:04d}.sql"
            statements = schema.read_text("utf-8")
            version = f"PRAGMA user_version = {SCHEMA_VERSION};"
            connection.executescript(f"BEGIN; {statements} {version} COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into our errors."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
            message = f"{path}: damaged ({error}); `recorderd recover --rebuild` makes it again"
            raise DamagedError(message) from error
        mend = "check that the disk is mounted, writable and not full"
        raise StoreError(f"{path}: {error}; {mend}") from error


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Thousands of new objects that all stay make Python's collector look at them again and again, for
    nothing: half of the time that decoding an answer takes."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
