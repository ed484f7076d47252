"""Caller ID in FSK: every standard through noise, in and out of its limits, and never a wrong one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.core.callerid import DLE_SOH
from recorderd.dsp import fsk
from recorderd.dsp.cpfsk import Bits
from recorderd.dsp.hearing import CallerIdHeard, Ear
from tests.dsp import signals

DATE = (1, b"07251812")
MDMF = signals.mdmf(DATE, (2, b"5035551234"), (7, b"M ROSSI"))
SDMF = signals.sdmf(b"07251812", b"5035551234")
DISPLAY = signals.number_display((2, b"0312345678"))

# Message, modulation, seizure, mark, stop bits, standard, number.
CASES = {
    "mdmf": (MDMF, "bell202", 300, 180, 1, "bell202-mdmf", "5035551234"),
    "sdmf": (SDMF, "bell202", 300, 80, 1, "bell202-sdmf", "5035551234"),
    "v23": (MDMF, "v23", 96, 55, 1, "v23-mdmf", "5035551234"),
    "call waiting": (MDMF, "bell202", 0, 80, 1, "bell202-mdmf", "5035551234"),
    "number display": (DISPLAY, "v23", 0, 72, 4, "number-display", "0312345678"),
}


def burst(case: str, *, dbm0=-14.0, speed=1.0, phase=1.0, data: bytes | None = None, tail=4):
    message, modulation, seizure, mark, stops, _, _ = CASES[case]
    bits = signals.bits_of(data or message, seizure, mark, stops, tail)
    return signals.cpfsk(bits, signals.TONES[modulation], dbm0, speed, phase)


def callers(samples: np.ndarray, block: int | None = None) -> list[CallerIdHeard]:
    ear = Ear()
    heard = []
    for start in range(0, len(samples), block or max(1, len(samples))):
        heard += ear.feed(samples[start : start + (block or len(samples))])
    return [each for each in heard + ear.finish() if isinstance(each, CallerIdHeard)]


def numbers(samples: np.ndarray) -> list[str | None]:
    return [each.message.number for each in callers(samples)]


@pytest.mark.parametrize("case", CASES)
def test_every_standard_is_heard_with_its_place(case):
    (heard,) = callers(signals.on_line(burst(case)))
    _, _, _, _, _, standard, number = CASES[case]
    assert (heard.standard, heard.message.number) == (standard, number)
    assert abs(heard.start / 8000 - 0.5) < 0.03
    length = len(burst(case)) / 8000
    assert abs(heard.stop / 8000 - 0.5 - length) < 0.03
    assert heard.raw == CASES[case][0].hex()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("snr_db", [8, 6])
def test_noise_of_6_db_loses_few_and_makes_none_up(case, snr_db):
    random = np.random.default_rng(5)
    number = CASES[case][6]
    heard = [
        numbers(signals.on_line(burst(case, phase=random.uniform(0, 6)), snr_db, random))
        for _ in range(10)
    ]
    assert heard.count([number]) >= (10 if snr_db == 8 else 9)
    assert all(each in ([number], []) for each in heard)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("speed", [0.98, 1.02])
def test_a_clock_that_is_2_percent_wrong(case, speed):
    heard = numbers(signals.on_line(burst(case, speed=speed), 20))
    assert heard == [CASES[case][6]]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dbm0", [-3, -36, -42])
def test_loud_and_faint(case, dbm0):
    assert numbers(signals.on_line(burst(case, dbm0=dbm0))) == [CASES[case][6]]


@pytest.mark.parametrize("case", CASES)
def test_hum_and_direct_current_do_no_harm(case):
    samples = signals.on_line(burst(case), 20).astype(float)
    time = np.arange(len(samples)) / 8000
    hum = 6000 * np.sin(2 * np.pi * 50 * time) + 2000 * np.sin(2 * np.pi * 150 * time) - 3000
    assert numbers(np.clip(samples + hum, -32768, 32767).astype(np.int16)) == [CASES[case][6]]


def through(sound: np.ndarray, tilt_db: float = 0.0, delay_ms: float = 0.0) -> np.ndarray:
    """A cable's tilt over 1 kHz, and the delay that filters add towards the edges of the band."""
    whole = np.concatenate((sound, np.zeros(400)))
    hz = np.fft.rfftfreq(len(whole), 1 / 8000)
    gain = 10 ** (np.clip((hz - 1700) / 1000, -2, 2) * tilt_db / 20)
    delay = delay_ms / 1000 * ((hz - 1800) / 1600) ** 2
    turn = np.exp(-2j * np.pi * np.cumsum(delay) * hz[1])
    return np.fft.irfft(np.fft.rfft(whole) * gain * turn, len(whole))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("tilt_db", "delay_ms"), [(-10, 0), (6, 0), (0, 1.5), (-6, 1)])
def test_a_line_that_tilts_and_delays(case, tilt_db, delay_ms):
    sound = through(burst(case), tilt_db, delay_ms)
    assert numbers(signals.on_line(sound, 15)) == [CASES[case][6]]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("factor", "shift_hz"), [(0.985, 0), (1.015, 0), (1, 20), (1, -20)])
def test_frequencies_that_are_off_while_the_clock_is_right(case, factor, shift_hz):
    message, modulation, seizure, mark, stops, _, number = CASES[case]
    tones = tuple(hz * factor + shift_hz for hz in signals.TONES[modulation])
    sound = signals.cpfsk(signals.bits_of(message, seizure, mark, stops), tones)
    assert numbers(signals.on_line(sound, 12)) == [number]


def test_an_alert_tone_before_is_no_part_of_it():
    alert = signals.tone(signals.ALERT, 0.1, -14)
    whole = np.concatenate((alert, signals.silence(0.06), burst("v23")))
    (heard,) = callers(signals.on_line(whole, 15))
    assert heard.message.number == "5035551234"
    assert abs(heard.start / 8000 - 0.66) < 0.03


def test_mark_between_characters_is_allowed():
    bits = [place % 2 for place in range(96)] + [1] * 60
    for place, byte in enumerate(MDMF):
        bits += [*signals.character(byte), *[1] * (place % 11)]
    sound = signals.cpfsk([*bits, 1, 1, 1, 1], signals.TONES["v23"])
    assert numbers(signals.on_line(sound, 12)) == ["5035551234"]


def test_no_stop_bit_after_the_last_character():
    assert numbers(signals.on_line(burst("mdmf", tail=0)[:-7], 20)) == ["5035551234"]


@pytest.mark.parametrize("gap_s", [0.0, 0.02, 0.2])
def test_two_callers_back_to_back(gap_s):
    other = signals.mdmf(DATE, (2, b"2125550000"))
    both = np.concatenate((
        burst("mdmf"),
        signals.silence(gap_s),
        burst("call waiting", data=other, dbm0=-20, speed=1.01),
    ))
    assert numbers(signals.on_line(both, 25)) == ["5035551234", "2125550000"]


@pytest.mark.parametrize("case", CASES)
def test_a_burst_cut_anywhere_gives_the_caller_or_nothing(case):
    whole = burst(case)
    random = np.random.default_rng(3)
    number = CASES[case][6]
    for cut in np.linspace(0.05, 0.97, 12):
        size = int(cut * len(whole))
        assert numbers(signals.on_line(whole[:size], 25, random)) == []
        assert numbers(signals.on_line(whole[size:], 25, random)) in ([], [number])
        holed = whole.copy()
        holed[size : size + 200] = 0
        assert numbers(signals.on_line(holed, 25, random)) in ([], [number])


def test_a_message_about_waiting_messages_is_no_caller():
    lamp = signals.mdmf((0x0B, b"\xff"), kind=0x82)
    assert numbers(signals.on_line(burst("mdmf", data=lamp), 25)) == []


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_checksum_is_never_a_caller(case):
    message = CASES[case][0]
    for place in range(len(message)):
        damaged = bytearray(message)
        damaged[place] ^= 0x04
        assert numbers(signals.on_line(burst(case, data=bytes(damaged)))) == [], place


def test_a_right_sum_over_fields_that_make_no_sense_is_no_caller():
    for fields in (
        ((1, b"0725181x"), (2, b"5035551234")),
        ((1, b"07251812"), (2, b"503555X234")),
        ((1, b"07251812"), (2, b"5035551234"), (7, b"M\x03OSSI")),
    ):
        damaged = signals.mdmf(*fields)
        assert numbers(signals.on_line(burst("mdmf", data=damaged))) == []


def test_in_more_noise_than_a_message_survives_none_is_made_up():
    random = np.random.default_rng(8)
    for case in CASES:
        for snr_db in (3, 1, 0):
            for _ in range(4):
                heard = numbers(signals.on_line(burst(case), snr_db, random))
                assert heard in ([], [CASES[case][6]])


def received(lead_of: dict[int, float] | None = None, noise: float = 0.15) -> Bits:
    """MDMF as decided, each bit sure but those with a lead given; counted from the first start bit."""
    values = np.array([1] * 20 + signals.bits_of(MDMF, 0, 0)[: 10 * len(MDMF)], np.int8)
    parts = np.random.default_rng(1).normal(0, noise, (2, len(values)))
    leads = np.full(len(values), 2.0)
    for place, lead in (lead_of or {}).items():
        leads[20 + place] = lead
    return Bits(values, np.arange(len(values)) * 6.67, leads, 1 + parts[0] + 1j * parts[1])


def believed(bits: Bits) -> bool:
    return [read[1] for read, _ in fsk._messages(bits)] == [MDMF]


def test_doubtful_bits_with_a_right_sum_are_no_message():
    assert believed(received())
    assert not believed(received({80: 0.001, 81: 0.001, 82: 0.001}))


def test_two_doubtful_bits_that_the_sum_would_not_tell_apart_are_no_message():
    """Characters 4 and 6 are 0x30 and 0x32 (bit 0 off and off, bit 1 off and on)."""
    assert MDMF[4:7:2] == b"02"
    doubt = 0.07  # as likely wrong as one in 25 with this noise
    assert believed(received({41 + 0: doubt, 61 + 0: doubt}))
    assert not believed(received({41 + 1: doubt, 61 + 1: doubt}))


def test_a_message_in_noise_where_most_fail_is_not_believed():
    assert not believed(received(noise=0.3))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 1), max_size=700), st.sampled_from(sorted(CASES)), st.data())
def test_any_bits_give_no_error_and_no_message_without_its_sum(noise, case, data):
    message, _, _, _, stops, _, _ = CASES[case]
    bits = [1] * 20 + signals.bits_of(message, 0, 0, stops)
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(bits) - 1))
        bits[place] ^= 1
    values = np.array((bits + noise) if data.draw(st.booleans()) else (noise + bits), np.int8)
    sure = Bits(
        values, np.arange(len(values)) * 6.67, np.full(len(values), 9.0), values * 0 + 1j * 0 + 1
    )
    for (_, raw), _ in fsk._messages(sure):
        if raw.startswith(DLE_SOH):
            crc = 0
            for byte in raw[2:]:
                crc ^= byte
                for _ in range(8):
                    crc = (crc >> 1) ^ (0x8408 if crc & 1 else 0)
            assert crc == 0
        else:
            assert sum(raw) % 256 == 0
            assert len(raw) == raw[1] + 3


@pytest.mark.parametrize("block", [1, 7, 160, 1024, 5000])
def test_blocks_of_any_size_give_the_same(block):
    random = np.random.default_rng(2)
    sound = np.concatenate([
        signals.on_line(burst(case), 9, random) for case in ("mdmf", "number display")
    ])
    assert callers(sound, block) == callers(sound)
    assert len(callers(sound)) == 2
