"""How fast, when, and how soon again: the bandwidth limit, the hours, and the wait after a failure."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from recorderd.archive.target import Content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

WAIT_FIRST_S = 1.0
WAIT_LONGEST_S = 300.0

BURST_S = 0.25
"""So much of a second's bytes may go at once: shorter than what a telephone call beside it would feel."""


class Stopped(Exception):  # noqa: N818  (no error: the uploader is told to stop)
    """The uploader stops; what was being sent is sent again at the next start."""


class Patience:
    """Waits after failures: a random part of a span that doubles each time, to five minutes, for ever.

    That is full jitter: thousands of boxes that lost one archive come back spread over the span, and
    not all at once.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        """`random` gives numbers from 0 to 1."""
        self._random = random
        self._span_s = WAIT_FIRST_S

    def next_s(self, at_least_s: float = 0.0) -> float:
        """The wait before the coming attempt; no shorter than what the archive asked for."""
        wait_s = self._span_s * self._random()
        self._span_s = min(2 * self._span_s, WAIT_LONGEST_S)
        return max(wait_s, at_least_s)

    def reset(self) -> None:
        """It worked."""
        self._span_s = WAIT_FIRST_S


class Pace:
    """All connections together send no more than so many bytes a second (0: as much as they can)."""

    def __init__(
        self,
        limit_bytes_s: int,
        stop: threading.Event,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit_bytes_s = limit_bytes_s
        self._stop = stop
        self._now = now
        self._lock = threading.Lock()
        self._free_at = 0.0  # when the line is free again, were it as fast as the limit

    def paced(self, content: Content) -> Content:
        """The same content, read no faster than may be sent. Its blocks raise Stopped."""

        def blocks() -> Iterator[bytes]:
            for block in content.blocks():
                self._take(len(block))
                yield block

        return Content(content.size, content.sha256, blocks)

    def _take(self, size: int) -> None:
        wait_s = self._reserve(size) if self._limit_bytes_s else 0.0
        if self._stop.wait(wait_s) if wait_s > 0 else self._stop.is_set():
            raise Stopped

    def _reserve(self, size: int) -> float:
        """Book the time that `size` bytes take; how long to wait before they go."""
        with self._lock:
            now = self._now()
            begin = max(self._free_at, now - BURST_S)
            self._free_at = begin + size / self._limit_bytes_s
            return begin - now


def is_within(hours: str, now: datetime) -> bool:
    """Whether a local time of day lies in "20:00-07:00", the end not with it; empty: always."""
    if not hours:
        return True
    begin, _, end = hours.partition("-")
    time_of_day = f"{now:%H:%M}"
    if begin < end:
        return begin <= time_of_day < end
    return time_of_day >= begin or time_of_day < end
