"""The [archive] table as a value, with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recorderd.config.values import Archive

if TYPE_CHECKING:
    from pathlib import Path

    from recorderd.archive.sigv4 import Keys


def archive_of(url: str, **values: Any) -> Archive:
    defaults: dict[str, Any] = {
        "endpoint": "",
        "region": "us-east-1",
        "credentials": None,
        "ca_file": None,
        "host_key": "",
        "lock_days": 0,
        "lock_mode": "governance",
        "order": "oldest-first",
        "limit_kb_s": 0,
        "hours": "",
        "timestamp_url": "",
    }
    return Archive(url=url, **{**defaults, **values})


def credentials_file(folder: Path, keys: Keys, name: str = "credentials") -> Path:
    """An access key as the AWS tools write it."""
    path = folder / name
    path.touch(0o600)
    path.write_text(
        f"[default]\naws_access_key_id = {keys.access_key}\n"
        f"aws_secret_access_key = {keys.secret_key}\n"
    )
    return path
