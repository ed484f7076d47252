"""A small simulated office for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorderd.config.profiles import load_profile
from recorderd.config.values import (
    Announcement,
    Config,
    Hook,
    Line,
    LineAudio,
    ModemPort,
    Ring,
    Simulation,
    Site,
    Storage,
)
from recorderd.ports import Clip
from recorderd.sim.clock import VirtualInbox, World
from recorderd.sim.office import build_office
from recorderd.sim.script import parse_script

CARD = "Demo card"
DAY = "day 2026-11-23T08:50:00+09:00\n"
RING_SECONDS = 20


def make_line(number, name, *, has_modem=True, rate_hz=8000):
    return Line(
        name,
        "standard",
        LineAudio("sim", CARD, rate_hz, 8000, 2 * number + 1, 2 * number + 2, 2000, 60),
        Hook("sim", None, "low", "up", "", None, 15, -45),
        Ring(None, "low", "up"),
        ModemPort("sim", "", 115200) if has_modem else None,
        Announcement("notice-ja.wav", "", 500, CARD, None, "record"),
    )


def make_config(country="JP", lines=None):
    return Config(
        path=Path("recorderd.toml"),
        sha256="0" * 64,
        site=Site("test", country, "Asia/Tokyo"),
        storage=Storage(Path("state"), "flac", 60, 180, 500),
        retention=(),
        lines=lines or (make_line(0, "front-desk"), make_line(1, "back-office")),
        seal=None,
        archive=None,
        simulation=Simulation("test.line"),
        profile=load_profile(country),
    )


class Played:
    """An office in virtual time, its devices started."""

    def __init__(self, text, config=None, ring_seconds=RING_SECONDS):
        self.world = World()
        self.inbox = VirtualInbox(self.world)
        script = parse_script(text, "test.line")
        self.office = build_office(
            script, config or make_config(), self.world, self.inbox.post, ring_seconds
        )
        self.card = self.office.cards[CARD]
        for group in (self.office.cards, self.office.modems, self.office.hooks):
            for device in group.values():
                device.start()

    def at(self, seconds):
        return self.world.start + round(seconds * 1e9)

    def events(self, until_s=None):
        """Every input up to a moment of the script, or to its end."""
        until = self.office.finished_at if until_s is None else self.at(until_s)
        found = []
        while (event := self.inbox.wait(until)) is not None:
            found.append(event)
        return found

    def of(self, kind, until_s=None):
        return [event for event in self.events(until_s) if isinstance(event, kind)]


@pytest.fixture(scope="session")
def play():
    """Play a script's text (after its `day` line) in virtual time."""

    def start(text, config=None, **options):
        return Played(DAY + text, config, **options)

    return start


@pytest.fixture(scope="session")
def configured():
    return make_config


@pytest.fixture(scope="session")
def line_of():
    return make_line


@pytest.fixture(scope="session")
def clip():
    """One second of a loud square wave."""
    wave = ([20000] * 4 + [-20000] * 4) * 1000
    return Clip(
        "notice", "0" * 64, 8000, b"".join(s.to_bytes(2, "little", signed=True) for s in wave)
    )
