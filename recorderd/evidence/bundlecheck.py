"""What is proven of an evidence bundle: by its signature, by the ledger in it, and by the sound."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from recorderd.core import chain
from recorderd.core.chain import Head
from recorderd.disk.layout import RECORD
from recorderd.errors import ClipError, LedgerError, StoreError
from recorderd.evidence import layout
from recorderd.evidence.bundle import open_bundle, read_whole
from recorderd.evidence.callcheck import gathered, judge_record, parse_record
from recorderd.evidence.findings import Case, Judgement, counted, verdict_of
from recorderd.evidence.part import PART_LINES_MAX, is_about, stamps
from recorderd.evidence.sound import is_sealed
from recorderd.evidence.walk import KeyedWalk
from recorderd.evidence.zipform import BLOCK_BYTES
from recorderd.media.codec import FRAME_BYTES, decode_blocks
from recorderd.media.wav import find_sound
from recorderd.store.records import RECORD_BYTES_MAX
from recorderd.store.signing import fingerprint_of, is_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any, BinaryIO

    from recorderd.core.chain import Entry
    from recorderd.evidence.bundle import FolderBundle, ZipBundle
    from recorderd.evidence.walk import Checkpoint

    AnyBundle = FolderBundle | ZipBundle

KEY_BYTES_MAX = 4096
SIGNATURE_BYTES = 64
NOTE_BYTES_MAX = 1 << 16
NAMED_MAX = 1000


def verify_bundle(
    path: Path,
    fingerprint: str | None = None,
    own: str | None = None,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> Judgement:
    """Judge a bundle. `fingerprint` is the key's, as noted when the recorder was installed.

    `own` is that of the box on which this runs: without a noted one it does for the box's own bundles.
    `tell` is called with the bytes done and all there are. Raises StoreError where it cannot be read.
    """
    with open_bundle(path) as bundle:
        return _BundleCheck(bundle, fingerprint, own, tell).run(path)


class _BundleCheck:
    def __init__(
        self,
        bundle: AnyBundle,
        fingerprint: str | None,
        own: str | None,
        tell: Callable[[int, int], None],
    ) -> None:
        self._bundle = bundle
        self._wanted = fingerprint
        self._own = own
        self._tell = tell
        again = (size for name, size in bundle.sizes.items() if f"{layout.SEGMENTS}/" in name)
        self._total = sum(bundle.sizes.values()) + sum(again)  # segments are read twice
        self._done = 0
        self._case = Case()
        self._found: str | None = None  # the fingerprint of the key in the bundle
        self._calls = 0
        self._segments = 0
        self._has_sealed = False
        self._signed: dict[str, Checkpoint] = {}

    def run(self, path: Path) -> Judgement:
        for text in self._bundle.strange[:NAMED_MAX]:
            self._case.altered.deny(text)
        pem = self._key()
        hashes = self._list(pem)
        if hashes is not None:
            self._files(hashes)
            for folder in self._call_folders():
                self._call(folder, pem)
            if not self._calls:
                self._case.missing.deny("it holds no call")
        return self._judgement(path)

    # ------------------------------------------------------------ key, list, files

    def _key(self) -> str | None:
        try:
            pem = read_whole(self._bundle, layout.DEVICE, KEY_BYTES_MAX).decode("ascii")
            self._found = fingerprint_of(pem)
        except (StoreError, UnicodeError) as error:
            self._case.altered.deny(f"{layout.DEVICE}: not a device's public key ({error})")
            return None
        if self._wanted is None and self._found != self._own:
            self._case.altered.doubt(
                "that its key is the recorder's is not known: give the one noted at installation "
                f"with --fingerprint (this bundle's is {self._found})"
            )
        elif self._wanted not in {None, self._found}:
            self._case.altered.deny(
                f"it is signed with another key ({self._found}) than the one you named"
            )
        return pem

    def _list(self, pem: str | None) -> dict[str, str] | None:
        """The hashes of the list; None where there is no list to go by."""
        try:
            data = read_whole(self._bundle, layout.MANIFEST, layout.MANIFEST_BYTES_MAX)
        except StoreError as error:
            self._case.missing.deny(str(error))
            return None
        self._check_signature(pem, data)
        try:
            return layout.parse_manifest(data)
        except StoreError as error:
            self._case.altered.deny(str(error))
            return None

    def _check_signature(self, pem: str | None, data: bytes) -> None:
        try:
            signature = read_whole(self._bundle, layout.SIGNATURE, SIGNATURE_BYTES)
        except StoreError as error:
            self._case.missing.deny(str(error))
            return
        if pem is not None and not is_signed(pem, signature, data):
            self._case.altered.deny(f"{layout.MANIFEST}: its signature does not hold")

    def _files(self, hashes: dict[str, str]) -> None:
        there = set(self._bundle.sizes) - {layout.MANIFEST, layout.SIGNATURE}
        for name in layout.in_order(hashes.keys() - there):
            self._case.missing.deny(f"{name}: missing")
        for name in sorted(there - hashes.keys()):
            self._case.altered.deny(f"{name}: not in the list; nobody knows where it comes from")
        for name in layout.in_order(hashes.keys() & there):
            if self._sha256(name) != hashes[name]:
                self._case.altered.deny(f"{name}: not what was signed")

    def _sha256(self, name: str) -> str:
        digest = hashlib.sha256()
        with self._bundle.open(name) as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
                self._done += len(block)
                self._tell(self._done, self._total)
        return digest.hexdigest()

    # ------------------------------------------------------------ calls

    def _call_folders(self) -> list[str]:
        """Where the calls are: "" where the bundle is one call, else a folder each, with its slash."""
        found = [name for name in self._bundle.sizes if name.rpartition("/")[2] == RECORD]
        return sorted(name.removesuffix(RECORD) for name in found if name.count("/") <= 1)

    def _call(self, folder: str, pem: str | None) -> None:
        self._calls += 1
        try:
            data = read_whole(self._bundle, folder + RECORD, RECORD_BYTES_MAX)
            record = parse_record(data, folder + RECORD)
        except StoreError as error:
            self._case.altered.deny(str(error))
            return
        where = f"call {record['id']}"
        if folder and folder != f"{record['id']}/":
            self._case.altered.deny(f"{folder}: the call in it is another one ({record['id']})")
        try:
            entries = self._ledger(folder, where, record["id"], pem)
        except (LedgerError, StoreError, UnicodeError) as error:
            self._case.altered.deny(f"{where}: its part of the ledger does not hold: {error}")
            return
        entered = gathered(entries)
        judge_record(self._case, where, record, hashlib.sha256(data).hexdigest(), entered)
        self._amendments(folder, where, entered.amendments)
        self._sound(folder, where, record)

    def _amendments(self, folder: str, where: str, entered: dict[str, str]) -> None:
        there = {
            name.removeprefix(folder)
            for name in self._bundle.sizes
            if name.startswith(folder) and layout.AMENDMENT.fullmatch(name.removeprefix(folder))
        }
        for name in sorted(entered.keys() - there):
            self._case.missing.deny(f"{where}: {name}, a correction of its record, is missing")
        for name in sorted(there):
            if self._sha256(folder + name) != entered.get(name):
                self._case.altered.deny(f"{where}: {name} is not what the ledger names")

    def _ledger(self, folder: str, where: str, call_id: str, pem: str | None) -> list[Entry]:
        """The call's entries, the part of the chain walked from end to end."""
        start = read_pem(self._bundle, folder + layout.START_KEY) or pem
        name = folder + layout.CHAIN
        if name not in self._bundle.sizes:
            raise StoreError(f"{name}: missing")
        with self._bundle.open(name) as file:
            first = chain.parse_line(file.readline(chain.LINE_BYTES_MAX + 1))
            file.seek(0)
            walk = KeyedWalk(Head(first.seq, first.prev), start)
            found: list[Entry] = []
            notes: dict[str, tuple[int, bytes]] = {}
            for entry in walk.entries(_limited_lines(file)):
                if is_about(entry, call_id):
                    found.append(entry)
                if walk.signed and walk.signed.seq == entry.seq:
                    notes[walk.signed.text] = (entry.seq, walk.signed.signature)
        self._note(folder, where, notes, found, walk)
        return found

    def _note(
        self,
        folder: str,
        where: str,
        notes: dict[str, tuple[int, bytes]],
        found: list[Entry],
        walk: KeyedWalk,
    ) -> None:
        """The checkpoint behind the call's last entry, as the chain has it and as a file for openssl."""
        last = found[-1].seq if found else -1
        if walk.signed is None or walk.signed.seq < last:
            self._case.missing.doubt(
                f"{where}: the ledger was not signed yet behind its last entry"
            )
            return
        self._signed[where] = walk.signed
        text = read_whole(self._bundle, folder + layout.NOTE, NOTE_BYTES_MAX).decode()
        signature = read_whole(self._bundle, folder + layout.NOTE_SIGNATURE, SIGNATURE_BYTES)
        if text not in notes or notes[text][0] < last or notes[text][1] != signature:
            self._case.altered.deny(f"{folder}{layout.NOTE}: not the checkpoint behind the call")
        if folder + layout.STAMP in self._bundle.sizes:
            token = read_whole(self._bundle, folder + layout.STAMP, 1 << 20)
            stamped = read_whole(self._bundle, folder + layout.STAMPED, NOTE_BYTES_MAX)
            if stamped.decode() not in notes or not stamps(token, stamped):
                self._case.altered.deny(f"{folder}{layout.STAMP}: stamps something else")

    def _sound(self, folder: str, where: str, record: dict[str, Any]) -> None:
        """Each segment decoded, where it is not sealed, and the joined copy piece by piece."""
        for segment in record["segments"]:
            self._segments += 1
            name = f"{folder}{layout.SEGMENTS}/{segment['file']}"
            if name not in self._bundle.sizes:
                self._case.missing.deny(f"{where}: {segment['file']} is missing")
            elif self._sha256(name) != segment["sha256"]:
                text = f"{where}: {segment['file']} is not the file that was sealed"
                self._case.altered.deny(text)
            elif not is_sealed(record):
                self._decode(where, name, segment)
        self._has_sealed |= is_sealed(record)
        if folder + layout.JOINED in self._bundle.sizes and not self._is_joined(folder, record):
            self._case.altered.deny(f"{where}: {layout.JOINED} is not its segments, joined")

    def _decode(self, where: str, name: str, segment: dict[str, Any]) -> None:
        digest = hashlib.sha256()
        try:
            with self._bundle.as_path(name) as path:
                for block in decode_blocks(path):
                    digest.update(block)
        except StoreError as error:
            self._case.altered.deny(f"{where}: {segment['file']} cannot be decoded: {error}")
            return
        if digest.hexdigest() != segment["audio_sha256"]:
            self._case.altered.deny(f"{where}: {segment['file']} holds other sound")

    def _is_joined(self, folder: str, record: dict[str, Any]) -> bool:
        """Whether each piece of the copy is the sound of its segment, by the hash in the record.

        Of sealed sound that a crash collected nobody knew the hash; its length alone is compared.
        """
        try:
            with self._bundle.open(folder + layout.JOINED) as file:
                sound = find_sound(file)
                file.seek(sound.at)
                left = sound.size
                for segment in record["segments"]:
                    size = segment["frames"] * FRAME_BYTES
                    digest = hashlib.sha256()
                    for block in _blocks(file, size):
                        digest.update(block)
                    left -= size
                    if segment["audio_sha256"] not in {None, digest.hexdigest()}:
                        return False
                return left == 0
        except ClipError:
            return False

    # ------------------------------------------------------------ the two verdicts

    def _judgement(self, path: Path) -> Judgement:
        what = f"{counted(self._calls, 'call')} ({counted(self._segments, 'segment')})"
        latest = max(self._signed.values(), key=lambda each: each.seq, default=None)
        up_to = f", which was signed at {latest.note.at}" if latest else ""
        altered = verdict_of(
            self._case.altered,
            f"Nothing altered: {what}, every file is the one that was signed with the key "
            f"{'that you named' if self._wanted else 'of this box'}, and every record and sound the one that the ledger names",
            "ALTERED: {count} in this bundle is not what was signed or recorded",
            "who spoke, and whether the clock was right, is not proven by that"
            + ("; sealed sound was not opened" if self._has_sealed else ""),
        )
        missing = verdict_of(
            self._case.missing,
            f"Nothing missing: every file of the list, and every segment and frame of {what} as the "
            f"ledger closed it{up_to}",
            "MISSING: {count} that this bundle should hold is not in it",
            "whether there were other calls is not for a bundle to prove",
        )
        return Judgement(
            what=str(path),
            altered=altered,
            missing=missing,
            fingerprint=self._found,
            calls=self._calls,
            segments=self._segments,
            bytes_read=self._total,
            checkpoints={} if latest is None else {latest.note.origin: latest.text},
        )


def read_pem(bundle: AnyBundle, name: str) -> str | None:
    """A key that is there only where the device's key of today is another one."""
    if name not in bundle.sizes:
        return None
    return read_whole(bundle, name, KEY_BYTES_MAX).decode("ascii")


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (block := file.read(min(size, BLOCK_BYTES))):
        yield block
        size -= len(block)


def _limited_lines(file: BinaryIO) -> Iterator[bytes]:
    for count in range(PART_LINES_MAX * 2):
        line = file.readline(chain.LINE_BYTES_MAX + 1)
        if not line:
            return
        if not line.endswith(b"\n"):
            raise LedgerError(f"line {count + 1} is cut off, or too long")
        yield line
    raise LedgerError("the part of the ledger is longer than any")
