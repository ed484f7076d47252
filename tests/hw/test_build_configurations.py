"""Each build's configuration passes `recorderd check`, and asks for the pins that the page wires."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from recorderd.cli.check import check

ROOT = Path(__file__).parent.parent.parent
HW = ROOT / "hw"
SITE = """
[site]
name = "bench"
country = "JP"
time_zone = "Asia/Tokyo"
[storage]
directory = "recordings"
"""
# Pins that audio boards take (hw/pins.md), those with a fixed use, and those of the HAT's EEPROM.
TAKEN = {0, 1, 2, 3, 4, *range(7, 12), 14, 15, *range(18, 26), 27}


def configuration_of(build: str) -> str:
    page = (HW / f"build-{build}.md").read_text("utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    return block


@pytest.mark.parametrize("build", ["a", "b", "c"])
def test_the_configuration_is_right(build, tmp_path, capsys):
    file = tmp_path / "recorderd.toml"
    file.write_text(SITE + configuration_of(build), "utf-8")
    assert check(file) == 0, capsys.readouterr().out


@pytest.mark.parametrize("build", ["a", "b", "c"])
def test_its_pins_are_those_of_the_page(build):
    (line,) = tomllib.loads(configuration_of(build))["line"]
    page = (HW / f"build-{build}.md").read_text("utf-8")
    drawing = (HW / "drawings" / f"block-{build}.svg").read_text("utf-8")
    for sensor in ("hook", "ring"):
        if sensor not in line:
            assert build == "b"
            continue
        pin = line[sensor]["pin"]
        assert re.search(rf"^\| {sensor}[^|]*\| GPIO {pin} \|", page, re.MULTILINE)
        assert f"GPIO {pin} {sensor}" in drawing
        assert pin not in TAKEN


def test_the_ring_detector_of_build_c_does_without_the_pis_pull_up():
    # Its R6 is weaker than the Pi's pull-up, which would keep the pin high (hw/circuits/ring.cir).
    (line,) = tomllib.loads(configuration_of("c"))["line"]
    assert line["ring"]["pull"] == "none"


def test_the_pin_map_keeps_clear_of_audio_boards():
    page = (HW / "pins.md").read_text("utf-8").partition("**Why these.**")[0]
    pins = [int(pin) for pin in re.findall(r"GPIO (\d+) \(", page)]
    assert len(pins) == len(set(pins)) >= 6
    assert not set(pins) & TAKEN
