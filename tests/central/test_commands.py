"""`recorderd archive …` as people type it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from recorderd.archive.layout import heartbeat_key
from recorderd.cli.main import main
from recorderd.core.numbers import index_keys
from recorderd.seal.searchkey import hashed
from tests.central.offices import a_row, erased, folder_target, land
from tests.central.test_sites import a_beat

KEY = b"k" * 32


@pytest.fixture
def office(top, monkeypatch):
    """An archive with a configuration that holds nothing else; gives a way to run a command."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("COLUMNS", "160")
    target = folder_target(top / "archive")
    config = top / "central.toml"
    config.write_text(f'[archive]\nurl = "file://{top / "archive"}"\n')

    def run(command, *arguments):
        return main(["archive", command, "--config", str(config), *arguments])

    run.target = target
    return run


def test_compact_says_what_it_did(office, capsys):
    land(office.target, [a_row("c1"), a_row("c2")])
    assert office("compact") == 0
    out = capsys.readouterr().out
    assert out == "2 rows of 1 batch taken in, 0 merges, 0 old files removed\n"


def test_too_little_memory_is_told_with_its_mend(office, capsys):
    land(office.target, [a_row(f"c{call}") for call in range(2000)])
    assert office("compact", "--memory-mb", "1") == 1
    assert "`recorderd archive compact --memory-mb` gives it more" in capsys.readouterr().err
    assert office("compact") == 0
    assert "2,000 rows of 1 batch taken" in capsys.readouterr().out


def test_a_bad_batch_is_an_exit_of_1(office, capsys):
    key = land(office.target, [{**a_row("c1"), "revision": -1}, a_row("c2")])
    assert office("compact") == 1
    told = capsys.readouterr()
    assert f"osaka: {key}: row 1: revision is out of range; look at that box's" in told.err
    assert "1 problem" in told.out


def test_a_search_for_people(office, capsys):
    land(office.target, [a_row("abcdefghij", name="TANAKA [x]"), a_row("c2", number="0399")])
    assert office("search", "--number", "0312345678", "--from", "2026-07-01") == 0
    told = capsys.readouterr()
    assert "abcdefgh  osaka  2026-07-10 10:00:00+09:00  front" in told.out
    assert "TANAKA [x]" in told.out
    assert told.out.endswith("1 call\n")
    assert "1 batch of it not compacted" in told.err
    office("search", "--time-zone", "America/New_York")
    assert "2026-07-09 21:00:00-04:00" in capsys.readouterr().out


def test_a_search_for_programs(office, capsys):
    land(office.target, [a_row("c1"), erased(a_row("c2"))])
    assert office("search", "--json") == 0
    calls = json.loads(capsys.readouterr().out)
    assert [(call["call"], call["number"]) for call in calls] == [
        ("c1", "0312345678"),
        ("c2", None),
    ]
    assert "keys" not in calls[0]


def test_an_erased_call_says_so(office, capsys):
    land(office.target, [erased(a_row("c1"))])
    office("search")
    out = capsys.readouterr().out
    assert "(erased)" in out
    assert "erased on 2026-07-19" in out


def test_control_characters_do_not_reach_the_terminal(office, capsys):
    land(office.target, [a_row("c1", name="\x1b[31mred")])
    office("search")
    assert "\x1b[31m" not in capsys.readouterr().out


def test_sealed_calls_with_a_folder_of_keys(office, top, capsys):
    keys = sorted(hashed(KEY, index_keys("0312345678")))
    land(office.target, [a_row("s1", number=None, sealed=True, keys=keys)])
    office("compact")
    capsys.readouterr()
    office("search", "--number", "0312345678")
    told = capsys.readouterr()
    assert "no calls match" in told.out
    assert "not searched: the sealed calls of osaka (at most 1 in that time)" in told.err
    (top / "keys").mkdir()
    (top / "keys" / "osaka.key").write_text(KEY.hex() + "\n")
    office("search", "--number", "0312345678", "--search-keys", str(top / "keys"))
    told = capsys.readouterr()
    assert "(sealed)" in told.out
    assert "not searched" not in told.err


@pytest.mark.parametrize(
    ("arguments", "text", "code"),
    [
        (("--from", "soon"), "'soon' is no time", 2),
        (("--time-zone", "Mars"), "'Mars' is no time zone", 2),
        (("--search-keys", "x"), "--search-keys goes with --number", 2),
        (("--number", "1", "--search-keys", "/nowhere"), "/nowhere: no such folder", 1),
    ],
)
def test_what_a_search_refuses(office, capsys, arguments, text, code):
    assert office("search", *arguments) == code
    assert text in capsys.readouterr().err


def test_a_wrong_configuration_is_told_with_its_line(top, capsys):
    path = top / "central.toml"
    path.write_text('[archive]\nurl = "nothing"\n')
    assert main(["archive", "sites", "--config", str(path)]) == 78
    assert f"{path}:2: archive.url: not of the form" in capsys.readouterr().err


def test_an_archive_over_sftp_is_searched_where_it_lies(top, capsys):
    path = top / "central.toml"
    key = "AAAAC3NzaC1lZDI1NTE5" + base64.b64encode(b"\0\0\0\x20" + bytes(32)).decode()
    path.write_text(f'[archive]\nurl = "sftp://box@host/folder"\nhost_key = "ssh-ed25519 {key}"\n')
    assert main(["archive", "compact", "--config", str(path)]) == 1
    assert "run this on the server itself" in capsys.readouterr().err


def test_sites_for_people_and_programs(office, capsys, monkeypatch):
    at = datetime.now(UTC)
    well = a_beat("osaka", at=(at - timedelta(minutes=5)).isoformat())
    office.target.replace(heartbeat_key("osaka"), json.dumps(well).encode())
    assert office("sites") == 0
    assert "1 site, 0 not ok" in capsys.readouterr().out
    land(office.target, [a_row("c1", site="nara")])
    office("compact")
    sick = {**well, "site": "kobe", "alarms": ["the card of line front is gone"]}
    office.target.replace(heartbeat_key("kobe"), json.dumps(sick).encode())
    capsys.readouterr()
    monkeypatch.setenv("COLUMNS", "80")
    assert office("sites") == 1
    told = capsys.readouterr().out.splitlines()
    assert "kobe: the card of line front is gone" in told
    assert told[-1] == "3 sites, 2 not ok"
    assert office("sites", "--json") == 1
    found = {site["site"]: site["states"] for site in json.loads(capsys.readouterr().out)}
    assert found == {"osaka": [], "kobe": ["sick"], "nara": ["silent"]}


@pytest.mark.parametrize("name", ["osaka/1", "osaka 1", "大阪", ""])
def test_a_name_that_no_site_has_is_told(office, capsys, name):
    assert office("search", "--site", name) == 2
    assert "no site has such a name" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["compact", "search"])
def test_without_duckdb_the_mend_is_told(office, capsys, monkeypatch, command):
    monkeypatch.setitem(sys.modules, "duckdb", None)  # as where it is not installed
    assert office(command) == 1
    assert "pip install 'recorderd[archive]'" in capsys.readouterr().err


def test_sites_and_verify_need_no_duckdb(office, capsys):
    code = "import sys; sys.modules['duckdb'] = None; import recorderd.cli.archive"
    subprocess.run([sys.executable, "-c", code], check=True)
