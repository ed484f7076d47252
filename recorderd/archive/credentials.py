"""The archive's credentials: from a file, from systemd, or from the usual AWS variables.

They are read anew for each new connection, and when the archive refuses them, so that new ones are
taken without a restart. No message and no repr shows a secret, and so no parser's message is passed on:
it may quote the line.
"""

from __future__ import annotations

import configparser
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from recorderd.archive.sigv4 import Keys
from recorderd.errors import RefusedError

if TYPE_CHECKING:
    from recorderd.config.values import Archive

CREDENTIAL = "archive"
"""Name of the systemd credential (systemd.exec(5), LoadCredential=)."""

FILE_BYTES_MAX = 1 << 16

STORE = Path("/etc/credstore/recorderd.archive")
"""What systemd gives the units: for root, who runs a command by hand."""

_FORM = (
    "it must have the line [default], and below it aws_access_key_id = … and "
    "aws_secret_access_key = …, as the AWS tools write it"
)


def s3_keys(archive: Archive) -> Keys:
    """The access key of an S3 archive, as it is now. Raises RefusedError."""
    path = credential_path(archive)
    if path is not None:
        return _keys_in_file(path)
    access, secret, token = (
        os.environ.get(f"AWS_{name}", "").strip()
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
    )
    if not access or not secret:
        raise RefusedError(
            f"{archive.url}: there are no credentials: name a file in archive.credentials, or give "
            f"the service a systemd credential named {CREDENTIAL}"
        )
    return _checked(Keys(access, secret, token), "the AWS variables")


def private_key(archive: Archive) -> tuple[Path, bytes]:
    """The file with the private key of an SFTP archive, and what is in it. Raises RefusedError."""
    path = credential_path(archive)
    if path is None:
        raise RefusedError(
            f"{archive.url}: there is no private key: name its file in archive.credentials, or give "
            f"the service a systemd credential named {CREDENTIAL}"
        )
    return path, read_secret(path)


def credential_path(archive: Archive) -> Path | None:
    """The file with the credentials; None: there is none."""
    if archive.credentials is not None:
        return archive.credentials
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder) / CREDENTIAL if folder else STORE
    return path if os.access(path, os.F_OK) else None


def read_secret(path: Path) -> bytes:
    """A file that only those may read whom it concerns. Raises RefusedError."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise RefusedError(f"{path}: there is no such file; archive.credentials names it") from None
    except PermissionError:
        raise RefusedError(
            f"{path}: recorderd may not read it: give it to its user (chown)"
        ) from None
    except OSError as error:
        raise RefusedError(f"{path}: {error.strerror or error}") from None
    if mode & stat.S_IRWXO:
        raise RefusedError(f"{path}: everybody on this machine may read it: chmod 600 {path}")
    if len(data) > FILE_BYTES_MAX:
        raise RefusedError(f"{path}: it is too long to be a file of credentials")
    return data


def _keys_in_file(path: Path) -> Keys:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(read_secret(path).decode())
        section = parser["default"]
        access, secret = section["aws_access_key_id"], section["aws_secret_access_key"]
    except (configparser.Error, KeyError, UnicodeDecodeError):
        raise RefusedError(f"{path}: {_FORM}") from None
    return _checked(Keys(access, secret, section.get("aws_session_token", "")), str(path))


def _checked(keys: Keys, where: str) -> Keys:
    """Each goes into a line of a request's head, which must stay one line."""
    for text in (keys.access_key, keys.secret_key, keys.session_token):
        if not (text.isascii() and text.isprintable()):
            raise RefusedError(f"{where}: a key has letters that no key has: copy it anew")
    if not keys.access_key or not keys.secret_key:
        raise RefusedError(f"{where}: a key is empty; {_FORM}")
    return keys
