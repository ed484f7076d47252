"""What a technician does as root beside the recorder belongs to the recorder all the same."""

from __future__ import annotations

import os
from contextlib import closing

import pytest

from recorderd.disk.layout import CALLS
from recorderd.store.catalogue import NAME, open_catalogue
from recorderd.store.holds import place_hold
from recorderd.store.ledger import open_desk
from recorderd.upload.queue import Queue
from tests.store.calls import SITE, Office, in_memory

RECORDER = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about what root does")


@pytest.fixture
def recorders():
    """A state directory of another user."""
    with in_memory() as folder:
        folder.parent.chmod(folder.parent.stat().st_mode | 0o001)
        os.chown(folder, RECORDER, RECORDER)
        folder.chmod(0o700)
        yield folder


def of_root(folder):
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.stat().st_uid != RECORDER
    ]


@needs_root
def test_a_call_that_root_has_filed_and_indexed_belongs_to_the_recorder(recorders):
    office = Office(recorders, segment_s=2)
    office.whole_call()
    office.recover(drop_catalogue=True)
    (folder,) = office.folders()
    with open_desk(recorders, SITE.name, office.reading) as desk:
        place_hold(folder, desk, "root", "dispute", "2026-11-23T19:00:00.000+09:00")
    assert list((recorders / CALLS).rglob("*.flac"))
    assert of_root(recorders) == []


@needs_root
def test_the_queue_of_an_upload_by_hand_belongs_to_the_uploader(recorders):
    with closing(Queue(recorders)) as queue:
        queue.know("a", 1)
        assert of_root(recorders) == []


def test_a_database_that_is_there_is_not_opened_beside_sqlite(monkeypatch):
    """Whoever closes a file loses all locks that his process has on it, SQLite's too."""
    with in_memory() as folder:
        open_catalogue(folder / NAME).close()
        opened = []
        real = os.open

        def look(path, flags, *mode, **more):
            descriptor = real(path, flags, *mode, **more)
            opened.append(str(path))
            return descriptor

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", look)
            with closing(open_catalogue(folder / NAME)), closing(Queue(folder)):
                pass
            with closing(Queue(folder)):
                pass
        assert opened == [str(folder / "uploads.sqlite")], "made, once"


@needs_root
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("what", ["catalogue", "queue"])
def test_the_service_writes_what_root_has_made(recorders, what):
    def use():
        if what == "queue":
            with closing(Queue(recorders)) as queue:
                queue.know("a", os.getuid())
        else:
            with closing(open_catalogue(recorders / NAME)) as catalogue:
                catalogue.remove("nothing")

    use()
    service = os.fork()
    if service == 0:
        try:
            os.setgid(RECORDER)
            os.setuid(RECORDER)
            use()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(service, 0)[1]) == 0
