"""Sealed calls: what is recorded, what the disk shows of it, and what a supervisor sees."""

from __future__ import annotations

import base64
import errno
import io
import json
import shutil
import tarfile
from contextlib import closing
from dataclasses import replace
from unittest.mock import patch

import pytest
from rich.console import Console

from recorderd.cli.calls import print_call, print_calls
from recorderd.core.manifest import CallWaiting, Digit
from recorderd.errors import StoreError
from recorderd.events import Caller
from recorderd.media import codec
from recorderd.media.tags import read_tags
from recorderd.recording import job
from recorderd.seal.searchkey import hashed, make_search_key, read_search_key
from recorderd.seal.vault import destroy_key, keep_key, keys_in
from recorderd.store import closing as closing_module
from recorderd.store import recovery
from recorderd.store.catalogue import NAME, open_catalogue
from recorderd.store.drafts import draft_path, load_draft
from recorderd.store.erasing import Sentence, erase
from tests.recording.test_writer_disk import disk_refuses
from tests.store.calls import CALLER, RATE, Office, a_record, at, expected, in_memory

WAITING = Caller("0909876543", "SUZUKI", None, "modem", "NMBR=0909876543")
SECRETS = (b"0312345678", b"03-1234-5678", b"TANAKA", b"0909876543", b"SUZUKI", b"0120444444")


@pytest.fixture
def folder():
    with in_memory() as path:
        yield path


@pytest.fixture
def office(folder):
    return Office(folder, is_sealed=True)


def cut_call(office, until=21.0, **known):
    """A call from 10.0 that still goes on."""
    office.run_to(10.2)
    office.open(a_record(caller=CALLER, **known))
    office.run_to(until)


def everything(folder):
    """Every byte of every file, and every name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() + str(path).encode() for path in files)


def test_a_call_is_whole_to_its_supervisor(office):
    office.whole_call(record=a_record(caller=CALLER))
    folder, record = office.call()
    names = [segment["file"] for segment in record["segments"]]
    assert [name[42:] for name in names] == [f"front_in_sealed_00{n}.flac.age" for n in range(3)]
    assert {path.name for path in folder.iterdir()} == {"call.json", *names}
    assert office.frames() == expected(8 * RATE, 14 * RATE)
    assert office.left_open() == []
    assert all(segment["audio_sha256"] for segment in record["segments"])


def test_the_record_shows_no_number_and_the_supervisor_all(office):
    record = replace(
        a_record(caller=CALLER),
        call_waiting=(CallWaiting(at(12.0), WAITING),),
        dialled="0120444444",
    )
    office.whole_call(record=record)
    _, filed = office.call()
    assert filed["caller"]["number"] is filed["caller"]["name"] is filed["caller"]["raw"] is None
    assert filed["caller"]["source"] == "modem"
    assert filed["dialled"] is None
    assert filed["call_waiting"][0]["caller"]["number"] is None
    assert filed["sealed"]["vault"] == "vault/call-1.age"
    assert (office.directory / filed["sealed"]["vault"]).is_file()
    opened = office.opened()
    assert opened["caller"]["number"] == CALLER.number
    assert (opened["caller"]["name"], opened["caller"]["raw"]) == (CALLER.name, CALLER.raw)
    assert opened["dialled"] == "0120444444"
    (waiting,) = opened["call_waiting"]
    assert (waiting["at"], waiting["caller"]["name"]) == (filed["call_waiting"][0]["at"], "SUZUKI")


def test_what_was_keyed_and_what_the_other_source_said_are_sealed_as_well(office):
    """A card's number, a bank's PIN; and the number that the line's sound told beside the modem's."""
    other = Caller("0466666666", "SATO", None, "line-audio", "raw 0466666666")
    keys = tuple(Digit(at(12.0 + index), "near", digit) for index, digit in enumerate("4711"))
    office.whole_call(record=replace(a_record(caller=CALLER), other_caller=other, digits=keys))
    _, filed = office.call()
    assert filed["digits"] == []
    assert filed["other_caller"]["source"] == "line-audio"
    for secret in ("0466666666", "SATO", CALLER.number, CALLER.name):
        assert secret not in json.dumps(filed)
    opened = office.opened()
    assert "".join(each["digit"] for each in opened["digits"]) == "4711"
    assert (opened["other_caller"]["number"], opened["other_caller"]["name"]) == (
        "0466666666",
        "SATO",
    )


def test_a_sealed_call_opened_is_the_plain_one(folder):
    records = []
    for is_sealed in (False, True):
        place = folder / str(is_sealed)
        place.mkdir()
        office = Office(place, is_sealed=is_sealed)
        office.whole_call(record=a_record(caller=CALLER))
        records.append(office.opened())
    plain, opened = records
    differs = {"segments": [], "salt": ""}
    assert opened | differs == plain | differs


@pytest.mark.parametrize("absence", ["private", "payphone"])
def test_an_absence_is_no_secret(office, absence):
    office.whole_call(record=a_record(caller=Caller(None, None, absence, "modem", "P")))
    assert office.call()[1]["caller"]["absence"] == absence


def test_the_blob_s_length_does_not_tell_who_called(folder):
    lengths = set()
    for index, caller in enumerate([None, CALLER, replace(CALLER, name="A" * 20)]):
        place = folder / str(index)
        place.mkdir()
        office = Office(place, is_sealed=True)
        office.file(a_record(caller=caller, disposition="missed", ended_at=at(12)))
        office.settle()
        record = office.call()[1]
        sealed = base64.b64decode(record["sealed"]["party"])
        lengths.add(len(office.opener(record).open(sealed)))  # age adds some random bytes to it
    assert lengths == {512}


def test_nothing_on_the_disk_shows_a_number_a_name_or_a_sound(folder):
    """The same search finds all of it in a plain store, so it can find."""
    found = {}
    for is_sealed in (False, True):
        place = folder / str(is_sealed)
        place.mkdir()
        office = Office(place, file_format="wav", is_sealed=is_sealed)
        record = replace(
            a_record(caller=CALLER),
            call_waiting=(CallWaiting(at(12.0), WAITING),),
            dialled="0120444444",
        )
        office.whole_call(record=record)
        office.open(a_record("two", started=office.now_s, caller=CALLER))
        office.run_to(office.now_s + 7)
        content = everything(place)
        in_a_segment, in_a_journal = 9 * RATE, round((office.now_s - 1) * RATE)
        needles = [*SECRETS, *(office.card.read(at, 8) for at in (in_a_segment, in_a_journal))]
        found[is_sealed] = [content.count(needle) for needle in needles]
        office.writer.close()
    assert found[True] == [0] * len(found[True])
    assert all(found[False])


def test_a_late_caller_id_changes_the_seal_and_not_the_name(office):
    office.run_to(10.2)
    record = office.open()
    office.run_to(16.0)
    record = office.save(replace(record, caller=CALLER))
    office.run_to(18.4)
    office.close(record, 18.0)
    office.settle()
    assert office.opened()["caller"]["name"] == "TANAKA"
    assert all("_sealed_" in segment["file"] for segment in office.call()[1]["segments"])


def test_tags_are_inside_the_seal(office):
    office.whole_call(record=a_record(caller=CALLER))
    folder, record = office.call()
    with office.opener(record).unpacked(folder / record["segments"][1]["file"]) as path:
        tags = read_tags(path)
    assert (tags["TRACKNUMBER"], tags["TRACKTOTAL"], tags["NUMBER"]) == ("2", "3", "sealed")
    assert tags["CALL_ID"] == "call-1"


def test_a_missed_call_is_sealed_too(office):
    office.file(a_record(caller=CALLER, disposition="missed", ended_at=at(12)))
    office.settle()
    assert b"TANAKA" not in everything(office.directory)
    assert office.opened()["caller"]["name"] == "TANAKA"


def test_a_call_that_must_not_be_recorded_keeps_its_record_under_a_key_of_its_own(office):
    """The sound's key goes with the sound; the record that follows has another."""
    office.run_to(10.2)
    record = office.open(a_record(caller=CALLER))
    office.run_to(16.0)
    (first,) = [path.read_bytes() for path in keys_in(office.directory)]
    office.abandon(record)
    record = office.save(replace(record, disposition="not-recorded", reason="no announcement"))
    office.settle()
    (second,) = [path.read_bytes() for path in keys_in(office.directory)]
    assert first != second
    office.file(replace(record, ended_at=at(20)))
    office.settle()
    assert office.opened()["caller"]["name"] == "TANAKA"
    assert [path.name for path in office.call()[0].iterdir()] == ["call.json"]


def test_of_a_call_that_is_not_filed_no_key_stays(office):
    office.run_to(10.2)
    record = office.open()
    office.run_to(16.0)
    assert keys_in(office.directory)
    office.abandon(record)
    office.settle()
    assert keys_in(office.directory) == []


def test_no_key_no_sound_on_the_disk(office):
    """A key that cannot be kept is a disk that cannot be written: memory holds, nothing is plain."""
    with disk_refuses(["open"], errno.ENOSPC, lambda path: "vault" in path):
        cut_call(office, until=20.0)
        assert len(office.failures) == 1
        assert "vault" in office.failures[0].reason
        assert not list(office.directory.glob("open/*"))
        assert not list(office.directory.glob("calls/*/*/*/*/*"))
    office.run_to(24.4)
    office.close(a_record(caller=CALLER), 24.0)
    office.settle()
    assert office.frames() == expected(8 * RATE, 16 * RATE)
    assert b"TANAKA" not in everything(office.directory)


def test_a_segment_that_is_damaged_on_its_way_is_not_sealed(office):
    real = codec.encode_segment

    def forgetful(path, blocks, *rest):
        return real(path, (bytes(4) + block[4:] for block in blocks), *rest)

    with patch.object(codec, "encode_segment", forgetful):
        cut_call(office, until=16.0)
        assert "not what was written" in office.failures[0].reason
        assert not list(office.directory.glob("calls/*/*/*/*/*.age"))


# ------------------------------------------------------------ after a crash


def test_a_crash_leaves_age_blocks_in_an_archive(office):
    cut_call(office)
    report = office.recover()
    assert (report.cut, report.problems) == (["call-1"], [])
    folder, record = office.call()
    *sealed, last = record["segments"]
    assert [segment["file"][-12:] for segment in sealed] == ["000.flac.age", "001.flac.age"]
    assert all(segment["audio_sha256"] for segment in sealed)
    assert last["file"].endswith("_front_in_sealed_002.tar")
    assert last["audio_sha256"] is None
    assert record["gaps"] == [{"first_frame": 13 * RATE, "frames": 0, "cause": "cut"}]
    assert office.frames() == expected(8 * RATE, 13 * RATE)
    assert office.opened()["caller"]["name"] == "TANAKA"
    with tarfile.open(folder / last["file"]) as archive:
        members = archive.getmembers()
    assert members[0].name == "000000080000.pcm.age"
    assert all(member.size < RATE * 4 + 1000 for member in members)
    assert office.left_open() == []


def test_a_hole_in_a_crash_s_archive_is_silence_and_a_gap(office):
    with patch.object(codec, "verify_segment", lambda path, blocks: False):
        cut_call(office, until=16.0)  # nothing can be sealed: two segments lie in journals
    (path,) = office.directory.glob("open/call-1_000_*.journal")
    content = bytearray(path.read_bytes())
    content[content.index(b"\n") + 70_000] ^= 1
    path.write_bytes(content)
    office.recover()
    _, record = office.call()
    first, last = record["gaps"]
    assert first["first_frame"] + first["frames"] == 5 * RATE
    assert first["cause"] == last["cause"] == "cut"
    assert [segment["file"][-8:] for segment in record["segments"]] == ["_000.tar", "_001.tar"]
    kept = record["audio"]["frames"]
    assert kept > 7 * RATE
    assert office.frames() == expected(8 * RATE, kept, [first])


def test_a_crash_between_hanging_up_and_sealing_keeps_the_length(office):
    """The end lies in the middle of a block, and of a segment that was sealed as a full one."""
    office.run_to(10.2)
    record = office.open(a_record(caller=CALLER))
    office.run_to(18.9)
    office.close(record, 17.3)
    office.writer._round()
    office.writer._round()
    report = office.recover()
    assert report.problems == []
    frames = round(9.3 * RATE)
    assert office.call()[1]["audio"]["frames"] == frames
    assert office.frames() == expected(8 * RATE, frames)


def test_a_lost_record_is_told_and_its_segments_stay(office):
    office.whole_call(10.0, 17.5)
    place, _ = office.call()
    (place / "call.json").unlink()
    before = sorted(path.name for path in place.iterdir())
    (problem,) = office.recover().problems
    assert "restore it from a copy" in problem
    assert sorted(path.name for path in place.iterdir()) == before


def test_erasing_the_key_makes_every_copy_unreadable(office):
    office.whole_call()
    _, record = office.call()
    destroy_key(office.directory, "call-1")
    with pytest.raises(StoreError, match="nobody can open this call"):
        office.opener(record)


def test_an_erased_call_leaves_its_text_and_opens_for_nobody_also_in_a_copy(office):
    office.whole_call(record=a_record(caller=CALLER))
    folder, record = office.call()
    copy = (folder / record["segments"][0]["file"]).read_bytes()
    key = office.opener(record)
    assert key.open(copy)
    for _ in erase(office.directory, folder, office.books, Sentence("age", 180, "2027-01-01", 0)):
        pass
    assert keys_in(office.directory) == []
    with pytest.raises(StoreError, match="nobody can open this call"):
        office.opener(record)
    office.writer.close()
    with closing(open_catalogue(office.directory / NAME, read_only=True)) as catalogue:
        (entry,) = catalogue.find()
        assert catalogue.find(number="0312345678") == []
    console = Console(file=io.StringIO())
    print_calls([entry.record], console)
    print_call(entry, console)
    assert "sealed" not in console.file.getvalue()


# ------------------------------------------------------------ finding by number


def found(office, number):
    with closing(open_catalogue(office.directory / NAME, read_only=True)) as catalogue:
        return sorted(entry.record["id"] for entry in catalogue.find(number=number))


NUMBERS = {"one": "03-1234-5678", "two": "+81312345678", "three": "0699995678", "four": "110"}


@pytest.fixture(params=["as filed", "rebuilt"])
def callers(request, office):
    """Missed calls of some numbers; the catalogue as it grew, and made again from the records."""
    for call_id, number in NUMBERS.items():
        caller = replace(CALLER, number=number)
        office.file(a_record(call_id, caller=caller, disposition="missed", ended_at=at(12)))
        office.settle()
    office.file(a_record("out", dialled="0312345678", direction="outbound", ended_at=at(12)))
    office.settle()
    office.writer.close()
    if request.param == "rebuilt":
        office.recover(drop_catalogue=True)
    return office


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("0312345678", ["one", "out", "two"]),
        ("+81 3 1234 5678", ["one", "out", "two"]),
        ("5678", ["one", "out", "three", "two"]),
        ("06-9999-5678", ["three"]),
        ("110", ["four"]),
        ("0312345679", []),
        ("678", []),
    ],
)
def test_sealed_calls_are_found_by_their_number(callers, asked, wanted):
    assert found(callers, asked) == sorted(wanted)
    records = [callers.call(folder.name)[1] for folder in callers.folders()]
    for record in records:
        # What is random holds any four digits now and then.
        record["salt"] = record["sealed"]["party"] = record["sealed"]["numbers"] = ""
    assert "5678" not in json.dumps(records)


def test_without_the_box_s_key_nothing_is_found_and_nothing_fails(callers):
    (callers.directory / "keys/search.key").unlink()
    assert found(callers, "0312345678") == []


def test_another_box_hashes_otherwise(folder):
    for name in ("one", "two"):
        (folder / name).mkdir()
    keys = [make_search_key(folder / name) for name in ("one", "two")]
    assert keys[0] != keys[1]
    assert hashed(keys[0], ["=110"]) != hashed(keys[1], ["=110"])
    assert make_search_key(folder / "one") == keys[0] == read_search_key(folder / "one")
    assert (folder / "one/keys/search.key").stat().st_mode & 0o777 == 0o600


def test_a_damaged_search_key_is_told(folder):
    make_search_key(folder)
    (folder / "keys/search.key").write_bytes(b"\0" * 65)
    with pytest.raises(StoreError, match="not a search key"):
        read_search_key(folder)


def test_the_key_of_a_call_that_never_came_to_be_is_set_aside(office):
    """Not destroyed, and never one of a call that was, is still open, or is erased."""
    office.whole_call(record=a_record("call-0", caller=CALLER))
    office.whole_call(30.0, 35.0, record=a_record("call-2", started=30.0))
    office.whole_call(40.0, 45.0, record=a_record("call-3", started=40.0))
    keep_key(office.directory, "lone", b"sealed to the supervisors")
    (office.directory / "vault/.half.age.part").write_bytes(b"sea")
    shutil.rmtree(office.call("call-3")[0])  # a disk lost it, and a copy may bring it back
    office.run_to(50.0)
    office.open(a_record("call-1", started=50.0))
    office.run_to(58.0)
    report = office.recover()
    assert report.set_aside == ["lone.age"]
    aside = office.directory / "open/quarantine/lone.age"
    assert aside.read_bytes() == b"sealed to the supervisors"
    left = sorted(path.name for path in (office.directory / "vault").iterdir())
    assert left == [f"call-{number}.age" for number in range(4)]
    assert office.recover().set_aside == []


def test_a_key_waits_with_its_call_that_could_not_be_filed(office):
    cut_call(office, until=12.0)  # of which all is in open/
    with patch.object(recovery, "save_draft", side_effect=StoreError("refused")):
        assert list(office.recover().left) == ["call-1"]
    assert [path.stem for path in keys_in(office.directory)] == ["call-1"]
    office.recover()
    assert office.opened()["caller"]["number"] == CALLER.number


def test_a_key_outlives_an_abandonment_that_the_disk_does_not_take(office):
    """A draft that still speaks of the call needs its key: only a durable one lets it be destroyed."""
    office.run_to(10.2)
    record = office.open(a_record(caller=CALLER))
    office.run_to(15)
    with disk_refuses(["fsync"], errno.EIO, lambda path: True):
        office.abandon(record)
        office.run_to(20)
        assert office.failures
    report = office.recover()
    assert report.cut == ["call-1"]
    assert office.opened()["caller"]["name"] == "TANAKA"


def test_a_key_whose_destruction_the_disk_refuses_is_not_synced_again(office):
    """A second sync says that all is well when it is not: the name goes all the same."""
    office.run_to(10.2)
    record = office.open(a_record(caller=CALLER))
    office.run_to(15)
    synced = []

    def is_key(path):
        if path.endswith("call-1.age"):
            synced.append(path)
        return path.endswith("call-1.age")

    office.abandon(record)
    with disk_refuses(["fsync"], errno.EIO, is_key):
        office.run_to(30)
    office.settle()
    assert len(synced) == 1
    assert office.failures
    assert keys_in(office.directory) == []
    assert office.left_open() == []


def test_no_key_goes_before_the_draft_says_that_nothing_is_kept(office):
    """A full disk refuses that at first; a draft that still speaks of a call needs its key."""
    office.run_to(10.2)
    record = office.open()
    office.run_to(14.0)
    office.abandon(record)
    said = []

    def look(directory, call_id):
        said.append(load_draft(draft_path(directory, call_id)).is_filed)
        destroy_key(directory, call_id)

    with patch.object(job, "save_draft", side_effect=StoreError("full")):
        office.run_to(14.5)
    with patch.object(closing_module, "destroy_key", look):
        office.settle()
    assert said == [False]
    assert office.left_open() == keys_in(office.directory) == []
