from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from recorderd.runtime import clock as clock_module
from recorderd.runtime.clock import SystemClock


@pytest.mark.parametrize(
    ("answer", "synchronised"),
    [(0, True), (1, True), (4, True), (5, False), (-1, False)],
    ids=["ok", "leap-second-comes", "leap-second-was", "not-synchronised", "may-not-be-asked"],
)
def test_a_clock_is_synchronised_only_where_the_kernel_says_so(
    answer, synchronised, tmp_path, monkeypatch
):
    monkeypatch.setattr(clock_module, "_TIMESYNCD", tmp_path / "synchronized")
    clock = SystemClock()
    clock._libc = SimpleNamespace(adjtimex=lambda _buffer: answer)
    reading = clock.reading()
    assert reading.synchronised is synchronised
    assert (reading.source == "none") is not synchronised


def test_where_the_kernel_may_not_be_asked_the_mark_of_timesyncd_counts(tmp_path, monkeypatch):
    mark = tmp_path / "synchronized"
    monkeypatch.setattr(clock_module, "_TIMESYNCD", mark)
    clock = SystemClock()
    clock._libc = SimpleNamespace(adjtimex=lambda _buffer: -1)
    assert not clock.reading().synchronised
    mark.touch()
    reading = clock.reading()
    assert (reading.synchronised, reading.source) == (True, "timesyncd")
    clock._libc = SimpleNamespace(adjtimex=lambda _buffer: 5)
    assert not clock.reading().synchronised, "the kernel's own word comes first"


@pytest.mark.parametrize(
    ("age_s", "word", "synchronised"),
    [
        (0, True, True),  # chrony, say: it leaves no mark
        (60, True, True),
        (0, False, False),  # also beside a mark: the recorder has asked the kernel
        (91, False, True),  # too long ago; the mark counts
        (-91, False, True),  # the clock was set back since
        (0, None, True),  # a recorder of before
    ],
)
def test_where_the_kernel_may_not_be_asked_the_recorders_fresh_word_counts(
    age_s, word, synchronised, tmp_path, monkeypatch
):
    mark = tmp_path / "synchronized"
    monkeypatch.setattr(clock_module, "_TIMESYNCD", mark)
    clock = SystemClock(tmp_path)
    clock._libc = SimpleNamespace(adjtimex=lambda _buffer: -1)
    assert not clock.reading().synchronised, "the recorder has not run yet"
    if word is not True:
        mark.touch()
    told = {"at": (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat(), "alarms": []}
    if word is not None:
        told["clock_synchronised"] = word
    (tmp_path / "status.json").write_text(json.dumps(told), "utf-8")
    assert clock.reading().synchronised is synchronised
