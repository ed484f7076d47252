"""What a segment file says about itself: Vorbis comments in FLAC, a LIST INFO chunk in WAV.

Tags are put on by copying: the sound goes over byte for byte, nothing is decoded. A late caller ID
is told by copying the sealed segment once more. Both kinds are written and read under the names of
the Vorbis comments (RFC 9639, section 8.6; the field names in capitals). WAV INFO has no free
names, so what has no four-letter name of its own stands in ICMT as `KEY=value; KEY=value`.

Names and numbers come from the telephone line, so anybody can send anything: control and
formatting characters become spaces, and the length is limited.
"""

from __future__ import annotations

import shutil
import struct
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from recorderd.errors import ClipError, StoreError
from recorderd.media import flac
from recorderd.media.wav import Chunk, riff_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_TEXT_CHARACTERS = 200  # caller ID carries 20 to 50; a tag is read in one line
MAX_INFO_BYTES = 1 << 16  # of a LIST chunk that is read: twelve tags of four bytes a character
PADDING_BYTES = 512  # lets another program correct a tag in place
UNSAFE_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, bidirectional marks, line breaks
INFO_NAMES = {
    "TITLE": b"INAM",
    "ARTIST": b"IART",
    "DATE": b"ICRD",
    "TRACKNUMBER": b"ITRK",
    "SOFTWARE": b"ISFT",
}
INFO_COMMENT = b"ICMT"


@dataclass(frozen=True, slots=True)
class SegmentTags:
    """The tags of one segment. Empty texts are left out."""

    title: str
    artist: str  # the caller, by name or number
    date: str  # ISO 8601 with offset
    line: str
    direction: str
    number: str
    call_id: str
    segment: int  # 1-based
    segments: int | None  # None: the call goes on
    first_frame: int  # of the recording
    site: str
    software: str


def write_tagged(source: Path, target: Path, tags: SegmentTags) -> None:
    """Copy the FLAC or WAV file `source` to `target`, with `tags` in place of those it has.

    `target` is replaced where it exists; it is complete but not yet durable. Raises StoreError.
    """
    if target.exists() and target.samefile(source):
        raise StoreError(f"{target}: a file cannot be copied onto itself")
    fields = _fields(tags)
    with _store_errors(source), source.open("rb") as old, target.open("wb") as new:
        if old.read(4) == flac.MAGIC:
            _copy_flac(old, new, fields)
        else:
            _copy_wav(old, new, fields)


def read_tags(path: Path) -> dict[str, str]:
    """The tags of a FLAC or WAV file under their Vorbis names; raises StoreError."""
    with _store_errors(path), path.open("rb") as file:
        return _read_flac(file) if file.read(4) == flac.MAGIC else _read_wav(file)


def clean(text: str) -> str:
    """`text` fit for one line anywhere: no controls, single spaces, at most 200 characters."""
    safe = (" " if unicodedata.category(c) in UNSAFE_CATEGORIES else c for c in text)
    return " ".join("".join(safe).split())[:MAX_TEXT_CHARACTERS].rstrip()


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (ClipError, flac.FlacError) as error:
        raise StoreError(f"{path}: {error}") from error
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror}") from error


def _fields(tags: SegmentTags) -> dict[str, str]:
    """The tags by name, cleaned, in the order in which people want to read them."""
    fields = {
        "TITLE": tags.title,
        "ARTIST": tags.artist,
        "DATE": tags.date,
        "LINE": tags.line,
        "DIRECTION": tags.direction,
        "NUMBER": tags.number,
        "CALL_ID": tags.call_id,
        "TRACKNUMBER": str(tags.segment),
        "TRACKTOTAL": "" if tags.segments is None else str(tags.segments),
        "FIRST_FRAME": str(tags.first_frame),
        "SITE": tags.site,
        "SOFTWARE": tags.software,
    }
    cleaned = {name: clean(text) for name, text in fields.items()}
    return {name: text for name, text in cleaned.items() if text}


# ---------------------------------------------------------------- FLAC


def _copy_flac(old: BinaryIO, new: BinaryIO, fields: dict[str, str]) -> None:
    old.seek(0)
    blocks = flac.read_blocks(old)
    flac.stream_info(blocks)
    kept = [block for block in blocks if block[0] not in {flac.VORBIS_COMMENT, flac.PADDING}]
    comment = _vorbis_comment(_vendor(blocks), fields | {"COMMENT": _summary(fields)})
    tail = [(flac.VORBIS_COMMENT, comment), (flac.PADDING, bytes(PADDING_BYTES))]
    new.write(flac.as_bytes(kept + tail))
    shutil.copyfileobj(old, new)


def _vendor(blocks: list[tuple[int, bytes]]) -> bytes:
    """The name of the encoder's library, which belongs to the sound and is kept."""
    for kind, content in blocks:
        if kind == flac.VORBIS_COMMENT:
            return _Reader(content).text()
    return b""


def _summary(fields: dict[str, str]) -> str:
    """One line for players that show nothing but the comment."""
    names = ("DATE", "DIRECTION", "LINE", "NUMBER", "CALL_ID")
    return ", ".join(fields[name] for name in names if name in fields)


def _vorbis_comment(vendor: bytes, fields: dict[str, str]) -> bytes:
    """RFC 9639, section 8.6: lengths are 32 bits, little-endian."""
    texts = [f"{name}={text}".encode() for name, text in fields.items()]
    out = struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(texts))
    return out + b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _read_flac(file: BinaryIO) -> dict[str, str]:
    file.seek(0)
    comments = [content for kind, content in flac.read_blocks(file) if kind == flac.VORBIS_COMMENT]
    return _read_comment(comments[0]) if comments else {}


def _read_comment(content: bytes) -> dict[str, str]:
    reader = _Reader(content)
    reader.text()
    texts = [reader.text().decode("utf-8", "replace") for _ in range(reader.count())]
    pairs = (text.partition("=") for text in texts)
    return {name.upper(): value for name, _, value in pairs}


class _Reader:
    """Counted texts from a Vorbis comment; FlacError where they run past its end."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def count(self) -> int:
        """A number of 32 bits. A false count of texts ends at the end of the content."""
        return int.from_bytes(self._take(4), "little")

    def text(self) -> bytes:
        return self._take(self.count())

    def _take(self, size: int) -> bytes:
        taken = self._content[self._at : self._at + size]
        if len(taken) < size:
            raise flac.FlacError("its tags are damaged")
        self._at += size
        return taken


# ---------------------------------------------------------------- WAV


def _copy_wav(old: BinaryIO, new: BinaryIO, fields: dict[str, str]) -> None:
    new.write(b"RIFF\0\0\0\0WAVE")
    for chunk in riff_chunks(old):
        if not _is_info(old, chunk):
            _copy_chunk(old, new, chunk)
    info = _info(fields)
    new.write(b"LIST" + struct.pack("<I", len(info)) + info)
    riff_size = new.tell() - 8
    new.seek(4)
    new.write(struct.pack("<I", riff_size))


def _is_info(file: BinaryIO, chunk: Chunk) -> bool:
    file.seek(chunk.at)
    return chunk.name == b"LIST" and file.read(min(4, chunk.size)) == b"INFO"


def _copy_chunk(old: BinaryIO, new: BinaryIO, chunk: Chunk) -> None:
    old.seek(chunk.at - 8)
    left = 8 + chunk.size + chunk.size % 2
    while left:
        piece = old.read(min(left, 1 << 16))
        if not piece:
            raise ClipError("it became shorter while it was copied")
        new.write(piece)
        left -= len(piece)


def _info(fields: dict[str, str]) -> bytes:
    """The content of a LIST INFO chunk: texts end with a zero byte and fill an even length."""
    named = {INFO_NAMES[name]: text for name, text in fields.items() if name in INFO_NAMES}
    others = {name: text for name, text in fields.items() if name not in INFO_NAMES}
    # A semicolon ends a value in the list, so none may stand inside one.
    values = (f"{name}={text.replace(';', ',')}" for name, text in others.items())
    named[INFO_COMMENT] = "; ".join(values)
    out = bytearray(b"INFO")
    for info_name, text in named.items():
        content = text.encode() + b"\0"
        out += info_name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return bytes(out)


def _read_wav(file: BinaryIO) -> dict[str, str]:
    info: dict[bytes, str] = {}
    for chunk in riff_chunks(file):
        if _is_info(file, chunk):
            if chunk.size > MAX_INFO_BYTES:
                raise ClipError(f"its tags take {chunk.size} bytes, more than {MAX_INFO_BYTES}")
            file.seek(chunk.at + 4)
            info |= _read_info(file.read(chunk.size - 4))
    tags = {name: info[code] for name, code in INFO_NAMES.items() if code in info}
    pairs = (pair.partition("=") for pair in info.get(INFO_COMMENT, "").split("; "))
    return tags | {name: value for name, equals, value in pairs if equals}


def _read_info(content: bytes) -> dict[bytes, str]:
    info: dict[bytes, str] = {}
    at = 0
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        text = content[at + 8 : at + 8 + size].rstrip(b"\0")
        info[content[at : at + 4]] = text.decode("utf-8", "replace")
        at += 8 + size + size % 2
    return info
