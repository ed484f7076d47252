"""Offices that land calls, an archive that is a folder, and targets in which things go wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from recorderd.archive.layout import landing_key
from recorderd.archive.posixfs import MARKER, FolderTarget
from recorderd.archive.rows import pack, utc
from recorderd.archive.target import content_of_bytes
from recorderd.central.place import Place
from recorderd.core.numbers import narrow_key
from recorderd.errors import RefusedError
from tests.upload.box import ARCHIVE

NOW = datetime(2026, 7, 20, 12, 0, tzinfo=UTC)


def folder_target(folder):
    """An archive in a folder, made where there is none."""
    folder.mkdir(exist_ok=True)
    (folder / MARKER).touch()
    return FolderTarget(f"file://{folder}")


class Watched:
    """A target that lets somebody look before each call: `before(n, name)`."""

    def __init__(self, target, before):
        self.target = target
        self.name = target.name
        self.calls = 0
        self.before = before

    def __getattr__(self, name):
        done = getattr(self.target, name)

        def call(*values):
            self.calls += 1
            self.before(self.calls, name)
            return done(*values)

        return call


class CrashError(Exception):
    """The process dies here."""


def crash_at(number):
    def before(count, _name):
        if count == number:
            raise CrashError

    return before


def refuse_removals(_count, name):
    if name == "remove":
        raise RefusedError("it is locked")


def place_of(folder, target=None):
    archive = replace(ARCHIVE, url=f"file://{folder}")
    return Place(target or folder_target(folder), archive)


def a_row(call="c1", number="0312345678", started="2026-07-10T10:00:00.000+09:00", **known):
    base = {
        "form": 1,
        "call": call,
        "revision": 0,
        "site": "osaka",
        "date": started[:10],
        "started_utc": utc(started),
        "started_at": started,
        "ended_at": started,
        "duration_s": 12.5,
        "line": "front",
        "direction": "inbound",
        "disposition": "recorded",
        "reason": None,
        "number": number,
        "name": None,
        "absence": None,
        "sealed": False,
        "keys": [narrow_key(number)] if number else [],
        "retention": "standard",
        "segments": 1,
        "frames": 100_000,
        "gaps": 0,
        "cut": False,
        "notice_completed": None,
        "notice_heard": None,
        "record_sha256": "a" * 64,
        "erased_at": None,
    }
    return {**base, **known}


def erased(row, at="2026-07-19T00:00:00.000+09:00"):
    gone = {"number": None, "name": None, "keys": [], "erased_at": at, "revision": 1_000_000}
    return {**row, **gone}


def land(target, rows, name="00-000001", site=None, date=None):
    key = landing_key(site or rows[0]["site"], date or rows[0]["date"], name)
    target.put(key, content_of_bytes(pack(rows)))
    return key


def later(hours):
    return lambda: NOW + timedelta(hours=hours)


def now():
    return NOW
