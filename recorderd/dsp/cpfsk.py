"""Bits out of a burst of phase-continuous FSK, decided over many symbols together.

A sender of 1200 bit/s changes its frequency and never its phase, so the phase in which a bit begins
follows from the bits before it. A receiver that compares two tone powers bit by bit throws that
away and needs about 3 dB more. Here every survivor of a Viterbi search over the last bits carries
its own estimate of amplitude and phase (per-survivor processing: Raheli, Polydoros and Tzou, IEEE
Trans. Communications 43, 1995), which follows slow changes and forgives a sender whose bits begin
at whole samples.

The bits' clock is found for the whole burst at once, without decisions: the difference of the two
tone powers swings once a bit, and the phase of that swing over some tens of bits is the clock's.

Each decision carries how much worse the best path with the other bit would have been (the soft
output Viterbi algorithm: Hagenauer and Hoeher, GLOBECOM 1989), as a logarithm of odds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recorderd.dsp.spectrum import RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

BAUD = 1200
OVERSAMPLING = 2
FINE_HZ = RATE_HZ * OVERSAMPLING

MEMORY_BITS = 3
STATES = 1 << MEMORY_BITS
FORGETTING = 0.7
"""A survivor's reference is a sum of past bits, each weighing this much less than the next: longer
memory hears further into noise, but follows a phase that wanders less well."""

SHIFTS = np.array([0.0, -0.4, 0.4]) * OVERSAMPLING
"""How much later than by the clock a change of tone may come, in samples. Many senders let a bit
begin at whole samples of 8 kHz, which throws the phase by up to 0.4 rad at each change: taken for
noise, that costs 1.5 dB at 6 dB of noise."""

CLOCK_WINDOW_BITS = 96
"""Long enough for 0 dB of noise, short enough for clocks that are 3 % wrong at first."""

SPEED_MAX = 0.035  # error of a sender's clock

TILT_MAX_DB = 12.0
TILT_IGNORED_DB = 2.0
"""A long cable takes more from the space, at 2200 Hz, than from the mark. Less than this is noise."""

CLOCK_WEAK = 0.4
"""Of the strongest swing; below it the clock is taken to run on as where it was last known."""

TRACE_BITS = 24
"""Two paths that have not met again after so many bits do not compete any more."""

LOW_EDGE_HZ, HIGH_EDGE_HZ = 300.0, 3500.0
EDGE_HZ = 200.0


@dataclass(frozen=True, slots=True)
class Tones:
    """The two frequencies as they are on this line."""

    mark_hz: float
    space_hz: float


@dataclass(frozen=True, slots=True)
class Bits:
    """Decided bits, 1 for mark, and what their worth is judged by."""

    values: NDArray[np.int8]
    begins: NDArray[np.float64]  # where each begins, in samples from the segment's first
    leads: NDArray[np.float64]  # of the best path over the best with this bit turned over
    projections: NDArray[np.complex128]  # on the phase expected: signal and noise, and noise

    def signal_to_noise(self, start: int, stop: int) -> float:
        """Power of the signal over that of the noise, in a bit's band, over these bits."""
        there = self.projections[start:stop]
        noise = float(there.real.var()) + float((there.imag**2).mean())
        return max(float(there.real.mean()), 0.0) ** 2 / (noise + 1e-30)

    def error_odds(self, start: int, stop: int) -> NDArray[np.float64]:
        """How likely each of these bits is wrong, by the noise that is among them."""
        level = max(float(self.projections[start:stop].real.mean()), 1e-30)
        ratio = 2 * self.signal_to_noise(start, stop) / level
        odds: NDArray[np.float64] = 1 / (
            1 + np.exp(np.minimum(self.leads[start:stop] * ratio, 700))
        )
        return odds


def receive(segment: NDArray[np.float64], tones: Tones) -> Bits:
    """All bits in a segment that begins with mark; what follows the burst gives bits of no worth."""
    analytic = _analytic(segment, tones, 0.0)
    marks, spaces = _Integral(analytic, tones.mark_hz), _Integral(analytic, tones.space_hz)
    tilt_db = _tilt(marks, spaces, len(analytic))
    if abs(tilt_db) > TILT_IGNORED_DB:
        analytic = _analytic(segment, tones, tilt_db)
        marks, spaces = _Integral(analytic, tones.mark_hz), _Integral(analytic, tones.space_hz)
    edges = _clock(marks, spaces, len(analytic))
    heard, turns = _branches(marks, spaces, edges)
    values, leads = _search(heard, turns)
    projections = _projections(heard, turns, values)
    return Bits(values, edges[:-1] / OVERSAMPLING, leads, projections)


def _analytic(segment: NDArray[np.float64], tones: Tones, tilt_db: float) -> NDArray[np.complex128]:
    """The segment's positive frequencies within the telephone band, at twice the rate.

    `tilt_db`: how much stronger the space came than the mark, which is made up for by half at each.
    The whole segment is transformed at once; its ends, where it wraps around, are silence or mark.
    """
    size = 1 << max(1, len(segment) - 1).bit_length()
    spectrum = np.fft.fft(segment, size)[: size // 2]
    frequency = np.arange(size // 2) * RATE_HZ / size
    rise = np.clip((frequency - LOW_EDGE_HZ + EDGE_HZ) / EDGE_HZ, 0, 1)
    fall = np.clip((HIGH_EDGE_HZ + EDGE_HZ - frequency) / EDGE_HZ, 0, 1)
    middle_hz, apart_hz = (tones.mark_hz + tones.space_hz) / 2, tones.space_hz - tones.mark_hz
    slope = np.clip((frequency - middle_hz) / apart_hz, -1, 1)
    shape = np.sin(rise * np.pi / 2) ** 2 * np.sin(fall * np.pi / 2) ** 2
    wide = np.zeros(size * OVERSAMPLING, complex)
    wide[: size // 2] = spectrum * shape * 10 ** (-tilt_db * slope / 20)
    analytic: NDArray[np.complex128] = np.fft.ifft(wide)[: len(segment) * OVERSAMPLING]
    return analytic * (2 * OVERSAMPLING)


class _Integral:
    """The running integral of a signal against one tone, read between any two moments."""

    def __init__(self, analytic: NDArray[np.complex128], frequency_hz: float) -> None:
        self.turn = 2j * np.pi * frequency_hz / FINE_HZ
        turned = analytic * np.exp(-self.turn * np.arange(len(analytic)))
        self._sums = np.concatenate((np.zeros(1, complex), np.cumsum(turned)))
        # Sample n stands for the time from n - 1/2 to n + 1/2.
        self._places = np.arange(len(self._sums)) - 0.5

    def between(
        self, starts: NDArray[np.float64], stops: NDArray[np.float64]
    ) -> NDArray[np.complex128]:
        upper, lower = (np.interp(each, self._places, self._sums) for each in (stops, starts))
        difference: NDArray[np.complex128] = upper - lower
        return difference

    def piece(
        self, starts: NDArray[np.float64], stops: NDArray[np.float64]
    ) -> NDArray[np.complex128]:
        """Between two moments, with the phase in which that piece began."""
        turned: NDArray[np.complex128] = self.between(starts, stops) * np.exp(self.turn * starts)
        return turned


def _tilt(marks: _Integral, spaces: _Integral, length: int) -> float:
    """How much stronger the space comes than the mark, in dB, by the strongest bits of each."""
    bit = FINE_HZ / BAUD
    starts = np.arange(0.0, length - bit, 2)
    strong = [
        np.quantile(np.abs(each.between(starts, starts + bit)), 0.9) for each in (spaces, marks)
    ]
    ratio_db = 20 * np.log10((strong[0] + 1e-30) / (strong[1] + 1e-30))
    return float(np.clip(ratio_db, -TILT_MAX_DB, TILT_MAX_DB))


def _clock(marks: _Integral, spaces: _Integral, length: int) -> NDArray[np.float64]:
    """Where bits begin and end: at whole bits of a clock whose phase is tracked through the burst.

    How fast it runs is seen first, for a line's carrier system may shift tones and leave it alone.
    """
    bit = FINE_HZ / BAUD
    starts = np.arange(0.0, length - bit)
    contrast = (
        np.abs(marks.between(starts, starts + bit)) ** 2
        - np.abs(spaces.between(starts, starts + bit)) ** 2
    )
    swing = np.abs(contrast)
    bit = FINE_HZ / _baud(swing - swing.mean())
    swing = swing * np.exp(-2j * np.pi * starts / bit)
    width = round(CLOCK_WINDOW_BITS * bit)
    window = np.hanning(width)
    places = np.arange(0, len(starts), max(1, round(4 * bit)))
    padded = np.concatenate((np.zeros(width // 2), swing, np.zeros(width)))
    smooth = np.array([padded[place : place + width] @ window for place in places])
    # Without changes of the bit, as in a run of mark, the swing says nothing.
    known = np.abs(smooth) > CLOCK_WEAK * np.abs(smooth).max()
    late = -np.unwrap(np.angle(smooth[known])) / (2 * np.pi)  # in bits
    nominal = np.arange(int(length / bit) - 2) * bit
    edges = nominal + np.interp(nominal, places[known], late) * bit
    return np.asarray(edges[(edges > 0) & (edges < length - 1)])


def _baud(swing: NDArray[np.float64]) -> float:
    """The strongest rate of the swing near 1200 a second."""
    size = 1 << (2 * len(swing)).bit_length()
    low, high = (round(BAUD * (1 + side) * size / FINE_HZ) for side in (-SPEED_MAX, SPEED_MAX))
    power = np.abs(np.fft.rfft(swing * np.hanning(len(swing)), size)[low : high + 1])
    return float((low + power.argmax()) * FINE_HZ / size)


def _branches(
    marks: _Integral, spaces: _Integral, edges: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """What was received in each bit, for every way in which the sender may have come to it.

    Both results are bits by (bit before, this bit, shift of the change between them): the integral
    with the phase at the bit's nominal beginning, and the turn of that phase to the next one.
    """
    tones = (spaces, marks)
    begins, ends = edges[:-1], edges[1:]
    heard = np.empty((len(begins), 2, 2, len(SHIFTS)), complex)
    turns = np.empty_like(heard)
    for before, old in enumerate(tones):
        for this, new in enumerate(tones):
            for place, shift in enumerate(SHIFTS if before != this else np.zeros(len(SHIFTS))):
                changes = begins + shift
                rest = new.piece(changes, ends) * np.exp(-old.turn * shift)
                heard[:, before, this, place] = old.piece(begins, changes) + rest
                turns[:, before, this, place] = np.exp(
                    old.turn * shift + new.turn * (ends - changes)
                )
    return heard, turns


def _search(
    heard: NDArray[np.complex128], turns: NDArray[np.complex128]
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """The likeliest bits, and how much worse the best path with each bit turned over is.

    A state is the last bits, the newest lowest; two states lead to each, and the better one
    survives. Of the shifts of a change each survivor takes the one that fits it best.
    """
    half = STATES // 2
    every, lower, bit = np.arange(STATES), np.arange(half)[:, None], np.arange(STATES) & 1
    metric = np.where(every == STATES - 1, 0.0, -1e3 * np.abs(heard).max())  # mark came before
    reference = np.full(STATES, heard[0, 1, 1, 0] + 1e-30)
    came_from = np.zeros((len(heard), STATES), np.int8)
    lead = np.zeros((len(heard), STATES))
    for step in range(len(heard)):
        paths = heard[step][bit]
        unit = reference.conj() / np.abs(reference)
        gains = (unit[:, None, None] * paths).real
        gain = gains.max(axis=2)
        reached = (metric[:, None] + gain).reshape(2, half, 2)
        other_wins = reached[1] > reached[0]
        source = (other_wins * half + lower).reshape(-1)
        came_from[step] = source
        lead[step] = np.abs(reached[1] - reached[0]).reshape(-1)
        metric = np.maximum(reached[0], reached[1]).reshape(-1)
        shift = gains[source, bit].argmax(axis=1)
        reference = FORGETTING * reference[source] + paths[source, bit, shift]
        reference = reference * turns[step, bit[source], bit, shift] + 1e-30
    return _trace(came_from, lead, int(metric.argmax()))


def _trace(
    came_from: NDArray[np.int8], lead: NDArray[np.float64], last: int
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Back along the best path; each path that lost to it lowers the bits in which it differs."""
    count = len(came_from)
    states = np.empty(count + 1, np.int64)  # states[k]: before bit k
    states[count] = last
    for bit in range(count - 1, -1, -1):
        states[bit] = came_from[bit, states[bit + 1]]
    values = (states[1:] & 1).astype(np.int8)
    leads = np.full(count, np.inf)
    steps = np.arange(count)
    losses = lead[steps, states[1:]]
    rivals = states[:-1] ^ (STATES // 2)  # the other state that leads to the same
    for back in range(1, TRACE_BITS):
        steps, rivals, losses = steps[1:], rivals[1:], losses[1:]
        before = steps - back
        # Bit `before` is the newest in the state after it.
        differs = (rivals ^ states[before + 1]) & 1 == 1
        np.minimum.at(leads, before[differs], losses[differs])
        rivals = came_from[before, rivals].astype(np.int64)
    return values, leads


def _projections(
    heard: NDArray[np.complex128], turns: NDArray[np.complex128], values: NDArray[np.int8]
) -> NDArray[np.complex128]:
    """Each bit against the reference of the bits before it: amplitude and noise, and noise."""
    projections = np.empty(len(values), complex)
    reference = heard[0, 1, 1, 0] + 1e-30
    before = 1
    for step, this in enumerate(values):
        seen = heard[step, before, this] * np.conj(reference) / abs(reference)
        shift = int(seen.real.argmax())
        projections[step] = seen[shift]
        reference = FORGETTING * reference + heard[step, before, this, shift]
        reference = reference * turns[step, before, this, shift] + 1e-30
        before = this
    return projections
