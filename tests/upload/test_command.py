"""`recorderd upload` as a person and as the service manager run it, on a folder as the archive."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from recorderd.cli.main import main
from recorderd.runtime import clock as clock_module
from recorderd.upload.uploader import RETRY_MARK
from tests.store.calls import SITE
from tests.upload.box import OFFICE

ARCHIVE = """
[archive]
url = "file://{folder}"
"""


@pytest.fixture
def office(make_box, tmp_path):
    """A box with three calls, and a folder that is its archive."""
    box = make_box(3)
    box.folder = tmp_path / "nas"
    box.folder.mkdir()
    (box.folder / "recorderd-archive").touch()
    box.config = tmp_path / "recorderd.toml"
    text = OFFICE.format(site=SITE.name, directory=box.directory)
    box.config.write_text(text + ARCHIVE.format(folder=box.folder))
    return box


def run(office, *arguments):
    return main([*arguments, "--config", str(office.config)])


def test_once_uploads_all_and_says_so(office, capsys):
    assert run(office, "upload", "--once") == 0
    assert capsys.readouterr().out == "3 calls uploaded, 0 waiting, 0 parked\n"
    assert len(list(office.folder.rglob("call.json"))) == 3
    assert run(office, "verify", "--archive", "--all") == 0
    assert "the archive holds all of 3 calls" in capsys.readouterr().out


def test_an_archive_that_is_not_there_is_told_and_loses_nothing(office, capsys):
    (office.folder / "recorderd-archive").unlink()
    assert run(office, "upload", "--once") == 1
    out = capsys.readouterr().out
    assert "0 calls uploaded, 3 waiting, 0 parked" in out
    assert "is the archive mounted?" in out


def test_status_shows_what_waits(office, capsys):
    (office.directory / "status.json").write_text(
        json.dumps({"at": "2026-11-23T18:45:00.000+09:00", "lines": {}, "alarms": []})
    )
    run(office, "upload", "--once")
    run(office, "status", "--json")
    found = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert found["upload"]["uploaded"] == 3
    assert found["upload"]["waiting"] == 0
    run(office, "status")
    assert "archive: nothing more to upload, 0 calls waiting" in capsys.readouterr().out


def test_the_heartbeat_has_the_recorders_word_of_the_clock(office, monkeypatch):
    """The uploader's unit may not ask the kernel, and chrony leaves no other mark."""
    libc = SimpleNamespace(adjtimex=lambda _buffer: -1)
    refused = SimpleNamespace(CDLL=lambda *_, **_named: libc, create_string_buffer=bytearray)
    monkeypatch.setattr(clock_module, "ctypes", refused)
    monkeypatch.setattr(clock_module, "_TIMESYNCD", office.folder / "no-mark")
    told = {"at": datetime.now(UTC).isoformat(), "alarms": [], "clock_synchronised": True}
    (office.directory / "status.json").write_text(json.dumps(told), "utf-8")
    assert run(office, "upload", "--once") == 0
    (beat,) = office.folder.rglob("heartbeat.json")
    assert json.loads(beat.read_text("utf-8"))["clock_synchronised"] is True


def test_status_misses_an_uploader_that_never_ran(office, capsys):
    (office.directory / "status.json").write_text(
        json.dumps({"at": "2026-11-23T18:45:00.000+09:00", "lines": {}, "alarms": []})
    )
    assert run(office, "status", "--json") == 1
    alarms = json.loads(capsys.readouterr().out)["alarms"]
    assert any("systemctl enable --now recorderd-upload" in alarm for alarm in alarms)


def test_without_an_archive_in_the_configuration(office, capsys):
    office.config.write_text(OFFICE.format(site=SITE.name, directory=office.directory))
    assert run(office, "upload") == 78
    assert "no table headed [archive]" in capsys.readouterr().err


def test_retry_leaves_word_for_the_uploader(office):
    assert run(office, "upload", "--retry") == 0
    assert (office.directory / RETRY_MARK).exists()


def test_as_a_service(office, tmp_path):
    """Ready, uploading, a call that comes later, and a stop that is in the ledger."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        process = subprocess.Popen(
            [sys.executable, "-m", "recorderd", "upload", "--config", office.config],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
            stderr=subprocess.PIPE,
        )
        try:
            assert manager.recv(4096).startswith(b"READY=1")
            until = time.monotonic() + 60
            while len(list(office.directory.rglob("receipt.json"))) < 3:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)  # of a process outside, which tells nobody
            process.send_signal(signal.SIGTERM)
            assert manager.recv(4096) == b"STOPPING=1"
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert errors == b""
    chain = (office.directory / "ledger/uploader/000000000000.jsonl").read_text("utf-8")
    assert chain.splitlines()[-2].count('"kind":"stopped"') == 1
    assert chain.splitlines()[-1].count('"kind":"checkpoint"') == 1
