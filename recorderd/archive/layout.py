"""The keys of all objects of an archive. The site comes first in each, so that a box's credentials can
be bound to what is its own; what many boxes share is written by the central side alone.

    calls/site=S/date=D/<call id>/<file>         a call's files; call.json comes last and commits it
    ledger/site=S/chain=C/<first entry>.jsonl    the lines of a chain from there on, up to a checkpoint
    ledger/site=S/timestamps/<chain>-<entry>.tsr the time stamp (RFC 3161) of that checkpoint
    landing/site=S/date=D/<hour>-<number>.jsonl.gz   rows for the catalogue, not yet in it
    health/site=S/doctor-<lock days>.txt         put once by `recorderd doctor`, to see that it stays
    health/site=S/heartbeat.json                 how the box is doing; the one object that is replaced
    catalogue/…                                  the central catalogue (central/manifest.py)

A date is that of the call's start in the site's time zone, as the call's folder has it.
"""

from __future__ import annotations

import re

LANDING = "landing/"
HEALTH = "health/"
HEARTBEAT = "heartbeat.json"

_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_LANDING = re.compile(r"landing/site=([^/]+)/date=([^/]+)/([^/]+)\.jsonl\.gz")
_HEARTBEAT = re.compile(r"health/site=([^/]+)/heartbeat\.json")


def is_site(name: str) -> bool:
    """Whether a site can have this name: as config/keys.py allows it."""
    return _SITE.fullmatch(name) is not None


def call_prefix(site: str, date: str, call_id: str) -> str:
    """What the keys of a call's files begin with."""
    assert is_site(site)
    assert _DATE.fullmatch(date)
    return f"calls/site={site}/date={date}/{call_id}/"


def chain_prefix(site: str, chain: str) -> str:
    """What the keys of a chain's parts begin with."""
    return f"ledger/site={site}/chain={chain}/"


def chain_key(site: str, chain: str, first: int) -> str:
    """The part of a chain that begins with entry `first`."""
    return f"{chain_prefix(site, chain)}{first:012d}.jsonl"


def timestamp_key(site: str, chain: str, entry: int) -> str:
    """The time stamp of the checkpoint in an entry of a chain."""
    return f"ledger/site={site}/timestamps/{chain}-{entry:012d}.tsr"


def landing_key(site: str, date: str, name: str) -> str:
    """A batch of rows of calls of one date."""
    return f"{LANDING}site={site}/date={date}/{name}.jsonl.gz"


def parse_landing_key(key: str) -> tuple[str, str] | None:
    """Site and date of a batch; None where the key is of another form."""
    match = _LANDING.fullmatch(key)
    if match is None or not is_site(match[1]) or not _DATE.fullmatch(match[2]):
        return None
    return match[1], match[2]


def heartbeat_key(site: str) -> str:
    """The one object in which a box says how it is doing."""
    return f"{HEALTH}site={site}/{HEARTBEAT}"


def doctor_key(site: str, lock_days: int) -> str:
    """An object that is put once, to try the archive with; another one for another lock."""
    assert is_site(site)
    return f"{HEALTH}site={site}/doctor-{lock_days}.txt"


def parse_heartbeat_key(key: str) -> str | None:
    """The site of a heartbeat; None where the key is of another form."""
    match = _HEARTBEAT.fullmatch(key)
    return match[1] if match and is_site(match[1]) else None
