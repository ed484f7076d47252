"""The hold relay's driver, and the circuit that holds the line."""

from __future__ import annotations

import numpy as np
import pytest

from tests.circuits.spice import operating_point, sweep

pytestmark = pytest.mark.circuits

DRIVE = "Vdrive drive 0 PWL(0 0 0.02 0 0.02001 1 0.06 1 0.06001 0)"
IDLE = "Vdrive drive 0 0"
# Panasonic TX2-5V: 140 mW, of which 79 mW surely operate it (data sheet): 3.75 V at 178 ohm.
OPERATES_V = 3.76
RELEASES_V = 0.5
# [unverified] 16 mA is the most of a Pi's pin; all of them together 50 mA.
PIN_LIMIT_A = 3e-3


@pytest.mark.parametrize(
    "corner",
    [
        {"beta": 60, "TOL": 1.05, "PINV": 2.9, "VRELAY": 4.75},
        {"beta": 300, "TOL": 0.95, "PINV": 3.4, "VRELAY": 5.25},
    ],
)
def test_the_relay_follows_its_pin(corner):
    wanted = ["v(v5)-v(kc)", "i(v33)", "v(drv)-v(pin)", "v(kc)"]
    time_s, coil_v, _, over_50_ohm_v, collector_v = sweep(
        "hold", "tran 20u 0.1 0 20u", wanted, DRIVE, **corner
    )
    assert np.abs(coil_v[time_s < 0.02]).max() < RELEASES_V
    assert coil_v[(time_s > 0.025) & (time_s < 0.06)].min() > OPERATES_V
    assert coil_v[time_s > 0.065].max() < RELEASES_V
    is_driven = (time_s > 0.025) & (time_s < 0.06)
    assert over_50_ohm_v[is_driven].max() / 50 < PIN_LIMIT_A
    assert collector_v.max() < 7  # D7 takes the coil's kick; a BC337 stands 45 V


def test_without_its_diode_the_coil_would_kill_the_transistor():
    _, collector_v = sweep("hold", "tran 5u 0.1 0 5u", ["v(kc)"], DRIVE, "D7")
    assert collector_v.max() > 45


def test_the_relay_stays_off_while_the_pi_boots():
    # Some pins come up with a pull-up: 33 kohm at its strongest (Raspberry Pi documentation).
    (coil_v,) = operating_point("hold", ["v(v5)-v(kc)"], IDLE, RPINPULL="33k", TOL=1.05, beta=300)
    assert coil_v < RELEASES_V
    (coil_v,) = operating_point("hold", ["v(v5)-v(kc)"], IDLE, RPINPULL="33k", R18="100k", beta=300)
    assert coil_v > RELEASES_V  # which is what R18 is for


@pytest.mark.parametrize("loop_a", [0.02, 0.04, 0.08, 0.12])
@pytest.mark.parametrize("tolerance", [0.95, 1.05])
def test_the_held_line_is_a_telephone(loop_a, tolerance):
    # 端末設備等規則, article 13: 50 to 300 ohm at 20 to 120 mA.
    (volts,) = operating_point("hold", ["v(tip)"], IDLE, LOOP=loop_a, TOL=tolerance)
    assert 50 <= volts / loop_a <= 300
    # It takes the current and leaves speech: far more than the line's 600 ohm.
    _, ohms = sweep("hold", "ac dec 10 300 3400", ["mag(v(tip))"], IDLE, LOOP=loop_a, TOL=tolerance)
    assert ohms.min() > 3000
