"""The screen, drawn from a list of messages; no terminal and no recorder."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from recorderd.cli.monitor import Keyboard, fitting
from recorderd.cli.monitor_page import Scene, page, ring_strip
from recorderd.monitor.messages import SENT
from recorderd.monitor.picture import LineView, Picture
from recorderd.units import MonoNs, seconds

ZONE = ZoneInfo("Asia/Tokyo")
BOOT = 1_795_392_000  # 2026-11-23 09:00:00 +0900
SIZES = [(80, 24), (120, 40)]


def at(moment: float) -> MonoNs:
    return MonoNs(seconds(moment))


def message(moment: float, what: str, line: str | None = "front-desk", **fields) -> dict:
    return {"what": what, "at": at(moment), "line": line, **fields}


def clock(moment: float) -> dict:
    return {"at": at(moment), "wall": seconds(BOOT + moment), "synchronised": True}


def hello(*names: str, sealed: bool = False) -> dict:
    lines = {name: {"off_hook": False, "ringing": False, "call": None} for name in names}
    return {**clock(0), "what": "hello", "version": "0.1.0", "sealed": sealed, "lines": lines}


def sound(moment: float, **levels) -> dict:
    return {
        **clock(moment),
        "what": "sound",
        "lines": {n.replace("_", "-"): v for n, v in levels.items()},
    }


CALLER = {"number": "0312345678", "name": "山田商店", "absence": None, "source": "modem"}
STATUS = {
    "lines": {"front-desk": {"calls": 12, "recorded": 10, "missed": 2}},
    "disk": {"free_mb": 25_000, "used_mb_per_day": 120.5, "full_on": "2027-06-01"},
}


def ringing() -> list[dict]:
    """Two bursts of 1 s, 2 s apart, at 16 Hz, and the caller's number in between."""
    found = [hello("front-desk", "back-office")]
    for burst in (1.0, 4.0):
        edges = [burst + step / 32 for step in range(32)]
        found += [
            message(edge, "RingEdge", active=step % 2 == 0) for step, edge in enumerate(edges)
        ]
        if burst == 1.0:
            found += [message(1, "RingingStarted"), message(1, "CallOffered", call_id="c1")]
        found.append(message(burst + 0.97, "RingBurstEnded", started_at=at(burst)))
    data = "\r\nRING\r\n\r\nDATE = 1123\r\n\r\nTIME = 0900\r\n\r\nNMBR = 0312345678\r\n"
    found += [
        message(2.5, "ModemBytes", data=data),
        message(2.6, "CallerIdentified", call_id="c1", caller=CALLER),
    ]
    return sorted(found, key=lambda each: each["at"])


def talking() -> list[dict]:
    return [
        *ringing(),
        message(6, "HookEdge", off_hook=True, at_start=False),
        message(6, "WentOffHook", at_start=False),
        message(6, "CallAnswered", call_id="c1"),
        message(6.5, "PlayAnnouncement", call_id="c1", clip="notice-ja.wav"),
        message(11, "NoticeEnded", call_id="c1", completed=True, failed=False, reason=None),
        message(12, "NoticeHeard", call_id="c1", verdict="heard", score=0.9, completeness=0.97),
        sound(
            68,
            front_desk=[[-23.4, 0.25], [-45.0, 0.999]],
            back_office=[[None, 0.0], [-64.9, 0.001]],
        ),
    ]


def scene(messages: list[dict], moment: float, **more) -> Scene:
    picture = Picture()
    for each in messages:
        picture.take(each)
    return Scene(picture, at(moment), ZONE, "osaka-clinic", STATUS, **more)


def shown(what: Scene, size: tuple[int, int] = (80, 24)) -> str:
    rows = page(what, *size)
    assert len(rows) == size[1]
    assert [cell_len(row) for row in rows] == [size[0]] * (size[1] - 1) + [size[0] - 1]
    return "\n".join(row.rstrip() for row in rows)


def test_a_call_at_80_by_24():
    alarm = "front-desk: modem: unplugged"
    upload = {"doing": "uploading", "waiting": 3, "oldest_at": None, "last_upload_at": None}
    found = shown(scene(talking(), 68, sealed_segments={"c1": 1}, alarms=[alarm], upload=upload))
    assert (
        found
        == """\
recorderd 0.1.0  osaka-clinic                          2026-11-23 09:01:08 +0900
front-desk  TALKING 1:02 inbound                 calls 12, recorded 10, missed 2
  hook      off-hook since 09:00:06, sensor edges: 1
  ring      ........................................  1.0 s on, 2.0 s off, 2x
  caller    0312345678 山田商店  (from the modem)
  modem     |RING|DATE = 1123|TIME = 0900|NMBR = 0312345678|
  near      ########################----------------  -23.4 dBm0 peak  25%
  far       ############----------------------------  -45.0 dBm0 peak 100% CLIPS
  recording 1:02  segments: 1 sealed, 1 open; notice heard (97 %)

back-office idle
  hook      on-hook
  ring      ........................................
  caller    -
  modem     nothing yet
  near      ----------------------------------------  only zeros
  far       ----------------------------------------  -64.9 dBm0 peak   0%
  recording -


disk: 25000 MB free, calls take 120.5 MB a day, full on 2027-06-01
archive: uploading, 3 calls waiting
ALARM front-desk: modem: unplugged
q quit   p pause"""
    )


def test_ringing_shows_its_cadence():
    found = shown(scene(ringing(), 5))
    assert "front-desk  RINGING 0:04" in found
    assert "  ring      .......................####........####.  1.0 s on, 2.0 s off, 2x" in found


def test_the_announcement_is_shown_while_it_plays():
    playing = "  recording 0:02  segments: 0 sealed, 1 open; notice playing notice-ja.wav\n"
    assert playing in shown(scene(talking()[:-3], 8))
    assert "open; notice played\n" in shown(scene(talking()[:-2], 11))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_the_strip_is_on_where_edges_are(steps):
    line, moment, on = LineView(), 0.0, set()
    for step in steps:
        moment += step / 8
        line.ring_edges.append((at(moment), False))
        on.add(at(moment) // seconds(0.25))
    now = at(moment)
    strip = ring_strip(line, now)
    wanted = [now // seconds(0.25) - 39 + slot in on for slot in range(40)]
    assert [char == "#" for char in strip] == wanted


def test_an_envelope_detector_gives_two_edges_a_burst():
    line = LineView()
    line.ring_edges.extend([(at(1), True), (at(2), False), (at(4), True)])
    assert ring_strip(line, at(5)).endswith("#####.......#####")


@pytest.mark.parametrize("size", SIZES)
def test_an_alarm_too_many_is_counted(size):
    alarms = [f"line-{each}: card: {'gone, ' * 20}" for each in range(9)]
    found = shown(scene(talking(), 68, alarms=alarms), size)
    assert "ALARM line-0" in found
    assert re.search(r"\(\d more, or longer: recorderd status\)", found)
    assert found.splitlines()[-1] == "q quit   p pause"


def test_a_large_screen_shows_what_happened():
    found = shown(scene(talking(), 68), (120, 40))
    assert re.search(r"09:00:02.600\s+front-desk\s+caller identified: 0312345678 山田商店", found)
    assert re.search(r"09:00:06.000\s+front-desk\s+went off hook", found)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "euc-jp", "utf-8"])
def test_a_row_fills_its_width_in_any_encoding(encoding):
    row = page(Scene(Picture(), at(1), site="大阪のクリニック"), 80, 24)[0]
    assert cell_len(fitting(row, encoding)) == cell_len(row) == 80


def test_more_lines_are_paged():
    names = [f"line-{each}" for each in range(5)]
    first = shown(scene([hello(*names)], 1))
    last = shown(scene([hello(*names)], 1, first_line=99))
    assert "line-0" in first
    assert "line-2" not in first
    assert "lines 1 to 2 of 5" in first
    assert "lines 4 to 5 of 5" in last
    assert "line-4" in last


def test_without_a_recorder_it_says_what_to_do():
    found = shown(scene([], 1, alarms=["status.json: not there"]))
    assert "No recorder is running here. Start it: systemctl enable --now recorderd" in found


def test_a_recorder_that_ends_and_comes_back():
    picture = scene(talking(), 68).picture
    picture.went(at(70))
    gone = Scene(picture, at(75), ZONE)
    assert "THE RECORDER IS GONE for 0:05; waiting for it" in shown(gone)
    assert "no sound comes" in shown(gone)
    picture.take(hello("front-desk"))
    assert "GONE" not in shown(gone)
    assert [event.text for event in picture.events][-2:] == [
        "the recorder is gone",
        "the recorder is there again",
    ]


def test_what_was_lost_hidden_and_refused_is_said():
    found = shown(scene([hello("one", sealed=True), {"what": "lost", "count": 7}], 1))
    assert "sealed: numbers are hidden" in found
    assert "(7 messages lost)" in found
    assert "Too many look on already" in shown(scene([{"what": "full"}], 1))


def test_nothing_from_outside_moves_the_cursor():
    evil = "\x1b[2J\x07\x9b31m\u202e\r\nX"
    messages = [
        *talking(),
        message(20, "CallerIdentified", call_id="c1", caller={**CALLER, "name": evil}),
        message(20, "ModemBytes", data=evil),
        message(21, "LineFaulted", fault="hook-chatter", detail=evil),
    ]
    for size in SIZES:
        found = shown(scene(messages, 68, alarms=[evil]), size)
        assert all(char.isprintable() or char == "\n" for char in found)
        assert "\\x1b[2J\\x07\\x9b31m" in found


FIELDS = st.fixed_dictionaries(
    {
        "data": st.text(max_size=20),
        "caller": st.fixed_dictionaries(
            {key: st.none() | st.text(max_size=50) for key in ("number", "name", "absence")}
            | {"source": st.just("modem")}
        ),
        "call_id": st.sampled_from(["c1", "c2"]),
        "digit": st.sampled_from("0123"),
        "reason": st.none() | st.text(max_size=300),
    },
    optional={"kind": st.just("card"), "name": st.just("Demo card")},
)
REST = dict.fromkeys(
    ("active", "off_hook", "completed", "clip", "bursts", "segments", "gaps", "detail", "fault"), 1
)


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(SENT)), st.sampled_from(["one", "two", None]), FIELDS)
    ),
    st.integers(1, 200),
    st.integers(1, 60),
)
def test_any_order_of_messages_on_any_terminal(found, columns, rows):
    messages = [hello("one", "two")]
    for moment, (what, line, fields) in enumerate(found):
        more = {**REST, "started_at": at(moment), "verdict": "heard", "completeness": 0.5, **fields}
        messages.append(message(moment, what, line, **more))
    shown(scene(messages, len(found)), (columns, rows))


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"p\x1b[A\x1b[6~", ["p", "up", "page down"]),
        (b"\x1bOB\x1b[5~x", ["down", "page up", "x"]),
        (b"\x1b[1;5Cq", ["", "q"]),
        ("é".encode(), ["Ã", "©"]),
    ],
)
def test_keys_come_whole_or_in_pieces(data, keys):
    assert Keyboard().feed(data) == keys
    board = Keyboard()
    assert [key for byte in data for key in board.feed(bytes([byte]))] == keys
