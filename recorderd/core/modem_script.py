"""What a modem is told, in which order, before it reports who calls.

The order of the enable commands is by how common they are (NCID, "Modems" page): the commands of
ITU-T V.253 first, then Rockwell's, then those of single makers. Most modems refuse what they do
not know, so the first that is accepted is the right one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator

RESET: Final = "ATZ"
"""To the stored profile, out of voice mode; it may be silent where that profile says so."""

BASE: Final = "ATQ0V1E1S0=0"
"""Answers on, in words, with echo (so that an answer shows what it answers); never pick up."""

BASE_ATTEMPTS = 3

IGNORE_DTR: Final = "AT&D0"
"""The port is closed and opened again while a call goes on; that must not reset the modem."""

IDENTIFY: Final = "ATI"
ATTENTION: Final = "AT"

ENABLE_COMMANDS: Final = (
    "AT+VCID=1",
    "AT#CID=1",
    "AT+FCLASS=8;+VCID=1",
    "AT#CLS=8#CID=1",
    "AT#CC1",
    "AT*ID1",
    "AT%CCID=1",
    "AT$JSCID=4,1",
    "AT$JSCD=1,0",
    "AT-STE=1;+VCID=1",
    "AT-STE=1;#CID=1",
    "AT-SCID=1;+VCID=1;-STE=3",
)

QUERIES: Final = {"AT+VCID=1": "AT+VCID?", "AT#CID=1": "AT#CID?"}
"""Asks whether caller ID is still on; a modem that lost power in between says 0."""

_OFF = re.compile(r"(?:[+#]V?CID: ?)?0")

CONEXANT: Final = "56000"

IDENTITIES: Final = {
    "5601": "U.S. Robotics 5637",
    CONEXANT: "Conexant CX930xx",
}
"""Answers to ATI, as the makers' firmware gives them."""

COUNTRY_COMMANDS: Final = {
    "JP": ("AT+GCI=00", "AT+VCDT=3"),
    "GB": ("AT+GCI=B4", "AT+VCDT=2"),
    "DE": ("AT+GCI=42",),
    "FR": ("AT+GCI=3D",),
}
"""Where caller ID is not sent as in North America: the country by its code of ITU-T T.35, and how
Silicon Laboratories' modems take the message (AN93: 2 United Kingdom, 3 Japan). A modem that
does not know these refuses them and goes on."""

CONEXANT_STANDARDS: Final = {
    "JP": ("AT!4886=01",),
    "FR": ("AT!4886=02",),
    "IT": ("AT!4886=02",),
    "ES": ("AT!4886=02",),
    "GB": ("AT!4886=03",),
}
"""The caller-ID standard of the CX930xx, as owners of these modems found it out."""

_IDENTITY_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Reply:
    """What came after a command. `result` is None where nothing did."""

    result: str | None
    lines: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        return self.result == "OK"

    @property
    def says_off(self) -> bool:
        """An answer to a query that caller ID is not enabled."""
        return any(_OFF.fullmatch(line) for line in self.lines)


@dataclass(frozen=True, slots=True)
class SetUp:
    """What the dialogue found. `caller_id_command` is None where every one was refused."""

    identity: str
    caller_id_command: str | None


def set_up(country: str) -> Generator[str, Reply, SetUp]:
    """The dialogue: yields each command, is sent its reply, returns what it found.

    `country` is ISO 3166 alpha-2, or empty where it makes no difference. Silence is not looked
    for here; whoever runs this gives up after a few commands without a reply.
    """
    yield RESET
    for _ in range(BASE_ATTEMPTS):
        if (yield BASE).is_ok:
            break
    yield IGNORE_DTR
    lines = (yield IDENTIFY).lines
    for command in country_commands(country, lines):
        yield command
    for command in ENABLE_COMMANDS:
        if (yield command).is_ok:
            return SetUp(identity_of(lines), command)
    return SetUp(identity_of(lines), None)


def country_commands(country: str, identity_lines: tuple[str, ...]) -> tuple[str, ...]:
    """What this country's caller ID needs besides, on a modem that calls itself so."""
    own = CONEXANT_STANDARDS.get(country, ()) if CONEXANT in identity_lines else ()
    return COUNTRY_COMMANDS.get(country, ()) + own


def identity_of(lines: tuple[str, ...]) -> str:
    """The answer to ATI, by the product's name where it is known."""
    text = " ".join(lines)[:_IDENTITY_CHARACTERS]
    name = next((IDENTITIES[line] for line in lines if line in IDENTITIES), None)
    return f"{name} ({text})" if name else text
