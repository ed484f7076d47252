from __future__ import annotations

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
