"""The story of the rig, second part: calls, what the journal has of them, and a power cut in the middle of one."""

from __future__ import annotations

import json

import pytest

from tests.rig.box import RATE_HZ, figure, missing_of
from tests.rig.page import quoted

pytestmark = pytest.mark.rig


NUMBER = "0312345678"

BY_LINE = quoted("journalctl")
BY_CALL = quoted("CALL_ID=")
BY_FACT = quoted("FACT=")
WARNINGS = quoted("-p ")
WHOLE = quoted("-o json")


def test_a_call_from_ring_to_hang_up(box):
    box.offer(NUMBER)
    box.wait_for("talking")
    box.talk(8)
    box.hang_up()
    box.wait_for("idle")
    (call,) = box.calls()
    assert (call["direction"], call["disposition"]) == ("inbound", "recorded")
    assert call["caller"]["number"] == NUMBER
    assert call["notice"]["completed"] is True
    assert call["cut"] is False
    assert box.sound_of(call) == [440, 1000]
    figure("of the call's sound missing", 100 * missing_of(call), "%")
    assert missing_of(call) < 0.3
    box.run(f"recorderd verify {call['id']}")


def test_the_journal_finds_the_call(box):
    (call,) = box.calls()
    journal, _, by_line = BY_LINE.rpartition(" ")

    def facts(wanted):
        command = f"{journal} {wanted} -q {WHOLE}"
        return [json.loads(entry) for entry in box.run(command).splitlines()]

    of_call = facts(BY_CALL.replace("…", call["id"]))
    assert {fact["LINE"] for fact in of_call} == {"front-desk"}
    assert {"CallOffered", "CallAnswered", "CallEnded"} <= {fact["FACT"] for fact in of_call}
    assert {fact["LINE"] for fact in facts(by_line)} == {"front-desk"}
    (answered,) = facts(BY_FACT)
    assert answered["CALL_ID"] == call["id"]
    assert all(int(fact["PRIORITY"]) <= 4 for fact in facts(WARNINGS))
    assert NUMBER not in box.run("journalctl -q -u recorderd -o json")


def test_a_power_cut_in_mid_call(box):
    box.offer("0663456789")
    box.wait_for("talking")
    box.talk(12)
    box.machine.cut()
    figure("boot after the cut", box.machine.start())
    box.machine.until("systemctl is-active recorderd")
    calls = box.calls()
    assert len(calls) == 2, "the first is there, and the one that was cut"
    cut = calls[1]
    assert cut["cut"] is True
    assert cut["caller"]["number"] == "0663456789"
    assert cut["audio"]["frames"] / RATE_HZ > 10, "12 s of talking and the lead, less 2 s"
    assert box.sound_of(cut) == [440, 1000]
    box.verify_all()
