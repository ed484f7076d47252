"""A machine that can be switched off at any file operation, and what is then left on its disk.

`Machine.installed` puts counters into the calls through which files are changed: those of `os`,
and the three that work in C (encoding, tagging, a row of the catalogue). The n-th raises `Killed`,
and so does everything after it: a dead process does no tidying up.

What is left depends on how it died. A killed process leaves all it did. A power cut leaves what was
synced: file contents as of their last fsync, names as of the last fsync of their directory; or, since
names may reach the disk earlier than that, new names with old contents. SQLite's own files are taken
as they are: that it keeps its promises is not what is tested here.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from recorderd.media import codec, tags
from recorderd.store.catalogue import Catalogue

OPERATIONS = (
    "open",
    "write",
    "fsync",
    "fdatasync",
    "rename",
    "replace",
    "unlink",
    "mkdir",
    "rmdir",
)
IN_C = ((codec, "encode_segment"), (tags, "write_tagged"), (Catalogue, "add"))


class Killed(BaseException):
    """The process is dead."""


class Machine:
    """Must stand on a file system that gives out no inode number twice (tmpfs)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.operations = 0
        self.kill_at: int | None = None
        self.log: list[str] = []
        self._contents: dict[int, bytes] = {}  # of an inode, at its last sync
        self._names: dict[int, dict[str, int]] = {}  # of a directory's inode, at its last sync
        self._real = {name: getattr(os, name) for name in OPERATIONS}
        for path in (root, *root.rglob("*")):  # what was there before is on the disk
            if path.is_dir():
                names = {entry.name: entry.inode() for entry in os.scandir(path)}
                self._names[path.stat().st_ino] = names
            else:
                self._contents[path.stat().st_ino] = path.read_bytes()

    @contextmanager
    def installed(self):
        with self._patches(), self._patches_in_c():
            yield

    @contextmanager
    def _patches(self):
        wrapped = {name: self._wrapped(name) for name in OPERATIONS}
        with patch.multiple(os, **wrapped):
            yield

    @contextmanager
    def _patches_in_c(self):
        (codec_, encode), (tags_, tag), (catalogue, add) = IN_C
        with (
            patch.object(codec_, encode, self._both_sides(codec_, encode)),
            patch.object(tags_, tag, self._both_sides(tags_, tag)),
            patch.object(catalogue, add, self._both_sides(catalogue, add)),
        ):
            yield

    def _count(self, what: str) -> None:
        self.operations += 1
        self.log.append(what)
        if self.kill_at is not None and self.operations >= self.kill_at:
            raise Killed(what)

    def _wrapped(self, name):
        real = self._real[name]

        def operation(*args, **kwargs):
            if name == "open" and not args[1] & os.O_CREAT:
                return real(*args, **kwargs)
            self._count(f"{name} {self._subject(args[0])}")
            result = real(*args, **kwargs)
            if name in {"fsync", "fdatasync"}:
                self._synced(args[0])
            return result

        return operation

    def _subject(self, target) -> str:
        path = (
            str(Path(f"/proc/self/fd/{target}").readlink())
            if isinstance(target, int)
            else str(target)
        )
        return str(Path(path).relative_to(self.root)) if path.startswith(str(self.root)) else path

    def _both_sides(self, owner, name):
        real = getattr(owner, name)

        def operation(*args, **kwargs):
            self._count(f"before {name}")
            result = real(*args, **kwargs)
            self._count(f"after {name}")
            return result

        return operation

    def _synced(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}")  # leads also to a file without a name
        inode = os.fstat(descriptor).st_ino
        if path.is_dir():
            self._names[inode] = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            self._contents[inode] = path.read_bytes()

    # ------------------------------------------------------------ what is left

    def remains(self, target: Path, *, names: str, contents: str) -> None:
        """Build in `target` what the disk holds: `names` and `contents` "synced" or "all"."""
        current = self._by_inode(self.root)
        self._rebuild(self.root.stat().st_ino, target, current, names, contents)
        for path in self.root.glob("catalogue.sqlite*"):
            (target / path.name).write_bytes(path.read_bytes())

    def _by_inode(self, folder: Path) -> dict[int, Path]:
        return {path.stat().st_ino: path for path in folder.rglob("*")} | {
            folder.stat().st_ino: folder
        }

    def _rebuild(self, inode, target, current, names, contents) -> None:
        target.mkdir(exist_ok=True)
        if names == "all":
            entries = {entry.name: entry.inode() for entry in os.scandir(current[inode])}
        else:
            entries = self._names.get(inode, {})
        for name, child in entries.items():
            is_folder = child in self._names or (child in current and current[child].is_dir())
            if name.startswith("catalogue.sqlite"):
                continue
            if is_folder:
                self._rebuild(child, target / name, current, names, contents)
            elif contents == "all" and child in current:
                (target / name).write_bytes(current[child].read_bytes())
            else:
                (target / name).write_bytes(self._contents.get(child, b""))
