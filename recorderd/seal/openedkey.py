"""A sealed call's key as it opens what was sealed: with the writer, or out of the vault.

Plaintext that must be a file (libsndfile wants one) lies in anonymous memory (memfd_create), never
under a name.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recorderd.disk import files
from recorderd.errors import StoreError
from recorderd.seal.age import Identities

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class OpenedKey:
    """An Opener: for who only reads, with the call's key out of the vault."""

    def __init__(self, identity: str) -> None:
        """Raises ValueError where it is no age identity."""
        self._identities = Identities([identity])

    def open(self, data: bytes) -> bytes:
        try:
            return self._identities.decrypt(data)
        except ValueError as error:
            raise StoreError(f"sealed data cannot be opened: {error}") from error

    @contextmanager
    def unpacked(self, path: Path) -> Iterator[Path]:
        with memory_file() as memory:
            with files.guarded(path), memory.open("wb") as file:
                try:
                    self._identities.decrypt_file(path, file)
                except ValueError as error:
                    message = f"{path}: cannot be opened ({error}); restore it from a copy"
                    raise StoreError(message) from error
            yield memory


@contextmanager
def memory_file() -> Iterator[Path]:
    """An empty file without a name, gone with its descriptor."""
    descriptor = os.memfd_create("recorderd")
    try:
        yield files.path_of(descriptor)
    finally:
        os.close(descriptor)
