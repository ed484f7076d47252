"""User and system time, and memory, of recorderd beside other recorders on one software card.

    python -m tests.bench.bench_recorders [--seconds 60] [--lines 1 2 4 8]

All record the same card at the same time, two channels at 8 kHz a line. recorderd's row is the daemon
and its sound child together, with the hook off for the whole time; start-up is included, as it is
for the others. Memory is the peak resident set (RSS, which counts shared pages once a process) and
the proportional set (PSS) at the end. "steady" is the second half of the run, as seconds a minute:
opening a capture stream on PulseAudio makes PortAudio spin for a second, which no hardware does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from tests.daemon.box import Box
from tests.softcard import Sink, SoftCard

RATE = 8000
TICKS = os.sysconf("SC_CLK_TCK")

HEAD = """
[site]
name = "bench"
country = "US"
time_zone = "UTC"
[storage]
directory = "{folder}/recordings"
segment_s = 10
"""
LINE = """
[[line]]
name = "line-{number}"
[line.audio]
driver = "pyaudio"
device = "{device}"
capture_rate_hz = 8000
near_channel = {near}
far_channel = {far}
[line.hook]
driver = "rpi-gpio"
pin = {pin}
"""


def processes_of(root: int) -> list[int]:
    """A process and everything below it."""
    found = [root]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) in found:
            found.append(int(stat.parent.name))
    return found


def cpu_s(pids: list[int]) -> tuple[float, float]:
    """User and system seconds of living processes."""
    user = system = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        user += int(fields[11])
        system += int(fields[12])
    return user / TICKS, system / TICKS


def memory_mb(pids: list[int]) -> tuple[float, float]:
    """Peak RSS and present PSS of living processes, summed."""
    peak = share = 0
    for pid in pids:
        for file, key in (("status", "VmHWM:"), ("smaps_rollup", "Pss:")):
            for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
                if line.startswith(key):
                    value = int(line.split()[1])
                    peak, share = (
                        (peak + value, share) if key == "VmHWM:" else (peak, share + value)
                    )
    return peak / 1024, share / 1024


def others(folder: Path, device: str, seconds: int) -> dict[str, list[str]]:
    return {
        "arecord, WAV 10 s": [
            "arecord", "-q", "-D", device, "-f", "S16_LE", "-r", str(RATE), "-c", "2",
            "--max-file-time", "10", "-d", str(seconds), f"{folder}/arecord.wav",
        ],
        "sox, FLAC 10 s": [
            "sox", "-q", "-t", "alsa", device, "-r", str(RATE), "-c", "2", f"{folder}/sox.flac",
            "trim", "0", "10", ":", "newfile", ":", "restart",
        ],
        "ffmpeg -f pulse, -f segment FLAC": [
            "ffmpeg", "-loglevel", "error", "-f", "pulse", "-sample_rate", str(RATE),
            "-channels", "2", "-i", f"{device}.monitor", "-t", str(seconds), "-f", "segment",
            "-segment_time", "10", f"{folder}/pulse%03d.flac",
        ],
        "ffmpeg -f alsa, -f segment FLAC": [
            "ffmpeg", "-loglevel", "error", "-f", "alsa", "-sample_rate", str(RATE),
            "-channels", "2", "-i", device, "-t", str(seconds), "-f", "segment",
            "-segment_time", "10", f"{folder}/alsa%03d.flac",
        ],
    }  # fmt: skip


def measure(process: subprocess.Popen[bytes], seconds: float, rows: dict, name: str) -> None:
    """Watch one recorder until it has run for `seconds`; keep what it used."""
    pids = [process.pid]
    began = time.monotonic()
    used, size = (0.0, 0.0), (0.0, 0.0)
    halfway: float | None = None
    while time.monotonic() - began < seconds - 0.3 and process.poll() is None:
        threading.Event().wait(0.25)
        pids = processes_of(process.pid)
        try:
            used, size = cpu_s(pids), memory_mb(pids)
        except OSError:
            break
        if halfway is None and time.monotonic() - began >= seconds / 2:
            halfway = sum(used)
    steady = (sum(used) - (halfway or 0.0)) * 120 / seconds
    rows[name] = (*used, steady, *size)


def box_config(folder: Path, lines: int, device: str) -> str:
    parts = [HEAD.format(folder=folder)]
    parts += [
        LINE.format(number=n, device=device, near=2 * n + 1, far=2 * n + 2, pin=4 + n)
        for n in range(lines)
    ]
    return "".join(parts)


def run_box(
    folder: Path, card: SoftCard, lines: int, device: str, seconds: int, rows: dict
) -> None:
    folder.mkdir()
    levels = {4 + n: 0 for n in range(lines)}
    with Box(folder, box_config(folder, lines, device), levels, card.environment) as box:
        measure(box.process, seconds, rows, f"recorderd, {lines} line{'s' if lines > 1 else ''}")
        ready = box.ready_after_s
        box.stop()
    rows[f"recorderd, {lines} line{'s' if lines > 1 else ''}"] += (ready,)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--lines", type=int, nargs="*", default=[1, 2, 4, 8])
    options = parser.parse_args()
    rows: dict[str, tuple[float, ...]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        card = SoftCard([Sink("line8", RATE), Sink("wide8", RATE, 16)])
        card.start()
        wav = folder / "talk.wav"
        subprocess.run(
            ["espeak-ng", "-w", folder / "said.wav", "This is a long conversation. " * 60],
            check=True,
        )
        subprocess.run(
            ["sox", folder / "said.wav", "-r", str(RATE), "-c", "2", wav, "repeat", "9"], check=True
        )
        environment = {**os.environ, **card.environment}
        watchers = []
        for label, command in others(folder, "line8", options.seconds).items():
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
            watcher = threading.Thread(target=measure, args=(process, options.seconds, rows, label))
            watcher.start()
            watchers.append((watcher, process))
        # A null sink that plays already would give its first capture block seconds later, and
        # PortAudio spins until then.
        starter = threading.Timer(3, lambda: players.append(card.play(wav, "line8")))
        players: list[subprocess.Popen[bytes]] = []
        starter.start()
        run_box(folder / "one", card, 1, "line8", options.seconds, rows)
        for watcher, process in watchers:
            watcher.join()
            process.terminate()
            process.wait()
        for lines in options.lines[1:]:
            run_box(folder / f"lines{lines}", card, lines, "wide8", options.seconds, rows)
        for player in players:
            player.terminate()
            player.wait()
        card.close()
    print(f"{options.seconds} s of a two-channel 8 kHz line")
    print(
        f"{'recorder':34} {'user s':>7} {'sys s':>7} {'sum s':>7} {'steady s/min':>13} {'RSS MB':>7} {'PSS MB':>7} {'ready s':>8}"
    )
    for label, (user, system, steady, peak, share, *ready) in rows.items():
        ready_text = f"{ready[0]:8.2f}" if ready else ""
        print(
            f"{label:34} {user:7.2f} {system:7.2f} {user + system:7.2f} {steady:13.2f} {peak:7.1f} {share:7.1f} {ready_text}"
        )


if __name__ == "__main__":
    main()
