"""Channels and rates: nothing is shifted, nothing is lost, and equal rates pass untouched."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.media.resample import Resampler, take_channels

RATES_HZ = [(48_000, 8_000), (44_100, 8_000), (16_000, 8_000), (8_000, 16_000), (44_100, 11_025)]
all_rates = pytest.mark.parametrize(("capture_hz", "record_hz"), RATES_HZ)


def convert(sound: bytes, capture_hz: int, record_hz: int, block_frames: int = 960) -> bytes:
    resampler = Resampler(capture_hz, record_hz)
    size = 4 * block_frames
    blocks = [resampler.feed(sound[at : at + size]) for at in range(0, len(sound), size)]
    return b"".join(blocks) + resampler.finish()


def stereo(near: list[int], far: list[int]) -> bytes:
    return array("h", itertools.chain.from_iterable(zip(near, far, strict=True))).tobytes()


def channel(sound: bytes, number: int) -> list[int]:
    return array("h", sound)[number::2].tolist()


@all_rates
def test_an_impulse_stays_where_it_was(capture_hz: int, record_hz: int) -> None:
    at = capture_hz // 2 + 7
    near, far = [0] * capture_hz, [0] * capture_hz
    near[at] = 32_000
    far[at // 2] = -32_000
    out = convert(stereo(near, far), capture_hz, record_hz)
    for number, frame in ((0, at), (1, at // 2)):
        loudness = [abs(value) for value in channel(out, number)]
        assert abs(loudness.index(max(loudness)) - frame * record_hz / capture_hz) <= 1


@all_rates
def test_a_tone_keeps_its_phase_and_level(capture_hz: int, record_hz: int) -> None:
    def tone(rate_hz: int) -> list[int]:
        step = 2 * math.pi * 1000 / rate_hz
        return [round(10_000 * math.sin(step * frame)) for frame in range(rate_hz)]

    out = channel(convert(stereo(tone(capture_hz), [0] * capture_hz), capture_hz, record_hz), 0)
    middle = slice(record_hz // 4, 3 * record_hz // 4)
    worst = max(abs(a - b) for a, b in zip(out[middle], tone(record_hz)[middle], strict=True))
    assert worst <= 10  # a shift of a hundredth of a frame would be 78 at 8 kHz


def test_what_lies_above_the_recorded_band_is_taken_out() -> None:
    tone = [round(20_000 * math.sin(2 * math.pi * 5000 * n / 48_000)) for n in range(48_000)]
    out = channel(convert(stereo(tone, tone), 48_000, 8_000), 0)[400:-400]
    assert max(abs(value) for value in out) <= 2  # it would fold to 3 kHz


@all_rates
def test_silence_stays_silence_and_the_channels_stay_apart(capture_hz: int, record_hz: int) -> None:
    near = [12_000 if n % 3 else -12_000 for n in range(capture_hz)]
    out = convert(stereo(near, [0] * capture_hz), capture_hz, record_hz)
    assert set(channel(out, 1)) == {0}
    assert max(channel(out, 0)) > 0


def test_full_scale_is_clipped_not_wrapped() -> None:
    square = [32_767 if n // 24 % 2 else -32_768 for n in range(48_000)]
    out = channel(convert(stereo(square, square), 48_000, 8_000), 0)
    assert max(out) == 32_767
    assert min(out) == -32_768
    assert all((out[n] > 0) == (out[n + 4] < 0) for n in range(400, 7600))  # 1 kHz all through


@given(st.sampled_from(RATES_HZ), st.lists(st.integers(0, 5000), max_size=8))
@settings(max_examples=60, deadline=None)
def test_the_length_is_exact_however_the_blocks_are_cut(
    rates_hz: tuple[int, int], sizes: list[int]
) -> None:
    capture_hz, record_hz = rates_hz
    resampler = Resampler(capture_hz, record_hz)
    parts = [resampler.feed(bytes(4 * size)) for size in sizes] + [resampler.finish()]
    assert len(b"".join(parts)) // 4 == math.floor(sum(sizes) * record_hz / capture_hz + 0.5)


def test_a_frame_that_the_library_holds_back_is_made_up() -> None:
    # 48960 frames make exactly 11245.5, for which soxr gives 11245.
    assert len(convert(bytes(4 * 48_960), 192_000, 44_100, 48_960)) // 4 == 11_246


@all_rates
def test_a_steady_level_is_rounded_not_cut(capture_hz: int, record_hz: int) -> None:
    out = convert(stereo([12_345] * capture_hz, [-1] * capture_hz), capture_hz, record_hz)
    middle = slice(record_hz // 4, 3 * record_hz // 4)
    assert set(channel(out, 0)[middle]) == {12_345}
    assert set(channel(out, 1)[middle]) == {-1}


@given(st.integers(1, 4000))
@settings(max_examples=20, deadline=None)
def test_the_cut_into_blocks_does_not_change_the_sound(block_frames: int) -> None:
    tone = [round(9000 * math.sin(n * n / 90_000)) for n in range(12_000)]
    sound = stereo(tone, tone[::-1])
    whole = array("h", convert(sound, 48_000, 8_000, 12_000))
    cut = array("h", convert(sound, 48_000, 8_000, block_frames))
    assert len(whole) == len(cut)
    assert max(abs(a - b) for a, b in zip(whole, cut, strict=True)) <= 1


def test_equal_rates_pass_untouched_and_load_no_library() -> None:
    program = (
        "import sys; from recorderd.media.resample import Resampler; r = Resampler(8000, 8000);"
        "assert r.feed(b'12345678') == b'12345678'; assert r.finish() == b'';"
        "assert not {'numpy', 'soxr'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@given(st.integers(1, 8), st.integers(0, 50), st.data())
@settings(max_examples=50)
def test_the_chosen_channels_are_taken(channels: int, frames: int, data: st.DataObject) -> None:
    near, far = (data.draw(st.integers(1, channels)) for _ in range(2))
    frame_numbers = range(frames)
    block = array("h", [10 * n + c for n in frame_numbers for c in range(1, channels + 1)])
    out = array("h", take_channels(block.tobytes(), channels, near, far))
    assert out.tolist() == [value for n in frame_numbers for value in (10 * n + near, 10 * n + far)]


def test_two_channels_in_order_are_not_copied() -> None:
    block = bytes(range(8))
    assert take_channels(block, 2, 1, 2) is block
    assert take_channels(block, 2, 2, 1) == bytes([2, 3, 0, 1, 6, 7, 4, 5])
