"""People and terminals that are not as they should be: wrong keys, lost connections, odd encodings."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recorderd.cli.main import main
from recorderd.config import load
from recorderd.disk import files
from recorderd.doctor import settings
from recorderd.doctor.box import RealBox
from recorderd.runtime.clock import SystemClock
from tests.doctor.test_unattended import status
from tests.doctor.walks import make_box

ROOT = Path(__file__).parent.parent.parent
WITHIN_S = 60


class Seat:
    """The walk at a pseudo terminal; `wait_for` reads until something is shown."""

    def __init__(self, path, **environment):
        self.pid, self._end = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            # As a terminal's shell starts it; tests that run in the background have it ignored.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            words = [sys.executable, "-m", "recorderd", "doctor", "--config", str(path)]
            os.execve(sys.executable, words, {**os.environ, "TERM": "xterm", **environment})
        self.text = ""
        self.code = None

    def wait_for(self, text):
        until = time.monotonic() + WITHIN_S
        while text not in self.text:
            assert time.monotonic() < until, self.text
            ready, _, _ = select.select([self._end], [], [], 1)
            if ready:
                try:
                    more = os.read(self._end, 65536)
                except OSError:  # it has ended
                    more = b""
                assert more, self.text
                self.text += more.decode("utf-8", "replace")

    def type(self, data):
        os.write(self._end, data)

    def hang_up(self):
        """As sshd does when the connection is lost."""
        os.close(self._end)

    def ended(self):
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code


def test_bytes_of_another_encoding_are_no_end_of_the_walk(tmp_path):
    """A terminal that is set to Shift_JIS sends them for a name."""
    seat = Seat(make_box(tmp_path), PYTHONIOENCODING="utf-8:strict")
    seat.wait_for("Your name")
    seat.type(b"\x93c\x92\x86\n")
    seat.wait_for("Is it 20")
    seat.type(b"perhaps\n")
    seat.wait_for("answer y or n")
    seat.type(b"\x03")
    seat.wait_for("Ended. The configuration is as it was.")
    assert seat.ended() == 1


def test_a_terminal_without_japanese_shows_question_marks(tmp_path):
    box = tmp_path / "大阪"
    box.mkdir()
    words = [sys.executable, "-m", "recorderd", "check", "--config", str(make_box(box))]
    done = subprocess.run(
        words,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"/??/recorderd.toml: OK" in done.stdout


@pytest.mark.parametrize("end", ["hang-up", "SIGTERM"])
def test_a_lost_connection_ends_the_walk_as_ctrl_c_does(tmp_path, end):
    path = make_box(tmp_path)
    before = path.read_bytes()
    seat = Seat(path)
    seat.wait_for("Your name")
    seat.type(b"\n")
    seat.wait_for("Is it 20")
    seat.type(b"\n")
    seat.wait_for("Opening them takes a moment.")
    if end == "hang-up":
        seat.hang_up()
    else:
        os.kill(seat.pid, signal.SIGTERM)
        seat.wait_for("Ended. The configuration is as it was.")
    assert seat.ended() > 0  # it came to its end, and was not killed on its way
    assert path.read_bytes() == before
    assert list((tmp_path / "state").iterdir()) == []


def test_an_interrupt_while_the_disk_is_tried_leaves_nothing_there(tmp_path, monkeypatch):
    def interrupted(_descriptor):
        raise KeyboardInterrupt

    box = RealBox(SystemClock())
    monkeypatch.setattr(files.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        box.disk(tmp_path, 1000)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_the_configuration_is_written_leaves_it_whole(tmp_path, monkeypatch):
    """At every sync: the file is as before or as wanted, and nothing half-made lies beside it."""
    path = make_box(tmp_path)
    before = settings.read_settings(path)
    after = before.replace("test-office", "other-office")
    real = os.fsync
    for number in range(20):
        left = [number]

        def interrupted(descriptor, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            real(descriptor)

        path.write_text(before, "utf-8")
        monkeypatch.setattr(files.os, "fsync", interrupted)
        try:
            settings.write_settings(path, before, after)
        except KeyboardInterrupt:
            assert path.read_text("utf-8") in {before, after}
            assert not list(tmp_path.glob(".*"))
        else:
            assert number > 3
            return
    pytest.fail("it never came to its end")


def in_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)


def test_a_sheet_that_could_not_be_written_is_refused_before_the_walk(
    tmp_path, monkeypatch, capsys
):
    in_a_terminal(monkeypatch)
    command = ["doctor", "--config", str(make_box(tmp_path)), "--sheet"]
    assert main([*command, str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    monkeypatch.setattr("recorderd.cli.doctor.os.access", lambda _path, mode: not mode & os.W_OK)
    assert main([*command, str(tmp_path / "sheet.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_sheet_is_of_a_walk_and_says_so_elsewhere(tmp_path, monkeypatch, capsys):
    path = make_box(tmp_path)
    command = ["doctor", "--config", str(path), "--sheet", str(tmp_path / "sheet.html")]
    assert main([*command, "--unattended"]) == 2
    status(path)
    in_a_terminal(monkeypatch)
    capsys.readouterr()
    with files.hold_directory(tmp_path / "state"):
        assert main(command) == 1
    # The folder's name may be longer than a row: it is broken anywhere.
    assert "sheet.htmlisnotwritten" in "".join(capsys.readouterr().out.split())


def test_an_interrupt_after_the_writing_is_not_told_as_before_it(tmp_path, monkeypatch, capsys):
    path = make_box(tmp_path)

    def commission(config, *_):
        config.path.write_text(path.read_text("utf-8") + "# written\n", "utf-8")
        raise KeyboardInterrupt

    monkeypatch.setattr("recorderd.cli.doctor.commission", commission)
    in_a_terminal(monkeypatch)
    assert main(["doctor", "--config", str(path)]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "as it was." not in told
    assert "is not what it was" in told
    assert load(path).sha256
