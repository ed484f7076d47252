"""What a person at a terminal meets: no traceback, no cut word, nothing silent, help that helps."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys

import pytest
from rich.console import Console

from recorderd.cli import fold
from recorderd.cli.calls import print_calls
from recorderd.cli.demo import CONFIG
from recorderd.cli.devices import print_devices
from recorderd.cli.main import main
from recorderd.store.catalogue import NAME, open_catalogue

CALL = {
    "id": "f334aa4f00000000", "started_at": "2026-11-23T14:13:10.000+09:00", "line": "front-desk",
    "direction": "inbound", "sealed": None, "dialled": None, "disposition": "not-recorded",
    "caller": {"number": "0312345678", "name": "YAMADA SHOTEN", "absence": None},
    "duration_s": 3661.0, "cut": True, "gaps": [{}, {}], "reason": "no sound card",
    "notice": {"completed": False, "heard": False}, "other_caller": {},
}  # fmt: skip


@pytest.fixture
def office(tmp_path, monkeypatch):
    (tmp_path / "recordings").mkdir()
    path = tmp_path / "recorderd.toml"
    path.write_text(CONFIG, "utf-8")
    monkeypatch.setenv("RECORDERD_CONFIG", str(path))
    return tmp_path


# ---------------------------------------------------------------- refusals


def test_a_folder_that_cannot_be_made_is_no_traceback(tmp_path, capsys):
    assert main(["demo", "--directory", "/proc/demo"]) == 1
    assert capsys.readouterr().err.startswith("recorderd: /proc/demo")
    (tmp_path / "letter").touch()
    assert main(["demo", "--directory", str(tmp_path / "letter")]) == 2
    assert "is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (
            "calls --from 2026-11-24 --to 2026-11-23",
            "--from 2026-11-24 is not before --to 2026-11-23",
        ),
        ("calls --from soon", "write 2026-11-23, 2026-11-23T18:45, today or yesterday"),
    ],
)
def test_a_search_that_can_find_nothing_is_refused(office, command, says, capsys):
    assert main(command.split()) == 2
    assert says in capsys.readouterr().err


def test_a_line_that_is_not_there_is_named(office, capsys):
    open_catalogue(office / "recordings" / NAME).close()
    assert main(["calls", "--line", "frontdesk"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "no calls match",
        "the configuration has no line frontdesk; it has: front-desk, back-office",
    ]
    assert main(["calls", "--line", "front-desk"]) == 0
    assert capsys.readouterr().out == "no calls match\n"


# ---------------------------------------------------------------- eighty columns


def shown(records):
    console = Console(width=80, file=io.StringIO())
    print_calls(records, console)
    return console.file.getvalue()


def test_no_word_of_a_call_is_cut_at_80_columns():
    text = shown([
        CALL,
        {**CALL, "caller": {"number": None, "name": None, "absence": "unavailable"}},
    ])
    assert max(map(len, text.splitlines())) <= 80
    words = "2026-11-23 14:13:10 front-desk 0312345678 YAMADA SHOTEN (unavailable) 61:01"
    words += " not-recorded, no sound card, cut, 2 gaps, notice not finished, notice not heard"
    for word in words.split():
        assert re.search(rf"(^|\s){re.escape(word)}(\s|$)", text), f"{word}\n{text}"


def test_long_lines_are_folded_on_a_terminal_and_whole_in_a_pipe(monkeypatch):
    key = "a" * 64
    text = f"  announcement  {'word ' * 20}{key} end"
    assert fold.folded(text, 16) == text
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    lines = fold.folded(text, 16).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.startswith(" " * 16) for line in lines[1:])
    assert any(key in line for line in lines)


def test_an_error_is_folded_on_a_terminal(office, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    text = (office / "recorderd.toml").read_text("utf-8")
    (office / "recorderd.toml").write_text(text.replace("Asia/Tokyo", "Asia/Tokio"), "utf-8")
    assert main(["status"]) == 78
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 1
    assert all(line.startswith("  ") for line in lines[1:])


# ---------------------------------------------------------------- help, and what is not there


def subcommands():
    for name in ("", "keys", "archive"):
        done = subprocess.run(
            [sys.executable, "-m", "recorderd", *name.split(), "--help"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "COLUMNS": "80"},
        )
        yield from (
            f"{name} {found}".strip()
            for found in re.findall(r"^    (\w+)", done.stdout, re.MULTILINE)
        )


def test_every_command_says_what_it_is_for(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    found = sorted(set(subcommands()))
    assert len(found) > 20
    for command in found:
        with pytest.raises(SystemExit):
            main([*command.split(), "--help"])
        text = capsys.readouterr().out
        assert re.search(r"\]\n*[^\n]*\n\n[^\n]+\n(?:[^\n]+\n)?\n(options|positional)", text), text
        assert max(map(len, text.splitlines())) <= 80


def test_a_box_without_devices_says_so(capsys):
    print_devices({"sound": [], "serial": [], "gpio": []}, Console(width=80))
    assert capsys.readouterr().out.split("\n")[:3] == [
        "sound devices  none",
        "serial ports  none",
        "GPIO chips  none",
    ]
