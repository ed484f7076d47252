"""The uploader dies at any moment: at every request, before it and after it, and at every write of its own."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from recorderd.disk import files
from recorderd.disk.layout import LEDGER
from recorderd.errors import RefusedError, TryAgainError
from recorderd.evidence.storecheck import verify_store
from recorderd.store.ledger import Ledger
from recorderd.upload import queue as queue_module
from recorderd.upload.queue import NAME, Queue
from tests.store.calls import SITE
from tests.upload.rows import rows_in


class Killed(BaseException):
    """No handler of the uploader's may catch it, as none catches a kill."""


class Fuse:
    """Burns down at the n-th thing that is done."""

    def __init__(self, count):
        self.left = count

    def burn(self, *_):
        self.left -= 1
        if self.left == 0:
            raise Killed

    @property
    def is_burnt(self):
        return self.left <= 0


@contextmanager
def lit(fuse):
    """Let a fuse burn at every write of the uploader's own, before it and after it."""
    write, transaction, sync = files.write_durable, Queue._transaction, Ledger.sync

    def burning_write(*arguments, **options):
        fuse.burn()
        write(*arguments, **options)
        fuse.burn()

    @contextmanager
    def burning_transaction(queue):
        fuse.burn()
        with transaction(queue):
            yield
        fuse.burn()

    def burning_sync(ledger):
        fuse.burn()
        sync(ledger)
        fuse.burn()

    with (
        patch.object(files, "write_durable", burning_write),
        patch.object(Queue, "_transaction", burning_transaction),
        patch.object(Ledger, "sync", burning_sync),
    ):
        yield


def killed_upload(box, fuse):
    """An upload that nothing tidies up after when the fuse has burnt down."""
    uploader = box.uploader()
    box.store.plan = box.store.plan_after = fuse.burn
    try:
        with lit(fuse):
            uploader.__enter__()
            uploader.once()
            uploader.__exit__()
    except Killed:
        uploader._opened.close()  # as the kernel does: locks and files, nothing more
    finally:
        box.store.plan = box.store.plan_after = lambda *_: None


def test_wherever_it_is_killed_nothing_is_lost_or_doubled(make_box):
    kills = 0
    while True:
        box = make_box(2)
        box.upload()
        box.call()
        box.erase(box.folders()[0])
        fuse = Fuse(kills + 1)
        killed_upload(box, fuse)
        report = box.upload()
        assert (report.queue.waiting, report.queue.parked, report.trouble) == (0, 0, None)
        box.judge()
        assert verify_store(box.directory, wait=lambda _s: None).is_proven, f"kill {kills}"
        landed = {(row["call"], row["revision"]) for row in rows_in(box.store)}
        assert landed >= {("call-0001", 1_000_000), ("call-0002", 0), ("call-0003", 0)}
        if not fuse.is_burnt:
            break
        kills += 1
    assert kills > 50


@pytest.mark.parametrize("seed", range(12))
def test_an_archive_that_fails_half_of_the_time(make_box, seed):
    """Refused, busy, cut before and after the work, at random; in the end everything is there once."""
    chance = random.Random(seed)
    box = make_box(30)

    def fail(operation, key):
        if chance.random() < 0.25:
            raise chance.choice([TryAgainError, TryAgainError, RefusedError])(
                f"memory://archive: {operation} {key}"
            )

    box.store.plan = box.store.plan_after = fail
    with box.uploader(random=chance.random) as uploader:
        for _ in range(200):
            uploader.step()
            box.clock.now_s += 100
            uploader._queue.unpark()
    box.store.plan = box.store.plan_after = lambda *_: None
    report = box.upload()
    assert (report.queue.waiting, report.queue.parked) == (0, 0)
    box.judge()
    assert {row["call"] for row in rows_in(box.store)} == {f"call-{n:04d}" for n in range(1, 31)}


# ---------------------------------------------------------------- its own files


@pytest.mark.parametrize("how", ["lost", "damaged", "cut"])
def test_a_queue_that_is_gone_is_made_again_and_nothing_written_twice(make_box, how):
    box = make_box(3)
    box.upload()
    path = box.directory / NAME
    if how == "lost":
        path.unlink()
    elif how == "damaged":
        path.write_bytes(b"not a database" * 1000)
    else:
        path.write_bytes(path.read_bytes()[:5000])
    box.call()
    report = box.upload()
    assert (report.queue.waiting, report.queue.parked, report.trouble) == (0, 0, None)
    box.judge()
    if how != "lost":
        assert (box.directory / queue_module.DAMAGED).exists()


def test_a_queue_of_a_newer_recorderd_is_not_touched(make_box):
    box = make_box(1)
    box.upload()
    with sqlite3.connect(box.directory / NAME) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(Exception, match="made by a newer recorderd"):
        box.upload()


def test_a_receipt_that_cannot_be_read_is_made_again(make_box):
    box = make_box(1)
    box.upload()
    (folder,) = box.folders()
    (folder / "receipt.json").write_bytes(b'{"files": {')
    (box.directory / NAME).unlink()
    box.upload()
    box.judge()


# ---------------------------------------------------------------- the chain


def test_another_ledger_in_the_archive_is_an_alarm_and_calls_go_on(make_box):
    box, twin = make_box(1), make_box(2)
    box.upload()
    twin.store = box.store
    box.store.objects = {
        key: data for key, data in box.store.objects.items() if not key.startswith("calls/")
    }
    report = twin.upload()
    alarms = report.alarms(twin.clock.reading().wall)
    assert any("another ledger 'recorder' of the site" in alarm for alarm in alarms)
    assert report.uploaded == 2


def test_a_chain_grows_in_the_archive_part_by_part_without_a_hole(make_box):
    box = make_box()
    for _ in range(4):
        box.call()
        box.upload()
    for name in ("recorder", "uploader"):
        prefix = f"ledger/site={SITE.name}/chain={name}/"
        parts = [box.store.objects[key] for key in box.store.keys(prefix)]
        assert len(parts) > 2
        whole = (box.directory / LEDGER / name / "000000000000.jsonl").read_bytes()
        assert whole.startswith(b"".join(parts))
        starts = [int(key.removeprefix(prefix)[:12]) for key in box.store.keys(prefix)]
        assert starts == [json.loads(part.split(b"\n")[0])["seq"] for part in parts]


def test_what_is_in_the_archive_of_an_earlier_part_is_taken_as_far_as_it_goes(make_box):
    box = make_box(1)
    box.upload()
    (box.directory / NAME).unlink()
    box.call()
    report = box.upload()
    assert report.ledger is None
    box.judge()
    prefix = f"ledger/site={SITE.name}/chain=recorder/"
    whole = (box.directory / "ledger/recorder/000000000000.jsonl").read_bytes()
    assert b"".join(box.store.objects[key] for key in box.store.keys(prefix)) == whole
