"""`recorderd hear`: what the detectors find in a sound file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recorderd.config.profiles import every_tone, load_profile
from recorderd.dsp.health import SECONDS_MIN, HealthMeter, findings
from recorderd.dsp.hearing import STANDARDS, CallerIdHeard, Ear, Heard, standards_of
from recorderd.dsp.notice_ear import NoticeEar
from recorderd.dsp.spectrum import RATE_HZ
from recorderd.dsp.tones import ToneHeard
from recorderd.errors import ConfigError, UsageError
from recorderd.listening.verdicts import template_of
from recorderd.media.announcement import SHIPPED, load_clip, shipped_names
from recorderd.media.codec import decode_blocks, describe
from recorderd.media.resample import Resampler

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from recorderd.core.profile import Tone
    from recorderd.dsp.health import LineHealth
    from recorderd.dsp.notice import NoticeFound, NoticeTemplate


def hear(options: argparse.Namespace) -> int:
    """List what is heard, by time; of two channels also what is wrong with the line."""
    meter = HealthMeter() if describe(options.file).channels == 2 and not options.json else None
    standards, tones = habits_of(options.country)
    found = listen(options.file, standards, tones, templates_of(options.clip), meter)
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return 0
    console = Console()
    print_heard(found, console)
    if meter is not None:
        print_findings(meter.measure(), console)
    return 0


def habits_of(country: str | None) -> tuple[tuple[str, ...], tuple[Tone, ...]]:
    """The caller-ID standards and tones of a country; without one, all that are known."""
    if country is None:
        return STANDARDS, every_tone()
    try:
        profile = load_profile(country.upper())
    except ConfigError as error:
        raise UsageError(f"--country: {error}") from error
    return standards_of(profile.caller_id), profile.tones


def templates_of(names: list[str]) -> dict[str, NoticeTemplate]:
    """The clips to listen for: those that ship, and these files."""
    clips = [load_clip(name, SHIPPED) for name in shipped_names()]
    clips += [load_clip(name, Path.cwd()) for name in names]
    return {clip.name: template_of(clip) for clip in clips}


def listen(
    path: Path,
    standards: tuple[str, ...],
    tones: tuple[Tone, ...],
    templates: dict[str, NoticeTemplate],
    meter: HealthMeter | None = None,
) -> list[dict[str, Any]]:
    """Everything heard in a WAV or FLAC file of any rate, in order; channels count from 1.

    `meter` is given the same sound, which then has two channels: near, far.
    """
    sound = describe(path)
    ears = [_ChannelEars(place + 1, standards, tones, templates) for place in range(sound.channels)]
    for block in _at_8_khz(path, sound.rate_hz, sound.channels):
        samples = np.frombuffer(block, np.int16).reshape(-1, sound.channels)
        if meter is not None:
            meter.feed(samples)
        for channel, ear in enumerate(ears):
            ear.feed(samples[:, channel])
    found = [row for ear in ears for row in ear.finish()]
    return sorted(found, key=lambda each: (each["at_s"], each["channel"]))


def _at_8_khz(path: Path, rate_hz: int, channels: int) -> Iterator[bytes]:
    resampler = Resampler(rate_hz, RATE_HZ, channels)
    for block in decode_blocks(path):
        yield resampler.feed(block)
    yield resampler.finish()


class _ChannelEars:
    """All that is listened for in one channel."""

    def __init__(
        self,
        channel: int,
        standards: tuple[str, ...],
        tones: tuple[Tone, ...],
        templates: dict[str, NoticeTemplate],
    ) -> None:
        self._channel = channel
        self._ear = Ear(standards, tones)
        self._clips = {name: NoticeEar(template) for name, template in templates.items()}
        self._heard: list[Heard] = []
        self._notices: list[dict[str, Any]] = []

    def feed(self, samples: NDArray[np.int16]) -> None:
        self._heard += self._ear.feed(samples)
        for name, ear in self._clips.items():
            self._notices += [
                _notice_as_json(each, name, self._channel) for each in ear.feed(samples)
            ]

    def finish(self) -> list[dict[str, Any]]:
        """All that was heard."""
        self._heard += self._ear.finish()
        for name, ear in self._clips.items():
            self._notices += [_notice_as_json(each, name, self._channel) for each in ear.finish()]
        return _listed(self._heard, self._channel) + self._notices


def _listed(heard: list[Heard], channel: int) -> list[dict[str, Any]]:
    """One row for each; a tone's end belongs to its beginning."""
    ends = {
        each.start: each.stop
        for each in heard
        if isinstance(each, ToneHeard) and each.stop is not None
    }
    return [
        _as_json(each, channel, ends)
        for each in heard
        if not isinstance(each, ToneHeard) or each.stop is None
    ]


def _notice_as_json(found: NoticeFound, clip: str, channel: int) -> dict[str, Any]:
    return {
        "kind": "notice",
        "at_s": round((found.start or 0) / RATE_HZ, 3),  # negative: it began before the file
        "channel": channel,
        "clip": clip,
        "completeness": round(found.completeness, 3),
        "level_dbm0": round(found.level_dbm0 or 0, 1),
        "score": round(found.score, 3),
        "heard": True if found.verdict == "heard" else "partly",
    }


def _as_json(heard: Heard, channel: int, ends: dict[int, int]) -> dict[str, Any]:
    head: dict[str, Any] = {"at_s": round(heard.start / RATE_HZ, 3), "channel": channel}
    if isinstance(heard, CallerIdHeard):
        message = heard.message
        return {
            "kind": "caller-id",
            **head,
            "number": message.number,
            "name": message.name,
            "absence": message.absence,
            "standard": heard.standard,
            "reported_date": message.reported_date,
            "reported_time": message.reported_time,
            "raw": heard.raw,
        }
    if isinstance(heard, ToneHeard):
        end = ends.get(heard.start)
        until_s = None if end is None else round(end / RATE_HZ, 3)
        return {"kind": "tone", **head, "tone": heard.tone, "until_s": until_s}
    return {"kind": "digit", **head, "digit": heard.digit}


def print_heard(found: list[dict[str, Any]], console: Console) -> None:
    """One line for each, digits that follow each other too."""
    if not found:
        console.print("nothing was heard: no caller ID, no digit, no tone, no announcement")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("at s", "channel", "what", ""):
        table.add_column(title)
    for each in found:
        table.add_row(
            f"{each['at_s']:.3f}", str(each["channel"]), each["kind"], escape(_in_words(each))
        )
    console.print(table)


def _in_words(each: dict[str, Any]) -> str:
    if each["kind"] == "digit":
        return str(each["digit"])
    if each["kind"] == "tone":
        until_s = each["until_s"]
        return f"{each['tone']} {'to the end' if until_s is None else f'until {until_s:.3f} s'}"
    if each["kind"] == "notice":
        how_much = "whole" if each["heard"] is True else f"{each['completeness']:.0%} of it"
        return f"{each['clip']}, {how_much}, {each['level_dbm0']:.0f} dBm0"
    who = each["number"] or each["absence"] or "number unknown"
    name = f" {each['name']}" if each["name"] else ""
    return f"{who}{name} ({each['standard']})"


def print_findings(health: LineHealth, console: Console) -> None:
    """What is wrong with the line; channel 1 is near, 2 is far, as in every recording."""
    found = findings(health)
    for each in found:
        console.print(f"line: {each.text}", markup=False, highlight=False, soft_wrap=True)
    if not found:
        well = f"nothing wrong was found in {health.seconds} s of sound"
        short = f"too short to judge: {health.seconds} s, and {SECONDS_MIN} s are needed"
        console.print("line:", well if health.seconds >= SECONDS_MIN else short, highlight=False)
