"""What a long queue costs the uploader: time and memory of reading it from the ledger and of each step."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recorderd.core import chain
from recorderd.core.chain import GENESIS, Head
from recorderd.store.ledger import FILE_LINES_MAX
from recorderd.units import ClockReading, MonoNs, WallNs

STEPS = 200

READING = ClockReading("boot", MonoNs(0), WallNs(0), synchronised=True, source="ntp")


def write_ledger(directory: Path, calls: int) -> None:
    """A recorder's chain of so many calls, five entries each."""
    folder = directory / "ledger/recorder"
    folder.mkdir(parents=True)
    head, lines, first = Head(0, GENESIS), [], 0
    for number in range(calls):
        call = f"{number:026d}"
        entries = [
            ("call-opened", {"call": call, "line": "front"}),
            ("segment-sealed", {"call": call, "segment": 0, "audio_sha256": "0" * 64}),
            ("notice", {"call": call, "completed": True}),
            ("call-closed", {"call": call, "record_sha256": "0" * 64, "segments": 1}),
            ("checkpoint", {"note": "n" * 300, "signature": "s" * 88}),
        ]
        for kind, data in entries:
            lines.append(chain.make_line(head, READING, kind, data))
            head = chain.after(head, lines[-1])
        if len(lines) >= FILE_LINES_MAX or number == calls - 1:
            (folder / f"{first:012d}.jsonl").write_bytes(b"".join(lines))
            first, lines = head.entries, []


def measure(directory: Path) -> None:
    """In a process of its own, which has done nothing else."""
    from recorderd.upload.follow import follow
    from recorderd.upload.queue import Queue

    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    queue = Queue(directory)
    began = time.perf_counter()
    follow(directory, queue)
    followed_s = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(STEPS):
        for call in queue.next(4, (), newest_first=False):
            queue.done(call, {"date": "2026-11-23", "call": call.id})
    step_ms = (time.perf_counter() - began) / STEPS * 1000
    began = time.perf_counter()
    queue.state()
    state_ms = (time.perf_counter() - began) * 1000
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([followed_s, step_ms, state_ms, before_kb / 1000, peak_kb / 1000]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, nargs="*", default=[1000, 30_000, 1_000_000])
    parser.add_argument("--measure", type=Path)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return
    print(
        f"{'calls waiting':>14} {'reading all, s':>15} {'four calls, ms':>15} {'status, ms':>11} "
        f"{'memory, MB':>11} {'before':>7}"
    )
    for calls in options.calls:
        with tempfile.TemporaryDirectory() as name:
            write_ledger(Path(name), calls)
            command = [sys.executable, "-m", "tests.bench.bench_queue", "--measure", name]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            followed_s, step_ms, state_ms, before, peak = json.loads(said)
            print(
                f"{calls:14,} {followed_s:15.2f} {step_ms:15.2f} {state_ms:11.2f} {peak:11.1f} "
                f"{before:7.1f}"
            )


if __name__ == "__main__":
    main()
