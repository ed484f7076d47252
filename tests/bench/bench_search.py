"""Finding the calls of a number among very many, beside a plain SQLite search over the same rows.

    python -m tests.bench.bench_search [--calls 1000000] [--questions 300]

Numbers are random ones of ten digits, each of which calls some times. A question takes its answer
whole: all rows of it, read and decoded. The peer is what the same database does with LIKE.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from recorderd.store.catalogue import NAME, Entry, open_catalogue
from recorderd.units import iso
from tests.store.calls import CALLER, SITE, WALL, a_record

CALLS_PER_NUMBER = 20
SECONDS_APART = 90


def entries(calls: int, numbers: list[str], folder: Path):
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(SITE.time_zone)
    template = a_record(caller=CALLER).as_json(zone)
    choice = random.Random(2)
    for index in range(calls):
        call_id = f"{index:016x}"
        started = iso(WALL + index * SECONDS_APART * 1_000_000_000, zone)
        record = {
            **template,
            "id": call_id,
            "started_at": started,
            "caller": {**template["caller"], "number": choice.choice(numbers)},
        }
        yield Entry(record, folder / "calls/2026/11/23" / call_id)


def timed(questions, ask) -> tuple[list[float], int]:
    times, found = [], 0
    for question in questions:
        began = time.perf_counter()
        found += len(ask(question))
        times.append((time.perf_counter() - began) * 1000)
    return times, found


def row(name: str, times: list[float], found: int) -> None:
    cuts = statistics.quantiles(times, n=100)
    print(f"{name:36} {cuts[49]:8.2f} {cuts[98]:8.2f} {found / len(times):10.1f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--questions", type=int, default=300)
    options = parser.parse_args()
    choice = random.Random(1)
    count = max(1, options.calls // CALLS_PER_NUMBER)
    numbers = [f"0{choice.randrange(10**9):09d}" for _ in range(count)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / NAME
        with closing(open_catalogue(path)) as catalogue:
            catalogue.add_all(entries(options.calls, numbers, folder))
        asked = choice.choices(numbers, k=options.questions)
        print(f"{options.calls} calls, {count} numbers, {path.stat().st_size / 1e6:.0f} MB")
        print(f"{'ms a question':36} {'median':>8} {'p99':>8} {'rows each':>10}")
        with closing(open_catalogue(path, read_only=True)) as catalogue:
            row("recorderd, whole number", *timed(asked, lambda n: catalogue.find(number=n)))
            row("recorderd, last four", *timed(asked, lambda n: catalogue.find(number=n[-4:])))
            week = {"since": WALL, "until": WALL + 7 * 86_400 * 1_000_000_000}
            row(
                "recorderd, last four, one week",
                *timed(asked, lambda n: catalogue.find(number=n[-4:], **week)),
            )
        with closing(sqlite3.connect(path)) as plain:

            def like(pattern: str) -> list[object]:
                query = "SELECT record FROM call WHERE number LIKE ? ORDER BY started_ns DESC"
                return [json.loads(text) for (text,) in plain.execute(query, (pattern,))]

            few = asked[:10]
            row("SQLite LIKE, whole number", *timed(few, like))
            row("SQLite LIKE, last four", *timed(few, lambda n: like(f"%{n[-4:]}")))


if __name__ == "__main__":
    main()
