"""Every planted fault is found and named, alone; on a good line nothing is found."""

from __future__ import annotations

import pytest

from recorderd.core.modem import ModemMachine
from recorderd.sim.faults import BOX_FAULTS, LINE_FAULTS
from tests.doctor.walks import CONFIG, Written, codes, make_box, walk

LINE = {
    "hook-inverted": ["hook-inverted"],
    "hook-open": ["hook-open"],
    "hook-stuck": ["hook-stuck"],
    "hook-bouncy": ["hook-bounce"],
    "ring-open": ["ring-open"],
    "ring-inverted": ["ring-inverted"],
    "ring-noise": ["ring-noise"],
    "swapped": ["channels-swapped"],
    "mono": ["copy"],
    "hum": ["far-hum", "near-hum"],
    "noise": ["far-noise", "near-noise"],
    "near-dead": ["near-dead"],
    "far-dead": ["far-dead"],
    "near-muted": ["near-muted"],
    "near-quiet": ["near-quiet"],
    "near-loud": ["near-clipped", "near-noise"],
    "clip-silent": ["clip-silent"],
    "clip-cut": ["clip-partly"],
    "modem-dead": ["modem-dead"],
    "modem-off-line": ["modem-off-line"],
    "modem-deaf": ["caller-id-missing"],
    "no-caller-id": ["caller-id-missing"],
    "digits-lost": ["caller-id-wrong"],
}
BOX = {
    "clock-off": ["clock-off"],
    "clock-free": ["clock-free"],
    "disk-slow": ["disk-slow"],
    "disk-full": ["disk-full"],
    "disk-errors": ["disk-errors"],
    "power-low": ["power-low"],
}


def test_every_fault_of_the_simulator_is_in_the_tables():
    assert set(LINE) == set(LINE_FAULTS)
    assert set(BOX) == set(BOX_FAULTS)


@pytest.mark.parametrize("country", ["US", "JP", "GB", "DE"])
def test_on_a_good_line_nothing_is_found(tmp_path, country):
    visit = walk(make_box(tmp_path, country))
    assert codes(visit) == []
    done = {each.check for each in visit.outcomes if each.skipped is None}
    assert done == {
        *("config", "clock", "power", "disk", "card", "modem", "hook", "ring", "caller-id"),
        *("channels", "sound", "announcement", "dialling", "country", "file"),
    }
    assert not visit.written
    assert len({(each.check, each.where) for each in visit.outcomes}) == len(visit.outcomes)


@pytest.mark.parametrize("fault", LINE)
def test_a_fault_of_the_line(tmp_path, fault):
    assert codes(walk(make_box(tmp_path, "JP", [("front-desk", f"fault {fault}")]))) == LINE[fault]


@pytest.mark.parametrize("fault", BOX)
def test_a_fault_of_the_box(tmp_path, fault):
    # That the clock is off is told by the exchange, with the caller ID; the rest needs no call.
    person = Written({} if fault == "clock-off" else {"Is the handset": False})
    assert codes(walk(make_box(tmp_path, "US", [("box", f"fault {fault}")]), person)) == BOX[fault]


@pytest.mark.parametrize(
    ("country", "fault"),
    [("US", "swapped"), ("US", "hook-inverted"), ("GB", "ring-open"), ("DE", "clip-silent")],
)
def test_faults_look_the_same_in_other_countries(tmp_path, country, fault):
    found = walk(make_box(tmp_path, country, [("front-desk", f"fault {fault}")]))
    assert codes(found) == LINE[fault]


@pytest.mark.parametrize(
    ("configured", "real", "offered"),
    [("US", "JP", {"JP"}), ("JP", "GB", {"GB"}), ("JP", "US", {"US", "CA"}), ("GB", "FR", {"FR"})],
)
def test_a_line_of_another_country(tmp_path, configured, real, offered):
    visit = walk(make_box(tmp_path, configured, [("front-desk", f"fault network {real}")]))
    assert codes(visit) == ["country-wrong"]
    assert {each.value for outcome in visit.outcomes for each in outcome.changes} == offered


def test_a_card_that_is_not_there(tmp_path):
    offered = {"sound": [{"name": "USB Audio CODEC", "input_channels": 2}]}
    path = make_box(tmp_path, "JP", [('"Test card"', "card lost")])
    visit = walk(path, offered=offered)
    assert codes(visit) == ["card-missing"]
    (change,) = [change for outcome in visit.outcomes for change in outcome.changes]
    assert (change.path, change.value) == (("line", 0, "audio", "device"), "USB Audio CODEC")


@pytest.mark.parametrize("name", ["Test card", "A Test Card: USB Audio (hw:1,0)"])
def test_a_card_that_is_there_and_cannot_be_used_is_not_to_be_replaced(tmp_path, name):
    """Its rate is another one, it is mono, or somebody holds it: its driver says which."""
    offered = {"sound": [{"name": name, "input_channels": 2}, {"name": "X", "input_channels": 2}]}
    visit = walk(make_box(tmp_path, "JP", [('"Test card"', "card lost")]), offered=offered)
    assert codes(visit) == ["card-refuses"]
    assert [change for outcome in visit.outcomes for change in outcome.changes] == []


def test_a_modem_that_is_unplugged(tmp_path):
    visit = walk(make_box(tmp_path, "JP", [("front-desk", "modem unplug")]))
    assert codes(visit) == ["modem-missing"]


def test_a_clip_that_the_recorder_would_not_start_with(tmp_path):
    path = make_box(tmp_path)
    path.write_text(path.read_text("utf-8").replace("notice-ja.wav", "own.wav"), "utf-8")
    (tmp_path / "own.wav").write_bytes(b"no sound at all")
    visit = walk(path)
    assert codes(visit) == ["config-wrong"]
    ((_, finding),) = visit.findings
    assert "line.announcement.inbound" in finding.what


def test_several_faults_at_once_are_each_named(tmp_path):
    faults = ("hook-inverted", "ring-open", "swapped", "clip-silent", "no-caller-id")
    planted = [("front-desk", f"fault {each}") for each in faults]
    visit = walk(make_box(tmp_path, "JP", [*planted, ("box", "fault power-low")]))
    assert codes(visit) == [
        *("caller-id-missing", "channels-swapped", "clip-silent", "hook-inverted"),
        *("power-low", "ring-open"),
    ]


def test_a_storage_directory_that_is_not_there_and_a_wrong_time(tmp_path):
    path = make_box(tmp_path)
    (tmp_path / "state").rmdir()
    visit = walk(path, Written({"Is it 20": False}))
    assert codes(visit) == ["clock-off", "disk-unwritable"]


def test_without_announcement_ring_and_modem_the_rest_is_looked_at(tmp_path):
    bare = CONFIG.replace('[line.modem]\ndriver = "sim"\n', "").replace("[line.ring]\n", "")
    bare = bare.replace('[line.announcement]\ninbound = "{clip}"\n', "")
    visit = walk(make_box(tmp_path, "JP", config=bare + "[line.modem]\ndriver = 'sim'\n"))
    assert codes(visit) == []
    checks = {each.check for each in visit.outcomes if each.skipped is None}
    assert {"channels", "sound", "dialling", "ring"} <= checks
    assert "announcement" not in checks


def test_what_cannot_be_tried_is_told_and_is_no_finding(tmp_path):
    answers = {"Can somebody call": False, "Can you make a call out": False}
    visit = walk(make_box(tmp_path), Written(answers))
    assert codes(visit) == []
    left_out = {each.check for each in visit.outcomes if each.skipped}
    assert {"ring", "caller-id", "channels", "announcement", "dialling"} <= left_out


def test_swapped_channels_show_in_our_own_digits_where_nobody_could_call(tmp_path):
    path = make_box(tmp_path, "JP", [("front-desk", "fault swapped")])
    visit = walk(path, Written({"Can somebody call": False}))
    assert codes(visit) == ["channels-swapped"]


def test_a_line_that_has_its_sound_for_a_hook_is_walked_by_word(tmp_path):
    pins = '[line.hook]\ndriver = "sim"\n[line.ring]\n'
    text = CONFIG.replace(pins, '[line.hook]\ndriver = "voice"\n')
    visit = walk(make_box(tmp_path, "JP", [("front-desk", "fault swapped")], config=text))
    assert codes(visit) == ["channels-swapped"]
    left_out = {each.check for each in visit.outcomes if each.skipped}
    assert {"hook", "dialling"} <= left_out


def test_a_hook_that_does_not_work_keeps_nothing_else_from_being_found(tmp_path):
    faults = [("front-desk", f"fault {each}") for each in ("hook-open", "mono", "clip-silent")]
    assert codes(walk(make_box(tmp_path, "US", faults))) == ["clip-silent", "copy", "hook-open"]


def test_a_modem_that_misses_what_the_line_sends_is_blamed_itself(tmp_path):
    visit = walk(make_box(tmp_path, "US", [("front-desk", "fault modem-deaf")]))
    ((_, finding),) = visit.findings
    assert "the line does send one (bell202-mdmf)" in finding.what


SECOND = """
[[line]]
name = "back-office"
[line.audio]
driver = "sim"
device = "Test card"
capture_rate_hz = 8000
near_channel = 3
far_channel = 4
[line.hook]
driver = "sim"
[line.ring]
[line.modem]
driver = "sim"
"""


def test_of_two_lines_the_faulty_one_is_named(tmp_path):
    planted = [("back-office", "fault swapped"), ("back-office", "fault hook-inverted")]
    visit = walk(make_box(tmp_path, "JP", planted, CONFIG + SECOND))
    assert codes(visit) == ["channels-swapped", "hook-inverted"]
    assert {outcome.where for outcome, _ in visit.findings} == {"back-office"}
    changes = {each.path: each.value for outcome in visit.outcomes for each in outcome.changes}
    assert changes == {
        ("line", 1, "hook", "active"): "high",
        ("line", 1, "audio", "near_channel"): 4,
        ("line", 1, "audio", "far_channel"): 3,
    }
    done = {each.where for each in visit.outcomes if each.check == "dialling" and not each.skipped}
    assert done == {"front-desk", "back-office"}


def test_nobody_moves(tmp_path):
    """A person who answers and does nothing: the hook is called open, and no call was there."""

    class Idle:
        def please(self, line, wish):
            pass

    visit = walk(make_box(tmp_path), Written({"Did the telephone ring": False}), hands=Idle())
    assert codes(visit) == ["hook-open", "ring-none"]


def test_the_hook_is_tried_again_when_the_person_says_it_was_not_lifted(tmp_path):
    wishes = []

    class Slow:
        def please(self, line, wish):
            wishes.append(wish)

    walk(make_box(tmp_path), Written({"Nothing was seen to move": False}), hands=Slow())
    assert wishes.count("lift-and-replace") == 3


def test_the_modem_dialogue_is_the_recorders_own():
    """The doctor must not know another dialogue than the one that will run."""
    from recorderd.doctor import bench

    assert bench.ModemMachine is ModemMachine
