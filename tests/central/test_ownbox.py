"""A box asks what the archive holds of its own calls."""

from __future__ import annotations

import pytest

from recorderd.central.ownbox import verify_archived, verify_archived_call
from recorderd.evidence.storecheck import verify_store
from tests.store.calls import SITE, in_memory
from tests.upload.box import Box


@pytest.fixture
def box():
    with in_memory() as directory:
        found = Box(directory, calls=3)
        yield found
        found.close()


def judged(box):
    return verify_archived(box.directory, SITE.name, box.store.target())


def test_all_that_was_uploaded_is_proven(box):
    box.upload()
    judgement = judged(box)
    assert judgement.is_proven
    assert (judgement.calls, judgement.segments) == (3, 6)
    assert judgement.bytes_read > 0, "it was read back, and not only asked for"


def test_what_is_not_uploaded_yet_leaves_the_verdict_open(box):
    box.upload()
    box.call()
    judgement = judged(box)
    assert judgement.altered.is_proven
    assert "not proven: 1 call not uploaded yet" in judgement.missing.sentence


@pytest.mark.parametrize("part", ["_000.flac", "_001.flac", "call.json"])
def test_every_altered_byte_is_found(box, part):
    box.upload()
    (key, *_) = box.store.keys(part)
    data = box.store.objects[key]
    box.store.objects[key] = data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]
    judgement = judged(box)
    assert not judgement.altered.is_proven
    assert "ALTERED: 1 thing" in judgement.altered.sentence


@pytest.mark.parametrize("part", ["_000.flac", "_001.flac", "call.json"])
def test_every_missing_object_is_found(box, part):
    box.upload()
    del box.store.objects[box.store.keys(part)[1]]
    judgement = judged(box)
    assert judgement.altered.is_proven
    assert "MISSING: 1 thing" in judgement.missing.sentence
    assert "call-0002" in judgement.missing.problems[0]


def test_an_archive_that_says_the_right_hash_of_other_bytes_is_not_believed(box):
    box.upload()
    target = box.store.target()
    (key, *_) = box.store.keys("_000.flac")
    told = target.look(key)
    box.store.objects[key] = b"x" * told.size
    target.look = lambda asked: told if asked == key else type(target).look(target, asked)
    assert not verify_archived(box.directory, SITE.name, target).altered.is_proven


def test_of_an_erased_call_the_tombstone_is_proven(box):
    box.upload()
    box.erase(box.folders()[0])
    box.upload()
    assert judged(box).is_proven
    (key,) = box.store.keys("erased.json")
    box.store.objects[key] += b" "
    assert not judged(box).altered.is_proven


def test_one_call_alone(box):
    box.upload()
    folder = box.folders()[0]
    target = box.store.target()
    assert verify_archived_call(box.directory, SITE.name, folder, target).is_proven
    del box.store.objects[box.store.keys("call-0001/call.json")[0]]
    assert not verify_archived_call(box.directory, SITE.name, folder, target).missing.is_proven


def test_a_receipt_that_is_not_the_uploaders_is_not_proven(box):
    box.upload()
    path = box.folders()[0] / "receipt.json"
    path.write_bytes(path.read_bytes() + b" ")
    found = verify_store(box.directory, wait=lambda _s: None)
    assert "not the one that the ledger names" in found.altered.sentence
    path.unlink()
    found = verify_store(box.directory, wait=lambda _s: None)
    assert "receipt.json is missing" in found.missing.problems[0]
