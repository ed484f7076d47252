"""Retention in the whole recorder, in virtual time, and by the commands that people give."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace

import pytest

from recorderd import events as ev
from recorderd.cli import demo
from recorderd.cli.hold import WHY_CHARACTERS
from recorderd.cli.main import main
from recorderd.store.boxtime import NAME as AGE
from recorderd.store.boxtime import load_age, save_age
from tests.daemon.test_virtual_day import filed, finish, run_to, small_office
from tests.store.shelf import is_erased, is_whole, where_found

HOUR_S = 3600
NUMBERS = ("0312345678", "0387654321")
SCRIPT = (
    f"09:00:10 front-desk inbound number={NUMBERS[0]} answer=5 talk=10\n"
    f"09:01:10 back-office inbound number={NUMBERS[1]} answer=5 talk=10\n"
)


def office_in(folder, script=SCRIPT):
    """An office that keeps the front desk's calls for a day, those of the back office for two."""
    text = demo.CONFIG.replace('name = "back-office"', 'name = "back-office"\nretention = "long"')
    text = re.sub(r"\[storage\]\n", "[storage]\nretention_days = 1\nfree_min_mb = 50\n", text)
    return small_office(folder, script, text + '[[retention]]\nname = "long"\ndays = 2\n')


def let_time_pass(directory, hours):
    """As if the recorder had run for so long before it was stopped."""
    state = load_age(directory)
    save_age(directory, replace(state, reached=state.reached + round(hours * HOUR_S * 1e9)))


@pytest.fixture
def past(tmp_path, capsys, monkeypatch):
    """Two calls, and `recorderd …` in their office."""
    daemon, office, config = office_in(tmp_path)
    daemon.start()
    run_to(daemon, office, 300)
    finish(daemon, office)
    monkeypatch.setenv("RECORDERD_CONFIG", str(tmp_path / "recorderd.toml"))
    monkeypatch.setenv("SUDO_USER", "tanaka")
    monkeypatch.setenv("COLUMNS", "200")

    def say(*arguments):
        code = main(list(arguments))
        out = capsys.readouterr()
        return code, out.out + out.err

    records = {record["line"]: record for record in filed(config)}
    return config, records, say


def test_calls_are_erased_when_their_class_s_days_are_over(tmp_path):
    daemon, office, config = office_in(tmp_path)
    directory = config.storage.directory
    daemon.start()
    run_to(daemon, office, 300)
    folders = {
        record["line"]: next(directory.glob(f"calls/*/*/*/{record['id']}"))
        for record in filed(config)
    }
    front = json.loads((folders["front-desk"] / "call.json").read_text("utf-8"))
    back = json.loads((folders["back-office"] / "call.json").read_text("utf-8"))
    assert (front["retention"], back["retention"]) == ("standard", "long")
    assert back["clock"]["box_time_s"] - front["clock"]["box_time_s"] == 60
    finish(daemon, office)
    let_time_pass(directory, 23.5)
    daemon, office, _ = office_in(tmp_path, "")
    daemon.start()
    run_to(daemon, office, 600)
    assert is_whole(folders["front-desk"])
    run_to(daemon, office, 1.5 * HOUR_S)
    assert is_erased(folders["front-desk"])
    assert is_whole(folders["back-office"])
    assert where_found(directory, NUMBERS[0]) == []
    assert where_found(directory, NUMBERS[1]) != []
    disk = daemon.status.as_json(office.clock.reading())["disk"]
    assert disk["free_mb"] > 0
    assert daemon.status.alarms() == []
    finish(daemon, office)


def test_a_start_goes_on_with_the_time_that_was_counted(tmp_path):
    daemon, office, config = office_in(tmp_path, "")
    daemon.start()
    run_to(daemon, office, 2 * HOUR_S)
    finish(daemon, office)
    reached = load_age(config.storage.directory).reached
    daemon, office, _ = office_in(tmp_path, "")
    daemon.start()
    assert load_age(config.storage.directory).reached >= reached
    finish(daemon, office)
    (config.storage.directory / AGE).write_text("{")
    daemon, office, _ = office_in(tmp_path, "")
    daemon.start()
    finish(daemon, office)
    assert load_age(config.storage.directory) is not None


def test_an_alarm_of_the_store_is_in_the_status_within_two_seconds(tmp_path):
    daemon, office, config = office_in(tmp_path, "")
    daemon.start()
    run_to(daemon, office, 10)
    text = "400 MB free, below free_min_mb = 500; looking for what may be erased"
    daemon.loop.take(ev.StoreAlarm(office.world.now(), "disk", text))
    run_to(daemon, office, 12)
    found = json.loads((config.storage.directory / "status.json").read_text("utf-8"))
    assert found["alarms"] == [f"disk: {text}"]
    daemon.loop.take(ev.StoreAlarm(office.world.now(), "disk", None))
    run_to(daemon, office, 14)
    found = json.loads((config.storage.directory / "status.json").read_text("utf-8"))
    assert found["alarms"] == []
    finish(daemon, office)


# ------------------------------------------------------------ commands


def test_hold_and_release(past):
    config, records, say = past
    front, back = (records[line]["id"] for line in ("front-desk", "back-office"))
    code, said = say("hold", front[:8], back, "--why", "police asked")
    assert (code, said) == (0, f"{front}: held\n{back}: held\n")
    code, said = say("show", front)
    assert "by tanaka, 20" in said
    assert "police asked" in said
    listed = json.loads(say("calls", "--json")[1])
    assert [record["held"] for record in listed] == [True, True]
    assert "held" in say("calls")[1]
    code, said = say("hold", front, "--why", "again")
    assert code == 2
    assert "held already" in said
    assert say("release", front, "--why", "over")[0] == 0
    assert json.loads(say("show", front, "--json")[1])["held"] is False
    code, said = say("release", front, "--why", "over")
    assert code == 2
    assert "not held" in said
    code, said = say("hold", front, "zzzz", "--why", "x")  # all or none
    assert code == 2
    assert "no call has this id" in said
    assert json.loads(say("show", front, "--json")[1])["held"] is False
    for why in (" ", "x" * (WHY_CHARACTERS + 1)):
        code, said = say("hold", front, "--why", why)
        assert code == 2
        assert "--why: " in said
    lines = b"".join(
        path.read_bytes() for path in (config.storage.directory / "ledger/desk").iterdir()
    )
    assert b'"who":"tanaka","why":"police asked"' in lines


def test_show_and_calls_tell_of_an_erased_call(past, tmp_path):
    config, records, say = past
    let_time_pass(config.storage.directory, 49)
    daemon, office, _ = office_in(tmp_path, "")
    assert say("hold", records["back-office"]["id"], "--why", "police asked")[0] == 0
    daemon.start()
    run_to(daemon, office, 0.5 * HOUR_S)
    finish(daemon, office)
    front = records["front-desk"]["id"]
    code, said = say("show", front)
    assert code == 0
    assert "by the rule of age: 1 days" in said
    assert NUMBERS[0] not in said
    said = say("calls")[1]
    assert "(erased)" in said
    assert "erased on 20" in said
    assert NUMBERS[1] in said
    (record,) = [each for each in json.loads(say("calls", "--json")[1]) if each["id"] == front]
    assert record["erased"]["rule"] == "age"
    assert record["caller"]["number"] is None
    code, said = say("hold", front, "--why", "too late")
    assert code == 2
    assert "was erased on" in said
    assert say("recover", "--rebuild")[0] == 0
    assert json.loads(say("calls", "--json", "--number", NUMBERS[0])[1]) == []
    assert "erased on 20" in say("calls")[1]


def test_status_tells_how_full_the_disk_is(past):
    config, _, say = past
    assert re.search(r"disk: \d+ MB free", say("status")[1])
    path = config.storage.directory / "status.json"
    found = json.loads(path.read_text("utf-8"))
    found["disk"] = {"free_mb": 700, "used_mb_per_day": 12.5, "full_on": "2027-01-15"}
    path.write_text(json.dumps(found), "utf-8")
    assert "disk: 700 MB free, calls take 12.5 MB a day, full on 2027-01-15" in say("status")[1]
    found["disk"]["full_on"] = None
    path.write_text(json.dumps(found), "utf-8")
    assert "calls take 12.5 MB a day, never full at this rate" in say("status")[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what is another's")
def test_what_root_commands_write_belongs_to_the_recorder(past):
    config, records, say = past
    directory = config.storage.directory
    for path in (directory, *directory.rglob("*")):
        os.chown(path, 1234, 1234)
    assert say("hold", records["front-desk"]["id"], "--why", "police asked")[0] == 0
    owners = {path.stat().st_uid for path in directory.rglob("*") if "sqlite" not in path.name}
    assert owners == {1234}
