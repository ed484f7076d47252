"""A service over HTTPS with a certificate of its own: what stands before a plain one."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress


@contextmanager
def https_before(port, folder):
    """Its address, and the file with its certificate. `port` is the plain service's, on loopback."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", key, "-out", certificate, "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, context, port), daemon=True).start()
        yield f"https://localhost:{server.getsockname()[1]}", certificate
        server.shutdown(socket.SHUT_RDWR)


def _accept(server, context, port):
    with suppress(OSError):
        while True:
            plain, _ = server.accept()
            threading.Thread(target=_serve, args=(plain, context, port), daemon=True).start()


def _serve(plain, context, port):
    with (
        suppress(OSError),
        context.wrap_socket(plain, server_side=True) as client,
        socket.create_connection(("127.0.0.1", port)) as service,
    ):
        thread = threading.Thread(target=_pump, args=(client, service))
        thread.start()
        _pump(service, client)
        thread.join()


def _pump(source, sink):
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
