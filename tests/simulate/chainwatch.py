"""The recorder's ledger, read as it grows: it walks, it is signed, and says what is there."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from recorderd.core import chain
from recorderd.disk.layout import LEDGER
from recorderd.store import signing
from recorderd.store.ledger import RECORDER, chain_lines
from tests.simulate.violations import fail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class ChainWatch:
    def __init__(self, directory: Path) -> None:
        self.folder = directory / LEDGER / RECORDER
        self.head = chain.Head(0, chain.GENESIS)
        self.opened: dict[str, tuple[str, int]] = {}  # call, by boot and monotonic time
        self.closed: dict[str, dict[str, Any]] = {}
        self.abandoned: set[str] = set()
        self.erased: dict[str, dict[str, Any]] = {}
        self.sealed: dict[tuple[str, int], str] = {}  # the hash of the sound of a segment
        self._frames: dict[tuple[str, int], int] = {}  # of that segment
        self._amended: dict[tuple[str, str], str] = {}  # the hash of an amendment's file
        self._signed = 0  # entries below the last checkpoint
        self._public_pem = ""

    def newest_file(self) -> Path:
        return max(self.folder.glob("[0-9]*.jsonl"))

    def read(self) -> None:
        """Walk what is new."""
        for entry in chain.walk(chain_lines(self.folder, self.head.entries), self.head):
            self.head = chain.Head(entry.seq + 1, entry.hash)
            self._take(entry)

    def read_all_again(self) -> None:
        entries = sum(1 for _ in chain.walk(chain_lines(self.folder)))
        if entries != self.head.entries:
            fail(f"the ledger has {entries} entries, not {self.head.entries}")

    def _take(self, entry: chain.Entry) -> None:
        call_id = str(entry.data.get("call"))
        match entry.kind:
            case chain.BEGAN | chain.KEY_CHANGED:
                if self._public_pem:
                    fail(f"entry {entry.seq}: {entry.kind} in a chain that had begun")
                self._public_pem = entry.data["public_key"]
            case chain.CHECKPOINT:
                self._check_signature(entry)
            case "call-opened":
                self.opened[call_id] = (entry.boot_id, entry.mono_ns)
            case "call-abandoned":
                self.abandoned.add(call_id)
                self.sealed = {
                    key: sound for key, sound in self.sealed.items() if key[0] != call_id
                }
            case "call-closed":
                if call_id in self.closed:
                    fail(f"entry {entry.seq}: call {call_id} is closed again")
                self.closed[call_id] = {**entry.data, "seq": entry.seq}
            case "segment-sealed":
                self._take_segment(entry, (call_id, entry.data["segment"]))
            case "call-erased":
                self._take_erased(entry, call_id)
            case "record-amended":
                self._amended[call_id, entry.data["file"]] = entry.data["sha256"]
            case "ledger-damaged":
                fail(f"entry {entry.seq}: the ledger says that it is damaged")
            case _:
                pass

    def _take_segment(self, entry: chain.Entry, key: tuple[str, int]) -> None:
        """A segment may be entered again only when its end was cut off."""
        frames, sound = entry.data["frames"], entry.data["audio_sha256"]
        if key in self.sealed and self._frames[key] <= frames and self.sealed[key] != sound:
            fail(f"entry {entry.seq}: segment {key} was sealed with other sound before")
        self.sealed[key], self._frames[key] = sound, frames

    def _take_erased(self, entry: chain.Entry, call_id: str) -> None:
        """It may be entered again after a crash, and is the same then."""
        data = self.erased.setdefault(call_id, {**entry.data, "seq": entry.seq})
        if {**entry.data, "seq": data["seq"]} != data:
            fail(f"entry {entry.seq}: call {call_id} was erased in another way before")

    def _check_signature(self, entry: chain.Entry) -> None:
        note = chain.checkpoint_of(entry)
        signature = base64.b64decode(entry.data["signature"])
        if not self.is_signed(signature, entry.data["note"].encode()):
            fail(f"entry {entry.seq}: the signature is not right")
        self._signed = note.head.entries

    def is_signed(self, signature: bytes, data: bytes) -> bool:
        """Whether this box has signed the data."""
        return signing.is_signed(self._public_pem, signature, data)

    def is_below_a_checkpoint(self, seq: int) -> bool:
        return seq < self._signed

    def is_amended(self, call_id: str) -> bool:
        return any(amended == call_id for amended, _ in self._amended)

    def check_call(self, record: dict[str, Any], record_sha256: str) -> None:
        """A filed call is in the ledger as it is on the disk, below a checkpoint."""
        call_id = record["id"]
        closed = self.closed.get(call_id)
        if closed is None or not self.is_below_a_checkpoint(closed["seq"]):
            fail(f"call {call_id} is not below a checkpoint")
        if closed["record_sha256"] != record_sha256:
            fail(f"the ledger has another record of call {call_id}")
        for index, segment in enumerate(record["segments"]):
            if self.sealed.get((call_id, index)) != segment["audio_sha256"]:
                fail(f"the ledger has another segment {index} of call {call_id}")

    def check_amendments(self, folders: Mapping[str, Path]) -> None:
        """`folders`: of calls that are not erased."""
        for (call_id, name), sha256 in self._amended.items():
            if call_id not in folders:
                continue
            path = folders[call_id] / name
            if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                fail(f"{name} of call {call_id} is not what the ledger says")
