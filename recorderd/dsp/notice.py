"""Was the announcement heard? A clip found in one channel of the line's audio.

In two steps. First some pieces of half a second are looked for, each on its own. The sound is made
equally loud at all times and frequencies ("whitened"): that takes away what the line, an automatic
gain and a louder voice do, and leaves the phases, with which a correlation has one sharp peak where
the piece is. Where peaks of several pieces lie on one line (a start, and a clock that differs by
some parts in a million), the second step compares clip and sound frame by frame (notice_match.py).
Only its evidence decides.

Work is done in blocks, so that an hour costs no more memory than a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from recorderd.dsp.notice_match import (
    BAND,
    HOP,
    SHAPE,
    ClipFrames,
    Line,
    Match,
    compare,
    fitted_line,
    spectra_of,
)
from recorderd.dsp.spectrum import RATE_HZ
from recorderd.errors import ClipError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Verdict: TypeAlias = Literal["heard", "partly", "not-heard"]

LENGTH_MIN: Final = RATE_HZ // 5
LENGTH_MAX: Final = 60 * RATE_HZ

HEARD_MIN: Final = 0.95
"""Of the audible time. What is missing of a whole clip in 5 % is less than a word."""

EVIDENCE_MIN: Final = 22.0
"""Nats. Each frame of 16 ms gives at most 3, and beginning and end cost 12: nothing shorter than
190 ms is found, however clear. The most that anything else gave is 15, the least of any clip 0.6 s
long under a louder voice 30 (tests/bench/README.md)."""

PIECE: Final = 4096
"""Samples, half a second: a clock that differs by 200 ppm gains 0.8 samples in it, a quarter of a
turn at 2.4 kHz; and with 3,000 independent values a piece 5 dB under a voice stands out by 15
deviations."""

PIECES_MAX = 12  # spread over the clip: they bound what an hour costs
AUDIBLE_MIN = 0.25  # of a piece
CLIP_WHITE = 0.5  # half of the differences stay in a clip: where it is strong it stands out
BLOCK = 1 << 15  # samples of a transform
QUIET = 8.0  # a frame's spectrum of noise of one step of 16 bits: less is not made louder
LOCAL_MIN = 0.05  # of the block's loudest piece: silence does not count among the whitened

PEAK_MIN = 5.5
"""Deviations. In an hour of noise a piece meets some 2.9e7 places: the highest lies near 6."""

PEAKS_MAX = 48  # of each piece, the highest
LINES_MAX = 4
SUPPORT_MIN = 0.25  # of the best line's
APART_MIN = 64  # samples: nearer lines are one
TIE = 3  # samples: between the places of two pieces on one line

DRIFT_MAX = 300e-6
"""Parts: two crystals of 100 ppm, and a margin."""


@dataclass(frozen=True, slots=True)
class NoticeFound:
    """What was found of a clip.

    "heard" is at least HEARD_MIN of it, "partly" is less, "not-heard" is nothing that is certain.
    """

    verdict: Verdict
    start: int | None  # sample where the clip begins, or would: may lie before the sound's first
    completeness: float  # the share of the clip's audible time that is there, 0 to 1
    level_dbm0: float | None  # of that on the line
    score: float  # evidence, 0 to 1; found from 0.5


class NoticeTemplate:
    """A clip made ready to be looked for: 0.2 to 60 s of 8 kHz, or ClipError."""

    def __init__(self, samples: NDArray[np.int16]) -> None:
        if not LENGTH_MIN <= len(samples) <= LENGTH_MAX:
            limits = f"{LENGTH_MIN / RATE_HZ} to {LENGTH_MAX // RATE_HZ} s"
            length = f"{len(samples) / RATE_HZ:.3g} s"
            raise ClipError(f"a clip of {length} cannot be looked for; use one of {limits}")
        self.length = len(samples)
        self.frames = ClipFrames(samples)
        self.piece = min(PIECE, self.length)
        self.places = self._places()
        whole = _whitened(_Sound(samples), 0, self.length, CLIP_WHITE)
        self.spectra = [self._spectrum(whole[at : at + self.piece]) for at in self.places]

    def _places(self) -> list[int]:
        """Where pieces begin: side by side where there is something to hear."""
        last = self.length - self.piece
        places = [
            place
            for place in sorted({*range(0, last, self.piece), last})
            if self.frames.audible_share(place, place + self.piece) >= AUDIBLE_MIN
        ]
        count = min(PIECES_MAX, len(places))
        chosen = np.linspace(0, len(places) - 1, count).round().astype(int)
        return [places[each] for each in chosen]

    @staticmethod
    def _spectrum(piece: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Turned round, so that a product with it correlates."""
        norm = max(float(np.sqrt((piece**2).sum())), 1e-9)
        return np.conj(np.fft.rfft(piece / norm, BLOCK)).astype(np.complex64)


def find_notice(
    template: NoticeTemplate, sound: NDArray[np.int16], around: tuple[int, int] | None = None
) -> NoticeFound:
    """The best place of a clip in one channel's samples at 8 kHz.

    `around` are the first and the last start to be considered, samples of `sound`; without it a
    clip may also have begun before the sound.
    """
    low, high = around or (-template.length, len(sound))
    source = _Sound(sound)
    matches = [
        compare(template.frames, source.samples, line)
        for line in _lines(_peaks(template, source, low, high))
    ]
    inside = [match for match in matches if low <= round(match.line.start) <= high]
    return _judged(max(inside, key=lambda match: match.evidence, default=None))


def _judged(match: Match | None) -> NoticeFound:
    evidence = max(0.0, match.evidence) if match else 0.0
    score = evidence / (evidence + EVIDENCE_MIN)
    if match is None or evidence < EVIDENCE_MIN:
        return NoticeFound("not-heard", None, 0.0, None, score)
    verdict: Verdict = "heard" if match.completeness >= HEARD_MIN else "partly"
    start = round(match.line.start)
    return NoticeFound(verdict, start, match.completeness, match.level_dbm0, score)


# ---------------------------------------------------------------- pieces in blocks


class _Sound:
    """Samples by position, with silence before and after."""

    def __init__(self, samples: NDArray[np.int16]) -> None:
        self._samples = samples
        self.length = len(samples)

    def samples(self, start: int, stop: int) -> NDArray[np.float32]:
        found = np.zeros(stop - start, np.float32)
        low, high = max(start, 0), min(stop, self.length)
        if low < high:
            found[low - start : high - start] = self._samples[low:high]
        return found


def _whitened(source: _Sound, start: int, stop: int, share: float) -> NDArray[np.float32]:
    """Samples whose frames have lost this share of their differences in level, in decibels.

    Frames lie at multiples of HOP, so that it makes no difference where a block begins.
    """
    first = start // HOP - 1
    count = -(-stop // HOP) - first
    samples = source.samples(first * HOP, (first + count + 1) * HOP)
    spectra = spectra_of(samples, np.arange(count) * HOP)
    white = np.zeros_like(spectra)
    white[:, BAND] = spectra[:, BAND] / (np.abs(spectra[:, BAND]) + QUIET) ** share
    back = np.fft.irfft(white, 2 * HOP, axis=1).astype(np.float32) * SHAPE
    whole = np.zeros((count + 1) * HOP, np.float32)
    whole[:-HOP] = back[:, :HOP].ravel()
    whole[HOP:] += back[:, HOP:].ravel()
    return whole[start - first * HOP :][: stop - start]


@dataclass(frozen=True, slots=True)
class _Peak:
    """Where a piece correlates most in a block."""

    start: int  # the clip's, by this piece
    offset: int  # of the piece in the clip
    height: float  # deviations of the correlation in the block


def _peaks(template: NoticeTemplate, source: _Sound, low: int, high: int) -> list[_Peak]:
    """The highest of each piece, whose start lies within the limits."""
    peaks: dict[int, list[_Peak]] = {place: [] for place in template.places}
    # Half a piece may be missing at the sound's ends.
    first, last = -template.piece // 2, source.length - template.piece // 2
    step = BLOCK - template.piece
    for block in range(first, last + 1, step):
        spans = {}
        for number, place in enumerate(template.places):
            slack = TIE + int(DRIFT_MAX * place)
            begin = max(block, low + place - slack)
            end = min(block + step, last + 1, high + place + slack + 1)
            if begin < end:
                spans[number] = (begin - block, end - block)
        for peak in _peaks_of_block(template, source, block, spans) if spans else ():
            peaks[peak.offset].append(peak)
    return [
        peak
        for own in peaks.values()
        for peak in sorted(own, key=lambda each: -each.height)[:PEAKS_MAX]
    ]


def _peaks_of_block(
    template: NoticeTemplate, source: _Sound, block: int, spans: dict[int, tuple[int, int]]
) -> Iterator[_Peak]:
    """`spans` says for the pieces' numbers where in the block they may begin."""
    samples = _whitened(source, block, block + BLOCK, 1.0)
    spectrum = np.fft.rfft(samples)
    energy = np.concatenate((np.zeros(1), np.cumsum(samples**2, dtype=np.float64)))
    local = energy[template.piece : -1] - energy[: -template.piece - 1]
    sounding = local > LOCAL_MIN * local.max()
    scale = np.zeros(len(local), np.float32)
    scale[sounding] = 1 / np.sqrt(local[sounding])
    for number, (begin, end) in spans.items():
        product = spectrum * template.spectra[number]
        fits = np.abs(np.fft.irfft(product)[: len(scale)]) * scale
        deviation = float(np.sqrt((fits**2).sum() / max(1, sounding.sum())))
        at = begin + int(fits[begin:end].argmax())
        if fits[at] > PEAK_MIN * deviation:
            place = template.places[number]
            yield _Peak(block + at - place, place, float(fits[at]) / deviation)


def _lines(peaks: list[_Peak]) -> list[Line]:
    """Those on which most peaks agree, best first."""
    start = np.array([each.start for each in peaks], float)
    offset = np.array([each.offset for each in peaks], float)
    weight = np.array([each.height for each in peaks]) ** 2
    apart = np.abs(start[:, None] - start)
    agree = apart <= TIE + DRIFT_MAX * np.abs(offset[:, None] - offset)
    support = (agree * weight).sum(axis=1)
    lines: list[Line] = []
    for one in np.argsort(-support, kind="stable"):
        if len(lines) == LINES_MAX or support[one] < SUPPORT_MIN * support.max():
            break
        if all(abs(start[one] - line.start) > APART_MIN for line in lines):
            own = agree[one]
            lines.append(fitted_line(offset[own], start[own], weight[own]))
    return lines
