"""Broadcast Wave headers, read back by our own strict reader and field by field."""

from __future__ import annotations

import io
import struct
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.media import bwf
from recorderd.media.wav import find_sound, riff_chunks

JST = timezone(timedelta(hours=9))
ORIGIN = bwf.Origin(
    "call 1 on front",
    "recorderd",
    "call-1",
    datetime(2026, 11, 23, 18, 45, 10, 250_000, JST),
    "A=PCM\r\n",
)


def written(frames=4, rate_hz=8000, origin=ORIGIN):
    file = io.BytesIO()
    bwf.write_header(file, frames, rate_hz, origin)
    file.write(bytes(frames * bwf.FRAME_BYTES))
    return file


def bext_of(file):
    (chunk,) = [chunk for chunk in riff_chunks(file) if chunk.name == b"bext"]
    file.seek(chunk.at)
    return file.read(chunk.size)


def test_the_fields_of_bext_lie_where_the_standard_has_them():
    bext = bext_of(written())
    assert bext[:256].rstrip(b"\0") == b"call 1 on front"
    assert bext[256:288].rstrip(b"\0") == b"recorderd"
    assert bext[288:320].rstrip(b"\0") == b"call-1"
    assert bext[320:338] == b"2026-11-2318:45:10"
    low, high, version = struct.unpack_from("<IIH", bext, 338)
    seconds = 18 * 3600 + 45 * 60 + 10.25
    assert (high << 32 | low, version) == (seconds * 8000, 1)
    assert bext[348:602] == bytes(254)  # no UMID, and what is reserved
    assert bext[602:] == b"A=PCM\r\n"


@given(
    st.integers(0, 100),
    st.sampled_from([8000, 16000, 48000, 192_000]),
    st.text(max_size=300),
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001
)
def test_whatever_is_said_the_file_is_well_formed(frames, rate_hz, text, first):
    origin = bwf.Origin(text, text, text, first.replace(tzinfo=JST), text)
    file = written(frames, rate_hz, origin)
    names = [chunk.name for chunk in riff_chunks(file)]
    assert names == [b"bext", b"fmt ", b"data"]
    bext = bext_of(file)
    low, high = struct.unpack_from("<II", bext, 338)
    assert 0 <= (high << 32 | low) < 86_400 * rate_hz
    if frames:
        sound = find_sound(file)
        assert (sound.rate_hz, sound.channels, sound.size) == (rate_hz, 2, 4 * frames)


def test_what_a_wav_file_cannot_hold_is_known_before():
    assert bwf.fits((1 << 30) - (1 << 15))
    assert not bwf.fits(1 << 30)
    with pytest.raises(AssertionError):
        bwf.header(1 << 30, 8000, ORIGIN)
