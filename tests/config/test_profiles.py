"""The countries' profiles: all load, each is sane, and a wrong file says what is wrong."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.config.profiles import countries, every_tone, load_profile, parse_profile
from recorderd.core.profile import Profile, Tone
from recorderd.errors import ConfigError


def text_of(profile: Profile, **changes: object) -> str:
    values = {**dataclasses.asdict(profile), **changes}
    lines = [f"{key} = {in_toml(value)}" for key, value in values.items()]
    return "\n".join(lines)


def in_toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {in_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(in_toml(each) for each in value) + "]"
    return json.dumps(value)


def problems_of(text: str, country: str = "JP") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_profile(text, country)
    return caught.value.problems


@pytest.mark.parametrize("country", countries())
def test_every_profile_loads_and_fits_the_line(country: str) -> None:
    profile = load_profile(country)
    assert profile.country == country
    # At 20 pulses a second the loop is closed for 13.9 ms.
    assert profile.bounce_ms < 13.9 / 2
    # Ringing current in the hook sensor is never steady for a cycle of 15 Hz.
    assert profile.off_hook_confirm_ms > 1000 / 15
    # Breaks of dials from 8 to 22 a second are pulses; 20 pulses/s have pauses from 450 ms.
    assert profile.pulse_max_ms >= 0.67 * 1000 / 8
    assert 55 < profile.inter_digit_ms < 250
    # The double ring of 0.4/0.2/0.4 s is one burst, Japan's 0.5/0.5 s are two.
    assert 200 < profile.ring_burst_gap_ms < 500


def test_the_promised_countries_are_there() -> None:
    assert {"JP", "US", "GB", "DE", "FR"} <= set(countries())
    assert load_profile("UK") == load_profile("GB")


def test_only_japan_has_a_caller_id_closure() -> None:
    with_closure = [code for code in countries() if load_profile(code).caller_id_closure_max_ms]
    assert with_closure == ["JP"]


def test_caller_id_of_a_country() -> None:
    assert load_profile("JP").caller_id == ("number-display",)
    assert load_profile("US").caller_id == ("bell202",)
    for wrong in ([], ["fsk"], "v23", [["v23"]], 1):
        (problem,) = problems_of(text_of(load_profile("JP"), caller_id=wrong))
        assert "caller_id: must be a list of one or more of bell202, v23" in problem


@pytest.mark.parametrize("country", countries())
def test_every_country_has_the_tones_that_a_call_needs(country: str) -> None:
    tones = load_profile(country).tones
    kinds = [tone.kind for tone in tones]
    assert {"dial", "ringback", "busy", "congestion", "call-waiting"} <= set(kinds)
    for tone in tones:
        assert bool(tone.cadence_ms) or tone.kind in {"dial", "special-information"}
        # Only busy and congestion may be the same: the name is then busy.
        alike = [
            each.kind
            for each in tones
            if (each.frequencies_hz, each.cadence_ms) == (tone.frequencies_hz, tone.cadence_ms)
        ]
        assert alike in ([tone.kind], ["busy", "congestion"])


def test_tones_of_a_country() -> None:
    assert load_profile("US").tones[2] == Tone("busy", (480, 620), 0, (500, 500))
    assert load_profile("JP").tones[1] == Tone("ringback", (400,), 16, (1000, 2000))
    assert load_profile("GB").tones[-1] == Tone("special-information", (400,))
    assert parse_profile(text_of(load_profile("FI")), "FI") == load_profile("FI")


DIAL = {"kind": "dial", "frequencies_hz": [425]}
INFORMATION = {"kind": "special-information", "frequencies_hz": [950, 1400, 1800]}


@pytest.mark.parametrize(
    ("tones", "problem"),
    [
        ([], "tones: must be a list of one or more tables"),
        (5, "tones: must be a list of one or more tables"),
        ([DIAL, 5], "tones[1]: must be a table"),
        ([{**DIAL, "kind": "beep"}], "tones[0]: kind: must be one of dial, ringback, busy,"),
        ([{**DIAL, "hz": 5}], "tones[0]: hz: unknown key"),
        ([{"kind": "dial"}], "tones[0]: frequencies_hz: must be whole numbers from 300 to 3400"),
        ([{**DIAL, "frequencies_hz": []}], "tones[0]: frequencies_hz: must be whole"),
        ([{**DIAL, "frequencies_hz": [50]}], "tones[0]: frequencies_hz: must be whole"),
        ([{**DIAL, "frequencies_hz": [425.5]}], "tones[0]: frequencies_hz: must be whole"),
        ([{**DIAL, "frequencies_hz": [400, 425, 450]}], "frequencies_hz: no more than 2 sound"),
        ([{**DIAL, "modulation_hz": -1}], "modulation_hz: must be a whole number from 0 to 100"),
        ([{**DIAL, "frequencies_hz": [350, 440], "modulation_hz": 20}], "only a single frequency"),
        ([{**DIAL, "cadence_ms": [500]}], "cadence_ms: must be pairs of on and off"),
        ([{**DIAL, "cadence_ms": "500"}], "cadence_ms: must be pairs of on and off"),
        ([{**DIAL, "cadence_ms": [500, 0]}], "cadence_ms: only the frequencies of a sequence"),
        ([{**DIAL, "cadence_ms": [0, 500]}], "cadence_ms: only the frequencies of a sequence"),
        ([{**INFORMATION, "cadence_ms": [330, 1000]}], "one burst and one pause for each"),
        ([{**INFORMATION, "cadence_ms": [330, 0, 330, 0, 330, 0]}], "only the frequencies of"),
    ],
)
def test_a_wrong_tone_is_named_with_its_place(tones: object, problem: str) -> None:
    (found,) = problems_of(text_of(load_profile("JP"), tones=tones))
    assert found.startswith("profile JP: tones")
    assert problem in found


def test_all_countries_together_name_a_cadence_as_most_of_them_do() -> None:
    named = {(tone.frequencies_hz, tone.cadence_ms): tone.kind for tone in every_tone()}
    assert len(named) == len({(tone.frequencies_hz, tone.cadence_ms) for tone in every_tone()})
    assert named[(425,), (250, 250)] == "congestion"
    assert named[(425,), (200, 200)] == "congestion"
    assert named[(400,), (500, 500)] == "busy"
    assert named[(425,), (300, 300)] == "busy"
    assert named[(400,), ()] == "dial"
    assert set(named.values()) == {tone.kind for tone in load_profile("GB").tones}


@pytest.mark.parametrize("country", ["XX", "jp", "", "../JP", "JP.toml"])
def test_an_unknown_country_lists_those_there_are(country: str) -> None:
    with pytest.raises(ConfigError, match="known: AT, AU, BE"):
        load_profile(country)


def test_all_problems_of_a_file_come_at_once() -> None:
    good = load_profile("JP")
    text = text_of(good, bounce_ms="5", hang_up_ms=0, pulse_max_ms=100_000) + "\nringtone = 1"
    assert problems_of(text) == [
        "profile JP: ringtone: unknown key",
        "profile JP: bounce_ms: must be a whole number from 1 to 60000 (ms), is '5'",
        "profile JP: pulse_max_ms: must be a whole number from 1 to 60000 (ms), is 100000",
        "profile JP: hang_up_ms: must be a whole number from 1 to 60000 (ms), is 0",
    ]


def test_times_must_be_in_their_order() -> None:
    text = text_of(load_profile("JP"), pulse_max_ms=1400)
    assert problems_of(text) == ["profile JP: pulse_max_ms: must be less than hang_up_ms"]


def test_a_file_of_another_country_or_no_toml_is_refused() -> None:
    assert problems_of(text_of(load_profile("JP")), "US")[0].startswith("profile US: country:")
    assert problems_of("bounce_ms = ")[0].startswith("profile JP: ")
    assert "missing" in problems_of('country = "JP"')[0]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([field.name for field in dataclasses.fields(Profile)]),
        st.one_of(st.integers(-10, 70_000), st.just("true"), st.just("1.5"), st.just("[]")),
    )
)
def test_any_values_load_or_are_refused_with_words(values: dict[str, object]) -> None:
    text = "\n".join(f"{key} = {value}" for key, value in values.items())
    assert all(problem.startswith("profile JP: ") for problem in problems_of(text))
