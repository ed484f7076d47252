"""The envelope of a sealed call whose key is in memory.

Each call has an age identity of its own. It is made when the call begins and forgotten when the
call is filed; all that stays of it is the file in the vault, which only a supervisor can open.
"""

from __future__ import annotations

import base64
import json
import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recorderd.core.manifest import Sealed
from recorderd.core.numbers import index_keys
from recorderd.disk import files
from recorderd.seal.age import Recipients, new_identity
from recorderd.seal.openedkey import OpenedKey, memory_file
from recorderd.seal.searchkey import hashed, make_search_key
from recorderd.seal.vault import keep_key, key_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from recorderd.core.manifest import CallRecord
    from recorderd.events import Caller

PARTY_BYTES = 512
"""What was sealed is padded to a multiple of this, so that its length does not tell who called."""


class CallKey(OpenedKey):
    """An Envelope: for the writer, while the call goes on."""

    is_sealed = True
    is_locked = False

    def __init__(self, directory: Path, call_id: str, to: Recipients, search_key: bytes) -> None:
        """`to` are the supervisors. Nothing is written."""
        identity, recipient = new_identity()
        super().__init__(identity)
        self._recipients = Recipients([recipient])
        self._directory = directory
        self._call_id = call_id
        self._wrapped = to.encrypt(f"{identity}\n".encode("ascii"))
        self._search_key = search_key
        self._is_kept = False

    def keep(self) -> None:
        if not self._is_kept:
            keep_key(self._directory, self._call_id, self._wrapped)
            self._is_kept = True

    def seal(self, data: bytes) -> bytes:
        return self._recipients.encrypt(data)

    @contextmanager
    def bench(self, part: Path) -> Iterator[Path]:
        with memory_file() as path:
            try:
                yield path
            finally:
                files.discard(part)

    def pack(self, work: Path, part: Path) -> None:
        with files.guarded(part):
            descriptor = files.create(part)
            try:
                self._recipients.encrypt_file(work, descriptor)
            finally:
                os.close(descriptor)
        files.sync_file(part)

    def take_in(self, record: CallRecord, zone: tzinfo) -> CallRecord:
        """The record without numbers and names, which are in `sealed` then."""
        party = json.dumps(_party(record.as_json(zone)), ensure_ascii=False).encode()
        padded = party.ljust(-(-len(party) // PARTY_BYTES) * PARTY_BYTES)
        numbers = (record.caller.number if record.caller else None, record.dialled)
        keys = frozenset[str]().union(*(index_keys(number) for number in numbers if number))
        return replace(
            record,
            caller=None if record.caller is None else _nameless(record.caller),
            other_caller=None if record.other_caller is None else _nameless(record.other_caller),
            dialled=None,
            digits=(),
            call_waiting=tuple(
                replace(other, caller=_nameless(other.caller)) for other in record.call_waiting
            ),
            sealed=Sealed(
                party=base64.b64encode(self.seal(padded)).decode("ascii"),
                vault=key_name(self._call_id),
                numbers=tuple(sorted(hashed(self._search_key, keys))),
            ),
        )


class Sealer:
    """Makes the envelopes of calls that begin, for the supervisors of the configuration."""

    def __init__(self, directory: Path, recipients: Sequence[str]) -> None:
        """Raises StoreError where nothing could be sealed."""
        self._directory = directory
        self._to = Recipients(recipients)
        self._search_key = make_search_key(directory)

    def envelope(self, call_id: str) -> CallKey:
        """See MakeEnvelope."""
        return CallKey(self._directory, call_id, self._to, self._search_key)


def _party(content: dict[str, Any]) -> dict[str, Any]:
    """What is sealed of a record; vault.with_party puts it back."""
    return {
        "caller": content["caller"],
        "other_caller": content["other_caller"],
        "dialled": content["dialled"],
        "digits": content["digits"],
        "call_waiting": [other["caller"] for other in content["call_waiting"]],
    }


def _nameless(caller: Caller) -> Caller:
    """What is no secret of a caller: why there is no number, where that came from, and when."""
    return replace(caller, number=None, name=None, raw="")
