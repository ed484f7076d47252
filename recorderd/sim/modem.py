"""The simulated modem: ports.Modem with the AT dialogue and caller-ID reports of a voice modem.

Theory of operation: a line of text ended by a carriage return and beginning with AT holds commands,
which are obeyed from left to right up to the first that is not known. It answers a moment later,
with OK or ERROR. Caller ID is off after every reset and every plug, and a report is passed on only
while it is on, so a daemon that forgets to enable it again gets none.

One of two dialects is spoken: `+VCID=1` (ITU-T V.253, and modems before it) prints `DATE = 1123`,
`#CID=1` (the older Rockwell command set) prints `DATE=1123`; each refuses the other's command.
Output leaves in two pieces, as a serial port may cut it anywhere. Not simulated: numeric result
codes (V0), quiet mode (Q1), answering, voice and data modes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from recorderd.events import DriverLost, DriverReady, ModemBytes
from recorderd.units import later, ms

if TYPE_CHECKING:
    from recorderd.ports import Post
    from recorderd.sim.clock import World

IDENTITY = "recorderd simulated modem"
ANSWER_AFTER_NS = ms(20)
SECOND_PIECE_AFTER_NS = ms(4)
LINE_LIMIT_BYTES = 256  # a modem's command buffer; what is longer is an error


@dataclass(frozen=True, slots=True)
class Dialect:
    """How caller ID is switched on, and what stands between a tag and its value."""

    enable: str
    equals: str


VCID = Dialect("+VCID=1", " = ")
HASH_CID = Dialect("#CID=1", "=")

# Accepted and without effect here: answering, loudspeaker, result codes, handshake, country.
_HARMLESS = r"S\d+=\d*|[LMVQXH]\d?|&[A-Z]\d?|\+FCLASS=[\d.]+|\+GCI=[0-9A-F]{2}"
_COMMAND = re.compile(
    rf"(?P<reset>Z\d?|&F\d?)|(?P<identity>I\d?)|E(?P<echo>[01]?)"
    rf"|(?P<caller_id>\+VCID=|#CID=)(?P<value>[01])|(?P<harmless>{_HARMLESS})"
)


class SimModem:
    """The modem of one simulated line, plugged in at first."""

    def __init__(
        self,
        world: World,
        line: str,
        post: Post,
        dialect: Dialect = VCID,
        faults: frozenset[str] = frozenset(),
    ) -> None:
        self._world = world
        self._line = line
        self._post = post
        self._dialect = dialect
        self._faults = faults
        self._running = False
        self._plugged = True
        self._plugging = 0  # counts plugs, so that bytes under way at an unplug are dropped
        self._command = b""
        self._reset()

    # ------------------------------------------------------------ ports.Modem

    def start(self) -> None:
        with self._world.lock:
            self._running = True
            self._say_state()

    def write(self, data: bytes) -> None:
        with self._world.lock:
            if not (self._running and self._plugged):
                return
            if self._echo:
                self._send(data)
            *lines, self._command = (self._command + data).split(b"\r")
            self._command = self._command[-LINE_LIMIT_BYTES:]
            for line in lines:
                self._obey(line.strip())

    def close(self) -> None:
        with self._world.lock:
            self._running = False

    # ------------------------------------------------------------ the world's side

    def say(self, data: bytes) -> None:
        """Print something that nobody asked for, such as RING."""
        if "modem-off-line" not in self._faults:
            self._send(data)

    def report(self, fields: tuple[tuple[str, str], ...]) -> None:
        """Print a caller-ID report, if caller ID is on."""
        if self._caller_id and not self._faults & {"modem-off-line", "modem-deaf", "no-caller-id"}:
            if "digits-lost" in self._faults:
                fields = tuple((tag, text[:-2] if tag == "NMBR" else text) for tag, text in fields)
            lines = [f"\r\n{tag}{self._dialect.equals}{value}\r\n" for tag, value in fields]
            self._send("".join(lines).encode())

    def set_plugged(self, *, plugged: bool) -> None:
        if plugged == self._plugged:
            return
        self._plugged = plugged
        self._plugging += 1
        self._command = b""
        self._reset()
        if self._running:
            self._say_state()

    # ------------------------------------------------------------ within

    def _say_state(self) -> None:
        now = self._world.now()
        if self._plugged:
            self._post(DriverReady(now, "modem", self._line, "simulated"))
        else:
            self._post(DriverLost(now, "modem", self._line, "unplugged"))

    def _reset(self) -> None:
        self._echo = True
        self._caller_id = False

    def _obey(self, line: bytes) -> None:
        text = line.decode("ascii", "replace").upper()
        if not text.startswith("AT"):
            return  # A modem takes no notice of a line that does not begin with AT.
        rest, answer = text[2:], ""
        while rest:
            match = _COMMAND.match(rest)
            if match is None or not self._one(match):
                self._answer(answer + "\r\nERROR\r\n")
                return
            if match["identity"]:
                answer += f"\r\n{IDENTITY}\r\n"
            rest = rest[match.end() :].lstrip("; ")
        self._answer(answer + "\r\nOK\r\n")

    def _one(self, match: re.Match[str]) -> bool:
        """Obey one command; False where this modem does not know it."""
        if match["reset"]:
            self._reset()
        elif match["echo"] is not None:
            self._echo = match["echo"] == "1"
        elif match["caller_id"]:
            if not self._dialect.enable.startswith(match["caller_id"]):
                return False
            self._caller_id = match["value"] == "1"
        return True

    def _answer(self, text: str) -> None:
        at = later(self._world.now(), ANSWER_AFTER_NS)
        self._world.schedule(at, partial(self._send, text.encode(), self._plugging))

    def _send(self, data: bytes, plugging: int | None = None) -> None:
        """Post the first half now and the second a moment later, unless unplugged meanwhile."""
        plugging = self._plugging if plugging is None else plugging
        half = (len(data) + 1) // 2
        self._emit(data[:half], plugging)
        at = later(self._world.now(), SECOND_PIECE_AFTER_NS)
        self._world.schedule(at, partial(self._emit, data[half:], plugging))

    def _emit(self, data: bytes, plugging: int) -> None:
        if "modem-dead" in self._faults:
            return
        if data and self._running and self._plugged and plugging == self._plugging:
            self._post(ModemBytes(self._world.now(), self._line, data))
