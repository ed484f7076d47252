"""`recorderd hold` and `recorderd release`: keep calls from being erased, and let go of them."""

from __future__ import annotations

import getpass
import os
from contextlib import closing
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from recorderd.config import find_config, load
from recorderd.errors import UsageError
from recorderd.runtime.clock import SystemClock
from recorderd.store.catalogue import NAME, open_catalogue
from recorderd.store.holds import place_hold, take_off_hold
from recorderd.store.ledger import open_desk
from recorderd.units import iso

if TYPE_CHECKING:
    import argparse

    from recorderd.config.values import Config
    from recorderd.store.catalogue import Entry


WHY_CHARACTERS = 500


def hold(options: argparse.Namespace) -> int:
    """Let the calls never be erased, until they are released."""
    config = load(find_config(options.config))
    clock = SystemClock()
    at = iso(clock.reading().wall, ZoneInfo(config.site.time_zone))
    why, entries = reason(options.why), _entries(config, options.id)
    with open_desk(config.storage.directory, config.site.name, clock.reading) as desk:
        for entry in entries:
            place_hold(entry.folder, desk, user(), why, at)
            print(f"{entry.record['id']}: held")
    return 0


def release(options: argparse.Namespace) -> int:
    """Take the holds off; from now on the calls' age decides again."""
    config = load(find_config(options.config))
    why, entries = reason(options.why), _entries(config, options.id)
    clock = SystemClock()
    with open_desk(config.storage.directory, config.site.name, clock.reading) as desk:
        for entry in entries:
            take_off_hold(entry.folder, desk, user(), why)
            print(f"{entry.record['id']}: released")
    return 0


def _entries(config: Config, ids: list[str]) -> list[Entry]:
    """All calls asked for, before anything is done; UsageError where one is not there."""
    with closing(open_catalogue(config.storage.directory / NAME, read_only=True)) as catalogue:
        entries = [catalogue.get(text) for text in ids]
    for entry in entries:
        erased = entry.record.get("erased")
        if erased is not None:
            raise UsageError(f"{entry.record['id']}: this call was erased on {erased['at'][:10]}")
    return list({entry.record["id"]: entry for entry in entries}.values())


def reason(text: str) -> str:
    """What stands behind --why; UsageError where it says nothing, or tells a story."""
    if not text.strip():
        raise UsageError("--why: it is empty; say in a few words why")
    if len(text) > WHY_CHARACTERS:
        raise UsageError(f"--why: it has {len(text)} characters; allowed: {WHY_CHARACTERS}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError("--why: it is not UTF-8, as the terminal gives it; set LANG") from None
    return text


def user() -> str:
    """The person at the keyboard, also behind sudo."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return f"uid {os.getuid()}"
