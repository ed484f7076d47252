"""The whole recorder in virtual time: the demo's office day, and what can go wrong around it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from recorderd import events as ev
from recorderd.cli import demo
from recorderd.cli.main import main
from recorderd.config import load
from recorderd.config.needs import changed_lines, ring_seconds_of
from recorderd.daemon import Daemon, prepare_directory
from recorderd.errors import StoreError
from recorderd.media import codec
from recorderd.media.announcement import SHIPPED, load_clip
from recorderd.runtime.watchdog import ServiceManager
from recorderd.runtime.workers import InlineWorker
from recorderd.sim.devices import VirtualOffice
from recorderd.store.catalogue import NAME, open_catalogue


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """The demo, run once as a user does."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, "-m", "recorderd", "demo", "--directory", folder / "day"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "day", done.stdout


@pytest.fixture(scope="module")
def records(day):
    folder, _ = day
    paths = folder.glob("recordings/calls/*/*/*/*/call.json")
    found = [{**json.loads(path.read_text("utf-8")), "folder": path.parent} for path in paths]
    return sorted(found, key=lambda record: record["started_at"])


def command(day, *arguments: str) -> subprocess.CompletedProcess:
    folder, _ = day
    return subprocess.run(
        [sys.executable, "-m", "recorderd", *arguments, "--config", folder / "recorderd.toml"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_day_has_every_kind_of_call(records):
    kinds = {(record["direction"], record["disposition"]) for record in records}
    assert {("inbound", "recorded"), ("outbound", "recorded"), ("inbound", "missed")} <= kinds
    absences = {record["caller"]["absence"] for record in records}
    assert {"private", "payphone", None} <= absences
    assert any(record["caller"]["name"] for record in records)
    assert any(record["dialled"] for record in records)
    assert any(record["flashes"] for record in records)
    assert {gap["cause"] for record in records for gap in record["gaps"]} >= {
        "card-lost",
        "overrun",
    }
    assert {record["line"] for record in records} == {"front-desk", "back-office"}


def test_two_calls_at_once(records):
    spans = [
        (record["line"], record["answered_at"], record["ended_at"])
        for record in records
        if record["disposition"] == "recorded"
    ]
    assert any(
        one[0] != other[0] and one[1] < other[1] < one[2] for one in spans for other in spans
    )


def test_files_hold_what_the_records_say(records):
    for record in records:
        first = 0
        for segment in record["segments"]:
            path = record["folder"] / segment["file"]
            assert segment["first_frame"] == first
            frames = sum(len(block) // 4 for block in codec.decode_blocks(path))
            assert frames == segment["frames"]
            first += frames
        if record["audio"]:
            assert first == record["audio"]["frames"]
            length_s = record["audio"]["frames"] / 8000
            pre_roll_s = record["audio"]["pre_roll_frames"] / 8000
            assert length_s - pre_roll_s == pytest.approx(record["duration_s"], abs=0.002)


def test_every_recorded_inbound_call_was_told(records):
    for record in records:
        if record["direction"] == "inbound" and record["disposition"] == "recorded":
            assert record["notice"] is not None or record["notice_reason"]


def test_nothing_is_left_open(day):
    folder, _ = day
    assert [path.name for path in (folder / "recordings/open").iterdir()] == []


def test_the_table_lists_every_call_and_how_to_listen(day, records):
    _, shown = day
    assert f"{len(records)} calls" in shown
    assert "ffplay" in shown
    path = re.search(r"(/\S+\.flac)", shown).group(1)
    assert Path(path).is_file()


def test_calls_json_is_one_list_of_records(day, records):
    listed = json.loads(command(day, "calls", "--json").stdout)
    assert [record["id"] for record in listed] == [record["id"] for record in records]
    missed = json.loads(
        command(day, "calls", "--json", "--from", "2026-11-23T12:00", "--to", "2026-11-23").stdout
    )
    assert 0 < len(missed) < len(listed)
    assert all(record["started_at"] >= "2026-11-23T12:00" for record in missed)


def test_a_number_is_found_by_its_last_digits(day, records):
    wanted = next(record for record in records if record["caller"]["number"])
    number = wanted["caller"]["number"]
    for asked in (number, number[-4:], f"+81{number[1:]}"):
        listed = json.loads(command(day, "calls", "--json", "--number", asked).stdout)
        assert wanted["id"] in [record["id"] for record in listed], asked


def test_show_and_its_errors(day, records):
    shown = command(day, "show", records[0]["id"])
    assert records[0]["id"] in shown.stdout
    unknown = command(day, "show", "zzzz")
    assert unknown.returncode == 2
    assert "no call has this id" in unknown.stderr
    assert "Traceback" not in unknown.stderr


def test_a_wrong_time_is_explained(day):
    done = command(day, "calls", "--from", "yesteryear")
    assert done.returncode == 2
    assert "'yesteryear' is no time" in done.stderr


def test_rebuild_gives_the_same_answers(day):
    folder, _ = day
    before = command(day, "calls", "--json").stdout
    (folder / "recordings" / NAME).write_bytes(b"not a database")
    done = command(day, "recover", "--rebuild")
    assert done.returncode == 0, done.stderr
    assert command(day, "calls", "--json").stdout == before


def test_status_of_a_recorder_that_stopped_is_an_alarm(day):
    state = next(day[0].rglob("status.json"))
    os.utime(state, (0, 0))  # an office's clock goes on from when that was written
    done = command(day, "status", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert any("has not reported since" in alarm for alarm in found["alarms"])
    assert set(found["lines"]) == {"front-desk", "back-office"}


def test_demo_takes_no_foreign_directory(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    assert main(["demo", "--directory", str(tmp_path)]) == 2
    assert main(["demo", "--directory", str(tmp_path / "letter.txt")]) == 2
    assert (tmp_path / "letter.txt").read_text() == "mine"


# ---------------------------------------------------------------- the daemon itself


def small_office(folder: Path, script: str, text: str = demo.CONFIG):
    (folder / "recordings").mkdir(exist_ok=True)
    (folder / "small.line").write_text(f"day 2026-11-23T09:00:00+09:00\n{script}")
    (folder / "recorderd.toml").write_text(text.replace("office-day.line", "small.line"))
    config = load(folder / "recorderd.toml")
    office = VirtualOffice(config, ring_seconds_of(config))
    return Daemon(config, office, ServiceManager(), InlineWorker, InlineWorker), office, config


def run_to(daemon, office, seconds: float) -> None:
    end = office.world.start + round(seconds * 1e9)
    while office.world.now() < end:
        daemon.loop.step()


def filed(config) -> list[dict]:
    with closing(open_catalogue(config.storage.directory / NAME, read_only=True)) as catalogue:
        return [entry.record for entry in catalogue.find()]


def finish(daemon, office) -> None:
    daemon.loop.take(ev.StopRequested(office.world.now()))
    daemon.stop()


def test_reload_takes_settings_at_once_and_devices_when_idle(tmp_path):
    daemon, office, config = small_office(
        tmp_path, "09:00:10 front-desk inbound number=0311112222 answer=5 talk=60\n"
    )
    daemon.start()
    run_to(daemon, office, 30)
    path = tmp_path / "recorderd.toml"
    text = path.read_text().replace("demo-office", "other-office")
    path.write_text(text.replace("pre_roll_ms", "#").replace(
        "near_channel = 1\n", "near_channel = 1\npre_roll_ms = 3000\n"))  # fmt: skip
    daemon.loop.take(ev.ReloadRequested(office.world.now()))
    assert daemon._waiting is not None  # the card's ring changes: it waits for the call to end
    run_to(daemon, office, 120)
    assert daemon._waiting is None
    finish(daemon, office)
    (record,) = filed(config)
    assert record["site"] == "demo-office"
    assert record["gaps"] == []
    assert daemon._config.site.name == "other-office"


def test_a_recorder_that_breaks_down_in_a_call_leaves_at_once_and_says_so(tmp_path):
    daemon, office, config = small_office(
        tmp_path, "09:00:10 front-desk inbound number=0311112222 answer=5 talk=60\n"
    )
    daemon.start()
    run_to(daemon, office, 30)
    pumps = []
    pump = daemon._disk.pump
    daemon._disk.pump = lambda: (pumps.append(1), pump())
    daemon.stop()  # with no word from the control loop, which is broken
    assert len(pumps) < 10
    again, office, config = small_office(tmp_path, "")
    again.start()
    assert again._recovered.cut
    finish(again, office)
    (record,) = filed(config)
    assert record["audio"]["frames"] > 12 * 8000
    entries = (tmp_path / "recordings" / "ledger").rglob("*")
    text = "".join(path.read_text("utf-8", "replace") for path in entries if path.is_file())
    assert '"after_crash":true' in text


def test_the_record_names_the_announcement_that_was_played(tmp_path):
    """A reload that waits for a call has read another file of the same name already."""
    old, new = (SHIPPED / name for name in ("notice-en.wav", "notice-ja.wav"))
    shutil.copy(old, tmp_path / "own.wav")
    own = demo.CONFIG.replace('outbound = "notice-en.wav"', 'outbound = "own.wav"')
    script = """
        09:00:10 front-desk inbound number=0311112222 answer=5 talk=70
        09:00:40 back-office outbound dial=0322223333 talk=20
        09:02:40 back-office outbound dial=0322223333 talk=20
    """
    daemon, office, config = small_office(tmp_path, script, own)
    daemon.start()
    run_to(daemon, office, 30)
    shutil.copy(new, tmp_path / "own.wav")
    path = tmp_path / "recorderd.toml"
    path.write_text(path.read_text().replace(
        "near_channel = 1\n", "near_channel = 1\npre_roll_ms = 3000\n"))  # fmt: skip
    daemon.loop.take(ev.ReloadRequested(office.world.now()))
    assert daemon._waiting is not None
    run_to(daemon, office, 240)
    finish(daemon, office)
    notices = [each["notice"] for each in filed(config)[::-1] if each["line"] == "back-office"]
    clips = [load_clip(str(each), SHIPPED) for each in (old, new)]
    for notice, clip in zip(notices, clips, strict=True):
        assert notice["sha256"] == clip.sha256
        assert notice["frames"] == pytest.approx(clip.frames * 8000 / clip.rate_hz, abs=1)
        assert notice["heard"] is True


def test_a_wrong_reload_changes_nothing_and_is_an_alarm(tmp_path):
    daemon, office, _ = small_office(tmp_path, "")
    daemon.start()
    before = daemon._config
    (tmp_path / "recorderd.toml").write_text("[site]\nnmae = 1\n")
    daemon.loop.take(ev.ReloadRequested(office.world.now()))
    assert daemon._config is before
    assert any("nmae" in alarm for alarm in daemon.status.alarms())
    (tmp_path / "recorderd.toml").write_text(demo.CONFIG.replace("office-day.line", "small.line"))
    daemon.loop.take(ev.ReloadRequested(office.world.now()))
    assert daemon.status.alarms() == []
    finish(daemon, office)


def test_a_line_that_is_built_anew_begins_without_the_old_ones_alarms(tmp_path):
    """Who takes out a dead modem, or mends a pin, and reloads: nobody would take those back."""
    daemon, office, _ = small_office(tmp_path, "")
    daemon.start()
    now = office.world.now()
    run_to(daemon, office, 5)
    for event in (
        ev.DriverLost(now, "modem", "front-desk", "unplugged"),
        ev.LineFaulted(now, "front-desk", "hook-chatter", "300 edges"),
        ev.NoticeEnded(now, "front-desk", "x", completed=False, failed=True, reason="no card"),
    ):
        daemon.status.take(event)
    assert len(daemon.status.alarms()) == 3
    path = tmp_path / "recorderd.toml"
    tree = path.read_text()
    text = tree.replace('[line.modem]\ndriver = "sim"\n', "", 1)
    assert text != tree
    start = text.index("[line.announcement]")
    text = text[:start] + text[text.index("[[line]]", start) :]
    path.write_text(text)
    daemon.loop.take(ev.ReloadRequested(now))
    run_to(daemon, office, 10)
    assert daemon.status.alarms() == []
    front = daemon.status.as_json(daemon.loop.reading)["lines"]["front-desk"]
    assert front["devices"] == {"card": "ready", "hook": "ready"}
    finish(daemon, office)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('directory = "recordings"', 'directory = "elsewhere"', "storage.directory"),
        ('name = "back-office"', 'name = "upstairs"', "simulated office"),
        ('time_zone = "Asia/Tokyo"', 'time_zone = "UTC"', "site.time_zone"),
        ('script = "small.line"', 'script = "office-day.line"', "simulation"),
    ],
)
def test_what_needs_a_restart_is_refused_and_said(tmp_path, old, new, why):
    daemon, office, _ = small_office(tmp_path, "")
    daemon.start()
    before = daemon._config
    path = tmp_path / "recorderd.toml"
    path.write_text(path.read_text().replace(old, new))
    daemon.loop.take(ev.ReloadRequested(office.world.now()))
    assert daemon._config is before
    assert daemon._waiting is None
    assert any(why in alarm and "restart" in alarm for alarm in daemon.status.alarms())
    finish(daemon, office)


def test_changed_lines_are_those_whose_devices_differ(tmp_path):
    _, _, config = small_office(tmp_path, "")
    path = tmp_path / "recorderd.toml"
    path.write_text(path.read_text().replace('inbound = "notice-ja.wav"', 'inbound = ""'))
    assert changed_lines(config, load(path)) == []
    path.write_text(path.read_text().replace('[line.modem]\ndriver = "sim"\n', "", 1))
    assert changed_lines(config, load(path)) == ["front-desk"]


def test_stop_in_mid_call_keeps_it(tmp_path):
    daemon, office, config = small_office(
        tmp_path, "09:00:10 front-desk inbound number=0311112222 answer=5 talk=60\n"
    )
    daemon.start()
    run_to(daemon, office, 40)
    finish(daemon, office)
    (record,) = filed(config)
    assert record["cut"]
    assert record["disposition"] == "recorded"
    assert "stopped" in record["reason"]
    assert record["audio"]["frames"] > 20 * 8000


def test_a_call_that_the_start_cannot_file_is_an_alarm_and_is_filed_while_it_runs(tmp_path):
    script = "09:00:10 front-desk inbound number=0311112222 answer=5 talk=60\n"
    daemon, office, config = small_office(tmp_path, script)
    daemon.start()
    run_to(daemon, office, 40)
    daemon._books.close_catalogue()
    daemon._held.close()  # it died
    daemon, office, config = small_office(tmp_path, "")
    with patch.object(codec, "verify_segment", lambda *_: False):
        daemon.start()
        assert filed(config) == []
        run_to(daemon, office, 3)
        (alarm,) = daemon.status.alarms()
        assert alarm.startswith("recovery: not filed yet: 1 call from before the start")
        assert "0311112222" not in alarm
        run_to(daemon, office, 130)
        assert daemon.status.alarms() == [alarm]
    run_to(daemon, office, 200)
    assert daemon.status.alarms() == []
    (record,) = filed(config)
    assert record["cut"]
    assert record["audio"]["frames"] > 20 * 8000
    finish(daemon, office)


def test_a_clip_that_cannot_be_played_can_forbid_the_recording(tmp_path):
    text = demo.CONFIG.replace(
        'inbound = "notice-ja.wav"', 'inbound = "notice-ja.wav"\nif_not_played = "do-not-record"'
    )
    daemon, office, config = small_office(
        tmp_path,
        '09:00:05 "Demo card" card lost\n'
        "09:00:10 front-desk inbound number=0311112222 answer=5 talk=20\n"
        '09:00:20 "Demo card" card back\n',
        text,
    )
    daemon.start()
    run_to(daemon, office, 60)
    finish(daemon, office)
    (record,) = filed(config)
    assert record["disposition"] == "not-recorded"
    assert "announcement could not be played" in record["reason"]
    assert record["segments"] == []


def test_a_card_that_gives_nothing_leaves_a_reason(tmp_path):
    daemon, office, config = small_office(
        tmp_path,
        '09:00:02 "Demo card" card lost\n09:00:40 front-desk outbound dial=1 by=tone talk=5\n',
    )
    daemon.start()
    run_to(daemon, office, 90)
    finish(daemon, office)
    (record,) = filed(config)
    assert record["disposition"] == "not-recorded"
    assert "gave no audio" in record["reason"]


class CountingWatchdog(ServiceManager):
    def __init__(self):
        self.fed = 0

    def alive(self):
        self.fed += 1

    def ready(self, status): ...
    def stopping(self): ...


class StandingWriter(InlineWorker):
    stands = False

    def tick(self):
        if not self.stands:
            super().tick()


def test_the_watchdog_is_fed_only_while_the_writer_moves(tmp_path):
    _, office, config = small_office(tmp_path, "")
    watchdog = CountingWatchdog()
    daemon = Daemon(config, office, watchdog, StandingWriter, InlineWorker)
    daemon.start()
    run_to(daemon, office, 20)
    fed = watchdog.fed
    assert fed >= 15
    daemon._writer.stands = True
    run_to(daemon, office, 60)
    assert watchdog.fed - fed <= 10  # it may stand for 8 s
    daemon._writer.stands = False
    run_to(daemon, office, 70)
    assert watchdog.fed - fed >= 15
    finish(daemon, office)


def test_the_watchdog_is_fed_only_while_cards_that_say_so_deliver(tmp_path):
    _, office, config = small_office(tmp_path, '09:00:30 "Demo card" card lost\n')
    watchdog = CountingWatchdog()
    daemon = Daemon(config, office, watchdog, InlineWorker, InlineWorker)
    daemon.start()
    run_to(daemon, office, 60)
    assert watchdog.fed >= 45  # every 1.2 s: a card that is known to be lost restarts nobody
    (card,) = daemon._actors.cards.values()
    daemon.loop.take(ev.DriverReady(office.world.now(), "card", card.name))
    fed = watchdog.fed
    run_to(daemon, office, 90)
    assert watchdog.fed - fed <= 4  # but one that says it delivers, and does not, does
    finish(daemon, office)


def test_a_writer_that_fails_ends_the_daemon(tmp_path):
    daemon, office, _ = small_office(tmp_path, "")
    daemon.start()
    daemon._writer.failure = RuntimeError("broken")
    with pytest.raises(RuntimeError, match="broken"):
        run_to(daemon, office, 5)
    daemon._writer.failure = None
    finish(daemon, office)


# ---------------------------------------------------------------- the state directory


def test_a_state_directory_that_is_missing_is_not_made(tmp_path):
    daemon, _, config = small_office(tmp_path, "")
    config.storage.directory.rmdir()
    with pytest.raises(StoreError, match="create it"):
        daemon.start()
    assert not config.storage.directory.exists()


def test_a_state_directory_that_is_a_file(tmp_path):
    _, _, config = small_office(tmp_path, "")
    config.storage.directory.rmdir()
    config.storage.directory.write_text("")
    with pytest.raises(StoreError, match="not there"):
        prepare_directory(config.storage)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.parametrize("options", ["size=64k", "ro"])
def test_a_full_or_read_only_disk_is_named(tmp_path, options):
    mount = tmp_path / "recordings"
    _, _, config = small_office(tmp_path, "")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", mount], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        if options != "ro":
            with pytest.raises(OSError, match="No space"):
                (mount / "filler").write_bytes(bytes(1 << 20))
        with pytest.raises(StoreError, match=r"recordings.*(full|read-only)"):
            prepare_directory(config.storage)
    finally:
        subprocess.run(["umount", mount], check=True)
    shutil.rmtree(mount)


def test_two_recorders_do_not_share_a_directory(tmp_path):
    daemon, office, config = small_office(tmp_path, "")
    daemon.start()
    second = Daemon(config, VirtualOffice(config, 32), ServiceManager(), InlineWorker, InlineWorker)
    with pytest.raises(StoreError, match="another recorderd"):
        second.start()
    finish(daemon, office)
