"""ZIP files of one form: stored, in the order of names, the same bytes for the same content.

Written here and not by a general library, so that the form does not change with its version, and
read by comparing: a file is taken only where each of its bytes is the one that this form has there.
So there is nothing to unpack, no name is ever made a path, a size is never believed before the bytes
are there, and no bit of the archive can be changed unseen. Layout: PKWARE APPNOTE 6.3.9, sections
4.3 and 4.5.3 (Zip64, for what lies behind 4 GiB).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from recorderd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")

_UTF8 = 0x0800
_TIME, _DATE = 0, 0x21  # midnight of 1 January 1980, the first that the form knows
_VERSION, _VERSION64 = 20, 45
_MADE_BY_UNIX = 3 << 8
_REGULAR_0644 = 0o100644 << 16

SMALL = 0xFFFF_FFFF
MANY = 0xFFFF
NAME_BYTES_MAX = 1024
FILES_MAX = 1_000_000
BLOCK_BYTES = 1 << 20

NOT_OURS = (
    "not a ZIP file in the form that recorderd writes, or altered; if another program packed it, "
    "unpack it and verify the folder"
)


@dataclass(frozen=True, slots=True)
class Member:
    """One file in the archive."""

    name: str
    crc: int
    size: int
    header_at: int

    @property
    def content_at(self) -> int:
        return self.header_at + _LOCAL.size + len(self.name.encode())


def write_zip(target: BinaryIO, files: Iterable[tuple[str, Path]]) -> None:
    """Pack files under their names, which come in order. Raises OSError."""
    members: list[Member] = []
    at = 0
    for name, path in files:
        with path.open("rb") as source:
            crc, size = _checksum(source)
            member = Member(name, crc, size, at)
            target.write(_local(member))
            source.seek(0)
            while block := source.read(BLOCK_BYTES):
                target.write(block)
        members.append(member)
        at = member.content_at + size
    target.writelines(_directory(members, at))


def read_zip(file: BinaryIO) -> list[Member]:
    """The members of an archive of this form; StoreError for any other, or one that was altered."""
    members: list[Member] = []
    at = 0
    while (magic := _exactly(file, at, 4)) == b"PK\3\4":
        if len(members) == FILES_MAX:
            raise StoreError(f"it holds more than {FILES_MAX} files")
        member = _member(file, at)
        members.append(member)
        at = member.content_at + member.size
    if not members or magic not in {b"PK\1\2", b"PK\5\6"}:
        raise StoreError(NOT_OURS)
    for piece in _directory(members, at):
        if _exactly(file, at, len(piece)) != piece:
            raise StoreError(NOT_OURS)
        at += len(piece)
    if file.read(1):
        raise StoreError(NOT_OURS)
    return members


def _member(file: BinaryIO, at: int) -> Member:
    """The member whose header is at `at`, its content read once and compared with its checksum."""
    header = _exactly(file, at, _LOCAL.size)
    *_, crc, _packed, size, name_bytes, _extra = _LOCAL.unpack(header)
    if name_bytes > NAME_BYTES_MAX:
        raise StoreError(NOT_OURS)
    try:
        name = file.read(name_bytes).decode()
    except UnicodeDecodeError as error:
        raise StoreError(NOT_OURS) from error
    member = Member(name, crc, size, at)
    if _exactly(file, at, _LOCAL.size + name_bytes) != _local(member):
        raise StoreError(NOT_OURS)
    if _crc_of(file, size) != crc:
        raise StoreError(f"{name!r} is not what its checksum says: the file is damaged or altered")
    return member


def _exactly(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    data = file.read(size)
    if len(data) < size:
        raise StoreError(NOT_OURS)
    return data


def _crc_of(file: BinaryIO, size: int) -> int:
    crc = 0
    while size:
        block = file.read(min(size, BLOCK_BYTES))
        if not block:
            raise StoreError(NOT_OURS)
        crc = zlib.crc32(block, crc)
        size -= len(block)
    return crc


def _checksum(file: BinaryIO) -> tuple[int, int]:
    crc, size = 0, 0
    while block := file.read(BLOCK_BYTES):
        crc = zlib.crc32(block, crc)
        size += len(block)
    return crc, size


def _local(member: Member) -> bytes:
    name = member.name.encode()
    return (
        _LOCAL.pack(
            b"PK\3\4",
            _VERSION,
            _UTF8,
            0,
            _TIME,
            _DATE,
            member.crc,
            member.size,
            member.size,
            len(name),
            0,
        )
        + name
    )


def _directory(members: list[Member], at: int) -> Iterator[bytes]:
    """What stands behind the files, for a directory that begins at `at`."""
    size = 0
    for member in members:
        entry = _central(member)
        size += len(entry)
        yield entry
    count = len(members)
    if count >= MANY or at >= SMALL or size >= SMALL:
        made_by = _MADE_BY_UNIX | _VERSION64
        yield _END64.pack(b"PK\6\6", 44, made_by, _VERSION64, 0, 0, count, count, size, at)
        yield _LOCATOR.pack(b"PK\6\7", 0, at + size, 1)
    small_count = min(count, MANY)
    yield _END.pack(b"PK\5\6", 0, 0, small_count, small_count, min(size, SMALL), min(at, SMALL), 0)


def _central(member: Member) -> bytes:
    name = member.name.encode()
    is_far = member.header_at >= SMALL
    extra = struct.pack("<HHQ", 1, 8, member.header_at) if is_far else b""
    version = _VERSION64 if is_far else _VERSION
    return (
        _CENTRAL.pack(
            b"PK\1\2",
            _MADE_BY_UNIX | version,
            version,
            _UTF8,
            0,
            _TIME,
            _DATE,
            member.crc,
            member.size,
            member.size,
            len(name),
            len(extra),
            0,
            0,
            0,
            _REGULAR_0644,
            min(member.header_at, SMALL),
        )
        + name
        + extra
    )
