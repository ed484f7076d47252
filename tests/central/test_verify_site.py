"""One site's copies against its own ledger: proven, or what of it is not."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from recorderd.archive.layout import call_prefix, chain_key, timestamp_key
from recorderd.archive.target import content_of_bytes
from recorderd.central.verify import verify_site
from recorderd.cli.main import main
from recorderd.core import chain
from recorderd.errors import RefusedError
from recorderd.store.erasing import Sentence, erase
from recorderd.store.ledger import Ledger, chain_lines
from tests.central.offices import folder_target
from tests.evidence.stores import Store, short_files
from tests.store.calls import KEY, SITE


class Copied:
    """A box's state directory, and its copy in an archive as an uploader makes it."""

    def __init__(self, top):
        (top / "store").mkdir()
        with short_files():
            self.store = Store(top / "store").fill()
        self.folder = top / "archive"
        self.target = folder_target(self.folder)
        for folder in self.call_folders():
            self.copy_call(folder)
        self.copy_ledger()

    def call_folders(self):
        return sorted(path for path in self.store.directory.glob("calls/*/*/*/*") if path.is_dir())

    def copy_call(self, folder, skip=("hold.json", "receipt.json", "archived.json")):
        for path in sorted(folder.iterdir()):
            if path.name not in skip:
                self.put(self.prefix(folder) + path.name, path.read_bytes())
        self.note(folder)

    def note(self, folder):
        office = self.store.office
        uploader = Ledger(self.store.directory, "uploader", SITE.name, KEY, office.reading)
        uploader.append(
            "call-uploaded", call=folder.name, date="2026-11-23", receipt_sha256="0" * 64
        )
        uploader.sign()
        uploader.close()

    def copy_ledger(self):
        """Parts as an uploader cuts them: other ones than the box's own files."""
        shutil.rmtree(self.folder / "ledger", ignore_errors=True)
        for folder in sorted((self.store.directory / "ledger").iterdir()):
            lines = []
            for path in sorted(folder.glob("*.jsonl")):
                here = path.read_bytes().splitlines(keepends=True)
                lines[int(path.stem) :] = here
            for first in range(0, len(lines), 7):
                part = b"".join(lines[first : first + 7])
                self.put(chain_key(SITE.name, folder.name, first), part)

    def put(self, key, data):
        self.target.put(key, content_of_bytes(data))

    def prefix(self, folder):
        year, month, day, call_id = folder.parts[-4:]
        return call_prefix(SITE.name, f"{year}-{month}-{day}", call_id)

    def path(self, call_id, pattern):
        (found, *_) = sorted(self.folder.glob(f"calls/*/*/{call_id}/{pattern}"))
        return found

    def judged(self, **options):
        return verify_site(self.target, SITE.name, KEY.fingerprint, **options)


@pytest.fixture
def copied(top):
    return Copied(top)


def only_altered(found):
    assert found.missing.is_proven, found.missing
    assert not found.altered.is_proven
    return " ".join(found.altered.problems)


def only_missing(found):
    assert found.altered.is_proven, found.altered
    assert not found.missing.is_proven
    return " ".join(found.missing.problems)


def test_a_whole_copy_is_proven(copied):
    told = []
    found = copied.judged(tell=lambda *counts: told.append(counts))
    assert found.is_proven, found
    assert (found.calls, found.segments) == (5, 12)
    assert told[-1] == (5, 5)
    assert copied.judged(deep=True).is_proven


def test_without_a_fingerprint_the_sentence_says_so(copied):
    found = verify_site(copied.target, SITE.name)
    assert found.is_proven
    assert f"that this key ({KEY.fingerprint}) is the one noted" in found.altered.sentence


def test_another_fingerprint_is_not_proven(copied):
    found = verify_site(copied.target, SITE.name, "0" * 64)
    assert not found.altered.is_proven


def test_sound_that_was_altered_or_removed(copied):
    path = copied.path("3c", "*.flac")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert "is not the file that was sealed" in only_altered(copied.judged())
    path.unlink()
    assert f"call 3c: {path.name} is missing" in only_missing(copied.judged())


def test_a_record_that_was_altered_or_removed(copied):
    path = copied.path("3c", "call.json")
    path.write_bytes(path.read_bytes().replace(b'"front"', b'"frond"'))
    assert "call.json is not the record that the ledger names" in only_altered(copied.judged())
    path.write_text("[" * 5000)
    assert "not a call record" in only_altered(copied.judged())
    path.unlink()
    assert "call 3c: the ledger says that it was uploaded" in only_missing(copied.judged())


def test_an_amendment_that_was_altered(copied):
    path = copied.path("1a", "amend-0001.json")
    path.write_bytes(path.read_bytes() + b" ")
    assert "amend-0001.json is not what the ledger names" in only_altered(copied.judged())


def test_a_call_that_was_removed_is_missing(copied):
    shutil.rmtree(copied.path("6f", "call.json").parent)
    assert "call 6f: the ledger says that it was uploaded" in only_missing(copied.judged())


def test_a_file_that_nobody_entered(copied):
    copied.path("6f", "call.json").with_name("more.flac").write_bytes(b"x")
    assert "more.flac was never entered" in only_altered(copied.judged())


def test_a_call_under_another_day_or_twice(copied):
    folder = copied.path("6f", "call.json").parent
    other = folder.parents[1] / "date=2026-11-22" / "6f"
    shutil.copytree(folder, other)
    problems = only_altered(copied.judged())
    assert "call 6f: it is there twice" in problems
    assert "it lies under 2026-11-22" in problems


def test_what_is_on_the_way_accuses_nobody_and_proves_nothing(copied):
    copied.store.call("7a", 80.0)
    found = copied.judged()
    assert found.is_proven  # the archive's ledger ends before that call
    copied.copy_ledger()
    found = copied.judged()
    assert (found.altered.is_proven, found.missing.is_proven) == (True, False)
    assert found.missing.problems == ()
    assert "1 thing on the way" in found.missing.sentence
    assert "call 7a: it is not uploaded yet" in found.missing.sentence
    copied.copy_call(copied.store.folder("7a"))
    copied.copy_ledger()
    assert copied.judged().is_proven


def test_a_call_that_came_before_its_ledger(copied):
    copied.store.call("7a", 80.0)
    copied.copy_call(copied.store.folder("7a"))
    found = copied.judged()
    assert "call 7a: the ledger does not name it yet" in found.missing.sentence
    assert found.missing.problems == ()


AGE = Sentence("age", 180, "2027-06-01T00:00:00+09:00", 20_000_000)


def test_an_erased_call_needs_its_tombstone_and_no_sound(copied):
    office, folder = copied.store.office, copied.store.folder("3c")
    for _ in erase(office.directory, folder, office.books, AGE):
        pass
    copied.copy_ledger()
    found = copied.judged()
    assert "call 3c: it was erased, and its erased.json is not there" in found.missing.sentence
    assert found.missing.problems == ()
    copied.copy_call(folder)
    copied.copy_ledger()
    assert copied.judged().is_proven  # its sound is still there, locked perhaps
    for path in copied.path("3c", "call.json").parent.iterdir():
        if not path.name.startswith("erased"):
            path.unlink()
    assert copied.judged().is_proven
    tombstone = copied.path("3c", "erased.json")
    text = tombstone.read_bytes()
    tombstone.write_bytes(text + b" ")
    assert "erased.json is not what the ledger names" in only_altered(copied.judged())
    tombstone.write_bytes(text)
    copied.path("3c", "erased.sig").write_bytes(b"x" * 64)
    assert "erased.sig is not a signature of erased.json" in only_altered(copied.judged())


def test_a_ledger_that_was_cut_is_not_proven(copied):
    """The rest may be on its way, so nobody is accused; the uploader's checkpoints know of more."""
    parts = sorted((copied.folder / f"ledger/site={SITE.name}/chain=recorder").iterdir())
    parts[-1].unlink()
    found = copied.judged()
    assert not found.missing.is_proven
    assert "ledger recorder: it ends after" in found.missing.sentence


def test_a_part_of_the_ledger_that_is_not_there(copied):
    parts = sorted((copied.folder / f"ledger/site={SITE.name}/chain=recorder").iterdir())
    parts[1].unlink()
    found = copied.judged()
    assert not found.missing.is_proven
    assert any("is missing" in text for text in found.missing.problems)


def test_a_line_of_the_ledger_that_was_altered(copied):
    parts = sorted((copied.folder / f"ledger/site={SITE.name}/chain=recorder").iterdir())
    parts[0].write_bytes(parts[0].read_bytes().replace(b'"front"', b'"frond"', 1))
    assert not copied.judged().altered.is_proven


def test_strange_objects_in_the_ledger(copied):
    copied.put(f"ledger/site={SITE.name}/strange", b"x")
    assert "nobody knows what it is" in only_altered(copied.judged())


def checkpoints(copied):
    lines = chain_lines(copied.store.directory / "ledger/recorder")
    return [entry for entry in chain.walk(lines) if entry.kind == chain.CHECKPOINT]


def test_a_time_stamp_is_over_the_checkpoint_that_it_is_named_by(copied):
    first, second, *_ = checkpoints(copied)
    token = b"DER " + hashlib.sha256(first.data["note"].encode()).digest() + b" and a signature"
    copied.put(timestamp_key(SITE.name, "recorder", first.seq), token)
    found = copied.judged()
    assert found.is_proven
    assert "1 time stamp is over its checkpoint" in found.altered.sentence
    copied.put(timestamp_key(SITE.name, "recorder", second.seq), token)
    copied.put(timestamp_key(SITE.name, "recorder", second.seq - 1), token)
    copied.put(f"ledger/site={SITE.name}/timestamps/other.tsr", token)
    problems = only_altered(copied.judged())
    key = f"recorder-{second.seq:012d}.tsr"
    assert f"{key}: stamps something else than that checkpoint" in problems
    assert f"recorder-{second.seq - 1:012d}.tsr: its ledger has no checkpoint there" in problems
    assert "other.tsr: nobody knows what it is" in problems


def test_a_site_that_is_not_there(copied):
    with pytest.raises(RefusedError, match="there is no ledger of a site 'nara'"):
        verify_site(copied.target, "nara")
    with pytest.raises(RefusedError, match="no name of a site"):
        verify_site(copied.target, "../x")


def test_the_command(copied, top, capsys):
    config = top / "central.toml"
    config.write_text(f'[archive]\nurl = "file://{copied.folder}"\n')
    options = ["archive", "verify", "--config", str(config), "--site", SITE.name]
    assert main([*options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["proven"] is True
    copied.path("3c", "*.flac").unlink()
    assert main([*options, "--fingerprint", KEY.fingerprint]) == 1
    assert "MISSING: 1 thing" in capsys.readouterr().out
