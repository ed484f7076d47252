"""Signatures beside those that AWS has published; what is sent is what was signed."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import pytest

from recorderd.archive.sigv4 import EMPTY_SHA256, Keys, Signer, encoded_path, encoded_query

# "Examples: Signature Calculations" (Amazon S3 API Reference, "Authenticating Requests: Using the
# Authorization Header"): the key, the time, four requests and their signatures.
EXAMPLE = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW = datetime(2013, 5, 24, tzinfo=UTC)
PUT_HEADERS = {
    "date": "Fri, 24 May 2013 00:00:00 GMT",
    "x-amz-content-sha256": sha256(b"Welcome to Amazon S3.").hexdigest(),
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
}
EMPTY = {"x-amz-content-sha256": EMPTY_SHA256}


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "expected"),
    [
        ("GET", "/test.txt", {}, {"range": "bytes=0-9", **EMPTY}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        ("PUT", "/test$file.text", {}, PUT_HEADERS, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
        ("GET", "/", {"lifecycle": ""}, EMPTY, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("GET", "/", {"max-keys": "2", "prefix": "J"}, EMPTY, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)  # fmt: skip
def test_the_examples_of_aws(method, path, query, headers, expected):
    headers = {"host": "examplebucket.s3.amazonaws.com", **headers}
    signed = Signer(EXAMPLE, "us-east-1").signed(method, path, query, headers, NOW)
    assert signed["x-amz-date"] == "20130524T000000Z"
    authorization = signed["authorization"]
    scope = "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
    names = "SignedHeaders=" + ";".join(sorted([*headers, "x-amz-date"]))
    assert authorization == f"AWS4-HMAC-SHA256 {scope},{names},Signature={expected}"


def test_a_session_token_is_sent_and_signed():
    keys = Keys("AKIAIOSFODNN7EXAMPLE", "secret", "token")
    headers = {"host": "h", **EMPTY}
    signed = Signer(keys, "us-east-1").signed("GET", "/", {}, headers, NOW)
    assert signed["x-amz-security-token"] == "token"
    assert ";x-amz-security-token," in signed["authorization"]


def test_what_is_sent_is_what_is_signed():
    assert encoded_path("/b/site=a+b/ü (1)~.flac") == "/b/site%3Da%2Bb/%C3%BC%20%281%29~.flac"
    assert encoded_query({"prefix": "site=a/", "a": "+ "}) == "a=%2B%20&prefix=site%3Da%2F"


def test_a_repr_shows_no_secret():
    text = repr(Signer(Keys("access", "secret", "token"), "us-east-1"))
    assert "access" in text
    assert "secret=" not in text
    assert "'secret'" not in text
    assert "token'" not in text
