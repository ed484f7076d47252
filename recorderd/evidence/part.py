"""The part of the recorder's chain that speaks of one call, found without reading years of it.

It runs from the call's first entry to the first checkpoint behind its last one. Files of the chain
are looked through from the newest backwards, as bytes; only lines that name the call are parsed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from recorderd.core import chain
from recorderd.core.chain import Entry, Head
from recorderd.disk import files
from recorderd.disk.layout import KEYS, LEDGER, TIMESTAMPS
from recorderd.errors import LedgerError, StoreError
from recorderd.evidence.walk import Checkpoint, KeyedWalk
from recorderd.store.ledger import DESK, RECORDER, UPLOADER, chain_lines, file_ranges, is_line
from recorderd.store.signing import PUBLIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


REPLY_SUFFIX = ".tsr"
REPLY_BYTES_MAX = 1 << 20

PART_LINES_MAX = 200_000
"""Some months of a busy office: so far away may a call's last entry or a time stamp lie."""


@dataclass(frozen=True, slots=True)
class TimeStamp:
    """An RFC 3161 token and the note of the checkpoint that it stamps."""

    seq: int
    note: str
    token: bytes


@dataclass(frozen=True, slots=True)
class LedgerPart:
    """Lines of the chain as they stand, from the call's first entry on."""

    lines: list[bytes]
    entries: list[Entry]  # those of the call
    start_pem: str  # the key in force where the part begins
    checkpoint: Checkpoint | None  # the first behind the call's last entry; None: not signed yet
    stamp: TimeStamp | None


def ledger_part(directory: Path, call_id: str) -> LedgerPart:
    """The part about one call. Raises StoreError, and LedgerError where the chain does not hold."""
    folder = directory / LEDGER / RECORDER
    first, last = _range_of(folder, call_id)
    lines = list(_lines_to_checkpoint(folder, first, last))
    start = _start_of(lines)
    pem = _key_for(directory, lines)
    walk = KeyedWalk(start, pem)
    entries = [entry for entry in walk.entries(lines) if is_about(entry, call_id)]
    checkpoint = walk.signed if walk.signed and walk.signed.seq > last else None
    stamp = _stamp_behind(directory, checkpoint) if checkpoint else None
    if stamp and checkpoint and stamp.seq > checkpoint.seq:
        further = list(islice(chain_lines(folder, walk.head.entries), stamp.seq - checkpoint.seq))
        for _ in walk.entries(further):
            pass
        lines += further
    return LedgerPart(lines, entries, pem, checkpoint, stamp)


def is_about(entry: Entry, call_id: str) -> bool:
    """Whether an entry names this call."""
    return entry.data.get("call") == call_id


def _range_of(folder: Path, call_id: str) -> tuple[int, int]:
    """The numbers of a call's first and last entry."""
    found: list[Entry] = []
    for path, start, end in reversed(file_ranges(folder)):
        here = _entries_in(path, start, end, call_id)
        found += here
        if not here and any(_begins_call(entry) for entry in found):
            break  # one file more was looked at: an id may be opened twice within seconds
    if not found:
        raise StoreError(f"{folder}: the ledger knows no call {call_id}")
    numbers = [entry.seq for entry in found]
    return min(numbers), max(numbers)


def _begins_call(entry: Entry) -> bool:
    return entry.kind == "call-opened" or (
        entry.kind == "call-closed" and entry.data.get("disposition") != "recorded"
    )


def _entries_in(path: Path, start: int, end: int | None, call_id: str) -> list[Entry]:
    mark = f'"call":{json.dumps(call_id)}'.encode()
    with files.guarded(path):
        data = path.read_bytes()
    if mark not in data:
        return []
    lines = data.splitlines(keepends=True)[: None if end is None else end - start]
    found = []
    for line in lines:
        if mark in line and is_line(line):  # one that is being written, or torn, says nothing
            entry = chain.parse_line(line)
            if is_about(entry, call_id):
                found.append(entry)
    return found


def _lines_to_checkpoint(folder: Path, first: int, last: int) -> Iterator[bytes]:
    for count, line in enumerate(chain_lines(folder, first)):
        if not is_line(line):
            return  # being written, or torn by a power cut
        if count == PART_LINES_MAX:
            raise StoreError(f"{folder}: more than {PART_LINES_MAX} entries belong to one call")
        yield line
        if first + count > last and b'"kind":"checkpoint"' in line:
            return


def _start_of(lines: Sequence[bytes]) -> Head:
    first = chain.parse_line(lines[0])
    return Head(first.seq, first.prev)


def _key_for(directory: Path, lines: Sequence[bytes]) -> str:
    """The public key in force at the beginning of `lines`: the first checkpoint there names it.

    Most chains have had one key only, that of their first entry; it is looked for there first.
    """
    wanted = _first_key(lines)
    folder = directory / LEDGER / RECORDER
    marks = (b'"kind":"chain-began"', b'"kind":"key-changed"')
    for line in chain_lines(folder):
        if any(mark in line for mark in marks):
            entry = chain.parse_line(line)
            if wanted in {None, entry.data.get("fingerprint")}:
                return str(entry.data.get("public_key"))
    raise LedgerError(f"the ledger names no key {wanted}")


def _first_key(lines: Sequence[bytes]) -> str | None:
    for line in lines:
        if b'"kind":"key-changed"' in line:
            return None
        if b'"kind":"checkpoint"' in line:
            return str(chain.parse_line(line).data.get("key"))
    return None


# ---------------------------------------------------------------- time stamps


def _stamp_behind(directory: Path, checkpoint: Checkpoint) -> TimeStamp | None:
    """The first time stamp at or behind a checkpoint whose token is over the note it is kept for."""
    folder = directory / LEDGER / TIMESTAMPS
    if not folder.is_dir():
        return None
    with files.guarded(folder):
        names = [path for path in folder.iterdir() if path.suffix == REPLY_SUFFIX]
    numbers = sorted(int(path.stem) for path in names if path.stem.isdecimal())
    for seq in numbers:
        if checkpoint.seq <= seq <= checkpoint.seq + PART_LINES_MAX:
            stamp = _read_stamp(directory, folder, seq)
            if stamp is not None:
                return stamp
    return None


def _read_stamp(directory: Path, folder: Path, seq: int) -> TimeStamp | None:
    path = next(path for path in folder.glob(f"*{seq}{REPLY_SUFFIX}") if int(path.stem) == seq)
    with files.guarded(path), path.open("rb") as file:
        token = file.read(REPLY_BYTES_MAX)
    line = next(chain_lines(directory / LEDGER / RECORDER, seq), b"")
    try:
        entry = chain.parse_line(line)
        note = str(entry.data.get("note"))
        chain.checkpoint_of(entry)
    except LedgerError:
        return None
    return TimeStamp(seq, note, token) if stamps(token, note.encode()) else None


def stamps(token: bytes, data: bytes) -> bool:
    """Whether a token holds a hash of `data`; that its signature holds is for `openssl ts`."""
    digests = (hashlib.new(name, data).digest() for name in ("sha256", "sha384", "sha512"))
    return any(digest in token for digest in digests)


# ---------------------------------------------------------------- what else the books say


def desk_entries(directory: Path, call_id: str) -> list[Entry]:
    """What people did with a call by commands, as the chain `desk` has it."""
    return _entries_of(directory / LEDGER / DESK, call_id)


def upload_entries(directory: Path, call_id: str) -> list[Entry]:
    """What the uploader did with a call, as its own chain has it."""
    return _entries_of(directory / LEDGER / UPLOADER, call_id)


def _entries_of(folder: Path, call_id: str) -> list[Entry]:
    mark = json.dumps(call_id).encode()
    found = []
    for line in chain_lines(folder):
        if mark in line and is_line(line):
            entry = chain.parse_line(line)
            if is_about(entry, call_id) or call_id in entry.data.get("calls", ()):
                found.append(entry)
    return found


def device_pem(directory: Path) -> str:
    """The public key of this box. Raises StoreError."""
    path = directory / KEYS / PUBLIC
    with files.guarded(path):
        data = path.read_bytes()
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as error:
        raise StoreError(f"{path}: not a public key") from error
