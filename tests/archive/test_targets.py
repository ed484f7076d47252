"""What every archive must do, asked of all three: a folder, a real S3 server, a real SFTP server."""

from __future__ import annotations

import random
import threading
import tracemalloc
from hashlib import sha256

import pytest

from recorderd.archive.deposit import deposit
from recorderd.archive.target import BLOCK_BYTES, Content, content_of_bytes, content_of_file
from recorderd.errors import ArchiveError, ExistsError, RefusedError, StoreError, TryAgainError

CALL = "calls/site=office-1/date=2026-11-26/01ABC/"
KEY = CALL + "call.json"


def read(target, key):
    return b"".join(target.read(key))


def hash_there(target, key):
    held = target.look(key)
    return held.sha256 or sha256(read(target, key)).hexdigest()


def test_what_is_put_is_there(target):
    content = content_of_bytes(b"one call")
    target.put(KEY, content)
    assert target.look(KEY).size == 8
    assert hash_there(target, KEY) == content.sha256
    assert read(target, KEY) == b"one call"
    assert [(each.key, each.size) for each in target.list("")] == [(KEY, 8)]


def test_another_connection_finds_it(place, target):
    target.put(KEY, content_of_bytes(b"one call"))
    other = place.open()
    assert read(other, KEY) == b"one call"
    assert hash_there(other, KEY) == sha256(b"one call").hexdigest()
    with pytest.raises(ExistsError):
        other.put(KEY, content_of_bytes(b"one call"))
    other.close()


def test_nothing_is_put_over_another_object(place, target):
    target.put(KEY, content_of_bytes(b"first"))
    with pytest.raises(ExistsError, match=r"call\.json"):
        target.put(KEY, content_of_bytes(b"second"))
    assert read(target, KEY) == b"first"
    assert place.stored("") == 1


@pytest.mark.parametrize("is_first_faster", [True, False])
def test_of_two_writers_at_one_time_one_stores_its_object(place, is_first_faster):
    """The second begins when the first has written the half of its object."""
    begun, ended = threading.Event(), threading.Event()

    def content(data, before_second_half):
        def blocks():
            yield data[:100_000]
            before_second_half()
            yield data[100_000:]

        return Content(len(data), sha256(data).hexdigest(), blocks)

    def second():
        def wait():
            begun.set()
            assert not is_first_faster or ended.wait(60)

        try:
            other.put(KEY, content(b"b" * 200_000, wait))
        except ArchiveError as error:
            failed.append(error)

    def let_second_begin():
        thread.start()
        assert begun.wait(60)
        if not is_first_faster:
            thread.join()

    failed: list[ArchiveError] = []
    first, other = place.open(), place.open()
    thread = threading.Thread(target=second)
    try:
        first.put(KEY, content(b"a" * 200_000, let_second_begin))
    except ArchiveError as error:
        failed.append(error)
    ended.set()
    thread.join()
    (slower,) = failed
    assert isinstance(slower, ExistsError | TryAgainError)
    assert read(first, KEY) == (b"a" if is_first_faster else b"b") * 200_000
    assert place.stored("") == 1
    with pytest.raises(ExistsError):
        other.put(KEY, content_of_bytes(b"b"))
    first.close()
    other.close()


def test_a_deposit_of_the_same_object_again_succeeds(place, target):
    content = content_of_bytes(b"the acknowledgement of this one was lost")
    assert deposit(target, KEY, content).size == content.size
    assert deposit(target, KEY, content).size == content.size
    assert place.stored("") == 1


def test_a_deposit_over_another_object_is_refused(target):
    target.put(KEY, content_of_bytes(b"first"))
    with pytest.raises(RefusedError, match="another object is there already"):
        deposit(target, KEY, content_of_bytes(b"other"))
    assert read(target, KEY) == b"first"


@pytest.mark.parametrize("size", [1, BLOCK_BYTES, 3 * BLOCK_BYTES + 1])
@pytest.mark.parametrize("flaw", ["altered", "short", "long"])
def test_bytes_that_are_not_what_was_announced_are_not_stored(place, target, size, flaw):
    data = random.Random(size).randbytes(size)
    wrong = {"altered": bytes([data[0] ^ 1]) + data[1:], "short": data[:-1], "long": data + b"x"}
    found = wrong[flaw]

    def blocks():
        for start in range(0, len(found), BLOCK_BYTES):
            yield found[start : start + BLOCK_BYTES]

    with pytest.raises(StoreError, match="is not what was recorded"):
        target.put(KEY, Content(size, sha256(data).hexdigest(), blocks))
    assert target.look(KEY) is None
    assert place.stored("") == 0
    target.put(KEY, content_of_bytes(data))
    assert read(target, KEY) == data


def test_a_source_that_fails_leaves_nothing(place, target):
    def blocks():
        yield b"x" * 100_000
        message = "the disk fails"
        raise StoreError(message)

    with pytest.raises(StoreError, match="the disk fails"):
        target.put(KEY, Content(200_000, "0" * 64, blocks))
    assert target.look(KEY) is None
    assert place.stored("") == 0


def test_an_empty_object(target):
    target.put(KEY, content_of_bytes(b""))
    assert target.look(KEY).size == 0
    assert hash_there(target, KEY) == sha256(b"").hexdigest()
    assert read(target, KEY) == b""


def test_a_large_object_takes_little_memory(target, tmp_path):
    path = tmp_path / "long.flac"
    data = random.Random(1).randbytes(20_000_000)
    path.write_bytes(data)
    digest = sha256(data).hexdigest()
    del data
    target.put(CALL + "warm-up", content_of_bytes(b"x"))
    tracemalloc.start()
    try:
        deposit(target, KEY, content_of_file(path, digest))
        _, peak = tracemalloc.get_traced_memory()
        found = sha256()
        for block in target.read(KEY):
            found.update(block)
    finally:
        tracemalloc.stop()
    assert found.hexdigest() == digest
    assert peak < 4_000_000


@pytest.mark.parametrize(
    "name",
    [
        "20261126T101500+0900-20261126T101600+0900_front-desk_in_+81312345678_000.flac",
        "20261126T101500-0330-20261126T101600-0330_受付電話_out_*67#_000.flac.age",
        "a_Empfang-Süd-ÅÄÖ_in_private_000.wav",
        "é (decomposed) & 100% = «~'\"!.json",
        "😀.json",
    ],
)
def test_keys_of_every_letter(place, target, name):
    key = CALL + name
    target.put(key, content_of_bytes(name.encode()))
    assert target.look(key).size == len(name.encode())
    assert read(target, key) == name.encode()
    assert [each.key for each in target.list(CALL)] == [key]
    assert place.stored(key) == 1
    target.remove(key)
    assert target.look(key) is None


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../../b", "./a", "a\0b"])
def test_keys_that_lead_elsewhere_are_refused(target, key):
    for ask in (
        lambda: target.put(key, content_of_bytes(b"x")),
        lambda: target.replace(key, b"x"),
        lambda: target.look(key),
        lambda: list(target.read(key)),
        lambda: target.remove(key),
    ):
        with pytest.raises(RefusedError, match="no key"):
            ask()


def test_what_is_not_there(target):
    assert target.look(KEY) is None
    with pytest.raises(RefusedError, match=r"call\.json"):
        read(target, KEY)
    target.remove(KEY)
    assert list(target.list("")) == []
    assert list(target.list("calls/")) == []
    target.put(KEY, content_of_bytes(b"x"))
    assert target.look(CALL + "other") is None
    assert target.look(KEY + ".x") is None
    target.remove(CALL + "other")
    assert [each.key for each in target.list("")] == [KEY]


def test_the_one_object_that_is_replaced(place, target):
    key = "health/site=office-1/heartbeat.json"
    target.replace(key, b"now")
    assert read(target, key) == b"now"
    target.replace(key, b"a little later")
    assert read(target, key) == b"a little later"
    assert target.look(key).size == 14
    assert target.look(key).sha256 in {None, sha256(b"a little later").hexdigest()}
    assert [each.key for each in target.list("")] == [key]


def test_what_was_replaced_is_not_taken_for_what_was_put(target):
    target.put(KEY, content_of_bytes(b"first"))
    target.replace(KEY, b"other")
    assert hash_there(target, KEY) == sha256(b"other").hexdigest()


def test_what_is_removed_can_be_put_again(target):
    target.put(KEY, content_of_bytes(b"first"))
    target.remove(KEY)
    assert target.look(KEY) is None
    target.put(KEY, content_of_bytes(b"other"))
    assert read(target, KEY) == b"other"


def test_a_listing_has_all_keys_of_a_prefix_in_order(target):
    keys = [
        f"landing/site=office-{site}/date=2026-11-26/{n}.jsonl.gz"
        for site in (1, 10, 2)
        for n in range(3)
    ]
    keys += ["landing/a-b/c", "landing/a/c", "landing/a0", "landing/ä/c", "ledger/x"]  # fmt: skip
    for key in random.Random(1).sample(keys, len(keys)):
        target.put(key, content_of_bytes(key.encode()))
    for prefix in ("", "l", "landing/", "landing/a", "landing/site=office-1", "landing/site=office-1/",
                   "landing/site=office-10/date=2026-11-26/1", "landing/ä/", "nothing/", "landing/site=office-1/date=2026-11-26/1.jsonl.gz"):  # fmt: skip
        expected = sorted(key for key in keys if key.startswith(prefix))
        listed = list(target.list(prefix))
        assert [each.key for each in listed] == expected
        assert [each.size for each in listed] == [len(key.encode()) for key in expected]


def test_a_reading_that_is_given_up_disturbs_nothing(target):
    data = random.Random(2).randbytes(2_000_000)
    target.put(KEY, content_of_bytes(data))
    reading = target.read(KEY)
    assert data.startswith(next(reading))
    assert target.look(KEY).size == len(data)
    reading.close()
    assert read(target, KEY) == data


def test_closed_it_can_be_used_again(target):
    target.put(KEY, content_of_bytes(b"x"))
    target.close()
    target.close()
    assert read(target, KEY) == b"x"


def test_its_name_is_its_url(target):
    assert "://" in target.name
