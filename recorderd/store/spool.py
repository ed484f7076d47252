"""A recording in the crash journal: cut into segments, durable about once a second, read back.

A segment's frames lie in one journal file, or in several parts where a file could no longer be
written and the rest went to a new one. The next part begins where the failed one had been made
durable, so reading takes each part up to the beginning of the next. A failed file may hold more than
was durable, and a process that was killed may have left nothing in the next one: a part that does
not reach beyond the one before it is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from recorderd.disk import files
from recorderd.disk.layout import OPEN
from recorderd.errors import StoreError
from recorderd.store.journal import (
    BLOCK_FRAMES_MAX,
    FRAME_BYTES,
    SUFFIX,
    Journal,
    JournalInfo,
    read_journal,
    sound_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from recorderd.core.manifest import Gap
    from recorderd.seal.envelope import Envelope, Opener
    from recorderd.store.drafts import Draft


LEFT_MS_MAX = 700
"""More sound than this does not wait for the next `flush`, which comes half a second later
(runtime/workers.py). So what is not yet durable is 1.2 s old at the most, and of the two seconds that
a power cut may cost 0.8 s are left for a flush that is late and a sync that is slow. Each sync wears a
memory card by some pages, so that there are no more of them than that takes."""


class SpoolWriter:
    """Writes one recording. `draft` grows with the gaps; `full_segments` can be sealed.

    What is not yet durable stays in memory, so that after a failure all of it goes into a new file;
    whoever feeds this stops feeding while `flush` fails.
    """

    def __init__(self, directory: Path, draft: Draft, envelope: Envelope) -> None:
        self.draft = draft
        self._envelope = envelope
        self.full_segments = 0
        self._directory = directory
        self._durable_frames = 0
        self._pending = bytearray()  # from there on
        self._written = 0  # bytes of it that the journal has taken
        self._gaps_written = 0
        self._journal: Journal | None = None
        self._part = 0

    @property
    def frames(self) -> int:
        """Frames taken so far, durable or not."""
        return self._durable_frames + len(self._pending) // FRAME_BYTES

    def append(self, pcm: bytes, gaps: Sequence[Gap]) -> None:
        """Take frames of the recording, and gaps that lie in them or begin right after them."""
        self._pending += pcm
        if gaps:
            self.draft = replace(self.draft, gaps=(*self.draft.gaps, *gaps))

    def flush(self) -> None:
        """Write all that was taken, and sync it where that cannot wait for the next time.

        Raises StoreError; what was not durable is kept and goes to a new file at the next call.
        """
        self._try_writing(sync_above=self.draft.rate_hz * LEFT_MS_MAX // 1000)

    def finish(self) -> None:
        """Make all of it durable and close the file. Raises StoreError like `flush`."""
        self._try_writing(sync_above=-1)
        self.close()

    def close(self) -> None:
        """Let go of the journal as it is on the disk."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _try_writing(self, sync_above: int) -> None:
        try:
            self._write_pending()
            if len(self._pending) // FRAME_BYTES > sync_above:
                self._sync()
        except StoreError:
            self._give_up_journal()
            raise

    def _write_pending(self) -> None:
        while self._written < len(self._pending):
            position = self._durable_frames + self._written // FRAME_BYTES
            journal = self._journal_at(position)
            self._write_gaps(journal)
            segment_end = (journal.segment + 1) * self.draft.segment_frames
            frames = min(self.draft.rate_hz, BLOCK_FRAMES_MAX, segment_end - position)
            block = bytes(self._pending[self._written : self._written + frames * FRAME_BYTES])
            journal.append(block)
            self._written += len(block)
            if position + len(block) // FRAME_BYTES == segment_end:
                self._end_segment(journal)

    def _end_segment(self, journal: Journal) -> None:
        self._sync()
        self.close()
        self.full_segments, self._part = journal.segment + 1, 0

    def _journal_at(self, position: int) -> Journal:
        if self._journal is None:
            segment = position // self.draft.segment_frames
            self._journal = Journal(
                self._directory, self.draft, self._envelope, segment, self._part, position
            )
            self._gaps_written = len(self.draft.gaps)  # the header has them all
        return self._journal

    def _write_gaps(self, journal: Journal) -> None:
        for gap in self.draft.gaps[self._gaps_written :]:
            journal.append_gap(gap)
        self._gaps_written = len(self.draft.gaps)

    def _sync(self) -> None:
        if self._journal is not None:
            self._write_gaps(self._journal)
            self._journal.sync()
        self._durable_frames += self._written // FRAME_BYTES
        del self._pending[: self._written]
        self._written = 0

    def _give_up_journal(self) -> None:
        """Never write or sync this file again; what is durable of it stays valid."""
        self._written = 0
        journal = self._journal
        self.close()
        if journal is not None and self._durable_frames > journal.first_frame:
            self._part += 1
        elif journal is not None:
            files.discard(journal.path)


# ---------------------------------------------------------------- reading back


def journal_paths(directory: Path, call_id: str, segment: int | None = None) -> list[Path]:
    """The journal files of a call, or of one segment of it, by name. Raises StoreError."""
    with files.guarded(directory / OPEN):
        paths = sorted(path for path in (directory / OPEN).iterdir() if path.suffix == SUFFIX)
    named = [(path, path.stem.rsplit("_", 2)) for path in paths]
    return [
        path
        for path, (owner, number, _) in named
        if owner == call_id and (segment is None or int(number) == segment)
    ]


def find_journals(directory: Path, call_id: str, segment: int | None = None) -> list[JournalInfo]:
    """The journals of a call that can be read, in the order of their frames. Raises StoreError."""
    paths = journal_paths(directory, call_id, segment)
    found = [info for path in paths if (info := read_journal(path)) is not None]
    return sorted(found, key=lambda info: (info.first_frame, info.part))


def reaching(parts: Sequence[JournalInfo]) -> list[JournalInfo]:
    """The parts, in their order, that hold something beyond the one before them."""
    kept: list[JournalInfo] = []
    for part in parts:
        if not kept or part.first_frame + part.frames > kept[-1].first_frame + kept[-1].frames:
            kept.append(part)
    return kept


def segment_blocks(
    parts: Sequence[JournalInfo], opener: Opener, first: int, frames: int
) -> Iterator[bytes]:
    """Frames `first` up to `first + frames` of a segment, in blocks of a second at most.

    `parts` are its journals in the order of their frames; what none of them has is silence. Raises
    StoreError where one has less than it had: a failing disk may take pages back that were read
    before, and silence that nobody listed as a gap must not stand for them.
    """
    position, end = first, first + frames
    parts = reaching(parts)
    for index, part in enumerate(parts):
        limit = min(end, parts[index + 1].first_frame if index + 1 < len(parts) else end)
        yield from silence(min(part.first_frame, end) - position)
        position = max(position, min(part.first_frame, end))
        for block in sound_blocks(part.path):
            taken = block.pcm(opener)[: max(0, limit - position) * FRAME_BYTES]
            if not taken:
                break
            yield taken
            position += len(taken) // FRAME_BYTES
        if position < min(limit, part.first_frame + part.frames):
            raise StoreError(f"{part.path}: it holds less than before; the disk fails: replace it")
    yield from silence(end - position)


def missing_frames(parts: Sequence[JournalInfo], first: int, frames: int) -> list[tuple[int, int]]:
    """The stretches (first, frames) that `segment_blocks` has to fill with silence."""
    missing: list[tuple[int, int]] = []
    position, end = first, first + frames
    for part in parts:
        if part.first_frame > position:
            missing.append((position, min(part.first_frame, end) - position))
        position = max(position, part.first_frame + part.frames)
    if position < end:
        missing.append((position, end - position))
    return missing


def silence(frames: int) -> Iterator[bytes]:
    """So many silent frames, none for a number below zero."""
    while frames > 0:
        block = min(frames, BLOCK_FRAMES_MAX)
        yield bytes(block * FRAME_BYTES)
        frames -= block
