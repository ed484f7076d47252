"""Compaction: what boxes have landed becomes sorted Parquet files, and many small ones become few.

One step after the other, each ended by a manifest: a round takes in so many batches; then runs are
merged; then what nobody needs is removed. Nothing is removed before the manifest that supersedes it is
durable, and each step can be done again from its beginning: a crash leaves files that no manifest
names (they are swept) or batches that are taken and still there (they are removed the next time). Two
compactors may work at one time: whose manifest comes second begins its step again.

Runs are merged as in a log-structured merge tree: four of one level become one of the next, so a row
is written once a level, and a date or month has three files of a level at most. A call that is erased
must leave the files too: where erasures came in, all runs of that date or month become one, some hours
later, for erasures come all day. And a date or month that is over becomes one, for it is read most.
"""

from __future__ import annotations

import dataclasses
import secrets
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from recorderd.archive.layout import LANDING
from recorderd.archive.target import content_of_file
from recorderd.central import manifest as manifests
from recorderd.central import tables
from recorderd.central.engine import MEMORY_MB
from recorderd.central.landing import read_batch
from recorderd.central.manifest import Piece
from recorderd.disk import files
from recorderd.errors import ExistsError, RefusedError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from recorderd.archive.target import Target
    from recorderd.central.engine import Engine
    from recorderd.central.landing import Problem
    from recorderd.central.manifest import Manifest, Tables
    from recorderd.central.place import Place
    from recorderd.central.tables import Range

    Made = tuple[str, str, Piece]  # of a table, of a date or month

FANOUT = 4
"""Runs of one level that become one. A month of hourly runs is written five times over."""

ROUND_BATCHES, ROUND_ROWS = 5_000, 500_000
"""What one round takes in: some hundred megabytes of disk, some minutes to lose in a crash."""

PURGE_AFTER = timedelta(hours=6)
"""From an erasure to the files without the call; what they supersede goes after the grace time."""

SETTLED_AFTER = timedelta(days=3)
SETTLED_AGAIN = timedelta(days=1)
"""What is over so long becomes one file, so that a search in it costs least; not more than once a day."""

TAKEN_MAX = 100_000
"""Batches that are taken and still there: each manifest lists them, with 60 bytes a piece."""

RANGE_ROWS = 400_000
"""Rows that are sorted at one time, and in one file at most: with a million of them 512 MB did
not always do (README.md), so this is well below what MEMORY_MB (engine.py) holds; the
footer of their file is some hundred kilobytes, which is what a search reads first."""

SPOOL = "landed.jsonl"

OVERTAKEN_MAX = 20
"""Times in a row that another compactor may come first; more is no accident."""


@dataclass(slots=True)
class Report:
    """What a compaction did."""

    batches: int = 0
    rows: int = 0
    merges: int = 0
    removed: int = 0  # batches
    kept: int = 0  # batches that the archive will not remove
    swept: int = 0  # files that nobody needs any more
    problems: list[Problem] = field(default_factory=list)


def utc_now() -> datetime:
    return datetime.now(UTC)


def compact(
    place: Place,
    work: Path | None = None,
    now: Callable[[], datetime] = utc_now,
    tell: Callable[[str], None] = lambda _text: None,
    memory_mb: int = MEMORY_MB,
    range_rows: int = RANGE_ROWS,
) -> Report:
    """Take in all that has landed, merge, and tidy. Raises ArchiveError and StoreError.

    `work` is where temporary files go: a round's rows, and what sorting `range_rows` takes.
    """
    with (
        TemporaryDirectory(prefix="recorderd-compact-", dir=work) as folder,
        closing(place.engine(Path(folder), memory_mb)) as engine,
    ):
        compaction = _Compaction(place, engine, Path(folder), now, tell, range_rows)
        return compaction.run()


class _Compaction:
    def __init__(
        self,
        place: Place,
        engine: Engine,
        work: Path,
        now: Callable[[], datetime],
        tell: Callable[[str], None],
        range_rows: int,
    ) -> None:
        self._place = place
        self._target: Target = place.target
        self._engine = engine
        self._work = work
        self._now = now
        self._tell = tell
        self._range_rows = range_rows
        self._overtaken = 0
        self._judged: set[str] = set()  # batches with problems, which stay where they are
        self._report = Report()

    def run(self) -> Report:
        while self._again(self._take_in):
            pass
        while self._again(self._merge):
            pass
        while self._again(self._tidy):
            pass
        return self._report

    def _again(self, step: Callable[[], bool]) -> bool:
        """One step; whether there is more to do. Who was overtaken begins it anew."""
        try:
            more = step()
        except ExistsError:
            self._overtaken += 1
            if self._overtaken > OVERTAKEN_MAX:
                raise TryAgainError(
                    f"{self._target.name}: other compactors always come first; let one run at a time"
                ) from None
            return True
        self._overtaken = 0
        return more

    # ------------------------------------------------------------ taking in

    def _take_in(self) -> bool:
        """A round of batches. The manifest is read before the listing: what is listed and not taken
        was not taken before, and what is taken since makes this round's manifest come second."""
        old = manifests.newest(self._target)
        listed = {item.key for item in self._target.list(LANDING)}
        taken = old.taken & listed
        keys = sorted(listed - old.taken - self._judged)
        if not keys:
            return False
        if len(taken) >= TAKEN_MAX:
            raise RefusedError(
                f"{self._target.name}: {len(taken)} batches in landing/ are in the tables and cannot be "
                "removed; let these credentials remove what is below landing/"
            )
        batches, problems = self._spool(keys)
        self._judged |= {problem.key for problem in problems}
        self._report.problems += problems
        sites, sealed = set(old.sites), set(old.sealed_sites)
        made: list[Made] = []
        if (self._work / SPOOL).stat().st_size:
            tables.load(self._engine, self._work / SPOOL)
            made = self._write_landed(old)
            sites |= tables.sites(self._engine)
            sealed |= tables.sealed_sites(self._engine)
        if made or batches:
            self._commit(old, made, taken=taken | batches, sites=sites, sealed_sites=sealed)
        self._report.batches += len(batches)
        self._report.rows += sum(each.rows for table, _, each in made if table == tables.CALLS)
        self._tell(f"{self._report.rows} rows of {self._report.batches} batches")
        self._remove(batches)
        return True

    def _spool(self, keys: Iterable[str]) -> tuple[set[str], list[Problem]]:
        """Read and judge as many batches as a round takes, and put their rows into a file.

        The keys of those without a problem, and the problems of the others.
        """
        whole: set[str] = set()
        problems: list[Problem] = []
        rows = 0
        path = self._work / SPOOL
        with files.guarded(path), path.open("wb") as spool:
            for key in keys:
                batch = read_batch(self._target, key, self._now())
                if batch is None:
                    continue
                spool.writelines(map(tables.spool_line, batch.rows))
                rows += len(batch.rows)
                problems += batch.problems
                if not batch.problems:
                    whole.add(key)
                if rows >= ROUND_ROWS or len(whole) + len(problems) >= ROUND_BATCHES:
                    break
        return whole, problems

    def _write_landed(self, old: Manifest) -> list[Made]:
        """Write what is new of the round's rows, a run for each date and month."""
        dates = tables.dates(self._engine)
        known = [piece.key for day in dates for piece in old.dates.get(day, ())]
        tables.compare(self._engine, self._where(known))
        made: list[Made] = []
        for table, partition, erases in tables.partitions(self._engine):
            since = stamp(self._now()) if erases else None
            source = tables.landed_of(table, partition)
            ranges = tables.ranges(self._engine, table, source, self._range_rows)
            made += self._write(table, partition, source, ranges, level=0, erased_since=since)
        return made

    def _remove(self, batches: Iterable[str]) -> None:
        """Remove batches whose rows are in the tables. One that the archive keeps stays taken."""
        for key in sorted(batches):
            if manifests.removed(self._target, key):
                self._report.removed += 1
            else:
                self._report.kept += 1

    # ------------------------------------------------------------ merging

    def _merge(self) -> bool:
        """Merge the runs of one date or month where there are too many, or erased calls in them."""
        old = manifests.newest(self._target)
        for table, partition, pieces in _partitions(old):
            chosen = self._chosen(partition, pieces)
            if chosen:
                made = self._write_merged(table, partition, chosen, is_whole=chosen == pieces)
                self._commit(old, made, gone={piece.key for piece in chosen})
                self._report.merges += 1
                self._tell(f"merged {len(_runs(chosen))} runs of {partition}")
                return True
        return False

    def _write_merged(
        self, table: str, partition: str, chosen: tuple[Piece, ...], *, is_whole: bool
    ) -> list[Made]:
        """Write the rows of some runs as one; its ranges are counted before calls that were amended
        are dropped, so they may be smaller, and not larger."""
        paths = self._where(piece.key for piece in chosen)
        ranges = tables.ranges(self._engine, table, tables.files(paths), self._range_rows)
        tables.revise(self._engine, table, paths)
        source = tables.merged(table, paths, is_whole=is_whole)
        left = () if is_whole else filter(None, (piece.erased_since for piece in chosen))
        is_higher = not is_whole or len(_runs(chosen)) >= FANOUT
        level = max(piece.level for piece in chosen) + is_higher
        since = min(left, default=None)
        return self._write(table, partition, source, ranges, level=level, erased_since=since)

    def _chosen(self, partition: str, pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
        """The pieces of the runs to merge, all or those of one level; empty: none."""
        due = stamp(self._now() - PURGE_AFTER)
        if any(each.erased_since is not None and each.erased_since <= due for each in pieces):
            return pieces
        if len(_runs(pieces)) > 1 and self._is_settled(partition, pieces):
            return pieces
        for level in sorted({piece.level for piece in pieces}):
            same = tuple(piece for piece in pieces if piece.level == level)
            if len(_runs(same)) >= FANOUT:
                return same
        return ()

    def _is_settled(self, partition: str, pieces: tuple[Piece, ...]) -> bool:
        """Whether a date or month is over, and was not made one within a day: calls still come from
        boxes that were away."""
        first = date.fromisoformat(f"{partition}-01"[:10])
        days = 1 if len(partition) > len("2026-07") else 31
        now = self._now()
        runs = _runs(pieces).values()
        largest = max(runs, key=lambda run: sum(piece.rows for piece in run))
        made_at = manifests.made_at(largest[0].key)
        is_over = now.date() > first + timedelta(days=days) + SETTLED_AFTER
        return is_over and (made_at is None or now - made_at >= SETTLED_AGAIN)

    # ------------------------------------------------------------ tidying

    def _tidy(self) -> bool:
        """Remove what is left: batches of a crash, files and manifests that nobody needs any more."""
        old = manifests.newest(self._target)
        there = old.taken & {item.key for item in self._target.list(LANDING)}
        self._report.kept = 0
        self._remove(there)
        left = there & {item.key for item in self._target.list(LANDING)} if there else there
        if (left, old.next(self._now()).superseded) != (old.taken, old.superseded):
            old = self._commit(old, [], taken=left)
        if old.number:
            self._report.swept += manifests.sweep(self._target, old, self._now())
            manifests.prune(self._target)
        return False

    # ------------------------------------------------------------ files and manifests

    def _where(self, keys: Iterable[str]) -> list[str]:
        return [self._place.where(key) for key in keys]

    def _write(
        self,
        table: str,
        partition: str,
        source: str,
        ranges: Iterable[Range],
        *,
        level: int,
        erased_since: str | None,
    ) -> list[Made]:
        """Write a run, range by range, and put it where it belongs; no manifest names it yet."""
        path = self._work / "piece.parquet"
        run = secrets.token_hex(8)
        made: list[Made] = []
        for each in ranges:
            rows = f"(SELECT * FROM {source} WHERE {each.where()})"
            written = tables.write(self._engine, table, rows, path)
            if written is not None:
                key = manifests.piece_key(table, partition, self._now())
                self._target.put(key, content_of_file(path, files.sha256_of(path)))
                about = dataclasses.asdict(written)
                piece = Piece(key=key, run=run, level=level, erased_since=erased_since, **about)
                made.append((table, partition, piece))
        return made

    def _commit(
        self,
        old: Manifest,
        made: Iterable[Made],
        gone: AbstractSet[str] = frozenset(),
        **changed: Any,
    ) -> Manifest:
        """Let pieces be named, and others no more. ExistsError where another compactor came first."""
        now = self._now()
        if manifests.is_stale((piece.key for _, _, piece in made), now):
            raise TryAgainError(
                f"{self._target.name}: a step of the compaction took more than half a day; its files "
                "could be swept by now, and it is not made valid: run it again"
            )
        there = {tables.CALLS: dict(old.dates), tables.PARTY: dict(old.months)}
        for named in there.values():
            for partition, pieces in list(named.items()):
                named[partition] = tuple(piece for piece in pieces if piece.key not in gone)
        for table, partition, piece in made:
            there[table][partition] = (*there[table].get(partition, ()), piece)
        new = old.next(
            now,
            dates=_filled(there[tables.CALLS]),
            months=_filled(there[tables.PARTY]),
            superseded={**old.superseded, **dict.fromkeys(gone, stamp(now))},
            **changed,
        )
        manifests.commit(self._target, new)
        return new


def stamp(at: datetime) -> str:
    """A moment as manifests have it: text that sorts as time."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _filled(named: Tables) -> Tables:
    return {partition: pieces for partition, pieces in named.items() if pieces}


def _runs(pieces: Iterable[Piece]) -> dict[str, list[Piece]]:
    """The pieces of each run."""
    runs: dict[str, list[Piece]] = {}
    for piece in pieces:
        runs.setdefault(piece.run, []).append(piece)
    return runs


def _partitions(manifest: Manifest) -> Iterator[tuple[str, str, tuple[Piece, ...]]]:
    for table, named in ((tables.CALLS, manifest.dates), (tables.PARTY, manifest.months)):
        for partition, pieces in named.items():
            yield table, partition, pieces
