"""The servers of the other tests are what those need: else they would prove nothing."""

from __future__ import annotations

import pytest

from tests.archive.servers import BUCKET, SITE

pytestmark = pytest.mark.servers

OWN = f"{BUCKET}/calls/site={SITE}/date=2026-11-26/a=+ü.flac"


def test_the_site_key_puts_and_gets_its_own_and_nothing_else(seaweed):
    def status(method, path, query=None, body=b""):
        return seaweed.request(method, path, query, body=body, keys=seaweed.site).status

    assert status("PUT", OWN, body=b"sound") == 200
    assert seaweed.request("GET", OWN, keys=seaweed.site).body == b"sound"
    for room in ("calls", "ledger", "landing", "health"):
        assert status("PUT", f"{BUCKET}/{room}/site={SITE}/x", body=b"x") == 200
        assert status("PUT", f"{BUCKET}/{room}/site=office-10/x", body=b"x") == 403
        assert status("GET", f"{BUCKET}/{room}/site=office-10/x") == 403
    assert status("DELETE", OWN) == 403
    assert status("GET", BUCKET, {"list-type": "2"}) == 403
    assert status("GET", BUCKET, {"list-type": "2", "prefix": f"calls/site={SITE}/"}) == 403
    assert status("PUT", f"{BUCKET}/catalogue/x", body=b"x") == 403


def test_what_the_bucket_locks_even_the_administrator_does_not_remove(seaweed):
    version = seaweed.ask("PUT", f"{BUCKET}/locked", body=b"x").headers["x-amz-version-id"]
    head = seaweed.ask("HEAD", f"{BUCKET}/locked")
    assert head.headers["x-amz-object-lock-mode"] == "GOVERNANCE"
    removal = seaweed.request("DELETE", f"{BUCKET}/locked", {"versionId": version})
    assert removal.status == 403
    assert seaweed.versions(BUCKET, "locked") == 1
