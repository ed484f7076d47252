"""What the proofs take for granted of their tools, shown on a program of three lines."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.softcard import require

pytestmark = pytest.mark.faults

WRITER = "import os, sys\nfor number in range(5):\n    os.write(1, b'%d' % number)"


def written_under(tmp_path, injection):
    require(("strace",), "a fault at a chosen call")
    command = ["strace", "-f", "-o", tmp_path / "trace", "-e", f"inject={injection}"]
    return subprocess.run(
        [*command, sys.executable, "-c", WRITER], capture_output=True, check=False
    )


def test_strace_kills_before_the_chosen_call_has_its_effect(tmp_path):
    done = written_under(tmp_path, "write:signal=KILL:when=3")
    assert done.returncode == -9
    assert done.stdout == b"01"


def test_strace_refuses_the_chosen_call_without_its_effect(tmp_path):
    done = written_under(tmp_path, "write:error=ENOSPC:when=3")
    assert b"[Errno 28]" in done.stderr
    assert done.stdout == b"01"
