"""A search over all sites: what the tables say, and what has landed since.

landing/ is listed before the manifest is read, so each batch is in the tables or among those that are
read; one that is gone when it is read was taken in meanwhile, and the search begins again. So an answer
holds every call that had landed when the search began.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from recorderd.archive.layout import LANDING, parse_landing_key
from recorderd.central import manifest as manifests
from recorderd.central import tables
from recorderd.central.engine import quoted
from recorderd.central.landing import read_batch
from recorderd.core.numbers import narrow_key, numbers_match
from recorderd.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from recorderd.central.engine import Engine, Row
    from recorderd.central.landing import Problem
    from recorderd.central.manifest import Manifest, Piece, Tables
    from recorderd.central.place import Place

LOOKED_AT_MAX = 1_000_000
"""Calls whose number ends with the same four digits: a hundredth of a percent of all calls."""

ATTEMPTS = 5
"""Each time a compactor took in what was just going to be read; it does so a few times an hour."""

LANDED_MAX = 50_000
"""Batches that a search reads by itself: some minutes. More means that nobody compacts."""

KEYS_APART_MAX = 16
"""Keys that are looked for one by one: DuckDB skips the row groups that cannot hold one key, and of
several only those that none between the first and the last can be in."""

CALLS_MAX = 10_000
"""More are no answer for people, and a program asks for a day at a time."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for. Times are UTC; None: from the first call, up to the last."""

    number: str | None = None
    since: datetime | None = None
    until: datetime | None = None  # exclusive
    sites: frozenset[str] = frozenset()  # empty: all
    line: str | None = None
    direction: str | None = None
    limit: int = CALLS_MAX  # of the newest
    keys: Mapping[str, AbstractSet[str]] = field(default_factory=dict)  # hashed, by site: sealed


@dataclass(frozen=True, slots=True)
class Answer:
    """The calls, oldest first, and how far the answer reaches."""

    calls: list[Row]
    has_more: bool  # older ones, which the limit left out
    as_of: str  # ISO 8601, UTC: what had landed until then is in the answer
    compacted_at: str | None  # of the manifest
    landed: int  # batches that are not compacted
    problems: list[Problem]  # of those
    sealed_sites: list[str]  # whose sealed calls could not be searched
    sealed_calls: int  # in the files that were read; of all sites


class _TakenMeanwhileError(Exception):
    """A batch was compacted between the manifest and its reading."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def search(
    place: Place,
    question: Question,
    work: Path | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Answer:
    """Answer a question. Raises ArchiveError and StoreError."""
    with (
        TemporaryDirectory(prefix="recorderd-search-", dir=work) as folder,
        closing(place.engine(Path(folder))) as engine,
    ):
        for _ in range(ATTEMPTS):
            try:
                return _Search(place, engine, question, Path(folder), now()).run()
            except _TakenMeanwhileError:
                continue
    raise TryAgainError(f"{place.target.name}: compactors take in faster than this can read; again")


class _Search:
    def __init__(
        self, place: Place, engine: Engine, question: Question, work: Path, now: datetime
    ) -> None:
        self._place = place
        self._engine = engine
        self._question = question
        self._work = work
        self._now = now

    def run(self) -> Answer:
        there = [item.key for item in self._place.target.list(LANDING)]
        manifest = manifests.newest(self._place.target)
        waiting = [key for key in there if key not in manifest.taken and self._is_asked(key)]
        if len(waiting) > LANDED_MAX:
            raise TryAgainError(
                f"{self._place.target.name}: {len(waiting)} batches wait in landing/, more than a "
                "search reads; run `recorderd archive compact`"
            )
        problems = self._load(waiting)
        by_number = self._question.number is not None
        chosen = self._files(manifest.months if by_number else manifest.dates)
        rows = self._by_number(chosen) if by_number else self._by_time(chosen)
        limit = self._question.limit
        return Answer(
            calls=[_as_json(row) for row in reversed(rows[:limit])],
            has_more=len(rows) > limit,
            as_of=self._now.isoformat(timespec="seconds"),
            compacted_at=manifest.at or None,
            landed=len(waiting),
            problems=problems,
            sealed_sites=self._not_searched(manifest) if by_number else [],
            sealed_calls=self._sealed_calls(manifest) if by_number else 0,
        )

    def _is_asked(self, key: str) -> bool:
        """Whether a batch may hold what is asked for; what is none is read, so that it is told."""
        site = parse_landing_key(key)
        return site is None or not self._question.sites or site[0] in self._question.sites

    # ------------------------------------------------------------ what has landed

    def _load(self, keys: Iterable[str]) -> list[Problem]:
        problems: list[Problem] = []
        spool = self._work / "landed.jsonl"
        with spool.open("wb") as file:
            for key in keys:
                batch = read_batch(self._place.target, key, self._now)
                if batch is None:
                    raise _TakenMeanwhileError
                file.writelines(map(tables.spool_line, batch.rows))
                problems += batch.problems
        tables.load(self._engine, spool)
        return problems

    # ------------------------------------------------------------ the tables

    def _files(self, named: Tables) -> list[Piece]:
        """The files of the dates or months in which there may be calls of the time asked for.

        All of a date or month: one with a later revision counts also where it moved the call away.
        """
        since, until = (_plain(at) for at in (self._question.since, self._question.until))
        return [
            piece
            for pieces in named.values()
            if (until is None or min(piece.first for piece in pieces) < until)
            and (since is None or max(piece.last for piece in pieces) >= since)
            for piece in pieces
        ]

    def _sealed_calls(self, manifest: Manifest) -> int:
        """How many there are; by the table that has each call once, and not by its keys."""
        return sum(piece.sealed for piece in self._files(manifest.dates))

    def _paths(self, chosen: Iterable[Piece], values: Iterable[str]) -> list[str]:
        """Those of the files that can hold any of these keys, or sites."""
        wanted = list(values)
        return [self._place.where(piece.key) for piece in chosen if piece.may_hold(wanted)]

    def _by_number(self, chosen: list[Piece]) -> list[Row]:
        number = self._question.number
        assert number is not None
        keys = sorted({narrow_key(number)}.union(*self._question.keys.values()))
        shown = ", ".join(tables.SHOWN)
        self._engine.run(
            f"CREATE TEMP TABLE hits AS SELECT {shown} FROM {tables.landed_party()} "
            f"WHERE key IN ({', '.join(map(quoted, keys))})"
        )
        for asked in _asked_together(keys):
            if paths := self._paths(chosen, asked):
                self._engine.run(
                    f"INSERT INTO hits SELECT {shown} FROM {tables.files(paths)} "
                    f"WHERE {_is_one_of(asked)}"
                )
        revised = self._paths(chosen, [tables.REVISED])
        rows = self._newest("SELECT * FROM hits", self._revisions(revised))
        return [row for row in rows if row["sealed"] or numbers_match(row["number"], number)]

    def _revisions(self, paths: list[str]) -> str:
        """The later revisions of the calls that were hit, also where those lie under other keys."""
        revised = "SELECT site, call, revision FROM landed WHERE revision > 0"
        (hits,) = self._engine.rows("SELECT count(*) AS count FROM hits")
        if paths and hits["count"]:
            revised += (
                f" UNION ALL SELECT site, call, revision FROM {tables.files(paths)} "
                f"WHERE key = {quoted(tables.REVISED)}"
            )
        return revised

    def _by_time(self, chosen: list[Piece]) -> list[Row]:
        shown = ", ".join(tables.SHOWN)
        rows = f"SELECT {shown} FROM landed"
        sites = self._question.sites
        if paths := self._paths(chosen, sites or (piece.lowest for piece in chosen)):
            rows += f" UNION ALL SELECT {shown} FROM {tables.files(paths)}"
        return self._newest(
            rows, "SELECT site, call, revision FROM every", self._question.limit + 1
        )

    def _newest(self, rows: str, revisions: str, most: int = LOOKED_AT_MAX) -> list[Row]:
        """The highest revision of each call, where it is what was asked for, the newest first."""
        question = self._question
        asked: list[tuple[str, Any]] = [
            ("started_utc >= ?", _plain(question.since)),
            ("started_utc < ?", _plain(question.until)),
            ("line = ?", question.line),
            ("direction = ?", question.direction),
        ]
        tests = [(test, value) for test, value in asked if value is not None]
        sites = f"WHERE site IN ({', '.join(map(quoted, sorted(question.sites)))})"
        where = " AND ".join(["revision >= coalesce(newest, 0)", *(test for test, _ in tests)])
        return self._engine.rows(
            f"WITH every AS (SELECT * FROM ({rows}) {sites if question.sites else ''}), "
            f"revised AS (SELECT site, call, max(revision) AS newest FROM ({revisions}) "
            "WHERE revision > 0 GROUP BY ALL) "
            f"SELECT DISTINCT ON (site, call) {', '.join(tables.SHOWN)} "
            f"FROM every LEFT JOIN revised USING (site, call) WHERE {where} "
            f"ORDER BY started_utc DESC, site DESC, call DESC LIMIT {most}",
            [value for _, value in tests],
        )

    def _not_searched(self, manifest: Manifest) -> list[str]:
        """Sites with sealed calls for which no search key was given."""
        landed = tables.sealed_sites(self._engine)
        asked = self._question.sites
        sealed = (manifest.sealed_sites | landed) - self._question.keys.keys()
        return sorted(site for site in sealed if not asked or site in asked)


def _asked_together(keys: list[str]) -> list[list[str]]:
    """The keys, divided into as many reads as are worth it."""
    return [[key] for key in keys] if len(keys) <= KEYS_APART_MAX else [keys]


def _is_one_of(keys: list[str]) -> str:
    """DuckDB skips more row groups for an equation than for a list of one."""
    first, *others = map(quoted, keys)
    return f"key IN ({', '.join((first, *others))})" if others else f"key = {first}"


def _plain(at: datetime | None) -> str | None:
    """A moment as the tables have it: UTC without offset."""
    if at is None:
        return None
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


def _as_json(row: Row) -> Row:
    started = row["started_utc"].replace(tzinfo=UTC).isoformat(timespec="milliseconds")
    return {**row, "started_utc": started}
