"""What of a call is to be uploaded: its files in their order, `call.json` last, for it commits them.

Of a call that was erased it is the signed text record, so that the archive can tell erased from never
recorded. What a receipt confirms already is not sent again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from recorderd.archive.layout import call_prefix
from recorderd.archive.rows import ERASED_REVISION, row_of
from recorderd.archive.target import Content, content_of_file
from recorderd.disk import files
from recorderd.disk.layout import ARCHIVED, CALLS, ERASED, ERASED_SIGNATURE, RECORD
from recorderd.errors import StoreError
from recorderd.store.receipts import Receipt, counts_for, read_receipt
from recorderd.store.records import (
    amendments,
    read_json,
    read_original,
    read_record,
    text_record,
)

if TYPE_CHECKING:
    from datetime import tzinfo
    from pathlib import Path

    from recorderd.upload.queue import Waiting


@dataclass(frozen=True, slots=True)
class Piece:
    """One file. `label` stands for its name wherever the caller's number must not be read."""

    name: str
    label: str
    key: str
    content: Content


@dataclass(frozen=True, slots=True)
class Parcel:
    """All that is to be sent of a call now, and what to tell the catalogue."""

    call: Waiting
    folder: Path
    pieces: tuple[Piece, ...]
    before: Receipt | None
    row: dict[str, Any] = field(repr=False)

    @property
    def is_erased(self) -> bool:
        """Whether nothing is left of the call but its text record."""
        return self.row["erased_at"] is not None


def find_folder(directory: Path, call: Waiting, zone: tzinfo) -> Path:
    """The folder of a call. It lies under the day on which the call began, mostly that of its entry."""
    day = datetime.fromisoformat(call.at).astimezone(zone).date()
    for days_before in (0, 1, 2):
        folder = directory / CALLS / f"{day - timedelta(days_before):%Y/%m/%d}" / call.id
        if folder.is_dir():
            return folder
    # The clock was set meanwhile, or the entry is about a call of long ago.
    found = next((directory / CALLS).glob(f"*/*/*/{call.id}"), None)
    if found is None:
        raise StoreError(
            f"call {call.id}: its folder is missing, and the ledger has closed it; `recorderd verify "
            "--all` tells what else is; restore it from a copy"
        )
    return found


def pack_parcel(directory: Path, call: Waiting, zone: tzinfo, site: str, archive: str) -> Parcel:
    """What is to be sent of a call to the archive with this URL now. Raises StoreError."""
    folder = find_folder(directory, call, zone)
    if (folder / ERASED).exists():
        return _erased(folder, call, site)
    try:
        return _kept(folder, call, site, archive)
    except StoreError:
        if (folder / ERASED).exists():  # just now
            return _erased(folder, call, site)
        raise


def _date_of(folder: Path) -> str:
    return "-".join(folder.parts[-4:-1])


def _kept(folder: Path, call: Waiting, site: str, archive: str) -> Parcel:
    original, record_sha256 = read_original(folder)
    record, changes = read_record(folder), amendments(folder)
    date = _date_of(folder)
    names = {segment["file"]: segment["sha256"] for segment in original["segments"]}
    names |= {path.name: files.sha256_of(path) for path in changes}
    names[RECORD] = record_sha256
    row = row_of(record, site, date, len(changes), record_sha256)
    before = read_receipt(folder)
    if before is not None and not _is_of(before, folder, archive, call_prefix(site, date, call.id)):
        before = None
    return _parcel(folder, call, site, names, row, before)


def _is_of(receipt: Receipt, folder: Path, archive: str, prefix: str) -> bool:
    """Whether a receipt is of the place where the call goes now: of the site as it is called today."""
    if not counts_for(receipt, folder, archive):
        return False
    keys = (str(held.get("key")) for held in receipt.objects.values())
    return (folder / ARCHIVED).exists() or all(key.startswith(prefix) for key in keys)


def _erased(folder: Path, call: Waiting, site: str) -> Parcel:
    names = {name: files.sha256_of(folder / name) for name in (ERASED_SIGNATURE, ERASED)}
    record_sha256 = str(read_json(folder / ERASED).get("record_sha256"))
    row = row_of(text_record(folder), site, _date_of(folder), ERASED_REVISION, record_sha256)
    return _parcel(folder, call, site, names, row, None)


def _parcel(
    folder: Path,
    call: Waiting,
    site: str,
    names: dict[str, str],
    row: dict[str, Any],
    before: Receipt | None,
) -> Parcel:
    prefix = call_prefix(site, row["date"], call.id)
    pieces = tuple(
        Piece(name, _label(name, index), prefix + name, content_of_file(folder / name, sha256))
        for index, (name, sha256) in enumerate(names.items())
        if before is None or before.files.get(name) != sha256
    )
    return Parcel(call, folder, pieces, before, row)


def _label(name: str, index: int) -> str:
    return name if name.endswith((".json", ".sig")) else f"segment {index}"
