"""The nightly look: what needs nobody, and no device that the recorder may want.

It reads what the processes say of themselves, tries disk and archive, proves the last calls, and leaves
its result in doctor.json, which `recorderd status` shows. The recorder is not disturbed: no device is
opened here, also where it does not run, for it may be just about to start.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from recorderd.disk import files
from recorderd.doctor import boxcheck
from recorderd.doctor.archivecheck import check_archive
from recorderd.doctor.configcheck import check_config
from recorderd.doctor.diskcheck import check_disk
from recorderd.doctor.filecheck import check_sample
from recorderd.doctor.outcome import Finding, Outcome, skipped
from recorderd.doctor.sides import outcome_of_health
from recorderd.dsp.channelhealth import ChannelHealth
from recorderd.dsp.health import LineHealth
from recorderd.errors import StoreError
from recorderd.runtime.statusfile import (
    DOCTOR,
    STATUS,
    office_clock,
    recorder_status,
    upload_status,
)
from recorderd.units import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from recorderd.archive.target import Target
    from recorderd.config.values import Archive, Config, Line
    from recorderd.doctor.ports import Box


def look(config: Config, box: Box, open_target: Callable[[Archive], Target]) -> dict[str, Any]:
    """All checks; the content of doctor.json, which is durable when this returns. Raises StoreError."""
    outcomes = list(_outcomes(config, box, open_target))
    reading = box.clock()
    # What the recorder and the uploader say of themselves, recorderd status shows as it is now.
    alarms = [
        f"{each.where + ': ' if each.where else ''}{finding.code}: {finding.what}; {finding.mend}"
        for each in outcomes
        if each.check not in {"recorder", "upload"}
        for finding in each.findings
    ]
    found = {
        "at": iso(reading.wall, ZoneInfo(config.site.time_zone)),
        "config_sha256": config.sha256,
        "checks": [each.as_json() for each in outcomes],
        "alarms": alarms,
        "notices": _notices(config.storage.directory),
    }
    data = json.dumps(found, ensure_ascii=False, indent=1).encode()
    files.write_durable(config.storage.directory / DOCTOR, data)
    return found


def _outcomes(
    config: Config, box: Box, open_target: Callable[[Archive], Target]
) -> Iterator[Outcome]:
    yield boxcheck.judge_clock(box.clock(), ZoneInfo(config.site.time_zone), is_right=None)
    yield boxcheck.judge_power(box.throttled())
    yield check_config(config)
    yield _disk(config, box)
    yield from _recorder(config)
    yield check_sample(config)
    if config.archive is not None:
        yield check_archive(config.archive, config.site.name, open_target)
        yield _uploader(config.storage.directory)


def _status(config: Config) -> dict[str, Any]:
    """The recorder's, by its own clock. Raises StoreError."""
    now = None if config.simulation is None else office_clock(config.storage.directory / STATUS)
    return recorder_status(config.storage.directory, now)


def _running(config: Config) -> dict[str, Any] | None:
    """The status of a recorder that runs."""
    with suppress(StoreError):
        status = _status(config)
        return None if _stale(status) else status
    return None


def _disk(config: Config, box: Box) -> Outcome:
    status = _running(config)
    if status is None:
        return check_disk(config, box)
    if any(line.get("state", "idle") != "idle" for line in status["lines"].values()):
        # Its sound is synced every second, and waits for whatever else is being synced.
        return skipped("disk", "", "a call is being recorded, and the disk is its alone")
    found = check_disk(config, box)
    # It makes room itself, minute by minute, and tells where it cannot: this would be told for a day.
    findings = tuple(each for each in found.findings if each.code != "disk-full")
    return replace(found, findings=findings)


def _stale(status: dict[str, Any]) -> list[str]:
    """The alarm that nobody writes the status any more, where that is so."""
    alarms = [str(each) for each in status["alarms"]]
    return [each for each in alarms if each.startswith("the recorder has not reported")]


def _recorder(config: Config) -> Iterator[Outcome]:
    """What the recorder says of itself, and of each line."""
    try:
        status = _status(config)
    except StoreError as error:
        yield Outcome("recorder", "", {}, (_stopped(str(error)),))
        return
    alarms = [str(each) for each in status["alarms"]]
    if stale := _stale(status):
        yield Outcome("recorder", "", {"alarms": len(alarms)}, (_stopped(stale[0]),))
        return
    mend = "see recorderd status, and run recorderd doctor with somebody at the telephone"
    findings = tuple(Finding("recorder-alarm", each, mend) for each in alarms)
    yield Outcome("recorder", "", {"alarms": len(alarms)}, findings)
    before = _last_notices(config.storage.directory)
    for line in config.lines:
        told = status["lines"].get(line.name)
        if told is not None:
            yield from _line(line, told, before.get(line.name, {}))


def _stopped(what: str) -> Finding:
    return Finding("recorder-stopped", what, "start it: systemctl enable --now recorderd")


def _line(line: Line, told: dict[str, Any], before: dict[str, int]) -> Iterator[Outcome]:
    """A line's announcements since the last look, and its sound, where the recorder tells them."""
    notices = told.get("notices")
    if notices and line.announcement is not None:
        # The recorder counts from its start: less than before means that it began anew.
        is_new_count = any(notices.get(key, 0) < count for key, count in before.items())
        since = {
            key: count - (0 if is_new_count else before.get(key, 0))
            for key, count in notices.items()
        }
        yield _announced(line.name, since)
    if told.get("sound"):
        yield outcome_of_health(line.name, _health(told["sound"]))


def _announced(line: str, since: dict[str, int]) -> Outcome:
    missed = since.get("not-heard", 0)
    partly = since.get("partly", 0)
    findings = []
    if missed:
        findings.append(
            Finding(
                "clip-silent",
                f"{missed} announcements were played and not heard on the line",
                "check the cable from the card's output to the line interface, and its level",
            )
        )
    elif partly:
        findings.append(
            Finding(
                "clip-partly",
                f"{partly} announcements were heard only in part",
                "raise line.announcement.delay_ms, and check the output's level",
            )
        )
    measured = {key.replace("-", "_"): count for key, count in since.items()}
    return Outcome("announcement", line, {**measured}, tuple(findings))


def _health(told: dict[str, Any]) -> LineHealth:
    sides = {name: ChannelHealth(**told[name]) for name in ("near", "far")}
    return LineHealth(**{**told, **sides})


def _uploader(directory: Path) -> Outcome:
    mend = "see recorderd status, and start it: systemctl start recorderd-upload"
    try:
        told = upload_status(directory)
    except StoreError as error:
        return Outcome("upload", "", {}, (Finding("upload-stopped", str(error), mend),))
    findings = tuple(Finding("upload-alarm", str(each), mend) for each in told["alarms"])
    return Outcome("upload", "", {"waiting": told["waiting"]}, findings)


def _notices(directory: Path) -> dict[str, dict[str, int]]:
    """How many announcements of each line the recorder has counted, for the next look."""
    try:
        lines = recorder_status(directory)["lines"]
    except StoreError:
        return {}
    return {name: line["notices"] for name, line in lines.items() if line.get("notices")}


def _last_notices(directory: Path) -> dict[str, dict[str, int]]:
    try:
        return dict(json.loads((directory / DOCTOR).read_text("utf-8"))["notices"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
