"""What differs from country to country in hook, ring, caller ID and tones, as plain values.

The values are data (`recorderd/data/profiles/*.toml`), each with its source beside it; this file
says what each one means. Times are milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from recorderd.heard import ToneKind

CallerIdKind = Literal["bell202", "v23", "number-display", "dtmf"]
"""FSK of Bell 202 or ITU-T V.23, Japan's framing over V.23, DTMF digits."""


@dataclass(frozen=True, slots=True)
class Tone:
    """One call progress tone.

    Its frequencies sound together, but for special information, where each burst of the cadence
    has the next of them.
    """

    kind: ToneKind
    frequencies_hz: tuple[int, ...]
    modulation_hz: int = 0  # of the amplitude; 0: none
    cadence_ms: tuple[int, ...] = ()  # on, off, on, off …, over and over; empty: continuous

    @property
    def is_sequence(self) -> bool:
        """Whether the frequencies come one after another."""
        return self.kind == "special-information" and len(self.frequencies_hz) > 1


@dataclass(frozen=True, slots=True)
class Profile:
    """Hook and ring times of one country's telephone network, and what it sounds like."""

    country: str  # ISO 3166 alpha-2
    off_hook_confirm_ms: int  # off-hook must hold this long before it is believed
    bounce_ms: int  # a shorter break or make is contact bounce
    pulse_max_ms: int  # a break up to this long is a dial pulse; a longer one a flash or hang-up
    inter_digit_ms: int  # off-hook this long after the last pulse ends a digit
    hang_up_ms: int  # a break longer than this is a hang-up; between pulse_max and this a flash
    ring_burst_gap_ms: int  # no ring edge for this long ends a burst
    ring_burst_min_ms: int  # a shorter burst is line noise
    ring_stopped_ms: int  # no burst for this long after the last: ringing has stopped
    caller_id_closure_max_ms: int  # Japan: longest loop closure by a caller-ID set; 0: none here
    caller_id_closure_ring_within_ms: int  # Japan: real ringing follows such a closure within this
    caller_id: tuple[CallerIdKind, ...]  # how exchanges send who calls, in the audio
    tones: tuple[Tone, ...]  # call progress tones; several may be of one kind
