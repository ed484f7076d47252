"""How the recorder judges a sound card's child: ready, silent, dead, back; and what it answers."""

from __future__ import annotations

import errno
import gc
import os
from itertools import pairwise

import pytest

from recorderd.drivers import audio_pyaudio
from recorderd.drivers.audio_pyaudio import PyAudioCard
from recorderd.events import AnnouncementFinished, DriverLost, DriverReady
from recorderd.media.ring import RingWriter
from recorderd.ports import Clip
from recorderd.units import FrameIndex, MonoNs, later, ms, seconds

RATE_HZ = 8000
CLIP = Clip("notice.wav", "00", RATE_HZ, bytes(2 * RATE_HZ))
OPENED = {"kind": "opened", "output_rate_hz": RATE_HZ, "output_channels": 2}


class FakeChild:
    """Stands for the process: the test says what it sends, and sees what it is told."""

    def __init__(self, settings, ring_fd, now):
        self.settings = settings
        self.writer = RingWriter(ring_fd)
        self.started_at = now
        self.is_open = self.is_flowing = False
        self.output_rate_hz = self.output_channels = 0
        self.says = []
        self.told = []
        self.killed = self.deaf = False

    def receive(self):
        if not self.says:
            return None
        message = self.says.pop(0)
        if message == "end":
            raise EOFError
        return dict(message)

    def send(self, order, samples=None):
        if self.deaf:
            raise BrokenPipeError("gone")
        self.told.append((order, samples))

    def kill(self):
        self.killed = True

    def is_gone(self):
        return self.killed

    def wait(self):
        assert self.killed


class Bench:
    def __init__(self, monkeypatch, channels=2):
        self.now = MonoNs(seconds(50))
        self.events = []
        self.children = []
        self.first_words = []
        monkeypatch.setattr(audio_pyaudio, "_Child", self.make_child)
        self.card = PyAudioCard("Card", RATE_HZ, channels, 2, self.events.append, lambda: self.now)

    def make_child(self, *arguments):
        self.children.append(FakeChild(*arguments))
        self.child.says += self.first_words
        return self.children[-1]

    @property
    def child(self):
        return self.children[-1]

    def run(self, for_s, *, blocks=True):
        """Time passes; the control thread watches every 0.4 s, blocks come every 0.1 s."""
        for tick in range(round(for_s * 20)):
            self.now = later(self.now, ms(50))
            if blocks and tick % 2 and not self.child.killed:
                self.child.writer.beat(self.now, overrun=False)
                self.child.writer.append(bytes(4 * 800), self.now)
            if tick % 8 == 7:
                self.card.watch(self.now)

    def kinds(self):
        return [type(event) for event in self.events]


@pytest.fixture
def bench(monkeypatch):
    made = Bench(monkeypatch)
    made.card.start()
    yield made
    made.card.close()


@pytest.fixture
def flowing(bench):
    bench.child.says.append(OPENED)
    bench.run(1)
    assert bench.kinds() == [DriverReady]
    bench.events.clear()
    return bench


def test_ready_is_said_once_when_the_first_block_has_come(bench):
    bench.child.says.append(OPENED)
    bench.run(1, blocks=False)
    assert bench.events == []
    bench.run(3)
    assert bench.kinds() == [DriverReady]
    assert (bench.events[0].kind, bench.events[0].name) == ("card", "Card")


def test_what_a_closed_card_has_delivered_can_be_read_by_who_still_holds_it(monkeypatch):
    """The writer may be held up by its disk, and the analyst in the middle of a look."""
    bench = Bench(monkeypatch)
    bench.card.start()
    memory = bench.card._ring.fd
    bench.run(1)
    bench.card.close()
    head = bench.card.head()
    assert head > 0
    assert bench.card.tail() == 0
    assert len(bench.card.read(FrameIndex(0), head)) == 4 * head
    assert bench.card.lost(FrameIndex(0), head) == []
    assert bench.card.frame_at(bench.card.time_of(head)) == head
    monkeypatch.undo()
    del bench
    gc.collect()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(memory)


def test_silence_is_reported_within_two_seconds_and_mends_itself(flowing):
    flowing.run(2, blocks=False)
    [lost] = flowing.events
    assert isinstance(lost, DriverLost)
    assert "no more sound" in lost.reason
    flowing.run(1)
    assert flowing.kinds() == [DriverLost, DriverReady]
    assert len(flowing.children) == 1


def test_a_short_silence_is_nothing(flowing):
    flowing.run(1.4, blocks=False)
    flowing.run(1)
    assert flowing.events == []


def test_long_silence_gets_a_new_child_that_knows_why(flowing):
    flowing.run(5, blocks=False)
    assert flowing.children[0].killed
    assert flowing.child.settings["cause"] == "card-stalled"
    flowing.child.says.append(OPENED)
    flowing.run(1)
    assert flowing.kinds() == [DriverLost, DriverReady]


def test_a_child_that_dies_is_replaced(flowing):
    flowing.child.says.append("end")
    flowing.run(1.6, blocks=False)
    assert isinstance(flowing.events[0], DriverLost)
    assert len(flowing.children) == 2
    assert flowing.child.settings["cause"] == "card-lost"


def test_a_refusal_is_reported_once_and_tried_again_ever_more_slowly(monkeypatch):
    bench = Bench(monkeypatch)
    bench.first_words = [{"kind": "failed", "reason": "no sound device is named X"}]
    bench.card.start()
    bench.run(40, blocks=False)
    assert [event.reason for event in bench.events] == ["no sound device is named X"]
    starts = [child.started_at for child in bench.children]
    pauses = [after - before for before, after in pairwise(starts)]
    assert pauses == sorted(pauses)
    assert seconds(4.9) <= pauses[-1] <= seconds(5.6)
    bench.first_words = [{"kind": "failed", "reason": "it has 1 input channel"}]
    bench.run(6, blocks=False)
    assert bench.events[1].reason == "it has 1 input channel"
    bench.card.close()


def test_a_card_that_worked_again_is_tried_again_soon(monkeypatch):
    bench = Bench(monkeypatch)
    bench.first_words = [{"kind": "failed", "reason": "busy"}]
    bench.card.start()
    bench.run(20, blocks=False)
    bench.first_words = [OPENED]
    bench.run(6)
    bench.child.says.append("end")
    ended_at = bench.now
    bench.run(3, blocks=False)
    assert ended_at < bench.child.started_at < later(ended_at, ms(1500))
    bench.card.close()


def test_a_child_that_the_system_refuses_is_a_lost_card_and_tried_again(monkeypatch):
    """Memory or processes have run out for a moment: the recorder of the other lines goes on."""
    bench = Bench(monkeypatch)
    make, refusals = audio_pyaudio._Child, iter(range(3))

    def refused(*arguments):
        if next(refusals, None) is not None:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return make(*arguments)

    monkeypatch.setattr(audio_pyaudio, "_Child", refused)
    bench.card.start()
    assert bench.kinds() == [DriverLost]
    assert "Cannot allocate memory" in bench.events[0].reason
    play(bench)
    assert answers(bench)[0].error
    for _ in range(20):
        bench.now = later(bench.now, ms(400))
        bench.card.watch(bench.now)
    bench.child.says.append(OPENED)
    bench.run(1)
    assert bench.kinds()[-1] is DriverReady
    bench.card.close()


def test_a_child_that_never_opens_is_given_up(bench):
    bench.run(11, blocks=False)
    assert isinstance(bench.events[0], DriverLost)
    assert len(bench.children) == 2


def test_on_a_slow_machine_each_child_has_longer_than_the_one_before(bench):
    """A child that needs 11 s to open must not be ended after 10 s for ever."""
    bench.run(300, blocks=False)
    assert bench.kinds() == [DriverLost], "told once"
    starts = [child.started_at for child in bench.children]
    lives = [later - earlier for earlier, later in pairwise(starts)]
    assert lives[1] > seconds(20)
    assert lives[2] > seconds(40)
    assert max(lives) < seconds(70)
    bench.child.says.append(OPENED)
    bench.run(1)
    assert bench.kinds() == [DriverLost, DriverReady]
    bench.child.says.append("end")
    bench.run(15, blocks=False)
    assert len(bench.children) > len(starts) + 1, "one that worked is missed after 10 s again"


def test_frames_go_by_time_before_any_card_has_come(bench):
    assert bench.card.frame_at(later(bench.now, seconds(7))) == 7 * RATE_HZ
    assert bench.card.time_of(FrameIndex(RATE_HZ)) == later(bench.now, seconds(1))
    assert (bench.card.head(), bench.card.tail()) == (0, 0)


# ---------------------------------------------------------------- playback


def play(bench, call_id="c1", channel=None):
    bench.card.play("front", call_id, CLIP, channel, later(bench.now, ms(500)))


def answers(bench):
    return [event for event in bench.events if isinstance(event, AnnouncementFinished)]


def played(token, frames=RATE_HZ, error=None):
    message = {"kind": "played", "token": token, "at": 9, "started_at": 8}
    return {**message, "frames": frames, "error": error}


def test_a_clip_is_handed_over_and_answered_once(flowing):
    play(flowing)
    [(order, samples)] = flowing.child.told
    assert samples == CLIP.pcm
    flowing.child.says += [played(order["token"]), played(order["token"])]
    flowing.run(12)
    [answer] = answers(flowing)
    assert (answer.line, answer.call_id, answer.completed) == ("front", "c1", True)
    assert (answer.started_at, answer.at, answer.frames) == (8, 9, RATE_HZ)


def test_a_clip_of_another_rate_is_converted_and_counted_in_its_own(flowing):
    flowing.child.output_rate_hz = 16_000
    play(flowing)
    [(order, samples)] = flowing.child.told
    assert len(samples) == 2 * len(CLIP.pcm)
    flowing.child.says.append(played(order["token"], frames=8000))
    flowing.run(0.5)
    assert answers(flowing)[0].frames == 4000
    assert not answers(flowing)[0].completed


def test_two_clips_are_told_apart(flowing):
    play(flowing, "c1")
    play(flowing, "c2")
    tokens = [order["token"] for order, _ in flowing.child.told]
    flowing.child.says += [played(tokens[1]), played(tokens[0], frames=3)]
    flowing.run(0.5)
    assert [(answer.call_id, answer.completed) for answer in answers(flowing)] == [
        ("c2", True),
        ("c1", False),
    ]


def test_stop_reaches_only_the_call_that_is_meant(flowing):
    play(flowing, "c1")
    play(flowing, "c2")
    tokens = [order["token"] for order, _ in flowing.child.told]
    flowing.card.stop_play("c2")
    flowing.card.stop_play("never heard of")
    assert [order for order, _ in flowing.child.told[2:]] == [{"kind": "stop", "token": tokens[1]}]


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda b: setattr(b.child, "output_channels", 0), "no output"),
        (lambda b: setattr(b.child, "deaf", True), "does not listen"),
        (lambda b: b.run(4, blocks=False), "no more sound"),
    ],
)
def test_what_cannot_be_played_is_answered_at_once(flowing, prepare, reason):
    prepare(flowing)
    play(flowing)
    [answer] = answers(flowing)
    assert (answer.started_at, answer.frames, answer.completed) == (None, 0, False)
    assert reason in answer.error


def test_a_channel_that_is_not_there_is_answered(flowing):
    play(flowing, channel=3)
    assert "there is no 3" in answers(flowing)[0].error


def test_before_the_card_is_open_a_clip_is_answered(bench):
    play(bench)
    assert "not open yet" in answers(bench)[0].error


@pytest.mark.parametrize(
    "ending",
    [
        lambda b: (b.child.says.append("end"), b.run(0.5)),
        lambda b: b.run(8, blocks=False),
        lambda b: b.card.close(),
        lambda b: b.run(8),  # the child lives on and never answers
    ],
    ids=["dies", "stalls", "closed", "silent"],
)
def test_a_clip_in_the_middle_is_answered_exactly_once_whatever_happens(flowing, ending):
    play(flowing)
    flowing.run(0.5)
    ending(flowing)
    flowing.card.watch(flowing.now)
    [answer] = answers(flowing)
    assert not answer.completed
    assert answer.error


def test_a_card_for_playback_only_is_ready_when_it_is_open(monkeypatch):
    bench = Bench(monkeypatch, channels=0)
    bench.card.start()
    bench.child.says.append(OPENED)
    bench.run(20, blocks=False)
    assert bench.kinds() == [DriverReady]
    assert bench.card.head() == 0
    play(bench)
    assert len(bench.child.told) == 1
    bench.card.close()


def test_an_output_that_never_answers_is_opened_anew(monkeypatch):
    """It hangs in the sound library, and would play no other announcement either."""
    bench = Bench(monkeypatch, channels=0)
    bench.first_words = [OPENED]
    bench.card.start()
    bench.run(1, blocks=False)
    play(bench)
    bench.run(8, blocks=False)
    assert [answer.completed for answer in answers(bench)] == [False]
    assert [child.killed for child in bench.children] == [True, False]
    assert bench.kinds()[-1] is DriverReady
    play(bench)
    assert len(bench.child.told) == 1
    bench.card.close()
