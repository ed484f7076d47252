"""What a power cut would leave of the simulated disk, and the cut itself.

Kept beside the files, which lie on a real file system in memory: of each file how much of it was synced,
of each directory the names it had then, and the changes of names since, in order. A file whose sync
failed has lost what was not synced, whatever a second sync says.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recorderd.store.catalogue import NAME

if TYPE_CHECKING:
    import random

PAGE_BYTES = 4096

UNTRACKED = {"status.json", ".status.json.part"}  # a courtesy to people, replaced without a sync
LOG = f"{NAME}-wal"
CATALOGUE = (NAME, LOG)
NOT_OURS = {*UNTRACKED, *CATALOGUE, f"{NAME}-shm"}  # their places are kept by other means


@dataclass(slots=True)
class _Change:
    """Names as they are from now on: (directory, name, inode), None for a name that is gone."""

    entries: list[tuple[int, str, int | None]]
    buried: int | None = None  # the file that lost its last name by it

    @property
    def directories(self) -> set[int]:
        return {directory for directory, _, _ in self.entries}


class Durable:
    """What of `root` is on the disk for good. `grave` keeps files that a cut may bring back."""

    def __init__(self, root: Path, grave: Path, choose: random.Random) -> None:
        self._root = root
        self._grave = grave
        self._choose = choose
        self._unlink = os.unlink  # the disk will stand before it
        self._names: dict[int, dict[str, int]] = {}  # of directories, durable
        self._changes: list[_Change] = []  # since then
        self._synced_bytes: dict[int, int] = {}  # of files that have unsynced bytes
        self._failed: set[int] = set()  # files whose sync failed
        self._look()

    def _look(self) -> None:
        """Take all that is there as durable."""
        self._names = {
            Path(folder).stat().st_ino: {entry.name: entry.inode() for entry in os.scandir(folder)}
            for folder, _, _ in os.walk(self._root)
        }
        self._changes.clear()
        self._synced_bytes.clear()
        self._failed.clear()

    # ------------------------------------------------------------ contents

    def written(self, inode: int, size: int) -> None:
        """A file is written to, at its end, which is now at `size`."""
        self._synced_bytes.setdefault(inode, size)

    def written_anew(self, inode: int) -> None:
        """A file is opened to be overwritten: all its pages are."""
        self._failed.discard(inode)

    def synced(self, inode: int) -> None:
        self._synced_bytes.pop(inode, None)

    def sync_failed(self, inode: int) -> None:
        self._failed.add(inode)

    def has_lost(self, inode: int) -> bool:
        """Whether a sync of the file failed: nobody may trust another."""
        return inode in self._failed

    def all_synced(self) -> None:
        self._commit(self._changes)
        self._synced_bytes = {
            inode: size for inode, size in self._synced_bytes.items() if inode in self._failed
        }

    def process_is_gone(self) -> None:
        """A new process knows nothing of syncs that failed; what had lost nothing by it is sound."""
        self._failed &= set(self._synced_bytes)

    def unsynced_bytes(self, path: Path) -> int:
        """What a cut would take away from a file's end."""
        stat = path.stat()
        return stat.st_size - self._synced_bytes.get(stat.st_ino, stat.st_size)

    # ------------------------------------------------------------ names

    def changed(self, *entries: tuple[int, str, int | None], buried: int | None = None) -> None:
        """Names of directories are others from now on, all of them at once."""
        self._changes.append(_Change(list(entries), buried))

    def directory_made(self, path: Path) -> None:
        inode = path.stat().st_ino
        self._names[inode] = {}
        self.changed((path.parent.stat().st_ino, path.name, inode))

    def directory_synced(self, inode: int) -> None:
        self._commit(self._needed_for(inode))

    def created(self, path: Path, inode: int) -> None:
        self._synced_bytes[inode] = 0
        self._failed.discard(inode)
        self.changed((path.parent.stat().st_ino, path.name, inode))

    def bury(self, path: Path) -> int | None:
        """Keep a file that is about to lose its name: a cut may bring it back."""
        if not path.exists():
            return None
        inode = path.stat().st_ino
        with suppress(FileExistsError):
            os.link(path, self._grave / str(inode))
        return inode

    def _needed_for(self, directory: int) -> list[_Change]:
        """The changes that syncing a directory makes durable, with those they build on."""
        directories, needed = {directory}, []
        for change in reversed(self._changes):
            if change.directories & directories:
                directories |= change.directories
                needed.append(change)
        return needed[::-1]

    def _commit(self, changes: list[_Change]) -> None:
        done = {id(change) for change in changes}
        for change in changes:
            self._apply(change, self._names)
            if change.buried is not None:
                with suppress(FileNotFoundError):
                    self._unlink(self._grave / str(change.buried))
                self._synced_bytes.pop(change.buried, None)
        self._changes = [change for change in self._changes if id(change) not in done]

    @staticmethod
    def _apply(change: _Change, names: dict[int, dict[str, int]]) -> None:
        for directory, name, inode in change.entries:
            if inode is None:
                names.setdefault(directory, {}).pop(name, None)
            else:
                names.setdefault(directory, {})[name] = inode

    def is_durable(self, path: Path) -> bool:
        """Whether a file or folder would be there, whole, after a cut at this moment."""
        inode = path.stat().st_ino
        if inode in self._synced_bytes:
            return False
        while path != self._root:
            if self._names.get(path.parent.stat().st_ino, {}).get(path.name) != path.stat().st_ino:
                return False
            path = path.parent
        return not any(
            (directory, name) == (path.parent.stat().st_ino, path.name)
            for change in self._changes
            for directory, name, _ in change.entries
        )

    # ------------------------------------------------------------ a cut

    def lose_power(self) -> None:
        """Leave what was synced, and of the rest what the seed chooses."""
        self._lose_bytes()
        names = {directory: dict(entries) for directory, entries in self._names.items()}
        for change in self._kept_changes():
            self._apply(change, names)
        self._rebuild(names)
        for path in self._grave.iterdir():
            path.unlink()
        self._look()

    def _kept_changes(self) -> list[_Change]:
        way = self._choose.choice(("none", "all", "first", "any"))
        if way == "none":
            return []
        if way == "first":
            return self._changes[: self._choose.randint(0, len(self._changes))]
        if way == "any":
            return [change for change in self._changes if self._choose.random() < 0.5]
        return self._changes

    def _lose_bytes(self) -> None:
        for path in self._files():
            synced = self._synced_bytes.get(path.stat().st_ino)
            if synced is not None:
                self._lose_tail(path, synced)

    def _lose_tail(self, path: Path, synced: int) -> None:
        size = path.stat().st_size
        way = self._choose.choice(("none", "part", "zeros", "page", "all"))
        if path.stat().st_ino in self._failed or size <= synced:
            way = "none"
        if way in {"part", "zeros"}:
            os.truncate(path, self._choose.randint(synced, size))
        if way == "none":
            os.truncate(path, min(synced, size))
        elif way == "zeros":
            os.truncate(path, size)
        elif way == "page":
            self._lose_page(path, synced, size)

    def _lose_page(self, path: Path, synced: int, size: int) -> None:
        page = self._choose.randrange(synced // PAGE_BYTES, (size - 1) // PAGE_BYTES + 1)
        begin, end = max(synced, page * PAGE_BYTES), min(size, (page + 1) * PAGE_BYTES)
        with path.open("r+b") as file:
            file.seek(begin)
            file.write(bytes(end - begin))

    def _files(self) -> list[Path]:
        inside = [path for path in self._root.rglob("*") if path.is_file()]
        return sorted(inside) + sorted(self._grave.iterdir(), key=lambda path: int(path.name))

    def _rebuild(self, names: dict[int, dict[str, int]]) -> None:
        """Give every directory the names it is to have."""
        folders = {Path(folder).stat().st_ino: Path(folder) for folder, _, _ in os.walk(self._root)}
        touched = {directory for change in self._changes for directory in change.directories}
        for directory in touched & set(folders):
            for entry in list(os.scandir(folders[directory])):
                if entry.is_file() and not (self._grave / str(entry.inode())).exists():
                    os.link(entry.path, self._grave / str(entry.inode()))
        for directory in touched & set(folders):
            if folders[directory].is_dir():  # not gone with the one above it
                self._give_names(folders[directory], names.get(directory, {}), names)

    def _give_names(
        self, folder: Path, wanted: dict[str, int], names: dict[int, dict[str, int]]
    ) -> None:
        for entry in list(os.scandir(folder)):
            if entry.name in NOT_OURS or wanted.get(entry.name) == entry.inode():
                continue
            if entry.is_dir():
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink()
        for name, inode in wanted.items():
            path = folder / name
            if name in NOT_OURS or path.exists():
                continue
            if inode in self._names:
                path.mkdir()
                self._give_names(path, names.get(inode, {}), names)
            else:
                os.link(self._grave / str(inode), path)
