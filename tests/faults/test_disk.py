"""The disk that the proofs stand on: what it keeps at a cut, and what it may lose."""

from __future__ import annotations

from random import Random

import pytest

from tests.faults.disk import PAGE_BYTES, SURVIVORS, Disk, File, Folder


@pytest.fixture
def disk():
    disk = Disk()
    disk.add(["room"], Folder())
    disk.root.sync()
    return disk


def written(disk, path, data, *, synced=True):
    file = File()
    disk.add(path, file)
    file.write(data, 0)
    if synced:
        file.sync()
    return file


def left_of(disk, tmp_path, survivors, seed=0):
    disk.cut(survivors, Random(seed), tmp_path / "left")
    return {
        path.relative_to(tmp_path / "left").as_posix(): path.read_bytes()
        for path in (tmp_path / "left").rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("survivors", SURVIVORS)
def test_what_was_synced_with_its_name_is_there(disk, tmp_path, survivors):
    written(disk, ["room", "file"], b"kept")
    disk.folder(["room"]).sync()
    assert left_of(disk, tmp_path, survivors) == {"room/file": b"kept"}


def test_a_file_without_a_synced_name_is_gone(disk, tmp_path):
    written(disk, ["room", "file"], b"kept")
    assert left_of(disk, tmp_path, "synced") == {}


def test_a_name_without_synced_contents_is_an_empty_file(disk, tmp_path):
    written(disk, ["room", "file"], b"lost", synced=False)
    assert left_of(disk, tmp_path, "names") == {"room/file": b""}


def test_a_rename_that_is_not_durable_leaves_the_old_file(disk, tmp_path):
    written(disk, ["room", "file"], b"old")
    disk.folder(["room"]).sync()
    written(disk, ["room", "temp"], b"new")
    disk.rename(["room", "temp"], ["room", "file"])
    assert disk.find(["room", "file"]).data == b"new"
    assert left_of(disk, tmp_path, "synced") == {"room/file": b"old"}


def test_a_removal_that_is_not_durable_brings_the_file_back(disk, tmp_path):
    written(disk, ["room", "file"], b"old")
    disk.folder(["room"]).sync()
    disk.remove(["room", "file"])
    assert left_of(disk, tmp_path, "synced") == {"room/file": b"old"}


def test_a_file_moved_between_directories_is_in_one_of_them(disk, tmp_path):
    disk.add(["other"], Folder())
    disk.root.sync()
    written(disk, ["room", "file"], b"moved")
    disk.folder(["room"]).sync()
    disk.rename(["room", "file"], ["other", "file"])
    for seed in range(20):
        folder = tmp_path / str(seed)
        folder.mkdir()
        again = Disk()
        again.root = disk.root
        left = left_of(again, folder, "torn", seed)
        assert left in ({"room/file": b"moved"}, {"other/file": b"moved"})


def test_names_of_a_directory_are_kept_up_to_some_change(tmp_path):
    seen = set()
    for seed in range(40):
        disk = Disk()
        for name in "abc":
            written(disk, [name], b"")
        (tmp_path / str(seed)).mkdir()
        seen.add("".join(sorted(left_of(disk, tmp_path / str(seed), "torn", seed))))
    assert seen == {"", "a", "ab", "abc"}


def test_unsynced_contents_are_torn_at_some_byte():
    seen = set()
    for seed in range(60):
        file = File()
        file.write(b"synced", 0)
        file.sync()
        file.write(b"123", 6)
        file.write(b"456", 9)
        seen.add(file.torn(Random(seed)))
    assert seen == {b"synced" + b"123456"[:length] for length in range(7)}


def test_unsynced_pages_are_kept_in_any_order():
    seen = set()
    for seed in range(60):
        file = File()
        file.write(b"a" * PAGE_BYTES + b"b" * PAGE_BYTES, 0)
        data = file.scattered(Random(seed))
        seen.add(bytes(data[::PAGE_BYTES]))
    assert seen == {b"", b"a", b"ab", b"\0b"}


def test_a_file_that_grows_smaller_may_come_back_whole():
    file = File()
    file.write(b"whole", 0)
    file.sync()
    file.truncate(2)
    assert {file.torn(Random(seed)) for seed in range(20)} == {b"whole", b"wh"}
