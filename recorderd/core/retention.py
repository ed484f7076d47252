"""Which calls may be erased, by which rule, and in what order.

The order of what is stronger: a legal hold keeps a call whatever else is true; then, where an archive
is configured, a call that the archive has not confirmed is kept; then its age decides. Where space is
short, what has expired goes first, then the sound of calls that the archive has, oldest first: their
record stays here and their sound there. Nothing else is ever erased, and the rest is an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STANDARD = "standard"
"""The class of calls that nothing else is said of; its days are storage.retention_days."""

UNKNOWN = "unknown"
"""The class of a call whose record was lost: neither its line nor its age is known. It is kept."""

DAY_S = 86_400

Rule = Literal["age", "space"]
"""`age`: the call is erased. `space`: its sound is removed here, and stays in the archive."""

Reason = Literal["held", "not uploaded", "class unknown", "young", "no sound here"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says today."""

    days: Mapping[str, int]  # by class
    archive: str | None  # its URL
    free_min_bytes: int


@dataclass(frozen=True, slots=True)
class KeptCall:
    """What must be known of a call to judge it."""

    id: str
    retention: str  # its class
    age_s: int
    sound_bytes: int  # of its segments here
    is_held: bool
    is_confirmed: bool  # the archive has every segment


def judge(call: KeptCall, rules: Rules, *, is_short: bool) -> Rule | Reason:
    """The rule by which a call may go, or why it stays. `is_short`: space is needed."""
    days = rules.days.get(call.retention)
    if call.is_held:
        return "held"
    if rules.archive is not None and not call.is_confirmed:
        return "not uploaded"
    if days is None:
        return "class unknown"
    if call.age_s >= days * DAY_S:
        return "age"
    if not is_short or rules.archive is None:
        return "young"
    return "space" if call.sound_bytes else "no sound here"


def may_go(verdict: Rule | Reason) -> bool:
    """Whether a verdict is a rule to erase by."""
    return verdict in {"age", "space"}


def plan(calls: Iterable[KeptCall], rules: Rules, free_bytes: int) -> list[tuple[KeptCall, Rule]]:
    """What to erase now: all that has expired, then by space only as much as is needed."""
    oldest_first = sorted(calls, key=lambda call: (-call.age_s, call.id))
    chosen: list[tuple[KeptCall, Rule]] = []
    for call in oldest_first:
        if judge(call, rules, is_short=False) == "age":
            chosen.append((call, "age"))
            free_bytes += call.sound_bytes
    for call in oldest_first:
        if free_bytes >= rules.free_min_bytes:
            break
        if judge(call, rules, is_short=True) == "space":
            chosen.append((call, "space"))
            free_bytes += call.sound_bytes
    return chosen


# ---------------------------------------------------------------- the day on which the disk is full


@dataclass(frozen=True, slots=True)
class Growth:
    """One class: what its calls take a day, and for how many days more it grows, which it does until
    as much expires every day as is recorded."""

    bytes_per_day: int
    grows_days: float


def days_until_full(growths: Iterable[Growth], room_bytes: int) -> float | None:
    """In how many days `room_bytes` are used up; None: never, as things go."""
    if room_bytes <= 0:
        return 0.0
    passed = 0.0
    left = float(room_bytes)
    growing = sorted(
        (growth for growth in growths if growth.bytes_per_day > 0 and growth.grows_days > 0),
        key=lambda growth: growth.grows_days,
    )
    for index, growth in enumerate(growing):
        rate = sum(other.bytes_per_day for other in growing[index:])
        span = growth.grows_days - passed
        if rate * span >= left:
            return passed + left / rate
        left -= rate * span
        passed = growth.grows_days
    return None
