"""The three kinds of archive as the contract suite needs them: empty, and with a second way in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from recorderd.archive.posixfs import MARKER, FolderTarget
from recorderd.archive.s3 import S3Target
from recorderd.archive.sftp import SftpTarget
from tests.archive.archives import archive_of, credentials_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recorderd.archive.target import Target
    from tests.archive.servers import Seaweed, SshServer


@dataclass
class Place:
    """An empty archive. `open` makes a connection; `stored` says, by another way, how many objects or
    versions lie under a prefix, unfinished ones too."""

    open: Callable[[], Target]
    stored: Callable[[str], int]


def folder_place(root: Path) -> Place:
    root.mkdir()
    (root / MARKER).touch()
    return Place(lambda: FolderTarget(f"file://{root}"), lambda prefix: _files(root, prefix))


def _files(root: Path, prefix: str) -> int:
    found = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    return sum(name.startswith(prefix) for name in found if name != MARKER)


def bucket_place(seaweed: Seaweed, folder: Path) -> Place:
    """A bucket that keeps versions, and a prefix in it."""
    bucket, _, prefix = seaweed.new_prefix().partition("/")
    archive = archive_of(
        f"s3://{bucket}/{prefix}",
        endpoint=seaweed.endpoint,
        credentials=credentials_file(folder, seaweed.admin),
    )
    return Place(
        lambda: S3Target(archive),
        lambda under: seaweed.versions(bucket, f"{prefix}/{under}"),
    )


def sftp_place(sshd: SshServer, root: Path) -> Place:
    root.mkdir()
    archive = archive_of(sshd.url(root), credentials=sshd.private_key, host_key=sshd.host_key)
    return Place(lambda: SftpTarget(archive), lambda prefix: _files(root, prefix))


@pytest.fixture(
    params=[
        "file",
        pytest.param("s3", marks=pytest.mark.servers),
        pytest.param("sftp", marks=pytest.mark.servers),
    ]
)
def place(request, tmp_path):
    if request.param == "file":
        return folder_place(tmp_path / "archive")
    if request.param == "sftp":
        return sftp_place(request.getfixturevalue("sshd"), tmp_path / "archive")
    return bucket_place(request.getfixturevalue("seaweed"), tmp_path)


@pytest.fixture
def target(place):
    target = place.open()
    yield target
    target.close()
