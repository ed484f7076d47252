"""The commands of systemd/README.md, out of the page itself: what it says is what the guest runs."""

from __future__ import annotations

import re

from tests.rig.machine import PROJECT

PAGE = (PROJECT / "systemd/README.md").read_text("utf-8")

_INLINE = re.compile(r"`([^`\n]+)`")
_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_REMARK = re.compile(r"\s+# .*$")


def commands(heading: str) -> list[str]:
    """The lines of the first block below a heading, remarks taken off."""
    text = PAGE.partition(f"\n## {heading}")[2].partition("\n## ")[0]
    found = _BLOCK.search(text)
    assert found, f"there are no commands below {heading!r}"
    return [_REMARK.sub("", line) for line in found[1].splitlines()]


def example(mark: str) -> str:
    """The block that holds this."""
    (found,) = (text for text in _BLOCK.findall(PAGE) if mark in text)
    return str(found)


def quoted(start: str) -> str:
    """The one command within the text that begins so."""
    found = {text for text in _INLINE.findall(PAGE) if text.startswith(start)}
    assert len(found) == 1, f"the page has {sorted(found)}"
    return found.pop()
