"""The sound of a filed call, compared frame by frame with what the card heard."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recorderd.units import ms, seconds
from tests.simulate.violations import fail

if TYPE_CHECKING:
    from pathlib import Path

    from recorderd.evidence.sound import Sound as Frames
    from tests.simulate.alarms import Alarms
    from tests.simulate.run import Process
    from tests.simulate.world import CountingCard

LOST_IN_A_CUT_NS = seconds(2)
SEALED_SUFFIXES = {".age", ".tar"}
SOUND_SUFFIXES = {".flac", ".wav", *SEALED_SUFFIXES}
BY_THE_CARD = {"overrun", "card-lost", "card-stalled"}
BY_THE_WRITER = {"write-failed", "writer-late"}
IN_MEMORY_NS = seconds(42)  # ring and pre-roll: a loss may be told so long after the disk failed
PRE_ROLL_FRAMES_MAX = 24_000
ROUNDED_FRAMES = 16  # times in a record are cut to milliseconds


def card_at(process: Process, true_ns: int) -> CountingCard | None:
    """The card that a process listened to at this moment."""
    mono = process.devices.boot.mono(true_ns)
    begun = [card for card in process.devices.cards if (card.started_at or 0) <= mono + ms(2)]
    return begun[-1] if begun else None


@dataclass
class Sound:
    """One recording: `answered` and `ended` in true time, `ended` None where it was cut."""

    record: dict[str, Any]
    folder: Path
    read: Frames
    process: Process
    answered: int
    ended: int | None
    alarms: Alarms

    def check(self, put_down_at: int) -> None:
        """All of it: what was heard, silence only in gaps, gaps only where there is a reason.

        `put_down_at` is the moment when the call ended, whatever the recorder saw of it.
        """
        card = card_at(self.process, self.answered)
        assert card is not None, "it was filed by a process that had a card"
        frames = self._frames()
        first = self._compare(frames, card)
        for gap in self.record["gaps"]:
            self._check_gap(gap, card, first)
        if self.ended is None:
            self._check_loss(card, first + len(frames), put_down_at)
            return
        expected = card.frame_at(self.process.devices.boot.mono(self.ended)) - first
        if abs(expected - len(frames)) > ROUNDED_FRAMES:
            self._fail(f"has {len(frames)} frames; it lasted {expected}")

    def _fail(self, what: str) -> None:
        fail(f"call {self.record['id']} {what}")

    def _frames(self) -> np.ndarray:
        """All frames of all segments; each file is what the record says of it."""
        reached, blocks = 0, []
        for index, segment in enumerate(self.record["segments"]):
            path = self.folder / segment["file"]
            if segment["first_frame"] != reached or not path.exists():
                self._fail(f"lacks segment {index}, or it is out of place")
            if hashlib.sha256(path.read_bytes()).hexdigest() != segment["sha256"]:
                self._fail(f"has a segment {index} that its record does not know")
            pcm = b"".join(self.read(path, segment))
            # Whoever finishes a sealed call of a dead process cannot hash what it cannot open.
            is_locked = path.suffix in SEALED_SUFFIXES and self.process.ended_at is not None
            is_unknown = segment["audio_sha256"] is None and is_locked
            if hashlib.sha256(pcm).hexdigest() != segment["audio_sha256"] and not is_unknown:
                self._fail(f"has other sound in segment {index} than its record says")
            reached += len(pcm) // 4
            blocks.append(pcm)
        files = [path for path in self.folder.iterdir() if path.suffix in SOUND_SUFFIXES]
        if len(files) != len(blocks):
            self._fail(f"has {len(files)} files for {len(blocks)} segments")
        if reached != self.record["audio"]["frames"]:
            self._fail(f"has {reached} frames, not {self.record['audio']['frames']}")
        return np.frombuffer(b"".join(blocks), np.int16).reshape(-1, 2)

    def _compare(self, frames: np.ndarray, card: CountingCard) -> int:
        """The card's frame with which the recording begins."""
        is_gap = np.zeros(len(frames), bool)
        for gap in self.record["gaps"]:
            is_gap[gap["first_frame"] : gap["first_frame"] + gap["frames"]] = True
        heard = np.flatnonzero(~is_gap)
        if not len(heard):
            self._fail("is a recording without a frame of sound")
        hook = card.frame_at(self.process.devices.boot.mono(self.answered))
        pre_roll = self.record["audio"]["pre_roll_frames"]
        # Of a call that was cut before its hook edge was kept, only a part of the pre-roll is there.
        within = PRE_ROLL_FRAMES_MAX if pre_roll == len(frames) else ROUNDED_FRAMES
        first = _nearest(hook - pre_roll, int(frames[heard[0], 0]), int(heard[0]), within)
        expected = card.frames(first, len(frames), 0 if self.record["line"] == "front-desk" else 1)
        expected[is_gap] = 0
        if not np.array_equal(frames, expected):
            wrong = np.flatnonzero((frames != expected).any(axis=1))
            is_silent = not frames[wrong[0]].any()
            what = "silence that is no gap" if is_silent else "sound that was not heard there"
            self._fail(
                f"has {what} in {len(wrong)} of {len(frames)} frames, from {wrong[0]} on; its gaps "
                f"are {self.record['gaps'][:5]}"
            )
        return first

    def _check_gap(self, gap: dict[str, Any], card: CountingCard, first: int) -> None:
        """A gap is where the card lost frames, or the disk failed, or the power."""
        boot = self.process.devices.boot
        begin = first + gap["first_frame"]
        end = begin + gap["frames"]
        if gap["cause"] in BY_THE_CARD:
            lost = sum(max(0, min(end, over) - max(begin, hole)) for hole, over in card.holes())
            if lost + max(0, -begin) < end - begin - 2:
                self._fail(f"has {gap}, but the card lost {card.holes()[-3:]}")
        elif gap["cause"] in BY_THE_WRITER:
            begun, over = boot.true(card.time_of(begin)), boot.true(card.time_of(end))
            if not self.alarms.disk.touch(begun - seconds(2), over + IN_MEMORY_NS):
                self._fail(f"has {gap}, but the disk did not fail")
        elif gap["frames"] and not self.record["cut"]:
            self._fail(f"has {gap}, but was not cut")

    def _check_loss(self, card: CountingCard, end: int, put_down_at: int) -> None:
        """A cut costs two seconds at the most, unless the disk or the card failed before it."""
        process = self.process
        died = process.ended_at
        assert died is not None, "a call that was cut is of a process that ended"
        kept_until = max(process.devices.boot.true(card.time_of(end)), self.answered)
        lost_ns = min(died, put_down_at) - kept_until
        excused = (
            self.alarms.disk.touch(kept_until - seconds(1), died)
            or self.alarms.is_noisy(self.record["line"], kept_until - seconds(10), died)
            or any(over > end for _, over in card.holes())
        )
        if lost_ns > LOST_IN_A_CUT_NS and not excused:
            self._fail(f"lost {lost_ns / 1e9:.3f} s in the {process.end}")


def _nearest(first: int, sample: int, position: int, within: int) -> int:
    """Which frame near `first` the recording begins with, if its frame at `position` is `sample`."""
    away = (sample - (first + position) + 0x4000) % 0x8000 - 0x4000
    return first + away if abs(away) <= within else first
