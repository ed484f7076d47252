"""One target under libFuzzer: `python -m tests.fuzz.child TARGET PLANT FUZZER_OPTIONS…`."""

from __future__ import annotations

import sys
import warnings

import atheris


def main() -> None:
    target, plant = sys.argv[1:3]
    # What branches the parsers take is seen only in code that is imported here.
    with atheris.instrument_imports(include=["recorderd.core", "recorderd.dsp"]):
        from tests.fuzz.plants import PLANTS
        from tests.fuzz.targets import TARGETS
    warnings.simplefilter("error")
    if plant:
        PLANTS[plant][1]()
    atheris.Setup([sys.argv[0], *sys.argv[3:]], TARGETS[target].run)
    atheris.Fuzz()


main()
