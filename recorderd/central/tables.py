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
from dataclasses import dataclass
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

_ORDER = {CALLS: "number, started_utc", PARTY: "key, number, started_utc"}


@dataclass(frozen=True, slots=True)
class Written:
    """What a file that was written holds."""

    rows: int
    first: str
    last: str
    sealed: int


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


def merged(table: str, paths: Sequence[str], *, is_whole: bool) -> str:
    """The rows of several files as one has them: of what was amended the highest revision.

    A call's revisions are each in one file once. `is_whole`: these are all files of the date or month,
    so that nothing is left for which the rows with the key REVISED would be needed.
    """
    tells, kept = "revision > 0", "true"
    if table == PARTY:
        tells = f"key = {quoted(REVISED)}"
        kept = f"key <> {quoted(REVISED)}" if is_whole else "true"
    rows = files(paths)
    return (
        f"(SELECT each.* FROM {rows} each LEFT JOIN (SELECT site, call, max(revision) AS newest "
        f"FROM {rows} WHERE {tells} GROUP BY ALL) USING (site, call) "
        f"WHERE revision >= coalesce(newest, 0) AND {kept})"
    )


def write(engine: Engine, table: str, source: str, path: Path) -> Written | None:
    """Write a Parquet file; None where there are no rows for one."""
    engine.run(
        f"COPY (SELECT * FROM {source} ORDER BY {_ORDER[table]}) TO {quoted(str(path))} "
        f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {LEVEL}, "
        f"ROW_GROUP_SIZE {ROW_GROUP_ROWS}, WRITE_BLOOM_FILTER false)"
    )
    (found,) = engine.rows(
        "SELECT count(*) AS rows, min(started_utc) AS first, max(started_utc) AS last, "
        f"count(DISTINCT (site, call)) FILTER (WHERE sealed) AS sealed FROM {files([str(path)])}"
    )
    if not found["rows"]:
        return None
    return Written(
        found["rows"],
        found["first"].isoformat(timespec="milliseconds"),
        found["last"].isoformat(timespec="milliseconds"),
        found["sealed"],
    )


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
