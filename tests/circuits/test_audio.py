"""Sound: the tap's level and response, the announcement's limit, the hybrid's separation, hum."""

from __future__ import annotations

import numpy as np
import pytest

from tests.circuits.spice import sweep

pytestmark = pytest.mark.circuits

BAND = "ac dec 20 300 3400"
# The transformer at both ends of its data sheet (ETAL P2001), the other parts with it.
LOW = {"LP": 4.5, "RP": "14k", "RDC": 146, "LLEAK": "19m", "TOL": 1.05, "TOLC": 0.9}
HIGH = {"LP": 15, "RP": "40k", "RDC": 118, "LLEAK": "15m", "TOL": 0.95, "TOLC": 1.1}
CORNERS = [LOW, HIGH, LOW | {"TOL": 0.95}, HIGH | {"TOL": 1.05}]

# [text] The least of the limits met: -9 dBm for data in the US (XECOM XEV90C, page 10). Speech has
# limits of its own; one that holds for a steady tone holds for speech.
LIMIT_DBM = -9


def decibels(ratio: np.ndarray) -> np.ndarray:
    return 20 * np.log10(ratio)


def dbm(volts: np.ndarray) -> np.ndarray:
    return 10 * np.log10(volts**2 / 600 / 1e-3)


@pytest.mark.parametrize("corner", CORNERS)
def test_the_tap_is_flat_weak_and_loud_enough(corner):
    wanted = ["mag(v(out))", "mag(v(tip)-v(rng))", "mag((v(tip)-v(rng))/i(vtap))"]
    _, out, line, ohms = sweep("tap", BAND, wanted, **corner)
    gain_db = decibels(out / line)
    assert gain_db.max() - gain_db.min() < 1.0
    assert gain_db.min() > -20
    assert gain_db.max() < -13
    assert ohms.min() > 10e3  # AS/CA S002:2010, 5.2.4.2: bridging equipment
    # What the tap costs the conversation; 600 ohm from both sides is 0 dB in this netlist.
    assert -decibels(line).min() < 0.2


def test_what_the_tap_gives_is_line_level():
    # A talker at -10 dBm, and the loudest, near 0 dBm [unverified]: 0.245 and 0.775 V on the pair.
    for corner in CORNERS:
        _, out, line = sweep("tap", BAND, ["mag(v(out))", "mag(v(tip)-v(rng))"], **corner)
        gain = out / line
        assert gain.min() * 0.245 > 0.02  # well above a card's noise, some 0.1 mV [unverified]
        assert gain.max() * 0.775 < 0.6  # and below where D10 to D13 begin to clip


@pytest.mark.parametrize("ring_v", [75, 105])
@pytest.mark.parametrize("ring_hz", [16, 25])
def test_ringing_does_not_reach_the_card(ring_v, ring_hz):
    extra = f"Vring r0 mid SIN(0 {ring_v * 2**0.5} {ring_hz})\nRring r0 tip 800"
    _, out = sweep(
        "tap", "tran 0.2m 0.4 0 0.2m", ["v(out)"], extra, RSET=1e9, RLINE=1e9, LP=15, RP="40k"
    )
    # PCM2902 and its like work from 5 V and stand some volts [unverified]; two diodes allow 2.
    assert np.abs(out).max() < 2.0


def test_without_its_diodes_ringing_would():
    extra = "Vring r0 mid SIN(0 150 25)\nRring r0 tip 800"
    _, out = sweep(
        "tap", "tran 0.2m 0.4 0 0.2m", ["v(out)"], extra, "D10 D12", RSET=1e9, RLINE=1e9, LP=15
    )
    assert np.abs(out).max() > 2.0


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("line_ohm", [300, 600])
def test_the_announcement_stays_below_the_limit(corner, line_ohm):
    _, volts = sweep("announce", BAND, ["mag(v(tip)-v(rng))"], RLINE=line_ohm, **corner)
    assert dbm(volts).max() <= LIMIT_DBM
    assert dbm(volts).min() > -18  # and is heard: 300 ohm is a conversation's line and phone
    assert decibels(volts.max() / volts).max() < 1.0


def test_a_smaller_pad_would_break_the_limit():
    _, volts = sweep("announce", BAND, ["mag(v(tip)-v(rng))"], R25=600, R26=600, RLINE=600)
    assert dbm(volts).max() > LIMIT_DBM


def test_the_announcement_comes_out_undistorted():
    time_s, volts = sweep("announce", "tran 10u 30m 20m 10u", ["v(tip)-v(rng)"], RLINE=600)
    grid = np.linspace(time_s[0], time_s[-1], 1000, endpoint=False)  # ten cycles of 1 kHz
    spectrum = np.abs(np.fft.rfft(np.interp(grid, time_s, volts)))
    harmonics = spectrum[[20, 30, 40, 50]]
    assert np.sqrt((harmonics**2).sum()) / spectrum[10] < 0.02


COMPLEX = {"ZS": 270, "ZP": 750, "ZC": "150n"}  # TBR 21's reference impedance


def separation_db(**params: object) -> np.ndarray:
    """By how much the other's voice in `far` is above ours, both equally loud on the line."""
    line, far = "mag(v(tip)-v(rng))", "mag(v(far))"
    _, near_on_line, near_in_far = sweep("hybrid", BAND, [line, far], **params)
    _, far_in_far = sweep("hybrid", BAND, [far], NEAR=0, FAR=1, **params)
    return decibels(near_on_line) - decibels(near_in_far) + decibels(far_in_far)


@pytest.mark.parametrize(("line", "least_db"), [({}, 14), (COMPLEX, 9)])
def test_the_hybrid_separates(line, least_db):
    for tolerance in (0.99, 1.01):
        found = separation_db(TOL=tolerance, TOLB=2 - tolerance, **line)
        assert found.min() > least_db


def test_a_hybrid_without_its_balance_separates_nothing():
    assert separation_db(R33="1e9").min() < 6


def test_hum_stays_out():
    hum, ground = "mag(v(out)-v(cardg))", "mag(i(vtie))"
    for mismatch in (1, 0.95, 1.05):
        _, out, _ = sweep("earth", "ac lin 2 50 100", [hum, ground], TOLA=mismatch)
        # Some 25 dB below a talker, from 50 V of hum, and below the telephone's band.
        assert out[0] < 3e-3


def test_a_shared_ground_hums():
    wanted = ["mag(v(out)-v(cardg))", "mag(i(vtie))", "mag(v(tip)-v(rng))"]
    _, out, current_a, line = sweep("earth", "ac lin 2 50 100", wanted, RTIE=0.01)
    assert out[0] > 1.0  # louder than any voice
    assert current_a[0] > 0.1  # through the card's ground, and off the exchange's balance
    assert line[0] > 10
