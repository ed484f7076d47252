"""Two verdicts that are never mixed: "nothing altered" and "nothing missing".

What was found against either is kept apart from what is only not proven: a signature that is yet to
come accuses nobody. The verdict is one sentence; what speaks against it is listed behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LISTED_MAX = 1000
"""A store of which nothing is left must not fill the memory with complaints; the rest are counted."""


@dataclass(slots=True)
class Findings:
    """What speaks against one verdict. `problems` deny it, `doubts` leave it open."""

    problems: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    unlisted: int = 0

    def deny(self, problem: str) -> None:
        """Something is altered, or missing."""
        if len(self.problems) < LISTED_MAX:
            self.problems.append(problem)
        else:
            self.unlisted += 1

    def doubt(self, reason: str) -> None:
        """Nothing wrong was seen, and yet it is not proven."""
        if reason not in self.doubts:
            self.doubts.append(reason)

    def extend(self, other: Findings) -> None:
        """Add what speaks against another thing that this one holds."""
        for problem in other.problems:
            self.deny(problem)
        for reason in other.doubts:
            self.doubt(reason)
        self.unlisted += other.unlisted

    @property
    def count(self) -> int:
        return len(self.problems) + self.unlisted


@dataclass(slots=True)
class Case:
    """Both kinds of finding about one thing that is verified."""

    altered: Findings = field(default_factory=Findings)
    missing: Findings = field(default_factory=Findings)

    def extend(self, other: Case) -> None:
        self.altered.extend(other.altered)
        self.missing.extend(other.missing)

    @property
    def is_clean(self) -> bool:
        """Whether nothing speaks against it and nothing is left open."""
        findings = (self.altered, self.missing)
        return not any(found.count or found.doubts for found in findings)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One of the two, in one sentence, with what speaks against it."""

    is_proven: bool
    sentence: str
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "proven": self.is_proven,
            "sentence": self.sentence,
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is proven of one bundle, call or store. `checkpoints` are notes to keep elsewhere."""

    what: str
    altered: Verdict
    missing: Verdict
    fingerprint: str | None
    calls: int
    segments: int
    bytes_read: int
    checkpoints: dict[str, str]

    @property
    def is_proven(self) -> bool:
        return self.altered.is_proven and self.missing.is_proven

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "proven": self.is_proven,
            "nothing_altered": self.altered.as_json(),
            "nothing_missing": self.missing.as_json(),
            "fingerprint": self.fingerprint,
            "calls": self.calls,
            "segments": self.segments,
            "bytes": self.bytes_read,
            "checkpoints": self.checkpoints,
        }


def verdict_of(findings: Findings, good: str, bad: str, but: str = "") -> Verdict:
    """`good` where nothing speaks against it, `bad` (with {count}) where something does.

    `but` is what even a good verdict does not say; both belong to the one sentence.
    """
    if findings.count:
        sentence = bad.format(count=counted(findings.count, "thing"))
    elif findings.doubts:
        sentence = "Nothing found, but not proven: " + "; ".join(findings.doubts)
    else:
        sentence = f"{good}; {but}" if but else good
    listed = list(findings.problems)
    if findings.unlisted:
        listed.append(f"and {findings.unlisted} more")
    proven = not findings.count and not findings.doubts
    return Verdict(proven, sentence + ".", tuple(listed))


def counted(number: int, noun: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
