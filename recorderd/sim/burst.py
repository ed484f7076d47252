"""The burst in which an exchange sends who calls, as sound: what a line without a modem is heard by.

Three forms: Bell 202 and V.23 with a message of parameters (MDMF; Telcordia GR-30-CORE, ETSI
EN 300 659-1 annex A), and Japan's Number Display over V.23 (7 bits and even parity, DLE framing,
CRC-16, no channel seizure). The tones are continuous in phase, at 1,200 bits a second.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from recorderd.core.callerid import crc16_reflected

Form = Literal["bell202", "v23", "number-display"]

FORMS: Final[tuple[Form, ...]] = get_args(Form)

TONES_HZ: Final = {"bell202": (1200.0, 2200.0), "v23": (1300.0, 2100.0)}  # mark, space
BITS_PER_S = 1200

DATE_TIME, NUMBER, NO_NUMBER, NAME = 0x01, 0x02, 0x04, 0x07  # parameters of MDMF

_SEIZURE_BITS = 300
_MARK_BITS = {"bell202": 180, "v23": 80, "number-display": 80}
_TAIL_BITS = 4


def burst_bits(form: Form, fields: tuple[tuple[str, str], ...]) -> list[int]:
    """The bits of a report: its tags (DATE, TIME, NMBR, NAME) and values, as a modem prints them."""
    values = dict(fields)
    number = values.get("NMBR", "")
    kind = NUMBER if number[:1].isdigit() else NO_NUMBER
    parameters = [(kind, number.encode("ascii"))]
    if "NAME" in values:
        parameters.append((NAME, values["NAME"].encode("ascii", "replace")))
    if form == "number-display":
        return bits_of(number_display(*parameters), 0, _MARK_BITS[form], tail=_TAIL_BITS)
    if "DATE" in values and "TIME" in values:
        parameters.insert(0, (DATE_TIME, (values["DATE"] + values["TIME"]).encode("ascii")))
    return bits_of(mdmf(*parameters), _SEIZURE_BITS, _MARK_BITS[form], tail=_TAIL_BITS)


def burst_samples(
    form: Form, fields: tuple[tuple[str, str], ...], rate_hz: int
) -> npt.NDArray[np.float64]:
    """The burst at a sampling rate, from -1 to 1."""
    tones_hz = TONES_HZ["bell202" if form == "bell202" else "v23"]
    return cpfsk(burst_bits(form, fields), tones_hz, rate_hz)


def burst_ns(form: Form, fields: tuple[tuple[str, str], ...]) -> int:
    """How long it lasts, in nanoseconds."""
    return len(burst_bits(form, fields)) * 1_000_000_000 // BITS_PER_S


def mdmf(*parameters: tuple[int, bytes], kind: int = 0x80) -> bytes:
    """A message of parameters (number, value) with its checksum."""
    body = b"".join(bytes((number, len(value))) + value for number, value in parameters)
    return with_checksum(bytes((kind, len(body))) + body)


def with_checksum(message: bytes) -> bytes:
    """The sum of all bytes is a multiple of 256."""
    return message + bytes((-sum(message) % 256,))


def number_display(*parameters: tuple[int, bytes]) -> bytes:
    """A message in the frame of Japan's Number Display, every byte with its parity."""
    body = b"".join(bytes((number, len(value))) + value for number, value in parameters)
    inner = bytes((0x40, len(body))) + body
    stuffed = inner[1:].replace(b"\x10", b"\x10\x10")
    wire = bytes(_even(byte) for byte in b"\x07\x10\x02\x40" + stuffed + b"\x10\x03")
    head = bytes(_even(byte) for byte in b"\x10\x01")
    return head + wire + crc16_reflected(wire).to_bytes(2, "little")


def bits_of(message: bytes, seizure: int, mark: int, stops: int = 1, tail: int = 4) -> list[int]:
    """Channel seizure, mark, the characters with start and stop bits, and mark at the end."""
    body = [bit for byte in message for bit in character(byte, stops)]
    return [place % 2 for place in range(seizure)] + [1] * mark + body + [1] * tail


def character(byte: int, stops: int = 1) -> list[int]:
    """Start bit, eight bits from the lowest, stop bits."""
    return [0, *((byte >> place) & 1 for place in range(8)), *[1] * stops]


def cpfsk(
    bits: list[int],
    tones_hz: tuple[float, float],
    rate_hz: float,
    speed: float = 1.0,
    phase: float = 0.0,
) -> npt.NDArray[np.float64]:
    """Tones for bits (mark 1, space 0); bits change at the next sample. `speed` is the sender's clock."""
    length = rate_hz / BITS_PER_S / speed
    which = np.minimum((np.arange(int(len(bits) * length)) / length).astype(int), len(bits) - 1)
    frequency = np.where(np.array(bits)[which] == 1, tones_hz[0], tones_hz[1]) * speed
    angle = phase + 2 * np.pi * np.cumsum(frequency) / rate_hz
    return np.asarray(np.sin(angle), np.float64)


def _even(byte: int) -> int:
    return byte | 0x80 if byte.bit_count() % 2 else byte
