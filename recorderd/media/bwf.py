"""A writer of Broadcast Wave files: 16-bit PCM with a `bext` chunk that says where it comes from.

Layout: EBU Tech 3285 (version 1, section 2.3). Sound is written as it comes, in a memory that does
not grow; the length is known before, because the header stands in front.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from datetime import datetime

CHANNELS = 2
FRAME_BYTES = 2 * CHANNELS

WAV_BYTES_MAX = 0xFFFF_FFFF
"""A RIFF file counts its bytes in 32 bits: 37 hours at 8 kHz. Longer ones are not written."""

_BEXT = struct.Struct("<256s32s32s10s8sIIH64s190s")
VERSION = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """What `bext` says of a recording. `first` is the local time of the first sample."""

    description: str
    originator: str
    reference: str
    first: datetime
    coding_history: str


def header(frames: int, rate_hz: int, origin: Origin) -> bytes:
    """Everything in front of the sound; it is followed by `frames` stereo frames and nothing else."""
    bext = _bext(origin, rate_hz)
    sound_bytes = frames * FRAME_BYTES
    chunks = _chunk(b"bext", bext) + _chunk(b"fmt ", _format(rate_hz))
    size = len(b"WAVE") + len(chunks) + 8 + sound_bytes
    assert size <= WAV_BYTES_MAX, "the caller asks fits() first"
    return (
        b"RIFF"
        + size.to_bytes(4, "little")
        + b"WAVE"
        + chunks
        + b"data"
        + sound_bytes.to_bytes(4, "little")
    )


def fits(frames: int) -> bool:
    """Whether so many stereo frames have room in a WAV file, with a header of at most 64 kB."""
    return frames * FRAME_BYTES + (1 << 16) <= WAV_BYTES_MAX


def write_header(file: BinaryIO, frames: int, rate_hz: int, origin: Origin) -> None:
    """Begin a file; the sound is then written behind it."""
    file.write(header(frames, rate_hz, origin))


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content + b"\0" * (len(content) % 2)


def _format(rate_hz: int) -> bytes:
    return struct.pack("<HHIIHH", 1, CHANNELS, rate_hz, rate_hz * FRAME_BYTES, FRAME_BYTES, 16)


def _bext(origin: Origin, rate_hz: int) -> bytes:
    midnight = origin.first.replace(hour=0, minute=0, second=0, microsecond=0)
    # Both in the offset of the first sample: the field counts on the clock that the date shows.
    since_midnight = origin.first - midnight
    microseconds = since_midnight.seconds * 1_000_000 + since_midnight.microseconds
    reference = microseconds * rate_hz // 1_000_000
    fixed = _BEXT.pack(
        _ascii(origin.description, 256),
        _ascii(origin.originator, 32),
        _ascii(origin.reference, 32),
        origin.first.strftime("%Y-%m-%d").encode("ascii"),
        origin.first.strftime("%H:%M:%S").encode("ascii"),
        reference & 0xFFFF_FFFF,
        reference >> 32,
        VERSION,
        bytes(64),  # no UMID
        bytes(190),
    )
    return fixed + origin.coding_history.encode("ascii", "replace")


def _ascii(text: str, size: int) -> bytes:
    """The field is ASCII (Tech 3285, 2.3); zeros fill it up."""
    return text.encode("ascii", "replace")[:size]
