"""A configuration of two lines on real drivers, and a way to ask what is wrong with a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from recorderd.config import load
from recorderd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recorderd.config.values import Config

HARDWARE = """\
[site]
name = "osaka-clinic"
country = "JP"
time_zone = "Asia/Tokyo"

# two lines
[[line]]
name = "front-desk"
[line.audio]
driver = "pyaudio"
device = "USB Audio CODEC"
[line.hook]
driver = "rpi-gpio"
pin = 17
[line.ring]
pin = 27
[line.modem]
port = "/dev/ttyACM0"
[line.announcement]
inbound = "clip.wav"

[[line]]
name = "back-office"
[line.audio]
driver = "pyaudio"
device = "Other Card"
[line.hook]
driver = "rpi-gpio"
pin = 5
"""

SIMULATED = """\
[site]
name = "demo"
country = "US"
time_zone = "America/New_York"
[[line]]
name = "one"
audio = { driver = "sim" }
hook = { driver = "sim" }
ring = {}
modem = { driver = "sim" }
announcement = { outbound = "clip.wav" }
[simulation]
script = "day.line"
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration's folder, with the files that the texts name."""
    folder = tmp_path_factory.mktemp("etc")
    (folder / "clip.wav").write_bytes(b"")
    (folder / "day.line").write_bytes(b"")
    return folder


@pytest.fixture(scope="session")
def load_text(folder: Path) -> Callable[[str | bytes], Config]:
    """Loads a text as the file `folder`/recorderd.toml."""

    def load_text(text: str | bytes) -> Config:
        path = folder / "recorderd.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load(path)

    return load_text


@pytest.fixture(scope="session")
def problems_of(
    folder: Path, load_text: Callable[[str | bytes], Config]
) -> Callable[[str | bytes], list[str]]:
    """All problems of a text, without the file's name: `12: line.audio: …`."""

    def problems_of(text: str | bytes) -> list[str]:
        try:
            load_text(text)
        except ConfigError as error:
            found = error.problems
        else:
            return []
        prefix = f"{folder / 'recorderd.toml'}:"
        assert all(problem.startswith(prefix) for problem in found)
        return [problem.removeprefix(prefix) for problem in found]

    return problems_of


@pytest.fixture(scope="session")
def hardware() -> str:
    return HARDWARE


@pytest.fixture(scope="session")
def simulated() -> str:
    return SIMULATED
