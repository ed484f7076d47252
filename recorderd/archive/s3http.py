"""One connection to an S3 service: requests signed, sent, and answered in whole, or an error of ours.

Every way in which a connection can fail is TryAgainError, except a certificate that is not the
service's: RefusedError. A refusal is read even when it comes while the body is still being sent.
A connection that was kept and that the service has closed meanwhile is made anew once, and refused
credentials are read anew once: nothing that is asked here does harm when it is asked twice.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from recorderd import __version__
from recorderd.archive.sigv4 import EMPTY_SHA256, Signer, encoded_path, encoded_query
from recorderd.archive.target import proven_blocks
from recorderd.archive.wayout import proxy_for
from recorderd.errors import RefusedError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from recorderd.archive.sigv4 import Keys
    from recorderd.archive.target import Content
    from recorderd.archive.wayout import Proxy

CONNECT_S_MAX = 10.0
ANSWER_S_MAX = 60.0
"""Without a byte sent or received: an archive that syncs to a slow disk takes its time."""

LATE_ANSWER_S_MAX = 1.0
"""For the answer of a service that has stopped to take the body: it is there already, or never comes."""

ANSWER_BYTES_MAX = 1 << 24
"""A thousand keys of a kilobyte, each encoded, and what is said of them (S3 API Reference,
"ListObjectsV2")."""

ERROR_BYTES_MAX = 1 << 16

_CUT = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)

_CLOCK_CODES = {9, 10}
"""X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED of OpenSSL (openssl-verification-options(1))."""

_REFUSED_CREDENTIALS = {400, 401, 403}
"""400 for a session token that has expired (S3 API Reference, "Error responses")."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked; the path begins with the bucket."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer, with the body of one that is an error."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""


class Connection:
    """Made when it is needed, kept, and made anew after an error. Used by one thread."""

    def __init__(
        self, name: str, endpoint: str, region: str, keys: Callable[[], Keys], ca_file: Path | None
    ) -> None:
        """`keys` reads the credentials anew; `ca_file`, or the system's, has the service's root."""
        url = urlsplit(endpoint)
        self._name, self._endpoint, self._region = name, endpoint, region
        self._is_tls = url.scheme == "https"
        self._host = url.netloc
        self._base = url.path.rstrip("/")
        self._read_keys, self._ca_file = keys, ca_file
        self.answer_s_max = ANSWER_S_MAX
        self._keys: Keys | None = None
        self._link: http.client.HTTPConnection | None = None
        self._response: http.client.HTTPResponse | None = None

    def ask(self, ask: Ask) -> Answer:
        """The whole answer, whatever its status is."""
        answer = self.open(ask)
        if self._response is None:
            return answer
        body = bytearray()
        for block in self.blocks(1 << 16):
            body += block
            if len(body) > ANSWER_BYTES_MAX:
                self.close()
                text = (
                    f"an answer is longer than {ANSWER_BYTES_MAX} bytes, which no S3 service gives"
                )
                raise TryAgainError(f"{self._name}: {self._endpoint}: {text}")
        return Answer(answer.status, answer.headers, bytes(body))

    def open(self, ask: Ask) -> Answer:
        """An answer whose body comes in `blocks`, where its status is below 300."""
        answer = self._open(ask)
        if answer.status in _REFUSED_CREDENTIALS and self._are_keys_new():
            answer = self._open(ask)
        return answer

    def blocks(self, size: int) -> Iterator[bytes]:
        """The answer's body. Raises TryAgainError where it is cut, or another request came between."""
        response = self._response
        assert response is not None
        while True:
            with self._guarded():
                if self._response is not response:
                    raise ConnectionAbortedError
                left = response.length
                block = response.read(size)
                if not block and left:
                    raise http.client.IncompleteRead(b"", left)
            if not block:
                self._done(response)
                return
            yield block

    def close(self) -> None:
        """Give up the connection, and the answer that may be waiting on it."""
        if self._response is not None:
            self._response.close()
        if self._link is not None:
            self._link.close()
        self._response = self._link = None

    def _are_keys_new(self) -> bool:
        before, self._keys = self._keys, None
        return self._current_keys() != before

    def _current_keys(self) -> Keys:
        if self._keys is None:
            self._keys = self._read_keys()
        return self._keys

    def _open(self, ask: Ask) -> Answer:
        if self._response is not None:  # of a reading that was given up
            self.close()
        was_kept = self._link is not None
        with self._guarded():
            try:
                return self._once(ask)
            except _CUT:
                if not was_kept:
                    raise
                self.close()
                return self._once(ask)

    def _once(self, ask: Ask) -> Answer:
        link = self._link or self._connected()
        response = self._exchange(link, ask)
        headers = {name.lower(): value for name, value in response.getheaders()}
        if response.status < 300:
            self._response = response
            return Answer(response.status, headers)
        body = b""
        with suppress(OSError, http.client.HTTPException):  # the status says enough
            body = response.read(ERROR_BYTES_MAX)
        self._done(response)
        return Answer(response.status, headers, body)

    def _exchange(self, link: http.client.HTTPConnection, ask: Ask) -> http.client.HTTPResponse:
        try:
            self._send(link, ask)
        except OSError:
            if response := _late_refusal(link):
                return response
            raise
        return link.getresponse()

    def _send(self, link: http.client.HTTPConnection, ask: Ask) -> None:
        link.putrequest(ask.method, self._url(ask), skip_host=True, skip_accept_encoding=True)
        for name, value in self._signed(ask).items():
            link.putheader(name, value)
        link.endheaders()
        for block in proven_blocks(ask.content) if ask.content else ():
            link.send(block)

    def _done(self, response: http.client.HTTPResponse) -> None:
        """Keep the connection where its answer was read to the end and the service wants to."""
        self._response = None
        is_whole = response.isclosed()
        response.close()
        if not is_whole or response.will_close:
            self.close()

    def _connected(self) -> http.client.HTTPConnection:
        self._keys = None
        link: http.client.HTTPConnection
        proxy = self._proxy() if self._is_tls else None
        if self._is_tls:
            host, port = (proxy.host, proxy.port) if proxy else (self._host, None)
            context = self._trust()
            link = http.client.HTTPSConnection(host, port, timeout=CONNECT_S_MAX, context=context)
        else:
            link = http.client.HTTPConnection(self._host, timeout=CONNECT_S_MAX)
        link.response_class = _WholeResponse
        link.auto_open = 0  # it would connect again without our limits
        self._link = link
        if proxy is None:
            link.connect()
        else:
            self._connect_through(proxy, link)
        assert link.sock is not None
        link.sock.settimeout(self.answer_s_max)
        return link

    def _proxy(self) -> Proxy | None:
        try:
            return proxy_for(self._host)
        except ValueError as error:
            raise TryAgainError(f"{self._name}: {error}") from None

    def _connect_through(self, proxy: Proxy, link: http.client.HTTPConnection) -> None:
        service = urlsplit(self._endpoint)
        assert service.hostname is not None
        link.set_tunnel(service.hostname, service.port or 443, proxy.headers)
        try:
            link.connect()
        except ssl.SSLError:  # of the service behind it
            raise
        except OSError as error:
            text = f"the proxy {proxy.name} (HTTPS_PROXY): {_reason(error)}"
            raise TryAgainError(f"{self._name}: {self._endpoint}: {text}") from error

    def _trust(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:  # of which ssl.SSLError is one
            text = error.strerror or str(error)
            if isinstance(error, ssl.SSLError):
                text = "it has no certificates in PEM"
            raise RefusedError(f"{self._ca_file}: {text} (archive.ca_file names it)") from error

    def _url(self, ask: Ask) -> str:
        query = encoded_query(ask.query)
        return encoded_path(self._base + ask.path) + (f"?{query}" if query else "")

    def _signed(self, ask: Ask) -> dict[str, str]:
        content = ask.content
        headers = {
            **ask.headers,
            "host": self._host,
            "x-amz-content-sha256": content.sha256 if content else EMPTY_SHA256,
        }
        signer = Signer(self._current_keys(), self._region)
        now = datetime.now(UTC)
        signed = signer.signed(ask.method, self._base + ask.path, ask.query, headers, now)
        signed["user-agent"] = f"recorderd/{__version__}"
        if content is not None:
            signed["content-length"] = str(content.size)
        return signed

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Our own errors for those of the network; the connection is given up at any error."""
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise self._not_the_service(error) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise TryAgainError(f"{self._name}: {self._endpoint}: {_reason(error)}") from error
        except BaseException:
            self.close()
            raise

    def _not_the_service(self, error: ssl.SSLCertVerificationError) -> RefusedError | TryAgainError:
        text = f"{self._name}: {self._endpoint}: its certificate is not accepted: {error.verify_message}"
        if error.verify_code in _CLOCK_CODES:
            now = datetime.now(UTC)
            return TryAgainError(
                f"{text}; this machine's clock says {now:%Y-%m-%d %H:%M} UTC: where that is right, the "
                "service needs a new certificate"
            )
        return RefusedError(
            f"{text}; where it is your own service, put the certificate of its authority into a file "
            "and name that in archive.ca_file, and reach it by a name that stands in its certificate"
        )


class _Lines(io.BufferedReader):
    """What comes in. The library takes an answer that is cut in its head for a whole one, with a
    number in it cut short; here a line without its end is a cut connection."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n") and len(line) != size:
            raise ConnectionResetError("the answer was cut")
        return line


class _WholeResponse(http.client.HTTPResponse):
    """An answer whose head is whole."""

    def __init__(self, sock: socket.socket, *arguments: object, **named: object) -> None:
        super().__init__(sock, *arguments, **named)  # type: ignore[arg-type]
        self.fp.close()
        self.fp = _Lines(sock.makefile("rb", buffering=0))


def _late_refusal(link: http.client.HTTPConnection) -> http.client.HTTPResponse | None:
    """The answer of a service that stopped taking the body, as it may (RFC 9112, section 9.5)."""
    if link.sock is None:
        return None
    link.sock.settimeout(LATE_ANSWER_S_MAX)
    with suppress(OSError, http.client.HTTPException):
        response = link.getresponse()
        response.will_close = True
        if response.status >= 300:
            return response
    return None


def _reason(error: OSError | http.client.HTTPException) -> str:
    """What went wrong on the way, and what may be looked after."""
    if isinstance(error, socket.gaierror):
        return f"its name cannot be looked up ({error.strerror}): is the network up?"
    if isinstance(error, TimeoutError):
        return "it does not answer in time: look after the network and the service"
    if isinstance(error, ConnectionRefusedError):
        return "nothing answers there: is the service up, and is archive.endpoint right?"
    if isinstance(error, ssl.SSLError):
        return (
            f"TLS fails ({error.reason or error}): look after archive.endpoint and archive.ca_file"
        )
    if isinstance(error, (ConnectionError, http.client.IncompleteRead)):
        return "the connection was cut"
    return f"the connection failed ({error.__class__.__name__}: {error})"
