"""A sample of `python -m tests.archive.thousand_calls`: a few calls to a real archive."""

from __future__ import annotations

import pytest

from tests.archive.thousand_calls import run

pytestmark = pytest.mark.servers


def test_calls_reach_the_archive_once_whatever_goes_wrong():
    assert run(calls=24, seed=3, short=True)
