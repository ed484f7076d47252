"""Putting an object so that it lies there once and is known to be right, whatever was cut before."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from recorderd.errors import ExistsError, RefusedError, TryAgainError

if TYPE_CHECKING:
    from recorderd.archive.target import Content, Held, Target


def deposit(target: Target, key: str, content: Content) -> Held:
    """Put an object and compare it with what the archive says that it holds.

    One that is there already is compared and not written again: the acknowledgement of an earlier
    attempt may have been lost. RefusedError where another one is there, which stays as it is.
    """
    was_there = False
    try:
        target.put(key, content)
    except ExistsError:
        was_there = True
    held = target.look(key)
    if held is None:
        raise TryAgainError(f"{target.name}: {key} is not there, and it was just put there")
    found = held.sha256 or hash_of(target, key)
    if (held.size, found) != (content.size, content.sha256):
        how = "another object is there already" if was_there else "what arrived is another object"
        raise RefusedError(
            f"{target.name}: {key}: {how} ({held.size} bytes, SHA-256 {found[:16]}…, and not "
            f"{content.size} bytes, {content.sha256[:16]}…); it was left as it is: look whether two "
            "boxes have one site name, or who wrote it"
        )
    return held


def hash_of(target: Target, key: str) -> str:
    """The SHA-256 of an object, read from the archive."""
    digest = hashlib.sha256()
    for block in target.read(key):
        digest.update(block)
    return digest.hexdigest()
