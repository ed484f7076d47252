"""The writer in service: what it records, how it cuts, names, tags and files it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from recorderd.events import Caller
from recorderd.media.tags import read_tags
from recorderd.store.catalogue import NAME, open_catalogue
from tests.store.calls import (
    CALLER,
    RATE,
    CountingCard,
    Office,
    a_record,
    at,
    audio,
    expected,
    in_memory,
)


@pytest.fixture
def folder():
    with in_memory() as path:
        yield path


@pytest.fixture
def office(folder):
    return Office(folder)


# ------------------------------------------------------------ sound


def test_a_call_begins_with_its_pre_roll_and_ends_at_the_on_hook_edge(office):
    office.whole_call(start=10.0, ended=22.0)
    _, record = office.call()
    assert record["audio"]["pre_roll_frames"] == 2 * RATE
    assert record["gaps"] == []
    assert office.frames() == expected(8 * RATE, 14 * RATE)


def test_segments_join_without_a_frame_lost_or_doubled(office):
    office.whole_call(start=10.0, ended=40.3)
    _, record = office.call()
    lengths = [segment["frames"] for segment in record["segments"]]
    assert lengths == [5 * RATE] * 6 + [2 * RATE + round(0.3 * RATE)]
    assert office.frames() == expected(8 * RATE, sum(lengths))


def test_a_call_of_whole_segments_has_no_empty_one(office):
    office.whole_call(start=10.0, ended=18.0)
    assert len(office.call()[1]["segments"]) == 2


def test_what_was_written_after_the_on_hook_edge_is_cut_off(office):
    """The hang-up is certain two seconds after its edge; meanwhile a segment filled and was sealed."""
    office.whole_call(start=10.0, ended=17.0, hang_up_s=8.0)
    folder, record = office.call()
    assert [segment["frames"] for segment in record["segments"]] == [5 * RATE, 4 * RATE]
    assert office.frames() == expected(8 * RATE, 9 * RATE)
    assert {path.name for path in folder.iterdir()} == {
        "call.json",
        *(segment["file"] for segment in record["segments"]),
    }


def test_sealing_goes_on_while_the_call_does(office):
    office.run_to(10.2)
    office.open()
    office.run_to(21.0)
    sealed = [path.name for path in office.directory.glob("calls/*/*/*/call-1/*")]
    assert sorted(name[-9:] for name in sealed) == ["_000.flac", "_001.flac"]
    assert office.left_open() == ["call-1.json", "call-1_002_00.journal"]


def test_the_oldest_frame_is_the_beginning_where_the_pre_roll_is_not_in_the_ring(folder):
    office = Office(folder, card=CountingCard(started=9.0))
    office.whole_call(start=10.0, ended=12.0)
    _, record = office.call()
    assert record["audio"]["pre_roll_frames"] == RATE
    assert office.frames() == expected(0, 3 * RATE)


def test_a_card_that_comes_late_leaves_a_gap_from_the_hook_edge(folder):
    office = Office(folder, card=CountingCard(started=13.0))
    office.whole_call(start=10.0, ended=17.0)
    _, record = office.call()
    assert record["gaps"] == [{"first_frame": 0, "frames": 3 * RATE, "cause": "card-lost"}]
    assert record["audio"]["pre_roll_frames"] == 0
    assert office.frames() == expected(-3 * RATE, 7 * RATE, record["gaps"])


def test_losses_of_the_card_are_gaps_of_silence(office):
    office.run_to(10.2)
    record = office.open()
    office.run_to(13.0)
    office.card.alive = False
    office.run_to(16.0)
    office.card.come_back(16.0, "card-stalled")
    office.run_to(20.4)
    office.close(record, 20.0)
    office.settle()
    _, filed = office.call()
    gap = {"first_frame": 5 * RATE, "frames": 3 * RATE, "cause": "card-stalled"}
    assert filed["gaps"] == [gap]
    assert office.frames() == expected(8 * RATE, 12 * RATE, [gap])


def test_a_loss_longer_than_the_ring_is_still_the_card_s(folder):
    office = Office(folder, card=CountingCard(ring_s=4))
    office.run_to(10.2)
    record = office.open()
    office.run_to(12.0)
    office.card.alive = False
    office.run_to(32.0)
    office.card.come_back(32.0)
    office.run_to(34.4)
    office.close(record, 34.0)
    office.settle()
    gap = {"first_frame": 4 * RATE, "frames": 20 * RATE, "cause": "card-lost"}
    assert office.call()[1]["gaps"] == [gap]
    assert office.frames() == expected(8 * RATE, 26 * RATE, [gap])


def test_what_comes_after_a_long_loss_is_not_overwritten_before_it_is_read(folder):
    """A card that was away for half an hour of a call: the silence for it must not take the time in
    which the ring goes round."""
    office = Office(folder, card=CountingCard(ring_s=32), segment_s=60)
    office.run_to(10.2)
    record = office.open()
    office.run_to(12.0)
    office.card.alive = False
    office.run_to(1812.0)
    office.card.come_back(1812.0)
    office.run_to(1950.4)
    office.close(record, 1950.0)
    office.settle()
    gap = {"first_frame": 4 * RATE, "frames": 1800 * RATE, "cause": "card-lost"}
    assert office.call()[1]["gaps"] == [gap]
    assert office.call()[1]["audio"]["frames"] == 1942 * RATE


def test_a_card_lost_at_the_end_is_waited_for_and_then_padded(office):
    office.run_to(10.2)
    record = office.open()
    office.run_to(15.0)
    office.card.alive = False
    office.run_to(20.4)
    office.close(record, 20.0)
    office.run_to(22.5)
    assert not office.filed
    office.settle()
    gap = {"first_frame": 7 * RATE, "frames": 5 * RATE, "cause": "card-lost"}
    assert office.call()[1]["gaps"] == [gap]
    assert office.frames() == expected(8 * RATE, 12 * RATE, [gap])


def test_a_writer_that_fell_behind_says_how_much(folder):
    office = Office(folder, card=CountingCard(ring_s=3))
    office.run_to(10.2)
    record = office.open()
    office.run_to(12.0)
    office.now_s = 20.0
    office.card.advance(20.0)
    office.writer.pump()
    office.run_to(22.4)
    office.close(record, 22.0)
    office.settle()
    gap = {"first_frame": 4 * RATE, "frames": 5 * RATE, "cause": "writer-late"}
    assert office.call()[1]["gaps"] == [gap]
    assert office.frames() == expected(8 * RATE, 14 * RATE, [gap])


@pytest.mark.parametrize("born", [None, 100.0])
def test_a_card_without_a_frame_leaves_a_reason_instead_of_a_recording(folder, born):
    card = CountingCard(name="USB Audio CODEC", started=born or 0.0)
    card.alive = born is not None
    office = Office(folder, card=card)
    office.whole_call(start=10.0, ended=20.0)
    place, record = office.call()
    assert record["disposition"] == "not-recorded"
    assert record["reason"] == 'sound card "USB Audio CODEC" gave no audio'
    assert record["audio"] is None
    assert [path.name for path in place.iterdir()] == ["call.json"]
    assert office.filed[0].segments == 0
    assert office.left_open() == []


def test_a_card_that_dies_before_the_hook_edge_leaves_its_pre_roll(office):
    office.run_to(9.0)
    office.card.alive = False
    office.whole_call(start=10.0, ended=14.0)
    _, record = office.call()
    assert record["disposition"] == "recorded"
    assert record["gaps"] == [{"first_frame": RATE, "frames": 5 * RATE, "cause": "card-lost"}]


def test_two_lines_of_one_card_keep_to_their_channels(folder):
    card = CountingCard(channels=4)
    lines = {"front": (card, audio()), "back": (card, audio(near=3, far=4))}
    office = Office(folder, lines, card=card)
    office.run_to(10.2)
    front = office.open(a_record("one", "front"))
    back = office.open(a_record("two", "back"))
    office.run_to(18.4)
    office.close(front, 18.0)
    office.close(back, 17.5)
    office.settle()
    assert office.frames("one") == expected(8 * RATE, 10 * RATE)
    second_pair = [(near, far + 1000) for near, far in expected(8 * RATE, round(9.5 * RATE))]
    assert office.frames("two") == second_pair


def test_a_resampled_line_keeps_time_and_gap_positions(folder):
    card = CountingCard(rate_hz=16000, ring_s=40)
    office = Office(folder, {"front": (card, audio(capture_rate_hz=16000))}, card=card)
    office.run_to(10.2)
    record = office.open()
    office.run_to(13.0)
    card.alive = False
    office.run_to(14.0)
    card.come_back(14.0, "overrun")
    office.run_to(20.7)
    office.close(record, 20.25)
    office.settle()
    _, filed = office.call()
    assert filed["audio"]["frames"] == round(12.25 * RATE)
    assert filed["audio"]["pre_roll_frames"] == 2 * RATE
    assert filed["gaps"] == [{"first_frame": 5 * RATE, "frames": RATE, "cause": "overrun"}]
    frames = office.frames()
    assert frames[round(5.5 * RATE)] == (0, 0)
    near = [near for near, _ in frames[RATE : RATE + 100]]  # the card's counter, every second frame
    assert all(abs(value - (144000 + 2 * i) % 32768) <= 2 for i, value in enumerate(near))


@pytest.mark.parametrize("file_format", ["flac", "wav"])
def test_both_formats_hold_the_same_sound(folder, file_format):
    office = Office(folder, file_format=file_format)
    office.whole_call(start=10.0, ended=17.0)
    place, record = office.call()
    assert all(segment["file"].endswith(f".{file_format}") for segment in record["segments"])
    assert office.frames() == expected(8 * RATE, 9 * RATE)
    assert read_tags(place / record["segments"][1]["file"])["CALL_ID"] == "call-1"


# ------------------------------------------------------------ names, tags, records


def test_names_and_hashes_of_the_segments(office):
    office.whole_call(record=a_record(started=10.0, caller=CALLER))
    folder, record = office.call()
    assert folder.relative_to(office.directory).as_posix() == "calls/2026/11/23/call-1"
    assert [segment["file"] for segment in record["segments"]] == [
        "20261123T184508+0900-20261123T184513+0900_front_in_0312345678_000.flac",
        "20261123T184513+0900-20261123T184518+0900_front_in_0312345678_001.flac",
        "20261123T184518+0900-20261123T184522+0900_front_in_0312345678_002.flac",
    ]
    for segment in record["segments"]:
        content = (folder / segment["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == segment["sha256"]


def test_a_late_caller_id_reaches_names_and_tags_of_sealed_segments(office):
    office.run_to(10.2)
    record = office.open()
    office.run_to(16.0)
    early = [path.name for path in office.directory.glob("calls/*/*/*/call-1/*.flac")]
    assert len(early) == 1
    assert "_in_unknown_000" in early[0]
    record = office.save(replace(record, caller=CALLER))
    office.run_to(22.4)
    office.close(record, 22.0)
    office.settle()
    folder, filed = office.call()
    assert filed["caller"]["number"] == "03-1234-5678"
    assert all("_in_0312345678_" in segment["file"] for segment in filed["segments"])
    assert len(list(folder.glob("*.flac"))) == 3
    tags = read_tags(folder / filed["segments"][0]["file"])
    assert tags["ARTIST"] == "TANAKA"
    assert tags["NUMBER"] == "03-1234-5678"
    assert (tags["TRACKNUMBER"], tags["TRACKTOTAL"]) == ("1", "3")
    assert read_tags(folder / filed["segments"][2]["file"])["FIRST_FRAME"] == str(10 * RATE)
    assert office.frames() == expected(8 * RATE, 14 * RATE)


@pytest.mark.parametrize(
    ("known", "part"),
    [
        ({"direction": "outbound", "dialled": "0120-444,444"}, "_out_0120444444_"),
        ({"direction": "unknown"}, "_unk_unknown_"),
        ({"caller": Caller(None, None, "private", "modem", "P")}, "_in_private_"),
        ({"caller": Caller(None, None, "payphone", "modem", "C")}, "_in_unknown_"),
        ({"caller": Caller("../../etc/passwd", None, None, "modem", "")}, "_in_etcpasswd_"),
        ({"caller": Caller("1" * 99, None, None, "modem", "")}, f"_in_{'1' * 32}_"),
        ({"line": "a/b 受付"}, "_a-b-受付_in_"),
    ],
)
def test_what_the_file_name_says_of_the_other_party(folder, known, part):
    office = Office(folder)
    office.lines["a/b 受付"] = office.lines["front"]
    office.whole_call(ended=12.0, record=a_record(started=10.0, **known))
    assert part in office.call()[1]["segments"][0]["file"]


def test_a_filed_call_is_acknowledged_found_and_leaves_nothing_open(office):
    office.whole_call(record=a_record(started=10.0, caller=CALLER))
    (filed,) = office.filed
    folder, record = office.call()
    assert (filed.call_id, filed.segments, filed.gaps) == ("call-1", 3, 0)
    assert filed.path == str(folder)
    assert office.left_open() == []
    catalogue = open_catalogue(office.directory / NAME, read_only=True)
    assert catalogue.get("call-1").record == record
    catalogue.close()


def test_a_missed_call_has_a_record_and_no_sound(office):
    record = a_record("missed-1", disposition="missed", answered_at=None, ended_at=at(30))
    office.file(record)
    office.writer.pump()
    folder, filed = office.call("missed-1")
    assert (filed["disposition"], filed["audio"], filed["segments"]) == ("missed", None, [])
    assert [path.name for path in folder.iterdir()] == ["call.json"]
    assert not office.writer.pending()
    assert len(office.filed) == 1


def test_an_abandoned_recording_leaves_no_sound_and_no_record(office):
    office.run_to(10.2)
    record = office.open()
    office.run_to(17.0)
    office.abandon(record)
    office.settle()
    assert not list(office.directory.glob("calls/*/*/*/*"))
    assert office.left_open() == []
    assert office.filed == []


def test_a_forbidden_recording_leaves_its_reason(office):
    """As core/call.py does it: abandoned at once, its record kept as a draft until the call ends."""
    office.run_to(10.2)
    record = office.open()
    office.run_to(17.0)
    refused = replace(record, disposition="not-recorded", reason="the announcement failed")
    office.abandon(record)
    office.save(refused)
    office.run_to(20.0)
    assert not list(office.directory.glob("calls/*/*/*/*/*"))
    assert office.left_open() == ["call-1.json"]
    assert not office.writer.pending()
    office.file(replace(refused, ended_at=at(20)))
    office.settle()
    folder, filed = office.call()
    assert filed["reason"] == "the announcement failed"
    assert [path.name for path in folder.iterdir()] == ["call.json"]
    assert office.left_open() == []


def test_a_call_abandoned_as_a_closure_can_be_answered_after_all(office):
    office.run_to(10.2)
    closure = office.open()
    office.run_to(12.0)
    office.abandon(closure)
    answered = replace(closure, answered_at=at(16.0))
    office.open(answered)
    office.run_to(20.4)
    office.close(answered, 20.0)
    office.run_to(20.5)
    office.settle()
    assert office.frames() == expected(14 * RATE, 6 * RATE)
    assert len(office.filed) == 1
