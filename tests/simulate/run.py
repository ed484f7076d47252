"""One simulation: the plan let loose on the real recorder, process after process."""

from __future__ import annotations

import gc
import hashlib
import logging
import random
import resource
import tempfile
from collections import Counter
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from recorderd import events as ev
from recorderd.config import load
from recorderd.daemon import Daemon
from recorderd.disk import files
from recorderd.errors import ConfigError, StoreError
from recorderd.runtime import loop as loop_module
from recorderd.runtime.watchdog import ServiceManager
from recorderd.runtime.workers import InlineWorker
from recorderd.store import ledger
from recorderd.units import NS_PER_S, MonoNs, later, seconds
from tests.deaf import Deaf
from tests.simulate import agefile
from tests.simulate.checks import Checker
from tests.simulate.configuration import Configuration
from tests.simulate.disk import Disk, Killed
from tests.simulate.plan import DAY_NS, FIRST_DAY, LINES, Trouble, plan_day, seals
from tests.simulate.troubles import Troubles
from tests.simulate.violations import fail
from tests.simulate.world import Box, Devices, JumpingInbox, Outside, Phone, WallClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recorderd.config.values import Config
    from recorderd.recording.writer import Writer

HERE = Path("/proc/self/cwd")
"""Every simulation has a folder of its own under the same name: names get into the ledger."""

RESTART_S = 3.0  # RestartSec= of the service
QUIET_MARGIN_NS = NS_PER_S


@dataclass
class Process:
    """One run of the daemon, in true time."""

    devices: Devices
    daemon: Daemon
    began_at: int
    ready_at: int | None = None
    ended_at: int | None = None
    end: str = ""


@dataclass
class Outcome:
    """What came of a simulation."""

    seed: int
    days: int
    counts: Counter[str]
    digest: str


class FailedError(Exception):
    """An invariant was broken: where, and how to see it again."""


class Simulation:
    """Use it once."""

    def __init__(
        self,
        seed: int,
        days: int,
        folder: Path,
        tell: Callable[[str], None],
        *,
        troubles: int | None,
        traced: bool,
    ) -> None:
        self.seed, self.days, self.tell, self.traced = seed, days, tell, traced
        self._troubles_a_day = troubles
        self.rng = random.Random(f"run:{seed}")
        self.counts: Counter[str] = Counter()
        self.directory = folder / "recordings"
        self.configuration = Configuration(
            path=folder / "recorderd.toml",
            country=self.rng.choice(("JP", "JP", "JP", "GB", "US", "DE")),
            format=self.rng.choice(("flac", "wav")),
            segment_s=self.rng.choice((5, 15, 60)),
            is_sealed=seals(seed),
        )
        self.ledger_lines = self.rng.choice((24, 200, 4096))
        for name in ("recordings", "grave"):
            (folder / name).mkdir()
        self.configuration.write()
        self.disk = Disk(self.directory, folder / "grave", self.rng)
        self.outside = Outside()
        clock = WallClock(self.outside, int(FIRST_DAY.timestamp()) * NS_PER_S)
        self.box = Box(self.outside, clock, {name: Phone(name, self.outside) for name in LINES})
        self.processes: list[Process] = []
        self.process: Process | None = None
        self.doomed: Trouble | None = None  # how the process is to die, at once or in a write
        self.is_interrupted = False
        self.event = "the beginning"
        self.facts = hashlib.sha256()
        self.checker = Checker(self)
        self.troubles = Troubles(self)
        self.is_over = False
        self._day = 0

    # ------------------------------------------------------------ the whole

    def run(self) -> Outcome:
        with ExitStack() as stack:
            stack.enter_context(self.disk.installed())
            stack.enter_context(agefile.installed(self.rng))
            stack.enter_context(patch.object(loop_module, "log_fact", self._take_fact))
            stack.enter_context(patch.object(ledger, "FILE_LINES_MAX", self.ledger_lines))
            # It would take core dumps away from the whole process, and from the test that is about them.
            stack.enter_context(patch.object(resource, "setrlimit"))
            self.disk.on_row = self.checker.row_is_added
            self.disk.on_name = self.checker.keeping.is_named
            self.disk.on_write = self.checker.secrecy.is_written
            try:
                self._schedule()
                self.box.switch_on(seconds(self.rng.uniform(20, 90)))
                while not self.is_over:
                    self._step()
                self._finish()
            except Exception as error:
                raise FailedError(self._where(error)) from error
        return Outcome(self.seed, self.days, self.counts, self.digest())

    def _where(self, error: Exception) -> str:
        return (
            f"seed {self.seed}, {self._clock()}, after {self.event}: {error!r}\n"
            f"again: python -m tests.simulate --seed {self.seed} --days {self._day + 1}"
            f"{'' if self._troubles_a_day is None else f' --troubles {self._troubles_a_day}'} --trace"
        )

    def _schedule(self) -> None:
        for number in range(self.days):
            self.outside.add(number * DAY_NS, lambda number=number: self._begin_day(number))

    def _begin_day(self, number: int) -> None:
        self._day = number
        day = plan_day(self.seed, number, self.configuration.country, self._troubles_a_day)
        midnight = number * DAY_NS
        self.checker.expect(day.told)
        for line, happening in day.happenings:
            phone = self.box.phones[line]
            self.outside.add(midnight + happening.at, lambda p=phone, h=happening: p.let(h))
        for trouble in day.troubles:
            self.outside.add(trouble.at, lambda trouble=trouble: self.troubles.begin(trouble))
        self.outside.add(midnight + DAY_NS - seconds(3600), lambda: self._end_day(number))

    def _end_day(self, number: int) -> None:
        self.event = "the day's end"
        if self.process is not None:
            self.checker.day_is_over()
            if self.doomed is None and self.disk.fault is None:
                self.checker.place_holds()
        self.tell(self.checker.day_line(number))
        if number == self.days - 1:
            self.is_over = self.is_interrupted = True

    def _finish(self) -> None:
        if self.process is not None:
            self._stop()
        self.disk.fault = None  # what it left, a last start brings in order
        self.checker.alarms.disk.end(self.outside.now)
        self._wait(seconds(5))
        self.configuration.is_right = True
        self.configuration.write()
        self._start()
        self._stop()
        self.checker.all_is_over()
        self.counts.update(self.checker.totals())

    def digest(self) -> str:
        """Equal for equal seeds: all facts, and what the disk holds in the end."""
        whole = self.facts.copy()
        for path in sorted(self.directory.rglob("*")):
            name = path.relative_to(self.directory).as_posix()
            if path.is_file() and not name.startswith(("catalogue", "status.json", ".status")):
                whole.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        for row in self.checker.rows():
            whole.update(f"{row}\n".encode())
        return whole.hexdigest()

    # ------------------------------------------------------------ one process after the other

    def _step(self) -> None:
        process = self.process
        if process is None:
            self._start()
            return
        try:
            process.daemon.loop.step()
        except Killed:
            self._bury()
            return
        self.checker.step_is_over()
        self.is_interrupted = self.is_over
        if self.doomed is not None and self.disk.kill_after is None:
            self._end_now(self.doomed)

    def _start(self) -> None:
        boot = self.box.boot
        assert boot is not None
        config = self._load_config()
        if config is None:
            self._wait(seconds(RESTART_S))
            return
        files._UNSYNCED.clear()  # of the process before
        inbox = JumpingInbox(boot.world, self._quiet_until, lambda: self.is_interrupted)
        devices = Devices(self.box, boot, inbox)
        process = Process(
            devices, Daemon(config, devices, ServiceManager(), InlineWorker, Deaf), self.outside.now
        )
        self.process = process
        self.processes.append(process)
        self.counts["starts"] += 1
        try:
            process.daemon.start()
        except StoreError as error:
            self.counts["starts that the disk refused"] += 1
            self._start_failed(error)
        except Killed:
            self._bury()
        else:
            process.ready_at = self.outside.now
            self.note("the process is ready")
            self.checker.process_is_ready()

    def _load_config(self) -> Config | None:
        try:
            return load(self.configuration.path)
        except ConfigError:
            self.counts["starts that the configuration refused"] += 1
            return None

    def _start_failed(self, error: StoreError) -> None:
        self.disk.die()
        self._let_go("refused")
        self.disk.bury_process(lose_power=False)
        if self.disk.fault is None:
            fail(f"the start failed on a sound disk: {error}")
        self._wait(seconds(RESTART_S))

    def _end_now(self, trouble: Trouble) -> None:
        """A process ends between two of its rounds."""
        self.doomed = None
        if trouble.kind == "stopped":
            self._stop()
            self._wait(trouble.span_ns)
            return
        self.doomed = trouble
        self.disk.die()
        self._bury()

    def _bury(self) -> None:
        """The process died; after a cut the box is off for a while."""
        trouble, self.doomed = self.doomed, None
        assert trouble is not None
        is_cut = trouble.kind.startswith("power-cut")
        self.event = f"{trouble.kind} in {self.event}" if "write" in trouble.kind else trouble.kind
        self._let_go(trouble.kind)
        self.disk.bury_process(lose_power=is_cut)
        if not is_cut:
            self._wait(trouble.span_ns)
            return
        self.disk.fault = None
        clock = self.box.clock
        self.outside.follow(None)
        last_wall = clock.wall(self.outside.now)
        self._wait(trouble.span_ns, is_on=False)
        self._boot_with_wrong_clock(last_wall)

    def _boot_with_wrong_clock(self, last_wall: int) -> None:
        """There is no battery: the clock stands where it was last saved, or in 1970, until the
        network is there."""
        clock = self.box.clock
        clock.set_to(self.rng.choice((last_wall - seconds(600), 0)), synchronised=False)
        self.box.switch_on(seconds(self.rng.uniform(15, 60)))
        self.outside.add(self.outside.now + seconds(self.rng.uniform(5, 300)), clock.synchronise)

    def _let_go(self, end: str) -> None:
        """What a dead process leaves in this one."""
        process = self.process
        assert process is not None
        process.ended_at, process.end = self.outside.now, end
        self.note(f"the process is gone: {end}")
        self.process = None
        for phone in self.box.phones.values():
            phone.sensor, phone.modem = None, None
        for card in process.devices.cards:
            card._closed_at = card._closed_at or card._world.now()
        if process.daemon._books is not None:
            process.daemon._books.close_catalogue()
        process.daemon._held.close()
        self.checker.process_is_gone()
        gc.collect(0)

    def _stop(self) -> None:
        process = self.process
        assert process is not None
        try:
            process.daemon.loop.take(ev.StopRequested(process.devices.boot.now()))
            process.daemon.stop()
        except Killed:
            self._bury()
            return
        while process.devices.inbox._queue:
            self._take_fact(process.devices.inbox._queue.popleft(), None)
        self.checker.step_is_over()
        self.disk.die()
        self._let_go("stopped")
        self.disk.bury_process(lose_power=False)

    def _wait(self, span_ns: int, *, is_on: bool = True) -> None:
        """Nobody records; the world goes on."""
        until = self.outside.now + span_ns
        boot = self.box.boot
        assert boot is not None
        if is_on:
            boot.world.advance(boot.mono(until))
        else:
            self.outside.pass_to(until)
        self.is_interrupted = self.is_over

    def _quiet_until(self) -> MonoNs | None:
        """How long nothing will be done; None where something may be."""
        process = self.process
        if process is None or process.ready_at is None or self.doomed or self.box.card_is_lost:
            return None
        daemon, boot = process.daemon, process.devices.boot
        keeper = daemon._keeper
        assert keeper is not None
        agenda = boot.world._agenda
        if not agenda or agenda[0][0] - boot.now() < 2 * QUIET_MARGIN_NS:
            return None
        if daemon._writer._worker.pending() or daemon._waiting is not None or keeper._work:
            return None
        if not all(daemon.loop.is_idle(name) for name in daemon._actors.lines):
            return None
        deadlines = [unit.station.deadline() for unit in daemon._actors.lines.values()]
        times = [agenda[0][0], keeper._measure_at, keeper._look_at]
        times += [at for at in deadlines if at is not None]
        return later(min(times), -QUIET_MARGIN_NS)

    # ------------------------------------------------------------ facts

    def _take_fact(self, fact: ev.Fact | ev.Input, _reading: object) -> None:
        self.note(repr(fact))
        self.checker.take(fact)

    def note(self, text: str) -> None:
        """What happened goes into the digest, and is shown where somebody asked for it."""
        self.facts.update(text.encode())
        if self.traced:
            self.tell(f"{self._clock()} {text}")

    def _clock(self) -> str:
        day, rest = divmod(self.outside.now, DAY_NS)
        minutes, rest_s = divmod(rest / NS_PER_S, 60)
        return f"day {day}, {int(minutes) // 60:02d}:{int(minutes) % 60:02d}:{rest_s:06.3f}"

    @property
    def disk_writer(self) -> Writer | None:
        return None if self.process is None else self.process.daemon._disk


@contextmanager
def _no_log() -> Iterator[None]:
    """A simulated day says as much as a real one, and the facts are noted elsewhere."""
    log = logging.getLogger("recorderd")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


def simulate(
    seed: int,
    days: int,
    tell: Callable[[str], None] = print,
    *,
    troubles: int | None = None,
    traced: bool = False,
) -> Outcome:
    """Run `days` days of a seed in memory; FailedError where an invariant does not hold.

    `troubles`: how many a day, None: as the seed chooses.
    """
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="simulate-", dir=memory) as folder,
        chdir(folder),
        _no_log(),
    ):
        return Simulation(seed, days, HERE, tell, troubles=troubles, traced=traced).run()
