"""Long sentences on a terminal: folded between words. A pipe or a file gets them whole."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TextIO

COLUMNS_MIN = 40


def folded(text: str, indent: int, stream: TextIO | None = None) -> str:
    """`text` as standard output, or another stream, is to have it: what does not fit in a line begins
    the next one, `indent` blanks from the left."""
    if not (stream or sys.stdout).isatty():
        return text
    return textwrap.fill(
        text,
        width=max(shutil.get_terminal_size().columns, COLUMNS_MIN),
        subsequent_indent=" " * indent,
        break_long_words=False,  # a path or a fingerprint is copied whole
        break_on_hyphens=False,
    )
