"""Errors, typed by what the caller should do about them.

Every message names the thing that is wrong and says how to mend it; the command line prints it
as it stands, without a traceback.
"""

from __future__ import annotations


class RecorderdError(Exception):
    """Base of every error that recorderd raises on purpose."""


class ConfigError(RecorderdError):
    """The configuration is wrong: exit 78, no restart helps. `problems` holds one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DeviceError(RecorderdError):
    """A device cannot be used now: report it, go on without it, try again later."""


class ClipError(RecorderdError):
    """An announcement file cannot be played as it is: replace the file."""


class StoreError(RecorderdError):
    """The state directory or a file in it cannot be read or written."""


class LedgerError(RecorderdError):
    """A ledger, or a part of it, is not what recorderd wrote: somebody or something altered it."""


class ArchiveError(RecorderdError):
    """The archive did not take or give something."""


class TryAgainError(ArchiveError):
    """The way to the archive, or the archive itself, fails now: the same may work later."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        """`retry_after_s`: the archive asked for this much patience (RFC 9110, section 10.2.3)."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RefusedError(ArchiveError):
    """The archive will not do this however often it is asked: somebody must mend something."""


class ExistsError(ArchiveError):
    """Something lies there already: compare it, write nothing."""


class UsageError(RecorderdError):
    """The command line asked for something that does not exist: exit 2."""
