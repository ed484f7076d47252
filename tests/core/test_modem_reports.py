"""What modems print for a caller, in the dialects that are known, and put together with care."""

from __future__ import annotations

import pytest

from recorderd.core.modem_text import LINE_BYTES
from recorderd.events import CallerIdReported, MessageWaitingReported, ModemRang
from tests.core.modem_bench import USR, Answering, Bench, report_of

NUMBER, NAME, ABSENCE, DATE, TIME = range(5)

# Lines as printed, then number, name, absence, date, time.
DIALECTS = {
    "manual": (
        ["DATE = 0321", "TIME = 1405", "NMBR = 504551234", "NAME = A N OTHER"],
        ("504551234", "A N OTHER", None, "0321", "1405"),
    ),
    "no blanks": (
        ["DATE=0801", "TIME=1801", "NMBR=8055554567", "NAME=JANE"],
        ("8055554567", "JANE", None, "0801", "1801"),
    ),
    "mixed blanks": (
        ["DATE =0101", "TIME=0203", "NMBR= 5551212", "NAME =X Y"],
        ("5551212", "X Y", None, "0101", "0203"),
    ),
    "empty date": (
        ["DATE = ", "TIME = ", "NMBR = 5551212", "NAME = "],
        ("5551212", None, None, None, None),
    ),
    "name first": (["NAME = ANNA", "NMBR = 5551212"], ("5551212", "ANNA", None, None, None)),
    "no name": (
        ["DATE = 0321", "TIME = 1405", "NMBR = 02079460000"],
        ("02079460000", None, None, "0321", "1405"),
    ),
    "only number": (["NMBR = 5551212"], ("5551212", None, None, None, None)),
    "ddn": (["DATE=0801", "DDN_NMBR= 9932562"], ("9932562", None, None, "0801", None)),
    "kortex": (
        ["CID RING", "CALLING MSG", "DATE TIME=11/24 22:10", "NBR=0632727751", "END MSG"],
        ("0632727751", None, None, "1124", "2210"),
    ),
    "year": (["DATE = 990305", "TIME = 1200", "NMBR = 1"], ("1", None, None, "0305", "1200")),
    "glued": (
        ["DATE=0119 TIME=2215 NAME=ARCHER L       NMBR=5071234567"],
        ("5071234567", "ARCHER L", None, "0119", "2215"),
    ),
    "glued to rings": (
        ["RING RING DATE=0224 NAME=ONMBR=5072884388"],
        ("5072884388", None, None, "0224", None),
    ),
    "elsa": (["RING;08912345;08765"], ("08912345", None, None, None, None)),
    "zyxel 2864": (["FM:0891234 TO:5678"], ("0891234", None, None, None, None)),
    "zyxel 2864, no number": (["FM: TO:5678"], (None, None, None, None, None)),
    "zyxel 1496": (
        ["TIME: 11-24 22:10", "CALLER NUMBER: 5551212", "CALLER NAME: ANNA B"],
        ("5551212", "ANNA B", None, "1124", "2210"),
    ),
    "zyxel 1496, withheld": (
        ["TIME: 11-24 22:10", "REASON FOR NO CALLER NUMBER: PRIVATE"],
        (None, None, "private", "1124", "2210"),
    ),
    "zyxel 1496, own words": (
        ["REASON FOR NO CALLER NUMBER: NO IDEA", "REASON FOR NO CALLER NAME: NO IDEA"],
        (None, None, "unavailable", None, None),
    ),
    "caller's": (["CALLER'S NUMBER: 5551212"], ("5551212", None, None, None, None)),
    "usr courier": (["CallerID: 4951234567"], ("4951234567", None, None, None, None)),
    "passed on": (
        ["CALLER NUMBER: 5551212", "Diverting number: 5559999"],
        ("5551212", None, None, None, None),
    ),
    "clip": (['+CLIP: "+4989123",145'], ("+4989123", None, None, None, None)),
    "clip, named": (
        ['+CLIP: "+4989123",145,"",,"ANNA",0'],
        ("+4989123", "ANNA", None, None, None),
    ),
    "clip, withheld": (['+CLIP: "",128,,,,1'], (None, None, "private", None, None)),
    "elink": (["0301234567"], ("0301234567", None, None, None, None)),
    "net caller id": (
        ["###DATE03301423...NMBR4075551212...NAMEWIRELESS CALL+++"],
        ("4075551212", "WIRELESS CALL", None, "0330", "1423"),
    ),
    "net caller id, unknown": (
        ["###DATE03301423...NMBR...NAME-UNKNOWN CALLER-+++"],
        (None, None, "unavailable", "0330", "1423"),
    ),
    "fixed columns": (
        ["01     11/24     12:05 AM       813-555-1212           WIRELESS CALLER"],
        ("8135551212", "WIRELESS CALLER", None, "1124", "0005"),
    ),
    "fixed columns, afternoon": (
        ["02      1/05      9:05 PM            5551212           X"],
        ("5551212", "X", None, "0105", "2105"),
    ),
    "motorola": (
        ["\x10R\x10X", "", "\x10.\x10XNAME = ANNA", "NMBR = 5551212"],
        ("5551212", "ANNA", None, None, None),
    ),
    "isomodem": (
        ["FLASH", "STAS", "CIDM", "DATE = 0321", "NMBR = 5551212", "NO CARRIER"],
        ("5551212", None, None, "0321", None),
    ),
    "raw mdmf": (
        ["802001083035313131383532020A3430373535353030303007084A4F484E20444F4584"],
        ("4075550000", "JOHN DOE", None, "0511", "1852"),
    ),
    "raw sdmf, small letters": (
        ["555555041230353131313835323430373535353030303059".lower()],
        ("4075550000", None, None, "0511", "1852"),
    ),
    "bell canada": (
        ["DATE = 0321", "TIME = 1405", "MESG = 030735353531323132"],
        ("5551212", None, None, "0321", "1405"),
    ),
    "uk call type": (
        ["MESG = 110101", "DATE = 0321", "NMBR = 5551212"],
        ("5551212", None, None, "0321", None),
    ),
    "private": (["NMBR = P", "NAME = P"], (None, None, "private", None, None)),
    "out of area": (["NMBR = O", "NAME = O"], (None, None, "out-of-area", None, None)),
    "payphone": (["NMBR = C"], (None, None, "payphone", None, None)),
    "masked afterwards": (
        ["NMBR = 5551212", "NMBR = O", "NAME = ANNA"],
        (None, "ANNA", "out-of-area", None, None),
    ),
    "number twice": (
        ["NMBR = 5551212", "NMBR = 5559999", "NAME = ANNA", "NAME = BERT"],
        ("5551212", "ANNA", None, None, None),
    ),
    "restricted": (["NMBR = Restricted"], (None, None, "private", None, None)),
    "zeros": (
        ["NMBR = 0000000000", "NAME = PrivDirOff"],
        (None, None, "private", None, None),
    ),
    "no such time": (
        ["DATE = 1231", "TIME = 12541", "NMBR = 1"],
        ("1", None, None, "1231", "12541"),
    ),
    "hour 24": (["DATE = 0101", "TIME = 2423", "NMBR = 1"], ("1", None, None, "0101", "2423")),
    "name like a ring": (
        ["NMBR = 1", "NAME = SPRINGFIELD MA"],
        ("1", "SPRINGFIELD MA", None, None, None),
    ),
    "name ring": (["NMBR=1", "NAME=RINGCENTRAL"], ("1", "RINGCENTRAL", None, None, None)),
    "name update": (
        ["DATE=0321", "NMBR=1", "NAME=UPDATE INC"],
        ("1", "UPDATE INC", None, "0321", None),
    ),
    "name prime time": (
        ["TIME=1405", "NMBR=1", "NAME=PRIME TIME TV"],
        ("1", "PRIME TIME TV", None, None, "1405"),
    ),
    "name with equals": (["NMBR=1", "NAME=A=B TIME=C"], ("1", "A=B TIME=C", None, None, None)),
    "name otto": (["NMBR=1", "NAME=OTTO"], ("1", "OTTO", None, None, None)),
}


def as_tuple(caller):
    return (
        caller.number,
        caller.name,
        caller.absence,
        caller.reported_date,
        caller.reported_time,
    )


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(name):
    lines, expected = DIALECTS[name]
    assert [as_tuple(caller) for caller in report_of(*lines)] == [expected]


@pytest.mark.parametrize("name", [name for name in DIALECTS if name != "elink"])
def test_dialects_after_a_modem_that_answers(name):
    lines, expected = DIALECTS[name]
    bench = Bench(Answering(USR))
    bench.plug()
    bench.wait(30)
    bench.lines("RING", *lines, "RING")
    bench.wait(1)
    assert [as_tuple(caller) for caller in bench.callers] == [expected]


@pytest.mark.parametrize("name", ["Vähälä", "Müller", "山田"])
def test_names_beyond_ascii(name):
    assert report_of("NMBR = 1", f"NAME = {name}")[0].name == name


def test_a_name_in_latin_1():
    bench = Bench()
    bench.says("\r\nNMBR = 1\r\nNAME = Vähälä\r\n".encode("latin-1"))
    bench.wait(1)
    assert bench.callers[0].name == "Vähälä"


def test_the_raw_text_is_kept_as_printed_and_bounded():
    caller = report_of("DATE = 0321", "NMBR = 5551212", "NMBR = P", "MESG = CALID_202")[0]
    assert caller.number is None
    assert caller.raw == "DATE = 0321\nNMBR = 5551212\nNMBR = P\nMESG = CALID_202"
    assert caller.source == "modem"
    many = report_of(*(f"NAME = {'x' * 500}{number}" for number in range(50)), "NMBR = 1")
    assert len(many[0].raw) <= 1000


@pytest.mark.parametrize("text", ["RING", "RING A", "RING 1", "CID RING", "DRON=5 DROF=11"])
def test_rings(text):
    bench = Bench()
    bench.lines(text)
    assert len(bench.of(ModemRang)) == 1


@pytest.mark.parametrize(
    "text",
    ["SPRINGFIELD", "NAME = RING", "RINGING", "STRING", "RING FOO", "OK", "AT", "CONNECT"],
)
def test_what_is_no_ring(text):
    bench = Bench()
    bench.lines(text)
    assert bench.of(ModemRang) == []


@pytest.mark.parametrize(
    "lines",
    [
        ["80200108303332343039303207084a4f484e20444f45020a383030353535313231327d"],  # wrong sum
        ["04123035313131383532343037353535303030"],  # cut short
        ["MESG = CALID_202"],
        ["NAME = ANNA"],  # late by itself
        ["8020ZZ"],
        ["1"],
        ["Diverting number: 5559999"],
    ],
)
def test_what_gives_no_caller(lines):
    assert report_of(*lines) == []


def test_a_repeated_raw_message_is_one_report_and_a_damaged_one_gives_way():
    good = "041230353131313835323430373535353030303059"
    assert len(report_of(good, good)) == 1
    damaged = good[:-2] + "58"
    assert [caller.number for caller in report_of(damaged, good)] == ["4075550000"]


@pytest.mark.parametrize(
    ("lines", "waiting"),
    [
        (["060342424231"], True),
        (["DATE = 0321", "TIME = 1405", "MESG = 0B01FF"], True),
        (["MESG = 060342424231"], True),
        (["###DATE...NMBR...NAME-MSG OFF-+++"], False),
        (["###DATE...NMBR...NAME-MSG WAITING-+++"], True),
    ],
)
def test_messages_waiting_come_without_a_caller(lines, waiting):
    bench = Bench()
    bench.lines(*lines)
    bench.wait(1)
    assert [fact.waiting for fact in bench.of(MessageWaitingReported)] == [waiting]
    assert bench.callers == []


# ------------------------------------------------------------ where a report begins and ends


def test_a_report_ends_by_quiet_and_is_dated_by_its_first_byte():
    bench = Bench()
    first = bench.now
    bench.says("\r\nDA")
    bench.wait(0.2)
    bench.says("TE = 0321\r\n")
    bench.wait(0.2)
    bench.lines("NMBR = 5551212")
    bench.wait(0.5)
    assert bench.callers == []
    bench.wait(0.2)
    assert [fact.at for fact in bench.of(CallerIdReported)] == [first]


def test_a_ring_ends_a_report_at_once():
    bench = Bench()
    bench.lines("DATE = 0321", "NMBR = 5551212", "RING")
    assert [type(fact) for fact in bench.facts] == [CallerIdReported, ModemRang]


def test_a_second_date_begins_another_report():
    callers = report_of("DATE=0321", "NMBR=1", "NAME=ANNA", "DATE=0321", "NMBR=2")
    assert [(caller.number, caller.name) for caller in callers] == [("1", "ANNA"), ("2", None)]


def test_a_late_name_never_lands_on_the_next_report():
    bench = Bench()
    bench.lines("DATE = 0321", "TIME = 1405", "NMBR = 111")
    bench.wait(1)
    bench.lines("NAME = ANNA")
    bench.lines("DATE = 0321", "TIME = 1406", "NMBR = 222")
    bench.wait(1)
    assert [(c.number, c.name) for c in bench.callers] == [("111", None), ("222", None)]
    assert "ANNA" not in "".join(caller.raw for caller in bench.callers)


def test_a_late_name_after_a_ring_is_nobodys():
    bench = Bench()
    bench.lines("RING", "DATE = 0321", "NMBR = 111", "RING", "NAME = ANNA", "RING")
    bench.wait(20)
    bench.lines("RING", "NMBR = 222", "RING")
    assert [(c.number, c.name) for c in bench.callers] == [("111", None), ("222", None)]


def test_a_report_cut_by_a_lost_port_keeps_its_whole_lines_only():
    bench = Bench()
    bench.plug()
    bench.says("\r\nDATE = 0321\r\nNMBR = 555")
    bench.unplug()
    bench.plug()
    bench.says("1212\r\nNAME = ANNA\r\n")
    bench.wait(1)
    assert [(c.number, c.reported_date) for c in bench.callers] == [(None, "0321")]


def test_half_a_line_is_never_read_as_a_whole_number():
    bench = Bench()
    bench.says("\r\nNMBR = 555")
    bench.wait(3)
    bench.lines("RING")
    bench.wait(1)
    assert bench.callers == []
    bench.says("0301")
    bench.wait(3)
    bench.says("234567\r\n")
    bench.wait(1)
    assert bench.callers == []


def test_an_overlong_line_is_dropped_to_its_end_and_the_next_is_read():
    bench = Bench()
    bench.says(b"NMBR = " + b"1" * 1_000_000)
    assert len(bench.machine._cutter._buffer) <= LINE_BYTES
    bench.says("2\r\nNMBR = 5551212\r\n")
    bench.wait(1)
    assert [caller.number for caller in bench.callers] == ["5551212"]


def test_a_number_alone_is_an_answer_where_answers_come():
    bench = Bench(Answering(USR))
    bench.plug()
    bench.wait(30)
    bench.lines("5601", "0301234567")
    bench.wait(1)
    assert bench.callers == []


def test_voice_mode_shields_are_taken_out():
    bench = Bench()
    bench.says(b"\x10R\r\nNM\x10bBR = 55\x10\x1051212\r\n\x10")
    bench.says(b"R")
    bench.wait(1)
    assert len(bench.of(ModemRang)) == 2
    assert [caller.number for caller in bench.callers] == ["5551212"]
