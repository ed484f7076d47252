"""A call machine with a pen: what it is fed, and what came out."""

from __future__ import annotations

import itertools

from recorderd import events as ev
from recorderd import heard
from recorderd.core.call import CallMachine
from recorderd.core.livecall import ClipFacts, LineSettings
from recorderd.core.manifest import CloseRecording, FileRecord
from recorderd.core.profile import Profile
from recorderd.units import ClockReading, MonoNs, WallNs, seconds

LINE = "front-desk"
READING = ClockReading("boot", MonoNs(0), WallNs(seconds(1_700_000_000)), True, "test")


def profile(country: str = "US") -> Profile:
    japan = country == "JP"
    return Profile(
        country=country,
        off_hook_confirm_ms=60,
        bounce_ms=12,
        pulse_max_ms=200,
        inter_digit_ms=250,
        hang_up_ms=1300,
        ring_burst_gap_ms=350,
        ring_burst_min_ms=100,
        ring_stopped_ms=7000,
        caller_id_closure_max_ms=7000 if japan else 0,
        caller_id_closure_ring_within_ms=4000,
        caller_id=("number-display",) if japan else ("bell202",),
        tones=(),
    )


class Line:
    """A call machine with a pen: feeds facts at seconds, keeps what came out."""

    def __init__(self, country: str = "US", **changes) -> None:
        wanted = {
            "line": LINE,
            "site": "office",
            "retention": "standard",
            "source": "sim",
            "profile": profile(country),
            "ring_is_seen": True,
            "short_ringing_is_seen": True,
            "record_rate_hz": 8000,
            "inbound_clip": "in.wav",
            "outbound_clip": "",
            "delay_ms": 500,
            "records_without_notice": True,
            "clips": {"in.wav": ClipFacts("aa", 8000), "out.wav": ClipFacts("bb", 8000)},
            "software_version": "0",
            "config_sha256": "cc",
            "is_listened_to": False,
            "close_after_busy_s": 60,
            "box_zero_ns": 0,
        }
        numbers = itertools.count(1)
        self.machine = CallMachine(
            LineSettings(**{**wanted, **changes}), READING, lambda: f"call{next(numbers)}"
        )
        self.out: list = []

    def feed(self, event):
        new = self.machine.handle(event)
        self.out += new
        return new

    def ring(self, at, length=2.0):
        self.feed(ev.RingingStarted(t(at), LINE))
        self.feed(ev.RingBurstEnded(t(at + length), LINE, t(at)))

    def lift(self, at, at_start=False):
        return self.feed(ev.WentOffHook(t(at), LINE, at_start))

    def hang_up(self, at):
        return self.feed(ev.WentOnHook(t(at), LINE))

    def caller_id(self, at, number="0312345678"):
        return self.feed(ev.CallerIdReported(t(at), LINE, caller(number)))

    def heard_id(self, at, number="0312345678"):
        report = ev.Caller(number, None, None, "line-audio", "80…")
        return self.feed(ev.CallerIdReported(t(at), LINE, report))

    def key(self, at, digits, channel="near"):
        for place, digit in enumerate(digits):
            self.feed(heard.DigitHeard(t(at + 0.2 * place), LINE, channel, digit))

    def tone(self, at, kind, ended=None):
        self.feed(heard.ToneHeard(t(at), LINE, kind, None if ended is None else t(ended)))

    def passed(self, at):
        return self.feed(ev.TimePassed(t(at)))

    def announced(self, at, call_id="call1", **kw):
        wanted = {"started_at": t(at - 2), "frames": 16000, "completed": True, "error": None}
        return self.feed(ev.AnnouncementFinished(t(at), LINE, call_id, **{**wanted, **kw}))

    def all(self, kind):
        return [item for item in self.out if isinstance(item, kind)]

    def records(self):
        return [item.record for item in self.out if isinstance(item, CloseRecording | FileRecord)]


def t(at: float) -> MonoNs:
    return MonoNs(seconds(at))


def caller(number, absence=None) -> ev.Caller:
    return ev.Caller(number, None, absence, "modem", f"NMBR={number}")
