"""What the shared ring costs for 20 ms of two channels, beside a plain copy of the same bytes.

python -m tests.bench.bench_ring
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from recorderd.media.ring import Ring, RingWriter
from recorderd.units import FrameIndex, MonoNs, frames_to_ns

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNELS = 2
ROUNDS = 5
BLOCKS = 12_000


def best_ns(task: Callable[[int], object]) -> float:
    """Nanoseconds a block, in the best of several rounds: the others met other processes."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        for number in range(BLOCKS):
            task(number)
        rounds.append((time.perf_counter_ns() - began) / BLOCKS)
    return min(rounds)


def measure(rate_hz: int) -> tuple[float, float, float]:
    frames = rate_hz // 50
    block = bytes(range(256)) * (frames * CHANNELS * 2 // 256 + 1)
    block = block[: frames * CHANNELS * 2]
    ring = Ring(rate_hz, CHANNELS, seconds=32)
    writer = RingWriter(ring.fd)
    memory = bytearray(32 * rate_hz * CHANNELS * 2)
    places = len(memory) // len(block)

    def copy(number: int) -> bytes:
        start = number % places * len(block)
        memory[start : start + len(block)] = block
        return bytes(memory[start : start + len(block)])

    def append(_number: int) -> None:
        writer.append(block, MonoNs(frames_to_ns(ring.head(), rate_hz)))

    def append_and_read(number: int) -> bytes:
        append(number)
        return ring.read(FrameIndex(ring.head() - frames), frames)

    return best_ns(copy), best_ns(append), best_ns(append_and_read)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("ns per 20 ms block of two channels")
    print(f"{'rate Hz':>8} {'copy in and out':>16} {'ring: append':>13} {'append and read':>16}")
    for rate_hz in (8000, 16000, 48000):
        copy, append, both = measure(rate_hz)
        print(f"{rate_hz:>8} {copy:>16.0f} {append:>13.0f} {both:>16.0f}")


if __name__ == "__main__":
    main()
