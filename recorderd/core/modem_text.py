"""What modems and caller-ID boxes print: bytes cut into lines, and a line read in any dialect.

There is no standard for this text. Each function below reads one family of devices, and what one
device is known to print must not be taken for another's. Keys are read where a line begins, or
after a blank where lines come glued together, never inside a value: a caller may be called
RINGCENTRAL, UPDATE INC or PRIME TIME TV.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from recorderd.core.callerid import MESSAGE_TYPES, readable
from recorderd.units import MonoNs, ms

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_BYTES = 1024
"""Far more than the longest report on one line (a raw message is 520 characters of hex)."""

HALF_LINE_NS = ms(2000)
"""A line whose rest has not come after this never gets it: at 1200 bit/s a byte takes 8 ms."""

_DLE = 0x10
_LINE_ENDS = b"\r\n"

Tag = Literal[
    "ring",
    "alert",  # something is on the line, a report may follow
    "end",
    "date",
    "time",
    "number",
    "name",
    "reason",  # why there is no number, in words
    "parameter",  # hex of one parameter that the modem did not understand
    "message",  # hex of a whole caller-ID message
    "lamp",  # "on" or "off": messages are waiting
    "digits",  # a line of nothing but digits: a number from some boxes, an answer from modems
    "other",  # belongs to a report and says nothing of the caller
]


_LONE_TAGS: Final = ("ring", "digits")


class Field(NamedTuple):
    tag: Tag
    value: str = ""


# ---------------------------------------------------------------- bytes to lines


@dataclass(frozen=True, slots=True)
class TextLine:
    at: MonoNs  # of its first byte
    text: str  # without its end; never blank
    is_whole: bool = True  # else its beginning may be missing


class LineCutter:
    """Cuts what the port gives into lines, over a buffer that never grows beyond LINE_BYTES.

    In voice mode a modem shields events by DLE (ITU-T V.253): they are taken out of the text, and
    the one for a ring becomes a line `RING` of its own.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._line_at = MonoNs(0)
        self._last_at = MonoNs(0)
        self._after_dle = False
        self._overlong = False
        self._is_whole = False

    def reset(self) -> None:
        """What had come of a line is no part of what comes now, which may be a line's rest."""
        self._start_line(is_whole=False)

    def _start_line(self, *, is_whole: bool) -> None:
        self._buffer.clear()
        self._after_dle = False
        self._overlong = False
        self._is_whole = is_whole

    def feed(self, at: MonoNs, data: bytes) -> list[TextLine]:
        """The lines that end in `data`."""
        if self._buffer and at - self._last_at > HALF_LINE_NS:
            self.reset()
        self._last_at = at
        lines: list[TextLine] = []
        for byte in data:
            self._take(at, byte, lines)
        return lines

    def _take(self, at: MonoNs, byte: int, lines: list[TextLine]) -> None:
        if byte in _LINE_ENDS:
            self._end_line(lines)
        elif self._after_dle:
            self._after_dle = False
            if byte == ord("R"):
                lines.append(TextLine(at, "RING"))
        elif byte == _DLE:
            self._after_dle = True
        else:
            self._append(at, byte)

    def _append(self, at: MonoNs, byte: int) -> None:
        if len(self._buffer) == LINE_BYTES:
            self._overlong = True
            return
        if not self._buffer:
            self._line_at = at
        self._buffer.append(byte)

    def _end_line(self, lines: list[TextLine]) -> None:
        text = "" if self._overlong else readable(bytes(self._buffer)).rstrip()
        if text.strip():
            lines.append(TextLine(self._line_at, text, self._is_whole))
        self._start_line(is_whole=True)


# ---------------------------------------------------------------- one line, in any dialect


def fields_of(line: TextLine) -> list[Field]:
    """What a line says of a ring or a caller; nothing where it is an answer or unknown.

    The rest of a cut line is not taken for a ring or a number that stand alone in a line.
    """
    for dialect in _DIALECTS:
        fields = dialect(line.text)
        if fields:
            return fields if line.is_whole or fields[0].tag not in _LONE_TAGS else []
    return []


_RING = re.compile(r"(?:CID )?RING(?: RING)*(?: [A-H1-9])?|DRON ?=.*")


def _ring(text: str) -> list[Field]:
    """RING, with the letter or digit of a distinctive ring, or the cadence in its place."""
    return [Field("ring")] if _RING.fullmatch(text.strip()) else []


_ALERTS = ("CALLING MSG", "CIDM", "STAS", "FLASH")


def _alert(text: str) -> list[Field]:
    """What Kortex and ISOmodems print before a report, with no ring before it."""
    return [Field("alert")] if text.strip() in _ALERTS else []


def _end_of_report(text: str) -> list[Field]:
    """Kortex closes its report by a line of its own."""
    return [Field("end")] if text.strip() == "END MSG" else []


_KEYS = r"(DATE TIME|DATE|TIME|DDN_NMBR|DDN|NMBR|NBR|NAME|MESG)\s*="
_KEY_FIRST = re.compile(_KEYS)
_KEY_LATER = re.compile(r"(?<=\s)" + _KEYS)
# Seen after a name: a blank and the number, or the number glued to a one-letter name.
_KEY_AFTER_NAME = re.compile(r"(?:(?<=\s)|(?<==[A-Z]))(DDN_NMBR|NMBR|NBR)\s*=")
_RINGS_GLUED = re.compile(r"(?:(?:CID )?RING\s+)+(?=[A-Z_ ]+=)")
_KEY_TAGS: Final[dict[str, Tag]] = {
    "DATE": "date",
    "TIME": "time",
    "NMBR": "number",
    "NBR": "number",
    "DDN_NMBR": "number",
    "DDN": "number",
    "NAME": "name",
    "MESG": "parameter",
}


def _keyed(text: str) -> list[Field]:
    """`NMBR = 5551212`, the commonest form, with or without blanks; several may share a line."""
    line = text.strip()
    glued = _RINGS_GLUED.match(line)
    key = _KEY_FIRST.match(line, glued.end() if glued else 0)
    fields = [Field("ring")] if glued and key else []
    while key is not None:
        after = _KEY_AFTER_NAME if key[1] == "NAME" else _KEY_LATER
        following = after.search(line, key.end())
        value = line[key.end() : following.start() if following else None].strip()
        fields += _moment(value) if key[1] == "DATE TIME" else [Field(_KEY_TAGS[key[1]], value)]
        key = following
    return fields


def _moment(value: str) -> list[Field]:
    """Date and time in one value, a blank between: `11/24 22:10`."""
    date, _, time = value.partition(" ")
    return [Field("date", date), Field("time", time)]


_LABELS: Final[dict[str, Tag]] = {
    "CALLER NUMBER": "number",
    "CALLER'S NUMBER": "number",
    "CALLERID": "number",
    "CALLER NAME": "name",
    "REASON FOR NO CALLER NUMBER": "reason",
    "REASON FOR NO CALLER NAME": "other",
    "DIVERTING NUMBER": "other",  # who passed the call on did not make it
    "CALLED NUMBER": "other",
}


def _labelled(text: str) -> list[Field]:
    """`CALLER NUMBER: 5551212` of ZyXEL and others."""
    label, colon, value = text.strip().partition(":")
    if not colon:
        return []
    if label == "TIME":
        return _moment(value.strip())
    tag = _LABELS.get(label.strip().upper())
    return [Field(tag, value.strip())] if tag else []


_FROM_TO = re.compile(r"FM:\s*([0-9+]*)(?:\s*TO:.*)?")


def _from_to(text: str) -> list[Field]:
    """ZyXEL's ISDN modems: `FM:5551212 TO:5550000`."""
    found = _FROM_TO.fullmatch(text.strip())
    return [Field("number", found[1])] if found else []


def _ring_with_number(text: str) -> list[Field]:
    """ELSA: `RING;caller;called`."""
    words = text.strip().split(";")
    if words[0] != "RING" or len(words) == 1:
        return []
    return [Field("ring"), Field("number", words[1]), Field("end")]


_CLIP = re.compile(r'\+CLIP:\s*"([^"]*)"(?:,[^,]*){0,3}(?:,"?([^",]*)"?)?(?:,(\d))?')
_CLIP_VALIDITY: Final = {"1": "P", "2": "O", "3": "C", "4": "S"}


def _clip(text: str) -> list[Field]:
    """Cellular modems: number, type, two fields of no use here, name, validity (3GPP TS 27.007)."""
    found = _CLIP.match(text.strip())
    if found is None:
        return []
    number = _CLIP_VALIDITY.get(found[3] or "", found[1])
    return [Field("number", number), Field("name", found[2] or ""), Field("end")]


_NET_CALLER_ID = re.compile(r"###DATE(\d{0,8})\.\.\.NMBR(.*?)\.\.\.NAME(.*?)\+\+\+")
_NET_LAMP = re.compile(r"-?MSG (ON|OFF|WAITING)-?")


def _net_caller_id(text: str) -> list[Field]:
    """The NetCallerID box: all in one line, dots between, `+++` at the end."""
    found = _NET_CALLER_ID.search(text)
    if found is None:
        return []
    lamp = _NET_LAMP.fullmatch(found[3].strip())
    if lamp:
        return [Field("lamp", "off" if lamp[1] == "OFF" else "on"), Field("end")]
    return [
        Field("date", found[1][:4]),
        Field("time", found[1][4:]),
        Field("number", found[2]),
        Field("name", found[3]),
        Field("end"),
    ]


_COLUMNS = re.compile(r" *\d\d? *\d?\d/\d\d")


def _fixed_columns(text: str) -> list[Field]:
    """TCI and Whozz Calling: a slash in column 9 and an M (of AM, PM) in column 24, from 0."""
    if len(text) < 30 or text[9] != "/" or text[24] != "M" or not _COLUMNS.match(text):
        return []
    return [
        Field("date", text[7:12].strip().rjust(5, "0")),
        Field("time", _hours_24(text[17:25].strip())),
        Field("number", text[29:44].strip()),
        Field("name", text[55:70].strip()),
        Field("end"),
    ]


def _hours_24(clock: str) -> str:
    """`9:05 PM` as 2105; what is no such time as it stands."""
    found = re.fullmatch(r"(\d?\d):(\d\d) ?([AP])M", clock)
    if found is None:
        return clock
    hour = int(found[1]) % 12 + (12 if found[3] == "P" else 0)
    return f"{hour:02}{found[2]}"


_HEX = re.compile(r"(?:55)*((?:[0-9A-F]{2}){4,300})", re.IGNORECASE)


def _raw_message(text: str) -> list[Field]:
    """A whole caller-ID message in hex; its length byte tells it from a number."""
    found = _HEX.fullmatch(text.strip())
    if found is None:
        return []
    data = bytes.fromhex(found[1])
    fits = data[0] in MESSAGE_TYPES and len(data) - data[1] in {2, 3}
    return [Field("message", found[1])] if fits else []


_DIGITS = re.compile(r"[0-9]{3,20}")


def _bare_digits(text: str) -> list[Field]:
    """ELINK: the number alone."""
    line = text.strip()
    return [Field("digits", line)] if _DIGITS.fullmatch(line) else []


_DIALECTS: Final[tuple[Callable[[str], list[Field]], ...]] = (
    _ring,
    _alert,
    _end_of_report,
    _keyed,
    _net_caller_id,
    _fixed_columns,
    _labelled,
    _from_to,
    _ring_with_number,
    _clip,
    _raw_message,
    _bare_digits,
)
