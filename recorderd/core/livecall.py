"""One call while it lives: what is known of it so far, and the record that follows from that."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from recorderd.commands import PlayAnnouncement
from recorderd.core.dialling import Dialling
from recorderd.core.farend import FarEnd
from recorderd.core.manifest import CallRecord, CallWaiting, Disposition, Flash, Notice
from recorderd.core.reports import differ, shown
from recorderd.events import NoticeEnded
from recorderd.units import NS_PER_S, ns_to_frames, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recorderd.core.profile import Profile
    from recorderd.events import AnnouncementFinished, Caller, CallerIdReported, Direction
    from recorderd.heard import LineMeasured, NoticeHeard
    from recorderd.units import ClockReading, MonoNs


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What a call record says of an announcement file."""

    sha256: str
    rate_hz: int


@dataclass(frozen=True, slots=True)
class LineSettings:
    """What the call machine must know of its line; a call keeps those it began with."""

    line: str
    site: str
    retention: str  # the class of its calls
    source: Literal["hardware", "sim"]
    profile: Profile
    ring_is_seen: bool  # there is a ring sensor or a modem; without, no direction is known
    short_ringing_is_seen: bool  # Japan: by a ring sensor; no modem tells of it
    record_rate_hz: int
    inbound_clip: str  # empty: none
    outbound_clip: str
    delay_ms: int
    records_without_notice: bool  # if_not_played = "record"
    clips: Mapping[str, ClipFacts]
    software_version: str
    config_sha256: str
    is_listened_to: bool  # announcements are looked for in the line's sound
    close_after_busy_s: int  # of busy tone with the handset still up; 0: never
    box_zero_ns: int  # position of this boot's monotonic zero on the axis of running time

    def box_time_s(self, at: MonoNs) -> int:
        """A moment's position (core/boxtime.py) in seconds, rounded up: a call is never taken for older."""
        return -((-self.box_zero_ns - at) // NS_PER_S)

    def clip_for(self, direction: Direction) -> str:
        """The announcement for a direction; empty for none.

        Where the direction cannot be known the inbound one is played: a notice too many is better
        than a caller who was not told.
        """
        return self.outbound_clip if direction == "outbound" else self.inbound_clip


@dataclass(slots=True)
class LiveCall:
    """Built up fact by fact by core/call.py."""

    id: str
    settings: LineSettings
    started_at: MonoNs
    direction: Direction = "inbound"
    turned_from: Direction | None = None  # before its caller was known
    answered_at: MonoNs | None = None
    ended_at: MonoNs | None = None
    found: bool = False  # it was going on already when the recorder started
    stopped: bool = False  # the recorder was told to stop while the call went on
    reports: list[CallerIdReported] = field(default_factory=list)  # in order of arrival
    caller: Caller | None = None
    call_waiting: list[CallWaiting] = field(default_factory=list)
    other_caller: Caller | None = None  # what the other source said, where the two disagree
    dialling: Dialling | None = None  # from the answer on, like the next
    far_end: FarEnd | None = None
    measured: LineMeasured | None = None
    continues: str | None = None  # the call that was closed while the handset stayed up
    closed_because: str | None = None  # the handset was still up then
    flashes: list[Flash] = field(default_factory=list)
    bursts: int = 0  # ring bursts counted by the sensor
    modem_rings: int = 0
    longest_burst_ns: int = 0
    ringing_since: MonoNs | None = None  # start of the burst that goes on
    last_ring_at: MonoNs | None = None  # newest sign of ringing
    notice: Notice | None = None
    notice_reason: str | None = None
    notice_pending: bool = False  # asked for, and not yet answered
    verdict_pending: bool = False  # it was played, and is being looked for in the line's sound
    notice_clip: str = ""  # the one that was asked for
    withdrawn_notices: int = 0  # asked for before that, and not answered yet
    forbidden: str | None = None  # why this call must not be recorded

    def take_report(self, event: CallerIdReported) -> None:
        """Take a caller ID of this call: the first, the other source's of the same burst, or the same
        once more, as some networks send it."""
        known = self.caller
        self.reports.append(event)
        self.caller = event.caller if known is None else shown(known, event.caller)
        if known is not None and differ(known, event.caller):
            self.other_caller = event.caller if self.caller is known else known

    def take_back_reports(self) -> list[CallerIdReported]:
        """Reports that came after the on-hook edge, before the hang-up was final: the next call's."""
        assert self.ended_at is not None
        ended_at = self.ended_at
        taken = [report for report in self.reports if report.at > ended_at]
        self.reports = [report for report in self.reports if report.at <= ended_at]
        self.call_waiting = [other for other in self.call_waiting if other.at <= ended_at]
        callers = [report.caller for report in taken]
        if any(caller is self.caller for caller in callers):
            self.caller, self.direction = None, self.turned_from or self.direction
        if any(caller is self.other_caller for caller in callers):
            self.other_caller = None
        return taken

    @property
    def may_be_announced(self) -> bool:
        """It goes on, will be kept, and there was no announcement yet."""
        was_asked_for = self.notice_pending or self.notice is not None
        return not was_asked_for and self.forbidden is None and self.ended_at is None

    def ask_for(self, clip: str, at: MonoNs) -> PlayAnnouncement:
        """The command that has an announcement played; its answer is awaited from now on."""
        self.notice_pending, self.notice_clip, self.notice_reason = True, clip, None
        sha256 = self.settings.clips[clip].sha256
        return PlayAnnouncement(self.settings.line, self.id, clip, sha256, at)

    def takes_answer(self) -> bool:
        """Whether an answer that has come is of the announcement that is asked for, and not of one that
        was withdrawn: a card answers them in their order."""
        if self.withdrawn_notices:
            self.withdrawn_notices -= 1
            return False
        return self.notice_pending

    def take_notice(self, event: AnnouncementFinished) -> NoticeEnded:
        """Write down how the announcement ended."""
        self._write_notice(event)
        failed = event.error is not None
        return NoticeEnded(
            event.at, event.line, self.id, event.completed, failed, self.notice_reason
        )

    def _write_notice(self, event: AnnouncementFinished) -> None:
        self.notice_pending = False
        if event.error is not None:
            self.notice_reason = event.error
            return
        facts = self.settings.clips[self.notice_clip]
        played_ns = event.frames * NS_PER_S // facts.rate_hz
        self.notice_reason = None if event.completed else "the call ended before it was over"
        self.notice = Notice(
            clip=self.notice_clip,
            sha256=facts.sha256,
            started_at=event.started_at,
            frames=ns_to_frames(played_ns, self.settings.record_rate_hz),
            completed=event.completed,
        )
        self.verdict_pending = self.settings.is_listened_to and event.started_at is not None

    def no_notice(self, reason: str) -> None:
        """Nobody will say how the announcement ended."""
        self.notice_pending, self.notice_reason = False, reason

    def stop_waiting(self) -> None:
        """The recorder stops: nobody answers, and nobody listens any more."""
        if self.notice_pending:
            self.no_notice("the recorder was stopped while it played")
        self.verdict_pending = False

    def take_verdict(self, event: NoticeHeard) -> bool:
        """Write down what was found of the announcement in the line's sound; False where this speaks
        of another one, or of none."""
        notice = self.notice
        if not self.verdict_pending or notice is None or notice.started_at is None:
            return False
        if event.at < notice.started_at:
            return False
        self.verdict_pending = False
        self.notice = replace(
            notice,
            heard=event.verdict,
            score=event.score,
            completeness=event.completeness,
            heard_at=event.heard_at,
            level_dbm0=event.level_dbm0,
            channel=event.channel,
        )
        return True

    def answer(self, at: MonoNs) -> None:
        """The handset is up, or there is sound again where it stayed up."""
        self.answered_at = at
        # A modem may say RING before the lift is certain.
        self.started_at = min(self.started_at, at)
        self.dialling = Dialling(at)
        self.far_end = FarEnd(seconds(self.settings.close_after_busy_s))

    @property
    def dialled(self) -> str:
        """The number of a call placed from here, as far as it is known; else empty."""
        if self.dialling is None or self.direction == "inbound":
            return ""
        return self.dialling.number

    def withdraw_answer(self) -> None:
        """Nobody had answered after all: the call is still only offered."""
        self.direction = "inbound"
        self.answered_at, self.ended_at = None, None
        self.withdrawn_notices += self.notice_pending
        self.bursts, self.modem_rings = 0, 0  # they woke the caller-ID set; nobody heard a ring
        self.notice_pending, self.notice_reason, self.notice = False, None, None
        self.verdict_pending, self.measured = False, None
        self.dialling, self.far_end, self.forbidden = None, None, None

    def _notice_in_call(self) -> tuple[Notice | None, str | None]:
        """The announcement, and what is to be said of it, as far as it was played before the on-hook
        edge: a card plays on until the hang-up is certain."""
        notice, ended_at = self.notice, self.ended_at
        if notice is None or notice.started_at is None or ended_at is None:
            return notice, self.notice_reason
        frames = max(0, ns_to_frames(ended_at - notice.started_at, self.settings.record_rate_hz))
        if notice.frames <= frames:
            return notice, self.notice_reason
        reason = "the call ended before it was over"
        if frames == 0:
            never = Notice(notice.clip, notice.sha256, None, 0, completed=False)
            return never, reason
        cut = replace(notice, frames=frames, completed=False)
        if notice.completeness is not None:
            part = round(notice.completeness * frames / notice.frames, 3)
            verdict = "partly" if notice.heard == "heard" else notice.heard
            cut = replace(cut, completeness=part, heard=verdict)
        return cut, reason

    def record(self, reading: ClockReading) -> CallRecord:
        """The call as known now."""
        notice, notice_reason = self._notice_in_call()
        return CallRecord(
            id=self.id,
            site=self.settings.site,
            line=self.settings.line,
            source=self.settings.source,
            direction=self.direction,
            disposition=self._disposition(),
            reason=self._reason(),
            started_at=self.started_at,
            answered_at=self.answered_at,
            ended_at=self.ended_at,
            reading=reading,
            software_version=self.settings.software_version,
            config_sha256=self.settings.config_sha256,
            caller=self.caller,
            dialled=self.dialled or None,
            rings=max(self.bursts, self.modem_rings),
            flashes=tuple(self.flashes),
            call_waiting=tuple(self.call_waiting),
            other_caller=self.other_caller,
            digits=() if self.dialling is None else tuple(self.dialling.digits),
            far_end_ended_at=None if self.far_end is None else self.far_end.ended_at,
            continues=self.continues,
            line_health=None if self.measured is None else self.measured.measures,
            notice=notice,
            notice_reason=notice_reason,
            cut=self.stopped,
            retention=self.settings.retention,
            box_time_s=self.settings.box_time_s(self.started_at),
        )

    def _disposition(self) -> Disposition:
        if self.answered_at is None:
            return "missed"
        return "recorded" if self.forbidden is None else "not-recorded"

    def _reason(self) -> str | None:
        if self.forbidden is not None:
            return self.forbidden
        if self.closed_because is not None:
            return self.closed_because
        return "the recorder was stopped during the call" if self.stopped else None
