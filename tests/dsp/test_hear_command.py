"""`recorderd hear`: files of any rate and number of channels, and what it prints."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from recorderd.cli.main import main
from recorderd.config.profiles import load_profile
from tests.dsp import lines, notice_lines, signals
from tests.dsp.conversation import resampled
from tests.dsp.test_fsk import burst


def sound(rate: int = 8000) -> np.ndarray:
    samples = np.concatenate((
        signals.on_line(burst("mdmf"), 20),
        signals.on_line(signals.digits("42"), 20),
    ))
    if rate == 8000:
        return samples
    return np.rint(resampled(samples / 1.0, 8000, rate)).astype(np.int16)


def hear(capsys, path, *options: str):
    assert main(["hear", str(path), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_any_rate_in_wav_and_flac(tmp_path, capsys, rate, suffix):
    path = tmp_path / f"line.{suffix}"
    soundfile.write(path, sound(rate), rate, subtype="PCM_16")
    caller, *keys = hear(capsys, path)
    assert caller["at_s"] == pytest.approx(0.5, abs=0.03)
    assert {**caller, "at_s": 0} == {
        "kind": "caller-id",
        "at_s": 0,
        "channel": 1,
        "number": "5035551234",
        "name": "M ROSSI",
        "absence": None,
        "standard": "bell202-mdmf",
        "reported_date": "0725",
        "reported_time": "1812",
        "raw": caller["raw"],
    }
    assert [(key["kind"], key["channel"], key["digit"]) for key in keys] == [
        ("digit", 1, "4"),
        ("digit", 1, "2"),
    ]
    lead_s = len(signals.on_line(burst("mdmf"))) / 8000 + 0.5
    assert keys[0]["at_s"] == pytest.approx(lead_s, abs=0.005)


def test_each_channel_is_heard_alone(tmp_path, capsys):
    near = signals.on_line(signals.digits("7"), 20, lead_s=0.2)
    far = signals.on_line(burst("number display"), 20)
    pair = np.zeros((max(len(near), len(far)), 2), np.int16)
    pair[: len(near), 0], pair[: len(far), 1] = near, far
    path = tmp_path / "call.flac"
    soundfile.write(path, pair, 8000, subtype="PCM_16")
    found = hear(capsys, path)
    assert [(each["kind"], each["channel"]) for each in found] == [("digit", 1), ("caller-id", 2)]
    assert found[1]["standard"] == "number-display"


@pytest.mark.parametrize(
    ("country", "case", "is_heard"),
    [
        ("JP", "number display", True),
        ("JP", "mdmf", False),
        ("us", "mdmf", True),
        ("US", "v23", False),
        ("UK", "v23", True),
        ("GB", "number display", False),
    ],
)
def test_a_country_hears_its_own_standards(tmp_path, capsys, country, case, is_heard):
    path = tmp_path / "line.wav"
    soundfile.write(path, signals.on_line(burst(case), 20), 8000, subtype="PCM_16")
    assert bool(hear(capsys, path, "--country", country)) == is_heard


@pytest.mark.parametrize("options", [[], ["--country", "US"], ["--country", "us"]])
def test_a_tone_is_one_row_with_its_end(tmp_path, capsys, options):
    path = tmp_path / "line.wav"
    lead, busy, tail = (
        signals.silence(0.5),
        signals.progress(load_profile("US").tones[2], 4.0),
        signals.silence(6),
    )
    line = np.concatenate((lead, busy, tail, busy))
    pair = np.stack([np.zeros(len(line)), line], axis=1)
    soundfile.write(path, pair, 8000, subtype="PCM_16")
    first, second = hear(capsys, path, *options)
    assert list(first) == ["kind", "at_s", "channel", "tone", "until_s"]
    assert (first["kind"], first["channel"], first["tone"]) == ("tone", 2, "busy")
    assert first["at_s"] == pytest.approx(0.5, abs=0.01)
    assert first["until_s"] == pytest.approx(4.0, abs=0.01)
    assert second["at_s"] == pytest.approx(10.5, abs=0.01)
    assert second["until_s"] is None
    assert main(["hear", str(path), *options]) == 0
    printed = capsys.readouterr().out
    assert "busy until 4.0" in printed
    assert "busy to the end" in printed


def test_another_countrys_tones_are_not_heard(tmp_path, capsys):
    path = tmp_path / "line.wav"
    busy = signals.progress(load_profile("US").tones[2], 4.0)
    soundfile.write(path, signals.on_line(busy), 8000, subtype="PCM_16")
    assert hear(capsys, path, "--country", "JP") == []


def test_for_people(tmp_path, capsys):
    path = tmp_path / "line.wav"
    soundfile.write(path, sound(), 8000, subtype="PCM_16")
    assert main(["hear", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "5035551234 M ROSSI (bell202-mdmf)" in printed
    soundfile.write(path, np.zeros(8000, np.int16), 8000, subtype="PCM_16")
    assert main(["hear", str(path)]) == 0
    assert "nothing was heard" in capsys.readouterr().out


def test_what_cannot_be_heard_says_why(tmp_path, capsys):
    path = tmp_path / "line.wav"
    assert main(["hear", str(path)]) == 1
    assert "line.wav" in capsys.readouterr().err
    path.write_bytes(b"no sound")
    assert main(["hear", str(path)]) == 1
    assert "RIFF" in capsys.readouterr().err
    soundfile.write(path, sound(), 8000, subtype="PCM_16")
    assert main(["hear", str(path), "--country", "XX"]) == 2
    assert "known: AT, AU" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda far, near: far, "line: nothing wrong was found in 30 s of sound"),
        (lambda far, near: near, "line: the far channel is a copy of the near one: the sound card"),
        (lambda far, near: 0 * far, "line: the far channel holds no sound at all"),
    ],
)
def test_two_channels_are_judged_as_a_line(tmp_path, capsys, change, expected):
    pair = lines.echoed(lines.talk()) + lines.noise((30 * 8000, 2), -62)
    pair[:, 1] = change(pair[:, 1], pair[:, 0])
    path = tmp_path / "call.flac"
    soundfile.write(path, lines.sampled(pair), 8000, subtype="PCM_16")
    assert hear(capsys, path) == []  # the list for machines is as it was
    assert main(["hear", str(path)]) == 0
    assert expected in capsys.readouterr().out
    soundfile.write(path, lines.sampled(pair[:32000]), 8000, subtype="PCM_16")
    assert main(["hear", str(path)]) == 0
    assert "line: too short to judge: 4 s, and 5 s are needed" in capsys.readouterr().out


def test_announcements_that_ship(tmp_path, capsys):
    path = tmp_path / "call.wav"
    near = notice_lines.line(notice_lines.shipped("notice-ja.wav"), np.random.default_rng(1))
    far = np.zeros_like(near)
    far[-9000:] = notice_lines.shipped("notice-en.wav")[:9000]
    soundfile.write(path, np.stack((near, far), axis=1), 8000, subtype="PCM_16")
    whole, part = hear(capsys, path)
    assert {**whole, "level_dbm0": 0, "score": 0} == {
        "kind": "notice",
        "at_s": pytest.approx(0.7, abs=0.001),
        "channel": 1,
        "clip": "notice-ja.wav",
        "completeness": 1.0,
        "level_dbm0": 0,
        "score": 0,
        "heard": True,
    }
    assert whole["level_dbm0"] == pytest.approx(-20, abs=2)
    assert whole["score"] > 0.9
    assert (part["clip"], part["channel"], part["heard"]) == ("notice-en.wav", 2, "partly")
    assert 0.4 < part["completeness"] < 0.6
    assert main(["hear", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "notice-ja.wav, whole, -2" in printed
    assert "notice-en.wav, " in printed
    assert "% of it, -" in printed


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_announcements_of_ones_own(tmp_path, capsys, monkeypatch, rate):
    monkeypatch.chdir(tmp_path)
    own = notice_lines.shipped("notice-ja.wav")[9000:24000]
    at_rate = own if rate == 8000 else np.rint(resampled(own / 1.0, 8000, rate)).astype(np.int16)
    soundfile.write("own.wav", at_rate, rate, subtype="PCM_16")
    soundfile.write(
        "call.wav", notice_lines.line(own, np.random.default_rng(1)), 8000, subtype="PCM_16"
    )
    found = hear(capsys, "call.wav", "--clip", "own.wav")
    assert [(each["clip"], each["heard"]) for each in found] == [
        ("notice-ja.wav", "partly"),
        ("own.wav", True),
    ]
    assert main(["hear", "call.wav", "--clip", "other.wav"]) == 1
    assert "other.wav: there is no such file" in capsys.readouterr().err
