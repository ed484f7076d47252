"""Every command in the pages runs, as it is written there, and says what the page promises.

A command that no test runs fails `test_every_command_has_its_place`; so does a test or a list that names
a command which is in no page any more. Where a test cannot give a command, a list says who does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from recorderd.cli.check import check
from recorderd.seal.age import new_identity
from tests.docs.pages import ROOT, commands, settings
from tests.docs.places import BY_HAND, EXECUTED, IN_THE_RIG, executes
from tests.docs.test_commands_with_tools import OTHERS
from tests.docs.workshop import DEMO, Workshop, office


@pytest.fixture(scope="module")
def two_calls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("office") / DEMO
    office(folder)
    return folder


@pytest.fixture
def shop(tmp_path, two_calls):
    made = Workshop(tmp_path)
    made.bring(two_calls)
    return made


def says(shop, command, pattern, exit_code=0, **env):
    said = shop.run(command, exit_code=exit_code, **env)
    assert re.search(pattern, said), f"{command}\n{said}"
    return said


# ---------------------------------------------------------------- the office


@executes(
    ".venv/bin/recorderd calls --config recorderd-demo/recorderd.toml --number 0312345678",
    ".venv/bin/recorderd show --config recorderd-demo/recorderd.toml ID",
    ".venv/bin/recorderd status --config recorderd-demo/recorderd.toml",
    ".venv/bin/recorderd verify --config recorderd-demo/recorderd.toml --all",
    ".venv/bin/recorderd export --config recorderd-demo/recorderd.toml ID --to bundle",
)
def test_the_walk_after_the_demo(shop):
    configured = f"--config {DEMO}/recorderd.toml"
    del shop.environment["RECORDERD_CONFIG"]
    said = says(shop, f".venv/bin/recorderd calls {configured} --number 0312345678", r"\n1 call\n")
    beginning = re.search(r"^([0-9a-f]{8}) +2026-11-23 09:00:02 ", said, re.MULTILINE)[1]
    said = shop.run(f".venv/bin/recorderd show {configured} {beginning}")
    assert re.search(r"other party +0312345678 YAMADA SHOTEN", said)
    assert "front-desk_in_0312345678_000.flac" in said
    says(shop, f".venv/bin/recorderd status {configured}", "front-desk +idle +1 +1")
    says(shop, f".venv/bin/recorderd verify {configured} --all", "Nothing altered: 2 calls")
    shop.run(f".venv/bin/recorderd export {configured} {beginning} --to bundle")
    assert "0312345678" in (shop.folder / "bundle/report.html").read_text("utf-8")
    assert "sha256sum" in (shop.folder / "bundle/README.txt").read_text("utf-8")


@executes("recorderd check", "recorderd devices", "recorderd calls", "recorderd status")
def test_looking(shop):
    says(shop, "recorderd check", r"recorderd\.toml: OK, 2 lines")
    says(shop, "recorderd devices", r"serial ports  ")
    says(shop, "recorderd calls", r"\n2 calls\n")
    says(shop, "recorderd status", "no alarms")
    os.utime(shop.state / "status.json", (0, 0))  # the demo was long ago
    says(shop, "recorderd status", "the recorder has not reported since", 1)


@executes("recorderd calls --number 0312345678", "recorderd show ID", "recorderd verify ID")
def test_one_call(shop):
    _, call = shop.calls()
    says(shop, "recorderd calls --number 0312345678", rf"{call[:8]}(.|\n)*\n1 call\n")
    says(shop, f"recorderd show {call}", rf"call +{call}\b")
    says(shop, f"recorderd verify {call[:4]}", "Nothing altered: the record, 1 segment")


@executes(
    "recorderd hold ID… --why TEXT",
    "recorderd release ID… --why TEXT",
    "recorderd export ID… --to PATH",
    "recorderd export ID… --to call.zip",
)
def test_several_calls(shop):
    ids = " ".join(shop.calls())
    assert len(re.findall("held", shop.run(f"recorderd hold {ids} --why 'A complaint.'"))) == 2
    says(shop, f"recorderd show {shop.calls()[0]}", r"held +by \w+, .*: A complaint\.")
    assert len(re.findall("released", shop.run(f"recorderd release {ids} --why done"))) == 2
    says(shop, f"recorderd export {ids} --to bundle", "bundle: 2 calls")
    says(shop, f"recorderd export {ids} --to call.zip", "call.zip: 2 calls")
    key = re.search(r"device key +([0-9a-f]{64})", shop.run("recorderd status"))[1]
    for bundle in ("bundle", "call.zip"):
        says(shop, f"recorderd verify {bundle} --fingerprint {key}", "Nothing altered")


@executes("recorderd hear FILE", "recorderd recover", "recorderd doctor --unattended")
def test_tools(shop):
    file = next(shop.state.glob("calls/*/*/*/*/*_in_0312345678_000.flac"))
    says(shop, f"recorderd hear {file}", r"notice +notice-ja.wav, whole")
    says(shop, "recorderd recover", r"0  calls that a crash cut, sealed")
    says(shop, "recorderd doctor --unattended", r"ok +verify")
    says(shop, "recorderd status", r"\ndoctor: .*nothing found\n")


@executes(
    # What these lack is told: they stand in the README's table, with what they take beside them.
    "recorderd verify", "recorderd hold", "recorderd show", "recorderd export",
    "recorderd keys new", "recorderd rewrap",
)  # fmt: skip
@pytest.mark.parametrize(
    ("command", "lacks"),
    [
        ("recorderd verify", "say what to verify: a call's ID"),
        ("recorderd hold", "required: ID, --why"),
        ("recorderd show", "required: ID"),
        ("recorderd export", "required: ID, --to"),
        ("recorderd keys new", "required: --to"),
        ("recorderd rewrap", "required: --identity"),
    ],
)
def test_a_command_alone_says_what_it_needs(shop, command, lacks):
    says(shop, command, re.escape(lacks), exit_code=2)


# ---------------------------------------------------------------- the archive


@executes(
    "recorderd upload --once",
    "recorderd upload --retry",
    "recorderd verify --archive --all",
    "recorderd archive search",
)
def test_an_archive_in_a_folder(shop):
    """As the README says: "make a folder with an empty file `recorderd-archive` in it"."""
    archive = shop.folder / "archive"
    archive.mkdir()
    (archive / "recorderd-archive").touch()
    text = shop.config.read_text("utf-8")
    shop.config.write_text(f'{text}\n[archive]\nurl = "file://{archive}"\n', "utf-8")
    shop.run("recorderd upload --once")
    assert len(list(archive.rglob("call.json"))) == 2
    shop.run("recorderd upload --retry")
    says(shop, "recorderd verify --archive --all", "Nothing altered: 2 calls")
    for table_row in ("compact", "sites"):
        shop.run(f"recorderd archive {table_row}", exit_code=1 if table_row == "sites" else 0)
    says(shop, "recorderd archive search", r"0312345678(.|\n)*\n2 calls")
    shop.run("recorderd archive verify --site demo-office")


# ---------------------------------------------------------------- sealed calls


@pytest.fixture
def sealed(tmp_path):
    made = Workshop(tmp_path)
    said = made.run("recorderd keys new --to supervisor.txt")
    recipient = re.search(r"\bage1\w+", said)[0]
    spare = new_identity()[1]
    office(made.config.parent, f'[seal]\nrecipients = ["{recipient}", "{spare}"]')
    return made


@executes(
    "recorderd keys new --to supervisor.txt",
    "recorderd keys test --identity supervisor.txt",
    "recorderd show ID --identity supervisor.txt",
    "recorderd rewrap --identity supervisor.txt",
)
def test_a_supervisors_key(sealed):
    says(sealed, "recorderd keys test --identity supervisor.txt", r"2 .*calls")
    _, call = sealed.calls()
    assert "0312345678" not in sealed.run(f"recorderd show {call}")
    says(sealed, f"recorderd show {call} --identity supervisor.txt", "0312345678 YAMADA SHOTEN")
    says(sealed, "recorderd calls --number 0312345678", rf"{call[:8]}(.|\n)*\n1 call\n")
    sealed.run(f"recorderd export {call} --identity supervisor.txt --to bundle")
    says(sealed, "recorderd rewrap --identity supervisor.txt", "2")


# ---------------------------------------------------------------- the project's own


@executes("python -m hw.drawings.draw")
def test_the_drawings_are_drawn(shop):
    shutil.copytree(ROOT / "hw", shop.folder / "hw", ignore=shutil.ignore_patterns("__pycache__"))
    drawn = sorted((shop.folder / "hw/drawings").glob("*.svg"))
    for drawing in drawn:
        drawing.unlink()
    shop.run("python -m hw.drawings.draw")
    assert sorted((shop.folder / "hw/drawings").glob("*.svg")) == drawn


COLLECTED = {
    # A file that has such tests, which spares pytest the others.
    "pytest -m circuits": "tests/circuits/test_hook.py",
    "pytest -m rig": "tests/rig/test_1_install.py",
    "pytest -m rig -s tests/rig": "",
    "RECORDERD_RIG=bookworm-arm64 pytest -m rig -s tests/rig": "",
    "pytest -m faults": "tests/faults/test_tools.py",
    "FAULTS=full pytest -m faults": "tests/faults/test_tools.py",
    "pytest -m faults tests/faults/test_disk_errors.py -k full": "",
    "FAULTS=full pytest -m faults tests/faults/test_sound_stalls.py": "",
    'pytest -m "strictcard and long"': "tests/contract/test_sound_strict.py",
}


@executes(*COLLECTED)
@pytest.mark.parametrize("command", COLLECTED)
def test_pytest_finds_what_is_asked_for(shop, command):
    """What is found runs in `.ci/run`, but for what is long."""
    shop.folder = ROOT
    options = f"--collect-only -q -p no:cacheprovider {COLLECTED[command]}"
    says(shop, command, r"\n\d+(/\d+)? tests? collected", PYTEST_ADDOPTS=options)


LONG = [
    # Minutes to hours. `.ci/run` runs the faults and the fuzzer at a small size.
    command
    for command in commands()
    if re.match(r"python -m tests\.(bench|faults|archive|fuzz)\b", command)
]
# Runs each module until it has read its arguments; all in one process, for they share what they import.
PARSES = """
import argparse, runpy, sys
class UnderstoodError(Exception): pass
parse = argparse.ArgumentParser.parse_args
def understood(parser, *rest):
    parse(parser, *rest)
    raise UnderstoodError
argparse.ArgumentParser.parse_args = understood
for line in sys.stdin:
    sys.argv = line.split()
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except UnderstoodError:
        print(line, end="")
"""


@executes(*LONG)
def test_long_proofs_and_benches_understand_their_commands():
    lines = []
    for command in LONG:
        whole = command.removeprefix("python -m ").replace("NAME", "no-fsync")
        lines += {re.sub(r"[][]", "", whole), re.sub(r" \[.*\]", "", whole)}  # [--option]: both
    program = [sys.executable, "-c", PARSES]
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(
        program, cwd=ROOT, input=text, capture_output=True, text=True, check=False
    )
    assert done.stdout == text, done.stderr


# ---------------------------------------------------------------- pieces of a configuration

SITE = """
[site]
name = "bench"
country = "JP"
time_zone = "Asia/Tokyo"
[storage]
directory = "recordings"
"""
LINE = '[[line]]\nname = "desk"\n'
AUDIO = '[line.audio]\ndriver = "pyaudio"\ndevice = "USB Audio CODEC"\n'
HOOK = '[line.hook]\ndriver = "gpiod"\npin = 17\n'


def around(piece):
    """The smallest configuration with this piece in it."""
    piece = re.sub("age1…", lambda _: new_identity()[1], piece)
    if "[[line]]" in piece:
        return SITE + piece + ("" if "[line.audio]" in piece else AUDIO + HOOK)
    if piece.startswith("["):
        return SITE + piece + LINE + AUDIO + HOOK
    key = piece.partition(" = ")[0]
    if key == "country":
        return re.sub(rf"^{key} = .*", piece, SITE, flags=re.MULTILINE) + LINE + AUDIO + HOOK
    hook = HOOK.replace('driver = "gpiod"', "") if key == "driver" else HOOK
    if piece == 'driver = "voice"':
        hook = "[line.hook]\n"
    return f"{SITE}{LINE}{AUDIO}{hook}{piece}\n"


@pytest.mark.parametrize("piece", sorted({piece for _, piece in settings()}))
def test_a_piece_of_configuration_is_taken(piece, tmp_path, capsys):
    (tmp_path / "archive.credentials").touch(0o600)
    file = tmp_path / "recorderd.toml"
    file.write_text(around(piece), "utf-8")
    assert check(file) == 0, capsys.readouterr().out


# ---------------------------------------------------------------- all of them


def test_every_command_has_its_place():
    assert OTHERS  # they have named theirs
    written = {re.sub(r"\s+", " ", command) for command in commands()}
    placed = [*EXECUTED, *IN_THE_RIG, *BY_HAND]
    assert sorted(written - set(placed)) == [], "in a page, and no test gives it"
    assert sorted(set(placed) - written) == [], "in no page any more"
    assert len(placed) == len(set(placed)), "in two places"
