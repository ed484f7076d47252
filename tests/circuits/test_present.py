"""The line-present detector: tells a cut line, and leaks less than any rule allows."""

from __future__ import annotations

import pytest

from tests.circuits.pin import HIGH_V, LOW_V
from tests.circuits.spice import operating_point, sweep

pytestmark = pytest.mark.circuits

# Comparators are some millivolts off; 7 mV is a cheap one [unverified].
OFFSETS = [-0.007, 0.007]


def pin_volts(**params: object) -> tuple[float, float]:
    """The lowest and the highest voltage of the pin, once it has settled."""
    _, volts = sweep("present", "tran 0.5m 0.4 0.2 0.2m", ["v(pin)"], **params)
    return float(volts.min()), float(volts.max())


@pytest.mark.parametrize("line_v", [53, 24, 6, -6, -24, -53])
@pytest.mark.parametrize("offset_v", OFFSETS)
def test_a_line_with_voltage_is_present(line_v, offset_v):
    for mismatch in (0.99, 1.01):
        lowest_v, _ = pin_volts(VLINE=line_v, TOLA=mismatch, TOLB=2 - mismatch, VOS=offset_v)
        assert lowest_v > HIGH_V


@pytest.mark.parametrize("hum_v", [0, 50])
@pytest.mark.parametrize("offset_v", OFFSETS)
def test_a_cut_line_is_not(hum_v, offset_v):
    for mismatch in (0.99, 1.01):
        params = {"TOLA": mismatch, "TOLB": 2 - mismatch, "VOS": offset_v}
        _, highest_v = pin_volts(VLINE=0.5, VLONG=hum_v, **params)
        assert highest_v < LOW_V


def test_resistors_of_5_percent_would_let_hum_through():
    # Why R9 to R14 are of 1 %.
    _, highest_v = pin_volts(VLINE=0.5, VLONG=50, TOLA=1.05, TOLB=0.95)
    assert highest_v > HIGH_V


@pytest.mark.parametrize("volts", [100, 200])
def test_the_leakage_on_hook_is_far_below_the_rules(volts):
    # More than 5 Mohm up to 100 V (47 CFR 68.312, 1997); 1 Mohm at 200 V to earth (端末設備等規則, 13).
    (between_a,) = operating_point("present", ["i(vleak)"], VLINE=volts, TOLA=0.99, TOLB=0.99)
    assert volts / abs(between_a) > 2 * 5e6
    # Both wires on `volts` against earth, which is the Pi's ground.
    (to_earth_a,) = operating_point("present", ["i(vleak)"], VLINE=0, VBOTH=volts, TOLA=0.99)
    assert volts / abs(to_earth_a) > 2 * 5e6


def test_a_led_across_the_line_would_break_them():
    # The often drawn bridge detector: 22 kohm and a coupler's LED from wire to wire.
    (between_a,) = operating_point(
        "present",
        ["i(vled)"],
        "Vled tip l1 0\nRled l1 l2 22k\nDled l2 ring ired\n.model ired D(IS=2.6e-12 N=2.1)",
        VLINE=100,
    )
    assert 100 / abs(between_a) < 5e6


def test_little_current_comes_through_in_a_surge():
    # 1500 V on both wires against earth: what reaches the Pi's side.
    wanted = ["i(vmid)", "v(p)-v(vm)"]
    into_pi_a, at_input_v = operating_point("present", wanted, VLINE=0, VBOTH=1500)
    assert abs(into_pi_a) < 200e-6
    assert abs(at_input_v) < 25  # the comparators need clamping diodes; 75 uA is easy for them
