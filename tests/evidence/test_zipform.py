"""ZIP files of our form: any program opens them, and no byte of them can be changed unseen."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.errors import StoreError
from recorderd.evidence import zipform
from recorderd.evidence.bundle import ZipBundle, open_bundle

FILES = {"README.txt": b"read me\n", "empty": b"", "segments/電話_000.flac": bytes(range(256)) * 40}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    named = []
    for number, name in enumerate(sorted(FILES)):
        (folder / str(number)).write_bytes(FILES[name])
        named.append((name, folder / str(number)))
    file = io.BytesIO()
    zipform.write_zip(file, named)
    return file.getvalue()


def test_another_program_reads_it(packed):
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == FILES


def test_it_is_read_back(packed):
    bundle = ZipBundle(io.BytesIO(packed))
    assert bundle.sizes == {name: len(data) for name, data in FILES.items()}
    for name, data in FILES.items():
        with bundle.open(name) as file:
            assert file.read() == data
            file.seek(-3, 2)
            assert file.read() == data[-3:]
        with bundle.as_path(name) as path:
            assert path.read_bytes() == data
        assert not path.exists()


@given(st.data())
def test_every_bit_counts(packed, data):
    at = data.draw(st.integers(0, len(packed) - 1))
    bit = data.draw(st.integers(0, 7))
    altered = packed[:at] + bytes([packed[at] ^ 1 << bit]) + packed[at + 1 :]
    try:
        found = ZipBundle(io.BytesIO(altered))
    except StoreError:
        return
    raise AssertionError(f"bit {bit} of byte {at}: {found.sizes}")


@given(st.data())
def test_a_part_of_one_is_none(packed, data):
    end = data.draw(st.integers(0, len(packed) - 1))
    for altered in (packed[:end], packed[end + 1 :], packed + bytes(end % 100 + 1)):
        with pytest.raises(StoreError):
            ZipBundle(io.BytesIO(altered))


@given(st.binary(max_size=2000))
def test_random_bytes_are_refused(data):
    with pytest.raises(StoreError):
        zipform.read_zip(io.BytesIO(b"PK\3\4" + data))


def test_what_another_program_packed_is_refused_with_the_mend(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../etc/passwd", bytes(50_000_000))
    with pytest.raises(StoreError, match=r"bomb\.zip.*unpack it"), open_bundle(path):
        pass


def test_a_name_is_never_a_path(tmp_path):
    (tmp_path / "x").write_bytes(b"evil")
    path = tmp_path / "b.zip"
    with path.open("wb") as file:
        zipform.write_zip(file, [("../../escaped", tmp_path / "x"), ("/absolute", tmp_path / "x")])
    with open_bundle(path) as bundle:
        assert set(bundle.sizes) == {"../../escaped", "/absolute"}
        with bundle.as_path("../../escaped") as copy:
            assert copy.read_bytes() == b"evil"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "x"]


@pytest.mark.parametrize("header_at", [zipform.SMALL - 1, zipform.SMALL, 5 << 30])
def test_what_lies_behind_4_gib_is_found_by_another_program(tmp_path, header_at):
    members = [zipform.Member("first", 0, 0, 0), zipform.Member("late", 7, 9, header_at)]
    end = members[-1].content_at + 9
    path = tmp_path / "sparse.zip"
    with path.open("wb") as file:
        file.seek(end)
        file.writelines(zipform._directory(members, end))
    with zipfile.ZipFile(path) as archive:
        assert [(info.filename, info.header_offset) for info in archive.infolist()] == [
            ("first", 0),
            ("late", header_at),
        ]
