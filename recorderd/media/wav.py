"""A strict reader of 16-bit PCM WAV files.

A WAV file may come from outside, so it is read by this file alone and by no general library. What
is not plain 16-bit PCM, or does not add up in every field, is refused with a sentence of its own.
Layout: "Multimedia Programming Interface and Data Specifications 1.0" (IBM, Microsoft, 1991), RIFF
and WAVE; the extensible format: Microsoft, "Multiple Channel Audio Data and WAVE Files" (2001).
"""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

from recorderd.errors import ClipError

MAX_CHUNKS = 64  # a real file has two to about ten
PCM = 0x0001
EXTENSIBLE = 0xFFFE
SUBTYPE_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # of every KSDATAFORMAT_SUBTYPE
OTHER_FORMATS = {
    0x0002: "Microsoft ADPCM",
    0x0003: "floating point",
    0x0006: "A-law",
    0x0007: "mu-law",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0055: "MP3",
}
BIG_RELATIVES = {
    b"RIFX": "a big-endian WAV file (RIFX)",
    b"RF64": "an RF64 file, made for more than 4 GB",
    b"BW64": "a BW64 file, made for more than 4 GB",
}


@dataclass(frozen=True, slots=True)
class WavData:
    """The sound of a file: interleaved 16-bit little-endian frames, at least one."""

    rate_hz: int
    channels: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class WavLayout:
    """Where the sound of a WAV file lies, and its format."""

    rate_hz: int
    channels: int
    at: int  # the first byte of the sound
    size: int  # in bytes, a whole number of frames, not zero


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk of a RIFF file: `size` bytes of content from byte `at`."""

    name: bytes
    at: int
    size: int


def read_wav(data: bytes) -> WavData:
    """The sound in the bytes of a whole WAV file; raises ClipError as `find_sound` does."""
    layout = find_sound(io.BytesIO(data))
    return WavData(layout.rate_hz, layout.channels, data[layout.at : layout.at + layout.size])


def find_sound(file: BinaryIO) -> WavLayout:
    """Where the sound lies in a WAV file, of which only the headers are read.

    Raises ClipError, in a sentence without the file's name, for anything but a well-formed file
    of 16-bit PCM: RIFF size equal to the file's, one `fmt ` before one `data`, no bytes left over.
    """
    chunks = riff_chunks(file)
    sound = _only(chunks, b"data")
    description = _only(chunks, b"fmt ")
    if sound.at < description.at:
        raise ClipError("its sound comes before the description of its format")
    file.seek(description.at)
    rate_hz, channels = _read_format(file.read(min(description.size, 40)))
    if not sound.size:
        raise ClipError("it holds no sound at all")
    if sound.size % (2 * channels):
        raise ClipError(f"its sound ends in the middle of a frame ({sound.size} bytes)")
    return WavLayout(rate_hz, channels, sound.at, sound.size)


def riff_chunks(file: BinaryIO) -> list[Chunk]:
    """Every chunk of a WAV file in its order; together they fill the file exactly, or ClipError."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    _check_riff(file.read(12), end)
    chunks: list[Chunk] = []
    at = 12
    while at < end:
        if len(chunks) == MAX_CHUNKS:
            raise ClipError(f"it has more than {MAX_CHUNKS} chunks")
        chunk = _read_chunk(file, at, end)
        chunks.append(chunk)
        at = chunk.at + chunk.size + chunk.size % 2  # chunks begin at even places
    return chunks


def _check_riff(header: bytes, file_size: int) -> None:
    magic = header[:4]
    if magic in BIG_RELATIVES:
        raise ClipError(f"it is {BIG_RELATIVES[magic]}")
    if magic != b"RIFF":
        raise ClipError(f"it is no WAV file: it begins with {magic!r}, not with b'RIFF'")
    if len(header) < 12:
        raise ClipError(f"it is cut off after {len(header)} bytes")
    if header[8:] != b"WAVE":
        raise ClipError(f"it is a RIFF file of another kind: {header[8:]!r}, not b'WAVE'")
    _check_size(int.from_bytes(header[4:8], "little"), file_size - 8)


def _check_size(stated: int, present: int) -> None:
    if stated in {0, 0xFFFFFFFF}:
        raise ClipError("its header was never finished; its length is not filled in")
    if stated > present:
        raise ClipError(f"it is cut off: {stated - present} bytes are missing at its end")
    if stated < present:
        raise ClipError(f"{present - stated} bytes that do not belong to it follow its end")


def _read_chunk(file: BinaryIO, at: int, end: int) -> Chunk:
    file.seek(at)
    header = file.read(8)
    if len(header) < 8:
        raise ClipError("it is cut off inside a chunk header")
    name, size = header[:4], int.from_bytes(header[4:], "little")
    if at + 8 + size + size % 2 > end:
        raise ClipError(f"it is cut off: its {name!r} chunk is shorter than it says")
    return Chunk(name, at + 8, size)


def _only(chunks: list[Chunk], name: bytes) -> Chunk:
    found = [chunk for chunk in chunks if chunk.name == name]
    if len(found) != 1:
        raise ClipError(f"it has {len(found) or 'no'} {name!r} chunks; a WAV file has one")
    return found[0]


def _read_format(content: bytes) -> tuple[int, int]:
    """Rate in Hz and number of channels from the `fmt ` chunk, everything in it checked."""
    if len(content) < 16:
        raise ClipError(f"its format chunk has {len(content)} bytes, fewer than 16")
    tag, channels, rate_hz, bytes_per_s, frame_bytes, bits = struct.unpack_from("<HHIIHH", content)
    if tag == EXTENSIBLE:
        tag = _extensible_tag(content)
    if tag != PCM:
        name = OTHER_FORMATS.get(tag, f"of the format 0x{tag:04X}")
        raise ClipError(f"its sound is {name}, not 16-bit PCM")
    if bits != 16:
        raise ClipError(f"its samples have {bits} bits, not 16")
    if not channels or not rate_hz:
        raise ClipError(f"its header says {channels} channels at {rate_hz} Hz")
    if frame_bytes != 2 * channels or bytes_per_s != frame_bytes * rate_hz:
        raise ClipError("its header contradicts itself about the size of a frame")
    return rate_hz, channels


def _extensible_tag(content: bytes) -> int:
    """The format tag at the head of the extensible format's subtype."""
    if len(content) < 40:
        raise ClipError(f"its extensible format chunk has {len(content)} bytes, fewer than 40")
    if content[26:40] != SUBTYPE_TAIL:
        raise ClipError(f"its sound is of the unknown extensible format {content[24:40].hex()}")
    bits, valid_bits = struct.unpack_from("<HxxH", content, 14)
    if valid_bits != bits:
        raise ClipError(f"only {valid_bits} of the {bits} bits of its samples are in use")
    return int.from_bytes(content[24:26], "little")
