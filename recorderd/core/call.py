"""The call machine of one line: facts of line, modem and announcement in; calls and commands out.

Theory of operation. A call begins with the first sign of it, in whatever order its country sends
them: a ring, a caller-ID report (which comes before any ring in the UK and Japan), or an off-hook.
It is *offered* until somebody lifts the phone (answered) or the signs stop (missed), and *talking*
until the first on-hook edge. An off-hook with no offered call is a call placed from here.

Recording never waits for a caller ID: it opens at the off-hook edge, and the sound ring still holds
what came before. A report is laid to a call by its time and state, never by "the last one":

- offered, and no caller yet: it is this call's caller. Another caller while one is known: the first
  caller gave up and a second call is on the line; the first is missed.
- talking, within `LATE_ID_NS` of the answer, and no caller yet: it was sent before the answer (data
  is only sent on-hook) and the modem took its time.
- talking otherwise: somebody else is calling in; kept as call waiting, never as the caller.
- a report that began after the on-hook edge belongs to the next call, even if the hang-up was not
  yet final when it came; such reports and rings are taken back and handed on (`_on_hook`).

Japan: an off-hook may be a caller-ID set's loop closure (closure.py). It is recorded like any other;
when it turns out to be a closure, the recording is abandoned and the call is still only offered.
Its announcement is held back where short ringing came before the off-hook; out of idle it is a call
placed as far as anyone can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from recorderd import events as ev
from recorderd.core.closure import ClosureDoubt, Verdict, closure_doubt
from recorderd.core.livecall import LineSettings, LiveCall
from recorderd.core.manifest import (
    AbandonRecording,
    CallWaiting,
    CloseRecording,
    FileRecord,
    Flash,
    OpenRecording,
    SaveDraft,
)
from recorderd.units import NS_PER_S, MonoNs, later, ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.units import ClockReading

LATE_ID_NS = 6 * NS_PER_S
"""One ringing cycle. The data burst lies before the answer and lasts under a second; modems print
it when it is over. A longer wait would let a call-waiting report pass for the caller."""

ID_THEN_RING_NS = 10 * NS_PER_S
"""A caller ID with no ring after it for so long was an offer that ended. EN 300 659-1 lets the
first ring follow the data within 0.5 s; modems that hide RING are why it is this long."""

BURST_MAX_NS = 15 * NS_PER_S
"""The line machine ends every burst, or calls the pin stuck after 10 s; nothing is decided before."""

NOTICE_ANSWER_NS = 2 * NS_PER_S
"""A card answers every announcement; one that has not by then will not."""

Output: TypeAlias = (
    ev.CallFact
    | ev.PlayAnnouncement
    | ev.StopAnnouncement
    | OpenRecording
    | SaveDraft
    | CloseRecording
    | AbandonRecording
    | FileRecord
)


@dataclass(slots=True)
class _Closing:
    """A call that ended while its announcement was still playing: waits for that answer."""

    call: LiveCall
    until: MonoNs


class CallMachine:
    """All calls of one line. `new_id` makes a call id that never comes twice."""

    def __init__(
        self, settings: LineSettings, reading: ClockReading, new_id: Callable[[], str]
    ) -> None:
        self.settings = settings
        self._reading = reading
        self._new_id = new_id
        self._offered: LiveCall | None = None
        self._offer_until: MonoNs | None = None
        self._talking: LiveCall | None = None
        self._doubt: ClosureDoubt | None = None  # the off-hook may be a caller-ID closure
        self._closing: dict[str, _Closing] = {}
        self._time = reading.mono
        self._out: list[Output] = []

    # ------------------------------------------------------------ outside face

    def handle(self, event: ev.Fact | ev.Input) -> list[Output]:
        """What follows from one event. Events of other lines and kinds change nothing."""
        self._out = []
        self._pass_time(event.at)
        if getattr(event, "line", self.settings.line) == self.settings.line:
            self._dispatch(event)
        return self._out

    def _dispatch(self, event: ev.Fact | ev.Input) -> None:  # noqa: C901, PLR0912  (one table)
        match event:
            case ev.RingingStarted():
                self._ringing_started(event)
            case ev.RingBurstEnded():
                self._burst_ended(event)
            case ev.RingingStopped():
                self._ringing_stopped(event)
            case ev.ModemRang():
                self._modem_rang(event)
            case ev.CallerIdReported():
                self._caller_id(event)
            case ev.WentOffHook():
                self._off_hook(event)
            case ev.HookFlashed():
                self._flashed(event)
            case ev.PulseDialled():
                self._dialled(event)
            case ev.WentOnHook():
                self._on_hook(event)
            case ev.AnnouncementFinished():
                self._announced(event)
            case ev.WallClockStepped():
                self._reading = event.reading
            case ev.StopRequested():
                self._stop(event)
            case _:
                pass

    def deadline(self) -> MonoNs | None:
        """When this machine next needs a TimePassed."""
        times = [self._offer_until, self._judged_at(), self._hold_ends()]
        times += [closing.until for closing in self._closing.values()]
        return min((at for at in times if at is not None), default=None)

    @property
    def talking(self) -> LiveCall | None:
        """The call that goes on now."""
        return self._talking

    @property
    def offered(self) -> LiveCall | None:
        """The call that rings now."""
        return self._offered

    # ------------------------------------------------------------ ringing and caller ID

    def _ringing_started(self, event: ev.RingingStarted) -> None:
        if self._doubt is not None and self._judged_at() is not None:
            self._doubt.ringing_started(event.at)
            return
        call = self._sign_of_offer(event.at)
        if call is not None:
            call.ringing_since = event.at
            self._offer_until = _latest(self._offer_until, later(event.at, BURST_MAX_NS))

    def _burst_ended(self, event: ev.RingBurstEnded) -> None:
        burst_ns = event.at - event.started_at
        if self._doubt is not None and self._judged_at() is not None:
            self._judge(self._doubt.burst_ended(event.at, burst_ns))
        call = self._sign_of_offer(event.started_at)
        if call is None:
            return
        call.bursts += 1
        call.ringing_since = None
        call.longest_burst_ns = max(call.longest_burst_ns, burst_ns)
        self._offer_until = None  # it waited for this end
        self._extend_offer(call, event.at)

    def _modem_rang(self, event: ev.ModemRang) -> None:
        if self._doubt is not None and self._judged_at() is not None:
            self._judge(self._doubt.rang())
        call = self._sign_of_offer(event.at)
        if call is not None:
            call.modem_rings += 1

    def _ringing_stopped(self, event: ev.RingingStopped) -> None:
        call = self._offered
        if call is None or self._talking is not None:
            return
        if event.bursts == 0 and not call.modem_rings and call.caller is None:
            self._offered, self._offer_until = None, None  # a stuck or noisy pin, told as a fault
        elif call.last_ring_at is not None and call.last_ring_at <= event.at:
            self._miss(event.at)

    def _caller_id(self, event: ev.CallerIdReported) -> None:
        if self._talking is not None:
            self._caller_id_while_talking(self._talking, event)
            return
        call = self._offered
        if call is not None and call.caller is not None and _differs(call.caller, event.caller):
            self._miss(call.last_ring_at if call.last_ring_at is not None else call.started_at)
            call = None
        if call is None:
            call = self._offer(event.at)
        call.started_at = min(call.started_at, event.at)
        self._offer_until = _latest(self._offer_until, later(event.at, ID_THEN_RING_NS))
        self._identify(call, event)

    def _caller_id_while_talking(self, call: LiveCall, event: ev.CallerIdReported) -> None:
        assert call.answered_at is not None
        sent_before_answer = event.at <= later(call.answered_at, LATE_ID_NS)
        open_to_one = call.caller is None and not call.dialled and not call.found
        if open_to_one and (sent_before_answer or self._judged_at() is not None):
            if self._doubt is not None:
                self._doubt.caller_id_came()
            self._identify(call, event)
            self._turn_inbound(call, event.at)
        else:
            call.call_waiting.append(CallWaiting(event.at, event.caller))
            call.reports.append(event)
            self._out.append(ev.CallWaitingIdentified(event.at, event.line, call.id, event.caller))
        self._save(call)

    def _turn_inbound(self, call: LiveCall, at: MonoNs) -> None:
        """An off-hook that no ring was seen before turns out to have answered a call."""
        if call.direction == "inbound":
            return
        call.direction = "inbound"
        if not call.notice_pending and call.notice is None and call.ended_at is None:
            self._announce(call, later(at, ms(call.settings.delay_ms)))

    def _identify(self, call: LiveCall, event: ev.CallerIdReported) -> None:
        if call.caller is not None:
            return  # some networks send the same report twice
        call.reports.append(event)
        call.caller = event.caller
        self._out.append(ev.CallerIdentified(event.at, event.line, call.id, event.caller))

    # ------------------------------------------------------------ off-hook

    def _off_hook(self, event: ev.WentOffHook) -> None:
        if self._doubt is not None and self._judged_at() is not None:
            self._judge(self._doubt.off_hook(event.at))
        call, offered = self._offered, self._offered is not None
        self._offered, self._offer_until = None, None
        if call is None:
            call = LiveCall(self._new_id(), self.settings, event.at, self._direction(event))
        call.answered_at, call.found = event.at, event.at_start
        self._talking = call
        self._doubt = closure_doubt(call, event.at)
        self._out.append(self._began(call, event, offered=offered))
        self._out.append(OpenRecording(call.record(self._reading), event.at))
        if event.at_start:
            call.notice_reason = "the call was already going on when the recorder started"
        elif not (offered and self._doubt is not None):
            self._announce(call, later(event.at, ms(call.settings.delay_ms)))

    def _direction(self, event: ev.WentOffHook) -> ev.Direction:
        return "outbound" if self.settings.ring_is_seen and not event.at_start else "unknown"

    def _began(self, call: LiveCall, event: ev.WentOffHook, *, offered: bool) -> ev.CallFact:
        if offered:
            return ev.CallAnswered(event.at, event.line, call.id)
        if event.at_start:
            return ev.CallFound(event.at, event.line, call.id)
        return ev.CallPlaced(event.at, event.line, call.id)

    def _announce(self, call: LiveCall, at: MonoNs) -> None:
        clip = call.settings.clip_for(call.direction)
        if not clip:
            call.notice_reason = f"no announcement is set for {call.direction} calls"
            return
        call.notice_pending, call.notice_clip, call.notice_reason = True, clip, None
        self._out.append(ev.PlayAnnouncement(call.settings.line, call.id, clip, at))

    def _hold_ends(self) -> MonoNs | None:
        """When the doubt is over that holds an announcement back."""
        call = self._talking
        if call is None or call.ended_at is not None or call.notice_pending:
            return None
        return None if self._doubt is None else self._doubt.until

    # ------------------------------------------------------------ while talking

    def _flashed(self, event: ev.HookFlashed) -> None:
        if self._talking is not None:
            self._talking.flashes.append(Flash(event.at, event.duration_ns))
            self._save(self._talking)

    def _dialled(self, event: ev.PulseDialled) -> None:
        call = self._talking
        if call is not None and call.direction != "inbound":
            call.dialled += event.digit
            self._save(call)

    def _announced(self, event: ev.AnnouncementFinished) -> None:
        call = self._talking
        closing = self._closing.pop(event.call_id, None)
        if closing is not None:
            call = closing.call
        if call is None or call.id != event.call_id or not call.notice_pending:
            return
        call.take_notice(event)
        self._out.append(
            ev.NoticeEnded(
                event.at,
                event.line,
                call.id,
                event.completed,
                event.error is not None,
                call.notice_reason,
            )
        )
        if event.error is not None and not call.settings.records_without_notice:
            self._forbid(call, f"the announcement could not be played: {event.error}")
        if closing is not None:
            self._file(call)
        elif call.forbidden is None:
            self._save(call)

    def _forbid(self, call: LiveCall, reason: str) -> None:
        call.forbidden = reason
        record = call.record(self._reading)
        self._out.append(AbandonRecording(call.id, reason, None))
        self._out.append(SaveDraft(record))

    # ------------------------------------------------------------ on-hook

    def _on_hook(self, event: ev.WentOnHook) -> None:
        call = self._talking
        if call is None or call.ended_at is not None:
            return
        call.ended_at = event.at
        later_reports = self._take_back_reports(call)
        if self._doubt is not None and event.at <= self._doubt.until and not call.dialled:
            self._doubt.ended(event.at)
        else:
            self._end(call)
            if call.last_ring_at is not None and call.last_ring_at > event.at:
                self._sign_of_offer(call.last_ring_at)
        for report in later_reports:
            self._caller_id(report)

    def _take_back_reports(self, call: LiveCall) -> list[ev.CallerIdReported]:
        """Reports that came after the on-hook edge, before the hang-up was final: the next call's."""
        assert call.ended_at is not None
        ended_at = call.ended_at
        taken = [report for report in call.reports if report.at > ended_at]
        call.reports = [report for report in call.reports if report.at <= ended_at]
        call.call_waiting = [other for other in call.call_waiting if other.at <= ended_at]
        if any(report.caller is call.caller for report in taken):
            call.caller = None
        return taken

    def _judged_at(self) -> MonoNs | None:
        """When a short off-hook that is over counts as a call; None where none is in question."""
        return None if self._doubt is None else self._doubt.judged_at

    def _judge(self, verdict: Verdict) -> None:
        if verdict is Verdict.CLOSURE:
            self._was_closure()
        elif verdict is Verdict.CALL:
            assert self._talking is not None
            self._end(self._talking)

    def _was_closure(self) -> None:
        call = self._talking
        assert call is not None
        assert call.answered_at is not None
        assert call.ended_at is not None
        line, ended_at = call.settings.line, call.ended_at
        duration_ns = ended_at - call.answered_at
        if call.notice_pending:
            self._out.append(ev.StopAnnouncement(line, call.id))
        self._out.append(AbandonRecording(call.id, "caller-ID closure", None))
        self._out.append(ev.CallerIdClosureSeen(call.answered_at, line, call.id, duration_ns))
        call.withdraw_answer()
        self._talking, self._doubt = None, None
        self._offered = call
        self._extend_offer(call, ended_at)

    def _end(self, call: LiveCall) -> None:
        assert call.ended_at is not None
        self._talking, self._doubt = None, None
        if call.notice is None and call.notice_reason is None and not call.notice_pending:
            call.notice_reason = "the call ended before it was announced"
        self._out.append(ev.CallEnded(call.ended_at, call.settings.line, call.id))
        if call.notice_pending:
            self._out.append(ev.StopAnnouncement(call.settings.line, call.id))
            self._closing[call.id] = _Closing(call, later(self._time, NOTICE_ANSWER_NS))
        else:
            self._file(call)

    def _file(self, call: LiveCall) -> None:
        assert call.ended_at is not None
        record = call.record(self._reading)
        if call.forbidden is None:
            self._out.append(CloseRecording(record))
            return
        self._out.append(ev.CallNotRecorded(call.ended_at, record.line, call.id, call.forbidden))
        self._out.append(FileRecord(record))

    # ------------------------------------------------------------ offers

    def _sign_of_offer(self, at: MonoNs) -> LiveCall | None:
        """A ring at `at`: the offered call it belongs to, or None while somebody talks."""
        if self._talking is not None:
            self._talking.last_ring_at = at
            return None
        call = self._offered if self._offered is not None else self._offer(at)
        self._extend_offer(call, at)
        return call

    def _offer(self, at: MonoNs) -> LiveCall:
        call = LiveCall(self._new_id(), self.settings, at)
        self._offered = call
        self._out.append(ev.CallOffered(at, self.settings.line, call.id))
        return call

    def _extend_offer(self, call: LiveCall, at: MonoNs) -> None:
        call.last_ring_at = _latest(call.last_ring_at, at)
        until = later(at, ms(self.settings.profile.ring_stopped_ms))
        self._offer_until = _latest(self._offer_until, until)

    def _miss(self, at: MonoNs) -> None:
        call = self._offered
        assert call is not None
        self._offered, self._offer_until = None, None
        call.ended_at = at
        self._out.append(ev.CallMissed(at, self.settings.line, call.id))
        self._out.append(FileRecord(call.record(self._reading)))

    # ------------------------------------------------------------ time and service

    def _pass_time(self, at: MonoNs) -> None:
        """Let every deadline up to `at` have its effect, in order and at its own time."""
        while (due := self.deadline()) is not None and due <= at:
            self._time = max(self._time, due)
            self._fire(due)
        self._time = max(self._time, at)

    def _fire(self, due: MonoNs) -> None:
        if self._judged_at() == due:
            self._judge(Verdict.CALL)
        elif self._hold_ends() == due:
            self._release_notice(due)
        elif self._offer_until == due:
            self._offer_ran_out()
        else:
            self._give_up_notice(due)

    def _give_up_notice(self, due: MonoNs) -> None:
        for call_id in [key for key, closing in self._closing.items() if closing.until == due]:
            call = self._closing.pop(call_id).call
            call.notice_pending = False
            call.notice_reason = "the sound card did not say how the announcement ended"
            self._file(call)

    def _release_notice(self, held: MonoNs) -> None:
        """It was a person who answered: the notice is late, and must still come."""
        call = self._talking
        assert call is not None
        self._doubt = None
        if call.notice is None and call.notice_reason is None:
            self._announce(call, held)

    def _offer_ran_out(self) -> None:
        call = self._offered
        assert call is not None
        self._miss(call.last_ring_at if call.last_ring_at is not None else call.started_at)

    def _stop(self, event: ev.StopRequested) -> None:
        for closing in list(self._closing.values()):
            self._file(closing.call)
        self._closing.clear()
        if self._offered is not None:
            self._miss(event.at)
        call = self._talking
        if call is None:
            return
        if call.ended_at is None:
            call.ended_at = event.at
            call.stopped = True
        if call.notice_pending:
            self._out.append(ev.StopAnnouncement(call.settings.line, call.id))
            call.notice_pending = False
            call.notice_reason = "the recorder was stopped while it played"
        self._end(call)

    def _save(self, call: LiveCall) -> None:
        if call.forbidden is None:
            self._out.append(SaveDraft(call.record(self._reading)))


def _latest(one: MonoNs | None, other: MonoNs) -> MonoNs:
    return other if one is None or other > one else one


def _differs(one: ev.Caller, other: ev.Caller) -> bool:
    return (one.number, one.absence) != (other.number, other.absence)
