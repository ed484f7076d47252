"""Who takes the whole box gets no word, no number and no name of a sealed call.

Twenty calls of known sound, numbers and names (sealed_office.py). Every byte that is left, and every
write on the way there but those into anonymous memory, is searched; the same search of the same
calls kept in plain finds them.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from array import array
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from recorderd.seal.age import Identities
from recorderd.seal.envelope import PLAIN
from recorderd.seal.vault import keys_in, opened_key, with_party
from recorderd.store.sound import segment_sound
from tests.faults import sealed_office
from tests.faults.plaintext import WINDOW, Known, sound_windows, text_forms, windows
from tests.softcard import require
from tests.store.calls import RECIPIENTS, SUPERVISORS

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parent.parent.parent
WRITES = "write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,copy_file_range,sendfile,splice"
LINE = re.compile(rb"^\d+ +(?:\w+)\(\d+<([^>]*)>(?:\(deleted\))?, (.*)$", re.MULTILINE)
TEXT = re.compile(rb'"((?:\\x[0-9a-f]{2})*)"')
IN_MEMORY = b"/memfd:"
NOTHING = np.array([], np.uint64)


@dataclass
class Box:
    """What a run left, and what it wrote on the way."""

    folder: Path
    recipients: tuple[str, ...]
    written: dict[bytes, bytes] = field(default_factory=dict)  # by the file's path
    calls: dict[str, tuple[dict, bytes]] = field(default_factory=dict)  # by number: record, frames

    @property
    def state(self) -> Path:
        return self.folder / "day" / "state"

    def run(self, end_by: str, *prefix: str) -> int:
        """Play the day with its own temporary directory; the status that waitpid gives."""
        sealed_office.prepare(self.folder / "day", self.recipients)
        (self.folder / "tmp").mkdir()
        (self.folder / "home").mkdir()
        program = [sys.executable, "-m", "tests.faults.sealed_office", self.folder / "day", end_by]
        environment = {
            **os.environ,
            "TMPDIR": str(self.folder / "tmp"),
            "HOME": str(self.folder / "home"),
            "PYTHONPATH": str(ROOT),
        }
        process = subprocess.Popen(
            [*prefix, *program],
            cwd=self.folder / "home",
            env=environment,
            preexec_fn=allow_core_dumps,  # noqa: PLW1509  (no thread is started here)
        )
        _, status = os.waitpid(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return status

    def read_trace(self, path: Path) -> None:
        for name, rest in LINE.findall(path.read_bytes()):
            texts = b"".join(TEXT.findall(rest)).replace(rb"\x", b"")
            place = bytes.fromhex(name.replace(rb"\x", b"").decode())
            self.written[place] = self.written.get(place, b"") + bytes.fromhex(texts.decode())

    def read_calls(self) -> None:
        for path in self.state.glob("calls/*/*/*/*/call.json"):
            record = json.loads(path.read_text("utf-8"))
            opener = PLAIN
            if record["sealed"]:
                opener = opened_key(self.state, record["id"], Identities([SUPERVISORS[0][0]]))
                assert record["caller"]["number"] is record["caller"]["name"] is None
            sound = array("h")
            for segment in record["segments"]:
                place = path.parent / segment["file"]
                for block in segment_sound(
                    place, segment["first_frame"], segment["frames"], opener
                ):
                    sound.frombytes(block)
            opened = with_party(record, opener)
            self.calls[opened["caller"]["number"]] = (opened, sound.tobytes())

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def contents(self) -> list[bytes]:
        """Every file, and every name."""
        return [str(path).encode() + path.read_bytes() for path in self.files()]

    def writes(self) -> list[bytes]:
        return [data for name, data in self.written.items() if not name.startswith(IN_MEMORY)]


def allow_core_dumps() -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    """The same day on a box in plain and on a sealed one."""
    require(("strace",), "searching every write")
    found = {}
    for name, recipients in (("plain", ()), ("sealed", RECIPIENTS)):
        folder = tmp_path_factory.mktemp(name)
        box = Box(folder / "box", recipients)
        trace = folder / "trace"
        options = ("-f", "-y", "-xx", "-s", "100000000", "-e", f"trace={WRITES}", "-o")
        assert box.run("recover", "strace", *options, str(trace)) == 0
        box.read_trace(trace)
        box.read_calls()
        found[name] = box
    return found


@pytest.fixture(scope="module")
def known(boxes):
    plain = boxes["plain"]
    texts = [text for number, name in sealed_office.callers() for text in (number[2:], name)]
    pcm = [sound_windows(frames) for _, frames in plain.calls.values()]
    flac = [windows(path.read_bytes()[1000:], 1) for path in plain.state.rglob("*.flac")]
    return Known(texts, np.unique(np.concatenate(pcm)), np.unique(np.concatenate(flac)))


def test_both_boxes_recorded_the_same_twenty_calls(boxes):
    plain, sealed = boxes["plain"].calls, boxes["sealed"].calls
    numbers = [number for number, _ in sealed_office.callers()]
    assert sorted(plain) == sorted(sealed) == sorted(numbers)
    for number, name in sealed_office.callers():
        assert plain[number][1] == sealed[number][1]
        assert sealed[number][0]["caller"]["name"] == name
        assert len(sealed[number][1]) > 4 * 8000 * 4
    assert sum(record["cut"] for record, _ in sealed.values()) >= 1
    assert list(boxes["sealed"].state.rglob("*.tar"))
    assert list(boxes["sealed"].state.rglob("*.flac.age"))


def test_the_search_finds_all_of_it_in_plain(boxes, known):
    assert len(known.windows["pcm"]) > 1_000_000
    assert len(known.windows["flac"]) > 500_000
    left = known.total(boxes["plain"].contents())
    assert left["texts"] >= 2 * sealed_office.CALLS
    assert left["flac"] > 100_000
    written = known.total(boxes["plain"].writes())
    assert written["texts"] >= 2 * sealed_office.CALLS
    assert written["pcm"] > 100_000  # the journals, two frames a window


def test_nothing_of_a_sealed_call_is_left_on_the_box(boxes, known):
    box = boxes["sealed"]
    names = {path.name for path in box.files()}
    assert {"recorder.log", "catalogue.sqlite", "search.key", "device.key"} <= names
    assert known.total(box.contents()) == {"texts": 0, "pcm": 0, "flac": 0}


def test_nothing_of_a_sealed_call_is_ever_written(boxes, known):
    written = boxes["sealed"].written
    assert any(name.endswith(b".journal.part") for name in written)
    assert any(name.endswith(b".flac.age.part") for name in written)
    assert any(name.endswith(b"catalogue.sqlite-wal") for name in written)
    assert any(name.startswith(IN_MEMORY) for name in written)
    assert known.total(boxes["sealed"].writes()) == {"texts": 0, "pcm": 0, "flac": 0}


def test_every_key_on_the_box_opens_none_of_the_calls(boxes):
    """Each key file as an identity, as text and as the 32 bytes of one; and as a key in the vault."""
    state = boxes["sealed"].state
    vault = keys_in(state)
    assert len(vault) == sealed_office.CALLS
    files = [*(state / "keys").iterdir(), *vault]
    assert len(files) > sealed_office.CALLS + 1
    for path in files:
        for target in (*vault, *state.rglob("*.flac.age")):
            for key in keys_of(path.read_bytes()):
                with pytest.raises(ValueError, match="."):  # noqa: RUF043
                    key.decrypt(target.read_bytes())


def keys_of(data: bytes):
    """Whatever could be an age identity in some bytes."""
    for text in re.findall(rb"AGE-SECRET-KEY-1[0-9A-Z]{58}", data.upper()):
        yield Identities([text.decode("ascii")])
    numbers = [data[-32:], data[:32]]
    if len(data) == 65:
        numbers.append(bytes.fromhex(data.decode("ascii")))
    for number in numbers:
        if len(number) == 32:
            yield Identities([identity_of(number)])


def identity_of(number: bytes) -> str:
    """32 bytes in Bech32 under the name of age identities (BIP 173)."""
    letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    bits = int.from_bytes(number, "big") << 4
    values = [bits >> 5 * (51 - place) & 31 for place in range(52)]
    name = "age-secret-key-"
    spread = [*(ord(char) >> 5 for char in name), 0, *(ord(char) & 31 for char in name)]
    check = polymod([*spread, *values, *[0] * 6]) ^ 1
    values += [check >> 5 * (5 - place) & 31 for place in range(6)]
    return (name + "1" + "".join(letters[value] for value in values)).upper()


def polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, factor in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= factor if top >> bit & 1 else 0
    return check


def test_a_crash_of_a_sealed_recorder_leaves_no_core(tmp_path):
    """The same crash of one in plain does, where the machine lets anybody."""
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("this machine allows no core dumps")
    dumped = {}
    for name, recipients in (("plain", ()), ("sealed", RECIPIENTS)):
        box = Box(tmp_path / name, recipients)
        status = box.run("abort")
        assert os.waitstatus_to_exitcode(status) == -6
        dumped[name] = os.WCOREDUMP(status)
        for path in (box.folder / "home").glob("core*"):
            path.unlink()
    assert dumped == {"plain": True, "sealed": False}


def test_a_supervisor_opens_everything_with_stock_tools(boxes, tmp_path):
    require(("age", "tar", "flac"), "opening with stock tools")
    box = boxes["sealed"]
    (tmp_path / "supervisor.txt").write_text(SUPERVISORS[1][0])

    def age(identity: str, source: Path) -> bytes:
        command = ["age", "-d", "-i", identity, source]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout

    for record, sound in box.calls.values():
        (folder,) = box.state.glob(f"calls/*/*/*/{record['id']}")
        key = age("supervisor.txt", box.state / "vault" / f"{record['id']}.age")
        (tmp_path / "call.key").write_bytes(key)
        joined = b""
        for segment in record["segments"]:
            path = folder / segment["file"]
            if path.suffix == ".tar":
                subprocess.run(["tar", "-x", "-f", path], cwd=tmp_path, check=True)
                for member in sorted(tmp_path.glob("*.pcm.age")):
                    joined += age("call.key", member)
                    member.unlink()
            else:
                (tmp_path / "one.flac").write_bytes(age("call.key", path))
                command = ["flac", "-s", "-d", "-c", "--force-raw-format", "--endian=little", "--sign=signed", "one.flac"]  # fmt: skip
                joined += subprocess.run(
                    command, cwd=tmp_path, check=True, capture_output=True
                ).stdout
        assert joined[: len(sound)] == sound
        assert len(joined) - len(sound) < 2 * 8000 * 4


@pytest.mark.parametrize("form", sorted(text_forms("0312345678")))
def test_the_search_knows_a_text_in_every_form(form):
    known = Known(["0312345678"], NOTHING, NOTHING)
    assert known.hits(b"\x07" * 11 + form + b"\x08")["texts"] >= 1
    assert known.hits(b"\x07" * 11 + form[:4] + b"\x08" + form[4:7])["texts"] == 0


def test_the_search_knows_sound_at_every_offset():
    sound = np.random.default_rng(1).integers(-2000, 2000, 2 * 1000).astype(np.int16)
    known = Known([], sound_windows(sound.tobytes()), NOTHING)
    near = np.ascontiguousarray(sound[::2]).tobytes()
    for offset in range(WINDOW):
        assert known.hits(bytes(offset) + sound.tobytes())["pcm"] > 300
        assert known.hits(bytes(offset) + near)["pcm"] > 100
    assert known.hits(np.random.default_rng(2).bytes(1_000_000))["pcm"] == 0
