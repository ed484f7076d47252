"""The control loop: one thread that owns all call state, runs the core and gives out commands.

Each round takes at most one input, runs the machines of the line it concerns, then whatever
deadline has come, then the housekeeping that is due. Nothing here waits on a device: cards, modems
and the writer have threads or processes of their own behind the ports.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recorderd import commands, heard
from recorderd import events as ev
from recorderd.core.manifest import (
    AbandonRecording,
    AmendTimes,
    CloseRecording,
    FileRecord,
    LedgerNote,
    OpenRecording,
    SaveDraft,
)
from recorderd.ports import PlayedNotice
from recorderd.runtime.logs import log_fact
from recorderd.runtime.workers import WorkerFullError
from recorderd.units import NS_PER_MS, NS_PER_S, MonoNs, later

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recorderd.core.station import Result, Station
    from recorderd.ports import (
        Clip,
        Clock,
        HookSensor,
        Inbox,
        Modem,
        Onlookers,
        SoundCard,
        Watchdog,
    )
    from recorderd.runtime.status import Status
    from recorderd.runtime.workers import Worker
    from recorderd.units import ClockReading

log = logging.getLogger(__name__)

WATCH_EVERY_NS = 400 * NS_PER_MS
"""How often the cards are looked at: one that stands still says so after 1.5 s, and is to be noticed
within 2 s. In virtual time the writer has the same pace."""

CLOCK_EVERY_NS = 1 * NS_PER_S

STEP_NS = 500 * NS_PER_MS
"""Wall time that moved this much against monotonic time was set, not slewed."""

WRITER_SILENT_NS = 8 * NS_PER_S
"""The writer makes a round at least every 5 s, also with nothing to do."""

ANALYST_SILENT_NS = 60 * NS_PER_S
"""It makes a round a second; one over all that came in a long stall takes many, and is no hang."""

CAPTURE_SILENT_NS = 3 * NS_PER_S
"""A card that stands still is told as lost within 2 s, and is then being opened again."""


@dataclass(slots=True)
class LineUnit:
    """One line as the loop drives it: its machines and its devices."""

    station: Station
    sensor: HookSensor
    modem: Modem | None
    capture: SoundCard
    output: SoundCard | None  # where announcements go
    output_channel: int | None


@dataclass(slots=True)
class _Flow:
    """How far a card's frames had come, and since when."""

    head: int
    moved_at: MonoNs


@dataclass(slots=True)
class Actors:
    """All that the loop gives commands to; replaced piece by piece on a reload."""

    lines: dict[str, LineUnit] = field(default_factory=dict)
    cards: dict[str, SoundCard] = field(default_factory=dict)
    clips: Mapping[str, Clip] = field(default_factory=dict)  # by the hash of their files


class ControlLoop:
    """Runs until a StopRequested comes. `reload` is asked for a new configuration, `settle` is
    called between calls so that parts of it that had to wait can be taken."""

    def __init__(
        self,
        clock: Clock,
        inbox: Inbox,
        actors: Actors,
        writer: Worker,
        analyst: Worker,
        status: Status,
        watchdog: Watchdog,
        onlookers: Onlookers,
        *,
        reload: Callable[[], None],
        settle: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._inbox = inbox
        self._actors = actors
        self._writer = writer
        self._analyst = analyst
        self._playing: dict[str, deque[Clip]] = {}  # by call, in the order of their answers
        self._status = status
        self._watchdog = watchdog
        self._onlookers = onlookers
        self._reload = reload
        self._settle = settle
        self.reading = clock.reading()
        self._house_at = self.reading.mono
        self._clock_at = later(self.reading.mono, CLOCK_EVERY_NS)
        self._writer_beats = -1
        self._writer_moved_at = self.reading.mono
        self._flowing: dict[str, _Flow] = {}  # cards that say that they deliver
        self._stopped = False
        self._analyst_beats = -1
        self._analyst_silent_ns = 0
        self._is_deafness_told = False

    def run(self) -> None:
        """Serve until stopped; raises what made going on impossible."""
        while not self._stopped:
            self.step()

    def step(self) -> bool:
        """One round; False when there was no input and nothing was due."""
        due = self._next_due()
        event = self._inbox.wait(due)
        if event is not None:
            self.take(event)
        now = self._clock.now()
        if now >= due:
            self._fire_deadlines(now)
        if now >= self._house_at:
            self._keep_house(now)
        self._onlookers.show(now)
        return event is not None

    def is_idle(self, line: str) -> bool:
        """Whether a line may be taken apart: no call is on it."""
        return self._actors.lines[line].station.calls.is_idle

    # ------------------------------------------------------------ inputs

    def _next_due(self) -> MonoNs:
        due = self._house_at
        for unit in self._actors.lines.values():
            deadline = unit.station.deadline()
            if deadline is not None and deadline < due:
                due = deadline
        shown = self._onlookers.deadline()
        return due if shown is None else min(due, shown)

    def take(self, event: ev.Input) -> None:  # noqa: C901, PLR0912  (one table)
        """Let one input have its effect."""
        self._onlookers.see(event)
        match event:
            case ev.StopRequested():
                self._to_all(event)
                self._stopped = True
            case ev.ReloadRequested():
                self._reload()
            case ev.DriverReady(kind="modem") | ev.DriverLost(kind="modem"):
                self._note(event)
                self._to_line(event.name, event)
            case ev.DriverReady(kind="card"):
                self._flowing[event.name] = _Flow(-1, event.at)
                self._note(event)
            case ev.DriverLost(kind="card"):
                self._flowing.pop(event.name, None)
                self._note(event)
            case (
                ev.DriverReady()
                | ev.DriverLost()
                | ev.RecordingFiled()
                | ev.WriteFailed()
                | ev.StoreAlarm()
                | ev.WriteResumed()
                | heard.ListeningFailed()
            ):
                self._note(event)
            case ev.DiskMeasured():  # every minute: nothing for the log
                self._status.disk = event
            case ev.WallClockStepped():
                self._to_all(event)
            case ev.TimePassed():
                pass
            case heard.LineMeasured():  # every few seconds of a call: nothing for the log
                self._status.take(event)
                self._to_line(event.line, event)
            case heard.NoticeHeard() | heard.ToneHeard():
                self._note(event)
                self._to_line(event.line, event)
            case ev.AnnouncementFinished():
                self._to_line(event.line, event)
                self._listen_for(event)
            case _:
                self._to_line(event.line, event)

    def _to_all(self, event: ev.Input) -> None:
        for unit in self._actors.lines.values():
            self._carry_out(unit, unit.station.handle(event))

    def _to_line(self, name: str, event: ev.Input) -> None:
        unit = self._actors.lines.get(name)
        if unit is not None:  # else the line left the configuration while its event was under way
            self._carry_out(unit, unit.station.handle(event))

    def _fire_deadlines(self, now: MonoNs) -> None:
        for unit in self._actors.lines.values():
            deadline = unit.station.deadline()
            if deadline is not None and deadline <= now:
                self._carry_out(unit, unit.station.handle(ev.TimePassed(now)))

    # ------------------------------------------------------------ facts and commands

    def _carry_out(self, unit: LineUnit, results: list[Result]) -> None:
        for result in results:
            self._onlookers.see(result)
            match result:
                case commands.WriteModem():
                    if unit.modem is not None:
                        unit.modem.write(result.data)
                case commands.PlayAnnouncement():
                    self._play(unit, result)
                case commands.StopAnnouncement():
                    if unit.output is not None:
                        unit.output.stop_play(result.call_id)
                case (
                    OpenRecording()
                    | SaveDraft()
                    | CloseRecording()
                    | AbandonRecording()
                    | FileRecord()
                ):
                    self._writer.submit(result)
                case (
                    ev.CallAnswered()
                    | ev.CallPlaced()
                    | ev.CallFound()
                    | ev.CallReopened()
                    | ev.CallEnded()
                    | ev.CallerIdClosureSeen()
                ):
                    self._note(result)
                    self._tell_analyst(result)
                case _:
                    self._note(result)

    def _play(self, unit: LineUnit, command: commands.PlayAnnouncement) -> None:
        assert unit.output is not None, "a line with an announcement has an output"
        clip = self._actors.clips[command.sha256]
        self._playing.setdefault(command.call_id, deque()).append(clip)
        unit.output.play(command.line, command.call_id, clip, unit.output_channel, command.at)

    def _listen_for(self, finished: ev.AnnouncementFinished) -> None:
        """Let it be looked for in the line's sound."""
        clips, started_at = self._playing.get(finished.call_id), finished.started_at
        if not clips:
            return
        clip = clips.popleft()
        if not clips:
            del self._playing[finished.call_id]
        if started_at is not None:
            self._tell_analyst(
                PlayedNotice(finished.line, finished.call_id, clip, started_at, finished.frames)
            )

    def _tell_analyst(self, what: ev.CallFact | PlayedNotice) -> None:
        try:
            self._analyst.submit(what)
        except WorkerFullError as error:  # it stands still; recording does not wait for it
            log.warning("%s", error)

    def _note(self, fact: ev.Fact | ev.Input) -> None:
        log_fact(fact, self.reading)
        self._status.take(fact)

    # ------------------------------------------------------------ housekeeping

    def _keep_house(self, now: MonoNs) -> None:
        self._house_at = later(now, WATCH_EVERY_NS)
        for card in self._actors.cards.values():
            card.watch(now)
        self._writer.tick()
        self._analyst.tick()
        self._onlookers.admit(now)
        if self._writer.failure is not None:
            raise self._writer.failure
        self._look_at_analyst(now)
        if now >= self._clock_at:
            self._clock_at = later(now, CLOCK_EVERY_NS)
            self._check_clock()
            self._settle()
            self._status.write(self.reading)
            if self._writer_keeps_up(now) and self._captures_advance(now):
                self._watchdog.alive()

    def _look_at_analyst(self, now: MonoNs) -> None:
        """Calls are recorded without it, but for those that only it can find: that must be known."""
        reason = self._deafness()
        if reason is not None and not self._is_deafness_told:
            for name in self._actors.lines:
                self._note(heard.ListeningFailed(now, name, f"{reason}; restart recorderd"))
        self._is_deafness_told = reason is not None

    def _deafness(self) -> str | None:
        """Why no line is listened to; None where they are.

        Counted in rounds of this loop: where the whole process was held up, nobody stood still.
        """
        if self._analyst.failure is not None:
            return repr(self._analyst.failure)
        is_moving = self._analyst.beats != self._analyst_beats
        self._analyst_beats = self._analyst.beats
        self._analyst_silent_ns = 0 if is_moving else self._analyst_silent_ns + WATCH_EVERY_NS
        return "the listener stands still" if self._analyst_silent_ns >= ANALYST_SILENT_NS else None

    def _check_clock(self) -> None:
        reading = self._clock.reading()
        drift_ns = reading.wall - self.reading.wall_at(reading.mono)
        if abs(drift_ns) >= STEP_NS or reading.synchronised != self.reading.synchronised:
            log.warning(
                "the wall clock moved by %.3f s; synchronised: %s (%s)",
                drift_ns / NS_PER_S,
                reading.synchronised,
                reading.source,
            )
            self._to_all(ev.WallClockStepped(reading.mono, reading))
            self._enter_step(reading, drift_ns)
        self.reading = reading

    def _enter_step(self, reading: ClockReading, drift_ns: int) -> None:
        """A step is an event; one that brings the right time also mends what was written before."""
        data = {
            "moved_by_s": round(drift_ns / NS_PER_S, 3),
            "synchronised": reading.synchronised,
            "source": reading.source,
        }
        self._writer.submit(LedgerNote("clock-stepped", data))
        if reading.synchronised:
            self._writer.submit(AmendTimes(reading))

    def _writer_keeps_up(self, now: MonoNs) -> bool:
        if self._writer.beats != self._writer_beats:
            self._writer_beats, self._writer_moved_at = self._writer.beats, now
        return now - self._writer_moved_at < WRITER_SILENT_NS

    def _captures_advance(self, now: MonoNs) -> bool:
        """Whether every card delivers, or is known not to: such a one is reported and being opened
        again, and a pulled-out card must not restart the recorder of the other lines. What this
        finds is a card that nobody watches any more."""
        for name, flow in self._flowing.items():
            card = self._actors.cards.get(name)
            if card is None or not card.channels:
                continue
            head = card.head()
            if head != flow.head:
                flow.head, flow.moved_at = head, now
            elif now - flow.moved_at >= CAPTURE_SILENT_NS:
                return False
        return True
