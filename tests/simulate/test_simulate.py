"""The simulation itself: it finds nothing in the recorder, finds what is broken, and repeats itself."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import count

import pytest

from recorderd.core import call as core_call
from recorderd.core import reports, retention
from recorderd.disk import files
from recorderd.errors import StoreError
from recorderd.recording import capture, keeper
from recorderd.seal import callkey
from recorderd.seal.envelope import PLAIN
from recorderd.seal.vault import destroy_key
from recorderd.store import catalogue as catalogue_module
from recorderd.store import closing, erasing, journal, ledger, spool
from tests.simulate.plan import seals
from tests.simulate.run import FailedError, simulate


def silent(_line: str) -> None: ...


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_day_in_which_everything_goes_wrong(seed):
    simulate(seed, 1, silent)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(100, 110))
def test_two_days_of_more_seeds(seed):
    simulate(seed, 2, silent)


@pytest.mark.long
def test_a_month():
    simulate(1000, 30, silent)


@pytest.mark.parametrize("seed", [4, 5], ids=["plain", "sealed"])
def test_the_same_seed_gives_the_same_facts_and_files_in_any_process(seed):
    assert seals(seed) == (seed == 5)
    digests = {
        subprocess.run(
            [sys.executable, "-m", "tests.simulate", "--seed", str(seed), "--days", "1"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.rpartition("digest ")[2]
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


# ---------------------------------------------------------------- a recorder that is broken


def no_sync_of_files(monkeypatch):
    monkeypatch.setattr(files, "sync_file", lambda path: None)


def no_sync_of_journals(monkeypatch):
    monkeypatch.setattr(journal.Journal, "sync", lambda self: None)


def no_sync_of_names(monkeypatch):
    monkeypatch.setattr(files, "fsync_directory", lambda path: None)


def no_sync_of_the_ledger(monkeypatch):
    real = ledger.Ledger.sync

    def sync(self):
        with pytest.MonkeyPatch.context() as within:
            within.setattr(os, "fdatasync", lambda descriptor: None)
            real(self)

    monkeypatch.setattr(ledger.Ledger, "sync", sync)


def row_before_record(monkeypatch):
    real = closing.file_record

    def file_record(directory, zone, books, record, folder):
        books.catalogue.add(record.as_json(zone), directory / folder)
        real(directory, zone, books, record, folder)

    monkeypatch.setattr(closing, "file_record", file_record)


def rows_not_synced(monkeypatch):
    real = catalogue_module._connect_to_write

    def connect(path):
        connection = real(path)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    monkeypatch.setattr(catalogue_module, "_connect_to_write", connect)


def caller_of_the_next_call(monkeypatch):
    """Each caller ID is laid to the call after the one that it was sent for."""
    real = core_call.CallMachine._identify
    kept = {}

    def identify(self, call, event):
        before = kept.get(self)
        kept[self] = event
        if before is not None:
            real(self, call, replace(event, caller=before.caller))

    monkeypatch.setattr(core_call.CallMachine, "_identify", identify)


def waiting_caller_taken(monkeypatch):
    """Whoever rings in during a call counts as its caller for as long as it goes on."""
    monkeypatch.setattr(reports, "LATE_ID_NS", 3600 * 10**9)


def gap_dropped(monkeypatch):
    monkeypatch.setattr(
        capture.Capture, "_gap", lambda self, loss: self._gap_of(loss.first, 0, loss.cause)
    )


def sync_tried_again(monkeypatch):
    """A journal that failed is written on."""
    monkeypatch.setattr(
        spool.SpoolWriter, "_give_up_journal", lambda self: setattr(self, "_written", 0)
    )


def holds_ignored(monkeypatch):
    for place in (keeper, erasing):
        monkeypatch.setattr(place, "is_held", lambda folder: False)


def erased_early(monkeypatch):
    """A day of six hours."""
    for place in (keeper, retention):
        monkeypatch.setattr(place, "DAY_S", 6 * 3600)


def sound_left(monkeypatch):
    """Of an erased call only the record goes."""
    monkeypatch.setattr(erasing, "_remove_segments", lambda folder: iter(()))
    monkeypatch.setattr(erasing, "_files_of", lambda place: [])


def never_erased(monkeypatch):
    monkeypatch.setattr(keeper.Keeper, "_erase_expired", lambda self: iter(()))


def log_not_scrubbed(monkeypatch):
    """What was written of a call before it was erased stays in the catalogue's log."""
    monkeypatch.setattr(catalogue_module.Catalogue, "scrub", lambda self: True)


def left_calls_not_told(monkeypatch):
    """What a start could not file waits for the next one, in silence."""
    monkeypatch.setattr(keeper.Keeper, "_finish_left", lambda self: iter(()))


def left_calls_not_filed(monkeypatch):
    def finish_call(*_):
        raise StoreError("the next start may do it")

    monkeypatch.setattr(keeper, "finish_call", finish_call)


def left_calls_told_for_good(monkeypatch):
    """What was once said stays, although the calls are filed."""
    real, said = keeper.Keeper._not_recovered, {}

    def not_recovered(self):
        said[self] = said.get(self) or real(self)
        return said[self]

    monkeypatch.setattr(keeper.Keeper, "_not_recovered", not_recovered)


OF_LEFT_CALLS = {
    left_calls_not_told: "recovery : there is no alarm",
    left_calls_not_filed: "still lie in open/|was left in open/",
    left_calls_told_for_good: "recovery : the alarm stays",
}
"""Found where a start meets a failing disk: the first such seed is the sixth."""

MUTANTS = {
    no_sync_of_files: "was acknowledged, but .* can be lost",
    no_sync_of_journals: "would be lost in a cut",
    no_sync_of_names: "gets a row before its record is durable",
    no_sync_of_the_ledger: "the ledger is not synced|below a checkpoint",
    row_before_record: "gets a row before its record is durable",
    rows_not_synced: "its row can be lost",
    caller_of_the_next_call: "caller ID of another call",
    waiting_caller_taken: "caller ID of nobody who called it",
    gap_dropped: "silence that is no gap",
    sync_tried_again: "a second sync after one that failed|written after its sync failed"
    "|lost in a cut|sound that was not heard there",
}
SEEDS_TO_FIND_IT = 4


def number_in_the_draft(monkeypatch):
    monkeypatch.setattr(callkey.CallKey, "take_in", lambda self, record, zone: record)


def sound_in_the_journal(monkeypatch):
    monkeypatch.setattr(callkey.CallKey, "seal", lambda self, data: data)


def segment_made_in_its_place(monkeypatch):
    """It is sealed only when it is whole."""
    monkeypatch.setattr(callkey.CallKey, "bench", lambda self, part: PLAIN.bench(part))
    real = callkey.CallKey.pack

    def sealed_in_place(self, work, part):
        copy = work.with_suffix(".whole")
        work.rename(copy)
        real(self, copy, part)
        copy.unlink()

    monkeypatch.setattr(callkey.CallKey, "pack", sealed_in_place)


def key_destroyed_too_soon(monkeypatch):
    """With the journals of a call goes what opens it."""
    real = closing.file_record

    def file_record(directory, zone, books, record, folder):
        real(directory, zone, books, record, folder)
        destroy_key(directory, record.id)

    monkeypatch.setattr(closing, "file_record", file_record)


OF_SEALING = {
    number_in_the_draft: "is written in plain to .*json",
    sound_in_the_journal: "sound is written in plain to .*journal",
    segment_made_in_its_place: "sound is written in plain to .*part",
    key_destroyed_too_soon: "can be opened by nobody",
}

OF_RETENTION = {
    holds_ignored: "is erased, and a hold is on it",
    erased_early: r"is erased when it is 0\.\d+ days old",
    sound_left: r"of the erased call \w+ there is .*\.(flac|wav)",
    never_erased: r"began 1\.\d+ days ago",
    log_not_scrubbed: "a number of the erased call .* is in catalogue",
}
"""Two days with few troubles, so that calls expire: with every boot they grow younger by hours."""


@pytest.mark.parametrize(
    ("mutant", "complaint"), MUTANTS.items(), ids=[mutant.__name__ for mutant in MUTANTS]
)
def test_what_is_broken_is_found_within_a_few_seeds(mutant, complaint, monkeypatch):
    mutant(monkeypatch)
    with pytest.raises(FailedError, match=complaint):
        simulate_some(days=1, troubles=40)


@pytest.mark.parametrize(
    ("mutant", "complaint"),
    OF_LEFT_CALLS.items(),
    ids=[mutant.__name__ for mutant in OF_LEFT_CALLS],
)
def test_calls_that_a_start_left_are_looked_for(mutant, complaint, monkeypatch):
    mutant(monkeypatch)
    with pytest.raises(FailedError, match=complaint):
        simulate_some(days=1, troubles=40, seeds=[6, 11])


def simulate_some(days, troubles, seeds=range(1, 1 + SEEDS_TO_FIND_IT)):
    for seed in seeds:
        simulate(seed, days, silent, troubles=troubles)


@pytest.mark.parametrize(
    ("mutant", "complaint"), OF_SEALING.items(), ids=[mutant.__name__ for mutant in OF_SEALING]
)
def test_a_seal_that_is_broken_is_found_with_the_first_seed(mutant, complaint, monkeypatch):
    mutant(monkeypatch)
    with pytest.raises(FailedError, match=complaint):
        simulate_some(days=1, troubles=0, seeds=[next(filter(seals, count(1)))])


@pytest.mark.parametrize(
    ("mutant", "complaint"),
    OF_RETENTION.items(),
    ids=[mutant.__name__ for mutant in OF_RETENTION],
)
def test_a_keeper_that_is_broken_is_found_within_a_few_seeds(mutant, complaint, monkeypatch):
    mutant(monkeypatch)
    with pytest.raises(FailedError, match=complaint):
        simulate_some(days=2, troubles=2)
