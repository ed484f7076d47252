"""All chains of a state directory: each walked with its keys, each against what the others say of it.

A checkpoint names the heads of the box's other chains, so each chain is compared with the claims of the
others, and with checkpoints that were kept outside. The store may be written meanwhile: what is judged
is each chain up to where it had come at the beginning, or as far as a claim reaches that was made since.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from recorderd.core import chain
from recorderd.core.chain import Head
from recorderd.disk import files
from recorderd.disk.layout import LEDGER, TIMESTAMPS
from recorderd.errors import LedgerError
from recorderd.evidence.walk import KeyedWalk
from recorderd.store.ledger import RECORDER, chain_lines, chain_names, file_ranges, is_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from recorderd.core.chain import Entry, Note
    from recorderd.evidence.findings import Case

BREAKS_MAX = 50
"""A chain that breaks more often is beyond help, and its further breaks teach nothing."""

EXCESS_LINES_MAX = 10_000
ENTRIES_MAX = 1 << 40
LINE_MARK = b'"kind":"checkpoint"'
_FILE = re.compile(r"\d{12,}\.jsonl")
_WEIGHTY = {"call-closed", "record-amended", "sound-removed", "hold", "release"}
"""Kinds whose entries are made together with a checkpoint: without one they prove nothing. That a call
was erased is proven by the signature of its tombstone as well, and may be signed later."""


@dataclass(slots=True)
class Claim:
    """What a checkpoint says of a chain's head, who says so, and with which key."""

    head: Head
    source: str
    fingerprint: str | None  # None: it was kept outside, and needs none


@dataclass(slots=True)
class Walked:
    """One chain, as far as it was walked."""

    name: str
    folder: Path
    walk: KeyedWalk
    limit: int  # entries
    claims: dict[int, Claim] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)  # of the entries kept outside
    weighty: int = 0  # entries that matter and are not signed
    breaks: int = 0


class LedgerCheck:
    """Every chain of a state directory. `take` gets every entry."""

    def __init__(
        self,
        directory: Path,
        case: Case,
        fingerprint: str,
        outside: Sequence[Note],
        take: Callable[[Entry], None],
        *,
        is_copy: bool = False,
    ) -> None:
        """`is_copy`: the chains are copies that are still being brought, one after the other, so that
        one may say more of another than has come of it."""
        self._is_copy = is_copy
        self._root = directory / LEDGER
        self._case = case
        self._fingerprint = fingerprint
        self._take = take
        names = [name for name in chain_names(self._root) if file_ranges(self._root / name)]
        self.chains = {
            name: Walked(name, self._root / name, KeyedWalk(), _whole_lines(self._root / name))
            for name in names
        }
        self._gather_claims(outside)

    def run(self) -> None:
        """Walk all chains, and judge them."""
        if RECORDER not in self.chains:
            self._case.missing.deny(f"{self._root}: there is no ledger of the recorder")
        self._check_files()
        for walked in self.chains.values():
            wanted = [*walked.claims, *(seq + 1 for seq in walked.notes)]
            limit = min(max([walked.limit, *wanted]), ENTRIES_MAX)
            self._walk(walked, islice(chain_lines(walked.folder), limit))
            if walked.walk.head.entries < walked.limit and walked.breaks < BREAKS_MAX:
                self._case.missing.deny(
                    f"ledger {walked.name}: entry {walked.walk.head.entries} cannot be read, and "
                    f"{walked.limit - walked.walk.head.entries} come from there on"
                )
            self._judge_claims(walked)

    def walk_on(self) -> None:
        """Take what was added since; a line that is being written is left for the next time."""
        for walked in self.chains.values():
            if walked.breaks < BREAKS_MAX:
                self._walk(walked, chain_lines(walked.folder, walked.walk.head.entries))

    def keys(self) -> set[str]:
        """Every public key that a chain of this box names."""
        return {pem for walked in self.chains.values() for pem in walked.walk.keys}

    @property
    def is_settled(self) -> bool:
        """Whether every entry about a closed call is signed; those come with their checkpoint."""
        return not any(walked.weighty for walked in self.chains.values())

    def judge_ends(self) -> None:
        """Whether each chain is signed with the key that is asked for, up to its end."""
        for walked in self.chains.values():
            if walked.walk.origin and walked.walk.origin.rpartition("/")[2] != walked.name:
                self._case.altered.deny(f"ledger {walked.name}: it is {walked.walk.origin!r}")
            signed = walked.walk.signed
            if signed is None:
                self._case.altered.doubt(f"the chain {walked.name!r} is not signed at all")
            elif signed.fingerprint != self._fingerprint and not self._is_vouched(walked):
                self._case.altered.deny(
                    f"ledger {walked.name}: its last checkpoint is signed with another key "
                    f"({signed.fingerprint})"
                )
            if walked.weighty:
                self._case.altered.doubt(
                    f"{walked.weighty} entries about calls at the end of the chain "
                    f"{walked.name!r} are not signed"
                )

    def _is_vouched(self, walked: Walked) -> bool:
        """Whether a checkpoint with the right key names this chain as far as it is signed.

        After a change of the key a chain that nobody used since is still signed with the old one.
        """
        signed = walked.walk.signed
        assert signed is not None
        return any(
            claim.fingerprint == self._fingerprint and entries > signed.seq
            for entries, claim in walked.claims.items()
        )

    # ------------------------------------------------------------ walking

    def _walk(self, walked: Walked, lines: Iterator[bytes]) -> None:
        for line in lines:
            if not is_line(line):
                return  # being written, or torn by a power cut
            entry = self._entry(walked, line)
            if walked.breaks >= BREAKS_MAX:
                return
            if entry is None:
                continue
            if entry.kind == chain.CHECKPOINT:
                walked.weighty = 0
            elif entry.kind in _WEIGHTY:
                walked.weighty += 1
            if walked.notes.get(entry.seq, entry.data.get("note")) != entry.data.get("note"):
                self._case.altered.deny(
                    f"ledger {walked.name}: entry {entry.seq} is not the checkpoint that you kept"
                )
            claim = walked.claims.get(walked.walk.head.entries)
            if claim and claim.head.hash != entry.hash:
                self._case.altered.deny(
                    f"ledger {walked.name}: entry {entry.seq} is another one than {claim.source} says"
                )
            self._take(entry)

    def _entry(self, walked: Walked, line: bytes) -> Entry | None:
        """One entry. Behind a break the walk goes on from the line as it stands, to see the rest."""
        try:
            return next(walked.walk.entries([line]))
        except LedgerError as error:
            self._break(walked, error, line)
        try:
            entry = chain.parse_line(line)
            walked.walk.head = Head(entry.seq, entry.prev)
            return next(walked.walk.entries([line]))
        except LedgerError:
            walked.walk.head = chain.after(walked.walk.head, line)
            return None

    def _break(self, walked: Walked, error: LedgerError, line: bytes) -> None:
        walked.breaks += 1
        text = f"ledger {walked.name}: {error}"
        if "is missing" in str(error) and _seq_of(line) > walked.walk.head.entries:
            self._case.missing.deny(text)
        else:
            self._case.altered.deny(text)

    # ------------------------------------------------------------ claims

    def _gather_claims(self, outside: Sequence[Note]) -> None:
        for name, walked in self.chains.items():
            for line in islice(chain_lines(walked.folder), walked.limit):
                if LINE_MARK in line:
                    self._claims_of_line(name, line)
        for note in outside:
            site, _, name = note.origin.rpartition("/")
            self._claim(
                name, Claim(note.head, f"the checkpoint that you kept (of {note.at})", None)
            )
            for other, head in note.others.items():
                self._claim(
                    other, Claim(head, f"the checkpoint that you kept (of {note.at})", None)
                )
            self._check_site(site, name)
            if name in self.chains:
                text = chain.note_text(note.origin, note.head, note.at, note.others)
                self.chains[name].notes[note.head.entries] = text

    def _claims_of_line(self, name: str, line: bytes) -> None:
        try:
            entry = chain.parse_line(line)
            note = chain.checkpoint_of(entry)
        except LedgerError:
            return  # the walk tells it
        for other, head in note.others.items():
            source = f"the checkpoint in entry {entry.seq} of {name!r}"
            self._claim(other, Claim(head, source, str(entry.data.get("key"))))

    def _claim(self, name: str, claim: Claim) -> None:
        walked = self.chains.get(name)
        if walked is None:
            self._lacks(f"ledger {name}: not there, and {claim.source} names it")
            return
        there = walked.claims.get(claim.head.entries)
        if there is None or there.fingerprint not in {None, self._fingerprint}:
            walked.claims[claim.head.entries] = claim
        if there is not None and there.head != claim.head:
            self._case.altered.deny(
                f"ledger {name}: {there.source} and {claim.source} contradict each other"
            )

    def _check_site(self, site: str, name: str) -> None:
        walked = self.chains.get(name)
        line = next(chain_lines(walked.folder), b"") if walked else b""
        if walked and f'"origin":"{site}/{name}"'.encode() not in line:
            self._case.altered.deny(
                f"ledger {name}: not of the site {site!r} that your checkpoint is of"
            )

    def _judge_claims(self, walked: Walked) -> None:
        reached = walked.walk.head.entries
        beyond = [entries for entries in walked.claims if entries > reached]
        if any(seq >= reached for seq in walked.notes) and not beyond:
            self._case.missing.deny(
                f"ledger {walked.name}: it ends after {reached} entries, before the checkpoint that "
                "you kept"
            )
        if beyond and walked.breaks < BREAKS_MAX:
            claim = walked.claims[max(beyond)]
            self._lacks(
                f"ledger {walked.name}: it ends after {reached} entries, and "
                f"{claim.source} says that there were {claim.head.entries}"
            )

    def _lacks(self, text: str) -> None:
        """A chain that is shorter than another one says; of a copy the rest may be on its way."""
        if self._is_copy:
            self._case.missing.doubt(text)
        else:
            self._case.missing.deny(text)

    # ------------------------------------------------------------ files

    def _check_files(self) -> None:
        """Nothing lies in the ledger that the walk does not read."""
        if not self._root.is_dir():
            return
        with files.guarded(self._root):
            places = sorted(self._root.iterdir())
        for place in places:
            if not place.is_dir():
                self._case.altered.deny(f"ledger/{place.name}: nobody knows what it is")
            elif place.name != TIMESTAMPS:
                self._check_chain_files(place)

    def _check_chain_files(self, folder: Path) -> None:
        with files.guarded(folder):
            names = sorted(path.name for path in folder.iterdir())
        for name in names:
            stem = name.partition(".")[0]
            known = _FILE.fullmatch(name) and name == f"{int(stem):012d}.jsonl"
            if not known and not files.is_part(name):
                self._case.altered.deny(f"ledger/{folder.name}/{name}: nobody knows what it is")
        for path, start, end in file_ranges(folder):
            with files.guarded(path), path.open("rb") as file:
                first = file.readline(chain.LINE_BYTES_MAX + 1)
            if _seq_of(first) != start or not first.endswith(b"\n"):
                self._case.altered.deny(
                    f"ledger/{folder.name}/{path.name}: it does not begin with entry {start}"
                )
            if end is not None:
                self._check_excess(folder, path, start, end)

    def _check_excess(self, folder: Path, path: Path, start: int, end: int) -> None:
        """Lines behind the beginning of the next file: of those that were not durable then, each
        stands in the next file again; one that is damaged was told there."""
        with files.guarded(path), path.open("rb") as file:
            behind = islice(file, end - start, end - start + EXCESS_LINES_MAX)
            excess = list(takewhile(is_line, behind))  # what follows a torn line was not durable
        if not excess:
            return
        followers = list(islice(chain_lines(folder, end), max(len(excess), 8)))
        is_told = any(b'"kind":"ledger-damaged"' in line for line in followers[:8])
        for line, follower in zip(excess, [*followers, *[b""] * len(excess)], strict=False):
            if line != follower and not (is_told and _seq_of(line) < 0):
                self._case.altered.deny(
                    f"ledger/{folder.name}/{path.name}: a line that does not belong to the chain"
                )


def _seq_of(line: bytes) -> int:
    try:
        return chain.parse_line(line).seq
    except LedgerError:
        return -1


def _whole_lines(folder: Path) -> int:
    """How many entries a chain has now; a line that is just being written is none."""
    path, start, _ = file_ranges(folder)[-1]
    with files.guarded(path), path.open("rb") as file:
        return start + sum(1 for _ in takewhile(is_line, file))
