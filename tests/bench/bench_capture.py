"""What a sound card's child costs, and how exactly announcements leave, on a software card.

    python -m tests.bench.bench_capture [--seconds 60] [--plays 50] [--rate 8000]

The card is a PulseAudio server of the bench's own (tests/softcard.py), whose output is captured, so
that the moment at which a clip is heard can be compared with the moment for which it was ordered.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from recorderd.drivers.audio_pyaudio import PyAudioCard
from recorderd.ports import Clip
from recorderd.units import FrameIndex, MonoNs, later, ms
from tests.softcard import Sink, SoftCard

SETTLE_S = 10  # the first seconds of a PulseAudio stream are not typical


def now() -> MonoNs:
    return MonoNs(time.monotonic_ns())


def watch(card: PyAudioCard, for_s: float) -> None:
    """As often as the control thread does."""
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        time.sleep(0.25)
        card.watch(now())


def processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wakeups(pid: int) -> int:
    """Of all threads of a process."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def memory_mb(pid: int, kind: str) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(kind)


def idle_cost(card: PyAudioCard, pid: int, length_s: float) -> None:
    child, parent, woken = processor_s(pid), time.process_time(), wakeups(pid)
    watch(card, length_s)
    minutes = length_s / 60
    print(f"child:   {(processor_s(pid) - child) / minutes:.2f} s of processor a minute")
    print(f"parent:  {(time.process_time() - parent) / minutes:.2f} s of processor a minute")
    print(f"child:   {(wakeups(pid) - woken) / length_s:.0f} wake-ups a second")
    print(
        f"child:   {memory_mb(pid, 'Rss'):.1f} MB resident, {memory_mb(pid, 'Pss'):.1f} MB its own"
    )
    losses = card.lost(FrameIndex(0), card.head())[1:]
    print(f"lost since the start: {sum(loss.frames for loss in losses)} frames")


def announcement_errors_ms(card: PyAudioCard, plays: int) -> list[float]:
    """For each play: when the clip's first sample was heard, less when it was ordered for."""
    rate_hz = card.rate_hz
    samples = (np.arange(rate_hz // 4) % 40 * 200 + 1000).astype(np.int16)
    clip = Clip("tone.wav", "0", rate_hz, samples.tobytes())
    errors = []
    for number in range(plays):
        at = later(now(), ms(500))
        card.play("line", f"call-{number}", clip, None, at)
        watch(card, 1.25 if number % 5 else 3.0)  # every fifth finds the output closed
        first = card.frame_at(at) - rate_hz // 2
        raw = card.read(FrameIndex(first), rate_hz)
        heard = np.flatnonzero(np.frombuffer(raw, np.int16).reshape(-1, card.channels)[:, 0])
        errors.append((card.time_of(FrameIndex(first + int(heard[0]))) - at) / 1e6)
    return errors


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--plays", type=int, default=50)
    parser.add_argument("--rate", type=int, default=8000)
    options = parser.parse_args()
    server = SoftCard([Sink("line", options.rate)])
    os.environ.update(server.environment)
    server.start()
    card = PyAudioCard("line", options.rate, 2, 40, lambda _event: None, now)
    try:
        card.start()
        watch(card, SETTLE_S)
        idle_cost(card, card._child.pid, options.seconds)
        errors = np.array(announcement_errors_ms(card, options.plays))
        print(
            f"announcement, heard less ordered: median {np.median(errors):.1f} ms, "
            f"50 % within {np.percentile(np.abs(errors), 50):.1f} ms, "
            f"99 % within {np.percentile(np.abs(errors), 99):.1f} ms"
        )
    finally:
        card.close()
        server.close()


if __name__ == "__main__":
    main()
