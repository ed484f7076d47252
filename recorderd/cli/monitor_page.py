"""The screen of `recorderd monitor` as rows of text, from what is known. No terminal here.

The picture needs 80 columns and 24 rows for two lines, and no colour, and draws with ASCII alone,
so that it is the same on every terminal. Whatever came from outside is made harmless: a caller's
name or a modem's byte must not move the cursor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size

from recorderd.cli.status import disk_line, upload_line
from recorderd.monitor.picture import RING_SHOWN_NS, who
from recorderd.units import NS_PER_MS, NS_PER_S, MonoNs, to_datetime

if TYPE_CHECKING:
    from recorderd.monitor.picture import Call, LineView, Picture

ROWS_PER_LINE = 9  # with the empty one after it
ROWS_AROUND = 6  # title; disk, archive, two alarms, keys
EVENT_ROWS_MIN = 3
ALARM_ROWS_MAX = 6
COLUMNS_MIN, ROWS_MIN = 40, 8
LABEL = 10

RING_SLOT_NS = 250 * NS_PER_MS
"""A character of the ring strip; the shortest ring of a cadence is 400 ms (United Kingdom)."""

BAR_CELLS = 40
BAR_BOTTOM_DBM0, BAR_TOP_DBM0 = -65.0, 3.0  # an idle line is about -65
CLIPS_SHARE = 0.99


@dataclass(slots=True)
class Scene:
    """All that one screen shows; from `status` on it comes from the disk."""

    picture: Picture
    now: MonoNs
    zone: tzinfo = UTC
    site: str = ""
    status: dict[str, Any] = field(default_factory=dict)
    upload: dict[str, Any] | None = None  # None: there is no archive
    sealed_segments: dict[str, int] = field(default_factory=dict)  # by call
    alarms: list[str] = field(default_factory=list)
    first_line: int = 0
    paused: bool = False


def lines_shown(rows: int) -> int:
    """How many lines fit on a screen of `rows` rows."""
    return max(1, (rows - ROWS_AROUND) // ROWS_PER_LINE)


def page(scene: Scene, columns: int, rows: int) -> list[str]:
    """Exactly `rows` rows of exactly `columns` cells; the last cell of the last row stays free."""
    if columns < COLUMNS_MIN or rows < ROWS_MIN:
        text = [f"{columns}x{rows} is too small: 80x24 please"]
    else:
        text = _filled(scene, columns, rows)
    text = (text + [""] * rows)[:rows]
    return [set_cell_size(plain(row), columns) for row in text[:-1]] + [
        set_cell_size(plain(text[-1]), columns - 1)
    ]


def plain(text: str) -> str:
    """Without anything that a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _filled(scene: Scene, columns: int, rows: int) -> list[str]:
    names = list(scene.picture.lines)
    count = min(lines_shown(rows), len(names))
    first = max(0, min(scene.first_line, len(names) - count))
    body: list[str] = []
    for name in names[first : first + count]:
        body += [*_line(scene, name, columns), ""]
    if not names:
        body = ["", *_nobody(scene)]
    room = rows - ROWS_AROUND + 2 - len(body)  # for alarms and events
    alarms = _alarms(scene.alarms, columns, max(2, min(room, ALARM_ROWS_MAX)))
    events = _events(scene, room - len(alarms) - 1)
    body += events + [""] * (rows - 4 - len(body) - len(events) - len(alarms))
    body = body[: max(0, rows - 4 - len(alarms))]
    return [
        _title(scene, columns),
        *body,
        *_stores(scene),
        *alarms,
        _keys(scene, first, count, len(names)),
    ]


def _title(scene: Scene, columns: int) -> str:
    picture = scene.picture
    wall = picture.wall_at(scene.now)
    clock = "" if wall is None else f"{to_datetime(wall, scene.zone):%Y-%m-%d %H:%M:%S %z}"
    if not picture.synchronised:
        clock += " not synchronised"
    left = f"recorderd {picture.version}".rstrip() + f"  {scene.site}"
    if picture.is_sealed:
        left += "  sealed: numbers are hidden"
    if picture.lost:
        left += f"  ({picture.lost} messages lost)"
    if picture.gone_at is not None:
        left = f"THE RECORDER IS GONE for {_length(scene.now - picture.gone_at)}; waiting for it"
    return left + " " * max(2, columns - cell_len(left) - len(clock)) + clock


def _nobody(scene: Scene) -> list[str]:
    if scene.picture.is_refused:
        return ["Too many look on already. Waiting for one of them to leave."]
    return [
        "No recorder is running here. Start it: systemctl enable --now recorderd",
        "Waiting for it.",
    ]


# ---------------------------------------------------------------- one line


def _line(scene: Scene, name: str, columns: int) -> list[str]:
    line = scene.picture.lines[name]
    near, far = line.sound or (None, None)
    return [
        _head(scene, name, line, columns),
        _row("hook", _hook(scene, line)),
        _row("ring", _ring(line, scene.now)),
        _row("caller" if not _dialled(line) else "dialled", _party(line)),
        _row("modem", _modem(line, columns - LABEL)),
        _row("near", _level(near)),
        _row("far", _level(far)),
        _row("recording", _recording(scene, line)),
    ]


def _row(label: str, text: str) -> str:
    return f"  {label}".ljust(LABEL + 2) + text


def _head(scene: Scene, name: str, line: LineView, columns: int) -> str:
    call, doing = line.call, "idle"
    if call is not None and call.ended_at is None:
        if call.answered_at is not None:
            doing = f"TALKING {_length(scene.now - call.answered_at)} {call.direction}"
        elif line.ringing:
            doing = f"RINGING {_length(scene.now - call.started_at)}"
    known = scene.status.get("lines", {}).get(name, {})
    counts = ", ".join(
        f"{key} {known[key]}" for key in ("calls", "recorded", "missed") if key in known
    )
    left = set_cell_size(name, max(LABEL + 1, cell_len(name))) + " " + doing
    return left + " " * max(2, columns - cell_len(left) - len(counts)) + counts


def _hook(scene: Scene, line: LineView) -> str:
    if line.off_hook is None:
        return "not known yet"
    found = "off-hook" if line.off_hook else "on-hook"
    wall = None if line.hook_since is None else scene.picture.wall_at(line.hook_since)
    if wall is not None:
        found += f" since {to_datetime(wall, scene.zone):%H:%M:%S}"
    if line.hook_edges:
        found += f", sensor edges: {line.hook_edges}"
    return found


def _ring(line: LineView, now: MonoNs) -> str:
    found = ring_strip(line, now)
    if line.burst is not None:
        found += f"  {(line.burst[1] - line.burst[0]) / NS_PER_S:.1f} s on"
        if line.pause_ns is not None:
            found += f", {line.pause_ns / NS_PER_S:.1f} s off"
        found += f", {line.bursts}x"
    return found


def ring_strip(line: LineView, now: MonoNs) -> str:
    """The last seconds of the ring sensor, oldest first: `#` where it saw ringing."""
    slots = RING_SHOWN_NS // RING_SLOT_NS
    current = now // RING_SLOT_NS
    strip = ["."] * slots
    since: int | None = None  # the slot in which the sensor became active
    for at, active in line.ring_edges:
        slot = at // RING_SLOT_NS
        for each in range(slot if since is None else since, slot + 1):
            _mark(strip, each - current + slots - 1)
        since = slot if active else None
    if since is not None:  # it still is
        for each in range(max(since, current - slots), current + 1):
            _mark(strip, each - current + slots - 1)
    return "".join(strip)


def _mark(strip: list[str], slot: int) -> None:
    if 0 <= slot < len(strip):
        strip[slot] = "#"


def _dialled(line: LineView) -> bool:
    return line.call is not None and line.call.direction == "outbound"


def _party(line: LineView) -> str:
    call = line.call
    if call is None:
        return "-"
    if call.direction == "outbound":
        return call.digits or "-"
    if call.caller is None:
        return "not known"
    found = f"{who(call.caller)}  (from the {call.caller['source']})"
    return found + (f"  keys {call.digits}" if call.digits else "")


def _modem(line: LineView, cells: int) -> str:
    r"""The newest bytes, `|` for line ends and `\xNN` for what is no ASCII."""
    if line.modem_at is None:
        return "nothing yet"
    text = re.sub(r"[\r\n]+", "|", line.modem_text.replace("\\", "\\\\"))
    text = "".join(char if " " <= char <= "~" else f"\\x{ord(char):02x}" for char in text)
    return text[-(cells - 2) :]


def _level(level: list[float | None] | None) -> str:
    if level is None:
        return "no sound comes"
    dbm0, peak = level[0], level[1] or 0.0
    if dbm0 is None:
        return f"{'-' * BAR_CELLS}  only zeros"
    share = (dbm0 - BAR_BOTTOM_DBM0) / (BAR_TOP_DBM0 - BAR_BOTTOM_DBM0)
    full = round(BAR_CELLS * min(1.0, max(0.0, share)))
    found = f"{'#' * full}{'-' * (BAR_CELLS - full)} {dbm0:6.1f} dBm0 peak {peak:4.0%}"
    return found + (" CLIPS" if peak >= CLIPS_SHARE else "")


def _recording(scene: Scene, line: LineView) -> str:
    call = line.call
    if call is None:
        return "-"
    if call.not_recorded:
        return f"none: {call.not_recorded}"
    found = [call.filed] if call.filed else []
    if call.answered_at is not None and not call.filed:
        found.append(_segments(scene, call))
    if call.notice:
        found.append(f"notice {call.notice}")
    return "; ".join(found) or "-"


def _segments(scene: Scene, call: Call) -> str:
    assert call.answered_at is not None, "asked only of calls that were answered"
    lasts_ns = (call.ended_at or scene.now) - call.answered_at
    sealed = scene.sealed_segments.get(call.id, 0)
    doing = "the last is being sealed" if call.ended_at is not None else "1 open"
    return f"{_length(lasts_ns)}  segments: {sealed} sealed, {doing}"


# ---------------------------------------------------------------- around


def _stores(scene: Scene) -> list[str]:
    """Disk and archive."""
    disk, upload = scene.status.get("disk"), scene.upload
    if upload is None:
        archive = "archive: none"
    else:
        archive = upload_line(upload) if "doing" in upload else "archive: not known, see the alarms"
    return [disk_line(disk) if disk else "disk: not measured yet", archive]


def _alarms(alarms: list[str], columns: int, rows: int) -> list[str]:
    """As many whole alarms as fit, and how many do not."""
    if not alarms:
        return ["no alarms"]
    found: list[str] = []
    for done, alarm in enumerate(alarms):
        text = wrap(f"ALARM {plain(alarm)}", columns, subsequent_indent="  ")
        left = len(alarms) - done - 1
        if len(found) + len(text) > rows - (left > 0):
            room = rows - len(found) - 1
            rest = f"({left + (room < 1)} more, or longer: recorderd status)"
            return [*found, *text[:room], rest]
        found += text
    return found


def _events(scene: Scene, rows: int) -> list[str]:
    """The newest at the end, where there is room for some."""
    if rows < EVENT_ROWS_MIN:
        return []
    found = []
    for event in list(scene.picture.events)[-rows:]:
        wall = scene.picture.wall_at(event.at)
        clock = (
            ""
            if wall is None
            else f"{to_datetime(wall, scene.zone):%H:%M:%S}.{wall // NS_PER_MS % 1000:03}"
        )
        found.append(f"{clock:12}  {event.line:12}  {event.text}")
    return found


def _keys(scene: Scene, first: int, count: int, total: int) -> str:
    found = "PAUSED, p goes on   q quit" if scene.paused else "q quit   p pause"
    if total > count:
        found += f"   up/down, page up/down: lines {first + 1} to {first + count} of {total}"
    return found


def _length(ns: int) -> str:
    seconds_ = max(0, ns) // NS_PER_S
    hours, minutes = seconds_ // 3600, seconds_ // 60 % 60
    return f"{hours}:{minutes:02}:{seconds_ % 60:02}" if hours else f"{minutes}:{seconds_ % 60:02}"
