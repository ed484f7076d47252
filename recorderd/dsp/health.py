"""Is this line wired right? Both channels measured side by side, and what is wrong with them in words.

Takes the sound of a call or of the idle line, and works on whole seconds. Near and far that changed
places cannot be told from the sound: they look the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from recorderd.dsp.channelhealth import (
    BAND,
    FRAME,
    FRAMES,
    SECOND,
    SQUARE_DBM0,
    ChannelHealth,
    ChannelMeter,
    power_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SECONDS_MIN = 5
"""No verdict on anything before: a quantile of fewer seconds is a matter of one of them."""

SPEECH_MIN_S = 5.0
"""Of speech in a channel, before its level is judged: a few sentences; of less, the level depends
on which words they were."""

QUIET_DBM0, LOUD_DBM0 = -38.0, -8.0
"""Of speech while it is active. Telephone speech lies about -20 dBm0 (-26 dB below overload, at which
ITU-T tests speech: P.800) and voices and lines differ by some 10 dB on both sides of it. Below -38
it drowns in the noise of an ordinary line; above -8 its peaks, 12 dB higher, are beyond full scale."""

CLIPPED_S_MIN = 3
CLIPPED_SECONDS_SHARE = 0.03
"""Lifting and hanging up click, and a click may clip in two seconds of a call; a voice that is too
loud does so all the time."""

OFFSET_MAX = 0.03
"""Of full scale: ten times what converters have by themselves. So much comes from the line."""

HUM_MAX_DBM0 = -45.0
NOISE_MAX_DBM0 = -45.0
"""25 dB under ordinary speech: what lies higher is heard between the words."""

DEAD_DBM0 = -72.0
"""Noise of converters alone: 4 steps of 16 bits. A live line has at least an echo of the other side."""

OTHER_SPEECH_S = 10.0
"""Heard on one channel before silence on the other means anything."""

CROSSTALK_MAX_DB = -10.0
"""A hybrid may let the far side back at up to -10 dB or so; above, two voices are as one."""

TALKING_MIN = 10 ** ((-50 - SQUARE_DBM0) / 10)
"""Power of a frame in which a side is taken to talk: -50 dBm0, the quietest that is understood."""
ECHO_MAX = 0.25
"""Of the other channel's power: what is weaker by more than 6 dB may be its echo."""

CROSSTALK_FRAMES_MIN = round(SPEECH_MIN_S * FRAMES)

COPY_CORRELATION = 0.999
"""Squared: 30 dB between what is the same in both channels and what is not. Speech at -45 dBm0 stands so
high over the dither of two converters; an echo changes its spectrum on its way and does not."""
COPY_MAX_DB = 15.0
"""Gains of two inputs differ by less; an echo is weaker."""
COPY_LEVEL_MIN = 10 ** ((-55 - SQUARE_DBM0) / 10)
COPY_BINS_MIN = 10.0
"""Over so many bins of 32 Hz the power must spread: a dial tone and its echo are copies too."""

_WINDOW = np.hanning(FRAME + 1)[:FRAME]
_SCALE = float(np.sqrt(2 / (FRAME * (_WINDOW**2).sum()))) / 32768


@dataclass(frozen=True, slots=True)
class LineHealth:
    """What was measured so far, for `findings` to judge; as JSON by dataclasses.asdict."""

    seconds: int
    near: ChannelHealth
    far: ChannelHealth
    crosstalk_to_far_db: float | None  # how loud near is in far; None: near hardly spoke alone
    crosstalk_to_near_db: float | None
    copy: Literal["same", "inverted"] | None  # far is near, but for a constant
    copy_db: float | None  # how much louder far is, where it is a copy


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with the line: a word for machines, a sentence for people."""

    code: str
    text: str


class _Coupling:
    """How much of one side is heard in the other, from frames in which the one is the louder.

    Only what the two have in common within a frame counts, so a far side that talks at the same time,
    noise, and an echo that comes back later than the 31 ms of a frame do not.
    """

    def __init__(self) -> None:
        bins = BAND.stop - BAND.start
        self._frames = 0
        self._source = np.zeros(bins)
        self._sink = np.zeros(bins)
        self._cross = np.zeros(bins, complex)

    def add(self, source: NDArray[np.complex128], sink: NDArray[np.complex128]) -> None:
        self._frames += len(source)
        # All frames count alike: a click is loud on both channels, and no voice.
        size = np.sqrt(power_of(source).sum(axis=1, keepdims=True)) + 1e-15
        source, sink = source / size, sink / size
        self._source += _inner(source, source).real
        self._sink += _inner(sink, sink).real
        self._cross += _inner(source, sink)

    def level_db(self) -> float | None:
        if self._frames < CROSSTALK_FRAMES_MIN:
            return None
        common = (np.abs(self._cross) ** 2 / (self._source + 1e-30)).sum()
        by_chance = self._sink.sum() / self._frames
        ratio = (common - by_chance) / (self._source.sum() + 1e-30)
        return round(10 * float(np.log10(max(ratio, 1e-6))), 1)


def _inner(one: NDArray[np.complex128], other: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The product of two rows of frames, bin by bin."""
    product: NDArray[np.complex128] = np.einsum("fb,fb->b", one.conj(), other)
    return product


class HealthMeter:
    """Takes near and far side by side, in blocks of any size, and can be asked at any time.

    Keeps less than a second of sound, which is measured when the second is whole.
    """

    def __init__(self) -> None:
        self._rest = np.zeros((0, 2), np.int16)
        self._seconds = 0
        self._channels = (ChannelMeter(), ChannelMeter())
        self._to_far, self._to_near = _Coupling(), _Coupling()
        self._powers = np.zeros((BAND.stop - BAND.start, 2))
        self._product = 0.0
        self._difference = 0

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Samples at 8 kHz: (n, 2), near first."""
        if len(self._rest) + len(samples) < SECOND:
            self._rest = np.concatenate((self._rest, samples))
            return
        start = SECOND - len(self._rest)
        self._take(np.concatenate((self._rest, samples[:start])))
        while len(samples) - start >= SECOND:
            self._take(samples[start : start + SECOND])
            start += SECOND
        self._rest = samples[start:].copy()

    def measure(self) -> LineHealth:
        """What is known of all whole seconds so far."""
        near, far = (channel.measure() for channel in self._channels)
        copy, copy_db = self._measure_copy()
        return LineHealth(
            seconds=self._seconds,
            near=near,
            far=far,
            crosstalk_to_far_db=self._to_far.level_db(),
            crosstalk_to_near_db=self._to_near.level_db(),
            copy=copy,
            copy_db=copy_db,
        )

    def _take(self, second: NDArray[np.int16]) -> None:
        self._seconds += 1
        sides = [np.ascontiguousarray(second[:, place]) for place in (0, 1)]
        spectra = [
            np.fft.rfft(side.reshape(FRAMES, FRAME) * _WINDOW, axis=1)[:, BAND] * _SCALE
            for side in sides
        ]
        powers = [power_of(spectrum) for spectrum in spectra]
        totals = [power.sum(axis=1) for power in powers]
        for place, channel in enumerate(self._channels):
            is_own = totals[place] > ECHO_MAX * totals[1 - place]
            channel.feed(sides[place], totals[place], is_own)
        self._compare(sides, spectra, powers)
        (near, far), (near_total, far_total) = spectra, totals
        near_talks = (near_total > far_total) & (near_total > TALKING_MIN)
        far_talks = (far_total > near_total) & (far_total > TALKING_MIN)
        self._to_far.add(near[near_talks], far[near_talks])
        self._to_near.add(far[far_talks], near[far_talks])

    def _compare(
        self,
        sides: list[NDArray[np.int16]],
        spectra: list[NDArray[np.complex128]],
        powers: list[NDArray[np.float64]],
    ) -> None:
        near, far = spectra
        self._product += float((near.conj() * far).real.sum())
        self._powers += np.stack([power.sum(axis=0) for power in powers], axis=1)
        apart = np.abs(sides[0].astype(np.int32) - sides[1]).max()
        self._difference = max(self._difference, int(apart))

    def _measure_copy(self) -> tuple[Literal["same", "inverted"] | None, float | None]:
        near, far = self._powers.sum(axis=0)
        if not (near and far):
            return None, None
        if self._difference == 0:
            return "same", 0.0
        scale_db = float(10 * np.log10(far / near))
        loud = min(near, far) >= COPY_LEVEL_MIN * FRAMES * self._seconds
        spread = near**2 / (self._powers[:, 0] ** 2).sum()
        alike = self._product**2 >= COPY_CORRELATION * near * far
        if not (loud and alike and spread >= COPY_BINS_MIN and abs(scale_db) <= COPY_MAX_DB):
            return None, None
        return "same" if self._product > 0 else "inverted", round(scale_db, 1)


# ---------------------------------------------------------------- in words


def findings(health: LineHealth) -> list[Finding]:
    """What is wrong with the line and how to mend it, worst first; nothing where all is well."""
    if health.seconds < SECONDS_MIN:
        return []
    copied = list(_copy_findings(health))
    by_channel: list[Finding] = []
    for name, channel, other in (
        ("near", health.near, health.far),
        ("far", health.far, health.near),
    ):
        silent = list(_silence_findings(name, channel, other))
        by_channel += silent or _channel_findings(name, channel, health.seconds)
    # A channel that is much too loud or hums has part of that in the other: it is mended first.
    crossed = [] if copied or by_channel else list(_crosstalk_findings(health))
    return [*copied, *crossed, *by_channel]


def _copy_findings(health: LineHealth) -> Iterator[Finding]:
    if health.copy == "same":
        apart_db = abs(round(health.copy_db or 0))
        level = f", {apart_db} dB off" if apart_db else ""
        yield Finding(
            "copy",
            f"the far channel is a copy of the near one{level}: the sound card is mono, or both inputs "
            "are wired to the same line; use a stereo line input, each side of the call on its own "
            "channel",
        )
    if health.copy == "inverted":
        yield Finding(
            "inverted",
            "the far channel is the near one turned upside down: each input has one of the two wires "
            "of the same line; give each side of the call a line interface and an input of its own",
        )


def _crosstalk_findings(health: LineHealth) -> Iterator[Finding]:
    for source, sink, level in (
        ("near", "far", health.crosstalk_to_far_db),
        ("far", "near", health.crosstalk_to_near_db),
    ):
        if level is not None and level > CROSSTALK_MAX_DB:
            yield Finding(
                f"crosstalk-to-{sink}",
                f"the {source} side is heard in the {sink} channel, {_less(level)}: check that "
                "the two inputs share no wire, that their cables are shielded, and the balance of the "
                "line interface; no monitor or loopback of the card may feed an input",
            )


def _less(level_db: float) -> str:
    return "as loud" if level_db > -1 else f"only {-level_db:.0f} dB weaker"


def _silence_findings(name: str, channel: ChannelHealth, other: ChannelHealth) -> Iterator[Finding]:
    if channel.loudest_dbm0 is None:
        yield Finding(
            f"{name}-muted",
            f"the {name} channel holds no sound at all, not even noise: the input is muted, or it is "
            f"none; unmute it in alsamixer, and check line.audio.{name}_channel",
        )
    elif channel.loudest_dbm0 < DEAD_DBM0 and other.speech_s >= OTHER_SPEECH_S:
        yield Finding(
            f"{name}-dead",
            f"nothing is heard on the {name} channel but the card's own noise ({channel.loudest_dbm0:.0f} "
            "dBm0) while the other side talks: check its cable and plug, that the right input is "
            "chosen in alsamixer, and its gain",
        )


def _channel_findings(name: str, channel: ChannelHealth, seconds: int) -> Iterator[Finding]:
    if channel.clipped_s >= max(CLIPPED_S_MIN, CLIPPED_SECONDS_SHARE * seconds):
        yield Finding(f"{name}-clipped", _clipped(name, channel, seconds))
    elif channel.speech_s >= SPEECH_MIN_S and channel.active_dbm0 is not None:
        yield from _level_findings(name, channel.active_dbm0)
    if abs(channel.offset_share) > OFFSET_MAX:
        yield Finding(
            f"{name}-offset",
            f"the {name} channel is off its centre by {100 * channel.offset_share:+.0f} % of full scale: "
            "direct current reaches the input; put a transformer or a capacitor between line and card",
        )
    if channel.mains_hz is not None and (channel.hum_dbm0 or 0) > HUM_MAX_DBM0:
        yield Finding(
            f"{name}-hum",
            f"the mains hum on the {name} channel ({channel.mains_hz} Hz and its multiples, at "
            f"{channel.hum_dbm0:.0f} dBm0): separate line and card by a transformer, power the box from "
            "another supply, and keep the cable away from power cables",
        )
    if channel.noise_dbm0 is not None and channel.noise_dbm0 > NOISE_MAX_DBM0:
        yield Finding(
            f"{name}-noise",
            f"the {name} channel is noisy, at {channel.noise_dbm0:.0f} dBm0 between words: use a line "
            "input in place of a microphone's, switch its boost and automatic gain off, and check "
            "plugs and splices of the line",
        )


def _clipped(name: str, channel: ChannelHealth, seconds: int) -> str:
    where = f"the {name} channel is cut off at the top in {channel.clipped_s} of {seconds} seconds"
    if channel.clipped_share > channel.flat_share / 10:
        return f"{where}: the input is too loud; lower its gain in alsamixer, and switch boost off"
    return (
        f"{where}, below the card's own limit ({100 * channel.peak_share:.0f} % of full scale): what is "
        "before the card is overdriven; lower the level there, and raise the card's gain instead"
    )


def _level_findings(name: str, active_dbm0: float) -> Iterator[Finding]:
    if active_dbm0 < QUIET_DBM0:
        yield Finding(
            f"{name}-quiet",
            f"speech on the {name} channel is too quiet, at {active_dbm0:.0f} dBm0 where about -20 is usual: "
            "raise the input's gain in alsamixer, or the level of the line interface",
        )
    elif active_dbm0 > LOUD_DBM0:
        yield Finding(
            f"{name}-loud",
            f"speech on the {name} channel is too loud, at {active_dbm0:.0f} dBm0 where about -20 is usual: "
            "lower the input's gain in alsamixer, and switch boost off",
        )
