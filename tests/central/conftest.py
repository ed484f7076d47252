"""Archives in memory: what is tested here is the order of things, and not a disk."""

from __future__ import annotations

import pytest

from tests.store.calls import in_memory


@pytest.fixture
def top():
    with in_memory() as folder:
        yield folder
