"""Both channels of a line, heard: what one party sends leaks to the other side, and is told once.

A line that is quiet costs next to nothing: the ears are only made when there is sound, and put away
when there was none for longer than any pause within what they know.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from recorderd.core.farend import ENDINGS
from recorderd.dsp.hearing import CallerIdHeard, DigitHeard, Ear
from recorderd.dsp.spectrum import RATE_HZ
from recorderd.dsp.tones import ToneHeard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from recorderd.core.profile import Tone
    from recorderd.heard import Channel

CHANNELS: Final[tuple[Channel, ...]] = ("near", "far")

BLOCK = RATE_HZ // 10
"""How long sound is judged at once: 100 ms, which the shortest digit (40 ms) still makes loud."""

LOUD_RMS = 51.0
"""-50 dBm0: 10 dB below the weakest digit and 14 below the weakest caller ID that are to be heard,
so that a digit that fills 40 of 100 ms is above it. A sine of full scale is +3.17 dBm0."""

PUT_AWAY_AFTER = 12 * RATE_HZ
"""The longest pause within a tone, call waiting's in North America, is 10 s."""

SAME_WITHIN = RATE_HZ // 10
"""A caller ID, a digit or a tone on both channels begins at the same time: the leak is milliseconds late."""

REMEMBERED = 10 * RATE_HZ

LEAK_MIN = 4.0
"""A hybrid takes at least 6 dB off what comes from the other side."""

RETURNED_BLOCKS = 4
"""Half of a second of sound is more than a click, and less than a word."""

TONE_REST = RATE_HZ // 5
"""A tone's end is known to within a burst's edge and its echo."""


@dataclass(frozen=True, slots=True)
class SoundReturned:
    """After a busy or congestion tone there is sound again, and no tone."""

    start: int


Happened: TypeAlias = CallerIdHeard | DigitHeard | ToneHeard | SoundReturned


@dataclass(frozen=True, slots=True)
class LineHeard:
    """Something in the sound of a line, and the channel that it comes from."""

    channel: Channel
    what: Happened


class LineEar:
    """Takes 16-bit frames of near and far at 8 kHz in blocks of any size; gives what it hears.

    Positions count frames from the first one fed.
    """

    def __init__(self, standards: tuple[str, ...], tones: tuple[Tone, ...]) -> None:
        self._standards, self._tones = standards, tones
        self._ears: tuple[Ear, Ear] | None = None
        self._origin = 0  # position of the ears' first frame
        self._position = 0  # of the next block
        self._rest = np.zeros((0, 2), np.int16)  # less than a block
        self._last = np.zeros((0, 2), np.int16)  # the block before
        self._loud_until = 0
        self._known: deque[tuple[int, LineHeard]] = deque()  # and when each was told
        self._tones_on: set[str] = set()
        self._returning_since: int | None = None  # the end of the tone after which sound may return
        self._loud: deque[int] = deque(
            maxlen=10 * RATE_HZ // BLOCK
        )  # starts of the last loud blocks

    def feed(self, frames: NDArray[np.int16]) -> list[LineHeard]:
        """What has become certain by these frames, shape (n, 2)."""
        found: list[LineHeard] = []
        frames = np.concatenate((self._rest, frames))
        whole = len(frames) // BLOCK * BLOCK
        blocks, self._rest = frames[:whole].reshape(-1, BLOCK, 2), frames[whole:]
        loud = _are_loud(blocks)
        if self._ears is None and self._returning_since is None and not loud.any():
            self._position += whole
            self._last = blocks[-1] if len(blocks) else self._last
            return []
        for block, is_loud in zip(blocks, loud.tolist(), strict=True):
            found += self._take(block, is_loud=is_loud)
        return found

    def finish(self) -> list[LineHeard]:
        """What the sound's end makes certain. Nothing can be fed afterwards."""
        return self._put_away() if self._ears is not None else []

    def _take(self, block: NDArray[np.int16], *, is_loud: bool) -> list[LineHeard]:
        if is_loud:
            self._loud_until = self._position + BLOCK
            self._loud.append(self._position)
        found: list[LineHeard] = []
        if is_loud and self._ears is None:
            self._ears = (self._ear(), self._ear())
            self._origin = self._position - len(self._last)
            found += self._listen(self._last)
        if self._ears is not None:
            found += self._listen(block)
        self._position += BLOCK
        self._last = block
        if self._ears is not None and self._position - self._loud_until >= PUT_AWAY_AFTER:
            found += self._put_away()
        return found + self._returned()

    def _ear(self) -> Ear:
        return Ear(self._standards, self._tones)

    def _listen(self, block: NDArray[np.int16]) -> list[LineHeard]:
        assert self._ears is not None
        found: list[LineHeard] = []
        for number, ear in enumerate(self._ears):
            for heard in ear.feed(block[:, number]):
                found += self._placed(number, heard)
        return found

    def _put_away(self) -> list[LineHeard]:
        assert self._ears is not None
        found: list[LineHeard] = []
        for number, ear in enumerate(self._ears):
            for heard in ear.finish():
                found += self._placed(number, heard)
        self._ears = None
        return found

    # ------------------------------------------------------------ each thing once

    def _placed(
        self, number: int, heard: CallerIdHeard | DigitHeard | ToneHeard
    ) -> Iterator[LineHeard]:
        """What an ear heard, at its place on the line, unless the other ear heard it before."""
        placed = self._at_its_place(heard)
        found = LineHeard(self._source(number, heard), placed)
        while self._known and self._known[0][0] < self._position - REMEMBERED:
            self._known.popleft()
        if any(_is_same(found.what, known.what) for _, known in self._known):
            return
        self._known.append((self._position, found))
        self._note_tone(placed)
        yield found

    def _at_its_place(
        self, heard: CallerIdHeard | DigitHeard | ToneHeard
    ) -> CallerIdHeard | DigitHeard | ToneHeard:
        start = heard.start + self._origin
        if heard.stop is None:  # a tone that goes on
            return replace(heard, start=start)
        return replace(heard, start=start, stop=heard.stop + self._origin)

    def _source(self, number: int, heard: CallerIdHeard | DigitHeard | ToneHeard) -> Channel:
        """The ear's own channel, unless the other one is so much louder there that this is its leak."""
        assert self._ears is not None
        stop = heard.stop if heard.stop is not None else heard.start + BLOCK
        own = self._ears[number].power(heard.start, stop)
        other = self._ears[1 - number].power(heard.start, stop)
        return CHANNELS[1 - number if other > LEAK_MIN * own else number]

    # ------------------------------------------------------------ sound after a tone

    def _note_tone(self, heard: CallerIdHeard | DigitHeard | ToneHeard) -> None:
        if not isinstance(heard, ToneHeard):
            return
        if heard.stop is None:
            self._tones_on.add(heard.tone)
            self._returning_since = None
            return
        self._tones_on.discard(heard.tone)
        if heard.tone in ENDINGS:
            self._returning_since = heard.stop + TONE_REST

    def _returned(self) -> list[LineHeard]:
        since = self._returning_since
        if since is None or self._tones_on:
            return []
        loud = [start for start in self._loud if start >= since]
        if len(loud) < RETURNED_BLOCKS:
            return []
        self._returning_since = None
        return [LineHeard("far", SoundReturned(loud[0]))]


def _are_loud(blocks: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which blocks, shape (n, BLOCK, 2), have sound in a channel; direct current is none."""
    # Every fourth sample tells as well: what they fold over keeps its power.
    values = blocks[:, ::4].astype(np.float32)
    frames = values.shape[1]
    mean = np.einsum("bfc->bc", values) / frames
    power = np.einsum("bfc,bfc->bc", values, values) / frames - mean**2
    loud: NDArray[np.bool_] = (power >= LOUD_RMS**2).any(axis=1)
    return loud


def _is_same(one: Happened, other: Happened) -> bool:
    if abs(one.start - other.start) > SAME_WITHIN:
        return False
    match one, other:
        case CallerIdHeard(), CallerIdHeard():
            return one.raw == other.raw
        case DigitHeard(), DigitHeard():
            return one.digit == other.digit
        case ToneHeard(), ToneHeard():
            return one.tone == other.tone and (one.stop is None) == (other.stop is None)
        case _:
            return False
