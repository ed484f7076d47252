"""What is in a bundle, in which order it comes to be, and when there is none."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import zipfile
from array import array
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from recorderd.core import chain
from recorderd.errors import LedgerError, StoreError
from recorderd.evidence import export as export_module
from recorderd.evidence import layout
from recorderd.evidence.bundlecheck import verify_bundle
from recorderd.evidence.storecheck import verify_store
from recorderd.media import bwf
from recorderd.media.wav import read_wav
from recorderd.store.erasing import Sentence, erase
from recorderd.store.ledger import chain_lines
from tests.evidence.stores import files_of
from tests.store.calls import KEY, RATE


def desk(store):
    return list(chain.walk(chain_lines(store.directory / "ledger/desk")))


def leftovers(top):
    return [path.name for path in top.iterdir() if "part" in path.name]


def test_a_bundle_has_what_is_promised(store, top):
    files = files_of(store.exported("6f", top / "b"))
    names = [name for name in files if not name.startswith("segments/")]
    assert names == [
        "MANIFEST.sha256",
        "MANIFEST.sig",
        "README.txt",
        "call.json",
        "device.pem",
        "joined.wav",
        "ledger/chain.jsonl",
        "ledger/checkpoint.sig",
        "ledger/checkpoint.txt",
        "report.html",
    ]
    originals = files_of(store.folder("6f"))
    assert files["call.json"] == originals.pop("call.json")
    assert {f"segments/{name}": data for name, data in originals.items()} == {
        name: data for name, data in files.items() if name.startswith("segments/")
    }
    assert files["device.pem"] == KEY.public_pem.encode()
    hashes = layout.parse_manifest(files["MANIFEST.sha256"])
    assert hashes == {
        name: hashlib.sha256(data).hexdigest()
        for name, data in files.items()
        if not name.startswith("MANIFEST")
    }


def test_amendments_come_with_their_record(store, top):
    files = files_of(store.exported("1a", top / "b"))
    assert files["amend-0001.json"] == (store.folder("1a") / "amend-0001.json").read_bytes()
    assert b"times corrected by" in files["report.html"]


def test_the_joined_copy_is_the_segments_sample_by_sample(store, top):
    files = files_of(store.exported("6f", top / "b"))
    sound = read_wav(files["joined.wav"])
    samples = array("h", sound.pcm)
    assert (sound.rate_hz, sound.channels) == (RATE, 2)
    assert list(zip(samples[::2], samples[1::2], strict=True)) == store.office.frames("6f")
    assert b"2026-11-2318:45:58" in files["joined.wav"][:700]  # two seconds before the hook edge


def test_the_ledger_part_begins_with_the_call_and_ends_signed(store, top):
    files = files_of(store.exported("6f", top / "b"))
    lines = files["ledger/chain.jsonl"].splitlines(keepends=True)
    entries = [chain.parse_line(line) for line in lines]
    assert [entries[0].kind, entries[-1].kind] == ["call-opened", "checkpoint"]
    whole = list(chain_lines(store.directory / "ledger/recorder", entries[0].seq))
    assert whole[: len(lines)] == lines
    note = files["ledger/checkpoint.txt"].decode()
    assert entries[-1].data["note"] == note
    assert chain.parse_note(note).head.hash == entries[-1].prev


def test_a_missed_call_is_a_bundle_without_sound(store, top):
    files = files_of(store.exported("4d", top / "b"))
    assert "joined.wav" not in files
    assert not (top / "b/segments").exists()
    assert verify_bundle(top / "b", KEY.fingerprint).is_proven


def test_folder_and_zip_have_the_same_content(store, top):
    with patch.object(export_module, "desk_entries", return_value=[]):  # two exports, one custody
        folder = files_of(store.exported("1a", "3c", top / "b"))
        store.exported("1a", "3c", top / "b.zip")
    with zipfile.ZipFile(top / "b.zip") as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    assert packed == folder
    assert {name.partition("/")[0] for name in folder if "/" in name} == {"1a", "3c"}


def test_the_export_is_in_the_ledger(store, top):
    files = files_of(store.exported("1a", "3c", top / "b"))
    entered, signed = desk(store)[-2:]
    assert entered.kind == "exported"
    assert entered.data == {
        "calls": ["1a", "3c"],
        "who": "tanaka",
        "manifest_sha256": hashlib.sha256(files["MANIFEST.sha256"]).hexdigest(),
        "sealed_opened": 0,
    }
    assert signed.kind == "checkpoint"


@pytest.mark.parametrize("name", ["b", "b.zip"])
def test_no_bundle_has_its_name_before_the_ledger_knows_of_it(store, top, name):
    seen = []
    real = export_module.files.rename_durable

    def look(temp, final):
        if final == top / name:
            seen.append([entry.kind for entry in desk(store)][-2:])
        real(temp, final)

    with patch.object(export_module.files, "rename_durable", look):
        store.exported("1a", top / name)
    assert seen == [["exported", "checkpoint"]]


@pytest.mark.parametrize("name", ["b", "b.zip"])
def test_where_the_ledger_refuses_there_is_no_bundle(store, top, name):
    with (
        patch.object(export_module, "open_desk", side_effect=StoreError("the disk is full")),
        pytest.raises(StoreError),
    ):
        store.exported("1a", top / name)
    assert not (top / name).exists()
    assert not leftovers(top)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        *(("b", step) for step in ("write_header", "report_page", "fsync_directory")),
        *(("b.zip", step) for step in ("write_header", "report_page", "write_zip", "sync_file")),
    ],
)
def test_a_full_disk_is_told_and_nothing_is_left(store, top, name, step):
    refusal = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    place = {"write_header": bwf, "write_zip": export_module.zipform, "report_page": export_module}
    count = len(desk(store))
    with (
        patch.object(place.get(step, export_module.files), step, side_effect=refusal),
        pytest.raises((StoreError, OSError), match=r"full|No space"),
    ):
        store.exported("1a", top / name)
    assert not (top / name).exists()
    assert not leftovers(top)
    assert len(desk(store)) == count


def test_nothing_is_written_over(store, top):
    (top / "there").mkdir()
    (top / "link").symlink_to(top / "nowhere")
    for name in ("there", "link"):
        with pytest.raises(StoreError, match="exists already"):
            store.exported("1a", top / name)
    with pytest.raises(StoreError, match="no such folder"):
        store.exported("1a", top / "no/such/place")
    with pytest.raises(StoreError, match="lies in the state directory"):
        store.exported("1a", store.directory / "calls/b")


@pytest.mark.parametrize("name", ["b", "b.zip"])
def test_of_two_exports_to_one_place_the_second_is_refused(store, top, name):
    """The first one is done when the second waits for the ledger."""
    real = export_module.open_desk

    @contextmanager
    def after_another(*arguments):
        with patch.object(export_module, "open_desk", real):
            store.exported("1a", top / name)
        with real(*arguments) as opened:
            yield opened

    with (
        patch.object(export_module, "open_desk", after_another),
        pytest.raises(StoreError, match="exists already"),
    ):
        store.exported("3c", top / name)
    assert verify_bundle(top / name, KEY.fingerprint).checkpoints
    last = [entry for entry in desk(store) if entry.kind == "exported"][-1]
    assert last.data["calls"] == ["1a"], "what was not handed out is not in the ledger"


def test_what_was_altered_is_not_handed_out(store, top):
    segment = next(store.folder("1a").glob("*.flac"))
    segment.write_bytes(segment.read_bytes()[:-1] + b"x")
    with pytest.raises(LedgerError, match="not the file that was sealed"):
        store.exported("1a", top / "b")
    record = store.folder("3c") / "call.json"
    record.write_text(record.read_text().replace("inbound", "outbound"))
    with pytest.raises(LedgerError, match="not the record that the ledger names"):
        store.exported("3c", top / "b")
    (store.folder("6f") / "amend-0001.json").write_text("{}")
    with pytest.raises(LedgerError, match="knows of no such file"):
        store.exported("6f", top / "b")
    assert not leftovers(top)


@pytest.mark.parametrize("step", ["ledger_part", "report_page"])
def test_a_call_that_is_erased_meanwhile_is_not_handed_out(store, top, step):
    """Its files go one by one while they are copied, or all of them when they are."""
    real = getattr(export_module, step)

    def erase_first(*arguments):
        found = real(*arguments)
        sentence = Sentence("age", 180, "2027-06-01T00:00:00+09:00", 20_000_000)
        for _ in erase(store.directory, store.folder("3c"), store.office.books, sentence):
            pass
        return found

    count = len(desk(store))
    with (
        patch.object(export_module, step, erase_first),
        pytest.raises(StoreError, match="call 3c: erased; `recorderd show` has"),
    ):
        store.exported("3c", top / "b")
    assert not leftovers(top)
    assert len(desk(store)) == count


def test_a_call_that_is_not_signed_yet_says_so(store, top):
    ledger = store.office.ledger
    path = store.folder("6f") / "amend-0001.json"
    path.write_text(json.dumps({"changes": {}}))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    ledger.append("record-amended", call="6f", file=path.name, sha256=sha256)
    ledger.sync()
    files = files_of(store.exported("6f", top / "b"))
    assert "ledger/checkpoint.txt" not in files
    assert "not signed yet" in files["README.txt"].decode()
    assert "not signed yet" in files["report.html"].decode()
    found = verify_bundle(top / "b", KEY.fingerprint)
    assert not found.is_proven
    assert "not signed yet" in found.missing.sentence


def test_sound_too_long_for_a_wav_is_left_out_and_told(store, top):
    with patch.object(bwf, "fits", return_value=False):
        files = files_of(store.exported("6f", top / "b"))
    assert "joined.wav" not in files
    assert "There is no joined.wav" in files["report.html"].decode()
    assert verify_bundle(top / "b", KEY.fingerprint).is_proven


# ---------------------------------------------------------------- what a stranger does


def commands_in(readme):
    """The commands of the English half, in their order."""
    return [
        line.strip() for line in readme.partition("=" * 70)[0].splitlines() if line[:4] == "    "
    ]


def shell(command, folder):
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("calls", [("6f",), ("1a", "3c", "4d")])
def test_four_commands_check_it(store, top, calls):
    bundle = store.exported(*calls, top / "b")
    readme = (bundle / "README.txt").read_text()
    assert ("each in a folder of its own" in readme) == (len(calls) > 1)
    assert len(list(bundle.glob("report.html" if len(calls) == 1 else "*/report.html"))) == len(
        calls
    )
    commands = commands_in(readme)
    assert len(commands) == 4
    said = [shell(command, bundle) for command in commands]
    assert [done.returncode for done in said] == [0, 0, 0, 0], said
    assert said[1].stdout.split()[0] == KEY.fingerprint
    assert said[2].stdout.strip() == "Signature Verified Successfully"
    assert said[3].stdout.split("\n")[:-1] == ["Signature Verified Successfully"] * len(calls)
    (bundle / "device.pem").write_text("x")
    assert shell(commands[0], bundle).returncode
    assert shell(commands[2], bundle).returncode


TSA = """\
[tsa]
default_tsa = me
[me]
serial = ./serial
signer_cert = ./tsa.pem
signer_key = ./tsa.key
certs = ./tsa.pem
default_policy = 1.2.3.4
digests = sha256, sha512
signer_digest = sha256
"""


def stamped(folder, note):
    """An RFC 3161 token over a text, by an authority made on the spot."""
    (folder / "tsa.cnf").write_text(TSA)
    (folder / "note").write_text(note)
    subject = "openssl req -x509 -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.pem -subj /CN=tsa"
    for command in (
        f"{subject} -addext extendedKeyUsage=critical,timeStamping",
        "openssl ts -query -data note -sha256 -cert -out query",
        "openssl ts -reply -config tsa.cnf -section me -queryfile query -out reply",
    ):
        done = shell(command, folder)
        assert done.returncode == 0, done
    return (folder / "reply").read_bytes()


def test_an_outside_time_stamp_goes_along_and_is_checked_with_openssl(store, top, tmp_path):
    recorder = store.directory / "ledger/recorder"
    entries = list(chain.walk(chain_lines(recorder)))
    closed = next(
        entry.seq for entry in entries if entry.kind == "call-closed" and entry.data["call"] == "3c"
    )
    behind = [entry for entry in entries if entry.kind == "checkpoint" and entry.seq > closed]
    chosen = behind[2]  # not the first checkpoint behind the call: the part reaches on to this one
    folder = store.directory / "ledger/timestamps"
    folder.mkdir()
    (folder / f"{chosen.seq}.tsr").write_bytes(stamped(tmp_path, chosen.data["note"]))
    (folder / f"{behind[0].seq}.tsr").write_bytes(b"over something else")
    assert verify_store(store.directory, wait=lambda _s: None).is_proven
    bundle = store.exported("3c", top / "b")
    files = files_of(bundle)
    assert files["ledger/timestamp.txt"].decode() == chosen.data["note"]
    assert chain.parse_line(files["ledger/chain.jsonl"].splitlines()[-1]).seq == chosen.seq
    assert chain.parse_note(files["ledger/checkpoint.txt"].decode()).head.entries == behind[0].seq
    assert verify_bundle(bundle, KEY.fingerprint).is_proven
    command = commands_in((bundle / "README.txt").read_text())[4]
    done = shell(command.replace("authority.pem", str(tmp_path / "tsa.pem")), bundle)
    assert (done.returncode, done.stdout.strip()) == (0, "Verification: OK"), done
    (bundle / "ledger/timestamp.txt").write_text(behind[0].data["note"])
    assert shell(command.replace("authority.pem", str(tmp_path / "tsa.pem")), bundle).returncode
