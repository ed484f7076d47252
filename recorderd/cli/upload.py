"""`recorderd upload`: brings calls to the archive, as a service or once by hand."""

from __future__ import annotations

import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from recorderd.archive.places import open_target
from recorderd.config import find_config, load
from recorderd.disk import files
from recorderd.errors import ConfigError
from recorderd.evidence.findings import counted
from recorderd.runtime.clock import SystemClock
from recorderd.runtime.logs import set_up_logging
from recorderd.runtime.watchdog import ServiceManager
from recorderd.upload.uploader import CONNECTIONS, RETRY_MARK, Uploader

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from recorderd.config.values import Config
    from recorderd.upload.report import Report


def upload(options: argparse.Namespace) -> int:
    """Upload until told to stop; with --once all that waits; with --retry say "again" and nothing more."""
    config = load(find_config(options.config))
    if config.archive is None:
        raise ConfigError([
            f"{config.path}: there is no table headed [archive]; say in it where to"
        ])
    if options.retry:
        files.write_durable(config.storage.directory / RETRY_MARK, b"")
        if not options.once:
            print("the uploader tries the parked calls again, as soon as it runs")
            return 0
    set_up_logging()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return _once(config, stop) if options.once else _serve(config, stop)


def _serve(config: Config, stop: threading.Event) -> int:
    manager = ServiceManager()
    with _uploader(config, stop, lambda _report: None) as uploader:
        manager.ready("uploading")
        uploader.serve()
        manager.stopping()
    return 0


def _once(config: Config, stop: threading.Event) -> int:
    console = Console(stderr=True)
    with _progress(console) as tell, _uploader(config, stop, tell) as uploader:
        report = uploader.once()
    state = report.queue
    uploaded = counted(report.uploaded, "call")
    print(f"{uploaded} uploaded, {state.waiting} waiting, {state.parked} parked")
    if report.trouble is not None:
        print(f"nothing more is uploaded now: {report.trouble}")
    for reason in state.reasons:
        print(f"parked: {reason}")
    return 1 if state.waiting or state.parked or report.trouble else 0


@contextmanager
def _uploader(
    config: Config, stop: threading.Event, tell: Callable[[Report], None]
) -> Iterator[Uploader]:
    with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="carrier") as executor:
        chance = random.SystemRandom().random
        clock = SystemClock(config.storage.directory)
        uploader = Uploader(config, clock, open_target, executor, stop, chance, tell)
        with uploader:
            yield uploader


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[Report], None]]:
    """A bar while a person looks on."""
    if not console.is_terminal:
        yield lambda _report: None
        return
    columns = (TextColumn("uploading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None)

        def tell(report: Report) -> None:
            total = report.uploaded + report.queue.waiting
            bar.update(task, completed=report.uploaded, total=total)

        yield tell
