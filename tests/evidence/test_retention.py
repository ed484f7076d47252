"""What retention leaves of calls is proven too."""

from __future__ import annotations

import pytest

from recorderd.errors import StoreError
from recorderd.evidence.storecheck import verify_call, verify_store
from recorderd.store.erasing import Sentence, erase
from tests.evidence.stores import Store, short_files
from tests.store.calls import KEY

AGE = Sentence("age", 180, "2026-11-23T20:00:00.000+09:00", 1000)
SPACE = Sentence("space", None, "2026-11-23T20:00:00.000+09:00", 1000)


@pytest.fixture
def store(top):
    (top / "store").mkdir()
    with short_files():
        yield Store(top / "store").fill()


def judged(store):
    return verify_store(store.directory, KEY.fingerprint, wait=lambda _s: None)


def steps(store, call_id, sentence):
    return erase(store.directory, store.folder(call_id), store.office.books, sentence)


@pytest.mark.parametrize("sentence", [AGE, SPACE], ids=["age", "space"])
@pytest.mark.parametrize("call_id", ["1a", "6f"])
def test_a_call_is_proven_at_every_step_of_its_erasing(store, sentence, call_id):
    for _ in steps(store, call_id, sentence):
        found = judged(store)
        assert found.is_proven, found
    store.office.ledger.sign()
    assert judged(store).is_proven
    assert verify_call(store.directory, store.folder(call_id), KEY.fingerprint).is_proven


def test_what_stays_must_be_what_was_entered(store):
    for _ in steps(store, "6f", AGE):
        pass
    store.office.ledger.sign()
    folder = store.folder("6f")
    for name in ("erased.json", "erased.sig"):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(kept[:-2] + bytes([kept[-2] ^ 1]) + kept[-1:])
        assert not judged(store).altered.is_proven
        (folder / name).unlink()
        assert not judged(store).is_proven
        (folder / name).write_bytes(kept)
    (folder / "call.json").write_text("{}")
    assert "call.json was never entered" in " ".join(judged(store).altered.problems)


def test_a_note_of_removed_sound_is_of_its_record(store):
    for _ in steps(store, "6f", SPACE):
        pass
    store.office.ledger.sign()
    note = store.folder("6f") / "archived.json"
    note.write_text(note.read_text().replace("2026", "2025"))
    assert "archived.json is not what the ledger names" in " ".join(judged(store).altered.problems)
    note.unlink()
    assert not judged(store).missing.is_proven


@pytest.mark.parametrize(("sentence", "says"), [(AGE, "erased"), (SPACE, "in the archive only")])
def test_what_is_not_here_is_not_exported(store, top, sentence, says):
    for _ in steps(store, "6f", sentence):
        pass
    with pytest.raises(StoreError, match=says):
        store.exported("6f", top / "b")
