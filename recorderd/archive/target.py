"""What every archive can do, whatever it is: an object store, a server with SFTP, a mounted NAS.

An object is written once and never changed; its key is a relative path (archive/layout.py). The
implementations are s3.py, sftp.py and posixfs.py; places.py chooses one by the URL.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from recorderd.disk import files
from recorderd.errors import RefusedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BLOCK_BYTES = 1 << 16
"""What is read and sent at one time: the memory that a transfer takes, and the step of the bandwidth
limit."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be put: its length, its SHA-256 in hexadecimal, and its blocks, as often as asked."""

    size: int
    sha256: str
    blocks: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Held:
    """What the archive says that it holds under a key."""

    size: int
    sha256: str | None  # None: it does not say, and the object must be read to know
    version: str | None = None  # the archive's own name of this version of the object
    locked_until: str | None = None  # ISO 8601, UTC; until then nobody can remove it


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a listing."""

    key: str
    size: int


class Target(Protocol):
    """A connection to an archive, used by one thread. It is made anew by itself after an error.

    Every method raises TryAgainError or RefusedError, and StoreError where our own file fails.
    """

    name: str  # for people: the URL, without any secret

    def put(self, key: str, content: Content) -> None:
        """Store an object, durable when this returns. ExistsError where one lies there.

        The archive, or we by reading it back, must have found it to have the content's SHA-256.
        StoreError where the content's own bytes do not have it; then nothing is stored.
        """
        ...

    def replace(self, key: str, data: bytes) -> None:
        """Store a small object, also over another one: for what tells the state of now only."""
        ...

    def look(self, key: str) -> Held | None:
        """What lies under a key; None: nothing."""
        ...

    def read(self, key: str) -> Iterator[bytes]:
        """The bytes of an object, block by block; RefusedError where there is none."""
        ...

    def list(self, prefix: str) -> Iterator[Listed]:
        """All objects whose keys begin with `prefix`, in the order of their keys."""
        ...

    def remove(self, key: str) -> None:
        """Remove an object; one that is not there is well removed."""
        ...

    def close(self) -> None: ...


def content_of_bytes(data: bytes) -> Content:
    """An object that is in memory."""
    return Content(len(data), hashlib.sha256(data).hexdigest(), lambda: iter((data,)))


def content_of_file(path: Path, sha256: str) -> Content:
    """A file that should have this SHA-256. Raises StoreError where it cannot be read."""
    with files.guarded(path):
        size = path.stat().st_size

    def blocks() -> Iterator[bytes]:
        with files.guarded(path), path.open("rb") as file:
            left = size  # a longer file than was announced would break the transfer
            while left and (block := file.read(min(BLOCK_BYTES, left))):
                left -= len(block)
                yield block

    return Content(size, sha256, blocks)


def proven_blocks(content: Content) -> Iterator[bytes]:
    """The blocks of a content, the last one only when all of them are what was announced: a file
    that was damaged since never becomes an object. StoreError where they are not."""
    digest = hashlib.sha256()
    given, waiting = 0, b""
    for block in content.blocks():
        digest.update(block)
        given += len(block)
        if given > content.size:
            break
        if waiting:
            yield waiting
        waiting = block
    if given != content.size or digest.hexdigest() != content.sha256:
        raise StoreError(
            f"what was to be put is not what was recorded: it has {given} bytes and SHA-256 "
            f"{digest.hexdigest()[:16]}…, and not {content.size} bytes and {content.sha256[:16]}…; "
            "nothing was stored. The disk may be failing: see what `recorderd verify` says of the "
            "call, and restore the file from a copy"
        )
    if waiting:
        yield waiting


def levels_of(key: str) -> list[str]:
    """The folders of a key and its name. RefusedError where it could lead anywhere else."""
    levels = key.split("/")
    if any(level in {"", ".", ".."} or "\0" in level for level in levels):
        raise RefusedError(f"{key!r} is no key of an object")
    return levels


def part_name(name: str) -> str:
    """A temporary name for an object, and for one attempt alone: of two writers of one key neither may
    give its name to what the other has not finished."""
    return files.part_path(Path(f"{name}.{secrets.token_hex(4)}")).name


def parts_of(name: str, names: Iterable[str]) -> list[str]:
    """Those of the names that `part_name` gave for this object.

    They are cleared away by whoever finds the object there, never before: then a crash has left them, or
    their writer comes too late, and is told that the object is there. No clock and no lock is asked."""
    part = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{8}}\{files.PART}")
    return [each for each in names if part.fullmatch(each)]


def without_parts(names: Iterable[str]) -> list[str]:
    """Names without those of unfinished objects."""
    return [name for name in names if not files.is_part(name)]
