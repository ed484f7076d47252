"""One guest for the whole story: the files and the tests in them go on where the one before ended."""

from __future__ import annotations

import pytest

from tests.archive.servers import seaweed, sshd
from tests.rig.box import Box, figure

__all__ = ["seaweed", "sshd"]


@pytest.fixture(scope="session")
def box(tmp_path_factory):
    box = Box(tmp_path_factory.mktemp("rig"))
    box.put_release("release")
    with box.machine:
        figure("boot", box.machine.start())
        yield box
