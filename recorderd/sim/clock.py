"""Simulated time: the world's agenda, its clock, and the two ways to drive it.

Everything that will happen in the simulated world is an entry of one agenda, ordered by time.
`World.advance` runs the entries that are due, each with `now()` standing at its own moment, so an
edge is stamped with the time at which it happens and not with the time at which somebody looked.

In virtual time the control thread drives the world itself: `VirtualInbox.wait` moves the clock
forward only when there is nothing left to handle, so a run is as fast as the program and gives the
same inputs every time. In real time `RealTimeDriver` lets the world follow the kernel's monotonic
clock, and everything else is as with hardware.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from recorderd.errors import RecorderdError
from recorderd.units import ClockReading, MonoNs, WallNs, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.events import Input


# No daemon starts at the very moment of boot, so virtual time does not begin at zero.
VIRTUAL_START = MonoNs(seconds(60))
BOOT_ID = "00000000-0000-4000-8000-000000000000"
REAL_TIME_STEP_S = 0.02  # shorter than anything that a person at the demo could notice
# A daemon that falls this far behind is broken; a real inbox is bounded for the same reason.
INBOX_LIMIT = 10_000


class World:
    """The agenda and the clock of the simulated world; `lock` guards everything in it.

    In real time three threads meet here (the driver, the control thread, the writer); in virtual
    time there is only one and the lock is never waited for.
    """

    def __init__(self, start: MonoNs = VIRTUAL_START) -> None:
        self.lock = threading.RLock()
        self.start = start
        self._now = start
        self._agenda: list[tuple[MonoNs, int, Callable[[], None]]] = []
        self._sequence = 0

    def now(self) -> MonoNs:
        return self._now

    def schedule(self, at: MonoNs, action: Callable[[], None]) -> None:
        """Run `action` at `at`, or at once where that has passed; equal times keep their order."""
        with self.lock:
            heapq.heappush(self._agenda, (max(at, self._now), self._sequence, action))
            self._sequence += 1

    def advance(self, until: MonoNs) -> None:
        """Let everything happen that is due up to and including `until`."""
        with self.lock:
            while self._run_next(until):
                pass
            self._now = max(self._now, until)

    def step(self, until: MonoNs) -> None:
        """Run the next entry that is due by `until`; where there is none, it becomes `until`."""
        with self.lock:
            if not self._run_next(until):
                self._now = max(self._now, until)

    def has_due(self, until: MonoNs) -> bool:
        """Whether an entry waits to be run at or before `until`."""
        return bool(self._agenda) and self._agenda[0][0] <= until

    def _run_next(self, until: MonoNs) -> bool:
        if not self.has_due(until):
            return False
        self._now, _, action = heapq.heappop(self._agenda)
        action()
        return True


class SimClock:
    """ports.Clock: `now` from the world (or the kernel), wall time from the script's day."""

    def __init__(
        self,
        now: Callable[[], MonoNs],
        start: MonoNs,
        start_wall: WallNs,
        *,
        synchronised: bool = True,
    ) -> None:
        self._read_now = now
        self._synchronised = synchronised
        self._start = start
        self._start_wall = start_wall

    def now(self) -> MonoNs:
        return self._read_now()

    def reading(self) -> ClockReading:
        mono = self._read_now()
        wall = WallNs(self._start_wall + mono - self._start)
        return ClockReading(BOOT_ID, mono, wall, self._synchronised, "simulated")


class VirtualInbox:
    """ports.Inbox in virtual time: waiting is what makes time pass."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._queue: deque[Input] = deque()

    def post(self, event: Input) -> None:
        if len(self._queue) >= INBOX_LIMIT:
            raise RecorderdError(
                f"{INBOX_LIMIT} inputs wait unhandled: the control loop stands still"
            )
        self._queue.append(event)

    def wait(self, until: MonoNs) -> Input | None:
        """The next input, or None when virtual time has reached `until` without one."""
        world = self._world
        while not self._queue and (world.now() < until or world.has_due(until)):
            world.step(until)
        return self._queue.popleft() if self._queue else None


class RealTimeDriver:
    """A thread that keeps the world in step with the monotonic clock."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="simulated-world", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop the world where it stands."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(REAL_TIME_STEP_S):
            self._world.advance(MonoNs(time.monotonic_ns()))
