"""The catalogue made to say what the folders say: at every start, and anew where it is damaged."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recorderd.disk import files
from recorderd.disk.layout import ERASED, RECORD
from recorderd.errors import StoreError
from recorderd.store.catalogue import (
    NAME,
    Catalogue,
    DamagedError,
    Entry,
    check_entry,
    entry_of,
    open_catalogue,
)
from recorderd.store.records import read_record, text_record, walk_folders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

SET_ASIDE = "catalogue-damaged.sqlite"


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What had to be changed so that the catalogue says what the folders say."""

    added: tuple[str, ...]  # call ids
    removed: tuple[str, ...]
    unreadable: tuple[str, ...]  # one message for each record that cannot be read


def reindex(catalogue: Catalogue, directory: Path) -> Reindexed:
    """Give every call record its row, and take away rows whose record is gone."""
    known = catalogue.folders()
    removed: list[str] = []
    for call_id, folder in known.items():
        if not (folder / RECORD).is_file() and not (folder / ERASED).is_file():
            catalogue.remove(call_id)
            removed.append(call_id)
    added: list[str] = []
    unreadable: list[str] = []
    catalogue.add_all(_unknown_calls(directory, known, added, unreadable))
    return Reindexed(tuple(added), tuple(removed), tuple(unreadable))


def _unknown_calls(
    directory: Path, known: dict[str, Path], added: list[str], unreadable: list[str]
) -> Iterator[Entry]:
    for folder in walk_folders(directory):
        if folder.name in known:
            continue
        is_erased = (folder / ERASED).exists()
        if not is_erased and not (folder / RECORD).exists():
            continue
        try:
            record = text_record(folder) if is_erased else read_record(folder)
            entry = entry_of(record, folder, directory)
            check_entry(entry)
        except StoreError as error:
            unreadable.append(str(error))
        else:
            added.append(folder.name)
            yield entry


def open_or_rebuild(directory: Path) -> Catalogue:
    """Open the catalogue of a state directory to write; make a damaged one again."""
    path = directory / NAME
    try:
        return _open_checked(path)
    except DamagedError as error:
        log.warning("%s; it is kept as %s", error, SET_ASIDE)
        _remove_side_files(path)
        files.rename_durable(path, path.with_name(SET_ASIDE))
        return _indexed(directory)


def _open_checked(path: Path) -> Catalogue:
    catalogue = open_catalogue(path)
    try:
        catalogue.check()
    except StoreError:
        catalogue.close()
        raise
    return catalogue


def rebuild(directory: Path) -> Catalogue:
    """Drop the catalogue and make it again from the call records."""
    path = directory / NAME
    _remove_side_files(path)
    files.remove_durable(path)
    return _indexed(directory)


def _remove_side_files(path: Path) -> None:
    """Before the database itself: a log that outlived its database would be applied to the next."""
    for suffix in ("-wal", "-shm"):
        files.remove_durable(path.with_name(path.name + suffix))


def _indexed(directory: Path) -> Catalogue:
    catalogue = open_catalogue(directory / NAME)
    done = reindex(catalogue, directory)
    log.info("the catalogue was made again from %d call records", len(done.added))
    return catalogue
