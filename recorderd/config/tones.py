"""The `tones` of a country's profile: read, checked, and all countries' taken together."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, get_args

from recorderd.core.profile import Tone
from recorderd.heard import ToneKind

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEYS = {"kind", "frequencies_hz", "modulation_hz", "cadence_ms"}
_FREQUENCY_HZ = (300, 3400)  # the telephone band
_MODULATION_MAX_HZ = 100
_BURST_MAX_MS = 60_000
_TOGETHER_MAX = 2  # frequencies at the same time


def read_tones(tables: list[dict[str, Any]]) -> tuple[Tone, ...]:
    """The tones of a list that has no problems."""
    return tuple(
        Tone(
            table["kind"],
            tuple(table["frequencies_hz"]),
            table.get("modulation_hz", 0),
            tuple(table.get("cadence_ms", ())),
        )
        for table in tables
    )


def tone_problems(tables: object) -> list[str]:
    """What is wrong with a list of tones, each problem with its place in the list."""
    if not isinstance(tables, list) or not tables:
        return ["tones: must be a list of one or more tables"]
    return [
        f"tones[{place}]: {problem}"
        for place, table in enumerate(tables)
        for problem in _problems(table)
    ]


def _problems(table: object) -> list[str]:
    if not isinstance(table, dict):
        return ["must be a table"]
    problems = [f"{key}: unknown key" for key in table if key not in _KEYS]
    if table.get("kind") not in get_args(ToneKind):
        problems.append(f"kind: must be one of {', '.join(get_args(ToneKind))}")
    frequencies = table.get("frequencies_hz")
    low_hz, high_hz = _FREQUENCY_HZ
    if not _are_whole(frequencies, low_hz, high_hz) or not frequencies:
        return [*problems, f"frequencies_hz: must be whole numbers from {low_hz} to {high_hz} (Hz)"]
    modulation = table.get("modulation_hz", 0)
    if not _are_whole([modulation], 0, _MODULATION_MAX_HZ):
        problems.append(
            f"modulation_hz: must be a whole number from 0 to {_MODULATION_MAX_HZ} (Hz)"
        )
    cadence = table.get("cadence_ms", [])
    if not _are_whole(cadence, 0, _BURST_MAX_MS) or len(cadence) % 2:
        return [
            *problems,
            f"cadence_ms: must be pairs of on and off from 0 to {_BURST_MAX_MS} (ms)",
        ]
    is_sequence = table.get("kind") == "special-information" and len(frequencies) > 1
    if is_sequence and len(cadence) != 2 * len(frequencies):
        problems.append("cadence_ms: must have one burst and one pause for each frequency")
    if not is_sequence and len(frequencies) > _TOGETHER_MAX:
        problems.append(f"frequencies_hz: no more than {_TOGETHER_MAX} sound together")
    if modulation and len(frequencies) > 1:
        problems.append("modulation_hz: only a single frequency is modulated")
    pauses = cadence[1::2] if not is_sequence else cadence[-1:]
    if not all([*cadence[::2], *pauses]):
        problems.append("cadence_ms: only the frequencies of a sequence follow without a pause")
    return problems


def _are_whole(values: object, least: int, most: int) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and least <= value <= most for value in values
    )


def tones_of_all(countries: Iterable[tuple[Tone, ...]]) -> tuple[Tone, ...]:
    """Every distinct tone of many countries, each cadence named as most of them mean it.

    The same cadence means busy in one country and congestion in another (250 ms on and off, for one:
    busy in Brazil and Mexico, congestion in seven others), and a steady 400 Hz a dial tone in Japan
    and Chile, a number that cannot be reached in the United Kingdom. Where as many say the one as
    the other, the kind that stands first in ToneKind is taken.
    """
    tones = [tone for country in countries for tone in country]
    meanings: dict[tuple[int, ...], Counter[ToneKind]] = {}
    for tone in tones:
        meanings.setdefault(tone.cadence_ms, Counter())[tone.kind] += 1
    distinct: dict[Tone, None] = {}  # in their order
    for tone in tones:
        counted = meanings[tone.cadence_ms]
        kind: ToneKind = max(get_args(ToneKind), key=lambda kind: counted[kind])
        named = Tone(kind, tone.frequencies_hz, tone.modulation_hz, tone.cadence_ms)
        distinct[named] = None
    return tuple(distinct)
