"""Which side is on which channel? Compared while one side alone was asked to speak.

Sound is at 8 kHz, 16 bit, (n, 2): near, far.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from recorderd.doctor.outcome import Change, Finding, Outcome, Value
from recorderd.dsp import health
from recorderd.dsp.channelhealth import FULL_SCALE, dbm0
from recorderd.dsp.spectrum import RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recorderd.config.values import LineAudio
    from recorderd.dsp.health import LineHealth

    Sound = NDArray[np.int16]

FRAME = RATE_HZ // 10
LOUD_SHARE = 80  # percentile: whoever speaks does so for more than a fifth of the time
SPEECH_MIN_DBM0 = -50.0
"""The quietest that is understood; as dsp/health.py has it."""
APART_DB = 6.0
"""An echo is weaker than what it comes from by at least this."""

UNTELLING_CODES = {
    f"{side}-{what}" for side in ("near", "far") for what in ("dead", "muted", "clipped", "loud")
}


def judge_sides(line: str, index: int, audio: LineAudio, near: Sound, far: Sound) -> Outcome:
    """`near`: while the person at the phone spoke; `far`: while the other party did."""
    levels = [level_dbm0(sound, side) for sound in (near, far) for side in (0, 1)]
    near_near, near_far, far_near, far_far = levels
    measured: dict[str, Value] = {
        "near_speaks_near_dbm0": near_near,
        "near_speaks_far_dbm0": near_far,
        "far_speaks_near_dbm0": far_near,
        "far_speaks_far_dbm0": far_far,
    }
    spoke = [max(levels[:2]) > SPEECH_MIN_DBM0, max(levels[2:]) > SPEECH_MIN_DBM0]
    if not all(spoke):
        return Outcome("channels", line, measured, tuple(_unheard(*spoke)))
    if near_far - near_near >= APART_DB and far_near - far_far >= APART_DB:
        return Outcome("channels", line, measured, (SWAPPED,), swap(line, index, audio))
    faint = [
        _faint(side)
        for side, own, other in (("near", near_near, near_far), ("far", far_far, far_near))
        if other - own >= APART_DB
    ]
    mixed = [
        _mixed(side, "far" if side == "near" else "near", own - other)
        for side, own, other in (("near", near_near, near_far), ("far", far_far, far_near))
        if abs(other - own) < APART_DB
    ]
    return Outcome("channels", line, measured, (*faint, *mixed))


def level_dbm0(sound: Sound, side: int) -> float:
    """How loud the speech on one channel is."""
    frame = min(FRAME, len(sound))
    if not frame:
        return -100.0
    frames = sound[: len(sound) // frame * frame, side].reshape(-1, frame).astype(np.float64)
    frames -= frames.mean(axis=1, keepdims=True)
    powers = ((frames / FULL_SCALE) ** 2).mean(axis=1)
    return round(float(dbm0(np.percentile(powers, [LOUD_SHARE]))[0]), 1)


def judge_sound(line: str, sounds: list[Sound]) -> Outcome:
    """What is wrong with the sound of a call and of the idle line: hum, noise, level, copies."""
    meter = health.HealthMeter()
    for sound in sounds:
        meter.feed(sound)
    return outcome_of_health(line, meter.measure())


def outcome_of_health(line: str, found: LineHealth) -> Outcome:
    """The measured values of both channels, and what is wrong with them."""
    measured: dict[str, Value] = {"seconds": found.seconds}
    for side in ("near", "far"):
        channel = asdict(getattr(found, side))
        for name in ("active_dbm0", "noise_dbm0", "hum_dbm0", "peak_share", "clipped_s"):
            measured[f"{side}_{name}"] = channel[name]
    measured["crosstalk_to_far_db"] = found.crosstalk_to_far_db
    measured["crosstalk_to_near_db"] = found.crosstalk_to_near_db
    measured["copy"] = found.copy
    findings = tuple(_split(each) for each in health.findings(found))
    return Outcome("sound", line, measured, findings)


def _split(finding: health.Finding) -> Finding:
    """Its text says what is wrong, a colon or semicolon, and what to do."""
    for mark in (": ", "; "):
        what, found, mend = finding.text.rpartition(mark)
        if found:
            return Finding(finding.code, what, mend)
    return Finding(finding.code, finding.text, "see hw/sound.md")


def without_doubles(channels: Outcome, sound: Outcome) -> Outcome:
    """Where a channel is a copy, dead, or much too loud, nothing else is said of who speaks where: it
    cannot be told from that. What the sound says already is not said twice."""
    codes = {finding.code for finding in sound.findings}
    if codes & {"copy", "inverted", *UNTELLING_CODES}:
        return Outcome("channels", channels.where, channels.measured)
    findings = tuple(each for each in channels.findings if each.code not in codes)
    return replace(channels, findings=findings)


def dial_tone_hz(sound: NDArray[np.int16]) -> tuple[float, ...] | None:
    """The frequencies of a steady tone in one channel; None where there is none.

    Takes the second in which the fewest and highest lines stand out: a dial tone is one or two
    sines, steady, between 300 and 500 Hz in all countries we know.
    """
    best: tuple[float, tuple[float, ...]] | None = None
    for start in range(0, len(sound) - RATE_HZ + 1, RATE_HZ // 4):
        found = _lines(sound[start : start + RATE_HZ].astype(np.float64) / FULL_SCALE)
        if found is not None and (best is None or found[0] > best[0]):
            best = found
    return None if best is None else best[1]


TONE_BAND = slice(300, 501)  # bins of 1 Hz
TONE_MIN_DBM0 = -45.0
TONE_SHARE = 0.8  # of the power between 200 and 3400 Hz
BESIDE_DB = 12.0  # a second sine is no weaker than this below the first
_WINDOW = np.hanning(RATE_HZ)


def _lines(second: NDArray[np.float64]) -> tuple[float, tuple[float, ...]] | None:
    power = np.abs(np.fft.rfft(second * _WINDOW)) ** 2 * 2 / (RATE_HZ * (_WINDOW**2).sum())
    total = float(power[200:3400].sum())
    inside = power.copy()
    inside[: TONE_BAND.start] = 0
    inside[TONE_BAND.stop :] = 0
    found: list[tuple[int, float]] = []
    while len(found) < 3:
        top = int(inside.argmax())
        near = slice(max(0, top - 4), top + 5)
        strength = float(inside[near].sum())
        if found and strength < found[0][1] / 10 ** (BESIDE_DB / 10):
            break
        found.append((top, strength))
        inside[near] = 0
    share = sum(strength for _, strength in found) / (total + 1e-15)
    loud = float(dbm0(np.array([found[0][1]]))[0]) > TONE_MIN_DBM0
    if not loud or share < TONE_SHARE or len(found) > 2:
        return None
    return share, tuple(sorted(float(top) for top, _ in found))


SWAPPED = Finding(
    "channels-swapped",
    "near and far have changed places: whoever speaks into this telephone is on the far channel",
    "swap line.audio.near_channel and line.audio.far_channel, or the two plugs at the sound card",
)


def _faint(side: str) -> Finding:
    """What is quieter on its own channel than its echo on the other one."""
    return Finding(
        f"{side}-quiet",
        f"the {side} side is weaker on its own channel than its echo is on the other one",
        "raise the input's gain in alsamixer, or the level of the line interface, and check the cable",
    )


def _mixed(side: str, other: str, apart_db: float) -> Finding:
    """Also where it comes late: an echo of the card or a loopback is as loud as what it repeats."""
    return Finding(
        f"crosstalk-to-{other}",
        f"the {side} side is as loud on the {other} channel as on its own ({apart_db:+.0f} dB)",
        "check that no monitor or loopback of the card feeds an input (alsamixer), that the two inputs "
        "share no wire, and the balance of the line interface",
    )


def swap(line: str, index: int, audio: LineAudio) -> tuple[Change, ...]:
    why = f"{line}'s own party is heard on channel {audio.far_channel}"
    return (
        Change(("line", index, "audio", "near_channel"), audio.far_channel, why),
        Change(("line", index, "audio", "far_channel"), audio.near_channel, why),
    )


def _unheard(near_spoke: bool, far_spoke: bool) -> list[Finding]:  # noqa: FBT001  (two facts)
    found = []
    for spoke, side, who in (
        (near_spoke, "near", "the person at this telephone"),
        (far_spoke, "far", "the other party"),
    ):
        if not spoke:
            found.append(
                Finding(
                    f"{side}-unheard",
                    f"nothing was heard on either channel while {who} was asked to speak",
                    "speak up and try again; then check the cable from the line interface to the sound "
                    "card, the input that is chosen and its gain in alsamixer",
                )
            )
    return found
