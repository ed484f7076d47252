"""Time stamps by RFC 3161: a service signs that it has seen a hash at a certain time.

The request is so small that it is written out here: a version, the SHA-256 of what is to be stamped, and
that the service's certificate should come with the answer (RFC 3161, section 2.4.1). The answer is kept
as it comes, for `openssl ts -verify`; here is only looked whether it was granted, and is about our hash.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
from urllib.parse import urlsplit

from recorderd.errors import RefusedError, TryAgainError

_BEFORE_HASH = bytes.fromhex("3039 020101 3031 300d 0609608648016503040201 0500 0420")
_AFTER_HASH = bytes.fromhex("0101ff")
_GRANTED = (
    b"\x02\x01\x00",
    b"\x02\x01\x01",
)  # granted, and granted with modifications (section 2.4.2)

TIMEOUT_S = 30.0
ANSWER_BYTES_MAX = 1 << 16


def request_of(data: bytes) -> bytes:
    """The TimeStampReq over `data`, in DER."""
    return _BEFORE_HASH + hashlib.sha256(data).digest() + _AFTER_HASH


def fetch_timestamp(url: str, data: bytes) -> bytes:
    """The TimeStampResp over `data`, in DER. Raises TryAgainError and RefusedError."""
    parts = urlsplit(url)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Content-Type": "application/timestamp-query"}
    try:
        connection.request("POST", path, request_of(data), headers)
        answer = connection.getresponse()
        body = answer.read(ANSWER_BYTES_MAX)
    except ssl.SSLCertVerificationError as error:
        raise RefusedError(f"time stamps: {url}: its certificate: {error.verify_message}") from None
    except (OSError, http.client.HTTPException) as error:
        raise TryAgainError(f"time stamps: {url}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        kind = RefusedError if 400 <= answer.status < 500 else TryAgainError
        raise kind(f"time stamps: {url} answers {answer.status} {answer.reason}")
    _check(url, body, data)
    return body


def _check(url: str, body: bytes, data: bytes) -> None:
    """The status is the first number of the answer: a SEQUENCE in a SEQUENCE begins with it."""
    status = _content(_content(body))[:3]
    if status not in _GRANTED:
        raise RefusedError(
            f"time stamps: {url} did not grant one (its status: {status.hex() or 'none'})"
        )
    if hashlib.sha256(data).digest() not in body:
        raise RefusedError(f"time stamps: {url} stamped something else than it was asked to")


def _content(der: bytes) -> bytes:
    """What is in a DER SEQUENCE (X.690, section 8.1.3: the length is of one byte, or says of how many);
    empty where it is none."""
    if len(der) < 2 or der[0] != 0x30:
        return b""
    extra = der[1] & 0x7F if der[1] & 0x80 else 0
    return der[2 + extra :]
