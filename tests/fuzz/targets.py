"""What is fuzzed: each target takes bytes, runs a parser on what they stand for, and judges the result.

A target raises where the parser lets anything but its own error out, or hands over a message whose
checksum is wrong. Checksums are worked out here in another way than in the code under test.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recorderd.commands import WriteModem
from recorderd.config.profiles import every_tone
from recorderd.core import callerid
from recorderd.core.callerid import CallerIdMessage, FrameError
from recorderd.core.dtmf_clip import is_begun, parse_dtmf_clip
from recorderd.core.modem import ModemMachine
from recorderd.core.modem_text import LINE_BYTES
from recorderd.dsp import fsk
from recorderd.dsp.cpfsk import Bits
from recorderd.dsp.hearing import CallerIdHeard, DigitHeard, Ear
from recorderd.events import (
    CallerIdReported,
    DriverLost,
    DriverReady,
    ModemBytes,
    RingingStarted,
    TimePassed,
)
from recorderd.units import MonoNs, ms, seconds
from tests.dsp import signals

Target = Callable[[bytes], None]

MESSAGE_TYPES = {0x04, 0x06, 0x80, 0x82}
DLE, SOH, STX, ETX = 0x90, 0x81, 0x82, 0x03
KEYS = "0123456789ABCD*#"
LINE = "front-desk"


class WrongError(AssertionError):
    """The parser gave what it must not give."""


def demand(condition: object, what: str) -> None:
    if not condition:
        raise WrongError(what)


# ---------------------------------------------------------------- checksums, worked out anew


MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc(data: bytes) -> bytes:
    """The CRC of Number Display by the standard library's, whose bits run the other way."""
    other_way = binascii.crc_hqx(data.translate(MIRRORED), 0)
    return other_way.to_bytes(2, "big").translate(MIRRORED)


def has_right_sum(data: bytes) -> bool:
    """The last of the bytes that the length asks for makes the sum 0."""
    whole = data[: data[1] + 3]
    return len(whole) == data[1] + 3 and (256 - sum(whole[:-1]) % 256) % 256 == whole[-1]


_DISPLAY = re.compile(rb"\x90\x81((?:[^\x90]|\x90[\x90\x82])*\x90\x03)(..)", re.DOTALL)


def has_right_crc(data: bytes) -> bool:
    found = _DISPLAY.match(data)
    return found is not None and crc(found[1]) == found[2]


def demand_checksum(standard: str, raw: str) -> None:
    if standard == "dtmf-clip":
        demand(parse_dtmf_clip(raw), "digits that are no message")
    elif standard == "number-display":
        demand(has_right_crc(bytes.fromhex(raw)), "a Number Display message with a wrong CRC")
    else:
        demand(has_right_sum(bytes.fromhex(raw)), "a message with a wrong checksum")


def demand_sense(message: CallerIdMessage) -> None:
    number, name = message.number, message.name
    demand(number is None or message.absence is None, "a number and a reason why there is none")
    demand(number is None or re.fullmatch(r"\+?[0-9]+", number), "a number that is none")
    demand(name is None or (name and name.isprintable()), "a name that steers a terminal")
    for moment in (message.reported_date, message.reported_time):
        demand(moment is None or moment.isprintable(), "a time that steers a terminal")


# ---------------------------------------------------------------- messages in bytes


def completed(data: bytes) -> bytes:
    """The first byte says what is put behind the rest: nothing, or a right checksum of one kind or
    the other, so that what lies behind the check is tried as often as the check."""
    kind, body = data[:1], data[1:]
    if kind == b"s":
        return signals.with_checksum(body)
    if kind == b"d":
        return b"\x90\x81" + body + b"\x90\x03" + crc(body + b"\x90\x03")
    return body


def with_damage(frame: bytes) -> list[bytes]:
    """The frame, and two of it with a byte turned: the last one, and one by what is in it.

    The fuzzer would not do it: it goes on only from inputs that reach what no shorter one does, and
    a damaged message takes no other branches than garbage where its check is not looked at.
    """
    if not frame:
        return [frame]
    variants = [frame]
    for place in (len(frame) - 1, sum(frame) % len(frame)):
        turned = bytes((frame[place] ^ (sum(frame) % 255 + 1),))
        variants.append(frame[:place] + turned + frame[place + 1 :])
    return variants


def frames(data: bytes) -> None:
    """SDMF, MDMF and Number Display, as the line and as modems hand them over."""
    for frame in with_damage(completed(data)):
        for parse in (
            callerid.parse_frame,
            callerid.parse_raw_report,
            callerid.parse_parameter,
            callerid.parse_number_display,
            callerid.own_bytes,
            callerid.is_plausible,
        ):
            try:
                result = parse(frame)
            except FrameError:
                continue
            _judge_frame(parse, frame, result)


def _judge_frame(parse: Callable[[bytes], object], frame: bytes, result: object) -> None:
    if isinstance(result, CallerIdMessage):
        demand_sense(result)
    if parse is callerid.parse_frame:
        demand(frame[0] in MESSAGE_TYPES, "a message of no type")
        demand(has_right_sum(frame), "a message with a wrong checksum")
    elif parse is callerid.parse_number_display:
        demand(has_right_crc(frame), "a Number Display message with a wrong CRC")
    elif parse is callerid.parse_raw_report:
        own = frame.lstrip(b"\x55")
        bare = len(own) == own[1] + 2  # from a modem that leaves the checksum out
        demand(bare or has_right_sum(own), "a report with a wrong checksum")
    elif parse is callerid.own_bytes:
        demand(isinstance(result, bytes) and frame.startswith(result), "bytes that did not come")


# ---------------------------------------------------------------- messages in bits


def bits(data: bytes) -> None:
    """Characters out of decided bits: after mark, each byte of data is a character or eight bits."""
    for body in with_damage(completed(data[1:])):
        _read_bits(data[:1], body)


def _read_bits(form: bytes, body: bytes) -> None:
    as_characters = [bit for byte in body for bit in signals.character(byte)]
    as_bits = [(byte >> place) & 1 for byte in body for place in range(8)]
    values = np.array([1] * 40 + (as_bits if form == b"b" else as_characters) + [1] * 20, np.int8)
    count = len(values)
    sure = Bits(values, np.arange(count) * 6.67, np.full(count, 100.0), np.full(count, 1 + 0j))
    for (message, raw), last in fsk._messages(sure):
        demand_sense(message)
        demand(0 < last <= count, "a message that ends beyond its bits")
        standard = fsk._standard("v23", (message, raw))
        demand_checksum(standard, raw.hex())


# ---------------------------------------------------------------- digits


def digits(data: bytes) -> None:
    """Each byte a key; or, where they are text, whatever text."""
    for text in ("".join(KEYS[byte % 16] for byte in data), data.decode("utf-8", "replace")):
        message = parse_dtmf_clip(text)
        begun = is_begun(text)
        if message is None:
            continue
        demand_sense(message)
        demand(message.is_call, "a call that is none")
        demand(text[0] in "ABD" and text[-1] in "C#", "a message without its letters")
        demand(not begun, "a whole message to which more may come")
        demand(message.number is None or message.number in text, "a number that was not sent")


# ---------------------------------------------------------------- a modem's text


def modem(data: bytes) -> None:
    """A stream of a modem's bytes. After FF a byte says how long it is quiet, or what happens. What
    begins with FE is a message that a modem in raw mode gives in hex."""
    if not data.startswith(b"\xfe"):
        _run_modem(data)
        return
    for message in with_damage(completed(data[1:])):
        _run_modem(message.hex().upper().encode() + b"\r\n")


def _run_modem(data: bytes) -> None:
    machine, at = ModemMachine(LINE, "JP"), MonoNs(seconds(5))
    outputs = list(machine.handle(DriverReady(at, "modem", LINE)))
    pieces = data.split(b"\xff")
    for place, piece in enumerate(pieces):
        if place:
            what, piece = piece[:1], piece[1:]  # noqa: PLW2901  (the rest of the same piece)
            at = MonoNs(at + ms(20 * (what or b"\0")[0]))
            event = {
                b"L": DriverLost(at, "modem", LINE, "gone"),
                b"O": DriverReady(at, "modem", LINE),
            }
            event |= {b"R": RingingStarted(at, LINE)}
            outputs += machine.handle(event.get(what, TimePassed(at)))
        outputs += machine.handle(ModemBytes(at, LINE, piece))
        demand(len(machine._cutter._buffer) <= LINE_BYTES, "a line without end")
    outputs += machine.handle(TimePassed(MonoNs(at + seconds(2))))
    for output in outputs:
        if isinstance(output, CallerIdReported):
            _judge_report(output)
        elif isinstance(output, WriteModem):
            demand(output.data.endswith(b"\r"), "half a command")


_HEX_LINE = re.compile(r"(?:55)*((?:[0-9A-F]{2})+)", re.IGNORECASE)


def _judge_report(report: CallerIdReported) -> None:
    caller = report.caller
    demand(caller.number is None or caller.absence is None, "a number and a reason for none")
    demand(caller.number is None or re.fullmatch(r"\+?[0-9]+", caller.number), "a wrong number")
    demand(caller.name is None or caller.name.isprintable(), "a name that steers a terminal")
    demand(len(caller.raw) <= 1000, "a report without end")
    found = _HEX_LINE.fullmatch(caller.raw)
    if found is None or caller.number is None:
        return
    data = bytes.fromhex(found[1])
    if data[0] in MESSAGE_TYPES and len(data) == data[1] + 3:
        is_number_itself = caller.raw == caller.number
        demand(is_number_itself or has_right_sum(data), "a report with a wrong checksum")


# ---------------------------------------------------------------- sound

TONES = every_tone()

SOUND_S = 1.5
"""At the most: decoding a burst takes some hundredths of a second."""


def sound_of(data: bytes) -> np.ndarray:
    """Sound that bytes describe: a letter for its kind, a level, a length, and what is in it."""
    parts, left, place = [np.zeros(800)], SOUND_S, 0
    random = np.random.default_rng(len(data))
    while place + 3 <= len(data) and left > 0:
        kind, level, length = data[place : place + 1], data[place + 1] / 255, data[place + 2]
        body = data[place + 3 : place + 3 + length]
        place += 3
        if kind in {b"f", b"v", b"m", b"k", b"r"}:
            place += len(body)
        part = _part(kind, level, length, body, random)[: round(left * 8000)]
        left -= len(part) / 8000
        parts.append(part)
    return np.clip(np.rint(np.concatenate(parts) * 32768), -32768, 32767).astype(np.int16)


def _part(
    kind: bytes, level: float, length: int, body: bytes, random: np.random.Generator
) -> np.ndarray:
    if kind in {b"f", b"v"}:
        tones = signals.TONES["bell202" if kind == b"f" else "v23"]
        burst = signals.bits_of(completed(body), 60, 80)
        return 2 * level * signals.cpfsk(burst, tones)
    if kind == b"m":  # mark and raw bits
        line = [1] * 80 + [(byte >> bit) & 1 for byte in body for bit in range(8)]
        return level * signals.cpfsk(line, signals.TONES["bell202"], 0.0)
    if kind == b"k":
        return level * signals.digits(
            "".join(KEYS[byte % 16] for byte in body) or "0", 0.06, 0.06, -6
        )
    if kind == b"r":
        return np.frombuffer(body[: len(body) // 2 * 2], "<i2") / 32768
    if kind == b"n":
        return random.normal(0, level, 20 * length)
    if kind == b"c":
        return np.full(20 * length, 2 * level - 1)
    return level * signals.tone((10.0 * length,), 0.2, 0.0)


def ear(data: bytes) -> None:
    """The whole ear on short blocks of sound, whose sizes come from the same bytes."""
    samples, listener = sound_of(data[1:]), Ear(tones=TONES)
    size = 1 + 16 * (data[0] if data else 0)
    heard = []
    for start in range(0, len(samples), size):
        heard += listener.feed(samples[start : start + size])
    for each in heard + listener.finish():
        stop = len(samples) if each.stop is None else each.stop  # a tone that has only begun
        demand(0 <= each.start < stop <= len(samples) + 8000, "something outside the sound")
        if isinstance(each, DigitHeard):
            demand(each.digit in KEYS, "a digit that no phone has")
        if isinstance(each, CallerIdHeard):
            demand_sense(each.message)
            demand_checksum(each.standard, each.raw)


# ---------------------------------------------------------------- all of them


@dataclass(frozen=True)
class Fuzzed:
    run: Target
    share: int  # of the time
    length_max: int


TARGETS = {
    "frames": Fuzzed(frames, 2, 300),
    "bits": Fuzzed(bits, 2, 300),
    "digits": Fuzzed(digits, 1, 60),
    "modem": Fuzzed(modem, 3, 1500),
    "ear": Fuzzed(ear, 4, 400),
}
