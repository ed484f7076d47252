"""What pyproject.toml asks for, a line each: `python3 needs.py pyproject.toml pi,seal`."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path(sys.argv[1]).read_text("utf-8"))["project"]
optional = project["optional-dependencies"]
wanted = project["dependencies"] + [
    need for extra in sys.argv[2].split(",") for need in optional[extra]
]
print(*(need.partition(";")[0].replace(" ", "") for need in wanted), sep="\n")
