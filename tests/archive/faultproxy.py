"""A way to an S3 server on which things go wrong as a test says: it answers itself, cuts what is asked
or answered after any byte, loses an acknowledgement, stalls; with TLS where a context is given.

    with FaultProxy(server.endpoint) as proxy:
        proxy.plan = lambda number: CutAnswer(0) if number == 3 else None

Requests are counted from 0 over all connections. It understands as much of HTTP/1.1 as S3 uses: a
length, or chunks in answers. Without a server it gives only the answers of its plan.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


@dataclass(frozen=True)
class Say:
    """Answer in the server's place, which hears nothing. `early`: before the body has come, of which
    nothing more is read; the connection is closed."""

    status: int
    code: str = ""  # of S3's errors
    headers: dict[str, str] = field(default_factory=dict)
    early: bool = False
    body: bytes | None = None

    def wire(self, is_head: bool) -> bytes:
        error = f"<?xml version='1.0'?><Error><Code>{self.code}</Code><Message>m</Message></Error>"
        body = error.encode() if self.body is None else self.body
        lines = [f"HTTP/1.1 {self.status} Words", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.early:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode() + (b"" if is_head else body)


@dataclass(frozen=True)
class CutRequest:
    """The server gets so many bytes of the request, and both sides then a cut connection."""

    after: int


@dataclass(frozen=True)
class CutAnswer:
    """The server gets all, and the client so many bytes of the answer; 0: an acknowledgement is lost."""

    after: int


@dataclass(frozen=True)
class Stall:
    """The server hears nothing and the client neither, until the proxy is closed."""


Fault = Say | CutRequest | CutAnswer | Stall


def nothing_happens(_number: int) -> Fault | None:
    return None


class FaultProxy:
    """Listens on loopback until it is closed. `seen` has what was asked, `sizes` the bytes of each
    request and of its answer."""

    def __init__(self, endpoint: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.plan: Callable[[int], Fault | None] = nothing_happens
        self.seen: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.connections = 0
        self._upstream = urlsplit(endpoint).netloc.split(":") if endpoint else None
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        for thread in self._threads:
            thread.join(10)

    def cut_all(self) -> None:
        """Close all connections, as a server does with those that are idle."""
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if self._tls is not None:
                client.settimeout(10)
                client = self._tls.wrap_socket(client, server_side=True)
                client.settimeout(None)
        except OSError:
            client.close()
            return
        with self._lock:
            self._open.add(client)
        try:
            with suppress(OSError):
                self._talk(client)
        finally:
            with self._lock:
                self._open.discard(client)
            client.close()

    def _talk(self, client: socket.socket) -> None:
        server: socket.socket | None = None
        with closing(client.makefile("rb")) as asked:
            try:
                while True:
                    first = asked.peek(1)
                    if not first or self._closed.is_set():
                        return
                    with self._lock:
                        number = len(self.seen)
                        self.seen.append("")
                        self.sizes.append((0, 0))
                    fault = self.plan(number)
                    if server is None and self._upstream is not None:
                        server = socket.create_connection(self._upstream)
                    if not self._one(number, fault, client, asked, server):
                        return
            finally:
                if server is not None:
                    server.close()

    def _one(self, number, fault, client, asked, server) -> bool:
        """One request and its answer; whether the connection goes on."""
        if isinstance(fault, CutRequest):
            server.sendall(_exactly(asked, fault.after))
            _reset(client)
            _reset(server)
            return False
        head = _head(asked)
        self.seen[number] = head.split(b"\r\n", 1)[0].decode()
        is_head = head.startswith(b"HEAD ")
        if isinstance(fault, Say) and fault.early:
            client.sendall(fault.wire(is_head))
            return False
        body = _exactly(asked, _length(head))
        self.sizes[number] = (len(head) + len(body), 0)
        if isinstance(fault, Say):
            client.sendall(fault.wire(is_head))
            return True
        if isinstance(fault, Stall):
            self._closed.wait()
            return False
        server.sendall(head + body)
        answer = _answer(server, is_head)
        self.sizes[number] = (len(head) + len(body), len(answer))
        if isinstance(fault, CutAnswer):
            client.sendall(answer[: fault.after])
            return False
        client.sendall(answer)
        return b"connection: close" not in answer[:2000].lower()


def _reset(connection: socket.socket) -> None:
    """Let the close be a reset (SO_LINGER of zero seconds, socket(7))."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _head(stream) -> bytes:
    lines = [line := stream.readline()]
    while line not in {b"\r\n", b""}:
        lines.append(line := stream.readline())
    return b"".join(lines)


def _length(head: bytes) -> int | None:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _exactly(stream, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ConnectionResetError
    return data


def _answer(server: socket.socket, is_head: bool) -> bytes:
    with closing(server.makefile("rb")) as stream:
        head = _head(stream)
        if is_head:
            return head
        if b"transfer-encoding: chunked" not in head.lower():
            return head + _exactly(stream, _length(head))
        parts = [head]
        while True:
            line = stream.readline()
            size = int(line, 16)
            parts += [line, _exactly(stream, size + 2)]
            if size == 0:
                return b"".join(parts)
