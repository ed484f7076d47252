"""The call record: one call as `call.json` holds it, and the commands that carry it to the writer.

Positions (`first_frame`, `started_frame`) count frames of the *recording*, at its own rate; frame 0
is the first frame of the pre-roll. Times are monotonic while the call lives; they become ISO 8601
in `as_json`, by one reading of both clocks, so that all times of a call agree with each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from recorderd.core.retention import UNKNOWN
from recorderd.core.witness import caller_id_offset_s
from recorderd.units import NS_PER_S, ClockReading, MonoNs, iso, to_datetime

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from recorderd.events import Caller, Direction
    from recorderd.heard import Channel, NoticeVerdict

Disposition = Literal["recorded", "missed", "not-recorded"]
GapCause = Literal["overrun", "card-lost", "card-stalled", "writer-late", "write-failed", "cut"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Frames that were lost and replaced by silence, so that time stays true."""

    first_frame: int
    frames: int
    cause: GapCause


@dataclass(frozen=True, slots=True)
class Segment:
    """One sealed file of the recording. `sha256` is of the whole file, `audio_sha256` of its sound:
    interleaved 16-bit little-endian frames, near then far, whatever the file's format and tags.
    None: a crash left it sealed, with nobody there who could listen to it."""

    file: str
    first_frame: int
    frames: int
    sha256: str
    audio_sha256: str | None


@dataclass(frozen=True, slots=True)
class Audio:
    """What was recorded: two channels, near then far."""

    sample_rate_hz: int
    frames: int
    pre_roll_frames: int


@dataclass(frozen=True, slots=True)
class Notice:
    """The announcement as it was played, and what of it was found in the line's sound.

    `heard` is None where nobody listened; what follows it is then None too.
    """

    clip: str
    sha256: str
    started_at: MonoNs | None
    frames: int  # of the recording, that the played part lasted
    completed: bool
    heard: NoticeVerdict | None = None
    score: float | None = None  # 0 to 1
    completeness: float | None = None  # 0 to 1, of what can be heard of the clip
    heard_at: MonoNs | None = None  # where its first sample lies
    level_dbm0: float | None = None
    channel: Channel | None = None


@dataclass(frozen=True, slots=True)
class Flash:
    at: MonoNs
    duration_ns: int


@dataclass(frozen=True, slots=True)
class CallWaiting:
    """Somebody else's caller ID, reported during this call."""

    at: MonoNs
    caller: Caller


@dataclass(frozen=True, slots=True)
class Digit:
    """A key that was pressed during the call. `source` is where it was seen: the sound of a channel,
    or the pulses of the hook."""

    at: MonoNs
    source: Channel | Literal["hook"]
    digit: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """What stands in a sealed call's record in place of its numbers and names."""

    party: (
        str  # an age file to the call's key, in base64: JSON of the caller, the number dialled, ...
    )
    vault: str  # the file that holds the call's key, for the supervisors
    numbers: tuple[str, ...]  # keyed hashes by which the call is found


@dataclass(frozen=True, slots=True)
class CallRecord:
    """Everything known of one call. Built by core/call.py, completed by the writer."""

    id: str
    site: str
    line: str
    source: Literal["hardware", "sim"]
    direction: Direction
    disposition: Disposition
    reason: str | None
    started_at: MonoNs  # first ring, or the off-hook edge where there was none
    answered_at: MonoNs | None  # the off-hook edge; None: missed
    ended_at: MonoNs | None  # the on-hook edge; None: still open, or cut
    reading: ClockReading
    software_version: str
    config_sha256: str
    caller: Caller | None = None
    dialled: str | None = None
    rings: int = 0
    flashes: tuple[Flash, ...] = ()
    call_waiting: tuple[CallWaiting, ...] = ()
    other_caller: Caller | None = None  # what the other source said, where the two disagree
    digits: tuple[Digit, ...] = ()
    far_end_ended_at: MonoNs | None = None  # where the exchange's tone began that says so
    continues: str | None = None  # the call that was closed while the handset stayed up
    line_health: Mapping[str, Any] | None = None  # the sound's measures
    notice: Notice | None = None
    notice_reason: str | None = None
    audio: Audio | None = None
    segments: tuple[Segment, ...] = ()
    gaps: tuple[Gap, ...] = ()
    sealed: Sealed | None = None  # None: the call is kept in plain
    cut: bool = False  # the recorder died in mid-call; start-up recovery closed the record
    retention: str = UNKNOWN  # its class: how long it is kept (core/retention.py)
    box_time_s: int | None = None  # where it began on the axis of running time (core/boxtime.py)
    salt: str = ""  # random, so that the record's hash tells nothing when the record is erased

    def as_json(self, zone: tzinfo) -> dict[str, Any]:
        """The record as `call.json` holds it, in its published order of keys."""
        return _as_json(self, zone)


def _as_json(record: CallRecord, zone: tzinfo) -> dict[str, Any]:
    def when(at: MonoNs | None) -> str | None:
        return None if at is None else iso(record.reading.wall_at(at), zone)

    spoken_from = record.answered_at if record.answered_at is not None else record.started_at
    duration_s = (
        None if record.ended_at is None else round((record.ended_at - spoken_from) / 1e9, 3)
    )
    return {
        "id": record.id,
        "site": record.site,
        "line": record.line,
        "source": record.source,
        "direction": record.direction,
        "disposition": record.disposition,
        "reason": record.reason,
        "started_at": when(record.started_at),
        "answered_at": when(record.answered_at),
        "ended_at": when(record.ended_at),
        "duration_s": duration_s,
        "rings": record.rings,
        "caller": _caller(record.caller),
        "dialled": record.dialled,
        "flashes": [
            {"at": when(flash.at), "duration_ms": round(flash.duration_ns / 1e6)}
            for flash in record.flashes
        ],
        "call_waiting": [
            {"at": when(other.at), "caller": _caller(other.caller)} for other in record.call_waiting
        ],
        "other_caller": None if record.other_caller is None else _caller(record.other_caller),
        "digits": [
            {"frame": _frame(record, digit.at), "source": digit.source, "digit": digit.digit}
            for digit in record.digits
        ],
        "far_end_ended_at": when(record.far_end_ended_at),
        "continues": record.continues,
        "line_health": None if record.line_health is None else dict(record.line_health),
        "sealed": _sealed(record.sealed),
        "notice": _notice(record),
        "notice_reason": record.notice_reason,
        "audio": None
        if record.audio is None
        else {
            "sample_rate_hz": record.audio.sample_rate_hz,
            "channels": ["near", "far"],
            "frames": record.audio.frames,
            "pre_roll_frames": record.audio.pre_roll_frames,
        },
        "segments": [
            {
                "file": segment.file,
                "first_frame": segment.first_frame,
                "frames": segment.frames,
                "sha256": segment.sha256,
                "audio_sha256": segment.audio_sha256,
            }
            for segment in record.segments
        ],
        "gaps": [
            {"first_frame": gap.first_frame, "frames": gap.frames, "cause": gap.cause}
            for gap in record.gaps
        ],
        "masked": [],
        "cut": record.cut,
        "clock": {
            "boot_id": record.reading.boot_id,
            "synchronised": record.reading.synchronised,
            "source": record.reading.source,
            "monotonic_ns": record.started_at,
            "caller_id_offset_s": caller_id_offset_s(
                record.caller, to_datetime(record.reading.wall_at(record.started_at), zone)
            ),
            "box_time_s": record.box_time_s,
        },
        "retention": record.retention,
        "salt": record.salt,
        "software_version": record.software_version,
        "config_sha256": record.config_sha256,
    }


def _caller(caller: Caller | None) -> dict[str, Any]:
    if caller is None:
        return {"number": None, "name": None, "absence": None, "source": None, "raw": None}
    return {
        "number": caller.number,
        "name": caller.name,
        "absence": caller.absence,
        "source": caller.source,
        "raw": caller.raw or None,
        "reported_date": caller.reported_date,
        "reported_time": caller.reported_time,
    }


def _sealed(sealed: Sealed | None) -> dict[str, Any] | None:
    if sealed is None:
        return None
    return {"party": sealed.party, "vault": sealed.vault, "numbers": list(sealed.numbers)}


def _notice(record: CallRecord) -> dict[str, Any] | None:
    notice = record.notice
    if notice is None:
        return None
    return {
        "clip": notice.clip,
        "sha256": notice.sha256,
        "started_frame": _frame(record, notice.started_at),
        "frames": notice.frames,
        "completed": notice.completed,
        "heard": None if notice.heard is None else HEARD[notice.heard],
        "score": notice.score,
        "completeness": notice.completeness,
        "heard_frame": _frame(record, notice.heard_at),
        "level_dbm0": notice.level_dbm0,
        "channel": notice.channel,
    }


HEARD: Final[Mapping[NoticeVerdict, bool | str]] = {
    "heard": True,
    "partly": "partly",
    "not-heard": False,
}
"""How `call.json` writes a verdict."""


def _frame(record: CallRecord, at: MonoNs | None) -> int | None:
    """The frame of the recording at a moment; None where it has none."""
    if at is None or record.audio is None or record.answered_at is None:
        return None
    since_hook = (at - record.answered_at) * record.audio.sample_rate_hz // NS_PER_S
    return record.audio.pre_roll_frames + since_hook


# ---------------------------------------------------------------- commands to the writer


@dataclass(frozen=True, slots=True)
class OpenRecording:
    """Record `line` from `pre_roll` before `at`, which is the hook edge."""

    record: CallRecord
    at: MonoNs


@dataclass(frozen=True, slots=True)
class SaveDraft:
    """The record as known so far, durable, so that a crash does not lose what was learned."""

    record: CallRecord


@dataclass(frozen=True, slots=True)
class CloseRecording:
    """The call ended at `record.ended_at`: record up to there, seal, file the record."""

    record: CallRecord


@dataclass(frozen=True, slots=True)
class AbandonRecording:
    """There must be no recording (`reason`); `record` is filed without audio, or nothing is."""

    call_id: str
    reason: str
    record: CallRecord | None


@dataclass(frozen=True, slots=True)
class FileRecord:
    """File a record that never had audio: a missed call."""

    record: CallRecord


@dataclass(frozen=True, slots=True)
class AmendTimes:
    """The clock can be trusted now: amend the times of this boot's calls that were filed before."""

    reading: ClockReading


@dataclass(frozen=True, slots=True)
class LedgerNote:
    """Add an entry to the ledger: something that matters and is no call's (core/chain.py)."""

    kind: str
    data: dict[str, Any]
