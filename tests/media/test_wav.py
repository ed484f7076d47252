"""The WAV reader: what it takes, a sentence for each thing it refuses, and nothing but ClipError."""

from __future__ import annotations

import io
import struct
import wave

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.errors import ClipError
from recorderd.media.wav import MAX_CHUNKS, find_sound, read_wav

PCM_SUBTYPE = bytes.fromhex("0100000000001000800000aa00389b71")
FLOAT_SUBTYPE = bytes.fromhex("0300000000001000800000aa00389b71")


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def riff(*chunks: bytes, magic: bytes = b"RIFF", form: bytes = b"WAVE") -> bytes:
    body = form + b"".join(chunks)
    return magic + struct.pack("<I", len(body)) + body


def fmt(
    tag: int = 1, channels: int = 1, rate_hz: int = 8000, bits: int = 16, extra: bytes = b""
) -> bytes:
    frame_bytes = channels * bits // 8
    fixed = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, bits)
    return chunk(b"fmt ", fixed + extra)


def extensible(subtype: bytes, bits: int = 16, valid_bits: int = 16) -> bytes:
    return fmt(0xFFFE, bits=bits, extra=struct.pack("<HHI", 22, valid_bits, 0) + subtype)


SOUND = chunk(b"data", b"\1\0\2\0\3\0\4\0")
GOOD = riff(fmt(), SOUND)


def test_reads_what_the_standard_library_writes() -> None:
    target = io.BytesIO()
    with wave.open(target, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(44100)
        writer.writeframes(bytes(range(40)))
    sound = read_wav(target.getvalue())
    assert (sound.rate_hz, sound.channels, sound.pcm) == (44100, 2, bytes(range(40)))


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        riff(fmt(extra=b"\0\0"), SOUND),
        riff(extensible(PCM_SUBTYPE), SOUND),
        riff(chunk(b"JUNK", b"odd"), fmt(), chunk(b"LIST", b"INFO"), SOUND, chunk(b"id3 ", b"x")),
    ],
)
def test_reads_every_form_of_16_bit_pcm(data: bytes) -> None:
    sound = read_wav(data)
    assert (sound.rate_hz, sound.channels, sound.pcm) == (8000, 1, SOUND[8:])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no WAV file"),
        (b"This is text, not sound.", "no WAV file"),
        (b"RIFF\x04\0", "cut off after 6"),
        (riff(fmt(), SOUND, magic=b"RIFX"), "big-endian"),
        (riff(fmt(), SOUND, magic=b"RF64"), "RF64"),
        (riff(fmt(), SOUND, magic=b"BW64"), "BW64"),
        (riff(fmt(), SOUND, form=b"AVI "), "another kind"),
        (riff(fmt(bits=8), SOUND), "8 bits"),
        (riff(fmt(bits=24), SOUND), "24 bits"),
        (riff(fmt(bits=32), SOUND), "32 bits"),
        (riff(fmt(3, bits=32), SOUND), "floating point"),
        (riff(fmt(6, bits=8), SOUND), "A-law"),
        (riff(fmt(7, bits=8), SOUND), "mu-law"),
        (riff(fmt(0x11, bits=4), SOUND), "IMA ADPCM"),
        (riff(fmt(0x1234), SOUND), "0x1234"),
        (riff(extensible(FLOAT_SUBTYPE, 32, 32), SOUND), "floating point"),
        (riff(extensible(PCM_SUBTYPE, 24, 24), SOUND), "24 bits"),
        (riff(extensible(PCM_SUBTYPE, 16, 12), SOUND), "only 12 of the 16 bits"),
        (riff(extensible(b"\1" * 16), SOUND), "unknown extensible"),
        (riff(fmt(0xFFFE), SOUND), "16 bytes, fewer than 40"),
        (riff(chunk(b"fmt ", b"\1\0"), SOUND), "2 bytes, fewer than 16"),
        (riff(fmt(channels=0), SOUND), "0 channels"),
        (riff(fmt(rate_hz=0), SOUND), "0 Hz"),
        (
            riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, 8000, 16_000, 2, 16)), SOUND),
            "contradicts",
        ),
        (
            riff(fmt().replace(struct.pack("<I", 16_000), struct.pack("<I", 8000)), SOUND),
            "contradicts",
        ),
        (riff(fmt(), SOUND, b"odd \3\0\0\0abc"), "b'odd ' chunk is shorter"),
        (riff(fmt(channels=3), SOUND), "middle of a frame"),
        (riff(fmt(), chunk(b"data", b"")), "no sound at all"),
        (riff(fmt()), "no b'data' chunks"),
        (riff(SOUND), "no b'fmt ' chunks"),
        (riff(fmt(), SOUND, SOUND), "2 b'data' chunks"),
        (riff(SOUND, fmt()), "before the description"),
        (riff(fmt(), SOUND, *[chunk(b"JUNK", b"")] * MAX_CHUNKS), f"more than {MAX_CHUNKS}"),
        (GOOD + b"junk", "4 bytes that do not belong"),
        (GOOD[:-2], "2 bytes are missing"),
        (b"RIFF\xff\xff\xff\xff" + GOOD[8:], "never finished"),
        (b"RIFF\0\0\0\0" + GOOD[8:], "never finished"),
        (riff(fmt(), b"data\xff\0\0\0" + b"\0" * 8), "b'data' chunk is shorter"),
        (riff(fmt(), SOUND, b"tail"), "inside a chunk header"),
    ],
)
def test_refuses_with_a_sentence_of_its_own(data: bytes, sentence: str) -> None:
    with pytest.raises(ClipError) as refusal:
        read_wav(data)
    assert sentence in str(refusal.value)


def test_finds_the_sound_without_reading_it() -> None:
    class Headers(io.BytesIO):
        read_bytes = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.read_bytes += len(data)
            return data

    file = Headers(riff(fmt(), chunk(b"data", bytes(1_000_000))))
    assert find_sound(file).size == 1_000_000
    assert file.read_bytes < 100


@given(data=st.binary(max_size=200))
@settings(max_examples=100)
def test_any_chunks_give_sound_or_a_clip_error(data: bytes) -> None:
    for whole in (data, riff(data), riff(fmt(), data), riff(data, SOUND)):
        try:
            sound = read_wav(whole)
        except ClipError:
            continue
        assert len(sound.pcm) % (2 * sound.channels) == 0


@given(at=st.integers(0, len(GOOD) - 1), value=st.integers(0, 255), cut=st.integers(0, 60))
@settings(max_examples=200)
def test_a_changed_or_cut_file_gives_sound_or_a_clip_error(at: int, value: int, cut: int) -> None:
    changed = bytearray(GOOD)
    changed[at] = value
    for data in (bytes(changed), bytes(changed[:cut]), GOOD + bytes(changed)):
        try:
            sound = read_wav(data)
        except ClipError:
            continue
        assert sound.pcm
        assert sound.pcm in data
