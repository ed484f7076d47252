"""Clips leave at their moment, on their channel, over each other, and are answered once."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.drivers.sound_player import LINGER_NS, STANDSTILL_NS, Mixer, Player
from recorderd.units import MonoNs, frames_to_ns, later, ms, seconds

RATE_HZ = 1000
BLOCK = 20
DELAY_NS = ms(30)  # from asking for a block until it leaves the card


class Bench:
    """A player on a card of two channels whose clock is turned by hand."""

    def __init__(self, *, opens=True):
        self.now = MonoNs(seconds(100))
        self.mixer = Mixer(RATE_HZ, 2)
        self.answers = []
        self.opened = self.closed = 0
        self.out = array("h")
        self.out_from = None
        self.opens = opens
        self.player = Player(self.mixer, self.open, self.answers.append, lambda: self.now)

    def open(self):
        if not self.opens:
            raise OSError("device busy")
        self.opened += 1
        self.out_from = later(self.now, DELAY_NS)
        self.out = array("h")
        return self

    def close(self):
        self.closed += 1

    def run(self, for_ms, *, card_runs=True):
        """The card asks for blocks for a while, and the main thread tends."""
        for _ in range(for_ms // BLOCK):
            if card_runs and self.player.is_open:
                leaves_at = later(self.now, DELAY_NS)
                self.out.frombytes(self.mixer.block(BLOCK, self.now, leaves_at))
            self.now = later(self.now, ms(BLOCK))
            self.player.tend()

    def channel(self, number):
        return list(self.out[number - 1 :: 2])

    def moment(self, index):
        return later(self.out_from, frames_to_ns(index, RATE_HZ))


def clip(frames, value=100):
    return array("h", [value + n % 7 for n in range(frames)]).tobytes()


@pytest.fixture
def bench():
    return Bench()


def test_the_first_sample_leaves_at_its_moment(bench):
    at = later(bench.now, ms(507))
    bench.player.play(1, clip(250), None, at)
    bench.run(1000)
    left = bench.channel(1)
    first = next(index for index, value in enumerate(left) if value)
    assert bench.moment(first) == at
    assert left[first : first + 250] == list(array("h", clip(250)))
    assert not any(left[first + 250 :])
    assert bench.channel(2) == left
    [answer] = bench.answers
    assert (answer.started_at, answer.frames, answer.error) == (at, 250, None)
    assert answer.at == later(at, ms(250))


def test_a_moment_that_has_passed_starts_at_once(bench):
    bench.player.play(1, clip(50), None, later(bench.now, -seconds(1)))
    bench.run(200)
    assert bench.channel(1)[0] == 100
    assert bench.answers[0].started_at == bench.out_from


def test_one_channel_leaves_the_other_silent(bench):
    bench.player.play(1, clip(50), 2, bench.now)
    bench.run(200)
    assert not any(bench.channel(1))
    assert any(bench.channel(2))


def test_two_clips_on_two_channels_do_not_touch(bench):
    bench.player.play(1, clip(200, 100), 1, later(bench.now, ms(50)))
    bench.player.play(2, clip(200, 500), 2, later(bench.now, ms(90)))
    bench.run(500)
    assert max(bench.channel(1)) < 200
    assert min(value for value in bench.channel(2) if value) >= 500
    assert sorted(answer.token for answer in bench.answers) == [1, 2]


def test_two_clips_on_one_channel_add_up_within_sixteen_bits(bench):
    bench.player.play(1, clip(100, 30_000), 1, bench.now)
    bench.player.play(2, clip(100, 20_000), 1, bench.now)
    bench.run(200)
    assert max(bench.channel(1)) == 32_767


def test_stopping_ends_it_and_says_how_much_left(bench):
    bench.player.play(7, clip(5000), None, bench.now)
    bench.run(400)
    bench.player.stop(7)
    bench.run(100)
    [answer] = bench.answers
    assert 300 <= answer.frames <= 400
    assert answer.error is None
    assert not any(bench.channel(1)[answer.frames :])


def test_stopping_before_the_moment_plays_nothing(bench):
    bench.player.play(7, clip(500), None, later(bench.now, seconds(1)))
    bench.run(100)
    bench.player.stop(7)
    bench.run(2000)
    [answer] = bench.answers
    assert (answer.frames, answer.started_at) == (0, None)
    assert not any(bench.out)


def test_the_stream_stays_for_the_next_clip_and_then_closes(bench):
    bench.player.play(1, clip(100), None, bench.now)
    bench.run(500)
    bench.player.play(2, clip(100), None, bench.now)
    bench.run(500)
    assert (bench.opened, bench.closed) == (1, 0)
    bench.run(LINGER_NS // ms(1) + 200)
    assert bench.closed == 1
    assert not bench.player.is_open
    bench.player.play(3, clip(100), None, bench.now)
    bench.run(500)
    assert bench.opened == 2
    assert [answer.token for answer in bench.answers] == [1, 2, 3]


def test_an_output_that_cannot_open_is_answered():
    bench = Bench(opens=False)
    bench.player.play(1, clip(100), None, bench.now)
    bench.run(100)
    [answer] = bench.answers
    assert "device busy" in answer.error
    assert (answer.frames, answer.started_at) == (0, None)


def test_an_output_that_stands_still_is_answered_and_closed(bench):
    bench.player.play(1, clip(5000), None, bench.now)
    bench.run(400)
    bench.run(STANDSTILL_NS // ms(1) + 100, card_runs=False)
    [answer] = bench.answers
    assert "stands still" in answer.error
    assert 0 < answer.frames <= 400
    assert bench.closed == 1


@settings(max_examples=50, deadline=None)
@given(
    orders=st.lists(
        st.tuples(
            st.integers(0, 40),  # pause before, in blocks
            st.integers(-200, 700),  # at, ms from then
            st.integers(0, 300),  # frames
            st.sampled_from([None, 1, 2]),
            st.none() | st.integers(0, 30),  # stopped after so many blocks
        ),
        max_size=6,
    )
)
def test_every_clip_is_answered_exactly_once(orders):
    bench = Bench()
    for token, (pause, at_ms, frames, channel, stop_after) in enumerate(orders):
        bench.run(pause * BLOCK)
        bench.player.play(token, clip(frames), channel, later(bench.now, ms(at_ms)))
        if stop_after is not None:
            bench.run(stop_after * BLOCK)
            bench.player.stop(token)
    bench.run(4000)
    assert sorted(answer.token for answer in bench.answers) == list(range(len(orders)))
    for answer in bench.answers:
        assert answer.error is None
        assert answer.frames <= orders[answer.token][2]
