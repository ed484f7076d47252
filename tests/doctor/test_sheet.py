"""The acceptance sheet: complete, in two languages, safe, and one page that needs nothing else."""

from __future__ import annotations

import ast
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from recorderd.doctor import words
from recorderd.doctor.guided import Visit
from recorderd.doctor.outcome import Finding, Outcome, skipped
from recorderd.doctor.sheet import SheetFacts, sheet_page
from recorderd.dsp import health
from recorderd.heard import NoticeVerdict
from tests.doctor.walks import Written, make_box, walk

ROOM = Path(words.__file__).parent


def facts(**changes):
    known = {
        "site": "osaka-clinic",
        "lines": ("front-desk",),
        "model": "Raspberry Pi 4",
        "fingerprint": "ab" * 32,
        "config": Path("/etc/recorderd/recorderd.toml"),
        "is_simulated": False,
        "config_sha256": "cd" * 32,
    }
    return SheetFacts(**{**known, **changes})


def literals(call):
    """First arguments of all calls of this name in the room, as far as they are literal texts."""
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == call and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    yield first.value


def test_every_finding_has_words_in_japanese():
    ours = set(literals("Finding"))
    assert len(ours) > 40
    source = Path(health.__file__).read_text("utf-8")
    theirs = set(re.findall(r'Finding\(\s*f?"([a-z{}-]+)"', source))
    both = {
        code.replace("{name}", side).replace("{sink}", side)
        for code in theirs
        for side in ("near", "far")
    }
    assert len(both) > 10
    assert not (ours | both) - set(words.FINDINGS_JA)


def test_every_check_has_a_name():
    assert set(literals("Outcome")) | set(literals("skipped")) <= set(words.CHECKS)


def measured_names():
    """The keys of all that is measured in the room, as far as they are literal texts."""
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name("Outcome"), args=[_, _, ast.Dict(keys), *_]):
                    yield from (key.value for key in keys if isinstance(key, ast.Constant))
                case (
                    ast.Assign(targets=[ast.Name("measured")], value=ast.Dict(keys))
                    | ast.AnnAssign(target=ast.Name("measured"), value=ast.Dict(keys))
                    | ast.AugAssign(target=ast.Name("measured"), value=ast.Dict(keys))
                ):
                    yield from (key.value for key in keys if isinstance(key, ast.Constant))
                case ast.Subscript(ast.Name("measured"), ast.Constant(key)):
                    yield key


def test_every_measured_value_has_a_name_in_japanese():
    names = set(measured_names())
    assert len(names) > 40
    verdicts = {each.replace("-", "_") for each in get_args(NoticeVerdict)}
    assert [name for name in sorted(names | verdicts) if not words.label_ja(name)] == []


def test_every_reason_to_leave_out_a_check_has_words_in_japanese():
    reasons = set()
    for path in ROOM.glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef):
                nodes = list(ast.walk(function))
                for node in nodes:
                    match node:
                        case ast.Call(func=ast.Name("skipped"), args=[_, _, ast.Constant(why)]):
                            reasons.add(why)
                        case ast.Call(func=ast.Name("skipped"), args=[_, _, ast.Name(name)]):
                            reasons |= {
                                each.value
                                for given in nodes
                                if isinstance(given, ast.Assign)
                                and ast.unparse(given.targets[0]) == name
                                for each in ast.walk(given.value)
                                if isinstance(each, ast.Constant) and isinstance(each.value, str)
                            }
                        case ast.keyword("skipped", ast.Constant(str(why))):
                            reasons.add(why)
    assert reasons == set(words.SKIPPED_JA)


def test_the_sheet_of_a_walk_has_every_measured_value(tmp_path):
    visit = walk(
        make_box(tmp_path, "JP", [("front-desk", "fault swapped")]), Written({"Your": "山田"})
    )
    page = sheet_page(visit, facts())
    for outcome in visit.outcomes:
        for name, value in outcome.measured.items():
            if value not in {None, ""}:
                assert words.label_ja(name), name
                told = f'{words.label(name)} <i lang="ja">{words.label_ja(name)}</i> <b>{value}</b>'
                assert told in page
    for text in (
        "山田",
        "ab" * 32,
        "cd" * 32,
        visit.began_at,
        "channels-swapped",
        "入れ替わっている",
    ):
        assert text in page
    assert "要対処" in page
    assert "Simulated" not in page


def test_a_good_visit_says_so_in_both_languages():
    page = sheet_page(Visit("", "2026-11-23T08:50:00.000+09:00", [Outcome("clock")]), facts())
    assert "Nothing was found in what was looked at." in page
    assert "異常はありません" in page
    assert "Simulated" in sheet_page(Visit(), facts(is_simulated=True))


@pytest.mark.parametrize(
    ("outcomes", "result"),
    [
        ([Outcome("clock"), Outcome("disk")], "2 checks, no findings 異常なし<"),
        (
            [Outcome("clock"), Outcome("power", "", {}, (Finding("hot", "a", "b"),) * 2)],
            "2 checks, 2 findings 要対処<",
        ),
        # Whoever could not call has accepted a line that nobody has heard.
        (
            [Outcome("clock"), Outcome("disk"), skipped("ring", "x", "nobody could call")],
            "2 checks, no findings 異常なし; 1 not looked at 未実施<",
        ),
    ],
)
def test_the_result_counts_what_was_found_and_what_was_left_out(outcomes, result):
    assert result in sheet_page(Visit("", "2026-11-23T08:50:00.000+09:00", outcomes), facts())


def test_nothing_from_outside_becomes_markup():
    evil = "<script>alert(1)</script>"
    outcome = Outcome("card", evil, {evil: evil}, (Finding("card-rate", evil, evil),))
    page = sheet_page(Visit(evil, evil, [outcome]), facts(site=evil, model=evil, lines=(evil,)))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_page_is_well_formed_and_asks_for_nothing():
    visit = Visit("x", "2026-11-23T08:50:00.000+09:00", [Outcome("clock", "", {"a_s": 1})])

    class Check(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open = []

        def handle_starttag(self, tag, attrs):
            assert not {"src", "href"} & {name for name, _ in attrs}
            if tag not in {"meta", "br"}:
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    check = Check()
    check.feed(sheet_page(visit, facts()))
    assert check.open == []


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("bounce_ms", "bounce [ms]"),
        ("write_kb_s", "write [kB/s]"),
        ("near_hum_dbm0", "near hum [dBm0]"),
    ],
)
def test_units_stand_apart(name, label):
    assert words.label(name) == label
