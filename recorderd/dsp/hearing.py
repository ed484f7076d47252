"""One channel of a line, heard: caller IDs, digits and progress tones, each with its place.

Digits that open a caller ID in DTMF (A, B, D) are held back until it is clear what they are: a
message, keys that somebody pressed, or the acknowledgement that a telephone sends when a second
caller's number comes in during a call (call waiting: a D or an A right before the FSK burst), which
nobody dialled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from recorderd.core.dtmf_clip import OPENERS, is_begun, parse_dtmf_clip
from recorderd.dsp.dtmf import Digit, DigitReceiver
from recorderd.dsp.fsk import FskMessage, FskReceiver
from recorderd.dsp.spectrum import HOP, RATE_HZ, Spectrum
from recorderd.dsp.tones import ToneHeard, ToneReceiver

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recorderd.core.callerid import CallerIdMessage
    from recorderd.core.profile import CallerIdKind, Tone

DTMF_CLIP: Final = "dtmf-clip"
STANDARDS: Final = (
    "bell202-sdmf",
    "bell202-mdmf",
    "v23-sdmf",
    "v23-mdmf",
    "number-display",
    DTMF_CLIP,
)

BLOCK_MAX = RATE_HZ // 2
ALONE = 900 * RATE_HZ // 1000
"""No digit begins for so long before and after a message: those in it follow at some ten a second,
and letters in the middle of other keys open nothing."""
DECIDED_AFTER = 3 * RATE_HZ // 4
"""Longer than a digit takes to be decided."""
ACKNOWLEDGED_WITHIN = RATE_HZ
"""Bellcore's exchanges begin to send within half a second of the acknowledgement."""
HELD_MAX = 5 * RATE_HZ
"""A second before a burst may begin, the longest burst, and the time to read it."""
FLUSH = RATE_HZ
"""Silence that is heard after the end, so that the last frames are full: 1 s."""


@dataclass(frozen=True, slots=True)
class CallerIdHeard:
    """A caller ID in the audio; `start` and `stop` are samples of 8 kHz."""

    start: int
    stop: int
    standard: str
    message: CallerIdMessage
    raw: str  # the message in hex, or its digits


@dataclass(frozen=True, slots=True)
class DigitHeard:
    """A digit that somebody keyed."""

    start: int
    stop: int
    digit: str


Heard: TypeAlias = CallerIdHeard | DigitHeard | ToneHeard


def standards_of(kinds: tuple[CallerIdKind, ...]) -> tuple[str, ...]:
    """The standards of a country's caller ID."""
    return tuple(standard for standard in STANDARDS if standard.startswith(kinds))


class Ear:
    """Takes one channel's 16-bit samples at 8 kHz in blocks of any size; gives what it hears.

    What comes out is in the order in which it became certain, up to some seconds after it was. A
    progress tone comes out twice, unless it lasts to the end. `tones` are those of the line's country.
    """

    def __init__(
        self, standards: tuple[str, ...] = STANDARDS, tones: tuple[Tone, ...] = ()
    ) -> None:
        self._standards = standards
        self._spectrum = Spectrum()
        self._fsk = FskReceiver(self._spectrum)
        self._dtmf = DigitReceiver(self._spectrum)
        self._tones = ToneReceiver(self._spectrum, tones)
        self._held: list[Digit] = []  # perhaps the beginning of a message
        self._letters: list[Digit] = []  # each perhaps an acknowledgement
        self._last_start = -ALONE - 1

    def feed(self, samples: NDArray[np.int16]) -> list[Heard]:
        """What has become certain by these samples."""
        heard: list[Heard] = []
        for start in range(0, len(samples), BLOCK_MAX):
            for batch in self._spectrum.feed(samples[start : start + BLOCK_MAX]):
                for digit in self._dtmf.handle(batch):
                    heard += self._take_digit(digit)
                for message in self._fsk.handle(batch):
                    heard += self._take_message(message)
                heard += self._tones.handle(batch)
                heard += self._let_go((batch.first_frame + len(batch.power)) * HOP)
        return heard

    def power(self, start: int, stop: int) -> float:
        """The mean power of what was heard between two samples, as far as it is kept."""
        samples = self._spectrum.samples(start, stop)
        return float(np.mean(samples**2)) if len(samples) else 0.0

    def finish(self) -> list[Heard]:
        """What the sound's end makes certain. Nothing can be fed afterwards."""
        end = self._spectrum.end
        heard = self.feed(np.zeros(FLUSH, np.int16))
        frame = self._spectrum.end // HOP
        for digit in self._dtmf.finish(frame):
            heard += self._take_digit(digit)
        for message in self._fsk.finish(frame):
            heard += self._take_message(message)
        heard += self._tones.finish(end)
        return heard + self._let_go(self._spectrum.end + 2 * HELD_MAX)

    def _take_digit(self, digit: Digit) -> list[Heard]:
        stands_alone = digit.start - self._last_start > ALONE
        self._last_start = digit.start
        heard = self._settle() if stands_alone else []
        may_open = stands_alone and digit.digit in OPENERS
        text = _text(self._held) + digit.digit
        if may_open or (self._held and (is_begun(text) or parse_dtmf_clip(text))):
            self._held.append(digit)
            return heard
        keys, self._held = [*self._held, digit], []
        return heard + [_key(each) for each in keys]

    def _settle(self) -> list[Heard]:
        """No more digits belong to those that are held: a message, keys, or perhaps a letter."""
        held, self._held = self._held, []
        message = parse_dtmf_clip(_text(held)) if DTMF_CLIP in self._standards else None
        if message is not None:
            heard = CallerIdHeard(held[0].start, held[-1].stop, DTMF_CLIP, message, _text(held))
            return [heard]
        if len(held) == 1:
            self._letters += held
            return []
        return [_key(digit) for digit in held]

    def _take_message(self, found: FskMessage) -> list[Heard]:
        """A caller, where the message is one; a letter just before its burst was no key."""
        if found.standard not in self._standards:
            return []
        for letters in (self._held, self._letters):
            letters[:] = [
                each for each in letters if not 0 <= found.start - each.start <= ACKNOWLEDGED_WITHIN
            ]
        if not found.message.is_call:
            return []
        raw = found.raw.hex()
        return [CallerIdHeard(found.start, found.stop, found.standard, found.message, raw)]

    def _let_go(self, now: int) -> list[Heard]:
        """The keys for which the time to be anything else is over."""
        heard: list[Heard] = []
        if self._held and now - self._held[-1].start > ALONE + DECIDED_AFTER:
            heard += self._settle()
        while self._letters and now - self._letters[0].start > HELD_MAX:
            heard.append(_key(self._letters.pop(0)))
        return heard


def _text(digits: list[Digit]) -> str:
    return "".join(each.digit for each in digits)


def _key(digit: Digit) -> DigitHeard:
    return DigitHeard(digit.start, digit.stop, digit.digit)
