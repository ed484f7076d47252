"""Retention and holds: nothing goes early or against a hold, nothing stays too long, and of a call that
was erased nothing is left but its text record.

How old a call is, is true time here; what the recorder believes of its clocks is its own affair.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recorderd.core.boxtime import PROBATION_MIN_NS, PROBATION_SHARE
from recorderd.disk.layout import CALLS, ERASED, ERASED_SIGNATURE, HOLD, OPEN, VAULT
from recorderd.store.erasing import MARK
from recorderd.store.holds import place_hold
from recorderd.store.ledger import open_desk
from recorderd.store.records import TOLD
from recorderd.units import iso, seconds
from tests.simulate.configuration import CLASS_OF, DAYS, SITE
from tests.simulate.plan import DAY_NS, ZONE
from tests.simulate.violations import fail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.simulate.chainwatch import ChainWatch
    from tests.simulate.run import Simulation

DISK_IS_QUIET_NS = seconds(2 * 3600)
OVERDUE_NS = seconds(6 * 3600)  # a look every hour, and what a failing disk costs of it
LOST_AT_AN_END_NS = seconds(2 * 3600)  # of running time: what was not saved yet, and the time off
LOOKED_NS = seconds(600)  # a process has erased what had expired before it, if the disk let it
HELD_SHARE = 0.2
MOVED_BY_AMENDMENTS = {"started_at", "answered_at", "ended_at"}


@dataclass(slots=True)
class Kept:
    """A call that was filed."""

    record: dict[str, Any]
    record_sha256: str
    began: int  # in true time
    numbers: frozenset[bytes]
    hold: bytes | None = None
    is_asked_for: bool = False  # somebody thought about a hold once

    @property
    def days_ns(self) -> int:
        return DAYS[self.record["retention"]] * DAY_NS


class Keeping:
    """The checker's part that judges retention."""

    def __init__(self, simulation: Simulation, ledger: ChainWatch) -> None:
        self._sim = simulation
        self._ledger = ledger
        self._calls: dict[str, Kept] = {}
        self._gone: set[str] = set()  # erased, and durable

    @property
    def _now(self) -> int:
        return self._sim.outside.now

    # ------------------------------------------------------------ as it happens

    def is_filed(
        self, record: dict[str, Any], record_sha256: str, began: int, numbers: set[str]
    ) -> None:
        """Know a call. `numbers` are those of people who rang: no two have the same."""
        if record["retention"] != CLASS_OF[record["line"]]:
            fail(f"call {record['id']} of {record['line']} has the class {record['retention']}")
        sought = frozenset(number.encode() for number in numbers)
        self._calls[record["id"]] = Kept(record, record_sha256, began, sought)

    def is_named(self, path: Path) -> None:
        """A file has got its name: of a text record that is the moment of erasing."""
        if path.name != ERASED:
            return
        call = self._calls.get(path.parent.name)
        if call is None:
            fail(f"call {path.parent.name} is erased, and was never filed")
        if call.hold is not None:
            fail(f"call {path.parent.name} is erased, and a hold is on it")
        age = self._now - call.began
        if age < call.days_ns - self._ahead_ns(call.began):
            fail(f"call {path.parent.name} is erased when it is {age / DAY_NS:.3f} days old")

    def is_gone(self, call_id: str) -> None:
        """An erased call has a row that says so: from here on it does not come back."""
        self._gone.add(call_id)

    def _ahead_ns(self, since: int) -> int:
        """How much time a wrong clock may have made the recorder believe (core/boxtime.py)."""
        wrong_ns = self._sim.box.clock.misleading.within(since, self._now)
        return 0 if wrong_ns < PROBATION_MIN_NS else PROBATION_SHARE * wrong_ns

    # ------------------------------------------------------------ what is left of calls

    def erased(self) -> dict[str, Path]:
        """The folders of calls that have a text record."""
        paths = self._sim.directory.glob(f"{CALLS}/*/*/*/*/{ERASED}")
        return {path.parent.name: path.parent for path in paths}

    def is_at_work(self, call_id: str) -> bool:
        """Whether the erasing of a call has begun, and not come to its end."""
        return (self._sim.directory / OPEN / f"{call_id}{MARK}").exists()

    def may_be_beside(self, name: str, call_id: str) -> bool:
        """Whether a file may lie in the folder of a call that was filed and is not erased."""
        if name == HOLD:
            return self._calls[call_id].hold is not None
        is_passing = name == ERASED_SIGNATURE or name.startswith(".")
        return is_passing and self.is_at_work(call_id)

    def look(self, folders: Mapping[str, Path], erased: Mapping[str, Path]) -> None:
        """After a start and at night: every call that is erased, and every hold."""
        if back := self._gone - set(erased):
            fail(f"calls were erased, and are no longer: {back}")
        if not_erased := set(self._ledger.erased) - set(erased):
            fail(f"the ledger says that calls are erased that are not: {not_erased}")
        for call_id in sorted(erased):
            self._check_text(call_id, erased[call_id])
            if not self.is_at_work(call_id):
                self._check_rest(call_id, erased[call_id])
        for call_id, call in self._calls.items():
            if call.hold is not None:
                self._check_hold(call_id, folders[call_id], call.hold)

    def _check_text(self, call_id: str, folder: Path) -> None:
        """It is signed, and says what the record said."""
        call = self._calls[call_id]
        data = (folder / ERASED).read_bytes()
        if not self._ledger.is_signed((folder / ERASED_SIGNATURE).read_bytes(), data):
            fail(f"the text record of call {call_id} is not signed")
        stays = json.loads(data)
        keys = set(TOLD) - (MOVED_BY_AMENDMENTS if self._ledger.is_amended(call_id) else set())
        if wrong := {key for key in keys if stays[key] != call.record[key]}:
            fail(f"the text record of call {call_id} is not what its record said: {wrong}")
        if stays["record_sha256"] != call.record_sha256:
            fail(f"the text record of call {call_id} is of another record")

    def _check_rest(self, call_id: str, folder: Path) -> None:
        """Nothing else is left, and the ledger has it."""
        names = {path.name for path in folder.iterdir()}
        names |= {path.name for path in self._elsewhere() if call_id in path.name}
        if names != {ERASED, ERASED_SIGNATURE}:
            fail(f"of the erased call {call_id} there is {sorted(names)}")
        sha256 = hashlib.sha256((folder / ERASED).read_bytes()).hexdigest()
        entered = self._ledger.erased.get(call_id)
        if entered is None or not self._ledger.is_below_a_checkpoint(entered["seq"]):
            fail(f"the erased call {call_id} is not below a checkpoint")
        if entered["tombstone_sha256"] != sha256:
            fail(f"the ledger has another text record of call {call_id}")

    def _elsewhere(self) -> Iterator[Path]:
        for place in (OPEN, VAULT):
            yield from (self._sim.directory / place).rglob("*")

    def _check_hold(self, call_id: str, folder: Path, hold: bytes) -> None:
        path = folder / HOLD
        if not path.exists() or path.read_bytes() != hold:
            fail(f"the hold on call {call_id} is not what was placed")

    # ------------------------------------------------------------ on a quiet evening

    def evening(self) -> None:
        """The disk has let the keeper do its work: it is done."""
        process = self._sim.process
        assert process is not None
        if self._sim.checker.alarms.disk.touch(self._now - DISK_IS_QUIET_NS, self._now):
            return
        erased = self.erased()
        for call_id, call in self._calls.items():
            if call.hold is None and call_id not in erased and self._is_overdue(call):
                fail(f"call {call_id} began {(self._now - call.began) / DAY_NS:.3f} days ago")
        keeper = process.daemon._keeper
        assert keeper is not None
        is_at_it = keeper._work is not None or process.began_at > self._now - LOOKED_NS
        if erased and not is_at_it:
            self._nothing_is_left(erased)

    def _is_overdue(self, call: Kept) -> bool:
        ends = sum(
            process.ended_at is not None and process.ended_at >= call.began
            for process in self._sim.processes
        )
        late_ns = OVERDUE_NS + ends * LOST_AT_AN_END_NS
        return self._now - call.began > call.days_ns + late_ns

    def _nothing_is_left(self, erased: Mapping[str, Path]) -> None:
        """No erasing is half done, and no number of an erased call is in any byte."""
        if marks := list((self._sim.directory / OPEN).glob(f"*{MARK}")):
            fail(f"erasing was not ended: {marks}")
        numbers = {number: each for each in erased for number in self._calls[each].numbers}
        if not numbers:
            return
        sought = re.compile(b"|".join(sorted(numbers)))
        for path in sorted(self._sim.directory.rglob("*")):
            if path.is_file() and (found := sought.search(path.read_bytes())):
                where = path.relative_to(self._sim.directory)
                fail(f"a number of the erased call {numbers[found[0]]} is in {where}")

    def place_holds(self, folders: Mapping[str, Path]) -> None:
        """Somebody looks through the day's calls, and keeps some of them."""
        boot = self._sim.box.boot
        assert boot is not None
        choose = random.Random(f"holds:{self._sim.seed}:{self._now}")
        asked = [each for each in sorted(folders) if not self._calls[each].is_asked_for]
        at = iso(boot.reading().wall, ZONE)
        with open_desk(self._sim.directory, SITE, boot.reading) as desk:
            for call_id in asked:
                call = self._calls[call_id]
                call.is_asked_for = True
                if choose.random() < HELD_SHARE:
                    place_hold(folders[call_id], desk, "supervisor", "a question", at)
                    call.hold = (folders[call_id] / HOLD).read_bytes()

    def totals(self) -> dict[str, int]:
        return {
            "calls erased": len(self.erased()),
            "calls held": sum(call.hold is not None for call in self._calls.values()),
        }
