"""Lets people look on while the recorder works: a socket in the state directory, for reading only.

Whoever connects is told what goes on, one packet a message (messages.py): what the lines and modems
said, raw, what followed from it, and several times a second how loud it is. The control thread does
this, so nothing here ever waits. The only buffer is the socket's own, in the kernel: what a
slow reader leaves no room for is counted and dropped, and the next packet that finds room says how
many there were. While nobody looks on, nothing is encoded, measured or woken up for.

The socket is for the recorder's user and root alone (mode 0600): it shows numbers.
"""

from __future__ import annotations

import logging
import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from recorderd import __version__
from recorderd.dsp.meter import meter
from recorderd.monitor import messages
from recorderd.monitor.address import SOCKET, short_path
from recorderd.units import NS_PER_MS, NS_PER_S, FrameIndex, MonoNs, later

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from recorderd.config.values import LineAudio
    from recorderd.core.livecall import LiveCall
    from recorderd.ports import Clock, SoundCard
    from recorderd.runtime.loop import LineUnit

log = logging.getLogger(__name__)

SHOW_EVERY_NS = 200 * NS_PER_MS
"""How often levels are told, and how much sound each is of."""

ONLOOKERS_MAX = 4

BUFFER_BYTES = 64 * 1024
"""For each onlooker: some seconds of the busiest line."""

OPEN_AGAIN_NS = 60 * NS_PER_S
"""A full disk has no room for the socket's name either."""


class Onlooker:
    """One connection. `lost` counts what it was not told."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        self._connection = connection
        self._lost = 0
        self.is_gone = False

    def tell(self, packet: bytes) -> None:
        """Send or count as lost; never waits."""
        if self._lost and self._send(messages.packet({"what": messages.LOST, "count": self._lost})):
            self._lost = 0
        if self._lost or not self._send(packet):
            self._lost += 1

    def close(self) -> None:
        self._connection.close()

    def _send(self, packet: bytes) -> bool:
        try:
            self._connection.send(packet)
        except BlockingIOError:
            return False
        except OSError:
            self.is_gone = True
            return False
        return True


class Onlookers:
    """Implements ports.Onlookers. `lines` and `sound` are the daemon's own, and change with it."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        lines: Mapping[str, LineUnit],
        sound: Mapping[str, tuple[SoundCard, LineAudio]],
        is_sealed: Callable[[], bool],
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._lines = lines
        self._sound = sound
        self._is_sealed = is_sealed
        self._was_sealed = False  # a call that is sealed stays so when the configuration changes
        self._server: socket.socket | None = None
        self._open_at: MonoNs | None = None
        self._present: list[Onlooker] = []
        self._due: MonoNs | None = None
        self._heads: dict[str, int] = {}

    # ------------------------------------------------------------ what the control loop calls

    def see(self, event: object) -> None:
        """Tell of an input, a fact or a command."""
        if self._present:
            with self._undisturbed():
                message = messages.as_message(event, is_sealed=self._hides())
                if message is not None:
                    self._tell(message)

    def deadline(self) -> MonoNs | None:
        """When `show` is to be called; None while nobody looks on."""
        return self._due

    def show(self, now: MonoNs) -> None:
        """Tell how loud the lines are, if it is time."""
        if self._due is not None and now >= self._due:
            self._due = later(now, SHOW_EVERY_NS)
            with self._undisturbed():
                self._tell({**self._time(), "what": messages.SOUND, "lines": self._levels()})
                self._see_off()

    def admit(self, now: MonoNs) -> None:
        """Let in one who waits outside, if anybody does."""
        if self._server is None:
            self._open_again(now)
            return
        with suppress(OSError):  # nobody there, or gone already, or no descriptors left
            connection, _ = self._server.accept()
            with self._undisturbed():
                self._welcome(connection, now)

    def close(self) -> None:
        """Send everybody away, and take the socket's name from the disk."""
        for onlooker in self._present:
            onlooker.close()
        self._present, self._due = [], None
        if self._server is not None:
            self._server.close()
            self._server, self._open_at = None, None
            with suppress(OSError):
                (self._directory / SOCKET).unlink()

    def open(self, now: MonoNs) -> None:
        """Begin; where it cannot be, recording goes on without and it is tried again."""
        self._open_at = now
        self._open_again(now)

    # ------------------------------------------------------------ within

    def _open_again(self, now: MonoNs) -> None:
        if self._open_at is None or now < self._open_at:
            return
        self._open_at = later(now, OPEN_AGAIN_NS)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            bind_private(server, self._directory)
            server.listen(ONLOOKERS_MAX)
        except OSError as error:
            server.close()
            log.warning("%s: nobody can look on (%s)", self._directory / SOCKET, error.strerror)
            return
        server.setblocking(False)
        self._server = server

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """A defect in here ends the looking on, and no recording."""
        try:
            yield
        except Exception:
            log.exception("nobody looks on any more: this is a defect")
            for onlooker in self._present:
                onlooker.close()
            self._present, self._due = [], None

    def _welcome(self, connection: socket.socket, now: MonoNs) -> None:
        onlooker = Onlooker(connection)
        if len(self._present) >= ONLOOKERS_MAX:
            onlooker.tell(messages.packet({"what": messages.FULL}))
            onlooker.close()
            return
        lines = {name: self._state(unit) for name, unit in self._lines.items()}
        hello = {**self._time(), "what": messages.HELLO, "version": __version__}
        onlooker.tell(messages.packet({**hello, "sealed": self._hides(), "lines": lines}))
        self._present.append(onlooker)
        self._due = now

    def _see_off(self) -> None:
        """Forget those who left."""
        for onlooker in self._present:
            if onlooker.is_gone:
                onlooker.close()
        self._present = [onlooker for onlooker in self._present if not onlooker.is_gone]
        if not self._present:
            self._due = None

    def _tell(self, message: Mapping[str, Any]) -> None:
        packet = messages.packet(message)
        for onlooker in self._present:
            onlooker.tell(packet)

    def _time(self) -> dict[str, Any]:
        reading = self._clock.reading()
        return {"at": reading.mono, "wall": reading.wall, "synchronised": reading.synchronised}

    def _hides(self) -> bool:
        self._was_sealed = self._was_sealed or self._is_sealed()
        return self._was_sealed

    def _state(self, unit: LineUnit) -> dict[str, Any]:
        """Where a line stands, for one who comes in the middle."""
        calls = unit.station.calls
        call = calls.talking or calls.offered
        return {
            # A line without a sensor is off-hook while a call is on it.
            "off_hook": unit.station.line.is_off_hook or calls.talking is not None,
            "ringing": calls.offered is not None,
            "call": None if call is None else self._call(call),
        }

    def _call(self, call: LiveCall) -> dict[str, Any]:
        return {
            "id": call.id,
            "direction": call.direction,
            "started_at": call.started_at,
            "answered_at": call.answered_at,
            "caller": messages.caller_fields(call.caller, is_sealed=self._hides()),
        }

    def _levels(self) -> dict[str, list[tuple[float | None, float]] | None]:
        return {name: self._level(name, *self._sound[name]) for name in self._lines}

    def _level(
        self, name: str, card: SoundCard, audio: LineAudio
    ) -> list[tuple[float | None, float]] | None:
        """Of the newest sound; None where none has come since the last time."""
        head, sides = card.head(), (audio.near_channel, audio.far_channel)
        first = max(card.tail(), head - card.rate_hz * SHOW_EVERY_NS // NS_PER_S, 0)
        if head == self._heads.get(name) or head <= first or card.channels < max(sides):
            return None
        self._heads[name] = head
        try:
            block = card.read(FrameIndex(first), head - first)
        except LookupError:
            return None
        found = [meter(block, card.channels, side) for side in sides]
        return [
            (
                None if each.level_dbm0 is None else round(each.level_dbm0, 1),
                round(each.peak_share, 4),
            )
            for each in found
        ]


def bind_private(server: socket.socket, directory: Path) -> None:
    """Give the socket its name, for its owner only. One that a crash left is replaced: who holds
    the state directory's lock is the only recorder."""
    with suppress(FileNotFoundError):
        (directory / SOCKET).unlink()
    os.fchmod(server.fileno(), 0o600)  # before it has a name, so that it is never open to others
    with short_path(directory) as path:
        server.bind(path)
