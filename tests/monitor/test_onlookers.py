"""People look on at the whole recorder in virtual time: what they are told, and that it costs nothing."""

from __future__ import annotations

import errno
import logging
import os
import signal
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from recorderd.cli.demo import CONFIG
from recorderd.cli.main import main
from recorderd.errors import StoreError
from recorderd.monitor import messages, onlookers
from recorderd.monitor.address import SOCKET
from recorderd.monitor.feed import Feed
from recorderd.monitor.onlookers import ONLOOKERS_MAX, OPEN_AGAIN_NS, Onlookers
from recorderd.units import MonoNs
from tests.daemon.test_sealed_office import sealing
from tests.daemon.test_virtual_day import filed, run_to, small_office

if TYPE_CHECKING:
    from pathlib import Path

CALL = "09:00:05 front-desk inbound number=0312345678 name=YAMADA answer=5 talk=20\n"


@contextmanager
def office(folder: Path, script: str = CALL, text: str = CONFIG):
    daemon, world, config = small_office(folder, script, text)
    daemon.start()
    try:
        yield daemon, world, config
    finally:
        daemon.stop()


@pytest.fixture
def watch():
    """Gives feeds, and closes them."""
    feeds = []

    def look_on(directory: Path) -> Feed:
        feed = Feed(directory)
        assert feed.connect()
        feeds.append(feed)
        return feed

    yield look_on
    for feed in feeds:
        feed.close()


@pytest.fixture
def alarm():
    """What waits for a reader waits for ever: the test fails instead."""

    def failed(*_):
        raise AssertionError("the control loop stood still")

    before = signal.signal(signal.SIGALRM, failed)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def run_and_read(daemon, world, feed: Feed, seconds: int) -> list[dict]:
    """Read every second, as a monitor does."""
    found = []
    for second in range(1, seconds + 1):
        run_to(daemon, world, second)
        found += feed.read()
    return found


def test_a_call_as_it_is_seen(tmp_path, watch):
    with office(tmp_path) as (daemon, world, config):
        feed = watch(config.storage.directory)
        told = run_and_read(daemon, world, feed, 45)
    whats = [message["what"] for message in told]
    assert whats[0] == "hello"
    assert set(told[0]["lines"]) == {"front-desk", "back-office"}
    assert "lost" not in whats
    for wanted in ("RingEdge", "HookEdge", "RingBurstEnded", "CallAnswered", "NoticeEnded"):
        assert wanted in whats, wanted
    data = "".join(
        m["data"] for m in told if m["what"] == "ModemBytes" and m["line"] == "front-desk"
    )
    assert "NMBR = 0312345678" in data
    (caller,) = [m["caller"] for m in told if m["what"] == "CallerIdentified"]
    assert (caller["number"], caller["name"]) == ("0312345678", "YAMADA")
    (kept,) = [m for m in told if m["what"] == "RecordingFiled"]
    assert kept["segments"] == 1
    levels = [m["lines"]["front-desk"] for m in told if m["what"] == "sound"]
    assert len(levels) == pytest.approx(5 * 45, rel=0.05)
    near = [level[0][0] for level in levels if level is not None]
    assert min(near) < -55 < -25 < max(near)  # the noise of the line; somebody speaks
    assert all(0 <= level[0][1] <= 1 for level in levels if level is not None)


def test_who_comes_in_the_middle_of_a_call_is_told_of_it(tmp_path, watch):
    with office(tmp_path) as (daemon, world, config):
        run_to(daemon, world, 20)
        feed = watch(config.storage.directory)
        run_to(daemon, world, 21)
        hello = feed.read()[0]
    state = hello["lines"]["front-desk"]
    assert state["off_hook"]
    assert state["call"]["caller"]["number"] == "0312345678"
    assert state["call"]["answered_at"] < hello["at"]
    assert hello["lines"]["back-office"] == {"off_hook": False, "ringing": False, "call": None}


def steps_of_a_day(daemon, world, seconds: int) -> int:
    steps, end = 0, world.world.start + seconds * 10**9
    while world.world.now() < end:
        daemon.loop.step()
        steps += 1
    return steps


def test_a_slow_reader_delays_nothing_and_is_told_what_it_missed(tmp_path, watch, alarm):
    with office(tmp_path, CALL) as (daemon, world, config):
        feed = watch(config.storage.directory)
        run_to(daemon, world, 600)  # nothing is read
        (record,) = filed(config)
        assert record["disposition"] == "recorded"
        assert record["gaps"] == []
        first = [message["what"] for _ in range(50) for message in feed.read()]
        run_to(daemon, world, 601)
        then = feed.read()
    assert first[0] == "hello"
    assert "lost" not in first
    assert then[0]["what"] == "lost"
    # Ten minutes: 3000 levels, and some hundreds of edges.
    assert len(first) + then[0]["count"] > 3000
    assert len(first) < 1000  # the bound


def test_nobody_looks_on_and_nothing_is_done_for_it(tmp_path):
    """Counted, beside the same day with a null in the onlookers' place."""
    with (
        patch.object(messages, "as_message") as encoded,
        patch.object(messages, "packet") as packed,
        patch.object(onlookers, "meter") as measured,
        office(tmp_path) as (daemon, world, _),
    ):
        assert daemon.loop._onlookers.deadline() is None
        steps = steps_of_a_day(daemon, world, 60)
    assert [encoded.call_count, packed.call_count, measured.call_count] == [0, 0, 0]

    class Nobody:
        def see(self, event): ...
        def admit(self, now): ...
        def deadline(self): ...
        def show(self, now): ...

    (tmp_path / "other").mkdir()
    with office(tmp_path / "other") as (daemon, world, _):
        daemon.loop._onlookers = Nobody()
        assert steps_of_a_day(daemon, world, 60) == steps


def test_who_leaves_is_forgotten(tmp_path, watch):
    with office(tmp_path) as (daemon, world, config):
        feed = watch(config.storage.directory)
        run_to(daemon, world, 1)
        assert daemon.loop._onlookers.deadline() is not None
        feed.close()
        run_to(daemon, world, 2)
        assert daemon.loop._onlookers.deadline() is None


def test_too_many_are_told_so(tmp_path, watch):
    with office(tmp_path) as (daemon, world, config):
        feeds = []
        for second in range(ONLOOKERS_MAX + 1):
            feeds.append(watch(config.storage.directory))
            run_to(daemon, world, second + 1)
        assert [message["what"] for message in feeds[-1].read()] == ["full"]
        assert not feeds[-1].is_open
        assert all(feed.read()[0]["what"] == "hello" and feed.is_open for feed in feeds[:-1])


def test_the_recorder_ends_and_its_socket_goes(tmp_path, watch):
    with office(tmp_path) as (daemon, world, config):
        path = config.storage.directory / SOCKET
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        feed = watch(config.storage.directory)
        run_to(daemon, world, 1)
    assert not path.exists()
    assert feed.read()[0]["what"] == "hello"
    assert not feed.is_open
    assert not feed.connect()


def test_a_defect_in_here_ends_no_recording(tmp_path, watch, caplog):
    with office(tmp_path) as (daemon, world, config):
        feed = watch(config.storage.directory)
        run_to(daemon, world, 1)
        with patch.object(messages, "as_message", side_effect=KeyError("defect")):
            run_to(daemon, world, 40)
        assert len(filed(config)) == 1
        feed.read()
        assert not feed.is_open
    assert "this is a defect" in caplog.text


def looked_at(directory: Path) -> Onlookers:
    class NoClock:
        def reading(self):
            raise AssertionError

    return Onlookers(directory, NoClock(), {}, {}, lambda: False)


def test_a_deep_directory_and_a_socket_that_a_crash_left(tmp_path, watch):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    crashed = looked_at(deep)
    crashed.open(MonoNs(0))
    crashed._server.close()
    assert not Feed(deep).connect()
    present = looked_at(deep)
    present.open(MonoNs(0))
    watch(deep)
    present.close()
    assert list(deep.iterdir()) == []


def test_a_disk_without_room_is_tried_again(tmp_path, caplog):
    present = looked_at(tmp_path)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with patch.object(onlookers, "bind_private", side_effect=full) as bind:
        present.open(MonoNs(0))
        present.admit(MonoNs(OPEN_AGAIN_NS - 1))
        assert bind.call_count == 1
    assert "nobody can look on (No space left on device)" in caplog.text
    present.admit(MonoNs(OPEN_AGAIN_NS))
    assert (tmp_path / SOCKET).is_socket()
    present.close()


def test_only_the_owner_and_root_may_look_on(tmp_path):
    """Root becomes somebody else; another user takes the right from himself."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    present = looked_at(tmp_path)
    present.open(MonoNs(0))
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    else:
        (tmp_path / SOCKET).chmod(0)
    try:
        with pytest.raises(StoreError, match=r"permission denied.*sudo -u \w+ recorderd monitor"):
            Feed(tmp_path).connect()
    finally:
        if is_root:
            os.seteuid(0)
        present.close()


def test_of_sealed_calls_no_number_is_shown(tmp_path, watch):
    keys = [tmp_path / "head.txt", tmp_path / "deputy.txt"]
    for key in keys:
        assert main(["keys", "new", "--to", str(key)]) == 0
    with office(tmp_path, CALL, sealing(*keys)) as (daemon, world, config):
        feed = watch(config.storage.directory)
        run_to(daemon, world, 12)  # it talks
        later = watch(config.storage.directory)
        told = [*feed.read(), *run_and_read(daemon, world, feed, 45), *later.read()]
    assert told[0]["sealed"]
    assert [m["what"] for m in told].count("hello") == 2
    assert [m["caller"]["number"] for m in told if m["what"] == "CallerIdentified"] == ["x"]
    text = "".join(m["data"] for m in told if m["what"] == "ModemBytes")
    assert "xxxx = xxxxxxxxxx" in text
    for secret in ("0312345678", "YAMADA", "5678"):
        assert secret not in str(told)


def test_the_log_says_no_number(tmp_path, watch, caplog):
    with caplog.at_level(logging.DEBUG), office(tmp_path) as (daemon, world, config):
        feed = watch(config.storage.directory)
        told = run_and_read(daemon, world, feed, 45)
    assert any("0312345678" in str(message) for message in told)
    assert "0312345678" not in caplog.text
