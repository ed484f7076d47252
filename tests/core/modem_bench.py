"""A modem machine on a bench with a clock of its own, and modems that answer it."""

from __future__ import annotations

from recorderd.commands import WriteModem
from recorderd.core.modem import ModemMachine
from recorderd.events import CallerIdReported, DriverLost, DriverReady, ModemBytes, TimePassed
from recorderd.units import MonoNs, seconds

LINE = "front-desk"


class Answering:
    """A modem: answers what `answers` says, ERROR to all else; an empty answer is silence."""

    def __init__(self, answers: dict[str, str], *, echo: bool = True) -> None:
        self.answers = answers
        self.echo = echo
        self.heard: list[str] = []

    def __call__(self, command: str) -> bytes:
        self.heard.append(command)
        answer = self.answers.get(command, "ERROR")
        if not answer:
            return b""
        echo = f"{command}\r" if self.echo else ""
        return f"{echo}\r\n{answer}\r\n".encode()


BASE = {"ATZ": "OK", "ATQ0V1E1S0=0": "OK", "AT&D0": "OK", "AT": "OK"}
USR = BASE | {"ATI": "5601\r\n\r\nOK", "AT+VCID=1": "OK", "AT+VCID?": "1\r\n\r\nOK"}


def dead(command: str) -> bytes:
    return b""


class Bench:
    """Runs a machine as the control loop does: each deadline gets its TimePassed."""

    def __init__(self, modem=dead, country: str = "") -> None:
        self.machine = ModemMachine(LINE, country)
        self.modem = modem
        self.now = MonoNs(seconds(1000))
        self.facts = []
        self.commands: list[tuple[int, str]] = []

    def plug(self) -> None:
        self.give(DriverReady(self.now, "modem", LINE, "/dev/ttyACM0"))

    def unplug(self, reason: str = "it went away") -> None:
        self.give(DriverLost(self.now, "modem", LINE, reason))

    def says(self, text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        self.give(ModemBytes(self.now, LINE, data))

    def lines(self, *texts: str) -> None:
        self.says("".join(f"\r\n{text}\r\n" for text in texts))

    def give(self, event) -> None:
        answers = []
        for output in self.machine.handle(event):
            if isinstance(output, WriteModem):
                command = output.data.decode()
                assert command.endswith("\r")
                self.commands.append((self.now, command[:-1]))
                answers.append(self.modem(command[:-1]))
            else:
                self.facts.append(output)
        for answer in answers:
            if answer:
                self.says(answer)

    def wait(self, seconds_: float) -> None:
        """Let time pass, deadline by deadline."""
        self.wait_until(MonoNs(self.now + seconds(seconds_)))

    def wait_until(self, until: MonoNs) -> None:
        due = self.machine.deadline()
        while due is not None and due <= until:
            self.now = max(self.now, due)
            self.give(TimePassed(self.now))
            due = self.machine.deadline()
            assert due is None or due > self.now, "a deadline that has come must go"
        self.now = until
        self.give(TimePassed(self.now))

    def of(self, kind):
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def callers(self):
        return [fact.caller for fact in self.of(CallerIdReported)]

    @property
    def written(self) -> list[str]:
        return [command for _, command in self.commands]


def report_of(*texts: str):
    """The callers that a box's lines give, after a quiet moment."""
    bench = Bench()
    bench.lines(*texts)
    bench.wait(1)
    return bench.callers
