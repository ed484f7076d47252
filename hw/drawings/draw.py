"""Draws every drawing of hw/: `python -m hw.drawings.draw` from the repository's root.

The values on them are the netlists'. A test draws them again and compares.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hw.drawings import blocks, circuits

if TYPE_CHECKING:
    from collections.abc import Callable

    from hw.drawings.sheet import Sheet

HERE = Path(__file__).parent
DRAWINGS: dict[str, Callable[[], Sheet]] = {
    "block-a": blocks.block_a,
    "block-b": blocks.block_b,
    "block-c": blocks.block_c,
    "block-jig": blocks.block_jig,
    "circuit-a": circuits.circuit_a,
    "circuit-b": circuits.circuit_b,
    "circuit-pin": circuits.circuit_pin,
    "circuit-hook": circuits.circuit_hook,
    "circuit-ring": circuits.circuit_ring,
    "circuit-present": circuits.circuit_present,
    "circuit-hold": circuits.circuit_hold,
    "circuit-tap": circuits.circuit_tap,
    "circuit-announce": circuits.circuit_announce,
    "circuit-hybrid": circuits.circuit_hybrid,
    "circuit-jig": circuits.circuit_jig,
}


def main() -> None:
    for name, draw in DRAWINGS.items():
        (HERE / f"{name}.svg").write_text(draw().svg(), "utf-8")


if __name__ == "__main__":
    main()
