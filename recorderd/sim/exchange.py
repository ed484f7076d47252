"""What the exchange and the phone do in a call, worked out beforehand and without side effects.

`happenings` turns one scripted action into everything that it makes the line, its modem and its
sound do, each at its own moment, by the habits of the country's network. It is a function of the
action, its moment and the seed, so that a run can be repeated edge by edge.

What is left out, on purpose: ringing current that leaks into the hook sensor, and what an exchange
sends after some minutes of busy tone.

Sources: tones from the country's profile, cadences of ringing from the indications list of the Asterisk
project (indications.conf.sample), for Japan the annexes of the telecommunications facilities
ordinance (jigyoyo denki tsushin setsubi kisoku: ringing 15-20 Hz at 20 per minute with a make of
33 %, dial pulses with a make of 30-42 % at 10 and 30-36 % at 20 per second). The 25 Hz of Europe is
the usual preset of exchanges there.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from recorderd.config.profiles import load_profile
from recorderd.errors import ConfigError
from recorderd.sim.actions import (
    Closure,
    Fault,
    Flash,
    Hook,
    Inbound,
    MessageWaiting,
    ModemPlug,
    ModemText,
    Outbound,
    RingLevel,
)
from recorderd.sim.burst import FORMS, Form, burst_ns
from recorderd.units import NS_PER_S, MonoNs, later, ms, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from recorderd.core.profile import Tone
    from recorderd.sim.actions import Script, ScriptEvent

# ---------------------------------------------------------------- what happens


@dataclass(frozen=True, slots=True)
class HookMoved:
    at: MonoNs
    off_hook: bool


@dataclass(frozen=True, slots=True)
class RingMoved:
    at: MonoNs
    active: bool


@dataclass(frozen=True, slots=True)
class ModemSpoke:
    """Bytes that the modem sends whatever it was asked for, such as RING."""

    at: MonoNs
    data: bytes


@dataclass(frozen=True, slots=True)
class ReportArrived:
    """A report that the modem passes on only where caller ID is enabled: its tags and values."""

    at: MonoNs
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ModemPlugged:
    at: MonoNs
    plugged: bool


@dataclass(frozen=True, slots=True)
class SoundPlayed:
    """A sound of the palette (sound.py) on the line from `at` to `until`."""

    at: MonoNs
    until: MonoNs
    sound: str
    skipped_ns: int = 0  # where in the sound it begins


@dataclass(frozen=True, slots=True)
class CallerSent:
    """The burst in which the exchange sends who calls (burst.py), as a modem would print it."""

    at: MonoNs
    form: Form
    fields: tuple[tuple[str, str], ...]


Happening: TypeAlias = (
    HookMoved | RingMoved | ModemSpoke | ReportArrived | ModemPlugged | SoundPlayed | CallerSent
)


# ---------------------------------------------------------------- networks


@dataclass(frozen=True, slots=True)
class Network:
    """How one country's exchanges ring, sound and send the caller's number."""

    ring_hz: int
    ring_cadence_ms: tuple[int, ...]  # on, off, on, off …
    caller_id: CallerIdWay
    form: Form  # of its burst
    tones: tuple[Tone, ...]

    def tone(self, kind: str) -> Tone:
        """The first tone of a kind."""
        return next(tone for tone in self.tones if tone.kind == kind)


CallerIdWay = Literal["closure", "before", "between"]
_Habits: TypeAlias = tuple[int, tuple[int, ...], CallerIdWay]
_EUROPE: _Habits = (25, (1000, 4000), "between")
_AMERICA: _Habits = (20, (2000, 4000), "between")
_HABITS: dict[str, _Habits] = {
    "JP": (16, (1000, 2000), "closure"),
    "US": _AMERICA,
    "CA": _AMERICA,
    "GB": (25, (400, 200, 400, 2000), "before"),
    "DE": _EUROPE,
    "IT": _EUROPE,
    "NL": _EUROPE,
    "CH": _EUROPE,
    "NO": _EUROPE,
    "FI": _EUROPE,
    "FR": (25, (1500, 3500), "between"),
    "ES": (25, (1500, 3000), "between"),
}


def network_of(country: str) -> Network:
    """The network of an ISO 3166 country code; raises ConfigError for one that is not known."""
    name = "GB" if country.upper() == "UK" else country.upper()
    if name not in _HABITS:
        known = ", ".join(_HABITS)
        raise ConfigError([
            f"site.country: the simulator knows no telephone network of {country}; known: {known}"
        ])
    profile = load_profile(name)
    # Where numbers are sent as digits, an exchange of the simulator sends V.23 all the same.
    forms = [form for form in FORMS if form in profile.caller_id]
    return Network(*_HABITS[name], forms[0] if forms else "v23", profile.tones)


# ---------------------------------------------------------------- timing of one call

# A relay or cradle contact settles within some milliseconds.
BOUNCE_PAIRS_MAX = 4
BOUNCE_MS = (0.2, 1.5)
# A dial contact is quicker: at 20 pulses a second its make lasts only 14 to 20 ms.
PULSE_BOUNCE_MS = (0.1, 0.6)

RINGS_IF_NOBODY_ANSWERS = 5
RING_SEEN_BY_MODEM_MS = 300
# Between the rings: data begins 0.5 s or more after the first ring (Telcordia GR-30, EN 300 659-1),
# lasts about 0.6 s, and the modem prints it then.
REPORT_AFTER_RING_MS = 1200
# Before the ring: the first ring follows the data within 200 to 500 ms (EN 300 659-1).
RING_AFTER_REPORT_MS = 400

# Japan: short ringing of 0.5 s tells the caller-ID set to close the loop; it has 6 s to do so. It
# takes the data, opens the loop, and the exchange begins to ring.
ALERT_MS = 500
CLOSURE_AFTER_ALERT_MS = 250
CLOSURE_MS = 1300
REPORT_BEFORE_OPENING_MS = 150
RING_AFTER_CLOSURE_MS = 900

DIAL_TONE_AFTER_MS = 200
TONE_DIGIT_MS = 100
TONE_PAUSE_MS = 100
PULSE_PAUSE_MS = 800  # Japan: at least 600 ms at 10 pulses a second, 450 ms at 20
BREAK_SHARE = 0.66  # within Japan's limits at both speeds
POST_DIAL_DELAY_MS = 1500
RINGBACK_CADENCES = 2
TALK_PATTERN_S = 10.0  # conversations begin anywhere in the first seconds of the speech loop


def happenings(event: ScriptEvent, at: MonoNs, script: Script, network: Network) -> list[Happening]:
    """Everything that a line's scripted action makes happen, in order; none before `at`.

    Raises ConfigError where the country has no such thing or the times contradict each other.
    """
    rng = random.Random(f"{script.seed}:{event.source_line}")  # noqa: S311 - repeatable
    try:
        found = list(_expanded(event, at, script.day, network, rng))
    except _ImpossibleError as problem:
        raise ConfigError([f"{script.origin}:{event.source_line}: {problem}"]) from None
    return sorted(found, key=lambda happening: happening.at)


class _ImpossibleError(Exception):
    """The action cannot happen on this network."""


def _expanded(
    event: ScriptEvent, at: MonoNs, day: datetime, network: Network, rng: random.Random
) -> Iterator[Happening]:
    match event.action:
        case Fault():
            pass  # what it does is done where it is felt
        case Hook() | RingLevel() | ModemText() | ModemPlug() as raw:
            yield _raw(raw, at)
        case MessageWaiting(waiting):
            yield ReportArrived(at, (("MESG", _message_waiting(waiting=waiting)),))
        case Flash(duration_ns):
            yield from hook_moves(at, off_hook=False, rng=rng)
            yield from hook_moves(later(at, duration_ns), off_hook=True, rng=rng)
        case Closure(duration_ns):
            if network.caller_id != "closure":
                raise _ImpossibleError("closure: only Japan's caller-ID sets close the loop")
            yield from _closure(at, duration_ns, rng)
        case Inbound() as call:
            yield from _InboundCall(call, at, day + _since(event), network, rng).happenings()
        case Outbound() as call:
            yield from _outbound(call, at, network, rng)


def _raw(action: Hook | RingLevel | ModemText | ModemPlug, at: MonoNs) -> Happening:
    match action:
        case Hook(off_hook):
            return HookMoved(at, off_hook)
        case RingLevel(active):
            return RingMoved(at, active)
        case ModemText(data):
            return ModemSpoke(at, data)
        case ModemPlug(plugged):
            return ModemPlugged(at, plugged)


def _since(event: ScriptEvent) -> timedelta:
    return timedelta(microseconds=event.after_ns // 1000)


def _message_waiting(*, waiting: bool) -> str:
    """Parameter 0B (message waiting: FF on, 00 off) with its checksum, as modems print it."""
    value = 0xFF if waiting else 0x00
    checksum = -(0x0B + 0x01 + value) & 0xFF
    return f"0B01{value:02X}{checksum:02X}"


# ---------------------------------------------------------------- the phone


def hook_moves(
    at: MonoNs,
    *,
    off_hook: bool,
    rng: random.Random,
    bounce_ms: tuple[float, float] = BOUNCE_MS,
) -> Iterator[HookMoved]:
    """One movement of the contact: the first edge at `at`, then it bounces and settles."""
    yield HookMoved(at, off_hook)
    for _ in range(rng.randint(0, BOUNCE_PAIRS_MAX)):
        for state in (not off_hook, off_hook):
            at = later(at, ms(rng.uniform(*bounce_ms)))
            yield HookMoved(at, state)


def _talk(answered: MonoNs, call: Inbound | Outbound, rng: random.Random) -> Iterator[Happening]:
    """The conversation, busy tone when the far end has gone, and the receiver put down after it."""
    talked = later(answered, call.talk_ns)
    hung_up = later(talked, call.busy_ns)
    skipped_ns = seconds(rng.uniform(0, TALK_PATTERN_S))
    yield SoundPlayed(answered, talked, "talk", skipped_ns)
    if call.busy_ns:
        yield SoundPlayed(talked, hung_up, "busy")
    yield from hook_moves(hung_up, off_hook=False, rng=rng)


# ---------------------------------------------------------------- inbound


def _ring_moves(at: MonoNs, until: MonoNs, ring_hz: int) -> Iterator[Happening]:
    """One burst: the detector is active for the first half of each cycle of the current."""
    cycle_ns = NS_PER_S // ring_hz
    yield SoundPlayed(at, until, "ringing")
    for cycle in range((until - at + cycle_ns - 1) // cycle_ns):
        yield RingMoved(later(at, cycle * cycle_ns), active=True)
        yield RingMoved(later(at, cycle * cycle_ns + cycle_ns // 2), active=False)


def _closure(at: MonoNs, closed_ns: int, rng: random.Random) -> Iterator[Happening]:
    """Japan's alert, and the caller-ID set closing the loop for `closed_ns`."""
    alert_ends = later(at, ms(ALERT_MS))
    yield from _ring_moves(at, alert_ends, ring_hz=16)
    closed = later(alert_ends, ms(CLOSURE_AFTER_ALERT_MS))
    yield from hook_moves(closed, off_hook=True, rng=rng)
    yield from hook_moves(later(closed, closed_ns), off_hook=False, rng=rng)


class _InboundCall:
    """Works out one call from outside: caller ID, ringing, answer."""

    def __init__(
        self, call: Inbound, at: MonoNs, day_time: datetime, network: Network, rng: random.Random
    ) -> None:
        self._call = call
        self._at = at
        self._network = network
        self._rng = rng
        self._day_time = day_time
        self._way = self._caller_id_way()
        self._first_ring = later(at, self._before_ring_ns())
        self._answered = None if call.answer_ns is None else later(self._first_ring, call.answer_ns)

    def happenings(self) -> Iterator[Happening]:
        yield from self._before_ring()
        yield from self._ringing()
        yield from self._report_after_ring()
        if self._answered is not None:
            yield from hook_moves(self._answered, off_hook=True, rng=self._rng)
            yield from _talk(self._answered, self._call, self._rng)

    def _caller_id_way(self) -> str:
        call, network = self._call, self._network
        if call.late_id_ns is not None:
            return "late"
        if call.caller_id is None:
            return network.caller_id
        if call.caller_id == "before" and network.caller_id == "closure":
            return "closure"
        return call.caller_id

    def _before_ring_ns(self) -> int:
        if self._way == "closure":
            return ms(ALERT_MS + CLOSURE_AFTER_ALERT_MS + CLOSURE_MS + RING_AFTER_CLOSURE_MS)
        return self._burst_ns() + ms(RING_AFTER_REPORT_MS) if self._way == "before" else 0

    def _burst_ns(self) -> int:
        return burst_ns(self._network.form, self._fields(self._at))

    def _before_ring(self) -> Iterator[Happening]:
        if self._way == "closure":
            yield from _closure(self._at, ms(CLOSURE_MS), self._rng)
            opened_ms = RING_AFTER_CLOSURE_MS + REPORT_BEFORE_OPENING_MS
            yield from self._sent(later(self._first_ring, -ms(opened_ms)))
        elif self._way == "before":
            yield from self._sent(later(self._at, self._burst_ns()))

    def _ringing(self) -> Iterator[Happening]:
        cadence_ms = self._network.ring_cadence_ms
        cadence_ns = ms(sum(cadence_ms))
        cadences = self._cadences(cadence_ns)
        for cadence in range(cadences):
            began = later(self._first_ring, cadence * cadence_ns)
            yield from self._one_cadence(began)

    def _cadences(self, cadence_ns: int) -> int:
        """How often the phone rings until it is lifted or the caller gives up."""
        call = self._call
        if call.answer_ns is None:
            return call.rings or RINGS_IF_NOBODY_ANSWERS
        needed = call.answer_ns // cadence_ns + 1
        if call.rings is not None and needed > call.rings:
            ends_s = call.rings * cadence_ns / NS_PER_S
            raise _ImpossibleError(
                f"inbound: answer={call.answer_ns / NS_PER_S:g} is after the last of "
                f"rings={call.rings}, which end after {ends_s:g} s"
            )
        return needed

    def _one_cadence(self, began: MonoNs) -> Iterator[Happening]:
        for start, end in _bursts(began, self._network.ring_cadence_ms):
            if self._answered is None or start < self._answered:
                until = end if self._answered is None else min(end, self._answered)
                yield from _ring_moves(start, until, self._network.ring_hz)
        seen = later(began, ms(RING_SEEN_BY_MODEM_MS))
        if self._answered is None or seen < self._answered:
            yield ModemSpoke(seen, b"\r\nRING\r\n")

    def _report_after_ring(self) -> Iterator[Happening]:
        if self._way == "between":
            first_burst_ends = list(_bursts(self._first_ring, self._network.ring_cadence_ms))[-1][1]
            at = later(first_burst_ends, ms(REPORT_AFTER_RING_MS))
            # Whoever answers during the data cuts it off, so that it never arrives.
            if self._answered is None or at < self._answered:
                yield from self._sent(at)
        elif self._answered is not None and self._call.late_id_ns is not None:
            at = later(self._answered, self._call.late_id_ns)
            yield ReportArrived(at, self._fields(at))

    def _sent(self, printed: MonoNs) -> Iterator[Happening]:
        """The burst, and the modem's report right after it."""
        fields = self._fields(printed)
        yield CallerSent(later(printed, -self._burst_ns()), self._network.form, fields)
        yield ReportArrived(printed, fields)

    def _fields(self, at: MonoNs) -> tuple[tuple[str, str], ...]:
        moment = self._day_time + timedelta(microseconds=(at - self._at) // 1000)
        fields = [("DATE", f"{moment:%m%d}"), ("TIME", f"{moment:%H%M}")]
        fields.append((
            "NMBR",
            self._call.number or _ABSENCE_CODES[self._call.absence or "private"],
        ))
        if self._call.name is not None:
            fields.append(("NAME", self._call.name))
        return tuple(fields)


# Codes in place of a number: P and O everywhere, C and S as the exchanges of Japan send them.
_ABSENCE_CODES = {"private": "P", "out-of-area": "O", "payphone": "C", "unavailable": "S"}


def _bursts(began: MonoNs, cadence_ms: tuple[int, ...]) -> Iterator[tuple[MonoNs, MonoNs]]:
    """The bursts of one cadence, as (start, end)."""
    at = began
    for on_ms, off_ms in zip(cadence_ms[::2], cadence_ms[1::2], strict=True):
        yield at, later(at, ms(on_ms))
        at = later(at, ms(on_ms + off_ms))


# ---------------------------------------------------------------- outbound


def _outbound(
    call: Outbound, at: MonoNs, network: Network, rng: random.Random
) -> Iterator[Happening]:
    yield from hook_moves(at, off_hook=True, rng=rng)
    first_digit = later(at, seconds(rng.uniform(2.0, 3.0)))
    yield SoundPlayed(later(at, ms(DIAL_TONE_AFTER_MS)), first_digit, "dial")
    if call.by_pulse:
        digits, dialled = _pulse_digits(call, first_digit, rng)
    else:
        digits, dialled = _tone_digits(call, first_digit)
    yield from digits
    ringback = later(dialled, ms(POST_DIAL_DELAY_MS))
    answered = later(ringback, ms(RINGBACK_CADENCES * sum(network.tone("ringback").cadence_ms)))
    yield SoundPlayed(ringback, answered, "ringback")
    yield from _talk(answered, call, rng)


def _tone_digits(call: Outbound, at: MonoNs) -> tuple[list[Happening], MonoNs]:
    found: list[Happening] = []
    for digit in call.dial:
        found.append(SoundPlayed(at, later(at, ms(TONE_DIGIT_MS)), f"digit-{digit}"))
        at = later(at, ms(TONE_DIGIT_MS + TONE_PAUSE_MS))
    return found, at


def _pulse_digits(call: Outbound, at: MonoNs, rng: random.Random) -> tuple[list[Happening], MonoNs]:
    """Loop pulses: digit N is N breaks, 0 is ten."""
    found: list[Happening] = []
    period_ns = NS_PER_S // call.pulses_per_s
    for digit in call.dial:
        for _ in range(int(digit) or 10):
            closed = later(at, round(period_ns * BREAK_SHARE))
            for moment, off_hook in ((at, False), (closed, True)):
                found += hook_moves(moment, off_hook=off_hook, rng=rng, bounce_ms=PULSE_BOUNCE_MS)
            at = later(at, period_ns)
        at = later(at, ms(PULSE_PAUSE_MS))
    return found, at
