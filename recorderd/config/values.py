"""The configuration as typed values. What each key means and allows is in keys.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from recorderd.core.profile import Profile


@dataclass(frozen=True, slots=True)
class Site:
    name: str
    country: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Storage:
    directory: Path
    format: Literal["flac", "wav"]
    segment_s: int
    retention_days: int
    free_min_mb: int


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """Calls that are kept for another time than those of the class "standard"."""

    name: str
    days: int


@dataclass(frozen=True, slots=True)
class Seal:
    recipients: tuple[str, ...]  # age1…, at least two unless one is allowed
    allow_single_recipient: bool


@dataclass(frozen=True, slots=True)
class LineAudio:
    driver: Literal["pyaudio", "sim"]
    device: str
    capture_rate_hz: int
    record_rate_hz: int
    near_channel: int  # 1-based
    far_channel: int
    pre_roll_ms: int
    close_after_busy_s: int  # 0: never


@dataclass(frozen=True, slots=True)
class Hook:
    driver: Literal["rpi-gpio", "gpiod", "voice", "sim"]
    pin: int | None  # BCM number, or the chip's line offset for gpiod; None for voice and sim
    active: Literal["low", "high"]  # the level that means off-hook
    pull: Literal["up", "down", "none"]
    chip: str  # gpiod only
    hang_up_ms: int | None  # None: the country's
    hangover_s: int  # voice only
    level_dbm0: int  # voice only


@dataclass(frozen=True, slots=True)
class Ring:
    """The ring pin; it is read by the hook's driver."""

    pin: int | None
    active: Literal["low", "high"]
    pull: Literal["up", "down", "none"]


@dataclass(frozen=True, slots=True)
class ModemPort:
    driver: Literal["serial", "sim"]
    port: str
    baud: int


@dataclass(frozen=True, slots=True)
class Announcement:
    inbound: str  # a path, or the name of a clip that ships; empty: none
    outbound: str
    delay_ms: int
    output_device: str
    output_channel: int | None  # 1-based; None: all of the device's channels
    if_not_played: Literal["record", "do-not-record"]


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    retention: str  # the class of its calls
    audio: LineAudio
    hook: Hook
    ring: Ring | None
    modem: ModemPort | None
    announcement: Announcement | None


@dataclass(frozen=True, slots=True)
class Archive:
    url: str
    endpoint: str  # empty: Amazon's
    region: str
    credentials: Path | None  # None: the systemd credential, else the AWS variables
    ca_file: Path | None
    host_key: str  # of an SFTP server, as "ssh-ed25519 AAAA…"
    lock_days: int  # 0: the bucket's own default
    lock_mode: Literal["governance", "compliance"]
    order: Literal["oldest-first", "newest-first"]
    limit_kb_s: int  # 0: none
    hours: str  # "20:00-07:00"; empty: always
    timestamp_url: str  # empty: none


@dataclass(frozen=True, slots=True)
class Simulation:
    script: str  # a .line file, or the name of one that ships


@dataclass(frozen=True, slots=True)
class Config:
    path: Path
    sha256: str  # of the file's bytes
    site: Site
    storage: Storage
    retention: tuple[RetentionClass, ...]  # beside "standard"
    seal: Seal | None  # None: calls are kept in plain
    lines: tuple[Line, ...]
    archive: Archive | None
    simulation: Simulation | None
    profile: Profile  # of site.country
