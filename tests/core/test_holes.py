"""Lost frames are found, measured and placed; late hand-over is never taken for a loss."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.core.holes import WINDOW_NS, Block, HoleFinder
from recorderd.units import FrameIndex, MonoNs, frames_to_ns, ms, ns_to_frames, seconds

RATE_HZ = 8000
PERIOD = 160
BLOCK = 800
START = MonoNs(seconds(500))
HALF_A_BLOCK_NS = ms(50)


class Card:
    """A card that captures for ever, and a machine that hands its blocks over, or does not.

    `knows_age`: the card's account of its frames is right; else it is their arrival.
    """

    def __init__(self, frames, jitter_ms=0.0, seed=0, *, knows_age=False):
        self.knows_age = knows_age
        self.frames = frames
        self.block_ns = frames_to_ns(frames, RATE_HZ)
        self.jitter = random.Random(seed)
        self.jitter_ms = jitter_ms

    def blocks(self, length_s, lost=(), stalls=(), flag_late_by=0, shift=None):
        """The blocks that arrive. `lost` and `stalls`: (from_s, to_s). `shift`: (from_s, ms)."""
        count = round(length_s * RATE_HZ / self.frames)
        flag_in = None
        for number in range(count):
            due = START + (number + 1) * self.block_ns
            if any(START + seconds(a) < due <= START + seconds(b) for a, b in lost):
                flag_in = flag_late_by
                continue
            # The first block is in time: how late it is counts as the card's absence.
            arrival = due + ms(self.jitter.uniform(0, self.jitter_ms) if number else 0)
            for begin, end in stalls:
                if START + seconds(begin) < due <= START + seconds(end):
                    arrival = START + seconds(end) + number  # in a burst, in order
            if shift is not None and due > START + seconds(shift[0]):
                arrival += ms(shift[1])
            yield Block(
                data=number.to_bytes(8, "little"),
                frames=self.frames,
                at=MonoNs(arrival),
                captured_at=MonoNs(due if self.knows_age else arrival),
                flagged=flag_in == 0,
            )
            flag_in = None if not flag_in else flag_in - 1


def place(blocks, grain=1, proof_ns=HALF_A_BLOCK_NS):
    finder = HoleFinder(RATE_HZ, FrameIndex(0), START, grain, proof_ns)
    return [placed for block in blocks for placed in finder.feed(block)]


def positions(placed):
    """At which frame each block came to lie, and the number that it carries."""
    at = 0
    for item in placed:
        at += item.lost_before
        yield at, int.from_bytes(item.block.data, "little")
        at += item.block.frames


def all_true(placed, tolerance=0):
    assert placed, "nothing came out"
    frames = placed[0].block.frames
    for at, number in positions(placed):
        assert abs(at - number * frames) <= tolerance, f"block {number} lies at {at}"


def test_nothing_lost_nothing_added_nothing_held():
    blocks = list(Card(BLOCK, jitter_ms=20).blocks(20))
    placed = place(blocks)
    assert [item.block for item in placed] == blocks
    assert not any(item.lost_before for item in placed)


def test_a_loss_of_whole_periods_is_exact_whatever_the_jitter():
    card = Card(PERIOD, jitter_ms=9, seed=3)
    placed = place(card.blocks(12, lost=[(5, 7)], flag_late_by=1), grain=PERIOD, proof_ns=ms(10))
    all_true(placed)
    assert [item.lost_before for item in placed if item.lost_before] == [2 * RATE_HZ]


def test_one_lost_period_is_found_without_a_flag():
    card = Card(PERIOD, jitter_ms=5)
    placed = place(card.blocks(8, lost=[(5, 5.02)]), grain=PERIOD, proof_ns=ms(10))
    all_true(placed)
    assert sum(item.lost_before for item in placed) == PERIOD


def test_a_flag_without_loss_adds_nothing():
    blocks = list(Card(BLOCK, jitter_ms=0.5).blocks(8))
    blocks[40] = Block(blocks[40].data, BLOCK, blocks[40].at, blocks[40].captured_at, flagged=True)
    placed = place(blocks)
    all_true(placed)
    assert not any(item.lost_before for item in placed)


def test_a_short_flagged_loss_is_found_where_lateness_alone_would_not_tell():
    """30 ms are less than half a block; ALSA's flag comes with the first block after the hole."""
    blocks = []
    for block in Card(BLOCK, jitter_ms=0.3).blocks(10):
        after = block.at > START + seconds(5)
        late = ms(30) if after else 0
        first = after and not any(known.flagged for known in blocks)
        moved = MonoNs(block.at + late), MonoNs(block.captured_at + late)
        blocks.append(Block(block.data, BLOCK, *moved, flagged=first))
    placed = place(blocks)
    found = [item.lost_before for item in placed if item.lost_before]
    assert len(found) == 1
    assert abs(found[0] - 30 * RATE_HZ // 1000) <= RATE_HZ // 1000


@pytest.mark.parametrize("knows_age", [False, True])
def test_a_stall_that_lost_nothing_adds_nothing(knows_age):
    card = Card(BLOCK, jitter_ms=10, knows_age=knows_age)
    placed = place(card.blocks(12, stalls=[(5, 7), (8, 8.4)]))
    all_true(placed)
    assert not any(item.lost_before for item in placed)


def test_a_sound_server_that_changes_its_latency_adds_nothing():
    """The arrivals are late for good, but the server's account says that nothing is missing."""
    placed = place(Card(BLOCK, knows_age=True).blocks(30, shift=(10, 120)))
    assert not any(item.lost_before for item in placed)


def test_a_server_that_revises_its_account_adds_nothing():
    blocks = [
        Block(block.data, BLOCK, block.at, MonoNs(block.captured_at + ms(400)))
        if block.at > START + seconds(10)
        else block
        for block in Card(BLOCK, jitter_ms=5).blocks(20)
    ]
    placed = place(blocks)
    assert not any(item.lost_before for item in placed)


def test_a_card_that_was_away_leaves_a_hole_of_its_whole_absence():
    """A stream that continues an older one: 90 s pass before its first block."""
    finder = HoleFinder(RATE_HZ, FrameIndex(16_000), MonoNs(START - seconds(90)), PERIOD, ms(10))
    blocks = list(Card(PERIOD, jitter_ms=3).blocks(3))
    placed = [item for block in blocks for item in finder.feed(block)]
    assert abs(placed[0].lost_before - 90 * RATE_HZ) <= 3 * RATE_HZ // 1000
    assert not any(item.lost_before for item in placed[1:])
    assert len(placed) == len(blocks)


def test_the_hole_goes_before_the_block_after_it():
    placed = place(Card(PERIOD).blocks(9, lost=[(5, 5.5)]), grain=PERIOD, proof_ns=ms(10))
    after = next(item for item in placed if item.lost_before)
    assert int.from_bytes(after.block.data, "little") * PERIOD == round(5.5 * RATE_HZ)


def test_slow_hand_over_of_the_block_after_a_hole_does_not_lengthen_it():
    blocks = list(Card(PERIOD).blocks(9, lost=[(5, 5.5)]))
    after = round(5 * RATE_HZ / PERIOD)
    for number in range(after, after + 4):
        late = MonoNs(blocks[number].at + ms(90 - 20 * (number - after)))
        blocks[number] = Block(blocks[number].data, PERIOD, late, late)
    placed = place(blocks, grain=PERIOD, proof_ns=ms(10))
    all_true(placed)
    assert [item.lost_before for item in placed if item.lost_before] == [RATE_HZ // 2]


def test_two_holes_within_one_window_are_placed_each():
    lost = [(5, 5.2), (5.5, 5.8)]
    placed = place(Card(PERIOD, jitter_ms=2).blocks(9, lost=lost), grain=PERIOD, proof_ns=ms(10))
    all_true(placed)
    found = [item.lost_before for item in placed if item.lost_before]
    assert found == [RATE_HZ // 5, 3 * RATE_HZ // 10]


intervals = st.lists(st.tuples(st.floats(0.5, 2.0), st.floats(0.02, 2.5)), max_size=4)


def spaced(pairs):
    """(pause, length) pairs as (from, to) from 3 s on, apart by more than a window."""
    at, found = 3.0, []
    for pause, length in pairs:
        found.append((at, at + length))
        at += length + pause + 2 * WINDOW_NS / 1e9
    return found, at + 3


@settings(max_examples=40, deadline=None)
@given(pairs=intervals, seed=st.integers(0, 1000))
def test_jack_losses_anywhere_are_exact(pairs, seed):
    lost, length_s = spaced(pairs)
    card = Card(PERIOD, jitter_ms=8, seed=seed)
    blocks = list(card.blocks(length_s, lost=lost, flag_late_by=1))
    placed = place(blocks, grain=PERIOD, proof_ns=ms(10))
    all_true(placed)
    assert [item.block for item in placed] == blocks[: len(placed)]
    assert len(blocks) - len(placed) <= seconds(1.1) // card.block_ns


@settings(max_examples=40, deadline=None)
@given(pairs=intervals, seed=st.integers(0, 1000), stalled=st.booleans(), knows_age=st.booleans())
def test_hardware_losses_and_stalls_anywhere(pairs, seed, stalled, knows_age):
    apart, length_s = spaced(pairs)
    card = Card(BLOCK, jitter_ms=4, seed=seed, knows_age=knows_age)
    # A block is lost as a whole where its end lies in the interval.
    blocks = list(
        card.blocks(length_s, stalls=apart) if stalled else card.blocks(length_s, lost=apart)
    )
    placed = place(blocks)
    all_true(placed, tolerance=ns_to_frames(ms(5), RATE_HZ) * (1 + len(pairs)))
    if stalled:
        assert not any(item.lost_before for item in placed)


@settings(max_examples=40, deadline=None)
@given(
    arrivals=st.lists(st.integers(0, 3_000_000_000), min_size=1, max_size=80),
    flags=st.integers(0),
    grain=st.sampled_from([1, PERIOD]),
)
def test_any_arrivals_keep_order_and_never_subtract(arrivals, flags, grain):
    at = START
    finder = HoleFinder(RATE_HZ, FrameIndex(0), START, grain, ms(50))
    fed, out = [], []
    for number, pause in enumerate(arrivals):
        at = MonoNs(at + pause)
        fed.append(Block(b"", PERIOD, at, MonoNs(at - pause // 3), bool(flags >> number & 1)))
        out += finder.feed(fed[-1])
    assert [item.block for item in out] == fed[: len(out)]
    assert all(item.lost_before >= 0 for item in out)


@pytest.mark.parametrize("drift_ppm", [-200, 200])
def test_a_wrong_crystal_is_no_loss(drift_ppm):
    block_ns = round(BLOCK * 1e9 / RATE_HZ * (1 + drift_ppm / 1e6))
    blocks = [
        Block(b"", BLOCK, MonoNs(START + n * block_ns), MonoNs(START + n * block_ns))
        for n in range(1, 36_000)
    ]
    assert not any(item.lost_before for item in place(blocks))
