"""What follows from a configuration: which cards it needs and how, what a change of it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.core.retention import STANDARD, Rules
from recorderd.errors import ConfigError
from recorderd.units import MB

if TYPE_CHECKING:
    from recorderd.config.values import Config, Line

RING_EXTRA_S = 30
"""Sound kept beyond the pre-roll: how long the writer may be held up by a slow disk."""


def ring_seconds_of(config: Config) -> int:
    """Seconds of sound that every ring of this configuration keeps at the most."""
    return max(line.audio.pre_roll_ms for line in config.lines) // 1000 + RING_EXTRA_S


def card_needs(config: Config) -> dict[str, tuple[int, int, int]]:
    """Each sound card that the lines use: rate in Hz, capture channels (0: output only), and the
    seconds of sound its ring keeps."""
    needs: dict[str, tuple[int, int, int]] = {}
    for line in config.lines:
        audio = line.audio
        _, channels, seconds = needs.get(audio.device, (0, 0, 0))
        channels = max(channels, audio.near_channel, audio.far_channel)
        seconds = max(seconds, audio.pre_roll_ms // 1000 + RING_EXTRA_S)
        needs[audio.device] = (audio.capture_rate_hz, channels, seconds)
    for line in config.lines:
        if line.announcement is not None:
            needs.setdefault(line.announcement.output_device, (line.audio.capture_rate_hz, 0, 0))
    return needs


def card_users(config: Config) -> dict[str, set[str]]:
    """Each sound card and the lines that depend on it."""
    users: dict[str, set[str]] = {}
    for line in config.lines:
        users.setdefault(line.audio.device, set()).add(line.name)
        if line.announcement is not None:
            users.setdefault(line.announcement.output_device, set()).add(line.name)
    return users


def changed_lines(old: Config, new: Config) -> list[str]:
    """Lines whose devices differ between two configurations, or are in only one of them."""
    before = {line.name: line for line in old.lines}
    after = {line.name: line for line in new.lines}
    cards_before, cards_after = card_needs(old), card_needs(new)
    changed = set(before) ^ set(after)
    for name in set(before) & set(after):
        one, other = before[name], after[name]
        if (one.audio, one.hook, one.ring, one.modem) != (
            other.audio,
            other.hook,
            other.ring,
            other.modem,
        ) or _output(one) != _output(other):
            changed.add(name)
    for name, users in {**card_users(old), **card_users(new)}.items():
        if cards_before.get(name) != cards_after.get(name):
            changed |= users
    if old.site.country != new.site.country:
        changed |= set(before) | set(after)
    return sorted(changed)


def _output(line: Line) -> tuple[str, int | None] | None:
    announcement = line.announcement
    return (
        None if announcement is None else (announcement.output_device, announcement.output_channel)
    )


def check_can_be_taken(old: Config, new: Config) -> None:
    """Some changes need a restart; raises ConfigError naming them."""
    problems = []
    if new.storage.directory != old.storage.directory:
        problems.append(f"{new.path}: storage.directory: it needs a restart to change")
    if new.site.time_zone != old.site.time_zone:
        problems.append(f"{new.path}: site.time_zone: it needs a restart to change")
    if new.simulation != old.simulation:
        problems.append(f"{new.path}: simulation: it needs a restart to change")
    added = {line.name for line in new.lines} - {line.name for line in old.lines}
    if new.simulation is not None and (added or set(card_needs(new)) - set(card_needs(old))):
        problems.append(f"{new.path}: line: a simulated office needs a restart to get more lines")
    if problems:
        raise ConfigError(problems)


def retention_rules(config: Config) -> Rules:
    """What the configuration says about which calls may go."""
    days = {each.name: each.days for each in config.retention}
    return Rules(
        days={STANDARD: config.storage.retention_days, **days},
        archive=None if config.archive is None else config.archive.url,
        free_min_bytes=config.storage.free_min_mb * MB,
    )
