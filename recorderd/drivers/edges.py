"""The rate gate between a pin and the control thread's inbox.

Nothing on a telephone line makes a thousand edges a second: the fastest is ringing behind a
full-wave detector, a hundred (25 Hz, twice a cycle, both edges), and contact bounce is brief. A
floating or broken pin makes ten thousand. The gate passes every edge up to the limit; above it, it
counts, and tells the count four times a second, so that no pin can flood the inbox. When a
quarter of a second goes by below the limit, the gate opens again and posts the level as it is then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.events import EdgesLost, HookEdge, RingEdge
from recorderd.units import MonoNs, ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.ports import Post

WINDOW_NS = ms(250)
EDGES_PER_WINDOW = 250  # a thousand a second


class EdgeGate:
    """The gate of one pin. Not thread-safe: its driver holds one lock a line."""

    def __init__(
        self, post_edge: Callable[[MonoNs, bool], None], post_lost: Callable[[MonoNs, int], None]
    ) -> None:
        self._post_edge = post_edge
        self._post_lost = post_lost
        self._is_open = True
        self._window_at = MonoNs(0)
        self._seen = 0  # in this window
        self._untold = 0  # in this window, and not posted
        self.level: bool | None = None  # of the last edge

    def edge(self, at: MonoNs, *, level: bool) -> None:
        """An edge of the pin; `level` True: off-hook, or ring active."""
        self.tick(at)
        self.level = level
        self._seen += 1
        self._is_open = self._is_open and self._seen <= EDGES_PER_WINDOW
        if self._is_open:
            self._post_edge(at, level)
        else:
            self._untold += 1

    def lost(self, count: int) -> None:
        """The driver itself missed `count` edges; told at the end of the window."""
        self._seen += count
        self._untold += count
        self._is_open = False

    def tick(self, at: MonoNs) -> None:
        """Time went on; call it at least four times a second."""
        if at - self._window_at < WINDOW_NS:
            return
        if self._untold:
            self._post_lost(at, self._untold)
        is_calm = not self._is_open and self._seen <= EDGES_PER_WINDOW
        self._window_at, self._seen, self._untold = at, 0, 0
        if is_calm:
            self._is_open = True
            if self.level is not None:
                self._post_edge(at, self.level)


def hook_gate(line: str, post: Post) -> EdgeGate:
    """The gate of a hook pin."""
    return EdgeGate(
        lambda at, off_hook: post(HookEdge(at, line, off_hook)),
        lambda at, count: post(EdgesLost(at, line, "hook", count)),
    )


def ring_gate(line: str, post: Post) -> EdgeGate:
    """The gate of a ring pin."""
    return EdgeGate(
        lambda at, active: post(RingEdge(at, line, active)),
        lambda at, count: post(EdgesLost(at, line, "ring", count)),
    )
