"""Heartbeats: which boxes are well, and what cannot be right."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.archive.layout import heartbeat_key
from recorderd.central.sites import BadError, parse, sites
from tests.central.offices import NOW, folder_target


def a_beat(name="osaka", age_s=60, **changed):
    at = (NOW - timedelta(seconds=age_s)).isoformat()
    line = {"state": "idle", "last_recording_at": at, "devices": {"card": "ok"}}
    return {
        "form": 1,
        "site": name,
        "version": "0.9",
        "at": at,
        "every_s": 900,
        "config_sha256": "c" * 64,
        "device_fingerprint": "f" * 64,
        "clock_synchronised": True,
        "lines": {"front": line},
        "queue": {"calls": 0, "oldest_at": None, "parked": 0},
        "disk": {"free_mb": 9000, "used_mb_per_day": 40, "full_on": "2027-01-01"},
        "alarms": [],
        "heads": {"recorder": {"entries": 7, "hash": "a" * 64}},
        **changed,
    }


def beats(target, *given):
    for beat in given:
        data = beat if isinstance(beat, bytes) else json.dumps(beat).encode()
        name = "osaka" if isinstance(beat, bytes) else beat["site"]
        target.replace(heartbeat_key(name), data)


def the_site(top, beat):
    target = folder_target(top)
    beats(target, beat)
    (site,) = sites(target, (), NOW)
    return site


def queue(**changed):
    return {"calls": 9, "oldest_at": None, "parked": 0, **changed}


HOUR = 3600


@pytest.mark.parametrize(
    ("beat", "states"),
    [
        (a_beat(), ()),
        (a_beat(disk=None, lines={}), ()),
        (a_beat(age_s=HOUR), ()),
        (a_beat(age_s=HOUR + 1), ("silent",)),
        (a_beat(age_s=50, every_s=10), ("silent",)),
        (a_beat(alarms=["the card of line front is gone"]), ("sick",)),
        (a_beat(clock_synchronised=False), ("sick",)),
        (a_beat(queue=queue(oldest_at=(NOW - timedelta(hours=23)).isoformat())), ()),
        (a_beat(queue=queue(oldest_at=(NOW - timedelta(hours=25)).isoformat())), ("behind",)),
        (a_beat(queue=queue(parked=2)), ("behind",)),
        (a_beat(age_s=2 * HOUR, alarms=["x"], queue=queue(parked=1)), ("silent", "sick", "behind")),
    ],
)
def test_states(top, beat, states):
    site = the_site(top, beat)
    assert site.states == states
    assert site.is_ok == (not states)


@pytest.mark.parametrize(
    ("beat", "reason"),
    [
        (b'{"form": 1, "site": "os', "is cut, or not JSON"),
        (b"[" * 5000, "is cut, or not JSON"),
        (b"x" * (1 << 21), "has more than 1048576 bytes"),
        (a_beat(form=2), "is of an unknown form"),
        (a_beat(age_s=-HOUR), "is from the future"),
        (a_beat(every_s=0), "something of another kind"),
        (a_beat(at="2026-07-20T12:00:00"), "something of another kind"),
        (a_beat(queue=None), "something of another kind"),
        (a_beat(lines={"front": {"state": "idle"}}), "something of another kind"),
    ],
)
def test_what_cannot_be_right_is_told_for_that_site(top, beat, reason):
    target = folder_target(top)
    beats(target, beat, a_beat("kobe"))
    kobe, osaka = sites(target, (), NOW)
    assert kobe.is_ok
    assert osaka.states == ("unreadable",)
    assert reason in osaka.reasons[0]


def test_a_heartbeat_of_another_site(top):
    target = folder_target(top)
    target.replace(heartbeat_key("osaka"), json.dumps(a_beat("kobe")).encode())
    (site,) = sites(target, (), NOW)
    assert "it is of the site 'kobe'" in site.reasons[0]


def test_a_site_that_never_sent_one(top):
    (site,) = sites(folder_target(top), {"nara"}, NOW)
    assert (site.name, site.states, site.age_s) == ("nara", ("silent",), None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(a_beat())), JSON)
def test_any_other_value_is_taken_or_told(key, value):
    data = json.dumps({**a_beat(), key: value}).encode()
    with suppress(BadError):
        parse(data, "osaka", NOW)


@given(st.binary(max_size=200))
def test_any_bytes_are_told(data):
    with pytest.raises(BadError):
        parse(data, "osaka", NOW)
