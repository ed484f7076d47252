"""What will happen in one day: calls at two telephones, and everything that can go wrong.

A day follows from the seed and its number alone. Calls are worked out edge by edge by the simulated
exchange; every caller has a number of their own, so that one found at another call is found.
"""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from recorderd.sim.actions import Closure, Flash, Inbound, Outbound, Script, ScriptEvent
from recorderd.sim.exchange import (
    HookMoved,
    ReportArrived,
    SoundPlayed,
    happenings,
    network_of,
)
from recorderd.units import MonoNs, ms, seconds

if TYPE_CHECKING:
    from recorderd.sim.exchange import Happening

ZONE = ZoneInfo("Asia/Tokyo")
FIRST_DAY = datetime(2026, 11, 23, tzinfo=ZONE)
DAY_NS = seconds(86_400)
OPENS_S, CLOSES_S = 8 * 3600.0, 19 * 3600.0
LINES = ("front-desk", "back-office")
NUMBERS_BEGIN, NUMBER_CHARACTERS = b"0300", 10
CALLER_NAME = "TANAKA"
SEALING_SHARE = 1 / 3


@dataclass(slots=True)
class Told:
    """One call as the script has it, in true time."""

    line: str
    kind: str
    at: int
    ends: int
    off_at: int | None  # None: nobody lifts
    on_at: int | None
    number: str | None = None
    waiting: list[str] = field(default_factory=list)  # who rings in meanwhile


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something goes wrong at `at`, for `span_ns` where it lasts."""

    at: int
    kind: str
    span_ns: int
    line: str
    number: int = 0  # an errno, a count of operations, a choice


@dataclass(slots=True)
class Day:
    happenings: list[tuple[str, Happening]] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)


TROUBLES = {
    "disk-full": 10,
    "disk-failing": 10,
    "disk-read-only": 5,
    "power-cut": 8,
    "power-cut-in-write": 14,
    "killed": 4,
    "killed-in-write": 10,
    "stopped": 4,
    "clock-step": 10,
    "modem-lost": 5,
    "modem-garbage": 5,
    "modem-flood": 3,
    "card-lost": 8,
    "card-overrun": 6,
    "hook-chatter": 3,
    "wrong-configuration": 5,
    "other-configuration": 3,
}
CALLS = {
    "inbound": 40,
    "missed": 15,
    "outbound": 20,
    "dialled": 6,
    "closure": 4,
    "flash": 6,
    "waiting": 6,
    "glance": 3,
}


def plan_day(seed: int, day: int, country: str, troubles: int | None) -> Day:
    """The day with the given number, 0 the first; `troubles` None: as many as the seed chooses."""
    return _Planner(seed, day, country).plan(troubles)


def seals(seed: int) -> bool:
    """Whether the office of a seed seals its calls."""
    return random.Random(f"seal:{seed}").random() < SEALING_SHARE


def _pick(rng: random.Random, weights: dict[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


class _Planner:
    def __init__(self, seed: int, day: int, country: str) -> None:
        self._rng = random.Random(f"{seed}:{day}")
        self._midnight = day * DAY_NS
        self._country = country
        self._network = network_of(country)
        self._script = Script("simulate", FIRST_DAY + timedelta(days=day), seed, ())
        self._day = Day()
        self._numbers = day * 1000
        self._events = 0

    def plan(self, troubles: int | None) -> Day:
        for line in LINES:
            self._plan_line(line)
        some = self._rng.choice((0, 1, 2, 4, 6, 9, 14))
        self._plan_troubles(some if troubles is None else troubles)
        return self._day

    # ------------------------------------------------------------ calls

    def _plan_line(self, line: str) -> None:
        rng = self._rng
        at_s = OPENS_S + rng.expovariate(1 / 1800)
        pace_s = rng.choice((1800, 3600, 7200))
        while at_s < CLOSES_S:
            ends = self._plan_call(line, seconds(at_s), _pick(rng, CALLS))
            pause_s = rng.uniform(3, 12) if rng.random() < 0.3 else 12 + rng.expovariate(1 / pace_s)
            at_s = ends / 1e9 + pause_s

    def _plan_call(self, line: str, at_ns: int, kind: str) -> int:
        """Add one call; gives its end, from midnight."""
        found, number = self._call(at_ns, kind)
        talks = [
            sound for sound in found if isinstance(sound, SoundPlayed) and sound.sound == "talk"
        ]
        off_at = talks[0].at if talks else None
        on_at = talks[0].until if talks else None
        if kind in {"outbound", "dialled", "glance"}:
            off_at = MonoNs(at_ns)
        if kind == "glance":
            on_at = found[-1].at
        told = Told(line, kind, at_ns, found[-1].at, off_at, on_at, number)
        if kind == "flash" and off_at is not None and on_at is not None:
            found = found + self._flash(off_at, on_at)
        if kind == "waiting" and off_at is not None and on_at is not None:
            found = found + self._waiting(told, off_at, on_at)
        for moment in ("at", "ends", "off_at", "on_at"):
            value = getattr(told, moment)
            setattr(told, moment, None if value is None else value + self._midnight)
        self._day.told.append(told)
        self._day.happenings += [(line, happening) for happening in found]
        return max(happening.at for happening in found)

    def _call(self, at_ns: int, kind: str) -> tuple[list[Happening], str | None]:
        rng = self._rng
        if kind == "glance":  # lifted and put down at once
            off_s = rng.uniform(0.3, 4)
            return [
                HookMoved(MonoNs(at_ns), True),
                HookMoved(MonoNs(at_ns + seconds(off_s)), False),
            ], None
        if kind == "closure" and self._country == "JP":
            return self._expand(at_ns, Closure(seconds(rng.uniform(0.4, 5)))), None
        if kind in {"outbound", "dialled"}:
            return self._expand(at_ns, self._outbound(by_pulse=kind == "dialled")), None
        call = self._inbound(is_answered=kind != "missed", kind=kind)
        return self._expand(at_ns, call), call.number

    def _expand(self, at_ns: int, action: object) -> list[Happening]:
        self._events += 1
        event = ScriptEvent(at_ns, "", action, self._events)  # type: ignore[arg-type]
        return happenings(event, MonoNs(at_ns), self._script, self._network)

    def _talk_ns(self) -> int:
        rng = self._rng
        talk_s = rng.choice((rng.uniform(0.5, 3), rng.uniform(3, 15), rng.uniform(10, 40)))
        return seconds(rng.uniform(60, 150) if rng.random() < 0.03 else talk_s)

    def _outbound(self, *, by_pulse: bool) -> Outbound:
        rng = self._rng
        digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(3, 6)))
        return Outbound(digits, by_pulse, rng.choice((10, 20)), self._talk_ns())

    def _inbound(self, *, is_answered: bool, kind: str) -> Inbound:
        rng = self._rng
        way = rng.choice(("own", "own", "own", "between", "before", "none", "late"))
        if kind == "waiting":  # it must not be taken for the caller, known or not
            way = rng.choice(("own", "none"))
        talk_ns = self._talk_ns() + (seconds(14) if kind in {"flash", "waiting"} else 0)
        late_ns = None
        if way == "late" and is_answered:
            late_ns = min(talk_ns, seconds(rng.uniform(0.2, 5)))
        has_number = way != "none" and rng.random() < 0.85
        absence = rng.choice(("private", "payphone", "out-of-area", "unavailable"))
        return Inbound(
            number=self._new_number() if has_number else None,
            name=CALLER_NAME if has_number and rng.random() < 0.3 else None,
            absence=None if has_number or way == "none" else absence,
            rings=None if is_answered else rng.randint(1, 6),
            answer_ns=seconds(rng.uniform(0.2, 12)) if is_answered else None,
            talk_ns=talk_ns if is_answered else 0,
            late_id_ns=late_ns,
            caller_id=None if way in {"own", "late"} else way,  # type: ignore[arg-type]
        )

    def _new_number(self) -> str:
        self._numbers += 1
        return f"03{self._numbers:08d}"

    def _flash(self, off_at: int, on_at: int) -> list[Happening]:
        at = self._rng.randint(off_at + seconds(3), on_at - seconds(3))
        return self._expand(at, Flash(ms(self._rng.uniform(250, 600))))

    def _waiting(self, told: Told, off_at: int, on_at: int) -> list[Happening]:
        """Somebody else's report while the call goes on, too late to be its own."""
        number = self._new_number()
        told.waiting.append(number)
        at = MonoNs(self._rng.randint(off_at + seconds(8), on_at - seconds(2)))
        return [ReportArrived(at, (("DATE", "1123"), ("TIME", "1200"), ("NMBR", number)))]

    # ------------------------------------------------------------ troubles

    def _plan_troubles(self, count: int) -> None:
        rng = self._rng
        for _ in range(count):
            told = rng.choice(self._day.told)
            at = self._midnight + seconds(rng.uniform(OPENS_S - 3600, CLOSES_S + 3600))
            if rng.random() < 0.75:
                at = rng.randint(told.at - seconds(6), told.ends + seconds(8))
            self._day.troubles.append(self._trouble(at, _pick(rng, TROUBLES), told.line))

    def _trouble(self, at: int, kind: str, line: str) -> Trouble:
        rng = self._rng
        span_s = {
            "modem-lost": rng.uniform(2, 120),
            "card-lost": rng.uniform(0.5, 90),
            "card-overrun": rng.uniform(0.005, 0.9),
            "hook-chatter": rng.uniform(0.3, 4),
            "wrong-configuration": rng.uniform(5, 120),
            "clock-step": rng.uniform(20, 900),
            "power-cut": rng.uniform(12, 90),
            "power-cut-in-write": rng.uniform(12, 90),
            "killed": rng.uniform(1, 4),
            "killed-in-write": rng.uniform(1, 4),
            "stopped": rng.uniform(1, 10),
        }.get(kind, rng.choice((rng.uniform(0.5, 5), rng.uniform(3, 40), rng.uniform(40, 240))))
        numbers = {
            "disk-full": errno.ENOSPC,
            "disk-failing": errno.EIO,
            "disk-read-only": errno.EROFS,
            "power-cut-in-write": rng.randint(0, 30),
            "killed-in-write": rng.randint(0, 30),
        }
        return Trouble(at, kind, seconds(span_s), line, numbers.get(kind, rng.randint(0, 1 << 30)))
