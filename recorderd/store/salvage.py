"""The draft of a call of which nothing is left but its segment files, out of names and tags."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from recorderd.core.manifest import CallRecord
from recorderd.events import Caller
from recorderd.media.codec import describe
from recorderd.media.tags import read_tags
from recorderd.store.drafts import Draft
from recorderd.store.names import STAR, sealed_segments
from recorderd.units import NS_PER_S, ClockReading, MonoNs, WallNs, frames_to_ns

if TYPE_CHECKING:
    from pathlib import Path

    from recorderd.events import Absence, Direction

_NAME = re.compile(
    r"(?P<start>\d{8}T\d{6}[+-]\d{4})-\d{8}T\d{6}[+-]\d{4}_(?P<line>.+)_(?P<direction>in|out|unk)"
    r"_(?P<number>[^_]+)_\d{3,}\.(?P<format>flac|wav)"
)
_DIRECTIONS: dict[str, Direction] = {"in": "inbound", "out": "outbound", "unk": "unknown"}


def draft_of_folder(folder: Path, directory: Path) -> Draft | None:
    """What can be known of the call in `folder`; None where it holds no segment.

    The hook edges are not known: the first frame stands for them, and the end is left open. Raises
    StoreError where a segment cannot be read.
    """
    sealed = sealed_segments(folder)
    if not sealed:
        return None
    first_index, last_index = min(sealed), max(sealed)
    first_path = sealed[first_index][0]
    name = _NAME.fullmatch(first_path.name)
    if name is None:
        return None
    first, last = describe(first_path), describe(sealed[last_index][0])
    began = datetime.strptime(name["start"], "%Y%m%dT%H%M%S%z").timestamp()
    skipped_ns = frames_to_ns(first_index * first.frames, first.rate_hz)
    reading = ClockReading(
        "unknown", MonoNs(0), WallNs(int(began) * NS_PER_S - skipped_ns), False, "none"
    )
    return Draft(
        record=_record(folder.name, name, reading, read_tags(first_path)),
        folder=folder.relative_to(directory).as_posix(),
        format="wav" if name["format"] == "wav" else "flac",
        rate_hz=first.rate_hz,
        segment_frames=first.frames,
        hook_at=MonoNs(0),
        pre_roll_frames=0,
        frames=last_index * first.frames + last.frames,
    )


def _record(
    call_id: str, name: re.Match[str], reading: ClockReading, tags: dict[str, str]
) -> CallRecord:
    direction = _DIRECTIONS[name["direction"]]
    known = name["number"] not in {"private", "unknown"}
    number = name["number"].replace(STAR, "*") if known else None
    absence: Absence | None = "private" if name["number"] == "private" else None
    caller = None
    if direction != "outbound" and (number or absence):
        caller = Caller(number, None, absence, "modem", "")
    return CallRecord(
        id=call_id,
        site=tags.get("SITE", ""),
        line=tags.get("LINE", name["line"]),
        source="hardware",
        direction=direction,
        disposition="recorded",
        reason="the record was lost; this one was made from the names of the segments",
        started_at=MonoNs(0),
        answered_at=MonoNs(0),
        ended_at=None,
        reading=reading,
        software_version=tags.get("SOFTWARE", ""),
        config_sha256="",
        caller=caller,
        dialled=number if direction == "outbound" else None,
        cut=True,
    )
