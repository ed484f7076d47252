"""A sound card whose every frame tells its own index, and a writer at work on it in virtual time."""

from __future__ import annotations

import json
import os
import tempfile
from array import array
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from recorderd.config.values import LineAudio, Site, Storage
from recorderd.core import chain
from recorderd.core.manifest import (
    AbandonRecording,
    CallRecord,
    CloseRecording,
    FileRecord,
    OpenRecording,
    SaveDraft,
)
from recorderd.events import Caller, RecordingFiled, WriteFailed
from recorderd.ports import LostFrames
from recorderd.recording.writer import Writer
from recorderd.seal.age import Identities, new_identity
from recorderd.seal.callkey import Sealer
from recorderd.seal.envelope import PLAIN, plain_envelope
from recorderd.seal.vault import opened_key, with_party
from recorderd.store.books import Books
from recorderd.store.closing import sound_hash
from recorderd.store.ledger import RECORDER, Ledger, chain_lines
from recorderd.store.recovery import recover
from recorderd.store.signing import DeviceKey
from recorderd.store.sound import segment_sound
from recorderd.units import NS_PER_S, ClockReading, MonoNs, WallNs

RATE = 8000
SUPERVISORS = (new_identity(), new_identity())
RECIPIENTS = tuple(recipient for _, recipient in SUPERVISORS)
KEY = DeviceKey.generate()
SITE = Site("test-office", "JP", "Asia/Tokyo")
WALL = WallNs(1_795_427_100 * NS_PER_S)  # 2026-11-23T18:45:00+09:00
READING = ClockReading("boot-1", MonoNs(0), WALL, synchronised=True, source="simulated")
CALLER = Caller("03-1234-5678", "TANAKA", None, "modem", "NMBR=0312345678")


@contextmanager
def in_memory():
    """A folder that no disk slows down: what is tested here is the order of things."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


RAMP = array("h", range(1 << 15)) * 3


def at(second: float) -> MonoNs:
    return MonoNs(round(second * NS_PER_S))


class CountingCard:
    """Frame i of channel pair k reads (i mod 2^15, i div 2^15 + 1000 k); frame 0 is at `started`."""

    def __init__(self, name="card", rate_hz=RATE, channels=2, ring_s=30.0, started=0.0):
        self.name, self.rate_hz, self.channels = name, rate_hz, channels
        self.ring_frames = round(ring_s * rate_hz)
        self.started = started
        self.frames = 0
        self.alive = True
        self.losses: list[LostFrames] = []

    def advance(self, second: float, cause="card-lost") -> None:
        """The world has come to `second`."""
        if self.alive:
            self.frames = max(0, round((second - self.started) * self.rate_hz))

    def come_back(self, second: float, cause="card-lost") -> None:
        first, self.alive = self.frames, True
        self.advance(second)
        self.losses.append(LostFrames(first, self.frames - first, cause))

    def head(self):
        return self.frames

    def tail(self):
        return max(0, self.frames - self.ring_frames)

    def frame_at(self, moment):
        return round((moment / NS_PER_S - self.started) * self.rate_hz)

    def time_of(self, frame):
        return at(frame / self.rate_hz + self.started)

    def read(self, first, frames):
        if first < self.tail() or first + frames > self.head():
            raise LookupError("not in the ring")
        samples = array("h", bytes(2 * frames * self.channels))
        first_page = first >> 15
        turn = min(frames, (first_page + 1 << 15) - first)
        far = array("h", [first_page]) * turn + array("h", [first_page + 1]) * (frames - turn)
        for channel in range(0, self.channels, 2):
            samples[channel :: self.channels] = RAMP[first % 32768 : first % 32768 + frames]
            shift = 500 * channel
            samples[channel + 1 :: self.channels] = array("h", [value + shift for value in far])
        for loss in self.lost(first, frames):
            begin = (loss.first - first) * self.channels
            samples[begin : begin + loss.frames * self.channels] = array(
                "h", bytes(2 * loss.frames * self.channels)
            )
        return samples.tobytes()

    @staticmethod
    def pair(frame):
        return frame % (1 << 15), frame >> 15

    def lost(self, first, frames):
        found = []
        for loss in self.losses:
            begin, end = max(first, loss.first), min(first + frames, loss.first + loss.frames)
            if begin < end:
                found.append(LostFrames(begin, end - begin, loss.cause))
        return found


def audio(record_rate_hz=RATE, near=1, far=2, pre_roll_ms=2000, capture_rate_hz=RATE):
    return LineAudio("sim", "card", capture_rate_hz, record_rate_hz, near, far, pre_roll_ms, 60)


def a_record(call_id="call-1", line="front", started=10.0, **known):
    base = {
        "id": call_id,
        "site": SITE.name,
        "line": line,
        "source": "sim",
        "direction": "inbound",
        "disposition": "recorded",
        "reason": None,
        "started_at": at(started),
        "answered_at": at(started),
        "ended_at": None,
        "reading": READING,
        "software_version": "0.1",
        "config_sha256": "0" * 64,
    }
    return CallRecord(**{**base, **known})


OFFICES: list[Office] = []
"""Every office of the test that runs: tests/conftest.py closes their catalogues after it."""


class Office:
    """A writer over counting cards; `run_to` lets virtual time pass, half a second a pump."""

    def __init__(
        self, folder, lines=None, segment_s=5, file_format="flac", card=None, *, is_sealed=False
    ):
        self.directory = folder
        self.storage = Storage(folder, file_format, segment_s, 180, 500)
        self.card = card or CountingCard()
        self.lines = lines or {"front": (self.card, audio())}
        self.now_s = 0.0
        self.posts = []
        self.ledger = self.open_ledger()
        self.books = Books(folder, self.ledger)
        self.writer = Writer(
            self.storage,
            SITE,
            self.lines,
            self.books,
            Sealer(folder, RECIPIENTS).envelope if is_sealed else plain_envelope,
            self.posts.append,
            lambda: at(self.now_s),
        )
        OFFICES.append(self)

    # ------------------------------------------------------------ time

    def run_to(self, second: float) -> None:
        while self.now_s < second:
            self.now_s = min(second, self.now_s + 0.5)
            for card in {id(card): card for card, _ in self.lines.values()}.values():
                card.advance(self.now_s)
            self.writer.pump()

    def settle(self, limit_s=30.0) -> None:
        """Until the writer has nothing left to do."""
        end = self.now_s + limit_s
        while self.writer.pending():
            assert self.now_s < end, "the writer never came to an end"
            self.run_to(self.now_s + 0.5)

    # ------------------------------------------------------------ commands

    def open(self, record=None, answered=None):
        record = record or a_record()
        self.writer.handle(OpenRecording(record, record.answered_at))
        return record

    def save(self, record):
        self.writer.handle(SaveDraft(record))
        return record

    def close(self, record, ended):
        record = replace(record, ended_at=at(ended))
        self.writer.handle(CloseRecording(record))
        return record

    def abandon(self, record, kept=None):
        self.writer.handle(AbandonRecording(record.id, "must not be", kept))

    def file(self, record):
        self.writer.handle(FileRecord(record))

    def whole_call(self, start=10.0, ended=22.0, hang_up_s=0.4, record=None):
        """A call from its hook edge to its record on the disk, with time before and after."""
        self.run_to(start + 0.2)
        record = self.open(record or a_record(started=start))
        self.run_to(ended + hang_up_s)
        record = self.close(record, ended)
        self.settle()
        return record

    # ------------------------------------------------------------ what came of it

    @property
    def filed(self):
        return [post for post in self.posts if isinstance(post, RecordingFiled)]

    @property
    def failures(self):
        return [post for post in self.posts if isinstance(post, WriteFailed)]

    def recover(self, **options):
        """What a start does: with a ledger of its own."""
        self.writer.close()
        self.ledger.close()
        self.ledger = self.open_ledger()
        return recover(self.storage, SITE, self.ledger, **options)

    def open_ledger(self):
        return Ledger(self.directory, RECORDER, SITE.name, KEY, self.reading)

    def reading(self):
        moment = at(self.now_s)
        return replace(READING, mono=moment, wall=READING.wall_at(moment))

    def entries(self):
        """The recorder's chain as it is on the disk; LedgerError where it does not hold together."""
        return list(chain.walk(chain_lines(self.directory / "ledger/recorder")))

    def folders(self):
        return sorted(path.parent for path in self.directory.glob("calls/*/*/*/*/call.json"))

    def call(self, call_id="call-1"):
        (folder,) = [folder for folder in self.folders() if folder.name == call_id]
        return folder, json.loads((folder / "call.json").read_text("utf-8"))

    def opener(self, record):
        """What opens a call: nothing, or the second supervisor's key."""
        if record["sealed"] is None:
            return PLAIN
        return opened_key(self.directory, record["id"], Identities([SUPERVISORS[1][0]]))

    def opened(self, call_id="call-1"):
        """The record of a call as its supervisor sees it."""
        _, record = self.call(call_id)
        return with_party(record, self.opener(record))

    def frames(self, call_id="call-1"):
        """All frames of a call's segments, joined, as (near, far) pairs; checks the record."""
        folder, record = self.call(call_id)
        opener = self.opener(record)
        joined = array("h")
        for segment in record["segments"]:
            assert segment["first_frame"] == len(joined) // 2
            whole = array("h")
            place = folder / segment["file"]
            for block in segment_sound(place, len(joined) // 2, segment["frames"], opener):
                whole.frombytes(block)
            if segment["audio_sha256"] is not None:
                assert sound_hash([whole.tobytes()]) == segment["audio_sha256"]
            joined += whole
            assert segment["first_frame"] + segment["frames"] == len(joined) // 2
        assert record["audio"]["frames"] == len(joined) // 2
        return list(zip(joined[::2], joined[1::2], strict=True))

    def left_open(self):
        return sorted(path.name for path in (self.directory / "open").iterdir())


def expected(first, frames, gaps=(), pair=CountingCard.pair):
    """What a recording from card frame `first` holds, silence in its gaps."""
    silent = {
        index
        for gap in gaps
        for index in range(gap["first_frame"], gap["first_frame"] + gap["frames"])
    }
    return [(0, 0) if index in silent else pair(first + index) for index in range(frames)]
