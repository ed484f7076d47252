"""Caller ID in DTMF digits: the national forms, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.core.dtmf_clip import is_begun, parse_dtmf_clip


@pytest.mark.parametrize(
    ("digits", "number", "absence"),
    [
        ("A5551212C", "5551212", None),
        ("A5551212D5550000C", "5551212", None),
        ("A5551212B10C", None, "private"),
        ("AB00C", None, "out-of-area"),
        ("B00C", None, "out-of-area"),
        ("B10C", None, "private"),
        ("A5551212B20C", "5551212", None),
        ("D5551212C", "5551212", None),
        ("A5551212#", "5551212", None),
        ("D1#", None, "private"),
        ("D2#", None, "out-of-area"),
        ("D3#", None, "unavailable"),
    ],
)
def test_forms(digits, number, absence):
    message = parse_dtmf_clip(digits)
    assert message is not None
    assert message.is_call
    assert (message.number, message.absence) == (number, absence)


@pytest.mark.parametrize(
    "digits",
    ["", "C", "AC", "A#", "5551212#", "A555", "B00", "A5*5C", "A555C1", "D4#", "1A555C", "DC"],
)
def test_what_is_none(digits):
    assert parse_dtmf_clip(digits) is None


@given(st.text("0123456789ABCD*#", max_size=30))
def test_any_digits_give_an_answer_and_a_message_grows_from_its_beginnings(digits):
    message = parse_dtmf_clip(digits)
    if message is not None:
        assert all(is_begun(digits[:size]) for size in range(1, len(digits)))
        assert message.number is None or message.number in digits
