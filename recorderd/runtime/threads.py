"""Where the writer runs: on a thread of its own, or inline in virtual time."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Protocol

from recorderd.errors import RecorderdError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

COMMANDS_MAX = 1000
"""Commands to the writer are a few a call; so many waiting means that it stands still."""

PUMP_S = 0.5
"""Audio is copied out of the ring this often while a call is recorded: the journal is synced at every
second time, and a cut costs less than two seconds (store/spool.py)."""

IDLE_PUMP_S = 5.0

IDLE_TICKS = 12
"""As much in virtual time, of the control loop's ticks."""


class WriterFullError(RecorderdError):
    """The writer stands still: seal and leave; the service manager restarts."""


class Pumped(Protocol):
    """What a worker drives: recording.writer.Writer."""

    def handle(self, command: object) -> None: ...
    def pump(self) -> None: ...
    def pending(self) -> bool: ...
    def close(self) -> None: ...


class WriterThread:
    """Runs a writer on its own thread behind a bounded queue.

    `beats` counts its rounds: the watchdog is fed only while it advances.
    """

    def __init__(self, make_writer: Callable[[], Pumped]) -> None:
        self._make_writer = make_writer
        self._commands: queue.Queue[object] = queue.Queue(COMMANDS_MAX)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer")
        self.failure: BaseException | None = None
        self.beats = 0

    def start(self) -> None:
        self._thread.start()

    def submit(self, command: object) -> None:
        try:
            self._commands.put_nowait(command)
        except queue.Full:
            raise WriterFullError(f"{COMMANDS_MAX} commands wait for the writer") from None

    def tick(self) -> None:
        """Nothing: the thread keeps its own time."""

    def close(self, within_s: float) -> bool:
        """Let it finish what is pending; False when it did not within `within_s`."""
        self._stopping.set()
        self.submit(None)
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            writer = self._make_writer()
            self._serve(writer)
            writer.close()
        except Exception as error:  # the thread must not die unseen; the control loop raises it
            log.exception("the writer stopped")
            self.failure = error

    def _serve(self, writer: Pumped) -> None:
        while not (self._stopping.is_set() and self._commands.empty() and not writer.pending()):
            self.beats += 1
            command = self._next(PUMP_S if writer.pending() else IDLE_PUMP_S)
            if command is not None:
                writer.handle(command)
            writer.pump()

    def _next(self, timeout_s: float) -> object | None:
        try:
            return self._commands.get(timeout=0.05 if self._stopping.is_set() else timeout_s)
        except queue.Empty:
            return None


class InlineWriter:
    """Runs a writer on the caller's thread: in virtual time nothing may wait on real time."""

    def __init__(self, make_writer: Callable[[], Pumped]) -> None:
        self._make_writer = make_writer
        self._writer: Pumped | None = None
        self.failure: BaseException | None = None
        self.beats = 0

    def start(self) -> None:
        self._writer = self._make_writer()

    def submit(self, command: object) -> None:
        assert self._writer is not None
        self._writer.handle(command)

    def tick(self) -> None:
        assert self._writer is not None
        self.beats += 1
        if self._writer.pending() or self.beats % IDLE_TICKS == 0:
            self._writer.pump()

    def close(self, within_s: float) -> bool:
        assert self._writer is not None
        for _ in range(int(within_s) * 1000):
            if not self._writer.pending():
                self._writer.close()
                return True
            self._writer.pump()
        return False
