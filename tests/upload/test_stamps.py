"""Time stamps by a real service: openssl's, behind a small web server."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from recorderd.archive.timestamps import fetch_timestamp
from recorderd.core import chain
from recorderd.errors import RefusedError, TryAgainError
from recorderd.evidence.part import ledger_part
from recorderd.store.ledger import chain_lines

CONFIG = """
[tsa]
default_tsa = stamper
[stamper]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
[req]
distinguished_name = name
x509_extensions = stamping
prompt = no
[name]
CN = a time stamper
[stamping]
extendedKeyUsage = critical, timeStamping
"""


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout


class Stamper(ThreadingHTTPServer):
    """Answers as `openssl ts -reply` does, or as it is told to."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.answer = None  # (status, body) instead
        self.asked = 0
        (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
        (folder / "serial").write_text("01\n")
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"),
            *("-config", folder / "tsa.cnf", "-keyout", folder / "tsa.key"),
            *("-out", folder / "tsa.pem"),
        )

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/tsr"

    def reply(self, query):
        (self.folder / "query.tsq").write_bytes(query)
        return openssl(
            *("ts", "-reply", "-config", self.folder / "tsa.cnf"),
            *("-queryfile", self.folder / "query.tsq"),
        )


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.asked += 1
        query = self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.server.answer or (200, self.server.reply(query))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with Stamper(tmp_path_factory.mktemp("tsa")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def stamper(running):
    running.answer, running.asked = None, 0
    return running


def test_a_token_is_one_that_openssl_verifies(stamper, tmp_path):
    token = fetch_timestamp(stamper.url, b"a checkpoint")
    (tmp_path / "token.tsr").write_bytes(token)
    (tmp_path / "data").write_bytes(b"a checkpoint")
    said = openssl(
        *("ts", "-verify", "-data", tmp_path / "data", "-in", tmp_path / "token.tsr"),
        *("-CAfile", stamper.folder / "tsa.pem"),
    )
    assert b"OK" in said


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        ((500, b""), TryAgainError, "answers 500"),
        ((404, b""), RefusedError, "answers 404"),
        ((200, b""), RefusedError, "did not grant one"),
        ((200, b"<html>"), RefusedError, "did not grant one"),
        ((200, bytes.fromhex("30053003020102")), RefusedError, "did not grant one"),
    ],
)
def test_what_is_no_token_is_told(stamper, answer, kind, text):
    stamper.answer = answer
    with pytest.raises(kind, match=text):
        fetch_timestamp(stamper.url, b"a checkpoint")


def test_a_token_over_something_else_is_refused(stamper):
    stamper.answer = (200, fetch_timestamp(stamper.url, b"something else"))
    with pytest.raises(RefusedError, match="stamped something else"):
        fetch_timestamp(stamper.url, b"a checkpoint")


def test_a_service_that_is_not_there_is_tried_again():
    with pytest.raises(TryAgainError, match=r"time stamps: http://127\.0\.0\.1:9/"):
        fetch_timestamp("http://127.0.0.1:9/", b"a checkpoint")


def test_once_in_a_busy_hour_the_newest_checkpoint_is_stamped_and_uploaded(stamper, make_box):
    box = make_box(1, timestamp_url=stamper.url)
    for _ in range(3):
        box.upload()
        box.call()
    assert stamper.asked == 1
    box.clock.now_s += 3600
    box.upload()
    assert stamper.asked == 2
    box.clock.now_s += 3600
    box.upload()
    assert stamper.asked == 2, "nothing was entered since"
    folder = box.directory / "ledger/timestamps"
    tokens = sorted(folder.iterdir(), key=lambda path: int(path.stem))
    keys = box.store.keys("/timestamps/")
    assert [box.store.objects[key] for key in keys] == [path.read_bytes() for path in tokens]
    for path in tokens:
        line = next(chain_lines(box.directory / "ledger/recorder", int(path.stem)))
        assert chain.parse_line(line).kind == chain.CHECKPOINT


def test_an_export_finds_the_time_stamp(stamper, make_box):
    box = make_box(1, timestamp_url=stamper.url)
    box.upload()
    (folder,) = box.folders()
    found = ledger_part(box.directory, folder.name).stamp
    assert found.token == box.store.objects[box.store.keys("/timestamps/")[0]]


def test_a_stamper_that_fails_keeps_no_call_back(stamper, make_box):
    stamper.answer = (500, b"")
    box = make_box(2, timestamp_url=stamper.url)
    report = box.upload()
    assert report.uploaded == 2
    assert any("answers 500" in alarm for alarm in report.alarms(box.clock.reading().wall))
    stamper.answer = None
    box.call()
    report = box.upload()
    assert report.alarms(box.clock.reading().wall) == []
    assert box.store.keys("/timestamps/")


def test_a_stamp_that_the_queue_forgot_is_not_asked_for_again(stamper, make_box):
    """The archive has the first one, and takes no other under its key."""
    box = make_box(1, timestamp_url=stamper.url)
    box.upload()
    for path in box.directory.glob("uploads.sqlite*"):
        path.unlink()
    report = box.upload()
    assert stamper.asked == 1
    assert report.trouble is None
    assert report.alarms(box.clock.reading().wall) == []


def test_an_archive_that_refuses_a_stamp_takes_the_calls(stamper, make_box):
    box = make_box(2, timestamp_url=stamper.url)

    def refuse(operation, key):
        if operation == "put" and "/timestamps/" in key:
            raise RefusedError("memory://archive: AccessDenied")

    box.store.plan = refuse
    report = box.upload()
    assert (report.uploaded, report.trouble) == (2, None)
    assert report.alarms(box.clock.reading().wall) == ["memory://archive: AccessDenied"]
