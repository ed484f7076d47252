"""Segments: encoded, verified, joined sample-exactly; damage of any kind is noticed."""

from __future__ import annotations

import logging
import os
import random
import struct
import subprocess
import tracemalloc
from typing import TYPE_CHECKING, Literal

import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.errors import StoreError
from recorderd.media.codec import (
    SoundFormat,
    decode_blocks,
    describe,
    encode_segment,
    same_sound,
    verify_segment,
)
from recorderd.media.tags import SegmentTags, write_tagged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Kind = Literal["flac", "wav"]
KINDS: tuple[Kind, ...] = ("flac", "wav")
both_kinds = pytest.mark.parametrize("kind", KINDS)


def noise(frames: int, seed: int = 1) -> bytes:
    """Every value a 16-bit sample can take turns up, full scale too."""
    return random.Random(seed).randbytes(4 * frames)


def cut(sound: bytes, frames: int) -> list[bytes]:
    return [sound[at : at + 4 * frames] for at in range(0, len(sound), 4 * frames)]


@both_kinds
def test_a_segment_decodes_to_what_was_encoded(kind: Kind, tmp_path: Path) -> None:
    path, sound = tmp_path / "s", noise(20_001)
    assert encode_segment(path, cut(sound, 8000), 8000, kind) == 20_001
    assert b"".join(decode_blocks(path)) == sound
    assert verify_segment(path, [sound])
    assert describe(path) == SoundFormat(8000, 2, 20_001)


@both_kinds
def test_other_programs_read_the_same_sound(kind: Kind, tmp_path: Path) -> None:
    path, sound = tmp_path / f"s.{kind}", noise(9000)
    encode_segment(path, [sound], 8000, kind)
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == sound
    assert path.read_bytes()[:4] == {"flac": b"fLaC", "wav": b"RIFF"}[kind]


@both_kinds
def test_segments_join_without_a_seam(kind: Kind, tmp_path: Path) -> None:
    sound = noise(30_000)
    parts = [sound[:40_000], sound[40_000:40_004], sound[40_004:]]
    paths = [tmp_path / str(number) for number in range(3)]
    for path, part in zip(paths, parts, strict=True):
        encode_segment(path, cut(part, 8000), 8000, kind)
    assert b"".join(block for path in paths for block in decode_blocks(path)) == sound


@given(st.lists(st.integers(0, 20_000), max_size=6), st.sampled_from(KINDS))
@settings(max_examples=30)
def test_verifying_does_not_depend_on_how_the_blocks_are_cut(
    tmp_path_factory: pytest.TempPathFactory, edges: list[int], kind: Kind
) -> None:
    path, sound = tmp_path_factory.mktemp("segment") / "s", noise(20_000)
    encode_segment(path, cut(sound, 8000), 8000, kind)
    ends = [4 * edge for edge in sorted(edges)]
    blocks = [sound[a:b] for a, b in zip([0, *ends], [*ends, len(sound)], strict=True)]
    assert verify_segment(path, blocks)


@both_kinds
def test_verifying_notices_one_bit_one_frame_more_and_one_frame_less(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, sound = tmp_path / "s", noise(20_000)
    encode_segment(path, cut(sound, 8000), 8000, kind)
    changed = bytearray(sound)
    changed[70_000] ^= 1
    assert not verify_segment(path, cut(bytes(changed), 8000))
    assert not verify_segment(path, cut(sound + bytes(4), 8000))
    assert not verify_segment(path, cut(sound[:-4], 8000))
    assert not verify_segment(path, [])
    assert str(path) in caplog.text


@both_kinds
def test_verifying_notices_a_file_that_was_cut_changed_or_lost(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    path, sound = tmp_path / "s", noise(20_000)
    encode_segment(path, [sound], 8000, kind)
    whole = path.read_bytes()
    for size in (0, 3, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert not verify_segment(path, [sound])
    path.write_bytes(whole[:40_000] + b"\xff" + whole[40_001:])
    assert not verify_segment(path, [sound])
    path.unlink()
    assert not verify_segment(path, [sound])
    assert "No such file" in caplog.text


def test_verifying_notices_that_two_channels_became_one(tmp_path: Path) -> None:
    sound = noise(8000)
    with soundfile.SoundFile(tmp_path / "s", "w", 8000, 1, "PCM_16", format="FLAC") as file:
        file.buffer_write(sound, "int16")
    assert b"".join(decode_blocks(tmp_path / "s")) == sound
    assert not verify_segment(tmp_path / "s", [sound])


def test_a_flac_that_ends_too_early_is_an_error_after_what_can_be_had(tmp_path: Path) -> None:
    path, sound = tmp_path / "s", noise(60_000)
    encode_segment(path, [sound], 8000, "flac")
    os.truncate(path, path.stat().st_size * 3 // 4)
    got: list[bytes] = []
    with pytest.raises(StoreError):
        got.extend(decode_blocks(path))
    assert got
    assert sound.startswith(b"".join(got))


def test_an_unfinished_flac_or_one_of_24_bits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s"
    encode_segment(path, [noise(8000)], 8000, "flac")
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # the 36 bits of the length, as a killed encoder leaves them
    path.write_bytes(data)
    with pytest.raises(StoreError, match="never finished"):
        describe(path)
    with soundfile.SoundFile(path, "w", 8000, 2, "PCM_24", format="FLAC") as file:
        file.buffer_write(noise(8000), "int16")
    with pytest.raises(StoreError, match="24 bits"):
        next(decode_blocks(path))


def test_a_flac_with_fewer_frames_than_it_says_is_an_error(tmp_path: Path) -> None:
    path, sound = tmp_path / "s", noise(8192)  # two whole frames of the encoder
    encode_segment(path, [sound], 8000, "flac")
    data = bytearray(path.read_bytes())
    data[22:26] = (8292).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(StoreError):
        list(decode_blocks(path))
    assert not verify_segment(path, [sound, bytes(400)])


def test_a_decoder_that_stops_early_without_a_word_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_segment(tmp_path / "s", [noise(8000)], 8000, "flac")
    monkeypatch.setattr(soundfile.SoundFile, "buffer_read_into", lambda *_: 7990)
    with pytest.raises(StoreError, match="10 frames are missing"):
        list(decode_blocks(tmp_path / "s"))


@pytest.mark.parametrize(
    "job",
    [
        lambda path: list(decode_blocks(path)),
        lambda path: encode_segment(path, [], 8000, "flac"),
    ],
    ids=["decode", "encode"],
)
def test_a_library_that_closes_what_it_refuses_closes_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: Callable[[Path], object]
) -> None:
    """Version 1.2.0 of libsndfile, Debian 12's, does, also where it is told to leave the file open. The number may
    be another thread's file by the time that ours is closed."""
    path = tmp_path / "a.flac"
    encode_segment(path, [noise(8000)], 8000, "flac")

    def refuse(_: object, descriptor: int, *__: object, **___: object) -> None:
        os.close(descriptor)
        raise soundfile.LibsndfileError(0)

    monkeypatch.setattr(soundfile.SoundFile, "__init__", refuse)
    monkeypatch.setattr(soundfile.SoundFile, "__del__", lambda _: None)
    with pytest.raises(StoreError, match=r"a\.flac: .*Is the disk full or damaged"):
        job(path)


def test_a_flac_that_does_not_describe_its_sound_first_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"fLaC\x82\0\0\x22" + b"\1" * 34)
    with pytest.raises(StoreError, match="STREAMINFO"):
        describe(tmp_path / "s")


@pytest.mark.parametrize("magic", [b"OggS", b"FORM", b".snd", b"RF64", b"text"])
def test_the_library_is_given_nothing_but_flac(
    magic: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundfile, "SoundFile", lambda *_, **__: pytest.fail("opened"))
    (tmp_path / "s").write_bytes(magic + bytes(100))
    with pytest.raises(StoreError, match="it is"):
        next(decode_blocks(tmp_path / "s"))


def test_an_error_of_the_source_names_the_source(tmp_path: Path) -> None:
    def blocks() -> Iterator[bytes]:
        yield (tmp_path / "journal").read_bytes()

    with pytest.raises(StoreError, match="journal: No such file"):
        encode_segment(tmp_path / "s", blocks(), 8000, "flac")


@both_kinds
def test_a_place_that_cannot_be_written_is_named(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere.*No such file"):
        encode_segment(tmp_path / "nowhere" / "s", [noise(100)], 8000, kind)


@both_kinds
def test_the_sync_and_its_answer_are_left_to_the_caller(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flush(self: soundfile.SoundFile) -> None:
        raise AssertionError("the library syncs the file and throws the answer away")

    monkeypatch.setattr(soundfile.SoundFile, "flush", flush)
    encode_segment(tmp_path / "s", [noise(100)], 8000, kind)


@both_kinds
def test_a_write_that_fails_is_an_error(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: soundfile.SoundFile, data: bytes, dtype: str) -> None:
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(soundfile.SoundFile, "buffer_write", fail)
    with pytest.raises(StoreError, match="Is the disk full"):
        encode_segment(tmp_path / "s", [noise(100)], 8000, kind)


@both_kinds
def test_an_hour_takes_no_more_memory_than_a_minute(kind: Kind, tmp_path: Path) -> None:
    def blocks() -> Iterator[bytes]:
        block = struct.pack("<hh", 100, -100) * 8000
        for _ in range(300):
            yield block

    tracemalloc.start()
    encode_segment(tmp_path / "s", blocks(), 8000, kind)
    assert verify_segment(tmp_path / "s", blocks())
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1_000_000  # the sound is 9.6 MB


@both_kinds
def test_a_copy_with_other_tags_has_the_same_sound(tmp_path: Path, kind: Kind) -> None:
    one, other = tmp_path / f"one.{kind}", tmp_path / f"other.{kind}"
    pcm = noise(30_000)
    encode_segment(one, [pcm], 8000, kind)
    write_tagged(one, other, SegmentTags("t", "a", "d", "l", "in", "1", "c", 1, 2, 0, "s", "r"))
    assert same_sound(one, other)
    damaged = bytearray(other.read_bytes())
    damaged[30_000] ^= 1
    other.write_bytes(damaged)
    assert not same_sound(one, other)
    encode_segment(other, [pcm[:-4]], 8000, kind)
    assert not same_sound(one, other)
    encode_segment(other, [pcm], 16000, kind)
    assert not same_sound(one, other)
