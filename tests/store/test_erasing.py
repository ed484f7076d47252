"""Erasing a call: all of it or nothing, whatever happens meanwhile, and no number is left."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
from contextlib import closing
from dataclasses import replace
from unittest.mock import patch

import pytest

from recorderd.core import chain
from recorderd.errors import StoreError, UsageError
from recorderd.store import holds
from recorderd.store.catalogue import NAME as CATALOGUE
from recorderd.store.catalogue import open_catalogue
from recorderd.store.erasing import Sentence, begun, erase, finish
from recorderd.store.holds import is_held, lock_folder, place_hold, take_off_hold
from recorderd.store.ledger import chain_lines, open_desk
from recorderd.store.receipts import is_confirmed
from recorderd.store.signing import is_signed
from tests.store.calls import CALLER, KEY, SITE, Office, a_record, in_memory
from tests.store.power import Killed, Machine
from tests.store.shelf import (
    ARCHIVE,
    NAME,
    NUMBER,
    confirm,
    is_erased,
    is_whole,
    shelve,
    where_found,
)
from tests.store.test_kill_anywhere import LEFT

AGE = Sentence("age", 180, "2027-06-01T00:00:00+09:00", 20_000_000)
SPACE = Sentence("space", 180, "2027-06-01T00:00:00+09:00", 20_000_000)


@pytest.fixture
def office():
    with in_memory() as folder:
        yield Office(folder)


def run(office, folder, sentence=AGE):
    for _ in erase(office.directory, folder, office.books, sentence):
        pass


def entries_of(office, kind):
    return [entry.data for entry in office.entries() if entry.kind == kind]


def desk(office):
    return open_desk(office.directory, SITE.name, office.reading)


# ------------------------------------------------------------ what is left


def test_of_an_erased_call_the_signed_text_record_stays(office):
    folder = shelve(office.directory, office.books, "call", 1000)
    record = json.loads((folder / "call.json").read_text("utf-8"))
    digest = hashlib.sha256((folder / "call.json").read_bytes()).hexdigest()
    run(office, folder)
    assert is_erased(folder)
    data = (folder / "erased.json").read_bytes()
    stays = json.loads(data)
    for key in ("id", "site", "line", "direction", "disposition", "started_at", "duration_s"):
        assert stays[key] == record[key]
    assert (stays["rule"], stays["days"], stays["retention"]) == ("age", 180, "standard")
    assert (stays["erased_at"], stays["record_sha256"]) == (AGE.at, digest)
    assert [each["sha256"] for each in stays["segments"]] == [
        each["sha256"] for each in record["segments"]
    ]
    assert is_signed(KEY.public_pem, (folder / "erased.sig").read_bytes(), data)
    (entry,) = entries_of(office, "call-erased")
    assert entry == {
        "call": "call",
        "rule": "age",
        "tombstone_sha256": hashlib.sha256(data).hexdigest(),
        "record_sha256": digest,
    }
    assert begun(office.directory) == []


def test_a_recorded_call_leaves_no_number_and_no_name_in_any_byte(office):
    record = a_record("call", caller=replace(CALLER, number=NUMBER, name=NAME), box_time_s=5)
    office.whole_call(record=replace(record, retention="standard"))
    folder, _ = office.call("call")
    (folder / "amend-0001.json").write_text(json.dumps({"changes": {"dialled": NUMBER}}))
    quarantine = office.directory / "open/quarantine"
    quarantine.mkdir()
    (quarantine / "call_000_000.journal").write_text(NUMBER)
    (quarantine / "call.json").write_text(NUMBER)
    (quarantine / "call-2.json").write_text("another call's")
    (office.directory / "catalogue-damaged.sqlite").write_text(NUMBER)
    with closing(open_catalogue(office.directory / CATALOGUE, read_only=True)) as catalogue:
        assert [entry.record["id"] for entry in catalogue.find(number=NUMBER)] == ["call"]
        assert len(where_found(office.directory, NUMBER, NAME)) > 6
        run(office, folder)
        assert catalogue.find(number=NUMBER) == []
        erased = catalogue.get("call").record["erased"]
        assert erased == {"at": AGE.at, "rule": "age", "days": 180}
    assert office.books.catalogue.scrub()
    assert where_found(office.directory, NUMBER, NAME) == []
    assert (quarantine / "call-2.json").exists()
    assert office.recover().problems == []
    assert office.recover(drop_catalogue=True).problems == []
    with closing(open_catalogue(office.directory / CATALOGUE, read_only=True)) as catalogue:
        assert catalogue.get("call").record["erased"] == erased
        assert catalogue.kept(limit=10) == []


def test_the_log_of_the_catalogue_is_scrubbed_when_nobody_reads(office):
    folder = shelve(office.directory, office.books, "call", 1000)
    with closing(open_catalogue(office.directory / CATALOGUE, read_only=True)) as reader:
        reader._connection.execute("BEGIN")
        reader._connection.execute("SELECT count(*) FROM call").fetchall()
        run(office, folder)
        office.books.catalogue._connection.execute("PRAGMA busy_timeout = 10")
        assert not office.books.catalogue.scrub()
        assert where_found(office.directory, NUMBER) != []
    assert office.books.catalogue.scrub()
    assert where_found(office.directory, NUMBER) == []


def test_the_key_of_a_sealed_call_goes_with_its_age_and_stays_when_room_is_made(office):
    for call_id, sentence in (("aged", AGE), ("moved", SPACE)):
        folder = shelve(office.directory, office.books, call_id, 1000)
        key = office.directory / "vault" / f"{call_id}.age"
        key.parent.mkdir(exist_ok=True)
        key.write_bytes(b"AGE-SECRET-KEY")
        run(office, folder, sentence)
    assert [path.name for path in (office.directory / "vault").iterdir()] == ["moved.age"]


def test_of_a_sealed_call_no_search_key_is_left_either():
    with in_memory() as directory:
        office = Office(directory, is_sealed=True)
        record = a_record("call", caller=replace(CALLER, number=NUMBER, name=NAME), box_time_s=5)
        office.whole_call(record=replace(record, retention="standard"))
        folder, kept = office.call("call")
        hashes = kept["sealed"]["numbers"]
        assert hashes
        assert where_found(directory, NUMBER, NAME) == []
        assert len(where_found(directory, *hashes)) >= 2
        run(office, folder)
        assert is_erased(folder)
        assert list((directory / "vault").iterdir()) == []
        assert office.books.catalogue.scrub()
        assert where_found(directory, *hashes) == []


def test_making_room_removes_the_sound_and_keeps_the_record(office):
    folder = shelve(office.directory, office.books, "call", 1000)
    confirm(folder)
    before = (folder / "call.json").read_bytes()
    run(office, folder, SPACE)
    names = {path.name for path in folder.iterdir()}
    assert names == {"call.json", "receipt.json", "archived.json"}
    assert (folder / "call.json").read_bytes() == before
    (entry,) = entries_of(office, "sound-removed")
    assert entry["record_sha256"] == hashlib.sha256(before).hexdigest()
    with closing(open_catalogue(office.directory / CATALOGUE, read_only=True)) as catalogue:
        assert len(catalogue.find(number=NUMBER)) == 1
    run(office, folder)  # when its time has come
    assert is_erased(folder)


def test_the_record_s_hash_tells_nothing_when_the_record_is_gone(office):
    """Ten digits are soon tried out; the salt that goes with the record is not."""
    office.whole_call(record=a_record("one"))
    office.whole_call(start=40, ended=50, record=a_record("two", started=40.0))
    salts = [office.call(call_id)[1]["salt"] for call_id in ("one", "two")]
    assert salts[0] != salts[1]
    assert all(len(bytes.fromhex(salt)) == 16 for salt in salts)


# ------------------------------------------------------------ holds


def test_a_held_call_is_not_erased(office):
    folder = shelve(office.directory, office.books, "call", 1000)
    with desk(office) as chain:
        place_hold(folder, chain, "tanaka", "police", "2026-11-25")
    for sentence in (AGE, SPACE):
        run(office, folder, sentence)
        assert is_whole(folder)
        assert is_held(folder)
    assert begun(office.directory) == []
    assert entries_of(office, "call-erased") == entries_of(office, "sound-removed") == []
    with desk(office) as chain:
        take_off_hold(folder, chain, "tanaka", "over")
    run(office, folder)
    assert is_erased(folder)


def asked_to_hold(folder, chain):
    try:
        place_hold(folder, chain, "tanaka", "police", "2026-11-25")
    except UsageError:
        return "refused"
    return "held"


def test_whoever_comes_second_is_told(office):
    """A hold at every step of erasing: it is there and the call whole, or refused and the call gone."""
    outcomes = []
    for moment in range(12):
        folder = shelve(office.directory, office.books, f"call-{moment}", 1000)
        steps = erase(office.directory, folder, office.books, AGE)
        for _ in range(moment):
            next(steps, None)
        with desk(office) as chain:
            outcomes.append(asked_to_hold(folder, chain))
        for _ in steps:
            pass
        assert is_whole(folder) if outcomes[-1] == "held" else is_erased(folder)
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {"held", "refused"}


def test_a_call_at_which_a_command_works_is_left_alone(office):
    folder = shelve(office.directory, office.books, "call", 1000)
    with lock_folder(folder, wait=True), pytest.raises(StoreError, match="a command is at work"):
        run(office, folder)
    assert is_whole(folder)
    assert begun(office.directory) == [folder]
    for _ in finish(office.directory, folder, office.books):
        pass
    assert is_whole(folder)
    assert begun(office.directory) == []


def test_holds_are_entered_before_they_are_done(office):
    folder = shelve(office.directory, office.books, "call", 1000)
    with desk(office) as chain:
        place_hold(folder, chain, "tanaka", "police asked", "2026-11-25")
        sha256 = hashlib.sha256((folder / "hold.json").read_bytes()).hexdigest()
        with pytest.raises(UsageError, match="held already"):
            place_hold(folder, chain, "sato", "too", "2026-11-25")
        take_off_hold(folder, chain, "sato", "case closed")
        with pytest.raises(UsageError, match="not held"):
            take_off_hold(folder, chain, "sato", "again")
    lines = (office.directory / "ledger/desk").glob("*.jsonl")
    said = [json.loads(line) for path in lines for line in path.read_text().splitlines()]
    assert [each["data"] for each in said if each["kind"] in {"hold", "release"}] == [
        {"call": "call", "who": "tanaka", "why": "police asked", "sha256": sha256},
        {"call": "call", "who": "sato", "why": "case closed"},
    ]


@pytest.mark.parametrize("is_placed", [True, False])
def test_a_hold_is_in_the_ledger_on_the_disk_before_it_is_there_or_gone(office, is_placed):
    folder = shelve(office.directory, office.books, "call", 1000)
    seen = []

    def look(*_arguments):
        lines = [*chain_lines(office.directory / "ledger/desk")]
        seen.append([chain.parse_line(line).kind for line in lines if b'"call":"call"' in line])

    with desk(office) as ledger:
        place_hold(folder, ledger, "chief", "dispute", AGE.at)
    step = "write_durable" if is_placed else "remove_durable"
    with desk(office) as ledger, patch.object(holds.files, step, look):
        if is_placed:
            (folder / "hold.json").unlink()
            place_hold(folder, ledger, "chief", "once more", AGE.at)
        else:
            take_off_hold(folder, ledger, "chief", "over")
    assert seen == [["hold", "hold" if is_placed else "release"]]


# ------------------------------------------------------------ receipts


@pytest.mark.parametrize("content", ["", "[]", '{"files": []}', '{"files": {"a": 1}}', "{}"])
def test_a_receipt_that_is_none_confirms_nothing(office, content):
    folder = shelve(office.directory, office.books, "call", 1000)
    record = json.loads((folder / "call.json").read_text("utf-8"))
    assert not is_confirmed(folder, record, ARCHIVE)
    (folder / "receipt.json").write_text(content)
    assert not is_confirmed(folder, record, ARCHIVE)


def test_a_receipt_must_name_every_segment_with_its_hash(office):
    folder = shelve(office.directory, office.books, "call", 1000)
    record = json.loads((folder / "call.json").read_text("utf-8"))
    confirm(folder)
    assert is_confirmed(folder, record, ARCHIVE)
    for change in (
        lambda names: names.popitem(),
        lambda names: names.update(dict.fromkeys(names, "0")),
    ):
        confirm(folder)
        receipt = json.loads((folder / "receipt.json").read_text("utf-8"))
        change(receipt["files"])
        (folder / "receipt.json").write_text(json.dumps(receipt))
        assert not is_confirmed(folder, record, ARCHIVE)
    empty = shelve(office.directory, office.books, "missed", 1000, sound=b"")
    assert is_confirmed(empty, json.loads((empty / "call.json").read_text("utf-8")), ARCHIVE)


def test_another_archive_than_today_s_confirms_nothing_but_what_it_alone_has(office):
    folder = shelve(office.directory, office.books, "call", 1000)
    record = json.loads((folder / "call.json").read_text("utf-8"))
    confirm(folder)
    assert is_confirmed(folder, record, f"{ARCHIVE}/")
    assert not is_confirmed(folder, record, "s3://new")
    run(office, folder, SPACE)
    assert is_confirmed(folder, record, "s3://new")


# ------------------------------------------------------------ killed at every operation


def prepared(folder):
    office = Office(folder)
    call = shelve(folder, office.books, "call", 1000)
    other = shelve(folder, office.books, "other", 1000)
    key = folder / "vault/call.age"
    key.parent.mkdir()
    key.write_bytes(b"AGE-SECRET-KEY")
    confirm(call)
    return office, call, other


def killed_erasing(folder, sentence, operation):
    """The machine on which erasing was killed; None where it came to its end before."""
    (folder / "disk").mkdir()
    office, call, _ = prepared(folder / "disk")
    machine = Machine(folder / "disk")
    machine.kill_at = operation
    try:
        with machine.installed():
            run(office, call, sentence)
    except Killed:
        return machine
    finally:
        office.writer.close()
    return None


def restarted(machine, target, left):
    names, contents = LEFT[left]
    machine.remains(target, names=names, contents=contents)
    office = Office(target)
    assert office.recover().problems == []
    for folder in begun(target):
        for _ in finish(target, folder, office.books):
            pass
    office.books.catalogue.scrub()
    return office


@pytest.mark.parametrize("sentence", [AGE, SPACE], ids=["age", "space"])
def test_killed_at_every_operation_a_call_is_whole_or_gone(sentence):
    outcomes = []
    operation = 0
    while True:
        operation += 1
        with in_memory() as folder:
            machine = killed_erasing(folder, sentence, operation)
            if machine is None:
                break
            for left in LEFT:
                office = restarted(machine, folder / left.replace(" ", "-"), left)
                (call,) = office.directory.glob("calls/*/*/*/call")
                outcomes.append(check_whole_or_gone(office, call, sentence, machine.log))
                (other,) = office.directory.glob("calls/*/*/*/other")
                assert is_whole(other)
    assert operation > 15
    assert set(outcomes) == {"whole", "gone"}


def check_whole_or_gone(office, call, sentence, log):
    with closing(open_catalogue(office.directory / CATALOGUE, read_only=True)) as catalogue:
        record = catalogue.get("call").record
        found = {entry.record["id"] for entry in catalogue.find(number=NUMBER)}
    key = office.directory / "vault/call.age"
    entries = entries_of(office, "call-erased") + entries_of(office, "sound-removed")
    assert begun(office.directory) == []
    if is_whole(call):
        assert not entries, log
        assert not {path.name for path in call.iterdir()} & {"erased.json", "archived.json"}
        assert key.read_bytes() == b"AGE-SECRET-KEY"
        assert found == {"call", "other"}
        return "whole"
    assert len(entries) == 1, log
    if sentence.rule == "age":
        assert is_erased(call), log
        assert not key.exists()
        assert record["erased"]["rule"] == "age"
        assert found == {"other"}
    else:
        assert {path.name for path in call.iterdir()} == {
            "call.json",
            "receipt.json",
            "archived.json",
        }, log
        assert key.exists()
        assert found == {"call", "other"}
    return "gone"


class RefusingTheMoment(Machine):
    """A disk that refuses, once, to make the name of the text record durable."""

    is_done = False

    def _count(self, what):
        before = self.log[-1] if self.log else ""
        super()._count(what)
        if before.startswith("replace") and "erased.json" in before and not self.is_done:
            self.is_done = True
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_what_follows_waits_until_the_disk_has_taken_the_text_record():
    """Else the call might come back in a power cut, and its key would not."""
    with in_memory() as folder:
        (folder / "disk").mkdir()
        office, call, _ = prepared(folder / "disk")
        machine = RefusingTheMoment(folder / "disk")
        with machine.installed():
            with pytest.raises(StoreError):
                run(office, call)
            assert (call / "erased.json").exists()
            next(finish(office.directory, call, office.books))
        assert len(entries_of(office, "call-erased")) == 1
        machine.remains(folder / "left", names="synced", contents="synced")
        assert list((folder / "left").glob("calls/*/*/*/call/erased.json"))
        office.writer.close()


class Refusing(Machine):
    """A disk that refuses one operation, once."""

    error = errno.EIO

    def _count(self, what):
        self.operations += 1
        self.log.append(what)
        if self.operations == self.kill_at:
            if " add" in what:
                raise StoreError(what)
            raise OSError(self.error, os.strerror(self.error))


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("sentence", [AGE, SPACE], ids=["age", "space"])
def test_a_disk_that_refuses_any_operation_once_is_only_a_delay(sentence, error):
    refused = 0
    for operation in itertools.count(1):
        with in_memory() as folder:
            office, call, other = prepared(folder)
            machine = Refusing(folder)
            machine.kill_at, machine.error = operation, error
            with machine.installed():
                try:
                    run(office, call, sentence)
                except StoreError:
                    refused += 1
            for each in begun(folder):
                for _ in finish(folder, each, office.books):
                    pass
            if is_whole(call):
                run(office, call, sentence)
            check_whole_or_gone(office, call, sentence, machine.log)
            assert not is_whole(call)
            assert is_whole(other)
            office.writer.close()
            if machine.operations < operation:
                break
    assert refused > 10
