"""The keeper: lets time pass, looks how full the disk is, erases what retention says, and files what
the start could not.

It works on the writer's thread, in small steps between those of calls, and a few milliseconds at a
time. What may go is decided in core/retention.py, how old a call is in core/boxtime.py, and how a call is
erased in store/erasing.py. A step that the disk refuses is told, and all is looked at anew a minute
later: what was begun is finished first.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from recorderd.core.boxtime import SAVE_EVERY_NS
from recorderd.core.retention import DAY_S, UNKNOWN, Growth, KeptCall, days_until_full, plan
from recorderd.disk import files
from recorderd.errors import StoreError
from recorderd.events import DiskMeasured, StoreAlarm
from recorderd.store.boxtime import save_age
from recorderd.store.catalogue import DamagedError, box_time_of
from recorderd.store.erasing import Sentence, begun, erase, finish, sound_bytes
from recorderd.store.holds import is_held
from recorderd.store.names import without_number
from recorderd.store.receipts import is_confirmed
from recorderd.store.recovery import finish_call
from recorderd.store.signing import damaged_key
from recorderd.units import MB, NS_PER_S, iso, later, to_datetime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo
    from pathlib import Path

    from recorderd.core.boxtime import AgeClock
    from recorderd.core.retention import Rules
    from recorderd.events import AlarmTopic
    from recorderd.ports import Post
    from recorderd.store.books import Books
    from recorderd.store.catalogue import Entry
    from recorderd.store.recovery import RecoveryReport
    from recorderd.units import ClockReading, MonoNs

MEASURE_EVERY_NS = 60 * NS_PER_S
LOOK_EVERY_NS = 3600 * NS_PER_S
"""An hour, so that a box that is switched off at night gets to it too."""

FIRST_LOOK_NS = 60 * NS_PER_S
"""After a start there are more urgent things."""

ROOM_EVERY_NS = 600 * NS_PER_S
"""Where space is short and nothing more may go, all calls are looked at again after this."""

SEARCHING = "looking for what may be erased"

BUDGET_NS = 50_000_000
"""No new step is begun after this much of a pump: the ring and the commands wait meanwhile."""

STEPS_PER_PUMP = 100

PAGE = 25
"""Calls looked at in one step."""

GROWTH_EVERY_NS = 24 * LOOK_EVERY_NS

GROWTH_DAYS = 7
"""What the calls of so many days took is what the next ones will take."""


RESERVE = ".reserve"
RESERVE_BYTES = 1 << 18
"""Room for the text record of an erased call where something has filled the disk to its last byte:
without it nothing could be erased any more."""


class Keeper:
    """See above. `rules` is replaced when the configuration is."""

    def __init__(
        self,
        directory: Path,
        zone: tzinfo,
        rules: Rules,
        books: Books,
        age: AgeClock,
        read_clock: Callable[[], ClockReading],
        post: Post,
        recovered: RecoveryReport,
    ) -> None:
        self.rules = rules
        self._directory = directory
        self._zone = zone
        self._books = books
        self._age = age
        self._read_clock = read_clock
        self._post = post
        self._left = dict(recovered.left)  # by the start; id -> why
        self._strange = [text for text in recovered.problems if text not in self._left.values()]
        self._reading = read_clock()
        now = self._reading.mono
        self._work: Iterator[None] | None = self._begin()
        self._measure_at = now
        self._save_at = later(now, SAVE_EVERY_NS)
        self._look_at = later(now, FIRST_LOOK_NS)
        self._room_at = self._growth_at = now
        self._free_bytes: int | None = None
        self._search = SEARCHING
        self._refused: str | None = None  # why a call could not be erased
        self._growths: list[Growth] | None = None
        self._alarms: dict[str, str] = {}
        self._is_dirty = True  # numbers of erased calls may be in the log of the catalogue

    def pump(self, now: MonoNs) -> None:
        """Do what is due, for a moment."""
        if self._work is None and now < self._measure_at and now < self._look_at:
            return
        started = self._read_clock().mono
        if now >= self._measure_at:
            self._measure()
        if self._work is None and now >= self._look_at:
            self._look_at = later(now, LOOK_EVERY_NS)
            self._work = self._look()
        for _ in range(STEPS_PER_PUMP):
            if self._work is None or self._read_clock().mono - started > BUDGET_NS:
                break
            self._step(now)

    def close(self) -> None:
        """Keep the time that went by. Work that is left is gone on with at the next start."""
        self._age.update(self._read_clock())
        self._save()

    def _step(self, now: MonoNs) -> None:
        assert self._work is not None
        try:
            next(self._work)
        except StopIteration:
            self._work = None
        except StoreError as error:
            self._work = None
            self._look_at = later(now, MEASURE_EVERY_NS)
            self._alarm("retention", str(error))
            if isinstance(error, DamagedError):
                self._books.close_catalogue()

    # ------------------------------------------------------------ time and space

    def _measure(self) -> None:
        self._reading = self._read_clock()
        self._measure_at = later(self._reading.mono, MEASURE_EVERY_NS)
        self._age.update(self._reading)
        if self._reading.mono >= self._save_at:
            self._save()
        try:
            self._free_bytes = free_bytes(self._directory)
        except StoreError as error:
            self._alarm("disk", str(error))
            return
        self._keep_reserve(self._free_bytes)
        if self._is_short():
            self._alarm("disk", f"{self._shortage()}; {self._search}")
            if self._reading.mono >= self._room_at:
                self._room_at = later(self._reading.mono, ROOM_EVERY_NS)
                self._look_at = self._reading.mono
        else:
            self._search = SEARCHING
            self._alarm("disk", None)
        self._foretell()

    def _keep_reserve(self, free: int) -> None:
        path = self._directory / RESERVE
        try:
            if free < MB:
                files.remove_durable(path)
            elif free > 8 * MB and not path.exists():
                files.write_durable(path, bytes(RESERVE_BYTES))
        except StoreError as error:
            self._alarm("disk", str(error))

    def _save(self) -> None:
        try:
            save_age(self._directory, self._age.state())
        except StoreError as error:
            self._alarm("age", str(error))
        else:
            self._alarm("age", None)
            self._save_at = later(self._reading.mono, SAVE_EVERY_NS)

    def _is_short(self) -> bool:
        return self._free_bytes is not None and self._free_bytes < self.rules.free_min_bytes

    def _shortage(self) -> str:
        assert self._free_bytes is not None
        free_mb, wanted_mb = self._free_bytes // MB, self.rules.free_min_bytes // MB
        return f"{free_mb} MB free, below free_min_mb = {wanted_mb}"

    def _foretell(self) -> None:
        assert self._free_bytes is not None
        per_day, full_on = None, None
        if self._growths is not None:
            per_day = round(sum(growth.bytes_per_day for growth in self._growths) / MB, 1)
            days = days_until_full(self._growths, self._free_bytes - self.rules.free_min_bytes)
            today = to_datetime(self._reading.wall, self._zone).date()
            with suppress(OverflowError):  # in more years than a date can say
                full_on = None if days is None else (today + timedelta(days)).isoformat()
        free_mb = self._free_bytes // MB
        self._post(DiskMeasured(self._reading.mono, free_mb, per_day, full_on))

    # ------------------------------------------------------------ erasing

    def _begin(self) -> Iterator[None]:
        yield from self._finish_left()
        yield from self._finish_begun()
        yield from self._measure_growth()

    def _look(self) -> Iterator[None]:
        """Everything there is to do, a small step at a time."""
        self._refused = None
        yield from self._finish_left()
        yield from self._finish_begun()
        yield from self._erase_expired()
        if self._is_dirty:
            self._is_dirty = not self._books.catalogue.scrub()
            yield
        self._free_bytes = free_bytes(self._directory)
        if self._is_short():
            yield from self._make_room()
        if self._reading.mono >= self._growth_at:
            yield from self._measure_growth()
        self._alarm("retention", self._refused or self._unknown_classes())
        self._alarm("key", damaged_key(self._directory))

    def _finish_left(self) -> Iterator[None]:
        """File the calls that the start could not, which lie in open/."""
        for call_id in list(self._left):
            try:
                yield from finish_call(self._directory, self._zone, self._books, call_id)
            except DamagedError:
                raise
            except StoreError as error:
                self._left[call_id] = str(error)
                self._look_at = min(self._look_at, later(self._reading.mono, MEASURE_EVERY_NS))
            else:
                del self._left[call_id]
        self._alarm("recovery", self._not_recovered())

    def _not_recovered(self) -> str | None:
        texts = []
        if self._left:
            why = next(iter(self._left.values()))
            calls = "1 call" if len(self._left) == 1 else f"{len(self._left)} calls"
            texts.append(
                f"not filed yet: {calls} from before the start; it is tried again every minute: {why}"
            )
        if self._strange:
            texts += [*self._strange, "mend that, then restart recorderd"]
        return "; ".join(texts) or None

    def _finish_begun(self) -> Iterator[None]:
        for folder in begun(self._directory):
            self._is_dirty = True
            yield from self._tried(finish(self._directory, folder, self._books))

    def _erase_expired(self) -> Iterator[None]:
        """Class by class: no call with a position above the bound can have expired."""
        for name, days in self.rules.days.items():
            bound = self._age.bound(days * DAY_S * NS_PER_S) // NS_PER_S
            for page in self._pages(retention=name, until_s=bound):
                yield from self._erase(page, self.rules.free_min_bytes)
                yield

    def _make_room(self) -> Iterator[None]:
        """The sound of calls that the archive has, oldest first, until there is room."""
        for page in self._pages():
            yield from self._erase(page, free_bytes(self._directory))
            self._free_bytes = free_bytes(self._directory)
            if not self._is_short():
                self._alarm("disk", None)
                return
            yield
        self._search = (
            "nothing more may be erased: what is left is too young, held, or not in the archive "
            "yet. Take other files off the disk, use a larger one, or lower storage.retention_days"
        )
        self._alarm("disk", f"{self._shortage()}; {self._search}")

    def _erase(self, page: list[Entry], free: int) -> Iterator[None]:
        """What may go of a page of calls where `free` bytes are free."""
        folders = {entry.record["id"]: entry.folder for entry in page}
        for call, rule in plan(self._judged(page), self.rules, free):
            sentence = Sentence(
                rule=rule,
                days=self.rules.days.get(call.retention),
                at=iso(self._reading.wall, self._zone),
                box_time_s=self._age.position(self._reading.mono) // NS_PER_S,
            )
            self._is_dirty = True
            yield from self._tried(erase(self._directory, folders[call.id], self._books, sentence))

    def _tried(self, steps: Iterator[None]) -> Iterator[None]:
        """One call that cannot be erased is told, and keeps no other one here."""
        try:
            yield from steps
        except DamagedError:
            raise
        except StoreError as error:
            self._refused = self._refused or without_number(str(error))
            self._look_at = min(self._look_at, later(self._reading.mono, MEASURE_EVERY_NS))

    def _judged(self, page: list[Entry]) -> list[KeptCall]:
        archive = self.rules.archive
        return [
            KeptCall(
                id=entry.record["id"],
                retention=entry.record["retention"],
                age_s=self._age.age(box_time_of(entry) * NS_PER_S) // NS_PER_S,
                sound_bytes=sound_bytes(entry.folder),
                is_held=is_held(entry.folder),
                is_confirmed=archive is not None
                and is_confirmed(entry.folder, entry.record, archive),
            )
            for entry in page
        ]

    def _pages(
        self, *, retention: str | None = None, since_s: int = 0, until_s: int | None = None
    ) -> Iterator[list[Entry]]:
        """Calls that are not erased, oldest first."""
        page: list[Entry] = []
        while True:
            page = self._books.catalogue.kept(
                retention=retention,
                since_s=since_s,
                until_s=until_s,
                after=page[-1] if page else None,
                limit=PAGE,
            )
            if not page:
                return
            yield page

    # ------------------------------------------------------------ what is told

    def _measure_growth(self) -> Iterator[None]:
        """What the last days' calls take, by class, and for how long that can go on growing."""
        self._growth_at = later(self._reading.mono, GROWTH_EVERY_NS)
        since_s = max(0, self._age.bound(GROWTH_DAYS * DAY_S * NS_PER_S) // NS_PER_S)
        taken: dict[str, int] = {}
        for page in self._pages(since_s=since_s):
            for entry in page:
                name = entry.record["retention"]
                taken[name] = taken.get(name, 0) + sound_bytes(entry.folder)
            yield
        first_s = {
            name: first
            for name, first in self._books.catalogue.classes().items()
            if first is not None
        }
        if not first_s:
            return
        self._age.forget(min(first_s.values()) * NS_PER_S)
        age_days = {
            name: self._age.age(first * NS_PER_S) / NS_PER_S / DAY_S
            for name, first in first_s.items()
        }
        days = min(GROWTH_DAYS, max(age_days.values()))
        if days >= 1:  # before that nobody knows what a day is like
            self._growths = [
                Growth(
                    round(taken.get(name, 0) / days),
                    self.rules.days.get(name, float("inf")) - age,
                )
                for name, age in age_days.items()
            ]

    def _unknown_classes(self) -> str | None:
        unknown = set(self._books.catalogue.classes()) - set(self.rules.days)
        texts = [
            f"calls of the class {name} are never erased: the configuration does not know it; add a "
            "table headed [[retention]] with this name"
            for name in sorted(unknown - {UNKNOWN})
        ]
        if UNKNOWN in unknown:
            texts.append(
                "calls whose record was lost are never erased: `recorderd calls` lists them; remove "
                "their folders by hand when they may go"
            )
        return "; ".join(texts) or None

    def _alarm(self, topic: AlarmTopic, text: str | None) -> None:
        """Told when it changes."""
        if self._alarms.get(topic) != text:
            self._alarms.pop(topic, None)
            if text is not None:
                self._alarms[topic] = text
            self._post(StoreAlarm(self._read_clock().mono, topic, text))


def free_bytes(directory: Path) -> int:
    """The space that is left for the recorder on the disk of a directory. Raises StoreError."""
    with files.guarded(directory):
        found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
