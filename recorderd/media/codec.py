"""Sound to files and back: the only file that calls soundfile.

A segment is encoded by libsndfile, from blocks of about a second, so that an hour takes no more
memory than a minute. FLAC is decoded by libsndfile, WAV by our own reader: libsndfile's many WAV
parsers never see a file. libsndfile gets file descriptors, never Python file objects: those need
callbacks in memory that is both writable and executable, which the service is denied.

FLAC level: libsndfile's default, which takes a second of processor time for an hour of 8 kHz stereo
on a desktop machine. For tones over noise at -67 dBFS its highest level took 2.2 times as long to
save two per cent of the size; its lowest took a third less and made the files a third larger.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal

import soundfile

from recorderd.errors import ClipError, StoreError
from recorderd.media.flac import MAGIC, FlacError, read_blocks, stream_info
from recorderd.media.wav import WavData, find_sound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

CHANNELS = 2  # near, far
FRAME_BYTES = 2 * CHANNELS

DECODE_FRAMES = 32_768
"""At a time. soundfile seeks after every read, which FLAC takes long for; blocks of a second took a
fifth more time. It is 128 kB."""

COMPARE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """What a sound file says it holds; samples are of 16 bits."""

    rate_hz: int
    channels: int
    frames: int


def encode_segment(
    path: Path,
    blocks: Iterable[bytes],
    rate_hz: int,
    format: Literal["flac", "wav"],  # noqa: A002 - the configuration's word for it
) -> int:
    """Write a whole stereo file and give its frames; `blocks` are interleaved 16-bit frames.

    The file is complete but not yet durable: that is for the caller, who knows its final name.
    Raises StoreError where it cannot be written.
    """
    frames = 0
    with (
        _store_errors(path),
        path.open("wb", buffering=0) as target,
        _create(target, rate_hz, format.upper()) as file,
    ):
        for block in blocks:
            file.buffer_write(block, "int16")
            frames += len(block) // FRAME_BYTES
    return frames


def verify_segment(path: Path, blocks: Iterable[bytes]) -> bool:
    """Whether a stereo file decodes to exactly `blocks`, bit for bit; why not goes to the log."""
    try:
        faithful = describe(path).channels == CHANNELS and _same(decode_blocks(path), blocks)
    except StoreError as error:
        log.warning("%s", error)
        return False
    if not faithful:
        log.warning("%s: its sound is not what was recorded", path)
    return faithful


def same_sound(one: Path, other: Path) -> bool:
    """Whether two files hold the same encoded sound, byte for byte, whatever their tags.

    Of a copy with other tags this says what decoding both would, at a fraction of the cost. Raises
    StoreError where one is missing or damaged before its sound.
    """
    with _store_errors(one), one.open("rb") as first, other.open("rb") as second:
        return _same(_encoded_sound(first), _encoded_sound(second))


def describe(path: Path) -> SoundFormat:
    """The format of a 16-bit WAV or FLAC file, by its header; raises StoreError for another."""
    with _store_errors(path), path.open("rb") as file:
        return _flac_format(file) if _is_flac(file) else _wav_format(file)


def decode_blocks(path: Path) -> Iterator[bytes]:
    """The sound of a 16-bit WAV or FLAC file in blocks of some seconds, interleaved 16-bit frames.

    Raises StoreError where the file is missing, of another kind, or damaged.
    """
    with _store_errors(path), path.open("rb") as file:
        yield from _flac_blocks(file) if _is_flac(file) else _wav_blocks(file)


def decode_flac(data: bytes, max_frames: int) -> WavData:
    """The sound in the bytes of a whole 16-bit FLAC file of at most `max_frames` frames.

    Raises ClipError, in a sentence without the file's name.
    """
    try:
        # Without a buffer: one would be lost when libsndfile moves the descriptor under it.
        with os.fdopen(os.memfd_create("clip"), "w+b", buffering=0) as file:
            file.write(data)
            file.seek(0)
            sound = _flac_format(file)
            if sound.frames > max_frames:
                raise ClipError(f"it says that it lasts {sound.frames // sound.rate_hz} s")
            return WavData(sound.rate_hz, sound.channels, b"".join(_flac_blocks(file)))
    except FlacError as error:
        raise ClipError(str(error)) from error
    except soundfile.SoundFileError as error:
        raise ClipError(f"its sound cannot be decoded: {error}") from error


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (ClipError, FlacError) as error:
        raise StoreError(f"{path}: {error}") from error
    except soundfile.SoundFileError as error:
        raise StoreError(f"{path}: {error} Is the disk full or damaged?") from error
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror}") from error


class _NewFile(soundfile.SoundFile):  # type: ignore[misc]  # it ships no types
    def flush(self) -> None:
        """Nothing. Closing a file calls this, which would sync it and throw the answer away; the sync
        after it could then succeed although the disk had lost a page."""


def _create(target: BinaryIO, rate_hz: int, major_format: str) -> _NewFile:
    return _NewFile(
        _to_give_away(target),
        "w",
        samplerate=rate_hz,
        channels=CHANNELS,
        subtype="PCM_16",
        format=major_format,
    )


def _to_give_away(file: BinaryIO) -> int:
    """A descriptor of its own for libsndfile to close. When it refuses a file, version 1.2.0 (Debian 12)
    closes what it was given, also where it is told not to; the number may be another thread's by the
    time that we close it."""
    return os.dup(file.fileno())


def _same(decoded: Iterator[bytes], blocks: Iterable[bytes]) -> bool:
    """Whether two runs of blocks hold the same bytes, however each is cut."""
    held = b""
    for block in blocks:
        while len(held) < len(block):
            more = next(decoded, b"")
            if not more:
                return False
            held += more
        if held[: len(block)] != block:
            return False
        held = held[len(block) :]
    return not held and next(decoded, None) is None


def _encoded_sound(file: BinaryIO) -> Iterator[bytes]:
    """The bytes that decide how a file sounds: its description of the sound, and the sound."""
    if _is_flac(file):
        _, description = read_blocks(file)[0]
        yield description
        while block := file.read(COMPARE_BYTES):
            yield block
    else:
        layout = find_sound(file)
        yield repr((layout.rate_hz, layout.channels)).encode()
        file.seek(0)
        yield from _wav_blocks(file)


def _is_flac(file: BinaryIO) -> bool:
    magic = file.read(len(MAGIC))
    file.seek(0)
    return magic == MAGIC


def _flac_format(file: BinaryIO) -> SoundFormat:
    info = stream_info(read_blocks(file))
    file.seek(0)
    if info.bits != 16:
        raise FlacError(f"its samples have {info.bits} bits, not 16")
    if not info.frames or not info.rate_hz:
        raise FlacError("its header was never finished, or it holds no sound at all")
    return SoundFormat(info.rate_hz, info.channels, info.frames)


def _wav_format(file: BinaryIO) -> SoundFormat:
    layout = find_sound(file)
    return SoundFormat(layout.rate_hz, layout.channels, layout.size // (2 * layout.channels))


def _flac_blocks(file: BinaryIO) -> Iterator[bytes]:
    sound = _flac_format(file)
    os.lseek(file.fileno(), 0, os.SEEK_SET)  # libsndfile shares the position, not the buffer
    with soundfile.SoundFile(_to_give_away(file)) as decoder:
        left = sound.frames
        while left:
            block = bytearray(2 * sound.channels * min(left, DECODE_FRAMES))
            frames = decoder.buffer_read_into(block, "int16")
            if 2 * sound.channels * frames < len(block):
                raise FlacError(f"its last {left - frames} frames are missing")
            left -= frames
            yield bytes(block)


def _wav_blocks(file: BinaryIO) -> Iterator[bytes]:
    layout = find_sound(file)
    file.seek(layout.at)
    left = layout.size
    while left:
        block = file.read(min(left, 2 * layout.channels * layout.rate_hz))
        if not block:
            raise ClipError(f"its last {left} bytes cannot be read")
        left -= len(block)
        yield block
