"""DuckDB, within bounds: so much memory, what does not fit in a folder of its own, no extension but ours.

Parquet files of an archive are read where they lie: by path on a mounted one, over HTTP on S3, with
DuckDB's extension httpfs, which comes as a Python package and is loaded from there.
"""

from __future__ import annotations

import importlib.util
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recorderd.errors import RefusedError, StoreError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

MEMORY_MB = 1024
"""What DuckDB takes, and a third more. It is for sorting RANGE_ROWS (compact.py), and for what
reading the files takes (recorderd/central/README.md)."""

HTTP_TIMEOUT_S = 60

EXTENSION_PACKAGE = "duckdb_extension_httpfs"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class S3Access:
    """Where an S3 service is, and with which keys it is asked."""

    endpoint: str  # with its scheme; empty: Amazon's
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(repr=False)
    ca_file: Path | None


class Engine:
    """One connection, with a folder for what does not fit into memory."""

    def __init__(self, work: Path, memory_mb: int = MEMORY_MB) -> None:
        self._connection = _duckdb().connect(
            config={
                "memory_limit": f"{memory_mb}MB",
                "temp_directory": str(work),
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "preserve_insertion_order": "false",
            }
        )

        # No file changes once it is there: its size and footer are asked for once.
        self.run("SET parquet_metadata_cache = true")

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        """One statement."""
        with _guarded():
            self._connection.execute(sql, values)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """What a query gives, each row by the names of its columns."""
        with _guarded():
            done = self._connection.execute(sql, values)
            names = [column[0] for column in done.description]
            return [dict(zip(names, row, strict=True)) for row in done.fetchall()]

    def reach_s3(self, access: S3Access) -> None:
        """Let this engine read from an S3 service. Raises RefusedError."""
        self.run(f"LOAD {quoted(str(_httpfs()))}")
        self.run(f"SET http_timeout = {HTTP_TIMEOUT_S}")
        self.run("SET enable_server_cert_verification = true")
        self.run("SET enable_http_metadata_cache = true")
        if access.ca_file is not None:
            self.run(f"SET ca_cert_file = {quoted(str(access.ca_file))}")
        scheme, _, host = access.endpoint.rpartition("://")
        options = {
            "KEY_ID": quoted(access.access_key),
            "SECRET": quoted(access.secret_key),
            "SESSION_TOKEN": quoted(access.session_token),
            "REGION": quoted(access.region),
            "ENDPOINT": quoted(host.rstrip("/")),
            "URL_STYLE": quoted("path" if host else "vhost"),
            "USE_SSL": "false" if scheme == "http" else "true",
        }
        given = ", ".join(f"{name} {value}" for name, value in options.items() if value != "''")
        self.run(f"CREATE SECRET (TYPE s3, {given})")

    def close(self) -> None:
        self._connection.close()


def _duckdb() -> ModuleType:
    """The library; StoreError where it is not installed, as on a box."""
    try:
        import duckdb  # noqa: PLC0415  (only where it is used: the other commands go without it)
    except ModuleNotFoundError:
        raise StoreError(
            "DuckDB is not installed, which compacts and searches: pip install 'recorderd[archive]'"
        ) from None
    module: ModuleType = duckdb
    return module


def _httpfs() -> Path:
    """The extension that reads over HTTP. RefusedError where it is not there, or not DuckDB's own."""
    spec = importlib.util.find_spec(EXTENSION_PACKAGE)
    version = _duckdb().__version__
    mend = f"`pip install 'duckdb-extension-httpfs=={version}'`, or 'recorderd[archive]' for both"
    if spec is None or not spec.submodule_search_locations:
        raise RefusedError(f"DuckDB's extension httpfs is not installed: {mend}")
    folder = Path(spec.submodule_search_locations[0]) / "extensions" / f"v{version}"
    path = folder / "httpfs.duckdb_extension"
    if not path.is_file():
        raise RefusedError(f"DuckDB is {version}, and its extension httpfs is of another: {mend}")
    return path


def quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def listed(texts: Sequence[str]) -> str:
    """A list of texts as SQL has it."""
    return "[" + ", ".join(map(quoted, texts)) + "]"


@contextmanager
def _guarded() -> Iterator[None]:
    """Turn what DuckDB raises into our errors."""
    duckdb = _duckdb()
    try:
        yield
    except duckdb.HTTPException as error:
        status = int(getattr(error, "status_code", 0) or 0)
        text = f"the archive, read by DuckDB: {_first_line(error)}"
        if status in {401, 403, 404}:
            raise RefusedError(text) from error
        raise TryAgainError(text) from error
    except duckdb.OutOfMemoryException as error:
        raise StoreError(
            "DuckDB needs more memory than it may take to sort that many rows; "
            "`recorderd archive compact --memory-mb` gives it more"
        ) from error
    except duckdb.IOException as error:
        if " HTTP " in _first_line(error):  # no answer, or a certificate of somebody else
            raise TryAgainError(f"the archive, read by DuckDB: {_first_line(error)}") from error
        raise StoreError(f"DuckDB: {_first_line(error)}; is the disk full?") from error
    except duckdb.Error as error:
        raise StoreError(f"DuckDB: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """What is wrong, without the statement that DuckDB repeats: there are numbers in it."""
    return str(error).partition("\n")[0][:500]
