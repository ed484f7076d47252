"""Durable files: the one place that knows in what order a power cut allows things to be done.

A file is complete or absent: it is written under a temporary name (`.name.part`), synced, renamed,
and then its directory is synced; only after that may anything refer to it. A file descriptor whose
sync failed is never synced again: Linux reports a lost page once and then forgets it, so a second
sync may succeed although the data is gone. Every error becomes a StoreError that says what to do.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from recorderd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = ".part"

_NOT_PERMITTED = (
    "a command: run it as root (sudo); the recorder: give its user the directory (chown)"
)
_MENDS = {
    errno.ENOSPC: "the disk is full: free some space or lower storage.retention_days",
    errno.EDQUOT: "the disk quota is used up: raise it or lower storage.retention_days",
    errno.EROFS: "the file system is read-only: mount it writable, and check the disk with fsck",
    errno.EACCES: _NOT_PERMITTED,
    errno.EPERM: _NOT_PERMITTED,
    errno.ENOENT: "create the directory, or mount the disk that holds it",
    errno.ENOTDIR: "a file stands where a directory should be: move it away",
    errno.EIO: "the disk fails: copy what is on it and replace it",
    errno.EMFILE: "too many files are open: restart recorderd",
}


def store_error(path: Path, error: OSError) -> StoreError:
    """What went wrong with `path`, and what to do about it."""
    mend = _MENDS.get(error.errno or 0, "see the system log (journalctl -k)")
    return StoreError(f"{path}: {error.strerror or error}; {mend}")


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn an OSError about `path` into a StoreError."""
    try:
        yield
    except OSError as error:
        raise store_error(path, error) from error


def part_path(final: Path) -> Path:
    """The temporary name under which `final` is written."""
    return final.with_name(f".{final.name}{PART}")


def is_part(name: str) -> bool:
    """Whether a file name is a temporary one."""
    return name.startswith(".") and name.endswith(PART)


def create(temp: Path, mode: int = 0o640) -> int:
    """Open a new file under a temporary name. Raises OSError.

    What lies there from a failure is not written over but replaced: it must not be synced again.
    """
    discard(temp)
    descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    give_to_owner(temp)
    return descriptor


def give_to_owner(path: Path) -> None:
    """What root makes belongs to whom its directory belongs to: the recorder must be able to read
    what a command of root's has written. Raises OSError."""
    if os.geteuid() == 0:
        own, parent = path.stat(), path.parent.stat()
        if (own.st_uid, own.st_gid) != (parent.st_uid, parent.st_gid):
            os.chown(path, parent.st_uid, parent.st_gid)


def claim_database(path: Path) -> None:
    """Let there be a file for SQLite, which would make it for whoever runs: a database that root has
    made is one that the recorder cannot write. Raises StoreError.

    One that is there is not opened: closing it would take SQLite's locks from another connection of this
    process (fcntl(2), "Record locking").
    """
    with guarded(path):
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        give_to_owner(path)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data`; a full disk may take a part of it and refuse the rest."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_durable(path: Path, data: bytes, mode: int = 0o640) -> None:
    """Let `path` hold exactly `data`, also after a power cut; before that, what it held."""
    temp = part_path(path)
    try:
        with guarded(path):
            descriptor = create(temp, mode)
            try:
                write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temp.replace(path)
    except StoreError:
        discard(temp)
        raise
    fsync_directory(path.parent)


def sync_file(path: Path) -> None:
    """Bring a closed file to the disk, and make the next reader read it from there.

    A new descriptor reports an error of earlier writes that nobody has seen. Dropping the cached
    pages lets a check by decoding see what the disk holds, not what memory does.
    """
    with guarded(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def rename_durable(temp: Path, final: Path) -> None:
    """Give a file that `sync_file` has brought to the disk its final name."""
    with guarded(final):
        temp.replace(final)
    fsync_directory(final.parent)


def remove_durable(path: Path) -> None:
    """Remove a file for good; one that is not there is well removed."""
    with guarded(path), suppress(FileNotFoundError):
        path.unlink()
    fsync_directory(path.parent)


def discard(path: Path) -> None:
    """Remove a file that nothing refers to, if that can be done."""
    with suppress(OSError):
        path.unlink()


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    with guarded(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_UNSYNCED: set[Path] = set()
"""Directories that are there, and whose names a failing disk has not taken yet: whoever finds one
must not take it for durable. A new process syncs all that it finds."""


def make_directory(path: Path, root: Path) -> None:
    """Make `path` below `root`, level by level, durable.

    `root` itself is not made: were the disk that holds it not mounted, calls would go to another.
    """
    if path.is_dir() and not _UNSYNCED:
        return
    level = root
    for name in path.relative_to(root).parts:
        level /= name
        with guarded(level):
            try:
                level.mkdir(0o750)
            except FileExistsError:
                if level not in _UNSYNCED:
                    continue
            else:
                give_to_owner(level)
        _UNSYNCED.add(level)
        fsync_directory(level.parent)
        _UNSYNCED.discard(level)


def path_of(descriptor: int) -> Path:
    """A path of a file that is open in this process, also of one without a name."""
    return Path(f"/proc/self/fd/{descriptor}")


def remove_parts(directory: Path) -> None:
    """Remove what is left of files that a crash kept from being finished."""
    with guarded(directory):
        parts = [path for path in directory.iterdir() if is_part(path.name)]
    for path in parts:
        discard(path)


def sha256_of(path: Path) -> str:
    """SHA-256 of a whole file, in hexadecimal."""
    with guarded(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def hold_directory(directory: Path) -> Iterator[None]:
    """Be the one process that writes the state directory; StoreError where another one does."""
    with guarded(directory):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, directory)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = f"{directory}: another recorderd writes there; stop it first"
        raise StoreError(message) from None
