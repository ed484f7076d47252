"""A disk that refuses a call, or every call from one on, at every place of the recorder's life.

    python -m tests.faults.disk_errors [--every K] [--seed N] [--error EIO|ENOSPC] [--on once|ever]
        [--sealed]

`--every K` takes one in K of all cases, in an order that the seed picks. `--sealed` lets the recorder
seal its calls; what is left is opened with the supervisor's key.

Exit 0 when nothing was broken, 1 when something was.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from recorderd.errors import StoreError
from recorderd.store.journal import FRAME_BYTES
from recorderd.units import NS_PER_S
from tests.faults.life import DAYS, SEALED, live
from tests.faults.survey import (
    Reference,
    call_folders,
    chain_breaches,
    file_hashes,
    ledger_bytes,
    number_of,
    record_of,
    recover_in,
    rows_of,
    sound_of,
    whole_breaches,
)
from tests.faults.traced import DAY, OTHERS, SYSCALLS, config_of, strace, told_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorderd.config.values import Config

ALARM_WITHIN_S = 5.0

NOT_LOGGED = 120
"""Exit code of a Python that could not write its log to the end: that was refused as well."""

TRACE = f"trace={','.join(SYSCALLS)},openat,access,{OTHERS}"

_SOMEWHERE = "at the end"

_LINE = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)(.*)$", re.MULTILINE)
_PATH = re.compile(r'^(?:\d+<([^>]*)>|(?:AT_FDCWD(?:<[^>]*>)?, )?"([^"]*)")')
_SECOND = re.compile(r', (?:AT_FDCWD(?:<[^>]*>)?, )?"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Traced:
    """One call as strace saw it."""

    syscall: str
    path: str
    second: str  # where a rename goes
    arguments: str
    failed: bool
    is_injected: bool

    @property
    def place(self) -> str:
        """Length and offset of what was written, where it is written to a place."""
        words = self.arguments.rsplit(", ", 2)
        return f"{words[1]} at {words[2]}" if self.syscall == "pwrite64" else _SOMEWHERE

    @property
    def creates(self) -> bool:
        return self.syscall == "openat" and "O_CREAT" in self.arguments

    @property
    def syncs(self) -> bool:
        return self.syscall in {"fsync", "fdatasync"}


def traced_calls(folder: Path) -> Iterator[Traced]:
    for match in _LINE.finditer((folder / "trace").read_text("utf-8", "replace")):
        syscall, arguments, result, rest = match.groups()
        path = _PATH.match(arguments)
        second = _SECOND.search(arguments)
        yield Traced(
            syscall,
            (path[1] or path[2]) if path else "",
            second[1] if second else "",
            arguments,
            result == "-1",
            "(INJECTED)" in rest,
        )


def life(folder: Path, seed_of_store: Path, injection: str | None) -> int:
    """A life on top of an older one's store."""
    shutil.copytree(seed_of_store, folder / "recordings")
    options = ["-y", "-s", "4096", "-o", str(folder / "trace"), "-e", TRACE]
    return strace(folder, [*options, *(["-e", injection] if injection else [])])


def points_of(folder: Path, seed_of_store: Path) -> list[tuple[str, int]]:
    """Every call that changes the store: which, and the how manieth of its kind in the process."""
    assert life(folder, seed_of_store, None) == 0, (folder / "stderr").read_text()
    counts: Counter[str] = Counter()
    points = []
    for call in traced_calls(folder):
        counts[call.syscall] += 1
        changes = call.creates if call.syscall == "openat" else call.syscall in SYSCALLS
        if changes and call.path.startswith(str(folder / "recordings")):
            points.append((call.syscall, counts[call.syscall]))
    return points


# ---------------------------------------------------------------- judgement


def is_of_no_weight(call: Traced) -> bool:
    """What may fail in silence: clearing away what nothing refers to, the courtesy of status.json, and
    what libsndfile writes into a file that is decoded and compared before it gets its name."""
    if call.syscall == "write" and call.path.endswith((".plain.part", ".flac.part")):
        return True
    is_clearing = call.syscall in {"unlink", "rmdir"} and (
        call.path.endswith(".part") or call.syscall == "rmdir"
    )
    return is_clearing or "status.json" in call.path or call.path.endswith("-shm")


def alarm_breaches(calls: list[Traced], directory: Path) -> Iterator[str]:
    """Within five seconds of a refusal somebody is told, of the first one at least."""
    now_ns = refused_at_ns = None
    is_told = False
    for call in calls:
        if call.path.startswith("/told/now "):
            now_ns = int(call.path.removeprefix("/told/now "))
        is_alarm = call.path.startswith("/told/alarm ") and refused_at_ns is not None
        is_told |= is_alarm or call.path.startswith("/told/failed ")
        in_store = call.path.startswith(str(directory))
        if call.is_injected and in_store and not is_of_no_weight(call):
            refused_at_ns = refused_at_ns if refused_at_ns is not None else now_ns
        late_ns = 0 if None in {now_ns, refused_at_ns} else now_ns - refused_at_ns
        if late_ns > ALARM_WITHIN_S * NS_PER_S and not is_told:
            yield "nobody was told within five seconds"
            return


def sync_breaches(calls: list[Traced]) -> Iterator[str]:
    """No file is synced again after a sync of it failed; one that takes its name is another file.

    Linux forgets a page that it could not write, so a second sync says nothing of it. SQLite goes on
    with its log all the same, and may: it writes every lost page again, at its place. No call may be
    acknowledged before it has.
    """
    unsynced: dict[str, set[str]] = {}  # by path: the places that were written
    lost: dict[str, set[str]] = {}
    for call in calls:
        if call.syncs and call.failed and not Path(call.path).is_dir():
            lost.setdefault(call.path, set()).update(unsynced.pop(call.path, {_SOMEWHERE}))
        elif (
            call.failed and call.syscall != "access"
        ):  # nothing is ever at the places of told words
            continue
        elif call.syncs:
            if _SOMEWHERE in lost.get(call.path, ()):
                yield f"{Path(call.path).name} was synced again after a failed sync"
                return
            unsynced.pop(call.path, None)
        elif call.path.startswith("/told/filed ") and any(
            places - {_SOMEWHERE} for places in lost.values()
        ):
            yield "a call was acknowledged while pages were lost"
            return
        elif call.syscall in {"write", "pwrite64"}:
            unsynced.setdefault(call.path, set()).add(call.place)
            if call.place != _SOMEWHERE:
                lost.get(call.path, set()).discard(call.place)
        elif call.syscall == "unlink" or (call.creates and "O_EXCL" in call.arguments):
            unsynced.pop(call.path, None)
            lost.pop(call.path, None)
        elif call.syscall == "rename":
            for places in (unsynced, lost):
                places.pop(call.second, None)
                if call.path in places:
                    places[call.second] = places.pop(call.path)


def sound_breaches(folder: Path, reference: Reference) -> Iterator[str]:
    """Outside its gaps a call's sound is what was said; inside them it is silence."""
    record = record_of(folder)
    try:
        sound = bytearray(sound_of(folder, record))
    except StoreError as error:
        yield f"{folder.name}: {error}"
        return
    number = number_of(folder.name)
    said = bytearray(reference.said_from(number, record["line"]))
    missing = len(reference.calls[number].sound) - len(sound)
    if not record["cut"] and record["audio"] and missing:
        yield f"{folder.name}: {missing} bytes are missing"
    for gap in record["gaps"]:
        first, end = gap["first_frame"], gap["first_frame"] + gap["frames"]
        silence = bytes(gap["frames"] * FRAME_BYTES)
        said[first * FRAME_BYTES : end * FRAME_BYTES] = silence[
            : max(0, len(said) - first * FRAME_BYTES)
        ]
    if not said.startswith(sound):
        yield f"{folder.name}: its sound is not what was said"


@dataclass(frozen=True, slots=True)
class Store:
    """What was there before the life that had the trouble."""

    directory: Path
    hashes: dict[str, str]
    ledger: dict[str, bytes]

    @classmethod
    def at(cls, directory: Path) -> Store:
        kept = {
            name: digest
            for name, digest in file_hashes(directory).items()
            if name.startswith(("calls/", "keys/"))
        }
        return cls(directory, kept, ledger_bytes(directory))

    def breaches(self, directory: Path) -> Iterator[str]:
        """No older byte was changed."""
        now = file_hashes(directory)
        for name, digest in self.hashes.items():
            if now.get(name) != digest:
                yield f"{name} was changed"
        for name, content in self.ledger.items():
            if not (directory / "ledger/recorder" / name).read_bytes().startswith(content):
                yield f"ledger file {name} was changed"


def judge(config: Config, folder: Path, code: int, store: Store, reference: Reference) -> list[str]:
    directory, told = folder / "recordings", told_in(folder)
    calls = list(traced_calls(folder))
    found = [*store.breaches(directory), *sync_breaches(calls)]
    is_refused_at_start = "ready" not in told.said
    if is_refused_at_start and code == 0:
        found.append("it never was ready, and did not say so")
    if not is_refused_at_start:
        found += alarm_breaches(calls, directory)
        if code not in {0, NOT_LOGGED} or "stopped" not in told.said:
            found.append(f"the process did not go on: {(folder / 'stderr').read_text()[-300:]}")
    for folder_of_call in call_folders(directory):
        found += whole_breaches(folder_of_call)
    found += [f"recovery: {problem}" for problem in recover_in(config, directory)]
    found += store.breaches(directory)
    folders = {path.name: path for path in call_folders(directory)}
    for path in folders.values():
        found += [*whole_breaches(path), *sound_breaches(path, reference)]
    found += chain_breaches(directory, set(folders))
    if rows_of(directory) != folders:
        found.append("the catalogue does not say what the folders say")
    if not is_refused_at_start and not told.failures and "call-01" not in folders:
        found.append("the call is not there, and nobody was told")
    if not told.filed <= set(folders):
        found.append("a call that was acknowledged is gone")
    return found


def main() -> int:
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--error", choices=("EIO", "ENOSPC"))
    parser.add_argument("--on", choices=("once", "ever"))
    parser.add_argument("--sealed", action="store_true")
    options = parser.parse_args()
    if options.sealed:
        os.environ[SEALED] = "1"
    began, broken = time.monotonic(), []
    refused: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="errors-") as name:
        root = Path(name)
        (root / "older").mkdir()
        config = config_of(root / "older")
        heard = root / "heard"
        live(config, DAYS[DAY].ends_s, lambda text: None, "older", heard)
        store = Store.at(root / "older" / "recordings")
        reference = Reference.of(store.directory, heard.read_bytes())
        (root / "counted").mkdir()
        cases = [
            (syscall, number, error, on)
            for syscall, number in points_of(root / "counted", store.directory)
            for error in ("EIO", "ENOSPC")
            for on in ("once", "ever")
            if options.error in {None, error} and options.on in {None, on}
            if (syscall, on) != ("openat", "ever")  # which would refuse reading, too
        ]
        Random(options.seed).shuffle(cases)
        for syscall, number, error, on in cases[:: options.every]:
            with tempfile.TemporaryDirectory(dir=root) as place:
                folder = Path(place)
                when = f"{number}+" if on == "ever" else number
                code = life(folder, store.directory, f"inject={syscall}:error={error}:when={when}")
                breaches = judge(config_of(folder), folder, code, store, reference)
                hit = next((call for call in traced_calls(folder) if call.is_injected), None)
            refused[on] += hit is not None
            if breaches:
                where = hit.path.rpartition("recordings/")[2] if hit else "nowhere"
                broken.append(f"{syscall} {number} {error} {on} ({where}): {'; '.join(breaches)}")
    for line in broken[:20]:
        print(line)
    print(
        f"{refused['once']} calls refused once, {refused['ever']} and all after them, of {len(cases)} "
        f"cases every {options.every}, in {time.monotonic() - began:.0f} s; "
        f"{len(broken)} broke a promise"
    )
    return 1 if broken or not refused else 0


if __name__ == "__main__":
    sys.exit(main())
