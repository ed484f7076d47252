"""A folder in which a page's commands are typed: an office that has recorded, and nothing of this user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from recorderd.cli.demo import CONFIG
from recorderd.config import load
from recorderd.config.needs import ring_seconds_of
from recorderd.daemon import Daemon
from recorderd.events import StopRequested
from recorderd.runtime.watchdog import ServiceManager
from recorderd.runtime.workers import InlineWorker
from recorderd.sim.devices import VirtualOffice
from recorderd.store.catalogue import NAME, open_catalogue
from recorderd.units import MonoNs, seconds

if TYPE_CHECKING:
    from tests.softcard import SoftCard

ROOT = Path(__file__).parent.parent.parent
DEMO = "recorderd-demo"  # where `recorderd demo` leaves its office
DAY = """\
day 2026-11-23T09:00:00+09:00
09:00:02 front-desk inbound number=0312345678 name="YAMADA SHOTEN" answer=8 talk=9
09:00:40 back-office outbound dial=0663456789 talk=6
"""
# What stands in for becoming somebody else: the tests are root already, or nobody in particular.
SUDO = '#!/bin/sh\n[ "$1" = -u ] && shift 2\nexec "$@"\n'
WITHIN_S = 300


def office(folder: Path, extra: str = "", *, is_over: bool = True) -> Path:
    """The demo's office with a day of two calls, which it has had; its configuration."""
    (folder / "recordings").mkdir(parents=True)
    (folder / "two-calls.line").write_text(DAY, "utf-8")
    path = folder / "recorderd.toml"
    text = CONFIG.replace("office-day.line", "two-calls.line")
    path.write_text(text.replace("[simulation]", f"{extra}\n[simulation]"), "utf-8")
    if is_over:
        live_through(path)
    return path


def live_through(path: Path, until_s: float | None = None) -> None:
    """The day, whole; or so many seconds of it, and then nothing is put in order."""
    config = load(path)
    devices = VirtualOffice(config, ring_seconds_of(config))
    daemon = Daemon(config, devices, ServiceManager(), InlineWorker, InlineWorker)
    world, end = devices.world, devices.office.finished_at
    if until_s is not None:
        end = MonoNs(world.start + seconds(until_s))
    daemon.start()
    while world.now() < end:
        daemon.loop.step()
    if until_s is None:
        daemon.loop.take(StopRequested(world.now()))
        daemon.stop()


class Workshop:
    """Runs commands as a shell does, in a folder of its own with the office in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.within_s = WITHIN_S
        self.config = folder / DEMO / "recorderd.toml"
        self.state = folder / DEMO / "recordings"
        tools = folder / "tools"
        tools.mkdir()
        (tools / "sudo").write_text(SUDO, "utf-8")
        (tools / "sudo").chmod(0o755)
        (folder / ".venv").symlink_to(sys.prefix)  # the README's, made by its first command
        self.environment = {
            "PATH": f"{tools}:{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "RECORDERD_CONFIG": str(self.config),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "COLUMNS": "80",
        }

    def bring(self, demo: Path) -> None:
        shutil.copytree(demo, self.config.parent)
        (self.state / "status.json").touch()  # it has ended just now

    def calls(self) -> list[str]:
        """Ids, the newest first."""
        with closing(open_catalogue(self.state / NAME, read_only=True)) as catalogue:
            return [entry.record["id"] for entry in catalogue.find()]

    def run(
        self, command: str, *, exit_code: int = 0, card: SoftCard | None = None, **env: str
    ) -> str:
        """All that a command says. `command` is a page's text, with names in place of placeholders."""
        environment = self.environment | ({} if card is None else card.environment) | env
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=self.within_s,
            check=False,
        )
        assert done.returncode == exit_code, f"{command} -> {done.returncode}\n{done.stdout}"
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout
