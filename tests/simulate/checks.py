"""The invariants: what must hold after every event, after every start, and at the end of a day.

The checker knows what the script had happen (truth.py), when processes ran, when the disk failed, and
what the card heard. It believes nothing that the recorder says of itself without comparing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recorderd import events as ev
from recorderd.disk.layout import ERASED, OPEN, RECORD
from recorderd.recording.capture import SKIPPED_S
from recorderd.store.catalogue import NAME, open_catalogue
from recorderd.store.erasing import MARK
from recorderd.units import NS_PER_S, seconds
from tests.simulate.alarms import Alarms
from tests.simulate.chainwatch import ChainWatch
from tests.simulate.keeping import Keeping
from tests.simulate.secrecy import Secrecy
from tests.simulate.sound import SOUND_SUFFIXES
from tests.simulate.truth import SOON_NS, Truth, callers
from tests.simulate.violations import fail

if TYPE_CHECKING:
    from recorderd.store.spool import SpoolWriter
    from tests.simulate.plan import Told
    from tests.simulate.run import Process, Simulation

MEMORY_S_MAX = 8 + SKIPPED_S  # of sound that waits for the disk, a call; it may be a hole's silence
AT_RISK_S_MAX = 0.8  # what may wait for the next flush, and what else is in a journal
BYTES_PER_S = 8000 * 4
JOBS_MAX = 100
INBOX_MAX = 2000


class Checker:
    def __init__(self, simulation: Simulation) -> None:
        self._sim = simulation
        self.alarms = Alarms(simulation)
        self.truth = Truth(simulation, self.alarms)
        self.ledger = ChainWatch(simulation.directory)
        self.keeping = Keeping(simulation, self.ledger)
        self.secrecy = Secrecy(simulation.directory, is_sealed=simulation.configuration.is_sealed)
        self.day = Counter[str]()
        self._files: dict[str, dict[str, tuple[int, int, str]]] = {}  # of each filed call
        self._records: dict[str, dict[str, Any]] = {}
        self._fresh: list[tuple[str, Path]] = []
        self._left: set[str] = set()  # calls that a failing disk kept the last start from filing
        self._misled_boots: set[str] = set()  # whose clock was called right when it was wrong

    @property
    def _now(self) -> int:
        return self._sim.outside.now

    def expect(self, told: list[Told]) -> None:
        """Know what the script will do."""
        self.truth.expect(told)
        self.secrecy.expect(self.truth.numbers())

    # ------------------------------------------------------------ after every event

    def take(self, fact: ev.Fact | ev.Input) -> None:
        match fact:
            case ev.RecordingFiled():
                self._fresh.append((fact.call_id, Path(fact.path)))
            case ev.WriteFailed():
                self.day["write failures told"] += 1
            case ev.CallerIdClosureSeen():
                self.day["closures"] += 1
                self.truth.closure_is_told(fact)
            case _:
                pass

    def row_is_added(self, record: dict[str, Any], folder: Path) -> None:
        """A row may stand only for a record that no cut can take away."""
        is_erased = "erased" in record
        if is_erased:
            self.keeping.is_gone(record["id"])
        path = folder / (ERASED if is_erased else RECORD)
        if not path.exists() or not self._sim.disk.durable.is_durable(path):
            fail(f"call {record['id']} gets a row before its record is durable")

    def step_is_over(self) -> None:
        while self._fresh:
            self._acknowledged(*self._fresh.pop(0))
        process, writer = self._sim.process, self._sim.disk_writer
        if process is None or writer is None:
            return
        if len(writer._jobs) > JOBS_MAX:
            fail(f"{len(writer._jobs)} calls wait for the disk")
        for job in writer._jobs:
            spool = getattr(job, "_spool", None)
            if spool is not None:
                self._check_spool(spool, job.record.id)
        if process.devices.inbox.longest > INBOX_MAX:
            fail(f"{process.devices.inbox.longest} inputs waited at once")

    def _check_spool(self, spool: SpoolWriter, call_id: str) -> None:
        """Of the sound of a call little waits for the disk, and little of it for a sync."""
        if len(spool._pending) > MEMORY_S_MAX * BYTES_PER_S:
            fail(f"{len(spool._pending)} bytes of call {call_id} wait in memory")
        journal = spool._journal
        if journal is None or not journal.path.exists():
            return
        at_risk = self._sim.disk.durable.unsynced_bytes(journal.path)
        if at_risk > AT_RISK_S_MAX * BYTES_PER_S:
            fail(f"{at_risk} bytes of call {call_id} would be lost in a cut")

    # ------------------------------------------------------------ a call is acknowledged

    def _acknowledged(self, call_id: str, folder: Path) -> None:
        """All of it must be where no cut can take it away."""
        disk, process = self._sim.disk, self._sim.process
        assert process is not None
        for path in folder.iterdir():
            if not disk.durable.is_durable(path):
                fail(f"call {call_id} was acknowledged, but {path.name} can be lost")
        if not disk.durable.is_durable(self.ledger.newest_file()):
            fail(f"call {call_id} was acknowledged, but the ledger is not synced")
        if not disk.rows_are_durable():
            fail(f"call {call_id} was acknowledged, but its row can be lost")
        if call_id not in process.daemon._books.catalogue.folders():
            fail(f"call {call_id} was acknowledged, but has no row")
        self._look_at(call_id, folder)
        self.ledger.read()
        self.ledger.check_call(self._records[call_id], self._files[call_id][RECORD][2])

    def _look_at(self, call_id: str, folder: Path) -> None:
        """A call that has come into the store: is it what happened?"""
        if call_id in self._files:
            fail(f"call {call_id} was filed twice")
        sealed = json.loads((folder / RECORD).read_text("utf-8"))
        if sealed["id"] != call_id:
            fail(f"the record in {folder.name} is of call {sealed['id']}")
        opened = self.secrecy.open(sealed)
        record = opened.record
        self._files[call_id] = _signature(folder)
        self._records[call_id] = record
        self.day["cut" if record["cut"] else record["disposition"]] += 1
        self.truth.check_record(opened, folder)
        began = self.truth.process_of(record).devices.boot.true(record["clock"]["monotonic_ns"])
        numbers = {each["number"] for each in callers(record) if each["number"] is not None}
        self.keeping.is_filed(record, self._files[call_id][RECORD][2], began, numbers)

    # ------------------------------------------------------------ after a start, and at night

    def process_is_gone(self) -> None:
        """What it had not yet told, nobody has heard."""
        self._fresh.clear()

    def process_is_ready(self) -> None:
        process = self._sim.process
        assert process is not None
        is_excused = self.alarms.disk.touch(process.began_at, self._now)
        self._left = set(self._lying_open()) if is_excused else set()
        self.store_is_sound()
        if self._left:
            self.alarms.calls_are_left(lambda: bool(self._left & set(self._lying_open())))

    def day_is_over(self) -> None:
        self._left.clear()  # the disk has worked for hours: the process has filed them
        self.store_is_sound()
        self.truth.every_lift_is_told()
        if not self.alarms.is_restless(seconds(120)):
            self._all_is_quiet()
        self.keeping.evening()

    def place_holds(self) -> None:
        self.keeping.place_holds(self._folders())

    def store_is_sound(self) -> None:
        """No acknowledged call is lost or altered; rows and folders are the same; the ledger holds."""
        assert self._sim.process is not None
        rows = self._sim.process.daemon._books.catalogue.folders()
        folders, erased = self._folders(), self.keeping.erased()
        there = set(folders) | set(erased)
        if set(rows) != there:
            without_folder, without_row = set(rows) - there, there - set(rows)
            fail(f"rows without folder: {without_folder}; folders without row: {without_row}")
        for call_id in sorted(set(folders) - set(self._files)):
            self._look_at(call_id, folders[call_id])
        for call_id in self._files.keys() - erased.keys():
            self._is_unchanged(call_id, folders)
        self.ledger.read()
        self.keeping.look(folders, erased)
        self.secrecy.look(folders)
        for call_id, record in self._records.items():
            self.ledger.check_call(record, self._files[call_id][RECORD][2])
        self.ledger.check_amendments(folders)
        self._check_open()
        self._nothing_is_missing()

    def _folders(self) -> dict[str, Path]:
        """Of all calls that are not erased."""
        paths = self._sim.directory.glob(f"calls/*/*/*/*/{RECORD}")
        folders = {path.parent.name: path.parent for path in paths}
        return {call_id: path for call_id, path in folders.items() if not (path / ERASED).exists()}

    def _is_unchanged(
        self, call_id: str, folders: dict[str, Path], *, thoroughly: bool = False
    ) -> None:
        folder = folders.get(call_id)
        if folder is None:
            fail(f"the acknowledged call {call_id} is gone")
        files = self._files[call_id]
        for name, (size, changed, sha256) in files.items():
            path = folder / name
            if not path.exists():
                fail(f"{name} of the acknowledged call {call_id} is gone")
            stat = path.stat()
            is_the_same = (stat.st_size, stat.st_mtime_ns) == (size, changed) and not thoroughly
            if not is_the_same and _sha256(path) != sha256:
                fail(f"{name} of the acknowledged call {call_id} was changed")
        for path in folder.iterdir():
            # A kill may leave an amendment's temporary file until a start can clear it away.
            is_part = path.name.startswith(".amend-") and self._may_have_parts()
            is_known = path.name in files or path.name.startswith("amend-") or is_part
            if not is_known and not self.keeping.may_be_beside(path.name, call_id):
                fail(f"{path.name} was added to the acknowledged call {call_id}")

    def _may_have_parts(self) -> bool:
        """Whether the disk has refused something to this process, which may be a clearing away."""
        process = self._sim.process
        return process is None or self.alarms.disk.touch(process.began_at, self._now)

    def _open_jobs(self) -> set[str]:
        writer = self._sim.disk_writer
        return set() if writer is None else {job.record.id for job in writer._jobs}

    def _check_open(self) -> None:
        """Nothing lies in open/ but what is open, or being erased."""
        if self.alarms.disk.touch(self._now - seconds(30), self._now):
            return
        lying = self._lying_open()
        for call_id in set(lying) - self._open_jobs() - self._left:
            fail(f"{lying[call_id]} was left in open/")

    def _lying_open(self) -> dict[str, str]:
        """The calls that a file in open/ belongs to, with the last one's name."""
        lying = {}
        for path in sorted((self._sim.directory / OPEN).iterdir()):
            call_id = path.name.removeprefix(".").partition(".")[0].partition("_")[0]
            is_mark = path.suffix == MARK and call_id in self._records
            if path.is_file() and not is_mark:
                lying[call_id] = path.name
        return lying

    def _nothing_is_missing(self) -> None:
        """What the ledger says was recorded is there, or the ledger says why not."""
        known = self._open_jobs() | self.ledger.abandoned | set(self._records) | self._left
        if lost := set(self.ledger.closed) - known:
            fail(f"the ledger has calls that are not there: {lost}")
        if lost := {call_id for call_id, _ in self.ledger.sealed} - known:
            fail(f"the ledger has sealed segments of calls that are not there: {lost}")
        for call_id in set(self.ledger.opened) - known:
            if not self._may_be_lost(*self.ledger.opened[call_id]):
                fail(f"call {call_id} was opened, and nothing is left of it")

    def _may_be_lost(self, boot_id: str, mono: int) -> bool:
        """A call may leave nothing if the power went before its second second, or the disk failed."""
        ends = [
            (process.ended_at, process.devices.boot.true(mono))
            for process in self._sim.processes
            if process.devices.boot.id == boot_id and process.ended_at is not None
        ]
        return any(
            0 <= ended - opened <= SOON_NS or self.alarms.disk.touch(opened, ended)
            for ended, opened in ends
        )

    def _all_is_quiet(self) -> None:
        """No line is busy, nothing waits for the disk, and what went wrong is over."""
        process = self._sim.process
        assert process is not None
        if jobs := self._open_jobs():
            fail(f"calls are still being written at night: {jobs}")
        for name, line in process.daemon.status.lines.items():
            if line.state != "idle" or line.call_id is not None:
                fail(f"{name} is {line.state} at night, with call {line.call_id}")
        self._times_are_right(process)
        self.alarms.nothing_is_wrong()

    def clock_misleads(self) -> None:
        """It is called synchronised, and is wrong: nothing that it timed can be mended."""
        boot = self._sim.box.boot
        assert boot is not None
        self._misled_boots.add(boot.id)

    def _times_are_right(self, process: Process) -> None:
        """What was filed in this boot under a clock that nobody had set has the right times now."""
        boot, clock = process.devices.boot, self._sim.box.clock
        if not clock.synchronised or clock.offset_ns or boot.id in self._misled_boots:
            return
        for entry in process.daemon._books.catalogue.find(limit=1_000_000):
            if "erased" in entry.record:
                continue
            said = entry.record["clock"]
            filed = self._records[entry.record["id"]]["clock"]
            if said["boot_id"] == boot.id and not filed["synchronised"]:
                began_s = clock.wall(boot.true(said["monotonic_ns"])) / NS_PER_S
                shown = entry.record["started_at"]
                away_s = datetime.fromisoformat(shown).timestamp() - began_s
                if not said["synchronised"] or abs(away_s) > 1:
                    fail(f"call {entry.record['id']} still has the time {shown}")

    # ------------------------------------------------------------ the end

    def all_is_over(self) -> None:
        folders = self._folders()
        for call_id in self._files.keys() - self.keeping.erased().keys():
            self._is_unchanged(call_id, folders, thoroughly=True)
        self.ledger.read()
        self.ledger.read_all_again()

    def totals(self) -> dict[str, int]:
        records = self._records.values()
        dispositions = Counter(record["disposition"] for record in records)
        return {
            "calls in the script": self.truth.calls(),
            "calls filed": len(self._records),
            "calls recorded": dispositions["recorded"],
            "calls missed": dispositions["missed"],
            "calls not recorded, with the reason": dispositions["not-recorded"],
            "calls cut": sum(record["cut"] for record in records),
            "calls with the caller's number": sum(
                record["caller"]["number"] is not None for record in records
            ),
            "segments": sum(len(record["segments"]) for record in records),
            "gaps": sum(len(record["gaps"]) for record in records),
            "seconds of sound": sum(
                record["audio"]["frames"] // 8000 for record in records if record["audio"]
            ),
            **self.keeping.totals(),
            "ledger entries": self.ledger.head.entries,
            "file operations": self._sim.disk.operations,
            "file operations that the disk refused": self._sim.disk.failures,
            "alarms asked for": self.alarms.asked,
        }

    def rows(self) -> list[str]:
        """The catalogue, without what SQLite makes of it."""
        path = self._sim.directory / NAME
        with closing(open_catalogue(path, read_only=True)) as catalogue:
            found = catalogue.find(limit=1_000_000)
        return sorted(json.dumps(entry.record, sort_keys=True) for entry in found)

    def day_line(self, number: int) -> str:
        words = ", ".join(f"{count} {what}" for what, count in sorted(self.day.items()))
        self.day.clear()
        return f"day {number}: {words or 'nothing'}"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _signature(folder: Path) -> dict[str, tuple[int, int, str]]:
    """What a call's record and sound are: size, time of the last change, hash."""
    return {
        path.name: (path.stat().st_size, path.stat().st_mtime_ns, _sha256(path))
        for path in folder.iterdir()
        if path.name == RECORD or path.suffix in SOUND_SUFFIXES
    }
