"""What reaches the journal, read back from a socket in its place."""

from __future__ import annotations

import io
import logging
import os
import socket

import pytest

from recorderd import events as ev
from recorderd.runtime.logs import JournalHandler, _stderr_is_journal, log_fact
from recorderd.units import ClockReading, MonoNs, WallNs

READING = ClockReading("boot", MonoNs(0), WallNs(0), synchronised=True, source="ntp")


@pytest.fixture
def journal(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "socket"))
        receiver.settimeout(5)
        yield receiver


@pytest.fixture
def handler(tmp_path):
    log = logging.getLogger("recorderd")
    handler = JournalHandler(str(tmp_path / "socket"))
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    handler.stream = io.StringIO()
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)
    log.setLevel(before)
    handler._socket.close()


def fields_of(data):
    """The native journal protocol, as systemd.io/JOURNAL_NATIVE_PROTOCOL has it."""
    found = {}
    while data:
        name, _, data = data.partition(b"\n")
        length = int.from_bytes(data[:8], "little")
        found[name.decode()] = data[8 : 8 + length].decode()
        assert data[8 + length : 9 + length] == b"\n"
        data = data[9 + length :]
    return found


def test_a_fact_has_fields_of_its_own(journal, handler):
    log_fact(ev.CallNotRecorded(MonoNs(0), "front-desk", "c1", "no sound card"), READING)
    fields = fields_of(journal.recv(65536))
    assert fields["CALL_ID"] == "c1"
    assert fields["LINE"] == "front-desk"
    assert fields["FACT"] == "CallNotRecorded"
    assert fields["PRIORITY"] == "4"
    assert fields["SYSLOG_IDENTIFIER"] == "recorderd"
    assert "CallNotRecorded" in fields["MESSAGE"]


def test_an_error_keeps_its_lines_in_one_entry(journal, handler):
    try:
        int("the reason")
    except ValueError:
        logging.getLogger("recorderd.test").exception("it ended")
    fields = fields_of(journal.recv(65536))
    assert fields["PRIORITY"] == "3"
    assert fields["MESSAGE"].startswith("ERROR recorderd.test: it ended\nTraceback")
    assert fields["MESSAGE"].endswith("'the reason'")


def test_a_journal_that_is_not_there_has_it_on_its_stream(handler):
    logging.getLogger("recorderd.test").warning("still here")
    assert handler.stream.getvalue() == "WARNING recorderd.test: still here\n"


def test_a_journal_that_is_busy_is_not_waited_for(journal, handler):
    log = logging.getLogger("recorderd.test")
    for number in range(10_000):
        log.info("line %d", number)
        if handler.stream.getvalue():
            return
    pytest.fail("10,000 entries that nobody read: the socket took them all")


def test_the_journal_is_used_where_standard_error_leads_there(monkeypatch):
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    assert _stderr_is_journal()
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino + 1}")
    assert not _stderr_is_journal()
    monkeypatch.delenv("JOURNAL_STREAM")
    assert not _stderr_is_journal()


def test_a_number_that_is_dialled_is_not_in_the_log(journal, handler):
    log_fact(ev.PulseDialled(MonoNs(1), "front-desk", "7"), READING)
    entry = journal.recv(4096)
    assert b"PulseDialled" in entry
    assert b"digit=7" not in entry
