"""What a key of the configuration can be: text or a list of it, a number, a choice, a switch.

Each kind judges a value, and says in words what it allows; the table of all keys is in keys.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from recorderd.config.words import either, kind_of, shown, suggestion

Needed = Literal["always", "with-hardware", "never"]

DEVICELESS = ("sim", "voice")
"""Drivers that need no device of their own: the simulator, and the sound that is there anyway."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """A list of at most `most` texts of a `form`, each tested by `pattern` as a whole."""

    name: str
    meaning: str
    needed: Needed = "never"
    default: tuple[str, ...] | None = None
    pattern: str = ANY_TEXT
    most: int
    form: str

    @property
    def allowed(self) -> str:
        return f"a list of 1 to {self.most}: {self.form}"

    def complaint(self, value: object) -> str | None:
        """What is wrong with `value`; no text is repeated, for there may be a secret in it."""
        if not isinstance(value, list):
            return f"found {kind_of(value)}; allowed: {self.allowed}, in square brackets"
        if not 1 <= len(value) <= self.most:
            return f"found a list of {len(value)}; allowed: {self.allowed}"
        for position, text in enumerate(value, start=1):
            if not isinstance(text, str):
                return f"number {position} is {kind_of(text)}; allowed: {self.form}, in quotes"
            if re.fullmatch(self.pattern, text) is None:
                return f"number {position} is not of the form that is needed: {self.form}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """true or false."""

    name: str
    meaning: str
    needed: Needed = "never"
    default: bool | None = None
    allowed: str = "true or false"

    def complaint(self, value: object) -> str | None:
        """What is wrong with `value`."""
        if isinstance(value, bool):
            return None
        return f"found {kind_of(value)}; allowed: {self.allowed}, without quotes"


Key = Text | Texts | Number | Choice | Switch


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
