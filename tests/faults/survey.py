"""What must hold of a state directory after a fault: `breaches` names everything that does not.

Looked at twice: as the fault left it, where nothing that was acknowledged may be missing already,
and after a recovery, which is the same code at every start.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tempfile
from array import array
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recorderd.core import chain
from recorderd.errors import RecorderdError
from recorderd.seal.age import Identities
from recorderd.seal.envelope import PLAIN
from recorderd.seal.vault import key_name, opened_key
from recorderd.sim.clock import VIRTUAL_START
from recorderd.store.catalogue import NAME, open_catalogue
from recorderd.store.journal import FRAME_BYTES, read_journal
from recorderd.store.ledger import chain_lines, open_recorder_ledger
from recorderd.store.recovery import recover
from recorderd.store.signing import is_signed
from recorderd.store.sound import segment_sound
from recorderd.units import NS_PER_S, ClockReading, MonoNs, WallNs
from tests.faults.life import CHANNELS, RATE, SUPERVISOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recorderd.config.values import Config

LOST_S_MAX = 2.0

POSITION_FRAMES = 16
"""Times in a record are rounded to a millisecond."""

DAY_BEGAN = datetime.fromisoformat("2026-11-23T09:00:00+09:00")

READING = ClockReading("boot-2", MonoNs(0), WallNs(1_795_500_000 * NS_PER_S), True, "simulated")


@dataclass(slots=True)
class Told:
    """What a life said before its end."""

    filed: set[str] = field(default_factory=set)
    now: MonoNs | None = None
    failures: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, text: str) -> Told:
        """The last line may be torn."""
        told = cls()
        for line in text.split("\n")[:-1]:
            word, _, rest = line.partition(" ")
            match word:
                case "filed":
                    told.filed.add(rest)
                case "now":
                    told.now = MonoNs(int(rest))
                case "failed":
                    told.failures.append(rest)
                case _:
                    told.said.append(word)
        return told


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an undisturbed life."""

    sound: bytes
    pre_roll_frames: int
    started: MonoNs  # off the hook
    ended: MonoNs


@dataclass(frozen=True, slots=True)
class Reference:
    """An undisturbed life: its calls by the number of each, and all that there was to hear."""

    calls: Mapping[str, Call]
    lines: Mapping[str, bytes]  # both channels from the first moment on

    @classmethod
    def of(cls, directory: Path, heard: bytes) -> Reference:
        samples = array("h")
        samples.frombytes(heard)
        lines = {}
        for line, (near, far) in CHANNELS.items():
            both = array("h", bytes(len(heard) // 2))
            both[::2], both[1::2] = samples[near::4], samples[far::4]
            lines[line] = both.tobytes()
        calls = {}
        for folder in call_folders(directory):
            record = record_of(folder)
            sound = sound_of(folder, record)
            started = off_hook(record)
            pre_roll = record["audio"]["pre_roll_frames"] if record["audio"] else 0
            length_ns = (len(sound) // FRAME_BYTES - pre_roll) * NS_PER_S // RATE
            ended = MonoNs(started + length_ns)
            calls[number_of(folder.name)] = Call(sound, pre_roll, started, ended)
        return cls(calls, lines)

    def said_from(self, number: str, line: str) -> bytes:
        """All that was to be heard from the first frame of a call on, also after its end."""
        return self.lines[line][self.lines[line].index(self.calls[number].sound) :]

    def has_heard(self, record: dict[str, Any], sound: bytes) -> bool:
        """Whether this is what was to be heard on the record's line from its beginning on."""
        began = round((off_hook(record) - VIRTUAL_START) * RATE / NS_PER_S)
        began -= record["audio"]["pre_roll_frames"] if record["audio"] else 0
        first = max(0, (began - POSITION_FRAMES) * FRAME_BYTES)
        last = (began + POSITION_FRAMES) * FRAME_BYTES + len(sound)
        return sound in self.lines[record["line"]][first:last]


def off_hook(record: dict[str, Any]) -> MonoNs:
    """When the handset was lifted, on the clock of the simulated world."""
    passed = datetime.fromisoformat(record["answered_at"] or record["started_at"]) - DAY_BEGAN
    return MonoNs(VIRTUAL_START + round(passed.total_seconds() * NS_PER_S))


def number_of(call_id: str) -> str:
    return call_id.rpartition("-")[2]


def call_folders(directory: Path) -> list[Path]:
    return sorted(path.parent for path in directory.glob("calls/*/*/*/*/call.json"))


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "call.json").read_text("utf-8"))


def sound_of(folder: Path, record: dict[str, Any]) -> bytes:
    """Of a sealed call as its supervisor hears it."""
    opener = PLAIN
    if record["sealed"] is not None:
        opener = opened_key(folder.parents[4], record["id"], Identities([SUPERVISOR]))
    return b"".join(
        block
        for segment in record["segments"]
        for block in segment_sound(
            folder / segment["file"], segment["first_frame"], segment["frames"], opener
        )
    )


def file_hashes(directory: Path) -> dict[str, str]:
    """Every file below a directory, by its relative name."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


# ---------------------------------------------------------------- before recovery


def rows_of(directory: Path) -> dict[str, Path]:
    """The catalogue's rows, read from a copy: reading would change it."""
    if not (directory / NAME).exists():
        return {}
    with tempfile.TemporaryDirectory(dir=directory.parent) as folder:
        for suffix in ("", "-wal"):
            path = directory / (NAME + suffix)
            if path.exists():
                shutil.copy(path, folder)
        if (Path(folder) / NAME).stat().st_size == 0:
            return {}
        with closing(open_catalogue(Path(folder) / NAME)) as catalogue:
            rows = catalogue.folders()
        return {call: directory / path.relative_to(folder) for call, path in rows.items()}


def whole_breaches(folder: Path) -> Iterator[str]:
    """What is wrong with a filed call's folder."""
    try:
        record = record_of(folder)
    except (OSError, ValueError) as error:
        yield f"{folder.name}: no readable record ({error!r})"
        return
    for segment in record["segments"]:
        path = folder / segment["file"]
        if not path.is_file():
            yield f"{folder.name}: segment {path.name} is not there"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != segment["sha256"]:
            yield f"{folder.name}: segment {path.name} is not what the record says"


def chain_breaches(directory: Path, filed: set[str], *, torn: bool = False) -> Iterator[str]:
    """The chain holds together, its checkpoints are signed, and filed calls are below one.

    `torn`: a cut may have torn its end, and no start has come since.
    """
    try:
        lines = whole_lines(directory) if torn else chain_lines(directory / "ledger/recorder")
        entries = list(chain.walk(lines))
        notes = [entry for entry in entries if entry.kind == chain.CHECKPOINT]
        pem = (directory / "keys/device.pem").read_text("ascii") if notes else ""
        for entry in notes:
            chain.checkpoint_of(entry)
            if not is_signed(
                pem, base64.b64decode(entry.data["signature"]), entry.data["note"].encode()
            ):
                yield f"the checkpoint in entry {entry.seq} is not signed"
    except (RecorderdError, OSError) as error:
        yield f"the ledger: {error}"
        return
    signed = max((entry.seq for entry in notes), default=0)
    closed = {entry.data["call"]: entry for entry in entries if entry.kind == "call-closed"}
    for call in sorted(filed):
        if call not in closed or closed[call].seq > signed:
            yield f"{call}: filed, but not in the ledger below a checkpoint"
            continue
        for folder in directory.glob(f"calls/*/*/*/{call}"):
            record = (folder / "call.json").read_bytes()
            if hashlib.sha256(record).hexdigest() != closed[call].data["record_sha256"]:
                yield f"{call}: the ledger has another hash of its record"


def whole_lines(directory: Path) -> Iterator[bytes]:
    """The chain's lines up to the first that a cut tore: without its end, or with a page of zeros."""
    for line in chain_lines(directory / "ledger/recorder"):
        if not line.endswith(b"\n") or b"\0" in line:
            return
        yield line


def left_breaches(directory: Path, told: Told) -> list[str]:
    """What is wrong with what a fault left, before anybody mends it."""
    found = []
    rows = rows_of(directory)
    for call, folder in rows.items():
        found += [f"row {call} points nowhere: {breach}" for breach in whole_breaches(folder)]
    folders = {folder.name: folder for folder in call_folders(directory)}
    for call in sorted(told.filed):
        if call not in folders:
            found.append(f"{call}: acknowledged, but its record is gone")
        elif call not in rows:
            found.append(f"{call}: acknowledged, but it has no row")
        else:
            found += whole_breaches(folders[call])
    if told.filed:
        found += chain_breaches(directory, told.filed, torn=True)
    return found


# ---------------------------------------------------------------- recovery


@dataclass(slots=True)
class Findings:
    """One fault, judged."""

    breaches: list[str]
    lost_s: float | None = None  # of the call that was cut, where one was
    set_aside: int = 0


def judge(config: Config, directory: Path, told: Told, reference: Reference) -> Findings:
    """Look at what a fault left, recover it, and look again."""
    found = left_breaches(directory, told)
    before, reached = file_hashes(directory), frames_left(directory)
    ledger_before = ledger_bytes(directory)
    problems = recover_in(config, directory)
    found += [f"recovery: {problem}" for problem in problems]
    found += deleted_breaches(directory, before, reached, ledger_before)
    lost_s = None
    folders = {folder.name: folder for folder in call_folders(directory)}
    for call, folder in folders.items():
        found += whole_breaches(folder)
        found += sound_breaches(folder, reference, is_acknowledged=call in told.filed)
    if told.now is not None:
        losses = list(losses_s(folders, told, reference))
        lost_s = max(losses, default=None)
        found += [f"{lost:.3f} s of the open call are lost" for lost in losses if lost > LOST_S_MAX]
    found += chain_breaches(directory, set(folders))
    if rows_of(directory) != folders:
        found.append("the catalogue does not say what the folders say")
    left = [path.name for path in (directory / "open").iterdir() if path.name != "quarantine"]
    found += [f"open/{name} is left" for name in left]
    aside = len(list(directory.glob("open/quarantine/*")))
    after = file_hashes(directory / "calls")
    recover_in(config, directory)
    if file_hashes(directory / "calls") != after:
        found.append("a second recovery changed something")
    return Findings(found, lost_s, aside)


def recover_in(config: Config, directory: Path) -> list[str]:
    """As a start does."""
    storage = replace(config.storage, directory=directory)
    ledger = open_recorder_ledger(directory, config.site.name, lambda: READING)
    try:
        report = recover(storage, config.site, ledger)
        ledger.append("started", after_crash=not ledger.was_stopped, cut=report.cut)
        ledger.sign()
    finally:
        ledger.close()
    return report.problems


def frames_left(directory: Path) -> dict[str, int]:
    """How many frames of each unfiled call are in its journals."""
    reached: dict[str, int] = {}
    for path in directory.glob("open/*.journal"):
        info = read_journal(path)
        if info is not None:
            call = info.draft.record.id
            reached[call] = max(reached.get(call, 0), info.first_frame + info.frames)
    for path in directory.glob("open/*.json"):
        try:
            length = json.loads(path.read_bytes())["frames"]
        except ValueError:
            continue
        if length is not None:
            reached[path.stem] = min(reached.get(path.stem, 0), length)
    return reached


def ledger_bytes(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("ledger/recorder/*.jsonl")}


def deleted_breaches(
    directory: Path, before: dict[str, str], reached: dict[str, int], ledger: dict[str, bytes]
) -> Iterator[str]:
    """Recovery deletes nothing: files of filed calls stay as they are, sound is in a segment then."""
    after = file_hashes(directory)
    filed = {name.rpartition("/")[0] for name in before if name.endswith("/call.json")}
    of_filed_calls = {key_name(folder.name) for folder in call_folders(directory)}
    for name, digest in before.items():
        is_key = name in {"keys/device.key", "keys/search.key", *of_filed_calls}
        is_final = is_key or name.rpartition("/")[0] in filed
        if is_final and not name.endswith(".part") and after.get(name) != digest:
            yield f"{name} was changed or deleted"
    for name, content in ledger.items():
        path = directory / "ledger/recorder" / name
        if not path.exists() or not path.read_bytes().startswith(content):
            yield f"ledger file {name} was changed or deleted"
    for call, frames in reached.items():
        kept = sum(
            segment["frames"]
            for folder in call_folders(directory)
            if folder.name == call
            for segment in record_of(folder)["segments"]
        )
        if kept < frames:
            yield f"{call}: {frames} frames were in its journals, {kept} are kept"


def sound_breaches(folder: Path, reference: Reference, *, is_acknowledged: bool) -> Iterator[str]:
    """A call's sound is a beginning of what was said; all of it where it was acknowledged."""
    call = reference.calls[number_of(folder.name)]
    record = record_of(folder)
    sound = sound_of(folder, record)
    if not reference.has_heard(record, sound):
        yield f"{folder.name}: its sound is not a beginning of what was said"
    elif is_acknowledged and sound != call.sound:
        yield f"{folder.name}: {len(call.sound) - len(sound)} bytes of an acknowledged call are lost"
    is_told = record["ended_at"] is not None or any(gap["cause"] == "cut" for gap in record["gaps"])
    if record["cut"] and sound and not is_told:
        yield f"{folder.name}: cut, and its record does not say where"


def losses_s(folders: Mapping[str, Path], told: Told, reference: Reference) -> Iterator[float]:
    """Seconds of each call lost of those that were on the line since it was answered."""
    assert told.now is not None
    for number, call in reference.calls.items():
        if not call.started < told.now or not call.sound:
            continue
        folder = next((path for name, path in folders.items() if number_of(name) == number), None)
        frames = len(sound_of(folder, record_of(folder))) // FRAME_BYTES if folder else 0
        kept_ns = max(0, frames - call.pre_roll_frames) * NS_PER_S // RATE
        yield max(0, min(told.now, call.ended) - call.started - kept_ns) / NS_PER_S
