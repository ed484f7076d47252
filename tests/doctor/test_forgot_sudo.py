"""Who forgets sudo is told that: no traceback, and no advice to give the recordings to another user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recorderd.cli.main import main
from tests.doctor.test_unattended import status
from tests.doctor.walks import make_box

COMMANDS = [
    "calls",
    "show ab",
    "verify --all",
    "export ab --to bundle",
    "hold ab --why x",
    "release ab --why x",
    "recover",
    "status",
    "doctor --unattended",
]


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """The state directory is another user's; root may go everywhere, so the system's answer is ours."""
    path = make_box(tmp_path)
    status(path)
    state = str(tmp_path / "state")
    reals = {name: getattr(os, name) for name in ("stat", "open", "scandir", "access", "unlink")}

    def refusing(name):
        def call(*arguments, **options):
            target = arguments[0] if arguments else ""
            inside = isinstance(target, str | Path) and str(target).startswith(state)
            at_door = str(target) == state and name == "stat"
            if inside and not at_door:
                if name == "access":
                    return False
                raise PermissionError(13, "Permission denied", str(target))
            return reals[name](*arguments, **options)

        return call

    for name in reals:
        monkeypatch.setattr(os, name, refusing(name))
    monkeypatch.setattr("io.open", refusing_open(state))
    return path


def refusing_open(state, real=open):
    def call(target, *arguments, **options):
        if isinstance(target, str | Path) and str(target).startswith(state):
            raise PermissionError(13, "Permission denied", str(target))
        return real(target, *arguments, **options)

    return call


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_without_sudo_says_so(refused, capsys, command):
    assert main([*command.split(), "--config", str(refused)]) == 1
    told = capsys.readouterr()
    assert "sudo" in told.err
    assert "Traceback" not in told.err
    assert told.out == ""


def test_a_disk_that_went_read_only_is_not_a_lack_of_rights(tmp_path, monkeypatch):
    path = make_box(tmp_path)
    status(path)
    asked = []
    monkeypatch.setattr(
        "recorderd.cli.doctor.os.access",
        lambda _path, mode: asked.append(mode) or not mode & os.W_OK,
    )
    assert main(["doctor", "--unattended", "--config", str(path)]) == 0
    assert asked
