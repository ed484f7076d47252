"""`recorderd check`: what it prints, and its exit code."""

from __future__ import annotations

import argparse
import math
import struct
import wave

import pytest

from recorderd.cli.check import check, run


@pytest.fixture
def office(tmp_path, hardware):
    """A good configuration with a clip of half a second."""
    with wave.open(str(tmp_path / "clip.wav"), "wb") as clip:
        clip.setparams((1, 2, 8000, 0, "NONE", ""))
        wave_form = (round(8000 * math.sin(index * 0.4)) for index in range(4000))
        clip.writeframes(b"".join(struct.pack("<h", sample) for sample in wave_form))
    path = tmp_path / "recorderd.toml"
    path.write_text(hardware)
    return path


def test_a_good_file_gives_what_each_line_will_do(office, capsys):
    assert check(office) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    first, *rest = printed.out.splitlines()
    assert first == f"{office}: OK, 2 lines"
    assert rest == [
        "front-desk",
        "  audio         pyaudio: USB Audio CODEC at 48000 Hz, near is channel 1, far is channel 2",
        "  recording     flac at 8000 Hz in files of 60 s, from 2000 ms before the call, kept 180 days",
        "  hook          rpi-gpio pin 17: low is off-hook, on-hook for 1300 ms ends the call",
        "  ring          rpi-gpio pin 27: low is ringing",
        "  modem         serial: /dev/ttyACM0 at 115200 bits a second",
        (
            "  announcement  clip.wav on incoming calls after 500 ms on all channels of "
            "USB Audio CODEC; where it cannot be played: record"
        ),
        "back-office",
        "  audio         pyaudio: Other Card at 48000 Hz, near is channel 1, far is channel 2",
        "  recording     flac at 8000 Hz in files of 60 s, from 2000 ms before the call, kept 180 days",
        "  hook          rpi-gpio pin 5: low is off-hook, on-hook for 1300 ms ends the call",
        "  ring          none: only the modem says that the line rings",
        "  modem         none: nothing tells who calls",
        "  announcement  none",
    ]


def test_a_simulated_line(tmp_path, simulated, capsys):
    path = tmp_path / "recorderd.toml"
    path.write_text(simulated.replace('announcement = { outbound = "clip.wav" }\n', ""))
    (tmp_path / "day.line").touch()
    assert check(path) == 0
    printed = capsys.readouterr().out
    assert f"{path}: OK, 1 line\n" in printed
    assert "  hook          sim: low is off-hook" in printed
    assert "  modem         sim\n" in printed


def test_a_wrong_file_gives_every_problem_and_their_count(office, capsys):
    text = office.read_text().replace("pin = 17", "pin = true").replace("JP", "ZZ")
    office.write_text(text)
    assert check(office) == 78
    problems = capsys.readouterr().out.splitlines()
    assert problems[0].startswith(f"{office}:3: site.country: ")
    assert problems[1].startswith(f"{office}:14: line.hook.pin: ")
    assert problems[2:] == ["2 problems"]


def test_a_clip_that_cannot_be_played_is_one_of_the_problems(office, capsys):
    (office.parent / "clip.wav").write_text("This call is recorded.")
    office.write_text(office.read_text().replace("pin = 5", "pin = 500"))
    assert check(office) == 78
    clip, pin, count = capsys.readouterr().out.splitlines()
    assert clip.startswith(f"{office}:20: line.announcement.inbound: ")
    assert pin.startswith(f"{office}:29: line.hook.pin: ")
    assert count == "2 problems"


def test_the_file_of_the_command_line(office, monkeypatch, capsys):
    monkeypatch.setenv("RECORDERD_CONFIG", "/none.toml")
    assert run(argparse.Namespace(config=str(office))) == 0
    assert run(argparse.Namespace(config=None)) == 78
    assert "/none.toml:1: there is no such file" in capsys.readouterr().out
