"""The nightly look: what it reads, what it finds, and that status tells it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from recorderd import events as ev
from recorderd.cli.main import main
from recorderd.cli.status import doctor_line
from recorderd.config import load
from recorderd.daemon import Daemon
from recorderd.disk import files
from recorderd.doctor import unattended
from recorderd.doctor.box import SimulatedBox
from recorderd.dsp.health import HealthMeter
from recorderd.runtime.watchdog import ServiceManager
from recorderd.runtime.workers import InlineWorker
from recorderd.sim.devices import VirtualOffice
from tests.doctor.test_archive_probe import Memory
from tests.doctor.walks import make_box


class Clock:
    """The simulated box's clock is the machine's: status files are judged by that."""

    def reading(self):
        from recorderd.runtime.clock import SystemClock
        from recorderd.units import ClockReading

        now = SystemClock().reading()
        return ClockReading(now.boot_id, now.mono, now.wall, synchronised=True, source="ntp")


def box(*faults):
    return SimulatedBox(Clock(), frozenset(faults))


def status(path, **line):
    """A recorder's status.json, as of now."""
    told = {"state": "idle", "devices": {}, "faults": {}, **line}
    found = {
        "at": datetime.now(UTC).isoformat(),
        "alarms": [],
        "lines": {"front-desk": told},
    }
    (path.parent / "state/status.json").write_text(json.dumps(found), "utf-8")


def grow_old(file, age):
    """A simulated office has its script's day: a file of it is as old as it lies there."""
    at = (datetime.now(UTC) - age).timestamp()
    os.utime(file, (at, at))


def look(path, the_box=None, target=None):
    found = unattended.look(load(path), the_box or box(), lambda _: target)
    codes = {each["code"] for check in found["checks"] for each in check["findings"]}
    return found, codes


def test_a_healthy_box_is_well_and_the_result_is_kept(tmp_path):
    path = make_box(tmp_path)
    status(path)
    found, codes = look(path)
    assert codes == set()
    assert found["alarms"] == []
    assert json.loads((tmp_path / "state/doctor.json").read_text("utf-8")) == found
    checks = {each["check"] for each in found["checks"]}
    assert {"clock", "power", "disk", "recorder", "verify"} <= checks


@pytest.mark.parametrize(
    ("fault", "code"),
    [("disk-slow", "disk-slow"), ("power-low", "power-low"), ("disk-errors", "disk-errors")],
)
def test_faults_of_the_box_are_found_at_night(tmp_path, fault, code):
    path = make_box(tmp_path)
    status(path)
    assert look(path, box(fault))[1] == {code}


def test_a_disk_that_the_recorder_is_making_room_on_is_no_alarm_for_a_day(tmp_path):
    """Where calls go to an archive, a disk is always about to be full."""
    path = make_box(tmp_path)
    status(path)
    assert look(path, box("disk-full"))[1] == set()
    assert look(path, box("disk-full", "disk-slow"))[1] == {"disk-slow"}
    grow_old(tmp_path / "state/status.json", timedelta(minutes=10))
    assert look(path, box("disk-full"))[1] == {"disk-full", "recorder-stopped"}


def test_a_recorder_that_does_not_run_is_found(tmp_path):
    path = make_box(tmp_path)
    assert look(path)[1] == {"recorder-stopped"}
    status(path)
    grow_old(tmp_path / "state/status.json", timedelta(minutes=10))
    assert look(path)[1] == {"recorder-stopped"}


class SlowOnce(SimulatedBox):
    """Somebody else writes at the first look; whoever wears the disk out is counted."""

    def __init__(self):
        super().__init__(Clock(), frozenset({"disk-slow"}))
        self.tries = 0

    def disk(self, directory, block_bytes):
        self.tries += 1
        found = super().disk(directory, block_bytes)
        self._faults = frozenset()
        return found


def test_a_disk_that_somebody_else_kept_busy_is_not_called_slow(tmp_path):
    path = make_box(tmp_path)
    status(path)
    slow_once = SlowOnce()
    assert look(path, slow_once)[1] == set()
    assert slow_once.tries == 2


@pytest.mark.parametrize("state", ["ringing", "talking"])
def test_the_disk_of_a_call_is_left_alone(tmp_path, state):
    path = make_box(tmp_path)
    status(path, state=state)
    slow_once = SlowOnce()
    found, codes = look(path, slow_once)
    assert codes == set()
    assert slow_once.tries == 0
    (told,) = [each["skipped"] for each in found["checks"] if each["check"] == "disk"]
    assert "a call is being recorded" in told
    # One that died in a call keeps nobody from looking.
    grow_old(tmp_path / "state/status.json", timedelta(minutes=10))
    assert look(path, slow_once)[1] == {"recorder-stopped"}
    assert slow_once.tries == 2


def test_an_announcement_that_went_bad_is_found_before_the_next_start(tmp_path):
    path = make_box(tmp_path)
    path.write_text(path.read_text("utf-8").replace("notice-ja.wav", "own.wav"), "utf-8")
    (tmp_path / "own.wav").write_bytes(b"no sound at all")
    status(path)
    found, codes = look(path)
    assert codes == {"config-wrong"}
    (alarm,) = found["alarms"]
    assert "own.wav" in alarm
    assert "sox OLD" in alarm


def test_a_file_from_a_time_to_come_is_written_by_nobody(tmp_path):
    """The clock was set back, or lost its time, and the recorder does not run."""
    path = make_box(tmp_path)
    status(path)
    grow_old(tmp_path / "state/status.json", timedelta(hours=-1))
    assert look(path)[1] == {"recorder-stopped"}


def test_an_alarm_gives_the_terminal_no_orders(tmp_path, capsys):
    path = make_box(tmp_path)
    status(path)
    told = json.loads((tmp_path / "state/status.json").read_text("utf-8"))
    told |= {"lines": {}, "alarms": ["modem: \x1b[2J\x9b2J says this"]}
    (tmp_path / "state/status.json").write_text(json.dumps(told), "utf-8")
    assert main(["status", "--config", str(path)]) == 1
    shown = capsys.readouterr().out
    assert "says this" in shown
    assert not {"\x1b", "\x9b"} & set(shown)


def test_a_configuration_that_was_not_taken_yet_is_told(tmp_path, capsys):
    """Edited and forgotten: the recorder goes on as before."""
    path = make_box(tmp_path)
    status(path)
    told = json.loads((tmp_path / "state/status.json").read_text("utf-8"))
    told |= {"lines": {}, "config_sha256": load(path).sha256}
    (tmp_path / "state/status.json").write_text(json.dumps(told), "utf-8")
    assert main(["status", "--config", str(path)]) == 0
    assert "reload" not in capsys.readouterr().out
    path.write_text(path.read_text("utf-8") + "# edited\n", "utf-8")
    assert main(["status", "--config", str(path)]) == 0
    assert "is not taken yet: systemctl reload recorderd" in capsys.readouterr().out


def test_what_does_not_report_is_told_with_its_unit(tmp_path, capsys):
    path = make_box(tmp_path)
    command = ["status", "--config", str(path)]
    assert main(command) == 1
    assert "systemctl enable --now recorderd\n" in capsys.readouterr().err
    status(path)
    grow_old(tmp_path / "state/status.json", timedelta(minutes=10))
    assert main([*command, "--json"]) == 1
    (alarm,) = json.loads(capsys.readouterr().out)["alarms"]
    assert alarm.endswith(
        "see systemctl status recorderd, and start it: systemctl enable --now recorderd"
    )


def test_the_recorders_alarms_are_the_doctors(tmp_path):
    path = make_box(tmp_path)
    status(path)
    told = json.loads((tmp_path / "state/status.json").read_text("utf-8"))
    told["alarms"] = ["front-desk: modem: it does not answer"]
    (tmp_path / "state/status.json").write_text(json.dumps(told), "utf-8")
    found, codes = look(path)
    assert codes == {"recorder-alarm"}
    assert found["alarms"] == []  # status tells them as they are now, and not as they were at night


def test_announcements_are_counted_from_the_last_look(tmp_path):
    path = make_box(tmp_path)
    status(path, notices={"heard": 3, "partly": 0, "not-heard": 2})
    assert look(path)[1] == {"clip-silent"}
    assert look(path)[1] == set()  # nothing new since
    status(path, notices={"heard": 4, "partly": 1, "not-heard": 2})
    assert look(path)[1] == {"clip-partly"}
    status(path, notices={"heard": 0, "partly": 0, "not-heard": 2})  # the recorder began anew
    found, codes = look(path)
    assert codes == {"clip-silent"}
    (measured,) = [each["measured"] for each in found["checks"] if each["check"] == "announcement"]
    assert measured == {"heard": 0, "partly": 0, "not_heard": 2}


def test_the_sound_that_the_recorder_measured_is_judged(tmp_path):
    path = make_box(tmp_path)
    meter = HealthMeter()
    rng = np.random.default_rng(1)
    one = (rng.standard_normal((8000 * 12, 1)) * 3000).astype(np.int16)
    meter.feed(np.repeat(one, 2, axis=1))
    status(path, sound=asdict(meter.measure()))
    assert "copy" in look(path)[1]


def test_archive_and_uploader_are_looked_at(tmp_path):
    path = make_box(tmp_path)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/recorderd-archive").touch()
    text = path.read_text("utf-8") + f'\n[archive]\nurl = "file://{tmp_path}/archive"\n'
    path.write_text(text, "utf-8")
    status(path)
    _, codes = look(path, target=Memory(refuses=False))
    assert codes == {"archive-overwrites", "upload-stopped"}


def test_no_device_is_opened_and_the_directory_is_not_held(tmp_path, monkeypatch):
    """It may not disturb a recorder that runs, nor one that is about to start."""
    path = make_box(tmp_path)
    for module, name in (
        ("recorderd.sim.audio", "SimCard"),
        ("recorderd.sim.line", "SimHookSensor"),
        ("recorderd.sim.modem", "SimModem"),
    ):
        monkeypatch.setattr(f"{module}.{name}.start", lambda _self: pytest.fail("opened"))
    with files.hold_directory(tmp_path / "state"):
        status(path)
        assert look(path)[1] == set()


@pytest.mark.parametrize(("faults", "code"), [((), 0), (("fault disk-slow",), 1)])
def test_the_command_and_what_status_shows(tmp_path, capsys, faults, code):
    path = make_box(tmp_path, "JP", [("box", each) for each in faults])
    status(path)
    command = ["doctor", "--unattended", "--json", "--config", str(path)]
    # The simulated clock is that of the script's day: only the exit code and the words count here.
    assert main(command) == code
    told = json.loads(capsys.readouterr().out)
    assert bool(told["alarms"]) == bool(faults)
    assert {"at", "config_sha256", "checks", "alarms"} <= told.keys()
    for check in told["checks"]:
        assert {"check", "where", "verdict", "measured", "findings", "skipped"} == check.keys()
        for finding in check["findings"]:
            assert {"code", "what", "mend"} == finding.keys()
    (tmp_path / "state/doctor.json").write_text(
        json.dumps({**told, "at": datetime.now(UTC).isoformat()}), "utf-8"
    )
    assert main(["status", "--json", "--config", str(path)]) == code
    shown = json.loads(capsys.readouterr().out)
    assert shown["doctor"]["checks"] == told["checks"]
    assert shown["alarms"] == [f"doctor: {each}" for each in told["alarms"]]
    # Whoever has mended it does not wait a night for the alarm's end; the unit has the credentials.
    assert ("systemctl start recorderd-doctor" in doctor_line(shown["doctor"])) == bool(faults)


def test_a_nightly_look_that_stopped_is_an_alarm(tmp_path, capsys):
    path = make_box(tmp_path)
    status(path)
    old = {"at": "2026-01-01T03:00:00+09:00", "alarms": [], "checks": []}
    (tmp_path / "state/doctor.json").write_text(json.dumps(old), "utf-8")
    grow_old(tmp_path / "state/doctor.json", timedelta(days=4))
    assert main(["status", "--json", "--config", str(path)]) == 1
    (alarm,) = json.loads(capsys.readouterr().out)["alarms"]
    assert alarm.startswith("doctor: the nightly look has not reported since 2026-01-01")


def test_a_damaged_result_is_an_alarm_and_no_crash(tmp_path, capsys):
    path = make_box(tmp_path)
    status(path)
    (tmp_path / "state/doctor.json").write_text("{", "utf-8")
    assert main(["status", "--json", "--config", str(path)]) == 1
    assert "doctor.json" in json.loads(capsys.readouterr().out)["alarms"][0]
    assert look(path)[1] == set()


def test_calls_of_a_real_recorder_are_proven_at_night(tmp_path):
    path = make_box(tmp_path)
    script = (
        "day 2026-11-23T08:50:00+09:00\n+5 front-desk inbound number=0312345678 answer=6 talk=5\n"
    )
    (tmp_path / "office.line").write_text(script, "utf-8")
    config = load(path)
    office = VirtualOffice(config, 32)
    daemon = Daemon(config, office, ServiceManager(), InlineWorker, InlineWorker)
    daemon.start()
    while office.world.now() < office.office.finished_at:
        daemon.loop.step()
    daemon.loop.take(ev.StopRequested(office.world.now()))
    daemon.stop()
    status(path)
    found, codes = look(path)
    assert codes == set()
    (verify,) = [each for each in found["checks"] if each["check"] == "verify"]
    assert verify["measured"] == {"calls": 1, "wrong": 0}
    (sound,) = (tmp_path / "state/calls").rglob("*.flac")
    data = bytearray(sound.read_bytes())
    data[len(data) // 2] ^= 1
    sound.write_bytes(data)
    assert look(path)[1] == {"call-altered"}
