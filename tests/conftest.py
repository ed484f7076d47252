"""For every test: what it leaves behind is closed, and no property has a deadline."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

import pytest
from hypothesis import settings

from recorderd.monitor import onlookers
from recorderd.store.catalogue import Catalogue
from tests.store.calls import OFFICES

# Machines are noisy: speed is measured in tests/bench, beside a peer, and never asserted.
settings.register_profile("recorderd", deadline=None)
settings.load_profile("recorderd")


@pytest.fixture(autouse=True)
def closed_databases(monkeypatch):
    """From Python 3.13 on an open database is a warning; a recorder that was killed leaves one."""
    opened = []
    real = Catalogue.__init__

    def noting(self, connection, path):
        opened.append(connection)
        real(self, connection, path)

    monkeypatch.setattr(Catalogue, "__init__", noting)
    yield
    while OFFICES:
        OFFICES.pop().writer.close()
    for connection in opened:
        with suppress(sqlite3.ProgrammingError):  # of another thread, which closes its own
            connection.close()


@pytest.fixture(autouse=True)
def closed_sockets(monkeypatch):
    """A recorder that was killed in virtual time leaves its socket to us."""
    opened = []
    real = onlookers.bind_private

    def noting(server, directory):
        opened.append(server)
        real(server, directory)

    monkeypatch.setattr(onlookers, "bind_private", noting)
    yield
    for server in opened:
        server.close()
