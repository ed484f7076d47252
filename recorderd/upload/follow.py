"""Which calls there are to upload: the recorder's chain says it, entry by entry, in its order.

Nothing else is asked: no folder is listed, however many there are. What is not durable yet could be
entered anew in another form after a power cut, so lines are brought to the disk before they count; and
where the chain was cut after all, it is read again from its beginning, which enters nothing twice.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from recorderd.core import chain
from recorderd.core.chain import GENESIS, Head
from recorderd.disk import files
from recorderd.disk.layout import LEDGER
from recorderd.errors import LedgerError
from recorderd.store.ledger import RECORDER, chain_lines, file_ranges, is_line
from recorderd.upload.queue import Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recorderd.upload.queue import Queue

KINDS = ("call-closed", "record-amended", "call-erased")
"""After each of these something new lies in the call's folder."""

_MARKS = tuple(f'"kind":"{kind}"'.encode() for kind in KINDS)

PAGE_LINES = 4096
"""So many lines are read between two commits: a few megabytes, as much as a file of the ledger has."""


def follow(directory: Path, queue: Queue) -> int:
    """Bring what was entered since the last time into the queue; the number of calls. StoreError."""
    folder = directory / LEDGER / RECORDER
    head = queue.followed()
    if head.entries and not _is_in_chain(folder, head):
        head = Head(0, GENESIS)
    found = 0
    while lines := durable_lines(folder, head.entries, PAGE_LINES):
        calls = list(_calls(lines))
        head = Head(head.entries + len(lines), chain.line_hash(lines[-1]))
        queue.enter(calls, head)
        found += len(calls)
    return found


def durable_lines(folder: Path, first: int, most: int) -> list[bytes]:
    """Lines of a chain from entry `first` on, whole and on the disk; none where there are no new ones."""
    lines: list[bytes] = []
    for line in islice(chain_lines(folder, first), most):
        if not is_line(line):
            break  # being written, or torn by a power cut
        lines.append(line)
    if lines:
        for path, start, end in file_ranges(folder):
            if start < first + len(lines) and (end is None or end > first):
                files.sync_file(path)
    return lines


def _is_in_chain(folder: Path, head: Head) -> bool:
    """Whether the chain's last entry that was read is still the one that it was."""
    line = next(chain_lines(folder, head.entries - 1), b"")
    return is_line(line) and chain.line_hash(line) == head.hash


def _calls(lines: list[bytes]) -> Iterator[Waiting]:
    for line in lines:
        if not any(mark in line for mark in _MARKS):
            continue
        try:
            entry = chain.parse_line(line)
        except LedgerError:
            continue  # `recorderd verify` tells it
        if entry.kind in KINDS and isinstance(entry.data.get("call"), str):
            yield Waiting(entry.data["call"], entry.seq, entry.at)
