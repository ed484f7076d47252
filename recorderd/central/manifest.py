"""Which files the catalogue is made of: a numbered object for each state, and the newest one counts.

`catalogue/manifest/<12 digits>.json` is put only where nothing lies, so of two compactors that have
seen the same state one comes first, and the other begins again from what the first one made of it. A
compactor that slept while others went on could still find its number free, because old manifests are
removed; so a manifest counts only where the one before it is still there after it was put, and the
first of all is never removed.

`taken` are landing batches whose rows are in the tables and that may still lie in landing/. A file
that a merge has superseded stays in `superseded` for a grace time, for a reader may have begun with an
older manifest. A file that no manifest names is swept when it is as old.
"""

from __future__ import annotations

import json
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from recorderd.archive.target import content_of_bytes
from recorderd.errors import ExistsError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from recorderd.archive.target import Target

FORM = 1
PREFIX = "catalogue/manifest/"

KEPT = 20
"""Manifests; each compaction writes a few, so this is some hours in which a lost one can be looked at."""

GRACE = timedelta(hours=24)
"""No search takes so long, and no compactor works so long on one step."""

NUMBER_MAX = 10**12 - 1
_KEY = re.compile(r"catalogue/manifest/(\d{12})\.json")


@dataclass(frozen=True, slots=True)
class Piece:
    """One Parquet file of a table. What was written in one step for one date or month is a run: one
    piece, or several that divide its keys among them."""

    key: str
    run: str  # the same for all pieces of a run
    level: int  # how often its rows were merged
    rows: int
    lowest: str  # of what the table is sorted by: the keys in `party`, the sites in `calls`
    highest: str  # inclusive; several pieces may hold one key, where it has very many rows
    first: str  # of started_utc, ISO 8601 in UTC without offset
    last: str
    sealed: int  # rows of sealed calls
    erased_since: (
        str | None
    )  # when it came to hold an erasure whose call is in another run, perhaps

    def may_hold(self, values: Iterable[str]) -> bool:
        """Whether any of these keys or sites can be in it."""
        return any(self.lowest <= value <= self.highest for value in values)


Tables = dict[str, tuple[Piece, ...]]
"""The pieces of a table, by date or month."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One state of the catalogue. `dates` and `months` are its two tables."""

    number: int = 0
    at: str = ""
    writer: str = ""  # tells two manifests with one content apart
    dates: Tables = field(default_factory=dict)
    months: Tables = field(default_factory=dict)
    superseded: Mapping[str, str] = field(default_factory=dict)  # since when, by key
    taken: AbstractSet[str] = frozenset()
    sites: AbstractSet[str] = frozenset()  # all that ever landed a call
    sealed_sites: AbstractSet[str] = frozenset()  # those with a sealed one

    def next(self, at: datetime, **changed: Any) -> Manifest:
        """The state that follows; what was superseded longer ago than the grace time is forgotten."""
        successor = replace(
            self,
            **{
                "number": self.number + 1,
                "at": at.isoformat(timespec="seconds"),
                "writer": secrets.token_hex(8),
                **changed,
            },
        )
        past = (at - GRACE).isoformat(timespec="seconds")
        recent = {key: since for key, since in successor.superseded.items() if since > past}
        return replace(successor, superseded=recent)

    def named(self) -> set[str]:
        """The keys of all files that a reader of this or a recent manifest needs."""
        tables = (self.dates, self.months)
        pieces = (piece for table in tables for each in table.values() for piece in each)
        return {piece.key for piece in pieces} | set(self.superseded)


def key_of(number: int) -> str:
    assert 0 < number <= NUMBER_MAX
    return f"{PREFIX}{number:012d}.json"


def numbers(target: Target) -> list[int]:
    """The numbers of the manifests that are there, ascending."""
    found = (_KEY.fullmatch(listed.key) for listed in target.list(PREFIX))
    return sorted(int(match[1]) for match in found if match)


def newest(target: Target) -> Manifest:
    """The state of the catalogue; an archive without one has an empty one."""
    there = numbers(target)
    return read(target, there[-1]) if there else Manifest()


def read(target: Target, number: int) -> Manifest:
    """One manifest. RefusedError where it cannot be read."""
    key = key_of(number)
    try:
        return parse(b"".join(target.read(key)), number)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RefusedError(
            f"{target.name}: {key} is not a manifest of the catalogue ({error!r}); a newer recorderd "
            "may have written it, or somebody else: remove it if the one before it is whole"
        ) from error


def commit(target: Target, manifest: Manifest) -> None:
    """Make a state the newest, durable when this returns; ExistsError where another one came first."""
    data = as_bytes(manifest)
    key = key_of(manifest.number)
    with suppress(ExistsError):  # it is ours where an acknowledgement was lost
        target.put(key, content_of_bytes(data))
    # Asked in any case: a mounted archive does not tell two writers of one key apart at every moment.
    if b"".join(target.read(key)) != data:
        raise ExistsError(f"{target.name}: {key} is another compactor's")
    if manifest.number > 1 and target.look(key_of(manifest.number - 1)) is None:
        raise ExistsError(f"{target.name}: others went on from {key} long ago")


def prune(target: Target) -> None:
    """Remove old manifests, in their order; the first of all stays."""
    for number in numbers(target)[:-KEPT]:
        if number > 1 and not removed(target, key_of(number)):
            return


def removed(target: Target, key: str) -> bool:
    """Remove an object; False where the archive keeps it (a lock, or no right to remove)."""
    try:
        target.remove(key)
    except RefusedError:
        return False
    return True


# ---------------------------------------------------------------- its form


def as_bytes(manifest: Manifest) -> bytes:
    return json.dumps(
        {
            "form": FORM,
            "number": manifest.number,
            "at": manifest.at,
            "writer": manifest.writer,
            "dates": _json_tables(manifest.dates),
            "months": _json_tables(manifest.months),
            "superseded": dict(manifest.superseded),
            "taken": sorted(manifest.taken),
            "sites": sorted(manifest.sites),
            "sealed_sites": sorted(manifest.sealed_sites),
        },
        separators=(",", ":"),
    ).encode()


def _json_tables(tables: Tables) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [{each: getattr(piece, each) for each in Piece.__slots__} for piece in pieces]
        for name, pieces in sorted(tables.items())
    }


def parse(data: bytes, number: int) -> Manifest:
    """The other way round. Raises ValueError, KeyError, TypeError or AttributeError."""
    found = json.loads(data)
    if found["form"] != FORM or found["number"] != number:
        raise ValueError(f"form {found['form']!r}, number {found['number']!r}")
    return Manifest(
        number=number,
        at=found["at"],
        writer=found["writer"],
        dates=_tables(found["dates"]),
        months=_tables(found["months"]),
        superseded=dict(found["superseded"]),
        taken=frozenset(found["taken"]),
        sites=frozenset(found["sites"]),
        sealed_sites=frozenset(found["sealed_sites"]),
    )


def _tables(found: dict[str, list[dict[str, Any]]]) -> Tables:
    return {name: tuple(Piece(**each) for each in pieces) for name, pieces in found.items()}


# ---------------------------------------------------------------- names of files


_PIECE = re.compile(
    r"catalogue/(?:calls/date|party/month)=[0-9-]+/(\d{8}T\d{6})-[0-9a-f]{16}\.parquet"
)


def piece_key(table: str, partition: str, at: datetime) -> str:
    """A new name: with its time, by which an orphan is known, and nobody else's."""
    stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
    return f"catalogue/{table}={partition}/{stamp}-{secrets.token_hex(8)}.parquet"


def made_at(key: str) -> datetime | None:
    """When a Parquet file was made; None where the name is not one of ours."""
    match = _PIECE.fullmatch(key)
    if match is None:
        return None
    return datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def sweep(target: Target, manifest: Manifest, now: datetime) -> int:
    """Remove the files that no recent manifest names, after the grace time; how many there were."""
    named = manifest.named()
    swept = 0
    for prefix in ("catalogue/calls/", "catalogue/party/"):
        for key in _unnamed(target, prefix, named, now):
            swept += removed(target, key)
    return swept


def _unnamed(target: Target, prefix: str, named: set[str], now: datetime) -> list[str]:
    found = (listed.key for listed in target.list(prefix))
    return [
        key
        for key in found
        if key not in named and (at := made_at(key)) is not None and now - at > GRACE
    ]


def is_stale(keys: Iterable[str], now: datetime) -> bool:
    """Whether files are so old that another compactor may sweep them before they are named."""
    return any(now - at > GRACE / 2 for key in keys if (at := made_at(key)))
