"""The ring detector: sees ringing and nothing else."""

from __future__ import annotations

import pytest

from recorderd.events import LineFaulted, RingBurstEnded, RingingStarted, RingingStopped
from tests.circuits.pin import HIGH_V, Edge, edges_of, facts_of
from tests.circuits.spice import sweep

pytestmark = pytest.mark.circuits

# Corners: the weakest and the strongest of U2, R, C and the Zener diodes' 5 %.
WEAKEST = {"CTR": 0.2, "TOL": 1.05, "TOLC": 0.9, "TOLZ": 1.05}
STRONGEST = {"CTR": 3.0, "TOL": 0.95, "TOLC": 1.1, "TOLZ": 0.95}
CORNERS = [WEAKEST, {**WEAKEST, "TOL": 0.95}, STRONGEST, {**STRONGEST, "DARK": "1u"}]


def detected(line: str, until_s: float, **params: object) -> tuple[list[Edge], float]:
    time_s, volts = sweep("ring", f"tran 0.5m {until_s} 0 0.5m", ["v(pin)"], line, **params)
    return edges_of(time_s, volts), float(volts.min())


def ringing(volts: float, hertz: float, gate: str, feed_v: float = 48) -> str:
    """Ringing on top of the feed while the points of `gate` are 1."""
    return (
        f"Vring s 0 SIN(0 {volts * 2**0.5} {hertz})\n"
        f"Bline line 0 V={feed_v}+v(s)*v(gate)\nVgate gate 0 PWL({gate})"
    )


@pytest.mark.parametrize("ring_hz", [16, 20, 25])
@pytest.mark.parametrize("ring_v", [40, 75, 105])
def test_ringing_is_one_burst(ring_hz, ring_v):
    for corner, feed_v in zip(CORNERS, (48, -48, 24, 53), strict=True):
        line = ringing(ring_v, ring_hz, "0 0 0.2 0 0.201 1 1.2 1 1.201 0", feed_v)
        edges, _ = detected(line, 2, **corner)
        assert [is_low for _, is_low in edges] == [True, False], corner
        assert edges[0][0] == pytest.approx(0.2, abs=0.3)
        assert edges[1][0] == pytest.approx(1.2, abs=0.3)
        facts = facts_of([], edges)
        assert [type(fact) for fact in facts if not isinstance(fact, RingBurstEnded)] == [
            RingingStarted,
            RingingStopped,
        ]


def test_a_british_double_ring_is_one_burst():
    # 0.4 on, 0.2 off, 0.4 on, 2.0 off (Asterisk, indications.conf.sample).
    gate = "0 0 0.2 0 0.201 1 0.6 1 0.601 0 0.8 0 0.801 1 1.2 1 1.201 0"
    edges, _ = detected(ringing(75, 25, gate), 3)
    facts = facts_of([], edges, country="GB")
    assert [fact.bursts for fact in facts if isinstance(fact, RingingStopped)] == [1]


def dialling(high_v: float, low_v: float, pulses_per_s: int, make: float) -> tuple[str, float]:
    """On-hook, lifted, ten pulses, put down: the voltage between the wires."""
    points = [f"0 {high_v}", f"0.3 {high_v}", f"0.3002 {low_v}"]
    at = 1.0
    for _ in range(10):
        end = at + (1 - make) / pulses_per_s
        points += [f"{at} {low_v}", f"{at + 2e-4} {high_v}", f"{end} {high_v}"]
        points += [f"{end + 2e-4} {low_v}"]
        at += 1 / pulses_per_s
    points += [f"{at + 0.3} {low_v}", f"{at + 0.3002} {high_v}"]
    return f"Vline line 0 PWL({' '.join(points)})", at + 1


@pytest.mark.parametrize(("high_v", "low_v"), [(53, 6), (48, 8), (-53, -6), (24, 6)])
@pytest.mark.parametrize(("pulses_per_s", "make"), [(10, 0.30), (20, 0.30), (20, 0.36)])
def test_dialling_is_no_ringing(high_v, low_v, pulses_per_s, make):
    line, until_s = dialling(high_v, low_v, pulses_per_s, make)
    for corner in CORNERS:
        edges, lowest_v = detected(line, until_s, **corner)
        assert not edges
        assert lowest_v > HIGH_V  # not even near the limits


def test_speech_and_digits_are_no_ringing():
    # 3 V peak each: far louder than the -3 dBm of a loud DTMF tone (Q.24), which is 0.8 V.
    tones = "+".join(f"3*sin(6.283*{hertz}*time)" for hertz in (300, 941, 1633))
    for feed_v in (8, 48):
        edges, lowest_v = detected(f"Bline line 0 V={feed_v}+{tones}", 0.6, **STRONGEST)
        assert not edges
        assert lowest_v > HIGH_V


def test_a_reversal_of_the_line_is_no_ringing():
    # The pin may move, but for less than the 200 ms of a burst.
    edges, _ = detected("Vline line 0 PWL(0 48 0.5 48 0.502 -48)", 1.5, **STRONGEST)
    assert not facts_of([], edges, country="JP")


def test_it_is_invisible_to_speech():
    # AS/CA S002:2010, 5.2.4.2: more than 10 kohm across the pair from 300 to 3400 Hz.
    for corner in CORNERS:
        _, ohms = sweep(
            "ring",
            "ac dec 10 300 3400",
            ["mag(v(tip)/i(vtest))"],
            "Vtest tip 0 DC 48 AC 1\nVline line 0 48",
            RSRC=1e9,
            **corner,
        )
        assert ohms.min() > 10e3


def test_without_zener_diodes_dialling_would_ring():
    line, until_s = dialling(53, 6, 10, 0.30)
    edges, _ = detected(line, until_s, **(STRONGEST | {"VZ": 6}))
    assert any(isinstance(fact, RingingStarted | LineFaulted) for fact in facts_of([], edges))
