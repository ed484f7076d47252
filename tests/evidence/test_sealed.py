"""Sealed calls in evidence: proven without being opened, and nothing told of who and what."""

from __future__ import annotations

import subprocess
from array import array

import pytest

from recorderd.evidence.bundlecheck import verify_bundle
from recorderd.evidence.storecheck import verify_call, verify_store
from recorderd.media.codec import decode_blocks
from tests.evidence.stores import Store, files_of, short_files
from tests.softcard import require
from tests.store.calls import KEY, SUPERVISORS, a_record

NUMBERS = (b"0312345678", b"03-1234-5678", b"TANAKA")


@pytest.fixture
def store(top):
    (top / "store").mkdir()
    with short_files():
        yield Store(top / "store", is_sealed=True).fill()


def judged(store):
    return verify_store(store.directory, KEY.fingerprint, wait=lambda _s: None)


def test_a_sealed_store_is_proven_without_a_key(store):
    found = judged(store)
    assert found.is_proven, found
    assert found.segments == 12
    assert verify_call(store.directory, store.folder("6f"), KEY.fingerprint).is_proven


def test_a_call_whose_key_is_gone_is_missing(store):
    (store.directory / "vault/6f.age").unlink()
    found = judged(store)
    assert found.altered.is_proven
    assert found.missing.problems == (
        "call 6f: its key is missing from the vault; nobody can open it",
    )


@pytest.mark.parametrize("damage", ["zeros", "cut", "other"])
def test_a_call_whose_key_is_damaged_is_missing(store, damage):
    path = store.directory / "vault/6f.age"
    key = path.read_bytes()
    left = {"zeros": bytes(len(key)), "cut": key[:60], "other": b"hello"}
    path.write_bytes(left[damage])
    found = judged(store)
    assert found.altered.is_proven
    assert found.missing.problems == (
        "call 6f: its key in the vault is damaged; nobody can open it",
    )


@pytest.mark.parametrize("name", ["b", "b.zip"])
def test_a_bundle_tells_nothing_of_who_and_what(store, top, name):
    bundle = store.exported("6f", top / name)
    found = verify_bundle(bundle, KEY.fingerprint)
    assert found.is_proven
    assert "sealed sound was not opened" in found.altered.sentence
    files = files_of(top, (name,)) if name == "b" else {name: bundle.read_bytes()}
    assert not [path for path, data in files.items() if any(number in data for number in NUMBERS)]
    if name == "b":
        assert "b/joined.wav" not in files
        assert files["b/key.age"] == (store.directory / "vault/6f.age").read_bytes()
        assert "The sound is sealed" in files["b/report.html"].decode()


def test_what_a_crash_collected_is_proven_and_exported(store, top):
    office = store.office
    office.run_to(90.2)
    office.open(a_record("77", started=90.0))
    office.run_to(93.1)
    office.recover()
    assert [path for path in store.folder("77").iterdir() if path.suffix == ".tar"]
    assert judged(store).is_proven
    assert verify_bundle(store.exported("77", top / "b"), KEY.fingerprint).is_proven


@pytest.mark.faults
def test_the_stock_tool_opens_what_the_readme_says(store, top):
    require(("age",), "opening a sealed bundle")
    bundle = store.exported("6f", top / "b")
    (bundle / "supervisor.key").write_text(SUPERVISORS[1][0] + "\n")
    segment = min((bundle / "segments").iterdir()).name.removesuffix(".age")
    english = (bundle / "README.txt").read_text().partition("=" * 70)[0]
    for line in english.splitlines():
        if line.startswith("    age"):
            command = line.strip().replace("NAME.flac", segment)
            subprocess.run(["/bin/sh", "-c", command], cwd=bundle, check=True)
    samples = array("h", b"".join(decode_blocks(bundle / segment)))
    pairs = list(zip(samples[::2], samples[1::2], strict=True))
    assert pairs == store.office.frames("6f")[:16000]
