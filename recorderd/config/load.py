"""Reads the configuration file and reports everything that is wrong with it at once.

The steps: bytes, text, TOML tree, settled tree (settle.py), checks between keys (checks.py),
typed values (values.py). A file that is not TOML has only its first fault reported, for nothing
can be said of what follows it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from recorderd.config.checks import (
    ClipCheck,
    check_archive,
    check_files,
    check_lines,
    check_retention,
    check_seal,
    check_sealed_length,
    check_site,
    check_worlds,
)
from recorderd.config.files import EXAMPLE, clip_exists
from recorderd.config.locate import locate
from recorderd.config.problems import Problems, at_line
from recorderd.config.profiles import countries, load_profile
from recorderd.config.settle import Tree, settle, settle_archive
from recorderd.config.values import (
    Announcement,
    Archive,
    Config,
    Hook,
    Line,
    LineAudio,
    ModemPort,
    RetentionClass,
    Ring,
    Seal,
    Simulation,
    Site,
    Storage,
)
from recorderd.config.words import suggestion
from recorderd.errors import ConfigError

if TYPE_CHECKING:
    from recorderd.config.problems import KeyPath
    from recorderd.core.profile import Profile

DEFAULT_PATH = Path("/etc/recorderd/recorderd.toml")

FILE_BYTES = 65_536
"""Larger than a file for a hundred lines, each key with its comment."""

LINE_CHARACTERS = 1000
"""A dotted key costs its reader the square of its length: one of 64 KiB would fill the memory."""


def find_config(argument: str | None) -> Path:
    """The configuration file: `argument`, else $RECORDERD_CONFIG, else the default path."""
    return Path(argument or os.environ.get("RECORDERD_CONFIG") or DEFAULT_PATH)


def load(path: Path, check_clip: ClipCheck = clip_exists) -> Config:
    """The configuration in `path`; raises ConfigError with all that is wrong.

    `check_clip` says whether an announcement will do; by itself `load` only asks for its file.
    """
    data = _read(path)
    found, lines = _parse(path, _decode(path, data))
    problems = Problems(path, lines)
    folder = path.absolute().parent
    tree = settle(found, problems)
    check_site(tree["site"], problems)
    check_lines(tree["line"], problems)
    check_retention(tree["retention"], tree["line"], problems)
    check_worlds(tree, problems)
    check_seal(tree["seal"], problems)
    check_sealed_length(tree, problems)
    check_archive(tree["archive"], problems)
    check_files(tree, folder, check_clip, problems)
    profile = _profile(tree["site"].get("country"), problems)
    problems.raise_if_any()
    return _config(path, hashlib.sha256(data).hexdigest(), tree, profile)


def load_archive(path: Path) -> Archive:
    """The table [archive] in `path`, which may be a box's configuration or hold nothing else: the
    central side is no box. Raises ConfigError with all that is wrong with the table."""
    found, lines = _parse(path, _decode(path, _read(path)))
    problems = Problems(path, lines)
    tree = settle_archive(found, problems)
    check_archive(tree, problems)
    problems.raise_if_any()
    return _archive(tree, path)


def _read(path: Path) -> bytes:
    """The file's bytes; opens nothing that could make the reader wait, as a pipe does."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a plain file"
            raise _fault(path, 1, f"this is {kind}; give the path of the TOML file itself")
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
    except FileNotFoundError:
        text = f"there is no such file; {EXAMPLE} is one to start from, --config names another"
        raise _fault(path, 1, text) from None
    except PermissionError:
        text = "this user may not read the file; run as root, or change the file's permissions"
        raise _fault(path, 1, text) from None
    except (OSError, ValueError) as error:
        raise _fault(path, 1, f"the file cannot be read: {error}") from None
    if len(data) > FILE_BYTES:
        raise _fault(path, 1, f"the file is too large; allowed: {FILE_BYTES} bytes")
    return data


def _decode(path: Path, data: bytes) -> str:
    """The text, without the mark that some editors put before UTF-8."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _fault(path, line, "the text is not UTF-8; save the file as UTF-8") from None
    for number, line_text in enumerate(text.split("\n"), start=1):
        if len(line_text) > LINE_CHARACTERS:
            limit = f"the line is too long; allowed: {LINE_CHARACTERS} characters"
            raise _fault(path, number, limit)
    return text


def _parse(path: Path, text: str) -> tuple[Tree, dict[KeyPath, int]]:
    try:
        return tomllib.loads(text), locate(text)
    except RecursionError:
        line = _deepest_line(text)
        text = "brackets within brackets, too many; no key needs more than one pair"
        raise _fault(path, line, text) from None
    except ValueError as error:
        line, reason = _toml_fault(str(error), text)
        raise _fault(path, line, f"not valid TOML: {reason}") from None


def _deepest_line(text: str) -> int:
    """The line with the most brackets, which is where they were too many."""
    counts = [line.count("[") + line.count("{") for line in text.split("\n")]
    return counts.index(max(counts)) + 1


def _toml_fault(message: str, text: str) -> tuple[int, str]:
    """The line, and what the reader says, with a hint where its words need one."""
    reason, _, place = message.partition(" (at ")
    if reason == "Invalid value":
        reason = (
            'Invalid value: text stands in straight quotes ("), numbers in none, true and false are '
            "small"
        )
    if reason == "Cannot overwrite a value":
        reason = "this key stands in its table already"
    at = re.match(r"line (\d+), column (\d+)", place)
    if at is None:
        return text.rstrip("\n").count("\n") + 1, f"{reason} (at the end)"
    return int(at[1]), f"{reason} (column {at[2]})"


def _fault(path: Path, line: int, text: str) -> ConfigError:
    return ConfigError([at_line(path, line, text)])


def _profile(country: str | None, problems: Problems) -> Profile | None:
    if country is None:
        return None
    try:
        return load_profile(country)
    except ConfigError as error:
        hint = "" if country in countries() else suggestion(country, countries())
        for problem in error.problems:
            problems.add(("site", "country"), problem + hint)
        return None


def _config(path: Path, sha256: str, tree: Tree, profile: Profile | None) -> Config:
    assert profile is not None, "a country without a profile is a problem, and was raised"
    storage = tree["storage"]
    directory = path.absolute().parent / storage["directory"]
    return Config(
        path=path,
        sha256=sha256,
        site=Site(**tree["site"]),
        storage=Storage(**{**storage, "directory": directory}),
        retention=tuple(RetentionClass(**each) for each in tree["retention"]),
        seal=None if tree["seal"] is None else _seal(tree["seal"]),
        lines=tuple(_line(line) for line in tree["line"]),
        archive=None if tree["archive"] is None else _archive(tree["archive"], path),
        simulation=None if tree["simulation"] is None else Simulation(**tree["simulation"]),
        profile=profile,
    )


def _seal(tree: Tree) -> Seal:
    return Seal(**{**tree, "recipients": tuple(tree["recipients"])})


def _archive(tree: Tree, path: Path) -> Archive:
    folder = path.absolute().parent
    named = {key: folder / tree[key] if tree[key] else None for key in ("credentials", "ca_file")}
    return Archive(**{**tree, **named})


def _line(tree: Tree) -> Line:
    # A simulated line without a device has a card of its own.
    device = tree["audio"]["device"] or tree["name"]
    return Line(
        name=tree["name"],
        retention=tree["retention"],
        audio=LineAudio(**{**tree["audio"], "device": device}),
        hook=Hook(**tree["hook"]),
        ring=None if tree["ring"] is None else Ring(**tree["ring"]),
        modem=None if tree["modem"] is None else _modem(tree["modem"]),
        announcement=_announcement(tree["announcement"], device),
    )


def _modem(tree: Tree) -> ModemPort:
    return ModemPort(**{**tree, "port": tree["port"] or ""})


def _announcement(tree: Tree | None, device: str) -> Announcement | None:
    if tree is None:
        return None
    return Announcement(**{**tree, "output_device": tree["output_device"] or device})
