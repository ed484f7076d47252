"""What both GPIO drivers share: a thread a line that takes pins, serves them and tries again.

A driver says how to take its line's pins, how to serve them for a moment, and how to let them
go. A DeviceError ends a session: it is reported once for each new reason, and the pins are tried
again for ever, after waits that grow to a minute. A session begins with the levels as they are,
since a call may be going on already.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recorderd.core.backoff import Backoff
from recorderd.drivers.edges import EdgeGate, hook_gate, ring_gate
from recorderd.errors import DeviceError
from recorderd.events import DriverLost, DriverReady, HookEdge
from recorderd.units import NS_PER_S, MonoNs

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.config.values import Line
    from recorderd.ports import Post

log = logging.getLogger(__name__)

CLOSE_S = 2.0  # a session looks at the stop flag every 0.2 s; the rest is for a slow library


@dataclass(slots=True)
class Pin:
    """One pin as the config has it, and its gate."""

    number: int
    is_active_low: bool
    pull: Literal["up", "down", "none"]
    gate: EdgeGate
    last_seqno: int = 0  # of the kernel's events, where the driver has them


class PinDriver(ABC):
    """The hook and ring pins of one line; a `ports.HookSensor`."""

    def __init__(self, line: Line, post: Post, now: Callable[[], MonoNs]) -> None:
        self._line = line
        self._post = post
        self._now = now
        self._pins: dict[int, Pin] = {}
        self._stopping = threading.Event()
        self._reported: str | None = None
        name = f"hook of {line.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; levels, edges, DriverReady and DriverLost are posted from a thread."""
        self._thread.start()

    def close(self) -> None:
        """Let the pins go. May be called at any time, before `start` too."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    @abstractmethod
    def _open(self) -> str:
        """Take the pins and post their levels; how they are watched. Raises DeviceError."""

    @abstractmethod
    def _serve(self) -> None:
        """Post what the pins do for at most 0.2 s. Raises DeviceError."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of whatever was taken; called after a failed `_open` too."""

    def _run(self) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            try:
                self._session(backoff)
            except DeviceError as error:
                self._report_lost(str(error))
            except Exception as error:  # whatever it is, a line without its pins has no calls
                log.exception("line %s: its pins", self._line.name)
                self._report_lost(f"the pins cannot be read: {error!r}")
            self._stopping.wait(backoff.next_ns() / NS_PER_S)

    def _session(self, backoff: Backoff) -> None:
        try:
            self._pins = self._new_pins()
            detail = self._open()
            self._report_ready(detail)
            backoff.reset()
            while not self._stopping.is_set():
                self._serve()
        finally:
            self._release()

    def _report_ready(self, detail: str) -> None:
        self._reported = None
        self._post(DriverReady(self._now(), "hook", self._line.name, detail))

    def _report_lost(self, reason: str) -> None:
        if reason == self._reported:
            return
        self._reported = reason
        log.warning("line %s: %s", self._line.name, reason)
        self._post(DriverLost(self._now(), "hook", self._line.name, reason))

    def _new_pins(self) -> dict[int, Pin]:
        name, hook, ring = self._line.name, self._line.hook, self._line.ring
        pins = {}
        if hook.pin is not None:
            gate = hook_gate(name, self._post)
            pins[hook.pin] = Pin(hook.pin, hook.active == "low", hook.pull, gate)
        if ring is not None and ring.pin is not None:
            gate = ring_gate(name, self._post)
            pins[ring.pin] = Pin(ring.pin, ring.active == "low", ring.pull, gate)
        return pins

    def _post_level(self, pin: Pin, at: MonoNs, *, is_active: bool) -> None:
        """The level that a session begins with. An idle ring pin is not worth an edge."""
        pin.gate.level = is_active
        if pin.number == self._line.hook.pin:
            self._post(HookEdge(at, self._line.name, is_active, at_start=True))
        elif is_active:
            pin.gate.edge(at, level=is_active)
