"""Caller-ID messages as the exchange sends them: SDMF, MDMF and Japan's Number Display.

Modems in raw mode hand these over in hex, and the detectors that listen to the line find them in
the audio; both come here. A message with a wrong checksum never gives a caller. A message is
read by its length fields only, and every length is checked against what is there.

Layouts: Telcordia GR-30-CORE (SDMF, MDMF), ETSI EN 300 659-3 (more parameters of MDMF), NTT's
Number Display (the same parameters in an envelope of seven-bit characters with even parity).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recorderd.errors import RecorderdError
from recorderd.events import Caller

if TYPE_CHECKING:
    from recorderd.events import Absence, CallerSource

# Message types: GR-30-CORE for 04, 06, 80 and 82.
SDMF_CALL: Final = 0x04
SDMF_MESSAGE_WAITING: Final = 0x06
MDMF_CALL: Final = 0x80
MDMF_MESSAGE_WAITING: Final = 0x82
MESSAGE_TYPES: Final = (SDMF_CALL, SDMF_MESSAGE_WAITING, MDMF_CALL, MDMF_MESSAGE_WAITING)

# Parameters of MDMF: 01 to 0B of GR-30-CORE, 11 and 13 of EN 300 659-3.
DATE_TIME: Final = 0x01
NUMBER: Final = 0x02
DIALABLE_NUMBER: Final = 0x03
NUMBER_ABSENT: Final = 0x04
NAME: Final = 0x07
NAME_ABSENT: Final = 0x08
MESSAGE_LAMP: Final = 0x0B
CALL_TYPE: Final = 0x11
MESSAGES_COUNT: Final = 0x13

CALL_TYPE_MESSAGE_WAITING: Final = 0x81
LAMP_ON: Final = b"\xff"
SDMF_LAMP: Final = {b"BBB": True, b"ooo": False}
"""GR-30-CORE: the single-format lamp message is three equal letters."""

_DATE_TIME_BYTES = 8
_SEIZURE = b"\x55"

# Number Display: each character as it is on the wire, with its parity bit.
DLE_SOH: Final = b"\x90\x81"
_STX = 0x82
_ETX = 0x03
_DLE = 0x90
_NUMBER_DISPLAY = (0x07, 0x40)  # header, service

_CODES: Final[dict[str, Absence]] = {
    "P": "private",
    "A": "private",
    "O": "out-of-area",
    "I": "out-of-area",  # Taiwan, Kuwait: an international call
    "C": "payphone",
    "S": "unavailable",  # Japan: the calling network cannot tell
    "E": "unavailable",  # Japan: the set received the number wrongly
}

_WORDS: Final[dict[str, Absence]] = {
    "PRIVATE": "private",
    "PRIVATE CALLER": "private",
    "PRIVATE NAME": "private",
    "PRIVATE NUMBER": "private",
    "PRIVDIROFF": "private",
    "WITHHELD": "private",
    "NUMBER WITHHELD": "private",
    "ANONYMOUS": "private",
    "RESTRICTED": "private",
    "BLOCKED": "private",
    "非通知": "private",
    "ヒツウチ": "private",
    "OUT OF AREA": "out-of-area",
    "OUT-OF-AREA": "out-of-area",
    "INTERNATIONAL": "out-of-area",
    "表示圏外": "out-of-area",
    "ヒョウジケンガイ": "out-of-area",
    "UNAVAILABLE": "unavailable",
    "NOT AVAILABLE": "unavailable",
    "UNKNOWN": "unavailable",
    "UNKNOWN CALLER": "unavailable",
    "UNKNOWN NAME": "unavailable",
    "UNKNOWN NUMBER": "unavailable",
    "PAYPHONE": "payphone",
    "PAY PHONE": "payphone",
    "COIN PHONE": "payphone",
    "公衆電話": "payphone",
    "コウシュウデンワ": "payphone",
}

_NUMBER_TEXT = re.compile(r"\+?[0-9]+")
_NUMBER_SEPARATORS = re.compile(r"[ ().\-/]")
_PLACEHOLDER = re.compile(r"0{7,}")


class FrameError(RecorderdError):
    """These bytes are not a whole, undamaged caller-ID message."""


@dataclass(frozen=True, slots=True)
class CallerIdMessage:
    """What one message said. A message about waiting messages (`is_call` false) has no caller."""

    is_call: bool
    number: str | None = None
    name: str | None = None
    absence: Absence | None = None
    reported_date: str | None = None  # MMDD
    reported_time: str | None = None  # HHMM
    message_waiting: bool | None = None  # None: it said nothing of it
    call_type: int | None = None  # EN 300 659-3: 01 voice call, 02 ring back, 81 message waiting

    def caller(self, source: CallerSource, raw: str) -> Caller:
        """The message as the fact that a call carries."""
        return Caller(
            number=self.number,
            name=self.name,
            absence=self.absence,
            source=source,
            raw=raw,
            reported_date=self.reported_date,
            reported_time=self.reported_time,
        )


# ---------------------------------------------------------------- text


def readable(data: bytes) -> str:
    """Bytes from the line as text: UTF-8 where they are that, else Latin-1; never an error.

    Characters that print nothing (controls, direction marks, escape sequences' first byte) are
    left out, so that a caller's name cannot steer a terminal or a page.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return "".join(char for char in text.replace("\t", " ") if char.isprintable())


def absence_of(text: str) -> Absence | None:
    """Why there is no number, where the whole field is a code letter or a known word."""
    word = unicodedata.normalize("NFKC", text).strip(" -").upper()
    return _CODES.get(word) or _WORDS.get(word)


def number_of(text: str) -> str | None:
    """The number in a field without its spaces, brackets and dashes; None where it is none.

    Seven zeros or more are what some exchanges send in place of a number.
    """
    number = _NUMBER_SEPARATORS.sub("", text)
    if _NUMBER_TEXT.fullmatch(number) is None or _PLACEHOLDER.fullmatch(number):
        return None
    return number


def name_of(text: str) -> str | None:
    """The name in a field; None where it is empty or only says that there is none."""
    name = text.strip()
    return None if not name or absence_of(name) else name


def who(
    number_text: str, name_text: str, absence: Absence | None = None
) -> tuple[str | None, str | None, Absence | None]:
    """Number, name and absence from what the fields say; `absence` is a reason given beside them.

    A reason for absence hides a number that came with it. A name field that only gives a reason
    counts where the number says nothing.
    """
    absence = absence or absence_of(number_text)
    number = None if absence else number_of(number_text)
    if number is None and absence is None:
        absence = absence_of(name_text)
    return number, name_of(name_text), absence


# ---------------------------------------------------------------- SDMF and MDMF


def parse_frame(data: bytes) -> CallerIdMessage:
    """One SDMF or MDMF message: type, length, data, checksum.

    The checksum makes the sum of all bytes 0 modulo 256 (GR-30-CORE). Bytes after it are noise
    of the line and are not read. Raises FrameError.
    """
    body = _body(data)
    if len(data) < len(body) + 3:
        raise FrameError("the caller-ID message ends before its checksum")
    if sum(data[: len(body) + 3]) % 256:
        raise FrameError("the checksum of the caller-ID message is wrong")
    return _parse_body(data[0], body)


def parse_raw_report(data: bytes) -> CallerIdMessage:
    """One message as a modem prints it in raw mode: the seizure bytes may lead, nothing follows.

    Some modems leave the checksum out, having checked it themselves; then every length must fit
    exactly. Where it is there, it must be right. Raises FrameError.
    """
    frame = data.lstrip(_SEIZURE)
    body = _body(frame)
    if len(frame) > len(body) + 3:
        raise FrameError("the caller-ID message is longer than it says")
    if len(frame) == len(body) + 3:
        return parse_frame(frame)
    return _parse_body(frame[0], body)


def parse_parameter(data: bytes) -> CallerIdMessage:
    """One parameter that a modem did not understand (`MESG`): type, length, value.

    Some modems add a checksum, which must then be right. A whole SDMF lamp message comes the
    same way and is told by its letters. Raises FrameError.
    """
    if data[:2] == bytes((SDMF_MESSAGE_WAITING, 3)) and data[2:5] in SDMF_LAMP:
        return parse_frame(data)
    if len(data) < 2 or len(data) - 2 - data[1] not in {0, 1}:
        raise FrameError("the modem's MESG is not one whole parameter")
    if len(data) - 2 > data[1] and sum(data) % 256:
        raise FrameError("the checksum of the modem's MESG is wrong")
    return _from_parameters({data[0]: data[2 : 2 + data[1]]}, is_call=True)


def _body(data: bytes) -> bytes:
    if len(data) < 2 or data[0] not in MESSAGE_TYPES:
        raise FrameError("this is not a caller-ID message")
    body = data[2 : 2 + data[1]]
    if len(body) < data[1]:
        raise FrameError("the caller-ID message is cut short")
    return body


def _parse_body(message_type: int, body: bytes) -> CallerIdMessage:
    if message_type == SDMF_MESSAGE_WAITING:
        return CallerIdMessage(is_call=False, message_waiting=SDMF_LAMP.get(body))
    if message_type == SDMF_CALL:
        return _parse_single(body)
    return _from_parameters(_parameters(body), is_call=message_type == MDMF_CALL)


def _parse_single(body: bytes) -> CallerIdMessage:
    if len(body) < _DATE_TIME_BYTES:
        raise FrameError("the caller-ID message has no whole date and time")
    fields = {DATE_TIME: body[:_DATE_TIME_BYTES], NUMBER: body[_DATE_TIME_BYTES:]}
    return _from_parameters(fields, is_call=True)


def _parameters(body: bytes) -> dict[int, bytes]:
    """The parameters of a message by type; where one comes twice the first counts."""
    found: dict[int, bytes] = {}
    position = 0
    while position < len(body):
        value_from = position + 2
        if value_from > len(body) or value_from + body[position + 1] > len(body):
            raise FrameError("a parameter of the caller-ID message is longer than the message")
        position_after = value_from + body[position + 1]
        found.setdefault(body[position], body[value_from:position_after])
        position = position_after
    return found


def _from_parameters(found: dict[int, bytes], *, is_call: bool) -> CallerIdMessage:
    call_type = found[CALL_TYPE][0] if found.get(CALL_TYPE) else None
    waiting = _message_waiting(found, call_type)
    if not is_call or call_type == CALL_TYPE_MESSAGE_WAITING:
        return CallerIdMessage(is_call=False, message_waiting=waiting, call_type=call_type)
    number, name, absence = who(
        readable(_number_field(found)),
        readable(found.get(NAME, found.get(NAME_ABSENT, b""))),
        absence_of(readable(found.get(NUMBER_ABSENT, b""))),
    )
    moment = readable(found.get(DATE_TIME, b""))[:_DATE_TIME_BYTES]
    return CallerIdMessage(
        is_call=True,
        number=number,
        name=name,
        absence=absence,
        reported_date=moment[:4] or None,
        reported_time=moment[4:] or None,
        message_waiting=waiting,
        call_type=call_type,
    )


def _number_field(found: dict[int, bytes]) -> bytes:
    """Parameter 03 is the number to call back in North America, and stands in only where neither
    a number nor a reason came: elsewhere it is the number called.
    """
    if NUMBER in found or NUMBER_ABSENT in found:
        return found.get(NUMBER, b"")
    return found.get(DIALABLE_NUMBER, b"")


def _message_waiting(found: dict[int, bytes], call_type: int | None) -> bool | None:
    if MESSAGE_LAMP in found:
        return found[MESSAGE_LAMP] == LAMP_ON
    if found.get(MESSAGES_COUNT):
        return found[MESSAGES_COUNT][0] > 0
    return True if call_type == CALL_TYPE_MESSAGE_WAITING else None


def own_bytes(data: bytes) -> bytes:
    """The bytes of the message with which `data` begins, of either kind, without what follows it.

    Raises FrameError where there is none or it is cut short.
    """
    is_display = data.startswith(DLE_SOH)
    end = _unstuffed(data)[1] + 2 if is_display else len(_body(data)) + 3
    if len(data) < end:
        raise FrameError("the caller-ID message ends before its checksum")
    return data[:end]


def is_plausible(data: bytes) -> bool:
    """Whether the fields of an SDMF or MDMF message hold what such fields hold.

    A check for messages that came through noise, beyond their weak checksum: dates are digits, and
    what people read has no control characters. Raises FrameError where the layout is wrong.
    """
    body = _body(data)
    if data[0] == SDMF_MESSAGE_WAITING:
        return body in SDMF_LAMP
    if data[0] == SDMF_CALL:
        found = {DATE_TIME: body[:_DATE_TIME_BYTES], NUMBER: body[_DATE_TIME_BYTES:]}
    else:
        found = _parameters(body)
    moment = found.get(DATE_TIME, b"")
    if moment and not (moment.isdigit() and len(moment) == _DATE_TIME_BYTES):
        return False
    if not all(_is_number_field(found.get(kind, b"")) for kind in (NUMBER, DIALABLE_NUMBER)):
        return False
    texts = (found.get(kind, b"") for kind in (NUMBER_ABSENT, NAME, NAME_ABSENT))
    return all(0x20 <= byte < 0x7F or byte >= 0xA0 for text in texts for byte in text)


def _is_number_field(field: bytes) -> bool:
    """A number, a code or a word, and never letters among digits."""
    text = field.decode("latin-1").strip()
    is_word = text.isascii() and text.replace(" ", "").isalpha()
    digits = _NUMBER_SEPARATORS.sub("", text)
    return not text or is_word or _NUMBER_TEXT.fullmatch(digits) is not None


# ---------------------------------------------------------------- Number Display (Japan)


def parse_number_display(data: bytes) -> CallerIdMessage:
    """One Number Display message as it is on the wire, parity bits in place.

    `DLE SOH 07 DLE STX 40 length {type length value} DLE ETX CRC CRC`; a DLE among the data is
    sent twice. The CRC (ITU-T polynomial 1021, bits reflected, low byte first) is over all that
    follows SOH, and over the two CRC bytes as well it comes to 0. Bytes after it are not read.
    Raises FrameError.
    """
    if not data.startswith(DLE_SOH):
        raise FrameError("this is not a Number Display message")
    characters, end = _unstuffed(data)
    if len(data) < end + 2:
        raise FrameError("the Number Display message ends before its CRC")
    if crc16_reflected(data[len(DLE_SOH) : end + 2]):
        raise FrameError("the CRC of the Number Display message is wrong")
    if any(character.bit_count() % 2 for character in characters):
        raise FrameError("a character of the Number Display message has wrong parity")
    plain = bytes(character & 0x7F for character in characters)
    if len(plain) < 3 or plain[:2] != bytes(_NUMBER_DISPLAY) or len(plain) != 3 + plain[2]:
        raise FrameError("the Number Display message is not laid out as one")
    return _from_parameters(_parameters(plain[3:]), is_call=True)


def _unstuffed(data: bytes) -> tuple[list[int], int]:
    """The characters between SOH and ETX without their shielding, and where ETX ended."""
    characters: list[int] = []
    position = len(DLE_SOH)
    while position + 1 < len(data):
        if data[position] != _DLE:
            characters.append(data[position])
            position += 1
            continue
        following = data[position + 1]
        position += 2
        if following == _ETX:
            return characters, position
        if following == _DLE:
            characters.append(_DLE)
        elif following != _STX:
            raise FrameError("the Number Display message holds an unknown control character")
    raise FrameError("the Number Display message has no end")


def crc16_reflected(data: bytes) -> int:
    """ITU-T V.41's polynomial, lowest bit first: the check of a Number Display message."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x8408 if crc & 1 else 0)
    return crc
