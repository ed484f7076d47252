"""`receipt.json`: what the archive has confirmed to hold of a call, byte for byte.

The uploader writes it, and enters its hash in the ledger; without one that matches, no call is erased
to make room, and where there is an archive none for its age.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recorderd.disk import files
from recorderd.disk.layout import ARCHIVED, ERASED, RECEIPT
from recorderd.store.holds import lock_folder

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Receipt:
    """`files` are SHA-256 by file name; `objects` say of each where it lies: key, size, the archive's
    version and until when it is locked; `at` (ISO 8601, UTC) is when the last of them was confirmed."""

    archive: str
    at: str
    files: dict[str, str] = field(default_factory=dict)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_bytes(self) -> bytes:
        """As it lies on the disk."""
        content = {
            "archive": self.archive,
            "at": self.at,
            "files": self.files,
            "objects": self.objects,
        }
        return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()


def read_receipt(folder: Path) -> Receipt | None:
    """The receipt of a call; None where there is none, or none that can be read: it is made again."""
    try:
        found = json.loads((folder / RECEIPT).read_bytes())
        names = {str(name): str(digest) for name, digest in found["files"].items()}
        return Receipt(str(found["archive"]), str(found["at"]), names, dict(found["objects"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def write_receipt(folder: Path, receipt: Receipt) -> bool:
    """Keep a receipt, durable; False where the call was erased meanwhile. Raises StoreError.

    A receipt names files, and so the caller's number: it must not come back into an erased folder.
    """
    with lock_folder(folder, wait=True):
        if (folder / ERASED).exists():
            return False
        files.write_durable(folder / RECEIPT, receipt.as_bytes())
        return True


def counts_for(receipt: Receipt, folder: Path, archive: str) -> bool:
    """Whether a receipt is of the archive with this URL, to which a call goes anew where it was in
    another one before. Sound that made room is in that one alone, and nothing can be done about it."""
    is_same = receipt.archive.rstrip("/") == archive.rstrip("/")
    return is_same or (folder / ARCHIVED).exists()


def is_confirmed(folder: Path, record: dict[str, Any], archive: str) -> bool:
    """Whether the archive with this URL holds every segment of a call as its record names it.

    A receipt that cannot be read confirms nothing. A call without sound has nothing in the archive that could
    be missing.
    """
    wanted = {segment["file"]: segment["sha256"] for segment in record["segments"]}
    if not wanted:
        return True
    receipt = read_receipt(folder)
    if receipt is None or not counts_for(receipt, folder, archive):
        return False
    return all(receipt.files.get(name) == digest for name, digest in wanted.items())
