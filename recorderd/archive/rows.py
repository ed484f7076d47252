"""One row of the catalogue a call: what a box writes in a landing batch and the central side reads.

A batch is gzipped JSON, one row a line. A call that changed (an amendment, its erasure) is written
again with a higher `revision`, and the highest counts. A sealed call's row has no number and no name;
its `keys` are the keyed hashes of its record.
"""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recorderd.core.numbers import narrow_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORM = 1

ERASED_REVISION = 1_000_000
"""Above all amendments, which have four digits: nothing comes after it."""

ROWS_MAX = 10_000
"""Of one batch; a box with more calls writes more batches."""

ROW_BYTES_MAX = 1 << 14

COLUMNS: Mapping[str, tuple[type, ...]] = {
    "form": (int,),
    "call": (str,),
    "revision": (int,),
    "site": (str,),
    "date": (str,),  # of the start, in the site's time zone
    "started_utc": (str,),  # ISO 8601 with milliseconds and Z's offset, so that text sorts as time
    "started_at": (str,),  # with the site's offset, as people read it
    "ended_at": (str, type(None)),
    "duration_s": (float, int, type(None)),
    "line": (str,),
    "direction": (str,),
    "disposition": (str,),
    "reason": (str, type(None)),
    "number": (str, type(None)),  # of the other party; null: sealed, absent, or erased
    "name": (str, type(None)),
    "absence": (str, type(None)),
    "sealed": (bool,),
    "keys": (list,),  # where the number is found: core/numbers.py, or hashes
    "retention": (str,),
    "segments": (int,),
    "frames": (int,),
    "gaps": (int,),
    "cut": (bool,),
    "notice_completed": (bool, type(None)),
    "notice_heard": (bool, type(None)),
    "record_sha256": (str,),  # of call.json
    "erased_at": (str, type(None)),
}
"""The columns of a row and the types that JSON gives them."""


def row_of(
    record: dict[str, Any], site: str, date: str, revision: int, record_sha256: str
) -> dict[str, Any]:
    """The row of a call record, as it is with its amendments, or of the text record of an erased call."""
    caller = record["caller"] or {}
    is_out = record["direction"] == "outbound"
    number = record["dialled"] if is_out else caller.get("number")
    numbers = [each for each in (caller.get("number"), record["dialled"]) if each]
    sealed = record["sealed"]
    notice = record["notice"] or {}
    return {
        "form": FORM,
        "call": record["id"],
        "revision": revision,
        "site": site,
        "date": date,
        "started_utc": utc(record["started_at"]),
        "started_at": record["started_at"],
        "ended_at": record["ended_at"],
        "duration_s": record["duration_s"],
        "line": record["line"],
        "direction": record["direction"],
        "disposition": record["disposition"],
        "reason": record["reason"],
        "number": number or None,
        "name": caller.get("name"),
        "absence": caller.get("absence"),
        "sealed": sealed is not None,
        "keys": sorted(sealed["numbers"] if sealed else {narrow_key(each) for each in numbers}),
        "retention": record["retention"],
        "segments": len(record["segments"]),
        "frames": record["audio"]["frames"] if record["audio"] else 0,
        "gaps": len(record["gaps"]),
        "cut": record["cut"],
        "notice_completed": notice.get("completed"),
        # A notice of which a part was heard was not heard: the record has how much.
        "notice_heard": None if notice.get("heard") is None else notice["heard"] is True,
        "record_sha256": record_sha256,
        "erased_at": record["erased"]["at"] if "erased" in record else None,
    }


def utc(text: str) -> str:
    """A time of a record in UTC with milliseconds. Raises ValueError."""
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="milliseconds")


def pack(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A batch. The same rows give the same bytes, so that putting it again is no conflict."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed:
        for row in rows:
            packed.write(json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return out.getvalue()
