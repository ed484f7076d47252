"""One line, with somebody at its telephone: the handset, a call in, voices, the announcement, a call out.

What to do is said, and then the line is watched until it was done: nobody has to press a key while a
telephone rings. Questions come before and after a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recorderd.doctor import callcheck, clipcheck, country, hookcheck, modemcheck, ringcheck, sides
from recorderd.doctor.outcome import Outcome, skipped
from recorderd.errors import ClipError
from recorderd.events import (
    AnnouncementFinished,
    DriverReady,
    ModemRang,
    ModemReady,
    ModemSilent,
    RingBurstEnded,
    RingEdge,
    WentOffHook,
    WentOnHook,
)
from recorderd.media.announcement import load_clip
from recorderd.units import MonoNs, later, ms, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from recorderd.config.values import Line
    from recorderd.doctor.bench import Bench, Seen, Tape
    from recorderd.doctor.ports import Hands, Person
    from recorderd.events import Caller

IDLE_S = 8.0
"""Of a line that nobody touches; dsp/health.py asks for five whole seconds."""
LIFT_S = 30.0
RING_S = 90.0
CALL_S = 150.0
HANG_UP_S = 60.0
SPEAK_S = 13.0
"""Of which ten at least are speech: fewer say nothing of a channel that is silent (dsp/health.py)."""
READING_NS = seconds(1.5)  # until the person has read that it is their turn
TRIES = 3
WITHOUT_HOOK_S = 3.0
RINGS_BEFORE_LIFT = 2  # the person was asked for three
RINGS_WITHOUT_HOOK = 3
CLOSURE_MAX_NS = seconds(7)
"""As data/profiles/JP.toml has it."""
AFTER_CLIP_S = 1.0


class LineVisit:
    """Walks through one line; `note` takes each outcome as it comes."""

    def __init__(
        self,
        bench: Bench,
        person: Person,
        hands: Hands,
        line: Line,
        index: int,
        note: Callable[[Outcome], None],
    ) -> None:
        self._bench = bench
        self._person = person
        self._hands = hands
        self._line = line
        self._index = index
        self._note = note
        self._hook_works = False
        self._has_card = False
        self._voices_say_swapped = False
        self._rested: Seen = []  # while nobody touched the line; its ring pin's level first
        self._idle_sound: NDArray[np.int16] = np.zeros((0, 2), np.int16)
        self._cadence: list[tuple[int, int]] = []
        self._standard: str | None = None
        self._dial_hz: tuple[float, ...] | None = None
        self.callers: list[Caller] = []
        self.call_sound: NDArray[np.int16] = np.zeros((0, 2), np.int16)

    def run(self) -> None:
        """All of it; what cannot be done is noted as skipped."""
        name, first = self._line.name, len(self._bench.seen)
        self._person.title(f"Line {name}")
        if not self._person.confirm(
            f"Is the handset of {name} down, and nobody on the line?", default=True
        ):
            for check in ("hook", "ring", "caller-id", "channels", "announcement", "dialling"):
                self._note(skipped(check, name, "the line was in use"))
            return
        self._has_card = any(
            isinstance(each, DriverReady) and each.kind == "card" and each.name == self._card
            for each in self._bench.seen
        )
        self._look_at_rest(first)
        self._try_hook()
        self._call_in()
        self._call_out()
        heard = country.Heard(self._cadence, self._dial_hz, self._standard)
        self._note(country.judge_country(name, self._bench.config.site.country, heard))

    @property
    def _card(self) -> str:
        return self._line.audio.device

    def _modem_answers(self) -> bool:
        states = [
            each
            for each in self._own(self._bench.seen)
            if isinstance(each, ModemReady | ModemSilent)
        ]
        return bool(states) and isinstance(states[-1], ModemReady)

    def _own(self, seen: Seen) -> Seen:
        return [each for each in seen if getattr(each, "line", None) == self._line.name]

    def _elsewhere(self, first: int, did: Callable[[Seen], bool]) -> str | None:
        """The other line that did, since `first` of all that was seen, what this one should have done;
        None where none did, or several."""
        others = [
            line.name
            for line in self._bench.config.lines
            if line != self._line
            and did([
                each
                for each in self._bench.seen[first:]
                if getattr(each, "line", None) == line.name
            ])
        ]
        return others[0] if len(others) == 1 else None

    def _watch(self, wait_s: float, until: Callable[[Seen], bool] = lambda _: False) -> Seen:
        return self._own(self._bench.watch(wait_s, lambda seen: until(self._own(seen))))

    def _ask_for(self, text: str) -> None:
        self._bench.catch_up()
        self._person.say(text)

    # ------------------------------------------------------------ hook

    def _look_at_rest(self, first: int) -> None:
        """`first`: of all that was seen, what came since it was asked whether the line is idle. Before
        that, somebody may have called it."""
        self._ask_for(f"Leave it alone for {IDLE_S:.0f} seconds, please.")
        tape, since = self._tape(), self._bench.now()
        self._watch(IDLE_S)
        if tape is not None:
            self._idle_sound = tape.between(since, self._bench.now())
        before = [
            each for each in self._own(self._bench.seen[:first]) if isinstance(each, RingEdge)
        ]
        self._rested = [*before[-1:], *self._own(self._bench.seen[first:])]

    def _tape(self) -> Tape | None:
        return self._bench.listen(self._line.name) if self._has_card else None

    def _try_hook(self) -> None:
        name, hook = self._line.name, self._line.hook
        if hook.driver == "voice":
            self._note(skipped("hook", name, "this line has no sensor: its sound is its hook"))
            return
        idle, first = self._bench.hook_level(name), len(self._bench.seen)
        for _ in range(TRIES):
            self._ask_for("Lift the handset, count to two, and put it down again.")
            self._hands.please(name, "lift-and-replace")
            seen = self._watch(LIFT_S, lambda seen: len(hookcheck.moves_of(seen)) >= 2)
            seen += self._watch(0.5)
            if hookcheck.moves_of(seen) or idle is None:
                break
            if self._person.confirm(
                "Nothing was seen to move. Did you lift it and put it down?", default=True
            ):
                break
        elsewhere = self._elsewhere(first, lambda seen: len(hookcheck.moves_of(seen)) >= 2)
        outcome = hookcheck.judge_hook(
            name, self._index, hook, seen, idle=idle, elsewhere=elsewhere
        )
        if hookcheck.is_inverted(hookcheck.moves_of(seen), idle=idle):
            self._bench.turn_hook(name)
        broken = {
            *("hook-missing", "hook-chatter", "hook-stuck", "hook-open", "hook-elsewhere"),
            "hook-not-replaced",
        }
        self._hook_works = not broken & {finding.code for finding in outcome.findings}
        self._note(outcome)

    # ------------------------------------------------------------ a call in

    def _call_in(self) -> None:
        name = self._line.name
        if not self._person.confirm(
            f"Can somebody call {name} now, from a mobile perhaps?", default=True
        ):
            for check in ("ring", "caller-id", "channels", "announcement"):
                self._note(skipped(check, name, "nobody could call"))
            return
        called_from = self._person.ask("From which number? (Enter: withheld, or not to compare)")
        self._ask_for("Call the line now. Let it ring three times, then lift its handset.")
        tape, since, first = self._tape(), self._bench.now(), len(self._bench.seen)
        self._hands.please(name, "call-in")
        call = self._watch(RING_S, self._is_answered)
        answered_at = self._bench.now()
        lifted = self._last_lift(call) if self._hook_works else self._lifted_by_word(call)
        if tape is not None and lifted is not None:
            self._speak(tape, lifted)
        else:
            why = "there is no sound" if tape is None else "nobody lifted the handset"
            for check in ("channels", "announcement"):
                self._note(skipped(check, name, why))
        self._ask_for("Hang up, both of you.")
        self._hands.please(name, "hang-up")
        self._watch(HANG_UP_S if self._hook_works else WITHOUT_HOOK_S, _has_hung_up)
        ringing = None if tape is None else tape.between(since, answered_at)
        self._judge_ringing(call, called_from, ringing, first)

    def _is_answered(self, seen: Seen) -> bool:
        """Lifted for good. Japan's caller-ID sets close the loop too, before the phone rings, and whether
        this is Japan is not known yet."""
        rings = self._rings(seen)
        if not self._hook_works:
            return rings >= RINGS_WITHOUT_HOOK
        lifted = self._last_lift(seen)
        if lifted is None:
            return False
        return rings >= RINGS_BEFORE_LIFT or self._bench.now() - lifted > CLOSURE_MAX_NS

    @staticmethod
    def _rings(seen: Seen) -> int:
        bursts = sum(isinstance(each, RingBurstEnded) for each in seen)
        return max(bursts, sum(isinstance(each, ModemRang) for each in seen))

    @staticmethod
    def _last_lift(seen: Seen) -> MonoNs | None:
        """When the handset was lifted, if it is still."""
        moves = [each for each in seen if isinstance(each, WentOffHook | WentOnHook)]
        return moves[-1].at if moves and isinstance(moves[-1], WentOffHook) else None

    def _lifted_by_word(self, call: Seen) -> MonoNs | None:
        """Where no sensor tells it: the person does."""
        if not self._rings(call):
            return None
        self._person.ask("Lift the handset now, and press Enter when it is lifted.")
        self._bench.catch_up()
        return self._bench.now()

    def _judge_ringing(
        self, call: Seen, called_from: str, ringing: NDArray[np.int16] | None, first: int
    ) -> None:
        """`first`: the place in all that was seen where the call began."""
        name, ring = self._line.name, self._line.ring
        bursts = ringcheck.bursts_of(call)
        self._cadence = ringcheck.cadence_of(bursts)
        rings = max(len(bursts), self._rings(call))
        phone_rang = bool(rings) or self._person.confirm("Did the telephone ring?", default=True)
        if phone_rang and not rings:
            rings = RINGS_BEFORE_LIFT  # nobody but the person noticed
        elsewhere = self._elsewhere(first, lambda seen: bool(ringcheck.bursts_of(seen)))
        outcome = ringcheck.judge_ring(
            name,
            self._index,
            ring,
            self._rested,
            call,
            phone_rang=phone_rang,
            elsewhere=elsewhere,
        )
        if any(finding.code in {"ring-inverted", "ring-noise"} for finding in outcome.findings):
            self._cadence = []
        self._note(outcome)
        if ringing is not None:
            self._standard = callcheck.caller_id_standard(ringing)
        if self._line.modem is not None and not self._modem_answers():
            self._note(skipped("caller-id", name, "the modem must answer first"))
        elif self._line.modem is not None:
            self.callers = modemcheck.callers_of(call)
            elsewhere = self._elsewhere(first, _modem_rang)
            self._note(
                modemcheck.judge_caller_id(
                    name, call, rings, called_from, self._standard, elsewhere
                )
            )

    # ------------------------------------------------------------ announcement and voices

    def _speak(self, tape: Tape, lifted: MonoNs) -> None:
        name, audio = self._line.name, self._line.audio
        began = self._bench.now()
        announced = self._announce(tape, lifted)
        self._person.say("Now count aloud from 1 to 20 into this handset. The other side: silence.")
        near = self._voice(tape, "talk-near")
        self._person.say("Now the other side counts aloud from 1 to 20. This side: silence.")
        far = self._voice(tape, "talk-far")
        self.call_sound = tape.between(began, self._bench.now())
        channels = sides.judge_sides(name, self._index, audio, near, far)
        sound = sides.judge_sound(name, [self._idle_sound, near, far])
        channels = sides.without_doubles(channels, sound)
        self._voices_say_swapped = sides.SWAPPED in channels.findings
        self._note(channels)
        self._note(sound)
        if announced is not None:
            self._note(announced)

    def _voice(self, tape: Tape, wish: str) -> NDArray[np.int16]:
        since = self._bench.now()
        self._hands.please(self._line.name, wish)  # type: ignore[arg-type]  # one of two wishes
        self._watch(SPEAK_S)
        return tape.between(later(since, READING_NS), self._bench.now())

    def _announce(self, tape: Tape, lifted: MonoNs) -> Outcome | None:
        """Play what a caller hears, as the recorder does."""
        announcement = self._line.announcement
        name = announcement and (announcement.inbound or announcement.outbound)
        if announcement is None or not name:
            return None
        try:
            clip = load_clip(name, self._bench.config.path.parent)
        except ClipError as error:
            return skipped("announcement", self._line.name, str(error))
        self._person.say("Both sides should hear the announcement now.")
        at = later(lifted, ms(announcement.delay_ms))
        self._bench.play(self._line.name, clip, at)
        wait_s = clip.frames / clip.rate_hz + announcement.delay_ms / 1000 + 5
        seen = self._watch(
            wait_s, lambda seen: any(isinstance(each, AnnouncementFinished) for each in seen)
        )
        self._watch(AFTER_CLIP_S)
        ended = [each for each in seen if isinstance(each, AnnouncementFinished)]
        sound = tape.between(lifted, self._bench.now())
        return clipcheck.judge_clip(
            self._line.name, announcement, clip, ended[-1] if ended else None, sound
        )

    # ------------------------------------------------------------ a call out

    def _call_out(self) -> None:
        name = self._line.name
        if not self._hook_works:
            self._note(skipped("dialling", name, "there must be a hook sensor that works"))
            return
        if not self._has_card:
            self._note(skipped("dialling", name, "there is no sound"))
            return
        if not self._person.confirm(f"Can you make a call out from {name} now?", default=True):
            self._note(skipped("dialling", name, "nobody could call"))
            return
        number = self._person.ask("Which number will you dial? (Enter: not to compare)")
        self._ask_for(
            "Lift the handset, wait for the dial tone, dial, let it ring twice, and hang up."
        )
        tape = self._bench.listen(name)
        self._hands.please(name, "call-out")
        seen = self._watch(CALL_S, _is_over)
        lifts = [each.at for each in seen if isinstance(each, WentOffHook)]
        if not lifts:
            self._note(skipped("dialling", name, "nobody lifted the handset"))
            return
        sound = tape.between(lifts[0], self._bench.now())
        outcome, self._dial_hz = callcheck.judge_dialling(
            name,
            self._index,
            self._line.audio,
            seen,
            sound,
            number,
            tells_sides=not len(self.call_sound),
            voices_say_swapped=self._voices_say_swapped,
        )
        self._note(outcome)


def _modem_rang(seen: Seen) -> bool:
    return any(isinstance(each, ModemRang) for each in seen)


def _has_hung_up(seen: Seen) -> bool:
    return any(isinstance(each, WentOnHook) for each in seen)


def _is_over(seen: Seen) -> bool:
    """A call from lift to hang-up; a hang-up that comes first is of what was before."""
    lifts = [place for place, each in enumerate(seen) if isinstance(each, WentOffHook)]
    return bool(lifts) and _has_hung_up(seen[lifts[0] :])
