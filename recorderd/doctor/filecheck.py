"""Does sound become a file that reads back the same, and is what was recorded before still proven?"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from recorderd.disk import files
from recorderd.doctor.outcome import Finding, Outcome, skipped
from recorderd.dsp.spectrum import RATE_HZ
from recorderd.errors import RecorderdError, StoreError
from recorderd.evidence.storecheck import verify_call
from recorderd.media.codec import encode_segment, verify_segment
from recorderd.store.catalogue import NAME, open_catalogue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from recorderd.config.values import Config

SAMPLE = 3  # calls: a night's look costs seconds, and a whole store is `recorderd verify --all`


def check_file(config: Config, sound: NDArray[np.int16]) -> Outcome:
    """File the test call as the recorder would, read it back, compare, and remove it."""
    storage = config.storage
    if config.seal is not None:
        why = "calls are sealed here, and no sound goes to the disk in plain"
        return skipped("file", "", why)
    path = storage.directory / f".doctor-call.{storage.format}"
    block = sound.tobytes()
    before = time.monotonic()
    try:
        encode_segment(path, [block], RATE_HZ, storage.format)
        files.sync_file(path)
        is_same = verify_segment(path, [block])
        size = path.stat().st_size
    except StoreError as error:
        what, _, mend = str(error).partition("; ")
        return Outcome("file", "", {}, (Finding("file-failed", what, mend or "see above"),))
    finally:
        files.discard(path)
    measured = {
        "seconds": round(len(sound) / RATE_HZ, 1),
        "bytes": size,
        "took_s": round(time.monotonic() - before, 2),
    }
    if is_same:
        return Outcome("file", "", measured)
    finding = Finding(
        "file-differs",
        "what was read back from the disk is not what was written",
        "replace the card or disk: it alters what is on it",
    )
    return Outcome("file", "", measured, (finding,))


def check_sample(config: Config) -> Outcome:
    """Whether the last calls are still what was recorded."""
    directory = config.storage.directory
    if not (directory / NAME).is_file():
        return skipped("verify", "", "nothing has been recorded yet")
    try:
        with closing(open_catalogue(directory / NAME, read_only=True)) as catalogue:
            entries = catalogue.find(limit=SAMPLE)
        judgements = [verify_call(directory, entry.folder, None) for entry in entries]
    except RecorderdError as error:
        finding = Finding("verify-failed", str(error), "see recorderd verify --all")
        return Outcome("verify", "", {}, (finding,))
    # What is merely not signed yet (a call that has just ended) is nothing to wake anybody for.
    wrong = [
        (each.what, problem)
        for each in judgements
        for problem in (*each.altered.problems, *each.missing.problems)
    ]
    measured = {"calls": len(judgements), "wrong": len({call for call, _ in wrong})}
    mend = "see recorderd verify --all, and keep the card or disk as it is"
    findings = tuple(Finding("call-altered", problem, mend) for _, problem in wrong[:SAMPLE])
    return Outcome("verify", "", measured, findings)
