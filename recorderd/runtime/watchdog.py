"""The service manager's notification socket (sd_notify(3)), spoken without a library."""

from __future__ import annotations

import logging
import os
import socket
import time

log = logging.getLogger(__name__)


class ServiceManager:
    """Implements ports.Watchdog; silent where nobody listens ($NOTIFY_SOCKET unset)."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        # Type=notify-reload wants the monotonic time with it; plain Type=notify ignores it.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                # A service manager that does not read must not stop the control thread.
                sender.setblocking(False)
                sender.sendto(message.encode(), self._address)
        except OSError as error:
            log.warning("the service manager's socket %s: %s", self._address, error)
