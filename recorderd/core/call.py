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
  is only sent on-hook) and the modem took its time. The line's sound tells the place exactly.
- talking otherwise: somebody else is calling in; kept as call waiting, never as the caller.
- a report that began after the on-hook edge belongs to the next call, even if the hang-up was not
  yet final when it came; such reports and rings are taken back and handed on (`_on_hook`).

Japan: an off-hook may be a caller-ID set's loop closure (closure.py). It is recorded like any other;
when it turns out to be a closure, the recording is abandoned and the call is still only offered.
Its announcement is held back where short ringing came before the off-hook; out of idle it is a call
placed as far as anyone can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from recorderd import commands, heard
from recorderd import events as ev
from recorderd.core.closings import Closings
from recorderd.core.closure import ClosureDoubt, Verdict, closure_doubt
from recorderd.core.livecall import LineSettings, LiveCall
from recorderd.core.manifest import (
    AbandonRecording,
    CallWaiting,
    CloseRecording,
    FileRecord,
    OpenRecording,
    SaveDraft,
)
from recorderd.core.offer import Offer
from recorderd.core.reports import LATE_ID_NS, differ, is_another, may_be_callers, of_same_burst
from recorderd.core.talk import Happening, take
from recorderd.units import MonoNs, later, ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.units import ClockReading

Output: TypeAlias = (
    ev.CallFact
    | commands.PlayAnnouncement
    | commands.StopAnnouncement
    | OpenRecording
    | SaveDraft
    | CloseRecording
    | AbandonRecording
    | FileRecord
)


class CallMachine:
    """All calls of one line. `new_id` makes a call id that never comes twice."""

    def __init__(
        self, settings: LineSettings, reading: ClockReading, new_id: Callable[[], str]
    ) -> None:
        self.settings = settings
        self._reading = reading
        self._new_id = new_id
        self._offer: Offer | None = None
        self._talking: LiveCall | None = None
        self._doubt: ClosureDoubt | None = None  # the off-hook may be a caller-ID closure
        self._closed: LiveCall | None = None  # its handset is still up
        self._closings = Closings()
        self._time = reading.mono
        self._over_at = MonoNs(-1)  # until then reports are of calls that are filed
        self._out: list[Output] = []

    # ------------------------------------------------------------ outside face

    def handle(self, event: ev.Fact | ev.Input) -> list[Output]:
        """What follows from one event. Events of other lines and kinds change nothing."""
        self._out = []
        self._pass_time(event.at)
        if getattr(event, "line", self.settings.line) == self.settings.line:
            self._dispatch(event)
        return self._out

    def _dispatch(self, event: ev.Fact | ev.Input) -> None:  # noqa: C901  (one table)
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
            case ev.WentOnHook():
                self._on_hook(event)
            case ev.AnnouncementFinished():
                self._announced(event)
            case heard.NoticeHeard():
                self._judged(event)
            case ev.WallClockStepped():
                self._reading = event.reading
            case ev.StopRequested():
                self._stop(event)
            case _:
                self._happened(event)

    def deadline(self) -> MonoNs | None:
        """When this machine next needs a TimePassed."""
        times = (
            None if self._offer is None else self._offer.until,
            self._judged_at(),
            self._hold_ends(),
            self._busy_ends(),
            self._closings.deadline(),
        )
        return min((at for at in times if at is not None), default=None)

    @property
    def is_idle(self) -> bool:
        """No call goes on, rings, or waits to be filed."""
        return self._talking is None and self._offer is None and self._closings.deadline() is None

    @property
    def talking(self) -> LiveCall | None:
        """The call that goes on now."""
        return self._talking

    @property
    def offered(self) -> LiveCall | None:
        """The call that rings now."""
        return None if self._offer is None else self._offer.call

    # ------------------------------------------------------------ ringing and caller ID

    def _ringing_started(self, event: ev.RingingStarted) -> None:
        if self._doubt is not None and self._judged_at() is not None:
            self._doubt.ringing_started(event.at)
            return
        offer = self._sign_of_offer(event.at)
        if offer is not None:
            offer.burst_began(event.at)

    def _burst_ended(self, event: ev.RingBurstEnded) -> None:
        burst_ns = event.at - event.started_at
        if self._doubt is not None and self._judged_at() is not None:
            self._judge(self._doubt.burst_ended(event.at, burst_ns))
        offer = self._sign_of_offer(event.started_at)
        if offer is not None:
            offer.burst_ended(event.at, burst_ns)

    def _modem_rang(self, event: ev.ModemRang) -> None:
        if self._doubt is not None and self._judged_at() is not None:
            self._judge(self._doubt.rang())
        offer = self._sign_of_offer(event.at)
        if offer is not None:
            offer.call.modem_rings += 1

    def _ringing_stopped(self, event: ev.RingingStopped) -> None:
        offer = self._offer
        if offer is None or self._talking is not None:
            return
        call = offer.call
        if event.bursts == 0 and not call.modem_rings and call.caller is None:
            self._offer = None  # a stuck or noisy pin, told as a fault
        elif call.last_ring_at is not None and call.last_ring_at <= event.at:
            self._miss(offer, event.at)

    def _caller_id(self, event: ev.CallerIdReported) -> None:
        if self._talking is not None:
            self._caller_id_while_talking(self._talking, event)
            return
        if event.at <= self._over_at:  # told so late that its call is filed
            return
        if self._offer is not None and is_another(self._offer.call, event):
            self._miss(self._offer, self._offer.ended_at)
            self._over_at = min(self._over_at, later(event.at, -1))
        offer = self._offered_since(event.at)
        offer.identified(event.at)
        self._identify(offer.call, event)

    def _caller_id_while_talking(self, call: LiveCall, event: ev.CallerIdReported) -> None:
        same_burst = of_same_burst(call.reports, event)
        if same_burst is not None and same_burst is call.caller:
            self._identify(call, event)
        elif may_be_callers(call, event, self._doubt):
            if self._doubt is not None:
                self._doubt.caller_id_came()
            self._identify(call, event)
            self._turn_inbound(call, event.at)
        elif same_burst is None or differ(same_burst, event.caller):
            call.call_waiting.append(CallWaiting(event.at, event.caller))
            call.reports.append(event)
            self._out.append(ev.CallWaitingIdentified(event.at, event.line, call.id, event.caller))
        self._save(call)

    def _turn_inbound(self, call: LiveCall, at: MonoNs) -> None:
        """An off-hook that no ring was seen before turns out to have answered a call."""
        if call.direction == "inbound":
            return
        call.direction, call.turned_from = "inbound", call.direction
        if call.may_be_announced:
            self._announce(call, later(at, ms(call.settings.delay_ms)))

    def _identify(self, call: LiveCall, event: ev.CallerIdReported) -> None:
        before, disagreed = call.caller, call.other_caller
        call.take_report(event)
        if call.caller is None:
            return
        if before is None:
            self._out.append(ev.CallerIdentified(event.at, event.line, call.id, event.caller))
        elif call.other_caller is not disagreed:
            source = call.caller.source
            self._out.append(ev.CallersDisagree(event.at, event.line, call.id, source))

    # ------------------------------------------------------------ off-hook

    def _off_hook(self, event: ev.WentOffHook) -> None:
        if self._doubt is not None and self._judged_at() is not None:
            self._judge(self._doubt.off_hook(event.at))
        call, offered = self.offered, self._offer is not None
        self._offer = None
        if call is None:
            call = LiveCall(self._new_id(), self.settings, event.at, self._direction(event))
        call.answer(event.at)
        call.found = event.at_start
        self._talking, self._closed, self._doubt = call, None, closure_doubt(call, event.at)
        began = ev.CallAnswered if offered else ev.CallFound if event.at_start else ev.CallPlaced
        self._out.append(began(event.at, event.line, call.id))
        self._out.append(OpenRecording(call.record(self._reading), event.at))
        if event.at_start:
            call.notice_reason = "the call was already going on when the recorder started"
        elif not (offered and self._doubt is not None):
            self._announce(call, later(event.at, ms(call.settings.delay_ms)))

    def _direction(self, event: ev.WentOffHook) -> ev.Direction:
        return "outbound" if self.settings.ring_is_seen and not event.at_start else "unknown"

    def _announce(self, call: LiveCall, at: MonoNs) -> None:
        clip = call.settings.clip_for(call.direction)
        if not clip:
            call.notice_reason = f"no announcement is set for {call.direction} calls"
            return
        self._out.append(call.ask_for(clip, at))

    def _hold_ends(self) -> MonoNs | None:
        """When the doubt is over that holds an announcement back."""
        call = self._talking
        if call is None or call.ended_at is not None or call.notice_pending:
            return None
        return None if self._doubt is None else self._doubt.until

    # ------------------------------------------------------------ while talking

    def _happened(self, event: ev.Fact | ev.Input) -> None:
        if not isinstance(event, Happening):
            return
        if self._talking is not None:
            facts = take(self._talking, event)
            if facts is not None:
                self._out += facts
                self._save(self._talking)
        elif self._closed is not None and isinstance(event, ev.HookFlashed | heard.SoundReturned):
            self._reopen(self._closed, event.at)

    def _busy_ends(self) -> MonoNs | None:
        """When the exchange's tone has gone on for long enough to close the recording."""
        call = self._talking
        if call is None or call.far_end is None or call.ended_at is not None:
            return None
        return call.far_end.close_at

    def _close_busy(self, at: MonoNs) -> None:
        """The far end has gone, and nobody hangs up: there is nothing more to record."""
        call = self._talking
        assert call is not None
        seconds = call.settings.close_after_busy_s
        call.closed_because = f"the far end had hung up: {seconds} s of busy tone"
        call.ended_at = at
        self._end(call)
        self._closed = call

    def _reopen(self, closed: LiveCall, at: MonoNs) -> None:
        """The handset that stayed up is in use again; by whom with whom is not known."""
        call = LiveCall(self._new_id(), self.settings, at, "unknown", continues=closed.id)
        call.answer(at)
        self._talking, self._closed = call, None
        self._out.append(ev.CallReopened(at, self.settings.line, call.id, closed.id))
        self._out.append(OpenRecording(call.record(self._reading), at))
        self._announce(call, later(at, ms(call.settings.delay_ms)))

    def _announced(self, event: ev.AnnouncementFinished) -> None:
        call = self._waiting_or_on(event.call_id)
        if call is None or not call.takes_answer():
            return
        self._out.append(call.take_notice(event))
        if event.error is not None and not call.settings.records_without_notice:
            self._forbid(call, f"the announcement could not be played: {event.error}")
        if self._closings.take(call.id) is not None:
            self._file_when_judged(call)
        else:
            self._save(call)

    def _judged(self, event: heard.NoticeHeard) -> None:
        call = self._waiting_or_on(event.call_id)
        if call is None or not call.take_verdict(event):
            return
        if self._closings.take(call.id) is not None:
            self._file(call)
        else:
            self._save(call)

    def _waiting_or_on(self, call_id: str) -> LiveCall | None:
        """The call that is meant: one that is over and waits, goes on, or was answered by no person."""
        calls = (self._closings.find(call_id), self._talking, self.offered)
        return next((call for call in calls if call and call.id == call_id), None)

    def _forbid(self, call: LiveCall, reason: str) -> None:
        call.forbidden = reason
        record = call.record(self._reading)
        self._out += [AbandonRecording(call.id, reason, None), SaveDraft(record)]

    # ------------------------------------------------------------ on-hook

    def _on_hook(self, event: ev.WentOnHook) -> None:
        call, self._closed = self._talking, None
        if call is None or call.ended_at is not None:
            return
        call.ended_at = max(event.at, call.answered_at or event.at)
        later_reports = call.take_back_reports()
        if self._doubt is not None and event.at <= self._doubt.until and not call.dialled:
            self._doubt.ended(event.at)
        else:
            self._end(call)
            if call.last_ring_at is not None and call.last_ring_at > event.at:
                self._sign_of_offer(call.last_ring_at)
        for report in later_reports:
            self._caller_id(report)

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
        if call.notice_pending:
            self._out.append(commands.StopAnnouncement(line, call.id))
        self._out.append(AbandonRecording(call.id, "caller-ID closure", None))
        duration_ns = ended_at - call.answered_at
        self._out.append(ev.CallerIdClosureSeen(call.answered_at, line, call.id, duration_ns))
        call.withdraw_answer()
        self._talking, self._doubt = None, None
        self._offer = Offer(call)
        self._offer.rang(ended_at)

    def _end(self, call: LiveCall) -> None:
        assert call.ended_at is not None
        self._talking, self._doubt, self._over_at = None, None, call.ended_at
        if call.notice is None and call.notice_reason is None and not call.notice_pending:
            call.notice_reason = "the call ended before it was announced"
        self._out.append(ev.CallEnded(call.ended_at, call.settings.line, call.id))
        if call.notice_pending:
            self._out.append(commands.StopAnnouncement(call.settings.line, call.id))
            self._closings.add(call, self._time)
        else:
            self._file_when_judged(call)

    def _file_when_judged(self, call: LiveCall) -> None:
        """At once, or when it is known whether the announcement was heard."""
        if call.verdict_pending:
            self._closings.add(call, self._time)
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

    def _sign_of_offer(self, at: MonoNs) -> Offer | None:
        """A ring at `at`: the offered call it belongs to, or None while somebody talks."""
        if self._talking is not None:
            self._talking.last_ring_at = at
            return None
        offer = self._offered_since(at)
        offer.rang(at)
        return offer

    def _offered_since(self, at: MonoNs) -> Offer:
        """The call that rings, from `at` on if there is none yet."""
        if self._offer is None:
            self._offer = Offer(LiveCall(self._new_id(), self.settings, at))
            self._out.append(ev.CallOffered(at, self.settings.line, self._offer.call.id))
        return self._offer

    def _miss(self, offer: Offer, at: MonoNs) -> None:
        self._offer, call = None, offer.call
        call.ended_at, self._over_at = at, later(at, LATE_ID_NS)
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
        elif self._offer is not None and self._offer.until == due:
            self._miss(self._offer, self._offer.ended_at)
        elif self._busy_ends() == due:
            self._close_busy(due)
        else:
            self._give_up_waiting(due)

    def _give_up_waiting(self, due: MonoNs) -> None:
        reason = "the sound card did not say how the announcement ended"
        for call in self._closings.take_due(due):
            if call.notice_pending:
                call.no_notice(reason)
                if not call.settings.records_without_notice:
                    self._forbid(call, reason)
            self._file(call)

    def _release_notice(self, held: MonoNs) -> None:
        """It was a person who answered: the notice is late, and must still come."""
        call = self._talking
        assert call is not None
        self._doubt = None
        if call.notice is None and call.notice_reason is None:
            self._announce(call, held)

    def _stop(self, event: ev.StopRequested) -> None:
        for waiting in self._closings.take_all():
            waiting.stop_waiting()
            self._file(waiting)
        if self._offer is not None:
            self._miss(self._offer, event.at)
        call = self._talking
        if call is None:
            return
        if call.ended_at is None:
            call.ended_at, call.stopped = event.at, True
        if call.notice_pending:
            self._out.append(commands.StopAnnouncement(call.settings.line, call.id))
        call.stop_waiting()
        self._end(call)

    def _save(self, call: LiveCall) -> None:
        if call.forbidden is None:
            self._out.append(SaveDraft(call.record(self._reading)))
