"""The devices of a configuration, opened to be looked at while the recorder is stopped.

A small control loop: it drains the inbox, keeps each line's and each modem's machine running, and notes
everything that comes, inputs and facts, in one list. While a line is listened to, its sound is read off
the card as it comes, at 8 kHz.
"""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Self

import numpy as np

from recorderd.commands import WriteModem
from recorderd.config.needs import card_needs
from recorderd.core.line import LineMachine
from recorderd.core.modem import ModemMachine
from recorderd.dsp.spectrum import RATE_HZ
from recorderd.events import (
    EdgesLost,
    HookEdge,
    RingEdge,
    TimePassed,
)
from recorderd.media.resample import Resampler, take_channels
from recorderd.runtime.inbox import next_event
from recorderd.units import NS_PER_S, FrameIndex, MonoNs, later, ms, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from recorderd.config.values import Config, Line
    from recorderd.daemon import Devices
    from recorderd.events import Fact, Input
    from recorderd.ports import Clip, HookSensor, Modem, SoundCard

    Seen = list[Input | Fact]

RING_SECONDS = 120
"""Longer than anybody takes to read what to do next."""

LOOK_NS = ms(100)
"""So often it is asked whether enough has come: not at every edge of a pin that hums."""
INBOX_MAX = 5000


class PatientInbox:
    """ports.Inbox for a reader that a person keeps waiting: of too many events the oldest go."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Input] = queue.Queue()

    def post(self, event: Input) -> None:
        while self._queue.qsize() >= INBOX_MAX:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
        self._queue.put(event)

    def wait(self, until: MonoNs) -> Input | None:
        return next_event(self._queue, until)


class Tape:
    """The sound of one line, from when it is made on: 8 kHz, near and far."""

    def __init__(self, card: SoundCard, line: Line) -> None:
        self.lost_frames = 0
        self._card = card
        self._audio = line.audio
        self._next = card.head()
        self._began_at = card.time_of(self._next)
        self._resampler = Resampler(card.rate_hz, RATE_HZ)
        self._blocks: list[NDArray[np.int16]] = []

    def pump(self) -> None:
        """Take what the card has; what it has no longer is silence."""
        first, head = max(self._next, self._card.tail()), self._card.head()
        self._take(bytes(4 * (first - self._next)))
        self.lost_frames += first - self._next
        if head > first:
            first = FrameIndex(first)
            block = self._card.read(first, head - first)
            self.lost_frames += sum(each.frames for each in self._card.lost(first, head - first))
            near, far = self._audio.near_channel, self._audio.far_channel
            self._take(take_channels(block, self._card.channels, near, far))
        self._next = max(self._next, head)

    def _take(self, pair: bytes) -> None:
        if pair:
            resampled = self._resampler.feed(pair)
            self._blocks.append(np.frombuffer(resampled, np.int16).reshape(-1, 2))

    def between(self, since: MonoNs, until: MonoNs) -> NDArray[np.int16]:
        """What was heard then, as far as it has come."""
        whole = np.concatenate([np.zeros((0, 2), np.int16), *self._blocks])
        low, high = (max(0, (at - self._began_at) * RATE_HZ // NS_PER_S) for at in (since, until))
        return whole[low:high]


class Bench:
    """A context manager: while it is entered, the devices are ours."""

    def __init__(self, config: Config, devices: Devices) -> None:
        self.config = config
        self.seen: Seen = []
        self._devices = devices
        self._lines = {line.name: line for line in config.lines}
        self._cards: dict[str, SoundCard] = {}
        self._modems: dict[str, Modem] = {}
        self._sensors: list[HookSensor] = []
        self._modem_machines: dict[str, ModemMachine] = {}
        self._line_machines: dict[str, LineMachine] = {}
        self._hook_levels: dict[str, bool] = {}  # raw
        self._turned: set[str] = set()  # lines whose hook is read upside down
        self._tape: Tape | None = None

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _open(self) -> None:
        config, devices = self.config, self._devices
        for name, (rate_hz, channels, _) in card_needs(config).items():
            self._cards[name] = devices.card(name, rate_hz, channels, RING_SECONDS)
            self._cards[name].start()
        for line in config.lines:
            self._line_machines[line.name] = LineMachine(line.name, config.profile, None)
            if line.modem is not None:
                self._modem_machines[line.name] = ModemMachine(line.name, config.profile.country)
                self._start_modem(line)
            if line.hook.driver != "voice":  # such a line has no pins
                sensor = devices.sensor(line)
                self._sensors.append(sensor)
                sensor.start()

    def _start_modem(self, line: Line) -> None:
        modem = self._modems[line.name] = self._devices.modem(line)
        modem.start()

    def __exit__(self, *_: object) -> None:
        for sensor in self._sensors:
            sensor.close()
        for modem in self._modems.values():
            modem.close()
        for card in self._cards.values():
            card.close()

    # ------------------------------------------------------------ looking

    def now(self) -> MonoNs:
        return self._devices.clock.now()

    def watch(self, wait_s: float, until: Callable[[Seen], bool] = lambda _: False) -> Seen:
        """What comes within `wait_s` seconds, or until `until` says of it that it is enough."""
        first, end = len(self.seen), later(self.now(), seconds(wait_s))
        while not until(self.seen[first:]) and self.now() < end:
            pause = min(end, later(self.now(), LOOK_NS))
            while self.now() < pause and (event := self._devices.inbox.wait(pause)) is not None:
                self._take(event)
            self._pass_time(self.now())
        return self.seen[first:]

    def catch_up(self) -> None:
        """Take what came while the person was reading."""
        while (event := self._devices.inbox.wait(self.now())) is not None:
            self._take(event)
        self._pass_time(self.now())

    def hook_level(self, line: str) -> bool | None:
        """Off-hook, as the pin is read by the configuration; None: never read."""
        return self._hook_levels.get(line)

    def turn_hook(self, line: str) -> None:
        """From now on read the line's hook the other way round."""
        self._turned.add(line)
        machine = LineMachine(line, self.config.profile, None)
        machine.handle(HookEdge(self.now(), line, not self._hook_levels[line], at_start=True))
        self._line_machines[line] = machine

    # ------------------------------------------------------------ listening and playing

    def card(self, name: str) -> SoundCard:
        return self._cards[name]

    def listen(self, line: str) -> Tape:
        """Begin a tape of a line; the one before ends with that."""
        wanted = self._lines[line]
        self._tape = Tape(self._cards[wanted.audio.device], wanted)
        return self._tape

    def play(self, line: str, clip: Clip, at: MonoNs) -> None:
        """Let an announcement go out, as the recorder does; AnnouncementFinished will follow."""
        announcement = self._lines[line].announcement
        assert announcement is not None
        card = self._cards[announcement.output_device]
        card.play(line, f"doctor-{at}", clip, announcement.output_channel, at)

    # ------------------------------------------------------------ within

    def _pass_time(self, now: MonoNs) -> None:
        for card in self._cards.values():
            card.watch(now)
        if self._tape is not None:
            self._tape.pump()
        for line in self._lines:
            self._run(line, TimePassed(now))

    def _take(self, event: Input) -> None:
        self.seen.append(event)
        if isinstance(event, HookEdge):
            self._hook_levels[event.line] = event.off_hook
        line = getattr(event, "line", None) or getattr(event, "name", "")
        if line in self._lines:
            self._run(line, event)

    def _run(self, line: str, event: Input) -> None:
        machine = self._line_machines[line]
        facts: Seen = []
        if isinstance(event, HookEdge) and line in self._turned:
            event = HookEdge(event.at, line, not event.off_hook, event.at_start)
        if isinstance(event, HookEdge | RingEdge | EdgesLost | TimePassed):
            facts += machine.handle(event)
        modem = self._modem_machines.get(line)
        if modem is not None:
            for each in [event, *facts]:
                for out in modem.handle(each):  # type: ignore[arg-type]  # it leaves the rest alone
                    if isinstance(out, WriteModem):
                        self._modems[line].write(out.data)
                    else:
                        facts.append(out)
        self.seen += facts
