"""A whole simulated office: what fits together, what does not, and the day that ships."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from recorderd import events as ev
from recorderd.errors import ConfigError
from recorderd.sim import actions
from recorderd.sim.clock import RealTimeDriver, World
from recorderd.sim.office import AFTER_LAST_EVENT_NS, build_office
from recorderd.sim.script import load_script, parse_script
from recorderd.units import MonoNs, seconds

DAY = "day 2026-11-23T08:50:00+09:00\n"


def test_devices_say_that_they_are_there(play):
    office = play("")
    ready = Counter(event.kind for event in office.of(ev.DriverReady, 0))
    assert ready == {"card": 1, "modem": 2, "hook": 2}


def test_sensors_begin_with_the_state_they_find(play):
    office = play("08:50:00 front-desk hook off\n")
    edges = office.of(ev.HookEdge)
    assert {edge.line: edge.off_hook for edge in edges} == {
        "front-desk": True,
        "back-office": False,
    }
    assert all(edge.at_start and edge.at == office.world.start for edge in edges)


def test_raw_verbs_come_out_as_they_went_in(play):
    text = (
        "08:50:01 front-desk hook off\n08:50:02 front-desk hook off\n08:50:03 front-desk hook on\n"
        "08:50:04 back-office ring-edge on\n08:50:04.03 back-office ring-edge off\n"
        r'08:50:05 front-desk modem-bytes "\r\nRING\r\n"' + "\n"
    )
    office = play(text)
    office.events(0.5)
    found = office.events()
    assert found[:4] == [
        ev.HookEdge(office.at(1), "front-desk", off_hook=True),
        ev.HookEdge(office.at(3), "front-desk", off_hook=False),
        ev.RingEdge(office.at(4), "back-office", active=True),
        ev.RingEdge(office.at(4.03), "back-office", active=False),
    ]
    assert b"".join(event.data for event in found[4:]) == b"\r\nRING\r\n"


def test_a_closed_sensor_posts_nothing(play):
    office = play("08:50:01 front-desk hook off\n")
    office.office.hooks["front-desk"].close()
    assert not [edge for edge in office.of(ev.HookEdge) if not edge.at_start]


def test_the_world_ends_after_the_last_call(play):
    office = play("08:50:01 front-desk inbound number=1 cid=between answer=4 talk=60\n")
    hung_up = [edge.at for edge in office.of(ev.HookEdge)][-1]
    assert office.office.finished_at == hung_up + AFTER_LAST_EVENT_NS
    assert office.world.now() == office.office.finished_at


def test_a_line_without_modem_gets_calls_but_no_reports(play, configured, line_of):
    config = configured(lines=(line_of(0, "front-desk", has_modem=False),))
    office = play("08:50:01 front-desk inbound number=1 answer=4 talk=6\n", config)
    assert office.office.modems == {}
    found = office.events()
    assert any(isinstance(event, ev.RingEdge) for event in found)
    assert not any(isinstance(event, ev.ModemBytes) for event in found)


CALL = "08:50:10 front-desk inbound number=1 cid=between answer=4 talk=20\n"  # talk: 14 to 34 s


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("08:50:01 attic hook off\n", "no line attic; it has front-desk, back-office"),
        ('08:50:01 "No card" card lost\n', "no sound card No card; it has Demo card"),
        (CALL + "08:50:30 front-desk outbound dial=1 talk=1\n", "busy for another 4."),
        ("08:50:01 front-desk flash 600\n", "nobody talks on front-desk"),
        (CALL + "08:50:12 front-desk flash 600\n", "nobody talks on front-desk"),
        (CALL + "08:50:33.8 front-desk flash 600\n", "nobody talks on front-desk"),
        ("08:50:01 front-desk inbound number=1 rings=1 answer=9 talk=1\n", "is after the last"),
    ],
)
def test_a_script_that_contradicts_itself_or_the_configuration_is_refused(play, text, complaint):
    with pytest.raises(ConfigError) as caught:
        play(text)
    (problem,) = caught.value.problems
    assert problem.startswith("test.line:")
    assert complaint in problem


def test_a_modem_that_is_not_configured_cannot_be_unplugged(play, configured, line_of):
    config = configured(lines=(line_of(0, "front-desk", has_modem=False),))
    with pytest.raises(ConfigError, match="front-desk has no modem"):
        play("08:50:01 front-desk modem unplug\n", config)


def test_everything_that_does_not_fit_is_told_at_once(play):
    with pytest.raises(ConfigError) as caught:
        play("08:50:01 attic hook off\n08:50:02 cellar hook off\n")
    assert len(caught.value.problems) == 2


def test_a_file_runs_the_same_way_twice(play):
    text = (Path(__file__).parents[1] / "data" / "sim-every-verb.line").read_text("utf-8")
    body = text.partition("\n")[2]
    first, again = play(body), play(body)
    one, other = first.events(), again.events()
    assert one == other
    assert len(one) > 300
    head, tail = first.card.head(), first.card.tail()
    assert first.card.read(tail, head - tail) == again.card.read(tail, head - tail)


# ---------------------------------------------------------------- the day that ships


@pytest.fixture(scope="module")
def office_day():
    return load_script("office-day.line", Path())


def test_the_day_has_every_kind_of_call(office_day):
    calls = [e.action for e in office_day.events if isinstance(e.action, actions.Inbound)]
    placed = [e.action for e in office_day.events if isinstance(e.action, actions.Outbound)]
    others = {type(event.action) for event in office_day.events}
    assert 25 <= len(calls) + len(placed) <= 45
    assert {call.absence for call in calls} >= {"private", "payphone", "out-of-area", "unavailable"}
    assert any(call.name for call in calls)
    assert any(call.late_id_ns for call in calls)
    assert sum(call.answer_ns is None for call in calls) >= 3
    assert {(call.by_pulse, call.pulses_per_s) for call in placed} >= {
        (True, 10),
        (True, 20),
        (False, 10),
    }
    assert others >= {actions.Flash, actions.Closure, actions.MessageWaiting, actions.ModemPlug}
    assert others >= {actions.CardLost, actions.CardBack, actions.CardOverrun}


def test_the_day_plays_through_and_repeats(play, office_day, configured):
    def day():
        office = play("")
        office.office = build_office(
            office_day, configured(), office.world, office.inbox.post, ring_seconds=20
        )
        for group in (office.office.hooks, office.office.modems, office.office.cards):
            for device in group.values():
                device.start()
        return office.events()

    began = time.process_time()
    first = day()
    assert time.process_time() - began < 10
    kinds = Counter(type(event) for event in first)
    assert kinds[ev.RingEdge] > 1000
    assert kinds[ev.DriverLost] == 2
    assert first == day()


def test_300_calls_in_24_hours_cost_seconds(play):
    calls = "".join(
        f"+{288 if number else 1} front-desk inbound number=03{number:08} answer=5 talk=120\n"
        for number in range(300)
    )
    began = time.process_time()
    office = play(calls)
    count = len(office.events())
    assert count > 300 * 50
    assert time.process_time() - began < 15


# ---------------------------------------------------------------- real time


def test_in_real_time_edges_are_stamped_with_real_time(configured):
    script = parse_script(DAY + "08:50:00.15 front-desk hook off\n", "x.line")
    start = MonoNs(time.monotonic_ns())
    world = World(start)
    posted, lifted = [], threading.Event()

    def post(event):
        posted.append(event)
        if isinstance(event, ev.HookEdge) and event.off_hook:
            lifted.set()

    office = build_office(script, configured(), world, post, ring_seconds=20)
    clock = office.clock(world, lambda: MonoNs(time.monotonic_ns()))
    office.cards["Demo card"].start()
    office.hooks["front-desk"].start()
    driver = RealTimeDriver(world)
    driver.start()
    try:
        assert lifted.wait(5)
        assert posted[-1].at == start + seconds(0.15)
        card = office.cards["Demo card"]
        assert card.head() >= card.frame_at(posted[-1].at)
        assert clock.now() >= posted[-1].at
    finally:
        driver.close()
    heard = card.read(card.frame_at(posted[-1].at) - 800, 800)
    assert any(heard)
