"""What can be wrong with a simulated line or box, so that whatever looks for faults can be shown some.

`LINE_FAULTS` and `BOX_FAULTS` say what each kind does. A fault is a state and no event: it holds from
the script's first moment, so that the sound of a line stays a function of its index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recorderd.sim.actions import Fault
from recorderd.units import ms

if TYPE_CHECKING:
    from recorderd.sim.actions import Script

LINE_FAULTS = {
    "hook-inverted": "the hook sensor reads off-hook where the handset is down, and the reverse",
    "hook-open": "the wire of the hook sensor is open: it never moves",
    "hook-stuck": "the hook sensor is shorted: it reads off-hook for ever",
    "hook-bouncy": "the hook contact bounces for 60 ms",
    "ring-open": "the wire of the ring detector is open",
    "ring-inverted": "the ring detector reads ringing where there is none, and the reverse",
    "ring-noise": "the ring detector sees 50 Hz all the time",
    "swapped": "near and far have changed places",
    "mono": "the card hears both sides on both channels",
    "hum": "50 Hz and its multiples on both channels",
    "noise": "loud noise on both channels",
    "near-dead": "nothing but the card's own noise on the near channel",
    "far-dead": "nothing but the card's own noise on the far channel",
    "near-muted": "zeros on the near channel",
    "near-quiet": "the near channel is 34 dB too quiet",
    "near-loud": "the near channel is 30 dB too loud",
    "clip-silent": "announcements are played, and do not come to the line",
    "clip-cut": "only the first half of an announcement comes to the line",
    "modem-dead": "the modem's port opens, and nothing ever answers",
    "modem-off-line": "the modem answers, and is not plugged into the line",
    "modem-deaf": "the modem notices every ring, and misses every caller ID",
    "no-caller-id": "the exchange sends no caller ID",
    "digits-lost": "the modem loses the last digits of every number",
}
BOX_FAULTS = {
    "clock-off": "the wall clock is two hours slow, and says that it is synchronised",
    "clock-free": "the wall clock is not synchronised",
    "disk-slow": "a durable write takes two seconds",
    "disk-full": "next to nothing is free on the disk",
    "disk-errors": "the file system has counted errors",
    "power-low": "the supply's voltage is too low",
}
BOX = "box"

HUM_DB, NOISE_DB = -35.0, -30.0
CLOCK_OFF_S = -7200
BOUNCE_NS, BOUNCE_HALF_NS = ms(60), ms(3)

Samples = npt.NDArray[np.int32]


def faults_of(script: Script, target: str) -> frozenset[str]:
    """The kinds of fault that a script plants in a line, or in the box."""
    return frozenset(
        event.action.kind
        for event in script.events
        if event.target == target and isinstance(event.action, Fault)
    )


def country_of(script: Script, line: str, country: str) -> str:
    """The country whose network a line really belongs to."""
    for event in script.events:
        if event.target == line and isinstance(event.action, Fault) and event.action.country:
            return event.action.country
    return country


def damaged(
    samples: npt.NDArray[np.int16],
    noise: npt.NDArray[np.int16],
    first: int,
    rate_hz: int,
    faults: frozenset[str],
) -> npt.NDArray[np.int16]:
    """Frames `first` on of a line (near, far) as a faulty card hears them; `noise` is as long."""
    wide: Samples = samples.astype(np.int32)
    if "mono" in faults:
        wide = np.repeat(wide.sum(axis=1, keepdims=True), 2, axis=1)
    for side, name in enumerate(("near", "far")):
        if f"{name}-dead" in faults:
            wide[:, side] = noise[:, side] // 10
    if "near-muted" in faults:
        wide[:, 0] = 0
    if "near-quiet" in faults:
        wide[:, 0] = wide[:, 0] // 50
    if "near-loud" in faults:
        wide[:, 0] *= 32
    if "hum" in faults:
        wide += _hum(first, len(wide), rate_hz)[:, None]
    if "noise" in faults:
        wide += noise.astype(np.int32) * 56
    if "swapped" in faults:
        wide = wide[:, ::-1]
    return np.clip(wide, -32768, 32767).astype(np.int16)


def _hum(first: int, frames: int, rate_hz: int) -> Samples:
    times_s = np.arange(first, first + frames) / rate_hz
    waves = sum(np.sin(2 * np.pi * hz * times_s) / (hz / 50) for hz in (50, 100, 150))
    return np.asarray(waves * 32768 * 10 ** (HUM_DB / 20) * 1.4, np.int32)
