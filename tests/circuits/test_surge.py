"""1.5 kV 10/700 through the protection: every part within its rating."""

from __future__ import annotations

import numpy as np
import pytest

from tests.circuits.spice import sweep

pytestmark = pytest.mark.circuits

SURGE = "tran 0.2u 4m 0 0.5u uic"
WANTED = {
    "line_v": "v(t2)-v(r2)",
    "protector_a": "i(v.xth1.vs)",
    "fuse_a": "i(vf1)",
    "hook_a": "i(vhook)",
    "diode_a": "i(vd1)",
    "hook_led_a": "i(v.xu1.va)-i(v.xu1.vb)",
    "ring_led_a": "i(v.xu2.va)-i(v.xu2.vb)",
    "ring_cap_v": "v(t2)-v(c1)",
    "ring_resistor_v": "v(c1)-v(z)",
    "tap_cap_v": "v(t2)-v(c5)",
    "card_v": "v(out)",
    "hold_a": "i(vk1)",
    "held_v": "v(hp)-v(hm)",
}


def surge(**params: object) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    time_s, *rows = sweep("surge", SURGE, list(WANTED.values()), **params)
    return time_s, dict(zip(WANTED, rows, strict=True))


def energy(time_s: np.ndarray, rate: np.ndarray) -> float:
    """The integral over time, by trapezoids."""
    return float(((rate[1:] + rate[:-1]) / 2 * np.diff(time_s)).sum())


def test_the_generator_is_the_standards():
    # Open: 10/700 us at 1.5 kV. Shorted: 37.5 A (Bourns TISP4xxxM3LM, table for K.20/K.21).
    time_s, volts = sweep("surge", SURGE, ["v(g2)"], F="1e9")
    peak_v = volts.max()
    assert peak_v == pytest.approx(1500, rel=0.02)
    front_s = 1.67 * (
        time_s[np.argmax(volts > 0.9 * peak_v)] - time_s[np.argmax(volts > 0.3 * peak_v)]
    )
    assert front_s == pytest.approx(10e-6, rel=0.3)
    tail = volts[volts.argmax() :] < peak_v / 2
    assert time_s[volts.argmax() :][np.argmax(tail)] == pytest.approx(700e-6, rel=0.2)
    _, amperes = sweep("surge", SURGE, ["i(vf1)"], F="0.5m", VBO="1m")
    assert amperes.max() == pytest.approx(37.5, rel=0.03)


def check_ratings(time_s: np.ndarray, found: dict[str, np.ndarray]) -> None:
    peak = {name: float(np.abs(row).max()) for name, row in found.items()}
    # TISP4350H3LM: 200 A 5/310; it breaks over by 350 V, 362 V in an impulse (H3BJ).
    assert peak["protector_a"] < 200
    assert peak["line_v"] < 400
    # 1N4007: 30 A for 8.3 ms, as energy; for a shorter pulse no more than twice the peak [chosen].
    for name in ("diode_a", "hold_a"):
        assert peak[name] < 60
        assert energy(time_s, found[name] ** 2) < 30**2 * 8.3e-3 / 2
    # LTV-814: 50 mA for ever; PC814: 1 A for 100 us. In a surge it is the second that counts.
    for name in ("hook_led_a", "ring_led_a"):
        assert peak[name] < 0.2
        assert energy(time_s, found[name] ** 2) < 1**2 * 100e-6 / 10
    # C1, C5, C6: 400 V types or X2; R5: far below what a 0.5 W type stands.
    assert peak["ring_cap_v"] < 400
    assert peak["tap_cap_v"] < 400
    assert energy(time_s, found["ring_resistor_v"] ** 2 / 10e3) < 0.5
    assert peak["card_v"] < 3
    # Q2 stands 100 V; TV1 1500 W for 10/1000 us.
    assert peak["held_v"] < 40
    assert (np.abs(found["hold_a"]) * np.abs(found["held_v"])).max() < 1500
    # The fuses: less than the 0.7 A2s that a fuse for this surge must stand (Bourns, TISP43xxMM).
    assert energy(time_s, found["fuse_a"] ** 2) < 0.7


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("phone_ohm", [300, 50, 1e9])
@pytest.mark.parametrize("fuse_ohm", [4, 10])
def test_every_part_stays_within_its_rating(direction, phone_ohm, fuse_ohm):
    check_ratings(*surge(KV=1.5 * direction, RPHONE=phone_ohm, F=fuse_ohm, CTR=3))


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("fuse_ohm", [4, 10])
def test_so_it_does_while_the_line_is_held(direction, fuse_ohm):
    # TV1 is a lower voltage than TH1's, so that the surge goes through hook sense and hold circuit.
    time_s, found = surge(KV=1.5 * direction, RPHONE=1e9, RK1=0.1, F=fuse_ohm, CTR=3)
    assert np.abs(found["hold_a"]).max() > 20
    check_ratings(time_s, found)


def test_without_the_protector_parts_would_die():
    _, found = surge(VBO=1e6, RPHONE=1e9)
    assert np.abs(found["line_v"]).max() > 1000
    _, found = surge(VBO=1e6, RPHONE=300)
    assert np.abs(found["ring_led_a"]).max() > 50e-3


def test_what_separates_the_sides_sees_the_surge_and_nothing_passes():
    # 1.5 kV on both wires against earth. The transformer stands 3.88 kVrms (P2001), U1 5 kVrms.
    _, barrier_v, card_a = sweep(
        "earth", "tran 0.1u 200u 0 0.2u", ["v(p1)-v(out)", "i(vcardg)"], KV=1.5, HUM=0
    )
    assert 1400 < np.abs(barrier_v).max() < 3880
    assert np.abs(card_a).max() < 50e-3  # the windings' capacitance charging, for 10 us


def test_a_shared_ground_takes_all_of_it():
    _, tie_a = sweep("earth", "tran 0.1u 200u 0 0.2u", ["i(vtie)"], KV=1.5, HUM=0, RTIE=0.01)
    assert np.abs(tie_a).max() > 5


def test_without_tv1_the_hold_circuit_would_die():
    _, found = surge(RK1=0.1, RPHONE=1e9, without="DT1")
    assert np.abs(found["held_v"]).max() > 100
