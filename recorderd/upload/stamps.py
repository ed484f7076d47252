"""Time stamps for the ledger: once in a busy hour the newest checkpoint is stamped by a service outside.

The token goes to `ledger/timestamps/<entry>.tsr`, where an export finds it, and to the archive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.archive.deposit import deposit
from recorderd.archive.layout import timestamp_key
from recorderd.archive.target import content_of_bytes
from recorderd.archive.timestamps import fetch_timestamp
from recorderd.core import chain
from recorderd.disk import files
from recorderd.disk.layout import LEDGER, TIMESTAMPS
from recorderd.errors import LedgerError
from recorderd.store.ledger import RECORDER, chain_lines
from recorderd.units import seconds

if TYPE_CHECKING:
    from pathlib import Path

    from recorderd.archive.target import Target
    from recorderd.units import WallNs
    from recorderd.upload.queue import Queue

EVERY_NS = seconds(3600)

_KNOWN = "stamped"


def stamp(directory: Path, url: str, queue: Queue, now: WallNs) -> None:
    """Stamp the newest checkpoint that the archive has, if an hour has gone by since the last one.

    Raises TryAgainError, RefusedError and StoreError.
    """
    before = queue.known(_KNOWN) or {"entry": -1, "at": 0}
    sent = (queue.known(f"chain {RECORDER}") or {"entries": 0})["entries"]
    is_due = abs(now - before["at"]) >= EVERY_NS  # either way: the clock may have been set back
    if not is_due or sent - 1 <= before["entry"]:
        return
    line = next(chain_lines(directory / LEDGER / RECORDER, sent - 1), b"")
    try:
        note = chain.checkpoint_of(chain.parse_line(line))
    except LedgerError:
        return  # a long part was cut before its checkpoint: the next one is stamped
    folder = directory / LEDGER / TIMESTAMPS
    path = folder / f"{sent - 1}.tsr"
    if not path.exists():  # else it was forgotten: the archive may have it, and takes no other
        text = chain.note_text(note.origin, note.head, note.at, note.others)
        token = fetch_timestamp(url, text.encode())
        files.make_directory(folder, directory)
        files.write_durable(path, token)
    queue.know(_KNOWN, {"entry": sent - 1, "at": now, "is_sent": False})


def send_stamp(directory: Path, site: str, queue: Queue, target: Target) -> None:
    """Send the newest time stamp, if the archive does not have it. Raises ArchiveError, StoreError."""
    known = queue.known(_KNOWN)
    if known is None or known["is_sent"]:
        return
    path = directory / LEDGER / TIMESTAMPS / f"{known['entry']}.tsr"
    with files.guarded(path):
        token = path.read_bytes()
    deposit(target, timestamp_key(site, RECORDER, known["entry"]), content_of_bytes(token))
    queue.know(_KNOWN, {**known, "is_sent": True})
