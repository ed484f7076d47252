"""How a broken invariant is told, and stretches of time in which it may be excused."""

from __future__ import annotations

from typing import NoReturn


class ViolationError(Exception):
    """An invariant does not hold."""


def fail(message: str) -> NoReturn:
    """Say which one."""
    raise ViolationError(message)


class Windows:
    """Stretches of true time in which something lasts."""

    def __init__(self) -> None:
        self._all: list[tuple[int, int]] = []
        self._since: int | None = None

    def begin(self, at: int) -> None:
        self._since = at if self._since is None else self._since

    def end(self, at: int) -> None:
        if self._since is not None:
            self.add(self._since, at)
            self._since = None

    def add(self, begin: int, end: int) -> None:
        self._all.append((begin, end))

    def within(self, begin: int, end: int) -> int:
        """How much of this time they cover; no two of them overlap."""
        open_one = [] if self._since is None else [(self._since, end)]
        spans = (min(end, last) - max(begin, first) for first, last in self._all + open_one)
        return sum(span for span in spans if span > 0)

    def touch(self, begin: int, end: int) -> bool:
        if self._since is not None and self._since <= end:
            return True
        return any(first <= end and last >= begin for first, last in self._all)
