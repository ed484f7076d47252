"""A kill at every call by which the recorder changes its disk, from its start to its end.

    python -m tests.faults.kills [--every K] [--seed N] [--only SYSCALL] [--mutant NAME] [--until-broken]
        [--sealed]

`--every K` takes every K-th call only, beginning at one that the seed picks. Exit 0 when nothing was
broken, 1 when something was.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.faults.life import SEALED
from tests.faults.mutants import MUTANTS
from tests.faults.survey import judge
from tests.faults.traced import SYSCALLS, config_of, count, reference_life, strace, told_in


def kill_at(folder: Path, syscall: str, number: int, mutant: str | None) -> bool:
    """Live until the call; False where there was none."""
    injection = f"inject={syscall}:signal=KILL:when={number}"
    options = ["-o", "/dev/null", "-e", f"trace={syscall}", "-e", injection]
    code = strace(folder, options, mutant)
    assert code in {0, -9}, (folder / "stderr").read_text()
    return code == -9


def main() -> int:
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=SYSCALLS)
    parser.add_argument("--mutant", choices=MUTANTS)
    parser.add_argument("--until-broken", action="store_true")
    parser.add_argument("--sealed", action="store_true")
    options = parser.parse_args()
    if options.sealed:
        os.environ[SEALED] = "1"
    began, kills, broken, lost_s = time.monotonic(), 0, [], [0.0]
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="kills-") as name:
        root = Path(name)
        (root / "reference").mkdir()
        reference = reference_life(root / "reference")
        (root / "counted").mkdir()
        points = [
            (syscall, number)
            for syscall, calls in count(root / "counted", options.mutant).items()
            for number in range(1, calls + 1)
            if options.only in {None, syscall}
        ]
        first = Random(options.seed).randrange(options.every)
        for syscall, number in points[first :: options.every]:
            with tempfile.TemporaryDirectory(dir=root) as place:
                folder = Path(place)
                kills += kill_at(folder, syscall, number, options.mutant)
                directory = folder / "recordings"
                findings = judge(config_of(folder), directory, told_in(folder), reference)
            if findings.breaches:
                broken.append(f"{syscall} {number}: {'; '.join(findings.breaches)}")
            lost_s.append(findings.lost_s or 0)
            if broken and options.until_broken:
                break
    for line in broken[:20]:
        print(line)
    took_s = time.monotonic() - began
    print(
        f"{kills} kills, of {len(points)} calls every {options.every}, in {took_s:.0f} s; "
        f"{len(broken)} broke a promise; worst loss {max(lost_s):.3f} s"
    )
    return 1 if broken or not kills else 0


if __name__ == "__main__":
    sys.exit(main())
