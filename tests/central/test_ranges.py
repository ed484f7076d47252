"""Runs in pieces: as many rows as are allowed are sorted at one time, and nothing of a call is lost between two."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.central import compact as compact_module
from recorderd.central import manifest as manifests
from recorderd.central import tables
from recorderd.central.compact import compact
from recorderd.central.engine import Engine
from recorderd.central.place import Place
from recorderd.central.search import Question, search
from recorderd.errors import StoreError
from tests.central.offices import (
    CrashError,
    Watched,
    a_row,
    erased,
    folder_target,
    land,
    later,
    now,
    place_of,
)

RANGE_ROWS = 20
SITES = 5


def number_of(call):
    return f"03{call * 7919 % 10**8:08d}"


def office_rows(hour, calls=30):
    """Calls of one hour: of some sites, each with a number of its own."""
    return [
        a_row(f"h{hour}c{call}", number_of(hour * calls + call), site=f"site-{call % SITES}")
        for call in range(calls)
    ]


def land_hour(target, rows, hour):
    for site in {row["site"] for row in rows}:
        land(target, [row for row in rows if row["site"] == site], f"{hour:02d}-000001")


def asked(folder, **question):
    """The calls that a search finds, each once."""
    calls = search(place_of(folder), Question(**question), now=now).calls
    found = [(call["site"], call["call"], call["revision"]) for call in calls]
    assert len(found) == len(set(found))
    return set(found)


def named(rows):
    return {(row["site"], row["call"], row["revision"]) for row in rows}


@pytest.fixture
def sorted_rows(monkeypatch):
    """How many rows each sort had."""
    counts = []
    write = tables.write

    def counted(engine, table, source, path):
        counts.append(engine.rows(f"SELECT count(*) AS rows FROM {source}")[0]["rows"])
        return write(engine, table, source, path)

    monkeypatch.setattr(tables, "write", counted)
    return counts


@pytest.fixture(params=[False, True], ids=["four of one level", "a month that is over"])
def merged(request, top, sorted_rows):
    """An archive of four hours in merged runs, and its rows by their calls."""
    rows = {}
    for hour in range(4):
        place = place_of(top)
        landed = office_rows(hour)
        if hour == 3:
            landed[3] = {**rows["h0c3"], "revision": 1, "number": "0399990000", "keys": ["l0000"]}
            landed[4] = erased(rows["h1c4"])
        land_hour(place.target, landed, hour)
        rows |= {row["call"]: row for row in landed}
        compact(place, now=now, range_rows=RANGE_ROWS)
    if request.param:
        compact(place_of(top), now=later(24 * 40), range_rows=RANGE_ROWS)
    assert max(sorted_rows) <= RANGE_ROWS
    return rows


def test_a_search_finds_all_in_many_pieces(top, merged):
    manifest = manifests.newest(place_of(top).target)
    (dates,), (months,) = manifest.dates.values(), manifest.months.values()
    assert len({piece.run for piece in dates}) == len({piece.run for piece in months}) == 1
    assert len(dates) >= 118 // RANGE_ROWS
    assert len(months) >= 118 // RANGE_ROWS
    assert asked(top) == named(merged.values())
    for row in list(merged.values())[::3]:
        if row["number"]:
            assert asked(top, number=row["number"]) == named([row])
    assert asked(top, number=number_of(3)) == set()  # corrected
    assert asked(top, number=number_of(34)) == set()  # erased
    for site in range(SITES):
        rows = [row for row in merged.values() if row["site"] == f"site-{site}"]
        assert asked(top, sites=frozenset({f"site-{site}"})) == named(rows)


@pytest.mark.parametrize("question", [{"number": number_of(5)}, {"sites": frozenset({"site-2"})}])
def test_a_search_opens_only_the_pieces_that_can_hold_it(top, merged, monkeypatch, question):
    opened: set[str] = set()
    where = Place.where
    monkeypatch.setattr(Place, "where", lambda place, key: opened.add(key) or where(place, key))
    assert asked(top, **question) <= named(merged.values())
    opened.discard("")  # the archive itself
    manifest = manifests.newest(place_of(top).target)
    (pieces,) = (manifest.months if "number" in question else manifest.dates).values()
    values = {"l" + number_of(5)[-4:], tables.REVISED, "site-2"}
    assert opened == {piece.key for piece in pieces if piece.may_hold(values)}
    assert 0 < len(opened) < len(pieces) / 2


def test_one_number_with_more_calls_than_a_piece_may_have(top, sorted_rows):
    rows = [a_row(f"c{call}", "0312345678") for call in range(10 * RANGE_ROWS)]
    place = place_of(top)
    for hour in range(4):
        land(place.target, rows[hour::4], f"{hour:02d}-000001")
        compact(place, now=now, range_rows=RANGE_ROWS)
    assert max(sorted_rows) <= RANGE_ROWS
    assert asked(top, number="0312345678") == named(rows)
    assert asked(top) == named(rows)


def test_four_runs_of_pieces_become_one_and_three_stay(top):
    place = place_of(top)
    for hour in range(3):
        land_hour(place.target, office_rows(hour), hour)
        assert compact(place, now=now, range_rows=RANGE_ROWS).merges == 0
    (pieces,) = manifests.newest(place.target).months.values()
    assert len({piece.run for piece in pieces}) == 3
    assert len(pieces) > 4
    land_hour(place.target, office_rows(3), 3)
    assert compact(place, now=now, range_rows=RANGE_ROWS).merges == 2
    (pieces,) = manifests.newest(place.target).months.values()
    assert {piece.level for piece in pieces} == {1}


# ---------------------------------------------------------------- what goes wrong


def crash_at_write(number):
    """The process dies before its n-th change of the archive: what is asked between changes nothing."""
    written = []

    def before(_count, name):
        written.extend([name] if name in {"put", "remove"} else [])
        if len(written) == number:
            raise CrashError

    return before


def test_a_crash_at_any_step_of_a_merge_in_pieces_loses_and_doubles_nothing(top, monkeypatch):
    number, crashed = 0, True
    rows = [row for hour in range(2) for row in office_rows(hour, calls=4)]
    while crashed:
        number += 1
        folder = top / str(number)
        target = folder_target(folder)
        for hour in range(2):
            land_hour(target, rows[4 * hour :][:4], hour)
            compact(place_of(folder), now=now, range_rows=3)
        with monkeypatch.context() as patched:
            patched.setattr(compact_module, "FANOUT", 2)
            dying = place_of(folder, Watched(target, crash_at_write(number)))
            try:
                compact(dying, now=now, range_rows=3)
                crashed = False
            except CrashError:
                assert asked(folder) == named(rows), f"after a crash at change {number}"
                assert asked(folder, number=rows[1]["number"]) == named([rows[1]])
            compact(place_of(folder), now=now, range_rows=3)
        assert asked(folder) == named(rows)
        manifest = manifests.newest(target)
        for pieces in (*manifest.dates.values(), *manifest.months.values()):
            assert len({piece.run for piece in pieces}) == 1
            assert len(pieces) > 2
            assert sum(piece.rows for piece in pieces) == len(rows)
    assert number > 8  # the pieces and the manifest of two tables


@pytest.mark.parametrize("failing", [1, 2, 7])
def test_what_was_taken_in_stays_found_when_a_merge_fails(top, monkeypatch, failing):
    """At its n-th piece: those before it lie there, and no manifest names them."""
    rows = [row for hour in range(4) for row in office_rows(hour)]
    place = place_of(top)
    for hour in range(3):
        land_hour(place.target, rows[30 * hour :][:30], hour)
        compact(place, now=now, range_rows=RANGE_ROWS)
    land_hour(place.target, rows[90:], 3)
    write, merge = tables.write, tables.merged
    begun, count = [], []

    def beginning(*values, **known):
        begun.append(values)
        return merge(*values, **known)

    def failing_write(*values):
        count.extend(begun)
        if len(count) >= failing:
            raise StoreError("DuckDB needs more memory")
        return write(*values)

    with monkeypatch.context() as broken:
        broken.setattr(tables, "merged", beginning)
        broken.setattr(tables, "write", failing_write)
        with pytest.raises(StoreError, match="more memory"):
            compact(place, now=now, range_rows=RANGE_ROWS)
    assert not list(place.target.list("landing/"))  # what was taken in is in the tables alone
    assert asked(top) == named(rows)
    for row in rows[::17]:
        assert asked(top, number=row["number"]) == named([row])
    report = compact(place, now=now, range_rows=RANGE_ROWS)
    assert (report.rows, report.merges) == (0, 2)
    assert asked(top) == named(rows)


# ---------------------------------------------------------------- the ranges themselves

VALUES = st.text(alphabet="!#l09aéz😀'", min_size=1, max_size=7)


@given(keys=st.lists(VALUES, max_size=40), repeats=st.integers(1, 4), rows_max=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_each_row_is_in_one_range(tmp_path_factory, keys, repeats, rows_max):
    with closing(Engine(tmp_path_factory.mktemp("work"))) as engine:
        engine.run("CREATE TABLE party (key VARCHAR, site VARCHAR, call VARCHAR)")
        rows = [(key, "osaka", str(number)) for number, key in enumerate(keys * repeats)]
        for row in rows:
            engine.run("INSERT INTO party VALUES (?, ?, ?)", row)
        found = tables.ranges(engine, tables.PARTY, "party", rows_max)
        held = [engine.rows(f"SELECT key, call FROM party WHERE {each.where()}") for each in found]
    assert sorted(row["call"] for each in held for row in each) == sorted(row[2] for row in rows)
    for each, part in zip(held, found, strict=True):
        assert len(each) <= rows_max or part.parts > 1
        assert len({row["key"][:5] for row in each}) <= 1 or part.parts == 1
    wholes = [each for part, each in zip(found, held, strict=True) if part.part == 0]
    keys_of = [{row["key"] for row in each} for each in wholes if each]
    for lower, upper in pairwise(keys_of):
        assert max(lower) < min(upper)


def test_a_range_has_its_first_key_and_not_its_last():
    where = tables.Range("key", "l0100", "l0200").where()
    with closing(Engine(".")) as engine:
        sql = f"SELECT key FROM (VALUES ('l0099'), ('l0100'), ('l0199'), ('l0200')) t(key) WHERE {where}"
        assert [row["key"] for row in engine.rows(sql)] == ["l0100", "l0199"]


def test_a_piece_may_hold_what_is_between_its_ends():
    piece = manifests.Piece("k", "r", 0, 9, "l0100", "l0200", "", "", 0, None)
    assert piece.may_hold(["l0100"])
    assert piece.may_hold(["a", "l0200"])
    assert not piece.may_hold(["l0099", "l0201"])
    assert replace(piece, highest="l0100").may_hold(["l0100"])
