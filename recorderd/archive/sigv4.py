"""The signature that S3 wants on a request: AWS Signature Version 4, in headers.

After "Signature Version 4 for API requests" (AWS Identity and Access Management User Guide) with
what is S3's own: the path is encoded once, and the SHA-256 of the body is signed
(x-amz-content-sha256), so that a body altered under way is refused.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key of S3. Its repr shows no secret."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def encoded_path(path: str) -> str:
    """A path as it is sent and signed: all but letters, digits and `-._~/` encoded."""
    return quote(path, safe="/-._~")


def encoded_query(query: Mapping[str, str]) -> str:
    """A query as it is sent and signed: sorted, and encoded as the path, `/` too."""
    pairs = ((quote(key, safe="-._~"), quote(value, safe="-._~")) for key, value in query.items())
    return "&".join(f"{key}={value}" for key, value in sorted(pairs))


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one key for one region."""

    keys: Keys
    region: str
    service: str = "s3"

    def signed(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        now: datetime,
    ) -> dict[str, str]:
        """The headers to be sent: those given, which hold host and x-amz-content-sha256, with
        lower-case names, and the signature over all of them. `now` is in UTC."""
        stamp = f"{now:%Y%m%dT%H%M%SZ}"
        full = {**headers, "x-amz-date": stamp}
        if self.keys.session_token:
            full["x-amz-security-token"] = self.keys.session_token
        names = ";".join(sorted(full))
        scope = f"{now:%Y%m%d}/{self.region}/{self.service}/aws4_request"
        request = self._canonical(method, path, query, full)
        digest = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}"
        signature = hmac.new(self._signing_key(f"{now:%Y%m%d}"), to_sign.encode(), "sha256")
        full["authorization"] = (
            f"{_ALGORITHM} Credential={self.keys.access_key}/{scope},"
            f"SignedHeaders={names},Signature={signature.hexdigest()}"
        )
        return full

    @staticmethod
    def _canonical(
        method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> str:
        lines = [f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers)]
        names = ";".join(sorted(headers))
        payload = headers["x-amz-content-sha256"]
        parts = (method, encoded_path(path), encoded_query(query), *lines, "", names, payload)
        return "\n".join(parts)

    def _signing_key(self, date: str) -> bytes:
        key = b"AWS4" + self.keys.secret_key.encode()
        for part in (date, self.region, self.service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key
