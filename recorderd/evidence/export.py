"""Writing an evidence bundle: what a stranger needs to hear calls, and to check them without us.

It is built under a temporary name beside its place, every file synced. Then the export is entered in
the ledger (chain `desk`), with the hash of the list that covers all the bundle; only when that is
durable the bundle gets its name. So no bundle exists of which the ledger does not know.

Nothing is handed out as evidence that is not what the ledger names: a record or a segment that was
altered in the store stops the export.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recorderd.disk import files
from recorderd.disk.layout import ARCHIVED, ERASED, RECORD
from recorderd.errors import LedgerError, StoreError
from recorderd.evidence import layout, zipform
from recorderd.evidence.part import desk_entries, device_pem, ledger_part
from recorderd.evidence.readme import readme_text
from recorderd.evidence.report import CallReport, report_page
from recorderd.evidence.sound import first_frame_at, is_sealed, opened
from recorderd.evidence.waveform import Waveform
from recorderd.media import bwf
from recorderd.seal.vault import wrapped_key
from recorderd.store.ledger import open_desk
from recorderd.store.records import read_original, read_record
from recorderd.store.signing import fingerprint_of, load_device_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from recorderd.evidence.part import LedgerPart
    from recorderd.seal.age import Identities
    from recorderd.units import ClockReading

PICTURE_COLUMNS = 1200

CALLS_MAX = 1000
"""So many ids have room in one entry of the ledger. More calls go into several bundles."""


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, for what, and where it is to go."""

    directory: Path
    site: str
    folders: Sequence[Path]  # of the calls, each named by its call's id
    target: Path  # a ZIP file where its name ends so, else a folder
    who: str
    at: str  # now, for people, with the offset from UTC
    identities: Identities | None = None  # a supervisor's, to open sealed calls


def export(
    request: Request,
    read_clock: Callable[[], ClockReading],
    tell: Callable[[int], None] = lambda _seconds: None,
) -> str:
    """Write the bundle and give the SHA-256 of its MANIFEST.sha256. Raises StoreError, LedgerError.

    `tell` is called with the seconds of sound that were done.
    """
    target = request.target
    _refuse_existing(target)
    if target.parent.resolve().is_relative_to(request.directory.resolve()):
        raise StoreError(f"{target}: lies in the state directory; name a place outside of it")
    key = load_device_key(request.directory)
    with _temporary_folder(target) as temp:
        sealed_opened = _write_calls(temp, request, tell)
        manifest = layout.manifest_text(_hashes(temp)).encode()
        digest = hashlib.sha256(manifest).hexdigest()
        _write(temp / layout.MANIFEST, manifest)
        _write(temp / layout.SIGNATURE, key.sign(manifest))
        finished = _packed(temp, target) if is_zip(target) else temp
        with _discarded_on_failure(finished):
            _sync_tree(finished)
            with open_desk(request.directory, request.site, read_clock) as desk:
                _refuse_existing(target)  # by another export, which had the ledger before
                _refuse_erased(request.folders)
                calls = [folder.name for folder in request.folders]
                desk.append(
                    "exported",
                    calls=calls,
                    who=request.who,
                    manifest_sha256=digest,
                    sealed_opened=sealed_opened,
                )
                desk.sign()
                files.rename_durable(finished, target)
    return digest


def is_zip(target: Path) -> bool:
    """Whether a bundle of this name is one file."""
    return target.suffix.lower() == ".zip"


def seconds_of(record: dict[str, Any]) -> int:
    """How much sound a call has, for a progress bar."""
    audio = record["audio"]
    return audio["frames"] // audio["sample_rate_hz"] if audio else 0


# ---------------------------------------------------------------- the place it goes to


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise StoreError(f"{target}: exists already; name another place, nothing is written over")
    if not target.parent.is_dir():
        raise StoreError(f"{target.parent}: no such folder; make it, or name another place")


@contextmanager
def _temporary_folder(target: Path) -> Iterator[Path]:
    with files.guarded(target):
        name = tempfile.mkdtemp(prefix=f".{target.name}.", suffix=files.PART, dir=target.parent)
    temp = target.parent / name
    try:
        with files.guarded(target):
            temp.chmod(0o750)
        yield temp
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def _packed(folder: Path, target: Path) -> Path:
    packed = folder.with_name(f"{folder.name}.zip{files.PART}")
    names = layout.in_order(_names(folder))
    try:
        with files.guarded(target), packed.open("xb") as file:
            zipform.write_zip(file, ((name, folder / name) for name in names))
    except StoreError:
        files.discard(packed)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return packed


@contextmanager
def _discarded_on_failure(finished: Path) -> Iterator[None]:
    """Leave no packed file behind where the last steps fail; a folder goes with its own manager."""
    try:
        yield
    except BaseException:
        if finished.is_file():
            files.discard(finished)
        raise


def _sync_tree(finished: Path) -> None:
    """Bring a file, or a folder with all that is in it, to the disk."""
    if finished.is_file():
        files.sync_file(finished)
        return
    for folder, _, names in os.walk(finished):
        for name in names:
            files.sync_file(finished / folder / name)
        files.fsync_directory(finished / folder)


# ---------------------------------------------------------------- what is in it


def _write_calls(temp: Path, request: Request, tell: Callable[[int], None]) -> int:
    """Write what belongs to each call; gives how many sealed ones an identity has opened for it."""
    pem = device_pem(request.directory)
    parts: dict[str, LedgerPart] = {}
    sealed = 0
    several = len(request.folders) > 1
    for folder in request.folders:
        place = temp / folder.name if several else temp
        try:
            part = _CallWriter(request, pem, folder, place).run(tell)
        except StoreError:
            _refuse_erased([folder])  # just now
            raise
        parts[folder.name if several else ""] = part
        sealed += (place / layout.KEY).exists()
    _write(temp / layout.DEVICE, pem.encode("ascii"))
    _write(temp / layout.README, readme_text(parts, pem, has_sealed=sealed > 0).encode())
    return sealed if request.identities is not None else 0


class _CallWriter:
    """One call on its way into a bundle."""

    def __init__(self, request: Request, pem: str, source: Path, place: Path) -> None:
        self._request = request
        self._pem = pem
        self._source = source
        self._place = place
        _refuse_without_sound(source)
        self._original, self._sha256 = read_original(source)
        self._opened = opened(read_record(source), request.directory, request.identities)
        self._record = self._opened.record

    def run(self, tell: Callable[[int], None]) -> LedgerPart:
        part = self._part()
        for name in ("", "ledger", *([layout.SEGMENTS] if self._original["segments"] else [])):
            folder = self._place / name
            with files.guarded(folder):
                folder.mkdir(0o750, exist_ok=True)
        self._copy_records(part)
        for segment in self._original["segments"]:
            name = segment["file"]
            place = self._place / layout.SEGMENTS / name
            self._copy(self._source / name, place, segment["sha256"])
        waveform = self._join(tell)
        self._write_ledger(part)
        self._write_report(part, waveform)
        return part

    def _part(self) -> LedgerPart:
        """The ledger's part, which must have closed the call with the very record."""
        part = ledger_part(self._request.directory, self._source.name)
        closed = [entry.data for entry in part.entries if entry.kind == "call-closed"]
        if not closed or closed[-1].get("record_sha256") != self._sha256:
            raise LedgerError(
                f"{self._source / RECORD}: not the record that the ledger names; "
                f"`recorderd verify {self._source.name}` says more"
            )
        return part

    def _copy_records(self, part: LedgerPart) -> None:
        self._copy(self._source / RECORD, self._place / RECORD, self._sha256)
        entered = amendments_in(part)
        for name in sorted(self._names()):
            if layout.AMENDMENT.fullmatch(name):
                if name not in entered:
                    raise LedgerError(f"{self._source / name}: the ledger knows of no such file")
                self._copy(self._source / name, self._place / name, entered[name])
        if is_sealed(self._original):
            self._copy_key()

    def _copy_key(self) -> None:
        """The key of a sealed call, which only a supervisor can open."""
        _write(self._place / layout.KEY, wrapped_key(self._request.directory, self._source.name))

    def _names(self) -> list[str]:
        with files.guarded(self._source):
            return [path.name for path in self._source.iterdir()]

    def _copy(self, source: Path, place: Path, sha256: str) -> None:
        """Copy a file of the store, which must be the very one that was sealed."""
        if place.name != source.name or not layout.is_plain(source.name):
            raise StoreError(f"{source}: not a name of a file in a call's folder")
        digest = hashlib.sha256()
        with files.guarded(source), source.open("rb") as file, place.open("xb") as copy:
            while block := file.read(zipform.BLOCK_BYTES):
                digest.update(block)
                copy.write(block)
        if digest.hexdigest() != sha256:
            raise LedgerError(
                f"{source}: not the file that was sealed; "
                f"`recorderd verify {self._source.name}` says more"
            )

    def _join(self, tell: Callable[[int], None]) -> Waveform | None:
        """Write joined.wav in one pass over the sound, which gives the picture too."""
        audio, sound = self._original["audio"], self._opened.sound
        if audio is None or sound is None:
            return None
        frames, rate_hz = audio["frames"], audio["sample_rate_hz"]
        waveform = Waveform(frames, PICTURE_COLUMNS)
        path = self._place / layout.JOINED
        with files.guarded(path), path.open("xb") as target:
            is_whole = bwf.fits(frames)
            if is_whole:
                bwf.write_header(target, frames, rate_hz, self._origin())
            for segment in self._original["segments"]:
                digest = hashlib.sha256()
                for block in sound(self._place / layout.SEGMENTS / segment["file"], segment):
                    digest.update(block)
                    waveform.add(block)
                    if is_whole:
                        target.write(block)
                _require_sound(segment, digest.hexdigest())
                tell(segment["frames"] // rate_hz)
        if not is_whole:
            files.discard(path)
        return waveform

    def _origin(self) -> bwf.Origin:
        record = self._record
        rate_hz = record["audio"]["sample_rate_hz"]
        return bwf.Origin(
            description=f"recorderd call {record['id']}, line {record['line']}, site "
            f"{record['site']}; left near, right far; joined copy, originals in segments/",
            originator="recorderd",
            reference=record["id"],
            first=first_frame_at(record),
            coding_history=f"A=PCM,F={rate_hz},W=16,M=stereo,T=recorderd "
            f"{record['software_version']}\r\n",
        )

    def _write_ledger(self, part: LedgerPart) -> None:
        _write(self._place / layout.CHAIN, b"".join(part.lines))
        device = fingerprint_of(self._pem)
        if fingerprint_of(part.start_pem) != device:
            _write(self._place / layout.START_KEY, part.start_pem.encode("ascii"))
        if part.checkpoint:
            _write(self._place / layout.NOTE, part.checkpoint.text.encode())
            _write(self._place / layout.NOTE_SIGNATURE, part.checkpoint.signature)
            if part.checkpoint.fingerprint != device:
                key = part.checkpoint.public_pem
                _write(self._place / layout.CHECKPOINT_KEY, key.encode("ascii"))
        if part.stamp:
            _write(self._place / layout.STAMP, part.stamp.token)
            _write(self._place / layout.STAMPED, part.stamp.note.encode())

    def _write_report(self, part: LedgerPart, waveform: Waveform | None) -> None:
        report = CallReport(
            record=self._record,
            part=part,
            custody=desk_entries(self._request.directory, self._source.name),
            waveform=waveform,
            has_joined=(self._place / layout.JOINED).exists(),
            fingerprint=fingerprint_of(self._pem),
            who=self._request.who,
            at=self._request.at,
        )
        _write(self._place / layout.REPORT, report_page(report).encode())


def _refuse_erased(folders: Iterable[Path]) -> None:
    for folder in folders:
        if (folder / ERASED).exists():
            raise StoreError(f"call {folder.name}: erased; `recorderd show` has what is left of it")


def _refuse_without_sound(folder: Path) -> None:
    """Of these there is no recording here to hand out."""
    _refuse_erased([folder])
    if (folder / ARCHIVED).exists():
        raise StoreError(f"call {folder.name}: its sound is in the archive only; export it there")


def amendments_in(part: LedgerPart) -> dict[str, str]:
    """The files that correct a record, each with its hash, as the ledger has them."""
    return {
        str(entry.data.get("file")): str(entry.data.get("sha256"))
        for entry in part.entries
        if entry.kind == "record-amended"
    }


def _require_sound(segment: dict[str, Any], sha256: str) -> None:
    if segment["audio_sha256"] not in {None, sha256}:
        raise LedgerError(f"{segment['file']}: its sound is not what was recorded")


def _write(path: Path, data: bytes) -> None:
    with files.guarded(path), path.open("xb") as file:
        file.write(data)


def _names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()]


def _hashes(folder: Path) -> dict[str, str]:
    return {name: files.sha256_of(folder / name) for name in _names(folder)}
