"""A card that really loses what is not fetched in time: nothing may be missing but what is listed.

The card (tests/strictcard.py) writes the number of each frame into its sound. A capture is true if
every frame not listed as lost carries its own number, counted from one origin for the whole run:
then each loss has been listed at its place, with its length, and nothing else is missing.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recorderd.drivers.audio_pyaudio import PyAudioCard
from recorderd.events import DriverLost, DriverReady
from recorderd.units import FrameIndex
from tests.softcard import require
from tests.strictcard import (
    NUMBERS,
    PERIOD_FRAMES,
    RATE_HZ,
    SOURCE_NAME,
    TOOLS,
    StrictCard,
    numbers,
)

if TYPE_CHECKING:
    from recorderd.ports import LostFrames

pytestmark = pytest.mark.strictcard
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def strict_card():
    require(TOOLS, "the strict sound card")
    card = StrictCard()
    try:
        card.start()
        yield card
    finally:
        card.close()


class Capture:
    """A running card and everything that came from it."""

    def __init__(self, name=SOURCE_NAME, rate_hz=RATE_HZ):
        self.events = []
        self.card = PyAudioCard(name, rate_hz, 2, 30, self.events.append, time.monotonic_ns)
        self.numbers = []  # of the frames from the end of the first absence on
        self.losses: list[LostFrames] = []
        self.next = None
        self.card.start()

    def run(self, for_s):
        deadline = time.monotonic() + for_s
        while time.monotonic() < deadline:
            time.sleep(0.05)
            self.card.watch(time.monotonic_ns())
            self.fetch()

    def until(self, is_true, within_s=15):
        deadline = time.monotonic() + within_s
        while not is_true():
            assert time.monotonic() < deadline, f"not within {within_s} s; posted: {self.events}"
            self.run(0.05)

    def has_posted(self, kind, count=1):
        return lambda: sum(isinstance(event, kind) for event in self.events) >= count

    def fetch(self):
        head = self.card.head()
        if head == 0:
            return
        if self.next is None:
            self.next = self.card.lost(FrameIndex(0), head)[0].frames
        count = head - self.next
        self.losses += self.card.lost(FrameIndex(self.next), count)
        self.numbers.append(numbers(self.card.read(FrameIndex(self.next), count)))
        self.next = head

    def origins(self):
        """The number of frame 0, by every frame that was not lost; and how many were lost."""
        seen = np.concatenate(self.numbers)
        first = self.next - len(seen)
        frames = np.arange(first, self.next)
        there = np.ones(len(seen), dtype=bool)
        for loss in self.losses:
            there[loss.first - first : loss.first - first + loss.frames] = False
        return ((seen - frames) % NUMBERS)[there], int((~there).sum())


@pytest.fixture
def capture(strict_card, monkeypatch):
    for name, value in strict_card.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = []

    def make(*arguments):
        made.append(Capture(*arguments))
        return made[-1]

    yield make
    for one in made:
        one.card.close()


class Load:
    """One busy Python thread, and one that holds the interpreter for up to 400 ms at a time."""

    def __enter__(self):
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=task) for task in (self._spin, self._hold)]
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_exception):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _spin(self):
        while not self._stop.is_set():
            sum(range(1000))

    def _hold(self):
        # A function called through PyDLL keeps the interpreter's lock.
        sleep = ctypes.PyDLL(None).usleep
        lengths_ms = (50, 400, 120, 250, 400)
        turn = 0
        while not self._stop.wait(1.0):
            sleep(lengths_ms[turn % len(lengths_ms)] * 1000)
            turn += 1


@pytest.mark.parametrize("length_s", [20, pytest.param(300, marks=pytest.mark.long)])
def test_no_frame_is_missing_while_this_process_is_busy_and_stalls(capture, length_s):
    run = capture()
    run.until(has_frames(run))
    with Load():
        run.run(length_s)
    run.run(1.5)
    origins, lost = run.origins()
    assert len(set(origins)) == 1
    assert (lost, run.losses) == (0, [])
    assert len(origins) > (length_s - 1) * RATE_HZ


@pytest.mark.parametrize("stall_s", [2.0, 0.4, 0.05])
def test_what_a_stall_of_the_child_loses_is_exactly_what_is_listed(capture, stall_s):
    run = capture()
    run.until(has_frames(run))
    run.run(2)
    stop_between_blocks(run)
    run.run(stall_s)
    os.kill(run.card._child.pid, signal.SIGCONT)
    run.run(4)
    origins, lost = run.origins()
    assert len(set(origins)) == 1
    assert lost == sum(loss.frames for loss in run.losses)
    assert lost % PERIOD_FRAMES == 0
    assert abs(lost / RATE_HZ - stall_s) <= 2 * PERIOD_FRAMES / RATE_HZ + 0.1
    assert {loss.cause for loss in run.losses} == {"overrun"}


def test_a_new_child_goes_on_in_time(capture):
    run = capture()
    run.until(has_frames(run))
    run.run(2)
    os.kill(run.card._child.pid, signal.SIGKILL)
    run.until(run.has_posted(DriverReady, 2))
    run.run(3)
    origins, lost = run.origins()
    assert [loss.cause for loss in run.losses] == ["card-lost"]
    assert lost > RATE_HZ // 4
    # By the clock: two periods at most, since the new stream's first block may come at any time.
    assert np.ptp(origins) <= 2 * PERIOD_FRAMES


def test_a_rate_that_the_card_does_not_have_is_refused_with_the_mend(capture):
    run = capture(SOURCE_NAME, 48000)
    run.until(run.has_posted(DriverLost))
    assert "does not capture at 48000 Hz; its own rate is 8000 Hz" in run.events[0].reason


def has_frames(run):
    return lambda: run.next is not None and len(run.numbers) > 1


def stop_between_blocks(run):
    """Stop the child while it waits, not while it copies a block that it has half taken."""
    beats = run.card._ring.beats()
    deadline = time.monotonic() + 5
    while run.card._ring.beats() == beats:
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    time.sleep(PERIOD_FRAMES / RATE_HZ / 4)
    os.kill(run.card._child.pid, signal.SIGSTOP)
