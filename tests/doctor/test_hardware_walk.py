"""The walk over the real drivers: a software sound card, pins, and a modem on a pseudo-terminal.

The telephone is ours: pins move, the modem prints, and voices are played when the doctor asks for them.
Planted are a hook that is read upside down and a ring detector whose wire is open.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.daemon.box import ROOT, STANDIN, Pins, PtyModem
from tests.doctor.terminals import Terminal, attend_all, end_all
from tests.softcard import Sink, SoftCard, require

pytestmark = pytest.mark.softcard

HOOK, RING, RATE = 17, 27, 8000
DOWN, UP = 0, 1  # the levels of a sensor that is the other way round than the configuration says
NUMBER = "5045551234"

CONFIG = """
[site]
name = "test-office"
country = "US"
time_zone = "America/New_York"
[storage]
directory = "{folder}/recordings"
[[line]]
name = "front-desk"
[line.audio]
driver = "pyaudio"
device = "line8"
capture_rate_hz = 8000
[line.hook]
driver = "rpi-gpio"
pin = 17
[line.ring]
pin = 27
[line.modem]
port = "{folder}/modem"
[line.announcement]
inbound = "notice-en.wav"
"""


@pytest.fixture
def card():
    require(("pulseaudio", "paplay", "espeak-ng", "sox", "tmux"), "the walk over real drivers")
    pytest.importorskip("pyaudio")
    card = SoftCard([Sink("line8", RATE)])
    card.start()
    yield card
    card.close()


def voice(folder, name, channel):
    """Fifteen seconds of a voice on one channel alone."""
    said, both = folder / f"{name}-said.wav", folder / f"{name}.wav"
    text = "one two three four five six seven eight nine ten eleven twelve " * 4
    subprocess.run(["espeak-ng", "-w", said, text], check=True)
    mapped = ["1", "0"] if channel == 1 else ["0", "1"]
    subprocess.run(
        ["sox", said, "-r", str(RATE), both, "gain", "-6", "trim", "0", "15", "remix", *mapped],
        check=True,
    )
    return both


class Telephone:
    """What a person does with it, each on a thread of its own."""

    def __init__(self, folder, card, pins, modem):
        self.card, self.pins, self.modem = card, pins, modem
        self.player = None
        self.near, self.far = voice(folder, "near", 1), voice(folder, "far", 2)

    def deeds(self):
        return {
            "count to two": self.later(self.lift_and_replace),
            "Call the line now": self.later(self.call_in),
            "Now count aloud": lambda: self.speak(self.near),
            "Now the other side counts": lambda: self.speak(self.far),
            "Hang up, both": self.later(lambda: self.pins.set(HOOK, DOWN)),
        }

    @staticmethod
    def later(deed):
        return lambda: threading.Thread(target=deed, daemon=True).start()

    def speak(self, voice):
        self.be_silent()
        self.player = self.card.play(voice, "line8")

    def be_silent(self):
        if self.player is not None:
            self.player.terminate()
            self.player.wait()

    def lift_and_replace(self):
        time.sleep(1)
        self.pins.set(HOOK, UP)
        time.sleep(2)
        self.pins.set(HOOK, DOWN)

    def call_in(self):
        for number in range(3):
            self.modem.say("RING")
            time.sleep(2)
            if number == 0:
                now = datetime.now(ZoneInfo("America/New_York"))
                self.modem.say(f"DATE = {now:%m%d}", f"TIME = {now:%H%M}", f"NMBR = {NUMBER}")
            time.sleep(2)
        self.pins.set(HOOK, UP)


def test_the_walk_over_real_drivers(card, tmp_path):
    (tmp_path / "recordings").mkdir()
    path = tmp_path / "recorderd.toml"
    path.write_text(CONFIG.format(folder=tmp_path), "utf-8")
    pins = Pins(tmp_path / "gpio.sock", {HOOK: DOWN, RING: 1})
    threading.Thread(target=pins.accept, daemon=True).start()
    modem = PtyModem(tmp_path / "modem")
    telephone = Telephone(tmp_path, card, pins, modem)
    environment = {
        **card.environment,
        "PYTHONPATH": f"{STANDIN}{os.pathsep}{ROOT}",
        "STANDIN_GPIO": str(pins.path),
    }
    answers = {"From which number": NUMBER, "Can you make a call out": "n"}
    try:
        terminal = Terminal(
            "hardware", f"doctor --config {path}", answers, environment, telephone.deeds()
        )
        attend_all([terminal], 240)
        text, exit_code = terminal.text(), terminal.exit_code
    finally:
        telephone.be_silent()
        end_all()
        modem.close()
        pins.close()
    summary = text.rpartition("\nSummary\n")[2]
    assert exit_code == 1, text
    # How fast and full this machine's disk is, and who sets its clock, is not ours to say.
    found = {
        word
        for word in summary.split()
        if (
            "-" in word
            and word.split("-")[0] in {"hook", "ring", "modem", "card", "sensor", "clip"}
        )
        or word.startswith(("near-", "far-", "channels-", "caller-", "country-", "copy"))
    }
    assert found & {"hook-inverted", "ring-open"} == {"hook-inverted", "ring-open"}, text
    assert not found - {"hook-inverted", "ring-open"}, text
    assert "verdict heard" in text
    assert '+active = "high"' in text
    assert path.read_text("utf-8") == CONFIG.format(folder=tmp_path)
