"""The machine that the recorder stands on: what it tells of its disk and its supply."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from recorderd.disk import files
from recorderd.doctor.boxcheck import DiskSeen
from recorderd.units import MB

if TYPE_CHECKING:
    from recorderd.ports import Clock
    from recorderd.units import ClockReading

TRIES = 8
BULK_BYTES = 4_000_000
"""A segment of some minutes: enough for a card's own cache to be seen through, and written in a second."""

FIRMWARE = Path("devices/platform/soc/soc:firmware/get_throttled")
VCGENCMD_S = 5.0
MODEL = Path("/proc/device-tree/model")

WORN_OUT = "0x0b"
"""Of eMMC: the estimated life is used up (JEDEC JESD84-B51, DEVICE_LIFE_TIME_EST)."""
PRE_EOL_URGENT = "0x03"


class RealBox:
    """The machine that this runs on; `sys` is where its kernel tells of its devices."""

    def __init__(self, clock: Clock, sys: Path = Path("/sys")) -> None:
        self._clock = clock
        self._sys = sys

    def clock(self) -> ClockReading:
        return self._clock.reading()

    def disk(self, directory: Path, block_bytes: int) -> DiskSeen:
        probe = directory / ".doctor-probe"
        try:
            sync_s = [_timed(probe, os.urandom(block_bytes)) for _ in range(TRIES)]
            bulk_s = _timed(probe, os.urandom(BULK_BYTES))
        finally:
            for left in (probe, files.part_path(probe)):  # the latter where Ctrl-C came in between
                files.discard(left)
        with files.guarded(directory):
            free_mb = shutil.disk_usage(directory).free // MB
        worn, is_failing = self._wear(directory)
        return DiskSeen(
            sync_s=sync_s,
            write_kb_s=BULK_BYTES / 1000 / max(bulk_s, 1e-6),
            free_mb=free_mb,
            errors=self._errors(directory),
            worn_share=worn,
            is_failing=is_failing,
            model=self._disk_model(directory),
        )

    def throttled(self) -> int | None:
        """From the firmware's file, else from vcgencmd, which needs /dev/vcio."""
        with suppress(OSError, ValueError):
            return int((self._sys / FIRMWARE).read_text("ascii").strip(), 16)
        command = shutil.which("vcgencmd")
        if command is None:
            return None
        with suppress(OSError, ValueError, subprocess.SubprocessError):
            said = subprocess.run(  # noqa: S603  (the system's own program, no argument from outside)
                [command, "get_throttled"],
                capture_output=True,
                text=True,
                timeout=VCGENCMD_S,
                check=True,
            )
            return int(said.stdout.strip().rpartition("=")[2], 16)
        return None

    def model(self) -> str:
        with suppress(OSError):
            return MODEL.read_text("ascii", "replace").rstrip("\0")
        return f"{os.uname().machine}, Linux {os.uname().release}"

    def _device(self, directory: Path) -> Path:
        """The block device under a directory, as the kernel shows it: .../mmcblk0/mmcblk0p2."""
        number = directory.stat().st_dev
        return (self._sys / f"dev/block/{os.major(number)}:{os.minor(number)}").resolve()

    def _errors(self, directory: Path) -> int | None:
        with suppress(OSError, ValueError):
            name = self._device(directory).name
            return int((self._sys / "fs/ext4" / name / "errors_count").read_text("ascii"))
        return None

    def _wear(self, directory: Path) -> tuple[float | None, bool]:
        """The share of its life that an eMMC has lived, and whether it says that this is the end."""
        text = self._told(directory, "life_time")
        estimates = [int(each, 16) for each in text.split()] if text else []
        worn = max(estimates, default=0) / 10 if estimates else None
        urgent = self._told(directory, "pre_eol_info") == PRE_EOL_URGENT
        return worn, urgent or (text is not None and WORN_OUT in text.lower())

    def _disk_model(self, directory: Path) -> str | None:
        return self._told(directory, "name") or self._told(directory, "model")

    def _told(self, directory: Path, name: str) -> str | None:
        with suppress(OSError):
            device = self._device(directory)
            for place in (device, device.parent):
                if (place / "device" / name).is_file():
                    return (place / "device" / name).read_text("ascii", "replace").strip()
        return None


def _timed(path: Path, data: bytes) -> float:
    before = time.monotonic()
    files.write_durable(path, data)
    return time.monotonic() - before


class SimulatedBox:
    """The box of a simulated office, with the faults that its script plants."""

    def __init__(self, clock: Clock, faults: frozenset[str]) -> None:
        self._clock = clock
        self._faults = faults

    def clock(self) -> ClockReading:
        return self._clock.reading()

    def disk(self, directory: Path, block_bytes: int) -> DiskSeen:  # noqa: ARG002  (nothing is written)
        is_slow = "disk-slow" in self._faults
        return DiskSeen(
            sync_s=[2.1 if is_slow else 0.03] * TRIES,
            write_kb_s=90 if is_slow else 9000,
            free_mb=20 if "disk-full" in self._faults else 20_000,
            errors=3 if "disk-errors" in self._faults else 0,
            model="simulated",
        )

    def throttled(self) -> int:
        return 0x50005 if "power-low" in self._faults else 0

    def model(self) -> str:
        return "a simulated box"
