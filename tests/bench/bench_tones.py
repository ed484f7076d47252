"""Call progress tones: how often they are heard, how often something else is, and what it costs.

    python -m tests.bench.bench_tones [--tones 60] [--minutes 60] [--only found|talk|cost]

Found: tones of random countries and kinds, whose frequency, cadence and beginning are drawn anew each
time, under white noise over 0 to 4 kHz whose power is measured against the tone's while it is on. A
tone counts as found where it is named rightly and nothing else is named. "known": with the
country's tones; "unknown": with those of all countries, where the name may be what most of them
mean by that cadence.

Talk: voices, music and scattered tones (tests/dsp/conversation.py), for each country and for all.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np

from recorderd.config.profiles import countries, every_tone, load_profile
from recorderd.dsp.hearing import STANDARDS, Ear
from recorderd.dsp.tones import ToneHeard
from tests.dsp import signals
from tests.dsp.conversation import conversation

if TYPE_CHECKING:
    from recorderd.core.profile import Tone

RATE = 8000
CELLS = {
    **{f"{snr} dB SNR": {"snr": snr} for snr in (30, 20, 15, 10, 8, 6, 4, 2)},
    **{f"{level} dBm0": {"dbm0": level} for level in (-3, -10, -20, -30, -40, -45)},
    **{f"frequency {error:+.1%}": {"error": error} for error in (-0.02, -0.015, 0.015, 0.02)},
    **{f"clock {speed - 1:+.0%}": {"speed": speed} for speed in (0.98, 1.02)},
    **{f"cadence {stretch - 1:+.0%}": {"stretch": stretch} for stretch in (0.88, 0.9, 1.1, 1.12)},
    "mains hum, as strong as the tone": {"hum": 0.0},
    "mains hum, 10 dB stronger": {"hum": 10.0},
}


def sent(tone: Tone, cell: dict[str, float], random: np.random.Generator) -> np.ndarray:
    changes = {key: value for key, value in cell.items() if key not in {"snr", "hum"}}
    seconds = max(4.0, 2.6 * sum(tone.cadence_ms) / 1000)
    dbm0 = changes.pop("dbm0", -20)
    signal = signals.progress(tone, seconds, dbm0, **changes)
    lead_s, tail_s = random.uniform(0.3, 1), max(tone.cadence_ms[1::2], default=0) / 1000 + 4
    line = signals.on_line(
        signal, cell.get("snr", 20), random, lead_s, tail_s, signal[np.abs(signal) > 0]
    )
    if "hum" in cell:
        hum = signals.hum(len(line), random.choice([50.0, 60.0]), dbm0 + cell["hum"])
        line = np.clip(line + hum * 32768, -32768, 32767).astype(np.int16)
    return line


def named(samples: np.ndarray, tones: tuple[Tone, ...]) -> set[str]:
    ear = Ear((), tones)
    heard = ear.feed(samples) + ear.finish()
    return {each.tone for each in heard if isinstance(each, ToneHeard)}


def bench_found(count: int) -> None:
    everything = every_tone()
    meant = {(tone.frequencies_hz, tone.cadence_ms): tone.kind for tone in everything}
    print(f"\n{'tones found, % of those sent':36}{'known':>8}{'unknown':>9}")
    for place, (name, cell) in enumerate(CELLS.items()):
        random = np.random.default_rng([7, place])
        right = [0, 0]
        for _ in range(count):
            tones = load_profile(str(random.choice(countries()))).tones
            tone = tones[random.integers(len(tones))]
            samples = sent(tone, cell, random)
            same = {
                each.kind
                for each in tones
                if (each.frequencies_hz, each.cadence_ms) == (tone.frequencies_hz, tone.cadence_ms)
            }
            kinds = {"busy"} if len(same) > 1 else same
            right[0] += named(samples, tones) == kinds
            right[1] += named(samples, everything) == {meant[tone.frequencies_hz, tone.cadence_ms]}
        shares = [100 * each / count for each in right]
        print(f"{name:36}{shares[0]:8.0f}{shares[1]:9.0f}", flush=True)


def bench_talk(minutes: float) -> None:
    whole = np.concatenate(list(conversation(minutes, seed=3)))
    hours = len(whole) / RATE / 3600
    print(f"\n{60 * hours:.0f} minutes of voices, music and tones: what was taken for a tone")
    for name in ["all", *countries()]:
        ear = Ear((), every_tone() if name == "all" else load_profile(name).tones)
        heard = ear.feed(whole) + ear.finish()
        false = [each for each in heard if isinstance(each, ToneHeard) and each.stop is None]
        text = ", ".join(f"{each.tone} at {each.start / RATE:.1f} s" for each in false)
        print(f"  {name:4}{len(false):3}  {text}", flush=True)


def bench_cost() -> None:
    """Two channels of one line, together on one core."""
    print("\ntimes real time on one core, two channels, blocks of 20 ms")
    talk = np.concatenate(list(conversation(1, seed=5)))
    idle = np.random.default_rng(1).normal(0, 20, len(talk)).astype(np.int16)
    busy = np.resize(signals.on_line(signals.progress(load_profile("JP").tones[2], 20)), len(talk))
    pairs = {"conversation": (talk, talk[::-1]), "idle line": (idle, idle), "busy": (busy, busy)}
    print(f"{'':16}{'no tones':>10}{'JP':>6}{'US':>6}{'all':>6}")
    for name, pair in pairs.items():
        row = [
            times_real(pair, tones)
            for tones in ((), load_profile("JP").tones, load_profile("US").tones, every_tone())
        ]
        print(f"{name:16}{row[0]:10.0f}{row[1]:6.0f}{row[2]:6.0f}{row[3]:6.0f}", flush=True)


def times_real(pair: tuple[np.ndarray, np.ndarray], tones: tuple[Tone, ...]) -> float:
    ears = Ear(STANDARDS, tones), Ear(STANDARDS, tones)
    started = time.process_time()
    for at in range(0, len(pair[0]), 160):
        for ear, samples in zip(ears, pair, strict=True):
            ear.feed(samples[at : at + 160])
    return len(pair[0]) / RATE / (time.process_time() - started)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tones", type=int, default=60, help="a cell")
    parser.add_argument("--minutes", type=float, default=60, help="of conversation")
    parser.add_argument("--only", choices=["found", "talk", "cost"])
    options = parser.parse_args()
    parts = {
        "found": lambda: bench_found(options.tones),
        "talk": lambda: bench_talk(options.minutes),
        "cost": bench_cost,
    }
    for part, run in parts.items():
        if options.only in {None, part}:
            run()


if __name__ == "__main__":
    main()
