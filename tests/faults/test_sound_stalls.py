"""The sound card's child process stopped in mid-call: it is replaced, and the hole is in the record."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.daemon.box import Box, wait_until
from tests.faults.size import sized
from tests.softcard import Sink, SoftCard, require

pytestmark = [pytest.mark.faults, pytest.mark.softcard, pytest.mark.realtime]

HOOK = 17
RATE = 8000
AGAIN_WITHIN_S = 12
STALLS = sized(1, 20)

CONFIG = """
[site]
name = "test-office"
country = "US"
time_zone = "America/New_York"
[storage]
directory = "{folder}/recordings"
segment_s = 60
[[line]]
name = "front-desk"
[line.audio]
driver = "pyaudio"
device = "line8"
capture_rate_hz = 8000
[line.hook]
driver = "rpi-gpio"
pin = 17
"""


@pytest.fixture
def card(tmp_path):
    require(("pulseaudio", "paplay", "sox"), "the software sound card")
    pytest.importorskip("pyaudio")
    card = SoftCard([Sink("line8", RATE)])
    card.start()
    # A null sink into which nothing is played gives its first block seconds late.
    noise = tmp_path / "noise.wav"
    length_s = str(120 + 30 * STALLS)
    command = ["sox", "-n", "-r", str(RATE), "-c", "2", "-b", "16", noise]
    subprocess.run([*command, "synth", length_s, "whitenoise", "vol", "0.1"], check=True)
    player = card.play(noise, "line8")
    yield card
    player.terminate()
    player.wait()
    card.close()


def child_of(box):
    """The only child of the daemon."""
    pid = box.process.pid
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def test_a_stopped_sound_child_is_replaced_and_the_hole_is_in_the_record(card, tmp_path):
    config = CONFIG.format(folder=tmp_path)
    with Box(tmp_path, config, {HOOK: 1}, card.environment) as box:
        box.wait_until_said("kind=card name=line8")
        box.pins.set(HOOK, 0)
        box.wait_until_said("CallPlaced")
        for number in range(STALLS):
            ready = box.said().count("DriverReady")
            stopped = child_of(box)
            os.kill(stopped, signal.SIGSTOP)
            box.wait_until_said("DriverReady", 2 * AGAIN_WITHIN_S, times=ready + 1)
            assert child_of(box) != stopped, f"stall {number}"
            frames = sum(path.stat().st_size for path in box.recordings.rglob("*.journal"))
            wait_until(
                lambda frames=frames: (
                    sum(path.stat().st_size for path in box.recordings.rglob("*.journal")) != frames
                    or None
                ),
                10,
                box.said,
            )
        box.pins.set(HOOK, 1)
        (record,) = box.wait_for_records(1)
        assert box.stop() == 0
    assert record["audio"]["frames"] / RATE == pytest.approx(
        record["duration_s"] + record["audio"]["pre_roll_frames"] / RATE, abs=0.4
    )
    stalled = [gap for gap in record["gaps"] if gap["cause"] == "card-stalled"]
    assert len(stalled) == STALLS
    assert all(gap["frames"] < AGAIN_WITHIN_S * RATE for gap in stalled)
    print([round(gap["frames"] / RATE, 2) for gap in stalled], "s of silence, each with its place")
