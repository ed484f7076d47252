"""A disk that may lose power: what was written, what of it was synced, and what a cut leaves.

A file's contents are durable as of its last sync, a directory's names as of its own last sync; what
came later may survive or not. A rename changes one directory or two and is done whole or not at all,
as journaling file systems do it; names of one directory reach the disk in the order in which they
were changed. Unsynced contents may survive up to any byte, or page by page in any order.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

PAGE_BYTES = 4096

Write = tuple[int, bytes]
"""Where, and what. A shorter file is a write too: see File.truncate."""


class File:
    """Contents as programs see them, and as the disk has them for certain."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.durable = b""
        self.unsynced: list[Write | int] = []  # an int: the file was cut, or grown, to this length
        self.mode = 0o640

    def write(self, data: bytes, offset: int) -> None:
        self.unsynced.append((offset, data))
        _put(self.data, offset, data)

    def truncate(self, length: int) -> None:
        self.unsynced.append(length)
        _resize(self.data, length)

    def sync(self) -> None:
        if self.unsynced:
            self.durable, self.unsynced = bytes(self.data), []

    def torn(self, random: Random) -> bytes:
        """The durable contents, and the unsynced ones up to some byte."""
        data = bytearray(self.durable)
        kept = random.randint(0, len(self.unsynced))
        for write in self.unsynced[:kept]:
            _apply(data, write)
        if kept < len(self.unsynced) and isinstance(write := self.unsynced[kept], tuple):
            offset, piece = write
            _put(data, offset, piece[: random.randint(0, len(piece))])
        return bytes(data)

    def scattered(self, random: Random) -> bytes:
        """The durable contents, and any of the unsynced pages; holes between them are zeros."""
        data = bytearray(self.durable)
        for write in self.unsynced:
            if isinstance(write, int):
                _apply(data, write)
                continue
            offset, piece = write
            while piece:
                room = PAGE_BYTES - offset % PAGE_BYTES
                if random.random() < 0.5:
                    _put(data, offset, piece[:room])
                offset, piece = offset + room, piece[room:]
        return bytes(data)


@dataclass(slots=True)
class Change:
    """Names that change together: (directory, name, what it names then)."""

    parts: list[tuple[Folder, str, Node | None]]
    is_durable: bool = False


class Folder:
    """Names as programs see them, and as the disk has them for certain."""

    def __init__(self) -> None:
        self.names: dict[str, Node] = {}
        self.durable: dict[str, Node] = {}
        self.pending: list[Change] = []
        self.mode = 0o750

    def sync(self) -> None:
        self.reach(len(self.pending))

    def reach(self, changes: int) -> None:
        """Let the first of the pending changes be durable, and all that came before them."""
        for change in self.pending[:changes]:
            _make_durable(change)
        self.pending = [change for change in self.pending if not change.is_durable]


Node = File | Folder


def _make_durable(change: Change) -> None:
    if change.is_durable:
        return
    change.is_durable = True
    for folder, _, _ in change.parts:  # a directory's names reach the disk in their order
        for earlier in folder.pending[: folder.pending.index(change)]:
            _make_durable(earlier)
    for folder, name, node in change.parts:
        _name(folder.durable, name, node)


def _name(names: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


def _put(data: bytearray, offset: int, piece: bytes) -> None:
    if offset > len(data):
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(piece)] = piece


def _resize(data: bytearray, length: int) -> None:
    del data[length:]
    data.extend(bytes(length - len(data)))


def _apply(data: bytearray, write: Write | int) -> None:
    if isinstance(write, int):
        _resize(data, write)
    else:
        _put(data, *write)


SURVIVORS = ("synced", "names", "contents", "torn", "scattered")
"""What a cut leaves beside all that was synced: nothing; all names; all contents; some names and
contents up to some byte; some names and any pages of the contents."""


@dataclass(slots=True)
class Disk:
    """One file system. Paths are lists of names; OSError is raised as the kernel would."""

    root: Folder = field(default_factory=Folder)

    def find(self, path: list[str]) -> Node:
        node: Node = self.root
        for name in path:
            if not isinstance(node, Folder):
                raise OSError(errno.ENOTDIR, "not a directory")
            if name not in node.names:
                raise OSError(errno.ENOENT, "not there")
            node = node.names[name]
        return node

    def folder(self, path: list[str]) -> Folder:
        node = self.find(path)
        if not isinstance(node, Folder):
            raise OSError(errno.ENOTDIR, "not a directory")
        return node

    def add(self, path: list[str], node: Node) -> None:
        """A new file or directory."""
        self._change((self.folder(path[:-1]), path[-1], node))

    def remove(self, path: list[str]) -> None:
        node = self.find(path)
        if isinstance(node, Folder) and node.names:
            raise OSError(errno.ENOTEMPTY, "not empty")
        self._change((self.folder(path[:-1]), path[-1], None))

    def rename(self, old: list[str], new: list[str]) -> None:
        node = self.find(old)
        gone = (self.folder(old[:-1]), old[-1], None)
        self._change(gone, (self.folder(new[:-1]), new[-1], node))

    @staticmethod
    def _change(*parts: tuple[Folder, str, Node | None]) -> None:
        change = Change(list(parts))
        for folder, name, node in parts:
            _name(folder.names, name, node)
        for folder in {id(folder): folder for folder, _, _ in parts}.values():
            folder.pending.append(change)

    def sync(self) -> None:
        """Make everything durable."""
        for folder in self._folders(self.root, set()):
            folder.sync()
            for node in folder.names.values():
                if isinstance(node, File):
                    node.sync()

    # ------------------------------------------------------------ a power cut

    def cut(self, survivors: str, random: Random, target: Path) -> None:
        """Write what is left to a real directory. The disk must not be used any more."""
        if survivors not in {"synced", "contents"}:
            for folder in self._folders(self.root, set()):
                pending = len(folder.pending)
                folder.reach(pending if survivors == "names" else random.randint(0, pending))
        self._leave(self.root, survivors, random, target)

    def _folders(self, folder: Folder, seen: set[int]) -> list[Folder]:
        """All directories, those included that only the disk still names."""
        if id(folder) in seen:
            return []
        seen.add(id(folder))
        below = [*folder.names.values(), *folder.durable.values()]
        found = [folder]
        for node in below:
            if isinstance(node, Folder):
                found += self._folders(node, seen)
        return found

    def _leave(self, folder: Folder, survivors: str, random: Random, target: Path) -> None:
        target.mkdir(exist_ok=True)
        target.chmod(folder.mode)
        for name, node in folder.durable.items():
            path = target / name
            if isinstance(node, Folder):
                self._leave(node, survivors, random, path)
                continue
            match survivors:
                case "contents":
                    path.write_bytes(node.data)
                case "torn":
                    path.write_bytes(node.torn(random))
                case "scattered":
                    path.write_bytes(node.scattered(random))
                case _:
                    path.write_bytes(node.durable)
            path.chmod(node.mode)
