"""The corpus that fuzzing begins with: whole and damaged messages of every kind."""

from __future__ import annotations

from pathlib import Path

from tests.core.test_modem_properties import TEXTS
from tests.dsp import signals

FOUND = Path(__file__).parent / "found"
"""Inputs that once broke a target, by target: they stay in the test suite."""

DATE = (1, b"07251812")
MESSAGES = [
    signals.mdmf(DATE, (2, b"5035551234"), (7, b"M ROSSI")),
    signals.mdmf(DATE, (4, b"P"), (8, b"O")),
    signals.mdmf((3, b"5035551234"), (0x11, b"\x01"), (0x13, b"\x05")),
    signals.mdmf((0x0B, b"\xff"), kind=0x82),
    signals.sdmf(b"07251812", b"5035551234"),
    signals.sdmf(b"07251812", b"O"),
    signals.with_checksum(b"\x06\x03BBB"),
    signals.number_display((2, b"0312345678"), (4, b"S")),
    signals.number_display((2, b"03" + b"\x10" * 3)),
]
CLIPS = ["A5551212C", "A5551212D5550000B10C", "B00C", "A5551212#", "D1#", "D5551212C", "A555"]
KEYS = "0123456789ABCD*#"


def keys(text: str) -> bytes:
    return bytes(KEYS.index(key) for key in text)


def part(kind: bytes, level: int, body: bytes) -> bytes:
    return kind + bytes((level, len(body))) + body


def unsealed(message: bytes) -> bytes:
    """Without its checksum, for the targets that put one there."""
    if message.startswith(b"\x90\x81"):
        return b"d" + message[2:-4]
    return b"s" + message[:-1]


SEEDS: dict[str, list[bytes]] = {
    "frames": [
        *(b"0" + message for message in MESSAGES),
        *map(unsealed, MESSAGES),
        b"0" + MESSAGES[0][:20],
        b"0UUU" + MESSAGES[4],
        b"0\x0b\x01\xff",
        b"",
    ],
    "bits": [
        *(form + b"0" + message for message in MESSAGES for form in (b"c", b"b")),
        *(b"c" + unsealed(message) for message in MESSAGES),
    ],
    "digits": [*map(keys, CLIPS), *(text.encode() for text in CLIPS)],
    "modem": [
        *(text.encode() for text in TEXTS),
        b"".join(text.encode() for text in TEXTS[:8]),
        b"\r\nRING\r\n\xff\x64DATE=0321\r\nTIME=1405\r\n\xff\x64NMBR=5551212\r\n\xff\xffRING\r\n",
        *(message.hex().upper().encode() + b"\r\n\xff\xff" for message in MESSAGES),
        *(b"\xfe0" + message for message in MESSAGES),
        *(b"\xfe" + unsealed(message) for message in MESSAGES),
        b"\r\nOK\r\n\xff\x05" * 20,
        b"NMBR = 1\xffLNAME = X\r\n\xffO\r\nNMBR = 2\r\n",
    ],
    "ear": [
        *(bytes((place,)) + part(b"f", 128, b"0" + MESSAGES[place]) for place in range(7)),
        b"\x01" + part(b"v", 128, b"0" + MESSAGES[7]),
        b"\x05" + part(b"v", 128, unsealed(MESSAGES[0])) + b"n\x02\x40",
        b"\x00" + part(b"m", 200, MESSAGES[0]),
        *(b"\x09" + part(b"k", 255, keys(clip)) for clip in CLIPS),
        b"\x02n\xff\xffc\xff\xffc\x00\xff",
        b"\x0a" + part(b"r", 0, bytes(range(256))[:200]) + b"t\xff\x78",
    ],
}


def inputs_of(target: str) -> list[bytes]:
    """Seeds, and what was found before."""
    found = sorted((FOUND / target).glob("*"))
    return SEEDS[target] + [path.read_bytes() for path in found]
