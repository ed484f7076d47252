"""The device's signature: Ed25519 (RFC 8032). The only file that calls libsodium, through PyNaCl.

The key is made at the first start and never leaves the box. It lies in `keys/device.key`, readable
by the recorder's user alone, beside its public half `keys/device.pem`; both in the forms that
openssl reads (RFC 8410). Its fingerprint is the SHA-256 of the public half in DER; whoever sets up
the box notes it down, and `openssl pkey -pubin -in device.pem -outform DER | sha256sum` shows it to
anybody later.

PyNaCl and not `cryptography`, because it takes 0.7 MB of memory where that takes 10.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from typing import TYPE_CHECKING

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from recorderd.disk import files
from recorderd.disk.layout import KEYS
from recorderd.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

PRIVATE = "device.key"
DAMAGED = "device-damaged.key"
PUBLIC = "device.pem"

SEED_BYTES = 32
SIGNATURE_BYTES = 64

_PRIVATE_DER = bytes.fromhex("302e020100300506032b657004220420")
"""What comes before the seed in the DER of a private key: RFC 8410, section 7."""

_PUBLIC_DER = bytes.fromhex("302a300506032b6570032100")
"""What comes before the key in the DER of a public key: RFC 8410, section 4."""


class DeviceKey:
    """The key of this box."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._signing = SigningKey(seed)
        self.public_pem = _pem("PUBLIC KEY", _PUBLIC_DER + bytes(self._signing.verify_key))
        self.fingerprint = fingerprint_of(self.public_pem)

    @classmethod
    def generate(cls) -> DeviceKey:
        """A key that no box has."""
        return cls(bytes(SigningKey.generate()))

    def private_pem(self) -> str:
        """The key as it is kept: PKCS 8, not encrypted."""
        return _pem("PRIVATE KEY", _PRIVATE_DER + self._seed)

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`, 64 bytes."""
        return self._signing.sign(data).signature


def load_device_key(directory: Path) -> DeviceKey:
    """The key in a state directory; made, durable, where there is none. Raises StoreError."""
    path = directory / KEYS / PRIVATE
    if not path.exists():
        _make_key(directory)
    try:
        key = _read_key(path)
    except ValueError as error:
        raise StoreError(
            f"{path}: not an Ed25519 key ({error}); restore it from a copy, or start the recorder, which "
            "makes a new one"
        ) from error
    _write_public(directory, key)
    return key


def set_aside_damaged_key(directory: Path) -> None:
    """For the recorder's start: calls are recorded and signed with a new key where the old one is none
    any more. The ledger tells of the change, and an alarm asks for the new fingerprint to be noted down
    as long as the old file lies there. Raises StoreError.
    """
    path = directory / KEYS / PRIVATE
    if not path.exists():
        return
    try:
        _read_key(path)
    except ValueError as error:
        log.warning("%s is no key any more (%s); it is kept as %s", path, error, DAMAGED)
        files.rename_durable(path, path.with_name(DAMAGED))


def damaged_key(directory: Path) -> str | None:
    """What is to be done about a key that was set aside; None where none was. Raises StoreError."""
    path = directory / KEYS / DAMAGED
    if not path.exists():
        return None
    with files.guarded(path):
        public = (directory / KEYS / PUBLIC).read_text("ascii")
    return (
        f"the device's key was damaged, and what is recorded since is signed with a new one: note its "
        f"fingerprint down ({fingerprint_of(public)}), then remove {path}"
    )


def _read_key(path: Path) -> DeviceKey:
    """Raises ValueError where it is none, StoreError where it cannot be read."""
    with files.guarded(path):
        text = path.read_bytes().decode("ascii", "replace")
    return DeviceKey(_from_pem(text, "PRIVATE KEY", _PRIVATE_DER))


def _make_key(directory: Path) -> None:
    files.make_directory(directory / KEYS, directory)
    with files.guarded(directory / KEYS):
        (directory / KEYS).chmod(0o700)
    key = DeviceKey.generate()
    files.write_durable(directory / KEYS / PRIVATE, key.private_pem().encode("ascii"), mode=0o600)
    log.warning("the device's key was made; note its fingerprint down: %s", key.fingerprint)


def _write_public(directory: Path, key: DeviceKey) -> None:
    path, pem = directory / KEYS / PUBLIC, key.public_pem.encode("ascii")
    if not path.exists() or path.read_bytes() != pem:
        files.write_durable(path, pem)


def fingerprint_of(public_pem: str) -> str:
    """SHA-256 of the public key in DER, in hexadecimal. Raises StoreError where it is none."""
    return hashlib.sha256(_PUBLIC_DER + _public(public_pem)).hexdigest()


def is_signed(public_pem: str, signature: bytes, data: bytes) -> bool:
    """Whether `signature` over `data` was made with the private half of `public_pem`."""
    key = VerifyKey(_public(public_pem))
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        key.verify(data, signature)
    except BadSignatureError:
        return False
    return True


def _public(public_pem: str) -> bytes:
    try:
        return _from_pem(public_pem, "PUBLIC KEY", _PUBLIC_DER)
    except ValueError as error:
        raise StoreError(f"not an Ed25519 public key ({error})") from error


def _pem(label: str, der: bytes) -> str:
    """RFC 7468; these keys fit on one line."""
    text = base64.b64encode(der).decode("ascii")
    return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"


def _from_pem(text: str, label: str, prefix: bytes) -> bytes:
    """The 32 bytes of a key; ValueError for anything that `_pem` would not have written so."""
    lines = text.split("\n")
    try:
        der = base64.b64decode(lines[1], validate=True)
    except (IndexError, binascii.Error) as error:
        raise ValueError("it has no base64 text") from error
    if len(der) != len(prefix) + SEED_BYTES or text != _pem(label, der):
        raise ValueError(f"it is no {label.lower()} in PEM")
    if not der.startswith(prefix):
        raise ValueError("it is of another kind")
    return der[len(prefix) :]
