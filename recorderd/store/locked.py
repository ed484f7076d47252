"""Segments of a sealed call that a crash left to a process without the call's key.

A segment that was sealed before is whole: it was checked by the process that had the key. What is
still in journals cannot be encoded; its age blocks are collected as they are into a tar archive,
one member a block, named by the frame of the recording at which it begins: `000000480000.pcm.age`.
Opened, a member is interleaved 16-bit little-endian frames, near and far. So a supervisor needs no
more than the stock tools `tar` and `age`. What lies after a hole begins at its own frame; a block
counts up to the beginning of the next one.
"""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING

from recorderd.core.manifest import Segment
from recorderd.disk import files
from recorderd.errors import StoreError
from recorderd.store.journal import sound_blocks
from recorderd.store.names import segment_name
from recorderd.store.spool import reaching

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from recorderd.store.drafts import Draft
    from recorderd.store.journal import Block, JournalInfo

FORM = "tar"
MEMBER_SUFFIX = ".pcm.age"


def locked_segment(
    folder: Path,
    draft: Draft,
    index: int,
    sealed: Sequence[Path],
    parts: Sequence[JournalInfo],
    zone: tzinfo,
) -> Segment:
    """The last form of a segment, durable, out of the files in its folder, or its journals.

    The sound of a sealed file may go on after the end of the recording, which was not known when
    it was sealed: the record's `frames` tell how much of it counts. Raises StoreError.
    """
    first, frames = draft.segment_range(index)
    names = {segment_name(draft, index, frames, zone, form) for form in ("", FORM)}
    last = [path for path in sealed if path.name in names] or list(sealed)
    final = last[0] if last else _collected(folder, draft, index, parts, zone)
    return Segment(final.name, first, frames, files.sha256_of(final), None)


def _collected(
    folder: Path, draft: Draft, index: int, parts: Sequence[JournalInfo], zone: tzinfo
) -> Path:
    first, frames = draft.segment_range(index)
    final = folder / segment_name(draft, index, frames, zone, FORM)
    part = files.part_path(final)
    try:
        with files.guarded(part):
            descriptor = files.create(part)
            try:
                for piece in _archive(parts, first + frames):
                    files.write_all(descriptor, piece)
            finally:
                os.close(descriptor)
        files.sync_file(part)
        _check(part, _archive(parts, first + frames))
        files.rename_durable(part, final)
    finally:
        files.discard(part)
    return final


def _archive(parts: Sequence[JournalInfo], end: int) -> Iterator[bytes]:
    """The pieces of a tar archive (POSIX ustar) of all blocks that begin before `end`."""
    for block in _blocks(parts, end):
        member = tarfile.TarInfo(f"{block.first_frame:012d}{MEMBER_SUFFIX}")
        member.size = len(block.payload)
        member.mode = 0o640
        yield member.tobuf(tarfile.USTAR_FORMAT)
        yield block.payload + bytes(-len(block.payload) % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _blocks(parts: Sequence[JournalInfo], end: int) -> Iterator[Block]:
    """Each part counts up to the beginning of the next one, as in spool.segment_blocks."""
    reached = 0
    parts = reaching(parts)
    for index, part in enumerate(parts):
        limit = min(end, parts[index + 1].first_frame if index + 1 < len(parts) else end)
        for block in sound_blocks(part.path):
            if reached <= block.first_frame < limit:
                yield block
                reached = block.first_frame + block.frames


def _check(path: Path, pieces: Iterator[bytes]) -> None:
    with files.guarded(path), path.open("rb") as file:
        faithful = all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)
    if not faithful:
        raise StoreError(f"{path}: what the disk gives back is not what was written; replace it")
