"""The call machine: whose caller ID is whose, and what becomes of every off-hook."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd import commands, heard
from recorderd import events as ev
from recorderd.core.manifest import (
    AbandonRecording,
    CloseRecording,
    OpenRecording,
    SaveDraft,
)
from recorderd.units import seconds
from tests.core.line_pen import LINE, Line, caller, t


def test_answered_call_with_caller_id_between_rings():
    line = Line()
    line.ring(0)
    line.caller_id(3)
    line.ring(6)
    line.lift(9)
    line.announced(12)
    line.hang_up(60)
    (record,) = line.records()
    assert (record.direction, record.disposition, record.rings) == ("inbound", "recorded", 2)
    assert (record.started_at, record.answered_at, record.ended_at) == (t(0), t(9), t(60))
    assert record.caller.number == "0312345678"
    assert record.notice.completed
    assert record.notice.frames == 16000
    (opened,) = line.all(OpenRecording)
    assert opened.at == t(9)
    (play,) = line.all(commands.PlayAnnouncement)
    assert play.at == t(9.5)


def test_recording_opens_without_any_caller_id():
    line = Line()
    line.ring(0)
    assert [type(item) for item in line.lift(3)][:2] == [ev.CallAnswered, OpenRecording]


def test_caller_id_before_the_ring():
    line = Line()
    line.caller_id(0)
    line.ring(1)
    line.lift(3)
    line.hang_up(9)
    line.passed(12)
    (record,) = line.records()
    assert record.caller.number == "0312345678"
    assert record.started_at == t(0)


def test_a_report_told_after_the_ring_that_it_came_before_begins_the_call():
    line = Line("GB")
    line.feed(ev.RingingStarted(t(0.4), LINE))
    line.caller_id(0)
    line.passed(30)
    (record,) = line.records()
    assert record.started_at == t(0)


def test_late_caller_id_reaches_the_call_and_its_draft():
    line = Line()
    line.ring(0)
    line.lift(3)
    line.caller_id(4)
    assert line.all(SaveDraft)[-1].record.caller.number == "0312345678"
    assert not line.all(ev.CallWaitingIdentified)


def test_report_in_mid_call_is_call_waiting_and_never_the_caller():
    line = Line()
    line.ring(0)
    line.lift(3)
    line.caller_id(40, "0999")
    line.announced(6)
    line.hang_up(60)
    (record,) = line.records()
    assert record.caller is None
    assert [other.caller.number for other in record.call_waiting] == ["0999"]


def test_second_report_within_the_late_window_does_not_replace_the_caller():
    line = Line()
    line.ring(0)
    line.caller_id(2.5, "0311")
    line.lift(3)
    line.caller_id(5, "0322")
    assert line.machine.talking.caller.number == "0311"
    assert len(line.all(ev.CallWaitingIdentified)) == 1


def test_report_after_the_on_hook_edge_belongs_to_the_next_call():
    line = Line("GB")
    line.lift(0)
    line.caller_id(30.5, "0200")  # arrives before the hang-up is final
    line.hang_up(30)
    line.ring(32, 1)
    line.lift(35)
    line.hang_up(50)
    line.passed(60)
    first, second = line.records()
    assert first.caller is None
    assert first.call_waiting == ()
    assert second.caller.number == "0200"
    assert second.direction == "inbound"


def test_ring_before_the_hang_up_was_final_offers_the_next_call():
    line = Line(inbound_clip="")
    line.lift(0)
    line.feed(ev.ModemRang(t(30.5), LINE))
    line.hang_up(30)
    assert line.machine.offered is not None
    line.passed(40)
    assert [record.disposition for record in line.records()] == ["recorded", "missed"]


def test_missed_call_keeps_its_caller():
    line = Line()
    line.ring(0)
    line.caller_id(3)
    line.ring(6)
    line.feed(ev.RingingStopped(t(8), LINE, 2))
    (record,) = line.records()
    assert (record.disposition, record.caller.number) == ("missed", "0312345678")
    assert record.ended_at == t(8)
    assert line.machine.deadline() is None


def test_missed_by_modem_rings_alone():
    line = Line()
    line.feed(ev.ModemRang(t(0), LINE))
    line.feed(ev.ModemRang(t(6), LINE))
    line.passed(13.1)
    (record,) = line.records()
    assert (record.disposition, record.rings, record.ended_at) == ("missed", 2, t(6))


def test_a_stuck_ring_pin_is_no_missed_call():
    line = Line()
    line.feed(ev.RingingStarted(t(0), LINE))
    line.feed(ev.RingingStopped(t(10), LINE, 0))
    line.passed(60)
    assert line.records() == []
    assert line.machine.offered is None


def test_a_call_without_number_exists():
    line = Line()
    line.ring(0)
    line.feed(ev.CallerIdReported(t(3), LINE, caller(None, "private")))
    line.passed(30)
    (record,) = line.records()
    assert record.caller.absence == "private"
    assert record.caller.number is None


def test_another_caller_while_one_is_offered_is_another_call():
    line = Line("GB")
    line.caller_id(0, "0111")
    line.ring(1, 1)
    line.caller_id(6, "0222")
    line.ring(7, 1)
    line.lift(9)
    line.hang_up(20)
    line.passed(30)
    missed, talked = line.records()
    assert (missed.disposition, missed.caller.number) == ("missed", "0111")
    assert (talked.disposition, talked.caller.number) == ("recorded", "0222")
    assert talked.rings == 1


def test_the_same_report_twice_is_one_caller():
    line = Line()
    line.ring(0)
    line.caller_id(2.5)
    line.caller_id(3)
    assert len(line.all(ev.CallerIdentified)) == 1
    assert not line.all(ev.CallMissed)


def test_outbound_call_with_dialled_digits():
    line = Line(outbound_clip="out.wav")
    line.lift(0)
    for number, digit in enumerate("0120"):
        line.feed(ev.PulseDialled(t(1 + number), LINE, digit))
    line.announced(8)
    line.hang_up(20)
    (record,) = line.records()
    assert (record.direction, record.dialled) == ("outbound", "0120")
    assert line.all(commands.PlayAnnouncement)[0].clip == "out.wav"


def test_no_announcement_says_why():
    line = Line()
    line.lift(0)
    line.hang_up(5)
    (record,) = line.records()
    assert record.notice is None
    assert record.notice_reason == "no announcement is set for outbound calls"


def test_line_already_off_hook_at_start():
    line = Line()
    line.lift(0, at_start=True)
    line.caller_id(2, "0999")
    line.hang_up(5)
    (record,) = line.records()
    assert record.direction == "unknown"
    assert record.disposition == "recorded"
    assert record.caller is None
    assert not line.all(commands.PlayAnnouncement)
    assert "already going on" in record.notice_reason


def test_unplayed_announcement_can_forbid_the_recording():
    line = Line(records_without_notice=False)
    line.ring(0)
    line.lift(3)
    line.announced(4, started_at=None, frames=0, completed=False, error="no output device")
    (abandoned,) = line.all(AbandonRecording)
    assert abandoned.record is None
    line.feed(ev.HookFlashed(t(5), LINE, seconds(0.5)))
    line.hang_up(20)
    (record,) = line.records()
    assert record.disposition == "not-recorded"
    assert "no output device" in record.reason
    assert not line.all(CloseRecording)
    assert len(line.all(ev.CallNotRecorded)) == 1
    assert line.all(SaveDraft)[-1].record.disposition == "not-recorded"


def test_unplayed_announcement_is_noted_where_recording_goes_on():
    line = Line()
    line.ring(0)
    line.lift(3)
    line.announced(4, started_at=None, frames=0, completed=False, error="no output device")
    line.hang_up(20)
    (record,) = line.records()
    assert (record.disposition, record.notice) == ("recorded", None)
    assert record.notice_reason == "no output device"


def test_hang_up_stops_the_announcement_and_waits_for_its_end():
    line = Line()
    line.ring(0)
    line.lift(3)
    out = line.hang_up(4)
    assert [type(item) for item in out] == [ev.CallEnded, commands.StopAnnouncement]
    line.announced(5.4, started_at=t(3.5), frames=4000, completed=False)
    (record,) = line.records()
    assert not record.notice.completed
    assert record.notice.frames == 4000
    assert record.ended_at == t(4)


def test_a_card_that_never_answers_does_not_hold_the_record():
    line = Line()
    line.ring(0)
    line.lift(3)
    line.hang_up(4)
    line.ring(5)  # the next call may already ring
    line.passed(6.1)
    (record,) = line.records()
    assert "did not say" in record.notice_reason
    line.announced(7)
    assert len(line.records()) == 1


def test_flash_is_kept_and_does_not_end_the_call():
    line = Line(inbound_clip="")
    line.ring(0)
    line.lift(3)
    line.feed(ev.HookFlashed(t(10), LINE, seconds(0.6)))
    line.hang_up(20)
    (record,) = line.records()
    assert record.flashes[0].duration_ns == seconds(0.6)


def test_stop_in_mid_call_closes_it():
    line = Line()
    line.ring(0)
    line.lift(3)
    out = line.feed(ev.StopRequested(t(10)))
    (record,) = line.records()
    assert record.cut
    assert record.ended_at == t(10)
    assert any(isinstance(item, commands.StopAnnouncement) for item in out)


# ---------------------------------------------------------------- Japan's caller-ID closure


def japan_closure(line: Line, *, ring_after: bool) -> None:
    line.ring(0, 0.5)
    line.ring(1, 0.5)
    line.lift(1.2)
    line.hang_up(3.2)
    line.caller_id(3.3)
    if ring_after:
        line.ring(4, 1)
        line.ring(7, 1)


def test_closure_before_ringing_is_no_call():
    line = Line("JP")
    japan_closure(line, ring_after=True)
    assert [type(item) for item in line.out if isinstance(item, ev.CallerIdClosureSeen)]
    assert len(line.all(AbandonRecording)) == 1
    assert not line.all(commands.PlayAnnouncement)
    line.lift(9)
    line.announced(12)
    line.hang_up(40)
    (record,) = line.records()
    assert (record.direction, record.answered_at) == ("inbound", t(9))
    assert record.caller.number == "0312345678"
    assert len(line.all(commands.PlayAnnouncement)) == 1


def test_closure_then_nobody_answers_is_a_missed_call():
    line = Line("JP")
    japan_closure(line, ring_after=True)
    line.feed(ev.RingingStopped(t(8), LINE, 4))
    (record,) = line.records()
    assert (record.disposition, record.caller.number) == ("missed", "0312345678")


def test_closure_out_of_idle_where_short_ringing_is_not_seen():
    line = Line("JP", outbound_clip="", short_ringing_is_seen=False)
    line.lift(0)
    line.hang_up(2)
    line.feed(ev.ModemRang(t(3), LINE))
    assert line.all(AbandonRecording)
    line.lift(5)
    line.announced(8)
    line.hang_up(60)
    (record,) = line.records()
    assert (record.direction, record.disposition) == ("inbound", "recorded")


def test_closure_whose_short_ringing_was_missed_is_known_by_its_caller_id():
    line = Line("JP", outbound_clip="")
    line.lift(0)
    line.caller_id(1)
    line.hang_up(2)
    line.ring(3, 1)
    assert line.all(AbandonRecording)
    line.passed(60)
    (record,) = line.records()
    assert (record.disposition, record.caller.number) == ("missed", "0312345678")


def test_short_off_hook_out_of_idle_is_a_call_whoever_rings_after_it():
    """Nothing woke a caller-ID set: somebody lifted the phone, put it down, and was called."""
    for follows in (lambda line: line.ring(6, 1), lambda line: line.feed(ev.ModemRang(t(6), LINE))):
        line = Line("JP")
        line.lift(0)
        line.hang_up(3.1)
        follows(line)
        assert not line.all(AbandonRecording)
        (record,) = line.records()
        assert (record.disposition, record.answered_at, record.ended_at) == ("recorded", 0, t(3.1))
        assert line.machine.offered is not None
        assert line.machine.offered.id != record.id


def test_short_call_then_a_closure_for_the_next_one():
    """A set lifts a moment after its short ringing; an answer cuts the ringing off."""
    line = Line("JP")
    line.ring(0, 0.5)
    line.lift(0.5)
    line.hang_up(3)
    line.ring(5, 0.5)
    line.lift(5.75)
    line.caller_id(6.5)
    line.hang_up(7)
    line.ring(8, 1)
    line.passed(60)
    first, second = line.records()
    assert (first.disposition, first.ended_at) == ("recorded", t(3))
    assert (second.disposition, second.caller.number) == ("missed", "0312345678")
    assert [event.at for event in line.all(ev.CallerIdClosureSeen)] == [t(5.75)]


def test_short_call_in_japan_is_kept_when_no_ringing_follows():
    line = Line("JP")
    line.ring(0, 0.5)
    line.lift(0.7)
    line.hang_up(3)
    line.passed(7.1)
    (record,) = line.records()
    assert record.disposition == "recorded"
    assert record.ended_at == t(3)
    assert record.notice_reason == "the call ended before it was announced"
    assert not line.all(AbandonRecording)


def test_answer_in_the_first_real_ring_after_a_closure():
    line = Line("JP")
    japan_closure(line, ring_after=False)
    line.ring(4, 0.5)  # the answer cuts the burst short
    line.lift(4.5)
    line.announced(8)
    line.hang_up(40)
    (record,) = line.records()
    assert record.answered_at == t(4.5)
    assert record.caller.number == "0312345678"
    assert len(line.all(AbandonRecording)) == 1


def test_the_ringing_that_wakes_a_caller_id_set_is_not_counted():
    line = Line("JP")
    japan_closure(line, ring_after=True)
    line.passed(40)
    (record,) = line.records()
    assert record.rings == 2


def test_short_call_then_a_new_call_that_starts_with_short_ringing():
    line = Line("JP")
    line.lift(0)
    line.hang_up(3)
    line.ring(5, 0.5)
    line.ring(6, 0.5)
    assert not line.all(AbandonRecording)
    assert [record.disposition for record in line.records()] == ["recorded"]
    assert line.machine.offered is not None


def test_dialled_call_is_never_a_closure():
    line = Line("JP")
    line.lift(0)
    line.feed(ev.PulseDialled(t(1), LINE, "1"))
    line.hang_up(3)
    assert len(line.records()) == 1


def test_answer_after_real_ringing_is_announced_at_once():
    line = Line("JP")
    line.ring(0, 0.5)
    line.ring(4, 1)
    line.lift(6)
    assert line.all(commands.PlayAnnouncement)[0].at == t(6.5)


def test_person_who_answers_short_ringing_hears_the_notice_late():
    line = Line("JP")
    line.ring(0, 0.5)
    line.lift(0.6)
    assert not line.all(commands.PlayAnnouncement)
    assert line.machine.deadline() == t(7.6)
    line.passed(7.6)
    assert line.all(commands.PlayAnnouncement)[0].at == t(7.6)


def test_a_report_told_when_its_call_is_filed_is_nobody_s():
    """Listening may be held up for longer than a call that rings, and its sound tells the place."""
    line = Line()
    line.ring(0)
    line.passed(30)
    line.ring(40)
    line.heard_id(3, "0300000000")
    line.lift(42)
    line.hang_up(50)
    line.heard_id(42, "0400000000")
    line.passed(90)
    missed, answered = line.records()
    assert missed.disposition == "missed"
    assert (answered.started_at, answered.caller) == (t(40), None)


def test_an_old_report_ends_no_call_that_rings():
    line = Line()
    line.ring(0)
    line.passed(30)
    line.caller_id(40, "0400000000")
    line.ring(41)
    line.heard_id(1, "0100000000")
    line.passed(60)
    _, record = line.records()
    assert record.caller.number == "0400000000"
    assert record.rings == 1


def test_the_second_of_two_callers_is_known_though_both_reports_come_after_the_ring():
    line = Line("GB")
    line.caller_id(0, "0100000000")
    line.ring(1)
    line.ring(9)
    line.heard_id(7, "0200000000")
    line.caller_id(7.5, "02000000")
    line.lift(12)
    line.hang_up(20)
    line.passed(40)
    first, second = line.records()
    assert (first.disposition, first.caller.number) == ("missed", "0100000000")
    assert (second.disposition, second.caller.number) == ("recorded", "0200000000")
    assert (second.caller.source, second.other_caller.number) == ("line-audio", "02000000")


def test_no_call_begins_after_its_answer():
    """A modem may say RING, of a ring that is over, before the lift is certain."""
    line = Line()
    line.feed(ev.ModemRang(t(3.05), LINE))
    line.lift(3)
    line.hang_up(20)
    line.passed(30)
    (record,) = line.records()
    assert (record.started_at, record.answered_at) == (t(3), t(3))


def test_a_second_caller_whose_report_came_in_a_burst_is_not_missed_before_it_began():
    line = Line()
    line.caller_id(0, "0100000000")
    line.feed(ev.RingingStarted(t(1), LINE))
    line.caller_id(7.5, "0200000000")
    line.feed(ev.RingBurstEnded(t(7.4), LINE, t(1)))
    line.passed(60)
    for record in line.records():
        assert record.started_at <= record.ended_at


def test_what_failed_in_a_closure_forbids_no_call():
    line = Line("JP", outbound_clip="out.wav", records_without_notice=False)
    line.lift(0)
    line.announced(0.6, started_at=None, frames=0, completed=False, error="busy")
    line.caller_id(2.5)
    line.hang_up(3)
    line.ring(4, 1)
    line.lift(6)
    line.announced(9)
    line.hang_up(40)
    (record,) = line.records()
    assert (record.disposition, record.notice.clip) == ("recorded", "in.wav")
    assert len(line.all(CloseRecording)) == 1


def test_a_call_that_is_not_kept_is_announced_no_second_time():
    line = Line(outbound_clip="out.wav", records_without_notice=False)
    line.lift(0)
    line.announced(1, started_at=None, frames=0, completed=False, error="busy")
    line.caller_id(2)
    line.hang_up(20)
    line.passed(30)
    assert len(line.all(commands.PlayAnnouncement)) == 1
    assert len(line.all(AbandonRecording)) == 1
    assert line.records()[0].direction == "inbound"


def test_a_call_reopened_between_the_on_hook_edge_and_the_hang_up_has_no_negative_length():
    line = Line(close_after_busy_s=5)
    line.lift(0)
    line.tone(10, "busy")
    line.passed(20)
    line.feed(heard.SoundReturned(t(30.5), LINE))
    line.hang_up(30)
    line.passed(60)
    _, reopened = line.records()
    assert reopened.continues == "call1"
    assert reopened.ended_at == reopened.answered_at


def test_a_burst_that_shows_an_earlier_off_hook_to_be_a_call_begins_the_next_one():
    line = Line("JP")
    line.lift(0)
    line.hang_up(3)
    line.ring(5, 1)
    line.passed(60)
    first, second = line.records()
    assert (first.disposition, second.disposition) == ("recorded", "missed")
    assert (second.started_at, second.ended_at) == (t(5), t(6))


def test_a_caller_is_missed_though_the_ring_pin_is_stuck():
    line = Line()
    line.caller_id(0)
    line.feed(ev.RingingStarted(t(1), LINE))
    line.feed(ev.RingingStopped(t(11), LINE, 0))
    (record,) = line.records()
    assert (record.disposition, record.caller.number) == ("missed", "0312345678")


def test_the_second_witness_of_a_waiting_caller_makes_him_no_caller():
    line = Line()
    line.ring(0)
    line.lift(3)
    line.caller_id(40, "0999")
    line.heard_id(39, "0999")
    line.announced(6)
    line.hang_up(60)
    (record,) = line.records()
    assert record.caller is None
    assert [other.caller.number for other in record.call_waiting] == ["0999"]


def test_a_report_after_the_on_hook_edge_of_a_short_call_leaves_no_trace_in_it():
    line = Line()
    line.lift(0)
    line.caller_id(2.5, "0200")  # arrives before the hang-up is final
    line.hang_up(2)
    line.announced(3.4, started_at=None, frames=0, completed=False)
    line.ring(4)
    line.passed(60)
    first, second = line.records()
    assert (first.direction, first.caller) == ("outbound", None)
    assert (second.disposition, second.caller.number) == ("missed", "0200")


def test_the_record_of_a_call_that_is_not_kept_is_saved_after_its_sound_is_given_up():
    """The other way round the record would go with the sound, and a crash would leave neither."""
    line = Line(records_without_notice=False)
    line.ring(0)
    line.lift(3)
    new = line.announced(4, started_at=None, frames=0, completed=False, error="busy")
    kinds = [type(each) for each in new if isinstance(each, AbandonRecording | SaveDraft)]
    assert kinds == [AbandonRecording, SaveDraft]


def test_a_call_is_never_taken_for_older_than_it_is():
    line = Line(box_zero_ns=seconds(100))
    for start, position_s in ((0.1, 101), (10, 110), (20.9, 121)):
        line.lift(start)
        line.hang_up(start + 2)
        line.passed(start + 8)
        assert line.records()[-1].box_time_s == position_s


def test_an_answer_in_a_long_burst_is_no_closure_though_its_end_was_not_told():
    line = Line("JP")
    line.feed(ev.RingingStarted(t(0), LINE))
    line.lift(1)
    assert line.all(commands.PlayAnnouncement)[0].at == t(1.5)


def test_a_flash_under_busy_tone_keeps_the_recording_open():
    """Somebody goes on: to the other party of a call that was parked, or to a new one."""
    line = Line(close_after_busy_s=30)
    line.lift(0)
    line.tone(10, "busy")
    line.feed(ev.HookFlashed(t(20), LINE, seconds(0.5)))
    line.passed(100)
    assert line.machine.talking is not None
    line.hang_up(120)
    line.passed(130)
    (record,) = line.records()
    assert record.far_end_ended_at is None


def test_a_call_that_was_found_is_never_a_closure():
    line = Line("JP", short_ringing_is_seen=False)
    line.lift(0, at_start=True)
    line.hang_up(3)
    line.feed(ev.ModemRang(t(4), LINE))
    line.passed(60)
    first, _ = line.records()
    assert (first.disposition, first.ended_at) == ("recorded", t(3))
    assert not line.all(AbandonRecording)


def test_a_break_long_before_the_busy_tone_is_not_where_the_far_end_went():
    line = Line()
    line.lift(0)
    line.feed(ev.HookFlashed(t(5), LINE, seconds(0.3)))
    line.tone(40, "busy")
    line.hang_up(45)
    line.passed(60)
    assert line.records()[0].far_end_ended_at == t(40)


def test_a_bad_contact_fills_no_memory_in_a_day_s_call():
    line = Line()
    line.lift(0)
    for place in range(3000):
        line.feed(ev.HookFlashed(t(1 + place), LINE, seconds(0.5)))
    line.hang_up(4000)
    line.passed(4010)
    (record,) = line.records()
    assert len(record.flashes) == 1000
    assert record.flashes[-1].at == t(1000)


# ---------------------------------------------------------------- whose announcement an answer is of


def test_the_answer_to_a_withdrawn_announcement_is_not_taken_for_the_next_one_s():
    """The closure's off-hook was announced as a call placed; whoever answers then is announced, too."""
    line = Line("JP", outbound_clip="out.wav")
    line.lift(0)
    line.caller_id(2.5)
    line.hang_up(3)
    line.ring(4, 0.5)
    line.lift(4.5)
    line.announced(4.6, started_at=t(0.5), frames=33000, completed=False)
    line.announced(7)
    line.hang_up(40)
    (record,) = line.records()
    assert [play.clip for play in line.all(commands.PlayAnnouncement)] == ["out.wav", "in.wav"]
    orders = line.all(commands.PlayAnnouncement | commands.StopAnnouncement)
    assert isinstance(orders[1], commands.StopAnnouncement)
    assert (record.notice.clip, record.notice.completed) == ("in.wav", True)
    assert record.notice.started_at == t(5)


def test_an_answer_too_many_leaves_no_call_unfiled():
    line = Line(is_listened_to=True)
    line.lift(0, at_start=False)
    line.caller_id(1)
    line.announced(3)
    line.hang_up(4)
    line.announced(5)
    line.passed(30)
    assert len(line.records()) == 1


def test_a_verdict_on_an_earlier_announcement_ends_no_waiting():
    line = Line(is_listened_to=True)
    line.ring(0)
    line.lift(3)
    line.hang_up(4)
    earlier = heard.NoticeHeard(t(2), LINE, "call1", "not-heard", 0, 0, None, None, None)
    line.feed(earlier)
    line.announced(4.1, started_at=t(3.5), frames=4000, completed=False)
    line.feed(earlier)
    assert not line.records()
    line.passed(30)
    (record,) = line.records()
    assert record.notice.started_at == t(3.5)
    assert record.notice.heard is None


def test_what_was_played_after_the_on_hook_edge_was_not_played_into_the_call():
    """The card plays on until the hang-up is certain, and may come to the end of it."""
    line = Line(is_listened_to=True)
    line.ring(0)
    line.lift(3)
    line.announced(5.5, started_at=t(3.5), frames=16000)
    line.feed(heard.NoticeHeard(t(5.5), LINE, "call1", "heard", 0.9, 1, t(3.5), -20, "far"))
    line.hang_up(4.5)
    line.passed(30)
    (record,) = line.records()
    assert (record.notice.completed, record.notice.frames) == (False, 8000)
    assert (record.notice.heard, record.notice.completeness) == ("partly", 0.5)
    assert record.notice_reason == "the call ended before it was over"


def test_without_an_answer_a_call_that_needs_its_announcement_is_not_kept():
    line = Line(records_without_notice=False)
    line.ring(0)
    line.lift(3)
    line.hang_up(6)
    line.passed(30)
    (record,) = line.records()
    assert record.disposition == "not-recorded"
    assert "did not say" in record.reason
    assert [each.call_id for each in line.all(AbandonRecording)] == [record.id]


def test_a_stop_while_an_answer_is_awaited_says_why_there_is_no_announcement():
    line = Line()
    line.ring(0)
    line.lift(3)
    line.hang_up(6)
    line.feed(ev.StopRequested(t(6.1)))
    (record,) = line.records()
    assert record.notice_reason == "the recorder was stopped while it played"


# ---------------------------------------------------------------- properties

LENGTHS = st.sampled_from([0.05, 0.3, 0.5, 1.0, 1.4, 3.0, 5.0, 8.0, 30.0])
VERBS = st.sampled_from([
    "ring",
    "short",
    "modem",
    "id",
    "id2",
    "lift",
    "hang",
    "flash",
    "digit",
    "played",
    "failed",
])


def play_story(line: Line, story) -> float:
    now, off_hook = 0.0, False
    for wait, verb in story:
        now += wait
        deadline = line.machine.deadline()
        while deadline is not None and deadline <= t(now):
            line.feed(ev.TimePassed(deadline))
            deadline = line.machine.deadline()
        if verb in {"ring", "short"} and not off_hook:
            line.ring(now, 1.0 if verb == "ring" else 0.5)
            now += 1.0
        elif verb == "modem":
            line.feed(ev.ModemRang(t(now), LINE))
        elif verb in {"id", "id2"}:
            line.caller_id(now, verb)
        elif verb == "lift" and not off_hook:
            line.lift(now)
            off_hook = True
        elif verb == "hang" and off_hook:
            line.hang_up(now)
            off_hook = False
        elif verb == "flash" and off_hook:
            line.feed(ev.HookFlashed(t(now), LINE, seconds(0.5)))
        elif verb == "digit" and off_hook:
            line.feed(ev.PulseDialled(t(now), LINE, "5"))
        elif verb in {"played", "failed"} and line.all(commands.PlayAnnouncement):
            call_id = line.all(commands.PlayAnnouncement)[-1].call_id
            error = "broken" if verb == "failed" else None
            line.announced(now, call_id, completed=error is None, error=error)
    if off_hook:
        line.hang_up(now + 1)
    line.feed(ev.TimePassed(t(now + 100)))
    line.feed(ev.StopRequested(t(now + 101)))
    return now


@given(
    st.lists(st.tuples(LENGTHS, VERBS), max_size=40),
    st.sampled_from(["US", "JP", "GB"]),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_every_off_hook_ends_as_a_recording_or_a_reason(story, country, records_anyway):
    line = Line(country, records_without_notice=records_anyway)
    play_story(line, story)
    opened = [item.record.id for item in line.all(OpenRecording)]
    ended = [item.record.id for item in line.all(CloseRecording)]
    abandoned = [item.call_id for item in line.all(AbandonRecording)]
    assert sorted(opened) == sorted(ended + abandoned)
    filed = [record.id for record in line.records()]
    assert len(filed) == len(set(filed))
    assert set(opened) <= set(filed)  # a closure's call is filed as what became of it
    assert line.machine.deadline() is None
    assert line.machine.talking is None
    for record in line.records():
        if record.disposition == "not-recorded":
            assert record.reason


@given(st.lists(st.tuples(LENGTHS, VERBS), max_size=40), st.sampled_from(["US", "JP", "GB"]))
@settings(max_examples=200, deadline=None)
def test_a_caller_is_never_of_another_time(story, country):
    """A caller's report lies between the call's first sign and its end (Japan: the ringing)."""
    line = Line(country, inbound_clip="")
    play_story(line, story)
    identified = {}
    for item in line.out:
        if isinstance(item, ev.CallerIdentified):
            identified[item.call_id] = item.at
    for record in line.records():
        if record.caller is not None and record.answered_at is not None:
            at = identified[record.id]
            assert at >= record.started_at
            if country != "JP":
                assert at <= record.ended_at


@given(st.lists(st.tuples(LENGTHS, VERBS), max_size=30), st.lists(st.floats(0, 200), max_size=20))
@settings(max_examples=100, deadline=None)
def test_extra_time_changes_nothing(story, extra):
    plain, fussy = Line("JP"), Line("JP")
    play_story(plain, story)
    original = fussy.machine.handle

    def with_extra(event):
        out = []
        for moment in sorted(extra):
            if fussy.machine._time < t(moment) < event.at:
                out += original(ev.TimePassed(t(moment)))
        return out + original(event)

    fussy.machine.handle = with_extra
    play_story(fussy, story)
    assert fussy.out == plain.out


def test_settings_change_between_calls_only():
    line = Line()
    line.ring(0)
    line.lift(3)
    line.machine.settings = Line(site="new", inbound_clip="").machine.settings
    line.announced(6)
    line.hang_up(20)
    assert line.records()[0].site == "office"
    line.lift(30)
    assert line.all(OpenRecording)[-1].record.site == "new"
