"""python -m tests.simulate --seed N --days D [--seeds K]"""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulate.run import FailedError, simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="this many seeds, one after another")
    parser.add_argument("--troubles", type=int, help="this many a day, not as the seed chooses")
    parser.add_argument("--trace", action="store_true", help="show every fact")
    options = parser.parse_args()
    for seed in range(options.seed, options.seed + options.seeds):
        began = time.monotonic()
        try:
            outcome = simulate(
                seed,
                options.days,
                print if options.seeds == 1 else lambda _line: None,
                troubles=options.troubles,
                traced=options.trace,
            )
        except FailedError as error:
            print(error, file=sys.stderr)
            return 1
        if options.seeds == 1:
            for what, count in outcome.counts.items():
                print(f"  {what:40} {count:9}")
        took_s = time.monotonic() - began
        print(
            f"seed {seed}: {options.days} days in {took_s:.1f} s, digest {outcome.digest[:16]}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
