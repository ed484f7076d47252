"""On which line each key of a TOML text stands, which the standard library's reader does not say.

It reads only text that the standard library has accepted, so that it need not judge anything: it
cuts the text into tokens (strings whole, comments away) and follows tables, dotted keys, arrays
and inline tables, counting the elements of arrays of tables as the reader does.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recorderd.config.problems import KeyPath

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # up to two quotes may stand before the closing three
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|\#[^\n]*"
    r"|\n"
    r"|[\[\]{}=,.]"
    r"""|[^\s\[\]{}=,."'\#]+""",
    re.DOTALL,
)
_END = ""
_ENDS_VALUE = frozenset({",", "]", "}", "\n", _END})


def locate(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every key, table and array element of `text`, which is valid TOML."""
    walk = _Walk(text)
    walk.document()
    return walk.lines


class _Walk:
    """One pass over the tokens."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._tokens = _tokens(text)
        self._next = 0
        self._repeats: dict[KeyPath, int] = {}  # arrays of tables: how many so far

    def document(self) -> None:
        table: KeyPath = ()
        while self._ahead != _END:
            if self._ahead == "\n":
                self._take()
            elif self._ahead == "[":
                table = self._header()
            else:
                self._pair(table)

    @property
    def _ahead(self) -> str:
        return self._tokens[self._next][0]

    @property
    def _line(self) -> int:
        return self._tokens[self._next][1]

    def _take(self) -> str:
        word = self._ahead
        if word != _END:
            self._next += 1
        return word

    def _header(self) -> KeyPath:
        line = self._line
        self._take()
        repeated = self._ahead == "["
        if repeated:
            self._take()
        path = self._place(self._key("]"), repeated=repeated)
        if repeated:
            self._take()
        self._note(path, line)
        return path

    def _place(self, names: list[str], *, repeated: bool) -> KeyPath:
        """The path of a header's names: inside an array of tables it means the last element."""
        path: KeyPath = ()
        for name in names[:-1]:
            path = self._last((*path, name))
        path = (*path, names[-1])
        if not repeated:
            return path
        self._repeats[path] = self._repeats.get(path, 0) + 1
        return self._last(path)

    def _last(self, path: KeyPath) -> KeyPath:
        count = self._repeats.get(path)
        return path if count is None else (*path, count - 1)

    def _key(self, end: str) -> list[str]:
        """The parts of a dotted key, up to and with the token `end`."""
        parts = []
        while (part := self._take()) not in {end, _END}:
            if part != ".":
                parts.append(_bare(part))
        return parts

    def _pair(self, table: KeyPath) -> None:
        line = self._line
        path = (*table, *self._key("="))
        self._note(path, line)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        first = self._take()
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            while self._ahead not in _ENDS_VALUE:
                self._take()

    def _array(self, path: KeyPath) -> None:
        index = 0
        while self._ahead not in {"]", _END}:
            if self._ahead == ",":
                index += 1
                self._take()
            elif self._ahead == "\n":
                self._take()
            else:
                self._note((*path, index), self._line)
                self._value((*path, index))
        self._take()

    def _inline_table(self, path: KeyPath) -> None:
        while self._ahead not in {"}", _END}:
            if self._ahead in {",", "\n"}:
                self._take()
            else:
                self._pair(path)
        self._take()

    def _note(self, path: KeyPath, line: int) -> None:
        """Note `path`, and the tables around it that a dotted key has opened."""
        while path and path not in self.lines:
            self.lines[path] = line
            path = path[:-1]


def _tokens(text: str) -> list[tuple[str, int]]:
    """All tokens with their lines, without comments, and the end."""
    tokens = []
    line = 1
    for match in _TOKEN.finditer(text):
        token = match.group()
        if not token.startswith("#"):
            tokens.append((token, line))
        line += token.count("\n")
    return [*tokens, (_END, line)]


def _bare(token: str) -> str:
    """A part of a key without its quotes and escapes."""
    if token[0] not in "\"'":
        return token
    return str(tomllib.loads(f"key = {token}")["key"])
