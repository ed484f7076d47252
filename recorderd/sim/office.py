"""Builds a simulated office out of a script and a configuration, and checks that they fit.

A line is heard by the card named in its configuration; an announcement may be played by any card
that a line names for it. Modems speak the two dialects of modem.py in turn, line by line, so that
both are met. Every action is worked out once here, and forgotten again, so that a script which
contradicts itself is refused before the day begins; each is worked out anew when its moment comes,
so that a long script takes no memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from recorderd.errors import ConfigError
from recorderd.sim.actions import (
    CardBack,
    CardLost,
    CardOverrun,
    Closure,
    Fault,
    Flash,
    Inbound,
    MessageWaiting,
    ModemPlug,
    ModemText,
    Outbound,
)
from recorderd.sim.audio import SimCard
from recorderd.sim.clock import SimClock
from recorderd.sim.exchange import SoundPlayed, happenings, network_of
from recorderd.sim.faults import BOX, BOX_FAULTS, CLOCK_OFF_S, country_of, faults_of
from recorderd.sim.line import SimHookSensor, SimLine
from recorderd.sim.modem import HASH_CID, VCID, SimModem
from recorderd.sim.sound import LineSound, Palette, Wired
from recorderd.units import NS_PER_S, MonoNs, WallNs, later, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.config.values import Config, Line
    from recorderd.ports import Post
    from recorderd.sim.actions import Script, ScriptEvent
    from recorderd.sim.clock import World
    from recorderd.sim.exchange import Happening, Network

AFTER_LAST_EVENT_NS = seconds(15)  # the last call is hung up, filed and its timers have run out
SOUND_KEPT_BEYOND_RING_S = 1.0


@dataclass(frozen=True, slots=True)
class Office:
    """The simulated devices, by line name and by card name, not yet started."""

    start_wall: WallNs  # of the world's first moment
    finished_at: MonoNs  # nothing happens after it
    script: Script
    network: Network
    lines: dict[str, SimLine]
    hooks: dict[str, SimHookSensor]
    modems: dict[str, SimModem]
    cards: dict[str, SimCard]
    faults: frozenset[str]  # of the box itself

    def clock(self, world: World, now: Callable[[], MonoNs]) -> SimClock:
        """The clock that goes with it; `now` is `world.now`, or the kernel's in real time."""
        off_ns = seconds(CLOCK_OFF_S) if "clock-off" in self.faults else 0
        return SimClock(
            now,
            world.start,
            WallNs(self.start_wall + off_ns),
            synchronised="clock-free" not in self.faults,
        )


def build_office(
    script: Script, config: Config, world: World, post: Post, ring_seconds: float
) -> Office:
    """The office of a configuration whose devices are all simulated, with the script on its agenda.

    Raises ConfigError, one line a problem, where the script and the configuration do not fit.
    """
    countries = {country_of(script, line.name, config.site.country) for line in config.lines}
    if len(countries) > 1:
        raise ConfigError([f"{script.origin}:1: fault network: all lines are of one country"])
    network = network_of(countries.pop())
    finished_at = _check(script, config, world, network)
    builder = _Builder(script, config, world, post, network=network, ring_seconds=ring_seconds)
    for event in script.events:
        at = later(world.start, event.after_ns)
        world.schedule(at, partial(builder.begin, event, at))
    # What the script puts at the very first moment is the state that the daemon finds.
    world.advance(world.start)
    start_wall = WallNs(int(script.day.timestamp()) * NS_PER_S + script.day.microsecond * 1000)
    return Office(
        start_wall,
        finished_at,
        script,
        network,
        builder.lines,
        builder.hooks,
        builder.modems,
        builder.cards,
        faults_of(script, BOX),
    )


class _Builder:
    def __init__(
        self,
        script: Script,
        config: Config,
        world: World,
        post: Post,
        *,
        network: Network,
        ring_seconds: float,
    ) -> None:
        self._script = script
        self._network = network
        self._language = "ja" if config.site.country == "JP" else "en"
        self._palettes: dict[int, Palette] = {}
        kept_s = ring_seconds + SOUND_KEPT_BEYOND_RING_S
        sounds = {
            line.name: self._sound(line, script.seed * 1000 + number)
            for number, line in enumerate(config.lines)
        }
        self.lines = {name: SimLine(world, name, sound, kept_s) for name, sound in sounds.items()}
        self.hooks = {
            name: SimHookSensor(world, line, post, faults_of(script, name))
            for name, line in self.lines.items()
        }
        self.modems = self._modems(config, world, post)
        self.cards = {
            name: _card(name, config, world, post, ring_seconds=ring_seconds, sounds=sounds)
            for name in _card_names(config)
        }

    def begin(self, event: ScriptEvent, at: MonoNs) -> None:
        """Let a scripted action begin: it is its moment now."""
        match event.action:
            case CardLost():
                self.cards[event.target].lose()
            case CardBack():
                self.cards[event.target].come_back()
            case CardOverrun(duration_ns):
                self.cards[event.target].overrun(duration_ns)
            case Fault():
                pass  # it has been there all the time
            case _:
                found = happenings(event, at, self._script, self._network)
                self.lines[event.target].schedule(found)

    def _sound(self, line: Line, seed: int) -> LineSound:
        rate_hz = line.audio.capture_rate_hz
        if rate_hz not in self._palettes:
            self._palettes[rate_hz] = Palette(self._network, self._language, rate_hz)
        faults = faults_of(self._script, line.name)
        return LineSound(self._palettes[rate_hz], rate_hz, seed, faults)

    def _modems(self, config: Config, world: World, post: Post) -> dict[str, SimModem]:
        modems: dict[str, SimModem] = {}
        for number, line in enumerate(config.lines):
            if line.modem is not None:
                dialect = HASH_CID if number % 2 else VCID
                modems[line.name] = SimModem(
                    world, line.name, post, dialect, faults_of(self._script, line.name)
                )
                self.lines[line.name].modem = modems[line.name]
        return modems


def _card_names(config: Config) -> list[str]:
    """Every card that a line records from or plays announcements to, once."""
    names = [line.audio.device for line in config.lines]
    names += [line.announcement.output_device for line in config.lines if line.announcement]
    return list(dict.fromkeys(names))


def _card(
    name: str,
    config: Config,
    world: World,
    post: Post,
    *,
    ring_seconds: float,
    sounds: dict[str, LineSound],
) -> SimCard:
    heard = [line for line in config.lines if line.audio.device == name]
    used = [c for line in heard for c in (line.audio.near_channel, line.audio.far_channel)]
    played = [line.announcement for line in config.lines if line.announcement]
    used += [a.output_channel or 1 for a in played if a.output_device == name]
    # A card that only plays has no rate of its own in the configuration; it takes the first line's.
    rate_hz = (heard or config.lines)[0].audio.capture_rate_hz
    wired = [
        Wired(sounds[line.name], line.audio.near_channel, line.audio.far_channel) for line in heard
    ]
    return SimCard(
        world,
        name,
        rate_hz,
        max(2, *used),
        post,
        ring_seconds=ring_seconds,
        lines=wired,
        outputs=sounds,
    )


# ---------------------------------------------------------------- does the script fit?


@dataclass(slots=True)
class _Busy:
    """The last call of a line: when it was over, and its conversation (None: there was none)."""

    over: MonoNs
    talk: SoundPlayed | None


def _check(script: Script, config: Config, world: World, network: Network) -> MonoNs:
    """The end of the script in world time, or ConfigError with all that does not fit."""
    checker = _Checker(script, config, world, network)
    for event in script.events:
        checker.check(event)
    if checker.problems:
        raise ConfigError(checker.problems)
    return later(checker.last, AFTER_LAST_EVENT_NS)


class _Checker:
    def __init__(self, script: Script, config: Config, world: World, network: Network) -> None:
        self.problems: list[str] = []
        self.last = world.start
        self._script = script
        self._start = world.start
        self._network = network
        self._cards = _card_names(config)
        self._lines = {line.name: line for line in config.lines}
        self._calls: dict[str, _Busy] = {}

    def check(self, event: ScriptEvent) -> None:
        at = later(self._start, event.after_ns)
        self.last = max(self.last, at)
        if isinstance(event.action, Fault) and not self._check_fault(event, event.action):
            return
        if isinstance(event.action, CardLost | CardBack | CardOverrun):
            self._check_name(event, "sound card", self._cards)
        elif self._check_name(event, "line", list(self._lines)):
            self._check_modem(event)
            self._check_times(event, at)

    def _check_fault(self, event: ScriptEvent, fault: Fault) -> bool:
        """Whether it is a line's fault; complains about one that begins too late."""
        if event.after_ns:
            self._add(event, f"fault {fault.kind}: it stands at the day's first moment")
        if fault.kind in BOX_FAULTS:
            return event.target != BOX and self._check_name(event, "box", [BOX])
        return True

    def _check_name(self, event: ScriptEvent, what: str, known: list[str]) -> bool:
        if event.target in known:
            return True
        names = ", ".join(known)
        self._add(event, f"the configuration has no {what} {event.target}; it has {names}")
        return False

    def _check_modem(self, event: ScriptEvent) -> None:
        needs_one = isinstance(event.action, ModemText | ModemPlug | MessageWaiting)
        if needs_one and self._lines[event.target].modem is None:
            self._add(event, f"{event.target} has no modem in the configuration")

    def _check_times(self, event: ScriptEvent, at: MonoNs) -> None:
        try:
            found = happenings(event, at, self._script, self._network)
        except ConfigError as error:
            self.problems += error.problems
            return
        self.last = max([self.last, *(happening.at for happening in found)])
        match event.action:
            case Inbound() | Outbound() | Closure():
                self._check_free(event, at)
                self._calls[event.target] = _Busy(found[-1].at, _talk_of(found))
            case Flash():
                self._check_flash(event, at, found[-1].at)

    def _check_free(self, event: ScriptEvent, at: MonoNs) -> None:
        call = self._calls.get(event.target)
        if call is not None and at <= call.over:
            over_s = (call.over - at) / NS_PER_S
            self._add(event, f"{event.target} is busy for another {over_s:.1f} s; begin later")

    def _check_flash(self, event: ScriptEvent, first: MonoNs, last: MonoNs) -> None:
        call = self._calls.get(event.target)
        talk = call.talk if call is not None else None
        if talk is None or not talk.at < first <= last < talk.until:
            self._add(event, f"flash: nobody talks on {event.target} for all of it")

    def _add(self, event: ScriptEvent, problem: str) -> None:
        self.problems.append(f"{self._script.origin}:{event.source_line}: {problem}")


def _talk_of(found: list[Happening]) -> SoundPlayed | None:
    talks = [sound for sound in found if isinstance(sound, SoundPlayed) and sound.sound == "talk"]
    return talks[0] if talks else None
