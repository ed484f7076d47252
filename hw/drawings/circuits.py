"""The circuit drawings, with the references and values of the netlists."""

from __future__ import annotations

import schemdraw.elements as elm

from hw.drawings.sheet import LINE_SIDE, PI_SIDE, Point, Sheet


def _to_pin(s: Sheet, start: Point, pull: str, series: str, pin: str) -> None:
    """A coupler's collector at `start`: pull-up, series resistor, pin."""
    x, y = start
    s.wire(start, (x + 1, y))
    s.dot((x + 1, y))
    s.resistor((x + 1, y + 2.4), (x + 1, y), pull, loc="bottom")
    s.supply((x + 1, y + 2.4))
    s.resistor((x + 1, y), (x + 4, y), series)
    s.terminal((x + 4, y), pin, "right")


def circuit_hook() -> Sheet:
    s = Sheet("hook")
    s.terminal((-5, 0), "A")
    s.part(elm.FuseIEC, (-5, 0), (-2, 0), "F1", "160 mA")
    s.terminal((-5, -5.4), "B")
    s.part(elm.FuseIEC, (-5, -5.4), (-2, -5.4), "F2", "160 mA")
    s.wire((-2, -5.4), (9, -5.4))
    s.terminal((9, -5.4), "phone B", "right")
    s.part(elm.Diac, (-2, 0), (-2, -5.4), "TH1", "TISP4350", loc="top")
    s.dot((-2, 0), (-2, -5.4))
    s.wire((-2, 0), (0, 0))
    s.dot((0, 0))
    # three diodes each way
    for height, way, first in ((-2.2, 1, 1), (-3.6, -1, 4)):
        s.wire((0, 0), (0, height))
        for n in range(3):
            ends = ((0.4 + 2 * n, height), (2.4 + 2 * n, height))
            diode = elm.Diode().at(ends[0 if way > 0 else 1]).to(ends[1 if way > 0 else 0])
            number = first + (n if way > 0 else 2 - n)
            s.drawing.add(diode)
            s.text((ends[0][0] + 1, height + 0.5), f"D{number}")
        s.wire((0, height), (0.4, height))
        s.wire((6.4, height), (6.8, height), (6.8, 0))
    s.dot((0, -2.2), (6.8, -2.2))
    s.wire((6.8, 0), (9, 0))
    s.terminal((9, 0), "phone A", "right")
    s.dot((6.8, 0))
    # the coupler above
    s.wire((0, 0), (0, 4.6))
    s.resistor((0, 4.6), (2.6, 4.6), "R1")
    s.dot((2.6, 4.6))
    u = s.coupler((5.2, 2.5), "U1 LTV-814")
    s.wire((2.6, 4.6), u["a"])
    s.resistor((2.6, 4.6), (2.6, 1.8), "R2", loc="bottom")
    s.wire((2.6, 1.8), (4.4, 1.8))
    s.dot((4.4, 1.8))
    s.wire((4.4, 1.8), (4.4, 3.0), u["k"])
    s.wire((4.4, 1.8), (4.4, 0), (6.8, 0))
    s.wire(u["e"], (9.2, 3.0), (9.2, 2.6))
    s.ground((9.2, 2.6))
    _to_pin(s, u["c"], "R3", "R4", "GPIO 17")
    s.barrier(6.75, 5.9, 8.2)
    return s


def circuit_ring() -> Sheet:
    s = Sheet("ring")
    s.terminal((0, 2.1), "A")
    s.capacitor((0, 2.1), (2.6, 2.1), "C1")
    s.resistor((2.6, 2.1), (5.2, 2.1), "R5")
    zener = s.value("VZ")
    for start, end, name in (((6.6, 2.1), (5.2, 2.1), "DZ1"), ((6.6, 2.1), (8.0, 2.1), "DZ2")):
        s.drawing.add(elm.Zener().at(start).to(end).label(name, fontsize=11))
    s.text((6.6, 1.2), f"{zener} each")
    u = s.coupler((8.8, 0), "U2 LTV-814")
    s.wire((8.0, 2.1), u["a"])
    s.terminal((0, 0.5), "B")
    s.wire((0, 0.5), u["k"])
    s.wire(u["e"], (12.4, 0.5), (12.4, 0.2))
    s.ground((12.4, 0.2))
    s.resistor(u["c"], (14.4, 2.1), "R7")
    s.dot((14.4, 2.1))
    s.resistor((14.4, 4.6), (14.4, 2.1), "R6", loc="bottom")
    s.supply((14.4, 4.6))
    s.capacitor((14.4, 2.1), (14.4, 0.2), "C2", loc="bottom")
    s.ground((14.4, 0.2))
    s.resistor((14.4, 2.1), (17.4, 2.1), "R8")
    s.terminal((17.4, 2.1), 'GPIO 12, pull = "none"', "right")
    s.barrier(10.3, 3.6, 5.2)
    return s


def circuit_present() -> Sheet:
    s = Sheet("present")
    for height, names, load, wire in (
        (3, ("R9", "R10"), "R13", "A"),
        (0, ("R11", "R12"), "R14", "B"),
    ):
        s.terminal((0, height), wire)
        s.resistor((0, height), (2.6, height), names[0])
        s.resistor((2.6, height), (5.2, height), names[1])
        s.wire((5.2, height), (11, height))
        s.dot((6, height), (7.6, height))
        s.resistor((7.6, height), (7.6, 1.5), load, loc="bottom")
    s.dot((7.6, 1.5))
    s.capacitor((6, 3), (6, 0), "C3", loc="top")
    s.wire((7.6, 1.5), (9.0, 1.5))
    s.terminal((9.0, 1.5), "1.65 V", "right")
    threshold = f"|A − B| > 3 V\n\nR15 {s.value('R15')}\nR16 {s.value('R16')}"
    s.box((11, -0.6), (4.2, 4.2), "U3 MCP6542", threshold, PI_SIDE)
    s.wire((15.2, 1.5), (16.4, 1.5))
    s.terminal((16.4, 1.5), "high: line present", "right")
    s.barrier(5.4, 4.2, 5.4)
    return s


def circuit_hold() -> Sheet:
    s = Sheet("hold")
    # the driver
    s.terminal((0, 0), "lift key")
    s.resistor((0, 0), (2.8, 0), "R17")
    s.dot((2.8, 0))
    s.resistor((2.8, 0), (2.8, -2.4), "R18", loc="bottom")
    s.ground((2.8, -2.4))
    s.wire((2.8, 0), (4.2, 0))
    q1 = elm.BjtNpn().at((4.2, 0)).anchor("base").theta(0).label("Q1 BC337", "right", fontsize=11)
    s.drawing.add(q1)
    collector, emitter = q1.absanchors["collector"], q1.absanchors["emitter"]
    s.wire(tuple(emitter), (emitter[0], -2.4))
    s.ground((emitter[0], -2.4))
    x = collector[0]
    s.wire(tuple(collector), (x, 1.4))
    s.drawing.add(elm.RBox().at((x, 1.4)).to((x, 4)).label("K1\nTX2-5V", "top", fontsize=11))
    s.dot((x, 1.4), (x, 4))
    s.wire((x, 1.4), (x + 2.0, 1.4))
    s.drawing.add(
        elm.Diode().at((x + 2.0, 1.4)).to((x + 2.0, 4)).label("D7", "bottom", fontsize=11)
    )
    s.wire((x + 2.0, 4), (x, 4))
    s.supply((x, 4), "5 V")
    _hold_circuit(s, 11.6)
    s.barrier(9.8, 5.2, 6.6, pi_first=True)
    return s


def _hold_circuit(s: Sheet, left: float) -> None:
    """What takes the line's direct current, behind K1's contact."""
    s.terminal((left, 4), "A")
    contact = elm.Switch().at((left, 4)).to((left + 2.4, 4)).label("K1", fontsize=11)
    s.drawing.add(contact)
    s.terminal((left, -2.4), "B")
    s.box((left + 2.4, -2.8), (2, 7.4), "D30–D33", "bridge\n4 × 1N4007", LINE_SIDE)
    s.wire((left, -2.4), (left + 2.4, -2.4))
    plus, minus = 4.0, -2.4
    base_x, q2_x = left + 7.6, left + 9.6
    s.wire((left + 4.4, plus), (q2_x + 0.7, plus))
    s.part(elm.DiodeTVS, (left + 5.1, plus), (left + 5.1, minus), "TV1", "18 V", loc="bottom")
    s.dot((left + 5.1, plus), (left + 5.1, minus))
    s.text((left + 4.7, plus + 0.15), "+")
    s.text((left + 4.7, minus + 0.15), "−")
    s.wire((left + 4.4, minus), (q2_x + 0.7, minus))
    s.dot((base_x, plus), (base_x, 1.2), (base_x, minus))
    s.resistor((base_x, plus), (base_x, 1.2), "R20", loc="top")
    s.resistor((base_x, 1.2), (base_x, minus), "R21", loc="top")
    s.wire((base_x, 1.2), (base_x + 1.2, 1.2))
    s.dot((base_x + 1.2, 1.2))
    s.capacitor((base_x + 1.2, 1.2), (base_x + 1.2, minus), "C4", loc="bottom", ofst=0.1)
    s.dot((base_x + 1.2, minus))
    q2 = (
        elm
        .BjtNpn()
        .at((q2_x, 1.2))
        .anchor("base")
        .theta(0)
        .label("Q2\nTIP122", "right", fontsize=11)
    )
    s.wire((base_x + 1.2, 1.2), (q2_x, 1.2))
    s.drawing.add(q2)
    s.wire(tuple(q2.absanchors["collector"]), (q2.absanchors["collector"][0], plus))
    bottom = q2.absanchors["emitter"]
    s.wire((q2_x + 0.7, minus), (bottom[0], minus))
    s.resistor(tuple(bottom), (bottom[0], minus), "R19", loc="bottom")
    s.wire((q2_x + 0.7, plus), (q2.absanchors["collector"][0], plus))


def _clamp(s: Sheet, x: float, top: float, bottom: float, names: tuple[str, str]) -> None:
    """Two diodes each way across the pair."""
    for offset, up, name in ((0.0, False, names[0]), (1.3, True, names[1])):
        s.wire((x + offset, top), (x + offset, top - 0.1))
        middle = (top + bottom) / 2
        for start, end in (
            ((x + offset, top), (x + offset, middle)),
            ((x + offset, middle), (x + offset, bottom)),
        ):
            diode = elm.Diode().at(end if up else start).to(start if up else end)
            s.drawing.add(diode)
        side = "left" if offset == 0 else "right"
        s.text(
            (x + offset + (0.45 if side == "right" else -0.45), middle),
            name,
            align="left" if side == "right" else "right",
        )
    s.dot((x, top), (x, bottom), (x + 1.3, top), (x + 1.3, bottom))


def circuit_tap() -> Sheet:
    s = Sheet("tap")
    for height, cap, res, wire in ((2, "C5", "R22", "A"), (0, "C6", "R23", "B")):
        s.terminal((0, height), wire)
        s.capacitor((0, height), (2.8, height), cap)
        s.resistor((2.8, height), (5.4, height), res)
    t = s.transformer((5.8, 0), "T1")
    s.wire((5.4, 2), t["p1"])
    s.wire((5.4, 0), t["p2"])
    s.wire(t["s1"], (14.2, 2))
    s.wire(t["s2"], (14.2, 0))
    s.resistor((8.6, 2), (8.6, 0), "R24", loc="top")
    s.dot((8.6, 2), (8.6, 0))
    _clamp(s, 11.4, 2, 0, ("D10\nD11", "D12\nD13"))
    s.terminal((14.2, 2), "line in, tip", "right")
    s.terminal((14.2, 0), "line in, sleeve", "right")
    s.barrier(6.4, 3.2, 4.4)
    return s


def circuit_announce() -> Sheet:
    s = Sheet("announce")
    s.terminal((0, 2), "line out, tip")
    s.terminal((0, 0), "sleeve")
    s.wire((0, 2), (4, 2))
    s.wire((0, 0), (4, 0))
    _clamp(s, 1.6, 2, 0, ("D14–D17\n4 in a row", "D18–D21"))
    s.resistor((4.4, 2), (7, 2), "R25")
    s.resistor((4.4, 0), (7, 0), "R26")
    s.wire((4, 2), (4.4, 2))
    s.wire((4, 0), (4.4, 0))
    t = s.transformer((7.4, 0), "T2")
    s.wire((7, 2), t["p1"])
    s.wire((7, 0), t["p2"])
    s.capacitor(t["s1"], (11.4, 2), "C7")
    s.wire(t["s2"], (11.4, 0))
    s.terminal((11.4, 2), "A", "right")
    s.terminal((11.4, 0), "B", "right")
    s.barrier(8.0, 3.2, 4.4, pi_first=True)
    return s


def circuit_hybrid() -> Sheet:
    s = Sheet("hybrid")
    s.terminal((0, 4), "near")
    s.wire((0, 4), (2, 4))
    s.dot((2, 4), (6, 4))
    s.resistor((2, 4), (6, 4), "R27")
    s.capacitor((6, 4), (6, 2), "C10", loc="bottom")
    s.ground((6, 2))
    t = s.transformer((8, 2), "T3")
    s.wire((6, 4), t["p1"])
    s.wire(t["p2"], (8, 1.8))
    s.ground((8, 1.8))
    s.capacitor(t["s1"], (11.8, 4), "C8")
    s.terminal((11.8, 4), "A", "right")
    s.wire(t["s2"], (11.8, 2))
    s.terminal((11.8, 2), "B", "right")
    # the balance
    s.wire((2, 4), (2, 0))
    s.resistor((2, 0), (5, 0), "R28")
    s.dot((5, 0))
    s.resistor((5, 0), (5, -2.4), "R33", loc="bottom")
    s.capacitor((5, -2.4), (5, -4), "C9", loc="bottom")
    s.ground((5, -4))
    # the difference
    s.resistor((5, 0), (8.6, 0), "R29")
    amplifier = elm.Opamp().at((9.6, 0)).anchor("in1").theta(0)
    s.drawing.add(amplifier)
    in1, in2, out = (tuple(amplifier.absanchors[name]) for name in ("in1", "in2", "out"))
    s.wire((8.6, 0), in1)
    s.dot((8.9, 0))
    s.wire((8.9, 0), (8.9, 1.0))
    s.resistor((8.9, 1.0), (out[0] + 0.3, 1.0), "R30")
    s.wire((out[0] + 0.3, 1.0), (out[0] + 0.3, out[1]))
    s.dot((out[0] + 0.3, out[1]))
    s.wire(out, (out[0] + 1.4, out[1]))
    s.terminal((out[0] + 1.4, out[1]), "far", "right")
    s.text((10.9, out[1]), "U4")
    # the transformer's side of R27 comes back to the other input
    s.wire((6, 4), (6, 4.7))
    s.terminal((6, 4.7), "X", "top")
    s.terminal((4.6, -5.6), "X")
    s.wire((4.6, -5.6), (5.6, -5.6))
    s.resistor((5.6, -5.6), (8.6, -5.6), "R31")
    s.wire((8.6, -5.6), (9.2, -5.6), (9.2, in2[1]), in2)
    s.dot((9.2, -5.6))
    s.resistor((9.2, -5.6), (9.2, -7.8), "R32", loc="bottom")
    s.ground((9.2, -7.8))
    s.barrier(8.6, 5.2, 6.4, pi_first=True)
    return s


def circuit_pin() -> Sheet:
    """A contact, or an output with an open collector, to a pin of the Pi."""
    s = Sheet("hook")
    s.drawing.add(elm.Switch().at((0, -2.2)).to((0, 0)))
    s.text((-0.7, -1.1), "contact or\nopen collector", align="right")
    s.ground((0, -2.2))
    _to_pin(s, (0, 0), "R3", "R4", "GPIO 17")
    return s


def circuit_a() -> Sheet:
    """Way A: an approved line status unit, and what brings its 5 V outputs to the Pi's 3.3 V."""
    s = Sheet("hook")
    s.box((0, -1.4), (4.2, 7.8), "CH1808", "line status unit\n(approved, US)", LINE_SIDE)
    for height, name in ((5.4, "wall A"), (3.8, "wall B"), (1.0, "phone A"), (-0.6, "phone B")):
        s.wire((-1, height), (0, height))
        s.terminal((-1, height), name)
    s.wire((2.1, 6.4), (2.1, 6.8))
    s.supply((2.1, 6.8), "5 V")
    s.ground((2.1, -1.4))
    rows = (
        (4.6, "OHD", "Q3", ("R40", "R41", "R42"), "GPIO 17, hook"),
        (0.0, "RI", "Q4", ("R43", "R44", "R45"), "GPIO 12, ring"),
    )
    for height, output, transistor, (gate, pull, series), pin in rows:
        s.text((3.9, height), output, align="right")
        s.resistor((4.2, height), (7.0, height), gate, text="10 kΩ")
        fet = elm.NMos().at((7.6, height)).anchor("gate").theta(0)
        s.drawing.add(fet)
        s.text((8.6, height - 0.1), f"{transistor}\n2N7002", align="left")
        s.wire((7.0, height), (7.6, height))
        drain, source = tuple(fet.absanchors["drain"]), tuple(fet.absanchors["source"])
        s.ground(source)
        top = height + 1.2
        s.wire(drain, (drain[0], top), (10.4, top))
        s.dot((10.4, top))
        s.resistor((10.4, top + 2.2), (10.4, top), pull, text="10 kΩ", loc="bottom")
        s.supply((10.4, top + 2.2))
        s.resistor((10.4, top), (13.4, top), series, text="1 kΩ")
        s.terminal((13.4, top), pin, "right")
    return s


def circuit_b() -> Sheet:
    """Way B: the cord of the handset, and a reed contact at the cradle."""
    s = Sheet("hook")
    wires = ((7, "mic +"), (6, "mic −"), (4, "ear"), (3, "ear"))
    for height, name in wires:
        s.wire((0, height), (13, height), color=LINE_SIDE)
        s.terminal((0, height), name)
        s.terminal((13, height), name, "right")
    s.text((-1.4, 8.0), "desk set", LINE_SIDE, 13)
    s.text((14.4, 8.0), "handset", LINE_SIDE, 13)
    taps = (
        (1.0, "Tap, near", "T1", (7, 6), "card: near in"),
        (5.2, "Announcement", "T2", (7, 6), "card: out"),
        (9.4, "Tap, far", "T4", (4, 3), "card: far in"),
    )
    for x, title, transformer, pair, there in taps:
        for shift, height in zip((0.8, 1.8), pair, strict=True):
            s.wire((x + shift, height), (x + shift, 1.6))
            s.dot((x + shift, height))
        s.box((x, 0), (3.3, 1.6), title, transformer, PI_SIDE)
        s.text((x + 1.65, -0.45), there)
    s.text((6.4, 8.0), "handset cord, 4P4C", LINE_SIDE, 13)
    # the cradle
    s.drawing.add(elm.SwitchReed().at((18.6, 0.6)).to((18.6, 3)))
    s.text((18.1, 1.8), "reed at the cradle,\nclosed while lifted", align="right")
    s.ground((18.6, 0.6))
    _to_pin(s, (18.6, 3), "R3", "R4", "GPIO 17")
    return s


def circuit_jig() -> Sheet:
    """The jig's outputs: a coupler a pin, so that the two boxes share nothing."""
    s = Sheet("hook")
    for height, pin, coupler, feed, there in (
        (4.6, "jig GPIO 5", "U10", "R50", "box GPIO 17"),
        (0, "jig GPIO 6", "U11", "R51", "box GPIO 12"),
    ):
        s.terminal((0, height + 2.1), pin)
        s.resistor((0, height + 2.1), (3, height + 2.1), feed, text="470 Ω")
        u = s.coupler((3.6, height), f"{coupler} LTV-814")
        s.wire((3, height + 2.1), u["a"])
        s.terminal((0, height + 0.5), "jig ground")
        s.wire((0, height + 0.5), u["k"])
        s.wire(u["c"], (9, height + 2.1))
        s.terminal((9, height + 2.1), there, "right")
        s.wire(u["e"], (9, height + 0.5))
        s.terminal((9, height + 0.5), "box ground", "right")
    return s
