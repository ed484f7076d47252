"""Finding something known in any bytes: texts in all the forms a program may give them, and sound.

Sound is found by windows of eight bytes, at every place of the sound and at every offset of what is
searched: two frames of both channels, or four samples of one. Of random bytes a window matches by
chance once in 2^64 places.
"""

from __future__ import annotations

import base64
import codecs
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

WINDOW = 8
DISTINCT_BYTES_MIN = 6
"""A window of silence or of a run is in every file and says nothing."""


def text_forms(text: str) -> set[bytes]:
    """A text as it may stand in a file."""
    forms = set()
    for name in ("utf-8", "utf-16-le", "utf-16-be"):
        data = text.encode(name)
        forms |= {data, codecs.encode(data, "hex"), codecs.encode(data, "hex").upper()}
        for shift in range(3):
            encoded = base64.b64encode(bytes(shift) + data)
            first, last = -(-8 * shift // 6), 8 * (shift + len(data)) // 6
            forms.add(encoded[first:last])
    return forms


def windows(data: bytes, step: int) -> np.ndarray:
    """Every window of `data` that says something, from every `step`-th byte."""
    whole = np.frombuffer(data, np.uint8)
    places = np.lib.stride_tricks.sliding_window_view(whole, WINDOW)[::step]
    ordered = np.sort(places, axis=1)
    distinct = 1 + (np.diff(ordered, axis=1) != 0).sum(axis=1)
    telling = np.ascontiguousarray(places[distinct >= DISTINCT_BYTES_MIN])
    return np.unique(telling.view(np.uint64).ravel())


def sound_windows(pcm: bytes) -> np.ndarray:
    """The windows of interleaved 16-bit stereo frames: both channels, near alone, far alone."""
    channels = np.frombuffer(pcm, np.int16).reshape(-1, 2)
    alone = [windows(np.ascontiguousarray(channels[:, side]).tobytes(), 2) for side in (0, 1)]
    return np.unique(np.concatenate([windows(pcm, 4), *alone]))


class Known:
    """What is to be found: texts, interleaved sound, windows of encoded sound."""

    def __init__(self, texts: Iterable[str], pcm: np.ndarray, encoded: np.ndarray) -> None:
        forms = [form[:WINDOW] for text in texts for form in text_forms(text)]
        self.windows = {
            "texts": np.unique(np.frombuffer(b"".join(forms), np.uint64)),
            "pcm": pcm,
            "flac": encoded,
        }
        self._maybe = np.zeros(1 << TABLE_BITS, bool)  # most of what is searched is told by this
        for wanted in self.windows.values():
            self._maybe[_slot(wanted)] = True

    def hits(self, data: bytes) -> dict[str, int]:
        """How many places of `data` hold a known window, by its kind."""
        found = dict.fromkeys(self.windows, 0)
        for offset in range(WINDOW):
            count = max(0, len(data) - offset) // WINDOW
            there = np.frombuffer(data, np.uint64, count, min(offset, len(data)))
            there = there[self._maybe[_slot(there)]]
            for kind, wanted in self.windows.items():
                found[kind] += _count(there, wanted)
        return found

    def total(self, pieces: Iterable[bytes]) -> dict[str, int]:
        """The hits in all pieces."""
        found = dict.fromkeys(self.windows, 0)
        for piece in pieces:
            for kind, count in self.hits(piece).items():
                found[kind] += count
        return found


TABLE_BITS = 24
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 by the golden ratio: neighbours come far apart


def _count(there: np.ndarray, wanted: np.ndarray) -> int:
    """How many of `there` are in `wanted`, which is sorted."""
    if not len(wanted):
        return 0
    near = np.minimum(np.searchsorted(wanted, there), len(wanted) - 1)
    return int((wanted[near] == there).sum())


def _slot(values: np.ndarray) -> np.ndarray:
    return (values * _SPREAD) >> np.uint64(64 - TABLE_BITS)
