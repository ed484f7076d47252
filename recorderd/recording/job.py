"""One call on its way to the disk: with its sound (`Recording`), or only its record (`Paper`).

Both are driven in small steps by the writer; a step that raises StoreError is tried again later
from where it was. Sound is copied out of the ring before anything else is done, so that whatever
the disk does with drafts and segments, the ring loses as little as possible.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from recorderd.store.closing import Closing, no_sound, remove_journals, seal_full_segment
from recorderd.store.drafts import Draft, is_all_gap, merge_gaps, save_draft
from recorderd.store.names import call_folder
from recorderd.store.spool import SpoolWriter, find_journals

if TYPE_CHECKING:
    from datetime import tzinfo

    from recorderd.config.values import Storage
    from recorderd.core.manifest import CallRecord
    from recorderd.recording.capture import Capture
    from recorderd.seal.envelope import Envelope
    from recorderd.store.books import Books
    from recorderd.units import MonoNs

COPY_READS = 4
"""Seconds of sound copied in one step: a call catches up many times faster than it goes on, and
what waits in memory for a disk that refuses it stays small."""


class Job(Protocol):
    """What the writer drives."""

    record: CallRecord  # as last heard of
    is_ended: bool  # nothing more will be said of this call
    is_waiting: bool  # there is nothing to do until something more is said
    retry_at: MonoNs | None  # set while the disk refuses it
    closing: Closing | None  # its last steps, when it has come to them

    def save(self, record: CallRecord) -> None:
        """Keep what is known so far."""

    def end(self, record: CallRecord) -> None:
        """File the call: it is over."""

    def abandon(self, record: CallRecord | None) -> None:
        """There must be no sound of it; file the record, if there is to be one."""

    def step(self, now: MonoNs, books: Books) -> bool:
        """Do a little; whether more can be done at once. Raises StoreError."""
        ...


class Recording:
    """A call that is recorded."""

    def __init__(
        self,
        storage: Storage,
        zone: tzinfo,
        record: CallRecord,
        capture: Capture,
        envelope: Envelope,
    ) -> None:
        self._envelope = envelope
        self.record = record = envelope.take_in(record, zone)
        self.is_ended = False
        self.is_waiting = False
        self.retry_at: MonoNs | None = None
        self.closing: Closing | None = None
        self._directory = storage.directory
        self._zone = zone
        self._capture = capture
        self._spool = SpoolWriter(self._directory, _draft(storage, zone, record, capture), envelope)
        self._is_saved = False  # the record as last heard of
        self._is_abandoned = False
        self._is_filed = True
        self._sealed = 0
        capture.begin()

    def save(self, record: CallRecord) -> None:
        self._take(self._envelope.take_in(record, self._zone))

    def _take(self, record: CallRecord) -> None:
        self.record, self._is_saved = record, False

    def end(self, record: CallRecord) -> None:
        self.save(record)
        self.is_ended = True
        assert record.ended_at is not None
        self._capture.end(record.ended_at)

    def abandon(self, record: CallRecord | None) -> None:
        self.is_ended, self._is_abandoned = True, True
        self._is_filed = record is not None
        if record is not None:
            self.save(record)

    def step(self, now: MonoNs, books: Books) -> bool:
        if self.closing is not None:
            self.closing.step(books)
            return not self.closing.done
        if self._is_abandoned:
            self._close_without_sound(self.record)
            return True
        self._copy(now)
        if not self._is_saved:
            self._save_draft()
        if self._sealed < self._spool.full_segments:
            self._seal(books)
            return True
        if self._capture.finished:
            self._close()
        return self._capture.finished or self._capture.is_behind

    def _copy(self, now: MonoNs) -> None:
        """From the ring to the journal; what failed to be written last time goes first."""
        if self.retry_at is not None:
            self._capture.blame_disk()
            self._envelope.keep()
            self._spool.flush()
        began = self._spool.frames
        for _ in range(COPY_READS):
            piece = self._capture.read(now)
            if piece is None:
                break
            self._spool.append(*piece)
            # Silence comes in large pieces: one of them may wait for the disk, not four.
            if self._spool.frames - began >= COPY_READS * self._spool.draft.rate_hz:
                break
        pre_roll_frames = self._capture.pre_roll_frames
        self._spool.draft = replace(self._spool.draft, pre_roll_frames=pre_roll_frames)
        self._envelope.keep()
        self._spool.flush()

    def _save_draft(self) -> None:
        self._spool.draft = replace(self._spool.draft, record=self.record)
        save_draft(self._directory, self._spool.draft)
        self._is_saved = True

    def _seal(self, books: Books) -> None:
        index = self._sealed
        if index >= len(self._spool.draft.sounds):
            self._spool.draft = seal_full_segment(
                self._directory,
                self._zone,
                self._spool.draft,
                self._envelope,
                index,
                books.ledger,
            )
        journals = find_journals(self._directory, self.record.id, index)
        remove_journals(self._directory, journals)
        self._sealed += 1

    def _close(self) -> None:
        self._spool.finish()
        frames = self._capture.total_frames
        gaps = merge_gaps(self._spool.draft.gaps, frames)
        if is_all_gap(gaps, frames):
            card = f'sound card "{self._capture.card.name}"'
            self._close_without_sound(no_sound(self.record, gaps, card))
            return
        draft = replace(self._spool.draft, record=self.record, frames=frames, gaps=gaps)
        save_draft(self._directory, draft)
        self._finish(draft)

    def _finish(self, draft: Draft) -> None:
        self.closing = Closing(self._directory, self._zone, draft, self._envelope, "write-failed")

    def _close_without_sound(self, record: CallRecord) -> None:
        """Let the draft say so before anything is removed: no crash may bring the sound back.

        A full disk may refuse the draft, which is told as any failure is; the next step removes the
        sound all the same, for that is what makes room again.
        """
        self._spool.close()
        draft = replace(
            self._spool.draft, record=record, frames=0, gaps=(), is_filed=self._is_filed
        )
        self._finish(draft)
        if self._is_filed:
            self._envelope.keep()
        save_draft(self._directory, draft)


class Paper:
    """A call without a recording: its record is kept as a draft until it is filed."""

    def __init__(
        self, storage: Storage, zone: tzinfo, record: CallRecord, envelope: Envelope
    ) -> None:
        self._envelope = envelope
        self.record = record = envelope.take_in(record, zone)
        self.is_ended = False
        self.is_waiting = False
        self.retry_at: MonoNs | None = None
        self.closing: Closing | None = None
        self._directory = storage.directory
        self._zone = zone
        self._template = replace(_draft(storage, zone, record, None), frames=0)

    def save(self, record: CallRecord) -> None:
        self.record = self._envelope.take_in(record, self._zone)
        self.is_waiting = False

    def end(self, record: CallRecord) -> None:
        self.save(record)
        self._close(is_filed=True)

    def abandon(self, record: CallRecord | None) -> None:
        if record is not None:
            self.save(record)
        self._close(is_filed=record is not None)

    def step(self, now: MonoNs, books: Books) -> bool:  # noqa: ARG002
        if self.closing is None:
            self._envelope.keep()
            save_draft(self._directory, replace(self._template, record=self.record))
            self.is_waiting = True
            return False
        self.closing.step(books)
        return not self.closing.done

    def _close(self, *, is_filed: bool) -> None:
        self.is_ended, self.is_waiting = True, False
        draft = replace(self._template, record=self.record, is_filed=is_filed)
        self.closing = Closing(self._directory, self._zone, draft, self._envelope, "write-failed")


def _draft(storage: Storage, zone: tzinfo, record: CallRecord, capture: Capture | None) -> Draft:
    rate_hz = 8000 if capture is None else capture.record_rate_hz
    return Draft(
        record=record,
        folder=call_folder(record, zone),
        format=storage.format,
        rate_hz=rate_hz,
        segment_frames=storage.segment_s * rate_hz,
        hook_at=record.started_at if capture is None else capture.at,
        pre_roll_frames=0,
    )
