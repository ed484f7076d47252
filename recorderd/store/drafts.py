"""The draft of a call: all that recovery needs to finish it, durable while the call goes on.

A draft lives as `open/<call-id>.json` from before the first frame is kept until the call is filed.
`frames` tells the two halves of its life apart: None while sound is still being recorded, then the
length of the whole recording, all of it in journals or sealed segments; from then on only the steps
of store/closing.py are left. `frames` 0 means that there is, or must be, no recording.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from recorderd.core.manifest import (
    Audio,
    CallRecord,
    CallWaiting,
    Digit,
    Flash,
    Gap,
    Notice,
    Sealed,
    Segment,
)
from recorderd.disk import files
from recorderd.errors import StoreError
from recorderd.events import Caller
from recorderd.units import ClockReading, MonoNs, frames_to_ns, later

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

VERSION = 1


@dataclass(frozen=True, slots=True)
class Draft:
    """One call on its way into the store. Positions count frames of the recording."""

    record: CallRecord  # without audio, segments and gaps until it is filed
    folder: str  # of the call, relative to the state directory; fixed when the call begins
    format: Literal["flac", "wav"]
    rate_hz: int
    segment_frames: int
    hook_at: MonoNs  # the off-hook edge, which is frame `pre_roll_frames`
    pre_roll_frames: int
    gaps: tuple[Gap, ...] = ()
    frames: int | None = None
    is_filed: bool = True  # False: nothing is left of this call, not even a record
    sounds: tuple[str, ...] = ()  # the SHA-256 of the sound of each segment sealed so far
    salt: str = field(default_factory=lambda: os.urandom(16).hex())  # of the record

    @property
    def segments(self) -> int:
        """How many segments the whole recording has. Only when `frames` is known."""
        assert self.frames is not None
        return -(-self.frames // self.segment_frames)

    def segment_range(self, index: int) -> tuple[int, int]:
        """First frame of a segment and the frames it holds when it is full or the last one."""
        first = index * self.segment_frames
        end = first + self.segment_frames
        return first, (end if self.frames is None else min(end, self.frames)) - first

    def time_of(self, frame: int) -> MonoNs:
        """When a frame of the recording was on the line, counted from the hook edge."""
        return later(self.hook_at, frames_to_ns(frame - self.pre_roll_frames, self.rate_hz))


def merge_gaps(gaps: Iterable[Gap], frames: int) -> tuple[Gap, ...]:
    """Gaps in order, cut to `frames`, none over another; those of one cause that touch become one.

    A gap of no frames says that the recording was cut there, and stays.
    """
    merged: list[Gap] = []
    reached = 0
    for gap in sorted(set(gaps), key=lambda gap: (gap.first_frame, -gap.frames)):
        first, end = max(gap.first_frame, reached), min(gap.first_frame + gap.frames, frames)
        last = merged[-1] if merged else None
        if gap.frames == 0 and gap.first_frame <= frames:
            merged.append(gap)
        elif end > first and last and last.frames and last.cause == gap.cause and first == reached:
            merged[-1] = Gap(last.first_frame, end - last.first_frame, last.cause)
        elif end > first:
            merged.append(Gap(first, end - first, gap.cause))
        reached = max(reached, end)
    return tuple(merged)


def is_all_gap(gaps: Iterable[Gap], frames: int) -> bool:
    """Whether no frame of a recording was kept."""
    reached = 0
    for gap in sorted(gaps, key=lambda gap: gap.first_frame):
        if gap.first_frame > reached:
            return False
        reached = max(reached, gap.first_frame + gap.frames)
    return reached >= frames


def draft_path(directory: Path, call_id: str) -> Path:
    """Where the draft of a call lies in the state directory."""
    return directory / "open" / f"{call_id}.json"


def save_draft(directory: Path, draft: Draft) -> None:
    """Make a draft durable; StoreError where that fails."""
    text = json.dumps(as_dict(draft), ensure_ascii=False)
    files.write_durable(draft_path(directory, draft.record.id), text.encode())


def load_draft(path: Path) -> Draft:
    """Read a draft back; StoreError where it cannot be read or is not one."""
    with files.guarded(path):
        data = path.read_bytes()
    try:
        return from_dict(json.loads(data))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"{path}: not a draft of a call ({error!r}); it is set aside"
        raise StoreError(message) from error


def as_dict(draft: Draft) -> dict[str, Any]:
    """The draft as JSON holds it."""
    return {"version": VERSION, **asdict(draft)}


def from_dict(data: dict[str, Any]) -> Draft:
    """The other way round. Raises ValueError, KeyError or TypeError on anything else."""
    rest = dict(data)
    if rest.pop("version") != VERSION:
        raise ValueError(f"version {data['version']} is not {VERSION}")
    rest["record"] = _record(rest["record"])
    rest["gaps"] = tuple(Gap(**gap) for gap in rest["gaps"])
    rest["sounds"] = tuple(rest["sounds"])
    return Draft(**rest)


def _record(data: dict[str, Any]) -> CallRecord:
    rest = dict(data)
    rest["reading"] = ClockReading(**rest["reading"])
    rest["caller"] = _maybe(Caller, rest["caller"])
    rest["other_caller"] = _maybe(Caller, rest["other_caller"])
    rest["digits"] = tuple(Digit(**digit) for digit in rest["digits"])
    rest["notice"] = _maybe(Notice, rest["notice"])
    rest["audio"] = _maybe(Audio, rest["audio"])
    rest["sealed"] = _sealed(rest["sealed"])
    rest["flashes"] = tuple(Flash(**flash) for flash in rest["flashes"])
    rest["segments"] = tuple(Segment(**segment) for segment in rest["segments"])
    rest["gaps"] = tuple(Gap(**gap) for gap in rest["gaps"])
    rest["call_waiting"] = tuple(
        CallWaiting(other["at"], Caller(**other["caller"])) for other in rest["call_waiting"]
    )
    return CallRecord(**rest)


def _sealed(data: dict[str, Any] | None) -> Sealed | None:
    return None if data is None else Sealed(**{**data, "numbers": tuple(data["numbers"])})


def _maybe(kind: type, data: dict[str, Any] | None) -> Any:
    return None if data is None else kind(**data)
