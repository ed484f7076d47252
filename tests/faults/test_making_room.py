"""A disk of 16 MB that is full: what may go goes, what may not stays, and people are told."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from recorderd.core.boxtime import DAY_NS, HOUR_NS
from recorderd.recording.keeper import MB, RESERVE
from recorderd.runtime.status import Status
from tests.faults.test_disk_errors import DISK_MB, fill
from tests.recording.test_keeper import MINUTE_NS, Box
from tests.store.shelf import ARCHIVE, confirm, is_erased, is_whole

pytestmark = pytest.mark.faults

SOUND = bytes(100_000)  # two segments of it a call
CALLS = 40


@pytest.fixture
def box(tmp_path):
    mount = tmp_path / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", mount], check=True)
    found = Box(mount)
    found.rules = found.keeper.rules = replace(found.rules, free_min_bytes=6 * MB)
    yield found
    found.stop()
    subprocess.run(["umount", mount], check=True)


def test_a_disk_filled_to_the_last_byte_is_no_reason_to_keep_what_has_expired(box):
    folders = [box.call(f"call-{number:02d}", sound=SOUND) for number in range(CALLS)]
    box.hold("call-00")
    box.run(30 * DAY_NS - HOUR_NS, 6 * HOUR_NS)
    assert (box.directory / RESERVE).exists()
    fill(box.directory / "filler")
    box.run(30 * MINUTE_NS)
    assert box.alarms()["disk"].startswith("0 MB free, below free_min_mb = 6; nothing more may be")
    assert all(is_whole(folder) for folder in folders)
    box.run(HOUR_NS)
    assert is_whole(folders[0])
    assert all(is_erased(folder) for folder in folders[1:])
    assert box.alarms() == {}
    assert os.statvfs(box.directory).f_bavail * 4096 > 7 * MB


def test_the_status_tells_of_a_full_disk_on_the_full_disk(box):
    path = box.directory / "status.json"
    status = Status(path, ZoneInfo("UTC"), {})
    status.write(box.reading())
    fill(box.directory / "filler")
    box.run(2 * MINUTE_NS)
    for post in box.posts:
        status.take(post)
    status.write(box.reading())
    alarms = json.loads(path.read_text("utf-8"))["alarms"]
    assert any(alarm.startswith("disk: 0 MB free, below free_min_mb = 6; ") for alarm in alarms)


def test_room_is_made_of_what_the_archive_has_and_of_nothing_else(box):
    box.rules = box.keeper.rules = replace(box.rules, archive=ARCHIVE)
    folders = []
    for number in range(CALLS):
        folders.append(box.call(f"call-{number:02d}", sound=SOUND))
        box.run(MINUTE_NS)
        if number % 2:
            confirm(folders[-1])
    box.hold("call-01")
    with (box.directory / "filler").open("wb") as file:
        file.write(bytes(4 * MB))
    box.run(20 * MINUTE_NS)
    gone = [number for number, folder in enumerate(folders) if not list(folder.glob("*.flac"))]
    assert gone == list(range(3, 3 + 2 * len(gone), 2))
    assert 0 < len(gone) < CALLS // 2 - 1
    assert all((folder / "call.json").exists() for folder in folders)
    assert 6 * MB <= os.statvfs(box.directory).f_bavail * 4096 < 6 * MB + 2 * len(SOUND) + 65_536
    assert box.alarms() == {}
