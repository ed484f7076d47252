"""The metadata of FLAC files: the blocks in front of the sound, and the facts of the first one.

Layout: RFC 9639, sections 8 (metadata) and 8.2 (STREAMINFO). The sound itself is for codec.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

MAGIC = b"fLaC"
STREAMINFO = 0
PADDING = 1
VORBIS_COMMENT = 4
LAST = 0x80  # set in the type byte of the last block
MAX_METADATA_BYTES = 1 << 20  # tags take a few hundred; a cover picture may take more


class FlacError(ValueError):
    """The bytes are no well-formed FLAC metadata; the message is a sentence without a file name."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What STREAMINFO says of the sound. `frames` counts samples of one channel; 0: not known."""

    rate_hz: int
    channels: int
    bits: int
    frames: int


def read_blocks(file: BinaryIO) -> list[tuple[int, bytes]]:
    """Type and content of every metadata block; `file` is left at the first byte of the sound."""
    magic = file.read(4)
    if magic != MAGIC:
        raise FlacError(f"it is no FLAC file: it begins with {magic!r}, not with {MAGIC!r}")
    blocks: list[tuple[int, bytes]] = []
    total_bytes = 0
    last = False
    while not last:
        header = file.read(4)
        size = int.from_bytes(header[1:], "big")
        total_bytes += 4 + size
        if total_bytes > MAX_METADATA_BYTES:
            raise FlacError(f"it has more than {MAX_METADATA_BYTES} bytes of tags and pictures")
        content = file.read(size)
        if len(header) + len(content) < 4 + size:
            raise FlacError("it is cut off before its sound begins")
        last = bool(header[0] & LAST)
        blocks.append((header[0] & ~LAST, content))
    return blocks


def stream_info(blocks: list[tuple[int, bytes]]) -> StreamInfo:
    """The facts in STREAMINFO, which must come first (RFC 9639, section 8.2)."""
    kind, content = blocks[0]
    if kind != STREAMINFO or len(content) != 34:
        raise FlacError("it does not begin with a description of its sound (STREAMINFO)")
    packed = int.from_bytes(content[10:18], "big")  # 20 bits rate, 3 channels, 5 depth, 36 length
    return StreamInfo(
        rate_hz=packed >> 44,
        channels=(packed >> 41 & 0x07) + 1,
        bits=(packed >> 36 & 0x1F) + 1,
        frames=packed & 0xF_FFFF_FFFF,
    )


def as_bytes(blocks: list[tuple[int, bytes]]) -> bytes:
    """Magic and blocks as they stand in a file, the last one marked as such."""
    out = bytearray(MAGIC)
    for number, (kind, content) in enumerate(blocks, start=1):
        out.append(kind | (LAST if number == len(blocks) else 0))
        out += len(content).to_bytes(3, "big") + content
    return bytes(out)
