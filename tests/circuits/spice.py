"""Runs a netlist of hw/circuits in ngspice, with some of its values changed."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np

CIRCUITS = Path(__file__).parent.parent.parent / "hw" / "circuits"
_PARAM = re.compile(r"(\w+)=(\S+)")


def operating_point(
    name: str, wanted: list[str], extra: str = "", without: str = "", **params: object
) -> list[float]:
    """The direct-current solution: one number for each expression. `without`: parts left out."""
    lines = [f"let want{n}={text}\nprint want{n}" for n, text in enumerate(wanted)]
    output = _ngspice(_netlist(name, extra, without, params), "op\n" + "\n".join(lines))
    found = dict(re.findall(r"want(\d+) = (\S+)", output))
    assert len(found) == len(wanted), output
    return [float(found[str(n)]) for n in range(len(wanted))]


def sweep(
    name: str,
    analysis: str,
    wanted: list[str],
    extra: str = "",
    without: str = "",
    **params: object,
) -> list[np.ndarray]:
    """A run over time (`tran …`) or frequency (`ac …`): the scale, then one row an expression.

    For `ac` the expressions must be real, as mag(v(x)).
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        lets = [f"let want{n}={text}" for n, text in enumerate(wanted)]
        names = " ".join(f"want{n}" for n in range(len(wanted)))
        commands = [analysis, *lets, "set wr_singlescale", f"wrdata {out} {names}"]
        output = _ngspice(_netlist(name, extra, without, params), "\n".join(commands))
        assert out.is_file(), output
        table = np.loadtxt(out, ndmin=2)
    return list(table.T)


def _netlist(name: str, extra: str, without: str, params: dict[str, object]) -> str:
    title, _, body = (CIRCUITS / f"{name}.cir").read_text("utf-8").partition("\n")
    lines = []
    left = dict(params)
    removed = set(without.split())
    for line in body.splitlines():
        if line.split(" ")[0] in removed:
            removed.discard(line.split(" ")[0])
        elif line.startswith(".param"):

            def changed(match: re.Match[str]) -> str:
                return f"{match[1]}={left.pop(match[1], match[2])}"

            lines.append(_PARAM.sub(changed, line))
        elif line.startswith(".include"):
            lines.append(f".include {CIRCUITS / line.split()[1]}")
        elif line != ".end":
            lines.append(line)
    assert not left, f"{name}.cir has no value {', '.join(left)}"
    assert not removed, f"{name}.cir has no part {', '.join(removed)}"
    return "\n".join([title, *lines, extra])


def _ngspice(netlist: str, commands: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.cir"
        file.write_text(f"{netlist}\n.control\n{commands}\nquit\n.endc\n.end\n", "utf-8")
        done = subprocess.run(
            ["ngspice", "-b", file], capture_output=True, text=True, timeout=120, check=False
        )
    return done.stdout + done.stderr
