"""Some hundred alterations and some clean ones; `python -m tests.faults.mutate` does ten thousand."""

from __future__ import annotations

from tests.faults.alterations import CLASSES
from tests.faults.mutate import run_clean, run_mutations

COUNT = 400
CLEAN = 40


def test_every_alteration_is_found():
    tried, missed = run_mutations(COUNT, seed=2)
    assert not missed
    assert sum(tried.values()) == COUNT
    assert {kind for _, kind in tried} == set(CLASSES)


def test_no_clean_one_is_an_alarm():
    assert not run_clean(CLEAN, seed=2)
