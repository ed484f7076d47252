"""The disk under the simulated recorder: it knows what is synced, fails on order, and loses power.

`Disk.installed` puts itself between the program and the file calls of `os`, and around the few that
work in C (encoding, tagging, the catalogue). The files themselves lie on a real file system in
memory, so that everything else reads them as always; what a power cut would leave of them is kept in
durable.py.

At a cut some of these changes are kept, by choice of the seed: none, all, the first few, or any (a
rename is whole or not done). Of the bytes that were not synced some may be kept too: none, a part, a
part and zeros, all but one page, or all. A file whose sync failed has lost what was not synced, whatever a second sync
says; trying one is itself a violation. SQLite's own files are as its own syncs leave them: with
synchronous below FULL the end of its log is lost.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from recorderd.errors import StoreError
from recorderd.media import codec, tags
from recorderd.store import signing
from recorderd.store.catalogue import NAME, Catalogue
from tests.simulate.durable import CATALOGUE, LOG, PAGE_BYTES, UNTRACKED, Durable
from tests.simulate.violations import fail

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator

WRITING = frozenset({"create", "write", "fsync", "rename", "unlink", "mkdir", "rmdir"})
GROWING = frozenset({"create", "write", "mkdir"})

_WRAPPED = (
    "open", "close", "write", "fsync", "fdatasync", "rename", "replace", "unlink", "mkdir", "rmdir",
    "sync", "urandom", "statvfs",
)  # fmt: skip


class Killed(BaseException):
    """The process is dead: nothing that it does has an effect any more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The disk refuses some operations: each of `operations` fails with `chance`."""

    number: int
    operations: frozenset[str] = WRITING
    chance: float = 1.0
    writes_part: bool = False  # a write takes half of its bytes first


@dataclass(slots=True)
class _Handle:
    path: Path
    inode: int
    is_directory: bool


class Disk:
    """The disk that holds `root`. `grave` is a folder beside it, on the same file system."""

    def __init__(self, root: Path, grave: Path, choose: random.Random) -> None:
        self.root = root
        self.choose = choose
        self.fault: Fault | None = None
        self.kill_after: int | None = None  # operations until the process dies; None: it lives
        self.is_dead = False
        self._is_resting = False  # what is done now is not the program's doing
        self.operations = 0
        self.failures = 0
        self.on_row: Callable[[dict[str, Any], Path], None] = lambda _record, _folder: None
        self.on_name: Callable[[Path], None] = lambda _path: None
        self.on_write: Callable[[Path, bytes], None] = lambda _path, _data: None
        self.durable = Durable(root, grave, choose)
        self._handles: dict[int, _Handle] = {}
        self._log_synced: tuple[int, int] | None = None  # inode and bytes of the catalogue's log
        self._left_catalogue: dict[str, bytes] = {}  # as the dead process left it
        self._real = {name: getattr(os, name) for name in _WRAPPED}

    # ------------------------------------------------------------ what the program meets

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Stand between the program and its files."""
        wrapped = {name: getattr(self, f"_os_{name}") for name in _WRAPPED}
        with (
            patch.multiple(os, **wrapped),
            patch.object(codec, "encode_segment", self._in_c(codec.encode_segment, 0)),
            patch.object(tags, "write_tagged", self._in_c(tags.write_tagged, 1)),
            patch.object(Catalogue, "add_all", self._adding(Catalogue.add_all)),
            patch.object(Catalogue, "scrub", self._scrubbing(Catalogue.scrub)),
            patch.object(signing.DeviceKey, "generate", self._generate),
        ):
            yield

    def _generate(self) -> signing.DeviceKey:
        return signing.DeviceKey(self.choose.randbytes(signing.SEED_BYTES))

    def _enter(self, operation: str, path: Path | str) -> None:
        """Count an operation; the process may die before it, or the disk refuse it."""
        self._live(operation)
        if self._is_refused(operation):
            assert self.fault is not None
            self.failures += 1
            number = self.fault.number
            raise OSError(number, os.strerror(number), str(path))

    def _live(self, operation: str) -> None:
        if self.is_dead:
            raise Killed(operation)
        self.operations += 1
        if self.kill_after is not None:
            self.kill_after -= 1
            if self.kill_after < 0:
                self.die()
                raise Killed(operation)

    def _is_refused(self, operation: str) -> bool:
        fault = self.fault
        if fault is None or operation not in fault.operations:
            return False
        return fault.chance >= 1 or self.choose.random() < fault.chance

    def _is_tracked(self, path: Any) -> bool:
        if self._is_resting:
            return False
        text = os.fspath(path)
        if not isinstance(text, str) or not text.startswith(str(self.root)):
            return False
        return text.rpartition("/")[2] not in UNTRACKED

    # ------------------------------------------------------------ the calls of os

    def _os_statvfs(self, path: Any) -> os.statvfs_result:
        """A disk of 64 GB, half full: how full the machine of the test is must change nothing."""
        if not self._is_tracked(path):
            return self._real["statvfs"](path)
        blocks = 64 * 10**9 // PAGE_BYTES
        half = blocks // 2
        return os.statvfs_result((PAGE_BYTES, PAGE_BYTES, blocks, half, half, 0, 0, 0, 0, 255))

    def _os_urandom(self, size: int) -> bytes:
        return self.choose.randbytes(size)

    def _os_sync(self) -> None:
        self._live("sync")
        self.durable.all_synced()

    def _os_open(self, path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if not self._is_tracked(path):
            return self._real["open"](path, flags, *args, **kwargs)
        if flags & os.O_CREAT:
            self._enter("create", path)
        descriptor = self._real["open"](path, flags, *args, **kwargs)
        inode = os.fstat(descriptor).st_ino
        if flags & os.O_CREAT:
            self.durable.created(Path(path), inode)
        elif flags & os.O_WRONLY:  # to overwrite a file: all its pages are written anew
            self.durable.written_anew(inode)
        is_directory = bool(flags & os.O_DIRECTORY)
        self._handles[descriptor] = _Handle(Path(path), inode, is_directory)
        return descriptor

    def _os_close(self, descriptor: int) -> None:
        if descriptor in self._handles:
            del self._handles[descriptor]
            self._real["close"](descriptor)
        elif not self.is_dead:  # those of a dead process are closed already
            self._real["close"](descriptor)

    def _os_write(self, descriptor: int, data: Any) -> int:
        handle = self._handles.get(descriptor)
        if handle is None:
            if self.is_dead:
                raise Killed("write")
            return self._real["write"](descriptor, data)
        self._live("write")
        if self.durable.has_lost(handle.inode):
            fail(f"{handle.path.name}: written after its sync failed")
        self.on_write(handle.path, bytes(data))
        if self._is_refused("write"):
            return self._refuse_write(descriptor, handle, data)
        self.durable.written(handle.inode, os.fstat(descriptor).st_size)
        return self._real["write"](descriptor, data)

    def _refuse_write(self, descriptor: int, handle: _Handle, data: Any) -> int:
        """A full disk takes a part first; the next write finds no room at all."""
        assert self.fault is not None
        self.failures += 1
        number = self.fault.number
        if not self.fault.writes_part or len(data) < 2 or self.choose.random() < 0.5:
            raise OSError(number, os.strerror(number), str(handle.path))
        self.durable.written(handle.inode, os.fstat(descriptor).st_size)
        return self._real["write"](descriptor, memoryview(data)[: len(data) // 2])

    def _os_fsync(self, descriptor: int) -> None:
        handle = self._handles.get(descriptor)
        if handle is None:
            if self.is_dead:
                raise Killed("fsync")
            return
        self._live("fsync")
        if self.durable.has_lost(handle.inode) and not handle.is_directory:
            fail(f"{handle.path.name}: a second sync after one that failed")
        if self._is_refused("fsync"):
            assert self.fault is not None
            self.failures += 1
            if not handle.is_directory:
                self.durable.sync_failed(handle.inode)
            number = self.fault.number
            raise OSError(number, os.strerror(number), str(handle.path))
        if handle.is_directory:
            self.durable.directory_synced(handle.inode)
        else:
            self.durable.synced(handle.inode)

    _os_fdatasync = _os_fsync

    def _os_replace(self, source: Any, target: Any, **kwargs: Any) -> None:
        if not self._is_tracked(target):
            if self.is_dead:
                raise Killed("rename")
            self._real["replace"](source, target, **kwargs)
            return
        self._enter("rename", target)
        source, target = Path(source), Path(target)
        inode = source.stat().st_ino
        buried = self.durable.bury(target)
        self._real["replace"](source, target, **kwargs)
        gone = (source.parent.stat().st_ino, source.name, None)
        come = (target.parent.stat().st_ino, target.name, inode)
        self.durable.changed(gone, come, buried=buried)
        self.on_name(target)

    _os_rename = _os_replace

    def _os_unlink(self, path: Any, **kwargs: Any) -> None:
        if not self._is_tracked(path):
            self._real["unlink"](path, **kwargs)
            return
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(2, os.strerror(2), str(path))
        self._enter("unlink", path)
        buried = self.durable.bury(path)
        self._real["unlink"](path, **kwargs)
        self.durable.changed((path.parent.stat().st_ino, path.name, None), buried=buried)

    def _os_mkdir(self, path: Any, *args: Any, **kwargs: Any) -> None:
        if not self._is_tracked(path):
            self._real["mkdir"](path, *args, **kwargs)
            return
        path = Path(path)
        if path.exists():
            raise FileExistsError(17, os.strerror(17), str(path))
        self._enter("mkdir", path)
        self._real["mkdir"](path, *args, **kwargs)
        self.durable.directory_made(path)

    def _os_rmdir(self, path: Any, **kwargs: Any) -> None:
        if not self._is_tracked(path):
            self._real["rmdir"](path, **kwargs)
            return
        self._enter("rmdir", path)
        path = Path(path)
        self._real["rmdir"](path, **kwargs)
        self.durable.changed((path.parent.stat().st_ino, path.name, None))

    # ------------------------------------------------------------ the calls in C

    def _in_c(self, real: Callable[..., Any], target_at: int) -> Callable[..., Any]:
        """A function that writes a whole file by its own means; it raises StoreError."""

        def operation(*args: Any, **kwargs: Any) -> Any:
            target: Path = args[target_at]
            if not self._is_tracked(target):
                return real(*args, **kwargs)
            self._live("write")
            if self._is_refused("write") or self._is_refused("create"):
                assert self.fault is not None
                self.failures += 1
                reason = os.strerror(self.fault.number)
                target.write_bytes(b"a part of it")
                self.durable.created(target, target.stat().st_ino)
                raise StoreError(f"{target}: {reason}")
            result = real(*args, **kwargs)
            self.durable.created(target, target.stat().st_ino)
            self.on_write(target, target.read_bytes())
            self._live("written")
            return result

        return operation

    def _adding(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def add_all(catalogue: Catalogue, entries: Iterable[Any]) -> None:
            rows = list(entries)
            for row in rows:
                self.on_row(row.record, row.folder)
            self._live("row")
            if rows and self._is_refused("write"):
                self.failures += 1
                raise StoreError(f"{self.root / NAME}: database or disk is full")
            self._note_log(grown=False)
            real(catalogue, rows)
            level = catalogue._connection.execute("PRAGMA synchronous").fetchone()[0]
            self._note_log(grown=level >= 2)  # FULL syncs the log at every commit
            self._live("row added")

        return add_all

    def _scrubbing(self, real: Callable[[Catalogue], bool]) -> Callable[[Catalogue], bool]:
        """A checkpoint syncs the database before it cuts off the log, and the log after that."""

        def scrub(catalogue: Catalogue) -> bool:
            self._live("scrub")
            if self._is_refused("write"):
                self.failures += 1
                raise StoreError(f"{self.root / NAME}: database or disk is full")
            is_done = real(catalogue)
            self._note_log(grown=True)
            self._live("scrubbed")
            return is_done

        return scrub

    def _note_log(self, *, grown: bool) -> None:
        path = self.root / LOG
        if not path.exists():
            self._log_synced = None
            return
        stat = path.stat()
        if grown or self._log_synced is None or self._log_synced[0] != stat.st_ino:
            self._log_synced = (stat.st_ino, stat.st_size)

    def rows_are_durable(self) -> bool:
        """Whether the catalogue's log is synced to its end."""
        path = self.root / LOG
        return not path.exists() or self._log_synced == (path.stat().st_ino, path.stat().st_size)

    # ------------------------------------------------------------ the end of a process

    def die(self) -> None:
        """The process is gone from here on; what it does on its way out has no effect."""
        if self.is_dead:
            return
        self.is_dead = True
        self._left_catalogue = {
            name: (self.root / name).read_bytes()
            for name in CATALOGUE
            if (self.root / name).exists()
        }
        for descriptor in list(self._handles):
            self._real["close"](descriptor)
        self._handles.clear()

    def bury_process(self, *, lose_power: bool) -> None:
        """After `die`, when the program has let go of everything: what a new one will find."""
        assert self.is_dead
        self.is_dead, self.kill_after = False, None
        self.durable.process_is_gone()
        self._is_resting = True
        self._restore_catalogue(lose_power=lose_power)
        if lose_power:
            self.durable.lose_power()
        self._is_resting = False

    def _restore_catalogue(self, *, lose_power: bool) -> None:
        """SQLite tidied up when its connection was closed; a dead process does not."""
        for name in (*CATALOGUE, f"{NAME}-shm"):
            (self.root / name).unlink(missing_ok=True)
        for name, data in self._left_catalogue.items():
            kept = data
            if name == LOG and lose_power and self._log_synced is not None:
                kept = data[: self._log_synced[1]]
            (self.root / name).write_bytes(kept)
        self._log_synced = None
