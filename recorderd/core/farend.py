"""Has the far end of a call hung up? What the exchange's tones say of it.

Theory of operation. An analog line has no message for "the other one has gone": after a while the
exchange sends busy or congestion tone, in some networks behind a short break of the loop, which the
hook sensor sees as a flash. The far end's call ended where that tone began, or at the break right
before it. Silence says nothing: people are silent, and holds are.

The tone never cuts anything. Where it goes on with the handset still up, the recording may be closed
after a time (`close_at`). When there is sound again that is no tone, the line was put to other use,
or it was no end at all: what was said of the far end is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recorderd.units import NS_PER_S, MonoNs, later

if TYPE_CHECKING:
    from recorderd.heard import ToneHeard

ENDINGS: Final = frozenset({"busy", "congestion"})

BREAK_BEFORE_NS = 15 * NS_PER_S
"""A break of the loop this long before the tone belongs to it. Exchanges send dial tone or silence
in between for some ten seconds."""


@dataclass(slots=True)
class FarEnd:
    """What is known of one call's far end. `close_after_ns` 0: the recording is never closed."""

    close_after_ns: int
    ended_at: MonoNs | None = None
    close_at: MonoNs | None = None
    _broken_at: MonoNs | None = None

    def heard(self, event: ToneHeard) -> bool:
        """Take a tone; True where it is the first to say that the far end has gone."""
        if event.tone not in ENDINGS:
            return False
        if event.ended_at is not None:
            self.close_at = None
            return False
        is_news = self.ended_at is None
        if is_news:
            self.ended_at = event.at
            if self._broken_at is not None and 0 <= event.at - self._broken_at <= BREAK_BEFORE_NS:
                self.ended_at = self._broken_at
        if self.close_after_ns:
            self.close_at = later(event.at, self.close_after_ns)
        return is_news

    def loop_broken(self, at: MonoNs) -> None:
        """A flash: somebody's, or the exchange's."""
        self.close_at, self.ended_at = None, None
        self._broken_at = at

    def sound_returned(self) -> None:
        """There is something else than a tone again."""
        self.close_at, self.ended_at, self._broken_at = None, None, None
