"""Reading the status files that the processes keep for people: status.json, upload.json, doctor.json."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import sleep, time
from typing import TYPE_CHECKING, Any

from recorderd.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

STATUS = "status.json"
UPLOAD = "upload.json"
DOCTOR = "doctor.json"

RECORDER_STALE_S = 90
"""The recorder writes the file at least every 30 s."""

UPLOADER_STALE_S = 900
"""The uploader writes it before each wait, of five minutes at the most, and while it carries a call."""

DOCTOR_STALE_S = 3 * 86_400
"""Written every night; a box may be off for a weekend."""

READS_MAX = 5


def recorder_status(directory: Path, now: datetime | None = None) -> dict[str, Any]:
    """status.json of a state directory, judged by the recorder's own clock where `now` is it.

    Raises StoreError.
    """
    return _read(directory / STATUS, "the recorder", RECORDER_STALE_S, "recorderd", now)


def clock_by_recorder(directory: Path) -> bool | None:
    """Whether the clock is synchronised, by the word of a recorder that runs; None where there is none."""
    try:
        found = _load(directory / STATUS)
        age_s = (datetime.now(UTC) - datetime.fromisoformat(found["at"])).total_seconds()
        word = bool(found["clock_synchronised"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # One of the future was said before the clock was set back.
    return word if abs(age_s) <= RECORDER_STALE_S else None


def office_clock(path: Path) -> datetime | None:
    """What the clock of a simulated office shows, which has its script's day and not today.

    It goes on from what the status file says as this machine's does; None where there is no file.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        passed = timedelta(seconds=time() - path.stat().st_mtime)
        return datetime.fromisoformat(_load(path)["at"]) + passed
    return None


def upload_status(directory: Path) -> dict[str, Any]:
    """upload.json of a state directory. Raises StoreError."""
    return _read(directory / UPLOAD, "the uploader", UPLOADER_STALE_S, "recorderd-upload")


def doctor_status(directory: Path, now: datetime | None = None) -> dict[str, Any] | None:
    """doctor.json of a state directory; None where nobody ever looked. `now` as above.

    Raises StoreError.
    """
    if not (directory / DOCTOR).exists():
        return None
    unit = "recorderd-doctor.timer"
    return _read(directory / DOCTOR, "the nightly look", DOCTOR_STALE_S, unit, now)


def _read(
    path: Path, who: str, stale_s: int, unit: str, now: datetime | None = None
) -> dict[str, Any]:
    """A status file, with an alarm of its own when `who` has not written it for `stale_s` seconds.

    So has nobody where its time is as far ahead: the clock was set back since. `unit`: of systemd, that
    writes it. Raises StoreError.
    """
    try:
        found = _load(path)
        age_s = ((now or datetime.now(UTC)) - datetime.fromisoformat(found["at"])).total_seconds()
        alarms = list(found["alarms"])
    except FileNotFoundError:
        mend = f"start it: systemctl enable --now {unit}"
        raise StoreError(f"{path}: not there; {who} has not run yet; {mend}") from None
    except PermissionError:
        raise StoreError(f"{path}: this user may not read it; run it as root (sudo)") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: cannot be read ({error})") from None
    if abs(age_s) > stale_s:
        mend = f"see systemctl status {unit}, and start it: systemctl enable --now {unit}"
        alarms.insert(0, f"{who} has not reported since {found['at']}; {mend}")
    return {**found, "alarms": alarms}


def _load(path: Path) -> dict[str, Any]:
    """Read again where it was just being written over."""
    for _ in range(READS_MAX - 1):
        with suppress(ValueError):
            return dict(json.loads(path.read_text("utf-8")))
        sleep(0.05)
    return dict(json.loads(path.read_text("utf-8")))
