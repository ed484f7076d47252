"""What a reader could type: the commands of the pages, and the pieces of configuration in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SYSTEMD = ROOT / "systemd/README.md"
PAGES = [
    ROOT / "README.md",
    SYSTEMD,
    *sorted((ROOT / "hw").rglob("*.md")),
    *(ROOT / "tests" / room / "README.md" for room in ("bench", "faults", "rig")),
]

# What a command line begins with, behind settings of the environment. Of these a name alone is a
# word of the sentence, but for a few that are whole commands.
PROGRAM = re.compile(
    r"(age|age-keygen|alsactl|alsamixer|amixer|aplay|apt-get|arecord|cat|gpio(detect|info|mon|set)"
    r"|journalctl|jq|lsusb|ngspice|openssl|pip|python3?|pytest|recorderd|screen|sh|sha256sum|sox"
    r"|speaker-test|ssh|sudo|systemctl|systemd-analyze|tar|vcgencmd|[./]\S+/(pip|pytest|python|recorderd|run))( |$)"
)
ALONE = frozenset({".ci/run", "age-keygen", "gpiodetect", "gpioinfo", "lsusb"})
# tests/faults/README.md names its commands by what comes behind this.
FAULTS = "python -m tests.faults."
FAULT_TOOLS = frozenset({"power_cuts", "kills", "disk_errors", "restarts"})

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`]+)`")
_COMMENT = re.compile(r"\s+#\s.*$")
_SETTING = re.compile(r"[A-Z_]+=\S+\s+")
_KEY = re.compile(r"[a-z_]+ = \S.*")


def fences(page: Path) -> list[tuple[str, str]]:
    """Language and text of each block."""
    return [(found[1], found[2]) for found in _FENCE.finditer(page.read_text("utf-8"))]


def inline_code(page: Path) -> list[str]:
    """What stands between single backquotes, on one line or broken over two."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    return [" ".join(found.split()) for found in _INLINE.findall(text)]


def begins_with_a_program(text: str) -> bool:
    while found := _SETTING.match(text):
        text = text[found.end() :]
    return PROGRAM.match(text) is not None


def is_command(text: str) -> bool:
    return text in ALONE or (" " in text and begins_with_a_program(text))


def lines_of(block: str) -> list[str]:
    lines = [_COMMENT.sub("", line).strip() for line in block.splitlines()]
    return [line for line in lines if line]


def block_below(page: Path, heading: str) -> list[str]:
    """The commands of the first block below a heading."""
    text = page.read_text("utf-8").partition(f"\n## {heading}")[2].partition("\n## ")[0]
    return lines_of(_FENCE.findall(text)[0][1])


def commands_of(page: Path) -> list[str]:
    """Every command of a page as it is written there, without the remark behind it."""
    found = []
    for language, text in fences(page):
        lines = lines_of(text)
        if language == "sh":
            found += lines
        else:
            assert not any(map(begins_with_a_program, lines)), f"{page}: a block without its sh"
    for text in inline_code(page):
        if text.split(" ")[0] in FAULT_TOOLS:
            found.append(FAULTS + text)
        elif text != FAULTS and is_command(text):
            found.append(text)
    return found


def commands() -> dict[str, list[str]]:
    """Each command, and the pages where it stands."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        for command in commands_of(page):
            found.setdefault(command, []).append(page.relative_to(ROOT).as_posix())
    return found


def settings() -> list[tuple[str, str]]:
    """Pieces of a configuration, blocks and single keys: the page, the piece."""
    found = []
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        found += [(name, text) for language, text in fences(page) if language == "toml"]
        found += [(name, text) for text in inline_code(page) if _KEY.fullmatch(text)]
    return found
