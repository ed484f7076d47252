"""Can the state directory be written, and fast enough?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.daemon import prepare_directory
from recorderd.doctor import boxcheck
from recorderd.doctor.outcome import Finding, Outcome
from recorderd.errors import StoreError

if TYPE_CHECKING:
    from recorderd.config.values import Config
    from recorderd.doctor.ports import Box


def check_disk(config: Config, box: Box) -> Outcome:
    """Speed, space and health of the disk that holds it."""
    rate_hz = sum(line.audio.record_rate_hz for line in config.lines)
    block_bytes = rate_hz * boxcheck.CHANNELS * boxcheck.SAMPLE_BYTES
    try:
        prepare_directory(config.storage)
        found = boxcheck.judge_disk(config, box.disk(config.storage.directory, block_bytes))
        if any(finding.code == "disk-slow" for finding in found.findings):
            # Somebody else may have written much just then.
            found = boxcheck.judge_disk(config, box.disk(config.storage.directory, block_bytes))
    except StoreError as error:
        what, _, mend = str(error).partition("; ")
        return Outcome("disk", "", {}, (Finding("disk-unwritable", what, mend or "see above"),))
    return found
