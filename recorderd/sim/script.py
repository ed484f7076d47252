r"""The `.line` format: what the outside world did, one event a line.

    day 2026-11-23T08:50:00+09:00        # first moment, with its UTC offset; must come first
    seed 7                               # optional: another contact bounce, another conversation
    09:01:30  front-desk  inbound number=0312345678 answer=6 talk=40
    +12.5     front-desk  flash 600
    09:30:00  "Sim card"  card overrun 120

A time is a time of day (`HH:MM:SS`, decimals allowed, hours count on past 24 for the next day) or
`+SECONDS` after the start of the event above. A bare word names a line, quotes a sound card.
Arguments hold blanks only between double quotes, where `\r \n \t \\ \"` and `\xNN` are understood.
`#` at the start of a word opens a comment.

Raw verbs say what the sensors saw; the others are expanded by exchange.py as the country does it:

    hook off|on        ring-edge on|off      modem-bytes "TEXT"     modem unplug|plug
    inbound [number=N] [name=TEXT] [absence=private|payphone|out-of-area|unavailable] [rings=N]
            answer=SECONDS|never [talk=SECONDS [busy=SECONDS]] [late-id=SECONDS]
            [cid=before|between|none]
    outbound dial=DIGITS [by=tone|pulse] [pps=10|20] talk=SECONDS [busy=SECONDS]
    flash MS           closure SECONDS       message-waiting on|off
    card lost|back     card overrun MS
    fault KIND         fault network COUNTRY

A fault (faults.py) holds all the time and stands at the day's first moment. Its kinds name a line; those
of the box itself (its clock, disk and power) name `box`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from importlib import resources
from typing import TYPE_CHECKING, NoReturn, TypeVar

from recorderd.errors import ConfigError
from recorderd.sim.actions import (
    CardAction,
    CardBack,
    CardLost,
    CardOverrun,
    Closure,
    Fault,
    Flash,
    Hook,
    Inbound,
    LineAction,
    MessageWaiting,
    ModemPlug,
    ModemText,
    Outbound,
    RingLevel,
    Script,
    ScriptEvent,
)
from recorderd.sim.faults import BOX_FAULTS, LINE_FAULTS
from recorderd.units import NS_PER_S, ms, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from recorderd.events import Absence
    from recorderd.sim.actions import CallerIdMoment

# A day recorded edge by edge is a few megabytes; a longer file is not a script.
SCRIPT_LIMIT_BYTES = 16 * 1024 * 1024
LINE_LIMIT_CHARACTERS = 4096  # a whole screenful; modem-bytes can be split into several events
SCRIPT_LIMIT_NS = seconds(7 * 86_400)
PROBLEMS_LIMIT = 50  # enough to mend a file by, and a wrong file does not flood the terminal

DEFAULT_SEED = 1
LAST_HOUR = 47

_WORD = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^\s"])+')
_TIME_OF_DAY = re.compile(r"(\d{2}):([0-5]\d):([0-5]\d(?:\.\d{1,9})?)")
_DECIMAL = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPED = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\", '"': '"'}

Value = TypeVar("Value")


class _Wrong(Exception):  # noqa: N818 - it never leaves this file
    """What is wrong with the line in hand."""


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    quoted: bool


def load_script(name: str, config_dir: Path) -> Script:
    """Read a script by path (relative to `config_dir`) or by the name of one that ships.

    Raises ConfigError: not there, not text, too long, or with every wrong line of it.
    """
    path = config_dir / name
    shipped = resources.files("recorderd") / "data" / name
    source = path if path.is_file() or not shipped.is_file() else shipped
    try:
        with source.open("rb") as file:
            content = file.read(SCRIPT_LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{path}: the script cannot be read: {error.strerror}"]) from error
    if len(content) > SCRIPT_LIMIT_BYTES:
        raise ConfigError([f"{path}: longer than {SCRIPT_LIMIT_BYTES} bytes; split the script"])
    try:
        return parse_script(content.decode("utf-8"), str(source))
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 text at byte {error.start}; convert it"]) from error


def parse_script(text: str, origin: str) -> Script:
    """Read a script's text; `origin` is the file name in messages.

    Raises ConfigError with one `origin:line: …` for each wrong line.
    """
    parser = _Parser(origin)
    for number, line in enumerate(text.split("\n"), start=1):
        parser.take(number, line)
    return parser.script()


class _Parser:
    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._day: datetime | None = None
        self._seed = DEFAULT_SEED
        self._events: list[ScriptEvent] = []
        self._previous_ns = 0
        self._problems: list[str] = []

    def take(self, number: int, line: str) -> None:
        if len(self._problems) >= PROBLEMS_LIMIT:
            return
        try:
            if words := _words(line):
                self._read(number, words)
        except _Wrong as wrong:
            self._problems.append(f"{self._origin}:{number}: {wrong}")

    def script(self) -> Script:
        if self._day is None and not self._problems:
            self._problems.append(f"{self._origin}:1: no `day` line; begin with {_DAY_EXAMPLE}")
        if self._day is None or self._problems:
            raise ConfigError(self._problems)
        events = tuple(sorted(self._events, key=lambda event: event.after_ns))
        return Script(self._origin, self._day, self._seed, events)

    def _read(self, number: int, words: list[_Word]) -> None:
        if words[0].text == "day":
            self._read_day(words[1:])
        elif words[0].text == "seed":
            self._seed = _whole(_only(words[1:], "seed needs one whole number"), 0, 2**31)
        else:
            self._events.append(self._event(number, words))

    def _read_day(self, words: list[_Word]) -> None:
        text = _only(words, f"day needs one moment, such as {_DAY_EXAMPLE}")
        if self._day is not None:
            raise _Wrong("a second `day` line; a script has one")
        try:
            day = datetime.fromisoformat(text)
        except ValueError:
            raise _Wrong(f"day {text}: no such moment; write it like {_DAY_EXAMPLE}") from None
        if day.tzinfo is None:
            raise _Wrong(f"day {text}: the UTC offset is missing; write it like {_DAY_EXAMPLE}")
        if not 2000 <= day.year < 2100:
            raise _Wrong(f"day {text}: allowed: the years 2000 to 2099")
        self._day = day

    def _event(self, number: int, words: list[_Word]) -> ScriptEvent:
        if self._day is None:
            raise _Wrong(f"an event before the `day` line; begin with {_DAY_EXAMPLE}")
        if len(words) < 3:
            raise _Wrong("too short; write TIME LINE VERB [arguments]")
        after_ns = self._moment(words[0].text, self._day)
        if after_ns > SCRIPT_LIMIT_NS:
            raise _Wrong("more than a week after the day's first moment; split the script")
        self._previous_ns = after_ns
        action = _action(words[1], words[2].text, words[3:])
        return ScriptEvent(after_ns, words[1].text, action, number)

    def _moment(self, text: str, day: datetime) -> int:
        if text.startswith("+"):
            return self._previous_ns + _seconds_between(text[1:], 0, 86_400)
        match = _TIME_OF_DAY.fullmatch(text)
        if match is None or int(match[1]) > LAST_HOUR:
            raise _Wrong(f"{text}: no time; write HH:MM:SS (up to {LAST_HOUR} hours) or +SECONDS")
        since_midnight_ns = (int(match[1]) * 3600 + int(match[2]) * 60) * NS_PER_S + _ns(match[3])
        after_ns = since_midnight_ns - _since_midnight_ns(day)
        if after_ns < 0:
            raise _Wrong(
                f"{text}: before the day's first moment, {day:%H:%M:%S}; "
                "hours count on past 24 for the next day"
            )
        return after_ns


_DAY_EXAMPLE = "`day 2026-11-23T08:50:00+09:00`"


# ---------------------------------------------------------------- words and values


def _words(line: str) -> list[_Word]:
    """Split a line at blanks outside quotes, up to its comment."""
    if len(line) > LINE_LIMIT_CHARACTERS:
        raise _Wrong(f"longer than {LINE_LIMIT_CHARACTERS} characters; split it")
    words: list[_Word] = []
    rest = line.strip()
    while rest and not rest.startswith("#"):
        match = _WORD.match(rest)
        if match is None:
            raise _Wrong("a double quote is never closed")
        words.append(_unquoted(match[0]))
        rest = rest[match.end() :].lstrip()
    return words


def _unquoted(raw: str) -> _Word:
    text = re.sub(r'"((?:[^"\\]|\\.)*)"', lambda quoted: _unescaped(quoted[1]), raw)
    return _Word(text, raw.startswith('"'))


def _unescaped(text: str) -> str:
    def plain(escape: re.Match[str]) -> str:
        code = escape[1]
        if len(code) == 3:
            return chr(int(code[1:], 16))
        if code not in _ESCAPED:
            raise _Wrong(rf"\{code}: no such escape; allowed: \r \n \t \\ \" \xNN")
        return _ESCAPED[code]

    return _ESCAPE.sub(plain, text)


def _only(words: list[_Word], problem: str) -> str:
    if len(words) != 1:
        raise _Wrong(problem)
    return words[0].text


def _ns(decimal: str) -> int:
    """A checked decimal of seconds as nanoseconds, without going through a float."""
    whole, _, fraction = decimal.partition(".")
    return int(whole) * NS_PER_S + int(fraction.ljust(9, "0"))


def _since_midnight_ns(day: datetime) -> int:
    whole_s = day.hour * 3600 + day.minute * 60 + day.second
    return seconds(whole_s) + day.microsecond * 1000


def _whole(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most):
        raise _Wrong(f"{text}: allowed: a whole number from {least} to {most}")
    return int(text)


def _seconds_between(text: str, least_s: float, most_s: float) -> int:
    """A decimal number of seconds as nanoseconds."""
    if _DECIMAL.fullmatch(text) and seconds(least_s) <= _ns(text) <= seconds(most_s):
        return _ns(text)
    raise _Wrong(f"{text}: allowed: {least_s:g} to {most_s:g} seconds")


def _choice(text: str, what: str, choices: dict[str, Value]) -> Value:
    if text not in choices:
        _unknown(text, what, choices)
    return choices[text]


def _unknown(text: str, what: str, allowed: Iterable[str]) -> NoReturn:
    names = list(allowed)
    close = get_close_matches(text, names, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    raise _Wrong(f"{text}: unknown {what}{hint} (allowed: {', '.join(names)})")


# ---------------------------------------------------------------- verbs

Words = list[_Word]
_ON_OFF = {"on": True, "off": False}


def _action(target: _Word, verb: str, words: Words) -> LineAction | CardAction:
    if verb not in _VERBS:
        _unknown(verb, "verb", _VERBS)
    if target.quoted != (verb == "card"):
        wanted = "a sound card's name in quotes" if verb == "card" else "a line's name, not quoted"
        raise _Wrong(f"{verb} is about {wanted}; found {target.text}")
    try:
        return _VERBS[verb](words)
    except _Wrong as wrong:
        raise _Wrong(f"{verb}: {wrong}") from None


def _one(words: Words, needs: str) -> str:
    return _only(words, f"needs {needs} and nothing else")


def _hook(words: Words) -> Hook:
    return Hook(_choice(_one(words, "off or on"), "state", {"off": True, "on": False}))


def _ring_edge(words: Words) -> RingLevel:
    return RingLevel(_choice(_one(words, "on or off"), "state", _ON_OFF))


def _modem_bytes(words: Words) -> ModemText:
    text = _one(words, "one text in quotes")
    # A character up to U+00FF is the byte that \xNN names; every other one is sent as UTF-8.
    data = b"".join(bytes([ord(c)]) if ord(c) < 256 else c.encode() for c in text)
    return ModemText(data)


def _modem(words: Words) -> ModemPlug:
    return ModemPlug(_choice(_one(words, "plug or unplug"), "act", {"plug": True, "unplug": False}))


def _flash(words: Words) -> Flash:
    return Flash(ms(_whole(_one(words, "milliseconds"), 10, 5000)))


def _closure(words: Words) -> Closure:
    return Closure(_seconds_between(_one(words, "seconds"), 0.1, 10))


def _message_waiting(words: Words) -> MessageWaiting:
    return MessageWaiting(_choice(_one(words, "on or off"), "state", _ON_OFF))


def _card(words: Words) -> CardAction:
    texts = [word.text for word in words]
    match texts:
        case ["lost"]:
            return CardLost()
        case ["back"]:
            return CardBack()
        case ["overrun", duration]:
            # Longer than a second is a card that stands still, which is `lost` and `back`.
            return CardOverrun(ms(_whole(duration, 1, 1000)))
        case _:
            raise _Wrong("needs lost, back, or overrun MS")


def _fault(words: Words) -> Fault:
    match [word.text for word in words]:
        case ["network", country]:
            return Fault("network", country.upper())
        case [kind]:
            known = {name: name for name in (*LINE_FAULTS, *BOX_FAULTS, "network")}
            return Fault(_choice(kind, "fault", known))
        case _:
            raise _Wrong("needs a kind, or network COUNTRY")


def _inbound(words: Words) -> Inbound:
    fields = _fields(
        words, ("number", "name", "absence", "rings", "answer", "talk", "busy", "late-id", "cid")
    )
    call = Inbound(
        number=_optional(fields, "number", _number),
        name=_optional(fields, "name", _name),
        absence=_optional(fields, "absence", lambda text: _choice(text, "reason", _ABSENCES)),
        rings=_optional(fields, "rings", lambda text: _whole(text, 1, 60)),
        answer_ns=_required(fields, "answer", _answer),
        talk_ns=_optional(fields, "talk", _talk) or 0,
        busy_ns=_optional(fields, "busy", _talk) or 0,
        late_id_ns=_optional(fields, "late-id", lambda text: _seconds_between(text, 0, 600)),
        caller_id=_optional(fields, "cid", lambda text: _choice(text, "moment", _MOMENTS)),
    )
    _check_caller(call)
    _check_answer(call, talk_given="talk" in fields)
    if "busy" in fields and call.answer_ns is None:
        raise _Wrong("busy= comes after talk=, and excludes answer=never")
    return call


def _check_caller(call: Inbound) -> None:
    if call.number is not None and call.absence is not None:
        raise _Wrong("number= and absence= exclude each other")
    if call.name is not None and call.number is None:
        raise _Wrong("name= needs number=")
    if call.caller_id == "none" and (call.number is not None or call.absence is not None):
        raise _Wrong("cid=none sends nothing: leave out number=, name= and absence=")
    if call.caller_id != "none" and call.number is None and call.absence is None:
        raise _Wrong("give number=, absence= or cid=none")


def _check_answer(call: Inbound, *, talk_given: bool) -> None:
    if (call.answer_ns is None) == talk_given:
        raise _Wrong("answer=SECONDS needs talk=, and answer=never excludes it")
    if call.late_id_ns is None:
        return
    if call.answer_ns is None or call.late_id_ns > call.talk_ns or call.caller_id is not None:
        raise _Wrong("late-id= comes during talk=, and excludes answer=never and cid=")


def _outbound(words: Words) -> Outbound:
    fields = _fields(words, ("dial", "by", "pps", "talk", "busy"))
    by_pulse = _optional(fields, "by", lambda text: _choice(text, "way", _WAYS)) or False
    if "pps" in fields and not by_pulse:
        raise _Wrong("pps= needs by=pulse")
    return Outbound(
        dial=_required(fields, "dial", _pulse_digits if by_pulse else _tone_digits),
        by_pulse=by_pulse,
        pulses_per_s=_optional(fields, "pps", lambda text: _choice(text, "speed", _SPEEDS)) or 10,
        talk_ns=_required(fields, "talk", _talk),
        busy_ns=_optional(fields, "busy", _talk) or 0,
    )


_ABSENCES: dict[str, Absence] = {
    "private": "private",
    "payphone": "payphone",
    "out-of-area": "out-of-area",
    "unavailable": "unavailable",
}
_MOMENTS: dict[str, CallerIdMoment] = {"before": "before", "between": "between", "none": "none"}
_WAYS = {"tone": False, "pulse": True}
_SPEEDS = {"10": 10, "20": 20}

_VERBS: dict[str, Callable[[Words], LineAction | CardAction]] = {
    "hook": _hook,
    "ring-edge": _ring_edge,
    "modem-bytes": _modem_bytes,
    "modem": _modem,
    "inbound": _inbound,
    "outbound": _outbound,
    "flash": _flash,
    "closure": _closure,
    "message-waiting": _message_waiting,
    "card": _card,
    "fault": _fault,
}


def _fields(words: Words, allowed: tuple[str, ...]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for word in words:
        key, equals, value = word.text.partition("=")
        if key not in allowed:
            _unknown(key, "argument", allowed)
        if not equals or key in fields:
            raise _Wrong(f"{key}: write {key}=VALUE, once")
        fields[key] = value
    return fields


def _optional(fields: dict[str, str], key: str, read: Callable[[str], Value]) -> Value | None:
    return _required(fields, key, read) if key in fields else None


def _required(fields: dict[str, str], key: str, read: Callable[[str], Value]) -> Value:
    if key not in fields:
        raise _Wrong(f"{key}= is missing")
    try:
        return read(fields[key])
    except _Wrong as wrong:
        raise _Wrong(f"{key}={wrong}") from None


def _matching(text: str, pattern: str, allowed: str) -> str:
    if re.fullmatch(pattern, text) is None:
        raise _Wrong(f"{text}: allowed: {allowed}")
    return text


def _number(text: str) -> str:
    return _matching(text, r"\+?[0-9*#]{1,32}", "up to 32 digits, * and #, a leading +")


def _name(text: str) -> str:
    return _matching(text, r"[^\r\n]{1,64}", "up to 64 characters on one line")


def _pulse_digits(text: str) -> str:
    return _matching(text, r"[0-9]{1,32}", "up to 32 digits, for * and # have no pulses")


def _tone_digits(text: str) -> str:
    return _matching(text, r"[0-9*#A-D]{1,32}", "up to 32 of 0-9 * # A-D")


def _talk(text: str) -> int:
    return _seconds_between(text, 0, 14_400)


def _answer(text: str) -> int | None:
    return None if text == "never" else _seconds_between(text, 0, 300)
