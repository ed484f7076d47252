"""How long to wait before trying again: one second, doubling to one minute, for ever.

There is no random part: one box tries its own device, and nobody else tries with it.
"""

from __future__ import annotations

from recorderd.units import seconds

FIRST_NS = seconds(1)
LONGEST_NS = seconds(60)


class Backoff:
    """The waits of one thing that is tried again and again."""

    def __init__(self) -> None:
        self._next_ns = FIRST_NS

    def next_ns(self) -> int:
        """The wait before the coming attempt, in nanoseconds; the one after it is longer."""
        wait_ns = self._next_ns
        self._next_ns = min(2 * wait_ns, LONGEST_NS)
        return wait_ns

    def reset(self) -> None:
        """It worked: the next failure starts from the shortest wait again."""
        self._next_ns = FIRST_NS
