"""What the doctor needs from outside: a person to talk to, somebody at the telephone, and the box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from recorderd.doctor.boxcheck import DiskSeen
    from recorderd.doctor.outcome import Outcome
    from recorderd.units import ClockReading

Wish: TypeAlias = Literal[
    "lift-and-replace", "call-in", "call-out", "talk-near", "talk-far", "hang-up"
]


class Person(Protocol):
    """Whoever commissions the box. An interrupt (KeyboardInterrupt) may come out of any of these."""

    def say(self, text: str) -> None:
        """A sentence or two: what happens next, or what to do."""
        ...

    def title(self, text: str) -> None:
        """A new part begins."""
        ...

    def show(self, outcome: Outcome) -> None:
        """What a check gave."""
        ...

    def ask(self, question: str) -> str:
        """One line of text; empty where the person only presses Enter."""
        ...

    def confirm(self, question: str, *, default: bool) -> bool: ...


class Hands(Protocol):
    """Somebody at the telephone. Of a real line it is the person, who has been told; nothing is done."""

    def please(self, line: str, wish: Wish) -> None: ...


class Box(Protocol):
    """The machine itself."""

    def clock(self) -> ClockReading: ...

    def disk(self, directory: Path, block_bytes: int) -> DiskSeen:
        """Try the disk with durable writes of so many bytes. Raises StoreError."""
        ...

    def throttled(self) -> int | None:
        """A Raspberry Pi's throttling flags; None where there are none."""
        ...

    def model(self) -> str: ...


class PersonAtThePhone:
    """Hands of a real line."""

    def please(self, line: str, wish: Wish) -> None:
        """The person has read what to do."""
