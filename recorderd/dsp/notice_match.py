"""Clip and line compared frame by frame along one line of time: how much of the clip is there.

In each cell of a frame (32 ms) and a frequency (31 Hz) the sound has the clip's phase if the clip
is there, and any phase if it is not. How much a cell says depends on how loud the clip should be
there beside the sound: under a louder voice it says little, in a silence that should not be one it
says much. What the cells of a frame say together is its log-likelihood ratio, "there" against "not
there", in nats. The likeliest course through these two states, each change paid for, bridges what a
voice covers and finds where the clip begins, breaks and ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recorderd.dsp.spectrum import RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

HOP: Final = 128
WINDOW: Final = 2 * HOP
SHAPE: Final = np.sqrt(np.hanning(WINDOW + 1)[:WINDOW]).astype(np.float32)
"""Its square, every HOP, adds up to one: frames that are changed and windowed again join up."""

LOW_BIN, HIGH_BIN = (round(hz * WINDOW / RATE_HZ) for hz in (300, 3400))
BAND: Final = slice(LOW_BIN, HIGH_BIN + 1)
TURN: Final = 2j * np.pi * np.arange(LOW_BIN, HIGH_BIN + 1) / WINDOW
"""The phase of each frequency in a sample's time."""

AUDIBLE_DB = 24.0
"""Below the loudest frame: what lies lower are pauses and the ends of words. Loud frames are some
8 dB over the mean, and ITU-T P.56 counts as active what is up to 15.9 dB under it."""

# The line of time.
CHUNK = 32  # frames: half a second
CHUNK_MIN = 5.0  # deviations
SHIFTS = np.arange(-6, 6.01, 0.25)  # samples
ASIDE_MAX = 1.5  # samples: a place further off the line is another's
PLACE_ERROR = 0.5  # samples: of a single place
DRIFT_USUAL = 100e-6

# The gain.
RESPONSE = np.arange(-12, 13)  # samples: what filters smear, and nothing of an echo
GAIN_FRAMES = 33  # half a second: an automatic gain is slower
SURE_FRAMES = 5
SURE_MIN = 3.5  # deviations
GAIN_RANGE = 4.0  # 12 dB to each side of the usual

# What a frame says.
CELLS_ALIKE = 2.0
"""Frames overlap by half, so a frame's cells are worth half of their number."""

EXPECTED = 0.5
"""Of the cosine where the clip should be as loud as all sound there: 1 without other sound, some 0.5
under as much of it."""

SAYS_MIN, SAYS_MAX = -6.0, 3.0
"""Nats. The cells of one vowel are no independent witnesses: two voices of one pitch, and one person
twice, agree for up to 150 ms as if they were the same sound. So a frame's word counts little (see
notice.EVIDENCE_MIN), and it takes many of them."""

CHANGE = 6.0  # nats: one frame alone neither makes nor breaks a notice
SINE_DBM0 = 3.14  # of full scale (ITU-T G.711)
_QUIET = 1.0  # of a cell's size: nothing is divided by nothing


@dataclass(frozen=True, slots=True)
class Line:
    """Sample `offset` of the clip lies at start + offset * (1 + drift) of the sound."""

    start: float
    drift: float

    def place(self, offset: NDArray[np.floating]) -> NDArray[np.floating]:
        """Where these samples of the clip lie."""
        return self.start + offset * (1 + self.drift)


@dataclass(frozen=True, slots=True)
class Match:
    """How well the clip fits on a line."""

    line: Line
    evidence: float  # nats
    completeness: float
    level_dbm0: float


def fitted_line(
    offset: NDArray[np.floating], start: NDArray[np.floating], weight: NDArray[np.floating]
) -> Line:
    """The least squares of starts found at offsets, the drift held back while it is uncertain."""
    weight = weight / weight.max()
    middle = float((weight * offset).sum() / weight.sum())
    centre = float((weight * start).sum() / weight.sum())
    spread = float((weight * (offset - middle) ** 2).sum())
    slope = float((weight * (offset - middle) * (start - centre)).sum())
    drift = slope / (spread + (PLACE_ERROR / DRIFT_USUAL) ** 2)
    return Line(centre - drift * middle, drift)


def spectra_of(samples: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.complex64]:
    """Spectra of the frames that begin at these samples."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[starts]
    # Direct current would leak into the band, and be like that of any other sound.
    level = frames.mean(axis=1, keepdims=True)
    return np.fft.rfft((frames - level) * SHAPE, axis=1).astype(np.complex64)


class ClipFrames:
    """A clip's spectra, and which of its frames can be heard."""

    def __init__(self, samples: NDArray[np.int16]) -> None:
        count = -(-len(samples) // HOP)
        padded = np.zeros((count + 1) * HOP, np.float32)
        padded[: len(samples)] = samples
        self.spectra = spectra_of(padded, np.arange(count) * HOP)[:, BAND]
        self.size = np.abs(self.spectra)
        self.power = (self.size**2).sum(axis=1)
        least = float(self.power.max()) / 10 ** (AUDIBLE_DB / 10)
        self.audible = self.power > max(least, 1.0)

    def audible_share(self, start: int, stop: int) -> float:
        """Of a stretch of samples."""
        return float(self.audible[start // HOP : -(-stop // HOP)].mean())


def compare(
    clip: ClipFrames, samples: Callable[[int, int], NDArray[np.float32]], line: Line
) -> Match:
    """The evidence that the clip lies on this line, or within some samples of it.

    `samples` gives a stretch of the sound, with silence before and after it.
    """
    better = _Cells(clip, samples, line).better_line()
    return _Cells(clip, samples, better).match()


class _Cells:
    """Frames of the sound where those of the clip should be: frames by frequencies."""

    def __init__(
        self, clip: ClipFrames, samples: Callable[[int, int], NDArray[np.float32]], line: Line
    ) -> None:
        self._clip, self._line = clip, line
        places = line.place(np.arange(len(clip.spectra)) * float(HOP))
        whole = np.floor(places).astype(int)
        stretch = samples(int(whole[0]), int(whole[-1]) + WINDOW)
        spectra = spectra_of(stretch, whole - whole[0])[:, BAND]
        sound = (spectra * np.exp(TURN * (places - whole)[:, None])).astype(np.complex64)
        self._size = np.abs(sound) + _QUIET
        self._cross = sound * np.conj(clip.spectra)
        self._phase = self._cross / (self._size * (clip.size + _QUIET))
        # While the gain is unknown: what is loud in its own frame.
        typical = np.sqrt((clip.size**2).mean(axis=1, keepdims=True)) + _QUIET
        self._weight = np.minimum(clip.size / typical, 1) * clip.audible[:, None]

    def better_line(self) -> Line:
        """The line through the places where half-seconds fit best."""
        edges = np.arange(0, len(self._phase), CHUNK)
        sums = np.add.reduceat(self._phase * self._weight, edges, axis=0)
        noise = np.sqrt(np.add.reduceat(self._weight**2, edges, axis=0).sum(axis=1)) + 1e-9
        fits = np.abs(sums @ np.exp(np.outer(TURN, SHIFTS))) / noise[:, None]
        best = fits.argmax(axis=1)
        height = fits[np.arange(len(best)), best]
        offset = (edges + CHUNK / 2) * HOP
        place = self._line.place(offset) + SHIFTS[best]
        good = height > CHUNK_MIN
        line = self._line
        for _ in range(2):  # again without those that lie aside
            if good.any():
                line = fitted_line(offset[good], (place - offset)[good], height[good] ** 2)
            good &= np.abs(place - line.place(offset)) < ASIDE_MAX
        return line

    def match(self) -> Match:
        """What the frames say, in all."""
        clip = self._clip
        response = self._response()
        cosine = (self._phase * np.conj(response)).real
        toward = (self._cross * np.conj(response)).real.sum(axis=1)
        gain = self._gain(cosine, toward)
        if gain is None:
            return Match(self._line, 0.0, 0.0, -np.inf)
        weight = np.minimum(gain[:, None] * clip.size / self._size, 1)
        says = _says(cosine, weight) * clip.audible
        is_there = _likeliest(says)
        changes = int(np.abs(np.diff(is_there.astype(int), prepend=0, append=0)).sum())
        heard = is_there & clip.audible
        return Match(
            self._line,
            evidence=float(says[is_there].sum()) - CHANGE * changes,
            completeness=float(heard.sum() / clip.audible.sum()),
            level_dbm0=_level(gain[heard] ** 2 * clip.power[heard]),
        )

    def _response(self) -> NDArray[np.complex64]:
        """The phases that the line's filters add."""
        basis = np.exp(np.outer(TURN, RESPONSE))
        taps = (self._phase * self._weight).sum(axis=0) @ basis
        smooth = np.conj(basis) @ taps
        response: NDArray[np.complex64] = smooth / (np.abs(smooth) + 1e-9)
        return response

    def _gain(
        self, cosine: NDArray[np.float32], toward: NDArray[np.float32]
    ) -> NDArray[np.float64] | None:
        """How loud the line makes the clip at each frame, from the frames that surely hold it.

        They count as the sound around them is quiet. None if there are none.
        """
        clip = self._clip
        fit = _smoothed((cosine * self._weight).sum(axis=1), SURE_FRAMES)
        noise = np.sqrt(_smoothed((self._weight**2).sum(axis=1), SURE_FRAMES)) + 1e-9
        sure = (fit / noise > SURE_MIN) & clip.audible & (toward > 0)
        if not sure.any():
            return None
        trust = sure / (_smoothed((self._size**2).sum(axis=1), SURE_FRAMES) + 1e-9)
        upper = _smoothed(toward * trust, GAIN_FRAMES)
        lower = _smoothed(clip.power * trust, GAIN_FRAMES)
        usual = float(np.median(toward[sure] / clip.power[sure]))
        near = np.divide(upper, lower, out=np.full(len(upper), usual), where=lower > 0)
        gain: NDArray[np.float64] = np.clip(near, usual / GAIN_RANGE, usual * GAIN_RANGE)
        return gain


def _says(cosine: NDArray[np.float32], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nats of each frame: its weighted cosines are normal, around nought or around `expected`."""
    total = (cosine * weight).sum(axis=1)
    square = (weight**2).sum(axis=1) + 1e-9
    expected = EXPECTED * square
    nats = (total * expected - expected**2 / 2) / (CELLS_ALIKE * square / 2)
    says: NDArray[np.float64] = np.clip(nats, SAYS_MIN, SAYS_MAX)
    return says


def _level(power: NDArray[np.float64]) -> float:
    """In dBm0, from frames' power in the half of the spectrum that was kept."""
    if not len(power):
        return -np.inf
    mean_square = 2 * float(power.mean()) / (WINDOW * HOP) / 32768**2
    return 10 * float(np.log10(2 * mean_square + 1e-12)) + SINE_DBM0


def _smoothed(values: NDArray[np.floating], size: int) -> NDArray[np.float64]:
    """Each value and its neighbours, `size` in all, added up."""
    total = np.concatenate((np.zeros(1), np.cumsum(values, dtype=np.float64)))
    place = np.arange(len(values))
    after = np.minimum(place + size // 2 + 1, len(values))
    smooth: NDArray[np.float64] = total[after] - total[np.maximum(place - size // 2, 0)]
    return smooth


def _likeliest(says: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The likeliest course of "there" (True) and "not there", by Viterbi's algorithm."""
    there, gone = -CHANGE, 0.0
    stays_there, stays_gone = [], []
    for each in says.tolist():
        stays_there.append(there >= gone - CHANGE)
        stays_gone.append(gone >= there - CHANGE)
        there, gone = max(there, gone - CHANGE) + each, max(gone, there - CHANGE)
    state = there - CHANGE >= gone
    course = np.zeros(len(says), bool)
    for place in range(len(says) - 1, -1, -1):
        course[place] = state
        if not (stays_there if state else stays_gone)[place]:
            state = not state
    return course
