"""The units' sandboxes as systemd itself scores them, and the shell scripts as shellcheck reads them.

Whether everything runs in those sandboxes is shown in a machine with systemd: tests/rig.
"""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent
SYSTEMD = PROJECT / "systemd"

pytestmark = pytest.mark.units

# Ten times the exposure that `systemd-analyze security` gives at most. On Debian 12 redis has 1.2,
# resolved 2.2, chrony 3.7.
EXPOSURE_MAX = {
    "recorderd": 14,
    "recorderd-upload": 12,
    "recorderd-compact": 20,
    "recorderd-doctor": 15,
}

SCRIPTS = [
    SYSTEMD / "install.sh",
    *sorted((PROJECT / "tests/rig").glob("*.sh")),
    PROJECT / "tests/rig/guest/usr/local/sbin/rig-devices",
    PROJECT / "tests/rig/guest/usr/local/bin/editor",
    PROJECT / ".ci/run",
]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def settings_of(unit):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(SYSTEMD / f"{unit}.service", "utf-8")
    return parser["Service"]


@pytest.mark.parametrize("unit", EXPOSURE_MAX)
def test_a_sandbox_is_as_tight_as_promised(unit):
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    threshold = f"--threshold={EXPOSURE_MAX[unit]}"
    done = run(*command, threshold, SYSTEMD / f"{unit}.service")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", EXPOSURE_MAX)
def test_systemd_knows_every_setting(unit):
    # It also says that the program is not installed here.
    done = run("systemd-analyze", "verify", "--man=no", SYSTEMD / f"{unit}.service")
    assert "Unknown" not in done.stderr
    assert "Failed to parse" not in done.stderr


def test_the_recorder_may_read_the_clock_and_has_no_network():
    settings = settings_of("recorderd")
    assert "ProtectClock" not in settings, "it takes adjtimex away, and ages of calls with it"
    assert settings["PrivateNetwork"] == "yes"
    assert settings["RestrictAddressFamilies"] == "AF_UNIX"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(path):
    done = run("shellcheck", path)
    assert done.returncode == 0, done.stdout


def test_the_installer_is_plain_sh():
    done = run("sh", "-n", SYSTEMD / "install.sh")
    assert done.returncode == 0, done.stderr


def test_the_installer_says_what_to_do():
    done = run("sh", SYSTEMD / "install.sh", "--everything")
    assert done.returncode == 1
    assert "--everything" in done.stderr
    assert "--remove" in done.stderr
    done = run("setpriv", "--reuid=65534", "sh", SYSTEMD / "install.sh")
    assert done.returncode == 1
    assert "must run as root" in done.stderr
    assert "What to do: sudo sh" in done.stderr
