"""What an S3 service means by refusing something, and what a person can do about it.

Codes after "Error responses" (Amazon S3 API Reference). Statuses that say enough by themselves need
none: the answer to HEAD has no body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from recorderd.errors import ArchiveError, ExistsError, RefusedError, TryAgainError

if TYPE_CHECKING:
    from recorderd.archive.s3http import Answer

RETRY_AFTER_S_MAX = 3600.0

_TEXT_CHARS_MAX = 200

_AGAIN_CODES = {
    "BadDigest": "it was altered under way: look after what lies between here and there",
    "XAmzContentSHA256Mismatch": "it was altered under way: look after what lies between here and there",
    "IncompleteBody": "it did not arrive whole",
    "RequestTimeout": "it took too long to arrive",
    "OperationAborted": "another change of it is under way",
    "ConditionalRequestConflict": "another change of it is under way",
    "SlowDown": "the service has too much to do",
}

_AGAIN_STATUSES = {408, 409, 425, 429}
"""Request Timeout, Conflict, Too Early, Too Many Requests (RFC 9110, RFC 8470, RFC 6585)."""

_REFUSED_CODES = {
    "NoSuchBucket": "there is no such bucket: make it, or mend archive.url",
    "InvalidAccessKeyId": "the service does not know the access key: mend archive.credentials",
    "SignatureDoesNotMatch": "the secret key is another one, or archive.region is (also a proxy may "
    "alter requests): mend archive.credentials",
    "AuthorizationHeaderMalformed": "the signature names another region: mend archive.region",
    "ExpiredToken": "the session token has expired: give a new one in archive.credentials",
    "InvalidToken": "the session token is wrong: give a new one in archive.credentials",
    "EntityTooLarge": "the service takes no object of this size",
    "MissingContentLength": "what lies between here and there takes the length out of requests",
    "NotImplemented": "the service cannot do this, and what needs it is not given up: objects that are "
    "never overwritten, SHA-256, locks; use another service",
    "InvalidRequest": "for archive.lock_days the bucket must have been made with object lock",
    "ObjectLockConfigurationNotFoundError": "the bucket was made without object lock",
    "KMS.DisabledException": "the bucket's encryption key is switched off",
    "QuotaExceeded": "the bucket's quota is used up: raise it",
    "InvalidBucketState": "the bucket's state does not allow it",
}

_RIGHTS = {
    "PUT": "s3:PutObject (and with archive.lock_days s3:PutObjectRetention) on",
    "HEAD": "s3:GetObject on",
    "GET": "s3:GetObject on",
    "LIST": "s3:ListBucket for",
    "DELETE": "s3:DeleteObject on",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, for the sentence about its answer."""

    archive: str  # the archive's name
    endpoint: str
    bucket: str
    method: str  # or LIST
    key: str  # or the prefix of a listing


def error_of(question: Question, answer: Answer) -> ArchiveError:
    """The error that an answer of 300 and above is."""
    code, message = _code_of(answer.body)
    said = " ".join(str(part) for part in (answer.status, code, message) if part)
    where = f"{question.archive}: {question.method} {question.key or 'all'}: {question.endpoint}"
    text = f"{where} said {said}"
    if answer.status == 412:
        return ExistsError(f"{question.archive}: {question.key} is there already")
    if code == "RequestTimeTooSkewed":
        return TryAgainError(f"{text}; {_skew(answer)}")
    if (
        code in _AGAIN_CODES
        or answer.status in _AGAIN_STATUSES
        or (answer.status >= 500 and code != "NotImplemented" and answer.status != 501)
    ):
        mend = _AGAIN_CODES.get(code)
        return TryAgainError(f"{text}; {mend}" if mend else text, _retry_after_s(answer))
    return RefusedError(f"{text}; {_mend(question, answer, code)}")


def _mend(question: Question, answer: Answer, code: str) -> str:
    status = answer.status
    if code in _REFUSED_CODES:
        return _REFUSED_CODES[code]
    if region := answer.headers.get("x-amz-bucket-region"):
        return f"the bucket {question.bucket} is in the region {region}: mend archive.region"
    if status < 400:
        elsewhere = answer.headers.get("location", "another address")
        return f"the bucket {question.bucket} is at {elsewhere}: mend archive.endpoint or archive.region"
    if status in {401, 403}:
        right = f"{_RIGHTS[question.method]} {question.key or 'the bucket'}"
        absent = ""
        if question.method in {"HEAD", "GET"}:
            absent = "; of an object that is not there, too, where the key may not list"
        return f"the access key needs {right} in the bucket {question.bucket}{absent}"
    if status == 404 and question.method in {"PUT", "LIST"}:
        return _REFUSED_CODES["NoSuchBucket"]
    if status == 404:
        return "there is no such object"
    if status == 413:
        return _REFUSED_CODES["EntityTooLarge"]
    if status == 501:
        return _REFUSED_CODES["NotImplemented"]
    return "look whether archive.url, endpoint and region are those of the service"


def _code_of(body: bytes) -> tuple[str, str]:
    """Code and message of an error; empty where the body is of another form (a proxy's, none)."""
    try:
        root = ET.fromstring(body)  # noqa: S314  (64 KiB at the most; expat bounds what grows in it)
    except ET.ParseError:
        return "", ""
    code, message = (root.findtext(f"{{*}}{name}", "").strip() for name in ("Code", "Message"))
    return code if re.fullmatch(r"[A-Za-z0-9.]{1,64}", code) else "", _plain(message)


def _plain(text: str) -> str:
    """A text of the service's, fit for one line of a log."""
    line = "".join(each if each.isprintable() else " " for each in " ".join(text.split()))
    return line[:_TEXT_CHARS_MAX]


def _skew(answer: Answer) -> str:
    try:
        theirs = parsedate_to_datetime(answer.headers["date"])
        off_s = round((datetime.now(UTC) - theirs).total_seconds())
    except (KeyError, ValueError, TypeError):
        return "this machine's clock, or the service's, is wrong: set it"
    words = "ahead of" if off_s > 0 else "behind"
    return (
        f"this machine's clock is {abs(off_s)} s {words} the service's: set the one that is wrong"
    )


def _retry_after_s(answer: Answer) -> float:
    """The patience that was asked for: seconds or a date (RFC 9110, section 10.2.3)."""
    text = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", text):
        wanted_s = float(text)
    else:
        try:
            wanted_s = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(max(wanted_s, 0.0), RETRY_AFTER_S_MAX)
