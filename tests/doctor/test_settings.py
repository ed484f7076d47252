"""Editing the configuration: only what is wanted, comments kept, checked before, the old one kept."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.doctor import settings
from recorderd.doctor.outcome import Change
from recorderd.errors import ConfigError, StoreError
from tests.doctor.walks import make_box

ACTIVE = ("line", 0, "hook", "active")


def change(path, value):
    return Change(path, value, "a test")


def test_a_value_is_replaced_in_place_and_its_comment_stays():
    text = '[site]\ncountry = "JP"   # where it is\nname = "x"\n'
    found = settings.edited(text, [change(("site", "country"), "GB")])
    assert found == '[site]\ncountry = "GB"   # where it is\nname = "x"\n'


def test_a_key_that_is_missing_goes_below_its_heading():
    text = '[[line]]\n[line.hook]   # the sensor\ndriver = "sim"\n'
    found = settings.edited(text, [change(ACTIVE, "high")])
    assert found == '[[line]]\n[line.hook]   # the sensor\nactive = "high"\ndriver = "sim"\n'


def test_the_right_line_of_several_is_changed():
    text = "\n".join(["[[line]]", "[line.audio]", "near_channel = 1 # a"] * 3)
    found = settings.edited(text, [change(("line", 1, "audio", "near_channel"), 2)])
    assert found.split("\n")[5] == "near_channel = 2 # a"
    assert [line["audio"]["near_channel"] for line in tomllib.loads(found)["line"]] == [1, 2, 1]


def test_a_key_in_an_inline_table_is_changed():
    text = '[[line]]\nhook = { driver = "sim", active = "low" } # here\n'
    found = settings.edited(text, [change(ACTIVE, "high")])
    assert found == '[[line]]\nhook = { driver = "sim", active = "high" } # here\n'


@pytest.mark.parametrize(
    "text",
    [
        '[[line]]\nhook = { driver = "sim" }\n',  # there is no heading to write below
        '[[line]]\nhook.driver = "sim"\n',
        '[[line]]\nhook = { active = "low", x = { active = "low" } }\n',
        '[[line]]\n[line.hook]\nactive = """low"""\n',
    ],
)
def test_what_is_written_unusually_is_left_to_a_person(text):
    with pytest.raises(settings.CannotEdit):
        settings.edited(text, [change(ACTIVE, "high")])


VALUES = st.one_of(st.integers(0, 10**6), st.text(st.characters(codec="utf-8"), max_size=12))
COMMENTS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12)


@given(VALUES, COMMENTS, st.sampled_from(["site", "other"]), st.sampled_from(["name", "new"]))
def test_exactly_one_key_changes_or_nothing_is_done(value, comment, table, key):
    text = f'a = 1\n[site] # {comment}\nname = "x" # {comment}\n[other]\nname = 3 #{comment}\n'
    wanted = tomllib.loads(text)
    wanted[table][key] = value
    try:
        found = settings.edited(text, [change((table, key), value)])
    except settings.CannotEdit:
        return
    assert tomllib.loads(found) == wanted
    assert found.count(f"# {comment}") >= text.count(f"# {comment}")


def test_the_old_file_is_kept_beside_and_the_rights_stay(tmp_path):
    path = make_box(tmp_path)
    path.chmod(0o600)
    before = settings.read_settings(path)
    after = settings.edited(before, [change(ACTIVE, "high")])
    backup = settings.write_settings(path, before, after)
    assert backup.read_text("utf-8") == before
    assert path.read_text("utf-8") == after
    assert path.stat().st_mode & 0o777 == backup.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == [
        *("office.line", "recorderd.toml", "recorderd.toml.bak")
    ]


def test_what_root_writes_stays_its_owners(tmp_path, monkeypatch):
    """Else the service could not read its configuration any more after a walk with sudo."""
    path = make_box(tmp_path)
    given = []
    real = os.stat

    def owned(target, **options):
        found = list(real(target, **options))
        if Path(target) == path:
            found[4], found[5] = 4711, 4712
        return os.stat_result(found)

    monkeypatch.setattr(settings.os, "stat", owned)
    monkeypatch.setattr(settings.os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        settings.os, "chown", lambda target, user, group: given.append((target, user, group))
    )
    before = settings.read_settings(path)
    settings.write_settings(path, before, settings.edited(before, [change(ACTIVE, "high")]))
    trial, backup = (
        path.with_name(".recorderd.toml.trial.toml"),
        path.with_name("recorderd.toml.bak"),
    )
    assert {(trial, 4711, 4712), (backup, 4711, 4712)} <= set(given)


def test_what_recorderd_would_not_take_is_not_written(tmp_path):
    path = make_box(tmp_path)
    before = settings.read_settings(path)
    after = settings.edited(before, [change(ACTIVE, "sideways")])
    with pytest.raises(ConfigError, match=r"recorderd\.toml:\d+: .*active"):
        settings.write_settings(path, before, after)
    assert path.read_text("utf-8") == before
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == [
        *("office.line", "recorderd.toml")
    ]


def test_what_somebody_else_changed_meanwhile_is_not_written_over(tmp_path):
    path = make_box(tmp_path)
    before = settings.read_settings(path)
    path.write_text(before + "# mine\n", "utf-8")
    with pytest.raises(StoreError, match="somebody else changed it"):
        settings.write_settings(path, before, before + "# ours\n")
    assert path.read_text("utf-8") == before + "# mine\n"


def test_of_a_link_the_file_behind_it_is_written(tmp_path):
    path = make_box(tmp_path)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    before = settings.read_settings(link)
    settings.write_settings(link, before, settings.edited(before, [change(ACTIVE, "high")]))
    assert link.is_symlink()
    assert 'active = "high"' in path.read_text("utf-8")
