"""What people write behind --from, --to and --why."""

from __future__ import annotations

import getpass
from contextlib import closing
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from recorderd.cli import hold
from recorderd.cli.calls import moment
from recorderd.errors import UsageError
from recorderd.store.catalogue import open_catalogue
from recorderd.units import NS_PER_S

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text, *, end=False, zone=BERLIN):
    return datetime.fromtimestamp(moment(text, zone, end=end) / NS_PER_S, ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("text", "end", "found"),
    [
        ("2026-03-29", False, "2026-03-28T23:00"),  # the day has 23 hours,
        ("2026-03-29", True, "2026-03-29T22:00"),
        ("2026-10-25", False, "2026-10-24T22:00"),  # and this one 25
        ("2026-10-25", True, "2026-10-25T23:00"),
        ("2026-10-25T02:30", False, "2026-10-25T00:30"),  # there twice: the first
        ("2026-10-25T02:30+01:00", False, "2026-10-25T01:30"),
        ("2026-12-31", True, "2026-12-31T23:00"),
        ("20261231", True, "2026-12-31T23:00"),
        ("2026-12-31T12:00", True, "2026-12-31T11:00"),
    ],
)
def test_days_and_times_are_those_of_the_site(text, end, found):
    assert utc(text, end=end).isoformat()[:16] == found


@pytest.mark.parametrize("text", ["9999-12-31", "9999-12-31T23:59:59", "2300-01-01", "0001-01-01"])
@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_end_of_all_days_is_a_time_that_can_be_asked_for(tmp_path, text, end, zone):
    found = moment(text, ZoneInfo(zone), end=end)
    with closing(open_catalogue(tmp_path / "catalogue.sqlite")) as catalogue:
        assert catalogue.find(since=found, until=found) == []
    assert (found > 0) is (text > "1970")


@pytest.mark.parametrize("text", ["", "never", "2026-13-01", "2026-11-31"])
def test_what_is_no_time_is_told(text):
    with pytest.raises(UsageError, match="is no time"):
        moment(text, BERLIN, end=False)


def test_a_reason_in_another_encoding_is_told_before_anything_is_entered():
    with pytest.raises(UsageError, match="it is not UTF-8"):
        hold.reason(b"d\xe9saccord".decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("error", [KeyError("uid not found: 4711"), OSError("No username set")])
def test_a_user_without_a_name_may_hold_a_call(monkeypatch, error):
    def nobody():
        raise error

    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", nobody)
    assert hold.user().startswith("uid ")
