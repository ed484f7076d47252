"""The picture of a call: both channels over time, with what happened marked, as inline SVG.

Marks differ by pattern and not by colour alone: the page is printed in black and white too. Colours
are variables of the page, which has a dark set.
"""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING, Any

from recorderd.evidence.sound import first_frame_at, frame_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recorderd.evidence.waveform import Waveform

LEFT, WIDTH = 46.0, 946.0
LANE, LANE_GAP, TOP = 104.0, 12.0, 22.0
BOTTOM = TOP + 2 * LANE + LANE_GAP
HEIGHT = BOTTOM + 40.0

QUIETEST_FULL_SCALE = 0.02
"""Silence is not blown up to fill the picture: its height is at least -34 dBFS."""

_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)
_TICKS_MAX = 9

PATTERNS = """
<pattern id="notice" width="6" height="6" patternUnits="userSpaceOnUse">
<rect width="6" height="6" class="notice-ground"/><circle cx="3" cy="3" r="1" class="notice-dot"/></pattern>
<pattern id="gap" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect width="6" height="6" class="gap-ground"/><rect width="2.4" height="6" class="gap-bar"/></pattern>
<pattern id="mask" width="5" height="5" patternUnits="userSpaceOnUse">
<rect width="5" height="5" class="mask-ground"/><path d="M0 0H5M0 0V5" class="mask-bar"/></pattern>"""


def picture(record: dict[str, Any], waveform: Waveform) -> str:
    """The whole picture, without its legend."""
    return "\n".join(_Picture(record, waveform).pieces())


def full_scale_of(waveform: Waveform) -> float:
    """The amplitude that reaches the edge of a lane, as a part of digital full scale."""
    peaks = [peak for channel in (0, 1) for pair in waveform.peaks(channel) for peak in pair]
    return max(QUIETEST_FULL_SCALE, *map(abs, peaks))


class _Picture:
    """Positions are of frames; `_x` makes them places on the page."""

    def __init__(self, record: dict[str, Any], waveform: Waveform) -> None:
        self._record = record
        self._waveform = waveform
        self._frames = record["audio"]["frames"]
        self._rate_hz = record["audio"]["sample_rate_hz"]

    def pieces(self) -> Iterator[str]:
        yield (
            f'<svg viewBox="0 0 1000 {HEIGHT:g}" role="img" xmlns="http://www.w3.org/2000/svg">'
            "<title>Both channels over time / 両チャンネルの波形</title>"
        )
        yield f"<defs>{PATTERNS}</defs>"
        scale = full_scale_of(self._waveform)
        for channel, name in enumerate(("near", "far")):
            top = TOP + channel * (LANE + LANE_GAP)
            yield f'<rect x="{LEFT:g}" y="{top:g}" width="{WIDTH:g}" height="{LANE}" class="lane"/>'
            yield from self._bands(top)
            yield self._wave(channel, top, scale)
            yield from _lane_name(name, top)
        yield from self._borders()
        yield from self._edges()
        yield from self._axis()
        yield "</svg>"

    def _x(self, frame: float) -> float:
        part = min(max(frame, 0.0), float(self._frames)) / float(self._frames)
        return LEFT + WIDTH * part

    def _bands(self, top: float) -> Iterator[str]:
        notice = self._record["notice"]
        if notice and notice["started_frame"] is not None:
            yield self._band("notice", notice["started_frame"], notice["frames"], top)
        for gap in self._record["gaps"]:
            yield self._band("gap", gap["first_frame"], gap["frames"], top)
        for mask in self._record["masked"]:
            yield self._band("mask", mask["first_frame"], mask["frames"], top)

    def _band(self, kind: str, first: int, frames: int, top: float) -> str:
        left = self._x(first)
        width = max(self._x(first + frames) - left, 2.0)  # a gap of a millisecond is to be seen
        return (
            f'<rect x="{left:.1f}" y="{top:g}" width="{width:.1f}" height="{LANE:g}" '
            f'fill="url(#{kind})"/>'
        )

    def _wave(self, channel: int, top: float, scale: float) -> str:
        middle, half = top + LANE / 2, (LANE / 2 - 3) / scale
        peaks = self._waveform.peaks(channel)
        step = WIDTH / len(peaks)
        upper = [
            (LEFT + step * (at + 0.5), middle - high * half) for at, (_, high) in enumerate(peaks)
        ]
        lower = [
            (LEFT + step * (at + 0.5), middle - low * half) for at, (low, _) in enumerate(peaks)
        ]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*upper, *reversed(lower)])
        kind = ("near", "far")[channel]
        return (
            f'<path d="M{LEFT:g} {middle:g}h{WIDTH:g}" class="zero"/>'
            f'<polygon points="{points}" class="wave {kind}"/>'
        )

    def _borders(self) -> Iterator[str]:
        for segment in self._record["segments"][1:]:
            x = self._x(segment["first_frame"])
            yield f'<path d="M{x:.1f} {TOP:g}V{BOTTOM:g}" class="border"/>'

    def _edges(self) -> Iterator[str]:
        """Off-hook, on-hook and flashes, each with its sign above the lanes."""
        record = self._record
        edges = [(record["audio"]["pre_roll_frames"], "▲")]
        if record["ended_at"] is not None:
            edges.append((frame_at(record, record["ended_at"]), "▼"))
        edges += [(frame_at(record, flash["at"]), "◆") for flash in record["flashes"]]
        for frame, sign in edges:
            x = self._x(frame)
            yield f'<path d="M{x:.1f} {TOP - 4:g}V{BOTTOM:g}" class="edge"/>'
            yield f'<text x="{x:.1f}" y="{TOP - 8:g}" class="sign">{sign}</text>'

    def _axis(self) -> Iterator[str]:
        seconds = self._frames / self._rate_hz
        step = next((tick for tick in _TICKS_S if seconds / tick <= _TICKS_MAX), _TICKS_S[-1])
        began = first_frame_at(self._record)
        for at in range(0, int(seconds) + 1, step):
            x = self._x(at * self._rate_hz)
            clock = (began + timedelta(seconds=at)).strftime("%H:%M:%S")
            anchor = "start" if x < LEFT + 20 else "end" if x > LEFT + WIDTH - 20 else "middle"
            yield f'<path d="M{x:.1f} {BOTTOM:g}v5" class="tick"/>'
            yield f'<text x="{x:.1f}" y="{BOTTOM + 18:g}" text-anchor="{anchor}">{_elapsed(at)}</text>'
            yield (
                f'<text x="{x:.1f}" y="{BOTTOM + 32:g}" text-anchor="{anchor}" class="clock">'
                f"{clock}</text>"
            )


def _lane_name(name: str, top: float) -> Sequence[str]:
    japanese = {"near": "自分側", "far": "相手側"}[name]
    middle = top + LANE / 2
    return (
        f'<text x="{LEFT - 6:g}" y="{middle - 2:g}" class="name {name}">{escape(name)}</text>',
        f'<text x="{LEFT - 6:g}" y="{middle + 13:g}" class="name">{japanese}</text>',
    )


def _elapsed(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
