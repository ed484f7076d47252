"""What a recorder costs a memory card: syncs and bytes written in an hour of a call, and when idle.

    python -m tests.bench.bench_wear [--seconds 120] [--directory DIR]

recorderd, `arecord` and `ffmpeg` record the same two channels of 8 kHz from the same software card for
the same time, into segments of a minute. Bytes are those of whole pages that the kernel sent towards
the disk (write_bytes of /proc/PID/io), so DIR must lie on a real one: where a page is written again and
again before it is synced, it counts once. recorderd's call ends within its time: sealing is in its row.
The peers sync nothing; a power cut may cost them whatever the kernel has not written yet, up to half a
minute or a whole file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bench_recorders import processes_of
from tests.daemon.box import Box
from tests.faults.life import SEAL
from tests.softcard import Sink, SoftCard

RATE = 8000
HOOK = 17
SYNCS = "fsync,fdatasync,sync_file_range,msync,syncfs"

CONFIG = """
[site]
name = "bench"
country = "US"
time_zone = "UTC"
[storage]
directory = "{folder}/recordings"
segment_s = 60
[[line]]
name = "front-desk"
[line.audio]
driver = "pyaudio"
device = "line8"
capture_rate_hz = 8000
[line.hook]
driver = "rpi-gpio"
pin = 17
"""

KINDS = {
    "FLAC": CONFIG,
    "WAV": CONFIG.replace("segment_s = 60", 'segment_s = 60\nformat = "wav"'),
    "FLAC sealed": CONFIG + SEAL,
}


@dataclass(frozen=True, slots=True)
class Wear:
    """In some seconds."""

    seconds: float
    syncs: int
    bytes: int

    def row(self, name: str) -> str:
        hourly = 3600 / self.seconds
        megabytes = self.bytes * hourly / 1e6
        return f"{name:44} {self.syncs * hourly:12.0f} {megabytes:12.1f}"


def written_bytes(pids: list[int]) -> int:
    """Sent towards the disk by living processes so far."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = dict(
                line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines()
            )
            total += int(fields["write_bytes"]) - int(fields["cancelled_write_bytes"])
    return total


def syncs_in(trace: Path) -> int:
    return len(re.findall(r"^\d+ +\w*sync\w*\(", trace.read_text(), re.MULTILINE))


@contextmanager
def counted(box: Box, folder: Path, name: str, rows: dict[str, Wear]):
    """Count what the daemon does while the block runs."""
    trace = folder / f"{name}.trace"
    pids = processes_of(box.process.pid)
    targets = [word for pid in pids for word in ("-p", str(pid))]
    tracer = subprocess.Popen(
        ["strace", "-f", "-o", trace, "-e", f"trace={SYNCS}", *targets],
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in pids:
        assert "attached" in tracer.stderr.readline()
    began, before = time.monotonic(), written_bytes(pids)
    yield
    rows[name] = Wear(time.monotonic() - began, 0, written_bytes(pids) - before)
    tracer.terminate()
    tracer.wait()
    tracer.stderr.close()
    rows[name] = Wear(rows[name].seconds, syncs_in(trace), rows[name].bytes)


def run_box(
    folder: Path, card: SoftCard, kind: str, config: str, seconds: float, rows: dict
) -> None:
    folder.mkdir()
    config = config.format(folder=folder)
    with Box(folder, config, {HOOK: 1}, card.environment) as box:
        box.wait_until_said("kind=card name=line8")
        with counted(box, folder, f"recorderd, {kind}, in a call", rows):
            box.pins.set(HOOK, 0)
            time.sleep(seconds)
            box.pins.set(HOOK, 1)
            box.wait_for_records(1)
        with counted(box, folder, f"recorderd, {kind}, idle", rows):
            time.sleep(seconds)


def peers(folder: Path, seconds: float) -> dict[str, list[str]]:
    return {
        "arecord, WAV": [
            "arecord", "-q", "-D", "line8", "-f", "S16_LE", "-r", str(RATE), "-c", "2",
            "--max-file-time", "60", "-d", str(round(seconds)), f"{folder}/arecord.wav",
        ],
        "ffmpeg, FLAC": [
            "ffmpeg", "-loglevel", "error", "-f", "pulse", "-sample_rate", str(RATE), "-channels", "2",
            "-i", "line8.monitor", "-t", str(seconds), "-f", "segment", "-segment_time", "60",
            f"{folder}/ffmpeg%03d.flac",
        ],
    }  # fmt: skip


def run_peers(folder: Path, card: SoftCard, seconds: float, rows: dict) -> None:
    """All of them at once; what they wrote is read off shortly before they end."""
    running = []
    for name, command in peers(folder, seconds).items():
        trace = folder / f"{command[0]}.trace"
        process = subprocess.Popen(
            ["strace", "-f", "--seccomp-bpf", "-o", trace, "-e", f"trace={SYNCS}", *command],
            env={**os.environ, **card.environment},
            stdin=subprocess.DEVNULL,
        )
        running.append((name, process, trace, time.monotonic()))
    seen: dict[str, int] = {}
    while any(process.poll() is None for _, process, _, _ in running):
        for name, process, _, _ in running:
            seen[name] = max(seen.get(name, 0), written_bytes(processes_of(process.pid)))
        time.sleep(0.2)
    for name, _, trace, _ in running:
        rows[name] = Wear(seconds, syncs_in(trace), seen[name])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    rows: dict[str, Wear] = {}
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        folder = Path(name)
        card = SoftCard([Sink("line8", RATE)])
        card.start()
        subprocess.run(
            ["espeak-ng", "-w", folder / "said.wav", "This is a long conversation. " * 60],
            check=True,
        )
        talk = folder / "talk.wav"
        command = ["sox", folder / "said.wav", "-r", str(RATE), "-c", "2", talk]
        subprocess.run([*command, "repeat", str(round(options.seconds / 10) + 9)], check=True)
        player = card.play(talk, "line8")
        for kind, config in KINDS.items():
            run_box(folder / kind, card, kind, config, options.seconds, rows)
        run_peers(folder, card, options.seconds, rows)
        player.terminate()
        player.wait()
        card.close()
    print(f"measured for {options.seconds:.0f} s each")
    print(f"{'two channels of 8 kHz':44} {'syncs/hour':>12} {'MB/hour':>12}")
    for label, wear in rows.items():
        print(wear.row(label))


if __name__ == "__main__":
    main()
