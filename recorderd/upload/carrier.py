"""Carrying one call to the archive, file by file; the part of the work that several threads do."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from recorderd.archive.deposit import deposit
from recorderd.errors import ArchiveError, RefusedError, StoreError, TryAgainError
from recorderd.store.names import without_number
from recorderd.store.receipts import Receipt
from recorderd.upload.parcel import pack_parcel

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo
    from pathlib import Path

    from recorderd.archive.target import Held, Target
    from recorderd.upload.pace import Pace
    from recorderd.upload.parcel import Parcel, Piece
    from recorderd.upload.queue import Waiting


@dataclass(frozen=True, slots=True)
class Carried:
    """A call of which the archive has everything now."""

    parcel: Parcel
    held: dict[str, Held]  # by file name
    archive: str

    def receipt(self, at: str) -> Receipt:
        """What was confirmed now and before. `at`: ISO 8601, UTC."""
        before = self.parcel.before or Receipt(self.archive, at)
        if not self.parcel.pieces:
            return before
        files_ = {piece.name: piece.content.sha256 for piece in self.parcel.pieces}
        objects = {piece.name: _place(piece, self.held[piece.name]) for piece in self.parcel.pieces}
        return Receipt(self.archive, at, {**before.files, **files_}, {**before.objects, **objects})


def _place(piece: Piece, held: Held) -> dict[str, object]:
    """What a receipt says of an object beside its hash."""
    return {
        "key": piece.key,
        "size": held.size,
        "version": held.version,
        "locked_until": held.locked_until,
    }


class Carrier:
    """Each thread that carries has a connection of its own."""

    def __init__(
        self,
        directory: Path,
        zone: tzinfo,
        site: str,
        open_target: Callable[[], Target],
        pace: Pace,
    ) -> None:
        self._directory = directory
        self._zone = zone
        self._site = site
        self._open_target = open_target
        self._pace = pace
        self._own = threading.local()
        self._targets: list[Target] = []

    def carry(self, call: Waiting) -> Carried:
        """Bring a call to the archive. Raises ArchiveError, StoreError, and Stopped."""
        target = self._target()
        try:
            parcel = pack_parcel(self._directory, call, self._zone, self._site, target.name)
        except StoreError as error:
            raise StoreError(without_number(str(error))) from None
        held = {piece.name: self._carry(target, call, piece) for piece in parcel.pieces}
        return Carried(parcel, held, target.name)

    def close(self) -> None:
        """Let go of all connections; only when no thread carries any more."""
        for target in self._targets:
            target.close()

    def _target(self) -> Target:
        if not hasattr(self._own, "target"):
            self._own.target = self._open_target()
            self._targets.append(self._own.target)
        found: Target = self._own.target
        return found

    def _carry(self, target: Target, call: Waiting, piece: Piece) -> Held:
        try:
            return deposit(target, piece.key, self._pace.paced(piece.content))
        except RefusedError as error:
            raise RefusedError(_without_name(error, call, piece)) from None
        except TryAgainError as error:
            raise TryAgainError(_without_name(error, call, piece), error.retry_after_s) from None
        except StoreError as error:
            raise StoreError(_without_name(error, call, piece)) from None


def _without_name(error: ArchiveError | StoreError, call: Waiting, piece: Piece) -> str:
    """What went wrong, without the file's name, in which the caller's number stands."""
    text = str(error)
    for name in (piece.name, quote(piece.name), quote(piece.name, safe="")):
        text = text.replace(name, piece.label)
    return f"call {call.id}: {piece.label}: {text}"
