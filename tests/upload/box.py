"""A recorder's state directory with calls in it, and an uploader at work on it in virtual time."""

from __future__ import annotations

import hashlib
import json
import threading
from concurrent.futures import Executor, Future
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

from recorderd.config.values import Archive
from recorderd.core import chain
from recorderd.disk.layout import OPEN
from recorderd.store.books import Books
from recorderd.store.erasing import Sentence, erase
from recorderd.store.ledger import RECORDER, Ledger, chain_lines
from recorderd.store.signing import load_device_key
from recorderd.units import NS_PER_S, MonoNs
from recorderd.upload.uploader import Uploader
from tests.store.calls import READING, SITE
from tests.store.shelf import NUMBER, shelve
from tests.upload.memory import Store

if TYPE_CHECKING:
    from pathlib import Path

OFFICE = """
[site]
name = "{site}"
country = "JP"
time_zone = "Asia/Tokyo"
[storage]
directory = "{directory}"
[[line]]
name = "front"
[line.audio]
driver = "sim"
[line.hook]
driver = "sim"
[simulation]
script = "office-day.line"
"""
"""A configuration of one simulated line, for a state directory that is there."""

ARCHIVE = Archive(
    url="memory://archive",
    endpoint="",
    region="us-east-1",
    credentials=None,
    ca_file=None,
    host_key="",
    lock_days=0,
    lock_mode="governance",
    order="oldest-first",
    limit_kb_s=0,
    hours="",
    timestamp_url="",
)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class InlineExecutor(Executor):
    """Carries a call when it is asked to, on the same thread."""

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:  # noqa: BLE001  (the future carries it, as an executor's does)
            future.set_exception(error)
        return future


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def now(self):
        return MonoNs(round(self.now_s * NS_PER_S))

    def reading(self):
        return replace(READING, mono=self.now(), wall=READING.wall_at(self.now()))


class Box:
    def __init__(self, directory: Path, calls=0, **archive):
        self.directory = directory
        self.clock = Clock()
        (directory / OPEN).mkdir(exist_ok=True)
        self.ledger = Ledger(
            directory, RECORDER, SITE.name, load_device_key(directory), self.clock.reading
        )
        self.books = Books(directory, self.ledger)
        self.store = Store()
        self.site = SITE
        self.archive = replace(ARCHIVE, **archive)
        self.stop = threading.Event()
        self.count = 0
        self.ledger.append("started")
        self.ledger.sign()
        for _ in range(calls):
            self.call()

    def close(self):
        self.books.close_catalogue()
        self.ledger.close()

    # ------------------------------------------------------------ the recorder

    def call(self, **known):
        """One more call on the shelf; its folder."""
        self.count += 1
        sound = b"sound" * 50 + str(self.count).encode()
        known = {"sound": sound, **known}
        return shelve(self.directory, self.books, f"call-{self.count:04d}", self.count, **known)

    def erase(self, folder):
        sentence = Sentence("age", 180, "2027-05-23T18:45:00.000+09:00", 10**8)
        for _ in erase(self.directory, folder, self.books, sentence):
            pass

    # ------------------------------------------------------------ the uploader

    def uploader(self, executor=None, random=lambda: 1.0):
        config = SimpleNamespace(
            archive=self.archive, site=self.site, storage=SimpleNamespace(directory=self.directory)
        )
        return Uploader(
            config,
            self.clock,
            self.store.target,
            executor or InlineExecutor(),
            self.stop,
            random,
        )

    def upload(self):
        """Everything, once; the report."""
        with self.uploader() as uploader:
            self.stop.wait = lambda seconds=None: self._wait(seconds)
            try:
                return uploader.once()
            finally:
                del self.stop.wait

    def _wait(self, seconds):
        self.clock.now_s += seconds or 0
        return self.stop.is_set()

    # ------------------------------------------------------------ what came of it

    def folders(self):
        return sorted(path for path in self.directory.glob("calls/*/*/*/*") if path.is_dir())

    def receipt(self, folder):
        return json.loads((folder / "receipt.json").read_text("utf-8"))

    def judge(self):
        """What must be true when nothing waits any more: all there once, and each receipt right."""
        for folder in self.folders():
            prefix = f"calls/site={SITE.name}/date=2026-11-23/{folder.name}/"
            if (folder / "erased.json").exists():
                names = ["erased.json", "erased.sig"]
            else:
                names = sorted(
                    path.name for path in folder.iterdir() if path.name != "receipt.json"
                )
                receipt = self.receipt(folder)
                assert self.entered(folder) == sha256((folder / "receipt.json").read_bytes())
                assert sorted(receipt["files"]) == names
                for name, digest in receipt["files"].items():
                    key = receipt["objects"][name]["key"]
                    assert sha256(self.store.objects[key]) == digest
            for name in names:
                assert self.store.objects[prefix + name] == (folder / name).read_bytes()
        assert len(self.store.writes) == len(set(self.store.writes)), "written twice"

    def entered(self, folder):
        """The hash of a call's receipt as the uploader's chain has it last."""
        found = [
            entry.data["receipt_sha256"]
            for entry in chain.walk(chain_lines(self.directory / "ledger/uploader"))
            if entry.kind == "call-uploaded" and entry.data["call"] == folder.name
        ]
        return found[-1] if found else None

    def where_number_is(self, *patterns):
        """Files in the state directory that match and hold the caller's number."""
        return [
            path.name
            for pattern in patterns
            for path in self.directory.glob(pattern)
            if path.is_file() and NUMBER.encode() in path.read_bytes()
        ]
