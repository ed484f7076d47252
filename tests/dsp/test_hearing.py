"""One channel's ear: caller ID in digits, digits that are none, and sound that is no telephone's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.dsp.hearing import CallerIdHeard, Ear
from tests.dsp import signals
from tests.dsp.test_fsk import MDMF, burst

FULL = 32767


def listen(samples: np.ndarray, block: int | None = None, standards=None) -> list[str]:
    """In short: `clip 5551212`, `key 5`, sorted by place."""
    ear = Ear() if standards is None else Ear(standards)
    heard = []
    size = block or max(1, len(samples))
    for start in range(0, len(samples), size):
        heard += ear.feed(samples[start : start + size])
    heard += ear.finish()
    return [
        f"{each.standard} {each.message.number or each.message.absence}"
        if isinstance(each, CallerIdHeard)
        else f"key {each.digit}"
        for each in sorted(heard, key=lambda each: each.start)
    ]


def keyed(*texts: str, pause_s: float = 1.5, snr_db: float = 20) -> np.ndarray:
    parts = [part for text in texts for part in (signals.digits(text), signals.silence(pause_s))]
    return signals.on_line(np.concatenate(parts), snr_db)


@pytest.mark.parametrize(
    ("digits", "caller"),
    [
        ("A5551212C", "5551212"),
        ("A5551212D5550000B10C", "private"),
        ("A5551212D5550000C", "5551212"),
        ("B00C", "out-of-area"),
        ("B10C", "private"),
        ("A5551212#", "5551212"),
        ("D1#", "private"),
        ("D2#", "out-of-area"),
        ("D3#", "unavailable"),
        ("D5551212C", "5551212"),
    ],
)
def test_caller_id_in_digits_is_no_row_of_keys(digits, caller):
    assert listen(keyed(digits)) == [f"dtmf-clip {caller}"]


def test_a_letter_amid_other_keys_opens_nothing():
    assert listen(keyed("1A555C7")) == [f"key {key}" for key in "1A555C7"]
    assert listen(keyed("A555C7")) == [f"key {key}" for key in "A555C7"]


def test_keys_before_and_after_a_message_stay_keys():
    assert listen(keyed("12", "A5551212C", "3#")) == [
        "key 1", "key 2", "dtmf-clip 5551212", "key 3", "key #",
    ]  # fmt: skip


def test_a_message_that_is_cut_is_keys():
    assert listen(keyed("A555")) == ["key A", "key 5", "key 5", "key 5"]


def test_without_that_standard_the_digits_are_keys():
    assert listen(keyed("B10C"), standards=("v23-mdmf",)) == ["key B", "key 1", "key 0", "key C"]
    assert listen(signals.on_line(burst("mdmf")), standards=("v23-mdmf",)) == []


@pytest.mark.parametrize("letter", ["D", "A"])
def test_the_acknowledgement_in_call_waiting_is_no_key(letter):
    """Bellcore: alert tone, acknowledgement of 60 ms, then FSK without a seizure."""
    call = [
        signals.tone(signals.ALERT, 0.08),
        signals.silence(0.1),
        signals.digits(letter, on_s=0.06, off_s=0.25),
        burst("call waiting"),
        signals.silence(7.0),
    ]
    assert listen(signals.on_line(np.concatenate(call), 20)) == ["bell202-mdmf 5035551234"]


def test_a_letter_with_no_burst_after_it_is_a_key():
    assert listen(keyed("D", pause_s=7)) == ["key D"]
    assert listen(keyed("D")) == ["key D"]


SOUNDS = {
    "nothing": np.zeros(0, np.int16),
    "one sample": np.array([5], np.int16),
    "zeros": np.zeros(40000, np.int16),
    "constant": np.full(40000, 12345, np.int16),
    "lowest": np.full(40000, -32768, np.int16),
    "square of full scale": np.tile(np.repeat([FULL, -32768], 4), 5000).astype(np.int16),
    "square as mark": np.where(np.arange(40000) * 2400 // 8000 % 2, FULL, -32768).astype(np.int16),
    "steps": np.repeat([0, FULL, -32768, 0], 10000).astype(np.int16),
    "noise": np.random.default_rng(1).integers(-32768, 32768, 80000).astype(np.int16),
    "mark for ever": (FULL * np.sin(2 * np.pi * 1200 * np.arange(80000) / 8000)).astype(np.int16),
    "space for ever": (FULL * np.sin(2 * np.pi * 2200 * np.arange(80000) / 8000)).astype(np.int16),
}


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.filterwarnings("error")
def test_sound_that_is_no_telephones_gives_nothing(name):
    assert listen(SOUNDS[name]) == []
    assert listen(SOUNDS[name][:2000], block=1) == []


def test_frames_one_by_one_and_all_at_once():
    sound = np.concatenate((signals.on_line(burst("v23"), 12), keyed("A5551212C", "42")))
    expected = ["v23-mdmf 5035551234", "dtmf-clip 5551212", "key 4", "key 2"]
    assert listen(sound) == expected
    assert listen(sound, block=1) == expected


def test_minutes_in_one_block_and_memory_stays():
    sound = np.concatenate((np.zeros(8000 * 120, np.int16), signals.on_line(burst("mdmf"), 12)))
    ear = Ear()
    heard = ear.feed(sound)
    assert len(ear._spectrum._room) == 16 * 8000
    assert len(heard + ear.finish()) == 1


@pytest.mark.long
def test_an_hour_in_one_block():
    random = np.random.default_rng(1)
    sound = np.concatenate((
        random.normal(0, 30, 8000 * 3600).astype(np.int16), signals.on_line(burst("mdmf"), 12),
    ))  # fmt: skip
    assert listen(sound) == ["bell202-mdmf 5035551234"]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_burst_with_anything_in_it_gives_the_caller_or_nothing(data):
    """Pieces of the burst are silenced, clipped, turned over or drowned."""
    sound = burst("mdmf").copy()
    drowning = np.random.default_rng(1).normal(0, 0.3, len(sound))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(sound) - 1))
        piece = slice(start, start + data.draw(st.integers(1, 800)))
        harm = data.draw(st.sampled_from(["silence", "clip", "turn", "loud", "noise"]))
        harmed = {
            "silence": 0 * sound,
            "clip": 0.1 * np.sign(sound),
            "turn": -sound,
            "loud": 6 * sound,
            "noise": drowning,
        }[harm]
        sound[piece] = harmed[piece]
    assert listen(signals.on_line(sound, 25)) in (["bell202-mdmf 5035551234"], [])


def test_the_message_that_was_sent_is_the_raw_one():
    ear = Ear()
    heard = ear.feed(signals.on_line(burst("mdmf"))) + ear.finish()
    assert [each.raw for each in heard] == [MDMF.hex()]
