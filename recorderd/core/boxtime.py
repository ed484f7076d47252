"""How old a call is, whatever the wall clock says: the box's own count of time that went by.

A box without a battery clock may wake up in 1970 or in ten years, and people set clocks. Nothing is
erased by a clock like that. What counts is:

- Time that the machine runs, by its monotonic clock. Steps of the wall clock add nothing to it.
- Time that it was switched off, by the wall clock, and only between two readings that were
  synchronised. The second one is on probation first: the clock must have stayed synchronised without
  a step for a thirtieth of the time that it claims, at least ten minutes, at most a day of running.
  What is believed then is the least that it claimed.

So a call is never erased early, unless a wrong clock calls itself synchronised for that long; it may
be erased late: time switched off is not counted on a box that is never synchronised.

Two axes are needed, for a call may come in before it is known how long the box was off, and must not
age by that. A call's *position* is on an axis of running time, which only grows and is never moved
afterwards; the table of boots says what *time* each boot's positions stand for, and is corrected when
more is known. All numbers are nanoseconds.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recorderd.units import NS_PER_S

if TYPE_CHECKING:
    from recorderd.units import ClockReading, MonoNs

HOUR_NS = 3600 * NS_PER_S
DAY_NS = 24 * HOUR_NS

SAVE_EVERY_NS = HOUR_NS
"""What a power cut may take from the state; a card is not to be written for every minute."""

SKIP_NS = 2 * SAVE_EVERY_NS
"""A new boot begins this far beyond the last position saved, so that no position comes twice."""

TOLERANCE_NS = 10 * NS_PER_S
"""Synchronised clocks differ by less, and are slewed. It is taken off what a clock claims."""

PROBATION_SHARE = 30
PROBATION_MIN_NS = 600 * NS_PER_S
PROBATION_MAX_NS = DAY_NS


@dataclass(frozen=True, slots=True)
class Boot:
    """From position `begins` on, time is `aged` and goes on as the position does."""

    begins: int
    aged: int


@dataclass(frozen=True, slots=True)
class Trusted:
    """A synchronised clock that is believed: wall time less aged time, and the last position at which
    the clock said so, or something that adds less."""

    offset: int
    position: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A clock that says something else: the least that it claimed, where it last did so, and for how
    long it has been synchronised.

    `is_later`: it is ahead of what is believed, by a power-off as it seems; else it is behind.
    """

    is_later: bool
    offset: int
    position: int
    ran: int


@dataclass(frozen=True, slots=True)
class AgeState:
    """All that outlives a boot."""

    boot_id: str
    zero: int  # position of this boot's monotonic zero
    reached: int  # position when this was made
    boots: tuple[Boot, ...]
    trusted: Trusted | None = None
    trial: Trial | None = None


class AgeClock:
    """See above. `update` wants to be called about once a minute."""

    def __init__(self, state: AgeState | None, reading: ClockReading, newest: int) -> None:
        """`state` None: it was lost, or there never was one. `newest` is then the greatest position
        of a call there is: the calls begin to age anew."""
        self._mono = reading.mono
        self._last_zero: int | None = None  # wall time of monotonic zero, when last synchronised
        self._was_synchronised = False  # at the update before
        self._state = _state_of_boot(state, reading, newest)

    @property
    def zero(self) -> int:
        """The position of monotonic zero, for as long as the machine is not started anew."""
        return self._state.zero

    def position(self, at: MonoNs) -> int:
        """Where a moment of this boot lies on the axis of running time."""
        return self._state.zero + at

    def state(self) -> AgeState:
        """What to keep, as of the last update."""
        return replace(self._state, reached=self.position(self._mono))

    def age(self, position: int) -> int:
        """How long ago a position was, as of the last update; never more than the truth."""
        return self._aged(self.position(self._mono)) - self._aged(position)

    def bound(self, age: int) -> int:
        """No call at a position above this one is as old as `age`; those below may be."""
        time = self._aged(self.position(self._mono)) - age
        boots = self._state.boots
        bound = -1
        for boot, after in zip(boots, [*boots[1:], None], strict=True):
            if boot.aged <= time:
                last = boot.begins + time - boot.aged
                bound = last if after is None else min(last, after.begins - 1)
        return bound

    def forget(self, before: int) -> None:
        """Let go of boots that ended before the position of the oldest call there is."""
        boots = self._state.boots
        first = max(0, bisect_right(boots, before, key=lambda boot: boot.begins) - 1)
        self._state = replace(self._state, boots=boots[first:])

    def update(self, reading: ClockReading) -> None:
        """Let time pass, and take account of what the wall clock says."""
        ran = reading.mono - self._mono
        self._mono = reading.mono
        was_synchronised, self._was_synchronised = self._was_synchronised, reading.synchronised
        if not reading.synchronised:
            return
        zero = reading.wall - reading.mono
        stepped = self._last_zero is not None and abs(zero - self._last_zero) > TOLERANCE_NS
        self._last_zero = zero
        if stepped and self._state.trial is not None:
            self._state = replace(self._state, trial=replace(self._state.trial, ran=0))
        position = self.position(reading.mono)
        offset = reading.wall - self._aged(position)
        self._judge(position, offset, ran if was_synchronised and not stepped else 0)

    # ------------------------------------------------------------ inside

    def _aged(self, position: int) -> int:
        return _aged_at(self._state.boots, position)

    def _judge(self, position: int, offset: int, ran: int) -> None:
        """`ran`: for how long the clock has been synchronised since the update before."""
        trusted = self._state.trusted
        if trusted is None:
            self._try(position, offset, ran, is_later=False)
        elif abs(offset - trusted.offset) <= TOLERANCE_NS:
            self._believe(max(offset, trusted.offset), position)
        elif offset < trusted.offset:
            self._try(position, offset, ran, is_later=False)
        elif self._state.boots[-1].begins <= trusted.position:
            self._believe(offset, position)  # a step while the machine ran: it adds nothing
        else:
            self._try(position, offset, ran, is_later=True)

    def _believe(self, offset: int, position: int) -> None:
        self._state = replace(self._state, trusted=Trusted(offset, position), trial=None)

    def _try(self, position: int, offset: int, ran: int, *, is_later: bool) -> None:
        """What is believed in the end is what adds least to the age of calls: of a later clock the
        earliest that it said, of any other the latest."""
        trial = self._state.trial
        if trial is None or trial.is_later is not is_later:
            trial = Trial(is_later, offset, position, 0)
        least = min(trial.offset, offset) if is_later else max(trial.offset, offset)
        where = position if abs(offset - least) <= TOLERANCE_NS else trial.position
        trial = Trial(is_later, least, where, trial.ran + ran)
        self._state = replace(self._state, trial=trial)
        if trial.ran < self._probation(trial):
            return
        off = self._add_time_off(trial.offset) if is_later else 0
        self._believe(trial.offset - off, trial.position)

    def _probation(self, trial: Trial) -> int:
        trusted = self._state.trusted
        if trusted is None or not trial.is_later:
            return PROBATION_MAX_NS
        claimed = trial.offset - trusted.offset
        return min(max(claimed // PROBATION_SHARE, PROBATION_MIN_NS), PROBATION_MAX_NS)

    def _add_time_off(self, offset: int) -> int:
        """Let the time off lie between the last reading that was believed and the boot after it.

        Where there were several boots since then, calls of those in between get none of it: that
        makes them younger than they are, never older.
        """
        trusted = self._state.trusted
        assert trusted is not None
        off = offset - trusted.offset - TOLERANCE_NS
        boots = tuple(
            Boot(boot.begins, boot.aged + off) if boot.begins > trusted.position else boot
            for boot in self._state.boots
        )
        self._state = replace(self._state, boots=boots)
        return off


def _aged_at(boots: tuple[Boot, ...], position: int) -> int:
    """Positions from before the first boot that is known stand for its beginning."""
    index = bisect_right(boots, position, key=lambda boot: boot.begins) - 1
    if index < 0:
        return boots[0].aged
    return boots[index].aged + position - boots[index].begins


def _state_of_boot(state: AgeState | None, reading: ClockReading, newest: int) -> AgeState:
    """The state with which to go on: as it was in the same boot, else with a new boot in it."""
    if state is None:
        begins = newest + SKIP_NS
        return AgeState(reading.boot_id, begins - reading.mono, begins, (Boot(begins, 0),))
    if state.boot_id == reading.boot_id and state.zero + reading.mono >= state.reached:
        return state
    begins = state.reached + SKIP_NS
    boots = (*state.boots, Boot(begins, _aged_at(state.boots, state.reached)))
    return replace(state, boot_id=reading.boot_id, zero=begins, reached=begins, boots=boots)
