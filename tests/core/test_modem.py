"""The dialogue with the modem: setting it up, probing it, leaving it alone, giving it up."""

from __future__ import annotations

from itertools import pairwise

import pytest

from recorderd.core.modem_text import LINE_BYTES
from recorderd.events import (
    CallerIdReported,
    ModemBytes,
    ModemRang,
    ModemReady,
    ModemSilent,
    RingingStarted,
    RingingStopped,
)
from recorderd.units import MonoNs, ms, seconds
from tests.core.modem_bench import BASE, LINE, USR, Answering, Bench, dead


def ready_bench(answers=None, **options):
    bench = Bench(Answering(answers or USR, **options))
    bench.plug()
    bench.wait(30)
    assert len(bench.of(ModemReady)) == 1
    return bench


def ring_unidentified(bench, rings=4):
    """A call that rings without a report, until the line is quiet again."""
    for _ in range(rings):
        bench.lines("RING")
        bench.wait(6)
    bench.wait(10)


# ------------------------------------------------------------ set-up


@pytest.mark.parametrize("echo", [True, False])
def test_set_up_never_answers_calls_and_enables_by_the_common_command(echo):
    bench = ready_bench(echo=echo)
    assert bench.written == ["ATZ", "ATQ0V1E1S0=0", "AT&D0", "ATI", "AT+VCID=1"]
    ready = bench.of(ModemReady)[0]
    assert ready.identity == "U.S. Robotics 5637 (5601)"
    assert ready.caller_id_command == "AT+VCID=1"


@pytest.mark.parametrize(
    "accepted", ["AT#CID=1", "AT#CLS=8#CID=1", "AT#CC1", "AT*ID1", "AT%CCID=1", "AT-STE=1;#CID=1"]
)
def test_enable_commands_are_tried_in_turn_until_one_is_accepted(accepted):
    bench = ready_bench(BASE | {"ATI": "56K\r\n\r\nOK", accepted: "OK"})
    assert bench.of(ModemReady)[0].caller_id_command == accepted
    assert bench.written[-1] == accepted
    assert bench.written.index("AT+VCID=1") == 4


def test_an_unknown_modem_goes_by_its_own_words():
    bench = ready_bench(USR | {"ATI": "Acme 56k\r\nrev 3\r\n\r\nOK"})
    assert bench.of(ModemReady)[0].identity == "Acme 56k rev 3"


def test_a_stored_profile_that_answers_nothing_is_got_over():
    bench = ready_bench(USR | {"ATZ": ""})
    assert bench.of(ModemSilent) == []


def test_countries_get_their_standard():
    japan = Bench(Answering(BASE | {"ATI": "56000\r\n\r\nOK", "AT+VCID=1": "OK"}), "JP")
    japan.plug()
    japan.wait(30)
    assert japan.written[4:8] == ["AT+GCI=00", "AT+VCDT=3", "AT!4886=01", "AT+VCID=1"]
    other = Bench(Answering(USR), "JP")
    other.plug()
    other.wait(30)
    assert "AT!4886=01" not in other.written
    assert len(japan.of(ModemReady)) == len(other.of(ModemReady)) == 1


def test_a_modem_without_caller_id_is_reported_once_and_tried_for_ever():
    bench = Bench(Answering(BASE))
    bench.plug()
    bench.wait(600)
    silent = bench.of(ModemSilent)
    assert len(silent) == 1
    assert "refuses" in silent[0].reason
    resets = [at for at, command in bench.commands if command == "ATZ"]
    pauses = [round((after - at) / 1e9) for at, after in pairwise(resets)]
    assert pauses[:5] == sorted(pauses[:5])
    assert max(pauses) <= 65
    assert len(resets) > 8
    bench.modem = Answering(USR)
    bench.wait(70)
    assert len(bench.of(ModemReady)) == 1


def test_the_base_refused_does_not_hold_the_set_up_for_ever():
    bench = Bench(Answering(USR | {"ATQ0V1E1S0=0": "ERROR"}))
    bench.plug()
    bench.wait(5)
    assert bench.written.count("ATQ0V1E1S0=0") == 3


# ------------------------------------------------------------ health


def test_a_dead_port_is_reported_once_with_the_mend_and_found_again():
    bench = Bench(dead)
    bench.plug()
    bench.wait(600)
    assert len(bench.of(ModemSilent)) == 1
    assert "cable" in bench.of(ModemSilent)[0].reason
    bench.modem = Answering(USR)
    bench.wait(70)
    assert len(bench.of(ModemReady)) == 1


def test_a_wrong_baud_rate_is_named():
    bench = Bench(lambda command: b"\xfe\x81\x00\xe0")
    bench.plug()
    bench.wait(60)
    assert "baud rate" in bench.of(ModemSilent)[0].reason


def test_an_idle_modem_is_probed_and_three_silent_probes_are_its_end():
    bench = ready_bench()
    bench.wait(200)
    assert bench.written[5:] == ["AT+VCID?"] * 3
    bench.modem = dead
    died_at = bench.now
    bench.wait(80)
    assert [type(fact) for fact in bench.facts[1:]] == [ModemSilent]
    assert bench.facts[1].at - died_at < seconds(80)


def test_one_lost_answer_is_no_alarm():
    bench = ready_bench()
    bench.modem = dead
    bench.wait(32)
    assert bench.written[-1] == "AT+VCID?"
    bench.modem = Answering(USR)
    bench.wait(300)
    assert bench.of(ModemSilent) == []


def test_a_modem_that_cannot_be_asked_is_probed_plainly():
    bench = ready_bench(USR | {"AT+VCID?": "ERROR"})
    bench.wait(300)
    assert bench.written[5:8] == ["AT+VCID?", "AT", "AT"]
    assert bench.of(ModemSilent) == []


@pytest.mark.parametrize("answer", ["0", "+VCID: 0"])
def test_a_modem_that_was_reset_is_set_up_again(answer):
    bench = ready_bench()
    bench.modem = Answering(USR | {"AT+VCID?": f"{answer}\r\n\r\nOK"})
    bench.wait(65)
    assert bench.written[5:] == ["AT+VCID?", "ATZ", "ATQ0V1E1S0=0", "AT&D0", "ATI", "AT+VCID=1"]
    assert len(bench.of(ModemReady)) == 2


def test_a_replug_sets_up_again_and_the_loss_is_told():
    bench = ready_bench()
    bench.unplug("pulled out")
    assert bench.of(ModemSilent)[0].reason == "pulled out"
    bench.wait(300)
    assert len(bench.written) == 5
    assert bench.machine.deadline() is None
    bench.plug()
    bench.wait(30)
    assert bench.written[5:] == bench.written[:5]
    assert len(bench.of(ModemReady)) == 2


def test_rings_without_caller_id_are_noticed_and_set_up_again():
    bench = ready_bench()
    for _ in range(2):
        ring_unidentified(bench)
    assert bench.of(ModemSilent) == []
    ring_unidentified(bench)
    bench.wait(30)
    assert "without caller ID" in bench.of(ModemSilent)[0].reason
    assert bench.written.count("AT+VCID=1") == 2
    assert len(bench.of(ModemReady)) == 2


def test_a_line_without_the_service_raises_fewer_and_fewer_alarms():
    bench = ready_bench()
    for _ in range(45):
        ring_unidentified(bench)
        bench.wait(60)
    assert len(bench.of(ModemSilent)) == 4  # after 3, 6, 12, 24


def test_rings_that_only_the_sensor_sees_count_as_well():
    bench = ready_bench()
    for _ in range(3):
        bench.give(RingingStarted(bench.now, LINE))
        bench.wait(30)
        stopped = RingingStopped(bench.now, LINE, 5)
        bench.wait(7)
        bench.give(stopped)
        bench.wait(20)
    assert "without caller ID" in bench.of(ModemSilent)[0].reason


def test_a_report_before_the_ring_or_of_a_withheld_number_counts():
    bench = ready_bench()
    for _ in range(3):
        ring_unidentified(bench, rings=3)
        bench.lines("DATE = 0321", "NMBR = P")
        bench.wait(1)
        ring_unidentified(bench)
    assert bench.of(ModemSilent) == []


def test_calls_answered_after_one_ring_prove_nothing():
    bench = ready_bench()
    for _ in range(20):
        ring_unidentified(bench, rings=1)
    assert bench.of(ModemSilent) == []


# ------------------------------------------------------------ boxes that only report


def test_a_box_that_reports_is_alive_and_left_alone():
    bench = Bench(dead)
    bench.plug()
    bench.wait(30)
    assert len(bench.of(ModemSilent)) == 1
    bench.lines("###DATE03301423...NMBR4075551212...NAMEWIRELESS CALL+++")
    bench.wait(1)
    assert [type(fact) for fact in bench.facts[1:]] == [CallerIdReported, ModemReady]
    written = len(bench.written)
    bench.wait(3600)
    assert len(bench.written) == written
    assert len(bench.of(ModemSilent)) == 1


def test_a_box_that_reports_during_set_up_is_never_called_silent():
    bench = Bench(dead)
    bench.plug()
    bench.wait(1)
    bench.lines("NMBR = 5551212")
    bench.wait(60)
    assert [type(fact) for fact in bench.facts] == [CallerIdReported, ModemReady]


def test_a_box_that_stops_reporting_while_the_line_rings_is_noticed():
    bench = Bench(dead)
    bench.plug()
    bench.lines("NMBR = 5551212")
    bench.wait(60)
    for _ in range(3):
        ring_unidentified(bench)
    bench.wait(60)
    assert isinstance(bench.facts[-1], ModemSilent)


# ------------------------------------------------------------ leaving a report alone


def test_nothing_is_written_from_a_ring_until_ten_quiet_seconds():
    bench = Bench(Answering(USR))
    bench.lines("RING")
    rung_at = bench.now
    bench.plug()
    bench.wait(5)
    bench.lines("NMBR = 5551212")
    reported_at = bench.now
    bench.wait(30)
    assert min(at for at, _ in bench.commands) >= reported_at + seconds(10) > rung_at
    assert len(bench.of(ModemReady)) == 1


def test_a_ring_that_only_the_sensor_sees_keeps_quiet_too():
    bench = Bench(Answering(USR))
    bench.give(RingingStarted(bench.now, LINE))
    bench.plug()
    bench.wait(9.9)
    assert bench.written == []


@pytest.mark.parametrize("text", ["CALLING MSG", "CIDM", "STAS"])
def test_what_announces_a_report_keeps_quiet(text):
    bench = Bench(Answering(USR))
    bench.lines(text)
    bench.plug()
    bench.wait(9.9)
    assert bench.written == []
    bench.wait(30)
    assert len(bench.of(ModemReady)) == 1


def test_a_command_that_a_ring_broke_off_is_written_again_afterwards():
    bench = Bench(dead)
    bench.plug()
    bench.wait(0)
    assert bench.written == ["ATZ"]
    bench.lines("RING", "OK")
    bench.modem = Answering(USR)
    bench.wait(9.9)
    assert bench.written == ["ATZ"]
    bench.wait(10)
    assert bench.written[:3] == ["ATZ", "ATZ", "ATQ0V1E1S0=0"]


def test_reports_come_through_in_the_midst_of_an_answer():
    bench = ready_bench()
    bench.wait(29)
    bench.modem = lambda command: b"\r\nRING\r\n\r\nDATE = 0321\r\nNMBR = 5551212\r\n\r\nOK\r\n"
    bench.wait(5)
    assert len(bench.of(ModemRang)) == 1
    assert [caller.number for caller in bench.callers] == ["5551212"]


# ------------------------------------------------------------ whose answer is it


def test_a_late_ok_is_not_taken_for_the_next_command():
    """The answer to ATI comes after its time; AT+VCID=1 is never answered and must not count."""
    answers = BASE | {"ATI": "", "AT+VCID=1": "", "AT#CID=1": "OK"}
    bench = Bench(Answering(answers))
    bench.plug()
    bench.wait(3.35)  # ATI is written at 0.3 s and given up at 3.3 s
    assert bench.written[-1] == "ATI"
    bench.wait(1)
    bench.lines("5601", "OK")
    bench.wait(30)
    assert bench.of(ModemReady)[0].caller_id_command == "AT#CID=1"


def test_an_ok_after_the_echo_of_another_command_answers_nothing():
    bench = Bench(Answering(BASE | {"AT+VCID=1": "", "AT#CID=1": "OK"}))
    bench.plug()
    while bench.written[-1:] != ["AT+VCID=1"]:
        bench.wait(0.05)
    bench.says("ATI\r\r\n5601\r\n\r\nOK\r\n")
    bench.wait(30)
    assert bench.of(ModemReady)[0].caller_id_command == "AT#CID=1"


def test_answers_without_a_question_change_nothing():
    bench = ready_bench()
    bench.lines("OK", "ERROR", "0", "OK")
    bench.wait(10)
    assert len(bench.facts) == 1
    assert len(bench.written) == 5


# ------------------------------------------------------------ bounds


def test_a_flood_of_report_lines_leaves_no_more_than_a_report_behind():
    bench = ready_bench()
    for number in range(100):
        bench.lines(f"NAME = {number} {'y' * 900}")
        bench.wait(0.1)
        assert sum(map(len, bench.machine._report._report.raw)) <= 1000 + LINE_BYTES


def test_a_flood_of_answers_leaves_a_few_lines_behind():
    bench = Bench(dead)
    bench.plug()
    bench.wait(0)
    for _ in range(100):
        bench.lines("z" * 1000)
    assert bench.written == ["ATZ"]
    assert len(bench.machine._reply_lines) == 8


def test_time_that_runs_backwards_raises_nothing():
    bench = ready_bench()
    for back_ms in (0, 10, 100_000):
        at = MonoNs(bench.now - ms(back_ms))
        bench.machine.handle(ModemBytes(at, LINE, b"\r\nRING\r\nNMBR = 1\r\n"))
    bench.wait(30)
