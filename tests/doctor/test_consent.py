"""Nothing is changed before the person says yes to exactly that, whatever else they answer."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.config import load
from tests.doctor.walks import Written, codes, make_box, walk

OFFERED = {"sound": [{"name": "USB Audio CODEC", "input_channels": 2}]}
TROUBLES = [
    ('"Test card"', "card lost"),
    ("front-desk", "fault hook-inverted"),
    ("front-desk", "fault network US"),
]


class Whimsical(Written):
    """Answers as a list says, yes for ever after it; None is Ctrl-C."""

    def __init__(self, answers):
        super().__init__()
        self.list = list(answers)
        self.consented = False

    def ask(self, question):
        self.asked.append(question)
        return str(self._next())

    def confirm(self, question, *, default):
        self.asked.append(question)
        answer = bool(self._next())
        self.consented |= answer and question.startswith("Write this to")
        return answer

    def _next(self):
        answer = self.list.pop(0) if self.list else True
        if answer is None:
            raise KeyboardInterrupt
        return answer


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from([True, True, True, False, "US", "0312345678", "", None]), max_size=14)
)
def test_no_answers_change_the_configuration_without_consent(answers):
    with tempfile.TemporaryDirectory() as folder:
        path = make_box(Path(folder), "JP", TROUBLES)
        before = path.read_bytes()
        person = Whimsical(answers)
        visit = None
        with suppress(KeyboardInterrupt):
            visit = walk(path, person, offered=OFFERED)
        has_changed = path.read_bytes() != before
        assert has_changed == person.consented == (visit is not None and visit.written)
        assert path.with_name("recorderd.toml.bak").exists() == has_changed
        assert not list(Path(folder).glob(".*"))


def test_enter_alone_is_no_consent(tmp_path):
    """Whoever presses Enter at every question has not read what would be written."""
    path = make_box(tmp_path, "JP", [("front-desk", "fault hook-inverted")])
    before = path.read_bytes()
    person = Written()
    assert not walk(path, person).written
    assert any(question.startswith("Write this to") for question in person.asked)
    assert path.read_bytes() == before


def test_after_consent_the_next_walk_finds_nothing(tmp_path):
    path = make_box(tmp_path, "JP", [("front-desk", "fault hook-inverted")])
    person = Written({"Write this to": True})
    assert walk(path, person).written
    assert load(path).lines[0].hook.active == "high"
    assert "# where the line is" in path.read_text("utf-8")
    assert any('+active = "high"' in said for said in person.said)
    # The simulator's hook does not know of levels: without the planted fault it is as if mended.
    (tmp_path / "office.line").write_text("day 2026-11-23T08:50:00+09:00\n", "utf-8")
    assert codes(walk(path)) == []


def test_of_several_countries_the_person_chooses_one(tmp_path):
    path = make_box(tmp_path, "JP", [("front-desk", "fault network US")])
    walk(path, Written({"site.country": "us", "Write this to": True}))
    assert load(path).site.country == "US"


def test_what_cannot_be_edited_is_told_in_lines_to_write(tmp_path):
    path = make_box(tmp_path, "JP", [("front-desk", "fault hook-inverted")])
    text = (
        path
        .read_text("utf-8")
        .replace('[line.hook]\ndriver = "sim"\n', "")
        .replace('name = "front-desk"\n', 'name = "front-desk"\nhook = { driver = "sim" }\n')
    )
    path.write_text(text, "utf-8")
    person = Written({"Write this to": True})
    assert not walk(path, person).written
    assert any('line.hook.active = "high"' in said for said in person.said)
    assert path.read_text("utf-8") == text
