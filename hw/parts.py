"""The values of the parts: the netlists' own, and those of the parts lists, which must agree.

Drawings take their labels from here, so that what is drawn is what was simulated.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
_PARAM = re.compile(r"(\w+)=(\S+)")
_UNITS = {"R": "Ω", "C": "F", "VZ": "V"}


def values_of(netlist: str) -> dict[str, str]:
    """The values under "* parts" in circuits/<netlist>.cir, as SPICE writes them: R1 is "68"."""
    found: dict[str, str] = {}
    is_parts = False
    for line in (HERE / "circuits" / f"{netlist}.cir").read_text("utf-8").splitlines():
        if line.startswith("*"):
            is_parts = line.startswith("* parts")
        elif is_parts and line.startswith(".param"):
            found |= dict(_PARAM.findall(line))
    return found


def written(reference: str, value: str) -> str:
    """A value as people write it: R17, "1.5k" is "1.5 kΩ"; C2, "2.2u" is "2.2 µF"."""
    number = value.rstrip("kmegunp")
    prefix = {"k": "k", "meg": "M", "u": "µ", "n": "n", "p": "p", "": ""}[value[len(number) :]]
    unit = _UNITS["VZ" if reference.startswith("VZ") else reference[0]]
    return f"{number} {prefix}{unit}"


@dataclass(frozen=True)
class Part:
    """One row of a parts list."""

    reference: str
    part: str
    value: str
    rating: str
    alternatives: str
    price_eur: str  # order of magnitude: 0.1, 1, 10, 100
    source: str
    trust: str


def parts_list(build: str) -> list[Part]:
    """The rows of parts-<build>.csv."""
    with (HERE / f"parts-{build}.csv").open(encoding="utf-8", newline="") as file:
        return [Part(**row) for row in csv.DictReader(file)]
