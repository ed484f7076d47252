"""An export onto a medium that is too small for it."""

from __future__ import annotations

import subprocess

import pytest

from recorderd.errors import StoreError
from recorderd.evidence.storecheck import verify_store
from tests.evidence.stores import Store, short_files
from tests.softcard import require
from tests.store.calls import KEY, in_memory

pytestmark = pytest.mark.faults


@pytest.fixture
def small_disk(tmp_path):
    require(("mount", "umount"), "a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk]
    subprocess.run(command, check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("name", ["b", "b.zip"])
def test_it_is_told_and_leaves_nothing(small_disk, name):
    with in_memory() as top, short_files():
        (top / "store").mkdir()
        store = Store(top / "store").fill()
        before = verify_store(store.directory).checkpoints
        with pytest.raises(StoreError, match="the disk is full"):
            store.exported("1a", small_disk / name)
        assert list(small_disk.iterdir()) == []
        found = verify_store(store.directory, KEY.fingerprint)
        assert found.is_proven
        assert found.checkpoints == before  # nothing was entered
        store.office.writer.close()
