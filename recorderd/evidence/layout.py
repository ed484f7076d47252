"""The names in an evidence bundle, and the form of its list of hashes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from recorderd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SEGMENTS = "segments"
JOINED = "joined.wav"
REPORT = "report.html"
README = "README.txt"
MANIFEST = "MANIFEST.sha256"
SIGNATURE = "MANIFEST.sig"
DEVICE = "device.pem"
KEY = "key.age"  # of a sealed call, for a supervisor's identity

CHAIN = "ledger/chain.jsonl"
NOTE = "ledger/checkpoint.txt"
NOTE_SIGNATURE = "ledger/checkpoint.sig"
CHECKPOINT_KEY = "ledger/checkpoint.pem"  # only where it is not the device's key of today
START_KEY = "ledger/start.pem"  # the key in force where the part begins, only where as above
STAMP = "ledger/timestamp.tsr"
STAMPED = "ledger/timestamp.txt"

AMENDMENT = re.compile(r"amend-\d{4}\.json")

NAME_CHARS_MAX = 512
MANIFEST_BYTES_MAX = 64 << 20
_HASHED = re.compile(r"([0-9a-f]{64})  ([^\x00-\x1f\x7f\\]+)\n")


def manifest_text(hashes: Mapping[str, str]) -> str:
    """The list as `sha256sum` writes and checks it, in the order of names."""
    return "".join(f"{hashes[name]}  {name}\n" for name in in_order(hashes))


def parse_manifest(data: bytes) -> dict[str, str]:
    """Hash by name; StoreError for any text that is not exactly such a list."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise StoreError(f"{MANIFEST}: not UTF-8 text") from error
    hashes: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        match = _HASHED.fullmatch(line)
        if match is None or not is_plain(match[2]):
            raise StoreError(f"{MANIFEST}: line {number} is no hash with a name")
        hashes[match[2]] = match[1]
    if not hashes or manifest_text(hashes) != text:
        raise StoreError(f"{MANIFEST}: its lines are not in the order and form of a bundle's")
    return hashes


def is_plain(name: str) -> bool:
    """Whether a name in a bundle is relative, and of plain parts."""
    parts = name.split("/")
    return len(name) <= NAME_CHARS_MAX and all(part not in {"", ".", ".."} for part in parts)


def in_order(names: Iterable[str]) -> list[str]:
    """Sorted by their bytes, whatever the locale."""
    return sorted(names, key=str.encode)
