"""The servers for the tests of this folder."""

from __future__ import annotations

from tests.archive.servers import seaweed

__all__ = ["seaweed"]
