"""The crash journal: whatever a cut or a flipped bit does to it, a true beginning comes back."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.core.manifest import CallWaiting, Flash, Gap, Notice
from recorderd.errors import StoreError
from recorderd.seal.envelope import PLAIN
from recorderd.store.drafts import (
    Draft,
    draft_path,
    is_all_gap,
    load_draft,
    merge_gaps,
    save_draft,
)
from recorderd.store.journal import Journal, read_journal, sound_blocks
from recorderd.store.spool import SpoolWriter, find_journals, missing_frames, segment_blocks
from tests.store.calls import CALLER, a_record, at, in_memory

RATE = 1000
FULL = replace(
    a_record(caller=CALLER, dialled="117", rings=3, ended_at=at(20)),
    flashes=(Flash(at(12), 300_000_000),),
    call_waiting=(CallWaiting(at(13), CALLER),),
    notice=Notice("ja.wav", "ab", at(11), 4000, completed=True, heard=None, score=0.5),
)
DRAFT = Draft(FULL, "calls/2026/11/23/call-1", "flac", RATE, 50, at(10), 20)


@pytest.fixture
def folder():
    with in_memory() as path:
        (path / "open").mkdir()
        yield path


def pcm(first, frames):
    """Frames that tell their index, as bytes."""
    return b"".join(index.to_bytes(4, "little") for index in range(first, first + frames))


def a_journal(folder):
    """A header, three blocks of sound with a gap between them; its bytes and block ends."""
    journal = Journal(folder, DRAFT, PLAIN, 0, 0, 0)
    ends = []
    for first, frames in ((0, 7), (7, 5), (12, 9)):
        journal.append(pcm(first, frames))
        ends.append((journal.path.stat().st_size, first + frames))
        journal.append_gap(Gap(first, 3, "overrun"))
    journal.close()
    return journal.path, journal.path.read_bytes(), ends


def sound_of(path):
    return b"".join(block.payload for block in sound_blocks(path))


# ------------------------------------------------------------ one file


def test_a_journal_comes_back_whole(folder):
    path, _, _ = a_journal(folder)
    info = read_journal(path)
    assert (info.segment, info.part, info.first_frame, info.frames) == (0, 0, 0, 21)
    assert info.draft == DRAFT
    assert info.gaps == tuple(Gap(first, 3, "overrun") for first in (0, 7, 12))
    assert not info.is_damaged
    assert sound_of(path) == pcm(0, 21)


def test_cut_at_every_byte_the_prefix_is_exact(folder):
    path, content, ends = a_journal(folder)
    header = content.index(b"\n") + 1
    for size in range(len(content)):
        path.write_bytes(content[:size])
        whole = max([frames for end, frames in ends if end <= size], default=0)
        info = read_journal(path)
        if size < header:
            assert info is None
        else:
            assert (info.frames, info.is_damaged) == (whole, False)
        assert sound_of(path) == pcm(0, whole)


def test_any_flipped_bit_ends_the_prefix_and_moves_nothing(folder):
    path, content, ends = a_journal(folder)
    header = content.index(b"\n") + 1
    last_block = ends[2][0] - len(pcm(12, 9)) - 20
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        sound = sound_of(path)
        assert sound == pcm(0, len(sound) // 4)
        info = read_journal(path)
        if position < header:
            assert info is None
            continue
        whole = max([frames for end, frames in ends if end <= position], default=0)
        assert info.frames == whole
        assert set(info.gaps) <= {Gap(first, 3, "overrun") for first in (0, 7, 12)}
        assert info.is_damaged == (position < last_block)


@settings(max_examples=60, deadline=None)
@given(junk=st.binary(max_size=300), at_byte=st.integers(0, 2000))
def test_no_bytes_raise_anything(junk, at_byte):
    with in_memory() as folder:
        (folder / "open").mkdir()
        path, content, _ = a_journal(folder)
        at_byte %= len(content) + 1
        path.write_bytes(content[:at_byte] + junk + content[at_byte + len(junk) :])
        read_journal(path)
        assert sound_of(path)[:28] in {b"", pcm(0, 7)}


def test_a_file_without_sound_or_with_none_of_ours(folder):
    path = folder / "open" / "x_000_00.journal"
    for content in (b"", b"\n", b"{}\n", b"[" * 500, b"\0" * 5000, b'{"journal": 1}\t00000000\n'):
        path.write_bytes(content)
        assert read_journal(path) is None
    path.unlink()
    assert read_journal(path) is None


# ------------------------------------------------------------ a recording over many files


pieces = st.lists(st.integers(1, 120), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(pieces=pieces, refused=st.sets(st.integers(0, 40), max_size=6))
def test_a_recording_survives_any_failures_of_the_disk(pieces, refused):
    """Writes that fail, whichever they are, cost nothing as long as later ones succeed."""
    with in_memory() as folder:
        (folder / "open").mkdir()
        spool = SpoolWriter(folder, DRAFT, PLAIN)
        count = 0

        def sometimes(real):
            def operation(*args):
                nonlocal count
                count += 1
                if count in refused:
                    raise OSError(errno.EIO, "no")
                return real(*args)

            return operation

        with patch.multiple(os, write=sometimes(os.write), fdatasync=sometimes(os.fdatasync)):
            for frames in pieces:
                spool.append(pcm(spool.frames, frames), [])
                flush_until_it_succeeds(spool)
            finish_until_it_succeeds(spool)
        total = sum(pieces)
        assert spool.frames == total
        assert spool.full_segments == total // 50
        for segment in range(-(-total // 50)):
            parts = find_journals(folder, "call-1", segment)
            frames = min(50, total - segment * 50)
            assert missing_frames(parts, segment * 50, frames) == []
            assert b"".join(segment_blocks(parts, PLAIN, segment * 50, frames)) == pcm(
                segment * 50, frames
            )


def flush_until_it_succeeds(spool):
    for _ in range(20):
        try:
            spool.flush()
        except StoreError:
            continue
        return
    raise AssertionError("the disk should have recovered")


def finish_until_it_succeeds(spool):
    for _ in range(20):
        try:
            spool.finish()
        except StoreError:
            continue
        return
    raise AssertionError("the disk should have recovered")


@pytest.mark.parametrize("pump_ms", [100, 400, 490, 500, 510, 600, 690, 800])
def test_more_than_is_left_for_half_a_second_more_is_never_at_risk(folder, pump_ms):
    """And there is no sync more than that takes: at the real pace one every other time."""
    synced = []
    real = os.fdatasync
    with patch.object(
        os, "fdatasync", lambda descriptor: (synced.append(spool.frames), real(descriptor))
    ):
        spool = SpoolWriter(folder, replace(DRAFT, segment_frames=60 * RATE), PLAIN)
        for _ in range(20):
            spool.append(pcm(spool.frames, RATE * pump_ms // 1000), [])
            spool.flush()
            assert spool.frames - (synced[-1] if synced else 0) <= 0.7 * RATE
    assert len(synced) == 20 // (700 // pump_ms + 1)


def test_missing_parts_are_silence_and_are_told(folder):
    Journal(folder, DRAFT, PLAIN, 0, 0, 0).append(pcm(0, 10))
    Journal(folder, DRAFT, PLAIN, 0, 1, 20).append(pcm(20, 10))
    parts = find_journals(folder, "call-1", 0)
    assert missing_frames(parts, 0, 50) == [(10, 10), (30, 20)]
    joined = b"".join(segment_blocks(parts, PLAIN, 0, 50))
    assert joined == pcm(0, 10) + bytes(40) + pcm(20, 10) + bytes(80)


def test_journals_of_calls_with_alike_names_are_kept_apart(folder):
    for call_id in ("call", "call_1", "call_1_000"):
        draft = replace(DRAFT, record=replace(FULL, id=call_id))
        Journal(folder, draft, PLAIN, 1, 0, 50).close()
    for call_id in ("call", "call_1", "call_1_000"):
        (info,) = find_journals(folder, call_id)
        assert info.draft.record.id == call_id
    assert find_journals(folder, "call", 0) == []


# ------------------------------------------------------------ drafts and gaps


def test_a_draft_comes_back_as_it_was(folder):
    draft = replace(DRAFT, gaps=(Gap(1, 2, "cut"),), frames=77, is_filed=False)
    save_draft(folder, draft)
    assert load_draft(draft_path(folder, "call-1")) == draft


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"version": 2}', b"\xff", b"[" * 100_000])
def test_what_is_no_draft_is_said_to_be_none(folder, content):
    path = draft_path(folder, "call-1")
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"call-1\.json"):
        load_draft(path)


gaps = st.lists(
    st.builds(
        Gap, st.integers(0, 60), st.integers(1, 30), st.sampled_from(["overrun", "card-lost"])
    ),
    max_size=8,
)


@given(gaps=gaps, frames=st.integers(0, 70))
def test_merged_gaps_cover_the_same_frames_once_and_in_order(gaps, frames):
    def covered(some):
        return [
            index for gap in some for index in range(gap.first_frame, gap.first_frame + gap.frames)
        ]

    merged = merge_gaps(gaps, frames)
    assert covered(merged) == sorted({index for index in covered(gaps) if index < frames})
    assert merge_gaps(merged, frames) == merged
    assert is_all_gap(merged, frames) == (len(covered(merged)) == frames)


def test_touching_gaps_of_one_cause_are_one():
    parts = [Gap(0, 5, "overrun"), Gap(5, 5, "overrun"), Gap(10, 5, "card-lost"), Gap(30, 0, "cut")]
    assert merge_gaps(parts, 30) == (
        Gap(0, 10, "overrun"),
        Gap(10, 5, "card-lost"),
        Gap(30, 0, "cut"),
    )


def test_a_journal_that_lost_frames_since_it_was_looked_at_is_an_error_and_not_silence(folder):
    journal = Journal(folder, DRAFT, PLAIN, 0, 0, 0)
    journal.append(pcm(0, 20))
    journal.append(pcm(20, 20))
    journal.sync()
    journal.close()
    parts = [read_journal(journal.path)]
    with journal.path.open("r+b") as file:
        file.truncate(journal.path.stat().st_size - 10)
    with pytest.raises(StoreError, match="holds less than before"):
        list(segment_blocks(parts, PLAIN, 0, 50))
    parts = [read_journal(journal.path)]
    assert missing_frames(parts, 0, 50) == [(20, 30)]
    assert b"".join(segment_blocks(parts, PLAIN, 0, 50)) == pcm(0, 20) + bytes(30 * 4)


@pytest.mark.parametrize("later", [0, 10, 20, 30])
def test_a_part_that_failed_counts_as_far_as_it_goes_where_the_next_holds_less(folder, later):
    """Killed while the rest went to a new file: what the failed one held is still there."""
    for number, first, frames in ((0, 0, 40), (1, 20, later)):
        journal = Journal(folder, DRAFT, PLAIN, 0, number, first)
        if frames:
            journal.append(pcm(first, frames))
        journal.sync()
        journal.close()
    parts = find_journals(folder, DRAFT.record.id, 0)
    reached = max(40, 20 + later)
    assert missing_frames(parts, 0, reached) == []
    assert b"".join(segment_blocks(parts, PLAIN, 0, reached)) == pcm(0, reached)
