"""An archive as the central side uses it: objects through its target, Parquet files through DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from recorderd.archive.credentials import s3_keys
from recorderd.archive.places import open_target
from recorderd.central.engine import MEMORY_MB, Engine, S3Access
from recorderd.errors import RefusedError

if TYPE_CHECKING:
    from recorderd.archive.target import Target
    from recorderd.config.values import Archive


@dataclass(frozen=True, slots=True)
class Place:
    """One archive, and a connection to it."""

    target: Target
    archive: Archive

    def where(self, key: str) -> str:
        """What DuckDB reads an object by."""
        kind, _, rest = self.archive.url.partition("://")
        if kind == "file":
            return str(Path(unquote(rest)) / key)
        if kind == "s3":
            return f"s3://{rest.strip('/')}/{key}"
        raise RefusedError(
            f"{self.target.name}: the catalogue is not read over {kind}; run this on the server "
            'itself, with url = "file:///…" in its [archive]'
        )

    def close(self) -> None:
        self.target.close()

    def engine(self, work: Path, memory_mb: int = MEMORY_MB) -> Engine:
        """A new engine that can read what lies here."""
        self.where("")  # refuses what cannot be read before anything is done
        engine = Engine(work, memory_mb)
        if self.archive.url.startswith("s3://"):
            keys = s3_keys(self.archive)
            engine.reach_s3(
                S3Access(
                    self.archive.endpoint,
                    self.archive.region,
                    keys.access_key,
                    keys.secret_key,
                    keys.session_token,
                    self.archive.ca_file,
                )
            )
        return engine


def open_place(archive: Archive) -> Place:
    """The archive of a configuration."""
    return Place(open_target(archive), archive)
