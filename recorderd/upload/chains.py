"""The ledger goes up before the calls: so the archive is a witness of how far each chain had come.

Each part holds the lines from where the last one ended up to the newest checkpoint, and is named by
its first entry. A part that is there already from an attempt whose answer was lost is taken as far as
it goes. One that holds other lines tells that this box was put back to an earlier state, or that two
boxes have one name; it stays as it is, and is an alarm.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from recorderd.archive.deposit import deposit, hash_of
from recorderd.archive.layout import chain_key
from recorderd.archive.target import content_of_bytes
from recorderd.core import chain
from recorderd.core.chain import Head
from recorderd.disk.layout import LEDGER, TIMESTAMPS
from recorderd.errors import RefusedError
from recorderd.store.ledger import chain_names
from recorderd.upload.follow import durable_lines

if TYPE_CHECKING:
    from pathlib import Path

    from recorderd.archive.target import Target
    from recorderd.upload.queue import Queue

PART_LINES_MAX = 10_000
"""A few megabytes: what is in memory at one time."""

_MARK = b'"kind":"checkpoint"'


def send_chains(directory: Path, site: str, queue: Queue, target: Target) -> dict[str, Head]:
    """Send what every chain has new; how far each is in the archive then, and its last line's hash.

    Raises ArchiveError and StoreError; what was sent before stays sent.
    """
    return {
        name: _send_chain(directory, site, name, queue, target)
        for name in chain_names(directory / LEDGER)
        if name != TIMESTAMPS
    }


def _send_chain(directory: Path, site: str, name: str, queue: Queue, target: Target) -> Head:
    known = queue.known(f"chain {name}") or {"entries": 0, "hash": chain.GENESIS}
    head = Head(known["entries"], known["hash"])
    folder = directory / LEDGER / name
    while lines := _up_to_checkpoint(durable_lines(folder, head.entries, PART_LINES_MAX)):
        lines = lines[: _send_part(site, name, head.entries, lines, target)]
        head = Head(head.entries + len(lines), chain.line_hash(lines[-1]))
        queue.know(f"chain {name}", {"entries": head.entries, "hash": head.hash})
    return head


def _up_to_checkpoint(lines: list[bytes]) -> list[bytes]:
    """The lines that are signed; all of a full page, whose checkpoint comes in the next one."""
    if len(lines) == PART_LINES_MAX:
        return lines
    while lines and _MARK not in lines[-1]:
        lines.pop()
    return lines


def _send_part(site: str, name: str, first: int, lines: list[bytes], target: Target) -> int:
    """Send lines as a part; how many of them the archive has in it then."""
    key = chain_key(site, name, first)
    data = b"".join(lines)
    try:
        deposit(target, key, content_of_bytes(data))
    except RefusedError:
        held = target.look(key)
        if held is None:
            raise
        count = _lines_of(data, held.size)
        same = count and (held.sha256 or hash_of(target, key)) == _digest(data[: held.size])
        if not same:
            raise RefusedError(
                f"{target.name}: the archive has another ledger {name!r} of the site {site!r} from "
                f"entry {first} on than this box: it was put back to an earlier state, its state "
                "directory is new, or another box has its name; nothing there is changed. If the box "
                "is new, give it a new site.name; otherwise keep both and ask who did it"
            ) from None
        return count
    return len(lines)


def _lines_of(data: bytes, size: int) -> int:
    """How many whole lines the first `size` bytes are; 0 where they are none."""
    part = data[:size]
    return part.count(b"\n") if len(part) == size and part.endswith(b"\n") else 0


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
