"""The real daemon as a process, on a software sound card, a modem on a pseudo-terminal and pins."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import wave
from array import array

import mutagen.flac
import pytest
import soundfile

from tests.daemon.box import Box, PtyModem, wait_until
from tests.softcard import Sink, SoftCard, require

pytestmark = pytest.mark.softcard

HOOK, RING = 17, 27
RATE = 8000

CONFIG = """
[site]
name = "test-office"
country = "US"
time_zone = "America/New_York"
[storage]
directory = "{folder}/recordings"
segment_s = 5
[[line]]
name = "front-desk"
[line.audio]
driver = "pyaudio"
device = "line8"
capture_rate_hz = 8000
pre_roll_ms = 2000
[line.hook]
driver = "rpi-gpio"
pin = 17
[line.ring]
pin = 27
[line.modem]
port = "{folder}/modem"
[line.announcement]
inbound = "notice-en.wav"
delay_ms = 500
"""


@pytest.fixture(scope="module")
def card():
    require(("pulseaudio", "paplay", "espeak-ng", "sox"), "the software sound card")
    pytest.importorskip("pyaudio")
    card = SoftCard([Sink("line8", RATE)])
    card.start()
    yield card
    card.close()


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Two-way speech: another sentence on each channel, 8 kHz, 14 s."""
    folder = tmp_path_factory.mktemp("speech")
    sentences = {
        "near": "Good morning, this is the front desk. How may I help you today? One moment please.",
        "far": "Hello, I would like to change my appointment on Thursday to the following week.",
    }
    for name, text in sentences.items():
        said = folder / f"{name}-said.wav"
        subprocess.run(["espeak-ng", "-w", said, text, text], check=True)
        subprocess.run(
            ["sox", said, "-r", str(RATE), "-c", "1", folder / f"{name}.wav",
             "repeat", "4", "trim", "0", "14"],
            check=True,
        )  # fmt: skip
    both = folder / "both.wav"
    subprocess.run(["sox", "-M", folder / "near.wav", folder / "far.wav", both], check=True)
    return both


def ring_burst(box: Box, seconds: float) -> None:
    """A ring detector's output at 20 Hz."""
    for _ in range(int(seconds * 20)):
        for level in (0, 1):
            box.pins.set(RING, level)
            subprocess.run(["sleep", "0.02"], check=True)


def samples_of(record: dict) -> tuple[array, array]:
    """Both channels of a call, its segments joined."""
    whole = array("h")
    for segment in record["segments"]:
        data, rate = soundfile.read(record["folder"] / segment["file"], dtype="int16")
        assert (rate, data.shape) == (RATE, (segment["frames"], 2))
        whole.extend(data.reshape(-1).tolist())
    return whole[0::2], whole[1::2]


def find(needle: array, hay: array) -> int:
    """Where `needle` stands in `hay` to the sample, or -1."""
    return hay.tobytes().find(needle.tobytes()) // 2 if needle.tobytes() in hay.tobytes() else -1


def test_a_call_from_ring_to_file(card, speech, tmp_path):
    modem = PtyModem(tmp_path / "modem")
    with Box(tmp_path, CONFIG.format(folder=tmp_path), {HOOK: 1, RING: 1}, card.environment) as box:
        box.wait_until_said("DriverReady at=", times=3)
        assert modem.caller_id_on.wait(10)
        player = card.play(speech, "line8")  # is heard from before the answer
        ring_burst(box, 2.0)
        modem.say("DATE = 1123", "TIME = 1845", "NMBR = 5045551234", "NAME = A N OTHER")
        box.wait_until_said("CallerIdentified")
        box.pins.set(HOOK, 0)
        box.wait_until_said("NoticeEnded", within_s=30)
        player.wait()
        box.pins.set(HOOK, 1)
        (record,) = box.wait_for_records(1)
        assert box.stop() == 0
    modem.close()

    assert record["disposition"] == "recorded"
    assert record["direction"] == "inbound"
    assert record["caller"]["number"] == "5045551234"
    assert record["caller"]["name"] == "A N OTHER"
    assert record["gaps"] == []
    assert record["audio"]["pre_roll_frames"] == pytest.approx(2 * RATE, abs=2)
    # PulseAudio's clock slips by one block of 100 ms, no frame lost, when a client comes or goes,
    # as the announcement's player does; where time is virtual the length is held to 2 ms.
    assert record["audio"]["frames"] / RATE == pytest.approx(record["duration_s"] + 2, abs=0.15)

    # Files: five-second segments that join, named and tagged with the caller.
    lengths = [segment["frames"] for segment in record["segments"]]
    assert lengths[:-1] == [5 * RATE] * (len(lengths) - 1)
    assert sum(lengths) == record["audio"]["frames"]
    for number, segment in enumerate(record["segments"]):
        assert segment["file"].endswith(f"_front-desk_in_5045551234_{number:03d}.flac")
        tags = mutagen.flac.FLAC(record["folder"] / segment["file"])
        assert tags["number"] == ["5045551234"]
        assert "A N OTHER" in tags["artist"][0]
        assert tags["tracknumber"] == [str(number + 1)]
        assert tags["tracktotal"] == [str(len(lengths))]
        assert tags["call_id"] == [record["id"]]

    # Channels: what was played left is near, what was played right is far, sample by sample,
    # outside of the announcement, which the card mixes in.
    near, far = samples_of(record)
    with wave.open(str(speech)) as played:
        said = array("h", played.readframes(played.getnframes()))
    notice_end = record["notice"]["started_frame"] + record["notice"]["frames"]
    probe = slice(notice_end + RATE, notice_end + 2 * RATE)
    found_near = find(near[probe], said[0::2])
    found_far = find(far[probe], said[1::2])
    assert found_near >= 0
    assert found_near == found_far

    # Pre-roll: speech from before the off-hook is in the recording.
    start = found_near - probe.start
    before = near[max(0, -start) + 1000 : record["audio"]["pre_roll_frames"]]
    assert find(before, said[0::2]) >= 0

    # Announcement: in the recorded line, where the record says, after the delay.
    notice = record["notice"]
    assert notice["completed"]
    assert notice["clip"] == "notice-en.wav"
    delay = notice["started_frame"] - record["audio"]["pre_roll_frames"]
    assert delay / RATE == pytest.approx(0.5, abs=0.2)
    heard = [
        abs(near[i] - said[2 * (i + start)]) for i in range(notice["started_frame"], notice_end)
    ]
    assert sum(heard) / len(heard) > 200

    shown = json.loads(box.command("show", record["id"][:8], "--json").stdout)
    assert shown["caller"]["number"] == "5045551234"
    listed = json.loads(box.command("calls", "--number", "1234", "--json").stdout)
    assert [call["id"] for call in listed] == [record["id"]]
    assert "5045551234" in box.command("calls").stdout


def test_stop_in_mid_call_seals_what_there_is(card, tmp_path):
    modem = PtyModem(tmp_path / "modem")
    with Box(tmp_path, CONFIG.format(folder=tmp_path), {HOOK: 0, RING: 1}, card.environment) as box:
        box.wait_until_said("CallFound")
        wait_until(lambda: list(box.recordings.glob("open/*.journal")) or None, 10, box.said)
        assert box.stop() == 0
        (record,) = box.records()
    modem.close()
    assert record["direction"] == "unknown"
    assert record["cut"]
    assert record["segments"]
    assert list(box.recordings.glob("open/*")) == []


def test_killed_in_mid_call_is_recovered_and_marked(card, tmp_path):
    modem = PtyModem(tmp_path / "modem")
    config = CONFIG.format(folder=tmp_path)
    with Box(tmp_path, config, {HOOK: 0, RING: 1}, card.environment) as box:
        box.wait_until_said("CallFound")
        journal = wait_until(
            lambda: next(box.recordings.glob("open/*.journal"), None), 10, box.said
        )
        wait_until(lambda: True if journal.stat().st_size > 3 * RATE * 4 else None, 15, box.said)
        box.stop(signal.SIGKILL)
        box.pins.close()
    modem.close()
    again = tmp_path / "again"
    again.mkdir()
    modem = PtyModem(tmp_path / "modem")
    config = config.replace('name = "test-office"', 'name = "test-office2"')
    with Box(again, config, {HOOK: 1, RING: 1}, card.environment) as box:
        (record,) = [
            {**json.loads(path.read_text()), "folder": path.parent}
            for path in tmp_path.glob("recordings/calls/*/*/*/*/call.json")
        ]
    modem.close()
    assert record["cut"]
    assert record["gaps"][-1]["cause"] == "cut"
    near, _ = samples_of(record)
    assert len(near) >= 2 * RATE


def test_reload_takes_a_new_config_and_refuses_a_wrong_one(card, tmp_path):
    modem = PtyModem(tmp_path / "modem")
    config = CONFIG.format(folder=tmp_path)
    with Box(tmp_path, config, {HOOK: 0, RING: 1}, card.environment) as box:
        box.wait_until_said("CallFound")
        box.config.write_text(config.replace("segment_s", "segmentt_s"), "utf-8")
        box.process.send_signal(signal.SIGHUP)
        box.wait_until_said("did you mean")
        assert box.process.poll() is None
        wait_until(
            lambda: True if "segmentt_s" in box.command("status", "--config", "x").stderr
            or "segmentt_s" in (box.recordings / "status.json").read_text() else None,
            10, box.said,
        )  # fmt: skip
        box.config.write_text(config.replace("test-office", "new-office"), "utf-8")
        box.process.send_signal(signal.SIGHUP)
        box.wait_until_said("configuration taken")
        box.pins.set(HOOK, 1)
        (record,) = box.wait_for_records(1)
        assert record["site"] == "test-office"  # the call that was going on keeps its own
        box.pins.set(HOOK, 0)
        box.wait_until_said("CallPlaced")
        box.pins.set(HOOK, 1)
        records = box.wait_for_records(2)
        assert sorted(record["site"] for record in records) == ["new-office", "test-office"]
    modem.close()


def test_a_wrong_config_exits_78_and_names_the_line(card, tmp_path):
    config = CONFIG.format(folder=tmp_path).replace("segment_s = 5", "segment_s = 1")
    (tmp_path / "recorderd.toml").write_text(config)
    box = subprocess.run(
        [sys.executable, "-m", "recorderd", "run", "--config", tmp_path / "recorderd.toml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert box.returncode == 78
    assert "recorderd.toml:8: storage.segment_s" in box.stderr
