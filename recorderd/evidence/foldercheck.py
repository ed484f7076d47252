"""One call's folder in the store against what the ledger says of it."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from recorderd.errors import StoreError
from recorderd.evidence.callcheck import judge_record, parse_record
from recorderd.evidence.findings import Case
from recorderd.evidence.layout import AMENDMENT
from recorderd.media.codec import decode_blocks
from recorderd.store import files
from recorderd.store.names import RECORD
from recorderd.store.records import RECORD_BYTES_MAX

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from recorderd.evidence.callcheck import Entered

TOMBSTONE = "erased.json"
HOLD = "hold.json"
RECEIPT = "receipt.json"

HASH_BYTES = 1 << 18


class FolderCheck:
    """Judges folders one after the other; `decodes`: the sound is decoded too, which takes long."""

    def __init__(self, *, decodes: bool) -> None:
        self.segments = 0
        self.bytes_read = 0
        self._decodes = decodes
        self._buffer = bytearray(HASH_BYTES)

    def judge(self, folder: Path, entered: Entered) -> Case:
        """What speaks against one closed call. Raises StoreError where the disk cannot be read."""
        case = Case()
        where = f"call {folder.name}"
        names = self._names(case, folder, where)
        if entered.tombstone_sha256 is not None:
            known = self._judge_erased(case, folder, where, names, entered)
        else:
            known = self._judge_kept(case, folder, where, names, entered)
        known |= {RECEIPT} | ({HOLD} if entered.is_held else set())
        if entered.is_held and HOLD not in names:
            case.missing.deny(f"{where}: it is held by the ledger, and its {HOLD} is missing")
        for name in sorted(names - known):
            case.altered.deny(f"{where}: {name} was never entered in the ledger")
        return case

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
        if TOMBSTONE not in names:
            case.missing.deny(f"{where}: it was erased, and its {TOMBSTONE} is missing")
        elif self._sha256(folder / TOMBSTONE) != entered.tombstone_sha256:
            case.altered.deny(f"{where}: {TOMBSTONE} is not what the ledger names")
        return {TOMBSTONE}

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
        for segment in record["segments"]:
            self._judge_segment(case, folder, where, names, segment)
        return known | {segment["file"] for segment in record["segments"]}

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
        self, case: Case, folder: Path, where: str, names: set[str], segment: dict[str, Any]
    ) -> None:
        self.segments += 1
        name = segment["file"]
        if name not in names:
            case.missing.deny(f"{where}: {name} is missing")
        elif self._sha256(folder / name) != segment["sha256"]:
            case.altered.deny(f"{where}: {name} is not the file that was sealed")
        elif self._decodes:
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
        if day not in _days_of(record, entered):
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


def _days_of(record: dict[str, Any], entered: Entered) -> set[str]:
    """The days under which a call's folder may lie, as folders are named.

    The folder is named at the beginning; a clock that was set in mid-call moves `started_at` alone.
    """
    try:
        started = datetime.fromisoformat(record["started_at"])
        moments = [
            datetime.fromisoformat(at) for at in (entered.opened_at, entered.closed_at) if at
        ]
    except (KeyError, TypeError, ValueError):
        return set()
    days = {started.date()}
    for moment in moments:
        local = moment.astimezone(started.tzinfo)
        days |= {local.date(), (local - timedelta(seconds=record.get("duration_s") or 0)).date()}
    return {f"{day:%Y/%m/%d}" for day in days}
