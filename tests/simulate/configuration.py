"""The configuration file of the simulated office, right, changed or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulate.agefile import SUPERVISORS
from tests.simulate.plan import LINES

if TYPE_CHECKING:
    from pathlib import Path

SITE = "simulated-office"
DAYS = {"short": 1, "standard": 180}
"""How long each class of calls is kept: within a run those of one line expire, the other's do not."""

CLASS_OF = {"front-desk": "short", "back-office": "standard"}

_HEAD = """\
[site]
name = "{site}"
country = "{country}"
time_zone = "Asia/Tokyo"

[storage]
directory = "recordings"
format = "{format}"
segment_s = {segment_s}
retention_days = {standard_days}

[[retention]]
name = "short"
days = {short_days}

[simulation]
script = "office-day.line"
"""
_SEAL = """
[seal]
recipients = {recipients}
"""
_LINE = """
[[line]]
name = "{name}"
retention = "{retention}"
[line.audio]
driver = "sim"
device = "Simulated card"
capture_rate_hz = 8000
near_channel = {near}
far_channel = {far}
pre_roll_ms = {pre_roll_ms}
[line.hook]
driver = "sim"
[line.ring]
[line.modem]
driver = "sim"
[line.announcement]
inbound = "notice-ja.wav"
"""


@dataclass
class Configuration:
    """Written by `write`, as it is now."""

    path: Path
    country: str
    format: str
    segment_s: int
    is_sealed: bool
    pre_roll_ms: int = 2000
    is_right: bool = True

    def write(self) -> None:
        text = _HEAD.format(
            site=SITE,
            country=self.country,
            format=self.format,
            segment_s=self.segment_s,
            standard_days=DAYS["standard"],
            short_days=DAYS["short"],
        )
        if self.is_sealed:
            text += _SEAL.format(recipients=[recipient for _, recipient in SUPERVISORS])
        for number, name in enumerate(LINES):
            channels = {"near": 2 * number + 1, "far": 2 * number + 2}
            text += _LINE.format(
                name=name, retention=CLASS_OF[name], pre_roll_ms=self.pre_roll_ms, **channels
            )
        self.path.write_text(text if self.is_right else f"{text}nmae = 1\n")
