"""Announcement clips: good ones load, each bad one is refused by name with a way to mend it."""

from __future__ import annotations

import hashlib
import os
import struct
import wave
from array import array
from contextlib import suppress
from pathlib import Path

import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.errors import ClipError
from recorderd.media import announcement
from recorderd.media.announcement import load_clip
from recorderd.media.wav import read_wav


def tone(frames: int, channels: int = 1, amplitude: int = 8000) -> bytes:
    wanted = (amplitude if n // 4 % 2 else -amplitude for n in range(frames))
    return array("h", [value for value in wanted for _ in range(channels)]).tobytes()


def write_wav(
    path: Path, pcm: bytes, rate_hz: int = 8000, channels: int = 1, width: int = 2
) -> Path:
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate_hz)
        writer.writeframes(pcm)
    return path


def write_flac(path: Path, pcm: bytes, rate_hz: int, channels: int = 1, bits: int = 16) -> Path:
    with soundfile.SoundFile(path, "w", rate_hz, channels, f"PCM_{bits}", format="FLAC") as file:
        file.buffer_write(pcm, "int16")
    return path


def refusal(name: str, directory: Path) -> str:
    with pytest.raises(ClipError) as caught:
        load_clip(name, directory)
    return str(caught.value)


@pytest.mark.parametrize("name", ["notice-ja.wav", "notice-en.wav"])
def test_the_shipped_clips_are_loud_enough_and_not_clipped(name: str, tmp_path: Path) -> None:
    clip = load_clip(name, tmp_path)
    samples = array("h", clip.pcm)
    rms = (sum(value * value for value in samples) / len(samples)) ** 0.5
    assert clip.rate_hz == 8000
    assert 2900 < rms < 3700  # -20 dBFS within 1 dB
    assert max(abs(value) for value in samples) < 26_000  # 2 dB below full scale


def test_a_clip_carries_its_name_sound_and_hash(tmp_path: Path) -> None:
    pcm = tone(4000)
    path = write_wav(tmp_path / "own.wav", pcm)
    clip = load_clip("own.wav", tmp_path)
    assert (clip.name, clip.rate_hz, clip.pcm, clip.frames) == ("own.wav", 8000, pcm, 4000)
    assert clip.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_path_may_be_absolute_and_a_file_of_ones_own_goes_before_a_shipped_one(
    tmp_path: Path,
) -> None:
    own = write_wav(tmp_path / "notice-ja.wav", tone(4000))
    assert load_clip("notice-ja.wav", tmp_path).frames == 4000
    assert load_clip(str(own), Path("/")).frames == 4000


def test_stereo_is_averaged(tmp_path: Path) -> None:
    write_wav(tmp_path / "two.wav", array("h", [9000, 1001] * 4000).tobytes(), channels=2)
    assert set(array("h", load_clip("two.wav", tmp_path).pcm)) == {5000}


def test_a_clip_may_lean_to_one_side(tmp_path: Path) -> None:
    for value in (-9000, 9000):
        write_wav(tmp_path / "a.wav", array("h", [0, value] * 4000).tobytes())
        assert load_clip("a.wav", tmp_path).frames == 8000


@pytest.mark.parametrize("channels", [1, 2])
def test_flac_gives_the_same_clip_as_wav(channels: int, tmp_path: Path) -> None:
    pcm = tone(50_000, channels)
    write_wav(tmp_path / "a.wav", pcm, 16_000, channels)
    write_flac(tmp_path / "a.flac", pcm, 16_000, channels)
    from_wav, from_flac = load_clip("a.wav", tmp_path), load_clip("a.flac", tmp_path)
    assert (from_wav.rate_hz, from_wav.pcm) == (from_flac.rate_hz, from_flac.pcm)


def test_a_cut_flac_is_refused(tmp_path: Path) -> None:
    path = write_flac(tmp_path / "a.flac", os.urandom(64_000), 8000)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "a.flac" in refusal("a.flac", tmp_path)


@given(
    changes=st.lists(st.tuples(st.integers(4, 400), st.integers(0, 255)), min_size=1, max_size=4),
    kept=st.integers(42, 6000),
)
@settings(max_examples=100)
def test_a_damaged_flac_loads_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], kept: int
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    path = write_flac(folder / "a.flac", tone(8000), 8000)
    data = bytearray(path.read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    path.write_bytes(data[:kept])
    with suppress(ClipError):
        assert load_clip("a.flac", folder).frames >= 1600


def test_a_flac_that_the_decoder_gives_up_at_once_is_refused(tmp_path: Path) -> None:
    stairs = b"".join(struct.pack("<h", 3000 * (n // 9 % 5)) for n in range(20_000))
    data = bytearray(write_flac(tmp_path / "a.flac", stairs, 8000).read_bytes())
    for value in range(60, 100):
        data[95] = value  # inside the first frame; some values leave the decoder there
        (tmp_path / "a.flac").write_bytes(data)
        assert "cannot be decoded" in refusal("a.flac", tmp_path)


def test_a_flac_with_a_header_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"fLaC\x80\0\0\x22" + bytes(34))
    assert "a.flac" in refusal("a.flac", tmp_path)
    (tmp_path / "a.flac").write_bytes(b"fLaC\x80\0\0")
    assert "cut off" in refusal("a.flac", tmp_path)


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels", "width", "pcm", "sentence"),
    [
        ("eight.wav", 8000, 1, 1, b"\x40\xc0" * 4000, "8 bits"),
        ("24.wav", 8000, 1, 3, b"\0\0\x40" * 4000, "24 bits"),
        ("surround.wav", 48_000, 6, 2, tone(48_000, 6), "6 channels"),
        ("empty.wav", 8000, 1, 2, b"", "no sound at all"),
        ("click.wav", 8000, 1, 2, tone(1599), "0.2 s"),
        ("hour.wav", 8000, 1, 2, tone(8000) * 61, "61.0 s"),
        ("slow.wav", 7999, 1, 2, tone(8000), "7999 Hz"),
        ("fast.wav", 96_000, 1, 2, tone(96_000), "96000 Hz"),
        ("silent.wav", 8000, 1, 2, bytes(16_000), "silent"),
        ("hiss.wav", 8000, 1, 2, tone(8000, amplitude=327), "silent"),
        ("opposed.wav", 8000, 2, 2, array("h", [9000, -9000] * 8000).tobytes(), "silent"),
    ],
)
def test_a_wav_that_cannot_be_played_is_refused_by_name(
    name: str, rate_hz: int, channels: int, width: int, pcm: bytes, sentence: str, tmp_path: Path
) -> None:
    write_wav(tmp_path / name, pcm, rate_hz, channels, width)
    message = refusal(name, tmp_path)
    assert sentence in message
    assert str(tmp_path / name) in message
    assert "; " in message  # the mend follows


@pytest.mark.parametrize("length_s", [0.2, 60])
def test_the_limits_of_length_are_inside(length_s: float, tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(round(8000 * length_s)))
    assert load_clip("a.wav", tmp_path).frames == 8000 * length_s


def test_a_flac_of_24_bits_or_more_than_a_minute_is_refused(tmp_path: Path) -> None:
    write_flac(tmp_path / "a.flac", tone(8000), 8000, bits=24)
    assert "24 bits" in refusal("a.flac", tmp_path)
    write_flac(tmp_path / "b.flac", tone(8000) * 3600, 8000)
    assert "3600 s" in refusal("b.flac", tmp_path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty"),
        (b"Thank you for calling.\n", "no WAV file"),
        (b"ID3\x04\0\0\0\0\0\0fLaC", "no WAV file"),
        (b"OggS\0\2", "no WAV file"),
        (b".snd\0\0\0\x18", "no WAV file"),
    ],
)
def test_another_kind_of_file_never_reaches_the_library(
    content: bytes, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcement, "decode_flac", lambda *_: pytest.fail("decoded"))
    (tmp_path / "clip.wav").write_bytes(content)
    assert sentence in refusal("clip.wav", tmp_path)


def test_what_is_not_a_readable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "large.wav").write_bytes(b"RIFF")
    os.truncate(tmp_path / "large.wav", 3_600 * 16_000)
    assert "not a file" in refusal("folder.wav", tmp_path)
    assert "not a file" in refusal("pipe.wav", tmp_path)
    assert "larger than 16 MB" in refusal("large.wav", tmp_path)
    assert "loop.wav" in refusal("loop.wav", tmp_path)
    assert "File name too long" in refusal("x" * 300, tmp_path)


def test_a_missing_clip_is_named_with_a_suggestion(tmp_path: Path) -> None:
    assert "did you mean notice-ja.wav?" in refusal("notice_jp.wav", tmp_path)
    message = refusal("welcome.flac", tmp_path)
    assert str(tmp_path / "welcome.flac") in message
    assert "notice-en.wav, notice-ja.wav" in message


def test_a_shipped_name_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    assert "no such file" in refusal("../announcements/notice-ja.wav", tmp_path)


def test_shipped_clips_begin_and_end_close_to_the_speech(tmp_path: Path) -> None:
    for name in ("notice-ja.wav", "notice-en.wav"):
        samples = array("h", load_clip(name, tmp_path).pcm)
        loud = [n for n, value in enumerate(samples) if abs(value) > 100]
        assert loud[0] <= 800  # 100 ms
        assert len(samples) - loud[-1] <= 800
        assert read_wav((announcement.SHIPPED / name).read_bytes()).channels == 1
