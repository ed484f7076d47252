"""All calls of a number across 1,000 sites, cold, and what compacting a day of them costs.

Calls are made in DuckDB and written by the catalogue's own code: June and July in one run, as months
are that are over, August in four as merging leaves them (three quarters of its calls in the largest). A
search is cold: a new connection and a new engine each time; its requests and bytes are counted, as
DuckDB's log of HTTP and the target have them.

    python -m tests.bench.bench_archive_search [--calls 1 10] [--file] [--merge] [--day] [--picture FILE]

`--calls` in millions, of June to August. `--file`: a folder in place of SeaweedFS. `--merge`: compaction
makes one run of August's four. `--day`: compaction of a day of 1,000 sites, a batch an hour of each.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

from recorderd.archive.layout import landing_key
from recorderd.archive.rows import pack
from recorderd.archive.target import content_of_bytes, content_of_file
from recorderd.central import manifest as manifests
from recorderd.central import tables
from recorderd.central.compact import RANGE_ROWS, Report, compact
from recorderd.central.engine import MEMORY_MB, Engine
from recorderd.central.manifest import Piece
from recorderd.central.place import Place, open_place
from recorderd.central.search import Question, search
from recorderd.disk import files
from tests.archive.servers import run_seaweed
from tests.central.offices import a_row, folder_target, place_of

SITES = 1000
NUMBER = "+14155550123"
OF_NUMBER = 36  # its calls in July, and in August
PARTS = {"2026-06": (1,), "2026-07": (1,), "2026-08": (0.015, 0.045, 0.19, 0.75)}
"""Of a month's calls, in each of its runs."""

NOW = datetime(2026, 9, 1, tzinfo=UTC)
AUTUMN = datetime(2026, 9, 10, tzinfo=UTC)  # August is over
QUESTIONS = {
    "July, one run": Question(
        number=NUMBER,
        since=datetime(2026, 7, 1, tzinfo=UTC),
        until=datetime(2026, 8, 1, tzinfo=UTC),
    ),
    "August, four runs": Question(
        number=NUMBER,
        since=datetime(2026, 8, 1, 12, tzinfo=UTC),
        until=datetime(2026, 9, 1, tzinfo=UTC),
    ),
    "all three months": Question(number=NUMBER),
}


def calls_of(month: str, first: int, last: int, planted: int) -> str:
    """Calls as a landing table has them: one in fifty amended after it had landed, of 50,000 callers a million calls."""
    call = "md5(i::VARCHAR || 'call')[:26]"
    number = "'+1' || (2000000000 + hash(i // 20) % 7999999999)::VARCHAR"
    plain = f"CASE WHEN i < {first + planted} THEN '{NUMBER}' ELSE {number} END"
    days = 30 if month == "2026-06" else 31
    started = f"TIMESTAMP '{month}-01 00:00:00' + to_milliseconds((hash(i, 1) % {days * 86_400_000})::BIGINT)"
    return f"""
        SELECT {call} AS call, (hash(i, 2) % 50 = 0)::INTEGER AS revision,
            'site-' || (hash(i, 3) % {SITES})::VARCHAR AS site,
            strftime(started_utc, '%Y-%m-%d') AS date, started_utc,
            strftime(started_utc, '%Y-%m-%dT%H:%M:%S.%g+00:00') AS started_at,
            strftime(started_utc, '%Y-%m-%dT%H:%M:%S.%g+00:00') AS ended_at,
            (hash(i, 4) % 600000) / 1000.0 AS duration_s, 'line-' || (hash(i, 5) % 4)::VARCHAR AS line,
            CASE WHEN hash(i, 6) % 3 = 0 THEN 'outbound' ELSE 'inbound' END AS direction,
            'recorded' AS disposition, NULL::VARCHAR AS reason, number,
            CASE WHEN hash(i, 7) % 4 = 0 THEN 'NAME ' || (hash(i // 20, 8) % 99999)::VARCHAR END AS name,
            NULL::VARCHAR AS absence, false AS sealed, 'l' || right(number, 4) AS key,
            'standard' AS retention, 1::BIGINT AS segments, (hash(i, 4) % 4800000)::BIGINT AS frames,
            0::BIGINT AS gaps, false AS cut, true AS notice_completed, true AS notice_heard,
            md5(i::VARCHAR) || md5(i::VARCHAR || 'x') AS record_sha256, NULL::VARCHAR AS erased_at,
            revision > 0 AND {month == "2026-08"} AS supersedes
        FROM (SELECT i, {started} AS started_utc, {plain} AS number FROM range({first}, {last}) t(i))
    """


def party_of(calls: str) -> str:
    """These calls as `party` has them; DuckDB makes those of a range of keys alone."""
    shown = ", ".join(tables.SHOWN)
    return (
        f"(SELECT key, {shown} FROM ({calls}) "
        f"UNION ALL SELECT '{tables.REVISED}' AS key, {shown} FROM ({calls}) WHERE supersedes)"
    )


def fill(place: Place, work: Path, calls: int) -> None:
    """The catalogue of so many calls."""
    engine = Engine(work, memory_mb=2048)  # DuckDB misjudges how many rows will be made
    months: dict[str, tuple[Piece, ...]] = {}
    first = 0
    for month, parts in PARTS.items():
        pieces: list[Piece] = []
        for level, part in enumerate(parts):
            last = first + round(calls / len(PARTS) * part)
            planted = 0 if month == "2026-06" else OF_NUMBER // len(parts)
            source = party_of(calls_of(month, first, last, planted))
            pieces += put(place, engine, work, source, month, level)
            first = last
        months[month] = tuple(pieces)
    engine.close()
    old = manifests.newest(place.target)
    manifests.commit(place.target, old.next(NOW, months=months, dates={}))


def put(
    place: Place, engine: Engine, work: Path, source: str, month: str, level: int
) -> list[Piece]:
    path = work / "piece.parquet"
    pieces = []
    for each in tables.ranges(engine, tables.PARTY, source, RANGE_ROWS):
        rows = f"(SELECT * FROM {source} WHERE {each.where()})"
        written = tables.write(engine, tables.PARTY, rows, path)
        assert written is not None
        key = manifests.piece_key(tables.PARTY, month, NOW)
        place.target.put(key, content_of_file(path, files.sha256_of(path)))
        run = f"{month} {level}"
        pieces.append(Piece(key=key, run=run, level=level, erased_since=None, **asdict(written)))
    return pieces


# ---------------------------------------------------------------- counting


class Counted:
    """A target that counts what it is asked for."""

    def __init__(self, target):
        self.target, self.name, self.count = target, target.name, 0

    def __getattr__(self, name):
        self.count += 1
        return getattr(self.target, name)


class CountedEngine(Engine):
    """Tells at its end how many requests it made, and for how many bytes."""

    requests, size = 0, 0

    def close(self):
        logged = self.rows(
            "SELECT request.type AS kind, request.headers['Range'] AS part FROM duckdb_logs_parsed('HTTP')"
        )
        CountedEngine.requests = len(logged)
        bounds = [row["part"].removeprefix("bytes=").split("-") for row in logged if row["part"]]
        CountedEngine.size = sum(int(last) - int(first) + 1 for first, last in bounds)
        super().close()


class CountedPlace(Place):
    __slots__ = ()

    def engine(self, work, memory_mb=MEMORY_MB):
        engine = super().engine(work, memory_mb)
        engine.__class__ = CountedEngine
        engine.run("CALL enable_logging('HTTP')")
        return engine


def ask(archive, times: int, question: Question) -> dict[str, float]:
    """A cold search, so many times."""
    took, found = [], set()
    for _ in range(times):
        place = open_place(archive)
        begun = time.perf_counter()
        answer = search(place, question)
        took.append(time.perf_counter() - begun)
        found.add(len(answer.calls))
        place.close()
    place = CountedPlace(Counted(open_place(archive).target), archive)
    answer = search(place, question)
    (count,) = found
    return {
        "calls": count,
        "median_s": statistics.median(took),
        "max_s": max(took),
        "requests": place.target.count - 1 + CountedEngine.requests,
        "mb": CountedEngine.size / 1e6,
    }


# ---------------------------------------------------------------- a day of compaction


def land_day(place: Place, sites: int) -> tuple[int, int]:
    """A batch an hour of each site, of four calls; (batches, rows)."""
    chance = random.Random(7)
    midnight = datetime(2026, 8, 31, tzinfo=UTC)
    batches = 0
    for site in range(sites):
        for hour in range(24):
            rows = []
            for call in range(4):
                at = midnight + timedelta(hours=hour, seconds=chance.randrange(3600))
                number = f"+1{chance.randrange(2_000_000_000, 9_999_999_999)}"
                started = at.isoformat(timespec="milliseconds")
                rows.append(a_row(f"{site}-{hour}-{call}", number, started, site=f"site-{site}"))
            key = landing_key(f"site-{site}", "2026-08-31", f"20260831T{hour:02d}-x")
            place.target.put(key, content_of_bytes(pack(rows)))
            batches += 1
    return batches, 4 * batches


def compact_day(archive, sites: int) -> None:
    place = open_place(archive)
    begun = time.perf_counter()
    batches, rows = land_day(place, sites)
    print(
        f"landed {batches} batches, {rows} rows in {time.perf_counter() - begun:.0f} s", flush=True
    )
    report = compact_apart(archive, NOW)
    assert report.rows == rows, report


def compact_apart(archive, now: datetime) -> Report:
    """A compaction in a process of its own, so that the peak of its memory is its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(compact_measured, (archive, now))


def compact_measured(archive, now: datetime) -> Report:
    with tempfile.TemporaryDirectory(prefix="bench-compact-") as folder, watched(folder) as most:
        begun = time.perf_counter()
        report = compact(open_place(archive), Path(folder), now=lambda: now)
        took = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"compacted in {took:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of processor, peak "
        f"{used.ru_maxrss / 1024:.0f} MB, {max(most) / 1e6:.0f} MB of disk, {report.merges} merges",
        flush=True,
    )
    return report


@contextmanager
def watched(folder: str):
    """How large a folder is, every so often."""
    sizes, ended = [0], threading.Event()

    def watch():
        while not ended.wait(0.2):
            found = subprocess.run(
                ["du", "-s", "-B1", folder], check=False, capture_output=True, text=True
            )
            sizes.append(int(found.stdout.split()[0]))

    thread = threading.Thread(target=watch)
    thread.start()
    yield sizes
    ended.set()
    thread.join()


# ---------------------------------------------------------------- the picture


PANEL, HEIGHT = 220, 150


def picture(found: list[dict[str, float]]) -> str:
    """Seconds, requests and megabytes of the question about July, over the calls: SVG."""
    panels = [
        _panel(index, name, [(each["millions"], each[key]) for each in found])
        for index, (key, name) in enumerate((
            ("median_s", "seconds, cold"),
            ("requests", "requests"),
            ("mb", "megabytes read"),
        ))
    ]
    size = f'width="{3 * PANEL}" height="{HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">'
        f'<rect {size} fill="white"/>{"".join(panels)}</svg>\n'
    )


def _panel(index: int, name: str, points: list[tuple[float, float]]) -> str:
    """One figure over millions of calls; each step to the right is ten times as many."""
    left, bottom, top = index * PANEL + 30, HEIGHT - 30, 35
    most = max(value for _, value in points) * 1.2
    places = [
        (left + 70 * math.log10(millions), bottom - (bottom - top) * value / most, millions, value)
        for millions, value in points
    ]
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y, _, _ in places)
    marks = "".join(
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="#246"/>'
        f'<text x="{x:.0f}" y="{y - 7:.0f}" text-anchor="middle">{value:.3g}</text>'
        f'<text x="{x:.0f}" y="{bottom + 15}" text-anchor="middle">{millions:g} M</text>'
        for x, y, millions, value in places
    )
    return (
        f'<text x="{left}" y="15" font-weight="bold">{name}</text>'
        f'<path d="M{left - 10} {bottom}h{PANEL - 40}" stroke="#999"/>'
        f'<polyline points="{line}" fill="none" stroke="#246" stroke-width="2"/>{marks}'
    )


# ---------------------------------------------------------------- the whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=float, nargs="*", default=[1, 10], help="millions")
    parser.add_argument("--file", action="store_true", help="a folder in place of SeaweedFS")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="the figures of July as SVG")
    parser.add_argument("--merge", action="store_true", help="make one run of August's four")
    parser.add_argument("--day", action="store_true", help="compact a day, too")
    parser.add_argument("--sites", type=int, default=SITES, help="of that day")
    parser.add_argument("--times", type=int, default=9)
    options = parser.parse_args()
    with ExitStack() as opened:
        work = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bench-archive-")))
        archive_of = opener(opened, work, is_folder=options.file)
        found = []
        for millions in options.calls:
            archive = archive_of(f"calls-{millions:g}")
            begun = time.perf_counter()
            fill(open_place(archive), work, round(millions * 1e6))
            print(f"{millions:g} million calls made in {time.perf_counter() - begun:.0f} s")
            for name, question in QUESTIONS.items():
                figures = {
                    "millions": millions,
                    "asked": name,
                    **ask(archive, options.times, question),
                }
                print(json.dumps(figures), flush=True)
                found += [figures] if name.startswith("July") else []
            took = [command_s(archive, work) for _ in range(options.times)]
            print(f"  the command: {statistics.median(took):.2f} s", flush=True)
            if options.merge:
                compact_apart(archive, AUTUMN)
        if options.picture:
            options.picture.write_text(picture(found))
        if options.day:
            compact_day(archive_of("day"), options.sites)


def opener(opened: ExitStack, work: Path, *, is_folder: bool):
    """What makes a new archive by a name."""
    if is_folder:

        def folder(name):
            folder_target(work / name)
            return place_of(work / name).archive

        return folder
    (work / "weed").mkdir()
    server = opened.enter_context(run_seaweed(work / "weed"))
    bucket = server.new_bucket()
    credentials = work / "credentials"
    credentials.write_text(
        f"[default]\naws_access_key_id = {server.admin.access_key}\n"
        f"aws_secret_access_key = {server.admin.secret_key}\n"
    )
    credentials.chmod(0o600)
    base = place_of(work / "unused").archive
    return lambda name: replace(
        base, url=f"s3://{bucket}/{name}", endpoint=server.endpoint, credentials=credentials
    )


def command_s(archive, work: Path) -> float:
    """The same by the command, from the start of the process to its end."""
    config = work / "central.toml"
    lines = [f'url = "{archive.url}"', f'endpoint = "{archive.endpoint}"']
    if archive.credentials:
        lines.append(f'credentials = "{archive.credentials}"')
    config.write_text("[archive]\n" + "\n".join(lines) + "\n")
    command = [sys.executable, "-m", "recorderd", "archive", "search", "--config", str(config)]
    command += ["--number", NUMBER, "--from", "2026-07-01", "--to", "2026-07-31", "--json"]
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
