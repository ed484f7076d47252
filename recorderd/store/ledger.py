"""The ledger on the disk: one append-only chain a process, in files of some thousand lines.

`ledger/recorder/000000000000.jsonl` holds the recorder's first lines, and each file is named by the
number of its first line. The form of a line, and what a checkpoint proves, is in core/chain.py. One
process writes a chain; the commands that people give (hold, export) share the chain `desk`, one at a
time. A checkpoint names the heads of the box's other chains, so that none can be cut alone.

`append` only remembers; `sync` writes and brings to the disk. A file whose write or sync failed is
not touched again: what was not durable goes to a new file that begins exactly there, and reading
takes each file up to the beginning of the next. So a line torn by a power cut needs no mending, and
nothing here is ever removed.
"""

from __future__ import annotations

import base64
import fcntl
import logging
import os
from contextlib import contextmanager, suppress
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from recorderd.core import chain
from recorderd.core.chain import GENESIS, Entry, Head
from recorderd.disk import files
from recorderd.disk.layout import LEDGER
from recorderd.errors import LedgerError, StoreError
from recorderd.store.signing import load_device_key, set_aside_damaged_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from recorderd.store.signing import DeviceKey
    from recorderd.units import ClockReading

log = logging.getLogger(__name__)

RECORDER = "recorder"
DESK = "desk"
UPLOADER = "uploader"

ENDS = ("call-closed", "call-abandoned")

ERASURES = ("call-erased", "sound-removed")

FILE_LINES_MAX = 4096
"""About a megabyte: what a start has to read, and what an export copies."""

CLOSED_KEPT = 100
"""Closed calls that are remembered: as many as may wait for the disk at one time, each of which can
have come so far that it is in the ledger already."""

SUFFIX = ".jsonl"


class Ledger:
    """One chain, open for appending. Nobody else may write it meanwhile."""

    def __init__(
        self,
        directory: Path,
        name: str,
        site: str,
        key: DeviceKey,
        read_clock: Callable[[], ClockReading],
    ) -> None:
        """Open the chain `name` of a state directory, or begin it, as one of `site`. Raises StoreError."""
        self._directory = directory
        self._folder = directory / LEDGER / name
        self._name = name
        self._origin = _origin_of(self._folder) or f"{site}/{name}"
        self._key = key
        self._read_clock = read_clock
        self._descriptor: int | None = None
        self._lines_in_file = 0
        self._unsynced: list[bytes] = []
        self._written = 0  # lines of them that the file has taken
        self._opened: dict[str, None] = {}
        self._others_heads: dict[str, Head] = {}
        self._others_refused: dict[str, int] = {}  # inodes of their files whose sync failed
        self._last: dict[tuple[str, str, int | None], dict[str, Any]] = {}
        if self._folder.is_dir():
            files.remove_parts(self._folder)
        found = _open_end(self._folder)
        self.head = found.head
        self.was_stopped = found.was_stopped
        self._signed = found.head if found.is_signed else Head(0, GENESIS)
        for entry in found.entries:
            self._remember(entry.kind, entry.data)
        self._reopen(found)
        self._begin(found)

    # ------------------------------------------------------------ appending

    def append(self, kind: str, **data: Any) -> None:
        """Add an entry. It is durable after the next `sync`."""
        line = chain.make_line(self.head, self._read_clock(), kind, data)
        self.head = chain.after(self.head, line)
        self._unsynced.append(line)
        self._remember(kind, data)

    def checkpoint(self) -> None:
        """Add a signed checkpoint, unless the last entry is one."""
        if self._signed == self.head:
            return
        at = chain.utc(self._read_clock().wall)
        note = chain.note_text(self._origin, self.head, at, self._others())
        signature = base64.b64encode(self._key.sign(note.encode())).decode("ascii")
        self.append(chain.CHECKPOINT, note=note, signature=signature, key=self._key.fingerprint)
        self._signed = self.head

    def sync(self) -> None:
        """Make all entries durable. Raises StoreError; they are kept and go to a new file next."""
        if not self._unsynced:
            return
        try:
            self._write()
            assert self._descriptor is not None
            with files.guarded(self._folder):
                os.fdatasync(self._descriptor)
        except StoreError:
            self._let_go()
            self._written = 0
            raise
        self._unsynced.clear()
        self._written = 0

    def sign(self) -> None:
        """A checkpoint over all entries, durable. Raises StoreError."""
        self.checkpoint()
        self.sync()

    def signature(self, data: bytes) -> bytes:
        """The device's signature over `data`, which is not entered."""
        return self._key.sign(data)

    def close(self) -> None:
        """Let go of the file; what was not synced is lost."""
        self._let_go()

    @property
    def fingerprint(self) -> str:
        """Of the key that signs; what a verifier compares with the one noted at installation."""
        return self._key.fingerprint

    @property
    def is_signed(self) -> bool:
        """Whether the last entry is a checkpoint."""
        return self._signed == self.head

    def last(self, kind: str, call: str, segment: int | None = None) -> dict[str, Any] | None:
        """What was entered last of an open or newly closed call; of older ones nothing is known."""
        return self._last.get((kind, call, segment))

    @property
    def opened(self) -> list[str]:
        """The calls, of those remembered, that were opened and neither closed nor abandoned."""
        return list(self._opened)

    def _remember(self, kind: str, data: dict[str, Any]) -> None:
        """Calls that are open, the last ones that ended, and the last one that was erased."""
        if kind == "call-opened":
            self._opened[data["call"]] = None
        if kind in ENDS:
            self._opened.pop(data["call"], None)
        if kind in ENDS:
            closed = [key[1] for key in self._last if key[0] in ENDS]
            old = set(closed[: max(0, len(closed) + 1 - CLOSED_KEPT)])
            self._last = {key: said for key, said in self._last.items() if key[1] not in old}
        if kind in ERASURES:
            self._last = {key: said for key, said in self._last.items() if key[0] != kind}
        if kind in {"segment-sealed", "record-amended", *ENDS, *ERASURES}:
            self._last[kind, data["call"], data.get("segment")] = data

    # ------------------------------------------------------------ the file

    def _write(self) -> None:
        """Bring the unsynced lines into a file, the first ones into a new file where there is none."""
        if self._descriptor is None or self._lines_in_file >= FILE_LINES_MAX:
            self._start_file()
            return
        for line in self._unsynced[self._written :]:
            with files.guarded(self._folder):
                files.write_all(self._descriptor, line)
            self._written += 1
            self._lines_in_file += 1

    def _start_file(self) -> None:
        """A new file that holds all unsynced lines from its beginning on, durable with its name."""
        self._let_go()
        files.make_directory(self._folder, self._directory)
        first = self.head.entries - len(self._unsynced)
        self._put(self._folder / f"{first:012d}{SUFFIX}", b"".join(self._unsynced))
        self._written = self._lines_in_file = len(self._unsynced)

    def _put(self, path: Path, data: bytes) -> None:
        """Let `path` hold `data`, durable, and keep it open at its end."""
        temp = files.part_path(path)
        try:
            with files.guarded(path):
                self._descriptor = files.create(temp)
                files.write_all(self._descriptor, data)
                os.fsync(self._descriptor)
            files.rename_durable(temp, path)
        except StoreError:
            self._let_go()
            files.discard(temp)
            raise

    def _let_go(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _reopen(self, found: _End) -> None:
        """Go on with a copy of the last file where it is whole; a torn end is left as it is.

        The file itself may have lost pages: a process before this one may have died of a disk whose
        sync failed, and what is read here comes from memory. Another sync of it would say nothing.
        """
        if found.path is not None and found.is_whole:
            with files.guarded(found.path):
                data = found.path.read_bytes()
            self._put(found.path, data)
            self._lines_in_file = len(found.entries)

    def _begin(self, found: _End) -> None:
        if found.head.entries == 0:
            self.append(
                chain.BEGAN,
                origin=self._origin,
                public_key=self._key.public_pem,
                fingerprint=self._key.fingerprint,
            )
        elif _last_key(self._folder) != self._key.fingerprint:
            log.warning("ledger %s: the device's key is another one than before", self._name)
            self.append(
                chain.KEY_CHANGED,
                public_key=self._key.public_pem,
                fingerprint=self._key.fingerprint,
            )
        if found.damaged:
            log.error("ledger %s: %d damaged lines at its end", self._name, found.damaged)
            self.append("ledger-damaged", lines=found.damaged)

    def _others(self) -> dict[str, Head]:
        """How far the other chains have come, brought to the disk first: what a checkpoint names
        must outlive a power cut. One whose disk refuses that is not named this time."""
        for name in chain_names(self._folder.parent):
            if name == self._name:
                continue
            try:
                end = _open_end(self._folder.parent / name)
                if end.path is None or end.head == self._others_heads.get(name):
                    continue
                if self._sync_other(name, end.path):
                    self._others_heads[name] = end.head
                else:
                    self._others_heads.pop(name, None)
            except StoreError as error:
                log.warning("ledger %s is not named in a checkpoint: %s", name, error)
                self._others_heads.pop(name, None)
        return dict(self._others_heads)

    def _sync_other(self, name: str, path: Path) -> bool:
        """Bring a file of another chain to the disk; False where a sync of it failed before.

        It may have lost what was not durable then, whatever a second sync says. Whoever writes that
        chain next begins with a copy of it, which can be trusted again.
        """
        with files.guarded(path):
            inode = path.stat().st_ino
        if self._others_refused.get(name) == inode:
            return False
        try:
            files.sync_file(path)
        except StoreError:
            self._others_refused[name] = inode
            raise
        return True


class _End:
    """The end of a chain as a new process finds it: the newest file with a whole line in it."""

    def __init__(self, path: Path | None, lines: list[bytes]) -> None:
        self.path = path
        self.entries: list[Entry] = []  # of this file
        self.damaged = 0  # lines that end as lines do, and are none: no power cut makes those
        self.is_whole = all(is_line(line) for line in lines)
        for line in takewhile(is_line, lines):
            try:
                self.entries.append(chain.parse_line(line))
            except LedgerError:
                self.damaged += 1
        self.is_whole = self.is_whole and not self.damaged
        last = self.entries[-1] if self.entries else None
        self.head = Head(last.seq + 1, last.hash) if last else Head(0, GENESIS)
        self.is_signed = last is not None and last.kind == chain.CHECKPOINT
        said = [entry.kind for entry in self.entries if entry.kind != chain.CHECKPOINT]
        self.was_stopped = not said or said[-1] == "stopped"


def is_line(line: bytes) -> bool:
    """Whether a line was not torn by a power cut: that leaves a line without its end, or a page of
    zeros where something was written and not yet synced. What follows was not durable either."""
    return line.endswith(b"\n") and b"\0" not in line


def _open_end(folder: Path) -> _End:
    """Raises StoreError where the chain cannot be read."""
    for path in reversed(_chain_files(folder)):
        with files.guarded(path):
            end = _End(path, path.read_bytes().splitlines(keepends=True))
        if end.entries:
            return end
    return _End(None, [])


def _origin_of(folder: Path) -> str | None:
    """The name that a chain began with. It stays the chain's, whatever the site is called since: by it a
    checkpoint says of which chain it is."""
    with suppress(LedgerError):
        for line in chain_lines(folder):
            first = chain.parse_line(line)
            return str(first.data.get("origin")) if first.kind == chain.BEGAN else None
    return None


def _last_key(folder: Path) -> str | None:
    """The fingerprint of the key that the chain names last."""
    for path in reversed(_chain_files(folder)):
        with files.guarded(path):
            lines = path.read_bytes().splitlines()
        for line in reversed(lines):
            with suppress(LedgerError):
                entry = chain.parse_line(line)
                if entry.kind in {chain.BEGAN, chain.KEY_CHANGED}:
                    return str(entry.data.get("fingerprint"))
                if entry.kind == chain.CHECKPOINT:
                    return str(entry.data.get("key"))
    return None


# ---------------------------------------------------------------- reading


def chain_names(folder: Path) -> list[str]:
    """The names of the chains in a ledger folder."""
    if not folder.is_dir():
        return []
    with files.guarded(folder):
        return sorted(path.name for path in folder.iterdir() if path.is_dir())


def chain_lines(folder: Path, first: int = 0) -> Iterator[bytes]:
    """The lines of a chain from entry `first` on, with their line feeds. Raises StoreError.

    What a file holds beyond the beginning of the next one was not durable when that was begun.
    """
    for path, start, end in file_ranges(folder):
        if end is not None and end <= first:
            continue
        with files.guarded(path), path.open("rb") as file:
            for seq, line in enumerate(file, start):
                if end is not None and seq >= end:
                    break
                if seq >= first:
                    yield line


def file_ranges(folder: Path) -> list[tuple[Path, int, int | None]]:
    """The files of a chain, each with its first entry and the one that the next file begins with."""
    paths = _chain_files(folder)
    starts = [_start_of(path) for path in paths]
    return list(zip(paths, starts, [*starts, None][1:], strict=True)) if paths else []


def closed_calls(folder: Path) -> set[str]:
    """The ids of all calls that a chain has closed, found without reading every line as JSON.

    A line that is torn, as a power cut leaves the last one, or damaged closes none.
    """
    mark = b'"kind":"call-closed"'
    closed = set()
    for line in chain_lines(folder):
        if mark in line and is_line(line):
            with suppress(LedgerError):
                closed.add(str(chain.parse_line(line).data.get("call")))
    return closed


def _chain_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    with files.guarded(folder):
        return sorted(
            path for path in folder.iterdir() if path.suffix == SUFFIX and path.stem.isdecimal()
        )


def _start_of(path: Path) -> int:
    return int(path.stem)


# ---------------------------------------------------------------- opening


def open_recorder_ledger(
    directory: Path, site: str, read_clock: Callable[[], ClockReading]
) -> Ledger:
    """The recorder's own chain; the caller holds the state directory. Raises StoreError."""
    set_aside_damaged_key(directory)
    return Ledger(directory, RECORDER, site, load_device_key(directory), read_clock)


@contextmanager
def open_desk(
    directory: Path, site: str, read_clock: Callable[[], ClockReading]
) -> Iterator[Ledger]:
    """The chain of what people do with commands; signed and durable when the block ends well.

    Waits for another command that has it open.
    """
    with (
        _only_writer(directory / LEDGER / DESK, directory, fcntl.LOCK_EX),
        _opened(directory, DESK, site, read_clock) as ledger,
    ):
        yield ledger
        ledger.sign()


@contextmanager
def open_uploader_ledger(
    directory: Path, site: str, read_clock: Callable[[], ClockReading]
) -> Iterator[Ledger]:
    """The uploader's own chain. StoreError where another uploader has it open."""
    folder = directory / LEDGER / UPLOADER
    try:
        with (
            _only_writer(folder, directory, fcntl.LOCK_EX | fcntl.LOCK_NB),
            _opened(directory, UPLOADER, site, read_clock) as ledger,
        ):
            yield ledger
    except BlockingIOError:
        raise StoreError(
            f"{directory}: another uploader is at work there (systemctl status recorderd-upload); "
            "stop it first, or leave it to it: `recorderd upload --retry` tells it to try again"
        ) from None


@contextmanager
def _only_writer(folder: Path, directory: Path, how: int) -> Iterator[None]:
    """The lock of a chain. Raises BlockingIOError where it must not be waited for."""
    files.make_directory(folder, directory)
    with files.guarded(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _opened(
    directory: Path, name: str, site: str, read_clock: Callable[[], ClockReading]
) -> Iterator[Ledger]:
    ledger = Ledger(directory, name, site, load_device_key(directory), read_clock)
    try:
        yield ledger
    finally:
        ledger.close()
