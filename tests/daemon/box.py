"""A box under test: the real daemon as a process, and the outside world that it sees.

The hook and ring pins are moved through a stand-in RPi.GPIO, the modem is a pseudo-terminal that
speaks AT, the service manager is a socket of ours. The sound card is whatever the caller gives.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path
from typing import Self

STANDIN = Path(__file__).parent / "standin"
ROOT = Path(__file__).parent.parent.parent


class PtyModem:
    """A voice modem on a pseudo-terminal: answers AT commands, prints what it is told to."""

    def __init__(self, link: Path, identity: str = "5601") -> None:
        self.identity = identity
        self.link = link
        self.commands: list[str] = []
        self.caller_id_on = threading.Event()
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self._slave = slave
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(slave))
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def say(self, *lines: str) -> None:
        """Print lines as a modem does: CR LF before and after."""
        for line in lines:
            os.write(self._master, f"\r\n{line}\r\n".encode())

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        for descriptor in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _serve(self) -> None:
        pending = b""
        while not self._closing.is_set():
            if not select.select([self._master], [], [], 0.05)[0]:
                continue
            try:
                pending += os.read(self._master, 1024)
            except OSError:
                return
            *commands, pending = pending.split(b"\r")
            for command in commands:
                self._obey(command.decode("ascii", "replace").strip())

    def _obey(self, command: str) -> None:
        self.commands.append(command)
        if not command:
            return
        if command.upper().startswith("ATI"):
            self.say(self.identity)
        if command.upper() == "ATZ":
            self.caller_id_on.clear()
        self.say("OK")
        if "CID" in command.upper() and command.endswith("=1"):
            self.caller_id_on.set()


class Pins:
    """The other end of the stand-in RPi.GPIO."""

    def __init__(self, path: Path, levels: dict[int, int]) -> None:
        self.path = path
        self._levels = levels
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(1)
        self._connection: socket.socket | None = None

    def accept(self) -> None:
        self._server.settimeout(10)
        self._connection, _ = self._server.accept()
        for pin, level in self._levels.items():
            self._connection.sendall(f"{pin} {level}\n".encode())
        self._connection.sendall(b"\n")

    def set(self, pin: int, level: int) -> int:
        """Move a pin; returns the monotonic time in ns."""
        assert self._connection is not None
        at = time.monotonic_ns()
        self._connection.sendall(f"{pin} {level}\n".encode())
        return at

    def close(self) -> None:
        self._server.close()
        if self._connection is not None:
            self._connection.close()


class Box:
    """The daemon as a process. Use as a context manager; `stop` is SIGTERM."""

    def __init__(self, folder: Path, config: str, levels: dict[int, int], env: dict[str, str]):
        self.folder = folder
        self.config = folder / "recorderd.toml"
        self.config.write_text(config, "utf-8")
        self.recordings = folder / "recordings"
        self.recordings.mkdir(exist_ok=True)
        self.pins = Pins(folder / "gpio.sock", levels)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify.sock"))
        self._messages: list[str] = []
        self._told = threading.Condition()
        threading.Thread(target=self._read_messages, daemon=True).start()
        self.log = folder / "daemon.log"
        self._env = {
            **os.environ,
            **env,
            "PYTHONPATH": f"{STANDIN}{os.pathsep}{ROOT}",
            "STANDIN_GPIO": str(self.pins.path),
            "NOTIFY_SOCKET": str(folder / "notify.sock"),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.ready_after_s = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        self.pins.close()
        self._notify.shutdown(socket.SHUT_RDWR)
        self._notify.close()

    def start(self) -> None:
        """Start the daemon and wait until it says that it is ready."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "recorderd", "run", "--config", self.config],
                env=self._env,
                stderr=log,
                stdout=log,
            )
        self.pins.accept()
        self.wait_for_message("READY=1")
        self.ready_after_s = time.monotonic() - began

    def wait_for_message(self, wanted: str, within_s: float = 40) -> None:
        """Wait for a message to the service manager."""
        with self._told:
            if not self._told.wait_for(lambda: wanted in self._messages, within_s):
                raise AssertionError(f"no {wanted}; the daemon said:\n{self.said()}")

    def _read_messages(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                words = self._notify.recv(4096).decode().split("\n")
                with self._told:
                    self._messages += words
                    self._told.notify_all()

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def wait_until_said(self, text: str, within_s: float = 40, times: int = 1) -> str:
        """Wait until the log holds `text` `times` times."""
        return wait_until(
            lambda: self.said() if self.said().count(text) >= times else None,
            within_s,
            lambda: f"{text!r} not in the log:\n{self.said()}",
        )

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a recorderd command on this box's configuration."""
        return subprocess.run(
            [sys.executable, "-m", "recorderd", *arguments, "--config", str(self.config)],
            env=self._env,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )

    def records(self) -> list[dict]:
        """Every call record on disk, oldest first."""
        paths = sorted(self.recordings.glob("calls/*/*/*/*/call.json"))
        found = [{**json.loads(path.read_text("utf-8")), "folder": path.parent} for path in paths]
        return sorted(found, key=lambda record: record["started_at"])

    def wait_for_records(self, count: int, within_s: float = 20) -> list[dict]:
        return wait_until(
            lambda: self.records() if len(self.records()) >= count else None,
            within_s,
            lambda: (
                f"{len(self.records())} of {count} calls were filed; the daemon said:\n{self.said()}"
            ),
        )


def wait_until(look, within_s, complaint):
    """Look every 20 ms until something is there; a failure after `within_s`."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        threading.Event().wait(0.02)
    raise AssertionError(complaint())
