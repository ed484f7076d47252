"""What the drawings have in common: the sheet, and the few things that are drawn again and again.

Ink on a light sheet of its own, so that a drawing reads the same on a dark page and on a light one.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import schemdraw
import schemdraw.elements as elm

from hw.parts import values_of, written

if TYPE_CHECKING:
    from collections.abc import Callable

Point = tuple[float, float]

INK = "#1d2733"
LINE_SIDE = "#a4332a"  # the telephone line's side of a barrier
PI_SIDE = "#1f5f8b"
FAINT = "#7b8794"
PAPER = "#fbfaf6"
SMALL = 11

schemdraw.use("svg")
schemdraw.svgconfig.text = "text"
elm.style(elm.STYLE_IEC)


class Sheet:
    """One drawing. Coordinates are schemdraw's units, y upwards."""

    def __init__(self, netlist: str | None = None) -> None:
        self.drawing = schemdraw.Drawing(show=False)
        self.drawing.config(fontsize=13, lw=1.6, color=INK, font="sans-serif", margin=1.1)
        self._values = values_of(netlist) if netlist else {}

    def value(self, reference: str) -> str:
        return written(reference, self._values[reference])

    def part(
        self,
        kind: Callable[[], elm.Element2Term],
        start: Point,
        end: Point,
        reference: str,
        text: str | None = None,
        loc: str = "top",
        ofst: float | Point | None = None,
    ) -> None:
        """A two-legged part from point to point, with its reference and value."""
        value = self.value(reference) if text is None else text
        # Beside a standing part the label has two lines; above a lying one it has one.
        joint = "\n" if start[0] == end[0] else " "
        label = f"{reference}{joint}{value}".strip()
        self.drawing.add(kind().at(start).to(end).label(label, loc=loc, ofst=ofst, fontsize=SMALL))

    def resistor(self, start: Point, end: Point, reference: str, **options: object) -> None:
        self.part(elm.ResistorIEC, start, end, reference, **options)  # type: ignore[arg-type]  # its own keywords, which part checks

    def capacitor(self, start: Point, end: Point, reference: str, **options: object) -> None:
        self.part(elm.Capacitor, start, end, reference, **options)  # type: ignore[arg-type]  # as for the resistor

    def wire(self, *points: Point, color: str | None = None) -> None:
        for start, end in pairwise(points):
            line = elm.Line().at(start).to(end)
            self.drawing.add(line.color(color) if color else line)

    def arrow(self, start: Point, end: Point, text: str = "", *, both: bool = False) -> None:
        arrow = elm.Arrow(double=both).at(start).to(end)
        self.drawing.add(arrow.label(text, fontsize=SMALL) if text else arrow)

    def dot(self, *points: Point) -> None:
        for point in points:
            self.drawing.add(elm.Dot(radius=0.06).at(point))

    def terminal(self, point: Point, text: str, side: str = "left") -> None:
        self.drawing.add(elm.Dot(open=True).at(point).label(text, loc=side, fontsize=SMALL))

    def ground(self, point: Point) -> None:
        self.drawing.add(elm.GroundSignal().at(point).theta(0).color(PI_SIDE))

    def supply(self, point: Point, text: str = "3.3 V") -> None:
        self.drawing.add(elm.Vdd().at(point).theta(0).label(text, fontsize=SMALL).color(PI_SIDE))

    def text(
        self, point: Point, text: str, color: str = INK, size: int = SMALL, align: str = "center"
    ) -> None:
        label = elm.Label().at((point[0] - 0.1, point[1])).theta(0)  # its own anchor is off by that
        label.label(text, loc="center", ofst=(0, 0), halign=align, fontsize=size)
        self.drawing.add(label.color(color))

    def box(
        self,
        corner: Point,
        size: Point,
        title: str,
        body: str = "",
        color: str = INK,
    ) -> None:
        """A box with its lower left corner at `corner`."""
        x, y = corner
        width, height = size
        self.drawing.add(
            elm.Rect(corner1=(0, 0), corner2=(width, height)).at(corner).theta(0).color(color)
        )
        lines = body.split("\n") if body else []
        step = 0.42
        top = y + height / 2 + step * len(lines) / 2
        self.text((x + width / 2, top - 0.13), title, color, 13)
        for number, line in enumerate(lines, start=1):
            self.text((x + width / 2, top - 0.13 - step * number), line, INK, 10)

    def coupler(self, corner: Point, reference: str) -> dict[str, Point]:
        """A bipolar opto-coupler, its legs 2 apart: a, k on the left, c, e on the right."""
        x, y = corner
        add = self.drawing.add
        add(elm.Rect(corner1=(0, 0), corner2=(3, 2.6)).at(corner).theta(0))
        a, k, c, e = (x, y + 2.1), (x, y + 0.5), (x + 3, y + 2.1), (x + 3, y + 0.5)
        # two LEDs, head to tail
        self.wire(a, (x + 1.1, y + 2.1))
        self.wire(k, (x + 1.1, y + 0.5))
        for left, down in ((x + 0.7, True), (x + 1.3, False)):
            ends = ((left, y + 2.1), (left, y + 0.5))
            add(elm.Diode().at(ends[0] if down else ends[1]).to(ends[1] if down else ends[0]))
        self.wire((x + 1.1, y + 2.1), (x + 1.3, y + 2.1))
        self.wire((x + 1.1, y + 0.5), (x + 1.3, y + 0.5))
        for height in (1.5, 1.15):
            add(
                elm
                .Arrow(headwidth=0.14, headlength=0.16)
                .at((x + 1.62, y + height))
                .to((x + 1.98, y + height))
            )
        # the transistor
        self.wire((x + 2.1, y + 0.9), (x + 2.1, y + 1.7))
        self.wire((x + 2.1, y + 1.5), (x + 2.5, y + 2.1), c)
        add(
            elm.Arrow(headwidth=0.16, headlength=0.18).at((x + 2.1, y + 1.1)).to((x + 2.5, y + 0.5))
        )
        self.wire((x + 2.5, y + 0.5), e)
        self.text((x + 1.5, y + 2.68), reference, INK, SMALL)
        return {"a": a, "k": k, "c": c, "e": e}

    def transformer(self, corner: Point, reference: str) -> dict[str, Point]:
        """A transformer 600:600; p1, p2 on the left, s1, s2 on the right, 2 apart."""
        x, y = corner
        for side in (0.0, 1.2):
            ends = ((x + side, y + 2), (x + side, y))
            coil = elm.Inductor().at(ends[1] if side else ends[0])
            self.drawing.add(coil.to(ends[0] if side else ends[1]))
        for core in (0.5, 0.7):
            self.wire((x + core, y + 0.1), (x + core, y + 1.9))
        self.text((x + 0.6, y + 2.1), reference, INK, SMALL)
        return {"p1": (x, y + 2), "p2": (x, y), "s1": (x + 1.2, y + 2), "s2": (x + 1.2, y)}

    def barrier(self, x: float, low: float, high: float, *, pi_first: bool = False) -> None:
        """The border that nothing but couplers, transformers and relays may cross."""
        self.drawing.add(elm.Line().at((x, low)).to((x, high)).linestyle("--").color(FAINT))
        sides = [("line side", LINE_SIDE), ("Pi side", PI_SIDE)]
        for (text, color), shift, align in zip(
            sides[::-1] if pi_first else sides, (-0.15, 0.15), ("right", "left"), strict=True
        ):
            self.text((x + shift, low + 0.1), text, color, SMALL, align)

    def svg(self) -> str:
        """The sheet as SVG, with its paper under it and its corners rounded."""
        image = self.drawing.get_imagedata("svg").decode("utf-8")
        found = re.search(r'viewBox="([-\d. ]+)"', image)
        assert found is not None
        x, y, width, height = found[1].split()
        paper = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{PAPER}"/>'
        return image.replace(">", f">\n{paper}", 1) + "\n"
