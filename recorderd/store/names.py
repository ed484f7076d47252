"""The folder of a call, the file name of a segment, and what the segment's tags say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from recorderd.disk import files
from recorderd.disk.layout import CALLS
from recorderd.media.tags import SegmentTags
from recorderd.units import file_stamp, iso, to_datetime

if TYPE_CHECKING:
    from datetime import tzinfo
    from pathlib import Path

    from recorderd.core.manifest import CallRecord
    from recorderd.store.drafts import Draft

NUMBER_CHARS_MAX = 32
LINE_CHARS_MAX = 40  # three bytes each at the most, in a file name of at most 255 bytes

STAR = "x"
"""Stands for the key `*`, which Windows and the FAT of a USB stick take in no file name."""

_SHORT_DIRECTION = {"inbound": "in", "outbound": "out", "unknown": "unk"}
_SEGMENT = re.compile(r"_(\d{3,})\.(?:(?:flac|wav)(?:\.age)?|tar)$")
_NUMBER = re.compile(r"_[^_/]+_(\d{3,}\.(?:flac|wav|tar))")


def call_folder(record: CallRecord, zone: tzinfo) -> str:
    """The folder of a call, relative to the state directory: `calls/2026/11/23/<call-id>`."""
    day = to_datetime(record.reading.wall_at(record.started_at), zone)
    return f"{CALLS}/{day:%Y/%m/%d}/{record.id}"


def segment_name(draft: Draft, index: int, frames: int, zone: tzinfo, form: str = "") -> str:
    """The file name of a segment of `frames` frames, by what is known of its call.

    `form` is the ending, where it is not that of the sound's format.
    """
    record = draft.record
    first = index * draft.segment_frames
    start, end = (
        file_stamp(record.reading.wall_at(draft.time_of(frame)), zone)
        for frame in (first, first + frames)
    )
    line = re.sub(r"[^\w-]", "-", record.line)[:LINE_CHARS_MAX]
    direction = _SHORT_DIRECTION[record.direction]
    number = _number_in_name(record)
    suffix = form or (f"{draft.format}.age" if record.sealed else draft.format)
    return f"{start}-{end}_{line}_{direction}_{number}_{index:03d}.{suffix}"


def _number_in_name(record: CallRecord) -> str:
    if record.sealed:
        return "sealed"
    number = re.sub(r"[^0-9+*#A-Za-z]", "", other_party(record) or "")[:NUMBER_CHARS_MAX]
    if number:
        return number.replace("*", STAR)
    absence = record.caller.absence if record.caller else None
    return "private" if absence == "private" else "unknown"


def without_number(text: str) -> str:
    """A message about a call's files, for a log, a ledger or an alarm, which hold no number."""
    return _NUMBER.sub(r"_…_\1", text)


def other_party(record: CallRecord) -> str | None:
    """The number at the far end: the one dialled, or the caller's."""
    if record.direction == "outbound":
        return record.dialled
    return record.caller.number if record.caller else None


def segment_tags(draft: Draft, index: int, zone: tzinfo) -> SegmentTags:
    """What the file of a segment says about itself. Only when the recording's length is known."""
    record = draft.record
    first = index * draft.segment_frames
    date = iso(record.reading.wall_at(draft.time_of(first)), zone)
    caller = record.caller
    unknown = "sealed" if record.sealed else "unknown"
    number = other_party(record) or (caller.absence if caller else None) or unknown
    name = caller.name if caller and record.direction != "outbound" else None
    return SegmentTags(
        title=f"{record.direction} call {number} on {record.line}, {date}",
        artist=name or number,
        date=date,
        line=record.line,
        direction=record.direction,
        number=number,
        call_id=record.id,
        segment=index + 1,
        segments=draft.segments,
        first_frame=first,
        site=record.site,
        software=f"recorderd {record.software_version}",
    )


def sealed_segments(folder: Path) -> dict[int, list[Path]]:
    """The segment files of a call by their number; two of one number are the same sound.

    A folder that is not there has none. Raises StoreError.
    """
    found: dict[int, list[Path]] = {}
    if folder.is_dir():
        with files.guarded(folder):
            for path in sorted(folder.iterdir()):
                match = _SEGMENT.search(path.name)
                if match and not path.name.startswith("."):
                    found.setdefault(int(match[1]), []).append(path)
    return found
