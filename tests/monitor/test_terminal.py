"""`recorderd monitor` as a person runs it: a terminal, a recorder in real time, keys."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import termios
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from recorderd.cli.demo import CONFIG
from recorderd.cli.main import main
from recorderd.monitor.address import SOCKET
from tests.monitor.terminal import ROOT, Terminal

SCRIPT = """\
day 2026-11-23T09:00:00+09:00
09:00:08 front-desk inbound number=0312345678 name="YAMADA SHOTEN" answer=20 talk=20
"""
"""Rings and talks for so long that a machine which stands still for seconds misses neither."""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "recordings").mkdir()
    (tmp_path / "short.line").write_text(SCRIPT)
    path = tmp_path / "recorderd.toml"
    path.write_text(CONFIG.replace("office-day.line", "short.line"), "utf-8")
    return path


@contextmanager
def recorder(config):
    """The recorder as a process; ended by SIGTERM."""
    log = config.with_name("log").open("ab")
    running = subprocess.Popen(
        [sys.executable, "-m", "recorderd", "run", "--config", config],
        stdout=log,
        stderr=log,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield running
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
    finally:
        running.kill()
        running.wait()
        log.close()


@pytest.mark.realtime
def test_a_call_from_the_first_ring_to_the_file(config):
    """With a recorder that comes later, goes, and comes back; and keys, and another size."""
    with Terminal(["monitor", "--config", str(config)]) as terminal:
        terminal.wait_for("No recorder is running here")
        with recorder(config):
            terminal.wait_for(
                r"front-desk  idle(.|\n)*near +#+-+ +-\d\d\.\d dBm0(.|\n)*back-office idle"
            )
            terminal.wait_for(r"front-desk  RINGING 0:\d\d(.|\n)*ring +\.+####*\.*")
            # From the modem or from the line's sound, whichever was first.
            terminal.wait_for(r"caller +0312345678 YAMADA SHOTEN +\(from the (modem|line-audio)\)")
            terminal.wait_for(r"modem .*NMBR = 0312345678\|NAME = YAMADA SHOTEN")
            assert "0312345678" not in config.with_name("log").read_text()
            terminal.wait_for(
                r"TALKING 0:\d\d inbound(.|\n)*segments: 0 sealed, 1 open; notice (playing|played)"
            )
            terminal.wait_for(r"hook +off-hook since 09:00:\d\d")
            terminal.wait_for(
                r"(near|far) +#{18,}-+ +-[12]\d\.\d dBm0 peak +\d+%"
            )  # somebody speaks

            terminal.press("p")
            terminal.wait_for("PAUSED, p goes on")
            terminal.press("p")
            terminal.wait_for(r"front-desk  idle(.|\n)*hook +on-hook")
            terminal.wait_for(r"1 segment filed, 0 gaps; notice")
            terminal.wait_for(r"calls 1, recorded 1, missed 0")

            terminal.resize(120, 40)
            terminal.wait_for(r"front-desk +recording filed: segments 1, gaps 0")
            terminal.resize(80, 16)
            terminal.wait_for("lines 1 to 1 of 2")
            terminal.press("\x1b[B")
            terminal.wait_for("back-office idle(.|\n)*lines 2 to 2 of 2")
            terminal.resize(80, 24)
        terminal.wait_for(r"THE RECORDER IS GONE for 0:0\d; waiting for it")
        with recorder(config):
            terminal.wait_for(r"recorderd \S+  demo-office(.|\n)*dBm0")
            terminal.press("q")
            assert terminal.ends() == 0
            assert terminal.is_as_before()
    assert not (config.parent / "recordings" / SOCKET).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(config, number):
    with Terminal(["monitor", "--config", str(config)]) as terminal:
        terminal.wait_for("q quit")
        assert termios.tcgetattr(terminal.slave)[6][termios.VSUSP] == b"\0"  # no Ctrl-Z
        assert terminal.ends(number) == 0
        assert terminal.is_as_before()


def test_a_terminal_without_utf_8(config):
    """Whatever it has no sign for is a question mark."""
    at = datetime.now(UTC).isoformat()
    status = {"at": at, "lines": {}, "alarms": ["card: 「USB」 is gone"]}
    (config.parent / "recordings/status.json").write_text(json.dumps(status), "utf-8")
    with Terminal(
        ["monitor", "--config", str(config)], LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"
    ) as terminal:
        terminal.wait_for(r"ALARM card: \?USB\? is gone")
        terminal.press("q")
        assert terminal.ends() == 0


def test_without_a_terminal_it_says_what_else_there_is(config, capsys):
    assert main(["monitor", "--config", str(config)]) == 2
    assert "recorderd status --json" in capsys.readouterr().err
