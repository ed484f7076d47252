"""The real clocks of this machine."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

from recorderd.runtime.statusfile import clock_by_recorder
from recorderd.units import ClockReading, MonoNs, WallNs

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
_TIMEX_BYTES = 208  # sizeof(struct timex) on 64-bit Linux; smaller on 32-bit
_TIME_ERROR = 5  # adjtimex(2): "the system clock is not synchronized to a reliable server"


class SystemClock:
    """Monotonic and wall time of the kernel; implements ports.Clock."""

    def __init__(self, directory: Path | None = None) -> None:
        """`directory`: the state directory of the recorder that is believed where the kernel may not be
        asked; None: nobody is."""
        self._directory = directory
        self._boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
        self._libc = ctypes.CDLL(None, use_errno=True)

    def now(self) -> MonoNs:
        return MonoNs(time.monotonic_ns())

    def reading(self) -> ClockReading:
        synchronised = self._is_synchronised()
        return ClockReading(
            boot_id=self._boot_id,
            mono=MonoNs(time.monotonic_ns()),
            wall=WallNs(time.time_ns()),
            synchronised=synchronised,
            source=self._source() if synchronised else "none",
        )

    def _is_synchronised(self) -> bool:
        """What the kernel was told by whichever daemon disciplines it (adjtimex, read only).

        Where it may not be asked (the uploader's unit has ProtectClock=), the recorder counts, which may
        ask and has said lately what it heard; else the mark of systemd-timesyncd. Without one nobody
        knows, and that is not synchronised.
        """
        state: int = self._libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        if state >= 0:
            return state < _TIME_ERROR
        told = None if self._directory is None else clock_by_recorder(self._directory)
        return _TIMESYNCD.exists() if told is None else told

    @staticmethod
    def _source() -> str:
        return "timesyncd" if _TIMESYNCD.exists() else "ntp"
