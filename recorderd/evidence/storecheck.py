"""What is proven of a whole state directory, or of one call in it.

The order: how far each chain has come; then every chain from its first entry, checkpoint by checkpoint;
then every folder under calls/ against what the chains say; then every call that has no folder. The
recorder may go on meanwhile: whatever looks wrong is looked at again, with what was entered since, before
it is called so.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from recorderd.core import chain
from recorderd.disk import files
from recorderd.disk.layout import CALLS, OPEN
from recorderd.errors import LedgerError, StoreError
from recorderd.evidence.callcheck import gathered
from recorderd.evidence.findings import Case, Judgement, counted, verdict_of
from recorderd.evidence.foldercheck import FolderCheck
from recorderd.evidence.index import CallIndex
from recorderd.evidence.ledgercheck import LedgerCheck
from recorderd.evidence.part import (
    desk_entries,
    device_pem,
    ledger_part,
    upload_entries,
)
from recorderd.store.ledger import RECORDER
from recorderd.store.signing import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from recorderd.core.chain import Note

SUSPECTS_MAX = 10_000
"""So many calls are looked at twice; in a store with more of them something is wrong for certain."""

LOOKS, LOOK_AGAIN_S = 5, 1.0
"""Filing and erasing a call take a few syncs, each up to a second on a slow card."""

NOTE_BYTES_MAX = 1 << 16


def verify_store(
    directory: Path,
    fingerprint: str | None = None,
    checkpoints: Sequence[Note] = (),
    tell: Callable[[int, int], None] = lambda _done, _total: None,
    wait: Callable[[float], None] = time.sleep,
) -> Judgement:
    """Judge a whole state directory.

    `fingerprint` is the device key's; without it the box's own is taken. `checkpoints` were kept
    elsewhere. `tell` gets the calls done and all there are. Raises StoreError.
    """
    with closing(CallIndex()) as index:
        return _StoreCheck(directory, fingerprint, checkpoints, index).run(tell, wait)


def read_checkpoint(path: Path) -> Note:
    """A checkpoint's note that was kept in a file. Raises StoreError.

    A shell or an editor adds a blank line, or ends lines as Windows does: that alters no note.
    """
    with files.guarded(path), path.open("rb") as file:
        data = file.read(NOTE_BYTES_MAX)
    try:
        lines = data.decode().strip().splitlines()
        return chain.parse_note("\n".join([*lines, ""]))
    except (LedgerError, UnicodeError) as error:
        raise StoreError(f"{path}: not the note of a checkpoint ({error})") from error


class _StoreCheck:
    def __init__(
        self,
        directory: Path,
        fingerprint: str | None,
        checkpoints: Sequence[Note],
        index: CallIndex,
    ) -> None:
        self._directory = directory
        self._case = Case()
        self._index = index
        self._is_named = fingerprint is not None
        self._has_outside = bool(checkpoints)
        self._fingerprint = self._key(fingerprint)
        self._ledger = LedgerCheck(
            directory, self._case, self._fingerprint, checkpoints, index.take
        )
        self._folders = FolderCheck(directory, self._ledger.keys, decodes=False)
        self._suspects: dict[Path, Case] = {}

    def run(self, tell: Callable[[int, int], None], wait: Callable[[float], None]) -> Judgement:
        self._ledger.run()
        total = self._index.count()
        for done, folder in enumerate(self._walk_calls(), start=1):
            self._look_at(folder)
            tell(min(done, total), total)
        self._look_again(wait)
        self._ledger.judge_ends()
        for case in self._suspects.values():
            self._case.extend(case)
        return self._judgement()

    def _key(self, wanted: str | None) -> str:
        """The fingerprint to go by. The box's key must be it."""
        try:
            found = fingerprint_of(device_pem(self._directory))
        except StoreError as error:
            if wanted is None:
                raise
            self._case.altered.deny(str(error))
            return wanted
        if wanted is not None and found != wanted:
            self._case.altered.deny(f"the key of this box ({found}) is another one than you named")
        return wanted or found

    # ------------------------------------------------------------ folders

    def _walk_calls(self) -> Iterator[Path]:
        """The folders of calls, day by day; what else lies under calls/ is told."""
        root = self._directory / CALLS
        if not root.is_dir():
            return
        for year in self._numbered(root, 4):
            for month in self._numbered(year, 2):
                for day in self._numbered(month, 2):
                    yield from self._subfolders(day)

    def _numbered(self, folder: Path, digits: int) -> Iterator[Path]:
        for path in self._subfolders(folder):
            if path.name.isdecimal() and len(path.name) == digits:
                yield path
            else:
                self._strange(path)

    def _subfolders(self, folder: Path) -> Iterator[Path]:
        with files.guarded(folder), os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield folder / entry.name
            else:
                self._strange(folder / entry.name)

    def _strange(self, path: Path) -> None:
        self._case.altered.deny(f"{path.relative_to(self._directory)}: no call has it")

    def _look_at(self, folder: Path) -> None:
        """Judge a folder for the first time."""
        case = self._judge(folder)
        if not self._index.mark_seen(folder.name, str(folder)):
            self._case.altered.deny(f"call {folder.name}: it is there twice")
        if not case.is_clean:
            if len(self._suspects) < SUSPECTS_MAX:
                self._suspects[folder] = case
            else:
                self._case.extend(case)

    def _judge(self, folder: Path) -> Case:
        entered = self._index.find(folder.name)
        if entered is not None:
            try:
                return self._folders.judge(
                    folder,
                    entered,
                    is_erasing=(self._directory / OPEN / f"{folder.name}.erasing").exists(),
                )
            except StoreError as error:
                case = Case()
                case.missing.deny(f"call {folder.name}: it cannot be read: {error}")
                return case
        case = Case()
        if folder.name not in self._open_calls():
            case.altered.deny(f"call {folder.name}: no ledger knows this folder")
        return case

    # ------------------------------------------------------------ calls without a folder

    def _open_calls(self) -> set[str]:
        """The ids of the calls that are being recorded, or wait for recovery."""
        folder = self._directory / OPEN
        if not folder.is_dir():
            return set()
        with files.guarded(folder):
            names = [path.name for path in folder.iterdir()]
        return {name.partition(".")[0].partition("_")[0] for name in names}

    def _unaccounted(self) -> list[str]:
        """Calls that are neither closed nor open, and closed ones without a folder."""
        is_open = self._open_calls()
        self._ledger.walk_on()
        lost = [call_id for call_id in self._index.live if call_id not in is_open]
        return lost + list(islice(self._index.unseen(), SUSPECTS_MAX))

    def _look_again(self, wait: Callable[[float], None]) -> None:
        """Whatever looks wrong is judged once more with what was entered since."""
        for look in range(LOOKS):
            lost = self._unaccounted()
            for folder in list(self._suspects):
                case = self._judge(folder) if folder.is_dir() else Case()
                if case.is_clean:
                    self._index.mark_seen(folder.name, str(folder))
                    del self._suspects[folder]
                elif look:
                    self._suspects[folder] = case
            lost = [call_id for call_id in lost if not self._appeared(call_id)]
            if not lost and not self._suspects and self._ledger.is_settled:
                return
            if look + 1 < LOOKS:
                wait(LOOK_AGAIN_S)
        for call_id in lost:
            if call_id in self._index.live:
                text = f"call {call_id}: it was opened, and is neither closed nor open"
            else:
                text = f"call {call_id}: its folder is missing"
            self._case.missing.deny(text)

    def _appeared(self, call_id: str) -> bool:
        """Whether a call that was closed meanwhile has its folder now."""
        found = list((self._directory / CALLS).glob(f"*/*/*/{call_id}"))
        for folder in found:
            if folder not in self._suspects:
                self._look_at(folder)
        return bool(found) and call_id not in self._index.live

    # ------------------------------------------------------------ the two verdicts

    def _judgement(self) -> Judgement:
        calls, segments = self._index.count(), self._folders.segments
        what = f"{counted(calls, 'call')} ({counted(segments, 'segment')})"
        count = sum(walked.walk.checkpoints for walked in self._ledger.chains.values())
        altered = verdict_of(
            self._case.altered,
            f"Nothing altered: {what} are what the ledger names, and its {count:,} checkpoints are "
            f"signed with {'the key that you named' if self._is_named else 'the key of this box'}",
            "ALTERED: {count} in this store is not what was recorded or signed",
            ""
            if self._is_named
            else f"that this key ({self._fingerprint}) is the one noted at installation is for you "
            "to compare, or to give with --fingerprint",
        )
        missing = verdict_of(
            self._case.missing,
            f"Nothing missing{self._reach()}",
            "MISSING: {count} that the ledger names is not there",
            self._limits(),
        )
        return Judgement(
            what=str(self._directory),
            altered=altered,
            missing=missing,
            fingerprint=self._fingerprint,
            calls=calls,
            segments=segments,
            bytes_read=self._folders.bytes_read,
            checkpoints={
                name: walked.walk.signed.text
                for name, walked in self._ledger.chains.items()
                if walked.walk.signed
            },
        )

    def _reach(self) -> str:
        recorder = self._ledger.chains.get(RECORDER)
        signed = recorder.walk.signed if recorder else None
        return f" up to the checkpoint of {signed.note.at}" if signed else ""

    def _limits(self) -> str:
        unsigned = {
            name: walked.walk.unsigned
            for name, walked in self._ledger.chains.items()
            if walked.walk.unsigned
        }
        tail = ", ".join(f"{count} of {name!r}" for name, count in unsigned.items())
        words = [f"what came after it is not signed yet (entries: {tail})"] if tail else []
        if not self._has_outside:
            words.append(
                "whether the whole store was put back to an earlier state shows only against a "
                "checkpoint kept elsewhere (--checkpoint)"
            )
        return "; ".join(words)


# ---------------------------------------------------------------- one call


def verify_call(
    directory: Path,
    folder: Path,
    fingerprint: str | None = None,
) -> Judgement:
    """Judge one call in the store, its sound decoded, by its part of the ledger. Raises StoreError."""
    case = Case()
    where = f"call {folder.name}"
    known = fingerprint_of(device_pem(directory))
    checked = FolderCheck(directory, lambda: {device_pem(directory)}, decodes=True)
    checkpoint = None
    try:
        part = ledger_part(directory, folder.name)
        checkpoint = part.checkpoint
        others = (*desk_entries(directory, folder.name), *upload_entries(directory, folder.name))
        entered = gathered([*part.entries, *others])
        case.extend(checked.judge(folder, entered))
    except LedgerError as error:
        case.altered.deny(f"{where}: its part of the ledger does not hold: {error}")
    if checkpoint is None:
        case.missing.doubt(f"{where}: the ledger was not signed yet behind its last entry")
    elif checkpoint.fingerprint != (fingerprint or known):
        case.altered.doubt(
            f"{where}: it was signed with another key ({checkpoint.fingerprint}) than "
            f"{'you named' if fingerprint else 'this box has'}; `recorderd verify --all` tells "
            "whether the key was changed since"
        )
    up_to = f", signed at {checkpoint.note.at}" if checkpoint else ""
    segments = counted(checked.segments, "segment")
    return Judgement(
        what=folder.name,
        altered=verdict_of(
            case.altered,
            f"Nothing altered: the record, {segments} and their sound are what the ledger names"
            f"{up_to} with {'the key that you named' if fingerprint else 'the key of this box'}",
            "ALTERED: {count} of this call is not what was recorded or signed",
            "" if fingerprint else f"compare its fingerprint ({known}) with the one noted",
        ),
        missing=verdict_of(
            case.missing,
            f"Nothing missing: {segments} with every frame of this call as the ledger closed it",
            "MISSING: {count} of this call is not there",
            "whether there were other calls shows only `recorderd verify --all`",
        ),
        fingerprint=fingerprint or known,
        calls=1,
        segments=checked.segments,
        bytes_read=checked.bytes_read,
        checkpoints={} if checkpoint is None else {checkpoint.note.origin: checkpoint.text},
    )
