"""The way to a real S3 server is cut after any byte of what is asked or answered: what was to be there
is there once, and nothing else is ever taken for it."""

from __future__ import annotations

import pytest

from recorderd.archive.deposit import deposit
from recorderd.archive.s3 import S3Target
from recorderd.archive.target import content_of_bytes
from recorderd.errors import RefusedError, TryAgainError
from tests.archive.archives import archive_of, credentials_file
from tests.archive.certificates import Authority
from tests.archive.faultproxy import CutAnswer, CutRequest, FaultProxy, Say

pytestmark = pytest.mark.servers

DATA = content_of_bytes(b"call " * 60)


class Way:
    """A target behind a proxy, in a place of its own in the bucket."""

    def __init__(self, seaweed, folder, tls=None, **values):
        self.seaweed = seaweed
        self.place = seaweed.new_prefix()
        self.proxy = FaultProxy(seaweed.endpoint, tls)
        credentials = credentials_file(folder, seaweed.admin)
        self.archive = archive_of(
            f"s3://{self.place}", endpoint=self.proxy.endpoint, credentials=credentials, **values
        )
        self.target = S3Target(self.archive)

    def versions(self, key):
        bucket, _, prefix = self.place.partition("/")
        return self.seaweed.versions(bucket, f"{prefix}/{key}")

    def close(self):
        self.target.close()
        self.proxy.close()


@pytest.fixture
def way(seaweed, tmp_path):
    way = Way(seaweed, tmp_path)
    yield way
    way.close()


def sizes_of(way, ask):
    """The bytes of the first request of `ask`, and of its answer."""
    way.proxy.plan = lambda _: None
    before = len(way.proxy.sizes)
    ask()
    return way.proxy.sizes[before]


def cut_once(way, fault):
    start = len(way.proxy.seen)
    way.proxy.plan = lambda number: fault if number == start else None


def places(size, step):
    """Each `step`th byte, and those at the ends."""
    return sorted({*range(0, size, step), 1, 2, size - 4, size - 2, size - 1})


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "fresh"])
@pytest.mark.parametrize("kind", [CutRequest, CutAnswer])
@pytest.mark.parametrize("step", [31, pytest.param(1, marks=pytest.mark.long)])
def test_a_put_that_is_cut_anywhere(way, kind, is_kept, step):
    asked, answered = sizes_of(way, lambda: way.target.put("first", DATA))
    outcomes = set()
    for place in places(asked if kind is CutRequest else answered, step):
        key = f"{kind.__name__}-{place}"
        if not is_kept:
            way.target.close()
        cut_once(way, kind(place))
        try:
            deposit(way.target, key, DATA)
            outcomes.add("done")
        except TryAgainError as error:
            outcomes.add(str(error).rpartition(": ")[2])
        held = deposit(way.target, key, DATA)
        assert (held.size, held.sha256) == (DATA.size, DATA.sha256), place
        assert way.versions(key) == 1, place
        assert b"".join(way.target.read(key)) == b"call " * 60
    # A connection that was kept may have been closed long ago, and is tried anew at once.
    assert outcomes <= ({"done"} if is_kept else {"done", "the connection was cut"})
    assert is_kept or "the connection was cut" in outcomes


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.long)])
def test_an_answer_that_is_cut_anywhere_is_never_taken_for_a_whole_one(way, step):
    way.target.put("a/b", DATA)
    asks = {
        "look": lambda: way.target.look("a/b"),
        "read": lambda: b"".join(way.target.read("a/b")),
        "list": lambda: list(way.target.list("a/")),
    }
    for name, ask in asks.items():
        whole = ask()
        _, answered = sizes_of(way, ask)
        for place in places(answered, step):
            way.target.close()
            cut_once(way, CutAnswer(place))
            with pytest.raises(TryAgainError, match="the connection was cut"):
                print(name, place, ask())
            assert ask() == whole


def test_a_lost_acknowledgement_leaves_one_version(way):
    for number, is_kept in enumerate((False, True)):
        if not is_kept:
            way.target.close()
        cut_once(way, CutAnswer(0))
        key = f"lost-{number}"
        if is_kept:
            deposit(way.target, key, DATA)
        else:
            with pytest.raises(TryAgainError):
                deposit(way.target, key, DATA)
        assert deposit(way.target, key, DATA).sha256 == DATA.sha256
        assert way.versions(key) == 1


@pytest.mark.parametrize("status", [500, 503, 403, 409])
def test_every_third_request_fails(way, status):
    way.proxy.plan = lambda number: Say(status) if number % 3 == 2 else None
    for number in range(20):
        for _ in range(5):
            try:
                deposit(way.target, f"{number}", DATA)
                break
            except (TryAgainError, RefusedError):
                assert status in {500, 503, 403, 409}
        assert way.versions(f"{number}") == 1


def test_over_tls_with_an_authority_of_ones_own(seaweed, tmp_path):
    authority = Authority(tmp_path)
    way = Way(seaweed, tmp_path, tls=authority.context(), ca_file=authority.ca_file)
    data = content_of_bytes(bytes(range(256)) * 8192)
    try:
        deposit(way.target, "tls", data)
        assert b"".join(way.target.read("tls")) == bytes(range(256)) * 8192
        for place in (0, 20, 300):
            cut_once(way, CutAnswer(place))
            deposit(way.target, f"tls-{place}", data)
            way.target.close()
            cut_once(way, CutAnswer(place))
            with pytest.raises(TryAgainError, match="the connection was cut"):
                way.target.look("tls")
            assert way.target.look("tls").size == data.size
    finally:
        way.close()
