"""What the script had happen, against what the records say: whom they name, when somebody lifted the
phone, and that no off-hook is left out."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from recorderd.units import NS_PER_S, ms, seconds
from tests.simulate.sound import LOST_IN_A_CUT_NS, Sound, card_at
from tests.simulate.violations import fail

if TYPE_CHECKING:
    from pathlib import Path

    from recorderd import events as ev
    from recorderd.evidence.sound import Opened
    from tests.simulate.alarms import Alarms
    from tests.simulate.plan import Told
    from tests.simulate.run import Process, Simulation

EDGE_NS = ms(
    350
)  # a lift is dated by its first edge; ringing current can move it by a burst's rest
PULSES_NS = seconds(3)  # the longest digit, and the pause in which the loop is steady again
CLOSURE_NS = seconds(2)  # Japan: who lifts and puts down so soon, with ringing before and after
RINGS_AFTER_NS = seconds(6)  # a call that gave up is missed by the last ring, or some time after it
SOON_NS = LOST_IN_A_CUT_NS + ms(
    500
)  # a lift is believed after a moment, and then two seconds count
RECENT = 200  # calls of a line; a week's


class Truth:
    """The checker's part that compares records with the script (plan.Told)."""

    def __init__(self, simulation: Simulation, alarms: Alarms) -> None:
        self._sim = simulation
        self._alarms = alarms
        self._told: dict[str, list[Told]] = {}  # by line
        self._by_number: dict[str, Told] = {}
        self._waiting: set[str] = set()
        self._due: list[Told] = []  # that have not been looked for yet
        self._answers: dict[str, list[tuple[int, int]]] = {}  # by line: off-hook, on-hook
        self._closures: dict[str, list[int]] = {}  # by line: when each began

    @property
    def _now(self) -> int:
        return self._sim.outside.now

    def expect(self, told: list[Told]) -> None:
        """Know what the script will do."""
        for call in told:
            self._told.setdefault(call.line, []).append(call)
            if call.number is not None:
                self._by_number[call.number] = call
            self._waiting |= set(call.waiting)
        self._due += told

    def numbers(self) -> set[str]:
        """Of all who ring."""
        return {*self._by_number, *self._waiting}

    def calls(self) -> int:
        return sum(len(told) for told in self._told.values())

    def closure_is_told(self, fact: ev.CallerIdClosureSeen) -> None:
        boot = self._sim.box.boot
        assert boot is not None
        self._closures.setdefault(fact.line, []).append(boot.true(fact.at))

    def _recent(self, line: str) -> list[Told]:
        return self._told[line][-RECENT:]

    # ------------------------------------------------------------ record and truth

    def check_record(self, opened: Opened, folder: Path) -> None:
        record = opened.record
        process = self.process_of(record)
        started = process.devices.boot.true(record["clock"]["monotonic_ns"])
        answered = _moment(record, "answered_at", started)
        ended = _moment(record, "ended_at", started)
        end = ended if ended is not None else process.ended_at or self._now
        self._check_caller(record, started if answered is None else min(started, answered), end)
        if record["disposition"] == "missed":
            self._check_rang(record, started, end)
            return
        assert answered is not None, "somebody answered what was not missed"
        self._check_lifted(record, answered, end)
        self._answers.setdefault(record["line"], []).append((answered, end))
        if record["disposition"] == "recorded":
            assert opened.sound is not None
            sound = Sound(record, folder, opened.sound, process, answered, ended, self._alarms)
            sound.check(self._put_down(record["line"], answered))
        elif not record["reason"] or not self._explains(record, process, answered, end):
            fail(f"call {record['id']} has no sound: {record['reason']}")

    def process_of(self, record: dict[str, Any]) -> Process:
        """The one that began the call."""
        boot_id, mono = record["clock"]["boot_id"], record["clock"]["monotonic_ns"]
        ran = [
            process
            for process in self._sim.processes
            if process.devices.boot.id == boot_id
            and process.began_at <= process.devices.boot.true(mono) + ms(1)
        ]
        if not ran:
            fail(f"call {record['id']} is of no process that ran")
        return ran[-1]

    def _explains(self, record: dict[str, Any], process: Process, answered: int, end: int) -> bool:
        """Why there may be no sound at all: the disk, the power, or the card failed."""
        if self._alarms.disk.touch(answered - seconds(1), self._now):
            return True
        if record["cut"] and end - answered <= SOON_NS:
            return True
        card = card_at(process, answered)
        if card is None:
            return True
        mono = process.devices.boot.mono
        first, last = card.frame_at(mono(answered)), card.frame_at(mono(end))
        return any(begin < last and over > first - 16_000 for begin, over in card.holes())

    def _check_caller(self, record: dict[str, Any], begin: int, end: int) -> None:
        number = record["caller"]["number"]
        if number is None:
            return
        told = self._by_number.get(number)
        if number in self._waiting or told is None:
            fail(f"call {record['id']} has the caller ID of nobody who called it: {number}")
        is_then = begin <= told.ends and end >= told.at - seconds(1)
        if told.line != record["line"] or not is_then:
            fail(f"call {record['id']} has the caller ID of another call: {number}")

    def _check_rang(self, record: dict[str, Any], begin: int, end: int) -> None:
        if self._alarms.noise[record["line"]].touch(begin, end):
            return  # among a hundred thousand bytes of noise there may be a RING
        if not any(
            told.at - seconds(1) <= end and begin <= told.ends + RINGS_AFTER_NS
            for told in self._recent(record["line"])
        ):
            fail(f"call {record['id']} was missed, but nobody called")

    def _check_lifted(self, record: dict[str, Any], answered: int, end: int) -> None:
        line = record["line"]
        if self._alarms.is_noisy(line, answered - seconds(1), end):
            return
        if not any(
            told.at <= answered + EDGE_NS and told.ends >= answered for told in self._recent(line)
        ):
            fail(f"call {record['id']} began when nobody lifted the phone of {line}")

    def _put_down(self, line: str, after: int) -> int:
        """When the phone was put down next."""
        return min((t.ends for t in self._recent(line) if t.ends >= after), default=1 << 62)

    # ------------------------------------------------------------ every off-hook

    def every_lift_is_told(self) -> None:
        """Every off-hook of the script has a record: recorded, or a reason."""
        due, self._due = self._due, []
        for told in due:
            if told.ends > self._now - seconds(120):
                self._due.append(told)
            elif told.off_at is not None and told.on_at is not None:
                for process in self._sim.processes:
                    if process.ready_at is not None:
                        self._is_told(told, process, max(told.off_at, process.ready_at))

    def _is_told(self, told: Told, process: Process, began: int) -> None:
        """The part of an off-hook that one process saw, from `began` on."""
        assert told.on_at is not None
        died = process.ended_at or self._now
        ended = min(told.on_at, died)
        was_settled = told.on_at + seconds(15) < died
        if ended - began < (ms(500) if was_settled else SOON_NS):
            return
        if self._alarms.is_noisy(told.line, began - seconds(15), ended + seconds(5)):
            return
        closures = self._closures.get(told.line, [])
        if ended - began <= CLOSURE_NS and any(abs(at - began) <= EDGE_NS for at in closures):
            return  # in the ledger as such: nobody can tell it from a caller-ID set's
        disk = self._alarms.disk
        if disk.touch(began - seconds(1), died) and disk.touch(died - seconds(8), died):
            return
        answers = self._answers.get(told.line, [])
        # A process that begins among dial pulses or in a flash sees the phone lifted after them.
        is_broken = told.kind in {"dialled", "flash"} and began != told.off_at
        until = began + (PULSES_NS if is_broken else EDGE_NS)
        if not any(off <= until and on >= ended - EDGE_NS for off, on in answers):
            near = [
                (off - began, on - ended) for off, on in answers if abs(off - began) < seconds(300)
            ]
            fail(
                f"{told.kind}: {told.line} was off-hook for {(ended - began) / 1e9:.3f} s of a "
                f"process that began to see it at {began}, and there is no record; near: {near}"
            )


def callers(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Whom a record names."""
    return [record["caller"], *(other["caller"] for other in record["call_waiting"])]


def _moment(record: dict[str, Any], key: str, started: int) -> int | None:
    """A time of a record in true time, to the millisecond."""
    if record[key] is None:
        return None
    since = datetime.fromisoformat(record[key]) - datetime.fromisoformat(record["started_at"])
    return started + round(since.total_seconds() * NS_PER_S)
