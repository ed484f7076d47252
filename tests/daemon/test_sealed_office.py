"""An office that seals, from its configuration to the supervisor's command line."""

from __future__ import annotations

import json
import subprocess
import sys
import wave

import pytest

from recorderd import events as ev
from recorderd.cli import demo
from recorderd.cli.main import main
from recorderd.core import chain
from recorderd.seal.vault import keys_in
from recorderd.store.ledger import chain_lines
from tests.daemon.test_virtual_day import filed, finish, run_to, small_office

DAY = """\
09:00:10 front-desk inbound number=0311112222 answer=5 talk=20
09:01:10 back-office inbound number=0311113333 answer=5 talk=5
"""
NUMBERS = ("0311112222", "0311113333")


def recipient_of(path):
    return path.read_text("ascii").split("# public key: ")[1].split("\n")[0]


def sealing(*keys):
    """The demo's configuration, sealing to the owners of key files."""
    texts = ", ".join(f'"{recipient_of(path)}"' for path in keys)
    return demo.CONFIG.replace("[simulation]", f"[seal]\nrecipients = [{texts}]\n\n[simulation]")


@pytest.fixture
def keys(tmp_path, capsys):
    """Key files as `recorderd keys new` makes them."""
    folder = tmp_path / "safe"
    folder.mkdir()
    made = [folder / f"{name}.txt" for name in ("head", "deputy", "next")]
    for path in made:
        assert main(["keys", "new", "--to", str(path)]) == 0
        assert recipient_of(path) in capsys.readouterr().out
    return made


@pytest.fixture
def office(tmp_path, keys):
    """Two calls, recorded and sealed to the first two; gives how to run a command."""
    daemon, world, config = small_office(tmp_path, DAY, sealing(*keys[:2]))
    daemon.start()
    run_to(daemon, world, 150)
    finish(daemon, world)
    assert [record["disposition"] for record in filed(config)] == ["recorded"] * 2
    return config


def command(office, capsys, *words):
    code = main([*map(str, words), "--config", str(office.path)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def place_of(office, call_id):
    (folder,) = office.storage.directory.glob(f"calls/*/*/*/*{call_id}*")
    return folder


def test_new_keys_are_for_the_supervisor_alone(keys, capsys):
    for path in keys:
        assert path.stat().st_mode & 0o777 == 0o600
    before = keys[0].read_text()
    assert main(["keys", "new", "--to", str(keys[0])]) == 2
    assert "there is a file already" in capsys.readouterr().err
    assert keys[0].read_text() == before


def test_a_key_that_cannot_be_written_is_told(tmp_path, capsys):
    assert main(["keys", "new", "--to", str(tmp_path / "gone" / "key.txt")]) == 1
    assert "create the directory" in capsys.readouterr().err


def test_no_file_of_the_box_holds_a_number(office):
    for path in office.storage.directory.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [n for n in NUMBERS if n.encode() in content or n in path.name], path


def test_calls_are_found_by_number_and_shown_as_sealed(office, capsys):
    code, out, _ = command(office, capsys, "calls", "--number", "+81 3 1111 2222")
    assert code == 0
    assert "(sealed)" in out
    assert "1 call\n" in out
    assert "no calls" in command(office, capsys, "calls", "--number", "0311119999")[1]


def test_show_opens_a_call_for_its_supervisor(office, keys, capsys):
    (record,) = json.loads(command(office, capsys, "calls", "--json", "--number", "2222")[1])
    code, out, _ = command(office, capsys, "show", record["id"])
    assert (code, "0311112222" in out, "--identity" in out) == (0, False, True)
    for key in keys[:2]:
        shown = command(office, capsys, "show", record["id"], "--identity", key)[1]
        assert "0311112222" in shown
    code, out, err = command(office, capsys, "show", record["id"], "--identity", keys[2])
    assert (code, out) == (1, "")
    assert "this identity does not open it" in err
    shown = command(office, capsys, "show", record["id"], "--identity", keys[0], "--json")[1]
    assert json.loads(shown)["caller"]["number"] == "0311112222"


def test_json_gives_a_sealed_record_as_its_folder_has_it(office, capsys):
    """The catalogue leaves out what a search does not need."""
    calls = json.loads(command(office, capsys, "calls", "--json")[1])
    assert len(calls) == 2
    for call in calls:
        shown = json.loads(command(office, capsys, "show", call["id"], "--json")[1])
        folder = place_of(office, call["id"])
        assert call == shown == {**json.loads((folder / "call.json").read_text()), "held": False}
        assert set(call["sealed"]) == {"party", "vault", "numbers"}


def test_a_sealed_record_that_cannot_be_read_does_not_hide_the_others(office, capsys):
    good, bad = json.loads(command(office, capsys, "calls", "--json")[1])
    file = place_of(office, bad["id"]) / "call.json"
    file.write_bytes(b"{")
    code, out, err = command(office, capsys, "calls", "--json")
    bad["sealed"] = {"vault": bad["sealed"]["vault"]}
    assert (code, json.loads(out)) == (0, [good, bad])
    assert err.startswith(f"{file}: not JSON")
    code, out, err = command(office, capsys, "show", bad["id"], "--json")
    assert (code, out) == (1, "")
    assert f"{file}: not JSON" in err
    assert "(sealed)" in command(office, capsys, "show", bad["id"])[1]


def test_keys_test_says_what_a_key_opens(office, keys, capsys):
    code, out, _ = command(office, capsys, "keys", "test", "--identity", keys[0])
    assert (code, out) == (
        0,
        "opens calls that are sealed from now on\nopens 2 of the 2 sealed calls in the vault\n",
    )
    code, out, _ = command(office, capsys, "keys", "test", "--identity", keys[2])
    assert (code, out) == (
        1,
        "does NOT open calls that are sealed from now on\nopens 0 of the 2 sealed calls in the vault\n",
    )


def test_rotation(office, keys, capsys):
    """The deputy leaves: her key opens nothing any more, the next one's opens all."""
    office.path.write_text(sealing(keys[0], keys[2]), "utf-8")
    before = [path.read_bytes() for path in keys_in(office.storage.directory)]
    for _ in range(2):
        code, out, _ = command(office, capsys, "rewrap", "--identity", keys[0])
        assert (code, out) == (0, "2 of 2 sealed calls can be opened by the 2 recipients\n")
    after = [path.read_bytes() for path in keys_in(office.storage.directory)]
    assert not set(before) & set(after)
    opened = [
        command(office, capsys, "keys", "test", "--identity", key)[1].splitlines()[1][6:7]
        for key in keys
    ]
    assert opened == ["2", "0", "2"]
    entries = list(chain.walk(chain_lines(office.storage.directory / "ledger/desk")))
    rewrapped = [entry.data for entry in entries if entry.kind == "rewrapped"]
    assert rewrapped[0]["recipients"] == [recipient_of(keys[0]), recipient_of(keys[2])]
    assert (rewrapped[0]["keys"], rewrapped[0]["unopened"]) == (2, 0)


def test_a_rewrap_with_another_s_key_changes_nothing_and_fails(office, keys, capsys):
    before = [path.read_bytes() for path in keys_in(office.storage.directory)]
    code, _, err = command(office, capsys, "rewrap", "--identity", keys[2])
    assert code == 1
    assert "2 keys are not opened by this identity" in err
    assert [path.read_bytes() for path in keys_in(office.storage.directory)] == before


def test_a_bundle_stays_sealed_without_a_supervisor_and_opens_with_one(
    office, keys, tmp_path, capsys
):
    (record,) = json.loads(command(office, capsys, "calls", "--json", "--number", "2222")[1])
    closed, opened = tmp_path / "closed", tmp_path / "opened"
    assert command(office, capsys, "export", record["id"], "--to", closed)[0] == 0
    assert not [
        path for path in closed.rglob("*") if path.is_file() and b"0311112222" in path.read_bytes()
    ]
    code, out, _ = command(
        office, capsys, "export", record["id"], "--to", opened, "--identity", keys[1]
    )
    assert code == 0
    assert "sealed calls that are open in it: 1; the ledger says so" in out
    entries = chain.walk(chain_lines(office.storage.directory / "ledger/desk"))
    exported = [entry.data["sealed_opened"] for entry in entries if entry.kind == "exported"]
    assert exported == [0, 1]
    assert "0311112222" in (opened / "report.html").read_text("utf-8")
    with wave.open(str(opened / "joined.wav")) as joined:
        assert joined.getnframes() == record["audio"]["frames"]
    code, _, err = command(
        office, capsys, "export", record["id"], "--to", tmp_path / "x", "--identity", keys[2]
    )
    assert code == 1
    assert "this identity does not open it" in err
    for what in (closed, opened, "--all"):
        code, out, err = command(office, capsys, "verify", what)
        assert code == 0, out + err


def test_commands_for_keys_where_nothing_is_sealed(tmp_path, keys, capsys):
    _, _, config = small_office(tmp_path, "")
    code, _, err = command(config, capsys, "keys", "test", "--identity", keys[0])
    assert code == 2
    assert "there is no table [seal]" in err


def test_sealing_is_switched_on_by_a_reload(tmp_path, keys):
    daemon, world, config = small_office(tmp_path, DAY)
    daemon.start()
    run_to(daemon, world, 55)
    config.path.write_text(sealing(*keys[:2]).replace("office-day.line", "small.line"), "utf-8")
    daemon.loop.take(ev.ReloadRequested(world.world.now()))
    assert daemon.status.alarms() == []
    run_to(daemon, world, 150)
    finish(daemon, world)
    assert sorted(record["sealed"] is not None for record in filed(config)) == [False, True]


def test_check_says_that_calls_are_sealed(tmp_path, keys, capsys):
    _, _, config = small_office(tmp_path, "", sealing(*keys[:2]))
    assert command(config, capsys, "check")[1].splitlines()[1] == (
        "every call is sealed to 2 recipients"
    )


def test_a_recorder_that_does_not_seal_never_loads_the_library(tmp_path):
    small_office(tmp_path, "")
    program = (
        "import sys; from recorderd.cli.main import main; import recorderd.daemon, recorderd.cli.run;"
        "main(['calls', '--config', sys.argv[1]]); assert 'pyrage' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", program, tmp_path / "recorderd.toml"],
        check=True,
        capture_output=True,
    )
