"""The vault: for each sealed call one small file, `vault/<call-id>.age`, that holds its key.

The key is encrypted to the supervisors, so this box can write it, and destroy it, and not read it.
Everything else of the call, wherever it was copied, is encrypted to that key alone. So a new
supervisor costs a few hundred bytes a call, not its sound; and where the file is destroyed, every
copy of the call is unreadable for ever.

Whoever replaces or destroys a file here holds the vault's lock: otherwise a rewrap could bring back
a key that had just been destroyed.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from recorderd.disk import files
from recorderd.disk.layout import VAULT
from recorderd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recorderd.seal.age import Identities, Recipients
    from recorderd.seal.envelope import Opener

SUFFIX = ".age"
KEY_BYTES_MAX = 65_536
AGE_MAC_BYTES = 44 + 16 + 16  # in base64 with its line feed, then a nonce and the mark of one chunk


def key_name(call_id: str) -> str:
    """The file of a call's key, relative to the state directory."""
    return f"{VAULT}/{call_id}{SUFFIX}"


def keys_in(directory: Path) -> list[Path]:
    """The key files of all calls that can still be opened by somebody. Raises StoreError."""
    vault = directory / VAULT
    if not vault.is_dir():
        return []
    with files.guarded(vault):
        return sorted(
            path
            for path in vault.iterdir()
            if path.suffix == SUFFIX and not files.is_part(path.name)
        )


@contextmanager
def locked_vault(directory: Path) -> Iterator[None]:
    """Be the one who changes the vault; held for a few writes at the most."""
    vault = directory / VAULT
    with files.guarded(vault):
        descriptor = os.open(vault, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            os.close(descriptor)
            raise
    try:
        yield
    finally:
        os.close(descriptor)


def keep_key(directory: Path, call_id: str, wrapped: bytes) -> None:
    """Make a call's key durable, already encrypted. It never takes the place of another."""
    path = directory / key_name(call_id)
    files.make_directory(path.parent, directory)
    if path.exists():
        with files.guarded(path):
            there = path.read_bytes()
        if there != wrapped:
            message = f"{path}: a key of another call of this name; it is not overwritten"
            raise StoreError(message)
    files.write_durable(path, wrapped)


def destroy_key(directory: Path, call_id: str) -> None:
    """Make a sealed call unreadable for everybody, for ever; one without a key is that already.

    The file is overwritten before it is removed. A flash memory may keep the old page somewhere
    inside until it is used again: whoever must rule that out destroys the medium.
    """
    path = directory / key_name(call_id)
    if not path.parent.is_dir():
        return
    with locked_vault(directory):
        for each in (files.part_path(path), path):  # the first one of a rewrap that was broken off
            try:
                if each.exists():
                    _overwrite(each)
            finally:
                # Also where the disk refused that: synced again it would say that all is well.
                files.remove_durable(each)


def _overwrite(path: Path) -> None:
    with files.guarded(path):
        descriptor = os.open(path, os.O_WRONLY)
        try:
            files.write_all(descriptor, bytes(os.fstat(descriptor).st_size))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def wrapped_key(directory: Path, call_id: str) -> bytes:
    """A call's key as the vault has it, for the supervisors. Raises StoreError.

    A file that is just being replaced or destroyed is overwritten with zeros while it is open.
    """
    path = directory / key_name(call_id)
    if not path.exists():
        raise StoreError(f"{path}: not there: the key was destroyed, and nobody can open this call")
    with locked_vault(directory):
        return _read(path)


def has_form_of_key(data: bytes) -> bool:
    """Whether this may be a key that somebody can open: an age file, with its header whole and a text
    behind it (https://age-encryption.org/v1), and not the zeros of a disk that has lost it."""
    header, mark, rest = data.partition(b"\n--- ")
    return (
        bool(mark) and header.startswith(b"age-encryption.org/v1\n") and len(rest) > AGE_MAC_BYTES
    )


def rewrap_key(directory: Path, path: Path, identities: Identities, to: Recipients) -> bool:
    """Encrypt a key anew, to other supervisors; False where no identity opens it.

    The old file is complete until the new one is, and is overwritten then.
    """
    with locked_vault(directory):
        if not path.exists():
            return True  # destroyed meanwhile, and to stay so
        try:
            key = _decrypted(path, identities)
        except ValueError:
            return False
        with files.guarded(path):
            old = os.open(path, os.O_WRONLY)
        try:
            files.write_durable(path, to.encrypt(key))
            with files.guarded(path):
                files.write_all(old, bytes(os.fstat(old).st_size))
                os.fsync(old)
        finally:
            os.close(old)
    return True


def is_opened_by(path: Path, identities: Identities) -> bool:
    """Whether one of the identities opens a call's key."""
    try:
        _decrypted(path, identities)
    except ValueError:
        return False
    return True


def opened_key(directory: Path, call_id: str, identities: Identities) -> Opener:
    """What opens a sealed call, for who has a supervisor's identity. Raises StoreError."""
    from recorderd.seal.openedkey import OpenedKey  # noqa: PLC0415  (pyrage, only where it is used)

    path = directory / key_name(call_id)
    wrapped = wrapped_key(directory, call_id)
    try:
        return OpenedKey(identities.decrypt(wrapped).decode("ascii").strip())
    except ValueError as error:
        message = f"{path}: this identity does not open it ({error}); use another supervisor's"
        raise StoreError(message) from error


def with_party(record: dict[str, Any], opener: Opener) -> dict[str, Any]:
    """A call's record as it would be, had the call been kept in plain; StoreError where it cannot be.

    `record` is a call record as JSON, plain or sealed.
    """
    if record.get("sealed") is None:
        return record
    try:
        party = json.loads(opener.open(base64.b64decode(record["sealed"]["party"])))
        waiting = zip(record["call_waiting"], party["call_waiting"], strict=True)
        return {
            **record,
            "caller": party["caller"],
            "other_caller": party.get("other_caller"),
            "dialled": party["dialled"],
            "digits": party.get("digits", []),
            "call_waiting": [{**item, "caller": caller} for item, caller in waiting],
            "sealed": None,
        }
    except (ValueError, KeyError, TypeError) as error:
        message = f"call {record['id']}: its sealed numbers are damaged ({error!r})"
        raise StoreError(message) from error


def _decrypted(path: Path, identities: Identities) -> bytes:
    return identities.decrypt(_read(path))


def _read(path: Path) -> bytes:
    with files.guarded(path), path.open("rb") as file:
        return file.read(KEY_BYTES_MAX)
