"""For every test: what it leaves behind is closed, and no property has a deadline."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.store.calls import OFFICES

# Machines are noisy: speed is measured in tests/bench, beside a peer, and never asserted.
settings.register_profile("recorderd", deadline=None)
settings.load_profile("recorderd")


@pytest.fixture(autouse=True)
def closed_offices():
    """From Python 3.13 on an open database is a warning."""
    yield
    while OFFICES:
        OFFICES.pop().writer.close()
