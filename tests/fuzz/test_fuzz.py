"""Every seed and everything that fuzzing ever found, through its target; and the judges judged."""

from __future__ import annotations

import hashlib

import pytest

from recorderd.core import callerid
from tests.dsp import signals
from tests.fuzz import targets
from tests.fuzz.plants import PLANTS
from tests.fuzz.seeds import FOUND, MESSAGES, SEEDS, inputs_of

INPUTS = [
    pytest.param(target, data, id=f"{target}-{hashlib.sha256(data).hexdigest()[:8]}-{place}")
    for target in targets.TARGETS
    for place, data in enumerate(inputs_of(target))
]


@pytest.mark.parametrize(("target", "data"), INPUTS)
def test_an_input_does_no_harm(target, data):
    targets.TARGETS[target].run(data)


def test_what_was_found_is_of_a_target():
    assert set(SEEDS) == set(targets.TARGETS)
    assert {path.parent.name for path in FOUND.glob("*/*")} <= set(targets.TARGETS)
    assert {target for target, _ in PLANTS.values()} == set(targets.TARGETS)


def test_the_judges_checksums_are_those_of_the_messages():
    for message in MESSAGES:
        is_display = message.startswith(callerid.DLE_SOH)
        right = targets.has_right_crc if is_display else targets.has_right_sum
        assert right(message)
        for place in range(3, len(message)):
            damaged = bytearray(message)
            damaged[place] ^= 0x04
            assert not right(bytes(damaged))


def test_a_judge_refuses_what_is_wrong(monkeypatch):
    """The first planted fault, without a fuzzer: one damaged message is enough."""
    damaged = bytearray(signals.sdmf(b"07251812", b"5035551234"))
    damaged[12] ^= 1
    targets.frames(b"0" + damaged)
    monkeypatch.setattr(
        callerid,
        "parse_frame",
        lambda data: callerid._parse_body(data[0], callerid._body(data)),
    )
    with pytest.raises(targets.WrongError, match="wrong checksum"):
        targets.frames(b"0" + damaged)
