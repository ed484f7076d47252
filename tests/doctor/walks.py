"""A walk through a simulated box in virtual time, with a person whose answers are written down."""

from __future__ import annotations

from recorderd.config import load
from recorderd.doctor.box import SimulatedBox
from recorderd.doctor.guided import Helpers, commission
from recorderd.sim.devices import VirtualOffice
from recorderd.sim.hands import CALLER, DIALLED, Hands

CONFIG = """\
# The office of a test. Its comments stay.
[site]
name = "test-office"
country = "{country}"   # where the line is
time_zone = "{zone}"

[storage]
directory = "state"

[simulation]
script = "office.line"

[[line]]
name = "front-desk"
[line.audio]
driver = "sim"
device = "Test card"
capture_rate_hz = 8000
near_channel = 1
far_channel = 2
[line.hook]
driver = "sim"
[line.ring]
[line.modem]
driver = "sim"
[line.announcement]
inbound = "{clip}"
"""

ZONES = {"US": "America/New_York", "JP": "Asia/Tokyo", "GB": "Europe/London", "DE": "Europe/Berlin"}
OFFSETS = {"US": "-05:00", "JP": "+09:00", "GB": "+00:00", "DE": "+01:00"}


def make_box(folder, country="JP", faults=(), config=CONFIG):
    """A configuration and its script in `folder`; the path of the configuration."""
    (folder / "state").mkdir()
    clip = "notice-ja.wav" if country == "JP" else "notice-en.wav"
    path = folder / "recorderd.toml"
    path.write_text(config.format(country=country, zone=ZONES[country], clip=clip), "utf-8")
    lines = [f"day 2026-11-23T08:50:00{OFFSETS[country]}"]
    lines += [f"+0 {target} {fault}" for target, fault in faults]
    (folder / "office.line").write_text("\n".join(lines) + "\n", "utf-8")
    return path


class Written:
    """A person whose answers are written down: by a part of the question, the others by default."""

    def __init__(self, answers=None):
        self.answers = answers or {}
        self.said, self.asked, self.shown = [], [], []

    def say(self, text):
        self.said.append(text)

    def title(self, text):
        self.said.append(text)

    def show(self, outcome):
        self.shown.append(outcome)

    def ask(self, question):
        self.asked.append(question)
        if "From which number" in question:
            return self._answer(question, CALLER)
        return self._answer(question, DIALLED if "will you dial" in question else "")

    def confirm(self, question, *, default):
        self.asked.append(question)
        return self._answer(question, default)

    def _answer(self, question, otherwise):
        for part, answer in self.answers.items():
            if part in question:
                return answer
        return otherwise


def walk(path, person=None, hands=None, box=None, offered=None):
    """The whole walk; the visit."""
    config = load(path)
    office = VirtualOffice(config, 120)
    hands = hands or Hands(office.office, office.world)
    box = box or SimulatedBox(office.clock, office.office.faults)
    helpers = Helpers(person or Written(), hands, box, lambda: offered or {}, no_archive)
    return commission(config, office, helpers)


def no_archive(_archive):
    raise AssertionError("there is no archive in these tests")


def codes(visit):
    """Every code that was found, once."""
    return sorted({finding.code for _, finding in visit.findings})
