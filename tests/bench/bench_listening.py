"""What listening to a line costs a day long: memory, and processor time beside the day's length.

    python -m tests.bench.bench_listening [--hours 24] [--talk-minutes 10]

Each hour has so many minutes of conversation, music and tones, with keys and caller IDs in between, and
an idle line's noise for the rest. All detectors run over both channels as in the recorder: caller ID,
digits and tones by LineEar, the line's health in each call, and the voice trigger all the time.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import TYPE_CHECKING

import numpy as np

from recorderd.config.profiles import load_profile
from recorderd.dsp.health import HealthMeter
from recorderd.dsp.hearing import standards_of
from recorderd.dsp.line import LineEar
from recorderd.dsp.spectrum import RATE_HZ
from recorderd.dsp.voice import VoiceTrigger
from tests.dsp import signals
from tests.dsp.conversation import conversation

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = RATE_HZ
NOISE = 18  # -65 dB of full scale, as on a quiet line


def talk(minutes: int, seed: int) -> Iterator[np.ndarray]:
    """Pieces of a conversation with a caller ID and keys before it, shape (n, 2)."""
    bits = signals.bits_of(signals.mdmf((2, b"5035551234")), 300, 180)
    burst = signals.cpfsk(bits, signals.TONES["bell202"], -14)
    before = (burst, signals.silence(1.0), signals.digits("0123456789"), signals.silence(1.0))
    yield on_both(np.concatenate(before) * 32768)
    for piece in conversation(minutes, seed):
        yield on_both(piece)


def on_both(far: np.ndarray) -> np.ndarray:
    """Leaked to the near side at -20 dB."""
    return np.rint(np.stack((far * 0.1, far), axis=1)).astype(np.int16)


def resident_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  (a file of the kernel's)
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--talk-minutes", type=int, default=10)
    options = parser.parse_args()
    profile = load_profile("US")
    ear = LineEar(standards_of(profile.caller_id), profile.tones)
    trigger = VoiceTrigger()
    random = np.random.default_rng(1)
    idle = (random.standard_normal((60 * RATE_HZ, 2)) * NOISE).astype(np.int16)
    print("| hour | resident MB | heard | processor s |\n|-|-|-|-|")
    heard = 0
    for hour in range(options.hours):
        spent, meter = 0.0, HealthMeter()
        for piece in talk(options.talk_minutes, seed=hour % 4):
            began = time.process_time()
            for start in range(0, len(piece), BLOCK):
                heard += len(ear.feed(piece[start : start + BLOCK]))
                trigger.feed(piece[start : start + BLOCK])
                meter.feed(piece[start : start + BLOCK])
            spent += time.process_time() - began
        began = time.process_time()
        meter.measure()
        for _ in range(60 - options.talk_minutes):
            for start in range(0, len(idle), BLOCK):
                heard += len(ear.feed(idle[start : start + BLOCK]))
                trigger.feed(idle[start : start + BLOCK])
        spent += time.process_time() - began
        print(f"| {hour + 1} | {resident_mb():.1f} | {heard} | {spent:.1f} |", flush=True)


if __name__ == "__main__":
    main()
