"""FUSE in front of disk.py: every directory at the top of the mount is a disk of its own.

`python -m tests.faults.powerfs MOUNT` serves until it is unmounted. A disk is told when to lose power
by its extended attribute `user.cut`: JSON with the number of the operation that no longer happens,
what survives, the seed, the directory that takes the remains, and the process to be killed with it.
`user.operations` reads how many operations there were so far; setting `user.synced` syncs everything.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from tests.faults.disk import Disk, File, Folder, Node

CUT, SYNCED, OPERATIONS = "user.cut", "user.synced", "user.operations"


class Machine:
    """A disk, and the moment when its power goes."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.operations = 0
        self.is_dead = False
        self.order: dict[str, Any] | None = None

    def operation(self) -> None:
        """One more is asked for; OSError where the power is gone."""
        self.check()
        self.operations += 1
        if self.order is not None and self.operations >= self.order["operation"]:
            self._cut(self.order)
            self.check()

    def check(self) -> None:
        if self.is_dead:
            raise OSError(errno.EIO, "no power")

    def _cut(self, order: dict[str, Any]) -> None:
        if order["process"] is not None:
            os.kill(order["process"], signal.SIGKILL)
        self.is_dead = True
        self.disk.cut(order["survivors"], Random(order["seed"]), Path(order["remains"]))
        self.disk = Disk()


def has_no_place_on_the_disk(path: list[str]) -> bool:
    """SQLite maps this file and makes it anew after a crash; the kernel writes it when it likes."""
    return path[-1].endswith("-shm")


class PowerFs:
    """What mfusepy calls. On one thread."""

    use_ns = True

    def __init__(self) -> None:
        self._machines: dict[str, Machine] = {}
        self._open: dict[int, tuple[Machine, Node, list[str]]] = {}
        self._handles = count(1)

    # ------------------------------------------------------------ finding

    def _locate(self, path: str) -> tuple[Machine, list[str]]:
        _, name, *rest = path.rstrip("/").split("/")
        if name not in self._machines:
            raise OSError(errno.ENOENT, "no such disk")
        return self._machines[name], rest

    def _node(self, path: str, handle: int | None) -> tuple[Machine, Node]:
        if handle in self._open:
            machine, node, _ = self._open[handle]
        else:
            machine, rest = self._locate(path)
            machine.check()
            node = machine.disk.find(rest)
        machine.check()
        return machine, node

    def _changing(self, path: str, handle: int | None) -> tuple[Machine, File]:
        """The open file that is about to be changed."""
        names = self._open[handle][2] if handle in self._open else self._locate(path)[1]
        machine, node = self._node(path, handle)
        if not has_no_place_on_the_disk(names):
            machine.operation()
        assert isinstance(node, File)
        return machine, node

    def _hold(self, machine: Machine, node: Node, path: list[str]) -> int:
        handle = next(self._handles)
        self._open[handle] = machine, node, path
        return handle

    # ------------------------------------------------------------ names

    def mkdir(self, path: str, mode: int) -> None:
        if path.count("/") == 1:
            self._machines[path[1:]] = Machine()
            return
        machine, rest = self._locate(path)
        machine.operation()
        folder = Folder()
        folder.mode = mode & 0o7777
        machine.disk.add(rest, folder)

    def create(self, path: str, mode: int) -> int:
        machine, rest = self._locate(path)
        if not has_no_place_on_the_disk(rest):
            machine.operation()
        file = File()
        file.mode = mode & 0o7777
        machine.disk.add(rest, file)
        return self._hold(machine, file, rest)

    def unlink(self, path: str) -> None:
        machine, rest = self._locate(path)
        machine.operation()
        machine.disk.remove(rest)

    def rmdir(self, path: str) -> None:
        if path.count("/") == 1:
            self._machines.pop(path[1:])
        else:
            self.unlink(path)

    def rename(self, old: str, new: str) -> None:
        machine, source = self._locate(old)
        machine.operation()
        machine.disk.rename(source, self._locate(new)[1])

    def readdir(self, path: str, fh: int) -> list[str]:
        if path == "/":
            return [".", "..", *self._machines]
        machine, rest = self._locate(path)
        machine.check()
        return [".", "..", *machine.disk.folder(rest).names]

    # ------------------------------------------------------------ files

    def open(self, path: str, flags: int) -> int:
        machine, rest = self._locate(path)
        machine.check()
        return self._hold(machine, machine.disk.find(rest), rest)

    opendir = None  # names are read and synced by path

    def release(self, path: str, fh: int) -> None:
        self._open.pop(fh, None)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        _, node = self._node(path, fh)
        assert isinstance(node, File)
        return bytes(node.data[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        _, file = self._changing(path, fh)
        file.write(data, offset)
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        _, file = self._changing(path, fh)
        file.truncate(length)

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        _, file = self._changing(path, fh)
        file.sync()

    def fsyncdir(self, path: str, datasync: int, fh: int) -> None:
        machine, rest = self._locate(path)
        machine.operation()
        machine.disk.folder(rest).sync()

    # ------------------------------------------------------------ attributes

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path.count("/") == 1 and path[1:] in {"", *self._machines}:  # also without power
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        _, node = self._node(path, fh)
        if isinstance(node, Folder):
            return {"st_mode": stat.S_IFDIR | node.mode, "st_nlink": 2}
        size = len(node.data)
        return {
            "st_mode": stat.S_IFREG | node.mode,
            "st_nlink": 1,
            "st_size": size,
            "st_blocks": -(-size // 512),
        }

    def chmod(self, path: str, mode: int) -> None:
        self._node(path, None)[1].mode = mode & 0o7777

    def chown(self, path: str, uid: int, gid: int) -> None:
        pass

    def utimens(self, path: str, times: object = None) -> None:
        pass

    def statfs(self, path: str) -> dict[str, int]:
        size = {"f_bsize": 4096, "f_frsize": 4096, "f_namemax": 255}
        return {**size, "f_blocks": 1 << 22, "f_bfree": 1 << 21, "f_bavail": 1 << 21}

    def setxattr(self, path: str, name: str, value: bytes, options: int, position: int = 0) -> None:
        machine = self._locate(path)[0]
        if name == CUT:
            machine.order = json.loads(value)
        elif name == SYNCED:
            machine.disk.sync()
        else:
            raise OSError(errno.ENOTSUP, "no such attribute")

    def getxattr(self, path: str, name: str, position: int = 0) -> bytes:
        if name != OPERATIONS:
            raise OSError(errno.ENODATA, "no such attribute")
        return str(self._locate(path)[0].operations).encode()


@contextmanager
def mounted(mount: Path):
    """A file system at `mount` as long as the block runs."""
    server = subprocess.Popen([sys.executable, "-m", "tests.faults.powerfs", mount])
    try:
        while not mount.is_mount():
            assert server.poll() is None, "the file system did not come up"
            os.sched_yield()
        yield
    finally:
        subprocess.run(["fusermount3", "-u", "-z", mount], check=True)
        server.wait()


if __name__ == "__main__":
    import mfusepy

    mfusepy.FUSE(PowerFs(), sys.argv[1], foreground=True, nothreads=True, hard_remove=True)
