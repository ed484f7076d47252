"""Following the recorder's chain: every call that it closes is queued once, whatever a cut did to it."""

from __future__ import annotations

from contextlib import closing
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.core.chain import Head
from recorderd.errors import StoreError
from recorderd.store import ledger as ledger_module
from recorderd.store.ledger import RECORDER, Ledger
from recorderd.upload import follow as follow_module
from recorderd.upload.follow import follow
from recorderd.upload.queue import Queue, Waiting
from tests.store.calls import KEY, READING, SITE, in_memory


class Recorder:
    """A chain, and a queue that follows it."""

    def __init__(self, directory):
        self.directory = directory
        self.ledger = Ledger(directory, RECORDER, SITE.name, KEY, lambda: READING)
        self.queue = Queue(directory)

    def close_calls(self, *call_ids):
        for call_id in call_ids:
            self.ledger.append("call-opened", call=call_id)
            self.ledger.append("call-closed", call=call_id, record_sha256="0" * 64)
            self.ledger.sign()

    def queued(self):
        follow(self.directory, self.queue)
        return [call.id for call in self.queue.next(1000, (), newest_first=False)]

    def path(self):
        return max((self.directory / "ledger/recorder").iterdir())

    def close(self):
        self.ledger.close()
        self.queue.close()


@pytest.fixture
def recorder():
    with in_memory() as directory:
        found = Recorder(directory)
        yield found
        found.close()


@given(st.lists(st.integers(0, 5), max_size=12), st.integers(1, 20), st.integers(1, 20))
def test_every_closed_call_is_queued_in_order(groups, page_lines, file_lines):
    with (
        in_memory() as directory,
        patch.object(follow_module, "PAGE_LINES", page_lines),
        patch.object(ledger_module, "FILE_LINES_MAX", file_lines),
    ):
        recorder, ids = Recorder(directory), []
        for group, size in enumerate(groups):
            new = [f"{group}-{number}" for number in range(size)]
            recorder.close_calls(*new)
            ids += new
            assert recorder.queued() == ids
        recorder.close()


def test_a_chain_that_a_cut_made_shorter_is_read_again(recorder):
    recorder.close_calls("a", "b")
    before = recorder.path().read_bytes()
    recorder.close_calls("c")
    assert recorder.queued() == ["a", "b", "c"]
    recorder.ledger.close()
    recorder.path().write_bytes(before)  # what came after was not on the disk
    recorder.ledger = Ledger(recorder.directory, RECORDER, SITE.name, KEY, lambda: READING)
    recorder.close_calls("d", "e")
    assert sorted(recorder.queued()) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("torn", [b'{"seq": 3, "kind":"call-closed"', b"\0" * 500, b"\0\n"])
def test_a_line_that_is_being_written_waits(recorder, torn):
    recorder.close_calls("a")
    whole = recorder.path().read_bytes()
    recorder.path().write_bytes(whole + torn)
    assert recorder.queued() == ["a"]
    recorder.path().write_bytes(whole)
    recorder.close_calls("b")
    assert recorder.queued() == ["a", "b"]


def test_a_line_that_is_damaged_hides_no_other(recorder):
    recorder.close_calls("a", "b")
    lines = recorder.path().read_bytes().splitlines(keepends=True)
    lines[2] = b'{"kind":"call-closed", oh\n'
    recorder.path().write_bytes(b"".join(lines))
    assert recorder.queued() == ["b"]


def test_a_call_that_changed_is_queued_again(recorder):
    recorder.close_calls("a")
    recorder.queued()
    (call,) = recorder.queue.next(1, (), newest_first=False)
    recorder.ledger.append("record-amended", call="a", file="amend-0001.json", sha256="0" * 64)
    recorder.ledger.sync()
    recorder.queued()
    recorder.queue.done(call, None)
    assert recorder.queued() == ["a"], "what was carried did not have the amendment yet"
    (call,) = recorder.queue.next(1, (), newest_first=False)
    recorder.queue.done(call, None)
    assert recorder.queued() == []


@given(st.lists(st.tuples(st.sampled_from(["enter", "park", "done", "unpark"]), st.integers(0, 4))))
def test_the_queue_counts_what_is_in_it(steps):
    with in_memory() as directory:
        queue, model = Queue(directory), {}
        for seq, (what, number) in enumerate(steps):
            call = Waiting(f"call-{number}", seq, "2026-11-23T09:45:00.000+00:00")
            if what == "enter":
                queue.enter([call], Head(seq + 1, "0" * 64))
                model[call.id] = (call, False)
            elif what == "unpark":
                assert queue.unpark() == sum(is_parked for _, is_parked in model.values())
                model = {call_id: (each, False) for call_id, (each, _) in model.items()}
            elif call.id in model and what == "park":
                queue.park(model[call.id][0], "refused")
                model[call.id] = (model[call.id][0], True)
            elif call.id in model:
                queue.done(model.pop(call.id)[0], None)
            state = queue.state()
            parked = sum(is_parked for _, is_parked in model.values())
            assert (state.waiting, state.parked) == (len(model) - parked, parked)
        queue.close()


def test_lines_that_the_disk_does_not_take_do_not_count(make_box, monkeypatch):
    """A power cut could take them, and other ones come in their place."""
    box = make_box(1)
    with closing(Queue(box.directory)) as queue:
        with monkeypatch.context() as patched:
            patched.setattr(follow_module.files, "sync_file", refused)
            with pytest.raises(StoreError, match="refused"):
                follow(box.directory, queue)
        assert queue.followed().entries == queue.state().waiting == 0
        assert follow(box.directory, queue) == 1


def refused(path):
    raise StoreError(f"{path}: refused")
