"""Call progress tones: dial tone, ringback, busy, congestion, call waiting, special information.

A tone is a sound (which frequencies) and a cadence (when it is on and off). Bursts of the sounds
come from bursts.py. Here the last of them are laid against each tone's cadence, from the newest
backwards; a tone is certain when enough bursts and pauses follow each other as they must:

- a continuous tone (dial) when it has lasted 1.5 s, pure and of the same strength; longer where the
  same sound is on for as long in another tone's cadence;
- special information, three bursts of rising frequencies, at the end of the third;
- what repeats within 2 s (busy, congestion) or has bursts of less than 200 ms, at the end of the third
  burst, and what repeats more slowly (ringback, call waiting) at the end of the second; at least a
  whole cycle and one burst more.

One burst may be missing, as where somebody speaks; then one more is needed. Two tones that begin
alike (Spain: busy, and congestion with its three bursts) wait for what tells them apart. Tones
that are alike altogether (Japan: busy and congestion) are the first of them in ToneKind.

Cadences may be off by 12 %: 10 % of the sender (as Asterisk's BUSY_PERCENT, main/dsp.c) and 2 % of
the sound card's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from recorderd.dsp.bursts import FREQUENCY_ERROR_MAX, Burst, BurstFinder, Sound
from recorderd.dsp.spectrum import HOP, RATE_HZ, Batch, Spectrum
from recorderd.heard import ToneKind

if TYPE_CHECKING:
    from recorderd.core.profile import Tone

CADENCE_ERROR_MAX = 0.12
CADENCE_SLACK = 12 * RATE_HZ // 1000  # samples: edges are seen to some milliseconds
SEQUENCE_SLACK = 70 * RATE_HZ // 1000
"""Special information: 330±70 ms (ITU-T E.180); North America's bursts have 274 or 380 ms."""
STEADY = 3 * RATE_HZ // 2
"""A continuous tone is certain after so much. Held notes of a choir or an organ may last longer, but are not
as pure: their vibrato, overtones or fading show within a second."""
FAST = 2 * RATE_HZ  # from burst to burst
SHORT = RATE_HZ // 5  # a voice has such bursts too
SPOKEN_OVER = 2 * RATE_HZ
"""A tone that cannot be told for so long under somebody's voice goes on afterwards."""
REMEMBERED = 50 * RATE_HZ  # three of the slowest bursts, 15 s apart
BURSTS_MAX = 32


@dataclass(frozen=True, slots=True)
class ToneHeard:
    """A progress tone, once when it is certain (`stop` None) and once when it has ended.

    `start` is the first sample of its first burst, `stop` the one after its last, both to about
    5 ms (20 ms where it is modulated or its two frequencies beat).
    """

    start: int
    stop: int | None
    tone: ToneKind


@dataclass(frozen=True, slots=True)
class _Chain:
    """The newest bursts that follow a cadence; `count` is one less where one of them is missing."""

    pattern: _Pattern
    count: int
    start: int  # of the first of them
    error: float  # how far frequencies and lengths are off, on average


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A tone in samples: `sounds`, `on` and `off` have one entry for each burst of a cycle."""

    kind: ToneKind
    sounds: tuple[Sound, ...]
    on: tuple[int, ...]  # empty: continuous
    off: tuple[int, ...]  # after each burst
    needed: int  # bursts; of a continuous tone samples
    is_sequence: bool
    slack: int  # samples by which lengths may be off besides

    def chain(self, bursts: list[Burst]) -> _Chain:
        """As many of the newest bursts as follow this cadence."""
        own = [burst for burst in bursts if self._is_own(burst)]
        phases = range(len(self.on))
        if not own or own[-1] is not bursts[-1]:
            return _Chain(self, 0, 0, 0.0)
        return max((self._chain(own, phase) for phase in phases), key=lambda chain: chain.count)

    def _chain(self, bursts: list[Burst], phase: int) -> _Chain:
        count, missed, start, error = 0, False, 0, 0.0
        after: Burst | None = None
        for burst in reversed(bursts):
            if after is not None:
                pause = after.start - burst.stop
                phase = (phase - 1) % len(self.on)
                if not self._fits(pause, self.off[phase]):
                    longer = self.off[phase] + self.on[phase] + self.off[phase - 1]
                    phase = (phase - 1) % len(self.on)
                    if missed or self.is_sequence or not self._fits(pause, longer):
                        break
                    missed = True
            sound, length = self.sounds[phase], burst.stop - burst.start
            if sound not in burst.errors or not self._fits(length, self.on[phase]):
                break
            count, start, after = count + 1, burst.start, burst
            error += burst.errors[sound] + abs(length / self.on[phase] - 1)
        return _Chain(self, count - missed, start, error / max(count, 1))

    def goes_on_with(self, burst: Burst) -> bool:
        """Whether a burst may belong to this tone, perhaps cut short at its end."""
        length = burst.stop - burst.start
        is_short = not self.on or length < max(self.on) or self._fits(length, max(self.on))
        return is_short and self._is_own(burst)

    def _is_own(self, burst: Burst) -> bool:
        return any(sound in burst.errors for sound in self.sounds)

    def _fits(self, length: int, nominal: int) -> bool:
        return abs(length - nominal) <= CADENCE_ERROR_MAX * nominal + self.slack

    @property
    def pause(self) -> int:
        """The longest time from the end of a burst to the next one's beginning."""
        longest = max(self.off, default=0)
        return round(longest * (1 + CADENCE_ERROR_MAX)) + self.slack

    @property
    def given_up_after(self) -> int:
        """Without a burst for so long a tone has ended."""
        longest = max(self.on, default=0)
        return self.pause + longest + SPOKEN_OVER


class ToneReceiver:
    """Follows the bursts of a country's tones, and tells when one is certain and when it ended."""

    def __init__(self, spectrum: Spectrum, tones: tuple[Tone, ...]) -> None:
        patterns = _patterns(tones)
        self._steady = [pattern for pattern in patterns if not pattern.on]
        self._cadences = [pattern for pattern in patterns if pattern.on]
        sounds = {sound: None for pattern in patterns for sound in pattern.sounds}
        self._finder = BurstFinder(spectrum, tuple(sounds))
        self._bursts: list[Burst] = []
        self._now: _Pattern | None = None
        self._start = self._stop = 0

    def handle(self, batch: Batch) -> list[ToneHeard]:
        """What becomes certain in these frames."""
        heard: list[ToneHeard] = []
        for burst in self._finder.handle(batch):
            heard += self._take(burst)
        for run in self._finder.going_on:
            for pattern in self._steady:
                is_it = run.errors is not None and pattern.sounds[0] in run.errors
                if is_it and run.stop - run.start >= pattern.needed:
                    heard += self._become(pattern, run.start, run.stop)
        end = (batch.first_frame + len(batch.power)) * HOP
        if self._now is not None and end - self._stop > self._now.given_up_after:
            heard += self._leave()
        return heard

    def finish(self, end: int) -> list[ToneHeard]:
        """What the sound's end, after `end` samples, makes certain: a tone that lasts to it has no stop."""
        heard = [heard for burst in self._finder.finish() for heard in self._take(burst)]
        if self._now is not None and end - self._stop > self._now.pause + CADENCE_SLACK:
            heard += self._leave()
        return heard

    def _take(self, burst: Burst) -> list[ToneHeard]:
        oldest = burst.stop - REMEMBERED
        self._bursts = [each for each in self._bursts if each.stop > oldest][1 - BURSTS_MAX :]
        self._bursts.append(burst)
        if self._now is not None and self._now.goes_on_with(burst):
            self._stop = burst.stop
        chain = self._certain()
        return [] if chain is None else self._become(chain.pattern, chain.start, burst.stop)

    def _certain(self) -> _Chain | None:
        """The tone that explains most of the newest bursts, unless another may turn out to."""
        chains = [pattern.chain(self._bursts) for pattern in self._cadences]
        longest = max((chain.count for chain in chains), default=0)
        best = [chain for chain in chains if chain.count == longest]
        certain = [chain for chain in best if chain.count >= chain.pattern.needed]
        if not certain:
            return None
        chosen = min(certain, key=lambda chain: (chain.pattern is not self._now, chain.error))
        kinds = {chain.pattern.kind for chain in best if chain not in certain}
        return chosen if kinds <= {chosen.pattern.kind} else None

    def _become(self, pattern: _Pattern, start: int, stop: int) -> list[ToneHeard]:
        """What a tone that is certain says: nothing where it goes on, or its beginning."""
        heard: list[ToneHeard] = []
        if self._now is None or self._now.kind != pattern.kind:
            self._stop = min(self._stop, start)
            heard = self._leave()
            self._start = start
            heard.append(ToneHeard(start, None, pattern.kind))
        self._now, self._stop = pattern, stop
        return heard

    def _leave(self) -> list[ToneHeard]:
        pattern, self._now = self._now, None
        return [] if pattern is None else [ToneHeard(self._start, self._stop, pattern.kind)]


def _patterns(tones: tuple[Tone, ...]) -> list[_Pattern]:
    """The tones in samples, those that win where nothing tells two apart first."""
    kinds = get_args(ToneKind)
    return [
        _pattern(tone, tones) for tone in sorted(tones, key=lambda tone: kinds.index(tone.kind))
    ]


def _pattern(tone: Tone, others: tuple[Tone, ...]) -> _Pattern:
    times = tuple(time * RATE_HZ // 1000 for time in tone.cadence_ms)
    on, off = times[::2], times[1::2]
    if tone.is_sequence:
        sounds = tuple(Sound((float(hz),)) for hz in tone.frequencies_hz)
    else:
        one = Sound(tuple(float(hz) for hz in tone.frequencies_hz), float(tone.modulation_hz))
        sounds = (one,) * max(1, len(on))
    needed = _bursts_needed(tone, times) if on else _samples_needed(tone, others)
    return _Pattern(tone.kind, sounds, on, off, needed, tone.is_sequence, _slack(tone))


def _slack(tone: Tone) -> int:
    if tone.is_sequence:
        return SEQUENCE_SLACK
    # A burst may begin and end in a trough of the modulation.
    trough = RATE_HZ // (2 * tone.modulation_hz) if tone.modulation_hz else 0
    return CADENCE_SLACK + trough


def _bursts_needed(tone: Tone, times: tuple[int, ...]) -> int:
    bursts = len(times) // 2
    if tone.is_sequence:
        return bursts
    is_fast = sum(times) <= FAST * bursts
    return max(bursts + 1, 3 if is_fast or min(times[::2]) < SHORT else 2)


def _samples_needed(tone: Tone, others: tuple[Tone, ...]) -> int:
    """Longer than the same sound is ever on in a cadence."""
    longest_ms = max(
        (
            max(other.cadence_ms[::2])
            for other in others
            if other.cadence_ms and _alike(tone, other)
        ),
        default=0,
    )
    longest = longest_ms * RATE_HZ // 1000
    return max(STEADY, round(longest * (1 + CADENCE_ERROR_MAX)) + 4 * CADENCE_SLACK)


def _alike(tone: Tone, other: Tone) -> bool:
    pairs = zip(tone.frequencies_hz, other.frequencies_hz, strict=False)
    return len(tone.frequencies_hz) == len(other.frequencies_hz) and all(
        abs(hz / right - 1) <= 2 * FREQUENCY_ERROR_MAX for hz, right in pairs
    )
