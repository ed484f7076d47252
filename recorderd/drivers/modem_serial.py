"""The serial port of a caller-ID modem: bytes in with their times, bytes out, open again for ever.

One thread owns the port. It sleeps in `select` on the port and on a pipe by which `write` and
`close` wake it. At the first error it closes the port at once: a USB modem that comes back while
the old one is still open gets another device name. It then tries again, at growing intervals, but
at once when a missing port appears. The path is opened anew each time, so that a link in
/dev/serial/by-id leads to wherever the device is now.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import queue
import select
import termios
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from recorderd.core.backoff import Backoff
from recorderd.events import DriverLost, DriverReady, ModemBytes
from recorderd.units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from serial import Serial

    from recorderd.config.values import ModemPort
    from recorderd.ports import Post
    from recorderd.units import MonoNs

BY_ID = Path("/dev/serial/by-id")

READ_BYTES = 4096
LOOK_S = 1.0
"""How often a quiet port is compared with its path, and a missing path looked for."""

WRITE_TIMEOUT_S = 2.0
WRITES_MAX = 16
"""A machine has one command under way; more waiting than this means that the port is stuck."""

CLOSE_S = 5.0

PORT_ERRORS = (OSError, termios.error, ValueError)
"""What pyserial lets through; its SerialException is an OSError, a wrong baud rate a ValueError."""

log = logging.getLogger(__name__)


class SerialModem:
    """One modem port; implements `recorderd.ports.Modem`."""

    def __init__(
        self, settings: ModemPort, line: str, post: Post, now: Callable[[], MonoNs]
    ) -> None:
        self._settings = settings
        self._line = line
        self._post = post
        self._now = now
        self._writes: queue.Queue[bytes] = queue.Queue(WRITES_MAX)
        self._backoff = Backoff()
        self._lost_reason: str | None = None
        self._is_open = threading.Event()
        self._stopping = threading.Event()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name=f"modem-{line}", daemon=True)

    def start(self) -> None:
        """Begin; success and failure of the port are posted."""
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Queue bytes for the port; dropped while it is lost. Never blocks."""
        if not self._is_open.is_set():
            return
        try:
            self._writes.put_nowait(data)
        except queue.Full:
            log.warning("the modem port of line '%s' takes no bytes; dropped some", self._line)
        self._wake()

    def close(self) -> None:
        """Stop the thread and release the port; the second time does nothing."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            log.error("the modem port of line '%s' did not close", self._line)
            return
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # the pipe is full of wakes
            os.write(self._wake_write, b"w")

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                port = self._open()
            except PORT_ERRORS as error:
                self._lost(self._why_not_open(error))
            except ImportError:  # calls are recorded without a modem
                self._lost(
                    "the modem needs the library pyserial: pip install 'recorderd[pi]', "
                    "or leave [line.modem] out of the configuration"
                )
            else:
                self._serve(port)
            self._pause()

    def _open(self) -> Serial:
        import serial  # noqa: PLC0415

        return serial.Serial(
            self._settings.port,
            self._settings.baud,
            timeout=0,
            write_timeout=WRITE_TIMEOUT_S,
            exclusive=True,
        )

    def _serve(self, port: Serial) -> None:
        """Carry bytes both ways until the port fails or the driver stops."""
        self._lost_reason = None
        self._is_open.set()
        self._post(DriverReady(self._now(), "modem", self._line, self._settings.port))
        reason = None
        try:
            while not self._stopping.is_set():
                self._exchange(port)
        except PORT_ERRORS as error:
            reason = f"the modem at {self._settings.port} went away ({error})"
        except Exception as error:  # whatever it is, a line without its modem knows no callers
            log.exception("the modem port of line '%s'", self._line)
            reason = f"the modem at {self._settings.port} cannot be served: {error!r}"
        finally:
            self._is_open.clear()
            with contextlib.suppress(OSError):  # it is closed whatever the device says to it
                port.close()
            self._drop_writes()
        if reason is not None:
            self._lost(reason)

    def _exchange(self, port: Serial) -> None:
        ready, _, _ = select.select([port.fileno(), self._wake_read], [], [], LOOK_S)
        if not ready:
            self._check_path(port)
        if self._wake_read in ready:
            os.read(self._wake_read, READ_BYTES)
        if port.fileno() in ready:
            data = port.read(READ_BYTES)
            if data:
                self._backoff.reset()
                self._post(ModemBytes(self._now(), self._line, data))
        while not self._writes.empty():
            port.write(self._writes.get_nowait())

    def _check_path(self, port: Serial) -> None:
        """A USB device that was numbered anew leaves the old node open and silent."""
        try:
            device = Path(self._settings.port).stat().st_rdev
        except FileNotFoundError:
            return  # the port itself fails when the device is gone
        if device != os.fstat(port.fileno()).st_rdev:
            raise OSError(errno.ENODEV, "its path leads to another device now")

    def _drop_writes(self) -> None:
        while not self._writes.empty():
            self._writes.get_nowait()

    def _lost(self, reason: str) -> None:
        """Post why, once for each reason, not once for each attempt."""
        if reason != self._lost_reason:
            self._lost_reason = reason
            self._post(DriverLost(self._now(), "modem", self._line, reason))

    def _pause(self) -> None:
        """Wait before the next attempt, or until a path that was missing appears."""
        was_missing = not self._path_exists()
        left_s = self._backoff.next_ns() / NS_PER_S
        while left_s > 0 and not self._stopping.wait(min(left_s, LOOK_S)):
            left_s -= LOOK_S
            if was_missing and self._path_exists():
                return

    def _path_exists(self) -> bool:
        return Path(self._settings.port).exists()

    def _why_not_open(self, error: Exception) -> str:
        port = self._settings.port
        match getattr(error, "errno", None):
            case errno.ENOENT | errno.ENXIO | errno.ENODEV:
                return f"there is no modem at {port}; {_plugged_in()}"
            case errno.EPERM:  # what a sandbox says of a device that it does not have
                return (
                    f"{port} is of a kind that the unit recorderd.service keeps out: allow it "
                    "(systemctl edit recorderd: [Service], DeviceAllow=), or restart recorderd, which "
                    "looks at its drivers again"
                )
            case errno.EACCES:
                return (
                    f"{port} may not be opened: add the service's user to the group dialout "
                    "(usermod -aG dialout USER) and start it again"
                )
            case errno.EAGAIN | errno.EBUSY:
                return (
                    f"{port} is in use by another program, such as ModemManager or a second "
                    "recorderd: end that program, or keep it off this port"
                )
            case _:
                return f"{port} cannot be opened as a serial port: {error}"


def _plugged_in() -> str:
    """The serial devices that are there, as the configuration would name them."""
    found = sorted(str(path) for path in BY_ID.glob("*"))
    if not found:
        return "no serial device is plugged in"
    return "set the port of [line.modem] to one of: " + ", ".join(found)
