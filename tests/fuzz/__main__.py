"""Coverage-guided fuzzing of all that reads what comes from the line or a modem; needs atheris.

    python -m tests.fuzz [--seconds 60] [--only TARGET] [--seed N]
    python -m tests.fuzz --plants [--seconds 90]    # faults put in on purpose: is each one found?

What breaks a target is kept in tests/fuzz/found, where the test suite takes it up. Exit 0: nothing.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.plants import PLANTS
from tests.fuzz.seeds import FOUND, inputs_of
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
START_S = 3
"""What a child takes to begin and to end, of its share."""


def fuzz(
    target: str, seconds: float, seed: int, folder: Path, plant: str = ""
) -> tuple[str, Path | None]:
    """What libFuzzer printed, and the input that broke the target, where one did."""
    corpus, broken = folder / "corpus", folder / "broken"
    corpus.mkdir(parents=True)
    broken.mkdir()
    for place, data in enumerate(inputs_of(target)):
        (corpus / f"seed-{place:03}").write_bytes(data)
    options = [
        f"-max_total_time={max(1, round(seconds - START_S))}",
        f"-max_len={TARGETS[target].length_max}",
        f"-seed={seed}",
        f"-artifact_prefix={broken}/",
        "-timeout=20",
        "-print_final_stats=1",
    ]
    command = [sys.executable, "-m", "tests.fuzz.child", target, plant, *options, str(corpus)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    printed = ended.stdout + ended.stderr
    (found, *_) = [*sorted(broken.glob("*")), None]
    if ended.returncode and found is None:
        raise SystemExit(f"{target}: the fuzzer itself failed\n{printed[-3000:]}")
    return printed, found


def fuzz_all(names: list[str], seconds: float, seed: int) -> int:
    failures = 0
    shares = sum(TARGETS[name].share for name in names)
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            share = seconds * TARGETS[name].share / shares
            printed, found = fuzz(name, share, seed, Path(folder))
            runs = re.search(r"number_of_executed_units:\s*(\d+)", printed)
            cover = re.findall(r"cov: (\d+)", printed)
            print(f"{name:8} {share:4.0f} s  {runs[1] if runs else '?':>9} runs, "
                  f"{cover[-1] if cover else '?':>4} branches", flush=True)  # fmt: skip
            if found is not None:
                failures += 1
                _keep(name, found, printed)
    return failures


def _keep(name: str, found: Path, printed: str) -> None:
    kept = FOUND / name / found.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(found, kept)
    trace = printed.partition(" === Uncaught Python exception: ===")[2].partition("INFO:")[0]
    print(f"{name} is broken by {kept.relative_to(ROOT)}: {kept.read_bytes()!r}\n{trace[:3000]}")


def find_plants(seconds: float, seed: int) -> int:
    """How long each planted fault stayed hidden."""
    missed = 0
    for plant, (target, _) in PLANTS.items():
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            _, found = fuzz(target, seconds / len(PLANTS), seed, Path(folder), plant)
        outcome = "missed" if found is None else f"found after {time.monotonic() - began:.1f} s"
        missed += found is None
        print(f"{plant:40} {target:7} {outcome}", flush=True)
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description="Coverage-guided fuzzing of the parsers.")
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--only", choices=sorted(TARGETS), action="append")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--plants", action="store_true", help="look for faults put in on purpose")
    options = parser.parse_args()
    if options.plants:
        return min(1, find_plants(options.seconds, options.seed))
    return min(1, fuzz_all(options.only or list(TARGETS), options.seconds, options.seed))


if __name__ == "__main__":
    sys.exit(main())
