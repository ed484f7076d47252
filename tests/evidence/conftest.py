"""One filled store for the tests that only read it, and one for those that do not."""

from __future__ import annotations

import pytest

from tests.evidence.stores import Store, short_files
from tests.store.calls import in_memory


@pytest.fixture
def top():
    """A folder in memory."""
    with in_memory() as folder:
        yield folder


@pytest.fixture
def store(top):
    """The office of stores.py."""
    (top / "store").mkdir()
    with short_files():
        yield Store(top / "store").fill()
