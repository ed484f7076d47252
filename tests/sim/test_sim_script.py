"""The `.line` format: every verb, every complaint, and nothing but ConfigError for bad input."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.errors import ConfigError
from recorderd.sim import actions
from recorderd.sim.script import PROBLEMS_LIMIT, load_script, parse_script
from recorderd.units import seconds

DAY = "day 2026-11-23T08:50:00+09:00\n"


def only(text):
    (event,) = parse_script(DAY + text, "x.line").events
    return event


def problems(text):
    with pytest.raises(ConfigError) as caught:
        parse_script(text, "x.line")
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("a hook off", actions.Hook(off_hook=True)),
        ("a hook on", actions.Hook(off_hook=False)),
        ("a ring-edge on", actions.RingLevel(active=True)),
        (r'a modem-bytes "A\r\n\"\\\x10#é"', actions.ModemText(b'A\r\n"\\\x10#\xe9')),
        ('a modem-bytes "ヒ"', actions.ModemText("ヒ".encode())),
        ("a modem unplug", actions.ModemPlug(plugged=False)),
        ("a flash 600", actions.Flash(seconds(0.6))),
        ("a closure 1.25", actions.Closure(seconds(1.25))),
        ("a message-waiting on", actions.MessageWaiting(waiting=True)),
        ('"Demo card" card lost', actions.CardLost()),
        ('"Demo card" card back', actions.CardBack()),
        ('"Demo card" card overrun 180', actions.CardOverrun(seconds(0.18))),
        (
            'a inbound number=+81312345678 name="A N OTHER" rings=3 answer=4.5 talk=60 cid=between',
            actions.Inbound(
                "+81312345678",
                "A N OTHER",
                None,
                3,
                seconds(4.5),
                seconds(60),
                None,
                "between",
            ),
        ),
        (
            "a inbound absence=payphone answer=never",
            actions.Inbound(None, None, "payphone", None, None, 0, None, None),
        ),
        (
            "a inbound number=1 answer=0 talk=9 late-id=2",
            actions.Inbound("1", None, None, None, 0, seconds(9), seconds(2), None),
        ),
        ("a outbound dial=#31#03 talk=5", actions.Outbound("#31#03", False, 10, seconds(5))),
        (
            "a outbound dial=5 talk=5 busy=9.5",
            actions.Outbound("5", False, 10, seconds(5), seconds(9.5)),
        ),
        (
            "a outbound dial=0120 by=pulse pps=20 talk=5",
            actions.Outbound("0120", True, 20, seconds(5)),
        ),
    ],
)
def test_each_verb(text, action):
    assert only(f"09:00:00 {text}").action == action


def test_times_count_from_the_first_moment_and_from_the_event_above():
    text = "09:00:00.25 a hook off\n+1.5 a hook on # bye\n\n25:00:00 a hook off\n08:50:00 b hook on"
    script = parse_script(DAY + text, "x.line")
    assert [(event.after_ns, event.target, event.source_line) for event in script.events] == [
        (0, "b", 6),
        (seconds(600.25), "a", 2),
        (seconds(601.75), "a", 3),
        (seconds(16 * 3600 + 600), "a", 5),
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("09:00:00 a inbond number=1", 'inbond: unknown verb; did you mean "inbound"'),
        ("09:00:00 a inbound numbr=1 answer=never", 'did you mean "number"'),
        ("09:00:00 a inbound number=1 answer=never busy=5", "busy= comes after talk="),
        ("09:00:00 a hook up", "allowed: off, on"),
        ("09:00:00 a hook", "needs off or on"),
        ("09:00:00 a", "write TIME LINE VERB"),
        ("9:00 a hook off", "write HH:MM:SS"),
        ("48:00:00 a hook off", "up to 47 hours"),
        ("08:00:00 a hook off", "before the day's first moment"),
        ("+x a hook off", "allowed: 0 to 86400 seconds"),
        ('09:00:00 "a" hook off', "a line's name, not quoted"),
        ("09:00:00 a card lost", "a sound card's name in quotes"),
        ('09:00:00 "a" card overrun', "needs lost, back, or overrun MS"),
        ('09:00:00 "a" card overrun 2000', "from 1 to 1000"),
        ('09:00:00 a modem-bytes "x', "a double quote is never closed"),
        (r'09:00:00 a modem-bytes "\q"', "no such escape"),
        ("09:00:00 a flash 5", "from 10 to 5000"),
        ("09:00:00 a inbound number=1", "answer= is missing"),
        ("09:00:00 a inbound number=1 number=2 answer=never", "once"),
        ("09:00:00 a inbound number=1 absence=private answer=never", "exclude each other"),
        ("09:00:00 a inbound name=x absence=private answer=never", "name= needs number="),
        ("09:00:00 a inbound answer=never", "give number=, absence= or cid=none"),
        ("09:00:00 a inbound number=1 cid=none answer=never", "cid=none sends nothing"),
        ("09:00:00 a inbound number=1 answer=2", "needs talk="),
        ("09:00:00 a inbound number=1 answer=never talk=3", "excludes it"),
        ("09:00:00 a inbound number=1 answer=1 talk=3 late-id=4", "late-id= comes during talk="),
        ("09:00:00 a inbound number=12a answer=never", "number=12a: allowed: up to 32 digits"),
        ("09:00:00 a outbound dial=1* by=pulse talk=1", "have no pulses"),
        ("09:00:00 a outbound dial=1 pps=20 talk=1", "pps= needs by=pulse"),
        ("day 2026-11-23T08:50:00+09:00", "a second `day` line"),
        ("seed x", "allowed: a whole number"),
        ("x " * 5000, "longer than 4096 characters"),
    ],
)
def test_each_complaint_names_file_line_and_mend(line, complaint):
    (problem,) = problems(DAY + line)
    assert problem.startswith("x.line:2: ")
    assert complaint in problem


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "x.line:1: no `day` line"),
        ("09:00:00 a hook off", "x.line:1: an event before the `day` line"),
        ("day tomorrow", "no such moment"),
        ("day 2026-11-23T08:50:00", "UTC offset is missing"),
        ("day 0001-01-01T00:00:00+09:00", "2000 to 2099"),
        ("day", "day needs one moment"),
    ],
)
def test_a_script_needs_its_day(text, complaint):
    assert complaint in problems(text)[0]


def test_all_wrong_lines_are_told_at_once_but_not_without_end():
    assert len(problems(DAY + "x\n" * 3)) == 3
    assert len(problems(DAY + "x\n" * 1000)) == PROBLEMS_LIMIT


def test_events_farther_than_a_week_are_refused():
    assert "more than a week" in problems(DAY + "+86400 a hook off\n" * 8)[0]


def test_scripts_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.line").write_bytes(b"day \xff")
    for name, complaint in (
        ("none.line", "No such file"),
        (".", "Is a directory"),
        ("latin.line", "not UTF-8 text at byte 4"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            load_script(name, tmp_path)


def test_a_path_beside_the_configuration_comes_before_one_that_ships(tmp_path):
    shipped = load_script("office-day.line", tmp_path)
    assert len(shipped.events) > 30
    (tmp_path / "office-day.line").write_text(DAY, "utf-8")
    assert load_script("office-day.line", tmp_path).events == ()


# ---------------------------------------------------------------- properties

SHIPPED = (Path(__file__).parents[2] / "recorderd" / "data" / "office-day.line").read_text("utf-8")
WORDS = st.sampled_from(sorted(set(SHIPPED.split())))


def check_only_config_errors(text):
    found = ["x.line:1: nothing is wrong"]
    try:
        parse_script(text, "x.line")
    except ConfigError as error:
        found = error.problems
    assert found
    assert all(re.match(r"x\.line:\d+: .", problem) for problem in found)


@settings(max_examples=150)
@given(st.text())
def test_any_text_is_read_or_refused_by_line(text):
    check_only_config_errors(text)
    check_only_config_errors(DAY + text)


@settings(max_examples=150)
@given(st.lists(st.lists(WORDS | st.text(max_size=6), max_size=9).map(" ".join), max_size=8))
def test_words_of_a_script_in_any_order_are_read_or_refused(lines):
    check_only_config_errors(DAY + "\n".join(lines))


@settings(max_examples=100)
@given(st.integers(0, len(SHIPPED) - 1), st.characters(codec="utf-8"))
def test_one_wrong_character_never_breaks_the_reader(place, character):
    check_only_config_errors(SHIPPED[:place] + character + SHIPPED[place + 1 :])


@settings(max_examples=100)
@given(st.binary(max_size=40))
def test_modem_bytes_carry_any_bytes(data):
    text = "".join(f"\\x{byte:02x}" for byte in data)
    assert only(f'09:00:00 a modem-bytes "{text}"').action == actions.ModemText(data)


@settings(max_examples=100)
@given(st.integers(0, 39 * 3600 * 1000))
def test_a_time_of_day_is_exact_to_the_millisecond(after_ms):
    moment_ms = after_ms + (8 * 60 + 50) * 60_000
    minutes, rest_ms = divmod(moment_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours:02}:{minutes:02}:{rest_ms // 1000:02}.{rest_ms % 1000:03} a hook off"
    assert only(text).after_ns == after_ms * 1_000_000
