"""Frames and moments: late arrivals, drifting crystals, losses, and both ways round."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.core.frameclock import Anchor, FrameClock
from recorderd.units import (
    NS_PER_S,
    FrameIndex,
    MonoNs,
    frames_to_ns,
    ms,
    ns_to_frames,
    seconds,
)

RATE_HZ = 8000
START = MonoNs(seconds(1000))


def anchors_of(late_ms, rate_hz=RATE_HZ, true_rate_hz=RATE_HZ, every_s=0.5):
    """One anchor each half second, late by the given milliseconds, from a card of a true rate."""
    frames = round(every_s * rate_hz)
    return [
        Anchor(
            FrameIndex((number + 1) * frames),
            MonoNs(START + round((number + 1) * frames * NS_PER_S / true_rate_hz) + ms(late)),
        )
        for number, late in enumerate(late_ms)
    ]


def test_one_anchor_is_continued_at_the_nominal_rate():
    clock = FrameClock(RATE_HZ, [Anchor(FrameIndex(0), START)])
    assert clock.frame_at(MonoNs(START + seconds(3600))) == 3600 * RATE_HZ
    assert clock.frame_at(MonoNs(START - seconds(1))) == -RATE_HZ
    assert clock.time_of(FrameIndex(RATE_HZ)) == START + seconds(1)


def test_the_least_late_arrival_counts():
    clock = FrameClock(RATE_HZ, anchors_of([40, 300, 0, 80, 1500, 20, 60]))
    assert clock.time_of(FrameIndex(12_000)) == START + ms(1500)


def test_a_stall_of_two_seconds_moves_nothing():
    late = [1] * 20 + [2000, 1500, 1000, 500] + [1] * 20
    clock = FrameClock(RATE_HZ, anchors_of(late))
    for frame in range(0, 160_000, 1000):
        assert abs(clock.time_of(FrameIndex(frame)) - START - frames_to_ns(frame, RATE_HZ)) <= ms(1)


def test_a_drifting_crystal_is_followed():
    anchors = anchors_of([0] * 240, true_rate_hz=RATE_HZ * (1 + 200e-6))
    clock = FrameClock(RATE_HZ, anchors)
    for anchor in anchors:
        assert abs(clock.time_of(anchor.frame) - anchor.at) < ms(1)
    nominal = FrameClock(RATE_HZ, anchors[:1]).time_of(anchors[-1].frame)
    assert abs(nominal - anchors[-1].at) > ms(20)  # what trusting the nominal rate would cost


@settings(max_examples=60)
@given(
    late_ms=st.lists(st.floats(0, 400), min_size=1, max_size=60),
    drift=st.floats(-300e-6, 300e-6),
    frames=st.lists(st.integers(-20_000, 300_000), min_size=2, max_size=20),
)
def test_both_ways_round_agree_and_time_goes_on(late_ms, drift, frames):
    clock = FrameClock(RATE_HZ, anchors_of(late_ms, true_rate_hz=RATE_HZ * (1 + drift)))
    for frame in frames:
        assert abs(clock.frame_at(clock.time_of(FrameIndex(frame))) - frame) <= 1
    moments = [clock.time_of(FrameIndex(frame)) for frame in sorted(frames)]
    assert moments == sorted(moments)


@settings(max_examples=60)
@given(late_ms=st.lists(st.floats(0, 50), min_size=20, max_size=60), at_s=st.floats(0, 40))
def test_time_is_never_earlier_than_true_nor_later_than_the_least_late_nearby(late_ms, at_s):
    clock = FrameClock(RATE_HZ, anchors_of(late_ms))
    error = clock.frame_at(MonoNs(START + seconds(at_s))) - ns_to_frames(seconds(at_s), RATE_HZ)
    assert -50 * RATE_HZ // 1000 - 1 <= error <= 1
