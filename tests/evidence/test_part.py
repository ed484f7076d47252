"""The part of the chain that a call needs, found from its end."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest

from recorderd.core import chain
from recorderd.errors import LedgerError, StoreError
from recorderd.evidence import part as part_module
from recorderd.evidence.part import desk_entries, ledger_part
from recorderd.evidence.walk import KeyedWalk
from recorderd.store import ledger as ledger_module
from recorderd.store.ledger import Ledger, chain_lines
from tests.evidence.stores import short_files
from tests.store.calls import KEY, READING, SITE

CALLS = 300


@pytest.fixture
def years(top):
    """A ledger of many files: a call in every few lines."""
    with patch.object(ledger_module, "FILE_LINES_MAX", 20):
        ledger = Ledger(top, "recorder", SITE.name, KEY, lambda: READING)
        for number in range(CALLS):
            ledger.append("call-opened", call=f"c{number}", line="front")
            ledger.append("segment-sealed", call=f"c{number}", segment=0)
            ledger.append("call-closed", call=f"c{number}", disposition="recorded")
            ledger.sign()
        ledger.close()
    return top


def test_a_part_is_the_call_from_its_first_entry_to_the_checkpoint(years):
    for number in (0, 1, 150, CALLS - 1):
        found = ledger_part(years, f"c{number}")
        kinds = [chain.parse_line(line).kind for line in found.lines]
        assert kinds == ["call-opened", "segment-sealed", "call-closed", "checkpoint"]
        assert [entry.kind for entry in found.entries] == kinds[:3]
        assert found.checkpoint.note.head.entries == found.entries[-1].seq + 1


def test_only_the_files_of_the_call_and_of_later_ones_are_read(years):
    read = []
    real = part_module._entries_in
    with patch.object(
        part_module,
        "_entries_in",
        lambda path, *rest: (read.append(Path(path).name), real(path, *rest))[1],
    ):
        ledger_part(years, f"c{CALLS - 1}")
    assert len(read) <= 3
    assert len(list((years / "ledger/recorder").iterdir())) > 50


def test_a_call_that_nobody_entered(years):
    with pytest.raises(StoreError, match="knows no call"):
        ledger_part(years, "c")


def test_a_part_that_was_altered_is_refused(years):
    path = max((years / "ledger/recorder").iterdir())
    path.write_bytes(path.read_bytes().replace(b'"segment":0', b'"segment":1'))
    with pytest.raises(LedgerError):
        ledger_part(years, f"c{CALLS - 1}")


def test_desk_entries_are_those_of_the_call(store):
    assert [entry.kind for entry in desk_entries(store.directory, "2b")] == ["hold"]
    assert [entry.kind for entry in desk_entries(store.directory, "1a")] == ["exported"]
    assert desk_entries(store.directory, "3c") == []


# ---------------------------------------------------------------- keys


def test_a_checkpoint_must_be_by_the_key_of_its_place(top):
    """CVE-2023-31439: an old part sealed anew with a key that came later."""
    newer = type(KEY).generate()
    with short_files():
        ledger = Ledger(top, "recorder", SITE.name, KEY, lambda: READING)
        ledger.append("call-opened", call="a", line="front")
        ledger.sign()
        ledger.close()
        ledger = Ledger(top, "recorder", SITE.name, newer, lambda: READING)
        ledger.sign()
        ledger.close()
    lines = list(chain_lines(top / "ledger/recorder"))
    walk = KeyedWalk()
    kinds = [entry.kind for entry in walk.entries(lines)]
    assert kinds == ["chain-began", "call-opened", "checkpoint", "key-changed", "checkpoint"]
    assert walk.signed.fingerprint == newer.fingerprint
    with short_files(), patch.object(ledger_module, "_last_key", return_value=newer.fingerprint):
        (top / "again").mkdir()
        forged = Ledger(top / "again", "recorder", SITE.name, KEY, lambda: READING)
        forged.append("call-opened", call="b", line="front")
        forged._key = newer  # who has today's key seals an altered past with it
        forged.sign()
    with pytest.raises(LedgerError, match="another key than the chain names"):
        list(KeyedWalk().entries(chain_lines(top / "again/ledger/recorder")))
