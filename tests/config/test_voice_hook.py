"""Sound in place of a hook sensor: what the configuration takes, and what it says of the rest."""

from __future__ import annotations

import tomllib

import jsonschema
import pytest

from recorderd.cli.check import check
from recorderd.config.schema import json_schema
from recorderd.dsp.voice import HANGOVER_S, LEVEL_DBM0

VOICE = """\
[site]
name = "osaka-clinic"
country = "JP"
time_zone = "Asia/Tokyo"
[[line]]
name = "front-desk"
[line.audio]
driver = "pyaudio"
device = "USB Audio CODEC"
[line.hook]
driver = "voice"
"""


def test_it_needs_nothing_but_its_name(load_text):
    hook = load_text(VOICE).lines[0].hook
    assert (hook.driver, hook.pin) == ("voice", None)
    assert (hook.hangover_s, hook.level_dbm0) == (HANGOVER_S, LEVEL_DBM0)
    jsonschema.validate(tomllib.loads(VOICE), json_schema())
    hook = load_text(VOICE + "hangover_s = 30\nlevel_dbm0 = -50\n").lines[0].hook
    assert (hook.hangover_s, hook.level_dbm0) == (30, -50)


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("pin = 17", '12: line.hook.pin: not with driver = "voice": it reads no pin; leave this out'),
        ('active = "low"', '12: line.hook.active: not with driver = "voice"'),
        ('active = "high"', '12: line.hook.active: not with driver = "voice"'),
        ('pull = "up"', '12: line.hook.pull: not with driver = "voice"'),
        ('chip = "/dev/gpiochip0"', '12: line.hook.chip: not with driver = "voice"'),
        ("hang_up_ms = 500", '12: line.hook.hang_up_ms: not with driver = "voice": it ends a call by hangover_s'),
        ("[line.ring]\npin = 27", '12: line.ring: the hook\'s driver reads this pin, and "voice" reads none'),
        ("hangover_s = 4", "12: line.hook.hangover_s: 4 is too small; allowed: 5 to 600 (seconds)"),
        ("level_dbm0 = -10", "12: line.hook.level_dbm0: -10 is too large; allowed: -60 to -20 (dBm0)"),
        ("hangover_s = 1.5", "12: line.hook.hangover_s: found a number with a decimal point"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_it_is_named_with_its_line(problems_of, added, expected):
    (problem,) = problems_of(VOICE + added)
    assert problem.startswith(expected)
    assert "leave" in problem or "allowed" in problem


@pytest.mark.parametrize("key", ["hangover_s = 20", "level_dbm0 = -40"])
def test_its_keys_go_with_no_other_driver(problems_of, hardware, key):
    (problem,) = problems_of(hardware.replace("pin = 5", f"pin = 5\n{key}"))
    assert problem.endswith('only for driver = "voice"; leave it out')


def test_it_stands_beside_pins_and_in_either_world(problems_of, hardware, simulated):
    assert problems_of(hardware.replace('driver = "rpi-gpio"\npin = 5', 'driver = "voice"')) == []
    text = simulated.replace('hook = { driver = "sim" }\nring = {}', 'hook = { driver = "voice" }')
    assert problems_of(text) == []


def test_check_says_what_it_cannot_know_and_advises_on_the_pre_roll(tmp_path, capsys):
    path = tmp_path / "recorderd.toml"
    path.write_text(VOICE)
    assert check(path) == 0
    printed = capsys.readouterr().out
    assert "sound above -45 dBm0 is off-hook, 15 s without any end the call" in printed
    assert "no direction" in printed
    assert "pre_roll_ms" not in printed
    path.write_text(VOICE.replace("[line.hook]", "pre_roll_ms = 500\n[line.hook]"))
    assert check(path) == 0
    assert "set line.audio.pre_roll_ms to 2000 or more" in capsys.readouterr().out
