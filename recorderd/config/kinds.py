"""What a key of the configuration can be: text, a whole number, or one of a few choices.

Each kind judges a value, and says in words what it allows; the table of all keys is in keys.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from recorderd.config.words import either, kind_of, shown, suggestion

Needed = Literal["always", "with-hardware", "never"]

TEXT_CHARACTERS = 255
"""Longest text of a key: also the longest file name that Linux allows."""

ANY_TEXT = r"[^\u0000-\u001f\u007f-\u009f]+"
"""Text without control characters, which no name of a device or a file needs."""

MAYBE_TEXT = r"[^\u0000-\u001f\u007f-\u009f]*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text of a `form`, which `pattern` (of Python and ECMA 262 alike) tests as a whole."""

    name: str
    meaning: str
    needed: Needed = "never"
    default: str | None = None
    pattern: str = ANY_TEXT
    longest: int = TEXT_CHARACTERS
    form: str

    @property
    def allowed(self) -> str:
        limit = f", at most {self.longest} characters" if self.longest < TEXT_CHARACTERS else ""
        return self.form + limit

    def complaint(self, value: object) -> str | None:
        """What is wrong with `value`; it is not repeated, for there may be a password in it."""
        if not isinstance(value, str):
            return f"found {kind_of(value)}; allowed: {self.allowed}, in quotes"
        if len(value) > self.longest:
            return f"found {len(value)} characters; allowed: at most {self.longest}"
        if re.fullmatch(self.pattern, value) is None:
            found = "found empty text" if not value else "not of the form that is needed"
            return f"{found}; allowed: {self.allowed}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A whole number of `unit`, `low` to `high`."""

    name: str
    meaning: str
    needed: Needed = "never"
    default: int | None = None
    low: int
    high: int
    unit: str

    @property
    def allowed(self) -> str:
        return f"{self.low} to {self.high} ({self.unit})"

    def complaint(self, value: object) -> str | None:
        """What is wrong with `value`."""
        if type(value) is not int:  # true and false are a kind of int to Python, not to people
            return f"found {kind_of(value)}; allowed: a whole number, {self.allowed}"
        if self.low <= value <= self.high:
            return None
        size = "small" if value < self.low else "large"
        return f"{shown(value)} is too {size}; allowed: {self.allowed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of a few `choices`, all text or all whole numbers."""

    name: str
    meaning: str
    needed: Needed = "never"
    default: str | int | None = None
    choices: tuple[str, ...] | tuple[int, ...]
    unit: str = ""

    @property
    def allowed(self) -> str:
        return either(self.choices) + (f" ({self.unit})" if self.unit else "")

    def complaint(self, value: object) -> str | None:
        """What is wrong with `value`."""
        if type(value) is not type(self.choices[0]):
            return f"found {kind_of(value)}; allowed: {self.allowed}"
        if value in self.choices:
            return None
        hint = suggestion(str(value), map(str, self.choices))
        return f"{shown(value)} is not a choice; allowed: {self.allowed}{hint}"


Key = Text | Number | Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the file. `presence` "defaulted": left out, all its keys have their defaults;
    "repeated": once or more often; "any-number": that, or not at all."""

    name: str
    meaning: str
    presence: Literal["required", "defaulted", "optional", "repeated", "any-number"]
    keys: tuple[Key, ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        """The names of all keys and tables in it."""
        return tuple(item.name for item in (*self.keys, *self.tables))
