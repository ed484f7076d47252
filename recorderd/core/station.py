"""The machines of one line, wired together: raw inputs in, facts and commands out.

Data flows one way: hook and ring edges become facts of the line, modem bytes become facts of the
modem, and both feed the call machine. Still pure: a recorded line replayed through this gives the
same facts on any machine, which is what the regression tests do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from recorderd import commands, heard
from recorderd import events as ev
from recorderd.core.call import CallMachine, Output
from recorderd.core.line import LineMachine
from recorderd.core.modem import ModemMachine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recorderd.core.livecall import LineSettings
    from recorderd.units import ClockReading, MonoNs

Result: TypeAlias = ev.Fact | commands.WriteModem | Output


class Station:
    """One line: its hook, its modem (if any) and its calls."""

    def __init__(
        self,
        settings: LineSettings,
        hang_up_ms: int | None,
        reading: ClockReading,
        new_id: Callable[[], str],
        *,
        has_modem: bool,
    ) -> None:
        self.name = settings.line
        self.line = LineMachine(settings.line, settings.profile, hang_up_ms)
        self.modem = ModemMachine(settings.line, settings.profile.country) if has_modem else None
        self.calls = CallMachine(settings, reading, new_id)
        self._deadline: MonoNs | None = None
        self._deadline_is_known = False

    def handle(self, event: ev.Input) -> list[Result]:
        """What follows from one input."""
        self._deadline_is_known = False
        results: list[Result] = []
        match event:
            case ev.HookEdge() | ev.RingEdge() | ev.EdgesLost():
                self._line_facts(self.line.handle(event), results)
            case ev.ModemBytes():
                self._modem_input(event, results)
            case ev.DriverReady(kind="modem") | ev.DriverLost(kind="modem"):
                self._modem_input(event, results)
            case heard.CallerIdHeard(at, line, caller):
                report = ev.CallerIdReported(at, line, caller)
                results += [report, *self.calls.handle(report)]
            case heard.VoiceEdge(at, line, off_hook):
                # There is no contact that bounces, and what it tells is seconds old.
                fact = ev.WentOffHook(at, line) if off_hook else ev.WentOnHook(at, line)
                self._line_facts([fact], results)
            case ev.TimePassed():
                self._line_facts(self.line.handle(event), results)
                self._modem_input(event, results)
                results += self.calls.handle(event)
            case _:
                results += self.calls.handle(event)
        return results

    def deadline(self) -> MonoNs | None:
        """When this line next needs a TimePassed. Asked in every round of the loop; only `handle` changes it."""
        if not self._deadline_is_known:
            self._deadline, self._deadline_is_known = self._next_deadline(), True
        return self._deadline

    def _next_deadline(self) -> MonoNs | None:
        times = [self.line.deadline(), self.calls.deadline()]
        if self.modem is not None:
            times.append(self.modem.deadline())
        return min((at for at in times if at is not None), default=None)

    def _line_facts(self, facts: Sequence[ev.LineFact], results: list[Result]) -> None:
        for fact in facts:
            results.append(fact)
            results += self.calls.handle(fact)
            if isinstance(fact, ev.RingingStarted | ev.RingingStopped | ev.WentOffHook):
                self._modem_input(fact, results)

    def _modem_input(self, event: ev.Input | ev.LineFact, results: list[Result]) -> None:
        if self.modem is None:
            return
        for output in self.modem.handle(event):
            results.append(output)
            if not isinstance(output, commands.WriteModem):
                results += self.calls.handle(output)
