"""Start-up recovery, case by case; test_kill_anywhere.py does it wholesale."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest

from recorderd.disk import files
from recorderd.disk.layout import OPEN
from recorderd.errors import StoreError
from recorderd.media import codec
from recorderd.media.tags import read_tags
from recorderd.store import closing as closing_module
from recorderd.store import ledger
from recorderd.store.books import Books
from recorderd.store.catalogue import NAME, open_catalogue
from recorderd.store.drafts import draft_path
from recorderd.store.recovery import finish_call
from tests.store.calls import CALLER, RATE, SITE, Office, a_record, at, expected, in_memory

BLOCK_HEAD_BYTES = 20


@pytest.fixture
def folder():
    with in_memory() as path:
        yield path


@pytest.fixture
def is_sealed():
    return False


both = pytest.mark.parametrize("is_sealed", [False, True], ids=["plain", "sealed"])


@pytest.fixture
def office(folder, is_sealed):
    """A call from 10.0 that still goes on at 21.0: two sealed segments, and three seconds more."""
    office = Office(folder, is_sealed=is_sealed)
    office.run_to(10.2)
    office.open(a_record(caller=CALLER))
    office.run_to(21.0)
    return office


def journal_of(office, segment=2):
    (path,) = office.directory.glob(f"open/call-1_{segment:03d}_*.journal")
    return path


def quarantined(office):
    return sorted(path.name for path in office.directory.glob("open/quarantine/*"))


def test_a_call_cut_by_a_crash(office):
    report = office.recover()
    assert (report.cut, report.finished, report.problems) == (["call-1"], [], [])
    _, record = office.call()
    assert record["cut"] is True
    assert (record["ended_at"], record["duration_s"]) == (None, None)
    assert record["answered_at"] == "2026-11-23T18:45:10.000+09:00"
    assert record["disposition"] == "recorded"
    assert record["audio"]["pre_roll_frames"] == 2 * RATE
    assert record["gaps"] == [{"first_frame": 13 * RATE, "frames": 0, "cause": "cut"}]
    assert office.frames() == expected(8 * RATE, 13 * RATE)
    assert all("_in_0312345678_" in segment["file"] for segment in record["segments"])
    assert office.left_open() == []


def test_a_call_cut_within_its_pre_roll_tells_when_its_sound_began(folder):
    office = Office(folder)
    office.run_to(10.2)
    office.open()
    office.run_to(10.5)
    journal = journal_of(office, 0)
    content = journal.read_bytes()
    first_block = content.index(b"\n") + 1 + BLOCK_HEAD_BYTES + 4 * RATE
    journal.write_bytes(content[:first_block])
    office.recover()
    _, record = office.call()
    assert record["audio"]["frames"] == RATE
    assert record["audio"]["pre_roll_frames"] == 2 * RATE  # the first frame is from 8.0
    assert office.frames() == expected(8 * RATE, RATE)


def test_the_tags_of_a_cut_call_are_whole(office):
    office.recover()
    folder, record = office.call()
    tags = read_tags(folder / record["segments"][0]["file"])
    assert (tags["TRACKNUMBER"], tags["TRACKTOTAL"], tags["ARTIST"]) == ("1", "3", "TANAKA")


@both
def test_gaps_before_the_cut_are_kept(folder, is_sealed):
    office = Office(folder, is_sealed=is_sealed)
    office.run_to(10.2)
    office.open()
    office.run_to(12.0)
    office.card.alive = False
    office.run_to(13.0)
    office.card.come_back(13.0, "overrun")
    office.run_to(17.0)
    office.card.alive = False
    office.run_to(18.0)
    office.card.come_back(18.0, "card-stalled")
    office.run_to(20.0)
    office.recover()
    gaps = office.call()[1]["gaps"]
    assert gaps == [
        {"first_frame": 4 * RATE, "frames": RATE, "cause": "overrun"},
        {"first_frame": 9 * RATE, "frames": RATE, "cause": "card-stalled"},
        {"first_frame": 12 * RATE, "frames": 0, "cause": "cut"},
    ]
    assert office.frames() == expected(8 * RATE, 12 * RATE, gaps)


@both
def test_recovery_twice_is_recovery_once(office):
    office.recover()
    before = office.call()
    report = office.recover()
    assert (report.cut, report.finished, report.reindexed.added) == ([], [], ())
    assert office.call() == before


@both
def test_a_torn_end_is_cut_off_and_goes(office):
    path = journal_of(office)
    path.write_bytes(path.read_bytes()[:-1000])
    office.recover()
    kept = office.call()[1]["audio"]["frames"]
    assert 12 * RATE < kept < 13 * RATE
    assert office.frames() == expected(8 * RATE, kept)
    assert quarantined(office) == []


@both
def test_a_damaged_journal_gives_its_beginning_and_is_kept_aside(office):
    path = journal_of(office)
    content = bytearray(path.read_bytes())
    content[content.index(b"\n") + 5000] ^= 1
    path.write_bytes(content)
    office.recover()
    kept = office.call()[1]["audio"]["frames"]
    assert kept == 10 * RATE
    assert office.frames() == expected(8 * RATE, kept)
    assert quarantined(office) == [path.name]


def test_damage_in_a_segment_before_the_last_keeps_the_time_true(folder):
    office = Office(folder)
    office.run_to(10.2)
    office.open()
    with patch.object(codec, "verify_segment", lambda path, blocks: False):
        office.run_to(16.0)  # nothing can be sealed: two segments lie in journals
    path = journal_of(office, 0)
    content = bytearray(path.read_bytes())
    content[content.index(b"\n") + 70_000] ^= 1
    path.write_bytes(content)
    office.recover()
    _, record = office.call()
    first, last = record["gaps"]
    assert first["cause"] == last["cause"] == "cut"
    assert first["first_frame"] + first["frames"] == 5 * RATE
    kept = record["audio"]["frames"]
    assert kept > 7 * RATE
    assert office.frames() == expected(8 * RATE, kept, [first])
    assert quarantined(office) == [path.name]


@both
def test_a_journal_with_an_unreadable_header_is_set_aside_and_told(office):
    path = journal_of(office)
    path.write_bytes(b"\0" * 4096 + path.read_bytes()[4096:])
    report = office.recover()
    assert report.set_aside == [path.name]
    assert quarantined(office) == [path.name]
    assert office.frames() == expected(8 * RATE, 10 * RATE)


def test_without_its_draft_a_call_is_known_by_its_journal(office):
    draft_path(office.directory, "call-1").write_bytes(b"\0" * 500)
    report = office.recover()
    assert report.cut == ["call-1"]
    assert len(report.problems) == 1
    assert report.set_aside == ["call-1.json"]
    assert office.frames() == expected(8 * RATE, 13 * RATE)
    assert office.call()[1]["caller"]["number"] == "03-1234-5678"


def test_with_nothing_but_segments_a_record_is_made_of_their_names(office):
    for path in (draft_path(office.directory, "call-1"), journal_of(office)):
        path.unlink()
    report = office.recover()
    assert report.finished == ["call-1"]
    _, record = office.call()
    assert record["caller"]["number"] == "0312345678"
    assert (record["line"], record["direction"]) == ("front", "inbound")
    assert record["started_at"] == "2026-11-23T18:45:08.000+09:00"
    assert record["cut"] is True
    assert "record was lost" in record["reason"]
    assert office.frames() == expected(8 * RATE, 10 * RATE)
    with closing(open_catalogue(office.directory / NAME, read_only=True)) as catalogue:
        assert catalogue.get("call-1").record == record


@pytest.mark.parametrize("file_format", ["flac", "wav"])
def test_a_lost_record_of_a_filed_call_is_made_again(folder, file_format):
    office = Office(folder, file_format=file_format)
    office.whole_call(10.0, 17.5)
    place, _ = office.call()
    (place / "call.json").unlink()
    report = office.recover()
    assert report.reindexed.removed == ("call-1",)
    assert office.call()[1]["site"] == SITE.name
    assert office.frames() == expected(8 * RATE, round(9.5 * RATE))


def test_a_lost_record_that_cannot_be_made_again_is_told_without_the_number(folder, caplog):
    office = Office(folder)
    office.whole_call(10.0, 17.5, record=a_record(caller=CALLER))
    place, _ = office.call()
    (place / "call.json").unlink()
    first = min(place.glob("*.flac"))
    assert "_0312345678_" in first.name
    first.write_bytes(b"no sound at all")
    report = office.recover()
    assert "0312345678" not in caplog.text + "".join(report.problems)
    assert "_front_in_…_000.flac" in report.problems[0]


def test_a_star_is_in_no_name_that_goes_to_windows_and_comes_back(folder):
    """Windows and USB sticks (FAT) take no file with a star in its name."""
    office = Office(folder)
    office.whole_call(10.0, 13.0, record=a_record(direction="outbound", dialled="*31#0123"))
    place, record = office.call()
    assert [each["file"].split("_")[-2] for each in record["segments"]] == ["x31#0123"]
    assert record["dialled"] == "*31#0123"
    (place / "call.json").unlink()
    office.recover()
    assert office.call()[1]["dialled"] == "*31#0123"


@both
def test_a_call_of_which_nothing_was_kept_is_told(folder, is_sealed):
    office = Office(folder, is_sealed=is_sealed)
    office.card.alive = False
    office.run_to(10.2)
    office.open()
    office.run_to(12.0)
    report = office.recover()
    assert report.cut == ["call-1"]
    place, record = office.call()
    assert record["disposition"] == "not-recorded"
    assert record["reason"] == "the recorder stopped before any sound was kept"
    assert [path.name for path in place.iterdir()] == ["call.json"]


@both
def test_a_forbidden_call_is_filed_with_its_reason(folder, is_sealed):
    office = Office(folder, is_sealed=is_sealed)
    office.run_to(10.2)
    record = office.open()
    office.run_to(12.0)
    office.abandon(record)
    office.save(replace(record, disposition="not-recorded", reason="no announcement"))
    office.run_to(13.0)
    assert office.recover().cut == ["call-1"]
    place, filed = office.call()
    assert (filed["reason"], filed["cut"]) == ("no announcement", True)
    assert [path.name for path in place.iterdir()] == ["call.json"]


@both
def test_a_draft_that_outlived_its_filing_goes(office):
    draft = draft_path(office.directory, "call-1")
    content = draft.read_bytes()
    office.recover()
    before = office.call()
    draft.write_bytes(content)
    report = office.recover()
    assert report.finished == ["call-1"]
    assert office.call() == before
    assert office.left_open() == []


@both
def test_a_call_is_closed_once_in_the_ledger_however_late_it_is_tidied_up(office):
    """A failing disk kept its draft in open/, and the newest file of the ledger says nothing of it."""
    draft = draft_path(office.directory, "call-1")
    content = draft.read_bytes()
    office.recover()
    draft.write_bytes(content)
    with patch.object(ledger, "FILE_LINES_MAX", 5):
        for number in range(12):
            office.ledger.append("note", number=number)
            office.ledger.sync()
        assert office.recover().finished == ["call-1"]
        office.ledger.sync()
    assert [entry.kind for entry in office.entries()].count("call-closed") == 1
    assert office.left_open() == []


@pytest.mark.parametrize("end", [b"", bytes(200), b"}\n"], ids=["cut off", "zeros", "damaged"])
def test_a_torn_entry_keeps_no_start_from_filing_its_call(folder, end):
    """The power went when the record was durable and its entry half written."""
    office = Office(folder)
    office.whole_call()
    (path,) = office.directory.glob("ledger/recorder/*.jsonl")
    data = path.read_bytes()
    torn = data.index(b'"kind":"call-closed"') + 60
    path.write_bytes(data[:torn] + end)
    office.books.catalogue.remove("call-1")
    report = office.recover()
    assert (report.problems, report.reindexed.added) == ([], ("call-1",))
    assert [entry.kind for entry in office.entries()].count("call-closed") == 1


@both
def test_rows_are_added_and_taken_away(folder, is_sealed):
    office = Office(folder, is_sealed=is_sealed)
    office.whole_call(10.0, 13.0)
    other = a_record("call-2", started=20.0, disposition="missed", ended_at=at(25))
    office.file(other)
    office.settle()
    office.writer.close()
    with closing(open_catalogue(folder / NAME)) as catalogue:
        catalogue.remove("call-1")
    place, _ = office.call("call-2")
    (place / "call.json").unlink()
    place.rmdir()
    report = office.recover()
    assert (report.reindexed.added, report.reindexed.removed) == (("call-1",), ("call-2",))


@both
def test_unfinished_temporary_files_go(office):
    place = next(office.directory.glob("calls/*/*/*/call-1"))
    empty = place.parent / "call-9"
    empty.mkdir()
    for path in (
        place / ".x.flac.part",
        office.directory / "open/.y.part",
        empty / ".call.json.part",
    ):
        path.write_bytes(b"half")
    office.recover()
    assert not list(office.directory.rglob("*.part"))
    assert not empty.exists()


def test_trouble_with_one_call_keeps_no_other_from_being_finished(office):
    office.run_to(21.0)
    office.open(a_record("call-2", started=20.0))
    office.run_to(24.0)
    real = codec.encode_segment

    def failing(path, *rest):
        if "call-1" in str(path):
            raise StoreError(f"{path}: broken")
        return real(path, *rest)

    with patch.object(codec, "encode_segment", failing):
        report = office.recover()
    assert report.cut == ["call-2"]
    assert ["call-1" in problem for problem in report.problems] == [True]
    assert office.frames("call-2") == expected(18 * RATE, 6 * RATE)
    assert office.recover().cut == ["call-1"]
    assert office.frames("call-1") == expected(8 * RATE, 16 * RATE)


@both
def test_a_call_that_the_start_could_not_file_is_filed_later(office, is_sealed):
    def refuse(folder, _):
        raise StoreError(f"{folder}/a_0312345678_000.flac: refused")

    with patch.object(closing_module, "write_record", refuse):
        report = office.recover()
        (why,) = report.problems
        assert report.left == {"call-1": why}
        assert is_sealed or "a_…_000.flac: refused" in why
        books = Books(office.directory, office.ledger)
        for _ in range(2):
            with pytest.raises(StoreError, match="refused"):
                finish_left(office, books)
    assert finish_left(office, books) == 4  # three segments, and the record
    assert office.frames() == expected(8 * RATE, 13 * RATE)
    assert list(books.catalogue.folders()) == ["call-1"]
    books.close_catalogue()
    assert [entry.kind for entry in office.entries()].count("call-closed") == 1
    assert office.left_open() == []
    again = office.recover()
    assert (again.left, again.finished, again.reindexed.added) == ({}, [], ())


def finish_left(office, books):
    steps = finish_call(office.directory, ZoneInfo(SITE.time_zone), books, "call-1")
    return sum(1 for _ in steps)


def test_a_filed_call_whose_draft_was_left_gets_its_row_later(office):
    draft = draft_path(office.directory, "call-1").read_bytes()
    office.recover()
    draft_path(office.directory, "call-1").write_bytes(draft)
    (office.directory / NAME).unlink()
    books = Books(office.directory, office.ledger)
    finish_left(office, books)
    assert list(books.catalogue.folders()) == ["call-1"]
    books.close_catalogue()
    assert office.left_open() == []


def test_a_draft_that_may_come_back_is_gone_only_when_that_is_synced(office):
    """The disk took the last name away and refused to sync that: a cut could bring it back, after
    the call was erased too, so it is not done before the sync."""
    real, refused = files.fsync_directory, []

    def sync(path):
        if path == office.directory / OPEN and office.left_open() == [] and len(refused) < 2:
            refused.append(path)
            raise StoreError(f"{path}: refused")
        real(path)

    with patch.object(files, "fsync_directory", sync):
        assert list(office.recover().left) == ["call-1"]
        assert office.left_open() == []
        books = Books(office.directory, office.ledger)
        with pytest.raises(StoreError, match="refused"):
            finish_left(office, books)
        finish_left(office, books)
    books.close_catalogue()
    assert [entry.kind for entry in office.entries()].count("call-closed") == 1


def test_a_record_whose_name_may_be_lost_gets_no_row(office):
    """The disk took the name and refused to sync it: the next try must not take it for durable."""
    real, synced = files.fsync_directory, []

    def sync(path):
        if path.name == "call-1" and (path / "call.json").exists():
            synced.append(path)
            raise StoreError("refused")
        real(path)

    with patch.object(files, "fsync_directory", sync):
        assert list(office.recover().left) == ["call-1"]
        books = Books(office.directory, office.ledger)
        with pytest.raises(StoreError, match="refused"):
            finish_left(office, books)
    assert len(synced) == 2
    finish_left(office, books)
    assert list(books.catalogue.folders()) == ["call-1"]
    books.close_catalogue()


def test_a_call_that_was_given_up_is_entered_once_however_often_that_is_tried(office):
    office.abandon(a_record())
    with patch.object(closing_module, "draft_path", side_effect=StoreError("broken")):
        office.run_to(22.0)
        report = office.recover()
        books = Books(office.directory, office.ledger)
        assert list(report.left) == ["call-1"]
        for _ in range(3):
            with pytest.raises(StoreError):
                finish_left(office, books)
    finish_left(office, books)
    kinds = [entry.kind for entry in office.entries()]
    assert kinds.count("call-abandoned") == 1
    assert office.left_open() == []


def test_a_new_format_in_the_configuration_does_not_mix_formats(office):
    office.storage = replace(office.storage, format="wav", segment_s=60)
    office.recover()
    assert office.frames() == expected(8 * RATE, 13 * RATE)
    assert {segment["file"][-5:] for segment in office.call()[1]["segments"]} == {".flac"}


def test_a_state_directory_that_is_not_there_is_said_to_be_missing(folder):
    office = Office(folder / "gone")
    with pytest.raises(StoreError, match="mount the disk"):
        office.recover()


@both
def test_strange_files_in_the_store_hurt_nobody(office):
    (office.directory / "open/notes.txt").write_text("hello")
    (office.directory / "open/x.journal").write_bytes(b"")
    (office.directory / "open/y.json").write_text(json.dumps({"version": 1}))
    (office.directory / "calls/2026/11/23/call-1/.hidden").write_text("hello")
    (office.directory / "calls/readme").write_text("hello")
    report = office.recover()
    assert report.cut == ["call-1"]
    assert sorted(report.set_aside) == ["x.journal", "y.json"]
    assert office.recover().problems == []


def test_a_call_of_which_nothing_reached_the_disk_is_entered_as_lost(folder):
    office = Office(folder)
    office.ledger.append("call-opened", call="gone", line="front")
    office.ledger.sync()
    report = office.recover()
    office.ledger.sync()
    assert report.cut == []
    (entry,) = [entry for entry in office.entries() if entry.kind == "call-abandoned"]
    assert entry.data["call"] == "gone"
    assert "before anything of it" in entry.data["reason"]
