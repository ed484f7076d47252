"""An archive as the central side uses it: objects through its target, Parquet files through DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from recorderd.archive.posixfs import FolderTarget
from recorderd.central.engine import Engine
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
        url = urlsplit(self.archive.url)
        if url.scheme == "file":
            return str(Path(unquote(url.path)) / key)
        raise RefusedError(
            f"{self.target.name}: the catalogue is not read over {url.scheme}; run this on the "
            'server itself, with url = "file:///…" in its [archive]'
        )

    def close(self) -> None:
        self.target.close()

    def engine(self, work: Path) -> Engine:
        """A new engine that can read what lies here."""
        self.where("")  # refuses what cannot be read before anything is done
        return Engine(work)


def open_place(archive: Archive) -> Place:
    """The archive of a configuration."""
    return Place(FolderTarget(archive.url), archive)
