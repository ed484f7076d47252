"""Power cuts: a life on a disk that loses what was not synced, and a judgement of what is left.

    python -m tests.faults.power_cuts --cuts 1000 [--seed N] [--mid-call] [--sealed]
    python -m tests.faults.power_cuts --cuts 100 --mutant NAME [--until-broken]

`--mid-call` counts only cuts in the middle of a call, and keeps nothing that was not synced.
`--sealed` lets the recorder seal its calls; what is left is opened with the supervisor's key.

Exit 0 when nothing was broken, 1 when something was.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.faults.disk import SURVIVORS
from tests.faults.life import DAYS, SEALED, live, prepare
from tests.faults.mutants import MUTANTS, mutated
from tests.faults.powerfs import CUT, OPERATIONS, SYNCED, mounted
from tests.faults.survey import Findings, Reference, Told, judge

if TYPE_CHECKING:
    from recorderd.config.values import Config

DAY = DAYS["busy"]

AGAIN_SHARE = 0.25
"""Of the cuts, so many are followed by a second one, at the start after it."""

AGAIN_OPERATIONS = 150
"""A start with its recovery does about so many."""


@dataclass(slots=True)
class Tally:
    """What came of all cuts."""

    cuts: int = 0
    broken: list[str] = field(default_factory=list)
    lost_s: list[float] = field(default_factory=list)
    set_aside: int = 0
    acknowledged: int = 0

    def add(self, what: str, findings: Findings, told: Told) -> None:
        self.cuts += 1
        self.acknowledged += len(told.filed)
        self.set_aside += findings.set_aside
        if findings.breaches:
            self.broken.append(f"{what}: {'; '.join(findings.breaches)}")
        if findings.lost_s is not None:
            self.lost_s.append(findings.lost_s)


class Bench:
    """A mount, a folder in memory for what is left, and lives in processes of their own."""

    def __init__(self, folder: Path, mutant: str | None) -> None:
        self.folder = folder
        self.mount = folder / "mount"
        self._mutant = mutant
        self._disks = 0

    def new_disk(self) -> Path:
        self._disks += 1
        disk = self.mount / f"disk-{self._disks}"
        disk.mkdir()
        return disk

    def config(self, disk: Path) -> Config:
        return prepare(self.folder, disk, DAY)

    def live(
        self, disk: Path, order: dict | None = None, name: str = "call", sound: Path | None = None
    ) -> Told:
        """A life on `disk`, with the order for its cut; OSError where it ends in another way."""

        def tell(text: str) -> None:
            os.write(writer, f"{text}\n".encode())

        config = self.config(disk)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(reader)
                if order is not None:
                    own = {**order, "process": os.getpid()}
                    os.setxattr(disk, CUT, json.dumps(own).encode())
                with mutated(self._mutant):
                    live(config, DAY.ends_s, tell, name, sound)
                status = 0
            except Exception:  # noqa: BLE001  (a child of a fork must not go on as its parent does)
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            text = pipe.read().decode()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in {0, -9}:
            raise OSError(f"the life ended with status {status}")
        return Told.of(text)

    @contextmanager
    def remains(self):
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="remains-") as left:
            yield Path(left) / "recordings"

    def cut_if_alive(self, disk: Path, order: dict, left: Path) -> None:
        """Where the life was over before its cut, the power goes now. The disk is done with."""
        if not left.exists():
            os.setxattr(disk, CUT, json.dumps({**order, "operation": 0, "process": None}).encode())
            with suppress(OSError):
                (disk / "after").mkdir()
        assert left.exists(), "the disk did not lose its power"
        disk.rmdir()

    def load(self, left: Path, disk: Path) -> None:
        """The remains on a new disk, all of them synced."""
        shutil.copytree(left, disk, dirs_exist_ok=True)
        os.setxattr(disk, SYNCED, b"")


def reference_life(bench: Bench) -> tuple[Reference, int]:
    """The undisturbed life, and how many operations it did on its disk."""
    disk = bench.new_disk()
    sound = bench.folder / "heard"
    bench.live(disk, sound=sound)
    operations = int(os.getxattr(disk, OPERATIONS))
    return Reference.of(disk, sound.read_bytes()), operations


@dataclass(frozen=True, slots=True)
class Plan:
    """What kind of cuts, and how many."""

    cuts: int
    seed: int
    is_mid_call: bool = False
    is_until_broken: bool = False


class Cutter:
    """Cuts the power of one life after the other."""

    def __init__(self, bench: Bench, plan: Plan) -> None:
        self.tally = Tally()
        self._bench = bench
        self._plan = plan
        self._reference, self._operations = reference_life(bench)

    def run(self) -> None:
        number = 0
        while self.tally.cuts < self._plan.cuts:
            if self._plan.is_until_broken and self.tally.broken:
                break
            self._cut(number, Random(f"{self._plan.seed}/{number}"))
            number += 1

    def _cut(self, number: int, random: Random) -> None:
        with self._bench.remains() as left:
            order = {
                "operation": random.randint(1, self._operations),
                "survivors": "synced" if self._plan.is_mid_call else random.choice(SURVIVORS),
                "seed": random.random(),
                "remains": str(left),
            }
            told = self._live_until(order, left)
            what = f"cut {number} at operation {order['operation']}, kept: {order['survivors']}"
            if self._plan.is_mid_call:
                if not self._is_mid_call(told):
                    return
            elif random.random() < AGAIN_SHARE:
                again = {**order, "operation": random.randint(1, AGAIN_OPERATIONS)}
                what += f", again at {again['operation']}"
                told = self._live_again(again, left, told)
            config = self._bench.config(left)
            try:
                findings = judge(config, left, told, self._reference)
            except Exception as error:  # noqa: BLE001  (what cannot even be judged is broken)
                findings = Findings([repr(error)])
            self.tally.add(what, findings, told)

    def _live_until(self, order: dict, left: Path) -> Told:
        disk = self._bench.new_disk()
        told = self._bench.live(disk, order)
        self._bench.cut_if_alive(disk, order, left)
        return told

    def _live_again(self, order: dict, left: Path, before: Told) -> Told:
        """Another life on what is left, which leaves other remains."""
        disk = self._bench.new_disk()
        self._bench.load(left, disk)
        shutil.rmtree(left)
        told = self._bench.live(disk, order, "later")
        self._bench.cut_if_alive(disk, order, left)
        return Told(before.filed | told.filed, before.now)

    def _is_mid_call(self, told: Told) -> bool:
        now = told.now
        return now is not None and any(
            call.started < now < call.ended for call in self._reference.calls.values()
        )


def run(plan: Plan, mutant: str | None = None) -> Tally:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="cuts-") as name:
        folder = Path(name)
        (folder / "mount").mkdir()
        with mounted(folder / "mount"):
            cutter = Cutter(Bench(folder, mutant), plan)
            cutter.run()
    return cutter.tally


def main() -> int:
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser()
    parser.add_argument("--cuts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mid-call", action="store_true")
    parser.add_argument("--mutant", choices=MUTANTS)
    parser.add_argument("--until-broken", action="store_true")
    parser.add_argument("--sealed", action="store_true")
    options = parser.parse_args()
    if options.sealed:
        os.environ[SEALED] = "1"
    began = time.monotonic()
    plan = Plan(options.cuts, options.seed, options.mid_call, options.until_broken)
    tally = run(plan, options.mutant)
    took_s = time.monotonic() - began
    for line in tally.broken[:20]:
        print(line)
    print(
        f"{tally.cuts} cuts in {took_s:.0f} s ({took_s / max(1, tally.cuts):.2f} s each), "
        f"{len(tally.broken)} broke a promise; {tally.acknowledged} calls were acknowledged; "
        f"{tally.set_aside} journals were set aside"
    )
    if tally.lost_s:
        print(
            f"loss of the calls that were open: median {statistics.median(tally.lost_s):.3f} s, "
            f"worst {max(tally.lost_s):.3f} s"
        )
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
