"""What the analyst is told: of lines to listen to. Whoever gives orders needs no detectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recorderd.config.values import Line
    from recorderd.core.profile import Profile
    from recorderd.ports import SoundCard


@dataclass(frozen=True, slots=True)
class ListenTo:
    """A line whose sound is to be listened to from now on."""

    line: Line
    profile: Profile
    card: SoundCard


@dataclass(frozen=True, slots=True)
class StopListening:
    """A line that is taken apart."""

    line: str
