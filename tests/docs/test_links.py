"""No dead link in the repository's Markdown: files, drawings and headings that links point to exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
# Folders that are not ours, as .gitignore has them, and hidden ones.
SKIPPED = {"build", "dist", "node_modules", "recorderd-demo"}
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^()<>\s]+)>?\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)


def pages() -> list[Path]:
    found = []
    for path in ROOT.rglob("*.md"):
        folders = path.relative_to(ROOT).parts[:-1]
        if not any(folder in SKIPPED or folder.startswith(".") for folder in folders):
            found.append(path)
    return sorted(found)


def anchors_of(page: Path) -> set[str]:
    """What GitHub makes of headings: lower case, punctuation gone, blanks to hyphens, -1 for a second."""
    found: set[str] = set()
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for heading in _HEADING.findall(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = 0
        while (name := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(name)
    return found


def dead_links(page: Path) -> list[str]:
    dead = []
    for link in _LINK.findall(_CODE.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not target.is_relative_to(ROOT.resolve()):
            dead.append(f"{link}: no such file")
        elif anchor and (target.suffix != ".md" or anchor not in anchors_of(target)):
            dead.append(f"{link}: no such heading")
    return dead


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    assert dead_links(page) == []


def test_a_dead_link_would_be_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "there.md").write_text("# One `two`, three\n\n## Again\n\n## Again\n", "utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#one-two-three) [c](there.md#again-1) `[d](code.md)` [e](https://x.y/z)"
        "\n[f](gone.md) ![g](gone.svg) [h](there.md#gone) [i](#gone) [marks [text]](lost.md)\n",
        "utf-8",
    )
    assert [found.partition(":")[0] for found in dead_links(page)] == [
        "gone.md",
        "gone.svg",
        "there.md#gone",
        "#gone",
        "lost.md",
    ]
