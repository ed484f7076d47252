"""Faults to put into the parsers, each of which fuzzing must find within seconds.

A fuzzer that finds nothing proves nothing until it was seen to find something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.core import callerid, dtmf_clip, modem_report, modem_text
from recorderd.dsp import fsk

if TYPE_CHECKING:
    from collections.abc import Callable


def _no_checksum() -> None:
    """A message whose checksum is wrong gives a caller."""
    callerid.parse_frame = lambda data: callerid._parse_body(data[0], callerid._body(data))


def _no_crc() -> None:
    callerid.crc16_reflected = lambda data: 0


def _no_length() -> None:
    """A parameter's length is not held against the message."""

    def parameters(body: bytes) -> dict[int, bytes]:
        found, position = {}, 0
        while position < len(body):
            length = body[position + 1]
            found.setdefault(body[position], body[position + 2 : position + 2 + length])
            position += 2 + length
        return found

    callerid._parameters = parameters


def _bits_without_a_check() -> None:
    def parse(data: bytes):
        try:
            own = callerid.own_bytes(data)
            return callerid._parse_body(own[0], callerid._body(own)), own
        except callerid.FrameError:
            return None

    fsk._parse = parse


def _any_digits() -> None:
    """A row of digits without its last letter is a message too."""
    dtmf_clip._TAIWAN = dtmf_clip.re.compile(r"D(?P<number>[0-9]{3,20})C?")


def _report_without_a_check() -> None:
    def parse(data: bytes):
        frame = data.lstrip(b"\x55")
        return callerid._parse_body(frame[0], callerid._body(frame))

    modem_report.parse_raw_report = parse


def _odd_hex() -> None:
    modem_text._HEX = modem_text.re.compile(r"(?:55)*([0-9A-F]{8,600})", modem_text.re.IGNORECASE)


def _name_as_it_came() -> None:
    """Characters that steer a terminal stay in the name."""
    callerid.readable = lambda data: data.decode("latin-1")


PLANTS: dict[str, tuple[str, Callable[[], None]]] = {
    "a checksum that is not looked at": ("frames", _no_checksum),
    "a CRC that is not looked at": ("frames", _no_crc),
    "a length that is not looked at": ("frames", _no_length),
    "a name that steers a terminal": ("frames", _name_as_it_came),
    "bits that are not checked": ("bits", _bits_without_a_check),
    "digits without an end": ("digits", _any_digits),
    "a modem's message that is not checked": ("modem", _report_without_a_check),
    "hex of odd length": ("modem", _odd_hex),
    "sound that is not checked": ("ear", _bits_without_a_check),
}
