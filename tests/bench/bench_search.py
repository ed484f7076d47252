"""Finding the calls of a number among very many, beside a plain SQLite search over the same rows.

    python -m tests.bench.bench_search [--calls 1000000] [--questions 300] [--rounds 5] [--sealed]

Numbers are random ones of ten digits, each of which calls some times. A question takes its answer
whole: all rows of it, read and decoded. All questions are asked in several rounds, after one that
brings the file into memory. A question's time is the median of its rounds, so that what else the
machine does is not taken for ours; beside it stands the p99 of the best and the worst round as it was.
The peer is what the same database does with LIKE, which finds nothing where the calls are sealed.
"""

from __future__ import annotations

import argparse
import functools
import json
import random
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from recorderd.core.numbers import index_keys
from recorderd.seal.searchkey import hashed, make_search_key
from recorderd.store.catalogue import NAME, Entry, open_catalogue
from recorderd.units import iso
from tests.store.calls import CALLER, SITE, WALL, a_record

CALLS_PER_NUMBER = 20
SECONDS_APART = 90


def plain(number: str, template):
    return {"caller": {**template["caller"], "number": number}}


@functools.cache
def sealed(number: str, folder: Path):
    """What a sealed record has in place of a number."""
    numbers = sorted(hashed(make_search_key(folder), index_keys(number)))
    return {
        "caller": dict.fromkeys(("number", "name", "absence", "source", "raw")),
        "sealed": {"party": "A" * 1100, "vault": f"vault/{'0' * 16}.age", "numbers": numbers},
    }


def entries(calls: int, numbers: list[str], folder: Path, *, is_sealed: bool):
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(SITE.time_zone)
    template = a_record(caller=CALLER).as_json(zone)
    choice = random.Random(2)
    for index in range(calls):
        call_id = f"{index:016x}"
        started = iso(WALL + index * SECONDS_APART * 1_000_000_000, zone)
        number = choice.choice(numbers)
        record = {**template, "id": call_id, "started_at": started}
        record |= sealed(number, folder) if is_sealed else plain(number, template)
        yield Entry(record, folder, f"calls/2026/11/23/{call_id}")


def timed(questions, ask) -> tuple[list[float], int]:
    """Milliseconds of each question, and the rows of all answers."""
    times, found = [], 0
    for question in questions:
        began = time.perf_counter()
        found += len(ask(question))
        times.append((time.perf_counter() - began) * 1000)
    return times, found


def p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


def row(name: str, questions: list[str], rounds: int, ask) -> None:
    timed(questions, ask)
    asked = [timed(questions, ask) for _ in range(rounds)]
    times = [statistics.median(each) for each in zip(*(times for times, _ in asked), strict=True)]
    whole = [p99(times) for times, _ in asked]
    print(
        f"{name:32} {statistics.median(times):8.2f} {p99(times):8.2f} "
        f"{min(whole):9.2f} to {max(whole):8.2f} {asked[0][1] / len(times):10.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sealed", action="store_true")
    options = parser.parse_args()
    choice = random.Random(1)
    count = max(1, options.calls // CALLS_PER_NUMBER)
    numbers = [f"0{choice.randrange(10**9):09d}" for _ in range(count)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / NAME
        with closing(open_catalogue(path)) as catalogue:
            catalogue.add_all(entries(options.calls, numbers, folder, is_sealed=options.sealed))
        asked = choice.choices(numbers, k=options.questions)
        print(f"{options.calls} calls, {count} numbers, {path.stat().st_size / 1e6:.0f} MB")
        print(
            f"{'ms a question':32} {'median':>8} {'p99':>8} {'p99 of a round':>21} {'rows each':>10}"
        )
        with closing(open_catalogue(path, read_only=True)) as catalogue:
            week = {"since": WALL, "until": WALL + 7 * 86_400 * 1_000_000_000}
            for what, ask in (
                ("whole number", lambda n: catalogue.find(number=n)),
                ("last four", lambda n: catalogue.find(number=n[-4:])),
                ("last four, one week", lambda n: catalogue.find(number=n[-4:], **week)),
            ):
                row(f"recorderd, {what}", asked, options.rounds, ask)
        with closing(sqlite3.connect(path)) as plain:

            def like(pattern: str) -> list[object]:
                query = "SELECT record FROM call WHERE number LIKE ? ORDER BY started_ns DESC"
                return [json.loads(text) for (text,) in plain.execute(query, (pattern,))]

            few = asked[:10]
            row("SQLite LIKE, whole number", few, 1, like)
            row("SQLite LIKE, last four", few, 1, lambda n: like(f"%{n[-4:]}"))


if __name__ == "__main__":
    main()
