"""The exchange's clock beside ours: near and far, without a year, without a date, and senseless."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.core.witness import caller_id_offset_s
from recorderd.events import Caller

TOKYO = ZoneInfo("Asia/Tokyo")
NOON = datetime(2026, 11, 23, 12, 0, 30, tzinfo=TOKYO)


def offset(date, time, ours=NOON):
    return caller_id_offset_s(Caller("1", None, None, "modem", "", date, time), ours)


@pytest.mark.parametrize(
    ("date", "time", "ours", "wanted"),
    [
        ("1123", "1200", NOON, 0),
        ("1123", "1215", NOON, 900),
        ("1123", "1100", NOON, -3600),
        (None, "1200", NOON, 0),
        ("", "1159", NOON, -60),
        ("1231", "2359", datetime(2027, 1, 1, 0, 0, 30, tzinfo=TOKYO), -60),
        ("0101", "0000", datetime(2026, 12, 31, 23, 59, 30, tzinfo=TOKYO), 60),
        (None, "2359", datetime(2027, 1, 1, 0, 0, 30, tzinfo=TOKYO), -60),
        ("1123", "2400", datetime(2026, 11, 23, 0, 0, 30, tzinfo=TOKYO), 0),
        ("1123", "2423", datetime(2026, 11, 23, 0, 23, 30, tzinfo=TOKYO), 0),
    ],
)
def test_offsets(date, time, ours, wanted):
    assert offset(date, time, ours) == wanted


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("1123", None),
        ("1123", ""),
        ("1345", "1200"),
        ("1123", "1260"),
        ("1123", "2500"),
        ("1123", "125"),
        ("1123", "12541"),
        ("0229", "1200"),
        ("xx", "yy"),
    ],
)
def test_what_cannot_be_a_time_says_nothing(date, time):
    assert offset(date, time) is None


def test_no_caller_says_nothing():
    assert caller_id_offset_s(None, NOON) is None


@given(
    st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2090-01-01")),
    st.integers(-80 * 86_400, 80 * 86_400),
)
def test_the_offset_is_known_to_half_a_minute(ours, ahead_s):
    theirs = ours + timedelta(seconds=ahead_s)
    found = offset(f"{theirs:%m%d}", f"{theirs:%H%M}", ours.replace(tzinfo=TOKYO))
    if (theirs.month, theirs.day) == (2, 29) and found is None:
        return
    assert abs(found - ahead_s) <= 31


@given(st.text(max_size=6), st.text(max_size=6))
def test_no_text_upsets_it(date, time):
    found = offset(date, time)
    assert found is None or isinstance(found, int)
