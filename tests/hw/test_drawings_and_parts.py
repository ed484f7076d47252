"""The drawings are drawn anew and compared; parts lists, netlists and drawings name the same parts."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from hw.drawings.draw import DRAWINGS
from hw.parts import parts_list, values_of, written

HW = Path(__file__).parent.parent.parent / "hw"
BUILDS = ["a", "b", "c", "jig"]
NETLISTS = ["hook", "ring", "present", "hold", "tap", "announce", "hybrid"]
# What is drawn for which build.
DRAWN = {
    "a": ["circuit-a"],
    "b": ["circuit-b"],
    "c": ["hook", "ring", "present", "hold", "tap", "announce", "hybrid"],
    "jig": ["circuit-jig"],
}
# Numbers are rounded before comparing: the last digits of a float are the machine's.
NUMBER = re.compile(r"-?\d+\.\d+")
REFERENCE = re.compile(r"\b(?:DZ|TH|TV|[RCDUTFQK])\d+\b")


def rounded(svg: str) -> str:
    return NUMBER.sub(lambda match: f"{float(match[0]):.1f}", svg)


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_what_its_script_draws(name):
    kept = (HW / "drawings" / f"{name}.svg").read_text("utf-8")
    assert rounded(kept) == rounded(DRAWINGS[name]().svg()), "python -m hw.drawings.draw"


def test_no_drawing_is_left_over():
    assert {path.stem for path in (HW / "drawings").glob("*.svg")} == set(DRAWINGS)


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_brings_its_own_paper(name):
    # So that it can be read on a dark page: the first thing drawn is a sheet as large as the drawing.
    root = ET.parse(HW / "drawings" / f"{name}.svg").getroot()
    first = root[0]
    assert first.tag.endswith("rect")
    assert [first.get(key) for key in ("x", "y", "width", "height")] == root.get("viewBox").split()
    inks = set(re.findall(r"(?:stroke|fill):(#\w{6})", ET.tostring(root, "unicode")))
    assert inks  # and every ink on it is dark
    assert all(sum(bytes.fromhex(ink[1:])) < 3 * 160 for ink in inks)


@pytest.mark.parametrize("name", DRAWINGS)
def test_no_text_runs_off_its_paper(name):
    """Whatever sans-serif the reader's machine has: 0.62 of its size a character is a wide one."""
    root = ET.parse(HW / "drawings" / f"{name}.svg").getroot()
    left, _, width, _ = map(float, root.get("viewBox").split())
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        line = max((part.text or "" for part in text), key=len, default=text.text or "")
        length = 0.62 * float(text.get("font-size")) * len(line)
        start = (
            float(text.get("x"))
            - {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")] * length
        )
        assert left < start, line
        assert start + length < left + width, line


def texts_of(name: str) -> str:
    root = ET.parse(HW / "drawings" / f"{name}.svg").getroot()
    return "\n".join(root.itertext())


@pytest.mark.parametrize("build", BUILDS)
def test_parts_lists_are_whole(build):
    parts = parts_list(build)
    references = [part.reference for part in parts]
    assert len(references) == len(set(references))
    for part in parts:
        assert part.part, part
        assert part.source, part
        assert part.trust in {"text", "manual", "chosen", "unverified"}, part
        assert part.price_eur in {"0.1", "1", "10", "100"}, part


@pytest.mark.parametrize("netlist", NETLISTS)
def test_the_parts_list_has_the_values_that_were_simulated(netlist):
    listed = {part.reference: part.value for part in parts_list("c")}
    for reference, value in values_of(netlist).items():
        if reference == "RCOIL":  # K1's coil
            continue
        names = ["DZ1", "DZ2"] if reference == "VZ" else [reference]
        for name in names:
            assert listed[name] == written(reference, value), name


def test_build_b_has_two_taps_of_the_simulated_values():
    listed = {part.reference: part.value for part in parts_list("b")}
    for reference, value in values_of("tap").items():
        assert listed[f"{reference}n"] == listed[f"{reference}f"] == written(reference, value)


def test_the_surge_was_tried_on_the_same_values():
    simulated = values_of("hook") | values_of("ring") | values_of("tap")
    for reference, value in values_of("surge").items():
        assert simulated[reference] == value


@pytest.mark.parametrize("build", BUILDS)
def test_every_part_drawn_is_listed(build):
    listed = {part.reference for part in parts_list(build)}
    for drawing in DRAWN[build]:
        name = drawing if drawing.startswith("circuit") else f"circuit-{drawing}"
        drawn = set(REFERENCE.findall(texts_of(name)))
        assert drawn
        assert drawn <= listed, name
