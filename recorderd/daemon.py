"""The composition root: chooses drivers by the configuration, wires them, starts and stops them.

Start order: state directory, ledger, recovery of what a crash left, writer, cards, modems, sensors,
ready. Stop in reverse: sensors first, so that nothing new begins; the writer when all is sealed, and
the ledger last.
"""

from __future__ import annotations

import logging
import os
import resource
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

from recorderd import __version__
from recorderd.config import load
from recorderd.config.needs import (
    card_needs,
    card_users,
    changed_lines,
    check_can_be_taken,
    retention_rules,
)
from recorderd.core.boxtime import AgeClock
from recorderd.core.livecall import ClipFacts, LineSettings
from recorderd.core.manifest import AmendTimes, LedgerNote
from recorderd.core.station import Station
from recorderd.disk import files
from recorderd.errors import ClipError, ConfigError, StoreError
from recorderd.listening.orders import ListenTo, StopListening
from recorderd.listening.sensor import VoiceSensor
from recorderd.media.announcement import load_clip
from recorderd.monitor.onlookers import Onlookers
from recorderd.recording.keeper import Keeper
from recorderd.recording.writer import Writer
from recorderd.runtime.loop import Actors, ControlLoop, LineUnit
from recorderd.runtime.status import Status
from recorderd.runtime.workers import WorkerThread
from recorderd.seal.envelope import plain_envelope
from recorderd.store.books import Books
from recorderd.store.boxtime import load_age, save_age
from recorderd.store.ledger import open_recorder_ledger
from recorderd.store.recovery import RecoveryReport, recover
from recorderd.units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recorderd.config.values import Config, Line, LineAudio, Storage
    from recorderd.ports import (
        Clip,
        Clock,
        HookSensor,
        Inbox,
        Modem,
        SoundCard,
        Watchdog,
    )
    from recorderd.runtime.workers import Pumped, RunWorker
    from recorderd.seal.envelope import MakeEnvelope
    from recorderd.store.ledger import Ledger

log = logging.getLogger(__name__)

SEAL_WITHIN_S = 60.0
"""A stop waits this long for open segments to be sealed; recovery would seal the rest."""

ANALYST_WITHIN_S = 5.0
"""And this long for what is being listened to; nothing of it is kept."""


class Devices(Protocol):
    """Makes the devices of a configuration: hardware's (below) or the simulator's."""

    clock: Clock
    inbox: Inbox

    def card(self, name: str, rate_hz: int, channels: int, ring_seconds: int) -> SoundCard: ...
    def sensor(self, line: Line) -> HookSensor: ...
    def modem(self, line: Line) -> Modem: ...


class Daemon:
    """The recorder: built from a configuration, run until told to stop."""

    def __init__(
        self,
        config: Config,
        devices: Devices,
        watchdog: Watchdog,
        run_writer: RunWorker = WorkerThread,
        run_analyst: RunWorker = WorkerThread,
    ) -> None:
        self._config = config
        self._devices = devices
        self._watchdog = watchdog
        self._clips = load_clips(config)
        self._actors = Actors(clips=by_hash(self._clips))
        zone = ZoneInfo(config.site.time_zone)
        self.status = Status(config.storage.directory / "status.json", zone, {})
        self._waiting: Config | None = None  # taken when the lines it changes are idle
        self._waiting_clips = self._clips
        self._held = ExitStack()  # the state directory's lock
        self._sound: dict[str, tuple[SoundCard, LineAudio]] = {}  # the writer looks lines up here
        self._books: Books | None = None
        self._recovered = RecoveryReport()
        self._age: AgeClock | None = None
        self._envelope: MakeEnvelope = plain_envelope
        self._disk: Writer | None = None
        self._keeper: Keeper | None = None
        self._onlookers = Onlookers(
            config.storage.directory,
            devices.clock,
            self._actors.lines,
            self._sound,
            lambda: self._config.seal is not None,
        )
        self._writer = run_writer(self._make_writer, "writer")
        self._analyst = run_analyst(self._make_analyst, "analyst")
        self.loop = ControlLoop(
            devices.clock,
            devices.inbox,
            self._actors,
            self._writer,
            self._analyst,
            self.status,
            watchdog,
            self._onlookers,
            reload=self._reload,
            settle=self._take_waiting,
        )

    def start(self) -> None:
        """Everything up to "ready"; raises StoreError where nothing could ever be kept."""
        prepare_directory(self._config.storage)
        self._held.enter_context(files.hold_directory(self._config.storage.directory))
        self._books = self._recover()
        self._age = self._start_age(self._books)
        self._envelope = envelope_maker(self._config)
        self._writer.start()
        self._analyst.start()
        if (reading := self._devices.clock.reading()).synchronised:
            self._writer.submit(AmendTimes(reading))
        self._build(self._config, {line.name for line in self._config.lines})
        self._onlookers.open(self._devices.clock.now())
        count = len(self._config.lines)
        self._watchdog.ready(f"recording {count} line{'s' if count != 1 else ''}")

    def stop(self) -> None:
        """Take everything down; what is still open is sealed first."""
        self._watchdog.stopping()
        self._onlookers.close()
        for unit in self._actors.lines.values():
            unit.sensor.close()
            if unit.modem is not None:
                unit.modem.close()
        self._analyst.close(ANALYST_WITHIN_S)
        if not self._writer.close(SEAL_WITHIN_S):
            log.error("calls are still open; the next start's recovery seals them")
        elif self._books is not None:
            self._enter_stop(self._books.ledger)
        for card in self._actors.cards.values():
            card.close()
        self._held.close()

    def run(self) -> None:
        """start, serve, stop; whatever happens, what was recorded is sealed."""
        try:
            self.start()
            self.loop.run()
        finally:
            self.stop()

    # ------------------------------------------------------------ the store

    def _recover(self) -> Books:
        """Bring the state directory in order, and enter the start into the ledger."""
        config, directory = self._config, self._config.storage.directory
        ledger = open_recorder_ledger(directory, config.site.name, self._devices.clock.reading)
        self._recovered = report = recover(config.storage, config.site, ledger)
        for problem in report.problems:
            log.error("recovery: %s", problem)
        ledger.append(
            "started",
            version=__version__,
            config_sha256=config.sha256,
            lines=[line.name for line in config.lines],
            after_crash=not ledger.was_stopped,
            cut=report.cut,
        )
        ledger.sign()
        self.status.extra["device_fingerprint"] = ledger.fingerprint
        self.status.extra["config_sha256"] = config.sha256
        return Books(directory, ledger)

    def _start_age(self, books: Books) -> AgeClock:
        """Go on with the count of time; no call may begin before it is durable."""
        directory = self._config.storage.directory
        state = load_age(directory)
        newest = 0 if state is not None else books.catalogue.newest_s() * NS_PER_S
        books.close_catalogue()  # the writer opens it on its own thread
        age = AgeClock(state, self._devices.clock.reading(), newest)
        save_age(directory, age.state())
        return age

    @staticmethod
    def _enter_stop(ledger: Ledger) -> None:
        ledger.append("stopped")
        try:
            ledger.sign()
        except StoreError as error:
            log.error("the stop is not in the ledger: %s", error)  # noqa: TRY400
        ledger.close()

    # ------------------------------------------------------------ wiring

    def _make_writer(self) -> Writer:
        config, devices = self._config, self._devices
        assert self._books is not None, "opened before the writer starts"
        assert self._age is not None
        self._keeper = Keeper(
            config.storage.directory,
            ZoneInfo(config.site.time_zone),
            retention_rules(config),
            self._books,
            self._age,
            devices.clock.reading,
            devices.inbox.post,
            self._recovered,
        )
        self._disk = Writer(
            config.storage,
            config.site,
            self._sound,
            self._books,
            self._envelope,
            devices.inbox.post,
            devices.clock.now,
            self._keeper,
        )
        return self._disk

    def _make_analyst(self) -> Pumped:
        # Only here, on its own thread: the detectors take a while to load, and recording waits for none.
        from recorderd.listening.analyst import Analyst  # noqa: PLC0415  (as said above)

        return Analyst(self._devices.inbox.post, self._devices.clock)

    def _build(self, config: Config, names: Iterable[str]) -> None:
        """Make and start the devices of the named lines."""
        wanted = set(names)
        lines = [line for line in config.lines if line.name in wanted]
        new_cards = self._make_cards(config)
        self.status.set_lines(card_users(config), [line.name for line in config.lines])
        for line in lines:
            self.status.begin_anew(line.name)
        units = {line.name: self._make_unit(config, line) for line in lines}
        self._actors.lines.update(units)
        self._sound |= {line.name: (units[line.name].capture, line.audio) for line in lines}
        for card in new_cards:
            card.start()
        for line in lines:
            self._analyst.submit(ListenTo(line, config.profile, units[line.name].capture))
        for unit in units.values():
            if unit.modem is not None:
                unit.modem.start()
            unit.sensor.start()

    def _make_cards(self, config: Config) -> list[SoundCard]:
        made = []
        for name, (rate_hz, channels, ring_seconds) in card_needs(config).items():
            if name not in self._actors.cards:
                card = self._devices.card(name, rate_hz, channels, ring_seconds)
                self._actors.cards[name] = card
                made.append(card)
        return made

    def _make_unit(self, config: Config, line: Line) -> LineUnit:
        reading = self._devices.clock.reading()
        station = Station(
            self._line_settings(config, line),
            line.hook.hang_up_ms,
            reading,
            new_call_id,
            has_modem=line.modem is not None,
        )
        announcement = line.announcement
        return LineUnit(
            station=station,
            sensor=self._make_sensor(line),
            modem=self._devices.modem(line) if line.modem is not None else None,
            capture=self._actors.cards[line.audio.device],
            output=self._actors.cards[announcement.output_device] if announcement else None,
            output_channel=announcement.output_channel if announcement else None,
        )

    def _make_sensor(self, line: Line) -> HookSensor:
        if line.hook.driver == "voice":
            return VoiceSensor(line.name, self._devices.inbox.post, self._devices.clock)
        return self._devices.sensor(line)

    def _line_settings(self, config: Config, line: Line) -> LineSettings:
        assert self._age is not None
        return line_settings(config, line, self._clips, self._age.zero)

    # ------------------------------------------------------------ reload

    def _reload(self) -> None:
        """Take a new configuration; a wrong one changes nothing and is reported."""
        self._watchdog.reloading()
        try:
            config = load(self._config.path)
            check_can_be_taken(self._config, config)
            envelope = envelope_maker(config)
            clips = load_clips(config)
        except (ConfigError, ClipError, StoreError) as error:
            self.status.problem = str(error)
            log.error("the new configuration is not taken: %s", error)  # noqa: TRY400
            self._writer.submit(LedgerNote("config-refused", {"problem": str(error)[:1000]}))
        else:
            self.status.problem = None
            self._waiting, self._waiting_clips, self._envelope = config, clips, envelope
            self._take_waiting()
        self._watchdog.ready("recording")

    def _take_waiting(self) -> None:
        """Lines whose devices stay get their new settings at once, from their next call on; the
        others are taken apart and built anew when no call is on any of them."""
        config = self._waiting
        if config is None:
            return
        changed = changed_lines(self._config, config)
        present = [name for name in changed if name in self._actors.lines]
        if not all(self.loop.is_idle(name) for name in present):
            return
        self._waiting = None
        cards_before = set(card_needs(config))
        for name in present:
            unit = self._actors.lines.pop(name)
            self._analyst.submit(StopListening(name))
            unit.sensor.close()
            if unit.modem is not None:
                unit.modem.close()
        self._close_cards(config)
        self._config, self._clips = config, self._waiting_clips
        # A call that goes on may still play one of those that it began with.
        self._actors.clips = {**self._actors.clips, **by_hash(self._clips)}
        if self._disk is not None:
            self._disk.storage = config.storage
            self._disk.envelope = self._envelope
        if self._keeper is not None:
            self._keeper.rules = retention_rules(config)
        wanted = [line.name for line in config.lines if line.name not in self._actors.lines]
        self._build(config, wanted)
        for line in config.lines:
            settings = self._line_settings(config, line)
            self._actors.lines[line.name].station.calls.settings = settings
            if line.announcement is None:
                self.status.expect_no_notice(line.name)
        log.info("configuration taken: %s (%d cards)", config.path, len(cards_before))
        self.status.extra["config_sha256"] = config.sha256
        self._writer.submit(LedgerNote("config-taken", {"config_sha256": config.sha256}))

    def _close_cards(self, config: Config) -> None:
        """Cards that no remaining line uses, or that must be opened in another way."""
        before, after = card_needs(self._config), card_needs(config)
        for name in list(self._actors.cards):
            if before.get(name) != after.get(name):
                self._actors.cards.pop(name).close()


# ---------------------------------------------------------------- what follows from a configuration


def line_settings(
    config: Config, line: Line, clips: Mapping[str, Clip], box_zero_ns: int
) -> LineSettings:
    """What the call machine must know of a line."""
    announcement = line.announcement
    return LineSettings(
        line=line.name,
        site=config.site.name,
        retention=line.retention,
        source="sim" if config.simulation is not None else "hardware",
        profile=config.profile,
        ring_is_seen=line.ring is not None or line.modem is not None,
        short_ringing_is_seen=line.ring is not None,
        record_rate_hz=line.audio.record_rate_hz,
        inbound_clip=announcement.inbound if announcement else "",
        outbound_clip=announcement.outbound if announcement else "",
        delay_ms=announcement.delay_ms if announcement else 0,
        records_without_notice=announcement is None or announcement.if_not_played == "record",
        clips={name: ClipFacts(clip.sha256, clip.rate_hz) for name, clip in clips.items()},
        software_version=__version__,
        config_sha256=config.sha256,
        is_listened_to=True,
        close_after_busy_s=line.audio.close_after_busy_s,
        box_zero_ns=box_zero_ns,
    )


def load_clips(config: Config) -> dict[str, Clip]:
    """Every announcement the configuration names, checked now and not at the call."""
    names = set()
    for line in config.lines:
        if line.announcement is not None:
            names |= {line.announcement.inbound, line.announcement.outbound}
    return {name: load_clip(name, config.path.parent) for name in sorted(names - {""})}


def by_hash(clips: Mapping[str, Clip]) -> dict[str, Clip]:
    """Clips by the hashes of their files: a name may be another file's after a reload."""
    return {clip.sha256: clip for clip in clips.values()}


def envelope_maker(config: Config) -> MakeEnvelope:
    """What puts calls into envelopes before they come to the disk, or leaves them plain.

    Raises StoreError where the configuration asks for sealing, and it cannot be done.
    """
    if config.seal is None:
        return plain_envelope
    # What is in memory is in plain: a crash must not write it down.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Only here, so that a recorder that does not seal never loads the library.
    from recorderd.seal.callkey import Sealer  # noqa: PLC0415  (as said above)

    return Sealer(config.storage.directory, config.seal.recipients).envelope


def prepare_directory(storage: Storage) -> None:
    """The state directory is there and can be written, or a StoreError says how to mend it.

    It is not made here: where the disk that holds it is not mounted, the calls would go to another.
    """
    directory = storage.directory
    if not directory.is_dir():
        raise StoreError(
            f"{directory}: not there; create it (install -d -m 700 -o recorderd {directory}), or "
            "mount the disk that holds it, or change storage.directory"
        )
    probe = directory / ".probe.part"
    files.write_durable(probe, b"recorderd")
    files.remove_durable(probe)


def new_call_id() -> str:
    """An id that never comes twice and says nothing of time: a Pi may wake up in 1970."""
    return os.urandom(8).hex()
