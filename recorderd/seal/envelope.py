"""What calls are put into on their way to the disk: nothing, or an age file to a key of their own.

The code that writes and reads calls knows only `Envelope`. `PLAIN` is the envelope of a recorder
that does not seal; CallKey (seal/callkey.py) is that of one call which is sealed and whose key is
in memory; `LOCKED` is that of a sealed call whose key this process does not have, as after a crash:
what is sealed can be moved, counted and kept, but neither opened nor added to.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TypeAlias

from recorderd.disk import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo
    from pathlib import Path

    from recorderd.core.manifest import CallRecord


class Opener(Protocol):
    """The part of an envelope that reading asks for. Raises StoreError where it does not open."""

    def open(self, data: bytes) -> bytes:
        """What `seal` was given."""
        ...

    def unpacked(self, path: Path) -> AbstractContextManager[Path]:
        """Lend the path of a file with the plain content of `path`, read from the disk."""
        ...


class Envelope(Opener, Protocol):
    """Of one call. Whatever touches the disk raises StoreError."""

    is_sealed: bool
    is_locked: bool  # its contents cannot be seen

    def keep(self) -> None:
        """Make durable what opens it later; before anything of the call comes to the disk."""

    def take_in(self, record: CallRecord, zone: tzinfo) -> CallRecord:
        """The record as it may lie on the disk. Nothing is written."""
        ...

    def seal(self, data: bytes) -> bytes: ...

    def bench(self, part: Path) -> AbstractContextManager[Path]:
        """Lend the path of a file in which the plain content of `part` may be made.

        `part`, a temporary name, is cleared away at the end, if it is still there.
        """
        ...

    def pack(self, work: Path, part: Path) -> None:
        """Let `part` hold what was made on its bench, durable."""


MakeEnvelope: TypeAlias = "Callable[[str], Envelope]"
"""The envelope for a call, by its id; nothing is written."""


class _Plain:
    """No envelope at all."""

    is_sealed = False
    is_locked = False

    def keep(self) -> None:
        """There is no key."""

    def take_in(self, record: CallRecord, zone: tzinfo) -> CallRecord:  # noqa: ARG002
        return record

    def seal(self, data: bytes) -> bytes:
        return data

    def open(self, data: bytes) -> bytes:
        return data

    @contextmanager
    def bench(self, part: Path) -> Iterator[Path]:
        try:
            yield part
        finally:
            files.discard(part)

    def pack(self, work: Path, part: Path) -> None:
        assert work == part, "a plain file is made in its place"
        with files.guarded(part):
            files.give_to_owner(part)  # a library has made it
        files.sync_file(part)

    @contextmanager
    def unpacked(self, path: Path) -> Iterator[Path]:
        yield path


class _Locked:
    """An envelope without its key. Who asks it to be opened has not looked at `is_locked`."""

    is_sealed = True
    is_locked = True

    def keep(self) -> None:
        """The key is in the vault: it was kept before anything else of the call."""

    def take_in(self, record: CallRecord, zone: tzinfo) -> CallRecord:  # noqa: ARG002
        assert record.sealed is not None, "it was taken in by who had the key"
        return record

    def seal(self, data: bytes) -> bytes:  # noqa: ARG002
        raise AssertionError(_NO_KEY)

    def open(self, data: bytes) -> bytes:  # noqa: ARG002
        raise AssertionError(_NO_KEY)

    def bench(self, part: Path) -> AbstractContextManager[Path]:  # noqa: ARG002
        raise AssertionError(_NO_KEY)

    def pack(self, work: Path, part: Path) -> None:  # noqa: ARG002
        raise AssertionError(_NO_KEY)

    def unpacked(self, path: Path) -> AbstractContextManager[Path]:  # noqa: ARG002
        raise AssertionError(_NO_KEY)


_NO_KEY = "without its key a sealed call is neither opened nor added to"

PLAIN = _Plain()
LOCKED = _Locked()


def plain_envelope(call_id: str) -> Envelope:  # noqa: ARG001  (a MakeEnvelope)
    """What a recorder that does not seal puts its calls into."""
    return PLAIN
