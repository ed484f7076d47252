"""Changing keys in the configuration's text: its comments stay, and nothing else moves.

A key that is there gets its new value in place; one that is not is written below its table's heading. The
text is then read again: unless exactly the wanted keys have changed, it is left alone, and the person is
told what to write. So an unusual way of writing can be refused, and never be spoiled.
"""

from __future__ import annotations

import copy
import difflib
import os
import re
import tomllib
from typing import TYPE_CHECKING, Any

from recorderd.config import load
from recorderd.config.locate import locate
from recorderd.disk import files
from recorderd.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from recorderd.doctor.outcome import Change

BACKUP = ".bak"

_VALUE = r"""("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,#}\]]+)"""


class CannotEdit(Exception):  # noqa: N818  (it is caught one level up)
    """The text says this in a way that is left to a person."""


def edited(text: str, changes: Iterable[Change]) -> str:
    """The text with the changes in it. Raises CannotEdit."""
    for change in changes:
        text = _with(text, change.path, change.value)
    return text


def as_toml(change: Change) -> str:
    """The change as a person writes it: `line.hook.active = "high"`."""
    names = ".".join(str(each) for each in change.path if isinstance(each, str))
    return f"{names} = {_literal(change.value)}"


def difference(before: str, after: str, name: str) -> str:
    """What changes, line by line."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), name, f"{name} (new)", lineterm="", n=2
    )
    return "\n".join(lines)


def _literal(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def _with(text: str, path: tuple[str | int, ...], value: str | int) -> str:
    places, lines = locate(text), text.split("\n")
    key = str(path[-1])
    if path in places:
        number = places[path] - 1
        pattern = re.compile(rf"(?P<key>(?<![\w.-]){re.escape(key)}\s*=\s*){_VALUE}")
        found = list(pattern.finditer(lines[number]))
        if len(found) != 1:
            raise CannotEdit
        where = found[0]
        line = lines[number]
        lines[number] = line[: where.start()] + where["key"] + _literal(value) + line[where.end() :]
    else:
        table = places.get(path[:-1])
        if table is None or not lines[table - 1].lstrip().startswith("["):
            raise CannotEdit
        lines.insert(table, f"{key} = {_literal(value)}")
    after = "\n".join(lines)
    if _tree(after) != _changed(_tree(text), path, value):
        raise CannotEdit
    return after


def _tree(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise CannotEdit from error


def _changed(tree: dict[str, Any], path: Sequence[str | int], value: str | int) -> dict[str, Any]:
    whole = copy.deepcopy(tree)
    place: Any = whole
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return whole


def read_settings(path: Path) -> str:
    """The file's text."""
    with files.guarded(path):
        return path.read_bytes().decode("utf-8")


def write_settings(path: Path, before: str, after: str) -> Path:
    """Put `after` in the file's place, and what was there beside it; the name of that.

    Raises ConfigError where recorderd would not take it, and StoreError where the file is not `before` any
    more or cannot be written. Then the file is as it was.
    """
    path = path.resolve()  # of a link, the file that it leads to
    if read_settings(path) != before:
        raise StoreError(f"{path}: somebody else changed it meanwhile; run recorderd doctor again")
    trial = path.with_name(f".{path.name}.trial.toml")
    backup = path.with_name(path.name + BACKUP)
    try:
        _write(trial, after, like=path)
        _check(trial, path)
        _write(backup, before, like=path)
        files.rename_durable(trial, path)
    finally:
        for left in (trial, files.part_path(trial), files.part_path(backup)):
            files.discard(left)
    return backup


def _check(trial: Path, path: Path) -> None:
    try:
        load(trial)
    except ConfigError as error:
        problems = [each.replace(str(trial), str(path)) for each in error.problems]
        raise ConfigError(problems) from None


def _write(path: Path, text: str, *, like: Path) -> None:
    """A durable file of the same owner and rights as another one."""
    with files.guarded(like):
        own = like.stat()
    files.write_durable(path, text.encode(), own.st_mode & 0o777)
    with files.guarded(path):
        made = path.stat()
        if os.geteuid() == 0 and (made.st_uid, made.st_gid) != (own.st_uid, own.st_gid):
            os.chown(path, own.st_uid, own.st_gid)
