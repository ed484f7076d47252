"""The device's signature: Ed25519 (RFC 8032). The only file that calls the cryptography library.

The key is made at the first start and never leaves the box. It lies in `keys/device.key` (PKCS 8),
readable by the recorder's user alone, beside its public half `keys/device.pem`. Its fingerprint is
the SHA-256 of the public half in DER; whoever sets up the box notes it down, and
`openssl pkey -pubin -in device.pem -outform DER | sha256sum` shows it to anybody later.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from recorderd.errors import StoreError
from recorderd.store import files
from recorderd.store.names import KEYS

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = "device.key"
PUBLIC = "device.pem"


class DeviceKey:
    """The key of this box."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        public = private.public_key()
        self.public_pem = public.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        ).decode("ascii")
        self.fingerprint = fingerprint_of(self.public_pem)

    @classmethod
    def generate(cls) -> DeviceKey:
        """A key that no box has."""
        return cls(Ed25519PrivateKey.generate())

    def private_pem(self) -> bytes:
        """The key as it is kept: PKCS 8, not encrypted."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`, 64 bytes."""
        return self._private.sign(data)


def load_device_key(directory: Path) -> DeviceKey:
    """The key in a state directory; made, durable, where there is none. Raises StoreError."""
    path = directory / KEYS / PRIVATE
    if not path.exists():
        _make_key(directory)
    with files.guarded(path):
        data = path.read_bytes()
    try:
        private = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        message = (
            f"{path}: not a private key ({error}); restore it, or move it away: a new one is made"
        )
        raise StoreError(message) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise StoreError(f"{path}: not an Ed25519 key; move it away: a new one is made")
    key = DeviceKey(private)
    _write_public(directory, key)
    return key


def _make_key(directory: Path) -> None:
    files.make_directory(directory / KEYS, directory)
    with files.guarded(directory / KEYS):
        (directory / KEYS).chmod(0o700)
    pem = DeviceKey.generate().private_pem()
    files.write_durable(directory / KEYS / PRIVATE, pem, mode=0o600)


def _write_public(directory: Path, key: DeviceKey) -> None:
    path = directory / KEYS / PUBLIC
    if not path.exists() or path.read_text("ascii") != key.public_pem:
        files.write_durable(path, key.public_pem.encode("ascii"))


def fingerprint_of(public_pem: str) -> str:
    """SHA-256 of the public key in DER (SubjectPublicKeyInfo), in hexadecimal."""
    der = _public(public_pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def is_signed(public_pem: str, signature: bytes, data: bytes) -> bool:
    """Whether `signature` over `data` was made with the private half of `public_pem`."""
    try:
        _public(public_pem).verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _public(public_pem: str) -> Ed25519PublicKey:
    try:
        public = load_pem_public_key(public_pem.encode("ascii"))
    except ValueError as error:
        raise StoreError(f"not a public key ({error})") from error
    if not isinstance(public, Ed25519PublicKey):
        raise StoreError("a public key, but not an Ed25519 one")
    return public
