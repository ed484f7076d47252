"""Will the service take the configuration? A walk runs as root, and what root may read proves nothing."""

from __future__ import annotations

import os
import pwd
import subprocess
from typing import TYPE_CHECKING

from recorderd.config import load
from recorderd.config.files import CLIPS, find
from recorderd.doctor.outcome import Finding, Outcome
from recorderd.errors import ConfigError
from recorderd.media.announcement import load_clip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recorderd.config.values import Config

SERVICE_USER = "recorderd"
"""As systemd/recorderd.sysusers has it."""


def check_config(config: Config) -> Outcome:
    """Load it once more, with its announcements, as the recorder does at its next start; where root
    asks, see too that the service's user may read and write what it needs."""
    findings: list[Finding] = []
    try:
        load(config.path, load_clip)
    except ConfigError as error:
        for problem in error.problems:
            what, _, mend = problem.partition("; ")
            findings.append(Finding("config-wrong", what, mend or "see recorderd check"))
    user = _service_user(config)
    if user is not None:
        findings += _refusals(config, user)
    measured = {"path": str(config.path), "user": None if user is None else user.pw_name}
    return Outcome("config", "", measured, tuple(findings))


def _service_user(config: Config) -> pwd.struct_passwd | None:
    """None: there is no service here, or who asks is not root and cannot try."""
    if os.geteuid() != 0 or config.simulation is not None:
        return None
    try:
        return pwd.getpwnam(SERVICE_USER)
    except KeyError:
        return None


def _refusals(config: Config, user: pwd.struct_passwd) -> Iterator[Finding]:
    for path in _read_by_service(config):
        if not may(user, "-r", path):
            yield Finding(
                "config-unreadable",
                f"the service's user {user.pw_name} may not read {path}, and will not start",
                f"chown root:{user.pw_name} {path} && chmod 640 {path}; each folder above it must let "
                "others through (chmod o+x)",
            )
    directory = config.storage.directory
    if directory.is_dir() and not may(user, "-w", directory):
        yield Finding(
            "disk-unwritable",
            f"the service's user {user.pw_name} may not write in {directory}",
            f"chown {user.pw_name}: {directory} && chmod 700 {directory}",
        )


def _read_by_service(config: Config) -> list[Path]:
    """The configuration, and the files that it names."""
    found = [config.path]
    for line in config.lines:
        if line.announcement is not None:
            for name in (line.announcement.inbound, line.announcement.outbound):
                clip = find(name, config.path.absolute().parent, CLIPS) if name else None
                found += [] if clip is None else [clip]
    if config.archive is not None:
        named = (config.archive.credentials, config.archive.ca_file)
        found += [path for path in named if path is not None]
    return list(dict.fromkeys(found))


def may(user: pwd.struct_passwd, right: str, path: Path) -> bool:
    """Whether a user has the right `-r` or `-w` to a file, asked of the kernel as that user."""
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    is_root = os.geteuid() == 0
    done = subprocess.run(  # noqa: S603  (a fixed program, and a path that is no option after -r)
        ["/usr/bin/test", right, str(path.absolute())],
        check=False,
        user=user.pw_uid if is_root else None,
        group=user.pw_gid if is_root else None,
        extra_groups=groups if is_root else None,
    )
    return done.returncode == 0
