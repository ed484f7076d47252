"""One call against its entries in the ledger: the record, its segments, their sound, its amendments.

The same questions are asked of a call in a bundle and of one in the store. The ledger names the hash
of the record, the record names the hash of each file; so whoever changed a file had to change an entry,
which the chain's checkpoints show.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recorderd.errors import StoreError
from recorderd.store.records import RECORD_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recorderd.core.chain import Entry
    from recorderd.evidence.findings import Case


SEGMENTS_MAX = 1_000_000
"""Of one call: eleven days in segments of a second."""


@dataclass(slots=True)
class Entered:
    """What the ledger says of one call, gathered from its entries in their order."""

    opened_at: str | None = None
    closed_at: str | None = None
    segments: int = 0
    frames: int = 0
    record_sha256: str | None = None
    sounds: str | None = None  # one hash over the entries of its segments
    is_abandoned: bool = False
    tombstone_sha256: str | None = None
    amendments: dict[str, str] = field(default_factory=dict)  # hash by file
    hold_sha256: str | None = None  # of the file that keeps it from being erased
    archived_sha256: str | None = None  # of the note that its sound made room; the archive has it
    receipt_sha256: str | None = None  # of the archive's receipt, as the uploader entered it last
    sealed: dict[int, dict[str, Any]] = field(default_factory=dict)  # until it is closed

    def take(self, entry: Entry) -> None:  # noqa: C901  (one table)
        """The next entry that names this call."""
        data = entry.data
        match entry.kind:
            case "call-opened":
                self.opened_at, self.is_abandoned = entry.at, False
            case "call-abandoned":
                self.is_abandoned = True
            case "segment-sealed" if type(data.get("segment")) is int:
                self.sealed[data["segment"]] = data
            case "call-closed":
                self._close(entry)
            case "call-erased":
                self.tombstone_sha256 = str(data.get("tombstone_sha256"))
            case "record-amended":
                self.amendments[str(data.get("file"))] = str(data.get("sha256"))
            case "sound-removed":
                self.archived_sha256 = str(data.get("note_sha256"))
            case "call-uploaded":
                self.receipt_sha256 = str(data.get("receipt_sha256"))
            case "hold":
                self.hold_sha256 = str(data.get("sha256"))
            case "release":
                self.hold_sha256 = None
            case _:
                pass

    def _close(self, entry: Entry) -> None:
        data = entry.data
        self.closed_at, self.record_sha256 = entry.at, str(data.get("record_sha256"))
        self.segments, self.frames = _count(data, "segments"), _count(data, "frames")
        self.sounds = digest_of_segments(self.sealed, self.segments)
        self.sealed = {}


def _count(data: dict[str, Any], key: str) -> int:
    """A number of an entry; one that is none agrees with no record."""
    value = data.get(key)
    return value if type(value) is int and 0 <= value <= SEGMENTS_MAX * 1_000_000 else -1


def gathered(entries: Iterable[Entry]) -> Entered:
    """What entries about one call say together."""
    entered = Entered()
    for entry in entries:
        entered.take(entry)
    return entered


def parse_record(data: bytes, name: str) -> dict[str, Any]:
    """A call record whose keys that count have the right kinds; StoreError for any other JSON."""
    if len(data) > RECORD_BYTES_MAX:
        raise StoreError(f"{name}: longer than any record")
    try:
        record = json.loads(data)
        for segment in record["segments"]:
            _require(type(segment["file"]) is str and type(segment["sha256"]) is str)
            _require(type(segment["first_frame"]) is int and type(segment["frames"]) is int)
            _require(isinstance(segment["audio_sha256"], str | None))
        audio = record["audio"]
        _require(audio is None or type(audio["frames"]) is int)
        _require(type(record["id"]) is str)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{name}: not a call record ({type(error).__name__})") from error
    assert isinstance(record, dict)
    return record


def _require(condition: bool) -> None:  # noqa: FBT001  (it is the whole of the question)
    if not condition:
        raise TypeError("of another kind")


def judge_record(
    case: Case, where: str, record: dict[str, Any], sha256: str, entered: Entered
) -> None:
    """Whether a record is the one that the ledger closed, and agrees with all that was entered."""
    if entered.record_sha256 is None:
        case.altered.deny(f"{where}: the ledger never closed this call")
        return
    if entered.record_sha256 != sha256:
        case.altered.deny(f"{where}: call.json is not the record that the ledger names")
        return
    frames = record["audio"]["frames"] if record["audio"] else 0
    segments = record["segments"]
    if (entered.segments, entered.frames) != (len(segments), frames):
        case.altered.deny(f"{where}: its record has another length than the ledger says")
    sealed = {index: _as_sealed(record, index) for index in range(len(segments))}
    if digest_of_segments(sealed, len(segments)) != entered.sounds:
        case.altered.deny(f"{where}: its record names other sound than was sealed")
    reached = 0
    for segment in segments:
        first = segment["first_frame"]
        if first != reached:
            case.missing.deny(f"{where}: frames {reached} to {first} are in no segment")
        reached = first + segment["frames"]
    if reached != frames:
        case.missing.deny(f"{where}: its segments hold {reached} of {frames} frames")


def _as_sealed(record: dict[str, Any], index: int) -> dict[str, Any]:
    """The entry that was made when this segment was sealed."""
    segment = record["segments"][index]
    return {
        "call": record["id"],
        "segment": index,
        "first_frame": segment["first_frame"],
        "frames": segment["frames"],
        "audio_sha256": segment["audio_sha256"],
    }


def digest_of_segments(sealed: dict[int, dict[str, Any]], count: int) -> str:
    """One hash for the entries of a call's first `count` segments, so that few bytes are kept."""
    digest = hashlib.sha256()
    for index in range(min(count, SEGMENTS_MAX)):
        digest.update(json.dumps(sealed.get(index), sort_keys=True).encode())
    return digest.hexdigest()
