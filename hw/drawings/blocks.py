"""The block diagrams: what is connected to what, one sheet a build."""

from __future__ import annotations

from hw.drawings.sheet import FAINT, LINE_SIDE, PI_SIDE, Sheet


def _pi(sheet: Sheet, corner: tuple[float, float], pins: str, height: float = 6.2) -> None:
    sheet.box(corner, (3.6, height), "Raspberry Pi", f"{pins}\n\nrecorderd", PI_SIDE)


def block_a() -> Sheet:
    """The analog line between wall and phone, through approved units alone."""
    s = Sheet()
    s.box((0, 4.2), (2.6, 1.6), "Wall socket", "public line", LINE_SIDE)
    s.box((4.4, 4.2), (4.2, 1.6), "Line status unit", "approved: CH1808", LINE_SIDE)
    s.box((4.4, 1.6), (4.2, 1.6), "Recording adapter", "approved, transformer", LINE_SIDE)
    s.box((4.4, -1), (4.2, 1.6), "Modem", "approved, on-hook", LINE_SIDE)
    s.box((4.4, 7.0), (4.2, 1.4), "Telephone", "on TIP/RING OUT")
    s.box((11, 4.2), (3, 1.6), "Level shift", "5 V to 3.3 V")
    s.box((11, 1.6), (3, 1.6), "Sound card", "stereo line in")
    _pi(s, (16, -0.6), "GPIO 17 hook\nGPIO 12 ring\nUSB sound\nUSB modem")
    s.arrow((2.6, 5), (4.4, 5), both=True)
    s.wire((3.4, 5), (3.4, -0.2))
    s.dot((3.4, 5), (3.4, 2.4))
    s.arrow((3.4, 2.4), (4.4, 2.4))
    s.arrow((3.4, -0.2), (4.4, -0.2))
    s.arrow((6.5, 5.8), (6.5, 7), both=True)
    s.arrow((8.6, 5), (11, 5))
    s.text((9.8, 5.2), "OHD, RI")
    s.arrow((8.6, 2.4), (11, 2.4))
    s.text((9.8, 2.6), "far")
    s.arrow((14, 5), (16, 5))
    s.text((15, 5.2), "hook, ring")
    s.arrow((14, 2.4), (16, 2.4))
    s.text((15, 2.6), "USB")
    s.arrow((8.6, -0.2), (16, -0.2))
    s.text((12.3, 0.0), "caller ID, USB")
    s.text((10, -1.7), "Nothing home-made to the left of the level shift.", FAINT, 12)
    return s


def block_b() -> Sheet:
    """A tap in the handset's cord of a PBX desk set."""
    s = Sheet()
    s.box((0, 4.0), (3.2, 2.4), "PBX desk set", "handset socket", LINE_SIDE)
    s.box((5.6, 4.4), (4.2, 1.6), "Cord tap", "4P4C, two pairs")
    s.box((5.6, 7.2), (4.2, 1.4), "Handset", "microphone, earpiece")
    s.box((5.6, 1.2), (4.2, 1.6), "Reed contact", "at the cradle, no wire to it")
    s.box((12.4, 4.4), (3.2, 1.6), "T1, T4", "two taps")
    s.box((12.4, 7.2), (3.2, 1.4), "T2", "announcement")
    s.box((18, 4.4), (3, 4.2), "Sound card", "near in\nfar in\nout")
    _pi(s, (23.2, 1), "GPIO 17 hook\nUSB sound", 7.6)
    s.arrow((3.2, 5.2), (5.6, 5.2), both=True)
    s.text((4.4, 5.5), "cord")
    s.arrow((7.7, 6), (7.7, 7.2), both=True)
    s.arrow((9.8, 4.8), (12.4, 4.8))
    s.text((11.1, 5.1), "both pairs")
    s.arrow((15.6, 5.2), (18, 5.2))
    s.text((16.8, 5.5), "near, far")
    s.arrow((18, 7.9), (15.6, 7.9))
    s.wire((12.4, 7.9), (10.6, 7.9), (10.6, 5.7))
    s.arrow((10.6, 5.7), (9.8, 5.7))
    s.text((11.5, 8.2), "send pair")
    s.arrow((21, 6.5), (23.2, 6.5), both=True)
    s.text((22.1, 6.8), "USB")
    s.arrow((9.8, 2), (23.2, 2))
    s.text((16.4, 2.3), "hook")
    return s


def block_c() -> Sheet:
    """A PBX's analog extension, our party on the four-wire side of a hybrid."""
    s = Sheet()
    s.box((0, 4.2), (3.2, 1.6), "PBX", "analog extension", LINE_SIDE)
    s.box((4.8, 4.2), (3, 1.6), "Protection", "F1, F2, TH1", LINE_SIDE)
    s.box((9.4, 4.2), (3.2, 1.6), "Hook sense", "in series, U1", LINE_SIDE)
    s.box((9.4, 0.8), (3.2, 1.6), "Ring detector", "across, U2", LINE_SIDE)
    s.box((14.4, 4.2), (3.6, 1.6), "Hold and hybrid", "K1, T3, U4; T2", LINE_SIDE)
    s.box((14.4, 8.2), (3.6, 1.6), "Headset", "with a lift key")
    s.box((20.6, 4.2), (3, 3.2), "Sound card", "near in\nfar in\nout")
    _pi(s, (25.6, 0.4), "GPIO 17 hook\nGPIO 12 ring\nUSB sound", 7.4)
    s.arrow((3.2, 5), (4.8, 5), both=True)
    s.arrow((7.8, 5), (9.4, 5), both=True)
    s.arrow((12.6, 5), (14.4, 5), both=True)
    s.wire((8.6, 5), (8.6, 1.6))
    s.dot((8.6, 5))
    s.arrow((8.6, 1.6), (9.4, 1.6))
    s.arrow((16.2, 5.8), (16.2, 8.2), both=True)
    s.arrow((18, 5.4), (20.6, 5.4))
    s.text((19.3, 5.7), "far")
    s.arrow((20.6, 4.6), (18, 4.6))
    s.text((19.3, 4.15), "out")
    s.wire((18, 9), (22.1, 9))
    s.arrow((22.1, 9), (22.1, 7.4))
    s.text((20, 9.3), "near")
    s.arrow((23.6, 5.8), (25.6, 5.8), both=True)
    s.text((24.6, 6.1), "USB")
    s.wire((11, 4.2), (11, 3.2))
    s.arrow((11, 3.2), (25.6, 3.2))
    s.text((19.3, 3.5), "hook")
    s.arrow((12.6, 1.6), (25.6, 1.6))
    s.text((19.3, 1.9), "ring")
    return s


def block_jig() -> Sheet:
    """A second Pi plays exchange, phone and modem to the box that is tested."""
    s = Sheet()
    s.box(
        (0, 0),
        (3.8, 7.6),
        "Jig: a second Pi",
        "play_line.py\n\nGPIO 5 hook\nGPIO 6 ring\nUSB serial\nUSB sound",
        PI_SIDE,
    )
    s.box((6.6, 5.6), (3.4, 1.6), "Coupler U10", "hook")
    s.box((6.6, 3.4), (3.4, 1.6), "Coupler U11", "ring")
    s.box((6.6, 1.2), (3.4, 1.6), "Null modem", "two USB adapters")
    s.box((6.6, -1.0), (3.4, 1.6), "T10, T11", "600:600")
    s.box(
        (12.8, 0),
        (3.8, 7.6),
        "Box under test",
        "recorderd\n\nGPIO 17 hook\nGPIO 12 ring\nUSB modem port\nUSB sound",
        PI_SIDE,
    )
    for height in (6.4, 4.2, 2.0):
        s.arrow((3.8, height), (6.6, height))
        s.arrow((10, height), (12.8, height))
    s.wire((1.9, 0), (1.9, -0.2), (4.6, -0.2))
    s.arrow((4.6, -0.2), (6.6, -0.2))
    s.wire((10, -0.2), (14.7, -0.2))
    s.wire((14.7, -0.2), (14.7, 0))
    s.text((5.2, 6.6), "3.3 V")
    s.text((5.2, 4.4), "3.3 V")
    s.text((5.2, 2.2), "tty")
    s.text((11.4, 2.2), "tty")
    s.text((4.4, -0.6), "near, far")
    s.text((12.4, -0.6), "line in")
    return s
