"""The three kinds of archive as the contract suite needs them: empty, and with a second way in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from recorderd.archive.posixfs import MARKER, FolderTarget

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recorderd.archive.target import Target


@dataclass
class Place:
    """An empty archive. `open` makes a connection; `stored` says, by another way, how many objects or
    versions lie under a prefix, unfinished ones too."""

    open: Callable[[], Target]
    stored: Callable[[str], int]


def folder_place(root: Path) -> Place:
    root.mkdir()
    (root / MARKER).touch()

    def stored(prefix: str) -> int:
        files = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        return sum(name.startswith(prefix) for name in files if name != MARKER)

    return Place(lambda: FolderTarget(f"file://{root}"), stored)


@pytest.fixture(
    params=[
        "file",
    ]
)
def place(request, tmp_path):
    return folder_place(tmp_path / "archive")


@pytest.fixture
def target(place):
    target = place.open()
    yield target
    target.close()
