"""Alter bundles and stores ten thousand times; `verify` has to find every one, and no clean one.

    python -m tests.faults.mutate --count 10000 --clean 1000 --seed 1

The verifier knows the fingerprint of the device's key; of a store it has the checkpoints as well that
were kept elsewhere ("store alone": it has not, and nothing that a cut end would bring about is tried). How things are altered, and by whom, is in alterations.py. Each alteration is drawn from
a generator of its own, seeded by `seed` and its number, and is shown when it is not found.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from collections import Counter
from contextlib import contextmanager

from recorderd.core import chain
from recorderd.errors import RecorderdError
from recorderd.evidence.bundlecheck import verify_bundle
from recorderd.evidence.storecheck import verify_store
from recorderd.evidence.zipform import write_zip
from recorderd.store.ledger import Ledger
from recorderd.store.signing import DeviceKey
from tests.evidence.stores import Store, files_of, short_files
from tests.faults.alterations import CLASSES, Thing, UselessError, mutate
from tests.store.calls import KEY, OFFICES, SITE, a_record, in_memory

STORE_PARTS = ("calls", "ledger", "keys/device.pem")
BYTE_CLASSES = ("flip", "cut", "zero")
NEWER_KEY = DeviceKey.generate()


# ---------------------------------------------------------------- what is attacked


class Target:
    """A thing on the disk that is altered, judged, and put right again."""

    kinds = tuple(CLASSES)

    def __init__(self, root, thing):
        self.root = root
        self.thing = thing

    def judge(self):
        return verify_bundle(self.root, KEY.fingerprint)

    def is_found(self, changes):
        """Whether the alteration is found; anything but a judgement or an error of ours gets out."""
        self._apply(changes)
        try:
            return not self.judge().is_proven
        except RecorderdError:
            return True
        finally:
            self._revert(changes)

    def _apply(self, changes):
        for name in [name for name, data in changes.items() if data is None]:
            (self.root / name).unlink()
        self._tidy(changes)
        for name, data in changes.items():
            if data is not None:
                path = self.root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    def _revert(self, changes):
        for name, data in changes.items():
            if data is not None:
                (self.root / name).unlink()
        self._tidy(changes)
        for name in changes.keys() & self.thing.files.keys():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.thing.files[name])

    def _tidy(self, changes):
        """Folders that are empty now go with their last file."""
        for name in sorted(changes, key=len, reverse=True):
            folder = (self.root / name).parent
            while folder != self.root and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
                folder = folder.parent


class StoreTarget(Target):
    """A whole state directory, with the checkpoints that were kept elsewhere."""

    def __init__(self, root, older, name="store", fingerprint=KEY.fingerprint):
        super().__init__(root, Thing(name, store_files(root), older))
        self.fingerprint = fingerprint
        self.notes = []
        found = self.judge()
        assert found.is_proven, found
        self.notes = [chain.parse_note(text) for text in found.checkpoints.values()]

    def judge(self):
        return verify_store(self.root, self.fingerprint, self.notes, wait=lambda _s: None)


class LoneStoreTarget(StoreTarget):
    """A state directory alone: nobody can know then that the end of its chains was cut off."""

    kinds = ("insert", "duplicate", "swap", "exchange", "edit", "resign", "metadata")

    def __init__(self, root, older):
        super().__init__(root, older, "store alone")
        self.notes = []


class ZipTarget(Target):
    """A ZIP: its bytes are altered, or its files, which are packed in the proper form again."""

    def __init__(self, path, folder, older):
        super().__init__(path, Thing("zip", files_of(folder), older))
        self.raw = Thing("zip, as bytes", {path.name: path.read_bytes()}, {})

    def is_found(self, changes):
        if self.root.name in changes:
            self.root.write_bytes(changes[self.root.name])
        else:
            self._pack({**self.thing.files, **changes})
        try:
            return not self.judge().is_proven
        except RecorderdError:
            return True
        finally:
            self.root.write_bytes(self.raw.files[self.root.name])

    def _pack(self, files):
        folder = self.root.with_name("unpacked")
        names = sorted((name for name, data in files.items() if data is not None), key=str.encode)
        for number, name in enumerate(names):
            folder.mkdir(exist_ok=True)
            (folder / str(number)).write_bytes(files[name])
        with self.root.open("wb") as file:
            write_zip(file, [(name, folder / str(number)) for number, name in enumerate(names)])
        shutil.rmtree(folder, ignore_errors=True)


def store_files(root):
    found = files_of(root, ("calls", "ledger"))
    return {**found, "keys/device.pem": (root / "keys/device.pem").read_bytes()}


@contextmanager
def targets():
    """One of each: a bundle of one call and of three, a ZIP, a store, a store whose key was changed."""
    with in_memory() as top, short_files():
        (top / "store").mkdir()
        store = Store(top / "store")
        store.early_calls()
        older = store_files(store.directory)
        store.later_calls()
        exported = {}
        for name, calls in {
            "old": ["2b"],
            "one": ["2b"],
            "other": ["3c"],
            "three": ["1a", "3c", "6f"],
        }.items():
            exported[name] = files_of(store.exported(*calls, top / name))
        store.exported("1a", "3c", "6f", top / "three.zip")
        shutil.rmtree(top / "old")
        packed = unpacked_twin(top / "three.zip", top)
        changed = with_changed_key(top)
        found = [
            Target(
                top / "one", Thing("bundle", exported["one"], exported["old"], exported["other"])
            ),
            Target(
                top / "three",
                Thing("bundle of three", exported["three"], exported["one"], exported["other"]),
            ),
            ZipTarget(top / "three.zip", packed, exported["three"]),
            StoreTarget(store.directory, older),
            LoneStoreTarget(store.directory, older),
            changed,
        ]
        for target in found[3:5]:
            target.thing.other = exported["one"] | changed.thing.files
        yield found
        OFFICES.clear()


def unpacked_twin(path, top):
    """The files of a ZIP as a folder, by another program than ours."""
    folder = top / "twin"
    shutil.unpack_archive(path, folder)
    return folder


def with_changed_key(top):
    """A store whose device lost its key and got another: both parts have their own."""
    root = top / "changed"
    root.mkdir()
    store = Store(root)
    store.early_calls()
    older = store_files(root)
    office = store.office
    office.ledger.close()
    (root / "keys/device.key").write_text(NEWER_KEY.private_pem())
    (root / "keys/device.pem").write_text(NEWER_KEY.public_pem)
    office.ledger = Ledger(root, "recorder", SITE.name, NEWER_KEY, office.reading)
    office.books.ledger = office.ledger
    store.later_calls()
    return StoreTarget(root, older, "store, key changed", NEWER_KEY.fingerprint)


# ---------------------------------------------------------------- the two runs


def run_mutations(count, seed, tell=lambda _done: None):
    """Alter `count` times; gives how often each class was tried, and what was not found."""
    tried, missed = Counter(), []
    with targets() as found:
        number = 0
        while sum(tried.values()) < count:
            rng = random.Random(f"{seed}/{number}")
            target, turn = found[number % len(found)], number // len(found)
            kind = target.kinds[turn % len(target.kinds)]
            number += 1
            thing = target.thing
            if isinstance(target, ZipTarget) and kind in BYTE_CLASSES and rng.random() < 0.5:
                thing = target.raw
            try:
                changes = mutate(rng, thing, kind)
            except UselessError:
                continue
            tried[thing.name, kind] += 1
            if not target.is_found(changes):
                missed.append((number - 1, thing.name, kind, sorted(changes)))
            tell(sum(tried.values()))
        for target in found:
            assert target.judge().is_proven, "put right again, it is clean"
    return tried, missed


def run_clean(count, seed, tell=lambda _done: None):
    """Judge `count` clean things of all kinds; gives the false alarms."""
    alarms = []
    for number in range(count):
        rng = random.Random(f"{seed}/clean/{number}")
        with in_memory() as top, short_files():
            judgement = clean_judgement(rng, top)
            if not judgement.is_proven:
                alarms.append((number, judgement.altered, judgement.missing))
            while OFFICES:
                OFFICES.pop().writer.close()
        tell(number + 1)
    return alarms


def clean_judgement(rng, top):
    """An office as it may be at any time, in mid-call or after a crash; or a bundle out of it."""
    root = top / "store"
    root.mkdir()
    store = Store(root, segment_s=rng.choice([1, 2, 3]))
    ids = []
    for number in range(rng.randrange(1, 4)):
        call_id = f"{number}{rng.randrange(16):x}"
        ids.append(call_id)
        store.call(call_id, 10.0 + 20 * number, rng.choice([0.5, 3.0, 7.5]))
        if rng.random() < 0.3:
            store.hold(call_id)
    if rng.random() < 0.5:
        name = rng.choice(["bundle", "bundle.zip"])
        chosen = rng.sample(ids, rng.randrange(1, len(ids) + 1))
        return verify_bundle(store.exported(*chosen, top / name), KEY.fingerprint)
    office = store.office
    if rng.random() < 0.6:  # a call goes on
        start = office.now_s + rng.choice([3.0, 5.0])
        office.run_to(start + 0.2)
        office.open(a_record("ff", started=start))
        office.run_to(start + rng.uniform(0.2, 6.0))
        if rng.random() < 0.3:
            office.recover()
        elif rng.random() < 0.3:
            tear(rng, root)
            office.recover()
    return verify_store(root, KEY.fingerprint, wait=lambda _s: None)


def tear(rng, root):
    """What a power cut leaves of a line that was being written."""
    path = max(root.glob("ledger/recorder/*.jsonl"))
    path.write_bytes(path.read_bytes() + b'{"seq":99,"prev"'[: rng.randrange(1, 16)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--clean", type=int, default=1_000)
    parser.add_argument("--seed", default="1")
    options = parser.parse_args()
    began = time.monotonic()
    tried, missed = run_mutations(options.count, options.seed)
    for (thing, kind), count in sorted(tried.items()):
        print(f"{count:6}  {kind:10} {thing}")
    print(
        f"{sum(tried.values())} alterations, {len(missed)} not found, {time.monotonic() - began:.0f} s"
    )
    for each in missed:
        print("NOT FOUND", *each)
    began = time.monotonic()
    alarms = run_clean(options.clean, options.seed)
    print(
        f"{options.clean} clean ones, {len(alarms)} false alarms, {time.monotonic() - began:.0f} s"
    )
    for each in alarms:
        print("FALSE ALARM", *each)
    return 1 if missed or alarms else 0


if __name__ == "__main__":
    sys.exit(main())
