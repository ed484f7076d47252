"""What a line sounds like: a palette of short patterns and a timeline of when each is heard.

No sample is made before somebody reads it. A frame is a function of its index, the seed and the
timeline, and the timeline of the past never changes, so an idle day costs nothing and reading twice
gives the same samples. A pattern holds two columns, near and far, and repeats for as long as it
lasts; what one side says leaks into the other at -20 dB, as a telephone's hybrid lets it.

Levels in dB are full-scale RMS. The noise of an idle line is about -65 dB.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recorderd.media.announcement import load_clip
from recorderd.sim.burst import burst_samples
from recorderd.sim.faults import damaged
from recorderd.units import FrameIndex, MonoNs, frames_to_ns, ns_to_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.core.profile import Tone
    from recorderd.ports import Clip
    from recorderd.sim.burst import Form
    from recorderd.sim.exchange import Network

Pattern = npt.NDArray[np.int16]  # shape (frames, 2): near, far

NEAR, FAR = 0, 1
FULL_SCALE = 32767
LEAK_DB = -20.0
NOISE_DB = -65.0
RINGING_DB = -35.0  # what a line transformer lets through of the ringing current
TONE_DB = -16.0
DIGIT_DB = -12.0
BURST_DB = -17.0
NOISE_S = 5.0
PAUSE_S = 0.5

_SPEECH = Path(__file__).resolve().parent.parent / "data" / "speech"
# ITU-T Q.23: row and column frequency of each digit.
_ROWS_HZ = (697, 770, 852, 941)
_COLUMNS_HZ = (1209, 1336, 1477, 1633)
_KEYPAD = "123A456B789C*0#D"


class Palette:
    """The patterns of one network at one sampling rate, made when first heard and kept."""

    def __init__(self, network: Network, language: str, rate_hz: int) -> None:
        self._network = network
        self._language = language
        self._rate_hz = rate_hz
        self._made: dict[str, Pattern] = {}

    def pattern(self, sound: str) -> Pattern:
        """A sound of exchange.py: ringing, talk, digit-N, or the kind of a tone of the network; and
        `talk-near` and `talk-far`, where one side alone speaks."""
        if sound not in self._made:
            self._made[sound] = self._make(sound)
        return self._made[sound]

    def of_clip(self, clip: Clip) -> Pattern:
        """An announcement: whole on the far side, for it is played into the line."""
        return _sided(FAR, self._at_rate(clip))

    def of_burst(self, form: Form, fields: tuple[tuple[str, str], ...]) -> Pattern:
        """A caller ID, which the exchange sends into the line."""
        samples = burst_samples(form, fields, self._rate_hz)
        return _sided(FAR, samples * _amplitude(BURST_DB) * np.sqrt(2))

    def noise(self, seed: int) -> Pattern:
        rng = np.random.default_rng(seed)
        shape = (round(NOISE_S * self._rate_hz), 2)
        return _rounded(rng.standard_normal(shape) * _amplitude(NOISE_DB))

    def _make(self, sound: str) -> Pattern:
        network = self._network
        if sound.startswith("digit-"):
            return _sided(NEAR, self._digit(sound.removeprefix("digit-")))
        if sound == "talk":
            return self._talk()
        if sound == "talk-near":
            return _sided(NEAR, self._speech("office"))
        if sound == "talk-far":
            return _sided(FAR, self._speech("caller"))
        if sound == "ringing":
            return _sided(FAR, self._tone((network.ring_hz,), RINGING_DB))
        return _sided(FAR, self._progress_tone(network.tone(sound)))

    def _times_s(self, duration_s: float) -> npt.NDArray[np.float64]:
        return np.arange(round(duration_s * self._rate_hz)) / self._rate_hz

    def _tone(
        self, frequencies_hz: tuple[int, ...], level_db: float, duration_s: float = 1.0
    ) -> npt.NDArray[np.float64]:
        """A sum of sines; one second of whole hertz repeats without a click."""
        times_s = self._times_s(duration_s)
        waves = sum(np.sin(2 * np.pi * hz * times_s) for hz in frequencies_hz)
        gain = _amplitude(level_db) * np.sqrt(2 / len(frequencies_hz))
        return np.asarray(waves * gain, np.float64)

    def _progress_tone(self, tone: Tone) -> npt.NDArray[np.float64]:
        """One cycle of its cadence; one second of a continuous tone."""
        pairs = list(zip(tone.cadence_ms[::2], tone.cadence_ms[1::2], strict=True))
        parts = []
        for place, (on_ms, off_ms) in enumerate(pairs or [(1000, 0)]):
            hz = tone.frequencies_hz[place : place + 1] if tone.is_sequence else tone.frequencies_hz
            wave = self._tone(hz, TONE_DB, on_ms / 1000)
            if tone.modulation_hz:
                times_s = self._times_s(on_ms / 1000)
                wave *= 0.5 + 0.5 * np.sin(2 * np.pi * tone.modulation_hz * times_s)
            parts += [wave, np.zeros(len(self._times_s(off_ms / 1000)))]
        return np.concatenate(parts)

    def _digit(self, digit: str) -> npt.NDArray[np.float64]:
        row, column = divmod(_KEYPAD.index(digit), 4)
        return self._tone((_ROWS_HZ[row], _COLUMNS_HZ[column]), DIGIT_DB)

    def _talk(self) -> Pattern:
        """The far party speaks, then the near one, with a pause after each."""
        pause = np.zeros((round(PAUSE_S * self._rate_hz), 2), np.int16)
        far = _sided(FAR, self._speech("caller"))
        near = _sided(NEAR, self._speech("office"))
        return np.concatenate((far, pause, near, pause))

    def _speech(self, party: str) -> npt.NDArray[np.float64]:
        path = _SPEECH / f"{party}-{self._language}.flac"
        return self._at_rate(load_clip(str(path), path.parent))

    def _at_rate(self, clip: Clip) -> npt.NDArray[np.float64]:
        """A clip's samples at our rate; telephone speech needs no better than straight lines."""
        samples = np.frombuffer(clip.pcm, np.int16).astype(np.float64)
        frames = len(samples) * self._rate_hz // clip.rate_hz
        wanted = np.arange(frames) * (clip.rate_hz / self._rate_hz)
        return np.asarray(np.interp(wanted, np.arange(len(samples)), samples), np.float64)


def _amplitude(level_db: float) -> float:
    return float(FULL_SCALE * 10 ** (level_db / 20))


def _rounded(samples: npt.NDArray[np.float64]) -> Pattern:
    return np.clip(np.rint(samples), -FULL_SCALE - 1, FULL_SCALE).astype(np.int16)


def _sided(side: int, samples: npt.NDArray[np.float64]) -> Pattern:
    """Whole on one side, leaked to the other."""
    both = np.empty((len(samples), 2))
    both[:, side] = samples
    both[:, 1 - side] = samples * 10 ** (LEAK_DB / 20)
    return _rounded(both)


# ---------------------------------------------------------------- timeline


@dataclass(slots=True)
class Span:
    """A pattern on the line from `at` to `until`, beginning `skipped_frames` into it."""

    at: MonoNs
    until: MonoNs
    pattern: Pattern
    skipped_frames: int = 0


@dataclass
class LineSound:
    """Everything heard on one line; `forget_before` keeps it from growing for ever."""

    palette: Palette
    rate_hz: int
    seed: int
    faults: frozenset[str] = frozenset()
    spans: list[Span] = field(default_factory=list)

    @cached_property
    def noise(self) -> Pattern:
        return self.palette.noise(self.seed)

    def play(self, sound: str, at: MonoNs, until: MonoNs, skipped_ns: int) -> None:
        skipped_frames = ns_to_frames(skipped_ns, self.rate_hz)
        self.spans.append(Span(at, until, self.palette.pattern(sound), skipped_frames))

    def play_burst(self, form: Form, fields: tuple[tuple[str, str], ...], at: MonoNs) -> None:
        if "no-caller-id" in self.faults:
            return
        pattern = self.palette.of_burst(form, fields)
        until = MonoNs(at + frames_to_ns(len(pattern), self.rate_hz))
        self.spans.append(Span(at, until, pattern))

    def play_clip(self, clip: Clip, at: MonoNs) -> Span:
        until = MonoNs(at + frames_to_ns(clip.frames, clip.rate_hz))
        span = Span(at, until, self._as_it_arrives(self.palette.of_clip(clip)))
        self.spans.append(span)
        return span

    def _as_it_arrives(self, pattern: Pattern) -> Pattern:
        arrives = len(pattern)
        if "clip-silent" in self.faults:
            arrives = 0
        elif "clip-cut" in self.faults:
            arrives //= 2
        return np.concatenate((pattern[:arrives], np.zeros_like(pattern[arrives:])))

    def forget_before(self, at: MonoNs) -> None:
        self.spans = [span for span in self.spans if span.until >= at]

    def render(
        self, first: FrameIndex, frames: int, frame_at: Callable[[MonoNs], FrameIndex]
    ) -> Pattern:
        """Frames `first` up to `first + frames`, shape (frames, 2): near, far."""
        heard = self._render(first, frames, frame_at)
        if not self.faults:
            return heard
        noise = _repeated(self.noise, first, frames)
        return damaged(heard, noise, first, self.rate_hz, self.faults)

    def _render(
        self, first: FrameIndex, frames: int, frame_at: Callable[[MonoNs], FrameIndex]
    ) -> Pattern:
        noise = _repeated(self.noise, first, frames)
        mixed: npt.NDArray[np.int32] | None = None
        for span in self.spans:
            begins = frame_at(span.at)
            low, high = max(first, begins), min(first + frames, frame_at(span.until))
            if low < high:
                mixed = noise.astype(np.int32) if mixed is None else mixed
                position = low - begins + span.skipped_frames
                mixed[low - first : high - first] += _repeated(span.pattern, position, high - low)
        if mixed is None:
            return noise
        return np.clip(mixed, -FULL_SCALE - 1, FULL_SCALE).astype(np.int16)


def _repeated(pattern: Pattern, position: int, frames: int) -> Pattern:
    """`frames` frames of an endlessly repeated pattern, from `position` on."""
    start = position % len(pattern)
    if start + frames <= len(pattern):
        return pattern[start : start + frames]
    return np.take(pattern, np.arange(start, start + frames), axis=0, mode="wrap")


# ---------------------------------------------------------------- cards


@dataclass(frozen=True, slots=True)
class Wired:
    """A line at a card's inputs, 1-based."""

    sound: LineSound
    near_channel: int
    far_channel: int


def interleaved(
    lines: list[Wired],
    channels: int,
    first: FrameIndex,
    frames: int,
    *,
    frame_at: Callable[[MonoNs], FrameIndex],
    holes: list[tuple[FrameIndex, int]],
) -> bytes:
    """A card's frames, 16-bit interleaved; `holes` (first, frames) within them read as silence."""
    block = np.zeros((frames, channels), np.int16)
    for line in lines:
        rendered = line.sound.render(first, frames, frame_at)
        block[:, line.near_channel - 1] = rendered[:, NEAR]
        block[:, line.far_channel - 1] = rendered[:, FAR]
    for hole, length in holes:
        block[hole - first : hole - first + length] = 0
    return block.tobytes()
