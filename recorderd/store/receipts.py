"""`receipt.json`: what the archive has confirmed to hold of a call, byte for byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from recorderd.disk.layout import RECEIPT

if TYPE_CHECKING:
    from pathlib import Path


def is_confirmed(folder: Path, record: dict[str, Any]) -> bool:
    """Whether the archive holds every segment of a call as its record names it.

    A receipt is `{"files": {name: SHA-256, …}, …}`. One that cannot be read confirms nothing. A call
    without sound has nothing in the archive that could be missing.
    """
    wanted = {segment["file"]: segment["sha256"] for segment in record["segments"]}
    if not wanted:
        return True
    try:
        confirmed = json.loads((folder / RECEIPT).read_bytes())["files"]
        return all(confirmed.get(name) == digest for name, digest in wanted.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
