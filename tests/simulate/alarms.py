"""Alarms: there while something is wrong, and gone when it is over.

Each trouble asks, a moment after it began and after it ended, whether the status says so. What was
asked is dropped where it no longer has an answer: another process runs, or the trouble is another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.units import seconds
from tests.simulate.disk import GROWING
from tests.simulate.violations import Windows, fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulate.run import Simulation

DISK_IS_TOLD_WITHIN_NS = seconds(5)
LEFT_IS_FILED_WITHIN_NS = seconds(130)  # tried every minute, one time and again
CARD_IS_TOLD_WITHIN_NS = seconds(2.5)  # 2 s, and a round of the control loop
CHATTER_IS_OVER_AFTER_NS = seconds(6)
NIGHTLY = (
    "card",
    "hook",
    "modem: unplugged",
    "ring",
    "writing",
    "config",
    "no-line",
    "recovery",
    "times",
)


class Alarms:
    def __init__(self, simulation: Simulation) -> None:
        self._sim = simulation
        self.asked = 0
        self.disk = Windows()
        self.chatter = {name: Windows() for name in simulation.box.phones}
        self.noise = {name: Windows() for name in simulation.box.phones}

    @property
    def _now(self) -> int:
        return self._sim.outside.now

    def expect(self, what: str, *, is_there: bool, line: str | None = None) -> None:
        """The running process has an alarm of this kind, or has none."""
        assert self._sim.process is not None
        status = self._sim.process.daemon.status
        lines = list(self._sim.box.phones) if line is None else [line]
        heads = (what, *(f"{name}: {what}" for name in lines))
        alarms = [text for text in status.alarms() if text.startswith(heads)]
        self.asked += 1
        if bool(alarms) != is_there:
            said = "there is no alarm" if is_there else "the alarm stays"
            fail(f"{what} {line or ''}: {said}; there are {status.alarms()}")

    def _after(self, span_ns: int, look: Callable[[], None]) -> None:
        """Look later, if the same process still runs."""
        process = self._sim.process

        def look_then() -> None:
            if (
                process is not None
                and process is self._sim.process
                and process.ready_at is not None
            ):
                look()

        self._sim.outside.add(self._now + span_ns, look_then)

    # ------------------------------------------------------------ the disk

    def disk_fails(self) -> None:
        self.disk.begin(self._now)
        fault, writer = self._sim.disk.fault, self._sim.disk_writer
        assert fault is not None
        if fault.chance < 1 or not fault.operations >= GROWING or writer is None:
            return
        begun = {job.record.id for job in writer._jobs if not job.is_ended and not job.is_waiting}

        def look() -> None:
            is_heard = not self._sim.box.card_is_lost  # else there is nothing to write
            if (
                is_heard
                and self._sim.disk.fault is fault
                and begun & {job.record.id for job in writer._jobs}
            ):
                self.expect("writing", is_there=True)

        self._after(DISK_IS_TOLD_WITHIN_NS, look)

    def disk_works(self) -> None:
        self.disk.end(self._now)
        self._after(seconds(5), self._nothing_is_refused)

    def _nothing_is_refused(self) -> None:
        writer = self._sim.disk_writer
        assert writer is not None
        if self.disk.touch(self._now - seconds(4), self._now):
            return
        if writer._jobs:
            self._after(seconds(10), self._nothing_is_refused)
        else:
            self.expect("writing", is_there=False)

    def calls_are_left(self, is_one_left: Callable[[], bool]) -> None:
        """A start could not file all calls: it says so as long as that is so, and files them when the
        disk works.

        The alarm may stay until the next try where none is left: the last name can be gone from
        open/ and the sync of that refused.
        """

        def look() -> None:
            if is_one_left():
                self.expect("recovery", is_there=True)

        self._after(DISK_IS_TOLD_WITHIN_NS, look)
        self._after(LEFT_IS_FILED_WITHIN_NS, lambda: self._left_are_filed(is_one_left))

    def _left_are_filed(self, is_one_left: Callable[[], bool]) -> None:
        if self.disk.touch(self._now - LEFT_IS_FILED_WITHIN_NS, self._now):
            self._after(seconds(30), lambda: self._left_are_filed(is_one_left))
            return
        if is_one_left():
            fail("calls that the start could not file still lie in open/")
        self.expect("recovery", is_there=False)

    # ------------------------------------------------------------ everything else

    def hook_chatters(self, line: str, until: int) -> None:
        begun = self._now
        self.chatter[line].add(begun, until + CHATTER_IS_OVER_AFTER_NS)
        if until - begun > seconds(1):
            self._after(seconds(0.9), lambda: self.expect("hook-chatter", is_there=True, line=line))
        self._after(
            until - begun + CHATTER_IS_OVER_AFTER_NS, lambda: self._chatter_is_over(line, until)
        )

    def _chatter_is_over(self, line: str, until: int) -> None:
        """It is when the hook did not move for five seconds."""
        if self._sim.box.phones[line].moved_at <= until:
            self.expect("hook-chatter", is_there=False, line=line)

    def modem_babbles(self, line: str, until: int) -> None:
        self.noise[line].add(self._now, until + seconds(10))

    def modem_is(self, line: str, *, plugged: bool) -> None:
        def look() -> None:
            if self._sim.box.phones[line].plugged == plugged:
                self.expect("modem: unplugged", is_there=not plugged, line=line)

        self._after(seconds(1), look)

    def card_is(self, *, there: bool) -> None:
        def look() -> None:
            if self._sim.box.card_is_lost != there:
                self.expect("card", is_there=not there)

        self._after(CARD_IS_TOLD_WITHIN_NS, look)

    def config_is(self, *, right: bool) -> None:
        def look() -> None:
            if self._sim.configuration.is_right == right:
                self.expect("config", is_there=not right)

        self._after(seconds(1), look)

    # ------------------------------------------------------------ at night

    def is_noisy(self, line: str, begin: int, end: int) -> bool:
        """Whether the hook chattered: then nobody can say when the phone was lifted."""
        return self.chatter[line].touch(begin, end)

    def is_restless(self, span_ns: int) -> bool:
        """Whether something was wrong within the last `span_ns`, or the process is younger."""
        process, box, since = self._sim.process, self._sim.box, self._now - span_ns
        assert process is not None
        return (
            self.disk.touch(since, self._now)
            or process.began_at > since
            or box.card_is_lost
            or not self._sim.configuration.is_right
            or any(self.is_noisy(line, since, self._now) for line in box.phones)
            or not all(phone.plugged for phone in box.phones.values())
        )

    def nothing_is_wrong(self) -> None:
        for kind in NIGHTLY:
            self.expect(kind, is_there=False)
