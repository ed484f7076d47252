"""What the recorder tells whoever looks on: one JSON object a packet.

A message has `what`, the name of an event or one of those below, and but for those `at`
(monotonic ns, the same clock in every process of the box) and `line`. Of an event only the fields
listed here go out, so that a field which comes to an event later stays inside until somebody has
thought about it.

Where calls are sealed, no number, name or digit leaves the recorder: the modem's bytes keep their
shape only.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from recorderd.events import Caller

if TYPE_CHECKING:
    from collections.abc import Mapping

HELLO = "hello"
"""First: `wall`, `version`, `sealed`, and `lines`: {name: {off_hook, ringing, call}}."""

SOUND = "sound"
"""Several times a second: `wall`, and `lines`: {name: [near, far]}, each [dBm0, peak]; {name: null}
where no sound comes. All lines are in it, in the order of the configuration."""

LOST = "lost"
"""`count` messages were not sent, because their reader was slow."""

FULL = "full"
"""Too many look on already; the connection ends here."""

SENT: Mapping[str, tuple[str, ...]] = {
    "HookEdge": ("off_hook", "at_start"),
    "RingEdge": ("active",),
    "EdgesLost": ("sensor", "count"),
    "ModemBytes": ("data",),
    "DriverReady": ("kind", "name"),
    "DriverLost": ("kind", "name", "reason"),
    "AnnouncementFinished": ("completed",),
    "RecordingFiled": ("call_id", "segments", "gaps"),
    "WriteFailed": ("call_id", "reason"),
    "WriteResumed": ("call_id",),
    "StoreAlarm": ("topic", "text"),
    "CallerIdHeard": ("caller",),
    "DigitHeard": ("channel", "digit"),
    "ToneHeard": ("tone", "ended_at"),
    "SoundReturned": (),
    "NoticeHeard": ("call_id", "verdict", "score", "completeness"),
    "ListeningFailed": ("reason",),
    "RingingStarted": (),
    "RingBurstEnded": ("started_at",),
    "RingingStopped": ("bursts",),
    "WentOffHook": ("at_start",),
    "HookFlashed": ("duration_ns",),
    "PulseDialled": ("digit",),
    "WentOnHook": (),
    "LineFaulted": ("fault", "detail"),
    "LineRestored": ("fault",),
    "ModemReady": ("caller_id_command",),
    "ModemSilent": ("reason",),
    "ModemRang": (),
    "CallerIdReported": ("caller",),
    "MessageWaitingReported": ("waiting",),
    "CallOffered": ("call_id",),
    "CallerIdentified": ("call_id", "caller"),
    "CallWaitingIdentified": ("call_id", "caller"),
    "CallAnswered": ("call_id",),
    "CallPlaced": ("call_id",),
    "CallFound": ("call_id",),
    "CallEnded": ("call_id",),
    "CallMissed": ("call_id",),
    "CallNotRecorded": ("call_id", "reason"),
    "CallerIdClosureSeen": ("call_id",),
    "NoticeEnded": ("call_id", "completed", "failed", "reason"),
    "CallersDisagree": ("call_id", "shown"),
    "FarEndGone": ("call_id", "tone"),
    "CallReopened": ("call_id", "continues"),
    "PlayAnnouncement": ("call_id", "clip"),
}

_HIDDEN = "x"
_TELLING = re.compile(rb"[^\s=:,]")  # all but what gives a report its shape


def as_message(event: object, *, is_sealed: bool) -> dict[str, Any] | None:
    """The message of an input, fact or command; None where it is told to nobody."""
    name = type(event).__name__
    if name not in SENT:
        return None
    found: dict[str, Any] = {"what": name, "at": getattr(event, "at", None)}
    found["line"] = getattr(event, "line", None)
    for field in SENT[name]:
        found[field] = _plain(field, getattr(event, field), is_sealed=is_sealed)
    return found


def caller_fields(caller: Caller | None, *, is_sealed: bool) -> dict[str, Any] | None:
    """What is shown of a caller."""
    if caller is None:
        return None
    return {
        "number": _hide(caller.number, is_sealed=is_sealed),
        "name": _hide(caller.name, is_sealed=is_sealed),
        "absence": caller.absence,
        "source": caller.source,
    }


def packet(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def _plain(field: str, value: Any, *, is_sealed: bool) -> Any:
    if isinstance(value, Caller):
        return caller_fields(value, is_sealed=is_sealed)
    if isinstance(value, bytes):
        return (_TELLING.sub(b"x", value) if is_sealed else value).decode("latin-1")
    if field == "digit":
        return _hide(value, is_sealed=is_sealed)
    return value


def _hide(text: str | None, *, is_sealed: bool) -> str | None:
    return _HIDDEN if is_sealed and text else text
