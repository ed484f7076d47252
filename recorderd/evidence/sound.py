"""How a call is read: its record, and the sound of its segments, as far as they are open to us."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from recorderd.media.codec import decode_blocks
from recorderd.seal.vault import opened_key, with_party
from recorderd.store.sound import segment_sound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from recorderd.seal.age import Identities

    Sound = Callable[[Path, dict[str, Any]], Iterator[bytes]]
    """The frames of a segment, interleaved near and far, out of its file and its place in the record."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A call as it can be read. `sound` is None where it is sealed and nobody has opened it."""

    record: dict[str, Any]
    sound: Sound | None


def opened(record: dict[str, Any], directory: Path, identities: Identities | None) -> Opened:
    """A call as its record says; a sealed one stays closed, except to a supervisor's identity.

    Raises StoreError where the identity is another's.
    """
    if not is_sealed(record):
        return Opened(record, _plain_sound)
    if identities is None:
        return Opened(record, None)
    opener = opened_key(directory, record["id"], identities)

    def sound(path: Path, segment: dict[str, Any]) -> Iterator[bytes]:
        return segment_sound(path, segment["first_frame"], segment["frames"], opener)

    return Opened(with_party(record, opener), sound)


def is_sealed(record: dict[str, Any]) -> bool:
    """Whether only a supervisor's identity opens a call."""
    return record.get("sealed") is not None


def _plain_sound(path: Path, _segment: dict[str, Any]) -> Iterator[bytes]:
    return decode_blocks(path)


def first_frame_at(record: dict[str, Any]) -> datetime:
    """When the first frame of a recording was on the line, in local time."""
    at = datetime.fromisoformat(record["answered_at"] or record["started_at"])
    audio = record["audio"]
    return at - timedelta(seconds=audio["pre_roll_frames"] / audio["sample_rate_hz"])


def frame_at(record: dict[str, Any], when: str) -> int:
    """The frame of a recording that was on the line at a time that its record names."""
    since = datetime.fromisoformat(when) - first_frame_at(record)
    return round(since.total_seconds() * int(record["audio"]["sample_rate_hz"]))
