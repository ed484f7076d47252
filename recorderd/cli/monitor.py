"""`recorderd monitor`: the lines as they are now, in a terminal.

Drawn with rich's controls and not with textual, which is a second event loop and some 30 MB more on
a Pi for a page without a single widget. Only rows that changed are written, so a slow ssh stays
usable, and no more than five times a second.
"""

from __future__ import annotations

import copy
import errno
import os
import re
import select
import signal
import sys
import termios
import time
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rich.cells import cell_len
from rich.console import Console
from rich.control import Control

from recorderd.cli.monitor_page import Scene, lines_shown, page
from recorderd.config import find_config, load
from recorderd.disk.layout import CALLS
from recorderd.errors import StoreError, UsageError
from recorderd.monitor.feed import Feed
from recorderd.monitor.picture import Picture
from recorderd.runtime.statusfile import recorder_status, upload_status
from recorderd.store.names import sealed_segments
from recorderd.units import NS_PER_MS, NS_PER_S, MonoNs, to_datetime

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from recorderd.config.values import Config

DRAW_EVERY_NS = 200 * NS_PER_MS
LOOK_EVERY_NS = NS_PER_S
"""At the files, and for a recorder where there is none."""

_KEYS = re.compile(rb"\x1b[\[O](?:[0-9;]*[A-Za-z~])|.", re.DOTALL)
_UNFINISHED = re.compile(rb"\x1b(?:[\[O][0-9;]*)?\Z")
_MOVES = {b"A": "up", b"B": "down", b"5~": "page up", b"6~": "page down"}


def monitor(options: argparse.Namespace) -> int:
    """Show the lines until `q`."""
    config = load(find_config(options.config))
    console = Console(highlight=False)
    if not sys.stdin.isatty() or not console.is_terminal or console.is_dumb_terminal:
        raise UsageError(
            "monitor needs a terminal that can move its cursor; for scripts: recorderd status --json"
        )
    view = View(config, console)
    view.look()  # what is not permitted is said before the screen changes
    try:
        with _screen(console):
            view.run()
    except (OSError, termios.error) as error:
        if error.args[0] != errno.EIO:
            raise
        return 1  # the terminal itself is gone
    return 0


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _screen(console: Console) -> Iterator[None]:
    """The terminal's other screen, keys one by one; afterwards all is as it was, also after a
    hang-up or SIGTERM. Ctrl-Z is a key like others: a stopped program would leave it in a mess."""
    before = termios.tcgetattr(sys.stdin)
    # SIGINT too: whoever starts us in the background lets it be ignored.
    handlers = {number: signal.signal(number, _leave) for number in SIGNALS}
    try:
        tty.setcbreak(sys.stdin)
        mode = termios.tcgetattr(sys.stdin)
        mode[6][termios.VSUSP] = b"\0"  # _POSIX_VDISABLE on Linux
        termios.tcsetattr(sys.stdin, termios.TCSANOW, mode)
        with console.screen():
            yield
    except KeyboardInterrupt:
        pass
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class Keyboard:
    """Bytes of the terminal as the names of keys; a sequence may come in pieces."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[str]:
        data = self._pending + data
        cut = _UNFINISHED.search(data)
        self._pending = data[cut.start() :] if cut else b""
        keys = _KEYS.findall(data[: cut.start()] if cut else data)
        return [
            _MOVES.get(key[2:], "") if key[:1] == b"\x1b" else key.decode("latin-1") for key in keys
        ]


class View:
    """What is shown: gathers it, and draws."""

    def __init__(self, config: Config, console: Console) -> None:
        self._directory = config.storage.directory
        self._has_archive = config.archive is not None
        self._console = console
        self._feed = Feed(self._directory)
        self._keyboard = Keyboard()
        zone = ZoneInfo(config.site.time_zone)
        self._scene = Scene(Picture(), _now(), zone, config.site.name)
        self._frozen: Scene | None = None  # what a pause shows
        self._size = (0, 0)
        self._drawn: list[str] = []
        self._is_done = False

    def run(self) -> None:
        """Until `q`, or the terminal's end."""
        draw_at = look_at = _now()
        while not self._is_done:
            self._wait(draw_at)
            now = _now()
            if now >= look_at:
                look_at = MonoNs(now + LOOK_EVERY_NS)
                self.look()
            if now >= draw_at:
                draw_at = MonoNs(now + DRAW_EVERY_NS)
                self._draw()
        self._feed.close()

    def look(self) -> None:
        """At what lies on the disk, and whether there is a recorder. Raises StoreError where that
        is not permitted."""
        scene = self._scene
        if not self._feed.is_open:
            self._feed.connect()
        scene.alarms = []
        wall = scene.picture.wall_at(_now()) if self._feed.is_open else None
        clock = None if wall is None else to_datetime(wall, scene.zone)
        scene.status = self._file(lambda directory: recorder_status(directory, clock))
        scene.upload = self._file(upload_status) if self._has_archive else None
        calls = [line.call for line in scene.picture.lines.values() if line.call is not None]
        scene.sealed_segments = {call.id: self._sealed(call.id, call.started_at) for call in calls}

    def _file(self, read: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
        try:
            found = read(self._directory)
        except StoreError as error:
            found = {"alarms": [str(error)]}
        self._scene.alarms += found["alarms"]
        return found

    def _sealed(self, call_id: str, started_at: MonoNs) -> int:
        wall = self._scene.picture.wall_at(started_at)
        assert wall is not None, "a call comes after the recorder's first word"
        folder = f"{CALLS}/{to_datetime(wall, self._scene.zone):%Y/%m/%d}/{call_id}"
        try:
            return len(sealed_segments(self._directory / folder))
        except StoreError as error:
            self._scene.alarms.append(str(error))
            return 0

    def _wait(self, until: MonoNs) -> None:
        """For keys, and for messages."""
        sources: list[Any] = [sys.stdin.fileno(), *([self._feed] if self._feed.is_open else [])]
        ready, _, _ = select.select(sources, [], [], max(0, until - _now()) / NS_PER_S)
        if sys.stdin.fileno() in ready:
            data = os.read(sys.stdin.fileno(), 1024)
            self._is_done = not data
            for key in self._keyboard.feed(data):
                self._press(key)
        if self._feed in ready:
            for message in self._feed.read():
                self._scene.picture.take(message)
            if not self._feed.is_open and not self._scene.picture.is_refused:
                self._scene.picture.went(_now())

    def _press(self, key: str) -> None:
        step = lines_shown(self._console.size.height)
        move = {"up": -1, "down": 1, "page up": -step, "page down": step}.get(key, 0)
        if key in {"q", "Q"}:
            self._is_done = True
        elif key in {"p", "P"}:
            self._frozen = None if self._frozen else copy.deepcopy(self._scene)
        elif move:
            last = max(0, len(self._scene.picture.lines) - step)
            self._scene.first_line = min(max(0, self._scene.first_line + move), last)

    def _draw(self) -> None:
        """Write the rows that changed, all of them after the terminal took another size."""
        self._scene.now = _now()
        size = (self._console.size.width, self._console.size.height)
        scene = self._scene
        if self._frozen is not None:
            scene, scene.paused, scene.first_line = self._frozen, True, self._scene.first_line
        rows = page(scene, *size)
        if size != self._size:
            self._size, self._drawn = size, []
            self._console.control(Control.clear())
        for y, row in enumerate(rows):
            if y >= len(self._drawn) or self._drawn[y] != row:
                self._console.file.write(
                    f"{Control.move_to(0, y)}{fitting(row, self._console.encoding)}"
                )
        self._console.file.flush()
        self._drawn = rows


def fitting(row: str, encoding: str) -> str:
    """What the terminal's encoding has no sign for is a question mark. One that is two cells wide
    leaves a cell at the end, in which the row before would go on being seen."""
    found = row.encode(encoding, "replace").decode(encoding)
    return found + " " * (cell_len(row) - cell_len(found))


def _now() -> MonoNs:
    return MonoNs(time.monotonic_ns())
