"""Durable files: what a failing disk leaves is not taken for done."""

from __future__ import annotations

import os

import pytest

from recorderd.disk import files
from recorderd.errors import StoreError


class FailingDisk:
    """Its syncs fail while `fails`; counts those that did not."""

    def __init__(self, monkeypatch):
        self.fails = False
        self.synced = []
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, descriptor):
        if self.fails:
            raise OSError(5, os.strerror(5))
        self.synced.append(os.fstat(descriptor).st_ino)


def test_a_directory_whose_name_was_never_synced_is_not_taken_for_durable(tmp_path, monkeypatch):
    disk = FailingDisk(monkeypatch)
    disk.fails = True
    with pytest.raises(StoreError):
        files.make_directory(tmp_path / "calls" / "2026", tmp_path)
    disk.fails = False
    files.make_directory(tmp_path / "calls" / "2026", tmp_path)
    assert disk.synced == [tmp_path.stat().st_ino, (tmp_path / "calls").stat().st_ino]
    files.make_directory(tmp_path / "calls" / "2026", tmp_path)
    assert len(disk.synced) == 2
