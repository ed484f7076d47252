"""The countries' profiles: TOML files that ship in recorderd/data/profiles, one a country."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, get_args

from recorderd.config.tones import read_tones, tone_problems, tones_of_all
from recorderd.core.profile import CallerIdKind, Profile, Tone
from recorderd.errors import ConfigError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_ALIASES = {"UK": "GB"}  # what people write for the United Kingdom
_TIMES = tuple(
    field.name for field in fields(Profile) if field.name not in {"country", "caller_id", "tones"}
)
_ORDERS = (
    ("bounce_ms", "pulse_max_ms"),
    ("pulse_max_ms", "hang_up_ms"),
    ("inter_digit_ms", "hang_up_ms"),
    ("ring_burst_gap_ms", "ring_stopped_ms"),
    ("ring_burst_min_ms", "ring_stopped_ms"),
)
_TIME_MAX_MS = 60_000  # no time of hook or ringing lasts a minute
_MAY_BE_ZERO = frozenset({"caller_id_closure_max_ms", "caller_id_closure_ring_within_ms"})


def countries() -> list[str]:
    """The ISO 3166 codes of the countries that have a profile, sorted."""
    names = (entry.name for entry in _folder().iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


@cache
def load_profile(country: str) -> Profile:
    """The profile of `country`, an ISO 3166 code ("UK" is taken for "GB").

    Raises ConfigError where there is no such profile or the file is wrong.
    """
    code = _ALIASES.get(country, country)
    if code not in countries():
        known = ", ".join(countries())
        raise ConfigError([f'there is no profile of the country "{country}"; known: {known}'])
    text = (_folder() / f"{code}.toml").read_text(encoding="utf-8")
    return parse_profile(text, code)


@cache
def every_tone() -> tuple[Tone, ...]:
    """The tones of all countries, for sound from a country that is not known."""
    return tones_of_all(load_profile(country).tones for country in countries())


def parse_profile(text: str, country: str) -> Profile:
    """A profile file's text as values; raises ConfigError with every problem in it."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"profile {country}: {error}"]) from error
    problems = _problems(table, country)
    if problems:
        raise ConfigError([f"profile {country}: {problem}" for problem in problems])
    lists = {"caller_id": tuple(table["caller_id"]), "tones": read_tones(table["tones"])}
    return Profile(**{**table, **lists})


def _folder() -> Traversable:
    return files("recorderd") / "data" / "profiles"


def _problems(table: dict[str, Any], country: str) -> list[str]:
    known = {"country", "caller_id", "tones", *_TIMES}
    problems = [f"{key}: unknown key" for key in table if key not in known]
    if table.get("country") != country:
        problems.append(f'country: must be "{country}", as the file is named')
    wrong = {key: problem for key in _TIMES if (problem := _time_problem(table, key)) is not None}
    problems += wrong.values()
    problems += [
        f"{shorter}: must be less than {longer}"
        for shorter, longer in _ORDERS
        if shorter not in wrong and longer not in wrong and table[shorter] >= table[longer]
    ]
    if not _is_caller_id(table.get("caller_id")):
        kinds = ", ".join(get_args(CallerIdKind))
        problems.append(f"caller_id: must be a list of one or more of {kinds}")
    return problems + tone_problems(table.get("tones"))


def _is_caller_id(value: object) -> bool:
    kinds = get_args(CallerIdKind)
    return isinstance(value, list) and bool(value) and all(each in kinds for each in value)


def _time_problem(table: dict[str, Any], key: str) -> str | None:
    if key not in table:
        return f"{key}: missing"
    value = table[key]
    least_ms = 0 if key in _MAY_BE_ZERO else 1
    if type(value) is not int or not least_ms <= value <= _TIME_MAX_MS:
        return f"{key}: must be a whole number from {least_ms} to {_TIME_MAX_MS} (ms), is {value!r}"
    return None
