"""An office whose only way out is a proxy: HTTPS_PROXY names it, as for every other program."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest

from recorderd.archive.s3 import S3Target
from recorderd.archive.target import content_of_bytes
from recorderd.errors import TryAgainError
from tests.archive.archives import archive_of, credentials_file
from tests.archive.certificates import Authority
from tests.archive.faultproxy import FaultProxy, Say
from tests.archive.test_s3_errors import KEY, KEYS

DATA = content_of_bytes(b"x" * 3000)


class WayOut:
    """Takes CONNECT (RFC 9110, section 9.3.6) and nothing else, and passes all bytes on."""

    def __init__(self):
        self.heads = []
        self.answer = b"HTTP/1.1 200 Connection established\r\n\r\n"
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client):
        with client:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            self.heads.append(head.decode("ascii"))
            client.sendall(self.answer)
            if b" 200 " not in self.answer:
                return
            host, _, port = head.split()[1].decode("ascii").rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                threading.Thread(target=pour, args=(server, client), daemon=True).start()
                pour(client, server)

    def close(self):
        self._door.close()


def pour(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture
def way_out(monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with closing(WayOut()) as way:
        yield way


@pytest.fixture
def service(tmp_path):
    authority = Authority(tmp_path)
    with FaultProxy(tls=authority.context()) as service:
        service.plan = lambda _: Say(200, body=b"")
        credentials = credentials_file(tmp_path, KEYS)
        archive = archive_of(
            "s3://bucket",
            endpoint=service.endpoint,
            credentials=credentials,
            ca_file=authority.ca_file,
        )
        with closing(S3Target(archive)) as target:
            yield service, target


def test_requests_go_through_the_proxy_and_tls_ends_at_the_service(way_out, service, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://{way_out.address}")
    server, target = service
    target.put(KEY, DATA)
    host = server.endpoint.removeprefix("https://")
    assert way_out.heads[0].startswith(f"CONNECT {host} HTTP/1.")
    assert "Proxy-Authorization" not in way_out.heads[0]
    assert len(server.seen) == 1


def test_the_proxy_is_told_who_asks_and_the_service_is_not(way_out, service, monkeypatch):
    monkeypatch.setenv("https_proxy", f"http://box:pass%20word@{way_out.address}/")
    server, target = service
    target.put(KEY, DATA)
    assert "Proxy-Authorization: Basic Ym94OnBhc3Mgd29yZA==\r\n" in way_out.heads[0]
    assert "proxy-authorization" not in str(server.seen).lower()


def test_no_proxy_is_asked_for_a_service_of_the_house(way_out, service, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://{way_out.address}")
    monkeypatch.setenv("NO_PROXY", "example.org,127.0.0.1")
    server, target = service
    target.put(KEY, DATA)
    assert way_out.heads == []
    assert len(server.seen) == 1


def test_a_proxy_that_refuses_is_told_without_its_password(way_out, service, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://box:secret-word@{way_out.address}")
    way_out.answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    _, target = service
    with pytest.raises(TryAgainError, match=f"the proxy {way_out.address}.*407") as caught:
        target.put(KEY, DATA)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize("text", ["http://:8080", "http://127.0.0.1:port", "socks5://127.0.0.1:1"])
def test_what_is_no_proxy_is_told(way_out, service, monkeypatch, text):
    monkeypatch.setenv("HTTPS_PROXY", text)
    _, target = service
    with pytest.raises(TryAgainError, match="HTTPS_PROXY"):
        target.put(KEY, DATA)
