"""What a box's key can do with a real S3 server, and what nobody can: locks, rights, wrong keys."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recorderd import archive
from recorderd.archive.deposit import deposit
from recorderd.archive.layout import call_prefix, chain_key, heartbeat_key, landing_key
from recorderd.archive.s3 import S3Target
from recorderd.archive.sigv4 import Keys
from recorderd.archive.target import content_of_bytes
from recorderd.errors import RefusedError, TryAgainError
from tests.archive.archives import archive_of, credentials_file
from tests.archive.servers import BUCKET, SITE, identities, site_policy

DAY = "2026-11-26"
DATA = content_of_bytes(b"one call")


@pytest.fixture
def open_as(seaweed, tmp_path):
    opened = []

    def open_as(keys, url=f"s3://{BUCKET}", **values):
        name = f"credentials-{len(opened)}"
        credentials = credentials_file(tmp_path, keys, name)
        settings = archive_of(url, endpoint=seaweed.endpoint, credentials=credentials, **values)
        opened.append(S3Target(settings))
        return opened[-1]

    yield open_as
    for target in opened:
        target.close()


def keys_of(site, name):
    return [
        call_prefix(site, DAY, name) + "call.json",
        chain_key(site, name, 1),
        landing_key(site, DAY, name),
        heartbeat_key(site),
    ]


@pytest.mark.servers
def test_the_keys_of_a_box_are_all_its_own(seaweed, open_as):
    target = open_as(seaweed.site)
    for key in keys_of(SITE, "01OWN")[:3]:
        assert deposit(target, key, DATA).version
        assert deposit(target, key, DATA).sha256 == DATA.sha256
        assert b"".join(target.read(key)) == b"one call"
    target.replace(heartbeat_key(SITE), b"1")
    target.replace(heartbeat_key(SITE), b"2")
    assert b"".join(target.read(heartbeat_key(SITE))) == b"2"
    assert target.look(keys_of(SITE, "nothing")[0]) is None


@pytest.mark.servers
def test_the_keys_of_other_boxes_are_not(seaweed, open_as):
    admin, target = open_as(seaweed.admin), open_as(seaweed.site)
    for site in ("office-10", "office-2"):
        for key in keys_of(site, "01OTHER"):
            admin.replace(key, b"theirs")
            for ask, right in (
                (lambda key=key: target.put(key, DATA), "PutObject"),
                (lambda key=key: target.replace(key, b"x"), "PutObject"),
                (lambda key=key: target.look(key), "GetObject"),
                (lambda key=key: list(target.read(key)), "GetObject"),
                (lambda key=key: target.remove(key), "DeleteObject"),
            ):
                with pytest.raises(RefusedError, match=rf"needs s3:{right} .*{re.escape(key)}"):
                    ask()
            assert b"".join(admin.read(key)) == b"theirs"
    with pytest.raises(RefusedError, match="needs s3:PutObject"):
        target.put("catalogue/manifest.json", DATA)


@pytest.mark.servers
def test_a_box_can_neither_list_nor_remove(seaweed, open_as):
    target = open_as(seaweed.site)
    key = keys_of(SITE, "01KEPT")[0]
    target.put(key, DATA)
    with pytest.raises(RefusedError, match="needs s3:DeleteObject"):
        target.remove(key)
    for prefix in ("", f"calls/site={SITE}/"):
        with pytest.raises(RefusedError, match="needs s3:ListBucket"):
            list(target.list(prefix))
    assert target.look(key).size == DATA.size


@pytest.mark.servers
def test_the_default_lock_of_the_bucket_is_seen(seaweed, open_as):
    target = open_as(seaweed.site)
    key = keys_of(SITE, "01LOCKED")[0]
    held = deposit(target, key, DATA)
    until = datetime.fromisoformat(held.locked_until)
    assert timedelta(hours=23) < until - datetime.now(UTC) < timedelta(hours=25)
    assert_cannot_be_removed(seaweed, key, held)


def assert_cannot_be_removed(seaweed, key, held):
    """Not even by the administrator: what a plain removal hides is still there by its version."""
    removal = seaweed.request("DELETE", f"{BUCKET}/{key}", {"versionId": held.version})
    assert removal.status == 403
    seaweed.ask("DELETE", f"{BUCKET}/{key}")
    found = seaweed.ask("GET", f"{BUCKET}/{key}", {"versionId": held.version})
    assert found.body == b"one call"


@pytest.mark.servers
@pytest.mark.parametrize("mode", ["governance", "compliance"])
def test_lock_days_are_sent_and_hold(seaweed, open_as, mode):
    target = open_as(seaweed.locking, lock_days=30, lock_mode=mode)
    key = keys_of(SITE, f"01{mode.upper()}")[0]
    held = deposit(target, key, DATA)
    until = datetime.fromisoformat(held.locked_until)
    assert timedelta(days=29, hours=23) < until - datetime.now(UTC) < timedelta(days=30, hours=1)
    head = seaweed.ask("HEAD", f"{BUCKET}/{key}")
    assert head.headers["x-amz-object-lock-mode"] == mode.upper()
    assert_cannot_be_removed(seaweed, key, held)
    target.replace(heartbeat_key(SITE), b"now")  # tells the state of now only, and is not locked on
    until = datetime.fromisoformat(target.look(heartbeat_key(SITE)).locked_until)
    assert until - datetime.now(UTC) < timedelta(days=2)


@pytest.mark.servers
def test_lock_days_need_a_right_and_a_bucket(seaweed, open_as, tmp_path):
    key = keys_of(SITE, "01RIGHT")[0]
    with pytest.raises(RefusedError, match=r"with archive\.lock_days s3:PutObjectRetention"):
        open_as(seaweed.site, lock_days=30).put(key, DATA)
    plain = seaweed.new_bucket()
    with pytest.raises(RefusedError, match="object lock"):
        open_as(seaweed.admin, f"s3://{plain}", lock_days=30).put(key, DATA)


@pytest.mark.servers
def test_wrong_keys(seaweed, open_as):
    key = keys_of(SITE, "01WRONG")[0]
    with pytest.raises(RefusedError, match="the secret key is another one") as caught:
        open_as(Keys("site-key", "another-secret")).put(key, DATA)
    assert "another-secret" not in str(caught.value)
    with pytest.raises(RefusedError, match="does not know the access key"):
        open_as(Keys("nobody", "site-secret")).put(key, DATA)


@pytest.mark.servers
def test_new_keys_are_taken_without_a_restart(seaweed, open_as, tmp_path):
    target = open_as(Keys("old-key", "old-secret"))
    credentials_file(tmp_path, seaweed.site, "credentials-0")
    key = keys_of(SITE, "01ROTATED")[0]
    target.put(key, DATA)
    credentials_file(tmp_path, Keys("old-key", "old-secret"), "credentials-0")
    assert target.look(key).size == DATA.size  # on the connection of before
    target.close()
    with pytest.raises(RefusedError):
        target.look(key)
    credentials_file(tmp_path, seaweed.site, "credentials-0")
    assert target.look(key).size == DATA.size


@pytest.mark.servers
def test_a_wrong_clock(seaweed, open_as, monkeypatch):
    class Slow(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(hours=2)

    with monkeypatch.context() as patch:
        patch.setattr("recorderd.archive.s3http.datetime", Slow)
        target = open_as(seaweed.site)
        with pytest.raises(TryAgainError, match="clock"):
            target.put(keys_of(SITE, "01CLOCK")[0], DATA)


@pytest.mark.servers
def test_a_listing_of_more_than_a_page(seaweed, open_as):
    place = seaweed.new_prefix()
    target = open_as(seaweed.admin, f"s3://{place}")
    keys = [f"landing/site=office-{n % 7}/{n:04d}.jsonl.gz" for n in range(1050)]
    for key in keys:
        target.put(key, DATA)
    assert [each.key for each in target.list("landing/")] == sorted(keys)
    target.page_keys = 100
    assert [each.key for each in target.list("")] == sorted(keys)
    assert [each.key for each in target.list("landing/site=office-3/")] == sorted(
        key for key in keys if "office-3" in key
    )


def test_the_page_for_people_has_the_policies_of_these_tests():
    text = (Path(archive.__file__).parent / "README.md").read_text("utf-8")
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    actions = ["PutObject", "GetObject"]
    assert site_policy("recordings", "osaka-clinic", actions) in blocks
    (seaweed,) = [block for block in blocks if "identities" in block]
    tested = identities(Keys("a", "b"), Keys("c", "d"), Keys("e", "f"))
    assert {key for each in seaweed["identities"] for key in each} == {
        key for each in tested["identities"] for key in each
    }
    (policy,) = seaweed["policies"]
    assert json.loads(policy["content"]) == site_policy("recordings", "osaka-clinic", actions)
