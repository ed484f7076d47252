"""The ledger on the disk: appended to, torn, refused by the disk, altered, and begun by two."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import subprocess
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.core import chain
from recorderd.core.chain import Head
from recorderd.errors import LedgerError, StoreError
from recorderd.evidence.walk import KeyedWalk
from recorderd.store import ledger as ledger_module
from recorderd.store.ledger import Ledger, chain_lines, open_desk, open_recorder_ledger
from recorderd.store.signing import damaged_key, fingerprint_of, is_signed, load_device_key
from tests.store.calls import READING


@pytest.fixture
def key(tmp_path):
    return load_device_key(tmp_path)


def opened(directory, key, name="recorder"):
    return Ledger(directory, name, "test-office", key, lambda: READING)


def entries_of(directory, name="recorder"):
    return list(chain.walk(chain_lines(directory / "ledger" / name)))


def kinds_of(directory, name="recorder"):
    return [entry.kind for entry in entries_of(directory, name)]


def files_of(directory, name="recorder"):
    return sorted((directory / "ledger" / name).glob("*.jsonl"))


def test_the_key_is_made_once_and_is_for_its_owner_alone(tmp_path, key):
    assert load_device_key(tmp_path).fingerprint == key.fingerprint
    assert (tmp_path / "keys/device.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    shown = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", tmp_path / "keys/device.pem", "-outform", "DER"],
        capture_output=True,
        check=True,
    ).stdout
    assert hashlib.sha256(shown).hexdigest() == key.fingerprint


@pytest.mark.parametrize("content", [b"", b"not a key", b"\0" * 100])
def test_a_key_that_is_none_is_named(tmp_path, key, content):
    (tmp_path / "keys/device.key").write_bytes(content)
    with pytest.raises(StoreError, match=r"device\.key.*not an Ed25519 key"):
        load_device_key(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a key", b"\0" * 100])
def test_a_damaged_key_keeps_nobody_from_recording(tmp_path, key, content):
    first = open_recorder_ledger(tmp_path, "test-office", lambda: READING)
    first.append("started", version="1")
    first.sign()
    first.close()
    assert damaged_key(tmp_path) is None
    (tmp_path / "keys/device.key").write_bytes(content)
    second = open_recorder_ledger(tmp_path, "test-office", lambda: READING)
    second.sign()
    second.close()
    made = load_device_key(tmp_path)
    assert made.fingerprint != key.fingerprint
    (changed,) = [entry for entry in entries_of(tmp_path) if entry.kind == "key-changed"]
    assert changed.data["fingerprint"] == made.fingerprint
    kept = tmp_path / "keys/device-damaged.key"
    assert kept.read_bytes() == content
    assert made.fingerprint in damaged_key(tmp_path)
    kept.unlink()
    assert damaged_key(tmp_path) is None


def test_a_chain_keeps_the_name_of_the_site_that_it_began_with(tmp_path):
    """Somebody mends a slip in `site.name`, or an office is renamed: it is the same chain."""
    for site in ("osaka-clinic", "kyoto-clinic"):
        ledger = open_recorder_ledger(tmp_path, site, lambda: READING)
        ledger.append("started", version="1")
        ledger.sign()
        ledger.close()
    walk = KeyedWalk()
    for _ in walk.entries(chain_lines(tmp_path / "ledger/recorder")):
        pass
    assert (walk.origin, walk.checkpoints) == ("osaka-clinic/recorder", 2)


def test_a_chain_begins_with_the_key_and_goes_on_after_a_restart(tmp_path, key):
    first = opened(tmp_path, key)
    first.append("started", version="1")
    first.sign()
    first.close()
    second = opened(tmp_path, key)
    assert not second.was_stopped
    second.append("stopped")
    second.sign()
    second.close()
    assert opened(tmp_path, key).was_stopped
    assert kinds_of(tmp_path) == ["chain-began", "started", "checkpoint", "stopped", "checkpoint"]
    began = entries_of(tmp_path)[0]
    assert fingerprint_of(began.data["public_key"]) == began.data["fingerprint"] == key.fingerprint
    assert len(files_of(tmp_path)) == 1


def test_a_line_is_hashed_as_it_stands(tmp_path, key):
    ledger = opened(tmp_path, key)
    ledger.append("call-opened", call="a", line="Büro 電話")
    ledger.sync()
    (path,) = files_of(tmp_path)
    first, second = path.read_bytes().splitlines()
    assert json.loads(second)["prev"] == hashlib.sha256(first).hexdigest()


def test_a_checkpoint_is_checked_with_openssl(tmp_path, key):
    ledger = opened(tmp_path, key)
    ledger.append("call-opened", call="a", line="front")
    ledger.sign()
    entry = entries_of(tmp_path)[-1]
    note = chain.checkpoint_of(entry)
    assert note.head == Head(2, entry.prev)
    (tmp_path / "note").write_text(entry.data["note"])
    (tmp_path / "sig").write_bytes(base64.b64decode(entry.data["signature"]))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "keys/device.pem"]
    command += ["-rawin", "-in", tmp_path / "note", "-sigfile", tmp_path / "sig"]
    assert subprocess.run(command, check=False).returncode == 0
    (tmp_path / "note").write_text(entry.data["note"].replace("entries 2", "entries 1"))
    assert subprocess.run(command, check=False).returncode != 0


def test_nothing_new_needs_no_second_checkpoint(tmp_path, key):
    ledger = opened(tmp_path, key)
    ledger.sign()
    ledger.sign()
    assert kinds_of(tmp_path) == ["chain-began", "checkpoint"]
    assert ledger.is_signed


def test_checkpoints_name_the_heads_of_the_other_chains(tmp_path, key):
    with open_desk(tmp_path, "test-office", lambda: READING) as desk:
        desk.append("hold", call="a")
    ledger = opened(tmp_path, key)
    ledger.sign()
    note = chain.checkpoint_of(entries_of(tmp_path)[-1])
    assert note.origin == "test-office/recorder"
    assert note.others == {"desk": desk.head}


@pytest.mark.parametrize("left", [1, 10, -1])
def test_a_torn_line_is_left_and_the_chain_goes_on_without_it(tmp_path, key, left):
    ledger = opened(tmp_path, key)
    ledger.append("started")
    ledger.sync()
    ledger.append("torn")
    ledger.sync()
    ledger.close()
    (path,) = files_of(tmp_path)
    *whole, last = path.read_bytes().splitlines(keepends=True)
    torn = b"".join(whole) + last[:left]
    path.write_bytes(torn)
    again = opened(tmp_path, key)
    again.append("started")
    again.sync()
    assert kinds_of(tmp_path) == ["chain-began", "started", "started"]
    assert path.read_bytes() == torn
    assert len(files_of(tmp_path)) == 2


def test_a_page_that_a_cut_kept_from_the_disk_ends_what_counts(tmp_path, key):
    """Of what was written and not yet synced any page may be missing, and later ones be there."""
    ledger = opened(tmp_path, key)
    ledger.append("started")
    ledger.sync()
    (path,) = files_of(tmp_path)
    synced = path.stat().st_size
    for number in range(40):
        ledger.append("entry", number=number)
    ledger.sync()
    ledger.close()
    content = path.read_bytes()
    left = content[: synced + 50] + bytes(4096) + content[synced + 50 + 4096 :]
    path.write_bytes(left)
    again = opened(tmp_path, key)
    again.append("started")
    again.sync()
    assert kinds_of(tmp_path) == ["chain-began", "started", "started"]
    assert path.read_bytes() == left


def test_a_damaged_last_line_is_told(tmp_path, key):
    ledger = opened(tmp_path, key)
    ledger.append("started")
    ledger.sign()
    ledger.close()
    (path,) = files_of(tmp_path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x40
    path.write_bytes(data)
    opened(tmp_path, key).sync()
    assert kinds_of(tmp_path)[-1] == "ledger-damaged"


def test_another_key_is_told(tmp_path, key):
    opened(tmp_path, key).sync()
    (tmp_path / "keys/device.key").unlink()
    other = load_device_key(tmp_path)
    opened(tmp_path, other).sync()
    last = entries_of(tmp_path)[-1]
    assert last.kind == "key-changed"
    assert last.data["fingerprint"] == other.fingerprint != key.fingerprint


@pytest.mark.parametrize(
    ("name", "lines_max"),
    [("write", 1000), ("fdatasync", 1000), ("write", 1), ("fsync", 1), ("open", 1), ("replace", 1)],
)
def test_what_the_disk_refused_goes_to_a_new_file_and_no_sync_is_repeated(
    tmp_path, key, name, lines_max
):
    refused, synced = set(), set()
    real = {call: getattr(os, call) for call in ("fsync", "fdatasync")}

    def refuse(target, *_args, **_kwargs):
        if isinstance(target, int):
            os.dup(target)  # while it is held nothing else gets its inode's number
            refused.add(os.fstat(target).st_ino)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def noting(call):
        return lambda fd: (synced.add(os.fstat(fd).st_ino), real[call](fd))

    with patch.object(ledger_module, "FILE_LINES_MAX", lines_max):
        ledger = opened(tmp_path, key)
        ledger.append("started")
        ledger.sync()
        ledger.append("call-opened", call="a")
        for _ in range(3):
            ledger.append("filler")
            with patch.object(os, name, refuse), pytest.raises(StoreError, match="disk fails"):
                ledger.sync()
        with patch.multiple(os, **{call: noting(call) for call in real}):
            ledger.append("call-closed", call="a")
            ledger.sync()
    kinds = kinds_of(tmp_path)
    assert kinds == ["chain-began", "started", "call-opened", *["filler"] * 3, "call-closed"]
    assert not refused & synced


@pytest.mark.parametrize("refuses", ["write", "fsync", "replace"])
def test_a_new_file_that_the_disk_refuses_leaves_nothing(tmp_path, key, refuses):
    (tmp_path / "ledger/recorder").mkdir(parents=True)
    ledger = opened(tmp_path, key)
    error = OSError(errno.EIO, "refused")
    where = Path if refuses == "replace" else os
    with patch.object(where, refuses, side_effect=error), pytest.raises(StoreError):
        ledger.sign()
    assert list((tmp_path / "ledger/recorder").iterdir()) == []
    ledger.sign()
    assert kinds_of(tmp_path) == ["chain-began", "checkpoint"]
    ledger.close()


def test_what_a_killed_process_left_of_a_new_file_goes(tmp_path, key):
    folder = tmp_path / "ledger/recorder"
    folder.mkdir(parents=True)
    (folder / ".000000000000.jsonl.part").write_bytes(b"{")
    opened(tmp_path, key).close()
    assert list(folder.iterdir()) == []


def test_files_are_of_bounded_length_and_read_as_one(tmp_path, key):
    with patch.object(ledger_module, "FILE_LINES_MAX", 5):
        ledger = opened(tmp_path, key)
        for number in range(20):
            ledger.append("filler", number=number)
            ledger.sync()
    assert len(files_of(tmp_path)) >= 4
    assert [entry.seq for entry in entries_of(tmp_path)] == list(range(21))
    tail = list(chain_lines(tmp_path / "ledger/recorder", 13))
    assert chain.parse_line(tail[0]).seq == 13
    assert len(tail) == 8


def test_a_start_does_not_write_on_in_a_file_of_the_process_before(tmp_path, key):
    """Its last sync may have failed, and a second one would succeed without the lost pages."""
    ledger = opened(tmp_path, key)
    ledger.append("started")
    ledger.sync()
    ledger.close()
    (path,) = files_of(tmp_path)
    before, content = path.stat().st_ino, path.read_bytes()
    again = opened(tmp_path, key)
    again.append("stopped")
    again.sync()
    assert files_of(tmp_path) == [path]
    assert path.stat().st_ino != before
    assert path.read_bytes().startswith(content)
    assert kinds_of(tmp_path) == ["chain-began", "started", "stopped"]


def test_what_is_known_of_open_calls_is_read_back(tmp_path, key):
    ledger = opened(tmp_path, key)
    ledger.append("segment-sealed", call="a", segment=0)
    ledger.append("call-closed", call="b")
    ledger.sync()
    again = opened(tmp_path, key)
    assert again.last("call-closed", "b") == {"call": "b"}
    assert again.last("segment-sealed", "a", 0) == {"call": "a", "segment": 0}
    assert again.last("segment-sealed", "b", 0) is None


def test_a_closed_call_is_known_while_others_are_closed_and_for_no_longer_than_needed(
    tmp_path, key
):
    """Filing a call is tried again after an error, and others may have been filed meanwhile."""
    ledger = opened(tmp_path, key)
    for number in range(ledger_module.CLOSED_KEPT):
        ledger.append("segment-sealed", call=f"{number}", segment=0)
        ledger.append("call-closed", call=f"{number}")
    assert ledger.last("call-closed", "0") == {"call": "0"}
    ledger.append("call-closed", call="one more")
    assert ledger.last("call-closed", "0") is None
    assert ledger.last("segment-sealed", "0", 0) is None
    assert ledger.last("segment-sealed", "1", 0) is not None


# ---------------------------------------------------------------- the form


def lines_of(count):
    head, lines = Head(0, chain.GENESIS), []
    for number in range(count):
        lines.append(chain.make_line(head, READING, "filler", {"number": number}))
        head = chain.after(head, lines[-1])
    return lines


@given(st.integers(1, 8), st.data())
def test_a_chain_that_was_altered_does_not_walk(count, data):
    lines = lines_of(count + 1)
    victim = data.draw(st.integers(0, count - 1))
    how = data.draw(st.sampled_from(["drop", "swap", "flip", "repeat"]))
    changed = list(lines)
    if how == "drop":
        del changed[victim]
    elif how == "swap":
        changed[victim], changed[victim + 1] = changed[victim + 1], changed[victim]
    elif how == "repeat":
        changed.insert(victim, changed[victim])
    else:
        at = data.draw(st.integers(0, len(lines[victim]) - 2))
        flipped = bytearray(lines[victim])
        flipped[at] ^= 1 << data.draw(st.integers(0, 7))
        changed[victim] = bytes(flipped)
    assert [entry.seq for entry in chain.walk(lines)] == list(range(count + 1))
    with pytest.raises(LedgerError):
        list(chain.walk(changed))


@given(st.binary(max_size=300))
def test_random_bytes_are_no_entry(data):
    with pytest.raises(LedgerError):
        chain.parse_line(data)


@given(st.text(max_size=200))
def test_random_text_is_no_checkpoint(text):
    with pytest.raises(LedgerError):
        chain.parse_note(text)


def test_a_signature_of_another_key_does_not_pass(tmp_path, key):
    other = load_device_key_in(tmp_path / "other")
    assert is_signed(key.public_pem, key.sign(b"text"), b"text")
    assert not is_signed(key.public_pem, other.sign(b"text"), b"text")
    assert not is_signed(key.public_pem, key.sign(b"text"), b"Text")


def load_device_key_in(folder):
    folder.mkdir()
    return load_device_key(folder)


def test_openssl_reads_both_halves_of_the_key(tmp_path, key):
    private = subprocess.run(
        ["openssl", "pkey", "-in", tmp_path / "keys/device.key", "-pubout"],
        capture_output=True,
        check=True,
    )
    assert private.stdout.decode() == key.public_pem


def test_another_kind_of_key_is_refused(tmp_path):
    other = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "x25519"], capture_output=True, check=True
    )
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/device.key").write_bytes(other.stdout)
    with pytest.raises(StoreError, match="of another kind"):
        load_device_key(tmp_path)


@given(st.text(max_size=200))
def test_random_text_is_no_public_key(text):
    with pytest.raises(StoreError):
        fingerprint_of(text)


def test_a_checkpoint_names_of_other_chains_only_what_is_on_the_disk(tmp_path, key):
    desk = opened(tmp_path, key, "desk")
    desk.append("hold", call="a")
    desk.sync()
    desk.append("hold", call="b")
    desk._write()  # in the file, and not yet synced
    ledger = opened(tmp_path, key)
    synced = []
    real = os.fsync
    with patch.object(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), real(fd))):
        ledger.sign()
    (path,) = files_of(tmp_path, "desk")
    assert path.stat().st_ino in synced
    assert chain.checkpoint_of(entries_of(tmp_path)[-1]).others == {"desk": desk.head}


def test_a_chain_that_the_disk_refuses_is_not_named(tmp_path, key):
    desk = opened(tmp_path, key, "desk")
    desk.append("hold", call="a")
    desk.sync()
    ledger = opened(tmp_path, key)
    ledger.append("started")
    ledger.sync()
    refused = patch.object(
        ledger_module.files, "sync_file", side_effect=StoreError("the disk fails")
    )
    with refused:
        ledger.sign()
    assert chain.checkpoint_of(entries_of(tmp_path)[-1]).others == {}


def test_a_chain_whose_sync_failed_once_is_not_named_until_it_was_written_anew(tmp_path, key):
    """What a failed sync lost is not on the disk, whatever a second one says."""
    desk = opened(tmp_path, key, "desk")
    desk.append("hold", call="a")
    desk.sync()
    ledger = opened(tmp_path, key)
    named = []
    for refuses in (True, False, False):
        ledger.append("note")
        error = StoreError("the disk fails") if refuses else None
        with patch.object(ledger_module.files, "sync_file", side_effect=error):
            ledger.sign()
        named.append(chain.checkpoint_of(entries_of(tmp_path)[-1]).others)
    assert named == [{}, {}, {}]
    desk.close()
    desk = opened(tmp_path, key, "desk")
    ledger.append("note")
    ledger.sign()
    assert chain.checkpoint_of(entries_of(tmp_path)[-1]).others == {"desk": desk.head}


def test_calls_that_are_open_are_known(tmp_path, key):
    ledger = opened(tmp_path, key)
    for call in "abc":
        ledger.append("call-opened", call=call, line="front")
    ledger.append("call-closed", call="a")
    ledger.append("call-abandoned", call="b", reason="a closure")
    ledger.sync()
    assert opened(tmp_path, key).opened == ["c"]
