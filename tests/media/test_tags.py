"""Tags: read back by us and by others, the sound untouched, hostile names made harmless."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import unicodedata
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.flac import FLAC

from recorderd.errors import ClipError, StoreError
from recorderd.media.codec import encode_segment, verify_segment
from recorderd.media.tags import (
    MAX_TEXT_CHARACTERS,
    SegmentTags,
    _copy_chunk,
    clean,
    read_tags,
    write_tagged,
)
from recorderd.media.wav import Chunk

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["flac", "wav"]
KINDS: tuple[Kind, ...] = ("flac", "wav")
both_kinds = pytest.mark.parametrize("kind", KINDS)

SOUND = bytes(range(256)) * 500
TAGS = SegmentTags(
    title="Call from 山田 太郎",
    artist="山田 太郎",
    date="2026-11-23T18:45:12.345+09:00",
    line="front-desk",
    direction="inbound",
    number="0312345678",
    call_id="20261123T184512-front-desk-1",
    segment=2,
    segments=3,
    first_frame=480_000,
    site="大阪クリニック",
    software="recorderd 0.1.0",
)
EXPECTED = {
    "TITLE": "Call from 山田 太郎",
    "ARTIST": "山田 太郎",
    "DATE": "2026-11-23T18:45:12.345+09:00",
    "LINE": "front-desk",
    "DIRECTION": "inbound",
    "NUMBER": "0312345678",
    "CALL_ID": "20261123T184512-front-desk-1",
    "TRACKNUMBER": "2",
    "TRACKTOTAL": "3",
    "FIRST_FRAME": "480000",
    "SITE": "大阪クリニック",
    "SOFTWARE": "recorderd 0.1.0",
}
COMMENT = ("DATE", "DIRECTION", "LINE", "NUMBER", "CALL_ID")
FREE_NAMES = ("LINE", "DIRECTION", "NUMBER", "CALL_ID", "TRACKTOTAL", "FIRST_FRAME", "SITE")


def segment(folder: Path, kind: Kind) -> Path:
    path = folder / f"plain.{kind}"
    encode_segment(path, [SOUND], 8000, kind)
    return path


def tagged(folder: Path, kind: Kind, tags: SegmentTags = TAGS) -> Path:
    target = folder / f"tagged.{kind}"
    write_tagged(segment(folder, kind), target, tags)
    return target


def ffprobe(path: Path) -> dict[str, str]:
    command = ["ffprobe", "-v", "error", "-show_format", "-of", "json", path]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    return {key.upper(): text for key, text in json.loads(output)["format"]["tags"].items()}


@both_kinds
def test_what_was_written_is_read_and_the_sound_is_the_same(kind: Kind, tmp_path: Path) -> None:
    path = tagged(tmp_path, kind)
    comment = {"COMMENT": ", ".join(EXPECTED[name] for name in COMMENT)} if kind == "flac" else {}
    assert read_tags(path) == EXPECTED | comment
    assert verify_segment(path, [SOUND])


def test_flac_is_valid_to_its_own_tool_and_mutagen_reads_every_tag(tmp_path: Path) -> None:
    path = tagged(tmp_path, "flac")
    subprocess.run(["flac", "--test", "--silent", "--warnings-as-errors", path], check=True)
    read = FLAC(path)
    assert {name: read[name] for name in EXPECTED} == {n: [text] for n, text in EXPECTED.items()}
    assert read.info.total_samples == len(SOUND) // 4


def test_flac_keeps_the_name_of_the_encoder_and_every_byte_of_the_sound(tmp_path: Path) -> None:
    plain, path = segment(tmp_path, "flac"), tagged(tmp_path, "flac")
    assert FLAC(path).tags.vendor == FLAC(plain).tags.vendor != ""
    sound = plain.read_bytes()[-40_000:]
    assert path.read_bytes().endswith(sound)


@both_kinds
def test_ffprobe_reads_the_tags(kind: Kind, tmp_path: Path) -> None:
    read = ffprobe(tagged(tmp_path, kind))
    common = {name: EXPECTED[name] for name in ("TITLE", "ARTIST", "DATE")} | {"TRACK": "2"}
    assert {name: read[name] for name in common} == common
    if kind == "flac":
        assert {name: read[name] for name in FREE_NAMES} == {n: EXPECTED[n] for n in FREE_NAMES}
    else:
        assert read["COMMENT"] == "; ".join(f"{name}={EXPECTED[name]}" for name in FREE_NAMES)
        assert read["ENCODER"] == "recorderd 0.1.0"


@both_kinds
def test_libsndfile_reads_the_tags(kind: Kind, tmp_path: Path) -> None:
    with soundfile.SoundFile(tagged(tmp_path, kind)) as file:
        assert (file.title, file.artist, file.date) == (TAGS.title, TAGS.artist, TAGS.date)
        assert (file.tracknumber, file.software) == ("2", "recorderd 0.1.0")
        assert TAGS.call_id in file.comment
        assert file.frames == len(SOUND) // 4


@both_kinds
def test_a_late_caller_id_replaces_the_tags_and_nothing_piles_up(
    kind: Kind, tmp_path: Path
) -> None:
    early = tagged(tmp_path, kind, replace(TAGS, artist="", number="", segments=None))
    assert not {"ARTIST", "NUMBER", "TRACKTOTAL"} & set(read_tags(early))
    late, again = tmp_path / "late", tmp_path / "again"
    write_tagged(early, late, TAGS)
    write_tagged(late, again, TAGS)
    assert {name: read_tags(late)[name] for name in EXPECTED} == EXPECTED
    assert verify_segment(late, [SOUND])
    assert again.read_bytes() == late.read_bytes()


@both_kinds
def test_a_hostile_name_stays_one_short_line(kind: Kind, tmp_path: Path) -> None:
    evil = "A\0B\r\nNUMBER=1; LINE=x\x1b[2J\u202egnp\ud800" + "山" * 1000
    read = read_tags(tagged(tmp_path, kind, replace(TAGS, artist=evil, number=evil, title=evil)))
    for name in ("ARTIST", "NUMBER", "TITLE"):
        assert read[name].isprintable()
        assert len(read[name]) == MAX_TEXT_CHARACTERS
    assert read["LINE"] == "front-desk"
    assert read["ARTIST"].startswith("A B NUMBER=1; LINE=x [2J gnp 山")


def test_a_wav_of_odd_text_lengths_stays_well_formed(tmp_path: Path) -> None:
    for length in range(1, 5):
        path = tagged(tmp_path, "wav", replace(TAGS, title="x" * length, site="y" * length))
        data = path.read_bytes()
        assert len(data) % 2 == 0
        assert int.from_bytes(data[4:8], "little") == len(data) - 8
        assert read_tags(path)["TITLE"] == "x" * length
        subprocess.run(["ffprobe", "-v", "error", path], check=True)


def test_other_chunks_of_a_wav_and_other_blocks_of_a_flac_are_kept(tmp_path: Path) -> None:
    wav = segment(tmp_path, "wav")
    other = b"bext" + struct.pack("<I", 3) + b"abc\0" + b"LIST" + struct.pack("<I", 4) + b"adtl"
    data = wav.read_bytes() + other
    wav.write_bytes(b"RIFF" + struct.pack("<I", len(data) - 8) + data[8:])
    write_tagged(wav, tmp_path / "w", TAGS)
    assert other in (tmp_path / "w").read_bytes()
    flac = segment(tmp_path, "flac")
    data = flac.read_bytes()
    application = b"\x02\0\0\x08riffdata"  # RFC 9639, section 8.4
    flac.write_bytes(data[:42] + application + data[42:])
    write_tagged(flac, tmp_path / "f", TAGS)
    assert application in (tmp_path / "f").read_bytes()
    assert verify_segment(tmp_path / "f", [SOUND])


@both_kinds
def test_a_file_is_not_copied_onto_itself(kind: Kind, tmp_path: Path) -> None:
    path = segment(tmp_path, kind)
    (tmp_path / "link").hardlink_to(path)
    before = path.read_bytes()
    for target in (path, tmp_path / "link"):
        with pytest.raises(StoreError, match="onto itself"):
            write_tagged(path, target, TAGS)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"fLaC", b"fLaC\x84\0\0\x04\xff\xff\xff\xff", b"text"])
def test_a_file_of_another_kind_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(content)
    with pytest.raises(StoreError, match="odd: it"):
        read_tags(tmp_path / "odd")
    with pytest.raises(StoreError, match="odd: it"):
        write_tagged(tmp_path / "odd", tmp_path / "copy", TAGS)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing: No such file"):
        read_tags(tmp_path / "nothing")
    with pytest.raises(StoreError, match="nowhere/x: No such file"):
        write_tagged(segment(tmp_path, "wav"), tmp_path / "nowhere" / "x", TAGS)


def test_metadata_without_end_is_refused(tmp_path: Path) -> None:
    endless = b"fLaC" + (b"\x01\0\xff\xff" + bytes(0xFFFF)) * 20
    (tmp_path / "odd").write_bytes(endless)
    with pytest.raises(StoreError, match="more than 1048576 bytes"):
        read_tags(tmp_path / "odd")


def test_tags_without_end_in_a_wav_are_refused(tmp_path: Path) -> None:
    info = b"INFO" + b"INAM" + struct.pack("<I", 1 << 16) + bytes(1 << 16)
    data = segment(tmp_path, "wav").read_bytes() + b"LIST" + struct.pack("<I", len(info)) + info
    (tmp_path / "odd").write_bytes(b"RIFF" + struct.pack("<I", len(data) - 8) + data[8:])
    with pytest.raises(StoreError, match="65548 bytes, more than 65536"):
        read_tags(tmp_path / "odd")


def test_a_wav_that_shrinks_while_it_is_copied_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="became shorter"):
        _copy_chunk(io.BytesIO(b"data\x64\0\0\0abcd"), io.BytesIO(), Chunk(b"data", 8, 100))


def test_a_cut_text_does_not_end_in_a_space() -> None:
    assert clean("x" * (MAX_TEXT_CHARACTERS - 1) + " y") == "x" * (MAX_TEXT_CHARACTERS - 1)


@given(text=st.text(st.characters(), max_size=1200))
@settings(max_examples=100)
def test_cleaned_text_is_safe_whatever_came(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= MAX_TEXT_CHARACTERS
    assert not {unicodedata.category(c) for c in cleaned} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert clean(cleaned) == cleaned == " ".join(cleaned.split())
    assert cleaned.encode().decode() == cleaned


@given(texts=st.lists(st.text(max_size=60), min_size=4, max_size=4), kind=st.sampled_from(KINDS))
@settings(max_examples=40)
def test_any_texts_come_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], kind: Kind
) -> None:
    title, artist, number, site = texts
    tags = replace(TAGS, title=title, artist=artist, number=number, site=site)
    read = read_tags(tagged(tmp_path_factory.mktemp("tags"), kind, tags))
    plain = {name: clean(text) for name, text in zip(("TITLE", "ARTIST"), texts, strict=False)}
    for name, text in (("NUMBER", number), ("SITE", site)):
        plain[name] = clean(text).replace(";", "," if kind == "wav" else ";")
    assert {name: read.get(name, "") for name in plain} == plain


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, bytes]:
    """A tagged file of each kind."""
    folder = tmp_path_factory.mktemp("whole")
    return {kind: tagged(folder, kind).read_bytes() for kind in KINDS}


@given(at=st.integers(4, 900), value=st.integers(0, 255), cut=st.integers(4, 900))
@settings(max_examples=150)
def test_a_damaged_header_gives_tags_or_a_store_error(
    tmp_path_factory: pytest.TempPathFactory,
    wholes: dict[Kind, bytes],
    at: int,
    value: int,
    cut: int,
) -> None:
    odd = tmp_path_factory.mktemp("damage") / "odd"
    for kind, whole in wholes.items():
        data = bytearray(whole)
        data[at if kind == "flac" else len(data) - at] = value
        for damaged in (data, data[:cut]):
            odd.write_bytes(damaged)
            with suppress(StoreError):
                read_tags(odd)
            with suppress(StoreError):
                write_tagged(odd, odd.with_name("copy"), TAGS)
