"""Legal holds: a call whose folder holds `hold.json` is never erased.

A hold is placed and taken off under a lock on the call's folder, which erasing takes too: a call is
either held or erased, and whoever comes second is told. What people did is first entered in the
chain `desk`, then done.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from recorderd.disk import files
from recorderd.disk.layout import ERASED, HOLD, RECORD
from recorderd.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recorderd.store.ledger import Ledger


@contextmanager
def lock_folder(folder: Path, *, wait: bool) -> Iterator[None]:
    """Be the one who decides about a call; StoreError where another one does and `wait` is False."""
    with files.guarded(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    except BlockingIOError:
        raise StoreError(f"{folder}: a command is at work on this call; it is left alone") from None
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Whether a hold is on the call."""
    return (folder / HOLD).exists()


def read_hold(folder: Path) -> dict[str, Any] | None:
    """Who placed the hold, why and when; None where there is none."""
    path = folder / HOLD
    with files.guarded(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}  # a hold that cannot be read is a hold


def place_hold(folder: Path, desk: Ledger, who: str, why: str, at: str) -> None:
    """Let the call in `folder` never be erased. UsageError where it is held, or gone already."""
    with lock_folder(folder, wait=True):
        if (folder / ERASED).exists() or not (folder / RECORD).exists():
            raise UsageError(f"{folder.name}: this call is erased; `recorderd show` says when")
        if is_held(folder):
            raise UsageError(f"{folder.name}: this call is held already; `recorderd show` says why")
        data = json.dumps({"who": who, "why": why, "at": at}, ensure_ascii=False).encode()
        _enter(desk, "hold", folder, who, why, sha256=hashlib.sha256(data).hexdigest())
        files.write_durable(folder / HOLD, data)


def take_off_hold(folder: Path, desk: Ledger, who: str, why: str) -> None:
    """Let retention decide about the call again. UsageError where it is not held."""
    with lock_folder(folder, wait=True):
        if not is_held(folder):
            raise UsageError(f"{folder.name}: this call is not held")
        _enter(desk, "release", folder, who, why)
        files.remove_durable(folder / HOLD)


def _enter(desk: Ledger, kind: str, folder: Path, who: str, why: str, **more: str) -> None:
    desk.append(kind, call=folder.name, who=who, why=why, **more)
    desk.sync()
