"""Searches over all sites, by number, by time, sealed or not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.central.compact import compact
from recorderd.central.search import Question, search
from recorderd.core.numbers import index_keys, numbers_match, search_keys
from recorderd.seal.searchkey import hashed
from tests.central.offices import a_row, erased, land, now, place_of
from tests.store.calls import in_memory

KEY = b"k" * 32


def asked(place, **question):
    return search(place, Question(**question), now=now)


def ids(answer):
    return [call["call"] for call in answer.calls]


@pytest.fixture(params=["landed", "compacted"])
def office(request, top):
    """Calls of three sites, once as they landed and once in the tables."""
    place = place_of(top)
    land(
        place.target,
        [
            a_row("c1", started="2026-07-10T10:00:00.000+09:00"),
            a_row("c2", started="2026-07-10T11:00:00.000+09:00", line="back"),
            a_row("c3", number="0612345678", started="2026-07-10T12:00:00.000+09:00"),
            a_row("c4", number=None, absence="private", started="2026-07-10T13:00:00.000+09:00"),
        ],
    )
    land(
        place.target,
        [
            a_row("d1", number="+81-3-1234-5678", site="kobe", direction="outbound"),
            a_row("d2", site="kobe", sealed=True, number=None, keys=[]),
        ],
    )
    land(place.target, [a_row("e1", started="2026-06-30T23:30:00.000-05:00", site="nyc")])
    if request.param == "compacted":
        compact(place, now=now)
    return place


def test_a_number_in_either_form_at_all_sites(office):
    assert set(ids(asked(office, number="03-1234-5678"))) == {"c1", "c2", "d1", "e1"}
    assert set(ids(asked(office, number="+81312345678"))) == {"c1", "c2", "d1", "e1"}
    assert set(ids(asked(office, number="5678"))) == {"c1", "c2", "c3", "d1", "e1"}
    assert ids(asked(office, number="0699999999")) == []


def test_the_oldest_comes_first_and_a_limit_keeps_the_newest(office):
    answer = asked(office, sites=frozenset({"osaka"}))
    assert (ids(answer), answer.has_more) == (["c1", "c2", "c3", "c4"], False)
    answer = asked(office, sites=frozenset({"osaka"}), limit=2)
    assert (ids(answer), answer.has_more) == (["c3", "c4"], True)
    answer = asked(office, number="5678", limit=1)
    assert (ids(answer), answer.has_more) == (["c3"], True)


def test_by_site_line_and_direction(office):
    assert ids(asked(office, number="0312345678", line="back")) == ["c2"]
    assert ids(asked(office, direction="outbound")) == ["d1"]
    assert ids(asked(office, number="0312345678", sites=frozenset({"nyc", "kobe"}))) == ["e1", "d1"]


def test_times_reach_over_the_end_of_a_month(office):
    """A call of 30 June where it was made is one of 1 July in UTC, and lies in June's file."""
    july = datetime(2026, 7, 1, tzinfo=UTC)
    assert "e1" in ids(asked(office, number="0312345678", since=july))
    assert ids(asked(office, since=july, until=july.replace(day=2))) == ["e1"]
    assert ids(asked(office, until=july)) == []


def test_the_end_of_the_time_is_not_in_it(office):
    at = datetime(2026, 7, 10, 2, tzinfo=UTC)  # c2
    assert ids(asked(office, line="back", since=at, until=at.replace(minute=1))) == ["c2"]
    assert ids(asked(office, line="back", until=at)) == []


def test_an_answer_says_how_far_it_reaches(office):
    answer = asked(office, number="0312345678")
    is_compacted = answer.compacted_at is not None
    assert answer.landed == (0 if is_compacted else 3)
    assert answer.as_of == "2026-07-20T12:00:00+00:00"
    assert answer.sealed_sites == ["kobe"]
    assert asked(office, number="0312345678", sites=frozenset({"nyc"})).sealed_sites == []


def test_a_bad_batch_is_told_and_left_out(office):
    key = land(office.target, [{**a_row("bad"), "revision": -1}], "07-000001")
    answer = asked(office, number="0312345678")
    assert set(ids(answer)) == {"c1", "c2", "d1", "e1"}
    (problem,) = answer.problems
    assert (problem.site, problem.key) == ("osaka", key)


def test_names_with_quotes_are_names(office):
    assert ids(asked(office, number="'; DROP TABLE landed; --")) == []
    assert ids(asked(office, sites=frozenset({"o'; DELETE"}), line="' OR true")) == []


def test_an_erased_call_is_shown_by_its_time(top):
    place = place_of(top)
    land(place.target, [a_row("c1"), a_row("c2")])
    compact(place, now=now)
    land(place.target, [erased(a_row("c1"))], "09-000001")
    (call, _) = asked(place).calls
    assert (call["erased_at"], call["number"]) == ("2026-07-19T00:00:00.000+09:00", None)


# ---------------------------------------------------------------- sealed calls


def sealed_row(call, site, key, number):
    keys = sorted(hashed(key, index_keys(number)))
    return a_row(call, site=site, number=None, sealed=True, keys=keys)


@pytest.mark.parametrize("compactions", [0, 1, 2])
def test_a_number_finds_no_call_that_was_erased_since(top, compactions):
    """The number is still in the file of the first compaction; the erasure in that of the second."""
    place = place_of(top)
    land(place.target, [a_row("gone"), a_row("stays")], "00-000001")
    if compactions:
        compact(place, now=now)
    land(place.target, [erased(a_row("gone"))], "00-000002")
    if compactions == 2:
        compact(place, now=now)
    assert ids(asked(place, number="0312345678")) == ["stays"]


@pytest.mark.parametrize("compacted", [False, True])
def test_sealed_calls_are_found_by_their_sites_keys(top, compacted):
    place = place_of(top)
    land(place.target, [sealed_row("s1", "kobe", KEY, "0312345678")])
    land(place.target, [sealed_row("s2", "nara", b"o" * 32, "0312345678")])
    land(place.target, [a_row("c1")])
    if compacted:
        compact(place, now=now)
    without = asked(place, number="0312345678")
    assert ids(without) == ["c1"]
    assert without.sealed_sites == ["kobe", "nara"]
    assert without.sealed_calls == (2 if compacted else 0)
    keys = {"kobe": hashed(KEY, search_keys("+81 3 1234 5678"))}
    answer = asked(place, number="+81 3 1234 5678", keys=keys)
    assert set(ids(answer)) == {"c1", "s1"}
    assert answer.sealed_sites == ["nara"]


def test_keys_of_many_sites(top):
    place = place_of(top)
    land(place.target, [sealed_row("s1", "kobe", KEY, "0312345678"), a_row("c1", site="kobe")])
    compact(place, now=now)
    many = {f"site-{number}": frozenset({f"#{number:032x}"}) for number in range(300)}
    keys = {"kobe": hashed(KEY, search_keys("0312345678")), **many}
    assert set(ids(asked(place, number="0312345678", keys=keys))) == {"c1", "s1"}


# ---------------------------------------------------------------- as numbers_match says


NUMBERS = st.one_of(
    st.text("0123456789", min_size=3, max_size=12),
    st.text("0123456789", min_size=8, max_size=12).map("+".__add__),
    st.sampled_from([
        "0312345678",
        "+81312345678",
        "+1 (415) 555-0123",
        "4155550123",
        "*67",
        "123",
    ]),
)


@given(st.lists(NUMBERS, min_size=1, max_size=8), NUMBERS)
@settings(max_examples=25)
def test_a_search_finds_what_matches_and_nothing_else(numbers, wanted):
    with in_memory() as folder:
        place = place_of(folder / "archive")
        rows = [a_row(f"c{index}", number=number) for index, number in enumerate(numbers)]
        land(place.target, rows)
        compact(place, now=now)
        expected = {row["call"] for row in rows if numbers_match(row["number"], wanted)}
        assert set(ids(asked(place, number=wanted))) == expected
