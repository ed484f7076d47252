"""Was the announcement of a call heard? The stretch of the line's sound in which it was played is kept
until all of it is there, and the clip is looked for in it, on both channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recorderd import heard
from recorderd.dsp.line import CHANNELS
from recorderd.dsp.notice import HEARD_MIN, NoticeFound, NoticeTemplate, find_notice
from recorderd.dsp.spectrum import RATE_HZ
from recorderd.media.resample import clip_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recorderd.listening.stream import LineStream
    from recorderd.ports import Clip, PlayedNotice

SLACK = RATE_HZ // 2
"""Cards tell of the first sample that leaves them to within some tens of milliseconds."""

TAIL = RATE_HZ // 2
"""Echoes, and the way from one card through the line to the other."""

LOST_MAX = 1 - HEARD_MIN
"""Where the card lost more of it, a notice that was heard could not be found: nobody can say."""

ANSWERED_WITHIN = 3 * RATE_HZ
"""How an announcement ended that the call's end stopped is told some time after that; the call waits
two seconds for it (core/closings.py)."""

KEPT = 64 * RATE_HZ
"""The longest clip takes a minute."""


def template_of(clip: Clip) -> NoticeTemplate:
    """What is looked for: the clip at the detectors' rate."""
    return NoticeTemplate(np.frombuffer(clip_at(clip, RATE_HZ), np.int16))


class Verdicts:
    """Of one line. Sound is kept only during a call."""

    def __init__(self, line: str, stream: LineStream) -> None:
        self._line = line
        self._stream = stream
        self._templates: dict[str, NoticeTemplate] = {}  # by the clip's hash
        self._sound: list[NDArray[np.int16]] = []
        self._first = 0  # position of the first frame kept
        self._end = 0
        self._keeps = False
        self._keeps_until = 0  # after the call's end
        self._waiting: list[PlayedNotice] = []

    def begin(self) -> None:
        """A call began."""
        self._sound, self._first, self._end = [], self._stream.position, self._stream.position
        self._keeps = True

    def ask(self, played: PlayedNotice) -> None:
        """Look for an announcement, as soon as all its sound is there."""
        self._waiting.append(played)

    def over(self) -> None:
        """The call ended; what was asked, or is in a moment, is still answered."""
        self._keeps = False
        self._keeps_until = self._stream.position + ANSWERED_WITHIN

    def take(self, frames: NDArray[np.int16]) -> None:
        """The line's next frames."""
        is_wanted = self._keeps or self._waiting or self._stream.position <= self._keeps_until
        if not is_wanted:
            self._sound = []
            return
        if not self._sound:
            self._first = self._end = self._stream.position - len(frames)
        self._sound.append(frames)
        self._end += len(frames)
        while self._end - self._first - len(self._sound[0]) >= KEPT:
            self._first += len(self._sound.pop(0))

    def answers(self) -> list[heard.NoticeHeard]:
        """What was found of those whose sound is all there; none of one whose sound was lost."""
        if not self._stream.has_begun:
            return []
        ready = [each for each in self._waiting if self._end >= self._stretch(each)[1]]
        self._waiting = [each for each in self._waiting if each not in ready]
        return [self._answer(played) for played in ready if self._is_known(played)]

    def _is_known(self, played: PlayedNotice) -> bool:
        start = self._stream.position_of(played.started_at)
        stop = self._stream.position_of(played.ended_at)
        return start >= self._first and self._stream.lost_share(start, stop) <= LOST_MAX

    def _stretch(self, played: PlayedNotice) -> tuple[int, int]:
        start = self._stream.position_of(played.started_at) - SLACK
        return start, self._stream.position_of(played.ended_at) + TAIL

    def _answer(self, played: PlayedNotice) -> heard.NoticeHeard:
        start, stop = self._stretch(played)
        sound = np.concatenate(self._sound) if self._sound else np.zeros((0, 2), np.int16)
        start = max(start, self._first)
        stretch = sound[start - self._first : max(0, stop - self._first)]
        template = self._template(played.clip)
        found = [find_notice(template, stretch[:, number]) for number in range(len(CHANNELS))]
        best = max(range(len(CHANNELS)), key=lambda number: _rank(found[number]))
        return self._told(played, found[best], best, start)

    def _told(
        self, played: PlayedNotice, found: NoticeFound, channel: int, start: int
    ) -> heard.NoticeHeard:
        return heard.NoticeHeard(
            at=played.ended_at,
            line=self._line,
            call_id=played.call_id,
            verdict=found.verdict,
            score=round(found.score, 3),
            completeness=round(found.completeness, 3),
            heard_at=None if found.start is None else self._stream.time_of(start + found.start),
            level_dbm0=None if found.level_dbm0 is None else round(found.level_dbm0, 1),
            channel=None if found.start is None else CHANNELS[channel],
        )

    def _template(self, clip: Clip) -> NoticeTemplate:
        if clip.sha256 not in self._templates:
            self._templates[clip.sha256] = template_of(clip)
        return self._templates[clip.sha256]


def _rank(found: NoticeFound) -> tuple[float, float]:
    return found.completeness, found.level_dbm0 if found.level_dbm0 is not None else -100.0
