"""Scripts of what happened on a line, and the facts that the recorder must make of them.

Each `NAME.line` beside this file is played through the whole recorder in virtual time; its facts must
be those in `NAME.expect`. To see what a script gives now: `python -m tests.replay.test_replay NAME`.
A changed expectation needs a reason in the commit.
"""

from __future__ import annotations

import itertools
import logging
import sys
import tempfile
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from recorderd import daemon as daemon_module
from recorderd import events as ev
from recorderd import heard
from recorderd.config import load
from recorderd.config.needs import ring_seconds_of
from recorderd.runtime.watchdog import ServiceManager
from recorderd.runtime.workers import InlineWorker
from recorderd.sim.devices import VirtualOffice
from recorderd.units import to_datetime

FOLDER = Path(__file__).parent
SCRIPTS = sorted(FOLDER.glob("*.line"))

CONFIG = """
[site]
name = "replay"
country = "{country}"
time_zone = "{zone}"
[storage]
directory = "recordings"
[simulation]
script = "{script}"
[[line]]
name = "one"
[line.audio]
driver = "sim"
device = "card"
capture_rate_hz = 8000
[line.hook]
driver = "sim"
[line.ring]
[line.modem]
driver = "sim"
[line.announcement]
inbound = "notice-en.wav"
"""
ZONES = {"US": "America/New_York", "GB": "Europe/London", "JP": "Asia/Tokyo"}


def facts_of(script: Path, folder: Path) -> list[str]:
    """Play a script; every fact as `HH:MM:SS.mmm Name key=value …`, in order."""
    country = script.read_text("utf-8").split()[2]
    (folder / "recordings").mkdir()
    config_path = folder / "recorderd.toml"
    config_path.write_text(CONFIG.format(country=country, zone=ZONES[country], script=script))
    config = load(config_path)
    office = VirtualOffice(config, ring_seconds_of(config))
    recorder = daemon_module.Daemon(config, office, ServiceManager(), InlineWorker, InlineWorker)
    facts: list[str] = []
    take = recorder.status.take

    def keep(fact):
        if not isinstance(fact, heard.LineMeasured):  # figures, which are tested for themselves
            facts.append(shown(fact, office, config))
        take(fact)

    recorder.status.take = keep
    recorder.start()
    while office.world.now() < office.office.finished_at:
        recorder.loop.step()
    recorder.loop.take(ev.StopRequested(office.world.now()))
    recorder.stop()
    return facts


def shown(fact, office, config) -> str:
    def clock(moment):
        wall = office.clock.reading().wall_at(moment)
        at = to_datetime(wall, ZoneInfo(config.site.time_zone))
        return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"

    words = [clock(fact.at), type(fact).__name__]
    for name in fact.__dataclass_fields__:
        value = getattr(fact, name)
        if name in {"at", "line", "path", "detail"}:
            continue
        if name in {"score", "level_dbm0"}:  # their last digits are another processor's
            continue
        if isinstance(value, ev.Caller):
            value = f"{value.source}/{value.number}/{value.name}/{value.absence}"
        elif name in {"ended_at", "heard_at"} and value is not None:
            value = clock(value)
        elif name == "started_at":
            value = f"{(fact.at - value) / 1e9:.3f}s-before"
        words.append(f"{name}={value}")
    return " ".join(words)


@pytest.fixture(autouse=True)
def counted_ids(monkeypatch):
    numbers = itertools.count(1)
    monkeypatch.setattr(daemon_module, "new_call_id", lambda: f"call{next(numbers)}")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_facts_are_as_expected(script, tmp_path):
    expected = script.with_suffix(".expect").read_text("utf-8").splitlines()
    assert facts_of(script, tmp_path) == expected


def test_the_same_script_twice_gives_the_same_facts(tmp_path, monkeypatch):
    runs = []
    for name in ("first", "second"):
        numbers = itertools.count(1)
        monkeypatch.setattr(daemon_module, "new_call_id", lambda n=numbers: f"call{next(n)}")
        folder = tmp_path / name
        folder.mkdir()
        runs.append(facts_of(FOLDER / "jp-closure.line", folder))
    assert runs[0] == runs[1]


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    counter = itertools.count(1)
    daemon_module.new_call_id = lambda: f"call{next(counter)}"
    with tempfile.TemporaryDirectory() as name:
        print("\n".join(facts_of(FOLDER / f"{sys.argv[1]}.line", Path(name))))
