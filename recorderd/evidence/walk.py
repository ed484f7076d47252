"""Walking a chain with its keys: every line follows, every checkpoint is signed by the key of its place.

A chain names its key in its first entry, and in a `key-changed` entry wherever the key became another
one. A checkpoint must be signed by the key that was named last before it. A key that came later does
not do: whoever has got hold of today's key could otherwise seal an altered past anew (as systemd's
journal once accepted it, CVE-2023-31439).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recorderd.core import chain
from recorderd.core.chain import GENESIS, Entry, Head, Note
from recorderd.errors import LedgerError, StoreError
from recorderd.store.signing import fingerprint_of, is_signed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

START = Head(0, GENESIS)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose signature holds."""

    seq: int
    note: Note
    text: str
    signature: bytes
    fingerprint: str  # of the key that signed it
    public_pem: str


class KeyedWalk:
    """One walk. `head`, the key and the last checkpoint are as far as it has come."""

    def __init__(self, start: Head = START, public_pem: str | None = None) -> None:
        """`public_pem` is the key in force where the walk does not begin with the chain itself."""
        self.head = start
        self.origin: str | None = None
        self.checkpoints = 0
        self.signed: Checkpoint | None = None
        self.keys: set[str] = set()  # every public key that the chain names
        self._pem = public_pem
        self._fingerprint = fingerprint_of(public_pem) if public_pem else None

    def entries(self, lines: Iterable[bytes]) -> Iterator[Entry]:
        """The entries of `lines`; LedgerError at the first that does not hold."""
        for entry in chain.walk(lines, self.head):
            self._check(entry)
            self.head = Head(entry.seq + 1, entry.hash)
            yield entry

    @property
    def unsigned(self) -> int:
        """How many entries came after the last checkpoint."""
        return self.head.entries - (self.signed.seq + 1 if self.signed else 0)

    def _check(self, entry: Entry) -> None:
        if (entry.kind == chain.BEGAN) != (entry.seq == 0):
            raise LedgerError(f"entry {entry.seq} is not the beginning that it should be")
        if entry.kind in {chain.BEGAN, chain.KEY_CHANGED}:
            self._take_key(entry)
        elif entry.kind == chain.CHECKPOINT:
            self._take_checkpoint(entry)

    def _take_key(self, entry: Entry) -> None:
        pem = str(entry.data.get("public_key"))
        try:
            fingerprint = fingerprint_of(pem)
        except (StoreError, UnicodeError) as error:
            raise LedgerError(f"entry {entry.seq} names no key ({error})") from error
        if fingerprint != entry.data.get("fingerprint"):
            raise LedgerError(f"entry {entry.seq} names a key and another one's fingerprint")
        if entry.kind == chain.BEGAN:
            self.origin = str(entry.data.get("origin"))
        self._pem, self._fingerprint = pem, fingerprint
        self.keys.add(pem)

    def _take_checkpoint(self, entry: Entry) -> None:
        note = chain.checkpoint_of(entry)
        if self._pem is None or self._fingerprint is None:
            raise LedgerError(f"the chain names no key for the checkpoint in entry {entry.seq}")
        if entry.data.get("key") != self._fingerprint:
            raise LedgerError(
                f"the checkpoint in entry {entry.seq} is signed by another key than the chain names"
            )
        if self.origin is not None and note.origin != self.origin:
            raise LedgerError(f"the checkpoint in entry {entry.seq} is of another chain")
        text, signature = str(entry.data["note"]), signature_of(entry)
        if not is_signed(self._pem, signature, text.encode()):
            raise LedgerError(f"the signature of the checkpoint in entry {entry.seq} does not hold")
        self.checkpoints += 1
        self.signed = Checkpoint(entry.seq, note, text, signature, self._fingerprint, self._pem)


def signature_of(entry: Entry) -> bytes:
    """The raw signature in a checkpoint entry. Raises LedgerError."""
    try:
        return base64.b64decode(str(entry.data.get("signature")), validate=True)
    except (binascii.Error, ValueError) as error:
        raise LedgerError(f"the signature in entry {entry.seq} cannot be read") from error
