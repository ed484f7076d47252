"""One line, listened to: what its sound tells goes to the core as events, each at its moment."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, TypeAlias

from recorderd import events as ev
from recorderd import heard
from recorderd.dsp.health import HealthMeter, findings
from recorderd.dsp.hearing import CallerIdHeard, DigitHeard, standards_of
from recorderd.dsp.line import LineEar, LineHeard
from recorderd.dsp.spectrum import RATE_HZ
from recorderd.dsp.tones import ToneHeard
from recorderd.dsp.voice import VoiceEdge, VoiceTrigger
from recorderd.listening.stream import LineStream
from recorderd.listening.verdicts import Verdicts
from recorderd.ports import PlayedNotice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from recorderd.config.values import Line
    from recorderd.core.profile import Profile
    from recorderd.ports import SoundCard

MEASURED_EVERY = 5 * RATE_HZ

Told: TypeAlias = (
    PlayedNotice
    | ev.CallAnswered
    | ev.CallPlaced
    | ev.CallFound
    | ev.CallReopened
    | ev.CallEnded
    | ev.CallerIdClosureSeen
)
"""What a listener must know of its line's calls, and what was played into the line."""


class Listener:
    """Reads the line's card whenever it is asked to."""

    def __init__(self, line: Line, profile: Profile, card: SoundCard) -> None:
        self.line = line
        self._card = card
        self._profile = profile
        self._stream = LineStream(card, line.audio)
        self._ear = self._new_ear()
        self._verdicts = Verdicts(line.name, self._stream)
        self._trigger = self._new_trigger()
        self._is_off_hook = False  # by the trigger
        self._meter: HealthMeter | None = None  # of the call that goes on
        self._measure_at = 0

    def fresh(self) -> Listener:
        """Another one for the same line, that knows nothing."""
        return Listener(self.line, self._profile, self._card)

    def handle(self, what: Told) -> None:
        """Keep what is needed of a call, and no longer than it is."""
        match what:
            case PlayedNotice():
                self._verdicts.ask(what)
            case ev.CallAnswered() | ev.CallPlaced() | ev.CallFound() | ev.CallReopened():
                self._listen_to_call(HealthMeter())
            case ev.CallEnded() | ev.CallerIdClosureSeen():
                self._verdicts.over()
                self._meter = None

    def _listen_to_call(self, meter: HealthMeter) -> None:
        self._verdicts.begin()
        self._meter = meter
        self._measure_at = self._stream.position + MEASURED_EVERY

    def listen(self) -> list[ev.Input]:
        """All that became certain since the last time."""
        found: list[ev.Input] = []
        try:
            while (frames := self._stream.read()) is not None:
                found += self._take(frames)
        except LookupError:  # overwritten before it was read
            found += [self._told(each) for each in self._ear.finish()]
            found += self.give_up()
            self._ear, self._trigger = self._new_ear(), self._new_trigger()
            self._stream.begin_anew()
            self._verdicts = Verdicts(self.line.name, self._stream)
            if self._meter is not None:  # the call goes on
                self._listen_to_call(self._meter)
        return found + list(self._verdicts.answers())

    def give_up(self) -> list[ev.Input]:
        """What others must know when nothing more comes of what was heard: a call by its sound ends."""
        if not self._is_off_hook:
            return []
        self._is_off_hook = False
        return [heard.VoiceEdge(self._stream.time_of(self._stream.position), self.line.name, False)]

    def _new_trigger(self) -> VoiceTrigger | None:
        hook = self.line.hook
        if hook.driver != "voice":
            return None
        return VoiceTrigger(hook.hangover_s, hook.level_dbm0)

    def _new_ear(self) -> LineEar:
        return LineEar(standards_of(self._profile.caller_id), self._profile.tones)

    def _take(self, frames: NDArray[np.int16]) -> list[ev.Input]:
        self._verdicts.take(frames)
        found = [self._told(each) for each in self._ear.feed(frames)]
        if self._trigger is not None:
            found += [self._voice(edge) for edge in self._trigger.feed(frames)]
        if self._meter is not None:
            self._meter.feed(frames)
            if self._stream.position >= self._measure_at:
                self._measure_at = self._stream.position + MEASURED_EVERY
                found.append(self._measured(self._meter))
        return found

    def _voice(self, edge: VoiceEdge) -> heard.VoiceEdge:
        self._is_off_hook = edge.off_hook
        return heard.VoiceEdge(self._stream.time_of(edge.sample), self.line.name, edge.off_hook)

    def _measured(self, meter: HealthMeter) -> heard.LineMeasured:
        health = meter.measure()
        wrong = tuple(finding.text for finding in findings(health))
        at = self._stream.time_of(self._stream.position)
        return heard.LineMeasured(at, self.line.name, asdict(health), wrong)

    def _told(self, found: LineHeard) -> ev.Input:
        at, line = self._stream.time_of(found.what.start), self.line.name
        match found.what:
            case CallerIdHeard(message=message, raw=raw):
                return heard.CallerIdHeard(at, line, message.caller("line-audio", raw))
            case DigitHeard(digit=digit):
                return heard.DigitHeard(at, line, found.channel, digit)
            case ToneHeard(stop=stop, tone=tone):
                return heard.ToneHeard(
                    at, line, tone, None if stop is None else self._stream.time_of(stop)
                )
            case _:
                return heard.SoundReturned(at, line)
