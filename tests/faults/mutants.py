"""The recorder with one promise broken on purpose: a proof that does not see it proves nothing.

Each is switched on in the process that lives, never in the product.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from recorderd.disk import files
from recorderd.store import catalogue, closing
from recorderd.store.ledger import Ledger
from recorderd.store.records import write_record


@contextmanager
def no_fsync():
    """Contents of files are never synced; the names in directories are."""
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            real(descriptor)

    with patch.multiple(os, fsync=fsync, fdatasync=lambda descriptor: None):
        yield


@contextmanager
def no_directory_fsync():
    """Names are never synced."""
    with patch.object(files, "fsync_directory", lambda path: None):
        yield


@contextmanager
def row_first():
    """The row is added before the record that it speaks of has its name."""

    def file_record(directory, zone, books, record, folder):
        path = directory / folder
        content = record.as_json(zone)
        files.make_directory(path, directory)
        books.catalogue.add(content, path)
        closing.enter_call(books.ledger, content, write_record(path, content))

    with patch.object(closing, "file_record", file_record):
        yield


@contextmanager
def sqlite_normal():
    """SQLite does not sync its log at a commit."""
    real = catalogue._connect_to_write

    def connect(path):
        connection = real(path)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    with patch.object(catalogue, "_connect_to_write", connect):
        yield


@contextmanager
def ledger_not_synced():
    """A call is acknowledged when its entries are written, not when they are durable."""

    def sync(ledger):
        if ledger._unsynced:
            ledger._write()
            ledger._unsynced.clear()
            ledger._written = 0

    with patch.object(Ledger, "sync", sync):
        yield


MUTANTS = {
    "no-fsync": no_fsync,
    "no-directory-fsync": no_directory_fsync,
    "row-first": row_first,
    "sqlite-normal": sqlite_normal,
    "ledger-not-synced": ledger_not_synced,
}


@contextmanager
def mutated(name: str | None):
    with ExitStack() as stack:
        if name is not None:
            stack.enter_context(MUTANTS[name]())
        yield
