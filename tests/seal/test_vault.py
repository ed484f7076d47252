"""The vault: keys of calls kept, destroyed, given to other supervisors; also while the power goes."""

from __future__ import annotations

import fcntl
import os
import threading

import pytest

from recorderd.disk import files
from recorderd.errors import StoreError
from recorderd.seal.age import Identities, Recipients, new_identity, read_identities
from recorderd.seal.vault import (
    destroy_key,
    is_opened_by,
    keep_key,
    key_name,
    keys_in,
    opened_key,
    rewrap_key,
)
from tests.store.calls import in_memory
from tests.store.power import Killed, Machine

OLD, NEW, STRANGER = (new_identity() for _ in range(3))
CALL = new_identity()


@pytest.fixture
def folder():
    with in_memory() as path:
        yield path


def holder(identity):
    return Identities([identity[0]])


def to(*identities):
    return Recipients([recipient for _, recipient in identities])


def kept(folder, call_id="one", recipients=(OLD,)):
    """A call's key in the vault, and something sealed to it."""
    wrapped = to(*recipients).encrypt(CALL[0].encode())
    keep_key(folder, call_id, wrapped)
    return to(CALL).encrypt(b"the first word")


def test_a_supervisor_opens_what_was_sealed_to_the_call(folder):
    sealed = kept(folder)
    assert opened_key(folder, "one", holder(OLD)).open(sealed) == b"the first word"


def test_nobody_else_does(folder):
    kept(folder)
    with pytest.raises(StoreError, match="this identity does not open it"):
        opened_key(folder, "one", holder(STRANGER))
    assert not is_opened_by(folder / key_name("one"), holder(STRANGER))


def test_what_is_sealed_to_another_call_stays_closed(folder):
    kept(folder)
    with pytest.raises(StoreError, match="cannot be opened"):
        opened_key(folder, "one", holder(OLD)).open(to(STRANGER).encrypt(b"x"))


def test_a_key_never_takes_the_place_of_another(folder):
    kept(folder)
    before = (folder / key_name("one")).read_bytes()
    with pytest.raises(StoreError, match="not overwritten"):
        kept(folder)
    assert (folder / key_name("one")).read_bytes() == before


def test_a_destroyed_key_leaves_nothing_in_its_file(folder):
    kept(folder)
    path = folder / key_name("one")
    os.link(path, folder / "the-same-disk-blocks")
    size = path.stat().st_size
    destroy_key(folder, "one")
    assert (folder / "the-same-disk-blocks").read_bytes() == bytes(size)
    assert keys_in(folder) == []
    with pytest.raises(StoreError, match="the key was destroyed, and nobody can open this call"):
        opened_key(folder, "one", holder(OLD))
    destroy_key(folder, "one")


def test_a_destroyed_key_is_not_left_in_a_rewrapping_that_was_broken_off(folder):
    """Whoever interrupts `recorderd rewrap` leaves a temporary file; the next start is months away."""
    kept(folder)
    part = files.part_path(folder / key_name("one"))
    part.write_bytes(to(NEW).encrypt(CALL[0].encode()))
    os.link(part, folder / "the-same-disk-blocks")
    destroy_key(folder, "one")
    assert list((folder / "vault").iterdir()) == []
    assert not (folder / "the-same-disk-blocks").read_bytes().strip(b"\0")


def test_a_key_is_not_read_while_it_is_overwritten(folder):
    sealed = kept(folder)
    opened = []
    descriptor = os.open(folder / "vault", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    reader = threading.Thread(
        target=lambda: opened.append(opened_key(folder, "one", holder(OLD)).open(sealed))
    )
    reader.start()
    reader.join(0.2)
    assert reader.is_alive()
    os.close(descriptor)
    reader.join(10)
    assert opened == [b"the first word"]


def test_destroying_where_nothing_was_ever_sealed(folder):
    destroy_key(folder, "one")
    assert not list(folder.iterdir())


def test_a_rewrapped_key_is_the_new_supervisors_alone(folder):
    sealed = kept(folder)
    path = folder / key_name("one")
    os.link(path, folder / "old")
    size = path.stat().st_size
    assert rewrap_key(folder, path, holder(OLD), to(NEW))
    assert opened_key(folder, "one", holder(NEW)).open(sealed) == b"the first word"
    assert not is_opened_by(path, holder(OLD))
    assert (folder / "old").read_bytes() == bytes(size)


def test_a_key_of_others_is_left_as_it_is(folder):
    kept(folder)
    path = folder / key_name("one")
    before = path.read_bytes()
    assert not rewrap_key(folder, path, holder(STRANGER), to(NEW))
    assert path.read_bytes() == before


def test_a_destroyed_key_does_not_come_back_by_rewrapping(folder):
    """The list of keys is old when its last one is reached; erasing goes on meanwhile."""
    kept(folder)
    path = folder / key_name("one")
    destroy_key(folder, "one")
    assert rewrap_key(folder, path, holder(OLD), to(NEW))
    assert keys_in(folder) == []


def test_who_destroys_waits_for_who_rewraps(folder):
    kept(folder)
    descriptor = os.open(folder / "vault", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    destroyer = threading.Thread(target=destroy_key, args=(folder, "one"))
    destroyer.start()
    destroyer.join(0.2)
    assert destroyer.is_alive()
    assert keys_in(folder)
    os.close(descriptor)
    destroyer.join(10)
    assert keys_in(folder) == []


@pytest.mark.parametrize("left", [("all", "all"), ("synced", "synced"), ("all", "synced")])
def test_a_rewrap_cut_anywhere_leaves_every_key_to_the_old_or_the_new(left):
    operation, finished = 0, False
    while not finished:
        operation += 1
        with in_memory() as folder:
            (folder / "disk").mkdir()
            for call_id in ("one", "two"):
                kept(folder / "disk", call_id)
            machine = Machine(folder / "disk")
            machine.kill_at = operation
            try:
                with machine.installed():
                    for path in keys_in(folder / "disk"):
                        rewrap_key(folder / "disk", path, holder(OLD), to(NEW))
                finished = True
            except Killed:
                pass
            names, contents = left
            machine.remains(folder / "left", names=names, contents=contents)
            keys = keys_in(folder / "left")
            assert len(keys) == 2
            for path in keys:
                assert is_opened_by(path, holder(OLD)) or is_opened_by(path, holder(NEW))
                both = Identities([OLD[0], NEW[0]])
                assert rewrap_key(folder / "left", path, both, to(NEW))
                assert is_opened_by(path, holder(NEW))
    assert operation > 10


# ------------------------------------------------------------ identities in files


def test_an_identity_as_age_keygen_writes_it(tmp_path):
    path = tmp_path / "key.txt"
    path.write_text(f"# created: today\n# public key: {OLD[1]}\n{OLD[0]}\n")
    assert read_identities(path).decrypt(to(OLD).encrypt(b"x")) == b"x"


def test_several_identities_in_a_file(tmp_path):
    path = tmp_path / "key.txt"
    path.write_text(f"{OLD[0]}\r\n\n{NEW[0]}\n")
    assert read_identities(path).decrypt(to(NEW).encrypt(b"x")) == b"x"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "no age identity"),
        (OLD[1], "no age identity"),
        ("# only a comment\n", "no age identity"),
        (OLD[0][:-1], "a letter is wrong or missing"),
        ("age-encryption.org/v1\n-> scrypt", "itself encrypted"),
    ],
    ids=range(5),
)
def test_a_file_that_is_no_identity_is_told_without_its_content(tmp_path, content, complaint):
    path = tmp_path / "key.txt"
    path.write_text(content)
    with pytest.raises(StoreError, match=complaint) as raised:
        read_identities(path)
    assert OLD[0][:30] not in str(raised.value)


def test_an_error_of_the_disk_comes_through_the_library(tmp_path):
    (tmp_path / "plain").write_bytes(bytes(200_000))
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(StoreError, match="the disk is full"), files.guarded(tmp_path / "plain"):
        to(OLD).encrypt_file(tmp_path / "plain", full)
    os.close(full)


def test_a_damaged_file_is_told(tmp_path):
    data = bytearray(to(OLD).encrypt(bytes(200_000)))
    for cut in (data[:-1], data[:70_000], data[:100], b"", bytes(500)):
        (tmp_path / "sealed").write_bytes(cut)
        with (
            pytest.raises(ValueError, match=r"\w"),
            (tmp_path / "out").open("wb") as target,
        ):
            holder(OLD).decrypt_file(tmp_path / "sealed", target)
