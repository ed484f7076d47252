"""The servers and archives for the tests of this folder."""

from __future__ import annotations

from tests.archive.places import place, target
from tests.archive.servers import seaweed, sshd

__all__ = ["place", "seaweed", "sshd", "target"]
