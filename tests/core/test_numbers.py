"""Numbers as people search for them, and the keys by which an index finds them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.core.numbers import (
    index_keys,
    is_narrow_key_all,
    narrow_key,
    numbers_match,
    search_keys,
)


@pytest.mark.parametrize(
    ("stored", "asked", "same"),
    [
        ("0312345678", "03-1234-5678", True),
        ("0312345678", "5678", True),
        ("0312345678", "678", False),
        ("0312345678", "05678", False),  # a leading zero begins a number
        ("117", "117", True),
        ("+81312345678", "0312345678", True),
        ("0312345678", "+81312345678", True),
        ("0312345678", "+81412345678", False),
        ("5678", "+81312345678", False),  # an extension is not the end of somebody's number
        ("0312345678", "", False),
        (None, "1234", False),
        ("1234", "0312341234", False),
        ("*31#0312345678", "0312345678", True),
    ],
)
def test_when_numbers_match(stored, asked, same):
    assert numbers_match(stored, asked) is same


@given(digits=st.text("0123456789", min_size=4, max_size=15), cut=st.integers(0, 11))
def test_a_number_matches_itself_and_its_endings_however_written(digits, cut):
    ending = digits[min(cut, len(digits) - 4) :]
    assert numbers_match("-".join(digits), " ".join(ending))


@given(stored=st.text(max_size=12), asked=st.text(max_size=12))
def test_no_text_upsets_the_comparison(stored, asked):
    assert numbers_match(stored, asked) in {True, False}


NUMBERS = st.from_regex(r"[+*#]?[0-9]{0,14}[A-D]?", fullmatch=True)


@given(stored=NUMBERS, asked=NUMBERS)
def test_a_match_always_lies_under_the_narrow_key(stored, asked):
    if numbers_match(stored, asked):
        assert narrow_key(asked) in index_keys(stored)


@given(
    stored=NUMBERS, asked=st.from_regex(r"[+*#]?[0-9]{0,6}[A-D]?", fullmatch=True), data=st.data()
)
def test_a_short_question_is_answered_by_the_narrow_key_alone(stored, asked, data):
    stored = data.draw(st.sampled_from([stored, stored + asked.lstrip("+")[-4:]]))
    if is_narrow_key_all(asked):
        assert numbers_match(stored, asked) == (narrow_key(asked) in index_keys(stored))
        assert search_keys(asked) == {narrow_key(asked)}


@given(stored=NUMBERS, asked=NUMBERS)
def test_what_the_keys_alone_find_is_a_match_in_one_form_or_the_other(stored, asked):
    if index_keys(stored) & search_keys(asked):
        digits = [number.lstrip("+0") for number in (stored, asked)]
        assert stored.strip("+") == asked.strip("+") or any(
            one.endswith(other[-4:]) for one, other in (digits, digits[::-1])
        )


@pytest.mark.parametrize(
    ("stored", "asked", "found"),
    [
        ("0312345678", "03-1234-5678", True),
        ("0312345678", "+81312345678", True),
        ("+81312345678", "0312345678", True),
        ("+390612345678", "06 1234 5678", True),  # Italy keeps the zero behind its code
        ("0312345678", "5678", True),
        ("0312345678", "45678", False),
        ("0312345678", "0412345678", False),
        ("117", "117", True),
        ("117", "7", False),
    ],
)
def test_what_the_keys_alone_find(stored, asked, found):
    assert bool(index_keys(stored) & search_keys(asked)) is found


@given(st.text(max_size=20))
def test_no_text_upsets_the_keys(text):
    assert isinstance(index_keys(text), frozenset)
    assert isinstance(search_keys(text), frozenset)
