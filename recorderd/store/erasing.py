"""Erasing a call, so that a power cut at any moment leaves it either whole or, in the end, erased.

1. `open/<call-id>.erasing` says where to look after a crash.
2. Under the lock on the call's folder, a last look for a hold; then `erased.json` with its signature
   `erased.sig`. This is the moment: from here on the call is erased, whatever happens.
3. The ledger's entry `call-erased`. 4. The key of a sealed call, without which copies elsewhere cannot
   be opened either. 5. Everything else in the folder, and what was set aside of the call. 6. The row.

What stays is the text record: that there was a call, when, how long, on which line, by which rule it
was erased, and the hashes by which a copy could be recognised; no number, no name, no sound.

To make room (rule "space") only the sound is removed: the record stays, `archived.json` is the moment,
and the key is kept, for the archive's copy is to be opened with it.

Both are generators of small steps, each of which can be done again from its beginning. They raise
StoreError; `finish` then goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recorderd.disk import files
from recorderd.disk.layout import ARCHIVED, ERASED, ERASED_SIGNATURE, OPEN, QUARANTINE, RECORD
from recorderd.seal.vault import destroy_key
from recorderd.store.holds import is_held, lock_folder
from recorderd.store.names import sealed_segments
from recorderd.store.records import TOLD, read_json, read_original, read_record, text_record
from recorderd.store.reindexing import SET_ASIDE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recorderd.core.retention import Rule
    from recorderd.store.books import Books

log = logging.getLogger(__name__)

MARK = ".erasing"
VERSION = 1
SEGMENTS_PER_STEP = 20


@dataclass(frozen=True, slots=True)
class Sentence:
    """Why and when a call is erased."""

    rule: Rule
    days: int | None  # of its class
    at: str  # ISO 8601
    box_time_s: int


def erase(directory: Path, folder: Path, books: Books, sentence: Sentence) -> Iterator[None]:
    """Erase the call in `folder`, or remove its sound; nothing happens where a hold is on it."""
    where = folder.relative_to(directory).as_posix()
    files.write_durable(_mark_of(directory, folder), where.encode())
    yield
    with lock_folder(folder, wait=False):
        if not is_held(folder):
            _pronounce(folder, books, sentence)
    yield
    yield from finish(directory, folder, books)


def begun(directory: Path) -> list[Path]:
    """The folders of calls whose erasing a crash or a refusing disk has interrupted."""
    with files.guarded(directory / OPEN):
        marks = sorted((directory / OPEN).glob(f"*{MARK}"))
        return [directory / mark.read_text("utf-8") for mark in marks]


def finish(directory: Path, folder: Path, books: Books) -> Iterator[None]:
    """Go on from wherever the erasing of a call has come to."""
    yield from _finish(directory, folder, books)
    files.remove_durable(_mark_of(directory, folder))


def _mark_of(directory: Path, folder: Path) -> Path:
    return directory / OPEN / f"{folder.name}{MARK}"


# ---------------------------------------------------------------- the moment


def _pronounce(folder: Path, books: Books, sentence: Sentence) -> None:
    record = read_record(folder)
    _, record_sha256 = read_original(folder)
    if sentence.rule == "space":
        text = {"call": folder.name, "at": sentence.at, "record_sha256": record_sha256}
        files.write_durable(folder / ARCHIVED, _as_bytes(text))
        return
    data = _as_bytes(_what_stays(record, record_sha256, sentence))
    files.write_durable(folder / ERASED_SIGNATURE, books.ledger.signature(data))
    files.write_durable(folder / ERASED, data)


def _what_stays(record: dict[str, Any], record_sha256: str, sentence: Sentence) -> dict[str, Any]:
    return {
        "version": VERSION,
        **{key: record[key] for key in TOLD},
        "call_box_time_s": record["clock"]["box_time_s"],
        "erased_at": sentence.at,
        "rule": sentence.rule,
        "days": sentence.days,
        "box_time_s": sentence.box_time_s,
        "record_sha256": record_sha256,
        "segments": [
            {key: segment[key] for key in ("first_frame", "frames", "sha256", "audio_sha256")}
            for segment in record["segments"]
        ],
    }


def _as_bytes(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


# ---------------------------------------------------------------- what follows from it


def _finish(directory: Path, folder: Path, books: Books) -> Iterator[None]:
    if (folder / ERASED).exists():
        files.fsync_directory(folder)  # the disk may have refused just that when it was written
        _enter_erased(folder, books)
        yield
        destroy_key(directory, folder.name)
        yield
        yield from _remove_rest(directory, folder)
        books.catalogue.add(text_record(folder), folder)
        log.info("call %s is erased", folder.name)
        yield
    elif (folder / ARCHIVED).exists():
        files.fsync_directory(folder)
        _enter_sound_removed(folder, books)
        yield
        yield from _remove_segments(folder)
        log.info("the sound of call %s is only in the archive now", folder.name)
    else:  # it is held, or the moment never came
        files.discard(folder / ERASED_SIGNATURE)


def _enter_erased(folder: Path, books: Books) -> None:
    with files.guarded(folder / ERASED):
        data = (folder / ERASED).read_bytes()
    stays = read_json(folder / ERASED)
    _enter(
        books,
        "call-erased",
        {
            "call": folder.name,
            "rule": stays["rule"],
            "tombstone_sha256": hashlib.sha256(data).hexdigest(),
            "record_sha256": stays["record_sha256"],
        },
    )


def _enter_sound_removed(folder: Path, books: Books) -> None:
    data = {
        "call": folder.name,
        "record_sha256": read_json(folder / ARCHIVED)["record_sha256"],
        "note_sha256": files.sha256_of(folder / ARCHIVED),
    }
    _enter(books, "sound-removed", data)


def _enter(books: Books, kind: str, data: dict[str, Any]) -> None:
    if books.ledger.last(kind, data["call"]) != data:
        books.ledger.append(kind, **data)
    books.ledger.sign()


def _remove_rest(directory: Path, folder: Path) -> Iterator[None]:
    """Everything of the call but the text record; the record first, so that it is never half there."""
    if (folder / RECORD).exists():
        files.remove_durable(folder / RECORD)
    yield
    yield from _remove_segments(folder)
    quarantine = directory / OPEN / QUARANTINE
    names = (f"{folder.name}_", f"{folder.name}.")
    set_aside = [path for path in _files_of(quarantine) if path.name.startswith(names)]
    stays = {ERASED, ERASED_SIGNATURE}
    for path in (*_files_of(folder), *set_aside):
        if path.name not in stays:
            files.remove_durable(path)
            yield
    files.remove_durable(directory / SET_ASIDE)  # a damaged catalogue may hold the number too


def _files_of(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    with files.guarded(place):
        return sorted(path for path in place.iterdir() if path.is_file())


def _remove_segments(folder: Path) -> Iterator[None]:
    paths = [path for found in sealed_segments(folder).values() for path in found]
    for first in range(0, len(paths), SEGMENTS_PER_STEP):
        with files.guarded(folder):
            for path in paths[first : first + SEGMENTS_PER_STEP]:
                with suppress(FileNotFoundError):
                    path.unlink()
        files.fsync_directory(folder)
        yield


def sound_bytes(folder: Path) -> int:
    """What a call's segments take on the disk. Raises StoreError."""
    with files.guarded(folder):
        return sum(
            path.stat().st_size for found in sealed_segments(folder).values() for path in found
        )
