"""The table of keys against all that is made from it: schema, example file, typed values."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib

import jsonschema
import pytest

from recorderd.cli.check import check
from recorderd.config import values
from recorderd.config.files import DATA, EXAMPLE
from recorderd.config.keys import FILE
from recorderd.config.kinds import Choice, Number, Switch, Texts
from recorderd.config.schema import json_schema

SCHEMA = DATA / "recorderd.schema.json"
VALUES = {
    "site": values.Site,
    "storage": values.Storage,
    "retention": values.RetentionClass,
    "seal": values.Seal,
    "line": values.Line,
    "audio": values.LineAudio,
    "hook": values.Hook,
    "ring": values.Ring,
    "modem": values.ModemPort,
    "announcement": values.Announcement,
    "archive": values.Archive,
    "simulation": values.Simulation,
}
REGENERATE = """\
python -c '
import json, pathlib
from recorderd.config.files import DATA
from recorderd.config.schema import json_schema
text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\\n"
(DATA / "recorderd.schema.json").write_text(text, "utf-8")'
"""


def all_tables(table=FILE):
    return [table, *(deeper for inner in table.tables for deeper in all_tables(inner))]


TABLES = all_tables()[1:]
KEYS = [(table, key) for table in TABLES for key in table.keys]


def everything_on():
    """The example's text with every setting switched on that stands switched off in it."""
    return re.sub(r"(?m)^#(?=[\[a-z])", "", EXAMPLE.read_text("utf-8"))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_keys_are_the_fields_of_the_values(table):
    assert list(table.known) == [field.name for field in dataclasses.fields(VALUES[table.name])]


@pytest.mark.parametrize(("table", "key"), KEYS, ids=lambda item: item.name)
def test_defaults_are_allowed_and_only_keys_that_may_be_missing_have_one(table, key):
    if key.default is None:
        return
    assert key.needed == "never"
    assert key.complaint(key.default) is None


def test_the_schema_that_ships_is_the_one_of_the_table():
    shipped = json.loads(SCHEMA.read_text("utf-8"))
    assert shipped == json_schema(), f"make it again with:\n{REGENERATE}"


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("text", [EXAMPLE.read_text("utf-8"), everything_on()])
def test_the_schema_takes_the_example(text):
    jsonschema.validate(tomllib.loads(text), json_schema())


def test_the_schema_refuses_what_the_loader_refuses(problems_of, hardware):
    validator = jsonschema.Draft202012Validator(json_schema())
    for old, new in [
        ("device =", "devise ="),
        ("pin = 17", "pin = 1024"),
        ("pin = 17\n", ""),
        ("[site]", "[sight]"),
        ('"pyaudio"', '"alsa"'),
        ("front-desk", "front desk"),
    ]:
        text = hardware.replace(old, new, 1)
        assert problems_of(text)
        assert not validator.is_valid(tomllib.loads(text))


def test_the_schema_asks_a_simulated_line_for_no_device(simulated):
    jsonschema.validate(tomllib.loads(simulated), json_schema())


def test_the_example_is_right_down_to_its_clip(capsys):
    assert check(EXAMPLE) == 0
    assert "front-desk" in capsys.readouterr().out


def test_the_example_shows_every_key():
    tree = tomllib.loads(everything_on())
    assert _names(FILE) == _found(tree)


def test_all_that_is_switched_off_in_the_example_is_right_too(problems_of):
    text, _, simulation = everything_on().partition("[simulation]")
    text = "\n".join(
        each for each in text.splitlines() if not each.startswith("host_key")
    )  # sftp's
    placeholders = [problem for problem in problems_of(text) if "seal.recipients" in problem]
    assert len(placeholders) == 2
    assert problems_of(text) == placeholders
    assert 'script = "office-day.line"' in simulation


@pytest.mark.parametrize(("table", "key"), KEYS, ids=lambda item: item.name)
def test_the_example_explains_each_key_with_its_range_and_default(table, key):
    words = _comment(table, key)
    assert len(words.split()) > 4
    if isinstance(key, Number) and key.name != "pin":
        assert f"{key.low} to {key.high}" in words
        assert key.unit in words or key.unit == "channel"
    if isinstance(key, Choice):
        assert all(str(choice) in words for choice in key.choices)
    if isinstance(key, Texts):
        assert f"1 to {key.most}" in words
    if isinstance(key, Switch):
        assert key.allowed in words
    if key.needed == "never" and (table.name, key.name) != ("ring", "pin"):
        default = json.dumps(key.default)
        assert re.search("Default", words)
        assert key.default is None or f"Default {default}" in words
    else:
        assert "Must be given." in words


def test_a_default_in_the_example_is_the_default():
    tree = tomllib.loads(EXAMPLE.read_text("utf-8"))
    (line,) = tree.pop("line")
    for table, key in KEYS:
        found = (tree | line | {"line": line}).get(table.name, {})
        if key.name in found and key.default not in {None, ""}:
            assert found[key.name] == key.default, (table.name, key.name)


def _comment(table, key):
    """The comment above a key in the example, as one line."""
    text = EXAMPLE.read_text("utf-8")
    header = rf"\[+(?:line\.)?{table.name}\]+"
    section = re.split(rf"(?m)^#?{header}$", text)[1]
    above = re.split(rf"(?m)^#?{key.name} = ", section)[0]
    return " ".join(line.removeprefix("# ") for line in above.split("\n\n")[-1].splitlines())


def _names(table):
    own = {key.name for key in table.keys}
    return own | {f"{inner.name}.{name}" for inner in table.tables for name in _names(inner)}


def _found(tree):
    own = set()
    for name, value in tree.items():
        inner = value[0] if isinstance(value, list) else value
        own |= {f"{name}.{key}" for key in _found(inner)} if isinstance(inner, dict) else {name}
    return own
