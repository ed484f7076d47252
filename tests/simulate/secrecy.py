"""A sealed office: no number, no name and no sound comes to the disk in plain, not for a moment, and
the supervisors can open every call that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recorderd.disk.layout import VAULT
from recorderd.evidence.sound import Opened, is_sealed, opened
from recorderd.seal.age import Identities
from recorderd.seal.vault import key_name
from recorderd.store.catalogue import NAME
from tests.simulate.agefile import SUPERVISORS
from tests.simulate.plan import CALLER_NAME, NUMBER_CHARACTERS, NUMBERS_BEGIN
from tests.simulate.violations import fail

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CIPHERTEXT = {".age", ".tar", ".journal"}
SOUND_FILES = (b"fLaC\0\0\0\x22", b"WAVEfmt ")
FRAMES_IN_A_ROW = 8  # of the counting card: by chance one pair of frames of 2^32 looks so
SUPERVISOR = Identities([SUPERVISORS[1][0]])


class Secrecy:
    """The checker's part that judges sealing. Where the office does not seal, it only opens calls."""

    def __init__(self, directory: Path, *, is_sealed: bool) -> None:
        self._directory = directory
        self._is_sealed = is_sealed
        self._numbers: set[bytes] = set()
        self._keys: dict[str, bytes] = {}  # of filed calls

    def expect(self, numbers: Iterable[str]) -> None:
        """Know who will ring."""
        self._numbers |= {number.encode() for number in numbers}

    def open(self, record: dict[str, Any]) -> Opened:
        """A call as its supervisor sees it."""
        if is_sealed(record) is not self._is_sealed:
            fail(f"call {record['id']}: sealed: {not self._is_sealed}")
        if self._is_sealed:
            key = self._directory / key_name(record["id"])
            if not key.exists():
                fail(f"call {record['id']} can be opened by nobody")
            self._keys[record["id"]] = key.read_bytes()
        return opened(record, self._directory, SUPERVISOR)

    # ------------------------------------------------------------ what lies on the disk

    def is_written(self, path: Path, data: bytes) -> None:
        """Something goes into a file of the store."""
        if not self._is_sealed:
            return
        if found := self._told(data):
            fail(f"{found.decode()} is written in plain to {path.name}")
        if _is_sound(data):
            fail(f"sound is written in plain to {path.name}")

    def look(self, kept: Iterable[str]) -> None:
        """After a start and at night; what was written bit by bit was looked at as it came."""
        if not self._is_sealed:
            return
        for path in sorted(self._directory.rglob("*")):
            if not path.is_file() or path.suffix in CIPHERTEXT:
                continue
            data = path.read_bytes()
            if found := self._told(data) or self._told(path.name.encode()):
                fail(f"{found.decode()} is in plain in {path.relative_to(self._directory)}")
            if not path.name.startswith(NAME) and _is_sound(data):
                fail(f"sound is in plain in {path.relative_to(self._directory)}")
        for call_id in kept:
            path = self._directory / key_name(call_id)
            if not path.exists() or path.read_bytes() != self._keys[call_id]:
                fail(f"the key of call {call_id} is not in {VAULT}/ as it was")

    def _told(self, data: bytes) -> bytes | None:
        """Who rang, if it stands there."""
        if CALLER_NAME.encode() in data:
            return CALLER_NAME.encode()
        at = data.find(NUMBERS_BEGIN)
        while at != -1:
            if (number := bytes(data[at : at + NUMBER_CHARACTERS])) in self._numbers:
                return number
            at = data.find(NUMBERS_BEGIN, at + 1)
        return None


def _is_sound(data: bytes) -> bool:
    """Whether frames of the counting card lie there one after another, or a sound file begins."""
    if any(mark in data for mark in SOUND_FILES):
        return True
    for offset in range(4):
        count = (len(data) - offset) // 4
        if count <= FRAMES_IN_A_ROW:
            return False
        frames = np.frombuffer(data, "<u2", 2 * count, offset).reshape(-1, 2)
        counts_up = (np.diff(frames[:, 0]) == 1) & (frames[1:, 1] == frames[:-1, 1])
        breaks = np.flatnonzero(np.concatenate(([True], ~counts_up, [True])))
        if np.diff(breaks).max() > FRAMES_IN_A_ROW:
            return True
    return False
