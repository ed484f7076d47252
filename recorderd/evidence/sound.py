"""How the sound of a call's segments is read, and from when on it was on the line."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Sound = Callable[[Path], Iterator[bytes]]
    """The interleaved 16-bit frames of one segment file, near then far."""


def first_frame_at(record: dict[str, Any]) -> datetime:
    """When the first frame of a recording was on the line, in local time."""
    at = datetime.fromisoformat(record["answered_at"] or record["started_at"])
    audio = record["audio"]
    return at - timedelta(seconds=audio["pre_roll_frames"] / audio["sample_rate_hz"])


def frame_at(record: dict[str, Any], when: str) -> int:
    """The frame of a recording that was on the line at a time that its record names."""
    since = datetime.fromisoformat(when) - first_frame_at(record)
    return round(since.total_seconds() * int(record["audio"]["sample_rate_hz"]))
