"""The uploader on an archive in memory: what is uploaded, in what order, and what every failure costs."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import quote

import pytest

from recorderd.archive.rows import COLUMNS
from recorderd.core import chain
from recorderd.errors import RefusedError, StoreError, TryAgainError
from recorderd.evidence.storecheck import verify_store
from recorderd.store.erasing import Sentence, erase
from recorderd.store.ledger import Ledger
from recorderd.store.receipts import is_confirmed
from recorderd.store.records import read_record
from recorderd.upload.queue import Queue
from recorderd.upload.uploader import POLL_S, RETRY_MARK
from tests.store.calls import SITE
from tests.store.shelf import NAME, NUMBER
from tests.upload.box import sha256
from tests.upload.memory import Store, closed, down
from tests.upload.rows import rows_in


def test_everything_is_uploaded_once_and_proven(make_box):
    box = make_box(5)
    report = box.upload()
    assert (report.uploaded, report.queue.waiting, report.trouble) == (5, 0, None)
    box.judge()
    assert all(
        is_confirmed(folder, read_record(folder), box.archive.url) for folder in box.folders()
    )
    assert verify_store(box.directory, wait=lambda _s: None).is_proven
    written = len(box.store.writes)
    assert box.upload().uploaded == 0
    assert [key for key in box.store.writes[written:] if not key.startswith("ledger/")] == []


def test_the_ledger_goes_first_and_a_calls_record_last(make_box):
    box = make_box(2)
    box.upload()
    calls = [key for key in box.store.writes if key.startswith("calls/")]
    assert box.store.writes[0] == f"ledger/site={SITE.name}/chain=recorder/000000000000.jsonl"
    first = calls[: len(calls) // 2]
    assert len({key.rsplit("/", 1)[0] for key in first}) == 1
    assert first[-1].endswith("/call.json")
    assert box.store.writes[-1].startswith("landing/")
    sent = box.store.objects[box.store.writes[0]]
    assert sent == (box.directory / "ledger/recorder/000000000000.jsonl").read_bytes()


def test_every_part_of_the_ledger_ends_signed(make_box):
    """What is not signed yet could become something else after a cut."""
    box = make_box(1)
    box.ledger.append("something", of="the last minute")
    box.ledger.sync()
    box.upload()
    for key in box.store.keys("ledger/"):
        last = box.store.objects[key].splitlines()[-1]
        assert chain.parse_line(last).kind == chain.CHECKPOINT
    box.ledger.sign()
    box.upload()
    (first, second) = box.store.keys("/chain=recorder/")
    assert b'"something"' not in box.store.objects[first]
    assert b'"something"' in box.store.objects[second]


def test_the_newest_call_goes_first_where_that_is_asked_for(make_box):
    box = make_box(3, order="newest-first")
    box.upload()
    records = [key for key in box.store.writes if key.endswith("call.json")]
    assert [key.split("/")[3] for key in records] == ["call-0003", "call-0002", "call-0001"]


def test_a_row_of_each_call_lands_once_with_every_column(make_box):
    box = make_box(3)
    box.upload()
    rows = rows_in(box.store)
    assert sorted(row["call"] for row in rows) == ["call-0001", "call-0002", "call-0003"]
    for row in rows:
        assert {name for name, types in COLUMNS.items() if isinstance(row[name], types)} == set(row)
        assert (row["site"], row["date"]) == (SITE.name, "2026-11-23")
        assert (row["number"], row["name"], row["keys"]) == (NUMBER, NAME, ["l5432"])
        assert (row["segments"], row["revision"]) == (2, 0)


def test_a_receipt_says_where_each_object_lies_and_is_in_the_ledger(make_box):
    box = make_box(1)
    box.upload()
    (folder,) = box.folders()
    receipt = box.receipt(folder)
    assert receipt["archive"] == "memory://archive"
    for name in receipt["files"]:
        assert receipt["objects"][name]["key"].endswith(f"/{folder.name}/{name}")
        assert receipt["objects"][name]["version"].startswith("v-")
    entries = (box.directory / "ledger/uploader/000000000000.jsonl").read_text("utf-8")
    assert '"kind":"call-uploaded"' in entries


# ---------------------------------------------------------------- what may work later


def test_a_receipt_is_in_the_ledger_before_the_queue_forgets_its_call(make_box, monkeypatch):
    box = make_box(2)
    seen = []
    done = Queue.done

    def look(queue, call, row):
        (folder,) = (folder for folder in box.folders() if folder.name == call.id)
        seen.append(box.entered(folder) == sha256((folder / "receipt.json").read_bytes()))
        done(queue, call, row)

    monkeypatch.setattr(Queue, "done", look)
    box.upload()
    assert seen == [True, True]


def test_a_receipt_whose_entry_was_cut_off_is_entered_later(make_box, monkeypatch):
    box = make_box(1)
    append = Ledger.append

    def refuse(ledger, kind, **data):
        if kind == "call-uploaded":
            raise StoreError("cut")
        append(ledger, kind, **data)

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append", refuse)
        assert box.upload().uploaded == 0
    (folder,) = box.folders()
    assert (folder / "receipt.json").exists()
    assert box.entered(folder) is None
    box.upload()
    box.judge()
    assert verify_store(box.directory, wait=lambda _s: None).is_proven


def test_while_the_archive_is_down_nothing_is_lost_and_nothing_parked(make_box):
    box = make_box(3)
    box.store.plan = down
    with box.uploader() as uploader:
        pauses = [uploader.step() for _ in range(12)]
        assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
        box.clock.now_s += 1000
        uploader.step()
        found = json.loads((box.directory / "upload.json").read_text("utf-8"))
        assert (found["waiting"], found["parked"]) == (3, 0)
        assert "nothing is uploaded since" in found["alarms"][0]
        box.store.plan = lambda *_: None
        while uploader.step() == 0:
            pass
        assert json.loads((box.directory / "upload.json").read_text("utf-8"))["alarms"] == []
    box.judge()


def test_a_lost_acknowledgement_writes_nothing_twice(make_box):
    box = make_box(2)
    lost = set()

    def lose(operation, key):
        if operation == "put" and key not in lost:
            lost.add(key)
            raise TryAgainError("memory://archive: the connection was cut")

    box.store.plan_after = lose
    with box.uploader() as uploader:
        for _ in range(60):
            uploader.step()
            box.clock.now_s += 1000
    box.judge()
    assert len(lost) == len(box.store.writes)


def test_a_call_that_fails_now_does_not_stop_the_others(make_box):
    box = make_box(12)

    def fail(operation, key):
        if operation == "put" and "/call-0003/" in key:
            raise TryAgainError("memory://archive: 500")

    box.store.plan = fail
    with box.uploader() as uploader:
        assert uploader.step() == 0, "there is more to do, and others worked"
        assert len(box.store.keys("call.json")) == 11
        asked = len(box.store.asked)
        assert uploader.step() == 1, "now it is the only one"
        assert uploader.step() == 2
        assert len([key for what, key in box.store.asked[asked:] if "/call-0003/" in key]) == 2
        box.store.plan = lambda *_: None
        uploader.step()
    box.judge()


def test_several_that_fail_in_a_row_stop_the_round(make_box):
    box = make_box(12)

    def fail(_operation, key):
        if key.startswith("calls/"):
            raise TryAgainError("memory://archive: 500")

    box.store.plan = fail
    with box.uploader() as uploader:
        assert uploader.step() == 1
    tried = {key.split("/")[3] for _, key in box.store.asked if key.startswith("calls/")}
    assert len(tried) == 4


def test_the_archive_may_ask_for_patience(make_box):
    box = make_box(1)

    def busy(_operation, _key):
        raise TryAgainError("memory://archive: 503", retry_after_s=120)

    box.store.plan = busy
    with box.uploader(random=lambda: 0.0) as uploader:
        assert uploader.step() == 120


# ---------------------------------------------------------------- what somebody must mend


def refuse_call(call_id):
    def refuse(operation, key):
        if operation == "put" and f"/{call_id}/" in key:
            raise RefusedError(f"memory://archive: {key}: 413 too large")

    return refuse


def test_a_call_that_is_refused_alone_is_parked_and_the_others_go_on(make_box):
    box = make_box(3)
    box.store.plan = refuse_call("call-0002")
    report = box.upload()
    assert (report.uploaded, report.queue.waiting, report.queue.parked) == (2, 0, 1)
    (alarm,) = report.alarms(box.clock.reading().wall)
    assert "1 call cannot be uploaded: call call-0002:" in alarm
    assert "413" in alarm
    assert "recorderd upload --retry" in alarm
    heartbeat = json.loads(box.store.objects[f"health/site={SITE.name}/heartbeat.json"])
    assert heartbeat["queue"]["parked"] == 1
    assert alarm in heartbeat["alarms"]


def test_what_is_parked_is_tried_again_when_it_is_told_to(make_box):
    box = make_box(1)
    box.store.plan = refuse_call("call-0001")
    with box.uploader() as uploader:
        while uploader.step() == 0:
            pass
        box.store.plan = lambda *_: None
        uploader.step()
        assert not box.store.keys("calls/")
        (box.directory / RETRY_MARK).touch()
        uploader.step()
        assert box.store.keys("call.json")
        assert not (box.directory / RETRY_MARK).exists()
    box.judge()


def test_what_is_parked_is_tried_again_some_times_a_day(make_box):
    """A proxy's 403 that has passed costs no call its place in the archive."""
    box = make_box(1)
    box.store.plan = refuse_call("call-0001")
    with box.uploader() as uploader:
        while uploader.step() == 0:
            pass
        box.store.plan = lambda *_: None
        box.clock.now_s += 5 * 3600
        uploader.step()
        assert not box.store.keys("calls/")
        box.clock.now_s += 2 * 3600
        uploader.step()
        assert box.store.keys("call.json")
    box.judge()


def test_where_the_archive_refuses_everything_no_call_is_parked_for_it(make_box):
    box = make_box(3)
    with box.uploader() as uploader:
        uploader.step()
        box.call()
        box.store.plan = closed
        box.clock.now_s += 100
        assert uploader.step() > 0
        found = json.loads((box.directory / "upload.json").read_text("utf-8"))
        assert (found["waiting"], found["parked"]) == (1, 0)
        assert "AccessDenied" in found["alarms"][0], "an alarm at once: somebody must mend it"
        box.store.plan = lambda *_: None
        uploader.step()
    box.judge()


def test_where_the_archive_refuses_calls_and_heartbeat_no_call_is_parked_for_it(make_box):
    """It takes the ledger: a policy that was made for another site's name, perhaps."""
    box = make_box(1)

    def refuse(_operation, key):
        if not key.startswith("ledger/"):
            raise RefusedError(f"memory://archive: {key}: AccessDenied")

    with box.uploader() as uploader:
        uploader.step()
        box.call()
        box.store.plan = refuse
        box.clock.now_s += 100
        assert uploader.step() > 0
        found = json.loads((box.directory / "upload.json").read_text("utf-8"))
        assert (found["waiting"], found["parked"]) == (1, 0)


@pytest.mark.parametrize("form", [str, quote, lambda key: quote(key, safe="")])
@pytest.mark.parametrize("kind", [RefusedError, TryAgainError])
def test_no_number_is_told_however_the_archive_writes_a_name(make_box, caplog, form, kind):
    box = make_box(1)

    def refuse(operation, key):
        if operation == "put" and key.endswith(".flac"):
            raise kind(f"memory://archive: {form(key)}: no")

    box.store.plan = refuse
    report = box.upload()
    assert "call call-0001: segment 0" in f"{report.trouble} {report.queue.reasons}"
    assert NUMBER not in caplog.text
    assert box.where_number_is("upload.json") == []


def test_a_file_that_is_not_what_was_recorded_is_called_so(make_box):
    box = make_box(2)
    (folder, _) = box.folders()
    damaged = sorted(folder.glob("*.flac"))[1]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    report = box.upload()
    assert (report.uploaded, report.queue.parked) == (1, 1)
    assert "segment 1: what was to be put is not what was recorded" in report.queue.reasons[0]
    assert not (folder / "receipt.json").exists()


def test_a_file_that_is_missing_is_called_so_without_the_number_in_its_name(make_box, caplog):
    box = make_box(1)
    (folder,) = box.folders()
    min(folder.glob("*.flac")).unlink()
    report = box.upload()
    assert report.queue.parked == 1
    assert "_front_in_…_000.flac: No such file" in report.queue.reasons[0]
    assert NUMBER not in caplog.text + report.queue.reasons[0]
    assert box.where_number_is("upload.json") == []
    assert not box.store.keys("call.json")


def test_another_object_under_the_key_is_left_as_it_is(make_box):
    box = make_box(1)
    key = f"calls/site={SITE.name}/date=2026-11-23/call-0001/call.json"
    box.store.objects[key] = b"somebody else's"
    report = box.upload()
    assert box.store.objects[key] == b"somebody else's"
    assert "another object is there already" in report.queue.reasons[0]


def test_no_number_reaches_the_ledger_the_reports_or_the_log(make_box, caplog):
    box = make_box(3)
    box.store.plan = refuse_call("call-0001")
    (box.folders()[1] / "call.json").unlink()
    box.upload()
    assert NUMBER not in caplog.text
    assert "call-0001" in caplog.text
    assert box.where_number_is("ledger/**/*", "upload.json") == []
    assert NUMBER not in json.dumps([
        key.decode() for name, key in box.store.objects.items() if name.startswith("health")
    ])


def test_two_uploaders_do_not_work_on_one_directory(make_box):
    box = make_box(1)
    with box.uploader():
        second = box.uploader()
        with pytest.raises(StoreError, match="another uploader is at work"):
            second.__enter__()


def test_a_box_that_never_recorded_says_so(tmp_path, make_box):
    box = make_box()
    box.directory = tmp_path
    with pytest.raises(StoreError, match="has not run yet"):
        box.uploader().__enter__()


# ---------------------------------------------------------------- calls that change


def test_an_erased_call_leaves_its_text_record_in_the_archive(make_box):
    box = make_box(2)
    box.upload()
    folder = box.folders()[0]
    box.erase(folder)
    box.upload()
    assert {path.name for path in folder.iterdir()} == {"erased.json", "erased.sig"}
    box.judge()
    newest = max(
        (row for row in rows_in(box.store) if row["call"] == folder.name),
        key=lambda row: row["revision"],
    )
    assert newest["erased_at"].startswith("2027-05-23")
    assert (newest["number"], newest["name"], newest["keys"]) == (None, None, [])


def test_of_an_erased_call_no_number_is_left_in_the_queue_of_a_running_uploader(make_box):
    box = make_box(3)
    with box.uploader() as uploader:
        for _ in range(4):
            uploader.step()
            box.clock.now_s += 1000  # its rows go in batches
        for folder in box.folders():
            box.erase(folder)
        for _ in range(4):
            uploader.step()
            box.clock.now_s += 1000
        assert box.where_number_is("uploads.sqlite*") == []
        packed = [
            path
            for path in box.directory.glob("uploads.sqlite*")
            if b"\x1f\x8b\x08" in path.read_bytes()
        ]
        assert packed == []


def test_a_call_that_is_erased_while_it_is_carried_gets_no_receipt(make_box):
    box = make_box(1)
    (folder,) = box.folders()

    def erase_it(operation, key):
        if operation == "look" and key.endswith("call.json"):
            box.store.plan_after = lambda *_: None
            box.erase(folder)

    box.store.plan_after = erase_it
    box.upload()
    assert {path.name for path in folder.iterdir()} == {"erased.json", "erased.sig"}
    box.upload()
    assert {path.name for path in folder.iterdir()} == {"erased.json", "erased.sig"}
    assert box.store.keys("erased.json")


def test_a_new_archive_gets_everything_from_the_beginning(make_box):
    """Also the ledger: without its first entries nothing there could be proven."""
    box = make_box(3)
    box.upload()
    folder = box.folders()[0]
    box.erase(folder)
    box.upload()
    before, box.store = box.store, Store()
    box.archive = replace(box.archive, url="memory://new")
    box.store.name = box.archive.url
    assert box.upload().uploaded == 3
    box.judge()
    first = box.store.keys("/chain=recorder/")[0]
    assert first.endswith("/000000000000.jsonl")
    wanted = {key for key in before.keys("calls/") if f"/{folder.name}/" not in key}
    assert wanted <= set(box.store.keys("calls/"))
    assert {row["call"] for row in rows_in(box.store)} == {each.name for each in box.folders()}
    assert box.receipt(box.folders()[1])["archive"] == "memory://new"
    box.upload()
    box.judge()


def test_a_renamed_site_gets_everything_under_its_new_name(make_box):
    box = make_box(2)
    box.upload()
    before = set(box.store.keys("calls/"))
    box.site = replace(SITE, name="kyoto")
    assert box.upload().uploaded == 2
    renamed = {key.replace(f"/site={SITE.name}/", "/site=kyoto/") for key in before}
    assert set(box.store.keys("calls/site=kyoto/")) == renamed
    first = box.store.keys("ledger/site=kyoto/chain=recorder/")[0]
    assert first.endswith("/000000000000.jsonl")
    keys = [held["key"] for held in box.receipt(box.folders()[0])["objects"].values()]
    assert all(key.startswith("calls/site=kyoto/") for key in keys)
    assert box.upload().uploaded == 0


def test_sound_that_is_in_the_old_archive_alone_stops_no_call(make_box):
    box = make_box(2)
    box.upload()
    (folder, _) = box.folders()
    for _ in erase(box.directory, folder, box.books, Sentence("space", 180, "2027", 10**8)):
        pass
    box.store, box.archive = Store(), replace(box.archive, url="memory://new")
    box.store.name = box.archive.url
    report = box.upload()
    assert (report.queue.waiting, report.queue.parked) == (0, 0)
    assert box.receipt(folder)["archive"] == "memory://archive"


def test_an_amendment_follows_its_call(make_box):
    box = make_box(1)
    box.upload()
    (folder,) = box.folders()
    data = json.dumps({"call": folder.name, "changes": {"clock": {"moved_by_s": 3}}}).encode()
    (folder / "amend-0001.json").write_bytes(data)
    box.ledger.append("record-amended", call=folder.name, file="amend-0001.json", sha256="0" * 64)
    box.ledger.sign()
    before = len(box.store.writes)
    box.upload()
    calls = [key for key in box.store.writes[before:] if key.startswith("calls/")]
    assert [key.rsplit("/", 1)[1] for key in calls] == ["amend-0001.json"]
    box.judge()
    assert {row["revision"] for row in rows_in(box.store)} == {0, 1}


# ---------------------------------------------------------------- hours, threads


def test_calls_wait_for_the_hours(make_box):
    box = make_box(1, hours="20:00-21:00")  # it is 18:45
    with box.uploader() as uploader:
        assert uploader.step() == POLL_S
        assert box.store.keys("calls/") == []
        assert box.store.keys("health/"), "the fleet is told all the same"
        box.clock.now_s += 80 * 60
        uploader.step()
        assert box.store.keys("call.json")
    box.judge()


def test_once_does_not_wait_for_the_hours(make_box):
    box = make_box(1, hours="20:00-21:00")
    assert box.upload().uploaded == 1


def test_with_several_threads(make_box):
    box = make_box(20)
    with ThreadPoolExecutor(4) as executor, box.uploader(executor) as uploader:
        assert uploader.once().uploaded == 20
    box.judge()


def test_a_stop_comes_between_two_blocks(make_box):
    box = make_box(2)
    began = threading.Event()

    def stop(operation, key):
        if operation == "put" and key.startswith("calls/"):
            box.stop.set()
            began.set()

    box.store.plan = stop
    with box.uploader() as uploader:
        uploader.serve()
    assert began.is_set()
    box.stop.clear()
    box.store.plan = lambda *_: None
    box.upload()
    box.judge()
