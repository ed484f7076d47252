"""The story of the rig, sixth part: recordings on a disk of their own, and a root that is never written."""

from __future__ import annotations

import pytest

from tests.rig.box import EDIT, SECOND_DISK, figure
from tests.rig.machine import GuestError
from tests.rig.page import PAGE, commands, quoted

pytestmark = pytest.mark.rig

STORE = "/var/lib/recorderd"
MOVE = commands("Recordings on a partition of their own")
DROP_IN = f"RequiresMountsFor={STORE}"
ASK_RO = "`ro` for `/` in `/etc/fstab` and `tmpfs` for `/tmp` and `/var/tmp`"
IN_MEMORY = quoted("Storage=")
JOURNAL = quoted("/etc/systemd/journald.conf.d/").rpartition("/")[0]
assert f"sudo {EDIT}" in MOVE
assert DROP_IN in PAGE
assert ASK_RO in PAGE

MOUNT = f"findmnt -n -o SOURCE {STORE}"


def test_recordings_move_to_a_disk_of_their_own(box):
    box.configure()
    before = box.calls()
    for command in MOVE:
        if command == f"sudo {EDIT}":
            box.edit(command, f"[Unit]\n{DROP_IN}\n")
        else:
            box.run(command.replace("/dev/sda1", SECOND_DISK))
    box.wait_until_ready()
    assert box.run(MOUNT).strip() == SECOND_DISK
    assert box.calls() == before


def test_without_its_disk_the_recorder_begins_no_other_store(box):
    box.plug_in_second_disk(is_in=False)
    figure("start without the disk", box.restart_whole())
    assert box.run(MOUNT, check=False) == ""
    assert box.run("systemctl is-active recorderd", check=False).strip() == "inactive"
    assert box.run(f"ls -A {STORE}") == ""
    box.plug_in_second_disk(is_in=True)


@pytest.fixture
def read_only(box):
    """The root as the page has it; afterwards it can be written again until the next start."""
    box.run(
        "sed -i 's|^\\(/dev/vda / ext4 \\)defaults|\\1defaults,ro|' /etc/fstab && "
        "printf 'tmpfs %s tmpfs defaults 0 0\\n' /tmp /var/tmp >> /etc/fstab && "
        f"printf '[Journal]\\n{IN_MEMORY}\\n' > {JOURNAL}/memory.conf"
    )
    figure("start with a read-only root", box.restart_whole())
    yield
    box.run("mount -o remount,rw /")


@pytest.mark.usefixtures("read_only")
def test_it_records_on_a_read_only_root(box):
    assert box.run("findmnt -n -o OPTIONS /").startswith("ro,")
    with pytest.raises(GuestError, match="Read-only file system"):
        box.run("touch /etc/something")
    box.wait_until_ready()
    assert box.run(MOUNT).strip() == SECOND_DISK
    before = len(box.calls())
    box.call()
    calls = box.calls()
    assert len(calls) == before + 1
    assert box.sound_of(calls[-1]) == [440, 1000]
    box.verify_all()
    assert "FACT=RecordingFiled" in box.run("journalctl -q -b -u recorderd -o export")
