"""The central side on a real S3 service, and its files as another engine reads them."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from recorderd.central import manifest as manifests
from recorderd.central.compact import compact
from recorderd.central.place import Place, open_place
from recorderd.central.search import Question, search
from recorderd.errors import RefusedError, TryAgainError
from tests.archive.servers import seaweed
from tests.central.offices import a_row, erased, land, later, now, place_of
from tests.central.tls import https_before

__all__ = ["seaweed"]

pytestmark = pytest.mark.servers

NUMBER = "+14155550123"


@pytest.fixture
def archive(seaweed, tmp_path):
    """A place in a bucket with object lock, where nothing can be removed for good."""
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[default]\naws_access_key_id = {seaweed.admin.access_key}\n"
        f"aws_secret_access_key = {seaweed.admin.secret_key}\n"
    )
    credentials.chmod(0o600)
    return replace(
        place_of(tmp_path / "unused").archive,
        url=f"s3://{seaweed.new_prefix()}",
        endpoint=seaweed.endpoint,
        credentials=credentials,
    )


@pytest.fixture
def opened():
    """What opens an archive, and closes it after the test."""
    with ExitStack() as stack:
        yield lambda archive: stack.enter_context(closing(open_place(archive)))


def fill(place, sites=20, calls=10):
    for site in range(sites):
        rows = [
            a_row(
                f"c{call}",
                NUMBER if call == 3 else f"+1415555{site:02d}{call:02d}",
                site=f"s{site}",
            )
            for call in range(calls)
        ]
        land(place.target, rows)


def answered(place, **question):
    return search(place, Question(number=NUMBER, **question), now=now).calls


def test_compaction_and_search_on_s3(archive, opened):
    place = opened(archive)
    fill(place)
    assert len(answered(place)) == 20
    report = compact(place, now=now)
    assert (report.batches, report.rows, report.removed, report.problems) == (20, 200, 20, [])
    assert len(answered(place)) == 20
    assert len(answered(place, sites=frozenset({"s1", "s2"}))) == 2
    land(place.target, [erased(a_row("c3", NUMBER, site="s7"))], "09-000001")
    assert len(answered(place)) == 19
    compact(place, now=now)
    compact(place, now=later(7))
    assert len(answered(place)) == 19
    compact(place, now=later(40))
    assert len(answered(place)) == 19


def test_locked_objects_stay_and_nothing_is_lost_or_doubled(archive, opened):
    """Of a locked object a removal leaves a version that nobody sees in a listing."""
    place = opened(replace(archive, lock_days=1))
    fill(place, sites=3)
    for _ in range(2):
        report = compact(place, now=now)
        assert report.kept == 0
        assert len(answered(place)) == 3
    assert manifests.newest(place.target).taken == frozenset()


def test_wrong_credentials_are_an_error_with_its_mend(archive, opened):
    place = opened(archive)
    fill(place, sites=1)
    compact(place, now=now)
    engine_only = replace(archive, credentials=archive.credentials.with_name("wrong"))
    engine_only.credentials.write_text(
        archive.credentials.read_text().replace("admin-secret", "another")
    )
    engine_only.credentials.chmod(0o600)
    with pytest.raises(RefusedError):
        search(opened(engine_only), Question(number=NUMBER), now=now)


def test_a_service_is_known_by_its_certificate_alone(archive, opened, seaweed, tmp_path):
    place = opened(archive)
    fill(place, sites=1)
    compact(place, now=now)
    port = int(seaweed.endpoint.rpartition(":")[2])
    with https_before(port, tmp_path) as (endpoint, certificate):
        known = opened(replace(archive, endpoint=endpoint, ca_file=certificate))
        assert len(answered(known)) == 1
        unknown = Place(place.target, replace(archive, endpoint=endpoint))  # DuckDB alone
        with pytest.raises(TryAgainError, match="certificate"):
            answered(unknown)


def test_a_service_that_does_not_answer_is_asked_again_later(archive, opened):
    place = opened(archive)
    fill(place, sites=1)
    compact(place, now=now)
    away = Place(place.target, replace(archive, endpoint="http://127.0.0.1:9"))
    with pytest.raises(TryAgainError):
        answered(away)


# ---------------------------------------------------------------- another engine

SQL = """
WITH newest AS (SELECT site, call, max(revision) AS newest FROM {party} WHERE key = '!'
                GROUP BY site, call)
SELECT p.site, p.call, p.started_utc
FROM {party} AS p LEFT JOIN newest ON p.site = newest.site AND p.call = newest.call
WHERE p.key = 'l0123' AND p.number = '{number}' AND p.revision >= coalesce(newest.newest, 0)
  AND p.started_utc >= TIMESTAMP '2026-07-01 00:00:00'
ORDER BY p.site, p.call
"""
"""As recorderd/central/README.md has it; DuckDB and ClickHouse take the same words."""


def files_of(place):
    return [run.key for runs in manifests.newest(place.target).months.values() for run in runs]


def test_clickhouse_reads_the_same_files_from_s3(archive, opened, seaweed):
    import chdb

    place = opened(archive)
    fill(place)
    compact(place, now=now)
    land(place.target, [a_row("c3", "+10000000000", site="s7", revision=1)], "09-000001")
    compact(place, now=now)
    keys = files_of(place)
    assert len(keys) == 2
    url = f"{seaweed.endpoint}/{archive.url.removeprefix('s3://')}/{{{','.join(keys)}}}"
    party = f"s3('{url}', '{seaweed.admin.access_key}', '{seaweed.admin.secret_key}', 'Parquet')"
    sql = SQL.format(party=party, number=NUMBER)
    found = str(chdb.query(f"{sql} SETTINGS session_timezone = 'UTC'", "TSV")).splitlines()
    calls = [tuple(line.split("\t")[:2]) for line in found]
    assert calls == sorted((call["site"], call["call"]) for call in answered(place))
    assert len(calls) == 19
    at = datetime.fromisoformat(found[0].split("\t")[2]).replace(tzinfo=UTC)
    assert at == datetime(2026, 7, 10, 1, tzinfo=UTC)
