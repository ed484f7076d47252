"""What the archive holds of a box's own calls, read back on the box and judged by its own ledger.

The box can ask only for what it knows the names of; whether the archive has more of its site is for
`recorderd archive verify`, on the central side.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from recorderd.archive.layout import call_prefix
from recorderd.central.callcheck import ArchivedCallCheck
from recorderd.errors import LedgerError
from recorderd.evidence.callcheck import gathered
from recorderd.evidence.findings import Case, Judgement, counted, verdict_of
from recorderd.evidence.index import CallIndex
from recorderd.evidence.ledgercheck import LedgerCheck
from recorderd.evidence.part import device_pem, ledger_part, upload_entries
from recorderd.store.receipts import read_receipt
from recorderd.store.records import walk_folders
from recorderd.store.signing import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recorderd.archive.target import Target
    from recorderd.evidence.callcheck import Entered


def verify_archived(
    directory: Path,
    site: str,
    target: Target,
    fingerprint: str | None = None,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> Judgement:
    """Judge all that the archive has confirmed to hold of this box. Raises ArchiveError, StoreError."""
    case = Case()
    known = fingerprint_of(device_pem(directory))
    with closing(CallIndex()) as index:
        ledger = LedgerCheck(directory, case, fingerprint or known, (), index.take)
        ledger.run()
        check = _Check(site, target, ledger.keys)
        total = index.count()
        for done, folder in enumerate(walk_folders(directory), start=1):
            entered = index.find(folder.name)
            if entered is not None:
                case.extend(check.judge(folder, entered))
            tell(min(done, total), total)
        ledger.judge_ends()
        return check.judgement(str(directory), case, total, fingerprint, known)


def verify_archived_call(
    directory: Path,
    site: str,
    folder: Path,
    target: Target,
    fingerprint: str | None = None,
    _tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> Judgement:
    """Judge one call as the archive holds it. Raises ArchiveError and StoreError."""
    case = Case()
    known = fingerprint_of(device_pem(directory))
    check = _Check(site, target, lambda: {device_pem(directory)})
    try:
        part = ledger_part(directory, folder.name)
        entered = gathered([*part.entries, *upload_entries(directory, folder.name)])
        case.extend(check.judge(folder, entered))
        if part.checkpoint is None:
            case.missing.doubt("the ledger was not signed yet behind the call's last entry")
        elif part.checkpoint.fingerprint != (fingerprint or known):
            case.altered.doubt(f"it was signed with another key ({part.checkpoint.fingerprint})")
    except LedgerError as error:
        case.altered.deny(f"call {folder.name}: its part of the ledger does not hold: {error}")
    return check.judgement(folder.name, case, 1, fingerprint, known)


class _Check:
    def __init__(self, site: str, target: Target, keys: Callable[[], set[str]]) -> None:
        self._site = site
        self._target = target
        self._calls = ArchivedCallCheck(target, keys, deep=True)
        self._waiting = 0

    def judge(self, folder: Path, entered: Entered) -> Case:
        """What speaks against the archive's copy of one call; one that is not uploaded yet waits."""
        receipt = read_receipt(folder)
        if receipt is None and entered.receipt_sha256 is None and entered.tombstone_sha256 is None:
            self._waiting += 1
            return Case()
        date = "-".join(folder.parts[-4:-1])
        return self._calls.judge(call_prefix(self._site, date, folder.name), None, entered)

    def judgement(
        self, what: str, case: Case, calls: int, fingerprint: str | None, known: str
    ) -> Judgement:
        """Both verdicts, with what they do not say."""
        waiting = self._calls.not_yet
        if waiting:
            case.missing.doubt(f"{counted(len(waiting), 'thing')} on the way there ({waiting[0]})")
        if self._waiting:
            case.missing.doubt(f"{counted(self._waiting, 'call')} not uploaded yet")
        archived = (
            f"{counted(calls - self._waiting, 'call')} ({counted(self._calls.segments, 'segment')})"
        )
        return Judgement(
            what=f"{what}, in {self._target.name}",
            altered=verdict_of(
                case.altered,
                f"Nothing altered: {archived}, read back from the archive, are what the ledger names",
                "ALTERED: {count} in the archive is not what was recorded or signed",
            ),
            missing=verdict_of(
                case.missing,
                f"Nothing missing: the archive holds all of {archived}",
                "MISSING: {count} that the ledger names is not in the archive",
            ),
            fingerprint=fingerprint or known,
            calls=calls,
            segments=self._calls.segments,
            bytes_read=self._calls.bytes_read,
            checkpoints={},
        )
