"""The whole recorder in virtual time, for what it learns from its lines' sound alone."""

from __future__ import annotations

from contextlib import closing
from itertools import count, pairwise
from types import SimpleNamespace

import pytest

from recorderd import events as ev
from recorderd import heard
from recorderd.config import load
from recorderd.config.needs import ring_seconds_of
from recorderd.daemon import Daemon
from recorderd.dsp.line import LineEar
from recorderd.listening import verdicts
from recorderd.listening.stream import LineStream
from recorderd.runtime.watchdog import ServiceManager
from recorderd.runtime.workers import TICK_S, InlineWorker
from recorderd.sim.audio import SimCard
from recorderd.sim.devices import VirtualOffice
from recorderd.store.catalogue import NAME, open_catalogue
from recorderd.units import MonoNs

ZONES = {"US": "America/New_York", "GB": "Europe/London", "JP": "Asia/Tokyo"}
CONFIG = """
[site]
name = "by-ear"
country = "{country}"
time_zone = "{zone}"
[storage]
directory = "recordings"
[simulation]
script = "day.line"
[[line]]
name = "one"
[line.audio]
driver = "sim"
device = "card"
capture_rate_hz = {rate_hz}
close_after_busy_s = 30
{hook}
[line.announcement]
inbound = "notice-en.wav"
outbound = "notice-en.wav"
"""
SENSORS = '[line.hook]\ndriver = "sim"\n[line.ring]'
VOICE = '[line.hook]\ndriver = "voice"\nhangover_s = 8'


def played(
    folder, script, country="US", hook=SENSORS, rate_hz=8000, text=CONFIG, analyst=InlineWorker
):
    """A day of one line, with no modem unless `hook` has one."""
    (folder / "recordings").mkdir()
    offset = {"US": "-05:00", "GB": "+00:00", "JP": "+09:00"}[country]
    (folder / "day.line").write_text(f"day 2026-11-23T09:00:00{offset}\n{script}")
    text = text.format(country=country, zone=ZONES[country], hook=hook, rate_hz=rate_hz)
    (folder / "recorderd.toml").write_text(text)
    config = load(folder / "recorderd.toml")
    office = VirtualOffice(config, ring_seconds_of(config))
    daemon = Daemon(config, office, ServiceManager(), InlineWorker, analyst)
    facts = []
    take = daemon.status.take
    daemon.status.take = lambda fact: (facts.append(fact), take(fact))
    daemon.start()
    while office.world.now() < office.office.finished_at:
        daemon.loop.step()
    daemon.loop.take(ev.StopRequested(office.world.now()))
    daemon.stop()
    with closing(open_catalogue(config.storage.directory / NAME, read_only=True)) as catalogue:
        records = [entry.record for entry in reversed(catalogue.find())]
    return SimpleNamespace(records=records, facts=facts, alarms=daemon.status.alarms())


@pytest.mark.parametrize("country", sorted(ZONES))
def test_without_a_modem_the_sound_names_the_caller(tmp_path, country):
    number = {"US": "5035551234", "GB": "02079460001", "JP": "0312345678"}[country]
    day = played(
        tmp_path,
        f"09:00:10 one inbound number={number} name=ROSSI answer=7 talk=20\n"
        "09:02:00 one inbound absence=private rings=2 answer=never\n",
        country,
    )
    recorded, missed = day.records
    assert recorded["disposition"] == "recorded"
    caller = recorded["caller"]
    assert (caller["number"], caller["name"], caller["source"]) == (number, "ROSSI", "line-audio")
    assert (missed["disposition"], missed["caller"]["absence"]) == ("missed", "private")
    assert not day.alarms


def test_at_48_khz_too(tmp_path):
    day = played(
        tmp_path, "09:00:10 one inbound number=5035551234 answer=7 talk=20\n", rate_hz=48000
    )
    (record,) = day.records
    assert record["caller"]["source"] == "line-audio"
    assert record["notice"]["heard"] is True
    assert abs(record["notice"]["heard_frame"] - record["notice"]["started_frame"]) <= 8


def test_the_number_dialled_and_the_keys_have_their_places(tmp_path):
    (record,) = played(tmp_path, "09:00:10 one outbound dial=0312#9 talk=20\n").records
    assert record["dialled"] == "0312#9"
    rate_hz = record["audio"]["sample_rate_hz"]
    frames = [digit["frame"] for digit in record["digits"]]
    steps = [later - earlier for earlier, later in pairwise(frames)]
    assert all(abs(step / rate_hz - 0.2) < 0.01 for step in steps)
    assert {digit["source"] for digit in record["digits"]} == {"near"}


def test_busy_tone_tells_that_the_far_end_has_gone(tmp_path):
    (record,) = played(
        tmp_path, "09:00:10 one inbound number=5035551234 answer=7 talk=20 busy=12\n"
    ).records
    # Answered at 17 s, gone at 37 s, hung up at 49 s.
    assert record["far_end_ended_at"].startswith("2026-11-23T09:00:3")
    assert record["duration_s"] == pytest.approx(32, abs=0.1)
    assert record["reason"] is None


def test_busy_tone_for_long_closes_the_recording(tmp_path):
    day = played(tmp_path, "09:00:10 one inbound number=5035551234 answer=7 talk=20 busy=100\n")
    (record,) = day.records
    assert record["reason"] == "the far end had hung up: 30 s of busy tone"
    assert record["duration_s"] == pytest.approx(20 + 30, abs=0.5)
    assert record["disposition"] == "recorded"


def test_a_call_found_by_its_sound_is_recorded(tmp_path):
    day = played(tmp_path, "09:01:00 one outbound dial=0312 talk=20\n", hook=VOICE)
    (record,) = day.records
    assert (record["direction"], record["disposition"]) == ("unknown", "recorded")
    # Off-hook with the dial tone, 0.2 s after the handset; talk ends some 42 s later.
    assert record["answered_at"][11:19] in {"09:01:00", "09:01:01"}
    assert record["ended_at"] is not None
    assert 30 < record["duration_s"] < 60
    assert record["audio"]["pre_roll_frames"] == 2 * record["audio"]["sample_rate_hz"]
    assert record["notice"]["heard"] is True


def test_ringing_and_a_caller_id_alone_are_a_missed_call(tmp_path):
    script = "09:01:00 one inbound number=5035551234 rings=4 answer=never\n"
    (record,) = played(tmp_path, script, hook=VOICE).records
    assert (record["disposition"], record["caller"]["number"]) == ("missed", "5035551234")


def test_a_notice_that_is_not_in_the_sound_is_an_alarm(tmp_path, monkeypatch):
    other = verdicts.template_of  # the clip that is looked for is not the one that is played
    monkeypatch.setattr(
        verdicts, "template_of", lambda clip: other(clip.__class__(*_reversed(clip)))
    )
    day = played(tmp_path, "09:00:10 one inbound number=5035551234 answer=7 talk=20\n")
    (record,) = day.records
    assert record["notice"]["heard"] is False
    assert record["notice"]["heard_frame"] is None
    (alarm,) = day.alarms
    assert "notice" in alarm
    assert "not in the line's sound" in alarm


def _reversed(clip):
    pcm = memoryview(clip.pcm).cast("h").tolist()[::-1]
    return (
        clip.name,
        clip.sha256,
        clip.rate_hz,
        b"".join(v.to_bytes(2, "little", signed=True) for v in pcm),
    )


@pytest.mark.parametrize("answered_after_s", [0, 0.5])
def test_a_notice_that_the_caller_cut_short_is_looked_for(tmp_path, monkeypatch, answered_after_s):
    """A real card tells how a clip ended up to half a second after it was stopped, when the call is over."""
    stop = SimCard.stop_play

    def later_on(card, call_id):
        at = MonoNs(card._world.now() + round(answered_after_s * 1e9))
        card._world.schedule(at, lambda: stop(card, call_id))

    monkeypatch.setattr(SimCard, "stop_play", later_on)
    day = played(tmp_path, "09:00:10 one inbound number=5035551234 answer=7 talk=0.9\n")
    (record,) = day.records
    assert not record["notice"]["completed"]
    assert record["notice"]["heard"] is not None
    assert 0.1 < record["notice"]["completeness"] < 0.9


def test_ears_that_fail_cost_no_recording(tmp_path, monkeypatch):
    def broken(self, frames):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(LineEar, "feed", broken)
    day = played(tmp_path, "09:00:10 one inbound number=5035551234 answer=7 talk=20\n")
    (record,) = day.records
    assert record["disposition"] == "recorded"
    assert record["gaps"] == []
    assert record["notice"]["heard"] is None
    assert any("could not be listened to" in alarm for alarm in day.alarms)
    assert len([fact for fact in day.facts if isinstance(fact, heard.ListeningFailed)]) <= 2


def test_ears_that_came_too_late_go_on_measuring_the_call(tmp_path, monkeypatch):
    read, reads = LineStream.read, count()

    def too_late_once(stream):
        if stream.position > 320_000 and next(reads) == 0:
            raise LookupError("overwritten")
        return read(stream)

    monkeypatch.setattr(LineStream, "read", too_late_once)
    day = played(tmp_path, "09:00:10 one inbound number=5035551234 answer=7 talk=60\n")
    measured = [fact.at for fact in day.facts if isinstance(fact, heard.LineMeasured)]
    assert len(measured) >= 10


def test_an_analyst_that_ended_is_an_alarm(tmp_path, monkeypatch):
    def missing(_daemon):
        raise ImportError("numpy")

    class Dead(InlineWorker):
        """As the thread does: it keeps what ended it."""

        def start(self):
            self._worker = SimpleNamespace(
                rest_s=1, handle=id, pump=int, pending=bool, must_finish=bool, close=int
            )
            try:
                self._make()
            except ImportError as error:
                self.failure = error

    monkeypatch.setattr(Daemon, "_make_analyst", missing)
    day = played(
        tmp_path, "09:00:10 one inbound number=5035551234 answer=7 talk=20\n", analyst=Dead
    )
    (record,) = day.records
    assert record["disposition"] == "recorded"
    assert [alarm for alarm in day.alarms if "numpy" in alarm]
    assert len([fact for fact in day.facts if isinstance(fact, heard.ListeningFailed)]) == 1


def test_ears_that_stand_still_are_told_each_time_and_the_call_is_recorded(tmp_path):
    """A worker that hangs does not die; half a minute without it is no hang."""
    stands = {*range(5, 35), *range(60, 160), *range(200, 300)}  # seconds of the day

    class Halting(InlineWorker):
        ticks = 0

        def tick(self):
            self.ticks += 1
            if self.ticks * TICK_S // 1 not in stands:
                super().tick()

    day = played(
        tmp_path,
        "09:01:10 one inbound number=5035551234 answer=7 talk=20\n09:06:00 one hook on\n",
        analyst=Halting,
    )
    (record,) = day.records
    assert record["disposition"] == "recorded"
    failed = [fact for fact in day.facts if isinstance(fact, heard.ListeningFailed)]
    assert [fact.reason for fact in failed] == ["the listener stands still; restart recorderd"] * 2


def test_a_quiet_day_is_not_listened_to(tmp_path, monkeypatch):
    made = []
    ear = LineEar._ear
    monkeypatch.setattr(LineEar, "_ear", lambda self: (made.append(self), ear(self))[1])
    played(tmp_path, "09:00:10 one hook on\n10:00:00 one inbound number=1 rings=1 answer=never\n")
    assert len(made) == 2  # one for each channel, when it rang


def test_a_card_that_goes_in_the_middle_leaves_no_verdict_and_no_wait(tmp_path):
    day = played(
        tmp_path,
        "09:00:10 one inbound number=5035551234 answer=7 talk=20\n"
        '09:00:18 "card" card lost\n09:00:25 "card" card back\n',
    )
    (record,) = day.records
    assert record["gaps"]
    assert record["notice"] is None or record["notice"]["heard"] is None


def test_a_card_that_goes_under_the_notice_is_no_alarm_that_nobody_heard_it(tmp_path):
    """The other card plays on: whether it was heard, nobody knows."""
    script = (
        "09:00:10 one inbound number=5035551234 answer=7 talk=20\n"
        '09:00:18 "card" card lost\n09:00:23 "card" card back\n'
    )
    other_card = 'inbound = "notice-en.wav"\noutput_device = "out"'
    text = CONFIG.split("inbound =", maxsplit=1)[0] + other_card
    day = played(tmp_path, script, text=text)
    (record,) = day.records
    assert record["notice"]["completed"]
    assert record["notice"]["heard"] is None
    assert not [alarm for alarm in day.alarms if "notice" in alarm]


def test_ears_that_work_again_are_no_alarm_any_more(tmp_path, monkeypatch):
    feed, broken = LineEar.feed, iter([True] * 3)

    def broken_at_first(self, frames):
        if next(broken, False):
            raise ZeroDivisionError("a defect")
        return feed(self, frames)

    monkeypatch.setattr(LineEar, "feed", broken_at_first)
    day = played(tmp_path, "09:00:10 one inbound number=5035551234 answer=7 talk=20\n")
    assert any(isinstance(fact, heard.ListeningFailed) for fact in day.facts)
    assert not day.alarms
