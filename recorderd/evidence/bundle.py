"""Reading a bundle, folder or ZIP, that may come from anybody.

Nothing is unpacked by name and no link is followed; what is read into memory has a limit. A name is
used only to compare it with the signed list, and to open what stands under it in the bundle itself.
"""

from __future__ import annotations

import io
import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from recorderd.disk import files
from recorderd.errors import StoreError
from recorderd.evidence import zipform
from recorderd.evidence.layout import MANIFEST, NAME_CHARS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

FILES_MAX = 1_000_000
ENTRIES_NAMED_MAX = 20


class Bundle(Protocol):
    """The files of a bundle by their names. `strange` names what has no place in one."""

    sizes: dict[str, int]
    strange: list[str]

    def open(self, name: str) -> BinaryIO:
        """A file of the bundle, to be closed. Raises StoreError."""

    def as_path(self, name: str) -> AbstractContextManager[Path]:
        """A file of the bundle where a decoder can open it."""


@contextmanager
def open_bundle(path: Path) -> Iterator[FolderBundle | ZipBundle]:
    """The bundle at `path`; StoreError where it is none that can be read."""
    if path.is_dir():
        if not (path / MANIFEST).is_file():
            raise StoreError(
                f"{path}: neither a bundle (it has no {MANIFEST}) nor a state directory"
            )
        yield FolderBundle(path)
        return
    with files.guarded(path), path.open("rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise StoreError(f"{path}: neither a folder nor a file")
        try:
            bundle = ZipBundle(file)
        except StoreError as error:
            raise StoreError(f"{path}: {error}") from error
        yield bundle


def read_whole(bundle: FolderBundle | ZipBundle, name: str, bytes_max: int) -> bytes:
    """All of a file that has its limit; StoreError where it is missing or longer."""
    if name not in bundle.sizes:
        raise StoreError(f"{name}: missing")
    if bundle.sizes[name] > bytes_max:
        raise StoreError(f"{name}: longer than any of its kind ({bundle.sizes[name]} bytes)")
    with bundle.open(name) as file:
        return file.read(bytes_max)


class FolderBundle:
    """A bundle as a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.sizes: dict[str, int] = {}
        self.strange: list[str] = []
        with files.guarded(root):
            self._look_through(root, "")

    def open(self, name: str) -> BinaryIO:
        path = self._root / name
        with files.guarded(path):
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")

    @contextmanager
    def as_path(self, name: str) -> Iterator[Path]:
        yield self._root / name

    def _look_through(self, folder: Path, prefix: str) -> None:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        if not entries and prefix:
            self.strange.append(f"{prefix}: an empty folder")
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False) and len(name) < NAME_CHARS_MAX:
                self._look_through(Path(entry.path), f"{name}/")
            elif entry.is_file(follow_symlinks=False):
                self.sizes[name] = entry.stat(follow_symlinks=False).st_size
            else:
                self.strange.append(f"{name}: neither a file nor a folder")
            if len(self.sizes) > FILES_MAX:
                raise StoreError(f"{self._root}: holds more than {FILES_MAX} files")


class ZipBundle:
    """A bundle as a ZIP file of recorderd's own form; each byte of it is compared with that."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._members: dict[str, zipform.Member] = {}
        self.strange: list[str] = []
        for member in zipform.read_zip(file):
            if member.name in self._members:
                self.strange.append(f"{member.name}: there twice")
            self._members[member.name] = member
        self.sizes = {name: member.size for name, member in self._members.items()}

    def open(self, name: str) -> BinaryIO:
        member = self._members[name]
        window = _Window(self._file, member.content_at, member.size)
        return io.BufferedReader(window, zipform.BLOCK_BYTES)

    @contextmanager
    def as_path(self, name: str) -> Iterator[Path]:
        """A copy that is gone afterwards; at most one segment long."""
        with tempfile.NamedTemporaryFile(prefix="recorderd-") as copy:
            with self.open(name) as source:
                while block := source.read(zipform.BLOCK_BYTES):
                    copy.write(block)
            copy.flush()
            yield Path(copy.name)


class _Window(io.RawIOBase):
    """A part of a file as a file of its own. The file itself stays open when this is closed."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        super().__init__()
        self._file = file
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:  # a buffer, for which Python 3.11 has no type
        place = memoryview(buffer).cast("B")
        wanted = max(0, min(len(place), self._size - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(wanted)
        place[: len(data)] = data
        self._at += len(data)
        return len(data)
