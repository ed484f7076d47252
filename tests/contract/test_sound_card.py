"""What every sound card of ours must do, and what PyAudio's must do when the card is pulled out.

`SoundCardContract` is a suite for any ports.SoundCard: a class that inherits from it gives a
fixture `rig`. The PyAudio card is run through it over a PulseAudio server of the test's own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recorderd.drivers.audio_pyaudio import PyAudioCard, list_devices
from recorderd.events import AnnouncementFinished, DriverLost, DriverReady
from recorderd.ports import Clip
from recorderd.sim.audio import SimCard
from recorderd.sim.clock import World
from recorderd.sim.exchange import network_of
from recorderd.sim.sound import LineSound, Palette, Wired
from recorderd.units import FrameIndex, MonoNs, frames_to_ns, later, ms, seconds
from tests.softcard import TOOLS, Sink, SoftCard, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.events import Input
    from recorderd.ports import SoundCard

ROOT = Path(__file__).parents[2]
RING_SECONDS = 30


def tone(rate_hz: int, length_s: float) -> Clip:
    """A clip of which no sample is zero, so that its edges can be seen."""
    count = round(rate_hz * length_s)
    samples = (np.arange(count) % 40 * 200 + 1000).astype(np.int16)
    return Clip("tone.wav", f"{rate_hz}-{length_s}", rate_hz, samples.tobytes())


@dataclass
class Rig:
    """A started card, what it posted, and the passing of time."""

    card: SoundCard
    now: Callable[[], MonoNs]
    step: Callable[[], None]  # lets 20 ms pass
    events: list[Input] = field(default_factory=list)

    def wait(self, for_s: float) -> None:
        end = later(self.now(), seconds(for_s))
        self.until(lambda: self.now() >= end, for_s + 1)

    def until(self, is_true: Callable[[], bool], within_s: float) -> None:
        """Let time pass, watching the card as the control thread does."""
        deadline = later(self.now(), seconds(within_s))
        while not is_true():
            assert self.now() < deadline, f"not within {within_s} s; posted: {self.events}"
            self.step()
            self.card.watch(self.now())

    def answers(self) -> list[AnnouncementFinished]:
        return [event for event in self.events if isinstance(event, AnnouncementFinished)]

    def lost(self) -> list[DriverLost]:
        return [event for event in self.events if isinstance(event, DriverLost)]

    def ready(self) -> list[DriverReady]:
        return [event for event in self.events if isinstance(event, DriverReady)]

    def samples(self, first: int, count: int) -> np.ndarray:
        raw = self.card.read(FrameIndex(first), count)
        return np.frombuffer(raw, np.int16).reshape(-1, self.card.channels)


class SoundCardContract:
    """Inherit, and give a fixture `rig` whose card is started and ready."""

    time_error_ms = 5.0  # between the index and the clock

    def test_ready_is_posted_once(self, rig):
        rig.wait(1)
        assert [(event.kind, event.name) for event in rig.ready()] == [("card", rig.card.name)]
        assert not rig.lost()

    def test_the_head_goes_with_the_clock(self, rig):
        rig.wait(1)
        frames, begin = rig.card.head(), rig.now()
        rig.wait(3)
        passed = (rig.card.head() - frames) / rig.card.rate_hz
        assert passed == pytest.approx((rig.now() - begin) / 1e9, abs=0.25)

    def test_every_frame_between_tail_and_head_can_be_read_and_no_other(self, rig):
        rig.wait(1)
        tail, head = rig.card.tail(), rig.card.head()
        whole = rig.card.read(tail, head - tail)
        assert len(whole) == (head - tail) * 2 * rig.card.channels
        middle = (head - tail) // 2
        again = rig.card.read(FrameIndex(tail + middle), head - tail - middle)
        assert again == whole[middle * 2 * rig.card.channels :]
        far = FrameIndex(head + 10 * rig.card.rate_hz)
        for first, count in ((far, 1), (FrameIndex(tail - 1), 2), (tail, far - tail)):
            with pytest.raises(LookupError):
                rig.card.read(first, count)

    def test_time_and_frames_agree_both_ways(self, rig):
        rig.wait(1)
        card, now = rig.card, rig.now()
        for offset_s in (-3.0, -0.5, 0.0, 0.5, 60.0):
            at = later(now, seconds(offset_s))
            assert abs(card.time_of(card.frame_at(at)) - at) <= 2 * frames_to_ns(1, card.rate_hz)
        assert card.frame_at(later(now, seconds(1))) - card.frame_at(now) == pytest.approx(
            card.rate_hz, abs=card.rate_hz // 100
        )

    def test_losses_lie_in_the_range_asked_for_and_read_as_silence(self, rig):
        rig.wait(1)
        tail, head = rig.card.tail(), rig.card.head()
        for loss in rig.card.lost(tail, head - tail):
            assert tail <= loss.first < loss.first + loss.frames <= head
            assert not rig.samples(loss.first, loss.frames).any()
        assert rig.card.lost(head, 0) == []

    def test_a_clip_is_answered_once_and_leaves_at_its_moment(self, rig):
        clip, at = tone(rig.card.rate_hz, 0.4), later(rig.now(), ms(600))
        rig.card.play("front", "call-1", clip, None, at)
        rig.until(rig.answers, 5)
        rig.wait(1)
        [answer] = rig.answers()
        assert (answer.line, answer.call_id, answer.completed, answer.error) == (
            "front", "call-1", True, None,
        )  # fmt: skip
        assert answer.frames == clip.frames
        assert abs(answer.started_at - at) <= ms(self.time_error_ms)
        assert abs(answer.at - answer.started_at - ms(400)) <= ms(50)

    def test_two_clips_are_answered_each(self, rig):
        clip, at = tone(rig.card.rate_hz, 0.3), later(rig.now(), ms(600))
        rig.card.play("front", "call-1", clip, None, at)
        rig.card.play("back", "call-2", clip, None, later(at, ms(100)))
        rig.until(lambda: len(rig.answers()) == 2, 5)
        rig.wait(1)
        assert sorted((a.call_id, a.completed) for a in rig.answers()) == [
            ("call-1", True),
            ("call-2", True),
        ]

    def test_a_clip_can_be_stopped(self, rig):
        clip, at = tone(rig.card.rate_hz, 5), later(rig.now(), ms(600))
        rig.card.play("front", "call-1", clip, None, at)
        rig.until(lambda: rig.now() >= later(at, ms(500)), 5)
        rig.card.stop_play("call-1")
        rig.card.stop_play("never heard of")
        rig.until(rig.answers, 1)
        rig.wait(0.5)
        [answer] = rig.answers()
        assert not answer.completed
        assert 0.3 < answer.frames / clip.rate_hz < 0.9

    def test_closing_answers_what_is_playing(self, rig):
        rig.card.play("front", "call-1", tone(rig.card.rate_hz, 5), None, rig.now())
        rig.wait(0.3)
        rig.card.close()
        [answer] = rig.answers()
        assert not answer.completed


# ---------------------------------------------------------------- the simulated card


class TestSimContract(SoundCardContract):
    time_error_ms = 0.0

    @pytest.fixture
    def rig(self):
        world = World()
        rig = Rig(None, world.now, lambda: world.advance(later(world.now(), ms(20))))
        palette = Palette(network_of("JP"), "ja", 8000)
        sounds = {name: LineSound(palette, 8000, 1) for name in ("front", "back")}
        rig.card = SimCard(
            world,
            "Simulated",
            8000,
            2,
            rig.events.append,
            ring_seconds=RING_SECONDS,
            lines=[Wired(sounds["front"], 1, 2)],
            outputs=sounds,
        )
        rig.card.start()
        rig.wait(4)
        return rig


# ---------------------------------------------------------------- PyAudio, over PulseAudio


SINKS = (Sink("line8", 8000), Sink("line48", 48000), Sink("second48", 48000))


@pytest.fixture(scope="module")
def soft_card():
    require(TOOLS, "the software sound card")
    card = SoftCard(SINKS)
    try:
        card.start()
        yield card
    finally:
        card.close()


@pytest.fixture
def environment(soft_card, monkeypatch):
    for name, value in soft_card.environment.items():
        monkeypatch.setenv(name, value)
    # The child is started by module name.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return soft_card


@pytest.fixture
def make_rig(environment):
    """Start a PyAudio card by name; it is closed when the test ends."""
    rigs = []

    def make(name="line8", rate_hz=8000, channels=2, *, is_ready=True):
        rig = Rig(None, lambda: MonoNs(time.monotonic_ns()), lambda: time.sleep(0.02))
        rig.card = PyAudioCard(name, rate_hz, channels, RING_SECONDS, rig.events.append, rig.now)
        rigs.append(rig)
        rig.card.start()
        if is_ready:
            rig.until(rig.ready, 40)
            # The first blocks are held back until the absence before them is measured.
            rig.until(lambda: channels == 0 or rig.card.head() > 0, 5)
        return rig

    yield make
    for rig in rigs:
        rig.card.close()


def counter_wav(path: Path, rate_hz: int, length_s: float) -> Path:
    """Two channels that number their frames: left the low part, right the high part, never 0."""
    number = np.arange(round(rate_hz * length_s))
    frames = np.stack([number % 32749 + 1, number // 32749 + 1], axis=1).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, rate_hz, 0, "NONE", ""))
        file.writeframes(frames.tobytes())
    return path


def assert_whole(samples: np.ndarray, rate_hz: int, length_s: float) -> None:
    """The counter is in a capture, frame by frame up to its end.

    Its first 0.1 s may be missing: a sink that was idle has handed out silence for that time to
    its monitor before the player joined.
    """
    sounding = np.flatnonzero(samples.any(axis=1))
    part = samples[sounding[0] : sounding[-1] + 1].astype(np.int64)
    numbers = (part[:, 1] - 1) * 32749 + part[:, 0] - 1
    assert numbers[0] < rate_hz / 5
    assert np.array_equal(numbers, np.arange(numbers[0], round(length_s * rate_hz)))


@pytest.mark.softcard
class TestPyAudioContract(SoundCardContract):
    @pytest.fixture
    def rig(self, make_rig):
        return make_rig("line48", 48000)


@pytest.mark.softcard
class TestPyAudioCard:
    @pytest.mark.parametrize(("name", "rate_hz"), [("line8", 8000), ("line48", 48000)])
    def test_capture_is_sample_exact(self, make_rig, environment, tmp_path, name, rate_hz):
        rig = make_rig(name, rate_hz)
        wav = counter_wav(tmp_path / "counter.wav", rate_hz, 6)
        before = rig.card.head()
        assert environment.play(wav, name).wait(timeout=20) == 0
        rig.wait(1.5)
        heard = rig.samples(before, rig.card.head() - before)
        assert_whole(heard, rate_hz, 6)
        assert rig.card.lost(before, rig.card.head() - before) == []

    def test_a_clip_lands_in_the_captured_sound_where_it_should(self, make_rig):
        """PulseAudio's account of some streams is wrong from their beginning or slips later, by up to
        one of its blocks of 100 ms; that of most is right within 0.2 ms. So an error of ours shows in
        every stream, and one of five in which there is none tells."""
        errors_ms = []
        for _ in range(5):
            rig = make_rig("line48", 48000)
            rig.wait(7)  # PulseAudio's account of a new stream needs a while to be true
            clip, at = tone(48000, 0.5), later(rig.now(), ms(500))
            rig.card.play("front", "call-1", clip, 2, at)
            rig.until(rig.answers, 5)
            rig.wait(1)
            first = rig.card.frame_at(at) - 24000
            heard = rig.samples(first, 60000)
            assert not heard[:, 0].any(), "it was to leave by channel 2"
            [start] = np.flatnonzero(heard[:, 1])[:1]
            played = np.frombuffer(clip.pcm, np.int16)
            assert np.array_equal(heard[start : start + clip.frames, 1], played)
            errors_ms.append((rig.card.time_of(FrameIndex(first + start)) - at) / 1e6)
            assert abs(errors_ms[-1]) < 110
            if abs(errors_ms[-1]) < 2:
                return
            rig.card.close()
        pytest.fail(f"no stream played it in time: {errors_ms} ms")

    def test_a_clip_of_another_rate_is_converted(self, make_rig):
        rig = make_rig("line48", 48000)
        clip = tone(8000, 0.5)
        rig.card.play("front", "call-1", clip, None, rig.now())
        rig.until(rig.answers, 5)
        assert rig.answers()[0].completed
        assert rig.answers()[0].frames == clip.frames

    def test_a_card_for_playback_only(self, make_rig):
        rig = make_rig("line8", channels=0)
        rig.card.play("front", "call-1", tone(8000, 0.3), None, rig.now())
        rig.until(rig.answers, 5)
        assert rig.answers()[0].completed
        assert rig.card.head() == 0

    def test_a_card_pulled_out_is_noticed_and_taken_back(self, make_rig, environment, tmp_path):
        rig = make_rig("line8")
        rig.wait(2)
        environment.kill()
        pulled_at = rig.now()
        rig.until(rig.lost, 2.0)
        rig.wait(4)
        head = rig.card.head()
        environment.start()
        rig.until(lambda: len(rig.ready()) == 2, 40)
        rig.until(lambda: rig.card.head() > head, 10)
        rig.wait(2)
        [hole] = [
            loss for loss in rig.card.lost(FrameIndex(0), rig.card.head()) if loss.first > 8000
        ]
        assert hole.cause in {"card-stalled", "card-lost"}
        assert hole.frames > 4 * 8000
        # What was captured before the pull lies before the hole, and time goes on true.
        assert abs(rig.card.time_of(hole.first) - pulled_at) < ms(400)
        assert abs(rig.card.time_of(rig.card.head()) - rig.now()) < ms(400)
        assert not rig.samples(hole.first, hole.frames).any()
        before = rig.card.head()
        wav = counter_wav(tmp_path / "counter.wav", 8000, 2)
        assert environment.play(wav, "line8").wait(timeout=20) == 0
        rig.until(lambda: rig.samples(before, rig.card.head() - before).any(), 5)

    def test_a_child_that_is_killed_is_replaced(self, make_rig):
        rig = make_rig("line8")
        rig.wait(1)
        rig.card.play("front", "call-1", tone(8000, 5), None, rig.now())
        rig.wait(0.5)
        os.kill(rig.card._child.pid, signal.SIGKILL)
        rig.until(rig.lost, 1.0)
        head = rig.card.head()
        assert [answer.completed for answer in rig.answers()] == [False]
        rig.until(lambda: rig.card.head() > head, 10)
        holes = [loss for loss in rig.card.lost(FrameIndex(0), rig.card.head()) if loss.first]
        assert [(hole.first, hole.cause) for hole in holes] == [(head, "card-lost")]
        assert abs(rig.card.time_of(rig.card.head()) - rig.now()) < ms(400)

    def test_a_stall_that_ends_by_itself_is_reported_and_loses_nothing_here(
        self, make_rig, environment, tmp_path
    ):
        """PulseAudio keeps what a stopped client has not fetched, so every frame must be there."""
        rig = make_rig("line8")
        before = rig.card.head()
        player = environment.play(counter_wav(tmp_path / "counter.wav", 8000, 7), "line8")
        rig.wait(2)
        os.kill(rig.card._child.pid, signal.SIGSTOP)
        rig.until(rig.lost, 2.0)
        os.kill(rig.card._child.pid, signal.SIGCONT)
        rig.until(lambda: len(rig.ready()) == 2, 1.0)
        assert player.wait(timeout=20) == 0
        rig.wait(2)
        heard = rig.samples(before, rig.card.head() - before)
        assert_whole(heard, 8000, 7)

    def test_a_hang_for_good_gets_a_new_child(self, make_rig):
        rig = make_rig("line8")
        hung = rig.card._child.pid
        os.kill(hung, signal.SIGSTOP)
        rig.until(lambda: len(rig.ready()) == 2, 40)
        assert rig.card._child.pid != hung
        rig.wait(2)
        causes = [loss.cause for loss in rig.card.lost(FrameIndex(1), rig.card.head())]
        assert causes.count("card-stalled") == 1

    def test_two_cards_at_once(self, make_rig, environment, tmp_path):
        first, second = make_rig("line48", 48000), make_rig("second48", 48000)
        wav = counter_wav(tmp_path / "counter.wav", 48000, 2)
        before = second.card.head()
        assert environment.play(wav, "second48").wait(timeout=20) == 0
        second.wait(1.5)
        assert second.samples(before, second.card.head() - before).any()
        tail, head = first.card.tail(), first.card.head()
        assert not first.samples(tail, head - tail).any()

    @pytest.mark.parametrize(
        ("name", "channels", "reason"),
        [
            ("Behringer", 2, 'no sound device is named "Behringer"; found: '),
            ("48", 2, '"48" matches several sound devices: "line48" (ALSA), "second48" (ALSA)'),
            ("line8", 64, "has 32 input channels, 64 are needed"),
            ("default", 2, "copies channels"),
        ],
    )
    def test_a_wrong_name_is_refused_with_the_reason(self, make_rig, name, channels, reason):
        rig = make_rig(name, 8000, channels, is_ready=False)
        rig.until(rig.lost, 10)
        assert reason in rig.lost()[0].reason

    def test_devices_are_listed(self, environment):
        listed = {device.name: device for device in list_devices()}
        assert {"line8", "line48", "second48"} <= set(listed)
        assert listed["line8"].host_api == "ALSA"
        assert listed["line8"].input_channels >= 2

    @pytest.mark.parametrize("pause_s", [0.0, 3.0], ids=["while it opens", "while it records"])
    def test_a_child_does_not_outlive_its_parent(self, environment, pause_s):
        """Not even one whose words the parent has not read, which makes its end look different."""
        script = (
            "import time, sys\n"
            "from recorderd.drivers.audio_pyaudio import PyAudioCard\n"
            "card = PyAudioCard('line8', 8000, 2, 5, lambda event: None, time.monotonic_ns)\n"
            "card.start()\n"
            "print(card._child.pid, flush=True)\n"
            "time.sleep(60)\n"
        )
        command = [sys.executable, "-c", script]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as parent:
            child = int(parent.stdout.readline())
            time.sleep(pause_s)
            parent.kill()
        deadline = time.monotonic() + 5
        while Path(f"/proc/{child}").exists() and not _is_zombie(child):
            assert time.monotonic() < deadline, "the child lives on"
            time.sleep(0.02)


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
