"""How the boxes are: what their heartbeats say, and which of them say nothing.

A heartbeat is the one object that a box replaces, and it is written by the box: what cannot be right
is told for that site, and the others go on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from recorderd.archive.layout import HEALTH, heartbeat_key, parse_heartbeat_key
from recorderd.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recorderd.archive.target import Target

FORM = 1
BYTES_MAX = 1 << 20
BEATS_MISSED_MAX = 4
"""A box that sends every quarter of an hour is silent after one; one upload may take one beat."""

EVERY_S_MIN, EVERY_S_MAX = 1, 86_400
AHEAD_MAX = timedelta(minutes=10)
"""A clock that is set is right within seconds; the central side's may be wrong too."""

BEHIND_AFTER = timedelta(hours=24)
"""A site may upload only at night."""


@dataclass(frozen=True, slots=True)
class Site:
    """One box as its last heartbeat tells it. `states` are what is not well with it."""

    name: str
    states: tuple[str, ...]  # unreadable, silent, sick, behind; none of them: ok
    reasons: tuple[str, ...]
    seen_at: str | None = None
    age_s: float | None = None
    heartbeat: dict[str, Any] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        return not self.states

    def as_json(self) -> dict[str, Any]:
        return {
            "site": self.name,
            "ok": self.is_ok,
            "states": list(self.states),
            "reasons": list(self.reasons),
            "seen_at": self.seen_at,
            "age_s": self.age_s,
            "heartbeat": self.heartbeat or None,
        }


class BadError(Exception):
    """A heartbeat that cannot be right."""


def sites(target: Target, known: Iterable[str], now: datetime) -> list[Site]:
    """Every site with a heartbeat, and those of `known` without one. Raises ArchiveError."""
    there = {name for item in target.list(HEALTH) if (name := parse_heartbeat_key(item.key))}
    return [
        _look_at(target, name, now)
        if name in there
        else Site(name, ("silent",), ("it has landed calls and never sent a heartbeat",))
        for name in sorted(there.union(known))
    ]


def _look_at(target: Target, name: str, now: datetime) -> Site:
    try:
        beat = parse(_read(target, name), name, now)
    except BadError as error:
        return Site(name, ("unreadable",), (f"its heartbeat {error}",))
    return judge(name, beat, now)


def _read(target: Target, name: str) -> bytes:
    data = b""
    try:
        for block in target.read(heartbeat_key(name)):
            data += block
            if len(data) > BYTES_MAX:
                raise BadError(f"has more than {BYTES_MAX} bytes")
    except RefusedError as error:
        raise BadError(f"cannot be read: {error}") from error
    return data


# ---------------------------------------------------------------- what it says


def parse(data: bytes, name: str, now: datetime) -> dict[str, Any]:
    """A heartbeat of this site whose keys that count have the right kinds, else BadError."""
    try:
        beat = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadError(f"is cut, or not JSON ({type(error).__name__})") from error
    if not isinstance(beat, dict) or beat.get("form") != FORM:
        raise BadError("is of an unknown form: update the central side, or look who wrote it")
    try:
        _check(beat)
        at = _moment(beat["at"])
        for text in (
            beat["queue"]["oldest_at"],
            *(each["last_recording_at"] for each in _lines(beat)),
        ):
            _require(text is None or _moment(text) is not None)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadError(f"holds something of another kind ({error})") from error
    if beat["site"] != name:
        raise BadError(f"says that it is of the site {beat['site'][:64]!r}: two boxes, one key?")
    if at - now > AHEAD_MAX:
        raise BadError(
            f"is from the future ({beat['at'][:40]}): set that box's clock, or this one's"
        )
    return beat


def _check(beat: dict[str, Any]) -> None:
    for key in ("site", "version", "at"):
        _require(type(beat[key]) is str)
    _require(type(beat["every_s"]) in {int, float})
    _require(EVERY_S_MIN <= beat["every_s"] <= EVERY_S_MAX)
    _require(type(beat["clock_synchronised"]) is bool)
    _require(all(type(each) is dict for each in _lines(beat)))
    queue = beat["queue"]
    _require(type(queue) is dict and type(queue["calls"]) is int and type(queue["parked"]) is int)
    disk = {} if beat["disk"] is None else beat["disk"]
    _require(type(disk) is dict)
    _require(isinstance(disk.get("free_mb"), int | float | None))
    _require(isinstance(disk.get("full_on"), str | None))
    _require(type(beat["alarms"]) is list and all(type(each) is str for each in beat["alarms"]))


def _lines(beat: dict[str, Any]) -> Iterator[dict[str, Any]]:
    _require(type(beat["lines"]) is dict)
    yield from beat["lines"].values()


def _require(condition: bool) -> None:  # noqa: FBT001  (it is the whole of the question)
    if not condition:
        raise TypeError("of another kind")


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without its offset")
    return at.astimezone(UTC)


# ---------------------------------------------------------------- what it means


def judge(name: str, beat: dict[str, Any], now: datetime) -> Site:
    """What is not well with a box."""
    age = now - _moment(beat["at"])
    found: list[tuple[str, str]] = []
    if age > timedelta(seconds=BEATS_MISSED_MAX * beat["every_s"]):
        found.append(("silent", f"it sends every {beat['every_s']:.0f} s, and nothing came since"))
    found += [("sick", alarm) for alarm in beat["alarms"]]
    if not beat["clock_synchronised"]:
        found.append(("sick", "its clock is not set"))
    queue = beat["queue"]
    if queue["parked"]:
        found.append(("behind", f"the archive refused {queue['parked']} of its calls"))
    if queue["oldest_at"] and now - _moment(queue["oldest_at"]) > BEHIND_AFTER:
        found.append((
            "behind",
            f"{queue['calls']} calls wait, the oldest since {queue['oldest_at']}",
        ))
    return Site(
        name=name,
        states=tuple(dict.fromkeys(state for state, _ in found)),
        reasons=tuple(reason for _, reason in found),
        seen_at=beat["at"],
        age_s=max(0.0, age.total_seconds()),
        heartbeat=beat,
    )
