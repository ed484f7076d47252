"""Certificates of a test's own authority."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Authority:
    """A root certificate in a file, and the power to certify."""

    folder: Path
    name: str = "authority"

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        names = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.name)])
        self._names = names
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        root = (
            self
            ._builder(names, self._key.public_key(), 0)
            .add_extension(x509.BasicConstraints(True, None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file = self.folder / f"{self.name}.pem"
        self.ca_file.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def context(self, address: str = "127.0.0.1", from_days: int = 0) -> ssl.SSLContext:
        """What a server at this address shows; valid for ten days from `from_days` on."""
        key = ec.generate_private_key(ec.SECP256R1())
        host = x509.IPAddress(ip_address(address))
        names = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self
            ._builder(names, key.public_key(), from_days)
            .add_extension(x509.SubjectAlternativeName([host]), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        path = self.folder / f"{self.name}-server.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _builder(self, names, public_key, from_days) -> x509.CertificateBuilder:
        start = datetime.now(UTC) + timedelta(days=from_days) - timedelta(hours=1)
        identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
        return (
            x509
            .CertificateBuilder()
            .subject_name(names)
            .issuer_name(self._names)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=10))
            .add_extension(identifier, critical=False)
        )
