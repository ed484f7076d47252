"""A JSON Schema of the configuration file, so that an editor can check it while it is written.

It is made from the table of keys; recorderd/data/recorderd.schema.json holds it as it ships. What
stands between keys (no pin twice, near and far apart) is for `recorderd check` alone to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recorderd.config.keys import FILE
from recorderd.config.kinds import DEVICELESS, Number, Switch, Text, Texts

if TYPE_CHECKING:
    from recorderd.config.kinds import Key, Table


def json_schema() -> dict[str, Any]:
    """The whole schema, of JSON Schema's draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "recorderd.toml",
        **_table(FILE),
    }


def _table(table: Table) -> dict[str, Any]:
    properties = {key.name: _key(key) for key in table.keys}
    properties |= {inner.name: _inner(inner) for inner in table.tables}
    needed = [key.name for key in table.keys if key.needed == "always"]
    needed += [inner.name for inner in table.tables if inner.presence in {"required", "repeated"}]
    return {
        "description": table.meaning,
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": False,
        **_needed_with_hardware(table),
    }


def _inner(table: Table) -> dict[str, Any]:
    if table.presence not in {"repeated", "any-number"}:
        return _table(table)
    return {
        "description": table.meaning,
        "type": "array",
        "minItems": 1 if table.presence == "repeated" else 0,
        "items": _table(table),
    }


def _needed_with_hardware(table: Table) -> dict[str, Any]:
    """A device's key must be there unless the driver needs no device."""
    names = [key.name for key in table.keys if key.needed == "with-hardware"]
    if not names:
        return {}
    deviceless = {"properties": {"driver": {"enum": list(DEVICELESS)}}, "required": ["driver"]}
    return {"if": deviceless, "else": {"required": names}}


def _key(key: Key) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": f"{key.meaning} Allowed: {key.allowed}."}
    if isinstance(key, Text):
        schema |= {"type": "string", "maxLength": key.longest, "pattern": f"^(?:{key.pattern})$"}
    elif isinstance(key, Number):
        schema |= {"type": "integer", "minimum": key.low, "maximum": key.high}
    elif isinstance(key, Texts):
        schema |= {"type": "array", "minItems": 1, "maxItems": key.most}
        schema["items"] = {"type": "string", "pattern": f"^(?:{key.pattern})$"}
    elif isinstance(key, Switch):
        schema["type"] = "boolean"
    else:
        schema["enum"] = list(key.choices)
    if key.default is not None:
        schema["default"] = key.default
    return schema
