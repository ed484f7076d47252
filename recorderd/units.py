"""Three kinds of number that must never mix, and the only code that converts between them.

`MonoNs` is for intervals and deadlines (the kernel's monotonic clock), `WallNs` is for people
(nanoseconds since 1970, UTC), `FrameIndex` is a position in audio. A Raspberry Pi has no battery
clock, so wall time may jump by hours after boot; nothing is ordered or named by it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import NewType

MonoNs = NewType("MonoNs", int)
WallNs = NewType("WallNs", int)
FrameIndex = NewType("FrameIndex", int)

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
MB = 1_000_000  # as disks are sold


def later(at: MonoNs, ns: int) -> MonoNs:
    """The moment `ns` nanoseconds after `at` (before it where `ns` is negative)."""
    return MonoNs(at + ns)


def ms(milliseconds: float) -> int:
    """Milliseconds as nanoseconds."""
    return round(milliseconds * NS_PER_MS)


def seconds(value: float) -> int:
    """Seconds as nanoseconds."""
    return round(value * NS_PER_S)


def ns_to_frames(ns: int, rate_hz: int) -> int:
    """Whole frames in `ns` nanoseconds at `rate_hz`, rounded to the nearest."""
    return (ns * rate_hz + NS_PER_S // 2) // NS_PER_S


def frames_to_ns(frames: int, rate_hz: int) -> int:
    """Nanoseconds that `frames` frames last at `rate_hz`."""
    return frames * NS_PER_S // rate_hz


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Both clocks read at one moment, and whether wall time could be trusted then."""

    boot_id: str
    mono: MonoNs
    wall: WallNs
    synchronised: bool
    source: str  # "timesyncd", "chrony", "none", "simulated"

    def wall_at(self, at: MonoNs) -> WallNs:
        """Wall time of a monotonic moment of the same boot, by this reading."""
        return WallNs(self.wall + (at - self.mono))


def to_datetime(wall: WallNs, zone: tzinfo) -> datetime:
    """Wall time as an aware datetime, cut to whole milliseconds."""
    seconds_, rest = divmod(wall, NS_PER_S)
    moment = datetime.fromtimestamp(seconds_, UTC).replace(microsecond=rest // NS_PER_MS * 1000)
    return moment.astimezone(zone)


def iso(wall: WallNs, zone: tzinfo) -> str:
    """ISO 8601 with milliseconds and UTC offset: `2026-11-23T18:45:12.345+09:00`."""
    return to_datetime(wall, zone).isoformat(timespec="milliseconds")


def file_stamp(wall: WallNs, zone: tzinfo) -> str:
    """The form used in file names: `20261123T184512+0900`."""
    return to_datetime(wall, zone).strftime("%Y%m%dT%H%M%S%z")
