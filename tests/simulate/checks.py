"""The invariants: what must hold after every event, after every start, and at the end of a day.

The checker knows what the script had happen (plan.Told), when processes ran, when the disk failed,
and what the card heard. It believes nothing that the recorder says of itself without comparing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recorderd import events as ev
from recorderd.core import chain
from recorderd.media.codec import decode_blocks
from recorderd.store import signing
from recorderd.store.catalogue import NAME, open_catalogue
from recorderd.store.ledger import RECORDER, chain_lines
from recorderd.store.names import RECORD
from recorderd.units import NS_PER_S, ms, seconds
from tests.simulate.disk import GROWING, ViolationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulate.plan import Told
    from tests.simulate.run import Process, Simulation
    from tests.simulate.world import CountingCard

LOST_IN_A_CUT_NS = seconds(2)
DISK_IS_TOLD_WITHIN_NS = seconds(5)
MEMORY_S_MAX = 8  # of sound that waits for the disk, a call
JOBS_MAX = 100
INBOX_MAX = 2000
RING_S = 32  # and what the disk lost may be told so long after
EDGE_NS = ms(
    350
)  # a lift is dated by its first edge; ringing current can move it by a burst's rest
SOUND = {"overrun", "card-lost", "card-stalled"}


class Windows:
    """Stretches of true time in which something lasts."""

    def __init__(self) -> None:
        self.all: list[list[int]] = []

    def begin(self, at: int) -> None:
        self.all.append([at, 1 << 62])

    def end(self, at: int) -> None:
        if self.all and self.all[-1][1] > at:
            self.all[-1][1] = at

    def touch(self, begin: int, end: int) -> bool:
        return any(first <= end and last >= begin for first, last in self.all)


class Checker:
    def __init__(self, simulation: Simulation) -> None:
        self._sim = simulation
        self.told: dict[str, list[Told]] = {}  # by line
        self._by_number: dict[str, Told] = {}
        self._waiting: set[str] = set()
        self._due: list[Told] = []  # that have not been looked for yet
        self._filed: dict[str, dict[str, tuple[int, int, str]]] = {}  # of each call, its files
        self._records: dict[str, dict[str, Any]] = {}
        self._answers: dict[str, list[tuple[int, int, str]]] = {}  # by line: off, on, call id
        self._fresh: list[tuple[str, Path]] = []
        self._head = chain.Head(0, chain.GENESIS)
        self._signed = 0  # entries below the last checkpoint seen
        self._closed: dict[str, dict[str, Any]] = {}
        self._sealed: dict[tuple[str, int], dict[str, Any]] = {}
        self._folders: dict[str, Path] = {}
        self._amended: dict[tuple[str, str], str] = {}
        self._misled_boots: set[str] = set()  # whose clock was called right when it was wrong
        self._public_pem = ""
        self._disk = Windows()
        self._chatter: dict[str, Windows] = {}
        self._death_at = 0
        self._noise: dict[str, Windows] = {}
        self._probes = 0
        self.day = Counter[str]()

    @property
    def is_doubtful(self) -> bool:
        return self._sim.disk.fault is not None

    def expect(self, told: list[Told]) -> None:
        for call in told:
            self.told.setdefault(call.line, []).append(call)
            if call.number is not None:
                self._by_number[call.number] = call
            self._waiting |= set(call.waiting)
        self._due += told

    @staticmethod
    def fail(message: str) -> None:
        raise ViolationError(message)

    # ------------------------------------------------------------ what lasts

    @property
    def _now(self) -> int:
        return self._sim.outside.now

    def disk_fails(self) -> None:
        self._disk.begin(self._now)
        fault, writer = self._sim.disk.fault, self._sim.disk_writer
        assert fault is not None
        if fault.chance < 1 or not GROWING <= fault.operations or writer is None:
            return
        jobs = {job.record.id for job in writer._jobs if not job.is_ended and not job.is_waiting}

        def look() -> None:
            still = self._sim.disk_writer
            if still is writer and self._sim.disk.fault is fault:
                if jobs & {job.record.id for job in still._jobs}:
                    self._alarm("writing", is_there=True)

        self._after(DISK_IS_TOLD_WITHIN_NS, look, same=True)

    def disk_works(self) -> None:
        self._disk.end(self._now)
        self._after(seconds(5), self._writing_alarm_is_gone)

    def _writing_alarm_is_gone(self) -> None:
        """When nothing is left to write there is nothing left to complain of."""
        writer = self._sim.disk_writer
        if self._disk.touch(self._now - seconds(4), self._now) or writer is None:
            return
        if self._sim.process.ready_at is None or self._sim.process.ready_at > self._now - seconds(
            4
        ):
            return
        if writer._jobs:
            self._after(seconds(10), self._writing_alarm_is_gone)
            return
        self._alarm("writing", is_there=False)

    def hook_chatters(self, line: str, until: int) -> None:
        self._chatter.setdefault(line, Windows()).all.append([self._now, until + seconds(6)])
        if until - self._now > seconds(1):
            self._after(seconds(0.9), lambda: self._fault_alarm(line, is_there=True), same=True)
        self._after(
            until - self._now + seconds(6),
            lambda: self._fault_alarm(line, is_there=False),
            same=True,
        )

    def _fault_alarm(self, line: str, *, is_there: bool) -> None:
        windows = self._chatter[line].all
        inside = any(first < self._now < last - seconds(6) for first, last in windows)
        moved = self._now - self._sim.box.phones[line].moved_at < seconds(6)
        if inside == is_there and not (moved and not is_there):
            self._alarm("hook-chatter", is_there=is_there, line=line)

    def modem_babbles(self, line: str, until: int) -> None:
        self._noise.setdefault(line, Windows()).all.append([self._now, until + seconds(10)])

    def modem_is(self, line: str, *, plugged: bool) -> None:
        self._after(seconds(1), lambda: self._modem_alarm(line, plugged=plugged), same=True)

    def _modem_alarm(self, line: str, *, plugged: bool) -> None:
        if self._sim.box.phones[line].plugged == plugged:
            self._alarm("modem: unplugged", is_there=not plugged, line=line)

    def card_is(self, *, there: bool) -> None:
        self._after(seconds(2.5), lambda: self._card_alarm(there=there), same=True)

    def _card_alarm(self, *, there: bool) -> None:
        if self._sim.box.card_is_lost != there:
            for line in self._sim.box.phones:
                self._alarm("card", is_there=not there, line=line)

    def config_is(self, *, right: bool) -> None:
        self._after(seconds(1), lambda: self._config_alarm(right=right), same=True)

    def _config_alarm(self, *, right: bool) -> None:
        is_wrong = "nmae" in self._sim.config_path.read_text()
        if is_wrong != right:
            self._alarm("config", is_there=is_wrong)

    def _after(self, span_ns: int, look: Any, *, same: bool = False) -> None:
        """Look later; `same`: only if the same process still runs."""
        process = self._sim.process

        def later_on() -> None:
            now = self._sim.process
            if now is None or now.ready_at is None or (same and now is not process):
                return
            look()

        self._sim.outside.add(self._now + span_ns, later_on)

    def _alarm(self, what: str, *, is_there: bool, line: str | None = None) -> None:
        assert self._sim.process is not None
        status = self._sim.process.daemon.status
        lines = list(self._sim.box.phones) if line is None else [line]
        heads = (what, *(f"{name}: {what}" for name in lines))
        alarms = [text for text in status.alarms() if text.startswith(heads)]
        self._probes += 1
        if bool(alarms) != is_there:
            said = "there is no alarm" if is_there else f"the alarm stays: {alarms[0]}"
            self.fail(f"{what} {line or ''}: {said}; there are {status.alarms()}")

    # ------------------------------------------------------------ after every event

    def take(self, fact: ev.Fact | ev.Input) -> None:
        match fact:
            case ev.RecordingFiled():
                self._fresh.append((fact.call_id, Path(fact.path)))
            case ev.WriteFailed():
                self.day["write failures told"] += 1
            case ev.CallerIdClosureSeen():
                self.day["closures"] += 1
            case _:
                pass

    def row_is_added(self, record: dict[str, Any], folder: Path) -> None:
        """A row may stand only for a record that no cut can take away."""
        path = folder / RECORD
        if not path.exists() or not self._sim.disk.is_durable(path):
            self.fail(f"call {record['id']} gets a row before its record is durable")

    def step_is_over(self) -> None:
        while self._fresh:
            self._acknowledged(*self._fresh.pop(0))
        writer = self._sim.disk_writer
        if writer is None:
            return
        if len(writer._jobs) > JOBS_MAX:
            self.fail(f"{len(writer._jobs)} calls wait for the disk")
        for job in writer._jobs:
            spool = getattr(job, "_spool", None)
            if spool is not None and len(spool._pending) > MEMORY_S_MAX * 8000 * 4:
                self.fail(f"{len(spool._pending)} bytes of call {job.record.id} wait in memory")
        process = self._sim.process
        if process is not None and process.devices.inbox.longest > INBOX_MAX:
            self.fail(f"{process.devices.inbox.longest} inputs waited at once")

    # ------------------------------------------------------------ a call is acknowledged

    def _acknowledged(self, call_id: str, folder: Path) -> None:
        """All of it must be where no cut can take it away."""
        disk, process = self._sim.disk, self._sim.process
        assert process is not None
        for path in folder.iterdir():
            if not disk.is_durable(path):
                self.fail(f"call {call_id} was acknowledged, but {path.name} can be lost")
        newest = max((self._sim.directory / "ledger" / RECORDER).glob("[0-9]*.jsonl"))
        if not disk.is_durable(newest):
            self.fail(f"call {call_id} was acknowledged, but the ledger is not synced")
        books = process.daemon._books
        if call_id not in books.catalogue.folders():
            self.fail(f"call {call_id} was acknowledged, but has no row")
        self._look_at(call_id, folder)
        self.read_ledger()
        if call_id not in self._closed:
            self.fail(f"call {call_id} was acknowledged, but is not in the ledger")

    def _look_at(self, call_id: str, folder: Path) -> None:
        """A call that has come into the store: is it what happened?"""
        if call_id in self._filed:
            self.fail(f"call {call_id} was filed twice")
        record = json.loads((folder / RECORD).read_text("utf-8"))
        if record["id"] != call_id:
            self.fail(f"the record in {folder.name} is of call {record['id']}")
        self._filed[call_id] = self._signature(folder)
        self._records[call_id] = record
        self.day["cut" if record["cut"] else record["disposition"]] += 1
        self._check_record(record, folder)

    @staticmethod
    def _signature(folder: Path) -> dict[str, tuple[int, int, str]]:
        return {
            path.name: (
                path.stat().st_size,
                path.stat().st_mtime_ns,
                hashlib.sha256(path.read_bytes()).hexdigest(),
            )
            for path in folder.iterdir()
            if path.name == RECORD or path.suffix in {".flac", ".wav"}
        }

    # ------------------------------------------------------------ record and truth

    def _check_record(self, record: dict[str, Any], folder: Path) -> None:
        process = self._process_of(record)
        if process is None:
            self.fail(f"call {record['id']} is of no process that ran")
            return
        boot = process.devices.boot
        started = boot.true(record["clock"]["monotonic_ns"])
        answered = self._moment(record, "answered_at", started)
        ended = self._moment(record, "ended_at", started)
        begin = started if answered is None else min(started, answered)
        end = ended if ended is not None else process.ended_at or self._now
        self._check_caller(record, begin, end)
        if record["disposition"] == "missed":
            self._check_rang(record, started, end)
            return
        assert answered is not None
        if record["disposition"] == "not-recorded" and not record["reason"]:
            self.fail(f"call {record['id']} is not recorded and nobody says why")
        self._check_lifted(record, answered, end)
        self._answers.setdefault(record["line"], []).append((answered, end, record["id"]))
        if record["disposition"] == "recorded":
            self._check_sound(record, folder, process, answered, ended)
        elif not self._explains(record, process, answered, end):
            self.fail(f"call {record['id']} has no sound: {record['reason']}")

    def _explains(self, record: dict[str, Any], process: Process, answered: int, end: int) -> bool:
        """Why there may be no sound at all."""
        if self._disk.touch(answered - seconds(1), self._now):
            return True
        if record["cut"] and end - answered <= LOST_IN_A_CUT_NS + EDGE_NS:
            return True
        card = self._card_at(process, answered)
        if card is None:
            return True
        mono = process.devices.boot.mono
        first, last = card.frame_at(mono(answered)), card.frame_at(mono(end))
        return any(begin < last and over > first - 16000 for begin, over in card.holes())

    def _process_of(self, record: dict[str, Any]) -> Process | None:
        boot_id, mono = record["clock"]["boot_id"], record["clock"]["monotonic_ns"]
        ran = [
            process
            for process in self._sim.processes
            if process.devices.boot.id == boot_id
            and process.began_at <= process.devices.boot.true(mono) + ms(1)
        ]
        return ran[-1] if ran else None

    @staticmethod
    def _moment(record: dict[str, Any], key: str, started: int) -> int | None:
        if record[key] is None:
            return None
        since = datetime.fromisoformat(record[key]) - datetime.fromisoformat(record["started_at"])
        return started + round(since.total_seconds() * NS_PER_S)

    def _is_noisy(self, line: str, begin: int, end: int) -> bool:
        return line in self._chatter and self._chatter[line].touch(begin, end)

    def _check_caller(self, record: dict[str, Any], begin: int, end: int) -> None:
        number = record["caller"]["number"]
        if number is None:
            return
        told = self._by_number.get(number)
        if number in self._waiting or told is None:
            self.fail(f"call {record['id']} has the caller ID of nobody who called it: {number}")
        elif told.line != record["line"] or not (
            begin <= told.ends and end >= told.at - seconds(1)
        ):
            self.fail(f"call {record['id']} has the caller ID of another call: {number}")

    def _check_rang(self, record: dict[str, Any], begin: int, end: int) -> None:
        if record["line"] in self._noise and self._noise[record["line"]].touch(begin, end):
            return  # among a hundred thousand bytes of noise there may be a RING
        if not any(
            told.at - seconds(1) <= end and begin <= told.ends + seconds(6)
            for told in self.told[record["line"]][-200:]
        ):
            self.fail(f"call {record['id']} was missed, but nobody called: {record['caller']}")

    def _check_lifted(self, record: dict[str, Any], answered: int, end: int) -> None:
        line = record["line"]
        if self._is_noisy(line, answered - seconds(1), end):
            return
        near = [
            t for t in self.told[line][-200:] if t.at <= answered + EDGE_NS and t.ends >= answered
        ]
        if not near:
            self.fail(f"call {record['id']} began when nobody lifted the phone of {line}")

    # ------------------------------------------------------------ sound

    def _card_at(self, process: Process, true_ns: int) -> CountingCard | None:
        mono = process.devices.boot.mono(true_ns)
        cards = [card for card in process.devices.cards if (card.started_at or 0) <= mono + ms(2)]
        return cards[-1] if cards else None

    def _check_sound(
        self,
        record: dict[str, Any],
        folder: Path,
        process: Process,
        answered: int,
        ended: int | None,
    ) -> None:
        call_id, audio = record["id"], record["audio"]
        card = self._card_at(process, answered)
        assert card is not None
        sound = self._read_sound(record, folder)
        gaps = np.zeros(len(sound), bool)
        for gap in record["gaps"]:
            gaps[gap["first_frame"] : gap["first_frame"] + gap["frames"]] = True
        if sound[gaps].any():
            self.fail(f"call {call_id}: there is sound in a gap")
        heard = np.flatnonzero(~gaps)
        if not len(heard):
            self.fail(f"call {call_id}: a recording without a frame of sound")
        pair = 0 if record["line"] == "front-desk" else 1
        mono = process.devices.boot.mono
        first = card.frame_at(mono(answered)) - audio["pre_roll_frames"]
        first = self._exact(first, sound, heard[0])
        expected = card.frames(first, len(sound), pair)
        expected[gaps] = 0
        if not np.array_equal(sound, expected):
            wrong = np.flatnonzero((sound != expected).any(axis=1))
            what = "silence that is no gap" if not sound[wrong[0]].any() else "other sound"
            self.fail(
                f"call {call_id}: frame {wrong[0]} of {len(sound)} and {len(wrong) - 1} more are "
                f"not what the card heard: {what}; gaps {record['gaps'][:5]}"
            )
        self._check_gaps(record, card, first, process)
        if ended is not None:
            frames = card.frame_at(mono(ended)) - first
            if abs(frames - len(sound)) > 16:
                self.fail(f"call {call_id} has {len(sound)} frames; the call lasted {frames}")
        else:
            self._check_loss(record, card, first, len(sound), process)

    @staticmethod
    def _exact(first: int, sound: np.ndarray, at: int) -> int:
        """Times in a record are cut to milliseconds: which frame near `first` is it?"""
        near = int(sound[at, 0]) - (first + at & 0x7FFF)
        near = (near + 0x4000) % 0x8000 - 0x4000
        return first + near if abs(near) <= 16 else first

    def _read_sound(self, record: dict[str, Any], folder: Path) -> np.ndarray:
        reached, blocks = 0, []
        for index, segment in enumerate(record["segments"]):
            path = folder / segment["file"]
            if segment["first_frame"] != reached or not path.exists():
                self.fail(f"call {record['id']}: segment {index} is missing or out of place")
            if hashlib.sha256(path.read_bytes()).hexdigest() != segment["sha256"]:
                self.fail(f"call {record['id']}: segment {index} is not what the record says")
            pcm = b"".join(decode_blocks(path))
            if hashlib.sha256(pcm).hexdigest() != segment["audio_sha256"]:
                self.fail(f"call {record['id']}: the sound of segment {index} is another one")
            reached += len(pcm) // 4
            blocks.append(pcm)
        files = [path for path in folder.iterdir() if path.suffix in {".flac", ".wav"}]
        if len(files) != len(blocks):
            self.fail(f"call {record['id']}: {len(files)} files for {len(blocks)} segments")
        if reached != record["audio"]["frames"]:
            self.fail(f"call {record['id']}: {reached} frames, not {record['audio']['frames']}")
        return np.frombuffer(b"".join(blocks), np.int16).reshape(-1, 2)

    def _check_gaps(
        self, record: dict[str, Any], card: CountingCard, first: int, process: Process
    ) -> None:
        """A gap is where the card lost frames, or the disk failed, or the power."""
        holes = card.holes()
        boot = process.devices.boot
        for gap in record["gaps"]:
            begin = first + gap["first_frame"]
            end = begin + gap["frames"]
            if gap["cause"] in SOUND:
                inside = sum(max(0, min(end, over) - max(begin, hole)) for hole, over in holes)
                if inside + max(0, -begin) < end - begin - 2:
                    self.fail(f"call {record['id']}: {gap} is no loss of the card: {holes[-3:]}")
            elif gap["cause"] in {"write-failed", "writer-late"}:
                at = boot.true(card.time_of(begin))
                over = boot.true(card.time_of(end))
                if not self._disk.touch(at - seconds(2), over + seconds(RING_S + 10)):
                    self.fail(f"call {record['id']}: {gap}, but the disk did not fail")
            elif gap["frames"] and not record["cut"]:
                self.fail(f"call {record['id']}: {gap} in a call that was not cut")

    def _check_loss(
        self, record: dict[str, Any], card: CountingCard, first: int, frames: int, process: Process
    ) -> None:
        """A cut costs two seconds at the most."""
        died = process.ended_at
        assert died is not None, "a call that was cut is of a process that ended"
        kept_until = process.devices.boot.true(card.time_of(first + frames))
        on_at = self._put_down(record["line"], kept_until)
        lost_ns = min(died, on_at) - kept_until
        if lost_ns <= LOST_IN_A_CUT_NS:
            return
        if self._disk.touch(kept_until - seconds(1), died):
            return
        if card.holes() and card.holes()[-1][1] > card.frame_at(
            process.devices.boot.mono(kept_until)
        ):
            return
        if self._is_noisy(record["line"], kept_until - seconds(10), died):
            return
        self.fail(f"call {record['id']} lost {lost_ns / 1e9:.3f} s in the {process.end}")

    def _put_down(self, line: str, after: int) -> int:
        """When the phone was put down next."""
        ends = [told.ends for told in self.told[line][-200:] if told.ends >= after]
        return min(ends, default=1 << 62)

    # ------------------------------------------------------------ processes

    def process_is_gone(self, process: Process) -> None:
        self._fresh.clear()

    def process_is_ready(self) -> None:
        """What the start found is in order."""
        self.store_is_sound()

    def day_is_over(self) -> None:
        self.store_is_sound()
        self._every_lift_is_told()
        self._all_is_quiet()

    def _all_is_quiet(self) -> None:
        """At night no line is busy, nothing waits for the disk, and what went wrong is over."""
        process, writer = self._sim.process, self._sim.disk_writer
        if process is None or writer is None or self._is_restless(seconds(120)):
            return
        if writer._jobs:
            self.fail(f"call {writer._jobs[0].record.id} is still being written at night")
        for name, line in process.daemon.status.lines.items():
            if line.state != "idle" or line.call_id is not None:
                self.fail(f"{name} is {line.state} at night, with call {line.call_id}")
        self._times_are_right(process)
        for kind in ("card", "hook", "modem: unplugged", "ring", "writing", "config", "no-line"):
            self._alarm(kind, is_there=False)

    def clock_misleads(self) -> None:
        boot = self._sim.box.boot
        if boot is not None:
            self._misled_boots.add(boot.id)

    def _times_are_right(self, process: Process) -> None:
        """What was filed in this boot under a clock that nobody had set has the right times now."""
        boot, clock = process.devices.boot, self._sim.box.clock
        if not clock.synchronised or clock.offset_ns or boot.id in self._misled_boots:
            return
        for entry in process.daemon._books.catalogue.find(limit=1_000_000):
            said = entry.record["clock"]
            if (
                said["boot_id"] != boot.id
                or self._records[entry.record["id"]]["clock"]["synchronised"]
            ):
                continue
            began = self._sim.box.clock.wall(boot.true(said["monotonic_ns"])) / NS_PER_S
            shown = datetime.fromisoformat(entry.record["started_at"]).timestamp()
            if not said["synchronised"] or abs(shown - began) > 1:
                self.fail(f"call {entry.record['id']} has the time {entry.record['started_at']}")

    def _is_restless(self, span_ns: int) -> bool:
        process, box = self._sim.process, self._sim.box
        assert process is not None
        return (
            self._disk.touch(self._now - span_ns, self._now)
            or process.began_at > self._now - span_ns
            or box.card_is_lost
            or "nmae" in self._sim.config_path.read_text()
            or any(self._is_noisy(line, self._now - span_ns, self._now) for line in box.phones)
            or not all(phone.plugged for phone in box.phones.values())
        )

    def store_is_sound(self) -> None:
        """No acknowledged call is lost or altered; rows and folders are the same; the ledger holds."""
        assert self._sim.process is not None
        books = self._sim.process.daemon._books
        rows = books.catalogue.folders()
        folders = {path.parent.name: path.parent for path in self._record_paths()}
        self._folders = folders
        if set(rows) != set(folders):
            self.fail(
                f"rows without folder: {set(rows) - set(folders)}; folders without row: "
                f"{set(folders) - set(rows)}"
            )
        for call_id in sorted(set(folders) - set(self._filed)):
            self._look_at(call_id, folders[call_id])
        for call_id, files in self._filed.items():
            self._is_unchanged(call_id, files, folders)
        self.read_ledger()
        self._check_ledger()
        self._check_open()

    def _record_paths(self) -> Iterator[Path]:
        return self._sim.directory.glob(f"calls/*/*/*/*/{RECORD}")

    def _is_unchanged(
        self,
        call_id: str,
        files: dict[str, tuple[int, int, str]],
        folders: dict[str, Path],
        *,
        thoroughly: bool = False,
    ) -> None:
        folder = folders.get(call_id)
        if folder is None:
            self.fail(f"the acknowledged call {call_id} is gone")
            return
        for name, (size, changed, sha256) in files.items():
            path = folder / name
            if not path.exists():
                self.fail(f"{name} of the acknowledged call {call_id} is gone")
            stat = path.stat()
            if thoroughly or (stat.st_size, stat.st_mtime_ns) != (size, changed):
                if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                    self.fail(f"{name} of the acknowledged call {call_id} was changed")
        for path in folder.iterdir():
            if path.name not in files and not path.name.startswith("amend-"):
                self.fail(f"{path.name} was added to the acknowledged call {call_id}")

    def _check_open(self) -> None:
        """Nothing lies in open/ but what is open."""
        writer = self._sim.disk_writer
        if self._disk.touch(self._now - seconds(RING_S), self._now) or writer is None:
            return
        jobs = {job.record.id for job in writer._jobs}
        for path in (self._sim.directory / "open").iterdir():
            call_id = path.name.removeprefix(".").partition(".")[0].partition("_")[0]
            if path.is_file() and call_id not in jobs:
                self.fail(f"{path.name} was left in open/")

    # ------------------------------------------------------------ the ledger

    def read_ledger(self) -> None:
        """Walk what is new in the recorder's chain."""
        folder = self._sim.directory / "ledger" / RECORDER
        for entry in chain.walk(chain_lines(folder, self._head.entries), self._head):
            self._head = chain.Head(entry.seq + 1, entry.hash)
            self._take_entry(entry)

    def _take_entry(self, entry: chain.Entry) -> None:
        match entry.kind:
            case chain.BEGAN | chain.KEY_CHANGED:
                if self._public_pem:
                    self.fail(f"entry {entry.seq}: {entry.kind} in a chain that had begun")
                self._public_pem = entry.data["public_key"]
            case chain.CHECKPOINT:
                note = chain.checkpoint_of(entry)
                signature = __import__("base64").b64decode(entry.data["signature"])
                if not signing.is_signed(self._public_pem, signature, entry.data["note"].encode()):
                    self.fail(f"entry {entry.seq}: the signature is not right")
                self._signed = note.head.entries
            case "call-closed":
                if entry.data["call"] in self._closed:
                    self.fail(f"entry {entry.seq}: call {entry.data['call']} is closed again")
                self._closed[entry.data["call"]] = {**entry.data, "seq": entry.seq}
            case "record-amended":
                self._amended[entry.data["call"], entry.data["file"]] = entry.data["sha256"]
            case "segment-sealed":
                self._sealed[entry.data["call"], entry.data["segment"]] = entry.data
            case "ledger-damaged":
                self.fail(f"entry {entry.seq}: the ledger says that it is damaged")
            case _:
                pass

    def _check_ledger(self) -> None:
        for call_id, record in self._records.items():
            closed = self._closed.get(call_id)
            if closed is None or closed["seq"] >= self._signed:
                self.fail(f"call {call_id} is not below a checkpoint")
                return
            if closed["record_sha256"] != self._filed[call_id][RECORD][2]:
                self.fail(f"the ledger has another record of call {call_id}")
            for index, segment in enumerate(record["segments"]):
                sealed = self._sealed.get((call_id, index))
                if sealed is None or sealed["audio_sha256"] != segment["audio_sha256"]:
                    self.fail(f"the ledger has another segment {index} of call {call_id}")
        for (call_id, name), sha256 in self._amended.items():
            path = self._folders[call_id] / name
            if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                self.fail(f"{name} of call {call_id} is not what the ledger says")
        if lost := set(self._closed) - set(self._records):
            self.fail(f"the ledger has calls that are not there: {lost}")

    # ------------------------------------------------------------ every off-hook

    def _every_lift_is_told(self) -> None:
        """Every off-hook of the script has a record: recorded, or a reason."""
        due, self._due = self._due, []
        for told in due:
            if told.ends > self._now - seconds(120):
                self._due.append(told)
            elif told.off_at is not None and told.on_at is not None:
                for process in self._sim.processes:
                    self._is_told(told, process)

    def _is_told(self, told: Told, process: Process) -> None:
        """The part of an off-hook that one process saw."""
        if process.ready_at is None:
            return
        began = max(told.off_at, process.ready_at)
        ended = min(told.on_at, process.ended_at or self._now)
        settled = told.on_at + seconds(15) < (process.ended_at or self._now)
        if ended - began < (ms(500) if settled else LOST_IN_A_CUT_NS + ms(500)):
            return
        if self._is_noisy(told.line, began - seconds(15), ended + seconds(5)):
            return
        died_at = process.ended_at or self._now
        if self._disk.touch(began - seconds(1), died_at) and self._disk.touch(
            died_at - seconds(8), died_at
        ):
            return
        answers = self._answers.get(told.line, [])
        if not any(off <= began + EDGE_NS and on >= ended - EDGE_NS for off, on, _ in answers):
            near = [
                (a - began, b - ended, c) for a, b, c in answers if abs(a - began) < seconds(300)
            ]
            self.fail(
                f"{told.kind} on {told.line} was off-hook from {began / 1e9 % 86400:.3f} s to "
                f"{ended / 1e9 % 86400:.3f} s and has no record; there are {near}"
            )

    # ------------------------------------------------------------ the end

    def all_is_over(self) -> None:
        folders = {path.parent.name: path.parent for path in self._record_paths()}
        for call_id, files in self._filed.items():
            self._is_unchanged(call_id, files, folders, thoroughly=True)
        self.read_ledger()
        whole = chain_lines(self._sim.directory / "ledger" / RECORDER)
        entries = sum(1 for _ in chain.walk(whole))
        if entries != self._head.entries:
            self.fail(f"the ledger has {entries} entries, not {self._head.entries}")
        self._sim.counts.update(self.totals())

    def totals(self) -> dict[str, int]:
        records = self._records.values()
        return {
            "calls in the script": sum(len(told) for told in self.told.values()),
            "calls filed": len(self._records),
            "calls recorded": sum(r["disposition"] == "recorded" for r in records),
            "calls missed": sum(r["disposition"] == "missed" for r in records),
            "calls not recorded, with the reason": sum(
                r["disposition"] == "not-recorded" for r in records
            ),
            "calls cut": sum(r["cut"] for r in records),
            "segments": sum(len(r["segments"]) for r in records),
            "gaps": sum(len(r["gaps"]) for r in records),
            "seconds of sound": sum(r["audio"]["frames"] for r in records if r["audio"]) // 8000,
            "ledger entries": self._head.entries,
            "file operations": self._sim.disk.operations,
            "operations that the disk refused": self._sim.disk.failures,
            "alarms looked for": self._probes,
        }

    def rows(self) -> list[str]:
        with closing(open_catalogue(self._sim.directory / NAME, read_only=True)) as catalogue:
            found = catalogue.find(limit=1_000_000)
        return sorted(json.dumps(entry.record, sort_keys=True) for entry in found)

    def day_line(self, number: int) -> str:
        told = {kind: count for kind, count in self.day.items() if count}
        self.day.clear()
        words = ", ".join(f"{count} {kind}" for kind, count in sorted(told.items()))
        return f"day {number}: {words or 'nothing'}"
