"""The writer: takes the core's commands about calls, and brings sound and records to the disk.

It runs on one thread. `handle` only notes what was said; `pump`, called about twice a second and
after commands, does the work in rounds: one small step of every call in each round, so that sealing
one call's segments never keeps the ring of another waiting. A call that the disk refuses is told
once (WriteFailed) and tried again every second, the ring serving as memory; others go on.

Where the recorder seals, a call is put into its envelope here, at the door: no job, and nothing that
jobs write, ever holds a number or a name in plain.

A call is acknowledged (RecordingFiled) when its segments, its record and its row are durable.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from recorderd.core.manifest import (
    AbandonRecording,
    AmendTimes,
    CloseRecording,
    FileRecord,
    LedgerNote,
    OpenRecording,
    SaveDraft,
)
from recorderd.disk import files
from recorderd.disk.layout import OPEN
from recorderd.errors import StoreError
from recorderd.events import RecordingFiled, StoreAlarm, WriteFailed, WriteResumed
from recorderd.recording.capture import Capture
from recorderd.recording.job import Paper, Recording
from recorderd.store.amending import amend_times
from recorderd.store.catalogue import DamagedError
from recorderd.store.names import without_number
from recorderd.units import NS_PER_S, later

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recorderd.config.values import LineAudio, Site, Storage
    from recorderd.core.manifest import CallRecord
    from recorderd.ports import Post, SoundCard
    from recorderd.recording.job import Job
    from recorderd.recording.keeper import Keeper
    from recorderd.seal.envelope import MakeEnvelope
    from recorderd.store.books import Books
    from recorderd.store.catalogue import Entry
    from recorderd.units import ClockReading, MonoNs

log = logging.getLogger(__name__)

ROUNDS_PER_PUMP = 4
"""Segments sealed or tagged for each call in one pump, which should not keep commands waiting."""

RETRY_NS = NS_PER_S

AMEND_AGAIN_NS = 60 * NS_PER_S

SIGN_EVERY_NS = 60 * NS_PER_S
"""A call's end is signed at once; in a long one no more than this is ever unsigned."""

JOBS_MAX = 100
"""Calls that may wait for a disk that refuses them, each with up to five seconds of sound."""


class Writer:
    """See above. `lines` gives each line's sound card and its settings, by the line's name.

    Between calls it lets the `keeper`, where there is one, do its own work.
    """

    rest_s = 5.0  # the watchdog looks whether it moves

    def __init__(
        self,
        storage: Storage,
        site: Site,
        lines: Mapping[str, tuple[SoundCard, LineAudio]],
        books: Books,
        envelope: MakeEnvelope,
        post: Post,
        now: Callable[[], MonoNs],
        keeper: Keeper | None = None,
    ) -> None:
        self.storage = storage  # a reload changes both; calls that are open keep theirs
        self.envelope = envelope
        self._zone = ZoneInfo(site.time_zone)
        self._lines = lines
        self._post = post
        self._now = now
        self._books = books
        self._keeper = keeper
        self._jobs: list[Job] = []
        self._is_prepared = False
        self._is_ledger_refused = False
        self._sign_at = later(now(), SIGN_EVERY_NS)
        self._right_clock: ClockReading | None = None  # by which times are still to be amended
        self._to_amend: list[Entry] | None = None  # of which calls; None: not yet looked up
        self._amend_again_at: MonoNs | None = None  # the disk refused it

    def handle(self, command: object) -> None:
        """Take a command: one of those in core/manifest.py. Nothing is written before `pump`."""
        match command:
            case OpenRecording():
                self._open(command)
            case SaveDraft():
                self._job_of(command.record).save(command.record)
            case CloseRecording() | FileRecord():
                self._job_of(command.record).end(command.record)
            case AbandonRecording():
                self._abandon(command)
            case AmendTimes():
                self._right_clock, self._to_amend = command.reading, None
                self._tell_of_amending(None)
            case LedgerNote():
                self._books.ledger.append(command.kind, **command.data)
            case _:
                raise TypeError(f"not a command to the writer: {command!r}")

    def pump(self) -> None:
        """Do what there is to do, for a while."""
        for _ in range(ROUNDS_PER_PUMP):
            if not self._round():
                break
        if not self._jobs:
            self._amend()
        if self._now() >= self._sign_at:
            self._sign()
        if self._keeper is not None:
            self._keeper.pump(self._now())

    def pending(self) -> bool:
        """Whether a call is being recorded, or something of one is not yet on the disk."""
        if not self._jobs:
            return self._right_clock is not None and self._amend_again_at is None
        return any(not job.is_waiting for job in self._jobs)

    def must_finish(self) -> bool:
        """Of calls that nobody has ended nothing more comes where the recorder broke down."""
        if not self._jobs:
            return self.pending()
        return any(job.is_ended and not job.is_waiting for job in self._jobs)

    def close(self) -> None:
        """Let go of the catalogue. What is still open is finished by the next start's recovery."""
        if self._keeper is not None:
            self._keeper.close()
        self._books.close_catalogue()

    # ------------------------------------------------------------ commands

    def _open(self, command: OpenRecording) -> None:
        record = command.record
        self._books.ledger.append("call-opened", call=record.id, line=record.line)
        card, audio = self._lines[record.line]
        capture = Capture(card, audio, command.at)
        envelope = self.envelope(record.id)
        self._add(Recording(self.storage, self._zone, record, capture, envelope))

    def _abandon(self, command: AbandonRecording) -> None:
        self._books.ledger.append("call-abandoned", call=command.call_id, reason=command.reason)
        job = self._find(command.call_id)
        if job is not None:
            job.abandon(command.record)
        elif command.record is not None:
            self._job_of(command.record).end(command.record)

    def _job_of(self, record: CallRecord) -> Job:
        """The call's job; a new one without sound where none is open."""
        job = self._find(record.id)
        if job is None:
            paper = Paper(self.storage, self._zone, record, self.envelope(record.id))
            job = self._add(paper)
        return job

    def _find(self, call_id: str) -> Job | None:
        for job in self._jobs:
            if job.record.id == call_id and not job.is_ended:
                return job
        return None

    def _add(self, job: Job) -> Job:
        if len(self._jobs) >= JOBS_MAX:
            oldest = self._jobs.pop(0)
            log.error("call %s is given up: too many calls wait for the disk", oldest.record.id)
        self._jobs.append(job)
        return job

    # ------------------------------------------------------------ work

    def _round(self) -> bool:
        """One step of every call; whether there is more to do at once."""
        more = False
        begun: set[str] = set()  # of two jobs of one call the first is finished first
        for job in list(self._jobs):
            if job.record.id not in begun and not job.is_waiting:
                more |= self._step(job)
            begun.add(job.record.id)
        self._jobs = [job for job in self._jobs if job.closing is None or not job.closing.done]
        return more

    def _step(self, job: Job) -> bool:
        now = self._now()
        if job.retry_at is not None and now < job.retry_at:
            return False
        try:
            self._prepare()
            more = job.step(now, self._books)
        except StoreError as error:
            self._failed(job, error, now)
            return False
        if job.retry_at is not None:
            log.info("call %s can be written again", job.record.id)
            self._books.ledger.append("write-resumed", call=job.record.id)
            self._post(WriteResumed(now, job.record.line, job.record.id))
            job.retry_at = None
        self._acknowledge(job)
        return more

    def _acknowledge(self, job: Job) -> None:
        closing = job.closing
        if closing is not None and closing.done and closing.filed is not None:
            record = closing.filed
            self._post(
                RecordingFiled(
                    at=self._now(),
                    line=record.line,
                    call_id=record.id,
                    segments=len(record.segments),
                    gaps=len(record.gaps),
                    path=str(closing.folder),
                )
            )

    def _failed(self, job: Job, error: StoreError, now: MonoNs) -> None:
        """Told once a spell: the control thread has it logged and shown."""
        if job.retry_at is None:
            reason = without_number(str(error))
            self._post(WriteFailed(now, job.record.line, job.record.id, reason))
            self._books.ledger.append("write-failed", call=job.record.id, reason=reason)
        job.retry_at = later(now, RETRY_NS)
        self._is_prepared = False
        if isinstance(error, DamagedError):
            self._books.close_catalogue()

    def _prepare(self) -> None:
        """Make the directory for journals; the disk may come only after the daemon has begun."""
        if not self._is_prepared:
            files.make_directory(self.storage.directory / OPEN, self.storage.directory)
            self._is_prepared = True

    def _amend(self) -> None:
        """Between calls, give one that was filed under a wrong clock the right times. What fails is
        tried again: after this boot nobody could."""
        if self._right_clock is None or self._now() < (self._amend_again_at or 0):
            return
        try:
            if self._to_amend is None:
                boot_id = self._right_clock.boot_id
                self._to_amend = self._books.catalogue.of_wrong_clock(boot_id)
            if self._to_amend:
                amend_times(self._to_amend[0], self._right_clock, self._books)
        except StoreError as error:
            self._amending_failed(error)
            return
        self._tell_of_amending(None)
        self._to_amend = self._to_amend[1:]
        if not self._to_amend:
            self._right_clock = self._to_amend = None

    def _amending_failed(self, error: StoreError) -> None:
        if isinstance(error, DamagedError):
            self._books.close_catalogue()
        if self._to_amend:  # one that can never be amended keeps no other from it
            self._to_amend.append(self._to_amend.pop(0))
        self._tell_of_amending(error)

    def _tell_of_amending(self, error: StoreError | None) -> None:
        """Told once a spell."""
        was_refused = self._amend_again_at is not None
        self._amend_again_at = None if error is None else later(self._now(), AMEND_AGAIN_NS)
        if was_refused != (error is not None):
            text = f"calls filed under a wrong clock cannot be amended, tried again: {error}"
            self._post(StoreAlarm(self._now(), "times", None if error is None else text))

    def _sign(self) -> None:
        """Sign what has been entered since the last checkpoint. Calls go on where that fails."""
        self._sign_at = later(self._now(), SIGN_EVERY_NS)
        text = None
        try:
            self._books.ledger.sign()
        except StoreError as error:
            text = str(error)
        if text is not None or self._is_ledger_refused:
            self._post(StoreAlarm(self._now(), "ledger", text))
        self._is_ledger_refused = text is not None
