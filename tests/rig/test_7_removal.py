"""The story of the rig, last part: removed, purged, and installed anew on what is left."""

from __future__ import annotations

import pytest

from tests.rig.box import CREDENTIALS, PURGE, SECOND_DISK, timed

pytestmark = pytest.mark.rig

STORE = "/var/lib/recorderd"
SOUND = f"find {STORE}/calls -name '*.flac' | sort"

PROGRAM = (
    "ls -d /opt/recorderd* /usr/local/bin/recorderd /etc/systemd/system/recorderd*.service "
    "/etc/systemd/system/*.wants/recorderd* /etc/systemd/system/recorderd*.timer "
    "/etc/*/recorderd.conf /etc/systemd/*/recorderd.conf /etc/udev/rules.d/60-recorderd.rules "
    "2>/dev/null"
)


def test_removed_it_leaves_the_recordings(box):
    calls = box.run(SOUND)
    assert calls
    assert f"kept: the recordings in {STORE}" in box.remove()
    assert box.run(SOUND) == calls
    assert box.run("ls /etc/recorderd").split() == ["recorderd.toml"]
    assert box.run(PROGRAM, check=False) == ""
    assert box.run("id -un recorderd").strip() == "recorderd"
    assert "nothing was removed" in box.remove(PURGE, "no", check=False)
    assert box.run(SOUND) == calls


def test_purged_it_leaves_nothing_but_the_place_of_the_disk(box):
    box.run(f"umask 077; echo secret > {CREDENTIALS}")
    said = box.remove(PURGE, "erase")
    assert "will be ERASED" in said
    assert box.run(f"findmnt -n -o SOURCE {STORE}").strip() == SECOND_DISK
    assert box.run(f"ls -A {STORE}") == ""
    assert box.run(PROGRAM, check=False) == ""
    assert box.run(f"ls -d /etc/recorderd {CREDENTIALS} 2>/dev/null", check=False) == ""
    assert "no such user" in box.run("id recorderd", check=False)


def test_installed_again_it_starts_from_nothing(box):
    said = timed("install on the machine that was purged", box.install, "third")
    assert "is a sample: it must be edited" in said
    box.configure()
    box.run("systemctl start recorderd", 180)
    box.wait_until_ready()
    assert box.calls() == []
    box.call()
    assert len(box.calls()) == 1
    box.verify_all()
