"""A disk that refuses, and a disk that is full: a sample here, every call by the README's command."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import suppress

import pytest

from recorderd.units import NS_PER_S
from tests.faults.disk_errors import sound_breaches
from tests.faults.life import DAYS, live, prepare
from tests.faults.size import proof, sized
from tests.faults.survey import Reference, call_folders, record_of
from tests.softcard import require

pytestmark = pytest.mark.faults

DISK_MB = 16
FULL_AT_S = 20
RESUMES_WITHIN_S = 60


def test_a_refusal_at_any_call_is_told_and_costs_nothing_older():
    require(("strace",), "a fault at a chosen call")
    code, said = proof("disk_errors", "--every", sized(30, 1))
    print(said)
    assert code == 0, said


@pytest.fixture
def small_disk(tmp_path):
    mount = tmp_path / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", mount], check=True)
    yield mount
    subprocess.run(["umount", mount], check=True)


def fill(path):
    """Take all that is left of the disk, to the last byte."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\1" * 4096):
            pass
    assert os.statvfs(path).f_bavail == 0


@pytest.mark.parametrize("full_s", [10, 45])
def test_a_disk_that_is_full_for_a_while_in_mid_call(tmp_path, small_disk, full_s):
    (tmp_path / "reference").mkdir()
    day = DAYS["long"]
    config = prepare(tmp_path, tmp_path / "reference" / "recordings", day)
    live(config, day.ends_s, lambda text: None, sound=tmp_path / "heard")
    reference = Reference.of(config.storage.directory, (tmp_path / "heard").read_bytes())

    filler, told_at_s, grew_at_s = small_disk / "filler", [], []
    recordings = small_disk / "recordings"
    frees_at_s = FULL_AT_S + full_s
    sizes = {}

    def hear(text):
        word, _, rest = text.partition(" ")
        if word == "failed":
            told_at_s.append(clock_s())
            assert os.strerror(errno.ENOSPC) in rest
        if word != "now":
            return
        now.append(int(rest))
        if clock_s() >= FULL_AT_S and not sizes.get("filled"):
            sizes["filled"] = True
            fill(filler)
        if clock_s() >= frees_at_s and filler.exists():
            filler.unlink()
        written = sum(path.stat().st_size for path in recordings.rglob("*") if path.is_file())
        if clock_s() > frees_at_s and written > sizes.get("written", 0):
            grew_at_s.append(clock_s())
        sizes["written"] = max(written, sizes.get("written", 0))

    now = [0]

    def clock_s():
        return (now[-1] - now[1]) / NS_PER_S

    live(prepare(tmp_path, recordings, day), day.ends_s, hear)

    assert told_at_s
    assert told_at_s[0] - FULL_AT_S <= 5
    assert grew_at_s[0] - frees_at_s <= RESUMES_WITHIN_S
    (folder,) = call_folders(recordings)
    assert list(sound_breaches(folder, reference)) == []
    gaps = record_of(folder)["gaps"]
    assert {gap["cause"] for gap in gaps} <= {"write-failed"}
    assert bool(gaps) == (full_s > 30)  # what the memory holds beyond the pre-roll
    print(f"full for {full_s} s: told after {told_at_s[0] - FULL_AT_S:.1f} s, recorded again "
          f"{grew_at_s[0] - frees_at_s:.1f} s after there was room, gaps {gaps}")  # fmt: skip
