"""Rows of uploaded calls go to the archive in batches, from which the central side makes its catalogue."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from recorderd.archive.deposit import deposit
from recorderd.archive.layout import landing_key
from recorderd.archive.rows import ROWS_MAX, pack
from recorderd.archive.target import content_of_bytes

if TYPE_CHECKING:
    from datetime import datetime

    from recorderd.archive.target import Target
    from recorderd.upload.queue import Queue


def make_batches(queue: Queue, site: str, now: datetime) -> None:
    """Put all rows that wait into batches, which the queue keeps. `now` is in UTC.

    A batch is named by its content too: what is sent again after a crash is the same object.
    """
    while found := queue.rows_of_a_date(ROWS_MAX):
        date, rows = found
        data = pack(rows)
        name = f"{now:%Y%m%dT%H}-{hashlib.sha256(data).hexdigest()[:16]}"
        queue.put_in_batch(landing_key(site, date, name), data, (row["call"] for row in rows))


def send_batches(queue: Queue, target: Target) -> None:
    """Send the batches that the archive does not have. Raises ArchiveError and StoreError."""
    while batch := queue.first_batch():
        key, data = batch
        deposit(target, key, content_of_bytes(data))
        queue.batch_done(key)
