"""Lives under strace, which kills them or refuses a call of theirs at a chosen place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

from tests.faults.life import DAYS, Board, live, prepare
from tests.faults.survey import Reference, Told

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recorderd.config.values import Config

DAY = "short"

SYSCALLS = (
    "write",
    "pwrite64",
    "ftruncate",
    "fsync",
    "fdatasync",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
    "sync",
)
"""Those by which the recorder changes its disk, as this Python and this SQLite call them: `count`
fails where there are others."""

OTHERS = "renameat,renameat2,unlinkat,mkdirat,link,symlink,truncate,fallocate,pwritev,writev"


def strace(folder: Path, options: Sequence[str], mutant: str | None = None) -> int:
    """A life in `folder` under strace; its exit code, -9 where it was killed.

    Without `--seccomp-bpf`, which is faster and injects nothing in strace 6.1.
    """
    command = ["strace", "-f", "-qq", *options]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [
            *command,
            sys.executable,
            "-m",
            "tests.faults.life",
            folder,
            DAY,
            *([mutant] if mutant else []),
        ],
        env=environment,
        stderr=(folder / "stderr").open("wb"),
        check=False,
    ).returncode


def told_in(folder: Path) -> Told:
    return Told.of(Board.read(folder / "board"))


def config_of(folder: Path) -> Config:
    return prepare(folder, folder / "recordings", DAYS[DAY])


def reference_life(folder: Path) -> Reference:
    """The undisturbed life."""
    config = config_of(folder)
    live(config, DAYS[DAY].ends_s, lambda text: None, sound=folder / "heard")
    return Reference.of(folder / "recordings", (folder / "heard").read_bytes())


def count(folder: Path, mutant: str | None = None) -> dict[str, int]:
    """How often a life makes each of the calls that change its disk."""
    trace = folder / "trace"
    code = strace(folder, ["-o", str(trace), "-e", f"trace={','.join(SYSCALLS)},{OTHERS}"], mutant)
    assert code == 0, (folder / "stderr").read_text()
    found = Counter(re.findall(r"^\d+ +(\w+)\(", trace.read_text("utf-8", "replace"), re.MULTILINE))
    assert not set(found) - set(SYSCALLS), "another call changes the disk: add it to SYSCALLS"
    return dict(found)
