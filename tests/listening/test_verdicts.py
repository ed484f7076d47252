"""Of which announcements something can be said."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from recorderd.listening.verdicts import Verdicts
from recorderd.ports import Clip, PlayedNotice
from recorderd.units import MonoNs, frames_to_ns, ns_to_frames

RATE_HZ = 8000
SOUND = np.random.default_rng(1).integers(-8000, 8000, RATE_HZ).astype(np.int16)
CLIP = Clip("notice.wav", "aa", RATE_HZ, SOUND.tobytes())


@pytest.mark.parametrize(("kept_from", "verdicts"), [(8000, ["heard"]), (16100, [])])
def test_nothing_is_said_of_a_notice_whose_beginning_was_not_kept(kept_from, verdicts):
    """Else what was heard whole would be told as heard in part."""
    stream = SimpleNamespace(
        position=kept_from,
        has_begun=True,
        lost_share=lambda _start, _stop: 0.0,
        position_of=lambda at: ns_to_frames(at, RATE_HZ),
        time_of=lambda position: MonoNs(frames_to_ns(position, RATE_HZ)),
    )
    line = np.zeros((40000, 2), np.int16)
    line[16000:24000, 1] = SOUND
    asked = Verdicts("one", stream)
    asked.begin()
    asked.ask(PlayedNotice("one", "call", CLIP, MonoNs(frames_to_ns(16000, RATE_HZ)), RATE_HZ))
    found = []
    for start in range(kept_from, 40000, RATE_HZ // 2):
        frames = line[start : start + RATE_HZ // 2]
        stream.position += len(frames)
        asked.take(frames)
        found += asked.answers()
    assert [each.verdict for each in found] == verdicts
