"""What a service, or the way to it, may answer, and the error that each becomes. No server is needed:
the fault proxy answers in its place."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from recorderd.archive.s3 import S3Target
from recorderd.archive.sigv4 import Keys
from recorderd.archive.target import Content, content_of_bytes
from recorderd.errors import ExistsError, RefusedError, StoreError, TryAgainError
from tests.archive.archives import archive_of, credentials_file
from tests.archive.certificates import Authority
from tests.archive.faultproxy import FaultProxy, Say, Stall

KEYS = Keys("AK1", "secret-one")
KEY = "calls/site=office-1/x.json"
DATA = content_of_bytes(b"x" * 3000)
OK = Say(200, body=b"")


@pytest.fixture
def proxy():
    with FaultProxy() as proxy:
        yield proxy


@pytest.fixture
def target(proxy, tmp_path):
    target = target_of(proxy, tmp_path)
    yield target
    target.close()


def target_of(proxy, folder, **values):
    path = credentials_file(folder, KEYS)
    endpoint = values.pop("endpoint", None) or proxy.endpoint
    return S3Target(
        archive_of("s3://bucket/offices", endpoint=endpoint, credentials=path, **values)
    )


def asks(target):
    return {
        "PUT": lambda: target.put(KEY, DATA),
        "HEAD": lambda: target.look(KEY),
        "GET": lambda: list(target.read(KEY)),
        "LIST": lambda: list(target.list("calls/")),
        "DELETE": lambda: target.remove(KEY),
    }


@pytest.mark.parametrize("method", ["PUT", "HEAD", "GET", "LIST", "DELETE"])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "InternalError"),
        (502, ""),
        (503, "SlowDown"),
        (503, ""),
        (504, ""),
        (507, "XMinioStorageFull"),
        (429, "TooManyRequests"),
        (408, ""),
        (409, "OperationAborted"),
        (409, "ConditionalRequestConflict"),
    ],
)
def test_what_may_be_better_later(proxy, target, method, status, code):
    proxy.plan = lambda _: Say(status, code)
    with pytest.raises(TryAgainError, match=str(status)) as caught:
        asks(target)[method]()
    assert caught.value.retry_after_s == 0
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("code", ["BadDigest", "RequestTimeout", "IncompleteBody", "XAmzContentSHA256Mismatch"])  # fmt: skip
def test_what_was_hurt_under_way_is_sent_again_later(proxy, target, code):
    proxy.plan = lambda _: Say(400, code)
    with pytest.raises(TryAgainError, match=code):
        target.put(KEY, DATA)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("0", 0.0), ("99999", 3600.0), ("soon", 0.0), ("-1", 0.0), ("9" * 30, 0.0)],
)
def test_the_patience_that_is_asked_for(proxy, target, text, seconds):
    proxy.plan = lambda _: Say(503, "SlowDown", {"Retry-After": text})
    with pytest.raises(TryAgainError) as caught:
        target.put(KEY, DATA)
    assert caught.value.retry_after_s == seconds


@pytest.mark.parametrize("offset_s", [90, -90])
def test_the_patience_as_a_date(proxy, target, offset_s):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=offset_s), usegmt=True)
    proxy.plan = lambda _: Say(503, "SlowDown", {"Retry-After": date})
    with pytest.raises(TryAgainError) as caught:
        target.put(KEY, DATA)
    assert max(0, offset_s - 5) <= caught.value.retry_after_s <= max(0, offset_s)


@pytest.mark.parametrize(
    ("method", "answer", "text"),
    [
        ("PUT", Say(403, "AccessDenied"), r"needs s3:PutObject .* calls/site=office-1/x.json in the bucket bucket"),
        ("PUT", Say(403, "SignatureDoesNotMatch"), r"the secret key is another one, or archive\.region"),
        ("PUT", Say(403, "InvalidAccessKeyId"), r"does not know the access key: mend archive\.credentials"),
        ("PUT", Say(400, "ExpiredToken"), "the session token has expired"),
        ("PUT", Say(400, "AuthorizationHeaderMalformed"), r"mend archive\.region"),
        ("PUT", Say(400, "AuthorizationHeaderMalformed", {"x-amz-bucket-region": "eu-1"}), r"mend archive\.region"),
        ("PUT", Say(400, "InvalidRequest"), "the bucket must have been made with object lock"),
        ("PUT", Say(400, ""), "look whether archive.url, endpoint and region"),
        ("PUT", Say(404, "NoSuchBucket"), "there is no such bucket"),
        ("PUT", Say(404, ""), "there is no such bucket"),
        ("LIST", Say(404, ""), "there is no such bucket"),
        ("GET", Say(404, "NoSuchKey"), "there is no such object"),
        ("PUT", Say(411, "MissingContentLength"), "takes the length out"),
        ("PUT", Say(413, ""), "no object of this size"),
        ("PUT", Say(501, "NotImplemented"), "use another service"),
        ("PUT", Say(501, ""), "use another service"),
        ("PUT", Say(301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-1"}), r"in the region eu-west-1: mend archive\.region"),
        ("HEAD", Say(301, "", {"x-amz-bucket-region": "eu-west-1"}), "in the region eu-west-1"),
        ("PUT", Say(307, "TemporaryRedirect", {"Location": "https://other.example/"}), r"is at https://other\.example/"),
        ("HEAD", Say(403), r"needs s3:GetObject on calls/site=office-1/x.json.*not there, too, where the key may not list"),
        ("GET", Say(403, "AccessDenied"), "needs s3:GetObject on"),
        ("LIST", Say(403, "AccessDenied"), "needs s3:ListBucket for calls/"),
        ("DELETE", Say(403, "AccessDenied"), "needs s3:DeleteObject on"),
        ("HEAD", Say(400), "look whether archive.url, endpoint and region"),
    ],
)  # fmt: skip
def test_what_somebody_must_mend(proxy, target, method, answer, text):
    proxy.plan = lambda _: answer
    with pytest.raises(RefusedError, match=text) as caught:
        asks(target)[method]()
    message = str(caught.value)
    assert message.startswith("s3://bucket/offices: ")
    assert proxy.endpoint in message
    assert "secret-one" not in message
    assert "AK1" not in message


def test_what_is_there_is_said_to_be(proxy, target):
    proxy.plan = lambda _: Say(412, "PreconditionFailed")
    with pytest.raises(ExistsError, match=KEY):
        target.put(KEY, DATA)


def test_a_wrong_clock_is_told_with_its_seconds(proxy, target):
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    proxy.plan = lambda _: Say(403, "RequestTimeTooSkewed", {"Date": date})
    with pytest.raises(TryAgainError, match=r"this machine's clock is 3[56]\d\d s behind"):
        target.put(KEY, DATA)
    proxy.plan = lambda _: Say(403, "RequestTimeTooSkewed")
    with pytest.raises(TryAgainError, match="clock, or the service's, is wrong"):
        target.put(KEY, DATA)


@pytest.mark.parametrize("size", [3000, 20_000_000])
def test_a_refusal_is_read_while_the_body_is_still_sent(proxy, target, size):
    proxy.plan = lambda _: Say(403, "AccessDenied", early=True)
    blocks = Content(size, "0" * 64, lambda: (b"x" * 50_000 for _ in range(size // 50_000 + 1)))
    with pytest.raises((RefusedError, StoreError), match=r"AccessDenied|is not what was recorded"):
        target.put(KEY, blocks)
    if size > 3000:
        data = content_of_bytes(b"x" * size)
        with pytest.raises(RefusedError, match="AccessDenied"):
            target.put(KEY, data)
    proxy.plan = lambda _: OK
    target.put(KEY, DATA)


def test_an_answer_of_a_proxy_page_is_survived(proxy, target):
    for body in (
        b"",
        b"<html>502</html>",
        b"<a",
        b"\xff\xfe",
        b"<Error><Code>x y\n</Code></Error>",
        b"x" * 200_000,
    ):
        proxy.plan = lambda _, body=body: Say(502, body=body)
        with pytest.raises(TryAgainError, match="502"):
            target.put(KEY, DATA)
        proxy.plan = lambda _, body=body: Say(418, body=body)
        with pytest.raises(RefusedError, match="418"):
            target.put(KEY, DATA)  # fmt: skip


def test_a_message_of_the_service_is_one_line(proxy, target):
    body = (
        b"<Error><Code>Odd</Code><Message>a\n\x1b[31mb &#27; " + b"c" * 500 + b"</Message></Error>"
    )
    proxy.plan = lambda _: Say(400, body=body.replace(b"\x1b", b""))
    with pytest.raises(RefusedError) as caught:
        target.put(KEY, DATA)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<ListBucketResult>",
        b"<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
        b"<ListBucketResult><Contents><Key>a</Key><Size>x</Size></Contents></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    ],
)
def test_a_listing_that_is_none(proxy, target, body):
    proxy.plan = lambda _: Say(200, body=body)
    with pytest.raises(TryAgainError, match="a listing"):
        list(target.list(""))


def test_a_listing_goes_on_with_its_token(proxy, target):
    page = "<r xmlns='s3'><IsTruncated>{}</IsTruncated>{}<Contents><Key>offices/{}</Key><Size>1</Size></Contents></r>"
    pages = [page.format("true", "<NextContinuationToken>a+b/=</NextContinuationToken>", "a"), page.format("false", "", "b")]  # fmt: skip
    proxy.plan = lambda number: Say(200, body=pages[number].encode())
    assert [each.key for each in target.list("")] == ["a", "b"]
    assert "continuation-token=a%2Bb%2F%3D&" in proxy.seen[1]


def test_an_answer_without_end_is_given_up(proxy, target):
    proxy.plan = lambda _: Say(200, body=b"x" * ((1 << 24) + 1))
    with pytest.raises(TryAgainError, match="an answer is longer than"):
        list(target.list(""))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (None, None, None)),
        ({"x-amz-version-id": "null"}, (None, None, None)),
        ({"x-amz-version-id": "v1"}, (None, "v1", None)),
        ({"x-amz-checksum-sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}, ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", None, None)),
        ({"x-amz-checksum-sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=-3"}, (None, None, None)),
        ({"x-amz-object-lock-retain-until-date": "2027-01-02T03:04:05.678Z"}, (None, None, "2027-01-02T03:04:05+00:00")),
        ({"x-amz-object-lock-retain-until-date": "?"}, (None, None, None)),
    ],
)  # fmt: skip
def test_what_a_head_says(proxy, target, headers, expected):
    proxy.plan = lambda _: Say(200, headers=headers, body=b"12345")
    held = target.look(KEY)
    assert held.size == 5
    assert (held.sha256, held.version, held.locked_until) == expected


def test_nothing_there_is_no_error(proxy, target):
    proxy.plan = lambda _: Say(404)
    assert target.look(KEY) is None
    target.remove(KEY)
    assert len(proxy.seen) == 2
    assert proxy.connections == 1


def test_new_credentials_are_taken_when_the_old_ones_are_refused(proxy, target, tmp_path):
    proxy.plan = lambda number: OK if number == 1 else Say(403, "InvalidAccessKeyId")
    credentials_file(tmp_path, KEYS)
    with pytest.raises(RefusedError):
        list(target.read(KEY))
    proxy.plan = lambda number: Say(403, "InvalidAccessKeyId") if number == 1 else OK
    credentials_file(tmp_path, Keys("AK2", "secret-two"))
    target.put(KEY, DATA)
    assert len(proxy.seen) == 3  # refused, and then let in


@pytest.mark.parametrize("method", ["PUT", "HEAD", "GET", "LIST", "DELETE"])
def test_a_service_that_stalls_is_given_up(proxy, target, method):
    proxy.plan = lambda _: Stall()
    target._connection.answer_s_max = 0.1
    with pytest.raises(TryAgainError, match="does not answer in time"):
        asks(target)[method]()


def test_a_dead_server_is_told_at_once(proxy, target):
    proxy.close()
    with pytest.raises(TryAgainError, match=r"nothing answers there.*archive\.endpoint"):
        target.put(KEY, DATA)


def test_a_name_that_is_not_known(proxy, tmp_path, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    target = target_of(proxy, tmp_path, endpoint="https://archive.example")
    with pytest.raises(TryAgainError, match=r"its name cannot be looked up.*is the network up"):
        target.put(KEY, DATA)


def test_a_kept_connection_that_the_service_closed_is_made_anew(proxy, target):
    proxy.plan = lambda _: OK
    target.put(KEY, DATA)
    target.put(KEY, DATA)
    assert proxy.connections == 1
    proxy.cut_all()
    target.put(KEY, DATA)
    assert proxy.connections == 2


# ------------------------------------------------------------------ TLS


def secured(tmp_path, authority, **of_server):
    return FaultProxy(tls=authority.context(**of_server))


def test_the_right_authority_is_trusted(tmp_path):
    authority = Authority(tmp_path)
    with secured(tmp_path, authority) as proxy:
        proxy.plan = lambda _: OK
        target = target_of(proxy, tmp_path, ca_file=authority.ca_file)
        target.put(KEY, DATA)
        target.put(KEY, DATA)
        assert proxy.connections == 1
        proxy.cut_all()
        target.put(KEY, DATA)
        target.close()


@pytest.mark.parametrize(
    ("of_server", "trusts", "kind", "text"),
    [
        ({}, "other", RefusedError, r"certificate is not accepted.*archive\.ca_file"),
        ({}, None, RefusedError, r"certificate is not accepted.*archive\.ca_file"),
        ({"address": "127.0.0.2"}, "own", RefusedError, r"IP address mismatch.*a name that stands in its"),
        ({"from_days": -100}, "own", TryAgainError, r"expired.*clock says.*needs a new certificate"),
        ({"from_days": 100}, "own", TryAgainError, r"not yet valid.*this machine's clock says"),
    ],
)  # fmt: skip
def test_another_certificate_is_refused(tmp_path, of_server, trusts, kind, text):
    own, other = Authority(tmp_path, "own"), Authority(tmp_path, "other")
    ca_file = {"own": own.ca_file, "other": other.ca_file, None: None}[trusts]
    with secured(tmp_path, own, **of_server) as proxy:
        proxy.plan = lambda _: OK
        target = target_of(proxy, tmp_path, ca_file=ca_file)
        with pytest.raises(kind, match=text):
            target.put(KEY, DATA)
        assert proxy.seen == []


@pytest.mark.parametrize(("text", "said"), [(None, "No such file"), ("junk", "no certificates")])
def test_a_ca_file_that_is_none(tmp_path, text, said):
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with secured(tmp_path, Authority(tmp_path)) as proxy:
        target = target_of(proxy, tmp_path, ca_file=path)
        with pytest.raises(RefusedError, match=rf"{path}: .*{said}.*archive\.ca_file"):
            target.put(KEY, DATA)


def test_what_speaks_no_tls(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            client, _ = listener.accept()
            with client:
                client.recv(10)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}"
        target = target_of(None, tmp_path, endpoint=endpoint)
        with pytest.raises(TryAgainError, match=r"TLS fails|connection was cut"):
            target.put(KEY, DATA)
        thread.join()
