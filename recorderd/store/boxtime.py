"""`box-time.json`: how much time has gone by on this box, kept across boots (core/boxtime.py)."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from recorderd.core.boxtime import AgeState, Boot, Trial, Trusted
from recorderd.disk import files

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

NAME = "box-time.json"
VERSION = 1


def load_age(directory: Path) -> AgeState | None:
    """The state that was saved last; None where there is none, or none that can be read: calls then
    begin to age anew, and are erased late, not early."""
    path = directory / NAME
    try:
        return _from_dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning(
            "%s: cannot be read (%r); the age of all calls is counted from now on", path, error
        )
        return None


def save_age(directory: Path, state: AgeState) -> None:
    """Make the state durable. Raises StoreError."""
    text = json.dumps({"version": VERSION, **asdict(state)})
    files.write_durable(directory / NAME, text.encode())


def _from_dict(data: dict[str, Any]) -> AgeState:
    rest = dict(data)
    if rest.pop("version") != VERSION:
        raise ValueError(f"version {data['version']} is not {VERSION}")
    rest["boots"] = tuple(Boot(**boot) for boot in rest["boots"])
    rest["trusted"] = None if rest["trusted"] is None else Trusted(**rest["trusted"])
    rest["trial"] = None if rest["trial"] is None else Trial(**rest["trial"])
    return AgeState(**rest)
