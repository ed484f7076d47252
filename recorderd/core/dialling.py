"""What is keyed or pulsed during a call: the number of a call placed from here, and the keys after.

A key belongs to the number while the exchange still takes one: from the off-hook until it answers
with ringback, busy or another tone, or until nothing came for so long that it has given up waiting.
What is keyed later (a menu's choice, an extension, a card number) is kept as digits alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from recorderd.core.manifest import Digit
from recorderd.units import NS_PER_S, MonoNs

if TYPE_CHECKING:
    from recorderd.events import Direction, PulseDialled
    from recorderd.heard import DigitHeard, ToneKind

PATIENCE_NS = 30 * NS_PER_S
"""An exchange that gets no digit, or no further one, gives up after 10 to 20 s (permanent-signal and
inter-digit times in Bellcore's and ITU-T's practice); half as much again."""

DIGITS_MAX = 1000
"""Nobody presses so many keys; a tone generator on the line does."""

ANSWERS: Final = frozenset({"ringback", "busy", "congestion", "special-information"})


@dataclass(slots=True)
class Dialling:
    """The keys of one call. `since` is the off-hook edge."""

    since: MonoNs
    number: str = ""
    digits: list[Digit] = field(default_factory=list)
    _is_over: bool = False
    _last_at: MonoNs | None = None

    def key(self, event: DigitHeard, direction: Direction) -> None:
        """A key was heard; by whom, in a call placed from here and not yet put through, is known."""
        self._take(Digit(event.at, event.channel, event.digit), may_dial=direction == "outbound")

    def pulse(self, event: PulseDialled, direction: Direction) -> None:
        """A digit came by loop pulses, which only our own telephone can make."""
        self._take(Digit(event.at, "hook", event.digit), may_dial=direction != "inbound")

    def tone(self, tone: ToneKind) -> None:
        """The exchange answers a whole number with these."""
        if tone in ANSWERS:
            self._is_over = True

    def _take(self, digit: Digit, *, may_dial: bool) -> None:
        waited_since = self.since if self._last_at is None else self._last_at
        if digit.at - waited_since > PATIENCE_NS:
            self._is_over = True
        self._last_at = digit.at
        if len(self.digits) < DIGITS_MAX:
            self.digits.append(digit)
        if may_dial and not self._is_over:
            self.number += digit.digit
