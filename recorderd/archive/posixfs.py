"""An archive in a folder: a mounted NAS, or a disk (file://).

A mount that is away shows the empty folder under it, on the system's own disk, which must not be
filled. So a marker file lies in the archive, which a person makes once, and each operation opens the
folder, finds the marker in it, and then reaches everything through that open folder: if the mount goes
meanwhile, the open folder goes with it, and no path leads to the disk underneath.

An object is written under a temporary name of this attempt alone, synced, read back from the disk and
compared, and only then gets its name by a hard link, which never replaces a file. Where the file system
has no hard links (FAT, some SMB servers), it is renamed after a look whether the name is free: of two
writers that look at one moment the second one's object stays, a whole one in any case.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from recorderd.archive.target import (
    BLOCK_BYTES,
    Content,
    Held,
    Listed,
    levels_of,
    part_name,
    parts_of,
    proven_blocks,
    without_parts,
)
from recorderd.disk import files
from recorderd.errors import (
    ArchiveError,
    ExistsError,
    RecorderdError,
    RefusedError,
    TryAgainError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MARKER = "recorderd-archive"

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC

_REFUSED = {
    errno.EACCES: "recorderd may not write there: give its user the folder (chown on the NAS)",
    errno.EPERM: "recorderd may not write there: give its user the folder (chown on the NAS)",
    errno.EROFS: "it is mounted read-only: mount it writable",
    errno.ENOTDIR: "a file stands where a folder should be: move it away",
    errno.EISDIR: "a folder stands where a file should be: move it away",
    errno.ELOOP: "a symbolic link stands there: move it away",
    errno.ENAMETOOLONG: "its file system takes no such long names: use another one",
}
"""What only a person can mend; anything else may be better the next time."""

_AGAIN = {
    errno.ENOSPC: "the archive is full: free some space, or add some",
    errno.EDQUOT: "the quota of the archive is used up: raise it",
    errno.ESTALE: "the server has forgotten this mount: mount it anew",
}

_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What link() says where a file system has none: EPERM by Linux, the others by servers (link(2))."""

_NO_FOLDER_SYNC = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}
"""fsync() of a folder, where a network file system leaves that to its server (fsync(2))."""


class FolderTarget:
    """An archive in a folder of this machine's file system."""

    def __init__(self, url: str) -> None:
        self.name = url
        self._root = Path(unquote(url.removeprefix("file://")))
        self._read_back: tuple[str, Held, tuple[int, ...]] | None = (
            None  # the last put, and its file
        )

    def put(self, key: str, content: Content) -> None:
        with self._folder_of(key, make=True) as (folder, name):
            if _exists(folder, name):
                _clear_parts(folder, name)
                raise ExistsError(f"{self.name}: {key} is there already")
            part = part_name(name)
            with self._attempt(folder, part, key):
                _write(folder, part, proven_blocks(content))
                self._compare(folder, part, key, content)
                self._give_name(folder, part, name, key)
            _clear_parts(folder, name)
            _sync(folder)
            file = _identity(os.stat(name, dir_fd=folder))
            self._read_back = (key, Held(content.size, content.sha256), file)

    @contextmanager
    def _attempt(self, folder: int, part: str, key: str) -> Iterator[None]:
        """Leave nothing of an attempt that fails. Where its part is gone, another writer of the key was
        faster and has cleared it away."""
        try:
            yield
        except FileNotFoundError:
            raise TryAgainError(f"{self.name}: {key}: its part was removed meanwhile") from None
        except (OSError, RecorderdError):
            _discard(folder, part)
            raise

    def _compare(self, folder: int, part: str, key: str, content: Content) -> None:
        digest = hashlib.sha256()
        for block in _read(folder, part):
            digest.update(block)
        if digest.hexdigest() != content.sha256:
            raise TryAgainError(
                f"{self.name}: {key}: what was read back is not what was written: look after that "
                "disk and the way to it"
            )

    def _give_name(self, folder: int, part: str, name: str, key: str) -> None:
        try:
            os.link(part, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            raise ExistsError(f"{self.name}: {key} is there already") from None
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            if _exists(folder, name):
                raise ExistsError(f"{self.name}: {key} is there already") from None
            os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)

    def replace(self, key: str, data: bytes) -> None:
        with self._folder_of(key, make=True) as (folder, name):
            part = part_name(name)
            with self._attempt(folder, part, key):
                _write(folder, part, iter((data,)))
                os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
            _sync(folder)

    def look(self, key: str) -> Held | None:
        """What lies there; its SHA-256 only where it was just put and read back by us."""
        try:
            with self._folder_of(key) as (folder, name):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except _AbsentError:
            return None
        if self._read_back is not None:
            put, held, file = self._read_back
            if (put, file) == (key, _identity(found)):
                return held
        return Held(found.st_size, None)

    def read(self, key: str) -> Iterator[bytes]:
        with self._folder_of(key) as (folder, name):
            yield from _read(folder, name)

    def list(self, prefix: str) -> Iterator[Listed]:
        above, _, _ = prefix.rpartition("/")
        levels = levels_of(above) if above else []
        try:
            with self._root_folder() as root, self._below(root, levels, above) as folder:
                yield from self._walk(folder, f"{above}/" if above else "", prefix)
        except _AbsentError:
            return

    def _walk(self, folder: int, above: str, prefix: str) -> Iterator[Listed]:
        with os.scandir(folder) as entries:
            found = {
                entry.name: entry.is_dir(follow_symlinks=False)
                for entry in entries
                if not entry.is_symlink()
            }
        if not above:
            found.pop(MARKER, None)
        # With its slash a folder stands where the keys in it do.
        for name in sorted(name + "/" * found[name] for name in without_parts(found)):
            key = above + name
            if name.endswith("/"):
                if key.startswith(prefix) or prefix.startswith(key):
                    inner = os.open(name, _FOLDER, dir_fd=folder)
                    try:
                        yield from self._walk(inner, key, prefix)
                    finally:
                        os.close(inner)
            elif key.startswith(prefix):
                with suppress(FileNotFoundError):  # removed meanwhile
                    size = os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
                    yield Listed(key, size)

    def remove(self, key: str) -> None:
        with suppress(_AbsentError), self._folder_of(key) as (folder, name):
            os.unlink(name, dir_fd=folder)
            _sync(folder)

    def close(self) -> None:
        """Nothing is kept open."""

    @contextmanager
    def _folder_of(self, key: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The folder of a key, open, and the name in it. Raises this archive's errors."""
        *above, name = levels_of(key)
        with self._root_folder() as root, self._below(root, above, key, make=make) as folder:
            yield folder, name

    @contextmanager
    def _root_folder(self) -> Iterator[int]:
        """The archive's folder, open, with the marker in it."""
        try:
            root = os.open(self._root, _FOLDER & ~os.O_NOFOLLOW)
        except FileNotFoundError:
            raise self._away() from None
        except OSError as error:
            raise self._error(str(self._root), error) from error
        try:
            with self._guarded(MARKER):
                is_there = _exists(root, MARKER)
            if not is_there:
                raise self._away()
            yield root
        finally:
            os.close(root)

    @contextmanager
    def _below(
        self, root: int, levels: Sequence[str], key: str, *, make: bool = False
    ) -> Iterator[int]:
        """The folder at these levels, open; _AbsentError where it, or what is looked for in it, is not."""
        with self._guarded(key):
            folder = os.dup(root)
            try:
                for level in levels:
                    inner = _entered(folder, level, make=make)
                    os.close(folder)
                    folder = inner
                yield folder
            finally:
                os.close(folder)

    def _away(self) -> TryAgainError:
        return TryAgainError(
            f"{self.name}: no file {MARKER} is there: is the archive mounted? If this folder is a "
            f"new one, make it an archive once with: touch {self._root / MARKER}"
        )

    @contextmanager
    def _guarded(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise _AbsentError(f"{self.name}: there is no {key}") from error
        except OSError as error:
            raise self._error(key, error) from error

    def _error(self, key: str, error: OSError) -> ArchiveError:
        number = error.errno or 0
        text = f"{self.name}: {key}: {error.strerror or error}"
        if mend := _REFUSED.get(number):
            return RefusedError(f"{text}; {mend}")
        return TryAgainError(f"{text}; {_AGAIN.get(number, 'look after the mount and its server')}")


class _AbsentError(RefusedError):
    """There is no such object."""


def _identity(found: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is replaced or written to."""
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _discard(folder: int, name: str) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=folder)


def _clear_parts(folder: int, name: str) -> None:
    """Clear away what is left of attempts to write an object that is there."""
    for part in parts_of(name, os.listdir(folder)):
        _discard(folder, part)


def _entered(folder: int, level: str, *, make: bool) -> int:
    """A folder in a folder, open; with `make` it is made, and durable. Raises OSError."""
    if make:
        with suppress(FileExistsError):
            os.mkdir(level, 0o750, dir_fd=folder)
        _sync(folder)  # also of one that was found: whoever made it may have been cut here
    return os.open(level, _FOLDER, dir_fd=folder)


def _sync(folder: int) -> None:
    """Make the names in a folder durable. Raises OSError."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _write(folder: int, name: str, blocks: Iterator[bytes]) -> None:
    """Write a new file, bring it to the disk and out of the memory. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o640, dir_fd=folder)
    try:
        for block in blocks:
            files.write_all(descriptor, block)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _read(folder: int, name: str) -> Iterator[bytes]:
    """The blocks of a file. Raises OSError."""
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        while block := os.read(descriptor, BLOCK_BYTES):
            yield block
    finally:
        os.close(descriptor)
