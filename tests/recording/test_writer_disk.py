"""The writer on a disk that refuses it: told once, tried again, nothing silently lost."""

from __future__ import annotations

import errno
import os
from array import array
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from unittest.mock import patch

import pytest

from recorderd.core.manifest import LedgerNote
from recorderd.disk import files
from recorderd.errors import StoreError
from recorderd.events import WriteFailed, WriteResumed
from recorderd.media import codec
from recorderd.recording.writer import JOBS_MAX
from recorderd.store.catalogue import NAME
from recorderd.store.closing import sound_hash
from tests.store.calls import (
    CALLER,
    RATE,
    CountingCard,
    Office,
    a_record,
    at,
    audio,
    expected,
    in_memory,
)


@pytest.fixture
def folder():
    with in_memory() as path:
        yield path


@pytest.fixture(params=[False, True], ids=["plain", "sealed"])
def is_sealed(request):
    return request.param


@pytest.fixture
def office(folder, is_sealed):
    return Office(folder, is_sealed=is_sealed)


@contextmanager
def disk_refuses(names, error, when=lambda subject: True):
    """Let calls of `os` fail whose path, or open file's path, is one that `when` picks."""

    def refusing(real):
        def operation(target, *args, **kwargs):
            path = (
                str(Path(f"/proc/self/fd/{target}").readlink())
                if isinstance(target, int)
                else target
            )
            if when(str(path)):
                raise OSError(error, os.strerror(error))
            return real(target, *args, **kwargs)

        return operation

    with patch.multiple(os, **{name: refusing(getattr(os, name)) for name in names}):
        yield


def of_call(call_id):
    return lambda path: f"/{call_id}" in path


def test_that_the_disk_takes_a_call_again_is_told(office):
    office.run_to(10.2)
    office.open()
    with disk_refuses(["write"], errno.ENOSPC):
        office.run_to(12.0)
    office.run_to(14.0)
    told = [post for post in office.posts if isinstance(post, WriteFailed | WriteResumed)]
    assert [type(post) for post in told] == [WriteFailed, WriteResumed]
    assert told[1].call_id == "call-1"


def fails_once(monkeypatch, name, when=lambda path: True):
    """Let a function of disk/files.py do its work, and then fail as its last sync does."""
    real, failed = getattr(files, name), []

    def operation(*arguments):
        real(*arguments)
        if not failed and when(str(arguments[-1])):
            failed.append(arguments)
            raise StoreError(f"{arguments[-1]}: the sync of its directory failed")

    monkeypatch.setattr(files, name, operation)
    return failed


def test_sound_that_is_sealed_stays_when_its_journal_cannot_be_removed_at_once(office, monkeypatch):
    failed = fails_once(monkeypatch, "remove_durable", lambda path: path.endswith(".journal"))
    office.whole_call(10.0, 22.0)
    assert failed
    _, record = office.call()
    assert record["gaps"] == []
    assert office.frames() == expected(8 * RATE, record["audio"]["frames"])


@pytest.mark.parametrize("dies", [True, False])
def test_the_hash_of_a_segment_whose_end_was_cut_off_is_that_of_what_is_left(
    office, monkeypatch, dies
):
    """It is sealed full, and then the on-hook edge turns out to lie before its end."""
    office.run_to(10.2)
    record = office.open()
    office.run_to(13.6)  # pre-roll and all, five seconds and more
    failed = fails_once(monkeypatch, "rename_durable", lambda path: ".flac" in path)
    office.close(record, 12.6)
    office.run_to(14.0) if dies else office.settle()
    assert failed
    if dies:
        office.recover()
    _, record = office.call()
    (segment,) = record["segments"]
    left = array("h", chain.from_iterable(office.frames()))
    right = sound_hash([left.tobytes()])
    # A start cannot open a call that is sealed: better no hash than a wrong one.
    assert segment["audio_sha256"] in ({right, None} if dies else {right})


# ------------------------------------------------------------ while a call is recorded


@pytest.mark.parametrize("operation", ["write", "fdatasync"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_for_a_while_costs_nothing(office, operation, error):
    office.run_to(10.2)
    record = office.open()
    office.run_to(14.0)
    with disk_refuses([operation], error):
        office.run_to(24.0)
    office.run_to(30.4)
    office.close(record, 30.0)
    office.settle()
    assert len(office.failures) == 1
    assert office.call()[1]["gaps"] == []
    assert office.frames() == expected(8 * RATE, 22 * RATE)
    assert office.left_open() == []


def test_a_failed_file_is_never_written_or_synced_again(office):
    failed, touched = set(), []

    def watched(real):
        def operation(descriptor, *args):
            path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            inode = os.fstat(descriptor).st_ino
            if inode in failed:
                touched.append(path)
            elif ".journal" in path and 14.0 < office.now_s < 16.0:
                failed.add(inode)
                raise OSError(errno.EIO, "gone")
            return real(descriptor, *args)

        return operation

    office.run_to(10.2)
    record = office.open()
    with patch.multiple(os, fdatasync=watched(os.fdatasync), write=watched(os.write)):
        office.run_to(20.4)
        office.close(record, 20.0)
        office.settle()
    assert len(failed) >= 2
    assert touched == []
    assert office.frames() == expected(8 * RATE, 12 * RATE)


def test_what_the_ring_could_not_hold_is_a_gap_of_the_disk_s(folder, is_sealed):
    office = Office(folder, card=CountingCard(ring_s=6), is_sealed=is_sealed)
    office.run_to(10.2)
    record = office.open()
    office.run_to(14.0)
    with disk_refuses(["write"], errno.ENOSPC):
        office.run_to(34.0)
    office.run_to(40.4)
    office.close(record, 40.0)
    office.settle()
    (gap,) = office.call()[1]["gaps"]
    assert gap["cause"] == "write-failed"
    assert 10 * RATE < gap["frames"] < 15 * RATE
    assert office.frames() == expected(8 * RATE, 32 * RATE, [gap])
    assert len(office.failures) == 1


def test_a_call_that_the_disk_refused_whole_has_a_record_that_says_so(folder, is_sealed):
    office = Office(folder, card=CountingCard(ring_s=3), is_sealed=is_sealed)
    with disk_refuses(["write", "mkdir"], errno.ENOSPC):
        office.run_to(10.2)
        record = office.open()
        office.run_to(20.0)
        office.close(record, 19.0)
        office.run_to(40.0)
        assert office.writer.pending()
        assert not office.filed
    office.settle()
    _, filed = office.call()
    assert filed["disposition"] == "not-recorded"
    assert filed["reason"] == "the recording could not be written to the disk"
    assert len(office.failures) == 1


def test_a_card_that_comes_after_all_when_the_call_was_given_up_changes_nothing(folder, is_sealed):
    """The disk keeps the call from being filed until the card is there: it gave no sound to the call."""
    card = CountingCard()
    card.alive = False
    office = Office(folder, card=card, segment_s=60, is_sealed=is_sealed)
    office.run_to(10.2)
    record = office.open()
    office.run_to(25.4)
    with disk_refuses(["write"], errno.EROFS):
        office.close(record, 25.0)
        office.run_to(40.0)
        card.come_back(40.0)
        office.run_to(60.0)
    office.settle()
    _, filed = office.call()
    assert filed["disposition"] == "not-recorded"
    assert filed["reason"] == 'sound card "card" gave no audio'
    assert (filed["audio"], filed["segments"], filed["gaps"]) == (None, [], [])


def test_other_calls_go_on(folder):
    card = CountingCard()
    office = Office(folder, {"front": (card, audio()), "back": (card, audio())}, card=card)
    with disk_refuses(["write"], errno.EIO, of_call("one")):
        office.run_to(10.2)
        office.open(a_record("one", "front"))
        two = office.open(a_record("two", "back"))
        office.run_to(20.4)
        office.close(two, 20.0)
        office.run_to(23.0)
        assert [post.call_id for post in office.filed] == ["two"]
    assert office.frames("two") == expected(8 * RATE, 12 * RATE)
    assert {post.call_id for post in office.failures} == {"one"}


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "mount it writable"),
        (errno.EACCES, "give its user the directory"),
        (errno.EIO, "replace it"),
    ],
)
def test_the_message_names_the_file_and_the_mend(office, error, mend):
    with disk_refuses(["open"], error, of_call("")):
        office.run_to(10.2)
        office.open()
        office.run_to(11.0)
    assert str(office.directory) in office.failures[0].reason
    assert mend in office.failures[0].reason


def test_a_directory_that_is_missing_and_comes_later(folder):
    office = Office(folder / "not-mounted")
    office.run_to(10.2)
    record = office.open()
    office.run_to(15.0)
    assert "mount the disk" in office.failures[0].reason
    office.directory.mkdir()
    office.run_to(20.4)
    office.close(record, 20.0)
    office.settle()
    assert office.frames() == expected(8 * RATE, 12 * RATE)
    assert len(office.failures) == 1


def test_a_second_spell_is_told_again(office):
    office.run_to(10.2)
    office.open()
    for start in (14.0, 20.0):
        office.run_to(start)
        with disk_refuses(["fdatasync"], errno.EIO):
            office.run_to(start + 2.5)
    office.run_to(26.0)
    assert len(office.failures) == 2


# ------------------------------------------------------------ while a call is closed


def test_a_segment_that_does_not_decode_to_its_journal_is_not_sealed(office):
    real = codec.encode_segment

    def forgetful(path, blocks, *rest):
        """A frame changes between memory and disk."""
        damaged = (bytes(4) + block[4:] for block in blocks)
        return real(path, damaged, *rest)

    office.run_to(10.2)
    record = office.open()
    with patch.object(codec, "encode_segment", forgetful):
        office.run_to(16.0)
        assert "not what was written" in office.failures[0].reason
        assert not list(office.directory.glob("calls/*/*/*/*/*.flac"))
        assert "call-1_000_00.journal" in office.left_open()
    office.run_to(18.4)
    office.close(record, 18.0)
    office.settle()
    assert office.frames() == expected(8 * RATE, 10 * RATE)


@pytest.mark.parametrize("operation", ["replace", "unlink", "fsync", "open"])
def test_closing_goes_on_where_it_stopped(office, operation):
    office.run_to(10.2)
    record = office.save(office.open())
    office.run_to(21.0)
    office.close(replace(record, caller=CALLER), 20.5)
    with disk_refuses([operation], errno.EIO, lambda path: "calls" in path or "open/" in path):
        office.run_to(25.0)
        assert not office.filed
    office.settle()
    assert len(office.filed) == 1
    assert office.frames() == expected(8 * RATE, round(12.5 * RATE))
    assert office.left_open() == []


def test_a_draft_refused_when_sound_must_go_is_told_and_the_sound_goes(office):
    office.run_to(10.2)
    closure = office.open()
    office.run_to(12.0)
    with disk_refuses(["write"], errno.ENOSPC, lambda path: ".json" in path):
        office.abandon(closure)
        office.run_to(13.0)
        assert len(office.failures) == 1
    office.settle()
    assert office.left_open() == []
    assert not list(office.directory.glob("calls/*/*/*/*"))


def test_a_journal_that_can_no_longer_be_read_is_a_gap_and_is_set_aside(office):
    office.run_to(10.2)
    record = office.open()
    office.run_to(12.9)
    (journal,) = office.directory.glob("open/*.journal")
    content = bytearray(journal.read_bytes())
    content[20_000 + content.index(b"\n")] ^= 1  # in the third of the first second's blocks
    journal.write_bytes(content)
    office.run_to(18.4)
    office.close(record, 18.0)
    office.settle()
    (gap,) = office.call()[1]["gaps"]
    assert gap["cause"] == "write-failed"
    assert office.frames() == expected(8 * RATE, 10 * RATE, [gap])
    assert [path.name for path in office.directory.glob("open/quarantine/*")] == [journal.name]


def test_a_catalogue_that_breaks_in_service_is_made_again(office):
    for number in (1, 2):
        start = 10.0 * number
        office.whole_call(start, start + 4, record=a_record(f"call-{number}", started=start))
        office.writer.close()
        if number == 1:
            (office.directory / NAME).write_bytes(b"this is no database" * 1000)
    assert len(office.filed) == 2
    report = office.recover()
    assert report.reindexed.added == ()
    assert (office.directory / "catalogue-damaged.sqlite").exists()


def test_the_number_of_calls_that_wait_is_bounded(office):
    with disk_refuses(["mkdir", "write"], errno.ENOSPC):
        for number in range(JOBS_MAX + 5):
            office.file(a_record(f"missed-{number:03d}", disposition="missed", ended_at=at(12)))
        office.writer.pump()
    office.settle()
    assert len(office.filed) == JOBS_MAX
    assert office.filed[0].call_id == "missed-005"


def test_a_ledger_that_cannot_be_signed_is_an_alarm_until_it_can(office):
    office.run_to(1.0)
    office.writer.handle(LedgerNote("config-taken", {}))
    with disk_refuses(["fdatasync", "fsync"], errno.EIO):
        office.run_to(70.0)
    (told,) = office.posts
    assert (told.topic, told.text.endswith("replace it")) == ("ledger", True)
    office.run_to(190.0)
    assert [(post.topic, post.text) for post in office.posts[1:]] == [("ledger", None)]


def test_a_failure_is_told_without_the_callers_number(office):
    office.run_to(10.2)
    record = office.open(a_record(caller=CALLER))
    office.run_to(14.0)
    office.close(record, 13.5)
    with disk_refuses(["replace"], errno.EIO, lambda path: "calls/" in path):
        office.run_to(16.0)
    office.settle()
    told = [failure.reason for failure in office.failures]
    told += [entry.data["reason"] for entry in office.entries() if entry.kind == "write-failed"]
    assert len(told) == 2
    assert all("_000." in reason and "0312345678" not in reason for reason in told)
