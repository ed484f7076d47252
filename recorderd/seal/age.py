"""The age format: the only file that calls the pyrage library, and loaded only where sealing is on.

What it makes, the stock `age` tool opens, and the other way round (X25519 recipients; the format:
https://age-encryption.org/v1). A file is encrypted and opened in pieces of 64 kB, so that the
length of a segment costs no memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from recorderd.disk import files
from recorderd.errors import StoreError

try:
    import pyrage
except ModuleNotFoundError as error:
    raise StoreError(
        "this needs the package pyrage, which is not installed: pip install 'recorderd[seal]' "
        "(32-bit Raspberry Pi OS has no wheel of it: use the 64-bit system, or another computer)"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IDENTITY_BYTES_MAX = 65_536
_IDENTITY_BEGINS = "AGE-SECRET-KEY-1"


class Recipients:
    """Those who can open what is encrypted here."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Raises StoreError where one of them is no recipient, or can be sealed to by nobody."""
        try:
            self._recipients = [pyrage.x25519.Recipient.from_str(text) for text in texts]
            pyrage.encrypt(b"", self._recipients)
        except (pyrage.RecipientError, pyrage.EncryptError) as error:
            message = f"an age recipient cannot be used ({error}): check [seal] recipients"
            raise StoreError(message) from error

    def encrypt(self, data: bytes) -> bytes:
        """`data` as a whole age file."""
        return bytes(pyrage.encrypt(data, self._recipients))

    def encrypt_file(self, source: Path, descriptor: int) -> None:
        """Write the age file of what `source` holds to an open file. Raises OSError."""
        sink = _Sink(descriptor)
        with source.open("rb") as file:
            try:
                pyrage.encrypt_io(file, sink, self._recipients)
            except pyrage.EncryptError:
                if sink.error is not None:
                    raise sink.error from None  # pyrage hides it in its own
                raise


class Identities:
    """Secret keys, of which each opens what was encrypted to it."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Raises ValueError where one is no identity; its text is in no message."""
        try:
            self._identities = [pyrage.x25519.Identity.from_str(text) for text in texts]
        except pyrage.IdentityError:
            raise ValueError("not an age identity") from None

    def decrypt(self, data: bytes) -> bytes:
        """What an age file holds; ValueError where no identity opens it, or it is damaged."""
        try:
            return bytes(pyrage.decrypt(data, self._identities))
        except pyrage.DecryptError as error:
            raise ValueError(str(error)) from error

    def decrypt_file(self, source: Path, target: BinaryIO) -> None:
        """Write what an age file holds into `target`; ValueError like `decrypt`, or OSError."""
        with source.open("rb") as file:
            try:
                pyrage.decrypt_io(file, target, self._identities)
            except pyrage.DecryptError as error:
                raise ValueError(str(error)) from error
            except OSError as error:
                if error.errno is None:  # pyrage tells damage within the file so
                    raise ValueError(str(error)) from error
                raise


def new_identity() -> tuple[str, str]:
    """A secret key that nobody has, and its recipient."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def read_identities(path: Path) -> Identities:
    """The identities in a file as age-keygen or `recorderd keys new` writes it. Raises StoreError."""
    with files.guarded(path), path.open("rb") as file:
        data = file.read(IDENTITY_BYTES_MAX)
    if data.startswith((b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE")):
        raise StoreError(
            f"{path}: an identity that is itself encrypted; open it first: age -d {path.name}"
        )
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
    texts = [line for line in lines if line and not line.startswith("#")]
    if not texts or not all(text.startswith(_IDENTITY_BEGINS) for text in texts):
        message = (
            f"{path}: no age identity: it should hold lines that begin with {_IDENTITY_BEGINS}"
        )
        raise StoreError(message)
    try:
        return Identities(texts)
    except ValueError as error:
        raise StoreError(f"{path}: {error}: a letter is wrong or missing; use a copy") from error


class _Sink:
    """What pyrage writes to; it keeps what went wrong, which pyrage does not pass on."""

    def __init__(self, descriptor: int) -> None:
        self.error: BaseException | None = None
        self._descriptor = descriptor

    def write(self, data: bytes) -> int:
        try:
            files.write_all(self._descriptor, data)
        except BaseException as error:
            self.error = error
            raise
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""
