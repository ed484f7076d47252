"""SDMF, MDMF and Number Display messages, whole and damaged."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.core.callerid import (
    FrameError,
    absence_of,
    is_plausible,
    name_of,
    number_of,
    own_bytes,
    parse_frame,
    parse_number_display,
    parse_parameter,
    parse_raw_report,
    readable,
)

# Published examples (Silicon Laboratories AN93, NCID's API page, minimodem's tests), their sums
# worked out again by hand; the last four are made by the same rule.
MESSAGES = [
    ("041230353131313835323430373535353030303059", ("4075550000", None, None, "0511", "1852")),
    (
        "802001083035313131383532020A3430373535353030303007084A4F484E20444F4584",
        ("4075550000", "JOHN DOE", None, "0511", "1852"),
    ),
    (
        "802001083039313131363231020A3531323535353132333407084A4F484E5F444F4540",
        ("5125551234", "JOHN_DOE", None, "0911", "1621"),
    ),
    ("041230393330313232343630393535353132313251", ("6095551212", None, None, "0930", "1224")),
    ("8010010831323331323335390401500801501f", (None, None, "private", "1231", "2359")),
    ("80100108313233313233353904014f08014f21", (None, None, "out-of-area", "1231", "2359")),
    (
        "801b01083032323931323030020c34343230373934363030303011010147",
        ("442079460000", None, None, "0229", "1200"),
    ),
]
NUMBER_DISPLAY = [
    ("90818790 82c00c820a3033b1b233b43536b7b8 9003fb52", ("0312345678", None)),
    ("90818790 82c003848150 90031eee", (None, "private")),
    ("90818790 82c0038481c3 90030388", (None, "payphone")),
]


def fields(message):
    return (
        message.number,
        message.name,
        message.absence,
        message.reported_date,
        message.reported_time,
    )


def frame(message_type: int, body: bytes) -> bytes:
    unsummed = bytes((message_type, len(body))) + body
    return unsummed + bytes((-sum(unsummed) % 256,))


def parameter(kind: int, value: bytes) -> bytes:
    return bytes((kind, len(value))) + value


def number_display(body: bytes) -> bytes:
    """A message as the exchange sends it, built apart from the code under test."""

    def even(value: int) -> int:
        return value | 0x80 if value.bit_count() % 2 else value

    shielded = b""
    for value in bytes((0x40, len(body))) + body:
        shielded += bytes((0x90, 0x90)) if value == 0x10 else bytes((even(value),))
    covered = bytes((even(0x07), 0x90, 0x82)) + shielded + bytes((0x90, 0x03))
    crc = 0
    for byte in covered:
        for bit in range(8):
            low = (crc ^ byte >> bit) & 1
            crc = crc >> 1 ^ (0x8408 if low else 0)
    return b"\x90\x81" + covered + bytes((crc & 0xFF, crc >> 8))


@pytest.mark.parametrize(("text", "expected"), MESSAGES)
def test_messages_are_read(text, expected):
    message = parse_frame(bytes.fromhex(text))
    assert message.is_call
    assert fields(message) == expected


@pytest.mark.parametrize(("text", "expected"), MESSAGES)
def test_bytes_after_the_checksum_are_not_read(text, expected):
    assert fields(parse_frame(bytes.fromhex(text) + b"\xff\x55\x00")) == expected


@pytest.mark.parametrize(("text", "expected"), MESSAGES)
def test_every_single_wrong_byte_is_refused(text, expected):
    whole = bytes.fromhex(text)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x04
        with pytest.raises(FrameError):
            parse_frame(bytes(damaged))


@pytest.mark.parametrize(("text", "expected"), MESSAGES)
def test_every_cut_message_is_refused(text, expected):
    whole = bytes.fromhex(text)
    for length in range(len(whole)):
        with pytest.raises(FrameError):
            parse_frame(whole[:length])


def test_a_wrong_checksum_says_so():
    text = "80200108303332343039303207084a4f484e20444f45020a383030353535313231327d"
    with pytest.raises(FrameError, match="checksum"):
        parse_frame(bytes.fromhex(text))
    with pytest.raises(FrameError, match="checksum"):
        parse_raw_report(bytes.fromhex(text))


@pytest.mark.parametrize(("text", "expected"), MESSAGES)
def test_raw_reports_may_lack_the_checksum_and_lead_with_seizure(text, expected):
    whole = bytes.fromhex(text)
    assert fields(parse_raw_report(whole)) == expected
    assert fields(parse_raw_report(b"\x55\x55" + whole[:-1])) == expected
    with pytest.raises(FrameError):
        parse_raw_report(whole + b"\x00")
    with pytest.raises(FrameError):
        parse_raw_report(whole[:-2])


def test_a_parameter_longer_than_the_message_is_refused_with_a_good_sum():
    with pytest.raises(FrameError, match="parameter"):
        parse_frame(frame(0x80, b"\x01\x0805111852\x02\x0b4075550000"))
    with pytest.raises(FrameError, match="parameter"):
        parse_frame(frame(0x80, parameter(0x02, b"4075550000") + b"\x07"))


def test_unknown_parameters_are_skipped():
    body = parameter(0x99, b"12345") + parameter(0x02, b"110") + parameter(0x05, b"")
    assert parse_frame(frame(0x80, body)).number == "110"


def test_a_reason_for_absence_hides_a_number_beside_it():
    for body in (
        parameter(0x02, b"5551212") + parameter(0x04, b"P"),
        parameter(0x04, b"P") + parameter(0x02, b"5551212"),
        parameter(0x04, b"P") + parameter(0x03, b"5551212"),
    ):
        message = parse_frame(frame(0x80, body))
        assert (message.number, message.absence) == (None, "private")


def test_the_number_to_call_back_stands_in_only_for_a_missing_number():
    alone = frame(0x80, parameter(0x03, b"5551212"))
    assert parse_frame(alone).number == "5551212"
    beside = frame(0x80, parameter(0x03, b"5559999") + parameter(0x02, b"5551212"))
    assert parse_frame(beside).number == "5551212"


def test_messages_waiting_are_no_calls():
    on = parse_frame(bytes.fromhex("060342424231"))
    off = parse_frame(frame(0x06, b"ooo"))
    lamp_on = parse_frame(frame(0x82, parameter(0x0B, b"\xff") + parameter(0x02, b"5551212")))
    lamp_off = parse_frame(frame(0x82, parameter(0x0B, b"\x00")))
    count = parse_frame(frame(0x82, parameter(0x13, b"\x00")))
    british = parse_frame(frame(0x80, parameter(0x11, b"\x81") + parameter(0x02, b"1571")))
    messages = (on, off, lamp_on, lamp_off, count, british)
    assert [m.message_waiting for m in messages] == [True, False, True, False, False, True]
    assert not any(m.is_call or m.number for m in messages)


@pytest.mark.parametrize(
    ("text", "number", "waiting", "call_type"),
    [
        ("110101", None, None, 1),
        ("030735353531323132", "5551212", None, None),
        ("03073535353132313291", "5551212", None, None),
        ("060342424231", None, True, None),
        ("0B01FF", None, True, None),
        ("0B0100", None, False, None),
        ("110181", None, True, 0x81),
    ],
)
def test_parameters_that_a_modem_did_not_understand(text, number, waiting, call_type):
    message = parse_parameter(bytes.fromhex(text))
    assert (message.number, message.message_waiting, message.call_type) == (
        number,
        waiting,
        call_type,
    )


@pytest.mark.parametrize(
    "text", ["", "11", "1102", "110200", "11010101AA", "060342424232", "03073535353132313290"]
)
def test_half_parameters_are_refused(text):
    with pytest.raises(FrameError):
        parse_parameter(bytes.fromhex(text))


@pytest.mark.parametrize(("text", "expected"), NUMBER_DISPLAY)
def test_number_display(text, expected):
    message = parse_number_display(bytes.fromhex(text) + b"\x00\xff")
    assert (message.number, message.absence) == expected


@pytest.mark.parametrize(("text", "expected"), NUMBER_DISPLAY)
def test_damaged_number_display_is_refused(text, expected):
    whole = bytes.fromhex(text)
    for place in range(len(whole)):
        with pytest.raises(FrameError):
            parse_number_display(whole[:place])
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            with pytest.raises(FrameError):
                parse_number_display(bytes(damaged))


def test_number_display_that_ends_before_its_length_is_refused():
    """Header and service alone, under a right CRC."""
    for text in ("90818790 82c0 90032212", "908187 90032fab", "9081 9003c62b"):
        with pytest.raises(FrameError, match="laid out"):
            parse_number_display(bytes.fromhex(text))


def test_number_display_shields_its_own_length():
    # Twelve digits and an absence of name make a body of 16 bytes (0x10 = DLE), sent twice.
    body = parameter(0x02, b"031234567890") + parameter(0x08, b"")
    assert len(body) == 0x10
    assert parse_number_display(number_display(body)).number == "031234567890"


def test_number_display_with_wrong_parity_and_a_good_crc_is_refused():
    wrong = bytearray(number_display(parameter(0x02, b"0312345678")))
    wrong[8] ^= 0x80
    crc = 0
    for byte in wrong[2:-2]:
        for bit in range(8):
            crc = crc >> 1 ^ (0x8408 if (crc ^ byte >> bit) & 1 else 0)
    wrong[-2:] = bytes((crc & 0xFF, crc >> 8))
    with pytest.raises(FrameError, match="parity"):
        parse_number_display(bytes(wrong))


@settings(max_examples=60)
@given(st.from_regex(r"[0-9]{1,20}", fullmatch=True), st.text("ABCDEFGH XYZ", max_size=20))
def test_any_number_and_name_come_back(number, name):
    body = parameter(0x01, b"11231845") + parameter(0x02, number.encode())
    body += parameter(0x07, name.encode())
    for message in (parse_frame(frame(0x80, body)), parse_number_display(number_display(body))):
        assert message.number == number_of(number)
        assert message.name == name_of(name)


@settings(max_examples=200)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\x80", b"\x04", b"\x82", b"\x90\x81"]))
def test_any_bytes_give_a_message_or_a_frame_error(data, lead):
    for parse in (parse_frame, parse_raw_report, parse_parameter, parse_number_display):
        try:
            message = parse(lead + data)
        except FrameError:
            continue
        assert message.number is None or message.absence is None


@pytest.mark.parametrize(
    ("text", "absence"),
    [
        ("P", "private"),
        ("A", "private"),
        ("O", "out-of-area"),
        ("C", "payphone"),
        ("S", "unavailable"),
        ("E", "unavailable"),
        ("WITHHELD", "private"),
        ("PrivDirOff", "private"),
        ("Restricted", "private"),
        ("-UNKNOWN CALLER-", "unavailable"),
        ("OUT OF AREA", "out-of-area"),
        ("ヒツウチ", "private"),
        ("ﾋﾂｳﾁ", "private"),  # as half-width letters
        ("公衆電話", "payphone"),
        ("表示圏外", "out-of-area"),
        ("OTTO", None),
        ("5551212", None),
        ("PA", None),
        ("", None),
    ],
)
def test_reasons_for_absence(text, absence):
    assert absence_of(text) == absence


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("813-555-1212", "8135551212"),
        ("+81 3 1234 5678", "+81312345678"),
        ("(407) 555.1212", "4075551212"),
        ("0000000000", None),
        ("0", "0"),
        ("", None),
        ("555O1212", None),
        ("٣٤٥", None),  # digits, but not a telephone's
    ],
)
def test_numbers(text, number):
    assert number_of(text) == number


def test_text_from_the_line_cannot_steer_a_terminal():
    assert readable(b"EVE\x1b[2J\x07\x00\x9b1m") == "EVE[2J1m"
    assert readable("A\u202eB".encode()) == "AB"
    assert readable("Vähälä".encode()) == readable("Vähälä".encode("latin-1")) == "Vähälä"


# ---------------------------------------------------------------- messages out of noise


@pytest.mark.parametrize("text", [text for text, _ in MESSAGES + NUMBER_DISPLAY])
def test_a_message_is_cut_from_what_follows_it(text):
    data = bytes.fromhex(text)
    assert own_bytes(data + b"\x55\x90\x03") == data
    with pytest.raises(FrameError):
        own_bytes(data[:-1])


@pytest.mark.parametrize("text", [text for text, _ in MESSAGES])
def test_published_messages_are_plausible(text):
    assert is_plausible(bytes.fromhex(text))


@pytest.mark.parametrize(
    ("message_type", "body"),
    [
        (0x04, b"0725181X5551212"),
        (0x04, b"0725181255X1212"),
        (0x04, b"07251812555\xb212"),
        (0x06, b"BoB"),
        (0x80, b"\x01\x080725181X"),
        (0x80, b"\x01\x0707251812"),
        (0x80, b"\x02\x075551X12"),
        (0x80, b"\x02\x07555\x001212"),
        (0x80, b"\x07\x04JO\x1bN"),
        (0x80, b"\x04\x01\x10"),
    ],
)
def test_fields_that_hold_something_else_are_not_plausible(message_type, body):
    with suppress(FrameError):
        assert not is_plausible(frame(message_type, body))


@given(st.binary(max_size=60))
def test_any_bytes_are_judged_without_another_error(data):
    for judge in (own_bytes, is_plausible):
        with suppress(FrameError):
            judge(data)
