"""What may be erased: by every rule, against a plain restatement of the promise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.core.retention import (
    DAY_S,
    Growth,
    KeptCall,
    Rules,
    days_until_full,
    judge,
    plan,
)

DAYS = {"standard": 180, "threats": 1825}


def a_call(call_id="a", retention="standard", days=200, sound=1000, held=False, confirmed=False):
    return KeptCall(call_id, retention, days * DAY_S, sound, held, confirmed)


def rules(archive=False, free_min=0):
    return Rules(DAYS, "s3://recordings" if archive else None, free_min)


@pytest.mark.parametrize(
    ("call", "archive", "short", "verdict"),
    [
        (a_call(days=180), False, False, "age"),
        (a_call(days=179), False, True, "young"),
        (a_call(days=180, held=True), False, True, "held"),
        (a_call(days=180, retention="threats"), False, True, "young"),
        (a_call(days=99999, retention="treats"), False, True, "class unknown"),
        (a_call(days=99999), True, True, "not uploaded"),
        (a_call(days=180, confirmed=True), True, False, "age"),
        (a_call(days=1, confirmed=True), True, False, "young"),
        (a_call(days=1, confirmed=True), True, True, "space"),
        (a_call(days=1, confirmed=True, held=True), True, True, "held"),
        (a_call(days=1, confirmed=True, sound=0), True, True, "no sound here"),
        (a_call(days=1, confirmed=True), False, True, "young"),
    ],
)
def test_verdicts(call, archive, short, verdict):
    assert judge(call, rules(archive), is_short=short) == verdict


CALLS = st.lists(
    st.builds(
        KeptCall,
        id=st.text("abc", min_size=8, max_size=8),
        retention=st.sampled_from(["standard", "threats", "gone"]),
        age_s=st.integers(-DAY_S, 2000 * DAY_S),
        sound_bytes=st.integers(0, 1000),
        is_held=st.booleans(),
        is_confirmed=st.booleans(),
    ),
    max_size=30,
    unique_by=lambda call: call.id,
)


@given(CALLS, st.booleans(), st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_plan_keeps_every_promise(calls, archive, free_min, free):
    asked = rules(archive, free_min)
    chosen = plan(calls, asked, free)
    for call, rule in chosen:
        assert not call.is_held
        assert call.is_confirmed or not archive
        expired = call.age_s >= DAYS.get(call.retention, 10**9) * DAY_S
        assert expired if rule == "age" else archive and not expired
    by_age = [call for call, rule in chosen if rule == "age"]
    by_space = [call for call, rule in chosen if rule == "space"]
    assert [call for call, _ in chosen] == by_age + by_space
    for group in (by_age, by_space):
        assert group == sorted(group, key=lambda call: (-call.age_s, call.id))
    freed = free + sum(call.sound_bytes for call, _ in chosen)
    if by_space:  # not one more than was needed
        assert freed - by_space[-1].sound_bytes < free_min
    may = {
        call.id
        for call in calls
        if judge(call, asked, is_short=freed < free_min) in {"age", "space"}
    }
    assert may <= {call.id for call, _ in chosen}


def test_a_disk_fills_while_more_is_recorded_than_expires():
    assert days_until_full([Growth(100, 50.0)], 1000) == 10
    assert days_until_full([Growth(100, 5.0)], 1000) is None
    assert days_until_full([Growth(100, 5.0), Growth(10, 1000.0)], 1000) == pytest.approx(50.0)
    assert days_until_full([Growth(100, 5.0)], 500) == 5
    assert days_until_full([], 1000) is None
    assert days_until_full([Growth(0, 9.0), Growth(100, 0.0)], 1000) is None
    assert days_until_full([], 0) == 0


@given(
    st.lists(st.builds(Growth, st.integers(0, 100), st.floats(0, 100)), max_size=5),
    st.integers(1, 10_000),
)
def test_on_the_day_foretold_the_room_is_used_up(growths, room):
    def used(day):
        return sum(each.bytes_per_day * min(day, each.grows_days) for each in growths)

    day = days_until_full(growths, room)
    if day is None:
        assert used(1e9) < room + 1e-6
    else:
        assert used(day) == pytest.approx(room)
