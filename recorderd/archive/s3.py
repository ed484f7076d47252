"""An archive in an S3 object store (s3://): Amazon's, or any that speaks it.

A client of our own on the standard library, because none of the libraries does what an archive of
evidence needs, at a cost that suits a small box. obstore 0.12 sends a SHA-256 but does not say which
one the service holds, nor until when an object is locked, nor can it send a lock. boto3 can do all, at
2.6 times the processor time and 1.7 times the memory (tests/bench/bench_upload.py), and by itself
writes an object twice where an acknowledgement is lost.

A PUT names its SHA-256 twice: in the signature, and as the checksum that the service compares and
keeps. `If-None-Match: *` lets it refuse to write over an object (412), so that a PUT whose
acknowledgement was lost can be asked again without a second version.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from recorderd.archive.credentials import s3_keys
from recorderd.archive.s3errors import Question, error_of
from recorderd.archive.s3http import Answer, Ask, Connection
from recorderd.archive.target import (
    BLOCK_BYTES,
    Content,
    Held,
    Listed,
    content_of_bytes,
    levels_of,
)
from recorderd.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recorderd.config.values import Archive

PAGE_KEYS = 1000
"""Of a listing, and the most that S3 gives (S3 API Reference, "ListObjectsV2")."""

_AMAZON = "https://s3.{region}.amazonaws.com"


class S3Target:
    """An archive in a bucket; keys stand behind the prefix that the URL may have."""

    def __init__(self, archive: Archive) -> None:
        self.name = archive.url
        bucket, _, prefix = archive.url.removeprefix("s3://").partition("/")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._endpoint = archive.endpoint or _AMAZON.format(region=archive.region)
        self._lock_days, self._lock_mode = archive.lock_days, archive.lock_mode
        self._connection = Connection(
            self.name, self._endpoint, archive.region, lambda: s3_keys(archive), archive.ca_file
        )
        self.page_keys = PAGE_KEYS

    def put(self, key: str, content: Content) -> None:
        headers = {"if-none-match": "*", **_checksum(content), **self._lock()}
        self._ask("PUT", key, headers=headers, content=content)

    def replace(self, key: str, data: bytes) -> None:
        content = content_of_bytes(data)
        self._ask("PUT", key, headers=_checksum(content), content=content)

    def look(self, key: str) -> Held | None:
        ask = Ask("HEAD", self._path(key), headers={"x-amz-checksum-mode": "ENABLED"})
        answer = self._connection.ask(ask)
        if answer.status == 404:
            return None
        self._check("HEAD", key, answer)
        size = answer.headers.get("content-length", "")
        if not re.fullmatch(r"\d{1,18}", size):
            raise TryAgainError(f"{self.name}: {key}: the service does not say how long it is")
        version = answer.headers.get("x-amz-version-id")
        return Held(
            size=int(size),
            sha256=_hexadecimal(answer.headers.get("x-amz-checksum-sha256", "")),
            version=None if version == "null" else version,
            locked_until=_iso(answer.headers.get("x-amz-object-lock-retain-until-date", "")),
        )

    def read(self, key: str) -> Iterator[bytes]:
        answer = self._connection.open(Ask("GET", self._path(key)))
        self._check("GET", key, answer)
        yield from self._connection.blocks(BLOCK_BYTES)

    def list(self, prefix: str) -> Iterator[Listed]:
        query = {
            "list-type": "2",
            "max-keys": str(self.page_keys),
            "prefix": self._prefix + prefix,
        }
        while True:
            answer = self._connection.ask(Ask("GET", f"/{self._bucket}", query))
            self._check("LIST", prefix, answer)
            found, token = self._page(answer.body)
            yield from found
            if token is None:
                return
            query = {**query, "continuation-token": token}

    def remove(self, key: str) -> None:
        answer = self._connection.ask(Ask("DELETE", self._path(key)))
        if answer.status != 404:
            self._check("DELETE", key, answer)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, key: str, headers: Mapping[str, str], content: Content) -> None:
        answer = self._connection.ask(Ask(method, self._path(key), {}, headers, content))
        self._check(method, key, answer)

    def _path(self, key: str) -> str:
        levels_of(key)  # "." and ".." would be taken out of a path on its way
        return f"/{self._bucket}/{self._prefix}{key}"

    def _check(self, method: str, key: str, answer: Answer) -> None:
        if answer.status >= 300:
            question = Question(self.name, self._endpoint, self._bucket, method, key)
            raise error_of(question, answer)

    def _lock(self) -> Mapping[str, str]:
        if not self._lock_days:
            return {}
        until = datetime.now(UTC) + timedelta(days=self._lock_days)
        return {
            "x-amz-object-lock-mode": self._lock_mode.upper(),
            "x-amz-object-lock-retain-until-date": f"{until:%Y-%m-%dT%H:%M:%SZ}",
        }

    def _page(self, body: bytes) -> tuple[Sequence[Listed], str | None]:
        """The objects of one page of a listing, and the token of the next page."""
        try:
            root = ET.fromstring(body)  # noqa: S314  (of bounded length; expat bounds what grows in it)
            found = [
                Listed(
                    each.findtext("{*}Key", "").removeprefix(self._prefix),
                    int(each.findtext("{*}Size", "")),
                )
                for each in root.iterfind("{*}Contents")
            ]
        except (ET.ParseError, ValueError) as error:
            raise TryAgainError(f"{self.name}: a listing cannot be read: {error}") from error
        is_cut = root.findtext("{*}IsTruncated", "false") == "true"
        token = root.findtext("{*}NextContinuationToken")
        if is_cut and not token:
            raise TryAgainError(f"{self.name}: a listing says that it goes on, and not where")
        return found, token if is_cut else None


def _checksum(content: Content) -> Mapping[str, str]:
    """By which the service compares what arrives, and which it keeps."""
    digest = base64.b64encode(bytes.fromhex(content.sha256))
    return {"x-amz-checksum-sha256": digest.decode()}


def _hexadecimal(checksum: str) -> str | None:
    """The SHA-256 of the object; None where the service gives none, or that of its parts."""
    try:
        digest = base64.b64decode(checksum, validate=True)
    except binascii.Error:
        return None
    return digest.hex() if len(digest) == 32 else None


def _iso(text: str) -> str | None:
    """A time of the service's as ISO 8601 in UTC; None where it gives none."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")
    except ValueError:
        return None
