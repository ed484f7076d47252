"""The proxy through which an office lets its machines out: HTTPS_PROXY and NO_PROXY, as other programs
know them. What goes through it is encrypted up to the service (CONNECT, RFC 9110, section 9.3.6)."""

from __future__ import annotations

import base64
import urllib.request
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

PORT = 8080


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it is, and the header by which it knows us."""

    host: str
    port: int
    headers: dict[str, str]

    @property
    def name(self) -> str:
        """For messages: no password is in it."""
        return f"{self.host}:{self.port}"


def proxy_for(host: str) -> Proxy | None:
    """The proxy to a service; None: there is none. Raises ValueError where it cannot be used."""
    text = urllib.request.getproxies_environment().get("https", "")
    if not text or urllib.request.proxy_bypass(host):
        return None
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        port = url.port or PORT
    except ValueError:
        port = 0
    if not port or url.scheme != "http" or not url.hostname:
        raise ValueError("HTTPS_PROXY is not of the form http://HOST:PORT")
    headers = {}
    if url.username is not None:
        who = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(who).decode('ascii')}"
    return Proxy(url.hostname, port, headers)
