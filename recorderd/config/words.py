"""The wording that all configuration messages share: values made printable, lists, suggestions."""

from __future__ import annotations

import datetime as dt
import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHOWN_CHARACTERS = 60
"""A value in a message is cut here, so that one problem stays one readable line."""

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a truth value"),  # before int, of which Python makes it a kind
    (int, "a whole number"),
    (float, "a number with a decimal point"),
    (str, "text"),
    (list, "an array"),
    (dict, "a table"),
    (dt.date, "a date"),  # and date-time, of which Python makes it a kind
    (dt.time, "a time"),
)


def kind_of(value: object) -> str:
    """What a TOML value is, in words."""
    return next(words for kind, words in _KINDS if isinstance(value, kind))


def printable(text: str) -> str:
    """`text` on one line: what a terminal would act on is escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def shown(value: str | int) -> str:
    """A value as a message shows it: text in quotes, printable and cut."""
    text = printable(str(value))
    if len(text) > SHOWN_CHARACTERS:
        text = text[:SHOWN_CHARACTERS] + "…"
    return f'"{text}"' if isinstance(value, str) else text


def either(values: Sequence[str | int]) -> str:
    """`"low" or "high"`; `"a", "b" or "c"`."""
    words = [shown(value) for value in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean "device"?`, or nothing where no known word is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(word[:SHOWN_CHARACTERS].lower(), by_lower, n=1)
    return f"; did you mean {shown(by_lower[near[0]])}?" if near else ""
