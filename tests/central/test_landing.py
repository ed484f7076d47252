"""Batches that no box writes: told, left where they are, and no harm to the others."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.archive.layout import landing_key
from recorderd.archive.rows import COLUMNS, pack
from recorderd.archive.target import content_of_bytes
from recorderd.central import landing as landing_module
from recorderd.central.compact import compact
from recorderd.central.landing import BadError, _unpacked, checked, read_batch
from recorderd.central.search import Question, search
from tests.central.offices import NOW, a_row, erased, folder_target, land, now, place_of

DAY = "2026-07-10"


def put(target, data, name="00-000009", site="osaka", date=DAY):
    key = landing_key(site, date, name)
    target.put(key, content_of_bytes(data))
    return key


def problem_of(top, data, **place):
    target = folder_target(top)
    batch = read_batch(target, put(target, data, **place), NOW)
    assert batch.rows == []
    (problem,) = batch.problems
    return problem


GOOD = pack([a_row()])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GOOD[:-3], "it is cut"),
        (GOOD[:30], "it is cut"),
        (b"", "it is cut"),
        (b"{}\n", "not gzip"),
        (GOOD + b"more", "something follows"),
        (GOOD + GOOD, "something follows"),
        (GOOD[:40] + b"\0\0\0" + GOOD[43:], "damaged"),
        (gzip.compress(b"", mtime=0), "holds no row"),
        (gzip.compress(json.dumps(a_row()).encode(), mtime=0), "last line does not end"),
        (gzip.compress(b"x\n" * 10_001, mtime=0), "holds 10001 rows"),
    ],
)
def test_a_batch_that_is_none(top, data, reason):
    problem = problem_of(top, data)
    assert reason in problem.reason
    assert problem.site == "osaka"


def test_a_batch_that_unpacks_without_end(top, monkeypatch):
    monkeypatch.setattr(landing_module, "BATCH_BYTES_MAX", 1 << 20)
    assert "unpacks to more than" in problem_of(top, gzip.compress(bytes(1 << 24))).reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (a_row(site="kobe"), "of the site 'kobe'"),
        (a_row(started="2026-07-11T10:00:00.000+09:00"), "of the date '2026-07-11'"),
        ({**a_row(), "form": 2}, "its form is 2"),
        ({**a_row(), "revision": True}, "revision is bool"),
        ({**a_row(), "revision": -1}, "revision is out of range"),
        ({**a_row(), "duration_s": "1"}, "duration_s is str"),
        ({**a_row(), "more": 1}, "missing or unknown: more"),
        ({key: value for key, value in a_row().items() if key != "line"}, "unknown: line"),
        ({**a_row(), "name": "x" * 20_000}, "allowed: 16384"),
        ({**a_row(), "name": "a\0b"}, "name holds a NUL"),
        ({**a_row(), "call": "../x"}, "its call id is none"),
        ({**a_row(), "started_utc": a_row()["started_at"]}, "not the same moment"),
        ({**a_row(), "started_at": "yesterday"}, "its times are none"),
        ({**a_row(), "ended_at": "later"}, "its times are none"),
        ({**a_row(), "keys": [1]}, "its keys"),
        ({**a_row(), "keys": ["!"]}, "its keys"),
        ({**a_row(), "keys": [""]}, "its keys"),
        ({**a_row(), "keys": ["=1"] * 65}, "its keys"),
        ({**a_row(), "direction": "up"}, "direction or disposition"),
        ({**a_row(), "erased_at": "2026-07-12T00:00:00Z"}, "contradict each other"),
        ({**erased(a_row()), "number": "0312345678"}, "number or name is still there"),
    ],
)
def test_a_row_that_is_none(top, row, reason):
    assert reason in problem_of(top, pack([row])).reason


@pytest.mark.parametrize("date", ["1970-01-01", "2026-07-07", "2036-01-01"])
def test_the_clock_may_have_been_set_in_mid_call(top, date):
    """Its folder, and so its date, is of before; when it began is said by the right clock."""
    row = {**a_row(started="2026-07-10T10:00:00.000+09:00"), "date": date}
    assert checked(json.dumps(row).encode(), "osaka", date, NOW)["date"] == date


@pytest.mark.parametrize("date", ["9999-12-31", "0001-01-01", "1969-12-31"])
def test_a_date_with_which_nobody_can_reckon_stops_nothing(top, date):
    place = place_of(top)
    strange = {**a_row("strange"), "revision": 1, "date": date}
    for name in ("00-000001", "00-000002"):
        land(place.target, [{**strange, "call": f"strange-{name}"}], name)
        land(place.target, [a_row(name)], name)
        report = compact(place, now=now)
    assert {"its date is out of range" in problem.reason for problem in report.problems} == {True}
    assert len(search(place, Question(), now=now).calls) == 2


def test_a_call_from_the_future(top):
    row = a_row(started="2026-07-22T10:00:00.000+09:00")
    problem = problem_of(top, pack([row]), date="2026-07-22")
    assert "in the future" in problem.reason
    assert "clock" in problem.mend


def test_a_day_ahead_may_be_another_time_zone(top):
    row = a_row(started="2026-07-21T10:00:00.000+14:00")
    assert checked(json.dumps(row).encode(), "osaka", "2026-07-21", NOW)["call"] == "c1"


def test_a_key_that_no_box_writes(top):
    target = folder_target(top)
    target.put("landing/strange.txt", content_of_bytes(b"x"))
    (problem,) = read_batch(target, "landing/strange.txt", NOW).problems
    assert problem.site is None


def test_bad_batches_stay_and_the_others_go_on(top):
    place = place_of(top)
    bad = put(place.target, GOOD[:-3])
    half = land(place.target, [a_row("good"), {**a_row("bad"), "revision": -1}], "00-000010")
    land(place.target, [a_row("other", site="kobe")])
    for _ in range(2):
        report = compact(place, now=now)
        assert {problem.key for problem in report.problems} == {bad, half}
        assert [item.key for item in place.target.list("landing/")] == [bad, half]
    assert report.rows == 0  # the good row of the half one is in the tables already
    answer = search(place, Question(), now=now)
    assert [call["call"] for call in answer.calls] == ["other", "good"]


@given(st.binary(max_size=300))
def test_any_bytes_are_no_batch_or_unpack(data):
    with suppress(BadError):
        _unpacked([data])


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.integers(1, len(GOOD)))
def test_a_changed_byte_is_told_and_blocks_do_not_matter(place, change, size):
    data = bytearray(GOOD)
    data[place] ^= change
    blocks = [bytes(data[first : first + size]) for first in range(0, len(data), size)]
    try:
        unpacked = _unpacked(blocks)
    except BadError:
        return
    assert unpacked == gzip.decompress(GOOD)  # only a byte of the header that means nothing


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(COLUMNS)), JSON)
def test_any_other_value_is_taken_or_told(column, value):
    line = json.dumps({**a_row(), column: value}).encode()
    try:
        row = checked(line, "osaka", DAY, NOW)
    except BadError:
        return
    assert type(row[column]) in COLUMNS[column]
