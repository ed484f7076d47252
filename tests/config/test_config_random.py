"""No text, however wrong, gives anything but values or problems that name file and line."""

from __future__ import annotations

import re
import tomllib

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.config import load
from recorderd.config.files import EXAMPLE
from recorderd.config.schema import json_schema
from recorderd.errors import ConfigError

# A busy machine is no failure of the code.
PATIENT = settings(deadline=None, max_examples=100)

SCHEMA = jsonschema.Draft202012Validator(json_schema())
LINES = EXAMPLE.read_text("utf-8").split("\n")
SETTINGS = [index for index, line in enumerate(LINES) if line and not line.startswith("# ")]

NAMES = st.sampled_from([
    *[
        "site",
        "storage",
        "line",
        "archive",
        "simulation",
        "audio",
        "hook",
        "ring",
        "modem",
        "announcement",
    ],
    *[
        "name",
        "country",
        "driver",
        "device",
        "pin",
        "port",
        "url",
        "script",
        "inbound",
        "time_zone",
        "active",
        "x",
        "1",
    ],
    *('""', '"a\\nb"', '"\\u0000"', "'é'"),
])
SCALARS = st.one_of(
    st.integers(-(10**30), 10**30).map(str),
    st.floats().map(str),
    st.sampled_from([
        "true",
        "1979-05-27",
        "07:32:00",
        "1979-05-27T07:32:00Z",
        "0x10",
        "nan",
        "[]",
        "{}",
    ]),
    st.sampled_from([
        "sim",
        "gpiod",
        "rpi-gpio",
        "pyaudio",
        "serial",
        "JP",
        "UTC",
        "Asia",
        "/dev/x",
        "..",
    ]).map(lambda word: f'"{word}"'),
    st.text(max_size=12).map(lambda text: "'" + text.replace("'", "") + "'"),
    st.text(max_size=12).map(lambda text: f'"""{text}"""'),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(NAMES, inner), max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{name} = {value}" for name, value in pairs) + "}"
        )
    ),
    max_leaves=6,
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
STATEMENTS = st.one_of(
    st.tuples(PATHS, VALUES).map(" = ".join),
    PATHS.map(lambda path: f"[{path}]"),
    PATHS.map(lambda path: f"[[{path}]]"),
    st.text(max_size=10),
)


def check(folder, data: bytes):
    """Load `data`: it gives values that the schema takes too, or problems of the right form."""
    path = folder / "recorderd.toml"
    path.write_bytes(data)
    try:
        load(path)
    except ConfigError as error:
        _check_problems(error.problems, f"{path}:", data.count(b"\n") + 1)
    else:
        SCHEMA.validate(tomllib.loads(data.decode("utf-8-sig")))


def _check_problems(problems, prefix, lines):
    assert problems
    for problem in problems:
        assert problem.startswith(prefix)
        assert problem.isprintable()
        match = re.match(r"(\d+): \S", problem.removeprefix(prefix))
        assert match is not None
        assert 1 <= int(match[1]) <= lines


@PATIENT
@given(st.lists(STATEMENTS, max_size=12))
def test_random_statements(folder, statements):
    check(folder, "\n".join(statements).encode("utf-8", "surrogatepass"))


@PATIENT
@given(st.binary(max_size=60))
def test_random_bytes(folder, data):
    check(folder, data)


@PATIENT
@given(st.integers(0, len("".join(LINES))), st.binary(max_size=5), st.integers(0, 5))
def test_the_example_with_a_few_bytes_changed(folder, at, new, old_length):
    data = "\n".join(LINES).encode()
    check(folder, data[:at] + new + data[at + old_length :])


@PATIENT
@given(
    st.lists(
        st.tuples(st.sampled_from(SETTINGS), st.sampled_from(["cut", "twice", "value"]), VALUES),
        min_size=1,
        max_size=4,
    )
)
def test_the_example_with_lines_cut_doubled_or_given_another_value(folder, changes):
    lines = list(LINES)
    for index, change, value in changes:
        if change == "cut":
            lines[index] = ""
        elif change == "twice":
            lines[index] += f"\n{LINES[index]}"
        else:
            lines[index] = f"{LINES[index].partition('=')[0]} = {value}"
    check(folder, "\n".join(lines).encode("utf-8", "surrogatepass"))


@PATIENT
@given(st.sampled_from("[{("), st.integers(1, 500), st.sampled_from(["a = ", "a.b = [\n", ""]))
def test_brackets_within_brackets(folder, bracket, depth, before):
    inside = "{a = " if bracket == "{" else bracket
    check(folder, (before + inside * depth).encode())
    closing = {"[": "]", "{": "}", "(": ")"}[bracket]
    check(folder, (before + inside * depth + "1" + closing * depth).encode())
