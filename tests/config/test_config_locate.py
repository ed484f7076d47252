"""The lines of keys, against what the standard library's reader finds in the same text."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recorderd.config.locate import locate

TEXT = '''\
# a comment with [brackets] and "quotes
top = 1   # [not] a table
[site]
name = "a # no comment"

text = """
[fake]
key = 1 ""\\""
"""""
literal = \'\'\'
[[fake]]
\'\'\'
after = 2
[[line]]
name = "one"
[line.audio]
"dotted".'key'.deep = 1
[[line]]
list = [
  1, # one
  [2, { a = 1, b = "]" }],

  "x" ]
[line.audio]
inline = { driver = "sim", more = { pin = 3 } }
quotes = ["""one more at the end""""]
"caf\\u00e9" = 1979-05-27 07:32:00
[line.hook]
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("site",), 3),
        (("site", "name"), 4),
        (("site", "text"), 6),
        (("site", "literal"), 10),
        (("site", "after"), 13),
        (("line",), 14),
        (("line", 0), 14),
        (("line", 0, "name"), 15),
        (("line", 0, "audio"), 16),
        (("line", 0, "audio", "dotted"), 17),
        (("line", 0, "audio", "dotted", "key", "deep"), 17),
        (("line", 1), 18),
        (("line", 1, "list", 0), 20),
        (("line", 1, "list", 1), 21),
        (("line", 1, "list", 1, 0), 21),
        (("line", 1, "list", 1, 1, "a"), 21),
        (("line", 1, "list", 1, 1, "b"), 21),
        (("line", 1, "list", 2), 23),
        (("line", 1, "audio"), 24),
        (("line", 1, "audio", "inline", "driver"), 25),
        (("line", 1, "audio", "inline", "more", "pin"), 25),
        (("line", 1, "audio", "quotes"), 26),
        (("line", 1, "audio", "café"), 27),
        (("line", 1, "hook"), 28),
    ],
)
def test_each_key_has_the_line_where_it_stands(path, line):
    assert locate(TEXT)[path] == line


def test_the_text_is_one_that_the_reader_accepts():
    assert tomllib.loads(TEXT)["line"][1]["list"][2] == "x"


def test_nothing_is_found_inside_strings():
    assert not any("fake" in path for path in locate(TEXT))


def test_lines_are_counted_alike_with_carriage_returns():
    assert locate("a = 1\n[b]\n").items() <= locate("a = 1\r\n[b]\r\n").items()


def test_elements_of_arrays_of_tables_within_arrays_of_tables():
    text = "[[a]]\n[[a.b]]\n[[a.b]]\nx = 1\n[[a]]\n[[a.b]]\nx = 2\n"
    lines = locate(text)
    assert lines["a", 0, "b", 1, "x"] == 4
    assert lines["a", 1, "b", 0, "x"] == 7


# Statements of which some order is often valid TOML; each `@` becomes a number of its own, by
# which the leaf is found again in the text.
STATEMENTS = st.sampled_from([
    "a = @",
    "b.c = @",
    "'q.r'.\"s\\u0041\" = @",
    'd = [@, [@, "]"], {x = @, y.z = @}]',
    "e = [\n  @, # ] @\n\n  [ @ ],\n]",
    'f = """\n[z]\n""\\"# @"""""',
    "g = '''\n''@'''''",
    "h = { i = { j = @ }, k = [{ l = @ }, { l = @ }] }",
    "[t]",
    "[t.u] # @",
    "[ 'v' . \"w\" ]",
    "[[n]]",
    "[[n.m]]",
    "[n.o]",
    "[[n.m.p]]",
    "",
    "  # comment = '''",
])


@settings(deadline=None)  # a busy machine is no failure of the code
@given(st.lists(STATEMENTS, max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_every_value_of_any_text_is_on_the_line_that_was_found(statements, newline):
    text = newline.join(statements).replace("\r\n", "\n").replace("\n", newline)
    for number in range(text.count("@")):
        text = text.replace("@", str(1000 + number), 1)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(False)
    lines = locate(text)
    numbered = text.split("\n")
    for path, value in _leaves(tree, ()):
        line = lines[path]
        if isinstance(value, int):
            assert str(value) in numbered[line - 1]
        else:
            assert isinstance(path[-1], int) or str(path[-1]) in numbered[line - 1]


def _leaves(value, path):
    """Every value that is no container, with its path; each container's path must be known too."""
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    else:
        return [(path, value)]
    return [leaf for key, each in inner for leaf in _leaves(each, (*path, key))]
