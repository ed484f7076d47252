"""The form of the ledger: lines that are each bound to the one before, and signed notes on the head.

A line is one JSON object, and its hash is the SHA-256 of its bytes without the line feed; the next
line names it as `prev`. What is hashed is the bytes as they stand, so nothing depends on how JSON
could be written otherwise.

    {"seq": 5, "prev": hash of line 4, "at": UTC, "boot_id": …, "mono_ns": …, "synchronised": …,
     "kind": …, "data": {…}}

A `checkpoint` is a line like any other; its data hold a note of a few lines of text that names how
many lines come before it and the hash of the last of them, and an Ed25519 signature (RFC 8032) over
that text. Whoever has one checkpoint from outside the box can tell whether the chain was cut or made
anew. A new kind of line needs no change here, for the chain does not look into `data`.

A line holds no number and no name of a caller: it must outlive the call that it speaks of.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from recorderd.errors import LedgerError
from recorderd.units import WallNs, iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from recorderd.units import ClockReading

GENESIS = "0" * 64
"""What the first line of a chain names as the hash of the line before it."""

BEGAN = "chain-began"
CHECKPOINT = "checkpoint"
KEY_CHANGED = "key-changed"

LINE_BYTES_MAX = 1 << 16
"""A call with a hundred gaps takes a tenth of it."""

_TITLE = "recorderd ledger checkpoint"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line as read. `hash` is of the line itself."""

    seq: int
    prev: str
    hash: str
    at: str  # ISO 8601, UTC
    boot_id: str
    mono_ns: int
    synchronised: bool
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain has come: its entries, and the hash of the last."""

    entries: int
    hash: str


@dataclass(frozen=True, slots=True)
class Note:
    """What a checkpoint says. `others` are the heads of the box's other chains, by name."""

    origin: str
    head: Head
    at: str
    others: Mapping[str, Head]


def line_hash(line: bytes) -> str:
    """SHA-256 of a line without its line feed, in hexadecimal."""
    return hashlib.sha256(line.rstrip(b"\n")).hexdigest()


def make_line(head: Head, reading: ClockReading, kind: str, data: Mapping[str, Any]) -> bytes:
    """The line that follows `head`, with its line feed."""
    entry = {
        "seq": head.entries,
        "prev": head.hash,
        "at": utc(reading.wall),
        "boot_id": reading.boot_id,
        "mono_ns": reading.mono,
        "synchronised": reading.synchronised,
        "kind": kind,
        "data": data,
    }
    line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    assert len(line) <= LINE_BYTES_MAX, f"an entry {kind!r} of {len(line)} bytes"
    return line


def after(head: Head, line: bytes) -> Head:
    """The head when `line` has been added."""
    return Head(head.entries + 1, line_hash(line))


def utc(wall: WallNs) -> str:
    """Wall time as the ledger writes it: ISO 8601 in UTC with milliseconds."""
    return iso(wall, UTC)


def parse_line(line: bytes) -> Entry:
    """One line; LedgerError where it is none."""
    try:
        found = json.loads(line)
        entry = Entry(
            seq=_of_type(int, found["seq"]),
            prev=_of_type(str, found["prev"]),
            hash=line_hash(line),
            at=_of_type(str, found["at"]),
            boot_id=_of_type(str, found["boot_id"]),
            mono_ns=_of_type(int, found["mono_ns"]),
            synchronised=_of_type(bool, found["synchronised"]),
            kind=_of_type(str, found["kind"]),
            data=_of_type(dict, found["data"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LedgerError(f"not an entry of a ledger ({error!r})") from error
    return entry


def _of_type(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


def walk(lines: Iterable[bytes], start: Head = Head(0, GENESIS)) -> Iterator[Entry]:
    """The entries of `lines`, which follow `start`; LedgerError at the first that does not fit."""
    head = start
    for line in lines:
        entry = parse_line(line)
        if entry.seq != head.entries:
            raise LedgerError(f"entry {head.entries} is missing: entry {entry.seq} comes instead")
        if entry.prev != head.hash:
            raise LedgerError(f"entry {entry.seq} does not follow the entry before it")
        head = Head(entry.seq + 1, entry.hash)
        yield entry


# ---------------------------------------------------------------- checkpoints


def note_text(origin: str, head: Head, at: str, others: Mapping[str, Head]) -> str:
    """The text that a checkpoint signs."""
    lines = [_TITLE, f"origin {origin}", f"entries {head.entries}", f"head {head.hash}", f"at {at}"]
    lines += [f"other {name} {other.entries} {other.hash}" for name, other in others.items()]
    return "\n".join(lines) + "\n"


def parse_note(text: str) -> Note:
    """The other way round; LedgerError for any other text."""
    try:
        _title, *lines, _end = text.split("\n")
        (_, origin), (_, entries), (_, digest), (_, at), *rest = (line.split(" ") for line in lines)
        others = {name: Head(int(count), other) for _, name, count, other in rest}
        note = Note(origin, Head(int(entries), digest), at, others)
    except ValueError as error:
        raise LedgerError(f"not a checkpoint ({error})") from error
    if note_text(note.origin, note.head, note.at, note.others) != text:
        raise LedgerError("not a checkpoint: it has another form")
    return note


def checkpoint_of(entry: Entry) -> Note:
    """The note of a checkpoint entry; LedgerError where it does not speak of its own place."""
    note = parse_note(str(entry.data.get("note")))
    if note.head != Head(entry.seq, entry.prev):
        raise LedgerError(f"the checkpoint in entry {entry.seq} speaks of another place")
    return note
