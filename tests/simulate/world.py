"""The world around the simulated recorder: true time, the box with its boots, lines, card and clock.

True time runs from the simulation's first midnight and never steps. A boot has a monotonic clock of
its own, which begins anew, and a wall clock, which may be wrong. What happens outside (plan.py) is on
one agenda in true time and goes on while the box is off. A process gets new devices of a boot; the
lines, plugs and clock that stand behind them outlive it.

Where nothing goes on, time jumps to the next thing that will happen: the rounds of an idle control
loop are left out, and nothing else.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from recorderd.drivers.edges import WINDOW_NS, EdgeGate, hook_gate, ring_gate
from recorderd.events import DriverReady, HookEdge
from recorderd.sim.audio import SimCard
from recorderd.sim.clock import VirtualInbox, World
from recorderd.sim.exchange import HookMoved, ModemPlugged, ModemSpoke, ReportArrived, RingMoved
from recorderd.sim.modem import HASH_CID, VCID, SimModem
from recorderd.sim.sound import Span
from recorderd.units import NS_PER_S, ClockReading, MonoNs, WallNs, frames_to_ns, later, ms
from tests.simulate.violations import Windows

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.config.values import Line
    from recorderd.events import Input
    from recorderd.ports import Clip, Post
    from recorderd.sim.exchange import Happening

CHATTER_HZ = 10_000
BATCH_NS = ms(10)


class Outside:
    """The agenda in true time."""

    def __init__(self) -> None:
        self._stands_at = 0
        self._boot: Boot | None = None  # whose clock goes on
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0

    @property
    def now(self) -> int:
        boot = self._boot
        return self._stands_at if boot is None else boot.true(boot.now())

    def follow(self, boot: Boot | None) -> None:
        """Let time go on with a boot, or stand (None) until `pass_to`."""
        self._stands_at, self._boot = self.now, boot

    def pass_to(self, until: int) -> None:
        """The box is off, and the world goes on."""
        assert self._boot is None
        while (at := self.next_at()) is not None and at <= until:
            self._stands_at = max(self._stands_at, at)
            self.run_next()
        self._stands_at = max(self._stands_at, until)

    def add(self, at: int, action: Callable[[], None]) -> None:
        at = max(at, self.now)
        is_next = not self._agenda or at < self._agenda[0][0]
        heapq.heappush(self._agenda, (at, self._sequence, action))
        self._sequence += 1
        if is_next and self._boot is not None:
            self._boot.come(at)

    def next_at(self) -> int | None:
        return self._agenda[0][0] if self._agenda else None

    def run_next(self) -> None:
        """Let the next thing happen."""
        _, _, action = heapq.heappop(self._agenda)
        action()


# ---------------------------------------------------------------- the box


class WallClock:
    """Wall time as the box believes it."""

    def __init__(self, outside: Outside, midnight_wall_ns: int) -> None:
        self._outside = outside
        self._midnight_wall_ns = midnight_wall_ns
        self.offset_ns = 0
        self.synchronised = True
        self.misleading = Windows()  # when it was wrong, and called itself synchronised

    def wall(self, true_ns: int) -> int:
        return self._midnight_wall_ns + true_ns + self.offset_ns

    def synchronise(self) -> None:
        self.move(0, synchronised=True)

    def set_to(self, wall_ns: int, *, synchronised: bool) -> None:
        offset_ns = wall_ns - self._midnight_wall_ns - self._outside.now
        self.move(offset_ns, synchronised=synchronised)

    def move(self, offset_ns: int, *, synchronised: bool) -> None:
        """Let it be wrong by `offset_ns`."""
        self.offset_ns, self.synchronised = offset_ns, synchronised
        if synchronised and offset_ns:
            self.misleading.begin(self._outside.now)
        else:
            self.misleading.end(self._outside.now)


class Boot:
    """One run of the kernel: its monotonic clock, and the agenda of what is simulated in it."""

    def __init__(self, number: int, outside: Outside, clock: WallClock, mono: int) -> None:
        self.id = f"{number:08x}-0000-4000-8000-000000000000"
        self.world = World(MonoNs(mono))
        self.begins_at = outside.now - mono  # the true time of its monotonic 0
        self._outside = outside
        self._clock = clock
        outside.follow(self)
        if (at := outside.next_at()) is not None:
            self.come(at)

    def mono(self, true_ns: int) -> MonoNs:
        return MonoNs(true_ns - self.begins_at)

    def true(self, mono: int) -> int:
        return mono + self.begins_at

    def now(self) -> MonoNs:
        return self.world.now()

    def reading(self) -> ClockReading:
        mono = self.world.now()
        wall = self._clock.wall(self.true(mono))
        source = "simulated" if self._clock.synchronised else "none"
        return ClockReading(self.id, mono, WallNs(wall), self._clock.synchronised, source)

    def come(self, at: int) -> None:
        """Something will happen outside."""
        self.world.schedule(self.mono(at), self._let)

    def _let(self) -> None:
        at = self._outside.next_at()
        if at is None or at > self.true(self.world.now()):
            return  # it was come for twice
        self._outside.run_next()
        if (at := self._outside.next_at()) is not None:
            self.come(at)


class Phone:
    """One line as it stands outside the box, and what of the running process listens to it."""

    def __init__(self, name: str, outside: Outside) -> None:
        self.name = name
        self.off_hook = False
        self.ringing = False
        self.plugged = True
        self.moved_at = 0  # its hook
        self.sensor: Sensor | None = None
        self.modem: SimModem | None = None
        self._outside = outside
        self._chatter_until = 0

    def let(self, happening: Happening) -> None:
        match happening:
            case HookMoved(_, off_hook) if off_hook != self.off_hook:
                self.off_hook, self.moved_at = off_hook, self._outside.now
                if self.sensor is not None:
                    self.sensor.hook(off_hook=off_hook)
            case RingMoved(_, active) if active != self.ringing:
                self.ringing = active
                if self.sensor is not None:
                    self.sensor.ring(active=active)
            case ModemSpoke(_, data) if self.modem is not None:
                self.modem.say(data)
            case ReportArrived(_, fields) if self.modem is not None:
                self.modem.report(fields)
            case ModemPlugged(_, plugged):
                self.plugged = plugged
                if self.modem is not None:
                    self.modem.set_plugged(plugged=plugged)
            case _:
                pass

    def chatter(self, until: int) -> None:
        """The hook contact changes ten thousand times a second; in the end it is as it should."""
        if self.sensor is not None:
            self.sensor.chatter(BATCH_NS)
        if self._outside.now < until:
            self._outside.add(self._outside.now + BATCH_NS, lambda: self.chatter(until))
        elif self.sensor is not None:
            self.sensor.hook(off_hook=self.off_hook)


class Sensor:
    """ports.HookSensor with the gate of the real drivers."""

    def __init__(self, boot: Boot, phone: Phone, post: Post) -> None:
        self._world = boot.world
        self._phone = phone
        self._post = post
        self._gates = {"hook": hook_gate(phone.name, post), "ring": ring_gate(phone.name, post)}
        self._ticking: set[str] = set()
        self._is_open = False

    def start(self) -> None:
        now = self._world.now()
        self._is_open = True
        self._phone.sensor = self
        self._post(DriverReady(now, "hook", self._phone.name, "simulated"))
        self._post(HookEdge(now, self._phone.name, self._phone.off_hook, at_start=True))

    def close(self) -> None:
        self._is_open = False
        if self._phone.sensor is self:
            self._phone.sensor = None

    def hook(self, *, off_hook: bool) -> None:
        self._edge("hook", self._world.now(), level=off_hook)

    def ring(self, *, active: bool) -> None:
        self._edge("ring", self._world.now(), level=active)

    def chatter(self, span_ns: int) -> None:
        """All edges of the last `span_ns`, as a driver reads them from the kernel's queue."""
        edges = span_ns * CHATTER_HZ // NS_PER_S
        for number in range(edges):
            at = later(self._world.now(), (number + 1 - edges) * NS_PER_S // CHATTER_HZ)
            self._edge("hook", at, level=bool(number % 2))

    def _edge(self, name: str, at: MonoNs, *, level: bool) -> None:
        self._gates[name].edge(at, level=level)
        if name not in self._ticking:
            self._ticking.add(name)
            self._tick_later(name)

    def _tick_later(self, name: str) -> None:
        self._world.schedule(later(self._world.now(), WINDOW_NS), lambda: self._tick(name))

    def _tick(self, name: str) -> None:
        gate: EdgeGate = self._gates[name]
        if not self._is_open:
            return
        gate.tick(self._world.now())
        if gate._is_open:
            self._ticking.discard(name)
        else:
            self._tick_later(name)


@dataclass
class _Output:
    """Where an announcement is played: it is not heard in the counted frames."""

    def play_clip(self, clip: Clip, at: MonoNs) -> Span:
        until = MonoNs(at + frames_to_ns(clip.frames, clip.rate_hz))
        return Span(at, until, np.zeros((1, 2), np.int16))


class CountingCard(SimCard):
    """The simulated card, whose every frame tells its own index and that of its line.

    Frame i of channel pair k reads (i mod 2^15, 2 (i div 2^15) + k + salt mod 2^16).
    """

    def __init__(self, boot: Boot, name: str, channels: int, post: Post, ring_s: int, salt: int):
        outputs = {name: _Output() for name in ("front-desk", "back-office")}
        super().__init__(
            boot.world, name, 8000, channels, post, ring_seconds=ring_s, lines=[], outputs=outputs
        )
        self._salt = salt

    def read(self, first: int, frames: int) -> bytes:
        head = self.head()
        if first < max(0, head - self._ring_frames) or first + frames > head:
            raise LookupError("not in the ring")
        block = np.empty((frames, self.channels), np.int16)
        for pair in range(self.channels // 2):
            block[:, 2 * pair : 2 * pair + 2] = self.frames(first, frames, pair)
        for loss in self.lost(first, frames):
            block[loss.first - first : loss.first - first + loss.frames] = 0
        return block.tobytes()

    def frames(self, first: int, frames: int, pair: int) -> np.ndarray:
        """What the card heard, had it lost nothing."""
        index = np.arange(first, first + frames)
        both = np.empty((frames, 2), np.int16)
        both[:, 0] = index & 0x7FFF
        both[:, 1] = (
            ((2 * (index >> 15) + pair + self._salt) & 0xFFFF).astype(np.uint16).view(np.int16)
        )
        return both

    def holes(self) -> list[tuple[int, int]]:
        """What the card lost, as (first, end); a hole that lasts has no end."""
        return [(hole.first, 1 << 62 if hole.end is None else hole.end) for hole in self._holes]

    @property
    def is_lost(self) -> bool:
        return self._lost_since is not None

    @property
    def started_at(self) -> MonoNs | None:
        return self._started_at


@dataclass
class Box:
    """What is bolted together: phones, one card, the wall clock, and the boot that runs."""

    outside: Outside
    clock: WallClock
    phones: dict[str, Phone]
    card_is_lost: bool = False
    boot: Boot | None = None
    boots: int = 0
    cards_made: int = 0

    def switch_on(self, mono: int) -> Boot:
        self.boots += 1
        self.boot = Boot(self.boots, self.outside, self.clock, mono)
        return self.boot


class JumpingInbox(VirtualInbox):
    """Waiting makes time pass, at once to the next event where `quiet_until` says that nothing
    else will be done; `is_interrupted` ends it."""

    def __init__(
        self,
        world: World,
        quiet_until: Callable[[], MonoNs | None],
        is_interrupted: Callable[[], bool],
    ) -> None:
        super().__init__(world)
        self._quiet_until = quiet_until
        self._is_interrupted = is_interrupted
        self.longest = 0

    def post(self, event: Input) -> None:
        super().post(event)
        self.longest = max(self.longest, len(self._queue))

    def wait(self, until: MonoNs) -> Input | None:
        world = self._world
        if not self._queue and (quiet_until := self._quiet_until()) is not None:
            until = max(until, quiet_until)
        while (
            not self._queue
            and not self._is_interrupted()
            and (world.now() < until or world.has_due(until))
        ):
            world.step(until)
        return self._queue.popleft() if self._queue else None


@dataclass
class Devices:
    """daemon.Devices of one process."""

    box: Box
    boot: Boot
    inbox: JumpingInbox
    cards: list[CountingCard] = field(default_factory=list)

    @property
    def clock(self) -> Boot:
        return self.boot

    def card(self, name: str, rate_hz: int, channels: int, ring_seconds: int) -> CountingCard:
        assert rate_hz == 8000
        self.box.cards_made += 1
        salt = self.box.cards_made * 7919
        made = CountingCard(self.boot, name, channels, self.inbox.post, ring_seconds, salt)
        if self.box.card_is_lost:
            made.lose()
        self.cards.append(made)
        return made

    def sensor(self, line: Line) -> Sensor:
        return Sensor(self.boot, self.box.phones[line.name], self.inbox.post)

    def modem(self, line: Line) -> SimModem:
        phone = self.box.phones[line.name]
        dialect = VCID if line.name == "front-desk" else HASH_CID
        phone.modem = SimModem(self.boot.world, line.name, self.inbox.post, dialect)
        phone.modem.set_plugged(plugged=phone.plugged)
        return phone.modem
