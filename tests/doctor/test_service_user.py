"""What root may read proves nothing of the service: it is asked as the service's user."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from recorderd.config import load
from recorderd.doctor import configcheck
from tests.doctor.test_command import HARDWARE

ANNOUNCED = '\n[line.announcement]\ninbound = "own.wav"\noutbound = "notice-en.wav"\n'
ARCHIVE = '\n[archive]\nurl = "s3://bucket"\ncredentials = "key"\nca_file = "ca.pem"\n'


@pytest.fixture
def config(tmp_path, monkeypatch):
    (tmp_path / "state").mkdir()
    for name in ("own.wav", "key", "ca.pem"):
        (tmp_path / name).write_bytes((configcheck.CLIPS / "notice-ja.wav").read_bytes())
    path = tmp_path / "recorderd.toml"
    path.write_text(HARDWARE + ANNOUNCED + ARCHIVE, "utf-8")
    user = pwd.getpwuid(os.geteuid())
    monkeypatch.setattr(configcheck.pwd, "getpwnam", lambda _name: user)
    monkeypatch.setattr(configcheck.os, "geteuid", lambda: 0)
    return load(path)


def refuse(monkeypatch, *names):
    monkeypatch.setattr(configcheck, "may", lambda _user, _right, path: path.name not in names)
    return names


def test_where_all_may_be_read_nothing_is_found(config, monkeypatch):
    asked = []
    monkeypatch.setattr(
        configcheck, "may", lambda _user, right, path: asked.append((right, path.name)) or True
    )
    assert configcheck.check_config(config).findings == ()
    assert asked == [
        *(("-r", name) for name in ("recorderd.toml", "own.wav", "notice-en.wav", "key", "ca.pem")),
        ("-w", "state"),
    ]


@pytest.mark.parametrize("name", ["recorderd.toml", "own.wav", "key", "ca.pem"])
def test_a_file_that_the_service_may_not_read(config, monkeypatch, name):
    refuse(monkeypatch, name)
    (found,) = configcheck.check_config(config).findings
    assert found.code == "config-unreadable"
    assert name in found.what
    assert "chmod 640" in found.mend


def test_a_directory_that_the_service_may_not_write(config, monkeypatch):
    refuse(monkeypatch, "state")
    (found,) = configcheck.check_config(config).findings
    assert found.code == "disk-unwritable"
    assert f"chown {pwd.getpwuid(os.getuid()).pw_name}: {config.storage.directory}" in found.mend


@pytest.mark.parametrize("why", ["not root", "no such user"])
def test_where_it_cannot_be_asked_it_is_not(config, monkeypatch, why):
    def unknown(_name):
        raise KeyError

    if why == "not root":
        monkeypatch.setattr(configcheck.os, "geteuid", lambda: 1000)
    else:
        monkeypatch.setattr(configcheck.pwd, "getpwnam", unknown)
    refuse(monkeypatch, "recorderd.toml")
    assert configcheck.check_config(config).findings == ()


def test_the_kernel_is_asked_as_that_user(tmp_path):
    """Root tries it as nobody; anybody else as himself."""
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    assert configcheck.may(user, "-r", Path("/etc/passwd"))
    assert not configcheck.may(user, "-w", Path("/etc/passwd"))
    assert not configcheck.may(user, "-r", tmp_path / "none")
