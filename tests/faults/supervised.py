"""The real daemon under a service manager that does what systemd/recorderd.service says.

One line of the simulated office is off the hook from the first moment and stays so: whenever the
daemon runs, it records. Nothing here knows of virtual time.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from recorderd.store.journal import read_journal
from recorderd.units import NS_PER_S
from tests.faults.life import CONFIG, RATE

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from recorderd.store.journal import JournalInfo

ROOT = Path(__file__).parent.parent.parent

SCRIPT = """\
day 2026-11-23T09:00:00+09:00
seed 7
09:00:00  back  outbound dial=0663456789 by=tone talk=14400
"""

LOOK_EVERY_S = 0.01

STOP_WITHIN_S = 30

WRONG_CONFIG = 78
"""The unit's RestartPreventExitStatus."""


def unit_seconds(name: str) -> float:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "systemd/recorderd.service", "utf-8")
    number, is_ms, _ = unit["Service"][name].partition("ms")
    return float(number) / (1000 if is_ms else 1)


class Supervisor:
    """Starts the daemon again when it ends, and ends it when its pings stop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.directory = folder / "recordings"
        self.directory.mkdir()
        (folder / "recorderd.toml").write_text(CONFIG.format(directory=self.directory), "utf-8")
        (folder / "day.line").write_text(SCRIPT, "utf-8")
        self.restart_s, self.watchdog_s = unit_seconds("RestartSec"), unit_seconds("WatchdogSec")
        self.process: subprocess.Popen[bytes] | None = None
        self.pinged_at: float | None = None  # None: not ready yet
        self.watchdog_kills = 0
        self._ending = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._socket.settimeout(0.1)
        self._threads = [
            threading.Thread(target=self._keep_running),
            threading.Thread(target=self._listen),
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        process = self.process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN_S)
            process.kill()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _keep_running(self) -> None:
        command = [sys.executable, "-m", "tests.faults.stallable", self.folder / "stall"]
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "OPENBLAS_NUM_THREADS": "1",
        }
        while not self._ending.is_set():
            self.pinged_at = None
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    [*command, "run", "--config", self.folder / "recorderd.toml"],
                    env=environment,
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                )
            if self.process.wait() == WRONG_CONFIG:
                return
            self._ending.wait(self.restart_s)

    def _listen(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                words = self._socket.recv(4096).decode().split("\n")
                if {"READY=1", "WATCHDOG=1"} & set(words):
                    self.pinged_at = time.monotonic()
            pinged_at, process = self.pinged_at, self.process
            if pinged_at is not None and time.monotonic() - pinged_at > self.watchdog_s:
                assert process is not None
                self.watchdog_kills += 1
                self.pinged_at = None
                process.send_signal(signal.SIGABRT)
                process.send_signal(signal.SIGCONT)  # as systemd does, for a stopped process

    # ------------------------------------------------------------ what it records

    def journals(self) -> dict[str, JournalInfo]:
        """What is in the newest journal of each call that is open."""
        found = {}
        for path in sorted((self.directory / "open").glob("*.journal")):
            info = read_journal(path)
            if info is not None:
                found[info.draft.record.id] = info
        return found

    def wait_for_sound(self, since: set[str], within_s: float = 60) -> JournalInfo:
        """A call that is not one of `since` and whose frames are coming in."""

        def look() -> JournalInfo | None:
            for call, info in self.journals().items():
                if call not in since and info.first_frame + info.frames > 0:
                    return info
            return None

        return wait_until(look, within_s, lambda: (self.folder / "log").read_text()[-3000:])


def wait_until(look: Callable, within_s: float, complaint: Callable[[], str]):
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        found = look()
        if found is not None:
            return found
        time.sleep(LOOK_EVERY_S)
    raise AssertionError(complaint())


def lost_s(info: JournalInfo, at: float) -> float:
    """Seconds of a call that were on the line until `at` (monotonic) and are in no journal."""
    draft = info.draft
    kept_s = (info.first_frame + info.frames - draft.pre_roll_frames) / RATE
    return at - draft.hook_at / NS_PER_S - kept_s


def pause(chosen: random.Random, least_s: float, most_s: float) -> None:
    time.sleep(chosen.uniform(least_s, most_s))
