"""`recorderd demo`: a simulated office day on the real code, with no hardware.

In virtual time the day takes a minute or so. It leaves a configuration in its directory, so
that every other command can be tried on what it recorded.
"""

from __future__ import annotations

import logging
import shutil
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from recorderd import events as ev
from recorderd.cli.calls import print_calls
from recorderd.cli.run import serve
from recorderd.config import load
from recorderd.config.needs import ring_seconds_of
from recorderd.daemon import Daemon
from recorderd.disk import files
from recorderd.errors import UsageError
from recorderd.runtime.inbox import ThreadInbox
from recorderd.runtime.watchdog import ServiceManager
from recorderd.runtime.workers import InlineWorker
from recorderd.sim.devices import RealTimeOffice, VirtualOffice
from recorderd.store.catalogue import NAME, open_catalogue
from recorderd.units import NS_PER_S, to_datetime

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from recorderd.config.values import Config
    from recorderd.units import MonoNs

CONFIG = """\
# The office of `recorderd demo`: two lines on one simulated sound card.
[site]
name = "demo-office"
country = "JP"
time_zone = "Asia/Tokyo"

[storage]
directory = "recordings"
segment_s = 30

[simulation]
script = "office-day.line"

[[line]]
name = "front-desk"
[line.audio]
driver = "sim"
device = "Demo card"
capture_rate_hz = 8000
near_channel = 1
far_channel = 2
[line.hook]
driver = "sim"
[line.ring]
[line.modem]
driver = "sim"
[line.announcement]
inbound = "notice-ja.wav"

[[line]]
name = "back-office"
[line.audio]
driver = "sim"
device = "Demo card"
capture_rate_hz = 8000
near_channel = 3
far_channel = 4
[line.hook]
driver = "sim"
[line.ring]
[line.modem]
driver = "sim"
[line.announcement]
inbound = "notice-en.wav"
outbound = "notice-en.wav"
"""


def demo(options: argparse.Namespace) -> int:
    """Play the day, then show what became of it."""
    directory: Path = options.directory.absolute()
    config = prepare(directory)
    logging.basicConfig(filename=directory / "demo.log", level=logging.INFO, force=True)
    console = Console()
    if options.real_time:
        play_in_real_time(config, console)
    else:
        play_in_virtual_time(config, console)
    print_summary(directory, config, console)
    return 0


def prepare(directory: Path) -> Config:
    """A fresh directory with its configuration; an earlier demo's recordings make place."""
    path = directory / "recorderd.toml"
    if directory.exists() and not directory.is_dir():
        raise UsageError(
            f"{directory}: is no folder; name another one: recorderd demo --directory DIR"
        )
    if directory.exists() and any(directory.iterdir()):
        if not path.exists() or not path.read_text("utf-8").startswith(CONFIG.splitlines()[0]):
            raise UsageError(
                f"{directory}: holds something that is not a demo's; name another one: "
                "recorderd demo --directory DIR"
            )
        shutil.rmtree(directory / "recordings", ignore_errors=True)
    with files.guarded(directory):
        (directory / "recordings").mkdir(parents=True, exist_ok=True)
        path.write_text(CONFIG, "utf-8")
    return load(path)


def play_in_virtual_time(config: Config, console: Console) -> None:
    """The whole day, as fast as it goes, on this thread."""
    office = VirtualOffice(config, ring_seconds_of(config))
    daemon = Daemon(config, office, ServiceManager(), InlineWorker, InlineWorker)
    world, end = office.world, office.office.finished_at
    zone = ZoneInfo(config.site.time_zone)

    def clock_time() -> str:
        return f"{to_datetime(office.clock.reading().wall, zone):%H:%M}"

    daemon.start()
    try:
        with progress_bar(console) as bar:
            task = bar.add_task("", total=(end - world.start) / NS_PER_S, clock=clock_time())
            run_until(
                daemon,
                world.now,
                end,
                lambda: bar.update(
                    task, completed=(world.now() - world.start) / NS_PER_S, clock=clock_time()
                ),
            )
    finally:
        daemon.stop()


def run_until(
    daemon: Daemon, now: Callable[[], MonoNs], end: MonoNs, show: Callable[[], None]
) -> None:
    """Rounds of the control loop until the world has ended; `show` once a simulated minute."""
    shown_at = now()
    while now() < end:
        daemon.loop.step()
        if now() - shown_at > 60 * NS_PER_S:
            shown_at = now()
            show()
    show()
    daemon.loop.take(ev.StopRequested(now()))


def play_in_real_time(config: Config, console: Console) -> None:
    """The same day at its own pace; Ctrl-C ends it early, and what was recorded is shown."""
    console.print("The office opens now; calls come as they would. Ctrl-C ends the day.")
    inbox = ThreadInbox()
    office = RealTimeOffice(config, inbox, ring_seconds_of(config))
    end = office.office.finished_at
    office.world.schedule(end, lambda: inbox.post(ev.StopRequested(end)))
    logging.getLogger("recorderd.facts").addHandler(logging.StreamHandler(sys.stdout))
    office.start()
    serve(Daemon(config, office, ServiceManager()), inbox)


def progress_bar(console: Console) -> Progress:
    """A bar with the simulated time of day."""
    return Progress(
        TextColumn("office day {task.fields[clock]}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def print_summary(directory: Path, config: Config, console: Console) -> None:
    """The calls, where they are, and what to type next."""
    with closing(open_catalogue(config.storage.directory / NAME, read_only=True)) as catalogue:
        entries = catalogue.find()
    print_calls([entry.record for entry in reversed(entries)], console)
    recorded = [entry for entry in entries if entry.record["segments"]]
    console.print(f"\nThe recordings are in {config.storage.directory / 'calls'}", soft_wrap=True)
    if recorded:
        entry = recorded[0]
        file = entry.folder / entry.record["segments"][0]["file"]
        console.print("Left is your side, right the line. Listen to one:", soft_wrap=True)
        console.print(f"  ffplay -autoexit {file}", soft_wrap=True, highlight=False, markup=False)
        console.print("See all that is known of it:")
        console.print(
            f"  {program()} show {entry.record['id'][:8]} --config {directory / 'recorderd.toml'}",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )


def program() -> str:
    """The command as the shell finds it: by its name alone, or as it was called just now."""
    called = Path(sys.argv[0])
    found = shutil.which("recorderd")
    if called.name != "recorderd" or (found is not None and Path(found).samefile(called)):
        return "recorderd"
    return str(called)
