"""Faults that no script can plant: lines that changed places, sound that comes twice, a hasty person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recorderd import events as ev
from recorderd.config import load
from recorderd.config.values import Announcement
from recorderd.doctor import clipcheck, devicecheck
from recorderd.doctor.bench import Tape
from recorderd.doctor.box import SimulatedBox
from recorderd.doctor.guided import Helpers, commission
from recorderd.media.announcement import SHIPPED, load_clip
from recorderd.sim import hands as simhands
from recorderd.sim.devices import VirtualOffice
from recorderd.sim.hands import Hands
from recorderd.sim.sound import LineSound
from recorderd.units import FrameIndex, MonoNs
from tests.doctor.test_planted_faults import SECOND
from tests.doctor.walks import CONFIG, Written, codes, make_box, no_archive, walk

OTHER = {"front-desk": "back-office", "back-office": "front-desk"}


class Crossed:
    """An inbox in which what some sensors say is of the other line."""

    def __init__(self, inbox, kinds):
        self._inbox, self._kinds = inbox, kinds

    def wait(self, until):
        event = self._inbox.wait(until)
        if isinstance(event, self._kinds):
            return replace(event, line=OTHER[event.line])
        return event


def walk_crossed(folder, *kinds):
    config = load(make_box(folder, "JP", config=CONFIG + SECOND))
    office = VirtualOffice(config, 120)
    people = Hands(office.office, office.world)
    box = SimulatedBox(office.clock, frozenset())
    office.inbox = Crossed(office.inbox, kinds)
    if ev.ModemBytes in kinds:
        office.modem = lambda line: office.office.modems[OTHER[line.name]]
    return commission(config, office, Helpers(Written(), people, box, dict, no_archive))


@pytest.mark.parametrize(
    ("kind", "code", "key"),
    [
        (ev.HookEdge, "hook-elsewhere", "line.hook.pin"),
        (ev.RingEdge, "ring-elsewhere", "line.ring.pin"),
        (ev.ModemBytes, "modem-elsewhere", "line.modem.port"),
    ],
)
def test_two_lines_that_changed_places_are_both_named(tmp_path, kind, code, key):
    visit = walk_crossed(tmp_path, kind)
    assert codes(visit) == [code]
    told = {outcome.where: finding for outcome, finding in visit.findings}
    assert set(told) == set(OTHER)
    for line, other in OTHER.items():
        assert other in told[line].what
        assert key in told[line].mend
    assert visit.outcomes[-1].changes == ()


def test_a_call_on_a_line_that_is_not_walked_yet_is_no_noise(tmp_path):
    """The office goes on telephoning meanwhile."""
    path = make_box(tmp_path, "JP", config=CONFIG + SECOND)
    with (tmp_path / "office.line").open("a", encoding="utf-8") as script:
        script.write("08:50:30 back-office inbound number=0355551111 answer=never rings=2\n")
    visit = walk(path)
    assert codes(visit) == []
    assert {each.where for each in visit.outcomes if each.check == "ring"} == set(OTHER)


def heard_as(monkeypatch, change):
    """What the card hears: `change` is given a function from a delay in frames to both channels."""
    real = LineSound.render

    def render(self, first, frames, frame_at):
        def late(by):
            return real(self, FrameIndex(first - by), frames, frame_at).astype(np.int32)

        return np.clip(change(late), -32768, 32767).astype(np.int16)

    monkeypatch.setattr(LineSound, "render", render)


@pytest.mark.parametrize("delay_ms", [2.5, 25, 120])
def test_a_loopback_that_brings_both_sides_on_both_channels_late(tmp_path, monkeypatch, delay_ms):
    delay = round(8 * delay_ms)
    heard_as(
        monkeypatch, lambda late: np.stack([late(0).sum(axis=1), late(delay).sum(axis=1)], axis=1)
    )
    assert codes(walk(make_box(tmp_path))) == ["crosstalk-to-far", "crosstalk-to-near"]


def test_an_echo_of_our_side_alone_in_the_far_channel(tmp_path, monkeypatch):
    heard_as(monkeypatch, lambda late: np.stack([late(0)[:, 0], late(320)[:, 0]], axis=1))
    assert "crosstalk-to-far" in codes(walk(make_box(tmp_path)))


def test_channels_that_are_both_late_are_no_fault(tmp_path, monkeypatch):
    """As of a card with a long buffer: what comes together stays together."""
    heard_as(monkeypatch, lambda late: late(2400))
    assert codes(walk(make_box(tmp_path))) == []


class Confused(Hands):
    """The other side counts first."""

    def please(self, line, wish):
        other = {"talk-near": "talk-far", "talk-far": "talk-near"}
        super().please(line, other.get(wish, wish))


def test_who_counts_in_the_wrong_order_has_no_right_configuration_changed(tmp_path):
    path, person = make_box(tmp_path), Written({"Write this to": True})
    config = load(path)
    office = VirtualOffice(config, 120)
    hands = Confused(office.office, office.world)
    box = SimulatedBox(office.clock, frozenset())
    visit = commission(config, office, Helpers(person, hands, box, dict, no_archive))
    assert codes(visit) == ["channels-doubtful", "channels-swapped"]
    assert not visit.written
    assert not any(question.startswith("Write this to") for question in person.asked)


class Forgetful(Hands):
    """Lifts the handset, and does not put it down again."""

    def _done(self, line, wish, at):
        found = list(super()._done(line, wish, at))
        if wish != "lift-and-replace":
            return found
        return [each for each in found if each.at < at + simhands.LIFTED_NS]


def test_a_handset_that_was_not_put_down_is_told_and_the_call_is_walked_by_word(tmp_path):
    path, person = make_box(tmp_path), Written()
    config = load(path)
    office = VirtualOffice(config, 120)
    hands = Forgetful(office.office, office.world)
    box = SimulatedBox(office.clock, frozenset())
    visit = commission(config, office, Helpers(person, hands, box, dict, no_archive))
    assert "hook-not-replaced" in codes(visit)
    assert any("press Enter when it is lifted" in question for question in person.asked)


def test_a_card_that_says_another_rate_than_it_has(tmp_path):
    """5 % off: its sound would be told as of another length."""
    config = load(make_box(tmp_path))
    ready = ev.DriverReady(MonoNs(0), "card", "Test card", "simulated")
    for counted_hz, wrong in ((8000, False), (8100, False), (8400, True), (7600, True)):
        (card, *_) = devicecheck.judge_devices(config, [ready], {"Test card": counted_hz}, {})
        assert [each.code for each in card.findings] == ["card-rate"] * wrong


def test_sound_that_the_card_has_no_longer_is_silence_in_its_place(tmp_path):
    """A person read for longer than the ring keeps sound: what follows keeps its time."""
    config = load(make_box(tmp_path))

    class Card:
        rate_hz, channels = 8000, 2
        first, last = 0, 0

        def head(self):
            return FrameIndex(self.last)

        def tail(self):
            return FrameIndex(self.first)

        def time_of(self, frame):
            return MonoNs(frame * 125_000)

        def read(self, first, frames):
            return np.full((frames, 2), 1000, np.int16).tobytes()

        def lost(self, first, frames):
            return []

    card = Card()
    tape = Tape(card, config.lines[0])
    card.first, card.last = 8000, 16_000  # a second is gone
    tape.pump()
    heard = tape.between(MonoNs(0), MonoNs(2 * 10**9))
    assert tape.lost_frames == 8000
    assert len(heard) == 16_000
    assert not heard[:7900].any()
    assert abs(int(heard[12_000, 0]) - 1000) < 50


@pytest.mark.parametrize("sides", [(0,), (1,), (0, 1), ()])
def test_an_announcement_on_either_channel_is_on_the_line(sides):
    clip = load_clip("notice-en.wav", SHIPPED)
    pcm = np.frombuffer(clip.pcm, np.int16)
    pcm = pcm if clip.rate_hz == 8000 else pcm[:: clip.rate_hz // 8000]
    rng = np.random.default_rng(1)
    sound = rng.integers(-20, 20, (len(pcm) + 16_000, 2)).astype(np.int16)
    for side in sides:
        sound[4000 : 4000 + len(pcm), side] += pcm // 2
    ended = ev.AnnouncementFinished(
        MonoNs(0), "x", "y", completed=True, started_at=MonoNs(0), frames=clip.frames, error=None
    )
    announcement = Announcement("notice-en.wav", "", 500, "card", None, "record")
    outcome = clipcheck.judge_clip("x", announcement, clip, ended, sound)
    assert [each.code for each in outcome.findings] == ([] if sides else ["clip-silent"])


NO_RING = CONFIG.replace("[line.ring]\n", "")


def test_without_a_ring_detector_a_modem_off_the_line_is_found_by_the_persons_word(tmp_path):
    """Else nothing at all would tell that this line rings."""
    faults = [("front-desk", f"fault {each}") for each in ("modem-off-line", "ring-open")]
    path = make_box(tmp_path, "JP", faults, NO_RING)
    assert codes(walk(path)) == ["modem-off-line"]
    assert codes(walk(path, Written({"Did the telephone ring": False}))) == []


def test_who_lifts_after_the_first_ring_is_asked_to_call_again(tmp_path, monkeypatch):
    monkeypatch.setattr(simhands, "RINGS", 1)
    visit = walk(make_box(tmp_path, "US", [("front-desk", "fault modem-deaf")]))
    assert codes(visit) == []
    (told,) = [each.skipped for each in visit.outcomes if each.check == "caller-id"]
    assert "call again" in told
