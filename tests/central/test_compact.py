"""Compaction: nothing lost and nothing doubled, whatever dies and whoever else is at work."""

from __future__ import annotations

import random
import shutil
import threading

import pytest

from recorderd.archive.target import content_of_bytes
from recorderd.central import compact as compact_module
from recorderd.central import manifest as manifests
from recorderd.central.compact import compact
from recorderd.central.search import Question, search
from recorderd.errors import ExistsError, RefusedError, TryAgainError
from tests.central.offices import (
    NOW,
    CrashError,
    Watched,
    a_row,
    crash_at,
    erased,
    folder_target,
    land,
    later,
    now,
    place_of,
    refuse_removals,
)

EVERYTHING = Question()


def fill(target, sites=3, calls=4):
    """Some calls of some sites, one batch doubled, one call twice with another revision."""
    expected = set()
    for site in range(sites):
        rows = [a_row(f"c{call}", site=f"site-{site}") for call in range(calls)]
        land(target, rows)
        expected |= {(row["site"], row["call"], 0) for row in rows}
    land(target, [a_row("c0", site="site-0")], "01-000002")
    land(target, [a_row("c1", site="site-1", revision=2, name="TANAKA")], "01-000002")
    return expected - {("site-1", "c1", 0)} | {("site-1", "c1", 2)}


def found(folder, question=EVERYTHING):
    """What a search finds, and that it finds nothing twice."""
    calls = [
        (call["site"], call["call"], call["revision"])
        for call in search(place_of(folder), question, now=now).calls
    ]
    assert len(calls) == len(set(calls))
    return set(calls)


def in_tables(folder, at=now):
    """What the tables say alone, without what is in landing/; every row, also a doubled one."""
    place = place_of(folder)
    manifest = manifests.newest(place.target)
    with_engine = place.engine(folder)
    try:
        paths = [place.where(run.key) for runs in manifest.dates.values() for run in runs]
        rows = with_engine.rows(f"SELECT site, call, revision FROM read_parquet({paths})")
    finally:
        with_engine.close()
    return sorted((row["site"], row["call"], row["revision"]) for row in rows)


def test_what_has_landed_is_found_before_and_after(top):
    place = place_of(top)
    expected = fill(place.target)
    assert found(top) == expected
    report = compact(place, now=now)
    assert (report.batches, report.removed, report.problems) == (5, 5, [])
    assert found(top) == expected
    assert not list(place.target.list("landing/"))
    assert set(in_tables(top)) == expected
    assert len(in_tables(top)) == len(expected)


def test_a_second_run_does_nothing(top):
    place = place_of(top)
    fill(place.target)
    compact(place, now=now)
    before = [item.key for item in place.target.list("")]
    report = compact(place, now=now)
    assert (report.batches, report.rows, report.merges) == (0, 0, 0)
    assert [item.key for item in place.target.list("")] == before


def test_a_batch_that_comes_again_doubles_nothing(top):
    place = place_of(top)
    expected = fill(place.target)
    compact(place, now=now)
    fill(place.target)
    assert found(top) == expected
    report = compact(place, now=now)
    assert (report.batches, report.rows) == (5, 0)
    assert len(in_tables(top)) == len(expected)


def test_many_runs_become_few(top):
    place = place_of(top)
    expected = set()
    for hour in range(21):
        row = a_row(f"h{hour}")
        land(place.target, [row], f"{hour:02d}-000001")
        expected.add(("osaka", f"h{hour}", 0))
        compact(place, now=now)
    manifest = manifests.newest(place.target)
    (date_runs,) = manifest.dates.values()
    (month_runs,) = manifest.months.values()
    assert len(date_runs) == len(month_runs) == 3  # 21 = 16 + 4 + 1
    assert sorted(run.rows for run in date_runs) == [1, 4, 16]
    assert found(top) == expected
    assert found(top, Question(number="0312345678")) == expected


def test_a_month_that_is_over_becomes_one_file(top):
    place = place_of(top)
    for hour in range(2):
        land(place.target, [a_row(f"h{hour}")], f"{hour:02d}-000001")
        compact(place, now=now)
    assert compact(place, now=later(24 * 2)).merges == 1  # its date
    (runs,) = manifests.newest(place.target).months.values()
    assert len(runs) == 2
    assert compact(place, now=later(24 * 40)).merges == 1
    (runs,) = manifests.newest(place.target).months.values()
    assert [run.rows for run in runs] == [2]
    land(place.target, [a_row("late")], "03-000001")
    compact(place, now=later(24 * 40 + 1))
    compact(place, now=later(24 * 41 - 1))
    (runs,) = manifests.newest(place.target).months.values()
    assert [run.rows for run in runs] == [2, 1]  # not twice a day
    compact(place, now=later(24 * 42))
    (runs,) = manifests.newest(place.target).months.values()
    assert [run.rows for run in runs] == [3]


def test_rounds_are_bounded(top, monkeypatch):
    monkeypatch.setattr(compact_module, "ROUND_BATCHES", 2)
    place = place_of(top)
    expected = fill(place.target)
    report = compact(place, now=now)
    assert report.batches == 5
    assert found(top) == expected
    assert set(in_tables(top)) >= expected


# ---------------------------------------------------------------- erased and amended


def files_with(folder, text):
    return [path.name for path in folder.rglob("*.parquet") if text in path.read_bytes()]


def test_an_erased_number_is_found_no_more_and_leaves_the_files(top):
    place = place_of(top)
    rows = [a_row("c1", number="0399990000"), a_row("c2", number="0312345678")]
    land(place.target, rows)
    compact(place, now=now)
    land(place.target, [erased(rows[0])], "05-000001")
    number = Question(number="0399990000")
    assert found(top, number) == set()
    compact(place, now=now)
    assert found(top, number) == set()
    assert found(top) == {("osaka", "c1", 1_000_000), ("osaka", "c2", 0)}
    assert files_with(top, b"0399990000")
    report = compact(place, now=later(7))  # the erasure is taken to the files
    assert report.merges == 2
    assert compact(place, now=later(40)).swept == 4
    assert not files_with(top, b"0399990000")
    assert found(top, number) == set()
    assert found(top) == {("osaka", "c1", 1_000_000), ("osaka", "c2", 0)}


def test_an_old_row_brings_no_erased_number_back(top):
    place = place_of(top)
    row = a_row("c1", number="0399990000")
    land(place.target, [erased(row)])
    compact(place, now=now)
    compact(place, now=later(7))
    land(place.target, [row], "01-000001")
    compact(place, now=later(8))
    assert found(top, Question(number="0399990000")) == set()
    assert found(top) == {("osaka", "c1", 1_000_000)}
    compact(place, now=later(40))
    assert not files_with(top, b"0399990000")


def test_a_number_that_was_corrected_is_found_under_the_new_one_only(top):
    place = place_of(top)
    land(place.target, [a_row("c1", number="0399990000")])
    compact(place, now=now)
    land(place.target, [a_row("c1", number="0311112222", revision=1)], "01-000001")
    for _ in range(2):
        assert found(top, Question(number="0399990000")) == set()
        assert found(top, Question(number="0311112222")) == {("osaka", "c1", 1)}
        compact(place, now=now)


def test_a_call_whose_clock_was_corrected_is_found_at_its_new_time(top):
    place = place_of(top)
    then = "1970-01-01T09:00:10.000+09:00"
    land(place.target, [a_row("c1", started=then)])
    compact(place, now=now)
    amended = {**a_row("c1", revision=1), "date": "1970-01-01"}
    land(place.target, [amended], "01-000001", date="1970-01-01")
    compact(place, now=now)
    question = Question(since=NOW - (NOW - NOW.replace(month=7, day=1)))
    assert found(top, question) == {("osaka", "c1", 1)}
    assert found(top, Question(until=NOW.replace(year=2000))) == set()
    by_number = Question(number="0312345678", until=NOW.replace(year=2000))
    assert found(top, by_number) == set()


# ---------------------------------------------------------------- what lies where it should not


def test_a_refused_removal_is_no_failure(top):
    target = folder_target(top)
    expected = fill(target)
    place = place_of(top, Watched(target, refuse_removals))
    report = compact(place, now=now)
    assert (report.removed, report.kept) == (0, 5)
    assert len(manifests.newest(target).taken) == 5
    assert found(top) == expected
    again = compact(place, now=now)
    assert (again.batches, again.rows, again.kept) == (0, 0, 5)
    assert len(in_tables(top)) == len(expected)
    assert compact(place_of(top), now=now).removed == 5
    assert manifests.newest(target).taken == frozenset()


def test_what_cannot_be_removed_is_bounded(top, monkeypatch):
    monkeypatch.setattr(compact_module, "TAKEN_MAX", 3)
    target = folder_target(top)
    fill(target)
    place = place_of(top, Watched(target, refuse_removals))
    compact(place, now=now)
    land(target, [a_row("new")], "09-000001")
    with pytest.raises(RefusedError, match="let these credentials remove"):
        compact(place, now=now)


def test_files_without_a_manifest_are_swept_after_a_day(top):
    place = place_of(top)
    fill(place.target)
    crash(top, 9)  # a file was put, and no manifest names it
    (orphan,) = [item.key for item in place.target.list("catalogue/calls/")]
    compact(place, now=later(1))
    assert place.target.look(orphan)
    compact(place, now=later(26))
    assert place.target.look(orphan) is None
    assert found(top)


def test_a_reader_of_an_older_manifest_still_has_its_files(top):
    """Files of long ago that were superseded just now."""
    place = place_of(top)
    for hour in range(4):
        land(place.target, [a_row(f"h{hour}")], f"{hour:02d}-000001")
        compact(place, now=now if hour < 3 else later(100))
    old = manifests.read(place.target, 1)
    keys = [run.key for runs in (*old.dates.values(), *old.months.values()) for run in runs]
    compact(place, now=later(123))
    assert all(place.target.look(key) for key in keys)
    compact(place, now=later(125))
    assert not any(place.target.look(key) for key in keys)


def test_old_manifests_go_but_for_some(top, monkeypatch):
    monkeypatch.setattr(manifests, "KEPT", 3)
    place = place_of(top)
    for hour in range(6):
        land(place.target, [a_row(f"h{hour}")], f"{hour:02d}-000001")
        compact(place, now=now)
    there = manifests.numbers(place.target)
    assert there[0] == 1
    assert len(there) == manifests.KEPT + 1
    assert there[1:] == list(range(there[-1] - manifests.KEPT + 1, there[-1] + 1))


def test_a_compactor_that_slept_cannot_commit_into_the_past(top, monkeypatch):
    monkeypatch.setattr(manifests, "KEPT", 3)
    place = place_of(top)
    asleep = manifests.newest(place.target).next(NOW)
    first = asleep
    for hour in range(6):
        land(place.target, [a_row(f"h{hour}")], f"{hour:02d}-000001")
        compact(place, now=now)
        first = manifests.read(place.target, 2) if hour == 0 else first
    with pytest.raises(ExistsError):
        manifests.commit(place.target, asleep)
    slept = first.next(NOW)
    assert place.target.look(manifests.key_of(slept.number)) is None  # its number is free
    with pytest.raises(ExistsError, match="long ago"):
        manifests.commit(place.target, slept)


def test_a_lost_acknowledgement_of_a_manifest_is_no_other_compactor(top):
    target = folder_target(top)
    state = manifests.Manifest().next(NOW)
    manifests.commit(target, state)
    manifests.commit(target, state)
    with pytest.raises(ExistsError):
        manifests.commit(target, manifests.Manifest().next(NOW))


def test_a_put_that_stored_another_one_is_no_commit(top):
    """Where a mounted archive has no hard links, the second of two writers may replace the first one's."""
    target = folder_target(top)
    other = manifests.as_bytes(manifests.Manifest().next(NOW))

    class Confused:
        name = target.name
        look, read, list = target.look, target.read, target.list

        def put(self, key, _content):
            target.put(key, content_of_bytes(other))

    with pytest.raises(ExistsError, match="another compactor's"):
        manifests.commit(Confused(), manifests.Manifest().next(NOW))


def test_a_step_that_took_too_long_is_not_made_valid(top):
    place = place_of(top)
    expected = fill(place.target)
    times = iter([NOW] * 7)
    with pytest.raises(TryAgainError, match="more than half a day"):
        compact(place, now=lambda: next(times, later(13)()))
    assert found(top) == expected


# ---------------------------------------------------------------- crashes


def crash(folder, number):
    """A compaction that dies at its n-th call to the archive; whether it came so far."""
    try:
        compact(place_of(folder, Watched(folder_target(folder), crash_at(number))), now=now)
    except CrashError:
        return True
    return False


def test_a_crash_at_any_step_loses_and_doubles_nothing(top, monkeypatch):
    monkeypatch.setattr(compact_module, "FANOUT", 2)  # so that there is something to merge
    monkeypatch.setattr(compact_module, "ROUND_BATCHES", 3)
    before = top / "before"
    land(folder_target(before), [a_row("old")], "23-000001")
    compact(place_of(before), now=now)
    expected = fill(folder_target(before), sites=2, calls=2) | {("osaka", "old", 0)}
    number = 0
    crashed = True
    while crashed:
        number += 1
        folder = top / str(number)
        shutil.copytree(before, folder)
        crashed = crash(folder, number)
        assert found(folder) == expected, f"after a crash at call {number}"
        if number % 7 == 0:
            crash(folder, number + 3)
        compact(place_of(folder), now=now)
        assert found(folder) == expected
        assert not list(folder_target(folder).list("landing/"))
        assert len(in_tables(folder)) <= len(expected) + 1  # c1's two revisions, in two runs
    assert number > 40


# ---------------------------------------------------------------- two at one time


class Baton:
    """Lets one of several threads go on, from one call to the archive to the next."""

    def __init__(self, seed, members):
        self.chance = random.Random(seed)
        self.members = list(members)
        self.changed = threading.Condition()
        self.turn = self.chance.choice(self.members)

    def wait(self, member):
        with self.changed:
            self.turn = self.chance.choice(self.members)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.turn == member, timeout=60)

    def leave(self, member):
        with self.changed:
            self.members.remove(member)
            self.turn = self.chance.choice(self.members) if self.members else None
            self.changed.notify_all()


def compact_in_turns(folder, seed, dies_at=None):
    """Two compactors, and a box that lands further calls meanwhile; what it landed."""
    baton = Baton(seed, ["a", "b", "box"])
    failures = []
    landed = set()

    def land_some():
        try:
            for count in range(6):
                for _ in range(seed % 5 + 1):
                    baton.wait("box")
                land(folder_target(folder), [a_row(f"new{count}")], f"1{count}-000001")
                landed.add(("osaka", f"new{count}", 0))
        finally:
            baton.leave("box")

    def work(member):
        def before(count, _name):
            baton.wait(member)
            if member == "b" and count == dies_at:
                raise CrashError

        try:
            compact(place_of(folder, Watched(folder_target(folder), before)), now=now)
        except CrashError:
            pass
        except Exception as error:  # noqa: BLE001  (it is raised in the test's own thread)
            failures.append(error)
        finally:
            baton.leave(member)

    threads = [threading.Thread(target=work, args=(member,)) for member in ("a", "b")]
    threads.append(threading.Thread(target=land_some))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return landed


@pytest.mark.parametrize("seed", range(12))
def test_two_compactors_at_one_time(top, monkeypatch, seed):
    monkeypatch.setattr(compact_module, "FANOUT", 2)
    monkeypatch.setattr(compact_module, "ROUND_BATCHES", 2)
    target = folder_target(top)
    expected = fill(target)
    expected |= compact_in_turns(top, seed, dies_at=5 + 3 * seed if seed % 2 else None)
    assert found(top) == expected
    assert len(in_tables(top)) <= len(expected) + 1
    compact(place_of(top), now=now)
    assert found(top) == expected
    assert not list(target.list("landing/"))


def test_one_compactor_within_the_other_at_every_step(top):
    number = 0
    reached = True
    while reached:
        number += 1
        folder = top / str(number)
        expected = fill(folder_target(folder), sites=2, calls=2)
        seen = []

        def before(count, _name, at=number, where=folder, seen=seen):
            if count == at:
                seen.append(count)
                compact(place_of(where), now=now)

        compact(place_of(folder, Watched(folder_target(folder), before)), now=now)
        reached = bool(seen)
        assert found(folder) == expected
        assert len(in_tables(folder)) == len(expected), f"within call {number}"
    assert number > 12


def test_a_search_while_a_compactor_takes_in(top):
    """At any step of the search a whole compaction comes between."""
    number = 0
    reached = True
    while reached:
        number += 1
        folder = top / str(number)
        expected = fill(folder_target(folder))
        seen = []

        def before(count, _name, at=number, where=folder, seen=seen):
            if count == at:
                seen.append(count)
                compact(place_of(where), now=now)

        place = place_of(folder, Watched(folder_target(folder), before))
        calls = search(place, Question(), now=now).calls
        assert {(call["site"], call["call"], call["revision"]) for call in calls} == expected
        assert len(calls) == len(expected)
        reached = bool(seen)
    assert number > 5
