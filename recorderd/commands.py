"""What the core wants done on the line: to its modem, and into it. Imperative, and answered by events.

Commands to the writer are in core/manifest.py, beside the call record that they carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recorderd.units import MonoNs


@dataclass(frozen=True, slots=True)
class WriteModem:
    line: str
    data: bytes


@dataclass(frozen=True, slots=True)
class PlayAnnouncement:
    """Let the first sample of `clip` leave the output at `at`."""

    line: str
    call_id: str
    clip: str  # as the config names it
    sha256: str  # of its file: the record speaks of this one, whatever has that name meanwhile
    at: MonoNs


@dataclass(frozen=True, slots=True)
class StopAnnouncement:
    line: str
    call_id: str
