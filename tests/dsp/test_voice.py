"""The voice trigger: sound is a call, and what is no sound of a call is none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.dsp.voice import FRAME, HANGOVER_S, VoiceEdge, VoiceTrigger
from tests.dsp import signals
from tests.dsp.lines import RATE, hum, noise, sampled, talk, voice
from tests.dsp.test_fsk import CASES, burst

QUIET_S = 5
"""The idle line before, by which the trigger knows the noise."""


def edges_of(samples: np.ndarray, block: int = 1600, **how: float) -> list[VoiceEdge]:
    trigger = VoiceTrigger(**how)
    return [
        edge
        for start in range(0, len(samples), block)
        for edge in trigger.feed(samples[start : start + block])
    ]


def heard(sound: np.ndarray, side: int = 1, noise_dbm0: float = -62, after_s: float = 20):
    """Edges, in seconds from the sound's first sample, of a sound on an idle line."""
    pair = sound if sound.ndim == 2 else np.stack([sound * (1 - side), sound * side], axis=1)
    before, after = (np.zeros((round(each * RATE), 2)) for each in (QUIET_S, after_s))
    whole = np.concatenate((before, pair, after))
    samples = sampled(whole + noise(whole.shape, noise_dbm0))
    return [(edge.sample / RATE - QUIET_S, edge.off_hook) for edge in edges_of(samples)]


def cadence(frequencies, on_s: float, off_s: float, times: int, dbm0: float = -19) -> np.ndarray:
    once = (signals.tone(frequencies, on_s, dbm0), signals.silence(off_s))
    return np.concatenate(once * times)


CALLS = {
    "dial tone": signals.tone((350, 440), 4, -16),
    "400 Hz": signals.tone((400,), 4, -16),
    "ringback": cadence((440, 480), 2, 4, 4),
    "ringback of Japan": cadence((400,), 1, 2, 6)
    * (1 + 0.8 * np.sin(2 * np.pi * 16 * np.arange(18 * RATE) / RATE)),
    "ringback of Britain": cadence((400, 450), 0.4, 1.2, 8),
    "busy": cadence((480, 620), 0.5, 0.5, 10),
    "a voice": voice(0),
    "another voice": voice(3),
    "a faint voice": voice(2, dbm0=-33),
    "keys": signals.digits("0312345678", on_s=0.1, off_s=0.1),
    "facsimile": signals.tone((1650,), 8, -16),
}


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("name", CALLS)
def test_sound_is_a_call_from_its_beginning_to_a_second_after_its_end(name, side):
    sound = CALLS[name]
    (began, off), (ended, on) = heard(sound, side)
    assert (off, on) == (True, False)
    sounding = np.flatnonzero(np.abs(sound) > 0.003) / RATE
    assert began == pytest.approx(sounding[0], abs=0.5)
    assert ended == pytest.approx(sounding[-1] + 1, abs=0.3)


def clicks(times: int, gap_s: float) -> np.ndarray:
    once = signals.silence(gap_s)
    once[:4] = (0.9, -0.9, 0.5, -0.3)
    return np.concatenate([once] * times)


def ringing(hz: float, limit: float = 1.0, size: float = 0.8) -> np.ndarray:
    """Ringing current that leaks in, cut off at `limit`: 2 s on, 4 s off."""
    time = np.arange(2 * RATE) / RATE
    on = np.clip(size * np.sin(2 * np.pi * hz * time), -limit, limit)
    return np.tile(np.concatenate((on, signals.silence(4))), 4)


NO_CALLS = {
    "nothing": np.zeros(20 * RATE),
    "hum of 50 Hz": hum(20, 50, -15, (1, 2, 3)),
    "hum of 60 Hz": hum(20, 60, -15, (1, 2, 3)),
    "hum with overtones in the band": hum(20, 50, -20, (1, 3)) + hum(20, 50, -50, (7, 9, 11)),
    "ringing": ringing(20),
    "ringing at 16 Hz": ringing(16),
    "ringing at 25 Hz": ringing(25),
    "ringing at 50 Hz": ringing(50),
    "ringing, cut off": ringing(25, 0.3),
    "ringing as square waves": ringing(20, 0.05),
    "ringing at 50 Hz as square waves": ringing(50, 0.05),
    "one click": clicks(1, 1),
    "clicks each second": clicks(15, 1),
    "clicks, four a second": clicks(60, 0.25),
    "a hook switch that bounces": clicks(5, 0.02),
    "noise that swells": noise(20 * RATE, -50) * np.linspace(0, 1, 20 * RATE),
    "a beep of 0.2 s": signals.tone((440,), 0.2, -16),
    **{f"caller ID, {case}": burst(case) for case in CASES},
}


@pytest.mark.parametrize("name", NO_CALLS)
def test_what_is_no_sound_of_a_call_is_none(name):
    assert heard(NO_CALLS[name]) == []
    assert heard(np.stack([NO_CALLS[name]] * 2, axis=1)) == []


@pytest.mark.parametrize("noise_dbm0", [-80, -62, -45, -38])
def test_noise_of_the_line_is_none_from_the_first_frame_on(noise_dbm0):
    samples = sampled(noise((40 * RATE, 2), noise_dbm0))
    assert edges_of(samples) == []


def test_a_line_that_becomes_noisy_is_silent_again():
    samples = sampled(np.concatenate((noise((10 * RATE, 2), -65), noise((90 * RATE, 2), -30))))
    (off, on) = edges_of(samples)
    assert off == VoiceEdge(off.sample, off_hook=True)
    assert off.sample == pytest.approx(10 * RATE, abs=RATE)
    assert on.sample < 45 * RATE
    talking = sampled(noise((30 * RATE, 2), -30) + np.stack([voice(0, dbm0=-12)] * 2, axis=1))
    assert len(edges_of(np.concatenate((samples, talking)))) == 3


def test_pauses_shorter_than_the_hangover_are_one_call_and_longer_ones_two():
    for pause_s, count in ((HANGOVER_S - 2, 2), (HANGOVER_S + 2, 4)):
        pause = np.zeros((round(pause_s * RATE), 2))
        assert len(heard(np.concatenate((talk(10), pause, talk(10))))) == count
    long_hold = np.concatenate((talk(10), np.zeros((20 * RATE, 2)), talk(10)))
    samples = sampled(np.concatenate((long_hold, np.zeros((40 * RATE, 2)))))
    assert len(edges_of(samples, hangover_s=30)) == 2
    assert len(edges_of(samples)) == 4


def test_the_level_can_be_set():
    sound = sampled(
        np.concatenate((np.zeros((RATE, 2)), talk(10, -30, -30), np.zeros((20 * RATE, 2))))
    )
    assert len(edges_of(sound, level_dbm0=-45)) == 2
    assert edges_of(sound, level_dbm0=-15) == []


def test_a_voice_over_a_strong_hum_is_a_call():
    whole = np.concatenate((np.zeros(10 * RATE), voice(0, dbm0=-25), np.zeros(20 * RATE)))
    whole += hum(60, 50, -8) + noise(len(whole), -62)
    (off, on) = edges_of(sampled(np.stack([whole, whole], axis=1)))
    assert off.sample == pytest.approx(10 * RATE, abs=RATE)
    assert on.sample == pytest.approx(41 * RATE, abs=RATE)


def test_a_call_answered_after_ringing_and_caller_id_begins_with_the_voice():
    rings = np.concatenate((ringing(20)[: 4 * RATE], burst("mdmf"), ringing(20)[: 3 * RATE]))
    (began, _), _ = heard(np.concatenate((rings, signals.silence(3), voice(0))))
    assert began == pytest.approx(len(rings) / RATE + 3, abs=0.5)


@pytest.mark.parametrize("block", [1, 13, 160, 1280, 5000, 10**6])
def test_blocks_of_any_size_give_the_same(block):
    quiet = np.zeros((2 * RATE, 2))
    pair = np.concatenate((quiet, talk(4), quiet))
    samples = sampled(pair + noise(pair.shape, -55))
    assert edges_of(samples, block, hangover_s=1) == edges_of(samples, hangover_s=1) != []


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_edges_take_turns_and_never_go_back(data):
    random = np.random.default_rng(data.draw(st.integers(0, 9)))
    time = np.arange(3 * RATE)
    kinds = {
        "zeros": np.zeros(3 * RATE),
        "full": np.full(3 * RATE, 32767),
        "noise": random.integers(-32768, 32768, 3 * RATE),
        "tone": 8000 * np.sin(time),
        "faint": random.normal(0, 5, 3 * RATE),
    }
    trigger = VoiceTrigger(hangover_s=data.draw(st.sampled_from([0.5, 2, 5])))
    edges, fed = [], 0
    for _ in range(data.draw(st.integers(0, 12))):
        length = data.draw(st.integers(0, 3 * RATE))
        sides = [kinds[data.draw(st.sampled_from(sorted(kinds)))][:length] for _ in range(2)]
        found = trigger.feed(np.stack(sides, axis=1).astype(np.int16))
        fed += length
        assert all(edge.sample <= fed for edge in found)
        edges += found
    assert [edge.off_hook for edge in edges] == [place % 2 == 0 for place in range(len(edges))]
    assert all(one.sample < two.sample for one, two in itertools.pairwise(edges))
    assert len(trigger._rest) < 1280


@pytest.mark.parametrize("pause", range(20, 30))  # frames; the hangover has 25
def test_a_call_that_begins_as_the_last_one_ends_begins_after_it(pause):
    rush = np.random.default_rng(0).integers(-32768, 32768, RATE)
    quiet = np.zeros(RATE)
    sound = np.concatenate((quiet, rush, np.zeros(pause * FRAME), rush, quiet))
    edges = edges_of(np.stack((sound, sound), axis=1).astype(np.int16), hangover_s=0.5)
    assert len(edges) == (2 if pause < 23 else 4)
    assert all(one.sample < two.sample for one, two in itertools.pairwise(edges))


def test_every_word_of_a_call_lies_within_it():
    """Whoever speaks between two edges is heard; before the first, by no more than the pre-roll."""
    (began, _), (ended, _) = heard(np.concatenate((talk(30, -32, -32), np.zeros((RATE, 2)))))
    assert began < 0.5
    assert ended > 29
