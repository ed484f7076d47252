"""`upload.json`: how the uploader is doing, for `recorderd status`; and the heartbeat for the fleet.

Like status.json it is a courtesy and no record: it is replaced whole, without a sync.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from recorderd import __version__
from recorderd.core.chain import utc
from recorderd.disk import files
from recorderd.errors import StoreError
from recorderd.runtime.statusfile import UPLOAD, recorder_status
from recorderd.units import iso

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recorderd.core.chain import Head
    from recorderd.units import ClockReading, WallNs
    from recorderd.upload.queue import State

log = logging.getLogger(__name__)

HEARTBEAT_FORM = 1
HEARTBEAT_EVERY_S = 900

TROUBLE_IS_ALARM_S = 900
"""Lines fail for minutes every night; what lasts longer, somebody should know."""


@dataclass(slots=True)
class Report:
    """What is known of the uploader at one moment."""

    archive: str
    doing: str  # "uploading", "nothing to upload", "waiting …"
    queue: State
    uploaded: int = 0  # calls, since the start
    last_upload_at: WallNs | None = None
    trouble: str | None = None
    trouble_since: WallNs | None = None
    is_refused: bool = False  # somebody must mend it
    ledger: str | None = None  # what is wrong with the ledger in the archive
    stamps: str | None = None  # … with the time stamps

    def alarms(self, now: WallNs) -> list[str]:
        """Everything that a person should know, one sentence each."""
        found = []
        if self.trouble is not None and self.trouble_since is not None:
            lasts_s = (now - self.trouble_since) / 1e9
            if self.is_refused or lasts_s >= TROUBLE_IS_ALARM_S:
                since = iso(self.trouble_since, UTC)[:16]
                found.append(f"nothing is uploaded since {since}Z: {self.trouble}")
        if self.queue.parked:
            reasons = "; ".join(dict.fromkeys(self.queue.reasons))
            calls = "1 call" if self.queue.parked == 1 else f"{self.queue.parked} calls"
            found.append(
                f"{calls} cannot be uploaded: {reasons}. When it is mended: recorderd upload --retry"
            )
        return found + [text for text in (self.ledger, self.stamps) if text is not None]

    def as_json(self, now: WallNs) -> dict[str, Any]:
        """The content of upload.json."""
        return {
            "at": utc(now),
            "archive": self.archive,
            "doing": self.doing,
            "waiting": self.queue.waiting,
            "oldest_at": self.queue.oldest_at,
            "parked": self.queue.parked,
            "uploaded": self.uploaded,
            "last_upload_at": None if self.last_upload_at is None else utc(self.last_upload_at),
            "trouble": self.trouble,
            "alarms": self.alarms(now),
        }


def write_report(directory: Path, report: Report, now: WallNs) -> None:
    """Replace upload.json; where that fails, the log says it."""
    path = directory / UPLOAD
    part = path.with_name(f".{UPLOAD}.part")
    try:
        part.write_text(json.dumps(report.as_json(now), ensure_ascii=False), "utf-8")
        files.give_to_owner(part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        log.warning("%s cannot be written: %s", path, error.strerror)


def heartbeat(
    directory: Path, site: str, reading: ClockReading, report: Report, heads: Mapping[str, Head]
) -> bytes:
    """What the archive is told of this box: the recorder's own status, and the uploader's."""
    status = _recorder_status(directory)
    content = {
        "form": HEARTBEAT_FORM,
        "site": site,
        "version": __version__,
        "at": utc(reading.wall),
        "every_s": HEARTBEAT_EVERY_S,
        "config_sha256": status.get("config_sha256"),
        "device_fingerprint": status.get("device_fingerprint"),
        "clock_synchronised": reading.synchronised,
        "recorder_at": status.get("at"),
        "lines": {
            name: {key: line.get(key) for key in ("state", "last_recording_at", "devices")}
            for name, line in status.get("lines", {}).items()
        },
        "queue": {
            "calls": report.queue.waiting,
            "oldest_at": report.queue.oldest_at,
            "parked": report.queue.parked,
        },
        "disk": status.get("disk"),
        "alarms": [*status.get("alarms", []), *report.alarms(reading.wall)],
        "heads": {
            name: {"entries": head.entries, "hash": head.hash} for name, head in heads.items()
        },
    }
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def _recorder_status(directory: Path) -> dict[str, Any]:
    """status.json; an alarm in its place where the recorder keeps none."""
    try:
        return recorder_status(directory)
    except StoreError as error:
        return {"alarms": [str(error)]}
