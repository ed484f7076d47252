"""Finding a sealed call by its number: keyed hashes of the number, and the key on this box.

A call's numbers are sealed; what lies beside them are keyed hashes of their index keys
(core/numbers.py). Without `keys/search.key` a hash says nothing. With it, as whoever steals the
whole box has it, guesses can be tested: the iterations make each guess cost about half a
millisecond, which tells whether a *certain* person called, and makes trying all numbers of a
country a matter of days, no more. The hash of the last four digits has ten thousand possible
values and hides nothing from such a thief.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from recorderd.disk import files
from recorderd.disk.layout import KEYS
from recorderd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NAME = "search.key"
KEY_BYTES = 32
ITERATIONS = 1000
"""A search hashes up to four keys and should take less than 5 ms."""

HASH_BYTES = 16
MARK = "#"
"""Begins a hash, so that it is never taken for a key in plain."""


def hashed(key: bytes, texts: Iterable[str]) -> frozenset[str]:
    """The keyed hash of each text (PBKDF2, RFC 8018, with HMAC-SHA-256 under `key`)."""
    return frozenset(
        MARK + hashlib.pbkdf2_hmac("sha256", key, text.encode(), ITERATIONS, HASH_BYTES).hex()
        for text in texts
    )


def make_search_key(directory: Path) -> bytes:
    """The key of this box; made, durable, where there is none. Raises StoreError."""
    key = read_search_key(directory)
    if key is None:
        files.make_directory(directory / KEYS, directory)
        key = secrets.token_bytes(KEY_BYTES)
        files.write_durable(directory / KEYS / NAME, f"{key.hex()}\n".encode("ascii"), mode=0o600)
    return key


def read_search_key(directory: Path) -> bytes | None:
    """The key of this box; None where nothing was ever sealed. Raises StoreError."""
    path = directory / KEYS / NAME
    if not path.parent.is_dir() or not path.exists():
        return None
    return read_key_file(path)


def read_key_file(path: Path) -> bytes:
    """A search key in a file, also a copy of it elsewhere. Raises StoreError."""
    with files.guarded(path):
        text = path.read_bytes()
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise StoreError(f"{path}: not a search key; restore it from a copy of this box")
    return key
