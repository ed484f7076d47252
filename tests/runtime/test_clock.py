from __future__ import annotations

from types import SimpleNamespace

import pytest

from recorderd.runtime.clock import SystemClock


@pytest.mark.parametrize(
    ("answer", "synchronised"),
    [(0, True), (1, True), (4, True), (5, False), (-1, False)],
    ids=["ok", "leap-second-comes", "leap-second-was", "not-synchronised", "may-not-be-asked"],
)
def test_a_clock_is_synchronised_only_where_the_kernel_says_so(answer, synchronised):
    clock = SystemClock()
    clock._libc = SimpleNamespace(adjtimex=lambda _buffer: answer)
    reading = clock.reading()
    assert reading.synchronised is synchronised
    assert (reading.source == "none") is not synchronised
