"""Filed calls, as many as wanted, without recording them: small files with the names of real ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from zoneinfo import ZoneInfo

from recorderd.core.manifest import Audio, CallRecord, Segment
from recorderd.disk import files
from recorderd.disk.layout import OPEN
from recorderd.events import Caller
from recorderd.store.closing import file_record
from recorderd.store.names import call_folder
from recorderd.units import MonoNs
from tests.store.calls import READING, SITE, a_record

ZONE = ZoneInfo(SITE.time_zone)
NUMBER = "0398765432"
NAME = "KOBAYASHI"
SOUND = b"sound" * 100
ARCHIVE = "memory://archive"


def shelve(directory, books, call_id, box_time_s, *, reading=READING, sound=SOUND, **known):
    """A filed call; its folder."""
    record: CallRecord = a_record(
        call_id,
        ended_at=MonoNs(20_000_000_000),
        caller=Caller(NUMBER, NAME, None, "modem", f"NMBR={NUMBER}"),
        **{
            "retention": "standard",
            "box_time_s": box_time_s,
            "salt": hashlib.sha256(call_id.encode()).hexdigest()[:32],
            "reading": reading,
            **known,
        },
    )
    where = call_folder(record, ZONE)
    folder = directory / where
    files.make_directory(folder, directory)
    files.make_directory(directory / OPEN, directory)
    segments = []
    for index in range(2 if sound else 0):
        content = sound + bytes([index])
        name = f"20261123T184510+0900-20261123T184520+0900_front_in_{NUMBER}_{index:03d}.flac"
        (folder / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        segments.append(Segment(name, 40_000 * index, 40_000, digest, digest))
    if segments:
        record = replace(record, segments=tuple(segments), audio=Audio(8000, 80_000, 0))
    file_record(directory, ZONE, books, record, where)
    return folder


def confirm(folder):
    """The archive has it."""
    record = json.loads((folder / "call.json").read_text("utf-8"))
    files_ = {each["file"]: each["sha256"] for each in record["segments"]}
    receipt = {"archive": ARCHIVE, "at": "2026-11-23T10:00:00Z", "files": files_, "objects": {}}
    (folder / "receipt.json").write_text(json.dumps(receipt), "utf-8")


def is_whole(folder) -> bool:
    """Whether a call is there with every segment its record names, byte for byte."""
    try:
        record = json.loads((folder / "call.json").read_text("utf-8"))
        return all(
            hashlib.sha256((folder / each["file"]).read_bytes()).hexdigest() == each["sha256"]
            for each in record["segments"]
        )
    except FileNotFoundError:
        return False


def is_erased(folder) -> bool:
    """Whether nothing of a call is left but its text record."""
    return {path.name for path in folder.iterdir()} == {"erased.json", "erased.sig"}


def where_found(directory, *needles):
    """Files in the state directory whose name or content holds one of the needles."""
    sought = [needle.encode() for needle in needles]
    return [
        path
        for path in directory.rglob("*")
        if any(
            needle in str(path.relative_to(directory)).encode()
            or (path.is_file() and needle in path.read_bytes())
            for needle in sought
        )
    ]
