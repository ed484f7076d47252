"""From a finished recording to a filed call, one bounded step at a time.

The order is what makes a power cut harmless; each step can be done again from its beginning:

1. A segment is encoded from the journals' frames under a temporary name, synced, read back from the
   disk and decoded, compared with the same frames, renamed, its directory synced. Only then do its
   journals go. Segments that fill up while the call goes on have no tags yet.
2. When the length is known each segment gets its last name and its tags: a tagged copy is made in
   the same way before the old file goes. Two files of one segment after a cut are the same sound.
3. The key of a sealed call, if it is not there yet; `call.json`, then its entries in the ledger with a signed checkpoint, then the row in the
   catalogue, then the draft goes; then the call is acknowledged.

What a sealed call's segments hold is made and checked in memory without a name; only its envelope's
output comes to the disk, and is read back from there (seal/envelope.py).

The writer does this while other lines record; start-up recovery does the same with what it finds.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from recorderd.core.manifest import Audio, Gap, Segment
from recorderd.disk import files
from recorderd.disk.layout import OPEN, QUARANTINE
from recorderd.errors import StoreError
from recorderd.media import codec, tags
from recorderd.seal.vault import destroy_key
from recorderd.store.drafts import draft_path, merge_gaps, save_draft
from recorderd.store.journal import FRAME_BYTES
from recorderd.store.locked import locked_segment
from recorderd.store.names import sealed_segments, segment_name, segment_tags
from recorderd.store.records import write_record
from recorderd.store.spool import find_journals, journal_paths, missing_frames, segment_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from recorderd.core.manifest import CallRecord, GapCause
    from recorderd.seal.envelope import Envelope
    from recorderd.store.books import Books
    from recorderd.store.drafts import Draft
    from recorderd.store.journal import JournalInfo
    from recorderd.store.ledger import Ledger


class Closing:
    """The last steps of one call, whose draft says how long it is."""

    def __init__(
        self, directory: Path, zone: tzinfo, draft: Draft, envelope: Envelope, lost: GapCause
    ) -> None:
        """`lost` is the cause to write down for frames that a journal should hold and does not."""
        assert draft.frames is not None
        self.draft = draft
        self.filed: CallRecord | None = None  # the record as it was filed
        self.done = False
        self._directory = directory
        self._zone = zone
        self._envelope = envelope
        self._lost: GapCause = lost
        self._segments: list[Segment] = []

    @property
    def folder(self) -> Path:
        return self._directory / self.draft.folder

    def step(self, books: Books) -> None:
        """One step more. Raises StoreError, after which the same step can be tried again."""
        if len(self._segments) < self.draft.segments:
            self._segments.append(self._finish_segment(len(self._segments), books.ledger))
            return
        self._remove_what_came_after()
        if self.draft.is_filed and self.filed is None:
            record = self._final_record()
            self._envelope.keep()
            file_record(self._directory, self._zone, books, record, self.draft.folder)
            self.filed = record
        books.ledger.sync()  # that it was abandoned: of a call without a record nothing else is left
        if self._envelope.is_sealed and not self.draft.is_filed:
            # Once more, for a full disk may have refused it: a draft that still speaks of the call
            # is recovered with its numbers, and needs the key that opens them.
            save_draft(self._directory, self.draft)
            destroy_key(self._directory, self.draft.record.id)
        files.remove_durable(draft_path(self._directory, self.draft.record.id))
        self.done = True

    def _remove_what_came_after(self) -> None:
        """Sound from after the end of the recording; all of it where nothing must be kept.

        It was written before the end was known: hanging up is certain only some time afterwards.
        """
        call_id = self.draft.record.id
        if self.draft.frames:
            remove_journals(self._directory, find_journals(self._directory, call_id))
        else:
            for path in journal_paths(self._directory, call_id):
                files.remove_durable(path)
        for index, paths in sealed_segments(self.folder).items():
            for path in paths if index >= self.draft.segments else ():
                files.remove_durable(path)
        if self.folder.is_dir():
            files.remove_parts(self.folder)
            if not self.draft.is_filed:
                with suppress(OSError):  # files of others in it keep it
                    self.folder.rmdir()

    def _finish_segment(self, index: int, ledger: Ledger) -> Segment:
        sealed = sealed_segments(self.folder).get(index, [])
        parts = find_journals(self._directory, self.draft.record.id, index)
        if not sealed:
            self.draft = with_missing(self._directory, self.draft, index, parts, self._lost)
        if self._envelope.is_locked:
            segment = self._finish_locked(index, sealed, parts, ledger)
        elif not sealed:
            segment = self._write_final(index, None, partial(self._from_journals, index, parts))
        else:
            with self._envelope.unpacked(sealed[0]) as whole:
                parts = self._checked(index, parts, whole)
                sound = partial(self._from_sealed, index, whole)
                segment = self._write_final(index, whole, sound)
        for path in sealed:
            if path.name != segment.file:
                files.remove_durable(path)
        remove_journals(self._directory, parts)
        return segment

    def _finish_locked(
        self, index: int, sealed: list[Path], parts: Sequence[JournalInfo], ledger: Ledger
    ) -> Segment:
        """A segment of a call that nobody here can open: sealed files stay, blocks are collected."""
        files.make_directory(self.folder, self._directory)
        segment = locked_segment(self.folder, self.draft, index, sealed, parts, self._zone)
        known = ledger.last("segment-sealed", self.draft.record.id, index) or {}
        if segment.frames == self.draft.segment_frames and index < len(self.draft.sounds):
            return replace(segment, audio_sha256=self.draft.sounds[index])
        if (known.get("first_frame"), known.get("frames")) == (segment.first_frame, segment.frames):
            return replace(segment, audio_sha256=known["audio_sha256"])
        return segment

    def _from_journals(self, index: int, parts: Sequence[JournalInfo]) -> Iterator[bytes]:
        return segment_blocks(parts, self._envelope, *self.draft.segment_range(index))

    def _from_sealed(self, index: int, sealed: Path) -> Iterator[bytes]:
        """Its sound up to the end of the recording: when it was sealed, the end was not known."""
        left = self.draft.segment_range(index)[1] * FRAME_BYTES
        for block in codec.decode_blocks(sealed):
            if left > 0:
                yield block[:left]
            left -= len(block)

    def _checked(self, index: int, parts: list[JournalInfo], sealed: Path) -> list[JournalInfo]:
        """Tell which journals may go: a cut came between sealing the segment and removing them.

        If they are not what was sealed, some of them had gone already, or something is wrong: they
        are set aside.
        """
        frames = codec.describe(sealed).frames
        first = self.draft.segment_range(index)[0]
        blocks = segment_blocks(parts, self._envelope, first, frames)
        if not parts or codec.verify_segment(sealed, blocks):
            return parts
        for part in parts:
            set_aside(self._directory, part.path)
        return []

    def _write_final(
        self, index: int, sealed: Path | None, sound: Callable[[], Iterator[bytes]]
    ) -> Segment:
        """Give a segment its last name and its tags, durable.

        `sound` gives its frames, from the first, at every call; a sealed file that holds just these
        (`sealed`, unpacked) is copied, not encoded again.
        """
        draft, envelope = self.draft, self._envelope
        first, frames = draft.segment_range(index)
        final = self.folder / segment_name(draft, index, frames, self._zone)
        files.make_directory(self.folder, self._directory)
        part = files.part_path(final)
        with envelope.bench(part) as tagged:
            if sealed is not None and codec.describe(sealed).frames == frames:
                tags.write_tagged(sealed, tagged, segment_tags(draft, index, self._zone))
                envelope.pack(tagged, part)
                with envelope.unpacked(part) as written:
                    _require(codec.same_sound(written, sealed), final)
                audio_sha256 = self._sound_of_sealed(index, sealed)
            else:
                with envelope.bench(_plain_part(final)) as plain:
                    audio_sha256 = _encode(plain, draft, frames, sound())
                    tags.write_tagged(plain, tagged, segment_tags(draft, index, self._zone))
                envelope.pack(tagged, part)
                with envelope.unpacked(part) as written:
                    _require(codec.verify_segment(written, sound()), final)
            sha256 = files.sha256_of(part)
            files.rename_durable(part, final)
        return Segment(final.name, first, frames, sha256, audio_sha256)

    def _sound_of_sealed(self, index: int, sealed: Path) -> str:
        """The hash of a sealed segment's sound; a cut may have come before the draft had it, or after
        the end of the recording was cut off a segment that had been sealed full."""
        is_full = self.draft.segment_range(index)[1] == self.draft.segment_frames
        if is_full and index < len(self.draft.sounds):
            return self.draft.sounds[index]
        return sound_hash(codec.decode_blocks(sealed))

    def _final_record(self) -> CallRecord:
        draft = self.draft
        record = replace(draft.record, salt=draft.salt)
        if not draft.frames:
            return record
        audio = Audio(draft.rate_hz, draft.frames, draft.pre_roll_frames)
        return replace(
            record,
            audio=audio,
            segments=tuple(self._segments),
            gaps=merge_gaps(draft.gaps, draft.frames),
        )


def seal_full_segment(
    directory: Path, zone: tzinfo, draft: Draft, envelope: Envelope, index: int, ledger: Ledger
) -> Draft:
    """Seal a full segment of a call that goes on. Raises StoreError.

    Gives the draft as it is on the disk then, where the gaps of the journals stand now: from then on
    they can be removed, and must not be sealed again, for some may be gone.
    """
    parts = find_journals(directory, draft.record.id, index)
    draft = with_missing(directory, draft, index, parts, "write-failed")
    first, frames = draft.segment_range(index)
    folder = directory / draft.folder
    final = folder / segment_name(draft, index, frames, zone)
    files.make_directory(folder, directory)
    part = files.part_path(final)
    with envelope.bench(part) as plain:
        sound = segment_blocks(parts, envelope, first, frames)
        audio_sha256 = _encode(plain, draft, frames, sound)
        envelope.pack(plain, part)
        with envelope.unpacked(part) as written:
            sound = segment_blocks(parts, envelope, first, frames)
            _require(codec.verify_segment(written, sound), final)
        files.rename_durable(part, final)
    enter_segment(ledger, draft.record.id, index, first, frames, audio_sha256)
    draft = replace(draft, sounds=(*draft.sounds[:index], audio_sha256))
    save_draft(directory, draft)
    return draft


def file_record(
    directory: Path, zone: tzinfo, books: Books, record: CallRecord, folder: str
) -> None:
    """Make a call's record, its entries in the ledger and its row durable.

    The call may be acknowledged when this returns.
    """
    path = directory / folder
    content = record.as_json(zone)
    files.make_directory(path, directory)
    enter_call(books.ledger, content, write_record(path, content))
    books.catalogue.add(content, path)


# ---------------------------------------------------------------- entries in the ledger

GAPS_ENTERED_MAX = 100
"""The record, whose hash is entered, has them all; so many keep a line of the ledger readable."""


def enter_segment(
    ledger: Ledger,
    call_id: str,
    index: int,
    first_frame: int,
    frames: int,
    audio_sha256: str | None,
) -> None:
    """Enter a sealed segment, unless it is entered; again where its end was cut since then."""
    data = {
        "call": call_id,
        "segment": index,
        "first_frame": first_frame,
        "frames": frames,
        "audio_sha256": audio_sha256,
    }
    if ledger.last("segment-sealed", call_id, index) != data:
        ledger.append("segment-sealed", **data)


def enter_call(ledger: Ledger, record: dict[str, Any], sha256: str) -> None:
    """Enter what a record says of its segments, notice and gaps, and its hash; signed, durable.

    `record` is a call record as JSON. Raises StoreError, after which it can be done again.
    """
    call_id = record["id"]
    if ledger.last("call-closed", call_id) is None:
        for index, segment in enumerate(record["segments"]):
            enter_segment(
                ledger,
                call_id,
                index,
                segment["first_frame"],
                segment["frames"],
                segment["audio_sha256"],
            )
        if record["notice"] is not None or record["notice_reason"] is not None:
            ledger.append(
                "notice", call=call_id, reason=record["notice_reason"], **(record["notice"] or {})
            )
        if record["gaps"]:
            ledger.append(
                "gaps",
                call=call_id,
                count=len(record["gaps"]),
                frames=sum(gap["frames"] for gap in record["gaps"]),
                first=record["gaps"][:GAPS_ENTERED_MAX],
            )
        ledger.append(
            "call-closed",
            call=call_id,
            line=record["line"],
            disposition=record["disposition"],
            cut=record["cut"],
            segments=len(record["segments"]),
            frames=record["audio"]["frames"] if record["audio"] else 0,
            record_sha256=sha256,
        )
    ledger.sign()


def with_missing(
    directory: Path, draft: Draft, index: int, parts: Sequence[JournalInfo], cause: GapCause
) -> Draft:
    """The draft with a gap for every frame of a segment that its journals do not hold."""
    missing = missing_frames(parts, *draft.segment_range(index))
    if not missing:
        return draft
    gaps = {Gap(first, frames, cause) for first, frames in missing}
    draft = replace(draft, gaps=(*draft.gaps, *(gaps - set(draft.gaps))))
    save_draft(directory, draft)
    return draft


def no_sound(record: CallRecord, gaps: Sequence[Gap], card: str) -> CallRecord:
    """The record of a call of which no sound was kept. `card` names its sound card."""
    causes = {gap.cause for gap in gaps}
    if causes & {"write-failed", "writer-late"}:
        reason = "the recording could not be written to the disk"
    elif "cut" in causes:
        reason = "the recorder stopped before any sound was kept"
    else:
        reason = f"{card} gave no audio"
    return replace(record, disposition="not-recorded", reason=reason)


def remove_journals(directory: Path, parts: Sequence[JournalInfo]) -> None:
    """Remove journals whose valid frames are sealed; one that is damaged is set aside instead."""
    for part in parts:
        if part.is_damaged:
            set_aside(directory, part.path)
        else:
            files.remove_durable(part.path)


def set_aside(directory: Path, path: Path) -> None:
    quarantine = directory / OPEN / QUARANTINE
    files.make_directory(quarantine, directory)
    files.rename_durable(path, quarantine / path.name)
    files.fsync_directory(path.parent)


def _plain_part(final: Path) -> Path:
    """The temporary name of a segment before it has its tags."""
    return files.part_path(final.with_name(final.name + ".plain"))


def _encode(target: Path, draft: Draft, frames: int, sound: Iterator[bytes]) -> str:
    """Encode a segment and give the hash of its sound."""
    digest = hashlib.sha256()
    written = codec.encode_segment(target, _hashed(sound, digest), draft.rate_hz, draft.format)
    assert written == frames, "a segment holds every frame of its range"
    return digest.hexdigest()


def sound_hash(blocks: Iterable[bytes]) -> str:
    """The SHA-256 of interleaved 16-bit frames, in hexadecimal."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _hashed(sound: Iterator[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for block in sound:
        digest.update(block)
        yield block


def _require(faithful: bool, final: Path) -> None:  # noqa: FBT001  (the one thing it is about)
    if not faithful:
        raise StoreError(f"{final}: what the disk gives back is not what was written; replace it")
