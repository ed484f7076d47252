"""A kill at calls all over the recorder's life: a sample here, every one by the README's command."""

from __future__ import annotations

import pytest

from tests.faults.size import proof, sized
from tests.softcard import require

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("options", [(), ("--sealed",)], ids=["plain", "sealed"])
def test_a_kill_at_any_call_breaks_no_promise(options):
    require(("strace",), "a kill at a chosen call")
    code, said = proof("kills", *options, "--every", sized(12, 1))
    print(said)
    assert code == 0, said


def test_a_row_before_its_record_is_found_out():
    require(("strace",), "a kill at a chosen call")
    code, said = proof("kills", "--mutant", "row-first", "--only", "rename", "--until-broken")
    assert code == 1, said
    assert "points nowhere" in said
