"""A short life of the recorder in virtual time: the real daemon over a simulated office.

The same every time, call ids included.

    python -m tests.faults.life FOLDER DAY [MUTANT]

lives it in a process of its own, with the state directory FOLDER/recordings, and writes what it says
into the memory of FOLDER/board: that takes no system call which could be killed.
"""

from __future__ import annotations

import functools
import itertools
import logging
import mmap
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from recorderd import daemon as composition
from recorderd import events as ev
from recorderd.cli.demo import run_until
from recorderd.config import load
from recorderd.config.needs import ring_seconds_of
from recorderd.daemon import Daemon
from recorderd.media.announcement import load_clip
from recorderd.runtime.watchdog import ServiceManager
from recorderd.runtime.workers import InlineWorker
from recorderd.sim import sound as sound_of_lines
from recorderd.sim.devices import VirtualOffice
from recorderd.units import NS_PER_S, MonoNs
from tests.deaf import Deaf
from tests.faults.mutants import mutated

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.config.values import Config

RATE = 8000

CONFIG = """
[site]
name = "test-office"
country = "JP"
time_zone = "Asia/Tokyo"
[storage]
directory = "{directory}"
segment_s = 5
[simulation]
script = "day.line"
[[line]]
name = "front"
[line.audio]
driver = "sim"
device = "Card"
capture_rate_hz = 8000
near_channel = 1
far_channel = 2
[line.hook]
driver = "sim"
[line.ring]
[line.modem]
driver = "sim"
[line.announcement]
inbound = "notice-en.wav"
[[line]]
name = "back"
[line.audio]
driver = "sim"
device = "Card"
capture_rate_hz = 8000
near_channel = 3
far_channel = 4
[line.hook]
driver = "sim"
[line.ring]
"""

SEALED = "RECORDERD_TEST_SEALED"
"""Set in the environment: every life seals its calls."""

SUPERVISOR = "AGE-SECRET-KEY-1LDRZUVE7PPV4F5Y5JE2FWA94N5UC7GM2KF3P5ETQHEXRDQ6G3AZQZUK9QF"
"""Opens what these lives seal; of no use anywhere else."""

SEAL = """[seal]
recipients = ["age18kwv6ru44ywsa5gfqpu340j029xc76nf0ck0tdwwdqc9qmue539qzuvv8u"]
allow_single_recipient = true
"""

CHANNELS = {"front": (0, 1), "back": (2, 3)}
"""Of the card, by line."""


@dataclass(frozen=True, slots=True)
class Day:
    """What happens, and when the recorder is told to stop."""

    script: str
    ends_s: float


_HEAD = "day 2026-11-23T09:00:00+09:00\nseed 7\n"

DAYS = {
    # A call with caller ID and announcement, one beside it, one that is missed, and one in whose
    # middle the day ends.
    "busy": Day(
        f"""{_HEAD}
09:00:01  front  inbound number=0312345678 answer=3 talk=12
09:00:07  back   outbound dial=0663456789 by=tone talk=4
09:00:28  front  inbound number=0311112222 rings=1 answer=never
09:00:34  back   outbound dial=0663456789 by=tone talk=30
""",
        50.0,
    ),
    "long": Day(f"{_HEAD}09:00:02  back  outbound dial=0663456789 by=tone talk=110\n", 135.0),
    # One call from end to end.
    "short": Day(f"{_HEAD}09:00:01  front  inbound number=0312345678 answer=3 talk=7\n", 18.0),
}


def prepare(folder: Path, directory: Path, day: Day) -> Config:
    """The files that a life needs."""
    text = CONFIG.format(directory=directory) + (SEAL if SEALED in os.environ else "")
    (folder / "recorderd.toml").write_text(text, "utf-8")
    (folder / "day.line").write_text(day.script, "utf-8")
    directory.mkdir(exist_ok=True)
    return load(folder / "recorderd.toml")


@contextmanager
def speech_in_memory():
    """Let the simulator load its speech now: a disk that fails later is not to fail the simulator."""
    remembered = functools.cache(load_clip)
    for party in ("caller", "office"):
        path = sound_of_lines._SPEECH / f"{party}-ja.flac"
        remembered(str(path), path.parent)
    with patch.object(sound_of_lines, "load_clip", remembered):
        yield


def live(
    config: Config,
    ends_s: float,
    tell: Callable[[str], None],
    name: str = "call",
    sound: Path | None = None,
) -> None:
    """Start, a day, stop. `tell` hears of every call that is acknowledged, and of the time.

    The ids of the calls begin with `name`. All that the card hears goes to the file `sound`.
    """
    office = VirtualOffice(config, ring_seconds_of(config))
    world, post, card = office.world, office.inbox.post, office.office.cards["Card"]
    ids = (f"{name}-{number:02d}" for number in itertools.count(1))

    def heard(event: ev.Input) -> None:
        if isinstance(event, ev.RecordingFiled):
            tell(f"filed {event.call_id}")
        if isinstance(event, ev.WriteFailed):
            tell(f"failed {event.call_id} {event.reason}")
        if isinstance(event, ev.StoreAlarm) and event.text is not None:
            tell(f"alarm {event.topic} {event.text}")
        post(event)

    class Told(InlineWorker):
        heard_frames = 0

        def tick(self) -> None:
            tell(f"now {world.now()}")
            super().tick()
            if sound is not None:
                frames = card.head() - self.heard_frames
                with sound.open("ab") as file:
                    file.write(card.read(self.heard_frames, frames))
                self.heard_frames += frames

    office.inbox.post = heard
    with patch.object(composition, "new_call_id", lambda: next(ids)):
        daemon = Daemon(config, office, ServiceManager(), Told, Deaf)
        end = MonoNs(world.start + round(ends_s * NS_PER_S))
        daemon.start()
        tell("ready")
        run_until(daemon, world.now, end, lambda: None)
        tell(f"now {world.now()}")
        daemon.stop()
        tell("stopped")


class Board:
    """A file in memory that holds what a process said, also after its death."""

    BYTES = 1 << 20

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(self.BYTES))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), self.BYTES)

    def tell(self, text: str) -> None:
        self._memory.write(f"{text}\n".encode())

    @staticmethod
    def read(path: Path) -> str:
        return path.read_bytes().rstrip(b"\0").decode() if path.exists() else ""


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    home = Path(sys.argv[1])
    (home / "board").unlink(missing_ok=True)
    board = Board(home / "board")
    day = DAYS[sys.argv[2]]

    def told(text: str) -> None:
        board.tell(text)
        os.access(f"/told/{text}", os.F_OK)  # seen by whoever traces

    with speech_in_memory(), mutated(sys.argv[3] if len(sys.argv) > 3 else None):
        live(prepare(home, home / "recordings", day), day.ends_s, told)
