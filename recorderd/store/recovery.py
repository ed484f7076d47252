"""Start-up recovery: what a crash or a power cut left becomes filed calls. Every start runs it.

Each call in `open/` is finished: if its draft does not say how long it is, it is as long as its
journals' valid frames, marked as cut, and closed by the same code that closes calls in service.
Then the catalogue is brought in line with the folders. Nothing is deleted that is not in a sealed
and verified segment; what cannot be read is moved to `open/quarantine/`. Every step can be killed
and done again: the draft is completed first, and goes last. Trouble with one call is reported and
does not keep the others from being finished.

Nobody else may write the state directory meanwhile (files.hold_directory).
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from recorderd.core.manifest import Gap
from recorderd.disk import files
from recorderd.disk.layout import CALLS, ERASED, LEDGER, OPEN, RECORD, VAULT
from recorderd.errors import StoreError
from recorderd.seal.envelope import LOCKED, PLAIN
from recorderd.seal.vault import keys_in, locked_vault
from recorderd.store.amending import finish_amending
from recorderd.store.books import Books
from recorderd.store.catalogue import DamagedError
from recorderd.store.closing import Closing, enter_call, no_sound, set_aside
from recorderd.store.drafts import draft_path, is_all_gap, load_draft, merge_gaps, save_draft
from recorderd.store.journal import SUFFIX, read_journal
from recorderd.store.ledger import RECORDER, closed_calls
from recorderd.store.names import sealed_segments, without_number
from recorderd.store.records import amendments, read_original, read_record, walk_folders
from recorderd.store.reindexing import Reindexed, open_or_rebuild, rebuild, reindex
from recorderd.store.salvage import draft_of_folder
from recorderd.store.spool import find_journals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from recorderd.config.values import Site, Storage
    from recorderd.store.drafts import Draft
    from recorderd.store.journal import JournalInfo
    from recorderd.store.ledger import Ledger

log = logging.getLogger(__name__)


@dataclass(slots=True)
class RecoveryReport:
    """What recovery found and did."""

    cut: list[str] = field(default_factory=list)  # ids of calls that a crash ended
    finished: list[str] = field(default_factory=list)  # ids of calls that only had to be filed
    set_aside: list[str] = field(default_factory=list)  # names in open/quarantine
    left: dict[str, str] = field(default_factory=dict)  # calls that could not be filed: id -> why
    problems: list[str] = field(default_factory=list)  # one message each, those of `left` too
    reindexed: Reindexed = field(default_factory=lambda: Reindexed((), (), ()))


def recover(
    storage: Storage, site: Site, ledger: Ledger, *, drop_catalogue: bool = False
) -> RecoveryReport:
    """Finish what was left open, and bring the catalogue in line with the folders.

    `drop_catalogue`: make it again from nothing. Raises StoreError where the state directory cannot
    be used at all.
    """
    directory = storage.directory
    files.make_directory(directory / OPEN, directory)
    files.make_directory(directory / CALLS, directory)
    catalogue = rebuild(directory) if drop_catalogue else open_or_rebuild(directory)
    try:
        books = Books(directory, ledger, catalogue)
        return _Recovery(directory, ZoneInfo(site.time_zone), books).run()
    finally:
        catalogue.close()


def finish_call(directory: Path, zone: tzinfo, books: Books, call_id: str) -> Iterator[None]:
    """File one call that a start had to leave in open/, a small step at a time.

    Raises StoreError, after which it can be done again from its beginning.
    """
    yield from _Recovery(directory, zone, books).finish(call_id)


class _Recovery:
    """One run."""

    def __init__(self, directory: Path, zone: tzinfo, books: Books) -> None:
        self._directory = directory
        self._zone = zone
        self._books = books
        self._report = RecoveryReport()
        self._closed: set[str] | None = None  # by the whole ledger, as this run found it

    def run(self) -> RecoveryReport:
        os.sync()  # names that a killed process made may not be on the disk yet
        files.remove_parts(self._directory / OPEN)
        for call_id in self._open_calls():
            try:
                for _ in self.finish(call_id):
                    pass
            except StoreError as error:
                self._report.left[call_id] = str(error)
                self._problem(error)
        self._report.reindexed = reindex(self._books.catalogue, self._directory)
        self._report.problems += self._report.reindexed.unreadable
        self._enter_unknown(self._report.reindexed.added)
        self._finish_amendments()
        self._adopt_folders()
        self._enter_lost()
        self._set_lone_keys_aside()
        return self._report

    def _problem(self, error: StoreError) -> None:
        text = without_number(str(error))
        log.error("%s", text)
        self._report.problems.append(text)

    def _set_aside(self, path: Path) -> None:
        log.warning("%s: moved to quarantine", path)
        set_aside(self._directory, path)
        self._report.set_aside.append(path.name)

    # ------------------------------------------------------------ calls in open/

    def _open_calls(self) -> list[str]:
        """The ids of all calls with a draft or a journal; what cannot be read is set aside."""
        calls: set[str] = set()
        with files.guarded(self._directory / OPEN):
            paths = sorted((self._directory / OPEN).iterdir())
        for path in paths:
            if path.suffix == SUFFIX:
                if read_journal(path) is None:
                    self._set_aside(path)
                else:
                    calls.add(path.stem.rsplit("_", 2)[0])
            elif path.suffix == ".json":
                calls.add(path.stem)
        return sorted(calls)

    def finish(self, call_id: str) -> Iterator[None]:
        """File a call of open/, or see it gone, step by step."""
        journals = find_journals(self._directory, call_id)
        draft = self._draft(call_id, journals)
        if draft is None:  # the disk may have refused just to sync that when it went
            files.fsync_directory(self._directory / OPEN)
            return
        try:
            yield from self._finish_draft(draft, journals)
        except DamagedError:
            raise
        except StoreError as error:
            raise StoreError(without_number(str(error))) from error

    def _finish_draft(self, draft: Draft, journals: Sequence[JournalInfo]) -> Iterator[None]:
        call_id, folder = draft.record.id, self._directory / draft.folder
        if (folder / RECORD).exists():
            self._tidy_filed(call_id, folder, journals)
            return
        if draft.frames is None:
            draft = self._completed(draft, journals)
            save_draft(self._directory, draft)
        elif draft.record.ended_at is None:
            draft = replace(draft, record=replace(draft.record, cut=True))
        known = self._books.ledger.last("call-abandoned", call_id)
        if not draft.is_filed and known is None:  # the entry may have been lost with the memory
            reason = "it was given up when the recorder stopped"
            self._books.ledger.append("call-abandoned", call=call_id, reason=reason)
        yield from self._close(draft)
        if draft.is_filed:
            (self._report.cut if draft.record.cut else self._report.finished).append(call_id)

    def _draft(self, call_id: str, journals: Sequence[JournalInfo]) -> Draft | None:
        """The call's draft, or the one that its newest journal carries."""
        path = draft_path(self._directory, call_id)
        if path.exists():
            try:
                return load_draft(path)
            except StoreError as error:
                self._problem(error)
                self._set_aside(path)
        return journals[-1].draft if journals else None

    def _tidy_filed(self, call_id: str, folder: Path, journals: Sequence[JournalInfo]) -> None:
        """Only the ledger, the row and the draft were left to do."""
        files.fsync_directory(folder)  # the disk may have refused just that when the record came
        self._enter_once(folder)
        if not (folder / ERASED).exists():
            self._books.catalogue.add(read_record(folder), folder)
        for journal in journals:
            self._set_aside(journal.path)
        files.remove_durable(draft_path(self._directory, call_id))
        self._report.finished.append(call_id)

    def _completed(self, draft: Draft, journals: Sequence[JournalInfo]) -> Draft:
        """The draft of a call that was cut, with the length of what was kept of it."""
        sealed = sealed_segments(self._directory / draft.folder)
        reached = max(
            [(index + 1) * draft.segment_frames for index in sealed]
            + [journal.first_frame + journal.frames for journal in journals]
            + [0]
        )
        known = {*draft.gaps, *(gap for journal in journals for gap in journal.gaps)}
        gaps = merge_gaps({*known, Gap(reached, 0, "cut")}, reached)
        record = replace(draft.record, cut=True, ended_at=None)
        if is_all_gap(gaps, reached):
            for journal in journals:
                if journal.is_damaged:
                    self._set_aside(journal.path)
            record = no_sound(record, gaps, "the sound card")
            return replace(draft, record=record, frames=0, gaps=())
        return replace(draft, record=record, frames=reached, gaps=gaps)

    def _close(self, draft: Draft) -> Iterator[None]:
        if (self._directory / draft.folder).is_dir():
            files.remove_parts(self._directory / draft.folder)
        envelope = PLAIN if draft.record.sealed is None else LOCKED
        closing = Closing(self._directory, self._zone, draft, envelope, "cut")
        while not closing.done:
            closing.step(self._books)
            yield

    def _enter_unknown(self, added: Sequence[str]) -> None:
        """A record that had no row may not be in the ledger either: that comes between the two."""
        folders = self._books.catalogue.folders() if added else {}
        for call_id in added:
            if (folders[call_id] / RECORD).exists():  # else it is erased
                self._enter_once(folders[call_id])

    def _enter_once(self, folder: Path) -> None:
        """Enter a filed call, unless it was: the ledger remembers no more than its newest file says,
        and a call that a failing disk kept in open/ may be finished by a start months later."""
        if self._closed is None:
            self._closed = closed_calls(self._directory / LEDGER / RECORDER)
        if folder.name in self._closed:
            self._books.ledger.sign()
        else:
            enter_call(self._books.ledger, *read_original(folder))

    def _finish_amendments(self) -> None:
        """A correction of times whose entry or row a cut has kept back."""
        for entry in self._books.catalogue.of_wrong_clock():
            try:
                if (entry.folder / RECORD).exists():
                    files.remove_parts(entry.folder)
                    if amendments(entry.folder):
                        finish_amending(entry.folder, self._books)
            except StoreError as error:
                self._problem(error)

    def _enter_lost(self) -> None:
        """A call that was cut before anything of it was on the disk: the ledger alone knows of it."""
        still_open = set(self._open_calls())
        for call_id in self._books.ledger.opened:
            if call_id not in still_open:
                reason = "the recorder stopped before anything of it was on the disk"
                self._books.ledger.append("call-abandoned", call=call_id, reason=reason)

    # ------------------------------------------------------------ folders without a record, and keys

    def _adopt_folders(self) -> None:
        """A folder with segments and no call.json, of which nothing is left in open/ either."""
        known = {*self._books.catalogue.folders(), *self._open_calls()}
        for folder in list(walk_folders(self._directory)):
            if folder.name in known or (folder / RECORD).exists():
                continue
            try:
                self._adopt(folder)
            except StoreError as error:
                self._problem(error)

    def _adopt(self, folder: Path) -> None:
        draft = draft_of_folder(folder, self._directory)
        if draft is None and sealed_segments(folder):
            raise StoreError(
                f"{folder}: sealed segments, and no {RECORD}: restore it from a copy; a supervisor "
                "can open the segments without it"
            )
        if draft is not None:
            save_draft(self._directory, draft)
            for _ in self._close(draft):
                pass
            self._report.finished.append(folder.name)
        else:
            files.discard(files.part_path(folder / RECORD))
            with suppress(OSError):  # other files in it keep it
                folder.rmdir()

    def _set_lone_keys_aside(self) -> None:
        """Keys of calls that never came to be: a cut took everything else of them.

        Not destroyed, for that cannot be taken back; and one of a call that the ledger says was closed
        stays where it is: its folder may come back from a copy.
        """
        vault = self._directory / VAULT
        if not vault.is_dir():
            return
        with locked_vault(self._directory):
            files.remove_parts(vault)
            known = {*self._books.catalogue.folders(), *self._open_calls()}
            known |= {folder.name for folder in walk_folders(self._directory)}
            lone = [path for path in keys_in(self._directory) if path.stem not in known]
            if lone:
                known = closed_calls(self._directory / LEDGER / RECORDER)
            for path in lone:
                if path.stem not in known:
                    self._set_aside(path)
