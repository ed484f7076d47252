"""The house rules, checked on the syntax trees: who may import whom, and what the core may touch."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "recorderd"
FILES = sorted(PACKAGE.rglob("*.py"))

# A room may import the rooms named here, itself, and the ground floor.
GROUND = {"units", "events", "heard", "commands", "errors", "__init__"}
ROOMS = {
    "core": set(),
    "dsp": {"core"},
    "ports": {"core"},
    "config": {"core"},
    "media": {"core", "ports"},
    "disk": set(),
    "seal": {"core", "disk"},
    "store": {"core", "ports", "media", "config", "disk", "seal"},
    "evidence": {"core", "ports", "config", "media", "disk", "seal", "store"},
    "listening": {"core", "ports", "media", "config", "dsp"},
    "recording": {"core", "ports", "media", "disk", "seal", "store", "config"},
    "archive": {"core", "config", "disk"},
    "upload": {"core", "ports", "config", "disk", "store", "archive", "runtime"},
    "central": {"core", "config", "disk", "seal", "store", "evidence", "archive"},
    "drivers": {"core", "ports", "config", "media"},
    "sim": {"core", "ports", "config", "media"},
    "runtime": {"core", "ports"},
    "monitor": {"core", "ports", "config", "dsp", "runtime"},
    "doctor": {
        "core",
        "listening",
        "dsp",
        "ports",
        "config",
        "media",
        "disk",
        "store",
        "evidence",
        "archive",
        "runtime",
        "daemon",
    },
    "daemon": {
        "core",
        "ports",
        "config",
        "media",
        "disk",
        "seal",
        "store",
        "recording",
        "listening",
        "drivers",
        "sim",
        "runtime",
        "monitor",
    },
}

THIRD_PARTY = {
    "soundfile": {"media/codec.py"},
    "soxr": {"media/resample.py"},
    "nacl": {"store/signing.py"},
    "pyrage": {"seal/age.py"},
    "numpy": {
        "cli/hear.py",
        "doctor/bench.py",
        "doctor/callcheck.py",
        "doctor/clipcheck.py",
        "doctor/filecheck.py",
        "doctor/linevisit.py",
        "doctor/sides.py",
        "evidence/waveform.py",
        "media/resample.py",
        "sim/audio.py",
        "sim/faults.py",
        "sim/sound.py",
        "sim/burst.py",
        "listening/stream.py",
        "listening/verdicts.py",
        "listening/listener.py",
        *(f"dsp/{path.name}" for path in (PACKAGE / "dsp").glob("*.py")),  # it is made of numpy
    },
    "asyncssh": {"archive/sftp.py"},
    "duckdb": {"central/engine.py"},
    "pyaudio": {"drivers/sound_child.py"},
    "serial": {"drivers/modem_serial.py"},
    "RPi": {"drivers/gpio_rpi.py"},
    "gpiod": {"drivers/gpio_chip.py"},
}

CORE_MAY_NOT_IMPORT = {
    "threading",
    "time",
    "os",
    "io",
    "socket",
    "subprocess",
    "logging",
    "pathlib",
}
CORE_MAY_NOT_CALL = {"open", "print", "input"}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_one_way(path):
    room = room_of(path)
    if room in {"cli", "__main__", "__init__"}:
        return
    allowed = ROOMS.get(room, set()) | GROUND | {room}
    if room in GROUND:
        allowed = GROUND
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "recorderd" and len(parts) > 1 and parts[1] != "__version__":
            assert parts[1] in allowed, f"{name_of(path)} reaches into {parts[1]} ({name})"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_third_party_libraries_stay_in_their_file(path):
    standard = sys.stdlib_module_names | {"recorderd"}
    for name in imports_of(path):
        top = name.split(".")[0]
        if top in standard:
            continue
        if top == "rich":
            assert room_of(path) == "cli"
        else:
            assert name_of(path) in THIRD_PARTY.get(top, set()), f"{top} in {name_of(path)}"


PURE = sorted(path for room in ("core", "dsp") for path in (PACKAGE / room).glob("*.py"))


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_core_and_dsp_are_pure(path):
    tree = ast.parse(path.read_text("utf-8"))
    assert not {name.split(".")[0] for name in imports_of(path)} & CORE_MAY_NOT_IMPORT
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in CORE_MAY_NOT_CALL, f"{name_of(path)}:{node.lineno}"
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"now", "utcnow", "today"}, f"{name_of(path)}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_the_command_line_prints(path):
    if room_of(path) == "cli":
        return
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"{name_of(path)}:{node.lineno}"


def test_every_file_is_used():
    # Run as programs, imported by name for a command, or used by an editor through its output.
    used = {"recorderd.__main__", "recorderd.drivers.sound_child", "recorderd.config.schema"}
    used |= {f"recorderd.cli.{path.stem}" for path in (PACKAGE / "cli").glob("*.py")}
    for path in FILES:
        for name in imports_of(path):
            used |= {name, name.rpartition(".")[0]}
    for path in FILES:
        if path.name != "__init__.py":
            module = "recorderd." + name_of(path).removesuffix(".py").replace("/", ".")
            assert module in used, f"nobody imports {module}"


def test_files_are_short():
    crowded = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert not {name: lines for name, lines in crowded.items() if lines > 500}
