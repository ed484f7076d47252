"""Does the modem answer, and does it tell who calls?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.doctor.outcome import Finding, Outcome, Value, skipped
from recorderd.events import (
    CallerIdReported,
    DriverLost,
    ModemBytes,
    ModemRang,
    ModemReady,
    ModemSilent,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recorderd.events import Caller, Fact, Input

SAME_DIGITS = 8
"""So many at the end are compared: what stands before depends on where the caller is."""


def has_settled(events: Sequence[Input | Fact]) -> bool:
    """Whether it is known how the modem is."""
    return any(
        isinstance(each, ModemReady | ModemSilent)
        or (isinstance(each, DriverLost) and each.kind == "modem")
        for each in events
    )


def judge_modem(line: str, port: str, events: Sequence[Input | Fact]) -> Outcome:
    """`events`: since its port was opened."""
    ready = [each for each in events if isinstance(each, ModemReady)]
    if ready:
        measured: dict[str, Value] = {
            "identity": ready[-1].identity or None,
            "caller_id_command": ready[-1].caller_id_command or None,
        }
        return Outcome("modem", line, measured)
    lost = [each for each in events if isinstance(each, DriverLost) and each.kind == "modem"]
    if lost:
        mend = (
            "plug it in, and name its port in line.modem.port as `recorderd devices` lists it "
            f"(it is {port or 'not named'})"
        )
        return Outcome("modem", line, {}, (Finding("modem-missing", lost[-1].reason, mend),))
    return Outcome("modem", line, {}, (_silent(events),))


def _silent(events: Sequence[Input | Fact]) -> Finding:
    said = b"".join(each.data for each in events if isinstance(each, ModemBytes))
    if b"ERROR" in said or b"OK" in said:
        return Finding(
            "modem-no-caller-id",
            "the modem answers, and refuses every command that turns caller ID on",
            "use a modem with caller ID for this country; hw/modem-and-pi.md names some",
        )
    if said:
        return Finding(
            "modem-babbles",
            "what is on the modem's port sends bytes, and does not answer AT",
            "check that line.modem.port is the modem's, and line.modem.baud",
        )
    return Finding(
        "modem-dead",
        "the modem does not answer",
        "check its power and its cable, unplug it and plug it in again, or use another one",
    )


def callers_of(events: Sequence[Input | Fact]) -> list[Caller]:
    """Who was reported to call."""
    return [each.caller for each in events if isinstance(each, CallerIdReported)]


def judge_caller_id(
    line: str,
    events: Sequence[Input | Fact],
    rings: int,
    called_from: str,
    in_audio: str | None,
    elsewhere: str | None = None,
) -> Outcome:
    """`events`: while somebody called. `rings`: bursts or rings, as many as were seen or heard.
    `called_from`: by what the person says (empty: not said). `in_audio`: the standard of a caller ID
    heard on the line. `elsewhere`: the other line whose modem rang then."""
    callers = callers_of(events)
    if not callers and rings == 1:
        why = "it was lifted after the first ring, and a number may come after that: call again"
        return skipped("caller-id", line, why)
    modem_rings = sum(isinstance(each, ModemRang) for each in events)
    number = callers[-1].number if callers else None
    measured: dict[str, Value] = {
        "number": None if number is None else f"…{number[-4:]}",
        "absence": callers[-1].absence if callers else None,
    }
    found = _caller_finding(modem_rings, rings, in_audio, was_told=bool(callers))
    if elsewhere is not None and found is not None and found.code == "modem-off-line":
        found = Finding("modem-elsewhere", *_elsewhere(line, elsewhere))
    if found is None and number is not None and not _same(number, called_from):
        found = Finding(
            "caller-id-wrong",
            f"the number reported ends in {number[-4:]}, and the call came from one that ends in "
            f"{called_from[-4:]}",
            "if that is not the number which the telephone company sends for that telephone, use another "
            "modem, or check a PBX in between",
        )
    return Outcome("caller-id", line, measured, () if found is None else (found,))


def _elsewhere(line: str, other: str) -> tuple[str, str]:
    return (
        f"when {line} rang, the modem of {other} noticed",
        f"change line.modem.port of {line} and {other} for each other, or the cables in their LINE jacks",
    )


def _same(number: str, called_from: str) -> bool:
    digits = "".join(each for each in called_from if each.isdigit())
    count = min(SAME_DIGITS, len(digits))  # some write the last four alone
    return not digits or digits[-count:] == number[-count:]


def _caller_finding(
    modem_rings: int, rings: int, in_audio: str | None, *, was_told: bool
) -> Finding | None:
    if was_told or rings < 2:
        return None
    if not modem_rings:
        return Finding(
            "modem-off-line",
            "the line rang and the modem did not notice: it is not plugged into this line",
            "plug the modem's LINE jack into the same line as the telephone, with a splitter",
        )
    sent = (
        ""
        if in_audio is None
        else f"; the line does send one ({in_audio}), and the modem missed it"
    )
    return Finding(
        "caller-id-missing",
        f"the line rang, and no caller ID came{sent}",
        "use a modem for this country's caller ID, and check its cable"
        if in_audio
        else "ask the telephone company whether caller ID (Number Display) is ordered for this line; a "
        "call that withholds its number shows that too",
    )
