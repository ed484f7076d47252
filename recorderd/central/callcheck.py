"""One call's objects in the archive against what the ledger says of it.

As evidence/foldercheck.py asks of a folder, with what an archive answers: it is asked for the SHA-256
that it holds, and is read where it says none, or where nobody should be believed (`deep`). A box's own
credentials may list nothing there; `names` is None then, and each object is asked for by its name.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from recorderd.disk.layout import ERASED, ERASED_SIGNATURE, RECORD
from recorderd.errors import RefusedError, StoreError
from recorderd.evidence.callcheck import judge_record, parse_record
from recorderd.evidence.findings import Case
from recorderd.evidence.foldercheck import days_of
from recorderd.evidence.layout import AMENDMENT
from recorderd.store.records import RECORD_BYTES_MAX
from recorderd.store.signing import is_signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
    from typing import Any

    from recorderd.archive.target import Target
    from recorderd.evidence.callcheck import Entered

NOT_YET_MAX = 1000
"""What is listed of things that are on their way; the rest are counted."""


class ArchivedCallCheck:
    """Judges calls one after the other. `not_yet` is what the ledger and the archive do not both have,
    as it is while an upload goes on: it accuses nobody, and proves nothing."""

    def __init__(self, target: Target, keys: Callable[[], set[str]], *, deep: bool) -> None:
        """`keys` gives the public keys that the ledger names; `deep`: everything is read back."""
        self._target = target
        self._keys = keys
        self._deep = deep
        self.segments = 0
        self.bytes_read = 0
        self.not_yet: list[str] = []

    def judge(self, prefix: str, names: AbstractSet[str] | None, entered: Entered) -> Case:
        """What speaks against one closed call, whose keys begin with `prefix`.

        Raises TryAgainError where the archive cannot be read now.
        """
        case = Case()
        where = f"call {prefix.rstrip('/').rpartition('/')[2]}"
        try:
            if entered.tombstone_sha256 is not None:
                self._judge_erased(case, prefix, where, names, entered)
            else:
                self._judge_kept(case, prefix, where, names, entered)
        except RefusedError as error:
            case.missing.deny(f"{where}: it cannot be looked at: {error}")
        return case

    def wait_for(self, what: str) -> None:
        """Note what is on its way."""
        if len(self.not_yet) < NOT_YET_MAX:
            self.not_yet.append(what)

    # ------------------------------------------------------------ erased

    def _judge_erased(
        self,
        case: Case,
        prefix: str,
        where: str,
        names: AbstractSet[str] | None,
        entered: Entered,
    ) -> None:
        """Its tombstone is there. What else is there is on its way out, or locked for some time."""
        tombstone = self._small(prefix, ERASED, names)
        if tombstone is None:
            self.wait_for(f"{where}: it was erased, and its {ERASED} is not there")
            return
        signature = self._small(prefix, ERASED_SIGNATURE, names) or b""
        if hashlib.sha256(tombstone).hexdigest() != entered.tombstone_sha256:
            case.altered.deny(f"{where}: {ERASED} is not what the ledger names")
        elif not any(is_signed(pem, signature, tombstone) for pem in self._keys()):
            case.altered.deny(f"{where}: {ERASED_SIGNATURE} is not a signature of {ERASED}")

    # ------------------------------------------------------------ kept

    def _judge_kept(
        self,
        case: Case,
        prefix: str,
        where: str,
        names: AbstractSet[str] | None,
        entered: Entered,
    ) -> None:
        self._judge_amendments(case, prefix, where, names, entered)
        data = self._small(prefix, RECORD, names)
        if data is None:
            case.missing.deny(f"{where}: {RECORD} is missing")
            return
        try:
            record = parse_record(data, RECORD)
        except StoreError as error:
            case.altered.deny(f"{where}: {error}")
            return
        before = case.altered.count
        judge_record(case, where, record, hashlib.sha256(data).hexdigest(), entered)
        if case.altered.count == before:
            self._judge_day(case, prefix, where, record, entered)
        for segment in record["segments"]:
            self._judge_segment(case, prefix, where, names, segment)
        if names is not None:
            known = {RECORD, *(segment["file"] for segment in record["segments"])}
            self._judge_names(case, where, names - known - set(entered.amendments))

    def _judge_day(
        self, case: Case, prefix: str, where: str, record: dict[str, Any], entered: Entered
    ) -> None:
        day = prefix.rstrip("/").split("/")[-2].removeprefix("date=")
        if day.replace("-", "/") not in days_of(record, entered):
            case.altered.deny(f"{where}: it lies under {day}, which is not its day")

    def _judge_names(self, case: Case, where: str, unknown: AbstractSet[str]) -> None:
        for name in sorted(unknown):
            if AMENDMENT.fullmatch(name) or name in {ERASED, ERASED_SIGNATURE}:
                self.wait_for(f"{where}: the ledger does not name its {name} yet")
            else:
                case.altered.deny(f"{where}: {name} was never entered in the ledger")

    def _judge_amendments(
        self,
        case: Case,
        prefix: str,
        where: str,
        names: AbstractSet[str] | None,
        entered: Entered,
    ) -> None:
        for name, sha256 in sorted(entered.amendments.items()):
            data = self._small(prefix, name, names)
            if data is None:
                self.wait_for(f"{where}: {name}, a correction of its record, is not there")
            elif hashlib.sha256(data).hexdigest() != sha256:
                case.altered.deny(f"{where}: {name} is not what the ledger names")

    def _judge_segment(
        self,
        case: Case,
        prefix: str,
        where: str,
        names: AbstractSet[str] | None,
        segment: dict[str, Any],
    ) -> None:
        self.segments += 1
        name = segment["file"]
        sha256 = self._sha256(prefix, name, names)
        if sha256 is None:
            case.missing.deny(f"{where}: {name} is missing")
        elif sha256 != segment["sha256"]:
            case.altered.deny(f"{where}: {name} is not the file that was sealed")

    # ------------------------------------------------------------ objects

    def _sha256(self, prefix: str, name: str, names: AbstractSet[str] | None) -> str | None:
        """Of an object, as the archive says or as it is read; None where there is none."""
        if names is not None and name not in names:
            return None
        held = self._target.look(prefix + name)
        if held is None:
            return None
        if held.sha256 is not None and not self._deep:
            return held.sha256
        digest = hashlib.sha256()
        for block in self._target.read(prefix + name):
            digest.update(block)
            self.bytes_read += len(block)
        return digest.hexdigest()

    def _small(self, prefix: str, name: str, names: AbstractSet[str] | None) -> bytes | None:
        """A text of the call; None where there is none. Longer than any is cut, and is not it then."""
        if names is not None and name not in names:
            return None
        if names is None and self._target.look(prefix + name) is None:
            return None
        data = bytearray()
        for block in self._target.read(prefix + name):
            data += block
            self.bytes_read += len(block)
            if len(data) > RECORD_BYTES_MAX:
                break
        return bytes(data)
