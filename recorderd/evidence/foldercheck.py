"""One call's folder in the store against what the ledger says of it."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from recorderd.disk import files
from recorderd.disk.layout import ARCHIVED, ERASED, ERASED_SIGNATURE, HOLD, RECEIPT, RECORD
from recorderd.errors import StoreError
from recorderd.evidence.callcheck import judge_record, parse_record
from recorderd.evidence.findings import Case
from recorderd.evidence.layout import AMENDMENT
from recorderd.evidence.sound import is_sealed
from recorderd.media.codec import decode_blocks
from recorderd.seal.vault import has_form_of_key, key_name, wrapped_key
from recorderd.store.records import RECORD_BYTES_MAX
from recorderd.store.signing import is_signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from recorderd.evidence.callcheck import Entered

HASH_BYTES = 1 << 18

OFFSET = timedelta(hours=1)
"""By which summer time, or a time long ago (Britain's in 1970), differs from the record's."""


class FolderCheck:
    """Judges folders one after the other; `decodes`: the sound is decoded too, which takes long."""

    def __init__(self, directory: Path, keys: Callable[[], set[str]], *, decodes: bool) -> None:
        """Of a state directory. `keys` gives the public keys that its ledger names."""
        self._directory = directory
        self._keys = keys
        self.segments = 0
        self.bytes_read = 0
        self._decodes = decodes
        self._buffer = bytearray(HASH_BYTES)

    def judge(self, folder: Path, entered: Entered, *, is_erasing: bool = False) -> Case:
        """What speaks against one closed call. Raises StoreError where the disk cannot be read.

        `is_erasing`: the store says that the call is being erased, and a crash may have come between.
        """
        case = Case()
        where = f"call {folder.name}"
        names = self._names(case, folder, where)
        if entered.tombstone_sha256 is not None:
            known = self._judge_erased(case, folder, where, names, entered)
            known |= names if is_erasing else set()
        else:
            known = self._judge_kept(case, folder, where, names, entered)
            known |= {ERASED, ERASED_SIGNATURE, ARCHIVED} if is_erasing else set()
            known |= names if is_erasing and entered.archived_sha256 else set()
            self._judge_hold(case, folder, where, names, entered)
            self._judge_receipt(case, folder, where, names, entered)
        known |= {RECEIPT} | ({HOLD} if entered.hold_sha256 else set())
        for name in sorted(names - known):
            case.altered.deny(f"{where}: {name} was never entered in the ledger")
        return case

    def _judge_hold(
        self, case: Case, folder: Path, where: str, names: set[str], entered: Entered
    ) -> None:
        """The hold that keeps a call from being erased is there, and of whom the ledger says."""
        if entered.hold_sha256 is None:
            return
        if HOLD not in names:
            case.missing.deny(f"{where}: the ledger holds it, and its {HOLD} is missing")
        elif self._sha256(folder / HOLD) != entered.hold_sha256:
            case.altered.deny(f"{where}: {HOLD} is not what the ledger names")

    def _judge_receipt(
        self, case: Case, folder: Path, where: str, names: set[str], entered: Entered
    ) -> None:
        """The archive's receipt, by which a call may be erased, is the one that the uploader entered.

        Another one proves nothing, and accuses nobody: a cut may have come between the two.
        """
        if entered.receipt_sha256 is None:
            return
        if RECEIPT not in names:
            case.missing.deny(f"{where}: it was uploaded, and its {RECEIPT} is missing")
        elif self._sha256(folder / RECEIPT) != entered.receipt_sha256:
            case.altered.doubt(
                f"{where}: {RECEIPT} is not the one that the ledger names; the uploader enters its own "
                "when it goes on"
            )

    def _names(self, case: Case, folder: Path, where: str) -> set[str]:
        names = set()
        with files.guarded(folder), os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_file(follow_symlinks=False):
                    case.altered.deny(f"{where}: {entry.name} is no file")
                elif not files.is_part(entry.name):  # unfinished: nothing refers to it
                    names.add(entry.name)
        return names

    def _judge_erased(
        self, case: Case, folder: Path, where: str, names: set[str], entered: Entered
    ) -> set[str]:
        """Of an erased call its tombstone is left, and nothing that could be heard."""
        if ERASED not in names:
            case.missing.deny(f"{where}: it was erased, and its {ERASED} is missing")
        elif self._sha256(folder / ERASED) != entered.tombstone_sha256:
            case.altered.deny(f"{where}: {ERASED} is not what the ledger names")
        elif not self._is_signed(folder, names):
            case.altered.deny(f"{where}: {ERASED_SIGNATURE} is not a signature of {ERASED}")
        return {ERASED, ERASED_SIGNATURE}

    def _is_signed(self, folder: Path, names: set[str]) -> bool:
        """Whether the tombstone is signed with a key of this box, of today or before."""
        if ERASED_SIGNATURE not in names:
            return False
        with files.guarded(folder):
            signature = (folder / ERASED_SIGNATURE).read_bytes()
            tombstone = (folder / ERASED).read_bytes()
        return any(is_signed(pem, signature, tombstone) for pem in self._keys())

    def _judge_kept(
        self, case: Case, folder: Path, where: str, names: set[str], entered: Entered
    ) -> set[str]:
        known = {RECORD, *entered.amendments}
        self._judge_amendments(case, folder, where, names, entered.amendments)
        if RECORD not in names:
            case.missing.deny(f"{where}: call.json is missing")
            return known | {name for name in names if not AMENDMENT.fullmatch(name)}
        data = self._read_record(folder)
        try:
            record = parse_record(data, RECORD)
        except StoreError as error:
            case.altered.deny(f"{where}: {error}")
            return known | names
        before = case.altered.count
        judge_record(case, where, record, hashlib.sha256(data).hexdigest(), entered)
        if case.altered.count == before:
            self._judge_place(case, folder, where, record, entered)
        if is_sealed(record):
            self._judge_key(case, where, folder.name)
        if entered.archived_sha256:
            self._judge_archived(case, folder, where, names, entered)
            return known | {ARCHIVED}
        for segment in record["segments"]:
            decodes = self._decodes and not is_sealed(record)
            self._judge_segment(case, folder, where, names, segment, decodes=decodes)
        return known | {segment["file"] for segment in record["segments"]}

    def _judge_key(self, case: Case, where: str, call_id: str) -> None:
        """Whether a sealed call can still be opened by a supervisor, as far as that can be seen."""
        if not (self._directory / key_name(call_id)).exists():
            case.missing.deny(f"{where}: its key is missing from the vault; nobody can open it")
        elif not has_form_of_key(wrapped_key(self._directory, call_id)):
            case.missing.deny(f"{where}: its key in the vault is damaged; nobody can open it")

    def _judge_archived(
        self, case: Case, folder: Path, where: str, names: set[str], entered: Entered
    ) -> None:
        """Of a call whose sound made room for others the record stays, and a note that says so."""
        if ARCHIVED not in names:
            case.missing.deny(f"{where}: its sound was removed, and its {ARCHIVED} is missing")
        elif self._sha256(folder / ARCHIVED) != entered.archived_sha256:
            case.altered.deny(f"{where}: {ARCHIVED} is not what the ledger names")

    def _read_record(self, folder: Path) -> bytes:
        with files.guarded(folder / RECORD), (folder / RECORD).open("rb") as file:
            data = file.read(RECORD_BYTES_MAX + 1)
        self.bytes_read += len(data)
        return data

    def _judge_amendments(
        self, case: Case, folder: Path, where: str, names: set[str], entered: dict[str, str]
    ) -> None:
        for name, sha256 in sorted(entered.items()):
            if name not in names:
                case.missing.deny(f"{where}: {name}, a correction of its record, is missing")
            elif self._sha256(folder / name) != sha256:
                case.altered.deny(f"{where}: {name} is not what the ledger names")

    def _judge_segment(
        self,
        case: Case,
        folder: Path,
        where: str,
        names: set[str],
        segment: dict[str, Any],
        *,
        decodes: bool,
    ) -> None:
        self.segments += 1
        name = segment["file"]
        if name not in names:
            case.missing.deny(f"{where}: {name} is missing")
        elif self._sha256(folder / name) != segment["sha256"]:
            case.altered.deny(f"{where}: {name} is not the file that was sealed")
        elif decodes:
            digest = hashlib.sha256()
            try:
                for block in decode_blocks(folder / name):
                    digest.update(block)
            except StoreError as error:
                case.altered.deny(f"{where}: {error}")
                return
            if digest.hexdigest() != segment["audio_sha256"]:
                case.altered.deny(f"{where}: {name} holds other sound than was recorded")

    def _judge_place(
        self, case: Case, folder: Path, where: str, record: dict[str, Any], entered: Entered
    ) -> None:
        """A call lies under the day on which it began, by the clock as it was then or at its end."""
        day = "/".join(folder.parts[-4:-1])
        if day not in days_of(record, entered):
            case.altered.deny(f"{where}: it lies under {day}, which is not its day")

    def _sha256(self, path: Path) -> str:
        """As hashlib.file_digest, into one buffer for all files."""
        digest = hashlib.sha256()
        view = memoryview(self._buffer)
        with files.guarded(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                while size := os.readv(descriptor, [self._buffer]):
                    digest.update(view[:size])
                    self.bytes_read += size
            finally:
                os.close(descriptor)
        return digest.hexdigest()


def days_of(record: dict[str, Any], entered: Entered) -> set[str]:
    """The days under which a call's folder may lie, as folders are named.

    The folder is named at the beginning; a clock that was set in mid-call moves `started_at` alone,
    perhaps to the other side of a change to summer time.
    """
    try:
        started = datetime.fromisoformat(record["started_at"])
        lasted = timedelta(seconds=record["duration_s"] or 0)
        days = {started.date()}
        for at in (entered.opened_at, entered.closed_at):
            if at is not None:
                local = datetime.fromisoformat(at).astimezone(started.tzinfo)
                for moment in (local, local - lasted):
                    days |= {(moment + shift).date() for shift in (-OFFSET, timedelta(), OFFSET)}
    except (KeyError, TypeError, ValueError, OverflowError):
        return set()
    return {f"{day:%Y/%m/%d}" for day in days}
