"""Inbox, writer thread, service manager, status and log."""

from __future__ import annotations

import errno
import json
import logging
import socket
import threading
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest

from recorderd import events as ev
from recorderd import heard
from recorderd.runtime.inbox import INBOX_EVENTS_MAX, InboxFullError, ThreadInbox
from recorderd.runtime.logs import fact_line, log_fact
from recorderd.runtime.status import Status
from recorderd.runtime.statusfile import RECORDER_STALE_S
from recorderd.runtime.watchdog import ServiceManager
from recorderd.runtime.workers import COMMANDS_MAX, WorkerFullError, WorkerThread
from recorderd.units import ClockReading, MonoNs, WallNs, seconds, to_datetime

READING = ClockReading("boot", MonoNs(0), WallNs(seconds(1_700_000_000)), True, "test")
NOW = MonoNs(seconds(5))


def test_inbox_gives_events_in_order_and_none_at_the_deadline():
    inbox = ThreadInbox()
    first, second = ev.TimePassed(MonoNs(1)), ev.TimePassed(MonoNs(2))
    inbox.post(first)
    inbox.post(second)
    assert inbox.wait(MonoNs(0)) is first
    assert inbox.wait(MonoNs(time.monotonic_ns() + seconds(9))) is second
    assert inbox.wait(MonoNs(time.monotonic_ns() + seconds(0.01))) is None


def test_a_full_inbox_is_fatal_and_never_silent():
    inbox = ThreadInbox()
    for _ in range(INBOX_EVENTS_MAX + 1):
        inbox.post(ev.TimePassed(NOW))
    with pytest.raises(InboxFullError, match="wait for the control thread"):
        inbox.wait(NOW)


class FakeWriter:
    def __init__(self):
        self.handled = []
        self.left = 0
        self.is_live = False
        self.gate = threading.Event()
        self.gate.set()

    def handle(self, command):
        self.gate.wait(10)
        if command == "break":
            raise OSError("broken")
        self.handled.append(command)
        self.left = 3

    rest_s = 5.0

    def pump(self):
        self.left = max(0, self.left - 1)

    def pending(self):
        return self.left > 0 or self.is_live

    def must_finish(self):
        return self.left > 0

    def close(self):
        assert not self.must_finish()


def test_writer_thread_finishes_what_is_pending_before_it_ends():
    writer = FakeWriter()
    thread = WorkerThread(lambda: writer, "writer")
    thread.start()
    thread.submit("one")
    thread.submit("two")
    assert thread.close(within_s=10)
    assert writer.handled == ["one", "two"]
    assert writer.left == 0
    assert thread.beats > 0


def test_writer_thread_that_fails_says_so(caplog):
    thread = WorkerThread(FakeWriter, "writer")
    thread.start()
    with caplog.at_level(logging.CRITICAL):
        thread.submit("break")
        thread._thread.join(10)
    assert isinstance(thread.failure, OSError)


def test_a_writer_that_stands_still_fills_its_queue_and_that_is_fatal():
    writer = FakeWriter()
    writer.gate.clear()
    thread = WorkerThread(lambda: writer, "writer")
    thread.start()
    fill = partial(list, map(thread.submit, range(COMMANDS_MAX + 2)))
    with pytest.raises(WorkerFullError):
        fill()
    writer.gate.set()
    wanted = time.monotonic() + 10
    while thread._commands.full() and time.monotonic() < wanted:
        pass
    assert thread.close(within_s=10)


def test_a_worker_that_stands_still_with_a_full_queue_keeps_no_other_from_being_closed():
    writer = FakeWriter()
    writer.gate.clear()
    thread = WorkerThread(lambda: writer, "analyst")
    thread.start()
    with pytest.raises(WorkerFullError):
        list(map(thread.submit, range(COMMANDS_MAX + 2)))
    assert not thread.close(within_s=0.1)
    writer.gate.set()
    thread._thread.join(10)
    assert not thread._thread.is_alive()


def test_what_nobody_ends_is_not_waited_for_and_counts_as_left_open():
    """The control thread broke down in the middle of a call."""
    writer = FakeWriter()
    writer.is_live = True
    thread = WorkerThread(lambda: writer, "writer")
    thread.start()
    thread.submit("one")
    began = time.monotonic()
    assert not thread.close(within_s=10)
    assert time.monotonic() - began < 5
    assert writer.left == 0


def test_a_worker_that_failed_has_not_finished():
    thread = WorkerThread(FakeWriter, "writer")
    thread.start()
    thread.submit("break")
    thread._thread.join(10)
    assert not thread.close(within_s=1)


def test_service_manager_speaks_sd_notify(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        manager = ServiceManager()
        manager.ready("recording 2 lines")
        manager.alive()
        manager.stopping()
        assert server.recv(100) == b"READY=1\nSTATUS=recording 2 lines"
        assert server.recv(100) == b"WATCHDOG=1"
        assert server.recv(100) == b"STOPPING=1"


def test_a_service_manager_that_does_not_read_stops_nothing(tmp_path, monkeypatch, caplog):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        for _ in range(1000):
            ServiceManager().alive()
            if "notify" in caplog.text:
                break
    assert "notify" in caplog.text


def test_service_manager_that_is_gone_does_no_harm(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    ServiceManager().alive()
    assert "gone" in caplog.text
    monkeypatch.delenv("NOTIFY_SOCKET")
    ServiceManager().alive()


def status(tmp_path) -> Status:
    found = Status(tmp_path / "status.json", ZoneInfo("Asia/Tokyo"), {})
    found.set_lines({"card": {"one", "two"}}, ["one", "two"])
    return found


def test_status_follows_a_call_and_counts(tmp_path):
    found = status(tmp_path)
    for fact in (
        ev.CallOffered(NOW, "one", "a"),
        ev.CallAnswered(NOW, "one", "a"),
    ):
        found.take(fact)
    assert found.as_json(READING)["lines"]["one"]["state"] == "talking"
    found.take(ev.CallEnded(NOW, "one", "a"))
    found.take(ev.RecordingFiled(NOW, "one", "a", 2, 0, "x"))
    found.take(ev.CallMissed(NOW, "two", "b"))
    lines = found.as_json(READING)["lines"]
    assert (lines["one"]["state"], lines["one"]["recorded"]) == ("idle", 1)
    assert lines["one"]["last_recording_at"].endswith("+09:00")
    assert lines["two"]["missed"] == 1
    assert found.alarms() == []


def test_a_lost_card_is_an_alarm_of_every_line_on_it(tmp_path):
    found = status(tmp_path)
    found.take(ev.DriverLost(NOW, "card", "card", "unplugged"))
    assert found.alarms() == ["one: card: unplugged", "two: card: unplugged"]
    found.take(ev.DriverReady(NOW, "card", "card"))
    assert found.alarms() == []


def test_of_two_cards_the_one_that_is_lost_is_told(tmp_path):
    """One hears the line, another plays: that this one came says nothing of that one."""
    found = status(tmp_path)
    found.set_lines({"card": {"one", "two"}, "speaker": {"one"}}, ["one", "two"])
    found.take(ev.DriverLost(NOW, "card", "card", "unplugged"))
    found.take(ev.DriverReady(NOW, "card", "speaker"))
    assert found.alarms() == ["one: card: unplugged", "two: card: unplugged"]
    assert found.as_json(READING)["lines"]["one"]["devices"] == {"card": "unplugged"}
    found.take(ev.DriverReady(NOW, "card", "card"))
    found.take(ev.DriverLost(NOW, "card", "speaker", "gone"))
    assert found.alarms() == ["one: card: gone"]
    found.take(ev.DriverReady(NOW, "card", "speaker"))
    assert found.alarms() == []


def test_a_line_that_moves_to_a_card_that_works_has_no_alarm_left(tmp_path):
    found = status(tmp_path)
    found.set_lines({"a": {"one"}, "b": {"two"}}, ["one", "two"])
    found.take(ev.DriverReady(NOW, "card", "b"))
    found.take(ev.DriverLost(NOW, "card", "a", "unplugged"))
    assert found.alarms() == ["one: card: unplugged"]
    found.set_lines({"b": {"one", "two"}}, ["one", "two"])
    assert found.alarms() == []
    assert found.as_json(READING)["lines"]["one"]["devices"] == {"card": "ready"}


def measured(seconds_, *findings):
    return heard.LineMeasured(NOW, "one", {"seconds": seconds_}, findings)


def verdict(word):
    return heard.NoticeHeard(NOW, "one", "a", word, 0.9, 0.9, None, None, None)


def played(*, completed, failed):
    return ev.NoticeEnded(NOW, "one", "a", completed, failed, "no card" if failed else None)


@pytest.mark.parametrize(
    ("begins", "leaves", "ends"),
    [
        (measured(30, "hum"), measured(19), measured(20)),  # a click of a call shows nothing
        (verdict("not-heard"), verdict("partly"), verdict("heard")),
        (
            played(completed=False, failed=True),
            played(completed=False, failed=False),  # the caller hung up
            played(completed=True, failed=False),
        ),
        (heard.ListeningFailed(NOW, "one", "x"), verdict("heard"), measured(1)),
        (
            ev.ModemSilent(NOW, "one", "no answer"),
            ev.DriverReady(NOW, "hook", "one"),
            ev.ModemReady(NOW, "one", "", ""),
        ),
        (
            ev.LineFaulted(NOW, "one", "ring-chatter", "x"),
            ev.LineRestored(NOW, "one", "hook-chatter"),
            ev.LineRestored(NOW, "one", "ring-chatter"),
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_each_alarm_of_a_line_begins_lasts_and_ends(tmp_path, begins, leaves, ends):
    found = status(tmp_path)
    found.take(begins)
    (alarm,) = found.alarms()
    assert alarm.startswith("one: ")
    found.take(leaves)
    assert found.alarms() == [alarm]
    found.take(ends)
    assert found.alarms() == []


def test_faults_come_and_go(tmp_path):
    found = status(tmp_path)
    found.take(ev.LineFaulted(NOW, "one", "hook-chatter", "300 edges"))
    found.take(ev.WriteFailed(NOW, "two", "b", "disk full"))
    found.take(ev.ModemSilent(NOW, "one", "no answer"))
    assert len(found.alarms()) == 3
    found.take(ev.LineRestored(NOW, "one", "hook-chatter"))
    found.take(ev.RecordingFiled(NOW, "two", "b", 1, 0, "x"))
    found.take(ev.ModemReady(NOW, "one", "5601", "AT+VCID=1"))
    assert found.alarms() == []


def test_the_alarm_of_a_disk_lasts_while_it_refuses_a_call_and_no_longer(tmp_path):
    found = status(tmp_path)
    found.take(ev.WriteFailed(NOW, "two", "b", "disk full"))
    found.take(ev.WriteFailed(NOW, "two", "c", "disk still full"))
    found.take(ev.RecordingFiled(NOW, "two", "b", 1, 0, "x"))
    assert found.alarms() == ["two: writing: disk still full"]
    found.take(ev.WriteResumed(NOW, "two", "c"))  # a missed call, or one that is not kept at all
    assert found.alarms() == []


def test_status_is_written_when_it_changes_and_not_too_often(tmp_path):
    found = status(tmp_path)
    path = tmp_path / "status.json"
    found.write(READING)
    assert json.loads(path.read_text("utf-8"))["alarms"] == []
    path.unlink()
    found.take(ev.CallMissed(NOW, "two", "b"))
    found.write(ClockReading("boot", MonoNs(seconds(0.5)), WallNs(0), True, "test"))
    assert not path.exists()
    found.write(ClockReading("boot", MonoNs(seconds(1.5)), WallNs(0), True, "test"))
    assert path.exists()


def test_a_caller_id_set_that_closed_the_loop_is_no_call_yet(tmp_path):
    """Japan's: it goes off-hook for the number before the telephone rings."""
    found = status(tmp_path)
    found.take(ev.CallOffered(NOW, "one", "a"))
    found.take(ev.CallAnswered(NOW, "one", "a"))
    found.take(ev.CallerIdClosureSeen(NOW, "one", "a", 1))
    assert (found.lines["one"].state, found.lines["one"].calls) == ("ringing", 0)
    found.take(ev.CallAnswered(NOW, "one", "a"))
    assert (found.lines["one"].state, found.lines["one"].calls) == ("talking", 1)


def test_the_names_in_the_status_are_what_scripts_rely_on(tmp_path):
    """`recorderd status --json`: a name may come, and none may go or change."""
    found = status(tmp_path)
    found.disk = ev.DiskMeasured(NOW, 9000, 1.5, None)
    told = found.as_json(READING)
    assert {
        *("version", "pid", "at", "clock_synchronised", "lines", "disk", "alarms"),
    } <= told.keys()
    assert {
        *("state", "call_id", "calls", "recorded", "missed", "not_recorded", "last_recording_at"),
        *("devices", "notices", "sound", "faults"),
    } <= told["lines"]["one"].keys()
    assert {"free_mb", "used_mb_per_day", "full_on"} <= told["disk"].keys()


def test_a_status_in_which_nothing_changes_is_written_before_it_looks_dead(tmp_path):
    found = status(tmp_path)
    path = tmp_path / "status.json"
    found.write(READING)
    path.unlink()
    found.write(ClockReading("boot", MonoNs(seconds(29)), WallNs(0), True, "test"))
    assert not path.exists()
    found.write(ClockReading("boot", MonoNs(seconds(30)), WallNs(0), True, "test"))
    assert path.exists()
    assert seconds(RECORDER_STALE_S) > 2 * seconds(30)


def test_on_a_full_disk_the_old_status_is_written_over(tmp_path):
    found = status(tmp_path)
    path = tmp_path / "status.json"
    found.write(READING)
    size = path.stat().st_size
    found.take(ev.StoreAlarm(NOW, "disk", "12 MB free"))
    later = ClockReading("boot", MonoNs(seconds(60)), WallNs(0), True, "test")
    refused = OSError(errno.ENOSPC, "No space left on device")
    with patch.object(Path, "write_bytes", side_effect=refused):
        found.write(later)
    assert json.loads(path.read_text("utf-8"))["alarms"] == ["disk: 12 MB free"]
    assert path.stat().st_size == size
    assert [each.name for each in tmp_path.iterdir()] == ["status.json"]


def test_alarms_of_the_store_come_and_go(tmp_path):
    found = status(tmp_path)
    found.take(ev.StoreAlarm(NOW, "disk", "12 MB free"))
    found.take(ev.StoreAlarm(NOW, "age", "cannot be written"))
    found.take(ev.StoreAlarm(NOW, "disk", "11 MB free"))
    assert sorted(found.alarms()) == ["age: cannot be written", "disk: 11 MB free"]
    found.take(ev.StoreAlarm(NOW, "age", None))
    found.take(ev.StoreAlarm(NOW, "disk", None))
    assert found.alarms() == []
    assert found.as_json(READING)["disk"] is None
    found.disk = ev.DiskMeasured(NOW, 700, None, None)
    assert found.as_json(READING)["disk"] == {
        "free_mb": 700,
        "used_mb_per_day": None,
        "full_on": None,
    }


def test_a_status_that_cannot_be_written_is_logged(tmp_path, caplog):
    found = Status(tmp_path / "none" / "status.json", ZoneInfo("UTC"), {})
    found.write(READING)
    assert "cannot be written" in caplog.text


def test_the_log_holds_no_numbers_and_no_names(caplog):
    caller = ev.Caller("0312345678", "YAMADA", None, "modem", "NMBR = 0312345678")
    fact = ev.CallerIdentified(NOW, "one", "a", caller)
    with caplog.at_level(logging.INFO):
        log_fact(fact, READING)
    assert "0312345678" not in caplog.text
    assert "YAMADA" not in caplog.text
    assert "caller=number" in caplog.text
    assert fact_line(fact, READING).startswith("CallerIdentified at=1700000005.000 line=one")


def test_an_exchange_that_disagrees_about_the_time_is_an_alarm(tmp_path):
    found = status(tmp_path)
    found.write(READING)
    zone = ZoneInfo("Asia/Tokyo")
    for hours, is_alarm in ((0, False), (-9, True), (0, False)):
        said = to_datetime(READING.wall_at(NOW), zone) + timedelta(hours=hours)
        caller = ev.Caller("1", None, None, "modem", "", f"{said:%m%d}", f"{said:%H%M}")
        found.take(ev.CallerIdentified(NOW, "one", "a", caller))
        assert any("9:00:00 behind" in alarm for alarm in found.alarms()) is is_alarm
