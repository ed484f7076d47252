"""The uploader: rounds of following the ledger, sending it, then the calls, then their rows.

Nothing is ever given up. What may work later is tried again after a wait, for ever (pace.py). What the
archive refuses is asked about once more: if it takes the heartbeat, this one call is wrong and is parked,
visibly, until somebody says "again"; if it refuses that too, the archive as a whole is wrong (its
credentials, its policy, its name), no call is parked for it, and everything waits.

One thread does all this and owns the queue and the ledger; a few others carry calls (carrier.py). A call
is done in this order: its objects in the archive, compared; the receipt, durable; the entry in the chain
`uploader`, durable; the queue. A cut anywhere repeats the rest and writes nothing twice.
"""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

from recorderd import __version__
from recorderd.archive.layout import heartbeat_key
from recorderd.core.chain import utc
from recorderd.disk import files
from recorderd.disk.layout import ERASED, LEDGER
from recorderd.errors import ArchiveError, RefusedError, StoreError, TryAgainError
from recorderd.store.ledger import RECORDER, open_uploader_ledger
from recorderd.store.receipts import write_receipt
from recorderd.units import later, seconds, to_datetime
from recorderd.upload.carrier import Carrier
from recorderd.upload.chains import send_chains
from recorderd.upload.follow import follow
from recorderd.upload.landing import make_batches, send_batches
from recorderd.upload.pace import Pace, Patience, Stopped, is_within
from recorderd.upload.queue import Queue
from recorderd.upload.report import HEARTBEAT_EVERY_S, Report, heartbeat, write_report
from recorderd.upload.stamps import send_stamp, stamp

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor, Future

    from recorderd.archive.target import Target
    from recorderd.config.values import Archive, Config
    from recorderd.core.chain import Head
    from recorderd.ports import Clock
    from recorderd.units import MonoNs
    from recorderd.upload.carrier import Carried
    from recorderd.upload.queue import Waiting

log = logging.getLogger(__name__)

CONNECTIONS = 4
"""Calls that are carried at one time: while one waits for an answer, others send."""

POLL_S = 15.0
"""How soon a call that has ended is seen."""

SLICE_NS = seconds(30)
"""After this long with calls the ledger and the heartbeat have their turn."""

SHOW_EVERY_NS = seconds(1)

PROBE_IS_FRESH_NS = seconds(60)

BATCH_EVERY_NS = seconds(900)
BATCH_ROWS = 1000
"""Rows wait for others so that the central side has few objects to read; so many are enough for one."""

HEARTBEAT_EVERY_NS = seconds(HEARTBEAT_EVERY_S)

ATTEMPTS_ONCE = 3
"""With `--once`: so many rounds in a row that fail, without anything done, are enough."""

RETRY_MARK = "upload.retry"

PARKED_EVERY_NS = seconds(6 * 3600)
"""A refusal may have been a passing one (a proxy's, a service that was being mended); the alarm stays
until it is over."""


class _Turn:
    """What came of the calls of one round so far.

    A call that failed waits for the next round while others go on, so that one request in ten that fails
    does not stop all; several in a row, or an archive that asks for patience, do.
    """

    def __init__(self) -> None:
        self.trouble: ArchiveError | StoreError | None = None  # for more than one call: no more now
        self.failed: set[str] = set()
        self._in_a_row = 0
        self._succeeded = 0
        self._last: TryAgainError | None = None

    def fail(self, call: Waiting, error: TryAgainError) -> None:
        """A call may work later."""
        self.failed.add(call.id)
        self._in_a_row += 1
        self._last = error
        if self._in_a_row == CONNECTIONS or error.retry_after_s:
            self.trouble = error

    def succeed(self, count: int) -> None:
        """So many calls are done."""
        if count:
            self._succeeded += count
            self._in_a_row = 0

    def raise_if_in_vain(self) -> None:
        """Raise the trouble that there was, or what the only calls that were left have failed with."""
        if self.trouble is not None:
            raise self.trouble
        if self._last is not None and not self._succeeded:
            raise self._last


class Uploader:
    """A context manager: while it is entered, no other uploader can be at work on the directory."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        open_target: Callable[[Archive], Target],
        executor: Executor,
        stop: threading.Event,
        random: Callable[[], float],
        tell: Callable[[Report], None] = lambda _report: None,
    ) -> None:
        """`executor` carries calls, as many at one time as it has threads. `tell` gets every report."""
        assert config.archive is not None
        self._archive = config.archive
        self._site = config.site.name
        self._zone = ZoneInfo(config.site.time_zone)
        self._directory = config.storage.directory
        self._clock = clock
        self._make_target = open_target
        self._executor = executor
        self._stop = stop
        self._tell = tell
        self._patience = Patience(random)
        self._ignores_hours = False
        self._opened = ExitStack()
        self._target: Target | None = None
        self._heads: dict[str, Head] = {}
        self._batch_at = self._beat_at = self._probe_until = self._show_at = clock.now()
        self._unpark_at = later(clock.now(), PARKED_EVERY_NS)

    def __enter__(self) -> Self:
        """Raises StoreError where the recorder has never run, or another uploader is at work."""
        if not (self._directory / LEDGER / RECORDER).is_dir():
            raise StoreError(
                f"{self._directory}: the recorder has not run yet; start it first: recorderd run"
            )
        with ExitStack() as opening:
            self._ledger = opening.enter_context(
                open_uploader_ledger(self._directory, self._site, self._clock.reading)
            )
            self._ledger.append("started", version=__version__, archive=self._archive.url)
            self._ledger.sign()
            self._queue = Queue(self._directory)
            opening.callback(self._queue.close)
            self._queue.begin_with(self._archive.url, self._site)
            self._queue.unpark()  # somebody may have mended what was wrong, and started anew
            limit = self._archive.limit_kb_s * 1000
            self._carrier = Carrier(
                self._directory,
                self._zone,
                self._site,
                self._open_target,
                Pace(limit, self._stop),
            )
            opening.callback(self._carrier.close)
            self._report = Report(self._archive.url, "starting", self._queue.state())
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ledger.append("stopped")
            self._ledger.sign()
        except StoreError as error:
            log.error("the stop is not in the ledger: %s", error)  # noqa: TRY400  (the text says it all)
        if self._target is not None:
            self._target.close()
        self._opened.close()

    # ------------------------------------------------------------ for ever, or once

    def serve(self) -> None:
        """Work until told to stop."""
        while not self._stop.is_set():
            self._stop.wait(self.step())

    def once(self) -> Report:
        """Upload all that waits, whatever the hours; how it stands then."""
        self._ignores_hours = True
        failures = 0
        while not self._stop.is_set():
            before = self._report.uploaded
            pause_s = self.step()
            if self._report.trouble is None and pause_s:
                break
            has_failed = self._report.trouble is not None and self._report.uploaded == before
            failures = failures + 1 if has_failed else 0
            if failures == ATTEMPTS_ONCE or (has_failed and self._report.is_refused):
                break
            self._stop.wait(pause_s)
        return self._report

    def step(self) -> float:
        """One round; how many seconds to wait before the next one (0: there is more to do)."""
        try:
            has_more = self._round()
        except (TryAgainError, RefusedError, StoreError) as error:
            at_least_s = error.retry_after_s if isinstance(error, TryAgainError) else 0.0
            pause_s = self._patience.next_s(at_least_s)
            self._have_trouble(error, pause_s)
        else:
            pause_s = 0.0 if has_more else POLL_S
            self._report.trouble = self._report.trouble_since = None
            self._patience.reset()
        self._show()
        return pause_s

    def _have_trouble(self, error: ArchiveError | StoreError, pause_s: float) -> None:
        log.warning("%s; the next attempt is in %.0f s", error, pause_s)
        self._report.doing = "waiting before the next attempt"
        self._report.trouble = str(error)
        self._report.is_refused = not isinstance(error, TryAgainError)
        if self._report.trouble_since is None:
            self._report.trouble_since = self._clock.reading().wall

    def _show(self) -> None:
        self._show_at = later(self._clock.now(), SHOW_EVERY_NS)
        self._report.queue = self._queue.state()
        write_report(self._directory, self._report, self._clock.reading().wall)
        self._tell(self._report)

    # ------------------------------------------------------------ one round

    def _round(self) -> bool:
        """Whether there is more to do at once. Raises ArchiveError and StoreError."""
        self._unpark()
        follow(self._directory, self._queue)
        local = to_datetime(self._clock.reading().wall, self._zone)
        if not self._ignores_hours and not is_within(self._archive.hours, local):
            self._report.doing = f"waiting for the hours {self._archive.hours}"
            self._beat_if_due()
            return False
        self._report.doing = "uploading"
        self._send_ledger()
        has_more = self._upload_calls(later(self._clock.now(), SLICE_NS))
        self._send_rows(at_once=self._ignores_hours and not has_more)
        self._ledger.sign()
        self._report.doing = "uploading" if has_more else "nothing more to upload"
        self._beat_if_due()
        return has_more

    def _unpark(self) -> None:
        """Let parked calls be tried again, where somebody says so and some times a day."""
        mark = self._directory / RETRY_MARK
        is_asked = mark.exists()
        if is_asked:
            files.remove_durable(mark)
        if is_asked or self._clock.now() >= self._unpark_at:
            self._unpark_at = later(self._clock.now(), PARKED_EVERY_NS)
            if count := self._queue.unpark():
                log.info("parked calls are tried again: %d", count)

    def _open_target(self) -> Target:
        return self._make_target(self._archive)

    def _connected(self) -> Target:
        if self._target is None:
            self._target = self._open_target()
        return self._target

    def _send_ledger(self) -> None:
        """The chains and the time stamps. What is wrong with them alone keeps no call back."""
        target = self._connected()
        try:
            self._heads = send_chains(self._directory, self._site, self._queue, target)
        except RefusedError as error:
            self._probe()
            self._report.ledger = str(error)
        else:
            self._report.ledger = None
        try:
            if self._archive.timestamp_url:
                wall = self._clock.reading().wall
                stamp(self._directory, self._archive.timestamp_url, self._queue, wall)
            send_stamp(self._directory, self._site, self._queue, target)
        except ArchiveError as error:
            self._report.stamps = str(error)
        else:
            self._report.stamps = None

    def _send_rows(self, *, at_once: bool) -> None:
        now, waiting = self._clock.now(), self._queue.rows_waiting()
        if waiting and (at_once or waiting >= BATCH_ROWS or now >= self._batch_at):
            self._batch_at = later(now, BATCH_EVERY_NS)
            utc_now = to_datetime(self._clock.reading().wall, ZoneInfo("UTC"))
            make_batches(self._queue, self._site, utc_now)
        send_batches(self._queue, self._connected())

    # ------------------------------------------------------------ the heartbeat

    def _beat_if_due(self) -> None:
        if self._clock.now() >= self._beat_at or self._ignores_hours:
            self._beat()

    def _beat(self) -> None:
        self._report.queue = self._queue.state()
        reading = self._clock.reading()
        data = heartbeat(self._directory, self._site, reading, self._report, self._heads)
        self._connected().replace(heartbeat_key(self._site), data)
        self._beat_at = later(self._clock.now(), HEARTBEAT_EVERY_NS)
        self._probe_until = later(self._clock.now(), PROBE_IS_FRESH_NS)

    def _probe(self) -> None:
        """After a refusal: return if the archive takes what it took before; else raise ArchiveError."""
        if self._clock.now() >= self._probe_until:
            self._beat()

    # ------------------------------------------------------------ calls

    def _upload_calls(self, until: MonoNs) -> bool:
        """Carry calls for a while; whether some are left. Raises what concerns more than one call."""
        running: dict[Future[Carried], Waiting] = {}
        turn = _Turn()
        is_newest_first = self._archive.order == "newest-first"
        while True:
            room = CONNECTIONS - len(running)
            is_going_on = self._clock.now() < until and not self._stop.is_set()
            if turn.trouble is None and room and is_going_on:
                besides = turn.failed | {call.id for call in running.values()}
                for call in self._queue.next(room, besides, newest_first=is_newest_first):
                    running[self._executor.submit(self._carrier.carry, call)] = call
            if not running:
                break
            done = wait(running, return_when=FIRST_COMPLETED).done
            self._settle([(running.pop(future), future) for future in done], turn)
            if self._clock.now() >= self._show_at:
                self._show()
        turn.raise_if_in_vain()
        return bool(self._queue.next(1, (), newest_first=is_newest_first))

    def _settle(self, ended: Iterable[tuple[Waiting, Future[Carried]]], turn: _Turn) -> None:
        """What came of some calls."""
        carried: list[Carried] = []
        for call, future in ended:
            try:
                carried.append(future.result())
            except Stopped:
                pass
            except TryAgainError as error:
                turn.fail(call, error)
            except (RefusedError, StoreError) as error:
                turn.trouble = self._park(call, error) or turn.trouble
        try:
            self._acknowledge(carried)
        except StoreError as error:
            turn.trouble = error
        else:
            turn.succeed(len(carried))

    def _park(self, call: Waiting, error: ArchiveError | StoreError) -> ArchiveError | None:
        """Leave one call until somebody has mended it, unless the archive refuses everything."""
        try:
            if isinstance(error, RefusedError):
                self._probe()
        except ArchiveError as wider:
            return wider
        log.error("call %s is not uploaded: %s", call.id, error)
        self._queue.park(call, str(error))
        return None

    def _acknowledge(self, carried: list[Carried]) -> None:
        """Receipt, ledger, queue. Raises StoreError, after which it is all done again."""
        reading = self._clock.reading()
        for each in carried:
            self._enter(each, utc(reading.wall))
        self._ledger.sync()
        for each in carried:
            self._queue.done(each.parcel.call, each.parcel.row)
            self._report.uploaded += 1
            self._report.last_upload_at = reading.wall
            self._patience.reset()

    def _enter(self, carried: Carried, at: str) -> None:
        parcel = carried.parcel
        call_id, date = parcel.call.id, parcel.row["date"]
        if parcel.is_erased:
            (tombstone,) = (piece for piece in parcel.pieces if piece.name == ERASED)
            sha256 = tombstone.content.sha256
            self._ledger.append(
                "erasure-uploaded", call=call_id, date=date, tombstone_sha256=sha256
            )
        else:
            receipt = carried.receipt(at)
            # Also where nothing was sent: a cut may have come between the receipt and its entry.
            if receipt == parcel.before or write_receipt(parcel.folder, receipt):
                digest = hashlib.sha256(receipt.as_bytes()).hexdigest()
                count = len(receipt.files)
                self._ledger.append(
                    "call-uploaded", call=call_id, date=date, files=count, receipt_sha256=digest
                )
