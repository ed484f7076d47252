"""Switched off at every single file operation.

What was acknowledged is there, what was not is a bit-exact beginning, and nothing points nowhere.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from recorderd.store.catalogue import NAME, open_catalogue, without_sealed_part
from tests.store.calls import (
    CALLER,
    CountingCard,
    Office,
    a_record,
    at,
    audio,
    expected,
    in_memory,
)
from tests.store.power import Killed, Machine

if TYPE_CHECKING:
    from pathlib import Path

RATE = 1000
LEFT = {
    "killed": ("all", "all"),
    "cut": ("synced", "synced"),
    "cut, names first": ("all", "synced"),
}
LOST_S_MAX = 2.0


class Day:
    """A short day: a call with a late caller ID, a closure, a missed call, a call that goes on."""

    def __init__(self, folder: Path, *, is_sealed: bool) -> None:
        card = CountingCard(rate_hz=RATE)
        line = audio(RATE, pre_roll_ms=500, capture_rate_hz=RATE)
        self.office = Office(
            folder, {"front": (card, line)}, segment_s=2, card=card, is_sealed=is_sealed
        )
        self.is_abandoned = False

    def run(self) -> None:
        office = self.office
        office.run_to(1.2)
        record = office.open(a_record("call", started=1.0))
        office.run_to(4.0)
        record = office.save(replace(record, caller=CALLER))
        office.run_to(6.2)
        office.close(record, 6.0)
        office.settle()
        closure = office.open(a_record("closure", started=8.0))
        office.run_to(9.0)
        office.abandon(closure)
        office.writer.pump()
        self.is_abandoned = True
        office.file(a_record("missed", disposition="missed", started=9.0, ended_at=at(9.5)))
        office.settle()
        office.open(a_record("last", started=12.0))
        office.run_to(15.3)


STARTS = {"call": 500, "closure": 7500, "last": 11500}


def remains_of(machine, target, left):
    names, contents = LEFT[left]
    machine.remains(target, names=names, contents=contents)
    return Office(target)


def check_nothing_points_nowhere(office):
    """Before any recovery: a row stands only for a record that is there."""
    path = office.directory / NAME
    if path.exists():
        catalogue = open_catalogue(path)
        for folder in catalogue.folders().values():
            json.loads((folder / "call.json").read_text("utf-8"))
        catalogue.close()


def has_lost_sound_of_the_closure(machine):
    """Whether something of the abandoned call was removed for good before the end."""
    return any(
        what.startswith("unlink") and "closure" in what and not what.endswith(".part")
        for what in machine.log[:-1]
    )


def check(office, day):
    """Everything that must hold after a recovery."""
    acknowledged = {post.call_id for post in day.office.filed}
    present = {folder.name: folder for folder in office.folders()}
    assert acknowledged <= set(present)
    assert set(present) <= {"call", "missed", "last"} | (set() if day.is_abandoned else {"closure"})
    catalogue = open_catalogue(office.directory / NAME, read_only=True)
    assert catalogue.folders() == present
    for call_id, folder in present.items():
        record = json.loads((folder / "call.json").read_text("utf-8"))
        assert catalogue.get(call_id).record == without_sealed_part(record)
        assert {path.name for path in folder.iterdir()} == {
            "call.json",
            *(segment["file"] for segment in record["segments"]),
        }
        for segment in record["segments"]:
            content = (folder / segment["file"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == segment["sha256"]
        if record["audio"] is not None:
            kept = record["audio"]["frames"]
            assert office.frames(call_id) == expected(STARTS[call_id], kept)
        assert record["cut"] == (call_id not in acknowledged and record["ended_at"] is None)
    catalogue.close()
    check_ledger(office, present, acknowledged)
    if "call" in acknowledged:
        assert office.call("call")[1]["audio"]["frames"] == 5500
    assert [name for name in office.left_open() if name != "quarantine"] == []
    aside = {path.name for path in office.directory.glob("open/quarantine/*")}
    assert aside <= {f"{call_id}.age" for call_id in {*STARTS, "missed"} - present.keys()}
    if (office.directory / "vault").is_dir():
        keys = {path.name for path in (office.directory / "vault").iterdir()}
        assert keys <= {f"{call_id}.age" for call_id in present}


def check_ledger(office, present, acknowledged):
    """The chain holds; every filed call is in it with the hash of its record, under a checkpoint."""
    entries = office.entries()
    closed = {entry.data["call"]: entry for entry in entries if entry.kind == "call-closed"}
    assert set(closed) == set(present)
    signed = max((entry.seq for entry in entries if entry.kind == "checkpoint"), default=0)
    for call_id, folder in present.items():
        content = (folder / "call.json").read_bytes()
        assert closed[call_id].data["record_sha256"] == hashlib.sha256(content).hexdigest()
        assert closed[call_id].seq < signed or call_id not in acknowledged
        sealed = {
            entry.data["segment"]: entry.data["audio_sha256"]
            for entry in entries
            if entry.kind == "segment-sealed" and entry.data["call"] == call_id
        }
        for index, segment in enumerate(json.loads(content)["segments"]):
            assert sealed[index] == segment["audio_sha256"]


def check_little_was_lost(office, day, report):
    """Of a call that was going on, all but the last two seconds."""
    for call_id in report.cut:
        record = office.call(call_id)[1]
        kept = record["audio"]["frames"] if record["audio"] else 0
        end_s = min(day.office.now_s, 6.0) if call_id == "call" else day.office.now_s
        assert kept >= (end_s - LOST_S_MAX) * RATE - STARTS[call_id], call_id


def contents_of(folder):
    """Every file of calls/ and open/, by name."""
    return {
        path.relative_to(folder): path.read_bytes()
        for room in ("calls", "open")
        for path in (folder / room).rglob("*")
        if path.is_file()
    }


def killed_day(folder, operation, *, is_sealed):
    """A day that ended at a file operation; None where it had fewer."""
    (folder / "disk").mkdir()
    day, machine = Day(folder / "disk", is_sealed=is_sealed), Machine(folder / "disk")
    machine.kill_at = operation
    try:
        with machine.installed():
            day.run()
    except Killed:
        return day, machine
    finally:
        day.office.writer.close()
    return None


def operations_of_a_day(*, is_sealed):
    with in_memory() as folder:
        (folder / "disk").mkdir()
        machine, day = Machine(folder / "disk"), Day(folder / "disk", is_sealed=is_sealed)
        with machine.installed():
            day.run()
        day.office.writer.close()
        return machine.log


@pytest.mark.parametrize("is_sealed", [False, True], ids=["plain", "sealed"])
def test_killed_at_every_operation_of_a_day(is_sealed):
    operations = len(operations_of_a_day(is_sealed=is_sealed))
    assert operations > 200
    for operation in range(1, operations + 1):
        with in_memory() as folder:
            killed = killed_day(folder, operation, is_sealed=is_sealed)
            assert killed is not None
            day, machine = killed
            for left in LEFT:
                office = remains_of(machine, folder / left, left)
                check_nothing_points_nowhere(office)
                report = office.recover()
                assert report.problems == [], (operation, left, machine.log[-3:])
                check(office, day)
                check_little_was_lost(office, day, report)
                if has_lost_sound_of_the_closure(machine):
                    assert "closure" not in {folder.name for folder in office.folders()}


@pytest.mark.parametrize("is_sealed", [False, True], ids=["plain", "sealed"])
@pytest.mark.parametrize("share", [0.15, 0.45, 1.0])
def test_recovery_killed_at_every_operation_comes_to_the_same_end(share, is_sealed):
    """The day is killed in a call with late ID, in its closing, and in the last call."""
    with in_memory() as folder:
        operations = len(operations_of_a_day(is_sealed=is_sealed))
        day, machine = killed_day(folder, round(operations * share), is_sealed=is_sealed)
        once = remains_of(machine, folder / "once", "cut")
        once.recover()
        wanted = contents_of(once.directory)
        assert once.recover().cut == []
        assert contents_of(once.directory) == wanted
        operation, finished = 0, False
        while not finished:
            operation += 1
            office = remains_of(machine, folder / f"try-{operation}", "cut")
            again = killed_in_recovery(office, operation)
            finished = again is None
            for left in LEFT if again is not None else ():
                after = remains_of(again, folder / f"try-{operation}-{left}", left)
                after.recover()
                check(after, day)
                assert contents_of(after.directory) == wanted
        assert operation > 10


def killed_in_recovery(office, operation):
    """A recovery that ended at a file operation; None where it had fewer."""
    machine = Machine(office.directory)
    machine.kill_at = operation
    try:
        with machine.installed():
            office.recover()
    except Killed:
        return machine
    return None
