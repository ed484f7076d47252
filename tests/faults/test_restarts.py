"""Killed, stopped and stalled in mid-call: a few of each here, many by the README's command."""

from __future__ import annotations

import pytest

from tests.faults.size import proof, sized

pytestmark = [pytest.mark.faults, pytest.mark.realtime]


@pytest.mark.parametrize(
    ("trouble", "sample", "full"), [("kills", 5, 100), ("hangs", 2, 20), ("stalls", 1, 20)]
)
def test_it_records_again_soon(trouble, sample, full):
    code, said = proof("restarts", f"--{trouble}", sized(sample, full))
    print(said)
    assert code == 0, said
