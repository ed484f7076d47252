"""One file of the crash journal: its format, written and read.

A file holds a stretch of one segment, `open/<call-id>_<segment>_<part>.journal`. It is a line of
JSON with its own CRC-32, then blocks of two kinds, each of them, little-endian,

    magic (4 bytes)  first_frame (u64)  frames (u32)  crc32 (u32) of all else in it  payload

 "PCM1": `frames` frames of interleaved 16-bit near and far at the record rate. "AGE1": the same
as an age file to the call's own key, after its length (u32); so the valid prefix of a sealed
journal, too, can be told without any key. "GAP1": where lost frames lie; the payload is the cause in
16 bytes, and their silence is in the other blocks as well. The CRC covers the position too: a
flipped bit ends the valid prefix and never moves a frame.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast, get_args

from recorderd.core.manifest import Gap, GapCause
from recorderd.disk import files
from recorderd.errors import StoreError
from recorderd.store import drafts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recorderd.seal.envelope import Envelope, Opener
    from recorderd.store.drafts import Draft

VERSION = 1
FRAME_BYTES = 4  # two channels of 16 bits
SUFFIX = ".journal"
BLOCK_FRAMES_MAX = 48_000  # a second at the highest record rate

SEALED_BYTES_MORE_MAX = 4096
"""An age file to one key is some 230 bytes longer than what is in it."""

HEADER_BYTES_MAX = 16 << 20
"""The header carries the draft with all its gaps, some 60 bytes each: ten lost blocks a second for
seven hours."""

_BLOCK = struct.Struct("<4sQII")
_POSITION = struct.Struct("<4sQI")
_CAUSE_BYTES = 16
_SIZE = struct.Struct("<I")
_PCM = b"PCM1"
_AGE = b"AGE1"
_GAP = b"GAP1"
_CAUSES = {cause.encode().ljust(_CAUSE_BYTES, b"\0"): cause for cause in get_args(GapCause)}


@dataclass(frozen=True, slots=True)
class JournalInfo:
    """What a journal file holds, up to the first byte that is not as it was written."""

    path: Path
    segment: int
    part: int
    first_frame: int
    frames: int
    gaps: tuple[Gap, ...]
    draft: Draft  # of the call when the file was begun
    is_damaged: bool  # valid blocks lie after the prefix: more than the end was lost


@dataclass(frozen=True, slots=True)
class Block:
    """One block of sound as it is stored."""

    first_frame: int
    frames: int
    payload: bytes
    is_sealed: bool

    def pcm(self, opener: Opener) -> bytes:
        """Its frames; StoreError where the opener's key is another one."""
        return opener.open(self.payload) if self.is_sealed else self.payload


class Journal:
    """One journal file being written. After its first error it must not be touched again."""

    def __init__(
        self,
        directory: Path,
        draft: Draft,
        envelope: Envelope,
        segment: int,
        part: int,
        first: int,
    ) -> None:
        """Create the file with its header, all of it durable. `first` is its first frame."""
        name = f"{draft.record.id}_{segment:03d}_{part:02d}{SUFFIX}"
        self.path = directory / "open" / name
        self.segment = segment
        self.first_frame = first
        self._envelope = envelope
        self._next = first
        self._descriptor: int | None = None
        temp = files.part_path(self.path)
        try:
            with files.guarded(self.path):
                self._descriptor = files.create(temp)
                files.write_all(self._descriptor, _header_line(draft, segment, part, first))
                os.fsync(self._descriptor)
            files.rename_durable(temp, self.path)
        except StoreError:
            self.close()
            files.discard(temp)
            raise

    def append(self, pcm: bytes) -> None:
        """Write one block of at most BLOCK_FRAMES_MAX frames."""
        frames = len(pcm) // FRAME_BYTES
        payload = self._envelope.seal(pcm)
        if self._envelope.is_sealed:
            self._write(_block(_AGE, self._next, frames, _SIZE.pack(len(payload)) + payload))
        else:
            self._write(_block(_PCM, self._next, frames, payload))
        self._next += frames

    def append_gap(self, gap: Gap) -> None:
        """Write down where lost frames lie."""
        cause = gap.cause.encode().ljust(_CAUSE_BYTES, b"\0")
        self._write(_block(_GAP, gap.first_frame, gap.frames, cause))

    def sync(self) -> None:
        """Make everything appended durable."""
        assert self._descriptor is not None
        with files.guarded(self.path):
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Let go of the file as it is."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _write(self, data: bytes) -> None:
        assert self._descriptor is not None
        with files.guarded(self.path):
            files.write_all(self._descriptor, data)


def _header_line(draft: Draft, segment: int, part: int, first: int) -> bytes:
    header = {
        "journal": VERSION,
        "call_id": draft.record.id,
        "line": draft.record.line,
        "rate_hz": draft.rate_hz,
        "segment": segment,
        "part": part,
        "first_frame": first,
        "draft": drafts.as_dict(draft),
    }
    text = json.dumps(header).encode()
    return text + b"\t%08x\n" % zlib.crc32(text)


def _block(magic: bytes, first: int, frames: int, payload: bytes) -> bytes:
    crc = zlib.crc32(payload, zlib.crc32(_POSITION.pack(magic, first, frames)))
    return _BLOCK.pack(magic, first, frames, crc) + payload


# ---------------------------------------------------------------- reading


def read_journal(path: Path) -> JournalInfo | None:
    """What the valid prefix of a file holds; None where not even its header is valid.

    Nothing is raised whatever the bytes are; what a failing disk refuses to read counts as invalid.
    """
    with suppress(OSError), path.open("rb") as file:
        header = _read_header(file)
        if header is None:
            return None
        frames, gaps, valid_end = 0, list[Gap](), file.tell()
        with suppress(OSError):
            for content in _contents(file, header["first_frame"]):
                if isinstance(content, Gap):
                    gaps.append(content)
                else:
                    frames += content.frames
                valid_end = file.tell()
        draft: Draft = header["draft"]
        is_damaged = _has_block_after(file, valid_end)
        return JournalInfo(
            path,
            header["segment"],
            header["part"],
            header["first_frame"],
            frames,
            (*draft.gaps, *gaps),
            draft,
            is_damaged,
        )
    return None


def _has_block_after(file: BinaryIO, position: int) -> bool:
    """Whether a valid block begins anywhere after `position`, where the valid prefix ends."""
    size = os.fstat(file.fileno()).st_size
    if size - position < _BLOCK.size:
        return False
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for magic in (_PCM, _AGE):
            at = data.find(magic, position)
            while at != -1:
                file.seek(at + len(magic))
                first = int.from_bytes(file.read(8), "little")
                file.seek(at)
                if next(_contents(file, first), None):
                    return True
                at = data.find(magic, at + 1)
    return False


def sound_blocks(path: Path) -> Iterator[Block]:
    """The blocks of the valid prefix that hold sound, as they were written."""
    with suppress(OSError), path.open("rb") as file:
        header = _read_header(file)
        if header is not None:
            for content in _contents(file, header["first_frame"]):
                if not isinstance(content, Gap):
                    yield content


def _read_header(file: BinaryIO) -> dict[str, Any] | None:
    text, _, crc = file.readline(HEADER_BYTES_MAX).rpartition(b"\t")
    if crc != b"%08x\n" % zlib.crc32(text):
        return None
    try:
        header = cast("dict[str, Any]", json.loads(text))
        if header["journal"] != VERSION:
            return None
        header["draft"] = drafts.from_dict(header["draft"])
    except (ValueError, KeyError, TypeError):
        return None
    return header


def _contents(file: BinaryIO, first_frame: int) -> Iterator[Block | Gap]:
    """Sound and gaps, until the first block that is torn, damaged or out of place."""
    expected = first_frame
    while len(head := file.read(_BLOCK.size)) == _BLOCK.size:
        magic, first, frames, crc = _BLOCK.unpack(head)
        is_sound = magic in {_PCM, _AGE} and first == expected and frames <= BLOCK_FRAMES_MAX
        if not is_sound and magic != _GAP:
            return
        payload = _payload(file, magic, frames)
        if crc != zlib.crc32(payload, zlib.crc32(_POSITION.pack(magic, first, frames))):
            return
        if is_sound:
            expected += frames
            sealed = magic == _AGE
            yield Block(first, frames, payload[_SIZE.size :] if sealed else payload, sealed)
        else:
            yield Gap(first, frames, _CAUSES[payload])


def _payload(file: BinaryIO, magic: bytes, frames: int) -> bytes:
    """What follows a block's head, as far as it is there and not too much to be true."""
    if magic == _GAP:
        return file.read(_CAUSE_BYTES)
    if magic == _PCM:
        return file.read(frames * FRAME_BYTES)
    size = file.read(_SIZE.size)
    limit = frames * FRAME_BYTES + SEALED_BYTES_MORE_MAX
    return size + file.read(min(int.from_bytes(size, "little"), limit))
