"""What sealing costs: processor time, bytes and memory of recording one line, plain beside sealed.

    python -m tests.bench.bench_seal [--minutes 30] [--rounds 3] [--directory DIR]

The real writer, journals, FLAC, checks and catalogue over a card that gives noise like a telephone's;
time is virtual, half a second a round, the disk is real. Rounds of both kinds take turns, and the
smallest of each counts: what disturbs a run only ever makes it longer.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from array import array
from pathlib import Path
from unittest.mock import patch

from recorderd.media import codec, tags
from tests.store.calls import CALLER, RATE, CountingCard, Office, a_record

HOUR_S = 3600
SECONDS_OF_NOISE = 10


class NoisyCard(CountingCard):
    """Some seconds of noise over and over, at the level of a quiet line."""

    def __init__(self) -> None:
        super().__init__()
        choice = random.Random(5)
        samples = (round(choice.gauss(0, 300)) for _ in range(2 * RATE * SECONDS_OF_NOISE))
        self._noise = array("h", samples).tobytes() * 2

    def read(self, first, frames):
        at = first % (RATE * SECONDS_OF_NOISE) * 4
        return self._noise[at : at + frames * 4]


def record(folder: Path, minutes: int, segment_s: int, *, is_sealed: bool) -> tuple[float, int]:
    """Processor seconds of one call, and the bytes that it leaves."""
    office = Office(folder, segment_s=segment_s, card=NoisyCard(), is_sealed=is_sealed)
    office.run_to(10.2)
    began = time.process_time()
    call = office.open(a_record(caller=CALLER))
    office.run_to(10 + minutes * 60)
    office.close(call, office.now_s - 0.5)
    office.settle(600)
    took_s = time.process_time() - began
    office.writer.close()
    left = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return took_s, left


def in_memory_mb() -> float:
    """The most that lies in anonymous files while a segment of the longest allowed length is sealed."""
    sizes = [0]

    def noting(real):
        def call(*arguments):
            result = real(*arguments)
            paths = Path("/proc/self/fd").iterdir()
            named = [path for path in paths if path.is_file() and "memfd:" in str(path.readlink())]
            sizes.append(sum(path.stat().st_size for path in named))
            return result

        return call

    with (
        tempfile.TemporaryDirectory() as name,
        patch.object(tags, "write_tagged", noting(tags.write_tagged)),
        patch.object(codec, "verify_segment", noting(codec.verify_segment)),
        patch.object(codec, "same_sound", noting(codec.same_sound)),
    ):
        record(Path(name), 16, 900, is_sealed=True)
    return max(sizes) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    options = parser.parse_args()
    found: dict[bool, list[tuple[float, int]]] = {False: [], True: []}
    for _ in range(options.rounds):
        for is_sealed, results in found.items():
            with tempfile.TemporaryDirectory(dir=options.directory) as name:
                results.append(record(Path(name), options.minutes, 60, is_sealed=is_sealed))
    shares = {}
    print(f"one line of {RATE} Hz, a call of {options.minutes} minutes, files of 60 s")
    print(f"{'':10} {'s an hour':>10} {'% of a core':>12} {'MB left an hour':>16}")
    for is_sealed, results in found.items():
        hours = options.minutes / 60
        seconds = min(took_s for took_s, _ in results) / hours
        shares[is_sealed] = 100 * seconds / HOUR_S
        name = "sealed" if is_sealed else "plain"
        left_mb = results[0][1] / hours / 1e6
        print(f"{name:10} {seconds:10.2f} {shares[is_sealed]:12.3f} {left_mb:16.2f}")
    print(f"sealing costs {shares[True] - shares[False]:.3f} % of a core more; the aim is 3 %")
    print(f"files in memory, at the most, for segments of 900 s: {in_memory_mb():.1f} MB")


if __name__ == "__main__":
    main()
