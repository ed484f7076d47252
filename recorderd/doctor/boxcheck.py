"""Is the box itself well? Its clock, disk and power, judged from what was read."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from recorderd.core.witness import DOUBT_S, caller_id_offset_s
from recorderd.doctor.outcome import Finding, Outcome, Value
from recorderd.units import iso, to_datetime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from recorderd.config.values import Config
    from recorderd.events import Caller
    from recorderd.units import ClockReading

SYNC_USUAL_S, SYNC_WORST_S = 0.5, 2.0
"""Live sound is synced once a second, and a power cut shall cost at most two seconds of it."""

SPARE_RATE = 4
"""Times the sound of all lines: it is written to a journal, read, encoded, and read again."""

CHANNELS, SAMPLE_BYTES = 2, 2


@dataclass(frozen=True, slots=True)
class DiskSeen:
    """How the disk under the state directory behaved."""

    sync_s: Sequence[float]  # of durable writes of a second's sound
    write_kb_s: float
    free_mb: int
    errors: int | None = None  # that the file system has counted; None: it does not say
    worn_share: float | None = None  # of its life, where the disk tells
    is_failing: bool = False  # by its own word
    model: str | None = None


def needed_kb_s(config: Config) -> float:
    """What all lines together write, with what is spare."""
    rate_hz = sum(line.audio.record_rate_hz for line in config.lines)
    return SPARE_RATE * rate_hz * CHANNELS * SAMPLE_BYTES / 1000


def judge_disk(config: Config, seen: DiskSeen) -> Outcome:
    """Speed, space and health."""
    needed = needed_kb_s(config)
    measured: dict[str, Value] = {
        "sync_median_s": round(median(seen.sync_s), 3),
        "sync_worst_s": round(max(seen.sync_s), 3),
        "write_kb_s": round(seen.write_kb_s),
        "needed_kb_s": round(needed),
        "free_mb": seen.free_mb,
        "errors": seen.errors,
        "worn_share": seen.worn_share,
        "model": seen.model,
    }
    findings = []
    if (
        median(seen.sync_s) > SYNC_USUAL_S
        or max(seen.sync_s) > SYNC_WORST_S
        or seen.write_kb_s < needed
    ):
        findings.append(_slow(seen, needed))
    if seen.free_mb < config.storage.free_min_mb:
        findings.append(
            Finding(
                "disk-full",
                f"only {seen.free_mb} MB are free, and storage.free_min_mb asks for "
                f"{config.storage.free_min_mb}",
                "free some space, use a larger disk, or lower storage.retention_days",
            )
        )
    if seen.errors:
        findings.append(
            Finding(
                "disk-errors",
                f"the file system has counted {seen.errors} errors",
                "copy what is on it, check it with fsck, and replace the card or disk",
            )
        )
    if seen.is_failing:
        findings.append(
            Finding(
                "disk-worn",
                "the memory says of itself that it is worn out",
                "replace the card or disk now, and copy its calls first",
            )
        )
    return Outcome("disk", "", measured, tuple(findings))


def _slow(seen: DiskSeen, needed: float) -> Finding:
    return Finding(
        "disk-slow",
        f"the disk is too slow: to bring a second of sound to it takes {median(seen.sync_s):.2f} s, at worst "
        f"{max(seen.sync_s):.2f} s, and it writes {seen.write_kb_s:.0f} kB/s where {needed:.0f} are needed",
        "use a card of application class A1 or A2, or a USB SSD, and see what else writes to it",
    )


def judge_clock(
    reading: ClockReading, zone: tzinfo, *, is_right: bool | None, caller: Caller | None = None
) -> Outcome:
    """`is_right`: what the person says of the time shown (None: nobody was asked). `caller`: one that
    was reported just now, with the exchange's time."""
    ours = to_datetime(reading.wall, zone)
    offset_s = caller_id_offset_s(caller, ours)
    measured: dict[str, Value] = {
        "time": iso(reading.wall, zone),
        "synchronised": reading.synchronised,
        "source": reading.source,
        "exchange_ahead_s": offset_s,
    }
    findings = []
    is_off = offset_s is not None and abs(offset_s) > DOUBT_S
    if is_right is False or is_off:
        how = (
            "" if offset_s is None else f": the exchange's is {offset_s / 60:+.0f} minutes from it"
        )
        findings.append(
            Finding(
                "clock-off",
                f"the box's clock is wrong{how}",
                "check site.time_zone, and set the clock (timedatectl); a box without network needs a "
                "clock module",
            )
        )
    elif not reading.synchronised:
        findings.append(
            Finding(
                "clock-free",
                "the clock is not synchronised, and will be wrong after the next power cut",
                "let the box reach a time server (timedatectl timesync-status), or fit a clock module",
            )
        )
    return Outcome("clock", "", measured, tuple(findings))


# Bits of `vcgencmd get_throttled` (Raspberry Pi documentation, "Raspberry Pi OS: vcgencmd").
_NOW = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
_WAS_SHIFT = 16
_POWER_BIT = 0


def judge_power(throttled: int | None) -> Outcome:
    """`throttled`: the Pi's flags; None: this box has none."""
    if throttled is None:
        return Outcome("power", "", skipped="this box tells nothing of its supply")
    now = [text for bit, text in _NOW.items() if throttled >> bit & 1]
    was = [text for bit, text in _NOW.items() if throttled >> (bit + _WAS_SHIFT) & 1]
    measured: dict[str, Value] = {
        "throttled": f"{throttled:#x}",
        "now": ", ".join(now) or "nothing",
        "since_boot": ", ".join(was) or "nothing",
    }
    findings = []
    if throttled >> _POWER_BIT & 1:
        findings.append(Finding("power-low", "the supply's voltage is too low now", _SUPPLY))
    elif throttled >> (_POWER_BIT + _WAS_SHIFT) & 1:
        findings.append(
            Finding(
                "power-was-low", "the supply's voltage has been too low since the start", _SUPPLY
            )
        )
    hot = [text for text in dict.fromkeys(now + was) if text != "under-voltage"]
    if hot and not findings:
        findings.append(
            Finding(
                "hot",
                f"the processor was slowed down: {', '.join(hot)}",
                "give the box air, or a heat sink; the mark stays until it is started again",
            )
        )
    return Outcome("power", "", measured, tuple(findings))


_SUPPLY = (
    "use the supply that is made for this Pi and a short thick cable; power sound card and modem from a "
    "hub with a supply of its own"
)
