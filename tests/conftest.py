"""What every test leaves behind is closed: from Python 3.13 on an open database is a warning."""

from __future__ import annotations

import pytest

from tests.store.calls import OFFICES


@pytest.fixture(autouse=True)
def closed_offices():
    yield
    while OFFICES:
        OFFICES.pop().writer.close()
