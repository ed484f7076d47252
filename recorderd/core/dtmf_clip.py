"""Caller ID sent as DTMF digits (ETSI EN 300 659-1 and -2, annexes, and national forms).

A letter opens a field and `C` or `#` ends the message: `A` the number, `D` a number that the call
was redirected from, `B` why there is no number. Belgium, Brazil, Finland, India, the Netherlands
and Sweden send `A<number>C` with any fields between, Denmark and the Netherlands also
`A<number>#` or, without a number, `D1#`, `D2#`, `D3#`; Taiwan and Kuwait send `D<number>C`. The
bare `<number>#` of older Danish and Dutch exchanges cannot be told from a person's keys.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from recorderd.core.callerid import CallerIdMessage, number_of

if TYPE_CHECKING:
    from recorderd.events import Absence

OPENERS: Final = "ABD"

_FIELDS = re.compile(r"(?:A(?P<number>[0-9]{0,20}))?(?:D[0-9]{0,20})?(?:B(?P<info>[0-9]{1,2}))?C")
_TAIWAN = re.compile(r"D(?P<number>[0-9]{3,20})C")
_SHORT = re.compile(r"A(?P<number>[0-9]{3,20})#|D(?P<reason>[123])#")
_BEGUN = re.compile(r"(?:A[0-9]{0,20})?(?:D[0-9]{0,20})?(?:B[0-9]{0,2})?")

# B00 and B10 as Asterisk's main/callerid.c has them; spandsp contradicts itself.
_INFO: Final[dict[str, Absence]] = {"00": "out-of-area", "0": "out-of-area", "10": "private"}
_REASONS: Final[dict[str, Absence]] = {
    "1": "private",
    "2": "out-of-area",  # an international call
    "3": "unavailable",  # for technical reasons
}


def is_begun(digits: str) -> bool:
    """Whether `digits` are the beginning of a message, to which more may come."""
    return digits[:1] in tuple(OPENERS) and _BEGUN.fullmatch(digits) is not None


def parse_dtmf_clip(digits: str) -> CallerIdMessage | None:
    """The message that these digits are, from the first to the last; None where they are none."""
    short = _SHORT.fullmatch(digits)
    if short:
        return _message(short["number"], _REASONS.get(short["reason"] or ""))
    taiwan = _TAIWAN.fullmatch(digits)
    if taiwan:
        return _message(taiwan["number"], None)
    fields = _FIELDS.fullmatch(digits)
    if fields and (fields["number"] or fields["info"]):
        return _message(fields["number"], _INFO.get(fields["info"] or ""))
    return None


def _message(number_text: str | None, absence: Absence | None) -> CallerIdMessage:
    number = None if absence else number_of(number_text or "")
    return CallerIdMessage(is_call=True, number=number, absence=absence)
