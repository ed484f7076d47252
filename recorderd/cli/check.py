"""`recorderd check`: everything that is wrong with the configuration, or what it will do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from recorderd.cli.fold import folded
from recorderd.config import find_config, load
from recorderd.errors import ConfigError
from recorderd.media.announcement import load_clip

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from recorderd.config.values import Announcement, Config, Hook, Line, Ring


PRE_ROLL_ADVISED_MS = 2000
"""Half a word or a breath; and the ringing before it tells who called."""


def run(options: argparse.Namespace) -> int:
    """Check the file that the command line names."""
    return check(find_config(options.config))


def check(path: Path) -> int:
    """Print all problems and return 78, or what each line will do and return 0.

    Announcements are loaded as the recorder loads them, so that a wrong clip is found here too.
    """
    try:
        config = load(path, load_clip)
    except ConfigError as error:
        for problem in str(error).splitlines():
            print(folded(problem, 2))
        print(_count(len(error.problems), "problem"))
        return os.EX_CONFIG
    print(f"{path}: OK, {_count(len(config.lines), 'line')}")
    if config.seal is not None:
        print(f"every call is sealed to {_count(len(config.seal.recipients), 'recipient')}")
    for line in config.lines:
        _print_line(line, config)
    return os.EX_OK


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _print_line(line: Line, config: Config) -> None:
    print(line.name)
    rows = {
        "audio": _audio(line),
        "recording": _recording(line, config),
        "hook": _hook(line, config),
        "ring": _ring(line),
        "modem": _modem(line),
        "announcement": _announcement(line.announcement),
    }
    for name, text in rows.items():
        print(folded(f"  {name:<13} {text}", 16))


def _audio(line: Line) -> str:
    audio = line.audio
    return (
        f"{audio.driver}: {audio.device} at {audio.capture_rate_hz} Hz, "
        f"near is channel {audio.near_channel}, far is channel {audio.far_channel}"
    )


def _recording(line: Line, config: Config) -> str:
    storage = config.storage
    return (
        f"{storage.format} at {line.audio.record_rate_hz} Hz in files of {storage.segment_s} s, "
        f"from {line.audio.pre_roll_ms} ms before the call, kept {storage.retention_days} days"
    )


def _hook(line: Line, config: Config) -> str:
    hook = line.hook
    if hook.driver == "voice":
        return _voice(line)
    hang_up_ms = hook.hang_up_ms or config.profile.hang_up_ms
    return f"{_sensor(hook)}{hook.active} is off-hook, on-hook for {hang_up_ms} ms ends the call"


def _voice(line: Line) -> str:
    """What the trigger does, and what it cannot know; its call begins when it is sure of it."""
    hook = line.hook
    text = (
        f"voice: sound above {hook.level_dbm0} dBm0 is off-hook, {hook.hangover_s} s without any end "
        "the call; no direction, calls within that time are one, a longer silence is two"
    )
    if line.audio.pre_roll_ms < PRE_ROLL_ADVISED_MS:
        advice = f"set line.audio.pre_roll_ms to {PRE_ROLL_ADVISED_MS} or more"
        return f"{text}; a quiet first word comes before the trigger: {advice}"
    return text


def _ring(line: Line) -> str:
    if line.ring is None:
        return "none: only the modem says that the line rings"
    return f"{_sensor(line.hook, line.ring)}{line.ring.active} is ringing"


def _sensor(hook: Hook, ring: Ring | None = None) -> str:
    """What reads a pin: `rpi-gpio pin 17, ` or `sim: `."""
    if hook.driver == "sim":
        return "sim: "
    chip = f" {hook.chip}" if hook.driver == "gpiod" else ""
    pin = hook.pin if ring is None else ring.pin
    return f"{hook.driver}{chip} pin {pin}: "


def _modem(line: Line) -> str:
    modem = line.modem
    if modem is None:
        return "none: nothing tells who calls"
    if modem.driver == "sim":
        return "sim"
    return f"{modem.driver}: {modem.port} at {modem.baud} bits a second"


def _announcement(announcement: Announcement | None) -> str:
    clips = _clips(announcement) if announcement is not None else ""
    if announcement is None or not clips:
        return "none"
    channel = announcement.output_channel
    where = "all channels" if channel is None else f"channel {channel}"
    return (
        f"{clips} after {announcement.delay_ms} ms on {where} of {announcement.output_device}; "
        f"where it cannot be played: {announcement.if_not_played}"
    )


def _clips(announcement: Announcement) -> str:
    calls = {"incoming": announcement.inbound, "outgoing": announcement.outbound}
    return ", ".join(f"{clip} on {which} calls" for which, clip in calls.items() if clip)
