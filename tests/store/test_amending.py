"""Times that were written under a wrong clock, amended when it became right."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import replace
from unittest.mock import patch

import pytest

from recorderd.core.manifest import AmendTimes
from recorderd.errors import StoreError
from recorderd.events import StoreAlarm
from recorderd.store import amending
from recorderd.store.catalogue import NAME, open_catalogue
from recorderd.store.records import read_record
from recorderd.units import NS_PER_S, MonoNs, WallNs
from tests.store.calls import CALLER, READING, Office, a_record, at, in_memory

WRONG = replace(READING, wall=WallNs(100 * NS_PER_S), synchronised=False, source="none")
RIGHT = replace(READING, source="ntp")


@pytest.fixture
def office():
    with in_memory() as folder:
        office = Office(folder)
        for number, start in enumerate((10.0, 30.0)):
            record = a_record(f"call-{number}", started=start, reading=WRONG, caller=CALLER)
            office.whole_call(start, start + 4, record=record)
        yield office


def shown(office, call_id):
    with closing(open_catalogue(office.directory / NAME, read_only=True)) as catalogue:
        return catalogue.get(call_id).record


def amended(office):
    return [entry.data for entry in office.entries() if entry.kind == "record-amended"]


def test_times_move_by_one_amount_and_the_original_stays(office):
    before = {path: path.read_bytes() for path in office.directory.glob("calls/**/*.*")}
    assert shown(office, "call-0")["started_at"].startswith("1970-01-01T09:01:50")
    office.writer.handle(AmendTimes(RIGHT))
    office.settle()
    record = shown(office, "call-0")
    assert record["started_at"] == "2026-11-23T18:45:10.000+09:00"
    assert record["ended_at"] == "2026-11-23T18:45:14.000+09:00"
    assert record["clock"]["synchronised"]
    assert record["clock"]["source"] == "ntp"
    assert record["clock"]["moved_by_s"] == (READING.wall - WRONG.wall) / NS_PER_S
    assert {path: path.read_bytes() for path in before} == before
    for call in amended(office):
        folder, _ = office.call(call["call"])
        assert hashlib.sha256((folder / call["file"]).read_bytes()).hexdigest() == call["sha256"]
    assert [call["call"] for call in amended(office)] == ["call-0", "call-1"]
    assert office.entries()[-1].kind == "checkpoint"


def test_a_second_time_changes_nothing(office):
    for _ in range(2):
        office.writer.handle(AmendTimes(RIGHT))
        office.settle()
    folder, _ = office.call("call-0")
    assert [path.name for path in folder.glob("amend-*")] == ["amend-0001.json"]


@pytest.mark.parametrize("unknown", ["answered_at", "ended_at"])
def test_a_time_that_is_not_known_stays_unknown(office, unknown):
    """A missed call has no answer, and one that was cut no end."""
    moments = {"answered_at": at(50), "ended_at": at(60), unknown: None}
    office.file(a_record("call-2", started=50.0, reading=WRONG, disposition="missed", **moments))
    office.settle()
    office.writer.handle(AmendTimes(RIGHT))
    office.settle()
    record = shown(office, "call-2")
    assert record["started_at"] == "2026-11-23T18:45:50.000+09:00"
    assert record[unknown] is None
    folder, original = office.call("call-2")
    assert set(read_record(folder)) == set(original)


def test_calls_of_another_boot_stay_as_they_are(office):
    office.writer.handle(AmendTimes(replace(RIGHT, boot_id="boot-2")))
    office.settle()
    assert shown(office, "call-0")["started_at"].startswith("1970")


def test_a_call_that_goes_on_comes_first(office):
    office.run_to(50.0)
    record = office.open(a_record("call-2", started=49.0))
    office.writer.handle(AmendTimes(RIGHT))
    office.run_to(52.0)
    assert amended(office) == []
    office.close(record, 52.0)
    office.settle()
    assert len(amended(office)) == 2


def amend_refused_at(office, step):
    """The disk takes the correction itself, and refuses a later step of it; or it refuses at once to
    tell what is to be amended."""
    owner = office.ledger if step == "sign" else office.books.catalogue
    with patch.object(owner, step, side_effect=StoreError("full")):
        office.writer.handle(AmendTimes(RIGHT))
        office.settle()
        office.run_to(office.now_s + 70)  # it is tried again, with the other call


def alarms(office):
    return [post.text for post in office.posts if isinstance(post, StoreAlarm)]


@pytest.mark.parametrize("step", ["sign", "add", "of_wrong_clock"])
def test_what_the_disk_refused_is_an_alarm_and_is_tried_until_it_is_done(office, step):
    amend_refused_at(office, step)
    (alarm,) = [text for text in alarms(office) if "wrong clock" in text]
    assert alarm.endswith("full")
    office.run_to(office.now_s + 130)
    for call_id in ("call-0", "call-1"):
        folder, _ = office.call(call_id)
        assert [path.name for path in folder.glob("amend-*")] == ["amend-0001.json"]
        assert shown(office, call_id)["clock"]["synchronised"]
    assert alarms(office)[-1] is None


def test_a_call_that_cannot_be_amended_keeps_no_other_from_it(office):
    folder, _ = office.call("call-0")
    (folder / "call.json").write_text("{")
    office.writer.handle(AmendTimes(RIGHT))
    office.run_to(office.now_s + 130)
    assert shown(office, "call-1")["clock"]["synchronised"]
    assert "call.json" in alarms(office)[-1]
    assert not office.writer.pending()


@pytest.mark.parametrize("step", ["sign", "add"])
def test_what_a_failure_left_undone_is_done_later_and_not_twice(office, step):
    amend_refused_at(office, step)
    office.writer.handle(AmendTimes(RIGHT))
    office.settle()
    for call_id in ("call-0", "call-1"):
        folder, _ = office.call(call_id)
        assert [path.name for path in folder.glob("amend-*")] == ["amend-0001.json"]
        assert shown(office, call_id)["clock"]["synchronised"]


@pytest.mark.parametrize("step", ["sign", "add"])
def test_what_a_cut_left_undone_is_done_by_the_next_start(office, step):
    """Its boot is another one: nobody can correct these times any more, and the file is there."""
    amend_refused_at(office, step)
    assert office.recover().problems == []
    office.ledger.sync()
    assert {call["call"] for call in amended(office)} == {"call-0", "call-1"}
    for call_id in ("call-0", "call-1"):
        assert shown(office, call_id)["clock"]["synchronised"]
        assert len(office.entries()) == office.ledger.head.entries


def test_a_rebuilt_catalogue_has_the_amended_times(office):
    office.writer.handle(AmendTimes(RIGHT))
    office.settle()
    before = shown(office, "call-1")
    office.recover(drop_catalogue=True)
    assert shown(office, "call-1") == before


def test_flashes_and_call_waiting_move_too(office):
    _, record = office.call("call-0")
    record["flashes"] = [{"at": record["started_at"], "duration_ms": 300}]
    record["call_waiting"] = [{"at": record["started_at"], "caller": record["caller"]}]
    changes = amending.corrected_times(record, replace(RIGHT, mono=MonoNs(5)))
    assert changes["flashes"][0]["at"] == changes["call_waiting"][0]["at"] == changes["started_at"]
    assert json.loads(json.dumps(changes)) == changes
