"""The age format by its specification (https://age-encryption.org/v1), with all chance out of the seed.

The library takes its randomness from the kernel, and even how long its files are is left to chance:
no run could be repeated. What is made here only the library opens, in the recorder and in the checks.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
)

from recorderd.disk import files
from recorderd.seal import callkey, searchkey
from recorderd.seal.age import Recipients

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence
    from pathlib import Path

KEY_BYTES, FILE_KEY_BYTES, NONCE_BYTES = 32, 16, 16
CHUNK_BYTES = 1 << 16
_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def identity_of(secret: bytes) -> tuple[str, str]:
    """A secret key as the library reads it, and its recipient."""
    public = crypto_scalarmult_base(secret)
    return _bech32("age-secret-key-", secret).upper(), _bech32("age", public)


def encrypted(data: bytes, recipients: Sequence[str], choose: random.Random) -> bytes:
    """`data` as a whole age file."""
    file_key = choose.randbytes(FILE_KEY_BYTES)
    header = "age-encryption.org/v1\n"
    for recipient in recipients:
        public, secret = _unbech32(recipient), choose.randbytes(KEY_BYTES)
        share = crypto_scalarmult_base(secret)
        shared = crypto_scalarmult(secret, public)
        key = _derived(shared, share + public, b"age-encryption.org/v1/X25519")
        body = crypto_aead_chacha20poly1305_ietf_encrypt(file_key, None, bytes(12), key)
        header += f"-> X25519 {_base64(share)}\n{_base64(body)}\n"
    header += "---"
    mac = hmac.digest(_derived(file_key, b"", b"header"), header.encode(), "sha256")
    nonce = choose.randbytes(NONCE_BYTES)
    payload = b"".join(_chunks(data, _derived(file_key, nonce, b"payload")))
    return f"{header} {_base64(mac)}\n".encode() + nonce + payload


def _chunks(data: bytes, key: bytes) -> Iterator[bytes]:
    count = max(1, -(-len(data) // CHUNK_BYTES))
    for number in range(count):
        nonce = number.to_bytes(11, "big") + bytes([number == count - 1])
        chunk = data[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
        yield crypto_aead_chacha20poly1305_ietf_encrypt(chunk, None, nonce, key)


def _derived(key: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF (RFC 5869) with SHA-256, 32 bytes."""
    extracted = hmac.digest(salt or bytes(32), key, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").rstrip("=")


# ---------------------------------------------------------------- Bech32 (BIP 173)


def _bech32(prefix: str, data: bytes) -> str:
    bits = int.from_bytes(data, "big") << (-8 * len(data) % 5)
    count = -(-8 * len(data) // 5)
    values = [bits >> 5 * (count - 1 - number) & 31 for number in range(count)]
    expanded = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(each) & 31 for each in prefix]
    checksum = _polymod([*expanded, *values, 0, 0, 0, 0, 0, 0]) ^ 1
    values += [checksum >> 5 * (5 - number) & 31 for number in range(6)]
    return f"{prefix}1{''.join(_LETTERS[value] for value in values)}"


def _polymod(values: Sequence[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for number, term in enumerate(_GENERATOR):
            checksum ^= term if top >> number & 1 else 0
    return checksum


def _unbech32(text: str) -> bytes:
    values = [_LETTERS.index(letter) for letter in text.rpartition("1")[2][:-6]]
    bits = 0
    for value in values:
        bits = bits << 5 | value
    return (bits >> (5 * len(values) % 8)).to_bytes(5 * len(values) // 8, "big")


# ---------------------------------------------------------------- in place of the library's


@contextmanager
def installed(choose: random.Random) -> Iterator[None]:
    """Let the recorder encrypt with what is here, and take its keys from the seed."""

    def encrypt(recipients: Recipients, data: bytes) -> bytes:
        return encrypted(data, [str(each) for each in recipients._recipients], choose)

    def encrypt_file(recipients: Recipients, source: Path, descriptor: int) -> None:
        data = encrypt(recipients, source.read_bytes())
        for first in range(0, len(data), CHUNK_BYTES):
            files.write_all(descriptor, data[first : first + CHUNK_BYTES])

    with (
        patch.object(Recipients, "encrypt", encrypt),
        patch.object(Recipients, "encrypt_file", encrypt_file),
        patch.object(callkey, "new_identity", lambda: identity_of(choose.randbytes(KEY_BYTES))),
        patch.object(searchkey.secrets, "token_bytes", choose.randbytes),
    ):
        yield


SUPERVISORS = tuple(
    identity_of(hashlib.sha256(f"supervisor {number}".encode()).digest()) for number in (1, 2)
)
