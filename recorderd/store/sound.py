"""The sound of a segment file, whatever its form: plain, sealed, or a crash's collected blocks."""

from __future__ import annotations

import tarfile
from itertools import pairwise
from typing import TYPE_CHECKING

from recorderd.disk import files
from recorderd.errors import StoreError
from recorderd.media import codec
from recorderd.store.journal import FRAME_BYTES
from recorderd.store.locked import FORM, MEMBER_SUFFIX
from recorderd.store.spool import silence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recorderd.seal.envelope import Opener


def segment_sound(path: Path, first_frame: int, frames: int, opener: Opener) -> Iterator[bytes]:
    """Frames `first_frame` up to `first_frame + frames` of a recording, in blocks of some seconds.

    They are interleaved 16-bit near and far. Holes are silence, as the call's record says them. The
    opener is PLAIN for a plain call, else vault.opened_key's. Raises StoreError.
    """
    if path.suffix == f".{FORM}":
        yield from _collected_sound(path, first_frame, frames, opener)
        return
    left = frames * FRAME_BYTES
    with opener.unpacked(path) as sound:
        for block in codec.decode_blocks(sound):
            if left > 0:
                yield block[:left]
            left -= len(block)
    if left > 0:
        raise StoreError(f"{path}: its last {left // FRAME_BYTES} frames are missing")


def _collected_sound(path: Path, first: int, frames: int, opener: Opener) -> Iterator[bytes]:
    """See locked.py: each block begins at the frame that its name tells."""
    position, end = first, first + frames
    blocks = [*_members(path), (end, b"")]
    for (begin, payload), (limit, _) in pairwise(blocks):
        yield from silence(begin - position)
        position = max(position, begin)
        taken = opener.open(payload)[: (min(limit, end) - position) * FRAME_BYTES]
        yield taken
        position += len(taken) // FRAME_BYTES
    yield from silence(end - position)


def _members(path: Path) -> list[tuple[int, bytes]]:
    """First frame and age file of every block."""
    try:
        with files.guarded(path), tarfile.open(path, "r:") as archive:
            return [
                (int(member.name.removesuffix(MEMBER_SUFFIX)), file.read())
                for member in archive
                if (file := archive.extractfile(member)) is not None
            ]
    except (tarfile.TarError, ValueError) as error:
        message = f"{path}: not an archive of sealed sound ({error}); restore it from a copy"
        raise StoreError(message) from error
