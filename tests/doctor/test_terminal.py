"""The whole command in terminals of tmux, in real time, against simulated lines with planted faults.

All walks run side by side: each takes a minute and a half, and next to no processor.
"""

from __future__ import annotations

import pytest

from recorderd.sim.hands import CALLER, DIALLED
from tests.doctor.terminals import Terminal, attend_all, end_all
from tests.doctor.walks import make_box

pytestmark = pytest.mark.realtime

LIMIT_S = 600
ANSWERS = {
    "Your name": "Taro Yamada",
    "From which number": CALLER,
    "will you dial": DIALLED,
}
FAULTS = {
    "hook-inverted": ("JP", "front-desk", "hook-inverted"),
    "hook-open": ("US", "front-desk", "hook-open"),
    "hook-bouncy": ("DE", "front-desk", "hook-bounce"),
    "ring-open": ("GB", "front-desk", "ring-open"),
    "ring-inverted": ("JP", "front-desk", "ring-inverted"),
    "mono": ("JP", "front-desk", "copy"),
    "swapped": ("US", "front-desk", "channels-swapped"),
    "far-dead": ("JP", "front-desk", "far-dead"),
    "hum": ("DE", "front-desk", "near-hum"),
    "near-loud": ("JP", "front-desk", "near-clipped"),
    "clip-silent": ("JP", "front-desk", "clip-silent"),
    "modem-dead": ("GB", "front-desk", "modem-dead"),
    "no-caller-id": ("US", "front-desk", "caller-id-missing"),
    "network GB": ("JP", "front-desk", "country-wrong"),
    "disk-slow": ("JP", "box", "disk-slow"),
    "clock-off": ("JP", "box", "clock-off"),
    "power-low": ("US", "box", "power-low"),
}
GOOD = ("US", "JP", "GB", "DE")


class Walk:
    def __init__(self, folder, name, country, planted=(), answers=()):
        folder.mkdir()
        self.path = make_box(folder, country, planted)
        self.before = self.path.read_bytes()
        self.sheet = folder / "sheet.html"
        arguments = f"doctor --config {self.path} --sheet {self.sheet}"
        self.terminal = Terminal(name, arguments, {**ANSWERS, **dict(answers)})

    @property
    def summary(self):
        return self.terminal.text().rpartition("\nSummary\n")[2]

    @property
    def is_unchanged(self):
        return self.path.read_bytes() == self.before


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    root = tmp_path_factory.mktemp("walks")
    made = {}
    try:
        for number, (fault, (country, target, _)) in enumerate(FAULTS.items()):
            planted = [(target, f"fault {fault}")]
            made[fault] = Walk(root / f"fault{number}", f"fault{number}", country, planted)
        for country in GOOD:
            made[country] = Walk(root / country, f"good-{country}", country)
        inverted = [("front-desk", "fault hook-inverted")]
        consent = {"Write this to": "y", ".bak [y/N]": "y"}
        made["consent"] = Walk(root / "consent", "consent", "JP", inverted, consent)
        interrupt = {"Can you make a call out": None}
        made["interrupted"] = Walk(root / "interrupt", "interrupt", "JP", inverted, interrupt)
        attend_all([walk.terminal for walk in made.values()], LIMIT_S)
        yield made
    finally:
        end_all()


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_is_named_in_the_summary(walks, fault):
    walk = walks[fault]
    assert FAULTS[fault][2] in walk.summary
    assert walk.terminal.exit_code == 1
    assert walk.is_unchanged
    assert FAULTS[fault][2] in walk.sheet.read_text("utf-8")


@pytest.mark.parametrize("country", GOOD)
def test_on_a_good_line_nothing_is_found(walks, country):
    walk = walks[country]
    assert "checks, nothing found." in walk.summary
    assert walk.terminal.exit_code == 0
    assert "Taro Yamada" in walk.sheet.read_text("utf-8")


def test_what_was_consented_to_is_written(walks):
    walk = walks["consent"]
    assert 'active = "high"' in walk.path.read_text("utf-8")
    assert walk.path.with_name("recorderd.toml.bak").read_bytes() == walk.before
    assert "Written." in walk.terminal.text()


def test_an_interrupt_leaves_all_as_it_was(walks):
    walk = walks["interrupted"]
    assert walk.terminal.exit_code == 1
    assert "Ended. The configuration is as it was." in walk.terminal.text()
    assert walk.is_unchanged
    assert not walk.sheet.exists()
    assert {each.name for each in walk.path.parent.iterdir()} == {
        *("recorderd.toml", "office.line", "state")
    }
    assert list((walk.path.parent / "state").iterdir()) == []
