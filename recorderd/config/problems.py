"""Everything that is wrong with one configuration file, collected and put in the file's order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from recorderd.config.words import printable, shown
from recorderd.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value stands: `("line", 0, "audio", "device")`; whole numbers count from 0."""

PROBLEMS_SHOWN = 100
"""More than these are counted, not listed: a file that is this wrong is another kind of file."""


class Problems:
    """Collects problems by key; a key that is not in the file has the line of its table."""

    def __init__(self, path: Path, lines: dict[KeyPath, int]) -> None:
        self._path = path
        self._lines = lines
        self._found: list[tuple[int, str]] = []

    def add(self, key: KeyPath, text: str) -> None:
        """Note that `key` is wrong as `text` says."""
        self._found.append((self.line_of(key), f"{dotted(key)}: {text}"))

    def is_there(self, key: KeyPath) -> bool:
        """Whether `key` is written in the file, be it with its default."""
        return key in self._lines

    def line_of(self, key: KeyPath) -> int:
        """The line, from 1, of `key` or of the innermost table around it that is in the file."""
        while key and key not in self._lines:
            key = key[:-1]
        return self._lines.get(key, 1)

    def raise_if_any(self) -> None:
        """Raise ConfigError with all problems, in the order of the file."""
        if self._found:
            raise ConfigError([at_line(self._path, *problem) for problem in self._shown()])

    def _shown(self) -> list[tuple[int, str]]:
        ordered = sorted(self._found, key=lambda problem: problem[0])
        hidden = ordered[PROBLEMS_SHOWN:]
        if not hidden:
            return ordered
        return [*ordered[:PROBLEMS_SHOWN], (hidden[0][0], f"and {len(hidden)} more problems")]


def at_line(path: Path, line: int, text: str) -> str:
    """One problem as it is printed: `/etc/recorderd/recorderd.toml:23: text`."""
    return printable(f"{path}:{line}: {text}")


def dotted(key: KeyPath) -> str:
    """A key's name as people write it: `line.audio.device`."""
    return ".".join(_part(part) for part in key if isinstance(part, str))


def _part(part: str) -> str:
    return part if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", part) else shown(part)
