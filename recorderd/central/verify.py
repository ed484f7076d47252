"""What is proven of one site's copies in the archive.

The site's ledger is brought here and walked as in evidence/storecheck.py; then every call that lies
there is judged by it, and every call that it closed must lie there. An upload may be going on: what
the ledger does not name yet, or what is not there yet, accuses nobody, and leaves the verdict open.
"""

from __future__ import annotations

import re
from contextlib import closing
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from recorderd.archive.layout import is_site
from recorderd.central.callcheck import ArchivedCallCheck
from recorderd.core import chain
from recorderd.disk import files
from recorderd.disk.layout import ERASED, LEDGER, RECORD
from recorderd.errors import LedgerError, RefusedError
from recorderd.evidence.findings import Case, Judgement, counted, verdict_of
from recorderd.evidence.index import CallIndex
from recorderd.evidence.ledgercheck import LedgerCheck
from recorderd.evidence.part import REPLY_BYTES_MAX, stamps
from recorderd.store.ledger import RECORDER, chain_lines, chain_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recorderd.archive.target import Target
    from recorderd.core.chain import Entry

UPLOADED = b'"kind":"call-uploaded"'
ABSENT_MAX = 10_000
"""Calls that are not there; with more of them something is wrong for certain."""

_PART = re.compile(r"chain=([A-Za-z0-9][A-Za-z0-9-]{0,31})/(\d{12,15}\.jsonl)")
_STAMP = re.compile(r"timestamps/([A-Za-z0-9][A-Za-z0-9-]{0,31})-(\d{12,15})\.tsr")
_OBJECT = re.compile(r"(date=\d{4}-\d\d-\d\d/([^/]+)/)([^/]+)")


def verify_site(
    target: Target,
    site: str,
    fingerprint: str | None = None,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    deep: bool = False,
) -> Judgement:
    """Judge one site's part of the archive. Raises ArchiveError and StoreError.

    `fingerprint` is the device key's; without it the one goes that its ledger names last. `deep`: all
    sound is read back. `tell` gets the calls done and all there are.
    """
    if not is_site(site):
        raise RefusedError(f"{site!r} is no name of a site")
    with (
        TemporaryDirectory(prefix="recorderd-verify-") as folder,
        closing(CallIndex()) as index,
    ):
        check = _SiteCheck(target, site, Path(folder), index, fingerprint, deep=deep)
        return check.run(tell)


class _SiteCheck:
    def __init__(
        self,
        target: Target,
        site: str,
        work: Path,
        index: CallIndex,
        fingerprint: str | None,
        *,
        deep: bool,
    ) -> None:
        self._target = target
        self._site = site
        self._work = work
        self._index = index
        self._case = Case()
        self._deep = deep
        self._is_named = fingerprint is not None
        self._stamps: dict[tuple[str, int], str] = {}  # key, by chain and entry
        self._stamped: dict[tuple[str, int], str] = {}  # those entries' notes
        self._fetch_ledger()
        self._fingerprint = fingerprint or self._last_key()
        self._ledger = LedgerCheck(
            work, self._case, self._fingerprint, (), self._take, is_copy=True
        )
        self._calls = ArchivedCallCheck(target, self._ledger.keys, deep=deep)

    def run(self, tell: Callable[[int, int], None]) -> Judgement:
        self._ledger.run()
        total = self._index.count()
        for done, (prefix, call_id, names) in enumerate(self._walk_calls(), start=1):
            self._look_at(prefix, call_id, names)
            tell(min(done, total), total)
        self._judge_absent()
        self._judge_stamps()
        self._ledger.judge_ends()
        return self._judgement()

    # ------------------------------------------------------------ the ledger

    def _fetch_ledger(self) -> None:
        """Bring all chains here, in the form of a state directory."""
        root = f"ledger/site={self._site}/"
        for item in self._target.list(root):
            part = _PART.fullmatch(item.key.removeprefix(root))
            stamp = _STAMP.fullmatch(item.key.removeprefix(root))
            if part is not None:
                self._fetch(item.key, self._work / LEDGER / part[1] / part[2])
            elif stamp is not None:
                self._stamps[stamp[1], int(stamp[2])] = item.key
            else:
                self._case.altered.deny(f"{item.key}: nobody knows what it is")
        if not (self._work / LEDGER / RECORDER).is_dir():
            raise RefusedError(
                f"{self._target.name}: there is no ledger of a site {self._site!r}; `recorderd archive "
                "sites` lists the sites"
            )

    def _fetch(self, key: str, path: Path) -> None:
        with files.guarded(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.writelines(self._target.read(key))

    def _last_key(self) -> str:
        """The fingerprint of the key that the recorder's chain names last."""
        found = ""
        for line in chain_lines(self._work / LEDGER / RECORDER):
            if b'"kind":"chain-began"' in line or b'"kind":"key-changed"' in line:
                try:
                    found = str(chain.parse_line(line).data.get("fingerprint"))
                except LedgerError:
                    continue  # the walk tells it
        return found

    def _take(self, entry: Entry) -> None:
        """An entry of any chain; the notes of checkpoints that were stamped are kept."""
        self._index.take(entry)
        if entry.kind == chain.CHECKPOINT:
            note = chain.checkpoint_of(entry)
            place = (note.origin.rpartition("/")[2], entry.seq)
            if place in self._stamps:
                self._stamped[place] = str(entry.data["note"])

    def _judge_stamps(self) -> None:
        """Whether each time stamp is over the checkpoint by whose entry it is named."""
        for place, key in self._stamps.items():
            note = self._stamped.get(place)
            if note is None:
                self._case.altered.deny(f"{key}: its ledger has no checkpoint there")
            elif not stamps(self._beginning_of(key), note.encode()):
                self._case.altered.deny(f"{key}: stamps something else than that checkpoint")

    def _beginning_of(self, key: str) -> bytes:
        data = bytearray()
        for block in self._target.read(key):
            data += block
            if len(data) > REPLY_BYTES_MAX:
                break
        return bytes(data[:REPLY_BYTES_MAX])

    # ------------------------------------------------------------ the calls

    def _walk_calls(self) -> Iterator[tuple[str, str, set[str]]]:
        """Each call that is there: what its keys begin with, its id, the names of its objects."""
        root = f"calls/site={self._site}/"
        known: list[re.Match[str]] = []
        keys = (item.key.removeprefix(root) for item in self._target.list(root))
        for prefix, found in groupby(keys, key=lambda key: key.rpartition("/")[0]):
            known = [match for key in found if (match := _OBJECT.fullmatch(key))]
            if known:
                yield root + known[0][1], known[0][2], {match[3] for match in known}
            else:
                self._case.altered.deny(f"{root}{prefix}: no call has it")

    def _look_at(self, prefix: str, call_id: str, names: set[str]) -> None:
        if RECORD not in names and ERASED not in names:
            return  # its record comes last: it is being uploaded, or judged as absent
        entered = self._index.find(call_id)
        if entered is None:
            self._calls.wait_for(f"call {call_id}: the ledger does not name it yet")
            return
        self._case.extend(self._calls.judge(prefix, names, entered))
        if not self._index.mark_seen(call_id, prefix):
            self._case.altered.deny(f"call {call_id}: it is there twice")

    def _judge_absent(self) -> None:
        """Calls that the ledger closed and that are not there: missing, if it says that they were."""
        absent = set(islice(self._index.unseen(), ABSENT_MAX))
        uploaded = self._uploaded(absent)
        for call_id in sorted(absent):
            entered = self._index.find(call_id)
            assert entered is not None
            if call_id in uploaded and entered.tombstone_sha256 is None:
                self._case.missing.deny(
                    f"call {call_id}: the ledger says that it was uploaded, and it is not there"
                )
            elif entered.tombstone_sha256 is None:
                self._calls.wait_for(f"call {call_id}: it is not uploaded yet")

    def _uploaded(self, wanted: set[str]) -> set[str]:
        """Those that a chain says were uploaded."""
        found = set()
        root = self._work / LEDGER
        for name in chain_names(root) if wanted else ():
            for line in chain_lines(root / name):
                if UPLOADED in line:
                    try:
                        call_id = chain.parse_line(line).data.get("call")
                    except LedgerError:
                        continue  # the walk tells it
                    found.add(call_id)
        return wanted & found

    # ------------------------------------------------------------ the two verdicts

    def _limits(self) -> Iterator[str]:
        if self._stamps:
            are = (
                "is over its checkpoint" if len(self._stamps) == 1 else "are over their checkpoints"
            )
            yield f"{counted(len(self._stamps), 'time stamp')} {are}; who gave it says `openssl ts`"
        if not self._is_named:
            yield (
                f"that this key ({self._fingerprint}) is the one noted at installation is for you "
                "to compare, or to give with --fingerprint"
            )

    def _judgement(self) -> Judgement:
        waiting = self._calls.not_yet
        if waiting:
            self._case.missing.doubt(
                f"{counted(len(waiting), 'thing')} on the way between the box and here "
                f"({waiting[0]}{', …' if len(waiting) > 1 else ''})"
            )
        calls, segments = self._index.count(), self._calls.segments
        what = f"{counted(calls, 'call')} ({counted(segments, 'segment')})"
        proof = "was read back" if self._deep else "is by the archive's own account"
        altered = verdict_of(
            self._case.altered,
            f"Nothing altered: {what} are what the ledger names, signed with "
            f"{'the key that you named' if self._is_named else 'the key that it names'}; the sound {proof}",
            "ALTERED: {count} of this site is not what was recorded or signed",
            "; ".join(self._limits()),
        )
        signed = self._ledger.chains[RECORDER].walk.signed
        missing = verdict_of(
            self._case.missing,
            f"Nothing missing{f' up to the checkpoint of {signed.note.at}' if signed else ''}",
            "MISSING: {count} that the ledger names is not there",
            "what the box has recorded since is not uploaded, or not signed yet",
        )
        return Judgement(
            what=f"{self._site} in {self._target.name}",
            altered=altered,
            missing=missing,
            fingerprint=self._fingerprint,
            calls=calls,
            segments=segments,
            bytes_read=self._calls.bytes_read,
            checkpoints={
                name: walked.walk.signed.text
                for name, walked in self._ledger.chains.items()
                if walked.walk.signed
            },
        )
