"""Does the archive take, keep and give back, and does it refuse to write over what it holds?

One small object is put once and stays: what an archive locks cannot be removed again, and a probe every
night would fill it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.archive.deposit import hash_of
from recorderd.archive.layout import doctor_key
from recorderd.archive.target import content_of_bytes
from recorderd.doctor.outcome import Finding, Outcome, Value
from recorderd.errors import ArchiveError, ExistsError, RefusedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorderd.archive.target import Target
    from recorderd.config.values import Archive

PROBE = b"recorderd doctor: this object is put once, and never again.\n"


def check_archive(archive: Archive, site: str, open_target: Callable[[Archive], Target]) -> Outcome:
    """Try it. Whatever it says becomes a finding."""
    measured: dict[str, Value] = {"url": archive.url}
    try:
        target = open_target(archive)
        try:
            findings = _probe(target, archive, doctor_key(site, archive.lock_days), measured)
        finally:
            target.close()
    except RefusedError as error:
        findings = [Finding("archive-refuses", str(error), "mend what it says, and try again")]
    except (ArchiveError, StoreError) as error:
        mend = "check the network, the address in [archive], and that the service runs"
        findings = [Finding("archive-unreachable", str(error), mend)]
    return Outcome("archive", "", measured, tuple(findings))


def _probe(target: Target, archive: Archive, key: str, measured: dict[str, Value]) -> list[Finding]:
    content = content_of_bytes(PROBE)
    held = target.look(key)
    if held is None:
        target.put(key, content)
        held = target.look(key)
    findings = []
    measured["refuses_overwrite"] = _refuses_overwrite(target, key)
    measured["read_back"] = hash_of(target, key) == content.sha256
    measured["locked_until"] = None if held is None else held.locked_until
    if not measured["refuses_overwrite"]:
        findings.append(
            Finding(
                "archive-overwrites",
                f"{target.name} wrote over an object although it was asked not to (If-None-Match)",
                "use a service, or a version of it, that honours If-None-Match: with this one a call in "
                "the archive can be replaced",
            )
        )
    if not measured["read_back"]:
        findings.append(
            Finding(
                "archive-differs",
                f"{target.name} gave back other bytes than were put there ({key})",
                "do not trust it: find out who writes there, and run recorderd verify --archive --all",
            )
        )
    if archive.lock_days and measured["locked_until"] is None:
        findings.append(
            Finding(
                "archive-unlocked",
                f"{target.name} did not lock an object, and archive.lock_days asks for it",
                "make the bucket anew with object lock switched on",
            )
        )
    return findings


def _refuses_overwrite(target: Target, key: str) -> bool:
    try:
        target.put(key, content_of_bytes(PROBE))
    except ExistsError:
        return True
    return False
