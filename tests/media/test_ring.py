"""The shared ring: what goes in comes out, losses are listed, and torn frames never are read."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.core.frameclock import Anchor
from recorderd.media.ring import ANCHOR_SLOTS, LOSS_SLOTS, Ring, RingWriter
from recorderd.units import FrameIndex, MonoNs, frames_to_ns, ms, seconds

ROOT = Path(__file__).parents[2]
RATE_HZ = 1000
CHANNELS = 2
FRAME_BYTES = 2 * CHANNELS


def frames_of(first, count):
    """Frames that carry their own number, as bytes."""
    return b"".join(
        number.to_bytes(FRAME_BYTES, "little") for number in range(first, first + count)
    )


@pytest.fixture
def ring():
    return Ring(RATE_HZ, CHANNELS, seconds=1)


@pytest.fixture
def writer(ring):
    return RingWriter(ring.fd)


def test_what_is_written_is_read(ring, writer):
    writer.append(frames_of(0, 100), MonoNs(0))
    writer.append(frames_of(100, 50), MonoNs(0))
    assert (ring.tail(), ring.head()) == (0, 150)
    assert ring.read(FrameIndex(30), 100) == frames_of(30, 100)
    assert ring.read(FrameIndex(150), 0) == b""


def test_both_sides_agree_on_what_it_is(ring, writer):
    assert (writer.rate_hz, writer.channels) == (ring.rate_hz, ring.channels) == (1000, 2)
    assert writer.capacity_frames == 1000


def test_several_threads_read_at_one_time(ring, writer):
    """The writer of the file, the listener and the analyst do."""
    writer.append(frames_of(0, 100), MonoNs(0))
    begin = threading.Barrier(4)
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            for read in [threads.submit(read_often, ring, begin) for _ in range(4)]:
                read.result()
    finally:
        sys.setswitchinterval(before_s)


def read_often(ring, begin):
    begin.wait()
    for _ in range(25_000):
        assert ring.read(FrameIndex(0), 10) == frames_of(0, 10)


@pytest.mark.parametrize(("first", "count"), [(140, 20), (150, 1), (160, 1), (-1, 2)])
def test_frames_that_are_not_there_are_refused(ring, writer, first, count):
    writer.append(frames_of(0, 150), MonoNs(0))
    with pytest.raises(LookupError):
        ring.read(FrameIndex(first), count)


def test_overwritten_frames_are_refused(ring, writer):
    for first in range(0, 1500, 100):
        writer.append(frames_of(first, 100), MonoNs(0))
    assert (ring.tail(), ring.head()) == (500, 1500)
    assert ring.read(FrameIndex(500), 1000) == frames_of(500, 1000)
    with pytest.raises(LookupError):
        ring.read(FrameIndex(499), 10)


def test_frames_overwritten_during_the_copy_are_refused(ring, writer, monkeypatch):
    for first in range(0, 1000, 100):
        writer.append(frames_of(first, 100), MonoNs(0))
    copy_out = ring._copy_out

    def write_meanwhile(first, count):
        writer.append(frames_of(1000, 100), MonoNs(0))
        return copy_out(first, count)

    monkeypatch.setattr(ring, "_copy_out", write_meanwhile)
    with pytest.raises(LookupError):
        ring.read(FrameIndex(50), 100)


def test_frames_about_to_be_overwritten_are_refused(ring, writer):
    """A block is announced before it is written: a reader must not see half of each."""
    writer.append(frames_of(0, 1000), MonoNs(0))
    writer._reserve(1100)
    with pytest.raises(LookupError):
        ring.read(FrameIndex(99), 10)
    assert ring.read(FrameIndex(100), 10) == frames_of(100, 10)


def test_a_loss_is_silence_listed_and_counted(ring, writer):
    writer.append(frames_of(1, 100), MonoNs(0))
    writer.append_loss(50, "overrun")
    writer.append(frames_of(1, 100), MonoNs(0))
    assert ring.read(FrameIndex(100), 50) == bytes(50 * FRAME_BYTES)
    [loss] = ring.lost(FrameIndex(0), 250)
    assert (loss.first, loss.frames, loss.cause) == (100, 50, "overrun")
    assert ring.lost_frames() == 50


def test_losses_are_cut_to_the_range(ring, writer):
    writer.append_loss(100, "card-lost")
    writer.append(frames_of(0, 100), MonoNs(0))
    writer.append_loss(100, "card-stalled")
    cut = [(loss.first, loss.frames, loss.cause) for loss in ring.lost(FrameIndex(90), 120)]
    assert cut == [(90, 10, "card-lost"), (200, 10, "card-stalled")]
    assert ring.lost(FrameIndex(100), 100) == []


def test_a_loss_longer_than_the_ring_is_one_silence(ring, writer):
    writer.append(frames_of(1, 900), MonoNs(0))
    writer.append_loss(1_000_000_000, "card-lost")
    head = ring.head()
    assert head == 1_000_000_900
    assert ring.read(FrameIndex(head - 1000), 1000) == bytes(1000 * FRAME_BYTES)
    assert ring.lost_frames() == 1_000_000_000


def test_only_the_newest_losses_are_kept_by_place_but_all_are_counted(ring, writer):
    for _ in range(LOSS_SLOTS + 10):
        writer.append_loss(1, "overrun")
        writer.append(frames_of(0, 1), MonoNs(0))
    assert ring.lost_frames() == LOSS_SLOTS + 10
    assert len(ring.lost(FrameIndex(0), ring.head())) in {LOSS_SLOTS - 1, LOSS_SLOTS}
    assert ring.lost(FrameIndex(ring.head() - 2), 2)


def test_a_row_overwritten_while_the_table_is_read_is_left_out(ring, writer, monkeypatch):
    for _ in range(LOSS_SLOTS):
        writer.append_loss(1, "overrun")
    fence = ring._fence

    def write_meanwhile():
        monkeypatch.setattr(ring, "_fence", fence)
        writer.append_loss(5, "card-lost")

    monkeypatch.setattr(ring, "_fence", write_meanwhile)
    places = [loss.first for loss in ring.lost(FrameIndex(0), 1 << 40)]
    assert places == sorted(places)


def test_the_next_writer_goes_on_where_the_last_was_killed(ring, writer):
    writer.append(frames_of(0, 100), MonoNs(0))
    writer._reserve(130)  # killed after this, and after half of the samples
    second = RingWriter(ring.fd)
    second.append(frames_of(100, 20), MonoNs(0))
    assert ring.read(FrameIndex(0), 120) == frames_of(0, 120)


def test_a_loss_listed_by_a_writer_that_was_killed_before_the_silence_is_forgotten(ring, writer):
    writer.append(frames_of(0, 100), MonoNs(0))

    def killed(_end):
        raise SystemExit

    writer._reserve = killed
    with pytest.raises(SystemExit):
        writer.append_loss(40, "overrun")
    second = RingWriter(ring.fd)
    second.append_loss(60, "card-lost")
    [loss] = ring.lost(FrameIndex(0), 1000)
    assert (loss.first, loss.frames, loss.cause) == (100, 60, "card-lost")
    assert ring.lost_frames() == 60


def test_the_least_late_block_of_each_half_second_becomes_the_anchor(ring, writer):
    for number in range(25):
        end = (number + 1) * 100
        late = ms(3) if number % 5 == 2 else ms(40)
        writer.append(frames_of(0, 100), MonoNs(frames_to_ns(end, RATE_HZ) + late))
    kept = [(anchor.frame, anchor.at) for anchor in ring.anchors()]
    # The blocks end at 100, 200 … 2500; half seconds turn at 500, 1000 …
    assert kept == [(f, frames_to_ns(f, RATE_HZ) + ms(3)) for f in (300, 800, 1300, 1800, 2300)]


def test_anchors_go_round(ring, writer):
    for number in range(ANCHOR_SLOTS + 5):
        writer.anchor(Anchor(FrameIndex(number), MonoNs(seconds(number))))
    kept = ring.anchors()
    assert kept[-1] == (ANCHOR_SLOTS + 4, seconds(ANCHOR_SLOTS + 4))
    assert [anchor.frame for anchor in kept] == list(
        range(ANCHOR_SLOTS + 5 - len(kept), ANCHOR_SLOTS + 5)
    )
    assert len(kept) >= ANCHOR_SLOTS - 1


def test_beats_and_overruns_are_counted(ring, writer):
    assert ring.last_beat_at() == 0
    writer.beat(MonoNs(5), overrun=False)
    writer.beat(MonoNs(9), overrun=True)
    assert (ring.beats(), ring.last_beat_at(), ring.overruns()) == (2, 9, 1)


def test_something_else_is_not_taken_for_a_ring():
    fd = os.memfd_create("other")
    os.ftruncate(fd, 1 << 20)
    with pytest.raises(ValueError, match="not that of a sound ring"):
        RingWriter(fd)
    os.close(fd)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=20),
    first=st.integers(0, 3000),
    count=st.integers(0, 1200),
)
def test_it_behaves_like_a_list(steps, first, count):
    model, losses = b"", []
    ring = Ring(RATE_HZ, CHANNELS, seconds=1)
    writer = RingWriter(ring.fd)
    for is_loss, size in steps:
        at = len(model) // FRAME_BYTES
        if is_loss:
            writer.append_loss(size, "overrun")
            losses.append((at, size))
            model += bytes(size * FRAME_BYTES)
        else:
            block = frames_of(at + 1, size)
            writer.append(block, MonoNs(0))
            model += block
    head = len(model) // FRAME_BYTES
    assert ring.head() == head
    if max(0, head - 1000) <= first <= first + count <= head:
        expected = model[first * FRAME_BYTES : (first + count) * FRAME_BYTES]
        assert ring.read(FrameIndex(first), count) == expected
    else:
        with pytest.raises(LookupError):
            ring.read(FrameIndex(first), count)
    silent = {frame for loss in ring.lost(FrameIndex(0), head) for frame in _range(loss)}
    assert silent == {frame for at, size in losses for frame in range(at, at + size)}


def _range(loss):
    return range(loss.first, loss.first + loss.frames)


WRITING_CHILD = """
import sys
from recorderd.media.ring import RingWriter
writer = RingWriter(int(sys.argv[1]))
block = b"".join(n.to_bytes(4, "little") for n in range(100))
number = 0
sys.stdout.write("up"); sys.stdout.flush()
while True:
    end = number + 100
    writer.append(b"".join(n.to_bytes(4, "little") for n in range(number, end)), number)
    number = end
"""


def test_a_process_that_writes_as_fast_as_it_can_is_read_without_a_torn_frame(ring):
    command = [sys.executable, "-c", WRITING_CHILD, str(ring.fd)]
    with subprocess.Popen(command, pass_fds=[ring.fd], stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout.read(2) == b"up"
        good = refused = 0
        deadline = time.monotonic() + 10
        while good < 300 and time.monotonic() < deadline:
            first = max(ring.tail(), ring.head() - 500)
            count = ring.head() - first
            try:
                samples = ring.read(FrameIndex(first), min(count, 500))
            except LookupError:
                refused += 1
                continue
            assert samples == frames_of(first, len(samples) // FRAME_BYTES)
            good += bool(samples)
        child.kill()
    assert good >= 300, f"{refused} refused"
