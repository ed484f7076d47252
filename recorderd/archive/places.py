"""Which archive a URL means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.archive.posixfs import FolderTarget
from recorderd.archive.s3 import S3Target
from recorderd.config.checks import NO_ASYNCSSH
from recorderd.errors import RefusedError

if TYPE_CHECKING:
    from recorderd.archive.target import Target
    from recorderd.config.values import Archive


def open_target(archive: Archive) -> Target:
    """A connection to the archive, for one thread; nothing is sent yet. RefusedError where the
    package that it needs is not installed."""
    kind = archive.url.partition("://")[0]
    if kind == "s3":
        return S3Target(archive)
    if kind == "sftp":
        return _sftp_target(archive)
    assert kind == "file", "the configuration lets no other through"
    return FolderTarget(archive.url)


def _sftp_target(archive: Archive) -> Target:
    try:
        from recorderd.archive.sftp import SftpTarget  # noqa: PLC0415  (it takes half a second and 20 MB)
    except ImportError as error:
        raise RefusedError(f"{archive.url}: {NO_ASYNCSSH}") from error
    return SftpTarget(archive)
