"""The two verdicts: on a store at rest and at work, on a bundle, and on what only looks like one."""

from __future__ import annotations

import json
import os
import shutil
import threading
from datetime import datetime
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest

from recorderd.cli.main import main
from recorderd.core import chain
from recorderd.errors import StoreError
from recorderd.evidence import storecheck
from recorderd.evidence.bundlecheck import verify_bundle
from recorderd.evidence.callcheck import Entered
from recorderd.evidence.foldercheck import days_of
from recorderd.evidence.storecheck import read_checkpoint, verify_call, verify_store
from recorderd.store.ledger import chain_lines, open_desk
from recorderd.store.signing import DeviceKey
from tests.evidence.stores import Store, files_of, short_files
from tests.store.calls import KEY, READING, a_record

CONFIG = """\
[site]
name = "test-office"
country = "JP"
time_zone = "Asia/Tokyo"
[storage]
directory = "store"
[[line]]
name = "front"
[line.audio]
driver = "sim"
device = "card"
near_channel = 1
far_channel = 2
[line.hook]
driver = "sim"
[simulation]
script = "none.line"
"""


def judged(store, **options):
    return verify_store(store.directory, KEY.fingerprint, wait=lambda _s: None, **options)


def only_missing(judgement):
    assert judgement.altered.is_proven, judgement.altered
    assert not judgement.missing.is_proven
    return " ".join(judgement.missing.problems)


def only_altered(judgement):
    assert judgement.missing.is_proven, judgement.missing
    assert not judgement.altered.is_proven
    return " ".join(judgement.altered.problems)


# ---------------------------------------------------------------- a whole store


def test_a_store_is_proven(store):
    found = judged(store)
    assert found.is_proven
    assert (found.calls, found.segments) == (5, 12)
    assert found.altered.sentence.startswith("Nothing altered: 5 calls (12 segments) are")
    assert found.missing.sentence.startswith("Nothing missing up to the checkpoint of 2026-11-23T")
    for verdict in (found.altered, found.missing):
        assert verdict.sentence.count(". ") == 0  # one sentence each


def test_without_a_fingerprint_the_sentence_says_what_is_not_known(store):
    found = verify_store(store.directory, wait=lambda _s: None)
    assert found.is_proven
    assert (
        f"that this key ({KEY.fingerprint}) is the one noted at installation"
        in found.altered.sentence
    )


def test_each_verdict_has_its_own_findings(store):
    segments = sorted(store.folder("3c").glob("*.flac"))
    data = segments[0].read_bytes()
    segments[0].write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert "is not the file that was sealed" in only_altered(judged(store))
    segments[0].write_bytes(data)
    segments[1].unlink()
    assert "is missing" in only_missing(judged(store))


def test_a_call_that_vanished_is_missing(store):
    shutil.rmtree(store.folder("6f"))
    assert only_missing(judged(store)) == "call 6f: its folder is missing"


def test_a_folder_that_nobody_entered_is_told(store):
    shutil.copytree(store.folder("6f"), store.folder("6f").with_name("77"))
    assert "call 77: no ledger knows this folder" in only_altered(judged(store))


def test_a_folder_that_is_there_twice_is_told(store):
    shutil.copytree(store.folder("6f"), store.directory / "calls/2026/11/22/6f")
    problems = only_altered(judged(store))
    assert "call 6f: it is there twice" in problems
    assert "it lies under 2026/11/22" in problems


def test_a_call_under_another_day_is_told(store):
    (store.directory / "calls/2026/11/22").mkdir()
    shutil.move(store.folder("6f"), store.directory / "calls/2026/11/22/6f")
    assert "lies under 2026/11/22" in only_altered(judged(store))


@pytest.mark.parametrize(
    ("zone", "opened"),
    [
        ("Europe/London", "1970-01-01T23:30:00.000+00:00"),  # +01:00 all that year
        ("Europe/Berlin", "2026-07-15T22:30:00.000+00:00"),
        ("Australia/Lord_Howe", "2026-07-15T13:15:00.000+00:00"),
    ],
)
def test_a_clock_that_is_set_in_mid_call_across_summer_time_accuses_nobody(zone, opened):
    began = datetime.fromisoformat(opened).astimezone(ZoneInfo(zone))
    right = datetime.fromisoformat("2026-12-24T10:00:00+00:00").astimezone(ZoneInfo(zone))
    record = {"started_at": right.isoformat(timespec="milliseconds"), "duration_s": 60.0}
    entered = Entered(opened_at=opened, closed_at="2026-12-24T10:01:00.000+00:00")
    assert f"{began:%Y/%m/%d}" in days_of(record, entered)


def test_a_line_that_a_power_cut_has_torn_accuses_no_call(store, top):
    """The card in another computer, before the recorder has started again."""
    newest = max((store.directory / "ledger/recorder").iterdir())
    line = b'{"seq":99,"prev":"00","kind":"record-amended","data":{"call":"6f","file"'
    newest.write_bytes(newest.read_bytes() + line)
    assert judged(store).is_proven
    assert verify_call(store.directory, store.folder("6f"), KEY.fingerprint).is_proven
    assert verify_bundle(store.exported("6f", top / "b"), KEY.fingerprint).is_proven


def test_a_hold_that_was_taken_away_is_missing(store):
    hold = store.folder("2b") / "hold.json"
    text = hold.read_text()
    hold.unlink()
    assert "the ledger holds it" in only_missing(judged(store))
    hold.write_text(text.replace("chief", "thief"))
    assert "hold.json is not what the ledger names" in only_altered(judged(store))
    (store.folder("3c") / "hold.json").write_text(text)
    assert "hold.json was never entered" in " ".join(judged(store).altered.problems)


def test_the_tail_behind_the_last_checkpoint_is_told(store):
    store.office.ledger.append("started")
    store.office.ledger.sync()
    found = judged(store)
    assert found.is_proven
    assert (
        "what came after it is not signed yet (entries: 1 of 'recorder')" in found.missing.sentence
    )


def test_a_closed_call_that_is_not_signed_is_not_proven(store):
    path = max((store.directory / "ledger/recorder").iterdir())
    lines = path.read_bytes().splitlines(keepends=True)
    while b"call-closed" not in lines[-1]:
        lines.pop()
    path.write_bytes(b"".join(lines))
    shutil.rmtree(store.directory / "ledger/desk")  # which would name the lost entries
    (store.folder("2b") / "hold.json").unlink()
    found = judged(store)
    assert not found.altered.is_proven
    assert "are not signed" in found.altered.sentence


def test_a_store_put_back_shows_against_a_checkpoint_kept_elsewhere(top):
    (top / "store").mkdir()
    store = Store(top / "store")
    with short_files():
        store.early_calls()
        shutil.copytree(store.directory, top / "back")
        store.later_calls()
    (top / "note").write_text(judged(store).checkpoints["recorder"])
    note = read_checkpoint(top / "note")
    assert judged(store, checkpoints=[note]).is_proven
    assert "kept elsewhere" not in judged(store, checkpoints=[note]).missing.sentence
    back = verify_store(top / "back", KEY.fingerprint)
    assert back.is_proven
    assert "put back to an earlier state" in back.missing.sentence
    found = verify_store(top / "back", KEY.fingerprint, [note], wait=lambda _s: None)
    assert "the checkpoint that you kept" in only_missing(found)


@pytest.mark.parametrize("kept", ["{}", "{}\n", "\n{}\n\n"])
def test_a_checkpoint_as_a_shell_or_an_editor_keeps_it(tmp_path, store, kept):
    """`jq -r` ends its output with a line end of its own."""
    text = judged(store).checkpoints["recorder"]
    for ending in ("\n", "\r\n"):
        (tmp_path / "kept").write_bytes(kept.format(text).replace("\n", ending).encode())
        assert read_checkpoint(tmp_path / "kept") == chain.parse_note(text)
    (tmp_path / "kept").write_text(text.replace("entries ", "entries 1"))
    assert not judged(store, checkpoints=[read_checkpoint(tmp_path / "kept")]).is_proven


def test_the_desk_cannot_be_cut_alone(store):
    path = store.directory / "ledger/desk/000000000000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]))
    assert "ledger desk: it ends after 3 entries" in " ".join(judged(store).missing.problems)
    shutil.rmtree(path.parent)
    assert "ledger desk: not there" in " ".join(judged(store).missing.problems)


def test_another_chain_of_the_same_key_in_the_place_of_the_desk_is_told(store, top):
    """Signed and whole by itself; only the recorder's checkpoints know that it was another one."""
    (top / "twin").mkdir()
    with open_desk_of(top / "twin") as desk:
        for number in range(9):
            desk.append("hold", call=f"x{number}", who="a", why="b", sha256="0" * 64)
    shutil.rmtree(store.directory / "ledger/desk")
    shutil.copytree(top / "twin/ledger/desk", store.directory / "ledger/desk")
    (store.folder("2b") / "hold.json").unlink()
    assert "is another one than the checkpoint in entry" in " ".join(judged(store).altered.problems)


def open_desk_of(directory):
    (directory / "keys").mkdir()
    (directory / "keys/device.key").write_text(KEY.private_pem())
    return open_desk(directory, "test-office", lambda: READING)


def test_lines_behind_the_next_files_beginning_must_stand_there(store):
    first, second, *_ = sorted((store.directory / "ledger/recorder").iterdir())
    whole = first.read_bytes()
    follower = second.read_bytes().splitlines(keepends=True)[0]
    for rest, is_told in ((follower, False), (b'{"torn', False), (whole.splitlines(True)[0], True)):
        first.write_bytes(whole + rest)
        assert judged(store).altered.is_proven is not is_told, rest


def test_a_key_that_was_replaced(store):
    other = DeviceKey.generate()
    (store.directory / "keys/device.pem").write_text(other.public_pem)
    assert "the key of this box" in only_altered(judged(store))
    assert "signed with another key" in only_altered(verify_store(store.directory))


def test_a_store_without_a_ledger(store):
    shutil.rmtree(store.directory / "ledger")
    found = judged(store)
    assert "there is no ledger" in " ".join(found.missing.problems)
    assert "no ledger knows" in " ".join(found.altered.problems)


def test_complaints_are_counted_and_not_all_kept(store):
    for number in range(1100):
        (store.directory / f"calls/2026/11/23/x{number}").mkdir()
    found = judged(store).altered
    assert found.sentence.startswith("ALTERED: 1,100 things")
    assert len(found.problems) == 1001
    assert found.problems[-1] == "and 100 more"


# ---------------------------------------------------------------- while it is written


@pytest.mark.parametrize("second", [0.3, 1.0, 2.6, 5.1])
def test_a_call_that_goes_on_is_no_alarm(store, second):
    office = store.office
    office.run_to(90.2)
    office.open(a_record("77", started=90.0))
    office.run_to(90.0 + second)
    assert judged(store).is_proven
    office.ledger.sign()
    assert judged(store).is_proven
    office.recover()
    assert judged(store).is_proven


def test_a_call_that_is_closed_between_the_looks_is_no_alarm(store):
    looks = []
    shutil.move(store.folder("6f"), store.directory / "aside")

    def bring_back(_seconds):
        looks.append(1)
        shutil.move(store.directory / "aside", store.directory / "calls/2026/11/23/6f")

    assert verify_store(store.directory, KEY.fingerprint, wait=bring_back).is_proven
    assert looks == [1]


def test_a_store_that_is_written_all_the_while_is_no_alarm(store):
    office, alarms, stop = store.office, [], threading.Event()

    def look():
        while not stop.is_set():
            found = verify_store(store.directory, KEY.fingerprint)
            if not found.is_proven:
                alarms.append(found)

    with patch.object(storecheck, "LOOK_AGAIN_S", 0.05), patch.object(storecheck, "LOOKS", 40):
        thread = threading.Thread(target=look)
        thread.start()
        try:
            with short_files():
                for number in range(40):
                    store.call(f"c{number:02x}", office.now_s + 5, 3.0)
                    given_up = office.open(a_record(f"d{number:02x}", started=office.now_s))
                    office.run_to(office.now_s + 1)
                    office.abandon(given_up)
                    office.settle()
                    if number % 5 == 0:
                        store.hold(f"c{number:02x}")
        finally:
            stop.set()
            thread.join()
    assert not [
        (each.altered.problems, each.altered.sentence, each.missing.problems) for each in alarms
    ]
    assert judged(store).calls == 45


def test_a_given_up_call_is_in_the_ledger_before_its_draft_goes(store):
    office = store.office
    office.run_to(90.2)
    record = office.open(a_record("77", started=90.0))
    office.run_to(91.0)
    office.ledger.sync()  # that it was opened is durable, by another line's checkpoint
    office.abandon(record)
    office.settle()
    assert judged(store).is_proven
    lines = list(chain_lines(store.directory / "ledger/recorder"))
    assert chain.parse_line(lines[-1]).kind == "call-abandoned"


def test_what_recovery_gives_up_is_in_the_ledger_too(store):
    office = store.office
    office.run_to(90.2)
    record = office.open(a_record("77", started=90.0))
    office.run_to(91.0)
    office.ledger.sync()
    with patch("recorderd.store.closing.files.remove_durable", side_effect=StoreError("no")):
        office.abandon(record)
        office.run_to(91.5)
    lines = list(chain_lines(store.directory / "ledger/recorder"))
    path = max((store.directory / "ledger/recorder").iterdir())
    kept = path.read_bytes()
    if b"call-abandoned" in lines[-1]:
        path.write_bytes(kept[: kept.rindex(lines[-1])])  # the power went before it was synced
    office.recover()
    assert judged(store).is_proven


# ---------------------------------------------------------------- one call


def test_one_call_is_decoded(store):
    found = verify_call(store.directory, store.folder("6f"), KEY.fingerprint)
    assert found.is_proven
    assert found.segments == 3
    with patch("recorderd.evidence.foldercheck.decode_blocks", return_value=iter([b"x" * 4])):
        found = verify_call(store.directory, store.folder("6f"), KEY.fingerprint)
    assert "holds other sound" in only_altered(found)


def test_one_call_with_another_key_is_not_proven(store):
    found = verify_call(store.directory, store.folder("6f"), "0" * 64)
    assert "signed with another key" in found.altered.sentence
    assert not found.is_proven


# ---------------------------------------------------------------- bundles


def test_a_bundle_without_a_noted_key_is_not_proven_and_says_why(store, top):
    bundle = store.exported("6f", top / "b")
    found = verify_bundle(bundle)
    assert not found.altered.is_proven
    assert not found.altered.problems
    assert found.altered.sentence.startswith(
        "Nothing found, but not proven: that its key is the recorder's"
    )
    assert found.missing.is_proven
    assert verify_bundle(bundle, own=KEY.fingerprint).is_proven
    assert "of this box" in verify_bundle(bundle, own=KEY.fingerprint).altered.sentence
    assert "another key" in only_altered(verify_bundle(bundle, "0" * 64))


def test_a_file_that_is_not_in_the_list_is_told(store, top):
    bundle = store.exported("6f", top / "b")
    (bundle / "more.txt").write_text("x")
    assert "more.txt: not in the list" in only_altered(verify_bundle(bundle, KEY.fingerprint))
    (bundle / "more.txt").unlink()
    (bundle / "empty").mkdir()
    (bundle / "link").symlink_to("/etc/passwd")
    problems = only_altered(verify_bundle(bundle, KEY.fingerprint))
    assert "an empty folder" in problems
    assert "link: neither a file nor a folder" in problems


def deep(size):
    return b"[" * size + b"]" * size


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("call.json", deep(100_000)),
        ("call.json", b'{"segments": 7, "audio": null, "id": 1}'),
        ("call.json", b'{"segments": [{"file": "../../x"}], "audio": {}, "id": "6f"}'),
        ("call.json", b" " * (17 << 20)),
        ("ledger/chain.jsonl", deep(30_000)),
        ("ledger/chain.jsonl", b"x" * 1_000_000),
        ("ledger/chain.jsonl", b""),
        ("ledger/checkpoint.txt", b"\xff\xfe"),
        ("MANIFEST.sha256", b"\xff"),
        ("MANIFEST.sha256", b"0" * 64 + b"  ../../etc/passwd\n"),
        ("MANIFEST.sha256", b"x" * 1_000_000),
        ("MANIFEST.sig", b"x" * 65),
        ("device.pem", b"\xff" * 100),
        ("joined.wav", b"RIFF"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value[:12]!r}-{len(value)}",
)
def test_bad_files_are_found_and_nothing_breaks(store, top, name, data):
    bundle = store.exported("6f", top / "b")
    (bundle / name).write_bytes(data)
    assert not verify_bundle(bundle, KEY.fingerprint).is_proven


def test_entries_of_any_kind_break_nothing(store, top):
    """Whoever signs with a key of his own may enter what he likes."""
    names = (b'"segment":0', b'"segments":3', b'"frames":16000', b'"call":"6f"')
    bundle = store.exported("6f", top / "b")
    whole = (bundle / "ledger/chain.jsonl").read_bytes()
    for name in names:
        for value in (b"null", b"[]", b"{}", b"-1", b"1e99", b"9" * 4000, b"true", b'"\\ud800"'):
            key = name.partition(b":")[0]
            (bundle / "ledger/chain.jsonl").write_bytes(whole.replace(name, key + b":" + value))
            assert not verify_bundle(bundle, KEY.fingerprint).is_proven


# ---------------------------------------------------------------- the command line


@pytest.fixture
def config(store, top):
    (top / "none.line").write_text("")
    (top / "recorderd.toml").write_text(CONFIG)
    store.office.books.catalogue  # noqa: B018  (made by the first call)
    return top / "recorderd.toml"


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


def test_the_exit_code_is_0_only_where_all_is_proven(config, store, top, capsys):
    options = ("--config", config)
    code, out, _ = run(capsys, "export", "6f", "1a", "--to", top / "b.zip", *options)
    assert code == 0
    assert "2 calls" in out
    assert run(capsys, "verify", "--all", *options)[0] == 0
    assert run(capsys, "verify", "6f", "1a", *options)[0] == 0
    assert run(capsys, "verify", top / "b.zip", *options)[0] == 0
    assert run(capsys, "verify", store.directory, "--fingerprint", KEY.fingerprint.upper())[0] == 0
    with patch.dict(os.environ, {"RECORDERD_CONFIG": str(top / "nothing.toml")}):
        assert run(capsys, "verify", top / "b.zip")[0] == 1
        assert run(capsys, "verify", top / "b.zip", "--fingerprint", KEY.fingerprint)[0] == 0
    (store.folder("6f") / "more").write_text("x")
    with patch.object(storecheck, "LOOKS", 1):
        code, out, _ = run(capsys, "verify", "--all", *options)
    assert code == 1
    assert "more was never entered" in out


def test_json_is_one_value(config, store, capsys):
    code, out, _ = run(capsys, "verify", "--all", "--json", "--config", config)
    said = json.loads(out)
    assert (code, said["proven"]) == (0, True)
    (one,) = said["verified"]
    assert one["nothing_altered"]["proven"]
    assert one["nothing_missing"]["proven"]
    assert one["fingerprint"] == KEY.fingerprint
    assert chain.parse_note(one["checkpoints"]["recorder"]).origin == "test-office/recorder"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["verify"], 2, "say what to verify"),
        (["verify", "--all", "6f"], 2, "say what to verify"),
        (["verify", "nobody"], 2, "no call has this id"),
        (["verify", "no/such/path"], 1, "no such file or folder"),
        (["verify", "none.line"], 1, "not a ZIP file"),
        (["verify", "."], 1, "neither a bundle (it has no MANIFEST.sha256) nor a state directory"),
        (["verify", "/dev/null"], 1, "neither a folder nor a file"),
        (["verify", "6f", "--fingerprint", "12"], 2, "64 hexadecimal digits"),
        (["verify", "6f", "--checkpoint", "none.line"], 1, "not the note of a checkpoint"),
        (["export", "nobody", "--to", "b"], 2, "no call has this id"),
        (["export", "6f", "--to", "none.line"], 1, "exists already"),
        (["export", "6f", "--to", "no/such/b"], 1, "no such folder"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(config, monkeypatch, capsys, arguments, code, says):
    monkeypatch.chdir(config.parent)
    found, _, err = run(capsys, *arguments, "--config", config)
    assert found == code
    assert says in err


def test_names_from_strangers_do_not_reach_the_terminal_raw(config, store, top, capsys):
    bundle = store.exported("6f", top / "b")
    (bundle / "\x1b[31mred").write_text("x")
    _, out, _ = run(capsys, "verify", bundle, "--config", config)
    assert "\x1b" not in out
    assert "\\x1b[31mred" in out


def test_who_asks_is_the_person_behind_sudo(config, store, top, capsys, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "yamada")
    assert run(capsys, "export", "6f", "--to", top / "b", "--config", config)[0] == 0
    lines = list(chain_lines(store.directory / "ledger/desk"))
    assert chain.parse_line(lines[-2]).data["who"] == "yamada"
    assert "yamada" in files_of(top / "b")["report.html"].decode()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_is_exported_with_sudo_leaves_the_ledger_to_the_recorder(store, top):
    shutil.rmtree(store.directory / "ledger/desk")
    for path in (store.directory, *store.directory.rglob("*")):
        os.chown(path, 12345, 12345)
    store.exported("6f", top / "b")
    owners = {path.stat().st_uid for path in (store.directory / "ledger/desk").rglob("*")}
    assert owners == {12345}
    assert (store.directory / "ledger/desk").stat().st_uid == 12345
