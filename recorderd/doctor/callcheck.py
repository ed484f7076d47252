"""What is in the sound of a call: a caller's number, a dial tone, and the digits that were dialled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.doctor.outcome import Change, Finding, Outcome, Value
from recorderd.doctor.sides import APART_DB, SWAPPED, dial_tone_hz, level_dbm0, swap
from recorderd.dsp.hearing import STANDARDS, CallerIdHeard, DigitHeard, Ear
from recorderd.dsp.spectrum import RATE_HZ
from recorderd.events import PulseDialled

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from recorderd.config.values import LineAudio
    from recorderd.events import Fact, Input

    Sound = NDArray[np.int16]

DIAL_TONE_MAX = 10 * RATE_HZ
"""Exchanges give the tone up after some seconds, and a dialled call rings then."""


def caller_id_standard(sound: Sound) -> str | None:
    """The standard of a caller ID that was sent while the line rang; on whichever channel it is."""
    for side in (1, 0):
        ear = Ear(STANDARDS)
        heard = ear.feed(sound[:, side]) + ear.finish()
        found = [each.standard for each in heard if isinstance(each, CallerIdHeard)]
        if found:
            return found[0]
    return None


def judge_dialling(
    line: str,
    index: int,
    audio: LineAudio,
    seen: Sequence[Input | Fact],
    sound: Sound,
    number: str,
    *,
    tells_sides: bool,
    voices_say_swapped: bool = False,
) -> tuple[Outcome, tuple[float, ...] | None]:
    """`sound`: from the lift on. `number`: what the person meant to dial (empty: not said).
    `tells_sides`: who speaks where is not known yet, and our own digits tell it. `voices_say_swapped`:
    whoever spoke first was on the far channel. The second value is the dial tone's frequencies."""
    keyed = max((_digits(sound[:, side]) for side in (0, 1)), key=len)
    pulses = "".join(each.digit for each in seen if isinstance(each, PulseDialled))
    first = keyed[0].start if keyed else len(sound)
    before = sound[: min(first, DIAL_TONE_MAX)]
    dial_hz = dial_tone_hz(before[:, 1]) or dial_tone_hz(before[:, 0])
    dialled = "".join(each.digit for each in keyed) or pulses
    measured: dict[str, Value] = {
        "digits": len(dialled),
        "by": "tone" if keyed else "pulse" if pulses else None,
        "dial_hz": None if dial_hz is None else "+".join(f"{hz:.0f}" for hz in dial_hz),
    }
    findings: list[Finding] = []
    changes: tuple[Change, ...] = ()
    if keyed:
        near, far = (
            max(level_dbm0(sound[each.start : each.stop], side) for each in keyed)
            for side in (0, 1)
        )
        measured |= {"near_dbm0": near, "far_dbm0": far}
        if tells_sides and far - near >= APART_DB:
            findings, changes = [SWAPPED], swap(line, index, audio)
        elif voices_say_swapped and near - far >= APART_DB:
            findings = [_DOUBTFUL]
    findings += _dialled_findings(dialled, number)
    if dial_hz is None:
        findings.append(_NO_TONE)
    return Outcome("dialling", line, measured, tuple(findings), changes), dial_hz


def _digits(samples: NDArray[np.int16]) -> list[DigitHeard]:
    ear = Ear(())
    heard = ear.feed(samples) + ear.finish()
    return [each for each in heard if isinstance(each, DigitHeard)]


def _dialled_findings(dialled: str, number: str) -> list[Finding]:
    wanted = "".join(each for each in number if each in "0123456789*#")
    if not dialled:
        return [
            Finding(
                "digits-missing",
                "no dialled digit was recognised, neither tones nor pulses",
                "dial slowly and try again; then check the level of the near channel",
            )
        ]
    if wanted and dialled != wanted:
        return [
            Finding(
                "digits-wrong",
                f"{len(wanted)} digits were dialled and {len(dialled)} were recognised, or others",
                "dial once more, slowly; then check level and noise of the near channel",
            )
        ]
    return []


DOUBTFUL = "channels-doubtful"
_DOUBTFUL = Finding(
    DOUBTFUL,
    "by the voices near and far have changed places, and by the digits that were dialled here they have not",
    "walk this line once more, and let this telephone's side count first; leave the channels until then",
)

_NO_TONE = Finding(
    "dial-tone-missing",
    "no dial tone was heard after the handset was lifted",
    "listen yourself: if there is one, check the cable of the far channel; if there is none, the line "
    "is dead",
)
