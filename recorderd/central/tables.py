"""The two tables of the catalogue: what their columns are, how files of them are written and merged.

`calls`, by date, has every row of every call. `party`, by month, is what a search by number reads: one
row for each key of a call, sorted by key, so that a search reads a few row groups of a few files.
A call that was amended or erased has another row with a higher revision, which may lie in another file
and, where its number changed or is gone, under other keys. So a row that supersedes one in another
file has a second one in `party`, with the key REVISED: it tells every search that earlier revisions
count no more, until all files of the month are merged.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recorderd.archive.rows import ERASED_REVISION
from recorderd.central.engine import listed, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from recorderd.central.engine import Engine, Row

COLUMNS = {
    "call": "VARCHAR",
    "revision": "INTEGER",
    "site": "VARCHAR",
    "date": "VARCHAR",
    "started_utc": "TIMESTAMP",
    "started_at": "VARCHAR",
    "ended_at": "VARCHAR",
    "duration_s": "DOUBLE",
    "line": "VARCHAR",
    "direction": "VARCHAR",
    "disposition": "VARCHAR",
    "reason": "VARCHAR",
    "number": "VARCHAR",
    "name": "VARCHAR",
    "absence": "VARCHAR",
    "sealed": "BOOLEAN",
    "keys": "VARCHAR[]",
    "retention": "VARCHAR",
    "segments": "BIGINT",
    "frames": "BIGINT",
    "gaps": "BIGINT",
    "cut": "BOOLEAN",
    "notice_completed": "BOOLEAN",
    "notice_heard": "BOOLEAN",
    "record_sha256": "VARCHAR",
    "erased_at": "VARCHAR",
}
"""Of `calls`, and their types in DuckDB."""

_NOT_IN_PARTY = {"keys", "ended_at", "retention", "frames", "notice_heard", "record_sha256"}
SHOWN = [name for name in COLUMNS if name not in _NOT_IN_PARTY]
"""The columns that both tables have: what a search shows."""

REVISED = "!"
"""Sorts before every key. Not the empty text: a Parquet file keeps no bounds that would tell it apart."""

CALLS, PARTY = "calls/date", "party/month"

ROW_GROUP_ROWS = 8_192
"""A search reads one row group of a file, or two; a larger one is more to read, more of them more
for the footer, which is read too. The sum is least near here for a month of some million calls."""

LEVEL = 3  # of ZSTD, its own default

_ORDER = {CALLS: "site, started_utc", PARTY: "key, number, started_utc"}

_SPREAD = {CALLS: "site", PARTY: "key"}
"""What the pieces of a run divide among them: the first column of the order."""

_COUNTED = {CALLS: "site", PARTY: "left(key, 5)"}
"""What is counted to find the ranges: `l` and four digits are whole keys, `#` and four hexadecimal
digits make 65,536 groups of hashes, and neither grows with the calls."""


@dataclass(frozen=True, slots=True)
class Range:
    """Which rows of a date or month one piece gets: those from `since` up to `until`, and of these
    a part, where one key alone has more rows than a piece may have."""

    column: str
    since: str | None = None
    until: str | None = None  # exclusive
    part: int = 0
    parts: int = 1

    def where(self) -> str:
        """The condition that a row of it fulfils; its comparisons let whole row groups be skipped."""
        tests = ["true"]
        if self.since is not None:
            tests.append(f"{self.column} >= {quoted(self.since)}")
        if self.until is not None:
            tests.append(f"{self.column} < {quoted(self.until)}")
        if self.parts > 1:
            tests.append(f"hash(site, call) % {self.parts} = {self.part}")
        return " AND ".join(tests)


@dataclass(frozen=True, slots=True)
class Written:
    """What a file that was written holds."""

    rows: int
    lowest: str
    highest: str
    first: str
    last: str
    sealed: int  # rows


def spool_line(row: Row) -> bytes:
    """A landing row as `load` reads it."""
    kept = {name: row[name] for name in COLUMNS}
    kept["started_utc"] = row["started_utc"].removesuffix("+00:00")
    return json.dumps(kept, ensure_ascii=False).encode() + b"\n"


def load(engine: Engine, spool: Path) -> None:
    """Make the table `landed`: what was spooled, each call once, in its highest revision."""
    kinds = ", ".join(f"{name}: {quoted(kind)}" for name, kind in COLUMNS.items())
    engine.run(
        "CREATE OR REPLACE TEMP TABLE landed AS SELECT *, false AS supersedes "
        f"FROM read_json({quoted(str(spool))}, columns={{{kinds}}}, format='newline_delimited') "
        "QUALIFY row_number() OVER (PARTITION BY site, call ORDER BY revision DESC) = 1"
    )


def compare(engine: Engine, paths: Sequence[str]) -> None:
    """Compare `landed` with files of `calls`: what they have already, in the same or a higher
    revision, is dropped, and what supersedes a row of theirs is marked."""
    if not paths:
        return
    engine.run(
        "CREATE OR REPLACE TEMP TABLE known AS SELECT site, call, max(revision) AS revision "
        f"FROM {files(paths)} SEMI JOIN landed USING (site, call) GROUP BY ALL"
    )
    same = "landed.site = known.site AND landed.call = known.call"
    engine.run(f"DELETE FROM landed USING known WHERE {same} AND landed.revision <= known.revision")
    engine.run(f"UPDATE landed SET supersedes = true FROM known WHERE {same}")


def files(paths: Sequence[str]) -> str:
    """Parquet files as one table; a path is a name, and no pattern."""
    names = [re.sub(r"([*?\[])", r"[\1]", path) for path in paths]
    return f"read_parquet({listed(names)}, hive_partitioning=false)"


def landed_party() -> str:
    """The rows of `landed` as `party` has them."""
    shown = ", ".join(SHOWN)
    return (
        f"(SELECT unnest(keys) AS key, {shown} FROM landed "
        f"UNION ALL SELECT {quoted(REVISED)} AS key, {shown} FROM landed WHERE supersedes)"
    )


def landed_of(table: str, partition: str) -> str:
    """The rows of `landed` that belong into one file."""
    if table == CALLS:
        return f"(SELECT {', '.join(COLUMNS)} FROM landed WHERE date = {quoted(partition)})"
    return f"(SELECT * FROM {landed_party()} WHERE date[:7] = {quoted(partition)})"


def revise(engine: Engine, table: str, paths: Sequence[str]) -> None:
    """Make the table `revised`: of the calls in these files that were amended the highest revision."""
    tells = f"key = {quoted(REVISED)}" if table == PARTY else "revision > 0"
    engine.run(
        "CREATE OR REPLACE TEMP TABLE revised AS SELECT site, call, max(revision) AS newest "
        f"FROM {files(paths)} WHERE {tells} GROUP BY ALL"
    )


def merged(table: str, paths: Sequence[str], *, is_whole: bool) -> str:
    """The rows of several files as one has them: of what was amended the highest revision, after
    `revise` with the same files.

    A call's revisions are each in one file once. `is_whole`: these are all files of the date or month,
    so that nothing is left for which the rows with the key REVISED would be needed.
    """
    drops = table == PARTY and is_whole
    kept = f"key <> {quoted(REVISED)}" if drops else "true"
    return (
        f"(SELECT each.* FROM {files(paths)} each LEFT JOIN revised USING (site, call) "
        f"WHERE revision >= coalesce(newest, 0) AND {kept})"
    )


def ranges(engine: Engine, table: str, source: str, rows_max: int) -> list[Range]:
    """Divide rows into ranges of at most so many, in their order. No rows have no range.

    A single key with more rows is divided by the hashes of its calls, into twice as many parts as it
    needs at least: they are not all of one size.
    """
    counted = _COUNTED[table]
    found = engine.rows(
        f"SELECT {counted} AS value, count(*) AS rows FROM {source} GROUP BY ALL ORDER BY ALL"
    )
    starts: list[tuple[str, int]] = []  # of ranges, and their rows
    for each in found:
        if starts and starts[-1][1] + each["rows"] <= rows_max:
            starts[-1] = (starts[-1][0], starts[-1][1] + each["rows"])
        else:
            starts.append((each["value"], each["rows"]))
    made = []
    untils = [*(value for value, _ in starts), None][1:]
    for (since, rows), until in zip(starts, untils, strict=False):
        whole = Range(_SPREAD[table], since, until)
        parts = 1 if rows <= rows_max else -(-2 * rows // rows_max)
        made += [replace(whole, part=part, parts=parts) for part in range(parts)]
    return made


def write(engine: Engine, table: str, source: str, path: Path) -> Written | None:
    """Write a Parquet file; None where there are no rows for one."""
    engine.run(
        f"COPY (SELECT * FROM {source} ORDER BY {_ORDER[table]}) TO {quoted(str(path))} "
        f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {LEVEL}, "
        f"ROW_GROUP_SIZE {ROW_GROUP_ROWS}, WRITE_BLOOM_FILTER false)"
    )
    column = _SPREAD[table]
    (found,) = engine.rows(
        f"SELECT count(*) AS rows, min({column}) AS lowest, max({column}) AS highest, "
        "min(started_utc) AS first, max(started_utc) AS last, "
        f"count(*) FILTER (WHERE sealed) AS sealed FROM {files([str(path)])}"
    )
    if not found["rows"]:
        return None
    first, last = (found[name].isoformat(timespec="milliseconds") for name in ("first", "last"))
    return Written(**{**found, "first": first, "last": last})


def dates(engine: Engine) -> list[str]:
    """The dates of the rows in `landed`."""
    return [row["date"] for row in engine.rows("SELECT DISTINCT date FROM landed")]


def partitions(engine: Engine) -> Iterable[tuple[str, str, bool]]:
    """Table and date or month of each file that `landed` makes, and whether there are erasures in it."""
    for table, name in ((CALLS, "date"), (PARTY, "date[:7]")):
        for row in engine.rows(
            f"SELECT {name} AS partition, "
            f"bool_or(supersedes AND revision = {ERASED_REVISION}) AS erases FROM landed GROUP BY ALL ORDER BY ALL"
        ):
            yield table, row["partition"], row["erases"]


def sites(engine: Engine) -> set[str]:
    return {row["site"] for row in engine.rows("SELECT DISTINCT site FROM landed")}


def sealed_sites(engine: Engine) -> set[str]:
    return {row["site"] for row in engine.rows("SELECT DISTINCT site FROM landed WHERE sealed")}
