"""The keeper at work on a real store: on time, never early, and telling what it cannot do."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace

import pytest

from recorderd.core import chain
from recorderd.core.boxtime import DAY_NS, HOUR_NS, AgeClock
from recorderd.core.retention import Rules
from recorderd.disk.layout import KEYS
from recorderd.errors import StoreError
from recorderd.events import DiskMeasured, StoreAlarm
from recorderd.recording import keeper as keeper_module
from recorderd.recording.keeper import MB, Keeper
from recorderd.store.books import Books
from recorderd.store.boxtime import load_age, save_age
from recorderd.store.catalogue import NAME as CATALOGUE
from recorderd.store.catalogue import open_catalogue
from recorderd.store.erasing import Sentence, _pronounce, erase
from recorderd.store.holds import place_hold
from recorderd.store.ledger import RECORDER, Ledger, chain_lines, open_desk
from recorderd.store.recovery import RecoveryReport
from recorderd.store.signing import load_device_key, set_aside_damaged_key
from recorderd.units import NS_PER_S, ClockReading, MonoNs, WallNs
from tests.store.calls import KEY, SITE, in_memory
from tests.store.shelf import (
    ARCHIVE,
    NAME,
    NUMBER,
    ZONE,
    confirm,
    is_erased,
    is_whole,
    shelve,
    where_found,
)

MINUTE_NS = 60 * NS_PER_S
YEAR_NS = 365 * DAY_NS
BEGAN = 1_795_427_100 * NS_PER_S
DAYS = {"standard": 30, "threats": 90}


class Box:
    """A store and its keeper in virtual time, with a wall clock that is set at will."""

    def __init__(self, directory, days=DAYS, *, has_archive=False, monkeypatch=None):
        self.directory = directory
        self.rules = Rules(days, ARCHIVE if has_archive else None, 500 * MB)
        self.now = 0  # true time
        self.booted_at, self.boot = 0, 0
        self.error_ns, self.synchronised = 0, True
        self.posts = []
        self.calls = {}  # id -> (true time, folder)
        self.ledger = None
        self.offs = []  # true times
        self.free_bytes = 1000 * MB
        self.start()

    def reading(self):
        mono = MonoNs(self.now - self.booted_at)
        wall = WallNs(BEGAN + self.now + self.error_ns)
        return ClockReading(f"boot-{self.boot}", mono, wall, self.synchronised, "simulated")

    def start(self, recovered=None):
        self.ledger = Ledger(self.directory, RECORDER, SITE.name, KEY, self.reading)
        self.books = Books(self.directory, self.ledger)
        state = load_age(self.directory)
        newest = 0 if state else self.books.catalogue.newest_s() * NS_PER_S
        self.age = AgeClock(state, self.reading(), newest)
        save_age(self.directory, self.age.state())
        self.keeper = Keeper(
            self.directory,
            ZONE,
            self.rules,
            self.books,
            self.age,
            self.reading,
            self.posts.append,
            recovered or RecoveryReport(),
        )

    def stop(self, *, cut=False):
        if not cut:
            self.keeper.close()
        self.books.close_catalogue()
        self.ledger.close()

    def off(self, ns, *, cut=False):
        self.stop(cut=cut)
        self.offs.append((self.now, self.now + ns))
        self.now += ns
        self.boot += 1
        self.booted_at = self.now
        self.start()

    def run(self, ns, step_ns=MINUTE_NS):
        end = self.now + ns
        while self.now < end:
            self.now += min(step_ns, end - self.now)
            self.keeper.pump(self.reading().mono)

    def settle(self):
        """Let the keeper finish what is due, without time going by."""
        for _ in range(10_000):
            self.keeper.pump(self.reading().mono)
            if self.keeper._work is None:
                return
        raise AssertionError("the keeper never comes to an end")

    def running(self, start, end):
        """For how long the box ran between two true times."""
        off = sum(max(0, min(end, last) - max(start, first)) for first, last in self.offs)
        return end - start - off

    def call(self, call_id, **known):
        position = -(-self.age.position(self.reading().mono) // NS_PER_S)
        reading = replace(self.reading(), mono=MonoNs(0))
        known = {"box_time_s": position, "reading": reading, **known}
        folder = shelve(self.directory, self.books, call_id, **known)
        self.calls[call_id] = (self.now, folder)
        return folder

    def hold(self, call_id):
        with open_desk(self.directory, SITE.name, self.reading) as desk:
            place_hold(self.calls[call_id][1], desk, "tanaka", "police", "today")

    def alarms(self):
        """What is wrong now, by topic."""
        found = {}
        for post in self.posts:
            if isinstance(post, StoreAlarm):
                found.pop(post.topic, None)
                if post.text is not None:
                    found[post.topic] = post.text
        return found

    def disk(self):
        return [post for post in self.posts if isinstance(post, DiskMeasured)][-1]


@pytest.fixture
def box(monkeypatch):
    with in_memory() as folder:
        found = Box(folder)
        monkeypatch.setattr(keeper_module, "free_bytes", lambda directory: found.free_bytes)
        yield found
        found.stop()


# ------------------------------------------------------------ age


def test_each_class_has_its_own_time(box):
    standard, threats = box.call("a"), box.call("b", retention="threats")
    box.run(30 * DAY_NS - MINUTE_NS, HOUR_NS)
    assert is_whole(standard)
    box.run(2 * HOUR_NS)
    assert is_erased(standard)
    assert is_whole(threats)
    box.run(60 * DAY_NS, HOUR_NS)
    assert is_erased(threats)
    assert where_found(box.directory, NUMBER, NAME) == []
    assert box.alarms() == {}


def test_the_days_are_those_of_today_s_configuration(box):
    folder = box.call("a")
    box.run(29 * DAY_NS, HOUR_NS)
    box.keeper.rules = replace(box.rules, days={"standard": 60})
    box.run(20 * DAY_NS, HOUR_NS)
    assert is_whole(folder)
    box.keeper.rules = replace(box.rules, days={"standard": 40})
    box.run(2 * HOUR_NS)
    assert is_erased(folder)


def test_a_class_that_is_not_known_any_more_is_never_erased_and_is_an_alarm(box):
    folder = box.call("a", retention="treats")
    box.run(400 * DAY_NS, 6 * HOUR_NS)
    assert is_whole(folder)
    assert "calls of the class treats are never erased" in box.alarms()["retention"]
    box.keeper.rules = replace(box.rules, days={**DAYS, "treats": 1})
    box.run(2 * HOUR_NS)
    assert is_erased(folder)
    box.run(2 * HOUR_NS)
    assert box.alarms() == {}


def test_a_call_whose_record_was_lost_is_never_erased_and_is_an_alarm(box):
    folder = box.call("a", retention="unknown", box_time_s=None)
    box.run(100 * DAY_NS, 6 * HOUR_NS)
    assert is_whole(folder)
    assert box.alarms()["retention"].startswith("calls whose record was lost are never erased")


def test_what_is_not_in_the_archive_is_kept(box):
    box.keeper.rules = replace(box.rules, archive=ARCHIVE)
    here, there = box.call("here"), box.call("there")
    confirm(there)
    box.run(31 * DAY_NS, HOUR_NS)
    assert is_whole(here)
    assert is_erased(there)
    confirm(here)
    box.run(2 * HOUR_NS)
    assert is_erased(here)


def test_many_calls_of_one_day_and_held_ones_among_them(box):
    folders = [box.call(f"call-{number:03d}") for number in range(250)]
    for number in range(0, 250, 50):
        box.hold(f"call-{number:03d}")
    box.run(31 * DAY_NS, HOUR_NS)
    box.run(HOUR_NS)
    for number, folder in enumerate(folders):
        assert is_whole(folder) if number % 50 == 0 else is_erased(folder)
    kinds = [entry.kind for entry in entries(box)]
    assert kinds.count("call-erased") == 245


def entries(box):
    return list(chain.walk(chain_lines(box.directory / "ledger/recorder")))


def test_a_call_that_cannot_be_erased_keeps_no_other_one_and_is_told(box):
    bad, good = box.call("bad"), box.call("good")
    (bad / "call.json").write_text("{")
    box.run(31 * DAY_NS, HOUR_NS)
    assert is_erased(good)
    assert "call.json" in box.alarms()["retention"]
    assert (bad / "call.json").exists()


def test_what_was_begun_before_a_crash_is_finished_at_the_start(box):
    folder = box.call("a")
    (box.directory / "open" / "a.erasing").write_text(str(folder.relative_to(box.directory)))
    _pronounce(folder, box.books, Sentence("age", 30, "2027-01-01T00:00:00+09:00", 1))
    box.off(MINUTE_NS, cut=True)
    box.settle()
    assert is_erased(folder)


def test_what_the_start_could_not_put_right_is_an_alarm_with_what_to_do(box):
    box.stop()
    box.start(RecoveryReport(problems=["calls/x: sealed segments, and no call.json"]))
    box.run(2 * HOUR_NS)
    alarm = box.alarms()["recovery"]
    assert alarm.startswith("calls/x: sealed segments, and no call.json; mend that")
    assert "restart recorderd" in alarm


def test_a_key_that_was_set_aside_is_an_alarm_until_its_file_is_gone(box):
    load_device_key(box.directory)
    box.run(2 * HOUR_NS)
    assert "key" not in box.alarms()
    box.stop()
    (box.directory / KEYS / "device.key").write_bytes(b"")
    set_aside_damaged_key(box.directory)
    made = load_device_key(box.directory)
    box.start()
    box.run(2 * HOUR_NS)
    assert f"note its fingerprint down ({made.fingerprint})" in box.alarms()["key"]
    (box.directory / KEYS / "device-damaged.key").unlink()
    box.run(2 * HOUR_NS)
    assert "key" not in box.alarms()


def test_erasing_takes_a_pump_no_longer_than_a_moment(box):
    """The next step waits for the next pump when a step took long."""
    for number in range(20):
        box.call(f"call-{number}")
    box.run(30 * DAY_NS, HOUR_NS)
    slow = box.reading
    box.keeper._read_clock = lambda: (setattr(box, "now", box.now + 30_000_000), slow())[1]
    box.now += HOUR_NS
    steps = 0
    while any(is_whole(folder) for _, folder in box.calls.values()):
        before = box.now
        box.keeper.pump(slow().mono)
        assert box.now - before < 400_000_000
        steps += 1
        box.now += 5 * NS_PER_S
    assert steps > 20


# ------------------------------------------------------------ space


def test_below_free_min_mb_goes_what_the_archive_has_oldest_first_and_no_more(box):
    box.keeper.rules = replace(box.rules, archive=ARCHIVE)
    folders = []
    for number in range(6):
        folders.append(box.call(f"call-{number}"))
        box.run(HOUR_NS)
    for folder in (*folders[:1], *folders[2:]):
        confirm(folder)
    box.hold("call-2")
    sound = sum(path.stat().st_size for path in folders[0].glob("*.flac"))
    real = {"free": 500 * MB - 2 * sound}

    def free(directory):
        gone = sum(not list(folder.glob("*.flac")) for folder in folders)
        return real["free"] + gone * sound

    keeper_module.free_bytes = free
    box.run(2 * MINUTE_NS)
    box.settle()
    assert [bool(list(folder.glob("*.flac"))) for folder in folders] == [
        False,
        True,  # not confirmed
        True,  # held
        False,
        True,
        True,
    ]
    assert all((folder / "call.json").exists() for folder in folders)
    assert box.alarms() == {}


def test_when_nothing_more_may_go_there_is_an_alarm_with_what_to_do(box):
    folder = box.call("a")
    box.free_bytes = 400 * MB
    box.run(MINUTE_NS)
    assert box.alarms()["disk"].startswith("400 MB free, below free_min_mb = 500; ")
    box.run(MINUTE_NS)
    assert "nothing more may be erased: " in box.alarms()["disk"]
    box.run(HOUR_NS)
    assert "nothing more may be erased: " in box.alarms()["disk"]
    assert is_whole(folder)
    box.free_bytes = 600 * MB
    box.run(2 * MINUTE_NS)
    assert box.alarms() == {}


def test_what_has_expired_goes_at_once_when_space_is_short(box):
    folder = box.call("a")
    box.run(20 * MINUTE_NS, HOUR_NS)  # the keeper looks at 20 past
    box.run(30 * DAY_NS - HOUR_NS, HOUR_NS)
    box.run(45 * MINUTE_NS)
    assert is_whole(folder)
    box.free_bytes = 400 * MB
    box.run(2 * MINUTE_NS)
    assert is_erased(folder)


def test_a_disk_that_cannot_be_asked_is_an_alarm(box, monkeypatch):
    def refuse(directory):
        raise StoreError("gone")

    monkeypatch.setattr(keeper_module, "free_bytes", refuse)
    box.run(2 * MINUTE_NS)
    assert box.alarms()["disk"] == "gone"


def test_the_day_on_which_the_disk_is_full_is_foretold(box):
    box.keeper.rules = replace(box.rules, days={"standard": 100})
    sound = b"x" * (1 * MB // 2)
    for day in range(10):
        box.call(f"call-{day}", sound=sound)
        box.run(DAY_NS, HOUR_NS)
    box.run(2 * HOUR_NS)
    box.free_bytes = 520 * MB
    box.run(2 * MINUTE_NS)
    assert box.disk().free_mb == 520
    assert box.disk().used_mb_per_day == pytest.approx(1.0, abs=0.15)
    assert box.disk().full_on in {f"2026-12-{day}" for day in range(20, 29)}
    box.free_bytes = 700 * MB  # before that is used up, as much expires as is recorded
    box.run(2 * MINUTE_NS)
    assert box.disk().full_on is None


# ------------------------------------------------------------ clocks


@pytest.mark.parametrize(("calls_per_jump", "lies"), [(10, False), (3, True)])
def test_recordings_under_a_hundred_clock_jumps(monkeypatch, calls_per_jump, lies):
    """None erased early, no held one erased, none there a day of running after its time.

    A clock that is set by hand, or that woke up wrong, is not synchronised to the kernel; one that
    `lies` calls itself so all the same, but not for ten minutes. It may make erasing later.
    """
    rng = random.Random(20_261_123)
    days = {"standard": 20, "threats": 45}
    with in_memory() as folder:
        box = Box(folder, days)
        erased = {}  # id -> true time

        def watched(directory, call, books, sentence):
            erased[call.name] = box.now
            return erase(directory, call, books, sentence)

        monkeypatch.setattr(keeper_module, "free_bytes", lambda directory: 1000 * MB)
        monkeypatch.setattr(keeper_module, "erase", watched)
        held, classes = set(), {}
        box.run(25 * HOUR_NS, HOUR_NS)  # its first day
        for jumps in range(100):
            for number in range(calls_per_jump):
                call_id = f"call-{jumps:02d}{number}"
                classes[call_id] = rng.choice(["standard", "standard", "threats"])
                box.call(call_id, retention=classes[call_id], sound=b"sound")
                if rng.random() < 0.03:
                    held.add(call_id)
                    box.hold(call_id)
                box.run(rng.randrange(MINUTE_NS, 40 * MINUTE_NS), 10 * MINUTE_NS)
            jump(box, rng, lies)
            box.run(rng.randrange(HOUR_NS, 20 * HOUR_NS), 20 * MINUTE_NS)
        assert 0.3 < len(erased) / len(box.calls) < 0.9
        box.run(50 * DAY_NS, HOUR_NS)
        box.stop()
        assert set(erased) == set(box.calls) - held
        for call_id, (at, call) in box.calls.items():
            if call_id in held:
                assert is_whole(call)
                continue
            assert is_erased(call)
            due = at + days[classes[call_id]] * DAY_NS
            assert erased[call_id] >= due, call_id
            assert lies or box.running(due, erased[call_id]) <= DAY_NS, call_id
        with closing(open_catalogue(folder / CATALOGUE, read_only=True)) as catalogue:
            assert {entry.record["id"] for entry in catalogue.kept(limit=1000)} == held


def jump(box, rng, lies):
    """The clock is set, with or without a boot, and some time later it is right again."""
    error_ns = rng.choice([-BEGAN - box.now, -HOUR_NS, 10 * YEAR_NS])
    if rng.random() < 0.5:
        box.off(rng.randrange(MINUTE_NS, 12 * HOUR_NS), cut=rng.random() < 0.5)
    box.error_ns, box.synchronised = error_ns, lies and rng.random() < 0.3
    box.run(5 * MINUTE_NS)
    box.synchronised = False
    box.run(rng.randrange(MINUTE_NS, 3 * HOUR_NS), 10 * MINUTE_NS)
    box.error_ns, box.synchronised = 0, True
