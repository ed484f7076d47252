"""Every place of a clip in one channel, whatever the blocks that it comes in: for whole files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from recorderd.dsp.notice import DRIFT_MAX, NoticeFound, NoticeTemplate, find_notice
from recorderd.dsp.spectrum import RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

STRETCH = 60 * RATE_HZ  # starts that are searched at once
BESIDE = RATE_HZ  # samples of sound around them


class NoticeEar:
    """Takes 16-bit samples at 8 kHz; gives what it finds once a stretch is full."""

    def __init__(self, template: NoticeTemplate) -> None:
        self._template = template
        self._blocks: list[NDArray[np.int16]] = []
        self._first = 0  # position of the first sample that is kept
        self._end = 0
        self._next = -template.length  # the first start that has not been searched
        self._reach = BESIDE + int(template.length * (1 + DRIFT_MAX))

    def feed(self, samples: NDArray[np.int16]) -> list[NoticeFound]:
        """What was found in the stretches that these samples complete, in their order."""
        self._blocks.append(samples)
        self._end += len(samples)
        found: list[NoticeFound] = []
        while self._end >= self._next + STRETCH + self._reach:
            found += self._search(self._next + STRETCH)
        return found

    def finish(self) -> list[NoticeFound]:
        """What is in the rest. Nothing can be fed afterwards."""
        return self._search(self._end)

    def _search(self, stop: int) -> list[NoticeFound]:
        whole = np.concatenate(self._blocks or [np.zeros(0, np.int16)])
        first, sound = self._first, whole[: stop + self._reach - self._first]
        places = _places(self._template, sound, (self._next - first, stop - 1 - first))
        found = sorted(
            (replace(each, start=start + first) for start, each in places),
            key=lambda each: each.start or 0,
        )
        self._next = stop
        if found and found[-1].start is not None:
            # Its echo is no second one.
            self._next = max(stop, found[-1].start + self._template.length)
        self._first = max(first, self._next - BESIDE)
        self._blocks = [whole[self._first - first :]]
        return found


def _places(
    template: NoticeTemplate, sound: NDArray[np.int16], around: tuple[int, int]
) -> Iterator[tuple[int, NoticeFound]]:
    """The best place, then those before and after it; a clip does not begin before it is over."""
    low, high = around
    found = find_notice(template, sound, around) if low <= high else None
    if found is not None and found.start is not None:
        yield found.start, found
        yield from _places(template, sound, (low, found.start - template.length))
        yield from _places(template, sound, (found.start + template.length, high))
