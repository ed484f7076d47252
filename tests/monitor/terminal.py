"""A terminal that a program runs in: a pseudo-terminal, and a screen for what the monitor writes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parent.parent.parent

_MOVE = re.compile(r"\x1b\[(\d+);(\d+)H([^\x1b]*)")


class Terminal:
    """Keeps every picture that was drawn, by the few controls that the monitor uses: rows, from the top
    down, and a screen that is cleared. So what was shown for a moment is found by a busy machine too."""

    def __init__(
        self, arguments: list[str], *, columns: int = 80, rows: int = 24, **env: str
    ) -> None:
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.written = ""
        self._pictures = [""]
        self._seen = 0  # which of them the last one was that a test waited for
        self.process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-W", "error", "-m", "recorderd", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", **env},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        os.close(self.slave)
        os.close(self._master)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def screen(self) -> str:
        """As it stands now."""
        before = len(self.written)
        while select.select([self._master], [], [], 0.02)[0]:
            self.written += os.read(self._master, 65536).decode("utf-8", "replace")
        if len(self.written) > before:
            self._pictures = _pictures(self.written)
        return self._pictures[-1]

    def wait_for(self, pattern: str, within_s: float = 40) -> str:
        """Until the screen has shown it, at the last thing waited for or since: that picture."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            self.screen()
            for index in range(self._seen, len(self._pictures)):
                if re.search(pattern, self._pictures[index]):
                    self._seen = index
                    return self._pictures[index]
        raise AssertionError(
            f"{pattern!r} is not on the screen:\n{self.screen()}\n{self.written[-2000:]}"
        )

    def ends(self, number: int | None = None) -> int:
        """Its exit code, after a signal if one is given."""
        if number is not None:
            self.process.send_signal(signal.Signals(number))
        deadline = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError):
                self.screen()
        code = self.process.wait(1)
        self.screen()
        return code

    def is_as_before(self) -> bool:
        """The terminal's modes, and its own screen with the cursor seen."""
        return (
            termios.tcgetattr(self.slave) == self.before
            and self.written.rstrip("\r\n").rpartition("\x1b[?1049")[2][:1] == "l"
            and self.written.rpartition("\x1b[?25")[2][:1] == "h"
        )


def _pictures(written: str) -> list[str]:
    """One after each drawing; the last may still be under way."""
    pictures = []
    for since_cleared in written.split("\x1b[2J"):
        rows: dict[int, str] = {}
        last = 0
        for row, column, text in _MOVE.findall(since_cleared):
            assert column == "1"
            if int(row) <= last:
                pictures.append(_text(rows))
            last = int(row)
            rows[last] = text
        pictures.append(_text(rows))
    return pictures


def _text(rows: dict[int, str]) -> str:
    return "\n".join(rows[row].rstrip() for row in sorted(rows))
