"""Power cuts while the recorder lives: a sample here, 1,000 by the command in the README."""

from __future__ import annotations

import pytest

from tests.faults.mutants import MUTANTS
from tests.faults.size import proof, sized
from tests.softcard import require

pytestmark = pytest.mark.faults

MUTANT_CUTS = 100
"""Each of the mutants is seen long before."""


def test_a_power_cut_at_any_moment_breaks_no_promise():
    require(("fusermount3",), "the file system that loses power")
    code, said = proof("power_cuts", "--cuts", sized(100, 1000))
    print(said)
    assert code == 0, said


@pytest.mark.parametrize("options", [(), ("--sealed",)], ids=["plain", "sealed"])
def test_a_power_cut_in_mid_call_costs_two_seconds_at_most(options):
    require(("fusermount3",), "the file system that loses power")
    code, said = proof("power_cuts", "--mid-call", *options, "--cuts", sized(40, 200))
    print(said)
    assert code == 0, said


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_recorder_with_a_broken_promise_is_found_out(mutant):
    require(("fusermount3",), "the file system that loses power")
    code, said = proof("power_cuts", "--mutant", mutant, "--until-broken", "--cuts", MUTANT_CUTS)
    assert code == 1, said
    assert "broke a promise" in said
