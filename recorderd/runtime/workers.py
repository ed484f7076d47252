"""Where the writer and the analyst run: each on a thread of its own, or inline in virtual time."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from typing import TYPE_CHECKING, Protocol, TypeAlias

from recorderd.errors import RecorderdError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

COMMANDS_MAX = 1000
"""Commands are a few a call; so many waiting means that the worker stands still."""

PUMP_S = 0.5
"""Audio is copied out of the ring this often while a call is recorded: the journal is synced at every
second time, and a cut costs less than two seconds (store/spool.py)."""

TICK_S = 0.4
"""The control loop's ticks, which are a worker's pace in virtual time."""


class WorkerFullError(RecorderdError):
    """A worker stands still. If it is the writer: seal and leave; the service manager restarts."""


class Pumped(Protocol):
    """What a worker drives: recording.writer.Writer, listening.analyst.Analyst."""

    rest_s: float
    """How long it may rest while nothing is pending."""

    def handle(self, command: object) -> None: ...
    def pump(self) -> None: ...

    def pending(self) -> bool:
        """Whether there is something to do, now or soon."""
        ...

    def must_finish(self) -> bool:
        """Whether something is left that a stop has to wait for, and that will come to its end."""
        ...

    def close(self) -> None: ...


class WorkerThread:
    """Runs what `make` makes on its own thread behind a bounded queue.

    `beats` counts its rounds: the watchdog is fed only while it advances.
    """

    def __init__(self, make: Callable[[], Pumped], name: str) -> None:
        self._make = make
        self._name = name
        self._commands: queue.Queue[object] = queue.Queue(COMMANDS_MAX)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)
        self._is_finished = False
        self.failure: BaseException | None = None
        self.beats = 0

    def start(self) -> None:
        self._thread.start()

    def submit(self, command: object) -> None:
        try:
            self._commands.put_nowait(command)
        except queue.Full:
            raise WorkerFullError(f"{COMMANDS_MAX} commands wait for the {self._name}") from None

    def tick(self) -> None:
        """Nothing: the thread keeps its own time."""

    def close(self, within_s: float) -> bool:
        """Let it finish what must be finished; False where something is left open all the same."""
        if self._thread.ident is None:
            return True  # a start that failed before it: that error is the one to be seen
        self._stopping.set()
        with contextlib.suppress(queue.Full):  # where it stands still there is nobody to be woken
            self._commands.put_nowait(None)
        self._thread.join(within_s)
        return self._is_finished

    def _run(self) -> None:
        try:
            worker = self._make()
            self._serve(worker)
            self._is_finished = not worker.pending()
            worker.close()
        except Exception as error:  # the thread must not die unseen; the control loop raises it
            log.exception("the %s stopped", self._name)
            self.failure = error

    def _serve(self, worker: Pumped) -> None:
        while not (self._stopping.is_set() and self._commands.empty() and not worker.must_finish()):
            self.beats += 1
            command = self._next(PUMP_S if worker.pending() else worker.rest_s)
            if command is not None:
                worker.handle(command)
            worker.pump()

    def _next(self, timeout_s: float) -> object | None:
        try:
            return self._commands.get(timeout=0.05 if self._stopping.is_set() else timeout_s)
        except queue.Empty:
            return None


class InlineWorker:
    """Runs a worker on the caller's thread: in virtual time nothing may wait on real time."""

    def __init__(self, make: Callable[[], Pumped], name: str) -> None:  # noqa: ARG002  (as a thread)
        self._make = make
        self._worker: Pumped | None = None
        self.failure: BaseException | None = None
        self.beats = 0

    def start(self) -> None:
        self._worker = self._make()

    def submit(self, command: object) -> None:
        assert self._worker is not None
        self._worker.handle(command)

    def tick(self) -> None:
        assert self._worker is not None
        self.beats += 1
        if self._worker.pending() or self.beats % max(1, int(self._worker.rest_s / TICK_S)) == 0:
            self._worker.pump()

    def close(self, within_s: float) -> bool:
        assert self._worker is not None
        for _ in range(int(within_s) * 1000):
            if not self._worker.must_finish():
                is_finished = not self._worker.pending()
                self._worker.close()
                return is_finished
            self._worker.pump()
        return False


Worker: TypeAlias = WorkerThread | InlineWorker
RunWorker: TypeAlias = "Callable[[Callable[[], Pumped], str], Worker]"
"""How a worker is run: what makes it, and its name."""
