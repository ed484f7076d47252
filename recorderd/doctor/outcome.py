"""What a check gives: what it measured, what is wrong, and what it would change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Value: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong: a word for machines, and what it is and how to mend it for people."""

    code: str
    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class Change:
    """One key of the configuration that should have another value."""

    path: tuple[str | int, ...]  # as config/locate.py names keys: ("line", 0, "hook", "active")
    value: str | int
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check gave. `skipped` says why it was not made; then nothing else is there."""

    check: str
    where: str = ""  # a line or a sound card; empty: the box
    measured: Mapping[str, Value] = field(default_factory=dict)  # by name, units last
    findings: tuple[Finding, ...] = ()
    changes: tuple[Change, ...] = ()
    skipped: str | None = None

    @property
    def verdict(self) -> str:
        if self.skipped is not None:
            return "skipped"
        return "wrong" if self.findings else "ok"

    def as_json(self) -> dict[str, Any]:
        found = [
            {"code": each.code, "what": each.what, "mend": each.mend} for each in self.findings
        ]
        return {
            "check": self.check,
            "where": self.where,
            "verdict": self.verdict,
            "measured": dict(self.measured),
            "findings": found,
            "skipped": self.skipped,
        }


def skipped(check: str, where: str, why: str) -> Outcome:
    """A check that could not be made."""
    return Outcome(check, where, skipped=why)
