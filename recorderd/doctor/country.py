"""Is this the country that the configuration says? What the line itself tells of where it is.

Three things differ between networks: how the exchange rings, its dial tone, and how it sends the
caller's number. Each country is asked whether it fits all that was heard; the one that is configured
more generously, for a PBX rings and hums a little in its own way.

Sources: cadences from the indications list of the Asterisk project (ring cadences in
configs/samples/indications.conf.sample); Japan's from 事業用電気通信設備規則, annex 4 (20 bursts a minute
±20 %). Tones and caller-ID standards are those of the countries' profiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recorderd.config.profiles import countries, load_profile
from recorderd.doctor.outcome import Change, Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recorderd.core.profile import Profile

_BRITISH = (400, 200, 400, 2000)
CADENCES_MS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("US", "CA"), (2000, 4000)),
    "JP": (1000, 2000),
    **dict.fromkeys(("GB", "AU", "SG", "IN"), _BRITISH),
    **dict.fromkeys(("DE", "IT", "NL", "CH", "NO", "FI", "CN", "BR", "TW"), (1000, 4000)),
    **dict.fromkeys(("AT", "PT"), (1000, 5000)),
    **dict.fromkeys(("BE", "CL"), (1000, 3000)),
    "FR": (1500, 3500),
    "ES": (1500, 3000),
    "HU": (1250, 3750),
    "MX": (2000, 4000),
}

OWN_SHARE, OTHER_SHARE = 0.25, 0.12
"""How far a burst or pause may be from nominal: of the configured country, and of one to be offered.
The law of Japan alone allows 20 %."""
EDGE_MS = 60
"""A burst is seen up to a cycle short at its end."""
FITTING_SHARE = 0.5
"""Of the bursts: the first may be Japan's alert to caller-ID sets, and the last was cut by the answer."""
OWN_HZ, OTHER_HZ = 15.0, 6.0
"""Exchanges keep their dial tones within 1 %; a PBX has its own."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the line told; None and empty: nothing of the kind."""

    cadence_ms: Sequence[tuple[int, int]] = ()  # bursts and pauses
    dial_hz: tuple[float, ...] | None = None
    caller_id: str | None = None  # a standard of dsp/hearing.py


def judge_country(line: str, country: str, heard: Heard) -> Outcome:
    """Whether what was heard fits, and which countries it fits better."""
    known = [each for each in (heard.cadence_ms, heard.dial_hz, heard.caller_id) if each]
    measured = {
        "configured": country,
        "dial_hz": None if not heard.dial_hz else "+".join(f"{hz:.0f}" for hz in heard.dial_hz),
        "caller_id_standard": heard.caller_id,
    }
    if not known:
        return Outcome("country", line, measured)
    code = load_profile(country).country
    if _fits(code, heard, OWN_SHARE, OWN_HZ):
        return Outcome("country", line, measured)
    fitting = [each for each in countries() if _fits(each, heard, OTHER_SHARE, OTHER_HZ)]
    if not fitting:
        return Outcome("country", line, {**measured, "fits": "no country that is known"})
    finding = Finding(
        "country-wrong",
        f"this line is not of {country}: {_differences(code, heard)}; that is how it is in "
        f"{', '.join(fitting)}",
        "set site.country to the country that the line is in; where it is an extension of a PBX that "
        "rings in its own way, leave it",
    )
    why = "the line rings and sounds as it does there"
    changes = tuple(Change(("site", "country"), each, why) for each in fitting)
    return Outcome("country", line, {**measured, "fits": ", ".join(fitting)}, (finding,), changes)


def _fits(country: str, heard: Heard, share: float, apart_hz: float) -> bool:
    return (
        _rings(country, heard.cadence_ms, share)
        and _hums(country, heard.dial_hz, apart_hz)
        and _sends(load_profile(country), heard.caller_id)
    )


def _differences(country: str, heard: Heard) -> str:
    """What does not fit, with what it should have been."""
    said = []
    if not _rings(country, heard.cadence_ms, OWN_SHARE):
        seen = "/".join(str(each) for each in heard.cadence_ms[-1])
        nominal = "/".join(str(each) for each in CADENCES_MS.get(country, ()))
        said.append(f"it rings {seen} ms and not {nominal}")
    if not _hums(country, heard.dial_hz, OWN_HZ):
        seen = "+".join(f"{hz:.0f}" for hz in heard.dial_hz or ())
        nominal = "+".join(str(hz) for hz in dial_hz_of(country))
        said.append(f"its dial tone is {seen} Hz and not {nominal}")
    if not _sends(load_profile(country), heard.caller_id):
        said.append(f"the caller's number comes as {heard.caller_id}")
    return ", ".join(said) or "the whole fits no network there"


def _rings(country: str, seen: Sequence[tuple[int, int]], share: float) -> bool:
    nominal = CADENCES_MS.get(country)
    if not seen or nominal is None:
        return True
    pairs = list(zip(nominal[::2], nominal[1::2], strict=True))
    fitting = sum(
        any(_near(on, a, share) and _near(off, b, share) for a, b in pairs) for on, off in seen
    )
    return fitting >= FITTING_SHARE * len(seen)


def _near(seen_ms: int, nominal_ms: int, share: float) -> bool:
    return abs(seen_ms - nominal_ms) <= max(share * nominal_ms, EDGE_MS)


def dial_hz_of(country: str) -> tuple[int, ...]:
    """The frequencies of a country's dial tone, lowest first."""
    tones = load_profile(country).tones
    return next((tuple(sorted(each.frequencies_hz)) for each in tones if each.kind == "dial"), ())


def _hums(country: str, seen: tuple[float, ...] | None, apart_hz: float) -> bool:
    nominal = dial_hz_of(country)
    if not seen or not nominal:
        return True
    return len(seen) == len(nominal) and all(
        abs(one - other) <= apart_hz for one, other in zip(sorted(seen), nominal, strict=True)
    )


def _sends(profile: Profile, standard: str | None) -> bool:
    return standard is None or standard.startswith(profile.caller_id)
