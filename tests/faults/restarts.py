"""The real daemon killed, stopped and stalled in mid-call, over and over, and restarted as systemd does.

    python -m tests.faults.restarts --kills 100 --hangs 20 --stalls 20 [--seed N]

A hang is the whole process stopped; a stall is its writer's thread standing still. Measured is the
time until frames of a new call are in a journal. Exit 0 when every promise was kept.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.supervised import Supervisor, lost_s, pause, wait_until
from tests.faults.survey import (
    LOST_S_MAX,
    call_folders,
    chain_breaches,
    record_of,
    rows_of,
    whole_breaches,
)

CRASH_S_MAX = 3.0
HANG_S_MAX = 12.0

STALL_PINGS_END_S_MAX = 10.0
"""The writer makes a round every five seconds at least, and eight without one are a stall."""


@dataclass(slots=True)
class Tally:
    """Seconds of one kind of trouble, and what it broke."""

    again_s: list[float] = field(default_factory=list)
    lost_s: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def say(self, what: str) -> None:
        if not self.again_s:
            return
        print(
            f"{len(self.again_s)} {what}: recording again after {statistics.median(self.again_s):.2f} s "
            f"(median), {max(self.again_s):.2f} s (worst); lost of the call before: "
            f"{statistics.median(self.lost_s):.2f} s (median), {max(self.lost_s):.2f} s (worst)"
        )


def check_status(supervisor: Supervisor) -> None:
    """The status says that the card is ready and the line is being recorded."""
    path = supervisor.directory / "status.json"

    def look() -> bool | None:
        process = supervisor.process
        if process is None or not path.exists():
            return None
        status = json.loads(path.read_text("utf-8"))
        line = status["lines"]["back"]
        is_recording = line["devices"].get("card") == "ready" and line["state"] == "talking"
        return True if status["pid"] == process.pid and is_recording else None

    wait_until(look, 10, path.read_text)


def one_kill(supervisor: Supervisor, chosen: random.Random, tally: Tally) -> None:
    pause(chosen, 0.2, 4)
    before = set(supervisor.journals())
    assert supervisor.process is not None
    began = time.monotonic()
    supervisor.process.kill()
    supervisor.process.wait()
    left = supervisor.journals()
    supervisor.wait_for_sound(before)
    tally.again_s.append(time.monotonic() - began)
    tally.lost_s += [lost_s(info, began) for info in left.values()]
    check_status(supervisor)


def one_hang(supervisor: Supervisor, chosen: random.Random, tally: Tally) -> None:
    pause(chosen, 1, 4)
    before = supervisor.journals()
    assert supervisor.process is not None
    began = time.monotonic()
    supervisor.process.send_signal(signal.SIGSTOP)
    tally.lost_s += [lost_s(info, began) for info in before.values()]
    supervisor.wait_for_sound(set(before))
    tally.again_s.append(time.monotonic() - began)
    check_status(supervisor)


def one_stall(supervisor: Supervisor, chosen: random.Random, tally: Tally) -> None:
    """The control thread goes on, and it is on it not to ping."""
    pause(chosen, 1, 4)
    before, stall = supervisor.journals(), supervisor.folder / "stall"
    began = time.monotonic()
    stall.touch()
    tally.lost_s += [lost_s(info, began) for info in before.values()]
    kills = supervisor.watchdog_kills
    pinged_at = supervisor.pinged_at or began

    def look() -> bool | None:
        nonlocal pinged_at
        pinged_at = supervisor.pinged_at or pinged_at
        return True if supervisor.watchdog_kills > kills else None

    wait_until(look, 60, lambda: "the pings went on although the writer stood still")
    stall.unlink()
    if pinged_at - began > STALL_PINGS_END_S_MAX:
        tally.broken.append(f"pings went on for {pinged_at - began:.1f} s after a stall")
    supervisor.wait_for_sound(set(before))
    tally.again_s.append(time.monotonic() - began)
    check_status(supervisor)


def check_store(supervisor: Supervisor, calls: int) -> list[str]:
    """After the last stop: every call is there, whole, in the catalogue and in the ledger."""
    directory = supervisor.directory
    folders = {path.name: path for path in call_folders(directory)}
    found = [] if len(folders) == calls else [f"{len(folders)} calls of {calls} are there"]
    for folder in folders.values():
        found += whole_breaches(folder)
        record = record_of(folder)
        if not record["cut"] or record["disposition"] != "recorded":
            found.append(f"{folder.name}: not a recorded call that was cut")
    found += chain_breaches(directory, set(folders))
    if rows_of(directory) != folders:
        found.append("the catalogue does not say what the folders say")
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("kills", "hangs", "stalls"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chosen = random.Random(options.seed)
    kills, hangs, stalls = Tally(), Tally(), Tally()
    with tempfile.TemporaryDirectory(prefix="restarts-") as name:
        with Supervisor(Path(name)) as supervisor:
            supervisor.wait_for_sound(set())
            for _ in range(options.kills):
                one_kill(supervisor, chosen, kills)
            for _ in range(options.hangs):
                one_hang(supervisor, chosen, hangs)
            for _ in range(options.stalls):
                one_stall(supervisor, chosen, stalls)
        broken = check_store(supervisor, options.kills + options.hangs + options.stalls + 1)
    kills.say("kills")
    hangs.say("hangs")
    stalls.say("stalls of the writer")
    for tally, most_s in ((kills, CRASH_S_MAX), (hangs, HANG_S_MAX)):
        tally.broken += [
            f"{again:.2f} s until recording again" for again in tally.again_s if again > most_s
        ]
        tally.broken += [f"{lost:.2f} s lost" for lost in tally.lost_s if lost > LOST_S_MAX]
    broken += [*kills.broken, *hangs.broken, *stalls.broken]
    print("\n".join(broken) or "no promise was broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
