"""Where the recorder and those who look on meet."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOCKET = "monitor.sock"
"""In the state directory."""


@contextmanager
def short_path(directory: Path) -> Iterator[str]:
    """The socket's path in at most 107 bytes (sockaddr_un), however deep the directory lies."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)
