"""Small offices with everything in them that can be altered, and bundles out of them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from recorderd.core.manifest import AmendTimes, Notice
from recorderd.evidence.export import Request, export
from recorderd.store import ledger as ledger_module
from recorderd.store.holds import place_hold
from recorderd.store.ledger import open_desk
from tests.store.calls import CALLER, KEY, READING, SITE, Office, a_record, at

UNTRUE = replace(READING, synchronised=False, source="none")
NOTICE = Notice("notice-ja.wav", "a" * 64, at(60.5), 8000, completed=True, heard="heard", score=0.9)
LINES_PER_FILE = 12


class Store:
    """A state directory of four recorded calls, two of them amended, a missed one and one given up.

    Its ledger is in several files; `desk` has a hold and an export.
    """

    def __init__(self, folder, segment_s=2, *, is_sealed=False):
        keys = folder / "keys"
        keys.mkdir()
        (keys / "device.key").write_text(KEY.private_pem())
        (keys / "device.pem").write_text(KEY.public_pem)
        self.directory = folder
        self.office = Office(folder, segment_s=segment_s, is_sealed=is_sealed)

    def fill(self):
        with short_files():
            self.early_calls()
            self.later_calls()
        return self

    def early_calls(self):
        self.call("1a", 10.0, reading=UNTRUE)
        self.call("2b", 20.0, reading=UNTRUE, caller=CALLER)
        self.office.writer.handle(AmendTimes(replace(READING, source="ntp")))
        self.office.settle()
        self.hold("2b")

    def later_calls(self):
        office = self.office
        self.call("3c", 40.0, caller=CALLER)
        record = a_record("4d", started=52.0, direction="inbound", disposition="missed")
        office.file(replace(record, answered_at=None, ended_at=at(55.0)))
        office.settle()
        office.run_to(56.2)
        given_up = office.open(a_record("5e", started=56.0))
        office.run_to(57.0)
        office.abandon(given_up)
        office.settle()
        self.call("6f", 60.0, caller=CALLER, notice=NOTICE)
        self.exported("1a", self.directory.parent / f"{self.directory.name}-first")
        office.ledger.append("stopped")
        office.ledger.sign()

    def call(self, call_id, start, length_s=4.0, **known):
        self.office.whole_call(
            start, start + length_s, record=a_record(call_id, started=start, **known)
        )

    def folder(self, call_id):
        (found,) = self.directory.glob(f"calls/*/*/*/{call_id}")
        return found

    def hold(self, call_id):
        with open_desk(self.directory, SITE.name, self.office.reading) as desk:
            when = "2026-11-23T19:00:00.000+09:00"
            place_hold(self.folder(call_id), desk, "chief", "dispute", when)

    def exported(self, *call_ids_and_target):
        *call_ids, target = call_ids_and_target
        request = Request(
            self.directory,
            SITE.name,
            [self.folder(call_id) for call_id in call_ids],
            target,
            "tanaka",
            "2026-11-23T19:00:00.000+09:00",
        )
        export(request, self.office.reading)
        return target


@contextmanager
def short_files():
    """A ledger in several files, as after years."""
    with patch.object(ledger_module, "FILE_LINES_MAX", LINES_PER_FILE):
        yield


def files_of(folder, parts=("",)):
    """Every file below `folder` under one of `parts`, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for part in parts
        for path in sorted((folder / part).rglob("*"))
        if path.is_file()
    }
