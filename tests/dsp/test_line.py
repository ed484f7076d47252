"""Both channels of a line: each thing once, from where it came, and nothing in a quiet hour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.config.profiles import load_profile
from recorderd.dsp import line
from recorderd.dsp.hearing import CallerIdHeard, DigitHeard, standards_of
from recorderd.dsp.line import LineEar, SoundReturned
from recorderd.dsp.tones import ToneHeard
from tests.dsp import signals

US = load_profile("US")
RATE = signals.RATE
NOISE = np.random.default_rng(3).normal(0, 12, (40 * RATE, 2))


def ear():
    return LineEar(standards_of(US.caller_id), US.tones)


def on_line(near=None, far=None, leak=0.1):
    """Sounds in full scale on near and far, each leaking to the other side; noise over all."""
    near = np.zeros(1) if near is None else near
    far = np.zeros(1) if far is None else far
    size = max(len(near), len(far)) + RATE
    both = np.zeros((size, 2))
    both[: len(near), 0] += near
    both[: len(near), 1] += leak * near
    both[: len(far), 1] += far
    both[: len(far), 0] += leak * far
    noise = np.resize(NOISE, both.shape)
    return np.clip(np.rint(both * 32768 + noise), -32768, 32767).astype(np.int16)


def heard(frames, block=800):
    listening = ear()
    found = []
    for start in range(0, len(frames), block):
        found += listening.feed(frames[start : start + block])
    return found + listening.finish()


def burst(number=b"5035551234"):
    bits = signals.bits_of(signals.mdmf((2, number)), 300, 180)
    return signals.cpfsk(bits, signals.TONES["bell202"], -14.0)


def busy(seconds):
    cycle = np.concatenate((signals.tone((480, 620), 0.5, -16), signals.silence(0.5)))
    return np.tile(cycle, seconds)


def after(seconds, sound):
    return np.concatenate((signals.silence(seconds), sound))


@pytest.mark.parametrize("side", ["near", "far"])
def test_a_key_that_leaks_is_told_once_and_from_where_it_came(side):
    found = heard(on_line(**{side: after(1, signals.digits("159"))}))
    assert [(each.channel, each.what.digit) for each in found] == [(side, key) for key in "159"]
    assert found[0].what.start == pytest.approx(RATE, abs=80)


def test_the_same_key_again_is_another_one():
    found = heard(on_line(near=after(1, signals.digits("11"))))
    assert [each.what.digit for each in found] == ["1", "1"]


def test_both_sides_keying_at_once_are_two():
    near, far = signals.digits("1", on_s=0.1), signals.digits("9", on_s=0.1)
    found = heard(on_line(near=after(1, near), far=after(1, far), leak=0.01))
    assert sorted((each.channel, each.what.digit) for each in found) == [
        ("far", "9"),
        ("near", "1"),
    ]


def test_a_caller_id_is_told_once():
    (found,) = heard(on_line(far=after(1, burst())))
    assert isinstance(found.what, CallerIdHeard)
    assert (found.channel, found.what.message.number) == ("far", "5035551234")
    assert found.what.start == pytest.approx(RATE, abs=0.02 * RATE)


def test_two_callers_one_after_the_other_are_two():
    sound = np.concatenate((burst(), signals.silence(4), burst(b"5035559999")))
    found = heard(on_line(far=after(1, sound)))
    assert [each.what.message.number for each in found] == ["5035551234", "5035559999"]


def test_what_sound_follows_a_busy_tone_is_told_once():
    talk = signals.tone((300, 517, 1103), 3.0, -20) * np.tile([1.0, 0.3], 12000)
    sound = np.concatenate((busy(8), signals.silence(4), talk))
    found = heard(on_line(far=after(1, sound)))
    (returned,) = [each.what for each in found if isinstance(each.what, SoundReturned)]
    assert returned.start == pytest.approx((1 + 8 + 4) * RATE, abs=0.2 * RATE)


def test_silence_after_a_busy_tone_is_no_sound():
    found = heard(on_line(far=np.concatenate((busy(8), signals.silence(20)))))
    kinds = [type(each.what) for each in found]
    assert kinds == [ToneHeard, ToneHeard]
    assert found[1].what.stop == pytest.approx(7.5 * RATE, abs=0.05 * RATE)


def test_sound_without_a_busy_tone_before_it_is_nothing_new():
    found = heard(on_line(far=after(1, signals.tone((300, 517, 1103), 5.0, -20))))
    assert not [each for each in found if isinstance(each.what, SoundReturned)]


def test_the_weakest_digit_opens_the_ears():
    found = heard(on_line(near=after(1.03, signals.digits("5", on_s=0.04, dbm0=-40.0))))
    assert [each.what.digit for each in found] == ["5"]


def test_ears_are_put_away_after_the_longest_pause_and_made_again(monkeypatch):
    made = []
    new = LineEar._ear
    monkeypatch.setattr(LineEar, "_ear", lambda self: (made.append(1), new(self))[1])
    sound = np.concatenate((burst(), signals.silence(14), burst(b"5035559999")))
    found = heard(on_line(far=after(1, sound)))
    assert len(made) == 4
    assert [each.what.message.number for each in found] == ["5035551234", "5035559999"]
    assert found[1].what.start - found[0].what.start == pytest.approx(
        len(burst()) + 14 * RATE, abs=0.02 * RATE
    )


def test_direct_current_and_hum_below_the_limit_wake_nobody(monkeypatch):
    monkeypatch.setattr(LineEar, "_ear", lambda self: pytest.fail("woken"))
    frames = on_line(near=signals.tone((50,), 20, -56)) + np.int16(2000)
    assert heard(frames) == []


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=12))
@settings(max_examples=12, deadline=None)
def test_any_blocks_give_the_same(sizes):
    sound = np.concatenate((burst(), signals.silence(1), signals.digits("42"), busy(4)))
    frames = on_line(far=after(0.5, sound), near=after(3, signals.digits("7")))
    listening, found, start, turn = ear(), [], 0, 0
    while start < len(frames):
        found += listening.feed(frames[start : start + sizes[turn % len(sizes)]])
        start += sizes[turn % len(sizes)]
        turn += 1
    found += listening.finish()
    wanted = heard(frames)
    assert sorted(map(repr, found)) == sorted(map(repr, wanted))


@given(st.integers(0, 2**32 - 1), st.sampled_from(["square", "noise", "zeros", "clicks"]))
@settings(max_examples=20, deadline=None)
def test_nothing_breaks_it(seed, kind):
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 3 * RATE))
    frames = {
        "square": np.where(random.random((size, 2)) < 0.5, -32768, 32767),
        "noise": random.integers(-32768, 32768, (size, 2)),
        "zeros": np.zeros((size, 2)),
        "clicks": (random.random((size, 2)) < 0.001) * 32767,
    }[kind].astype(np.int16)
    for each in heard(frames, int(random.integers(1, 5000))):
        assert not isinstance(each.what, CallerIdHeard | DigitHeard)


def test_it_keeps_no_more_than_it_says():
    listening = ear()
    frames = on_line(near=signals.digits("0123456789" * 6, on_s=0.05, off_s=0.05))
    for _ in range(20):
        listening.feed(frames)
    assert len(listening._known) < 2 * line.REMEMBERED // RATE * 12
    assert len(listening._rest) < line.BLOCK
