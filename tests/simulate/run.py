"""One simulation: the plan let loose on the real recorder, process after process."""

from __future__ import annotations

import gc
import hashlib
import logging
import random
import tempfile
from collections import Counter
from contextlib import ExitStack, chdir
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from recorderd import events as ev
from recorderd.config import load
from recorderd.daemon import Daemon
from recorderd.errors import ConfigError, StoreError
from recorderd.runtime import loop as loop_module
from recorderd.runtime.threads import InlineWriter
from recorderd.runtime.watchdog import ServiceManager
from recorderd.store import files, ledger
from recorderd.units import NS_PER_S, MonoNs, WallNs, later, seconds
from tests.simulate.checks import Checker
from tests.simulate.disk import GROWING, WRITING, Disk, Fault, Killed, ViolationError
from tests.simulate.plan import DAY_NS, FIRST_DAY, LINES, Trouble, plan_day
from tests.simulate.world import Box, Devices, JumpingInbox, Outside, Phone, WallClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.config.values import Config
    from recorderd.recording.writer import Writer

CARD = "Simulated card"
CONFIG = """\
[site]
name = "simulated-office"
country = "{country}"
time_zone = "Asia/Tokyo"

[storage]
directory = "recordings"
format = "{format}"
segment_s = {segment_s}

[simulation]
script = "office-day.line"
"""
LINE = """
[[line]]
name = "{name}"
[line.audio]
driver = "sim"
device = "Simulated card"
capture_rate_hz = 8000
near_channel = {near}
far_channel = {far}
pre_roll_ms = {pre_roll_ms}
[line.hook]
driver = "sim"
[line.ring]
[line.modem]
driver = "sim"
[line.announcement]
inbound = "notice-ja.wav"
"""

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

    @property
    def boot(self) -> object:
        return self.devices.boot


@dataclass
class Outcome:
    """What came of a simulation."""

    seed: int
    days: int
    counts: Counter[str]
    digest: str = ""
    lines: list[str] = field(default_factory=list)


class FailedError(Exception):
    """An invariant was broken: where, and how to see it again."""


class Simulation:
    """Use it once."""

    def __init__(
        self, seed: int, days: int, folder: Path, tell: Callable[[str], None], *, traced: bool
    ) -> None:
        self.seed, self.days, self.tell, self.traced = seed, days, tell, traced
        self.rng = random.Random(f"run:{seed}")
        self.counts: Counter[str] = Counter()
        self.directory = folder / "recordings"
        self.config_path = folder / "recorderd.toml"
        self.country = self.rng.choice(("JP", "JP", "JP", "GB", "US", "DE"))
        self.pre_roll_ms = 2000
        self.format = self.rng.choice(("flac", "wav"))
        self.segment_s = self.rng.choice((5, 15, 60))
        self.ledger_lines = self.rng.choice((24, 200, 4096))
        for name in ("recordings", "grave"):
            (folder / name).mkdir()
        self.write_config()
        self.disk = Disk(self.directory, folder / "grave", self.rng)
        self.outside = Outside()
        clock = WallClock(int(FIRST_DAY.timestamp()) * NS_PER_S)
        self.box = Box(self.outside, clock, {name: Phone(name, self.outside) for name in LINES})
        self.processes: list[Process] = []
        self.process: Process | None = None
        self.doomed: Trouble | None = None  # how the process is to die, at once or in a write
        self.is_interrupted = False
        self.event = "the beginning"
        self.facts = hashlib.sha256()
        self.checker = Checker(self)
        self.is_over = False

    # ------------------------------------------------------------ the whole

    def run(self) -> Outcome:
        lines: list[str] = []
        with ExitStack() as stack:
            stack.enter_context(self.disk.installed())
            stack.enter_context(patch.object(loop_module, "log_fact", self._take_fact))
            stack.enter_context(patch.object(ledger, "FILE_LINES_MAX", self.ledger_lines))
            self.disk.on_row = self.checker.row_is_added
            try:
                self._schedule()
                self.box.switch_on(seconds(self.rng.uniform(20, 90)))
                while not self.is_over:
                    self._step()
                self._finish()
            except Exception as error:
                raise FailedError(self._where(error)) from error
        return Outcome(self.seed, self.days, self.counts, self.digest(), lines)

    def _where(self, error: Exception) -> str:
        return (
            f"seed {self.seed}, {self._clock()}, after {self.event}: {error!r}\n"
            f"again: python -m tests.simulate --seed {self.seed} --days {self.days}"
        )

    def _schedule(self) -> None:
        for number in range(self.days):
            self.outside.add(number * DAY_NS, lambda number=number: self._begin_day(number))

    def _begin_day(self, number: int) -> None:
        day = plan_day(self.seed, number, self.country)
        midnight = number * DAY_NS
        self.checker.expect(day.told)
        for line, happening in day.happenings:
            phone = self.box.phones[line]
            self.outside.add(midnight + happening.at, lambda p=phone, h=happening: p.let(h))
        for trouble in day.troubles:
            self.outside.add(trouble.at, lambda trouble=trouble: self._begin(trouble))
        self.outside.add(midnight + DAY_NS - seconds(3600), lambda: self._end_day(number))

    def _end_day(self, number: int) -> None:
        self.event = "the day's end"
        if self.process is not None:
            self.checker.day_is_over()
        self.tell(self.checker.day_line(number))
        if number == self.days - 1:
            self.is_over = self.is_interrupted = True

    def _finish(self) -> None:
        if self.process is not None:
            self._stop()
        if self.checker.is_doubtful:  # what a failing disk left, a last start brings in order
            self.disk.fault = None
        self._wait(seconds(5))
        self.write_config()
        self._start()
        self._stop()
        self.checker.all_is_over()

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
            devices, Daemon(config, devices, ServiceManager(), InlineWriter), self.outside.now
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
            self._note("the process is ready")
            self.checker.process_is_ready()

    def _load_config(self) -> Config | None:
        try:
            return load(self.config_path)
        except ConfigError:
            self.counts["starts that the configuration refused"] += 1
            return None

    def _start_failed(self, error: StoreError) -> None:
        self.disk.die()
        self._let_go("refused")
        self.disk.bury_process(lose_power=False)
        if self.disk.fault is None:
            raise ViolationError(f"the start failed on a sound disk: {error}") from error
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
        clock.set_to(self.rng.choice((last_wall - seconds(600), 0)), self.outside.now)
        clock.synchronised = False
        self.box.switch_on(seconds(self.rng.uniform(15, 60)))
        self.outside.add(self.outside.now + seconds(self.rng.uniform(5, 300)), self._synchronise)

    def _synchronise(self) -> None:
        self.box.clock.offset_ns, self.box.clock.synchronised = 0, True

    def _let_go(self, end: str) -> None:
        """What a dead process leaves in this one."""
        process = self.process
        assert process is not None
        process.ended_at, process.end = self.outside.now, end
        self._note(f"the process is gone: {end}")
        self.process = None
        for phone in self.box.phones.values():
            phone.sensor, phone.modem = None, None
        for card in process.devices.cards:
            card._closed_at = card._closed_at or card._world.now()
        if process.daemon._books is not None:
            process.daemon._books.close_catalogue()
        process.daemon._held.close()
        self.checker.process_is_gone(process)
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
        agenda = boot.world._agenda
        if not agenda or agenda[0][0] - boot.now() < 2 * QUIET_MARGIN_NS:
            return None
        if daemon._writer._writer.pending() or daemon._waiting is not None:
            return None
        if not all(daemon.loop.is_idle(name) for name in daemon._actors.lines):
            return None
        deadlines = [unit.station.deadline() for unit in daemon._actors.lines.values()]
        times = [agenda[0][0], *(at for at in deadlines if at is not None)]
        return later(min(times), -QUIET_MARGIN_NS)

    # ------------------------------------------------------------ facts

    def _take_fact(self, fact: ev.Fact | ev.Input, _reading: object) -> None:
        self._note(repr(fact))
        self.checker.take(fact)

    def _note(self, text: str) -> None:
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

    # ------------------------------------------------------------ troubles

    def write_config(self, *, wrong: bool = False) -> None:
        text = CONFIG.format(country=self.country, format=self.format, segment_s=self.segment_s)
        for number, name in enumerate(LINES):
            text += LINE.format(
                name=name, near=2 * number + 1, far=2 * number + 2, pre_roll_ms=self.pre_roll_ms
            )
        self.config_path.write_text(text + ("nmae = 1\n" if wrong else ""))

    def _begin(self, trouble: Trouble) -> None:
        self.event = trouble.kind
        self.counts[trouble.kind] += 1
        self._note(repr(trouble))
        {
            "disk": self._disk_trouble,
            "power": self._death,
            "killed": self._death,
            "stopped": self._death,
            "clock": self._clock_trouble,
            "modem": self._modem_trouble,
            "card": self._card_trouble,
            "hook": self._hook_trouble,
            "wrong": self._config_trouble,
            "other": self._config_trouble,
        }[trouble.kind.partition("-")[0]](trouble)

    def _disk_trouble(self, trouble: Trouble) -> None:
        if self.disk.fault is not None:
            return
        operations, chance = WRITING, 1.0
        if trouble.kind == "disk-full":
            operations = GROWING
        elif trouble.kind == "disk-failing":
            chance = self.rng.choice((1.0, 0.5, 0.1))
            operations = self.rng.choice((WRITING, frozenset({"fsync"}), frozenset({"write"})))
        fault = Fault(trouble.number, operations, chance, writes_part=trouble.kind == "disk-full")
        self.disk.fault = fault
        self.checker.disk_fails()
        self.outside.add(self.outside.now + trouble.span_ns, lambda: self._mend_disk(fault))

    def _mend_disk(self, fault: Fault) -> None:
        if self.disk.fault is fault:
            self.disk.fault = None
            self.event = "the disk works again"
        self.checker.disk_works()

    def _death(self, trouble: Trouble) -> None:
        if self.process is None or self.doomed is not None:
            return
        self.doomed = trouble
        if trouble.kind.endswith("in-write"):
            self.disk.kill_after = trouble.number
        self.is_interrupted = True

    def _clock_trouble(self, trouble: Trouble) -> None:
        clock = self.box.clock
        steps = (-seconds(3600), seconds(3600), seconds(3600 * 24 * 3652), -seconds(40), None)
        step = steps[trouble.number % len(steps)]
        if step is None:
            clock.set_to(WallNs(seconds(60)), self.outside.now)
        else:
            clock.offset_ns = step
        clock.synchronised = trouble.number % 2 == 0
        if clock.synchronised:
            self.checker.clock_misleads()
        self.outside.add(self.outside.now + trouble.span_ns, self._synchronise)

    def _modem_trouble(self, trouble: Trouble) -> None:
        phone = self.box.phones[trouble.line]
        now = self.outside.now
        if trouble.kind == "modem-lost":
            self._plug(trouble.line, plugged=False)
            self.outside.add(now + trouble.span_ns, lambda: self._plug(trouble.line, plugged=True))
            return
        noise = random.Random(trouble.number)
        self.checker.modem_babbles(trouble.line, now + seconds(1))
        pieces = 200 if trouble.kind == "modem-flood" else 5
        for number in range(pieces):
            data = noise.randbytes(512 if trouble.kind == "modem-flood" else 40)
            self.outside.add(
                now + number * 5_000_000, lambda data=data: phone.modem and phone.modem.say(data)
            )

    def _plug(self, line: str, *, plugged: bool) -> None:
        phone = self.box.phones[line]
        phone.plugged = plugged
        if phone.modem is not None:
            phone.modem.set_plugged(plugged=plugged)
        self.checker.modem_is(line, plugged=plugged)

    def _card_trouble(self, trouble: Trouble) -> None:
        cards = [] if self.process is None else list(self.process.daemon._actors.cards.values())
        if trouble.kind == "card-overrun":
            for card in cards:
                card.overrun(trouble.span_ns)
            return
        if self.box.card_is_lost:
            return
        self.box.card_is_lost = True
        for card in cards:
            card.lose()
        self.checker.card_is(there=False)
        self.outside.add(self.outside.now + trouble.span_ns, self._card_comes_back)

    def _card_comes_back(self) -> None:
        self.box.card_is_lost = False
        if self.process is not None:
            for card in self.process.daemon._actors.cards.values():
                card.come_back()
        self.checker.card_is(there=True)

    def _hook_trouble(self, trouble: Trouble) -> None:
        until = self.outside.now + trouble.span_ns
        self.checker.hook_chatters(trouble.line, until)
        self.box.phones[trouble.line].chatter(until)

    def _config_trouble(self, trouble: Trouble) -> None:
        if trouble.kind == "other-configuration":
            self.pre_roll_ms = 1000 + trouble.number % 5 * 500
            self.write_config()
            self._reload()
            return
        self.write_config(wrong=True)
        self._reload()
        self.checker.config_is(right=False)
        self.outside.add(self.outside.now + trouble.span_ns, self._mend_config)

    def _mend_config(self) -> None:
        self.write_config()
        self._reload()
        self.checker.config_is(right=True)

    def _reload(self) -> None:
        if self.process is not None:
            self.process.devices.inbox.post(ev.ReloadRequested(self.process.devices.boot.now()))


def simulate(
    seed: int, days: int, tell: Callable[[str], None] = print, *, traced: bool = False
) -> Outcome:
    """Run `days` days of a seed in memory; FailedError where an invariant does not hold."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    logging.getLogger("recorderd").setLevel(logging.CRITICAL + 1)
    with tempfile.TemporaryDirectory(prefix="simulate-", dir=memory) as folder, chdir(folder):
        return Simulation(seed, days, HERE, tell, traced=traced).run()
