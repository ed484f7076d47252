"""What happens in a call while it goes on: flashes, keys, the exchange's tones, how it sounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from recorderd import events as ev
from recorderd import heard
from recorderd.core.manifest import Flash

if TYPE_CHECKING:
    from recorderd.core.livecall import LiveCall

Happening: TypeAlias = (
    ev.HookFlashed
    | ev.PulseDialled
    | heard.DigitHeard
    | heard.ToneHeard
    | heard.SoundReturned
    | heard.LineMeasured
)


FLASHES_MAX = 1000
"""A contact that goes bad makes so many; the draft, which holds them all, is written after each."""


def take(call: LiveCall, event: Happening) -> list[ev.CallFact] | None:
    """Let something have its effect on the call that goes on; the facts that follow.

    None: nothing of the call's record changed that must be kept now.
    """
    dialling, far_end = call.dialling, call.far_end
    assert dialling is not None, "it was answered"
    assert far_end is not None
    if event.at < dialling.since or call.ended_at is not None:
        return None
    match event:
        case ev.HookFlashed():
            far_end.loop_broken(event.at)
            if len(call.flashes) == FLASHES_MAX:
                return None
            call.flashes.append(Flash(event.at, event.duration_ns))
        case ev.PulseDialled():
            dialling.pulse(event, call.direction)
        case heard.DigitHeard():
            dialling.key(event, call.direction)
        case heard.ToneHeard():
            dialling.tone(event.tone)
            if not far_end.heard(event):
                return None
            return [ev.FarEndGone(event.at, event.line, call.id, event.tone)]
        case heard.SoundReturned():
            far_end.sound_returned()
        case heard.LineMeasured():
            call.measured = event
            return None
    return []
