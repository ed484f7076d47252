"""The mounted NAS: a mount that is away, a full disk, a file system without hard links, a lying disk."""

from __future__ import annotations

import errno
import os

import pytest

from recorderd.archive import posixfs
from recorderd.archive.posixfs import MARKER, FolderTarget
from recorderd.archive.target import Content, content_of_bytes
from recorderd.disk.files import path_of
from recorderd.errors import ExistsError, RefusedError, TryAgainError

KEY = "calls/site=office-1/date=2026-11-26/01ABC/call.json"
DATA = content_of_bytes(b"x" * 200_000)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "archive"
    root.mkdir()
    (root / MARKER).touch()
    return root


@pytest.fixture
def target(root):
    return FolderTarget(f"file://{root}")


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != MARKER)


def test_a_mount_that_is_away_is_never_written_under(root, target):
    (root / MARKER).unlink()  # as the empty folder under a mount
    for ask in (
        lambda: target.put(KEY, DATA),
        lambda: target.replace(KEY, b"x"),
        lambda: target.look(KEY),
        lambda: list(target.read(KEY)),
        lambda: list(target.list("")),
        lambda: target.remove(KEY),
    ):
        with pytest.raises(TryAgainError, match=f"is the archive mounted.* touch {root}/{MARKER}"):
            ask()
    assert list(root.iterdir()) == []
    root.rmdir()
    with pytest.raises(TryAgainError, match="is the archive mounted"):
        target.put(KEY, DATA)
    assert not root.exists()


def test_a_mount_that_goes_in_the_middle_takes_the_object_with_it(root, target, tmp_path):
    def blocks():
        yield b"x" * 100_000
        root.rename(tmp_path / "gone")
        root.mkdir()
        yield b"x" * 100_000

    target.put(KEY, Content(DATA.size, DATA.sha256, blocks))
    assert list(root.iterdir()) == []
    assert files_in(tmp_path / "gone") == ["call.json"]


@pytest.mark.parametrize(
    ("call", "number", "kind", "text"),
    [
        ("write", errno.ENOSPC, TryAgainError, "the archive is full"),
        ("write", errno.EDQUOT, TryAgainError, "quota"),
        ("write", errno.EIO, TryAgainError, "look after the mount"),
        ("fsync", errno.EIO, TryAgainError, "look after the mount"),
        ("fsync", errno.ESTALE, TryAgainError, "mount it anew"),
        ("open", errno.EACCES, RefusedError, "give its user the folder"),
        ("mkdir", errno.EACCES, RefusedError, "give its user the folder"),
        ("mkdir", errno.EROFS, RefusedError, "mount it writable"),
        ("link", errno.ENOSPC, TryAgainError, "the archive is full"),
        ("link", errno.EIO, TryAgainError, "look after the mount"),
    ],
)
def test_errors_of_the_file_system(root, target, monkeypatch, call, number, kind, text):
    def failing(*arguments, **named):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(kind, match=text) as caught:
            target.put(KEY, DATA)
    assert str(root) in str(caught.value)
    assert files_in(root) == []
    target.put(KEY, DATA)
    assert files_in(root) == ["call.json"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_without_hard_links(root, target, monkeypatch, number):
    def link(*arguments, **named):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    target.put(KEY, DATA)
    assert files_in(root) == ["call.json"]
    with pytest.raises(ExistsError):
        target.put(KEY, content_of_bytes(b"other"))
    assert b"".join(target.read(KEY)) == b"x" * 200_000


@pytest.mark.parametrize("has_links", [True, False])
def test_one_that_comes_between_is_not_replaced(root, target, monkeypatch, has_links):
    real = os.link

    def link(part, name, *, src_dir_fd, dst_dir_fd, follow_symlinks):
        (root / KEY).write_bytes(b"the other's")
        if not has_links:
            raise OSError(errno.EPERM, "no links here")
        real(part, name, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=follow_symlinks)  # fmt: skip

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(ExistsError):
        target.put(KEY, DATA)
    assert b"".join(target.read(KEY)) == b"the other's"
    assert files_in(root) == ["call.json"]


def test_where_folders_cannot_be_synced(target, monkeypatch):
    real = os.fsync

    def fsync(descriptor):
        if path_of(descriptor).is_dir():
            raise OSError(errno.EINVAL, "not for folders")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    target.put(KEY, DATA)
    assert target.look(KEY).size == DATA.size


def test_a_disk_that_gives_back_something_else(root, target, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(posixfs, "_read", lambda folder, name: iter((b"y" * 200_000,)))
        with pytest.raises(TryAgainError, match="what was read back is not what was written"):
            target.put(KEY, DATA)
    assert files_in(root) == []
    target.put(KEY, DATA)


def test_what_a_cut_has_left_is_cleared_away_when_its_object_is_there(root, target):
    target.put(KEY, DATA)
    folder = (root / KEY).parent
    (root / "link").symlink_to(folder / "call.json")
    others = {".call.json.0123abcd.x.0123abcd.part", ".other.json.0123abcd.part"}
    for name in (".call.json.0123abcd.part", *others):
        (folder / name).write_bytes(b"a longer rest of an earlier attempt")
    assert [each.key for each in target.list("")] == [KEY]
    with pytest.raises(ExistsError):
        target.put(KEY, DATA)
    assert set(files_in(folder)) == {"call.json", *others}  # of other objects, which may be at work
    target.put(KEY.replace("call.", "other."), content_of_bytes(b"short"))
    assert set(files_in(folder)) == {"call.json", "other.json", *others} - {
        ".other.json.0123abcd.part"
    }


@pytest.mark.parametrize("step", ["_write", "_compare", "_give_name"])
def test_one_whose_part_was_cleared_away_stores_nothing(root, target, monkeypatch, step):
    """Another writer of the key was faster, at any step."""
    where = posixfs if step == "_write" else FolderTarget
    real = getattr(where, step)

    def late(*values):
        with monkeypatch.context() as undone:
            undone.setattr(where, step, real)
            FolderTarget(target.name).put(KEY, content_of_bytes(b"the other's"))
        return real(*values)

    monkeypatch.setattr(where, step, late)
    with pytest.raises((ExistsError, TryAgainError)):
        target.put(KEY, DATA)
    assert b"".join(target.read(KEY)) == b"the other's"
    assert files_in(root) == ["call.json"]


def test_links_lead_nowhere(root, target, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "secret").write_text("secret")
    (root / "calls").symlink_to(tmp_path / "elsewhere")
    (root / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(RefusedError):
        target.put(KEY, DATA)
    with pytest.raises(RefusedError):
        list(target.read("link"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_put_is_synced_before_it_has_its_name_and_the_name_after_it(root, target, monkeypatch):
    target.put(KEY + ".before", DATA)
    log = []
    for name in ("link", "unlink", "write", "fsync"):
        real = getattr(os, name)

        def noting(*arguments, real=real, name=name, **named):
            entry = name
            if name == "fsync":
                entry = "fsync folder" if path_of(arguments[0]).is_dir() else "fsync file"
            if entry not in log[-1:]:
                log.append(entry)
            return real(*arguments, **named)

        monkeypatch.setattr(os, name, noting)
    target.put(KEY, DATA)
    # The folders down to the object's, the object, its name.
    assert log == [
        "fsync folder",
        "write",
        "fsync file",
        "link",
        "unlink",
        "fsync folder",
    ]
