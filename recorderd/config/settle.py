"""From the TOML tree to one with every key of the table of keys in it: judged, defaults filled in.

A value that is wrong is reported and left out, so that the checks that follow look only at what
is there; a table that may be left out and is, is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from recorderd.config.keys import FILE
from recorderd.config.kinds import DEVICELESS
from recorderd.config.problems import dotted
from recorderd.config.words import kind_of, suggestion

if TYPE_CHECKING:
    from recorderd.config.kinds import Key, Table
    from recorderd.config.problems import KeyPath, Problems

Tree: TypeAlias = dict[str, Any]
"""Tables within tables, by the names of keys.py."""


def settle(found: Tree, problems: Problems) -> Tree:
    """The whole file, settled; what is wrong goes to `problems`."""
    return _table(FILE, found, (), problems)


def settle_archive(found: Tree, problems: Problems) -> Tree:
    """The table [archive] alone, settled; of the rest of the file only the names are judged."""
    for name in found.keys() - set(FILE.known):
        problems.add((name,), _unknown(name, FILE))
    table = next(table for table in FILE.tables if table.name == "archive")
    if table.name not in found:
        problems.add((table.name,), f"missing; add a table headed [archive]: {table.meaning}")
        return {}
    settled = _inner(table, found[table.name], (table.name,), problems)
    assert isinstance(settled, dict)
    return settled


def _table(table: Table, found: Tree, path: KeyPath, problems: Problems) -> Tree:
    for name in found.keys() - set(table.known):
        problems.add((*path, name), _unknown(name, table))
    settled: Tree = {}
    for key in table.keys:
        _settle_key(key, found, settled, path, problems)
    for inner in table.tables:
        settled[inner.name] = _inner(inner, found.get(inner.name), (*path, inner.name), problems)
    return settled


def _unknown(name: str, table: Table) -> str:
    hint = suggestion(name, table.known)
    return f"unknown key{hint}" if hint else f"unknown key; allowed here: {', '.join(table.known)}"


def _settle_key(key: Key, found: Tree, settled: Tree, path: KeyPath, problems: Problems) -> None:
    if key.name not in found:
        if _is_needed(key, found):
            problems.add((*path, key.name), f"missing; allowed: {key.allowed}. {key.meaning}")
        settled[key.name] = key.default
        return
    complaint = key.complaint(found[key.name])
    if complaint is None:
        settled[key.name] = found[key.name]
    else:
        problems.add((*path, key.name), complaint)


def _is_needed(key: Key, found: Tree) -> bool:
    return key.needed == "always" or (
        key.needed == "with-hardware" and found.get("driver") not in DEVICELESS
    )


def _inner(
    table: Table, found: object, path: KeyPath, problems: Problems
) -> Tree | list[Tree] | None:
    if table.presence in {"repeated", "any-number"}:
        return _repeated(table, found, path, problems)
    if isinstance(found, dict):
        return _table(table, found, path, problems)
    if found is not None:
        problems.add(path, f"found {kind_of(found)}; allowed: one table, headed [{dotted(path)}]")
    elif table.presence == "defaulted":
        return _table(table, {}, path, problems)
    elif table.presence == "optional":
        return None
    else:
        problems.add(path, f"missing; add a table headed [{dotted(path)}]: {table.meaning}")
    return {}


def _repeated(table: Table, found: object, path: KeyPath, problems: Problems) -> list[Tree]:
    header = f"[[{dotted(path)}]]"
    if found is None or found == []:
        if table.presence == "any-number":
            return []
        problems.add(path, f"missing; add a table headed {header}: {table.meaning}")
        return []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        problems.add(path, f"found {kind_of(found)}; allowed: tables, each headed {header}")
        return []
    return [_table(table, each, (*path, index), problems) for index, each in enumerate(found)]
