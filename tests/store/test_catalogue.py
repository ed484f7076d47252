"""The catalogue: finding calls, staying in step with the folders, being made again."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest

from recorderd.disk import files
from recorderd.errors import StoreError, UsageError
from recorderd.events import Caller
from recorderd.store.catalogue import (
    NAME,
    DamagedError,
    Entry,
    entry_of,
    open_catalogue,
    wall_ns,
)
from recorderd.store.records import read_record, write_record
from recorderd.store.reindexing import open_or_rebuild, rebuild, reindex
from recorderd.units import NS_PER_S
from tests.store.calls import READING, SITE, WALL, Office, a_record, at, in_memory

ZONE = ZoneInfo(SITE.time_zone)


@pytest.fixture
def folder():
    with in_memory() as path:
        yield path


def test_calls_of_a_wrong_clock_are_found_without_reading_the_others(folder):
    """Every start asks for them; after years there may be a million calls, and none of these."""
    wrong = replace(READING, synchronised=False)
    with closing(open_catalogue(folder / NAME)) as catalogue:
        records = [a_record(f"r{number:04d}").as_json(ZONE) for number in range(2000)]
        records += [a_record(f"w{number}", reading=wrong).as_json(ZONE) for number in range(2)]
        catalogue.add_all(Entry(each, folder, f"calls/{each['id']}") for each in records)
        steps = []
        catalogue._connection.set_progress_handler(lambda: steps.append(1), 10)
        for boot_id in (None, READING.boot_id):
            found = catalogue.of_wrong_clock(boot_id)
            assert [entry.record["id"] for entry in found] == ["w0", "w1"]
        assert catalogue.of_wrong_clock("another") == []
        assert len(steps) < 100  # of ten instructions of the database


def test_a_catalogue_that_can_only_be_read_is_not_taken_to_write(folder):
    """SQLite opens a file to read where the disk refuses once to open it to write, and stays so."""
    open_catalogue(folder / NAME).close()
    real = sqlite3.connect

    def connect(path, **options):
        return real(f"{path.as_uri()}?mode=ro", uri=True, **options)

    with patch.object(sqlite3, "connect", connect), pytest.raises(StoreError, match="readonly"):
        open_or_rebuild(folder)
    with closing(open_or_rebuild(folder)) as catalogue:
        catalogue.add(a_record().as_json(ZONE), folder / "calls/call-1")


def put(folder, call_id, **known):
    """A call's folder as the writer leaves it."""
    record = a_record(call_id, **{"ended_at": at(known.get("started", 10.0) + 5), **known})
    place = folder / "calls/2026/11/23" / call_id
    place.mkdir(parents=True)
    write_record(place, record.as_json(ZONE))
    return place


@pytest.fixture
def office_day(folder):
    """Five calls of two lines, and their catalogue."""
    number = Caller("03-1234-5678", "TANAKA", None, "modem", "")
    abroad = Caller("+81 45 678 9012", None, None, "modem", "")
    withheld = Caller(None, None, "private", "modem", "P")
    put(folder, "a1", caller=number, started=10.0)
    put(folder, "a2", caller=withheld, started=20.0, line="back")
    put(folder, "b3", direction="outbound", dialled="0456789012", started=30.0)
    put(folder, "b4", caller=abroad, started=40.0, disposition="missed", answered_at=None)
    put(folder, "c5", direction="unknown", started=50.0)
    with closing(rebuild(folder)) as catalogue:
        yield catalogue


def ids(entries):
    return [entry.record["id"] for entry in entries]


# ------------------------------------------------------------ finding


def test_all_calls_newest_first(office_day):
    assert ids(office_day.find()) == ["c5", "b4", "b3", "a2", "a1"]
    assert ids(office_day.find(limit=2)) == ["c5", "b4"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ({"line": "back"}, ["a2"]),
        ({"direction": "outbound"}, ["b3"]),
        ({"disposition": "missed"}, ["b4"]),
        ({"since": WALL + 20 * NS_PER_S, "until": WALL + 40 * NS_PER_S}, ["b3", "a2"]),
        ({"number": "0312345678"}, ["a1"]),
        ({"number": "５６７８"}, ["a1"]),
        ({"number": "9012"}, ["b4", "b3"]),
        ({"number": "045-678-9012"}, ["b4", "b3"]),
        ({"number": "+81-45-678-9012"}, ["b4", "b3"]),
        ({"number": "9012", "direction": "outbound"}, ["b3"]),
        ({"number": "012"}, []),
        ({"number": "' OR 1=1 --"}, []),
    ],
)
def test_questions(office_day, question, answer):
    assert ids(office_day.find(**question)) == answer


def test_get_by_id_and_by_a_unique_beginning(office_day):
    assert office_day.get("a1").record["caller"]["name"] == "TANAKA"
    assert office_day.get("c").record["id"] == "c5"
    with pytest.raises(UsageError, match="more than one call"):
        office_day.get("a")
    with pytest.raises(UsageError, match="no call has this id"):
        office_day.get("x")


def test_an_id_that_begins_another_is_found(folder):
    put(folder, "a1")
    put(folder, "a12", started=20.0)
    with closing(rebuild(folder)) as catalogue:
        assert catalogue.get("a1").record["id"] == "a1"


# ------------------------------------------------------------ in step with the folders


def test_rebuilding_gives_the_same_answers(folder):
    office = Office(folder)
    for number, start in enumerate((10.0, 30.0)):
        record = a_record(f"call-{number}", started=start)
        office.whole_call(start, start + 7, record=record)
    office.file(a_record("missed", disposition="missed", answered_at=None, ended_at=at(50)))
    office.settle()
    with closing(open_catalogue(folder / NAME, read_only=True)) as catalogue:
        before = catalogue.find()
    assert len(before) == 3
    office.recover(drop_catalogue=True)
    with closing(open_catalogue(folder / NAME, read_only=True)) as catalogue:
        assert catalogue.find() == before


def test_rows_follow_the_folders(folder, office_day):
    place = put(folder, "d6", started=60.0)
    gone = folder / "calls/2026/11/23/a1/call.json"
    gone.unlink()
    (folder / "calls/2026/11/23/empty").mkdir()
    done = reindex(office_day, folder)
    assert (done.added, done.removed, done.unreadable) == (("d6",), ("a1",), ())
    assert office_day.get("d6") == entry_of(read_record(place), place, folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"id": "x"}', b"[" * 100_000, b"\xff\xfe"])
def test_an_unreadable_record_is_reported_and_keeps_no_other_out(folder, content):
    put(folder, "good")
    (put(folder, "bad") / "call.json").write_bytes(content)
    with closing(open_or_rebuild(folder)) as catalogue:
        done = reindex(catalogue, folder)
    assert done.added == ("good",)
    assert len(done.unreadable) == 1
    assert "bad/call.json" in done.unreadable[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"started_at": "yesterday"},
        {"started_at": None},
        {"caller": 3},
        {"line": None},
        {"id": "good"},
        {"dialled": [1]},
        {"sealed": {}},
        {"sealed": {"vault": "vault/bad.age", "numbers": [3]}},
        {"sealed": "yes"},
        {"site": "\ud800"},
        {"reason": "\ud800"},
        {"retention": 3},
        {"retention": {}},
        {"clock": {"box_time_s": "noon"}},
        {"clock": {"box_time_s": 2**63}},
        {"clock": None},
        {"started_at": "2500-01-01T00:00:00+00:00"},
        {"ended_at": "1600-01-01T00:00:00+00:00"},
    ],
)
def test_a_record_with_wrong_values_is_reported(folder, changes):
    place = put(folder, "bad")
    record = {**read_record(place), **changes}
    (place / "call.json").write_text(json.dumps(record))
    put(folder, "good")
    with closing(open_or_rebuild(folder)) as catalogue:
        done = reindex(catalogue, folder)
    assert done.added == ("good",)
    assert "bad" in done.unreadable[0]


def test_amendments_are_read_over_the_record_in_their_order(folder):
    place = put(folder, "a1", caller=Caller("1", "X", None, "modem", ""))
    for number, changes in (
        (2, {"caller": {"name": "Z"}}),
        (1, {"caller": {"name": "Y", "raw": None}}),
    ):
        (place / f"amend-{number:04d}.json").write_text(json.dumps({"changes": changes}))
    caller = read_record(place)["caller"]
    assert (caller["number"], caller["name"]) == ("1", "Z")
    assert "raw" not in caller
    assert json.loads((place / "call.json").read_text())["caller"]["name"] == "X"


# ------------------------------------------------------------ damage


@pytest.mark.parametrize("damage", ["garbage", "empty middle", "other version"])
def test_a_damaged_catalogue_is_set_aside_and_made_again(folder, office_day, damage):
    office_day.close()
    path = folder / NAME
    content = path.read_bytes()
    if damage == "garbage":
        path.write_bytes(b"garbage" * 3000)
    elif damage == "empty middle":
        path.write_bytes(content[:4096] + bytes(len(content) - 4096))
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 99")
    with closing(open_or_rebuild(folder)) as catalogue:
        assert len(catalogue.find()) == 5
    assert (folder / "catalogue-damaged.sqlite").exists()


def test_a_reader_says_what_to_do_about_a_damaged_catalogue(folder):
    (folder / NAME).write_bytes(b"garbage" * 3000)
    with pytest.raises(DamagedError, match="recover --rebuild"):
        open_catalogue(folder / NAME, read_only=True)


def test_a_log_of_another_database_is_not_applied(folder, office_day):
    """The side files go before the database."""
    office_day.close()
    (folder / (NAME + "-wal")).write_bytes(b"\x37\x7f\x06\x82" + bytes(4000))
    with closing(rebuild(folder)) as catalogue:
        assert len(catalogue.find()) == 5


# ------------------------------------------------------------ readers and writers


def test_a_reader_cannot_write(folder, office_day):
    with (
        closing(open_catalogue(folder / NAME, read_only=True)) as reader,
        pytest.raises(StoreError, match="readonly"),
    ):
        reader.remove("a1")


def test_a_reader_sees_what_is_added_while_it_is_open(folder, office_day):
    with closing(open_catalogue(folder / NAME, read_only=True)) as reader:
        place = put(folder, "d6", started=60.0)
        office_day.add(read_record(place), place)
        assert ids(reader.find(limit=1)) == ["d6"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_reader_who_may_write_nothing_reads_while_no_writer_runs(folder, office_day):
    office_day.close()
    folder.chmod(0o555)
    reader = os.fork()
    if reader == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            with closing(open_catalogue(folder / NAME, read_only=True)) as catalogue:
                os._exit(len(catalogue.find()))
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]) == 5
    folder.chmod(0o755)


def test_a_missing_catalogue_or_directory_is_explained(folder):
    with pytest.raises(StoreError, match=NAME):
        open_catalogue(folder / NAME, read_only=True)
    with pytest.raises(StoreError, match="mount the disk"):
        open_catalogue(folder / "gone" / NAME)


def test_one_process_holds_the_directory(folder):
    with (
        files.hold_directory(folder),
        pytest.raises(StoreError, match="another recorderd"),
        files.hold_directory(folder),
    ):
        pass
    with files.hold_directory(folder):
        pass


def test_times_are_read_exactly():
    assert wall_ns("2026-11-23T18:45:00.001+09:00") == WALL + 1_000_000
    with pytest.raises(ValueError, match="no UTC offset"):
        wall_ns("2026-11-23T18:45:00")
