"""The story of the rig, first part: the installer on a fresh system, names of devices, the recorder's sandbox."""

from __future__ import annotations

import json
import re

import pytest

from tests.rig.box import figure, timed
from tests.rig.page import example, quoted

pytestmark = pytest.mark.rig

ASOUND_CONF = example("pcm.front_desk")
CARDS = quoted("cat /proc/asound/cards")
SCORE = quoted("systemd-analyze security")


def test_it_installs_on_a_fresh_debian(box):
    said = timed("install", box.install, "release")
    assert "is a sample: it must be edited" in said
    assert "not started" in said
    assert box.run("systemctl is-active recorderd", check=False).strip() == "inactive"
    assert box.run("stat -c '%U %G %a' /var/lib/recorderd /dev/gpiochip0").splitlines() == [
        "recorderd recorderd 700",
        "root gpio 660",
    ]
    assert box.run("systemctl is-enabled recorderd", check=False).strip() == "disabled"
    found = json.loads(box.run("recorderd devices --json"))
    assert sum("(hw:0,1)" in card["name"] for card in found["sound"]) == 1
    assert found["gpio"] == ["/dev/gpiochip0"]
    assert len(found["serial"]) == 1


def test_run_again_it_starts_what_was_configured(box):
    box.configure()
    said = timed("install again", box.install, "release")
    assert "is there already" in said
    assert "is recording" in said
    assert box.run("readlink /opt/recorderd").startswith("/opt/recorderd-")
    assert box.run("systemctl is-enabled recorderd").strip() == "enabled"
    assert box.run("systemctl is-enabled recorderd-upload", check=False).strip() == "disabled"
    box.wait_until_ready()


def test_systemd_feeds_the_hardware_watchdog(box):
    assert box.show("", "RuntimeWatchdogUSec") == "15s"
    assert "i6300ESB" in box.run("cat /sys/class/watchdog/watchdog0/identity")


def test_names_by_the_usb_socket(box):
    names = box.run("ls /dev/recorderd").split()
    assert names == ["modem-1-1"]
    assert box.run("cat /proc/asound/card5/id").strip() == "usb-1-2"
    # The makers whose modems ModemManager must leave alone; the guest's is none of them.
    rules = box.run("udevadm test /sys/class/tty/ttyUSB0 2>&1", check=False)
    assert "ID_MM_DEVICE_IGNORE" not in rules


def test_a_card_gets_a_name_of_its_own(box):
    text = ASOUND_CONF.replace("usb-1-1_2", "Line1")
    (box.shared / "asound.conf").write_text(text, "utf-8")
    box.run("cp /mnt/host/asound.conf /etc/asound.conf")
    cards = json.loads(box.run("recorderd devices --json"))["sound"]
    box.run("rm /etc/asound.conf")
    assert "front_desk" in {card["name"] for card in cards}
    assert "usb-1-2" in box.run(CARDS)
    assert box.run("ls /dev/serial/by-path").split()


# ---------------------------------------------------------------- the sandbox


def test_the_recorder_runs_in_its_sandbox(box):
    box.wait_until_ready()
    pid = box.show("recorderd", "MainPID")
    process = dict(line.split(":\t", 1) for line in box.run(f"cat /proc/{pid}/status").splitlines())
    assert process["NoNewPrivs"] == "1"
    assert process["Seccomp"] == "2"
    assert process["CapBnd"] == process["CapEff"] == "0" * 16
    interfaces = box.run(f"cat /proc/{pid}/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    # The drivers of modems are there before it, also of those that nobody has plugged in: the unit's
    # DeviceAllow= would not know them.
    box.run("grep -q ttyUSB /proc/devices && grep -q ttyACM /proc/devices")
    # Only the sound children are ahead of the others.
    nices = box.run(f"ps -o ni= -p {pid}; ps -o ni= --ppid {pid}").split()
    assert nices == ["0", "-11", "-11"]


def test_the_clock_is_asked_through_the_filter(box):
    """With ProtectClock= in its unit the recorder would never believe any clock."""
    assert box.status()["clock_synchronised"] is False
    box.synchronise_clock()
    assert box.status()["clock_synchronised"] is True


def test_systemd_thinks_well_of_the_sandboxes(box):
    for unit in ("recorderd", "recorderd-upload"):
        said = box.run(f"{SCORE} {unit} --no-pager").splitlines()[-1]
        found = re.search(r"exposure level for \S+: ([0-9.]+) OK", said)
        assert found, said
        figure(f"exposure of {unit}", float(found[1]), "")
