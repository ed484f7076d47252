"""Reading what boxes have landed: nothing of it is trusted, and one bad batch stops no other.

A batch is judged as a whole first (its gzip, its size), then row by row. Of a batch with bad rows the
good ones count, and it stays where it is, so that it is told again until somebody has looked at it.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from recorderd.archive.layout import parse_landing_key
from recorderd.archive.rows import (
    COLUMNS,
    ERASED_REVISION,
    FORM,
    ROW_BYTES_MAX,
    ROWS_MAX,
    utc,
)
from recorderd.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recorderd.archive.target import Target

Row = dict[str, Any]

BATCH_BYTES_MAX = 64 << 20
"""Unpacked: six times what ROWS_MAX rows of calls take."""

AHEAD_MAX = timedelta(days=1)
"""A call may be of tomorrow where its office is, and a clock some hours wrong; not more."""

YEAR_MIN, YEAR_MAX = 1970, 9000
"""A clock that was never set begins in 1970, and with the last years nobody can reckon."""

KEYS_MAX = 64
"""A call has two numbers at most, each with a few keys."""

INTEGER_MAX = 2**53  # what JSON readers agree on
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_KEY = re.compile(r"[=ln#][^\0]*")  # core/numbers.py, seal/searchkey.py
_DIRECTIONS = {"inbound", "outbound", "unknown"}
_DISPOSITIONS = {"recorded", "missed", "not-recorded"}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a batch or a row of it, and what to do."""

    site: str | None  # None: the key names none
    key: str
    reason: str
    mend: str

    def __str__(self) -> str:
        return f"{self.site or '?'}: {self.key}: {self.reason}; {self.mend}"


@dataclass(frozen=True, slots=True)
class Batch:
    """What was read of one batch. A batch with problems is not taken off landing/."""

    key: str
    rows: list[Row]
    problems: list[Problem]


class BadError(Exception):
    """A row or a batch is not what a box writes."""


_MEND_BOX = "look at that box's `recorderd upload` and at who can write there; the batch stays"
_MEND_CLOCK = "set that box's clock; the batch stays"
_MEND_FORM = "a newer recorderd wrote it: update the central side; the batch stays"


def read_batch(target: Target, key: str, now: datetime) -> Batch | None:
    """One batch; None where it is gone, because another compactor was faster."""
    place = parse_landing_key(key)
    if place is None:
        text = "the key is not one that a box writes"
        return Batch(key, [], [Problem(None, key, text, "remove it, or find out who put it there")])
    site, day = place
    try:
        lines = list(_lines(_unpacked(target.read(key))))
    except BadError as error:
        return Batch(key, [], [Problem(site, key, str(error), _MEND_BOX)])
    except RefusedError:
        if target.look(key) is None:
            return None
        raise
    rows: list[Row] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(checked(line, site, day, now))
        except BadError as error:
            reason, mend = (*error.args, _MEND_BOX)[:2]
            problems.append(Problem(site, key, f"row {number}: {reason}", mend))
    return Batch(key, rows, problems)


def _unpacked(blocks: Iterable[bytes]) -> bytes:
    """What a gzip file holds; BadError where it is cut, damaged, none, or too much."""
    unpacker = zlib.decompressobj(wbits=31)  # a gzip header and no other (zlib's manual)
    out = bytearray()
    try:
        for block in blocks:
            if unpacker.eof:
                raise BadError("something follows behind its gzip data")
            out += unpacker.decompress(block, BATCH_BYTES_MAX + 1 - len(out))
            if len(out) > BATCH_BYTES_MAX:
                raise BadError(f"it unpacks to more than {BATCH_BYTES_MAX} bytes")
    except zlib.error as error:
        raise BadError(f"it is not gzip, or damaged ({error})") from error
    if not unpacker.eof:
        raise BadError("it is cut: its gzip data do not end")
    if unpacker.unused_data:
        raise BadError("something follows behind its gzip data")
    return bytes(out)


def _lines(data: bytes) -> Iterator[bytes]:
    if data and not data.endswith(b"\n"):
        raise BadError("its last line does not end")
    lines = data.split(b"\n")[:-1]
    if not lines:
        raise BadError("it holds no row")
    if len(lines) > ROWS_MAX:
        raise BadError(f"it holds {len(lines)} rows; allowed: {ROWS_MAX}")
    yield from lines


# ---------------------------------------------------------------- one row


def checked(line: bytes, site: str, day: str, now: datetime) -> Row:
    """A row that is what a box of this site writes about a call of this date, else BadError."""
    if len(line) > ROW_BYTES_MAX:
        raise BadError(f"{len(line)} bytes; allowed: {ROW_BYTES_MAX}")
    row = _parsed(line)
    _check_kinds(row)
    if row["site"] != site:
        raise BadError(f"it is of the site {row['site'][:64]!r}, and its key is of another")
    if row["date"] != day:
        raise BadError(f"it is of the date {row['date'][:64]!r}, and its key is of another")
    _check_values(row)
    _check_times(row, now)
    return row


def _parsed(line: bytes) -> Row:
    try:
        row = json.loads(line)
        line.decode("utf-8")
        json.dumps(row, ensure_ascii=False, allow_nan=False).encode()  # half a character, or NaN
    except (ValueError, RecursionError) as error:
        raise BadError(f"not JSON ({type(error).__name__})") from error
    if not isinstance(row, dict):
        raise BadError("not a JSON object")
    if row.get("form") != FORM:
        raise BadError(f"its form is {row.get('form')!r:.40}; known: {FORM}", _MEND_FORM)
    return row


def _check_kinds(row: Row) -> None:
    if row.keys() != COLUMNS.keys():
        wrong = sorted(row.keys() ^ COLUMNS.keys())
        raise BadError(f"these columns are missing or unknown: {', '.join(wrong)[:200]}")
    for name, kinds in COLUMNS.items():
        value = row[name]
        if type(value) not in kinds:
            raise BadError(f"{name} is {type(value).__name__}")
        if isinstance(value, str) and "\0" in value:
            raise BadError(f"{name} holds a NUL")
        if isinstance(value, int | float) and not 0 <= value <= INTEGER_MAX:
            raise BadError(f"{name} is out of range")


def _check_values(row: Row) -> None:
    if not _ID.fullmatch(row["call"]):
        raise BadError("its call id is none")
    if row["revision"] > ERASED_REVISION:
        raise BadError("its revision is out of range")
    if row["direction"] not in _DIRECTIONS or row["disposition"] not in _DISPOSITIONS:
        raise BadError("its direction or disposition is unknown")
    keys = row["keys"]
    if len(keys) > KEYS_MAX or not all(type(key) is str and _KEY.fullmatch(key) for key in keys):
        raise BadError("its keys are none, or too many")
    if (row["revision"] == ERASED_REVISION) != (row["erased_at"] is not None):
        raise BadError("its revision and erased_at contradict each other")
    if row["erased_at"] is not None and (row["number"] or row["name"] or keys):
        raise BadError("the call was erased, and a number or name is still there")


def _check_times(row: Row, now: datetime) -> None:
    try:
        started = datetime.fromisoformat(row["started_at"])
        day = date.fromisoformat(row["date"])
        canonical = utc(row["started_at"])
        if row["ended_at"] is not None:
            utc(row["ended_at"])
    except (ValueError, OverflowError) as error:
        raise BadError("its times are none") from error
    if started.tzinfo is None or canonical != row["started_utc"]:
        raise BadError("started_utc and started_at are not the same moment")
    if not math.isfinite(started.timestamp()) or started - now.astimezone(UTC) > AHEAD_MAX:
        raise BadError(f"it began in the future ({row['started_utc']})", _MEND_CLOCK)
    # The date is of the folder, by the clock as it was at first: one that is set in mid-call, or later,
    # moves the times alone.
    if not YEAR_MIN <= day.year <= YEAR_MAX:
        raise BadError(f"its date is out of range ({day})")
