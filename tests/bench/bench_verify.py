"""`recorderd verify` of whole stores, beside `sha256sum` over the same files in the same run.

    python -m tests.bench.bench_verify [--megabytes 1000] [--calls 20000] [--directory DIR]

The first store is of calls of three minutes: what counts is the reading. The second has calls without
sound: what counts is the ledger, and that the memory stays the same. Files are dropped from the cache
before the cold runs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from zoneinfo import ZoneInfo

from recorderd.disk import files
from recorderd.store.ledger import Ledger
from recorderd.store.records import write_record
from recorderd.store.signing import load_device_key
from tests.store.calls import READING, SITE, a_record

SEGMENT_BYTES = 1_220_000  # a minute of two channels at 8 kHz, as FLAC makes it of a telephone line
SEGMENT_FRAMES = 60 * 8000
SEGMENTS = 3

CHILD = """
import resource, sys, time
from pathlib import Path
from zoneinfo import ZoneInfo
from recorderd.evidence.storecheck import verify_store
began = time.perf_counter()
found = verify_store(Path(sys.argv[1]))
assert found.is_proven, found
took = time.perf_counter() - began
print(found.bytes_read, took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def make_store(directory, calls, segments):
    """A store that is whole by its ledger; what is in a segment does not matter to its hash."""
    ledger = Ledger(directory, "recorder", SITE.name, load_device_key(directory), lambda: READING)
    noise = random.Random(1).randbytes(SEGMENT_BYTES)
    template = a_record().as_json(ZoneInfo(SITE.time_zone))
    ledger.sync = lambda: None if len(ledger._unsynced) < 4000 else Ledger.sync(ledger)
    files_sync = files.fsync_directory, os.fsync
    files.fsync_directory = os.fsync = lambda *_: None  # it is not to be kept
    try:
        for number in range(calls):
            call_id = f"{number:016x}"
            folder = directory / "calls/2026/11/23" / call_id
            folder.mkdir(parents=True)
            ledger.append("call-opened", call=call_id, line="front")
            record = {**template, "id": call_id, "segments": [], "audio": None}
            for index in range(segments):
                data = index.to_bytes(8, "big") + number.to_bytes(8, "big") + noise
                (folder / f"{index:03d}.flac").write_bytes(data)
                place = {"first_frame": index * SEGMENT_FRAMES, "frames": SEGMENT_FRAMES}
                sealed = {**place, "audio_sha256": "0" * 64}
                ledger.append("segment-sealed", call=call_id, segment=index, **sealed)
                digest = hashlib.sha256(data).hexdigest()
                record["segments"].append({"file": f"{index:03d}.flac", **sealed, "sha256": digest})
            frames = segments * SEGMENT_FRAMES
            if segments:
                record["audio"] = {"sample_rate_hz": 8000, "frames": frames, "pre_roll_frames": 0}
            sha256 = write_record(folder, record)
            ledger.append(
                "call-closed", call=call_id, segments=segments, frames=frames, record_sha256=sha256
            )
            ledger.sign()
        Ledger.sync(ledger)
    finally:
        files.fsync_directory, os.fsync = files_sync
        ledger.close()


def cool(directory):
    """Drop the store's files from the page cache."""
    os.sync()
    for path in directory.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def verify_once(directory):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, directory], capture_output=True, text=True, check=True
    )
    size, seconds, memory_kb = done.stdout.split()
    return int(size), float(seconds), int(memory_kb) / 1024


def sha256sum_once(directory):
    began = time.perf_counter()
    command = "find calls -type f -print0 | xargs -0 sha256sum >/dev/null"
    subprocess.run(["/bin/sh", "-c", command], cwd=directory, check=True)
    return time.perf_counter() - began


def reading(directory, megabytes):
    calls = max(1, megabytes * 1_000_000 // (SEGMENTS * SEGMENT_BYTES))
    make_store(directory, calls, SEGMENTS)
    print(f"{calls} calls, {calls * SEGMENTS} segments")
    for name, prepare in (("cold", cool), ("warm", lambda _: None)):
        prepare(directory)
        size, seconds, memory_mb = verify_once(directory)
        prepare(directory)
        peer = sha256sum_once(directory)
        print(
            f"{name:6} verify {size / seconds / 1e6:6.0f} MB/s, {memory_mb:.0f} MB of memory;   "
            f"sha256sum {size / peer / 1e6:6.0f} MB/s"
        )


def ledger_alone(top, calls):
    for count in (calls // 4, calls):
        directory = Path(tempfile.mkdtemp(dir=top))
        make_store(directory, count, 0)
        _, seconds, memory_mb = verify_once(directory)
        print(f"{count:7} calls without sound: {seconds:6.1f} s, {memory_mb:.0f} MB of memory")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        (Path(folder) / "store").mkdir()
        reading(Path(folder) / "store", options.megabytes)
        ledger_alone(folder, options.calls)


if __name__ == "__main__":
    main()
