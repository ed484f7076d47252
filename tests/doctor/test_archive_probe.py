"""The archive is tried: whether it takes, keeps, gives back, and refuses to write over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recorderd.archive.layout import doctor_key
from recorderd.archive.places import open_target
from recorderd.archive.target import Held
from recorderd.config import load
from recorderd.doctor.archivecheck import PROBE, check_archive
from recorderd.errors import ExistsError, RefusedError, TryAgainError
from tests.doctor.walks import CONFIG, make_box


def archive_of(tmp_path):
    (tmp_path / "archive").mkdir(exist_ok=True)
    (tmp_path / "archive/recorderd-archive").touch()
    config = CONFIG + f'\n[archive]\nurl = "file://{tmp_path}/archive"\n'
    return load(make_box(tmp_path, config=config)).archive


def codes(outcome):
    return [finding.code for finding in outcome.findings]


class Memory:
    """An archive in memory, as honest as it is told to be."""

    name = "s3://bucket"

    def __init__(self, *, refuses=True, gives=None, locks=None, fails=None):
        self.held = {}
        self.puts = 0
        self.refuses, self.gives, self.locks, self.fails = refuses, gives, locks, fails

    def put(self, key, content):
        if key in self.held and self.refuses:
            raise ExistsError(key)
        self.puts += 1
        self.held[key] = b"".join(content.blocks())

    def look(self, key):
        if self.fails is not None:
            raise self.fails
        data = self.held.get(key)
        return None if data is None else Held(len(data), None, locked_until=self.locks)

    def read(self, key):
        yield self.gives or self.held[key]

    def close(self):
        pass


def test_an_honest_folder_is_well_and_the_probe_is_put_once(tmp_path):
    archive = archive_of(tmp_path)
    for _ in range(3):
        outcome = check_archive(archive, "test-office", open_target)
        assert codes(outcome) == []
        assert outcome.measured["refuses_overwrite"] is True
    path = tmp_path / "archive" / doctor_key("test-office", 0)
    assert path.read_bytes() == PROBE
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (Memory(refuses=False), "archive-overwrites"),
        (Memory(gives=b"something else"), "archive-differs"),
        (Memory(fails=TryAgainError("no route")), "archive-unreachable"),
        (Memory(fails=RefusedError("403")), "archive-refuses"),
    ],
)
def test_what_is_wrong_with_an_archive_is_named(tmp_path, target, code):
    assert codes(check_archive(archive_of(tmp_path), "test-office", lambda _: target)) == [code]


def test_a_lock_that_is_asked_for_and_not_made(tmp_path):
    archive = replace(archive_of(tmp_path), lock_days=30)
    assert codes(check_archive(archive, "x", lambda _: Memory())) == ["archive-unlocked"]
    locked = Memory(locks="2027-01-01T00:00:00Z")
    assert codes(check_archive(archive, "x", lambda _: locked)) == []


def test_a_probe_every_night_fills_no_archive(tmp_path):
    target, archive = Memory(), archive_of(tmp_path)
    for _ in range(5):
        check_archive(archive, "x", lambda _: target)
    assert target.puts == 1
