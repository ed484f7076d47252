"""The reader's end of the socket in the state directory."""

from __future__ import annotations

import json
import os
import pwd
import socket
from typing import TYPE_CHECKING, Any

from recorderd.errors import StoreError
from recorderd.monitor.address import SOCKET, short_path

if TYPE_CHECKING:
    from pathlib import Path

PACKET_BYTES_MAX = 64 * 1024
PACKETS_MAX = 500
"""In one go, so that a reader that was away comes to draw in between."""


class Feed:
    """Connects when it can; raises StoreError where it is not allowed to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def fileno(self) -> int:
        assert self._socket is not None, "asked for only while it is open"
        return self._socket.fileno()

    def connect(self) -> bool:
        """Whether there is a recorder that can be looked at."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with short_path(self._directory) as path:
                connection.connect(path)
        except PermissionError:
            connection.close()
            raise StoreError(self._refusal()) from None
        except OSError:  # no socket, or one that a crash left
            connection.close()
            return False
        connection.setblocking(False)
        self._socket = connection
        return True

    def read(self) -> list[dict[str, Any]]:
        """All that has come; at the recorder's end the feed closes."""
        found: list[dict[str, Any]] = []
        while self._socket is not None and len(found) < PACKETS_MAX:
            try:
                packet = self._socket.recv(PACKET_BYTES_MAX)
            except BlockingIOError:
                break
            except OSError:
                packet = b""
            if packet:
                found.append(json.loads(packet))
            else:
                self.close()
        return found

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _refusal(self) -> str:
        try:
            owner = pwd.getpwuid(os.stat(self._directory).st_uid).pw_name  # noqa: PTH116  (raises alike)
        except (OSError, KeyError):
            owner = "recorderd"
        return (
            f"{self._directory / SOCKET}: permission denied; only the recorder's user and root may look "
            f"on, for it shows numbers: sudo -u {owner} recorderd monitor"
        )
