"""Twenty-four simulated hours with 300 calls on two lines, through the whole recorder.

    python -m tests.bench.bench_day [--hours 24] [--calls 300]

Core, writer, FLAC, journals and catalogue are the real ones; sound card, modems and lines are simulated,
in virtual time. Prints wall and processor seconds, beside what FLAC encoding and decoding of the same
sound alone costs with the flac program, in the same run.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

from recorderd import events as ev
from recorderd.cli.demo import CONFIG
from recorderd.config import load
from recorderd.config.needs import ring_seconds_of
from recorderd.daemon import Daemon
from recorderd.runtime.watchdog import ServiceManager
from recorderd.runtime.workers import InlineWorker
from recorderd.sim.devices import VirtualOffice
from recorderd.store.catalogue import NAME, open_catalogue


def script(hours: int, calls: int) -> str:
    """Calls spread evenly over the day, in turn on both lines; every fifth goes out."""
    lines = ["day 2026-11-23T00:00:00+09:00"]
    step_s = hours * 3600 / calls
    for number in range(calls):
        at = 60 + number * step_s
        clock = f"{int(at // 3600):02d}:{int(at // 60 % 60):02d}:{at % 60:06.3f}"
        line = ("front-desk", "back-office")[number % 2]
        talk_s = 20 + (number * 37) % 180
        call = f"inbound number=03{number:08d} answer=4 talk={talk_s}"
        if number % 5 == 4:
            call = f"outbound dial=03{number:08d} by=tone talk={talk_s}"
        lines.append(f"{clock} {line} {call}")
    return "\n".join(lines) + "\n"


def play(folder: Path) -> tuple[float, float, list]:
    config = load(folder / "recorderd.toml")
    began, cpu_before = time.monotonic(), time.process_time()
    office = VirtualOffice(config, ring_seconds_of(config))
    daemon = Daemon(config, office, ServiceManager(), InlineWorker, InlineWorker)
    daemon.start()
    while office.world.now() < office.office.finished_at:
        daemon.loop.step()
    daemon.loop.take(ev.StopRequested(office.world.now()))
    daemon.stop()
    wall, cpu = time.monotonic() - began, time.process_time() - cpu_before
    with closing(open_catalogue(config.storage.directory / NAME, read_only=True)) as catalogue:
        return wall, cpu, [entry.record for entry in catalogue.find(limit=100_000)]


def flac_alone(folder: Path) -> float:
    """Processor seconds that the flac program needs to decode and encode the same recordings."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for number, path in enumerate(sorted(folder.rglob("*.flac"))):
        wav = folder / f"{number}.wav"
        subprocess.run(["flac", "-sd", "-o", wav, path], check=True)
        subprocess.run(["flac", "-s", "-1", "-f", "-o", folder / "again.flac", wav], check=True)
        wav.unlink()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--calls", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = CONFIG.replace("office-day.line", "bench.line").replace("segment_s = 30\n", "")
        (folder / "recordings").mkdir()
        (folder / "recorderd.toml").write_text(text)
        (folder / "bench.line").write_text(script(options.hours, options.calls))
        wall, cpu, records = play(folder)
        recorded = [record for record in records if record["disposition"] == "recorded"]
        minutes = sum(record["audio"]["frames"] for record in recorded) / 8000 / 60
        alone = flac_alone(folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        gaps = sum(len(record["gaps"]) for record in records)
    print(f"{options.hours} simulated hours, {len(recorded)} of {options.calls} calls recorded")
    print(f"  sound recorded                    {minutes:8.1f} min, {gaps} gaps")
    print(
        f"  wall time                         {wall:8.1f} s ({options.hours * 3600 / wall:.0f} x real time)"
    )
    print(f"  processor time                    {cpu:8.1f} s")
    print(f"  flac alone, decode and encode     {alone:8.1f} s")
    print(f"  peak memory                       {peak:8.1f} MB")


if __name__ == "__main__":
    main()
