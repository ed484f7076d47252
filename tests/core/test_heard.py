"""What the line's sound tells the call machine: callers, keys, tones, and whether the notice was heard."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd import commands, heard
from recorderd import events as ev
from recorderd.core.manifest import CloseRecording, FileRecord, OpenRecording, SaveDraft
from tests.core.line_pen import LINE, Line, caller, t

A, B = "0312345678", "0698765432"


# ---------------------------------------------------------------- two witnesses of one caller ID


def offered_by(*reports):
    """A call that rings, is reported by (source, second, number) each, and is answered."""
    line = Line()
    line.ring(0)
    for source, at, number in reports:
        (line.heard_id if source == "sound" else line.caller_id)(at, number)
    line.lift(9)
    line.hang_up(30)
    line.passed(60)
    return line


def test_the_sound_alone_names_the_caller():
    (record,) = offered_by(("sound", 2.5, A)).records()
    assert (record.caller.number, record.caller.source) == (A, "line-audio")
    assert record.other_caller is None


def test_two_that_agree_are_one_caller_and_one_call():
    for reports in (
        (("sound", 2.5, A), ("modem", 3.4, A)),
        (("modem", 3.4, "03-1234-5678"), ("sound", 2.5, A)),
    ):
        line = offered_by(*reports)
        (record,) = line.records()
        assert record.caller.source == ("line-audio" if reports[0][0] == "sound" else "modem")
        assert record.other_caller is None
        assert not line.all(ev.CallMissed)
        assert not line.all(ev.CallersDisagree)


def test_two_that_disagree_are_both_kept_and_the_sound_shows():
    for reports in (("sound", 2.5, A), ("modem", 3.4, B)), (("modem", 3.4, B), ("sound", 2.5, A)):
        line = offered_by(*reports)
        (record,) = line.records()
        assert (record.caller.number, record.other_caller.number) == (A, B)
        assert (record.caller.source, record.other_caller.source) == ("line-audio", "modem")
        (told,) = line.all(ev.CallersDisagree)
        assert told.shown == "line-audio"


def test_one_that_knows_nothing_contradicts_nobody():
    line = Line()
    line.ring(0)
    line.feed(ev.CallerIdReported(t(3), LINE, ev.Caller(None, "ROSSI", None, "modem", "")))
    line.heard_id(2.5, A)
    line.lift(9)
    line.hang_up(30)
    line.passed(40)
    (record,) = line.records()
    assert record.caller.number == A
    assert record.other_caller is None


def test_reports_far_apart_are_two_calls():
    line = Line()
    line.ring(0)
    line.heard_id(2.5, A)
    line.caller_id(9, B)  # the next caller's: the first has given up
    line.lift(12)
    line.hang_up(30)
    line.passed(40)
    missed, recorded = line.records()
    assert (missed.disposition, missed.caller.number) == ("missed", A)
    assert (recorded.disposition, recorded.caller.number) == ("recorded", B)


def test_a_burst_before_the_answer_that_is_told_after_it_names_the_caller():
    line = Line()
    line.ring(0)
    line.lift(3)
    line.heard_id(2.4, A)
    line.hang_up(9)
    line.passed(19)
    assert line.records()[0].caller.number == A


def test_a_burst_after_the_answer_never_names_the_caller():
    line = Line()
    line.ring(0)
    line.lift(3)
    line.heard_id(3.5, B)  # whoever can play sounds into the line could send it
    line.hang_up(9)
    line.passed(19)
    (record,) = line.records()
    assert record.caller is None
    assert [other.caller.number for other in record.call_waiting] == [B]


def test_call_waiting_reported_by_both_is_told_once():
    line = Line()
    line.ring(0)
    line.caller_id(2)
    line.lift(3)
    line.heard_id(30, B)
    line.caller_id(31, B)
    line.hang_up(60)
    line.passed(70)
    (record,) = line.records()
    assert [other.caller.source for other in record.call_waiting] == ["line-audio"]
    assert record.caller.number == A


def test_late_modem_report_of_a_caller_that_was_heard_is_no_call_waiting():
    line = Line()
    line.ring(0)
    line.heard_id(2.4, A)
    line.lift(3)
    line.caller_id(4, A)
    line.hang_up(9)
    line.passed(19)
    (record,) = line.records()
    assert (record.caller.number, record.call_waiting) == (A, ())


def test_japans_closure_takes_the_number_from_the_sound():
    line = Line("JP")
    line.feed(ev.RingingStarted(t(0), LINE))
    line.feed(ev.RingBurstEnded(t(0.5), LINE, t(0)))
    line.lift(0.8)
    line.heard_id(1.2, A)
    line.hang_up(2.2)
    line.feed(ev.RingingStarted(t(3), LINE))
    line.feed(ev.RingBurstEnded(t(4), LINE, t(3)))
    line.lift(5)
    line.hang_up(20)
    line.passed(40)
    (record,) = line.records()
    assert (record.caller.number, record.direction) == (A, "inbound")


def test_reports_after_the_hang_up_are_the_next_calls():
    line = Line()
    line.ring(0)
    line.lift(3)
    line.heard_id(21, B)
    line.caller_id(22, A)
    line.hang_up(20)
    line.passed(60)
    recorded, missed = line.records()
    assert (recorded.caller, recorded.call_waiting) == (None, ())
    assert (missed.caller.number, missed.other_caller.number) == (B, A)


def test_the_modems_next_caller_is_not_the_other_caller_of_a_call_that_was_over():
    line = Line()
    line.ring(0)
    line.heard_id(2.5, A)
    line.lift(3)
    line.caller_id(5, B)  # told before the hang-up at 4 s was final
    assert line.all(SaveDraft)[-1].record.other_caller.number == B
    line.hang_up(4)
    line.passed(60)
    recorded, missed = line.records()
    assert (recorded.caller.number, recorded.other_caller) == (A, None)
    assert missed.caller.number == B


def test_a_report_once_more_with_a_name_gives_the_name():
    line = Line()
    line.ring(0)
    line.caller_id(2)
    named = ev.Caller("0312345678", "ROSSI", None, "modem", "")
    line.feed(ev.CallerIdReported(t(8), LINE, named))
    line.lift(9)
    line.hang_up(30)
    line.passed(60)
    (record,) = line.records()
    assert record.caller.name == "ROSSI"


# ---------------------------------------------------------------- keys


def outgoing():
    line = Line()
    line.lift(0)
    return line


def test_the_number_dialled_is_what_was_keyed_before_ringback():
    line = outgoing()
    line.key(2, "0120")
    line.tone(6, "ringback")
    line.key(20, "31#")
    line.hang_up(60)
    (record,) = line.records()
    assert record.dialled == "0120"
    assert "".join(digit.digit for digit in record.digits) == "012031#"
    assert record.digits[0] == type(record.digits[0])(t(2), "near", "0")


def test_keys_after_a_long_pause_are_not_dialled():
    line = outgoing()
    line.key(2, "0120")
    line.key(40, "9")
    line.hang_up(60)
    assert line.records()[0].dialled == "0120"


def test_keys_and_pulses_make_one_number():
    line = outgoing()
    line.feed(ev.PulseDialled(t(1), LINE, "0"))
    line.key(3, "12")
    line.hang_up(60)
    (record,) = line.records()
    assert record.dialled == "012"
    assert [digit.source for digit in record.digits] == ["hook", "near", "near"]


def test_keys_in_a_call_from_outside_are_no_number():
    line = Line()
    line.ring(0)
    line.lift(3)
    line.key(5, "42", "far")
    line.hang_up(9)
    line.passed(19)
    (record,) = line.records()
    assert record.dialled is None
    assert [(digit.source, digit.digit) for digit in record.digits] == [("far", "4"), ("far", "2")]


def test_a_call_that_turns_out_to_come_from_outside_dialled_nothing():
    line = outgoing()
    line.key(1, "1")
    line.feed(ev.CallerIdReported(t(2), LINE, caller("0312345678")))
    line.hang_up(9)
    (record,) = line.records()
    assert record.direction == "outbound"  # who dials has not answered
    assert record.dialled == "1"


def test_keys_in_a_call_of_no_known_direction_are_no_number():
    line = Line()
    line.lift(0, at_start=True)
    line.key(5, "42")
    line.hang_up(60)
    (record,) = line.records()
    assert (record.direction, record.dialled) == ("unknown", None)
    assert len(record.digits) == 2


def test_a_thousand_keys_are_enough():
    line = outgoing()
    line.key(1, "1" * 1100)
    line.hang_up(900)
    assert len(line.records()[0].digits) == 1000


def test_a_key_that_was_heard_before_the_off_hook_is_not_this_calls():
    line = outgoing()
    line.key(-1, "5")
    line.hang_up(9)
    assert line.records()[0].digits == ()


# ---------------------------------------------------------------- the far end


def in_call(**changes):
    line = Line(**changes)
    line.ring(0)
    line.lift(3)
    line.announced(6)
    return line


def test_busy_tone_tells_when_the_far_end_has_gone_and_cuts_nothing():
    line = in_call()
    line.tone(40, "busy")
    line.hang_up(55)
    (record,) = line.records()
    assert record.far_end_ended_at == t(40)
    assert (record.ended_at, record.reason) == (t(55), None)
    (gone,) = line.all(ev.FarEndGone)
    assert (gone.at, gone.tone) == (t(40), "busy")


def test_a_break_of_the_loop_just_before_the_tone_is_the_end():
    line = in_call()
    line.feed(ev.HookFlashed(t(36), LINE, 400_000_000))
    line.tone(40, "congestion")
    line.hang_up(55)
    assert line.records()[0].far_end_ended_at == t(36)


def test_other_tones_and_silence_end_nothing():
    line = in_call()
    line.tone(20, "call-waiting")
    line.tone(30, "dial")
    line.passed(3000)
    line.hang_up(3001)
    assert line.records()[0].far_end_ended_at is None


def test_sound_after_the_tone_takes_it_back():
    line = in_call()
    line.tone(40, "busy")
    line.tone(40, "busy", ended=44)
    line.feed(heard.SoundReturned(t(46), LINE))
    line.passed(200)
    line.hang_up(201)
    (record,) = line.records()
    assert record.far_end_ended_at is None


def test_busy_tone_for_a_minute_closes_the_recording_with_a_reason():
    line = in_call()
    line.tone(40, "busy")
    line.passed(200)
    (record,) = line.records()
    assert (record.ended_at, record.disposition) == (t(100), "recorded")
    assert record.reason == "the far end had hung up: 60 s of busy tone"
    line.hang_up(300)
    line.passed(400)
    assert len(line.records()) == 1


def test_a_tone_that_stops_before_closes_nothing():
    line = in_call()
    line.tone(40, "busy")
    line.tone(40, "busy", ended=70)
    line.passed(2000)
    assert not line.records()


def test_zero_seconds_never_close():
    line = in_call(close_after_busy_s=0)
    line.tone(40, "busy")
    line.passed(4000)
    assert not line.records()


def test_sound_opens_it_again_as_a_recording_of_its_own():
    line = in_call()
    line.tone(40, "busy")
    line.passed(120)
    line.feed(heard.SoundReturned(t(130), LINE))
    first, second = line.all(OpenRecording)
    assert second.at == t(130)
    assert (second.record.continues, second.record.direction) == (first.record.id, "unknown")
    assert second.record.caller is None
    assert [play.call_id for play in line.all(commands.PlayAnnouncement)] == ["call1", "call2"]
    line.hang_up(150)
    line.passed(200)
    assert [record.id for record in line.records()] == ["call1", "call2"]


def test_a_flash_opens_it_again_too():
    line = in_call()
    line.tone(40, "busy")
    line.passed(120)
    line.feed(ev.HookFlashed(t(130), LINE, 500_000_000))
    assert len(line.all(OpenRecording)) == 2


def test_the_next_off_hook_after_a_closed_one_is_an_ordinary_call():
    line = in_call()
    line.tone(40, "busy")
    line.passed(120)
    line.hang_up(130)
    line.feed(heard.SoundReturned(t(131), LINE))  # told late: the handset is down
    assert len(line.all(OpenRecording)) == 1
    line.lift(140)
    assert line.all(OpenRecording)[1].record.continues is None


# ---------------------------------------------------------------- the notice


def verdict(at, call_id="call1", found="heard"):
    return heard.NoticeHeard(t(at), LINE, call_id, found, 0.97, 1.0, t(4.02), -21.0, "far")


def test_what_was_heard_of_the_notice_is_in_the_draft_at_once():
    line = in_call(is_listened_to=True)
    line.feed(verdict(7))
    notice = line.all(SaveDraft)[-1].record.notice
    assert (notice.heard, notice.score, notice.completeness) == ("heard", 0.97, 1.0)
    assert (notice.heard_at, notice.level_dbm0, notice.channel) == (t(4.02), -21.0, "far")


def test_a_call_that_ends_before_the_verdict_waits_for_it():
    line = in_call(is_listened_to=True)
    line.hang_up(6.2)
    line.passed(6.5)
    assert not line.records()
    line.feed(verdict(7, found="partly"))
    (record,) = line.records()
    assert record.notice.heard == "partly"
    assert record.ended_at == t(6.2)


def test_a_line_is_not_idle_while_a_call_waits_for_its_verdict():
    """Else a new configuration would take the line apart, and the call with it."""
    line = in_call(is_listened_to=True)
    assert not line.machine.is_idle
    line.hang_up(6.2)
    assert line.machine.talking is None
    assert not line.machine.is_idle
    line.feed(verdict(7))
    assert line.machine.is_idle


def test_no_verdict_keeps_a_call_for_ever():
    line = in_call(is_listened_to=True)
    line.hang_up(6.2)
    line.passed(60)
    (record,) = line.records()
    assert record.notice.completed
    assert record.notice.heard is None
    line.feed(verdict(61))
    assert len(line.records()) == 1


def test_a_stop_waits_for_no_verdict():
    line = in_call(is_listened_to=True)
    line.feed(ev.StopRequested(t(6.5)))
    assert len(line.records()) == 1


def test_a_verdict_on_another_call_changes_nothing():
    line = in_call(is_listened_to=True)
    line.feed(verdict(7, "call9"))
    line.hang_up(60)
    line.passed(90)
    assert line.records()[0].notice.heard is None


def test_measures_of_the_sound_come_into_the_record():
    line = in_call()
    line.feed(heard.LineMeasured(t(20), LINE, {"seconds": 10}, ("too loud",)))
    line.hang_up(60)
    assert line.records()[0].line_health == {"seconds": 10}


# ---------------------------------------------------------------- whatever comes

_HEARD = st.one_of(
    st.tuples(st.just("id"), st.sampled_from((A, B))),
    st.tuples(st.just("modem"), st.sampled_from((A, B))),
    st.tuples(st.just("key"), st.sampled_from("0123456789*#")),
    st.tuples(st.just("tone"), st.sampled_from(("busy", "congestion", "dial", "ringback"))),
    st.tuples(st.just("tone-end"), st.sampled_from(("busy", "congestion"))),
    st.tuples(st.just("sound"), st.none()),
    st.tuples(st.just("verdict"), st.sampled_from(("call1", "call2"))),
    st.tuples(st.just("hook"), st.booleans()),
    st.tuples(st.just("flash"), st.none()),
    st.tuples(st.just("ring"), st.none()),
    st.tuples(st.just("played"), st.sampled_from(("call1", "call2"))),
)


@given(st.lists(st.tuples(st.floats(0, 40), _HEARD), max_size=40), st.booleans())
@settings(max_examples=300)
def test_whatever_is_heard_every_recording_that_opens_is_filed_once(steps, listened):  # noqa: PLR0912  (one table)
    line, now = Line(is_listened_to=listened, close_after_busy_s=20), 0.0
    is_up = False
    for step, (verb, value) in steps:
        now += step
        match verb:
            case "id":
                line.heard_id(now - 1, value)
            case "modem":
                line.caller_id(now, value)
            case "key":
                line.key(now, value)
            case "tone":
                line.tone(now - 2, value)
            case "tone-end":
                line.tone(now - 6, value, ended=now)
            case "sound":
                line.feed(heard.SoundReturned(t(now), LINE))
            case "verdict":
                line.feed(verdict(now, value))
            case "hook":
                if value != is_up:
                    (line.lift if value else line.hang_up)(now)
                    is_up = value
            case "flash":
                line.feed(ev.HookFlashed(t(now), LINE, 400_000_000))
            case "ring":
                line.ring(now)
            case "played":
                line.announced(now, value)
    line.feed(ev.StopRequested(t(now + 100)))
    opened = [item.record.id for item in line.all(OpenRecording)]
    filed = [item.record.id for item in line.out if isinstance(item, CloseRecording | FileRecord)]
    assert len(set(opened)) == len(opened)
    assert sorted(filed) == sorted(set(filed))
    assert set(opened) <= set(filed)
