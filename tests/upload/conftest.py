from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.store.calls import in_memory
from tests.upload.box import Box


@pytest.fixture
def make_box():
    """Boxes in memory, closed after the test."""
    with ExitStack() as opened:

        def make(calls=0, **archive):
            box = Box(opened.enter_context(in_memory()), calls, **archive)
            opened.callback(box.close)
            return box

        yield make
