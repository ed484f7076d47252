"""Where credentials come from, what is wrong with them, and that none is ever shown."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.archive.credentials import private_key, s3_keys
from recorderd.archive.sigv4 import Keys
from recorderd.errors import RefusedError
from tests.archive.archives import archive_of

SECRET = "kept/to+itself"
FILE = f"""\
[default]
aws_access_key_id = AK1
aws_secret_access_key = {SECRET}
[other]
aws_access_key_id = AK2
"""


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "archive"
    path.write_text(FILE)
    path.chmod(0o640)
    return path


def test_a_file_then_systemd_then_the_variables(path, monkeypatch):
    archive = archive_of("s3://b")
    with pytest.raises(RefusedError, match=r"name a file in archive\.credentials"):
        s3_keys(archive)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK3")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "three")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert s3_keys(archive) == Keys("AK3", "three", "token")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent))
    assert s3_keys(archive) == Keys("AK1", SECRET)
    other = path.with_name("own")
    other.write_text(FILE.replace("AK1", "AK4") + "aws_session_token = x\n")
    other.chmod(0o600)
    assert s3_keys(replace(archive, credentials=other)) == Keys("AK4", SECRET)


def test_root_takes_by_hand_what_systemd_gives_the_units(path, monkeypatch):
    """Else commissioning would call an archive wrong that the uploader can use."""
    monkeypatch.setattr("recorderd.archive.credentials.STORE", path)
    assert s3_keys(archive_of("s3://b")) == Keys("AK1", SECRET)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent / "none"))
    with pytest.raises(RefusedError):
        s3_keys(archive_of("s3://b"))


def test_a_changed_file_is_read_anew(path):
    archive = archive_of("s3://b", credentials=path)
    assert s3_keys(archive).access_key == "AK1"
    path.write_text(FILE.replace("AK1", "AK5") + "\n")
    assert s3_keys(archive).access_key == "AK5"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o666])
def test_a_file_that_everybody_may_read_is_refused(path, mode):
    path.chmod(mode)
    with pytest.raises(RefusedError, match=f"everybody on this machine.* chmod 600 {path}"):
        s3_keys(archive_of("s3://b", credentials=path))


def test_a_file_that_is_not_there(tmp_path):
    for ask in (s3_keys, private_key):
        with pytest.raises(RefusedError, match=r"nothing: there is no such file"):
            ask(archive_of("s3://b", credentials=tmp_path / "nothing"))
    with pytest.raises(RefusedError, match=r"there is no private key"):
        private_key(archive_of("sftp://b"))


@pytest.mark.parametrize(
    "text",
    [
        f"aws_access_key_id = AK1\naws_secret_access_key = {SECRET}\n",
        f"[default]\n{SECRET}\n",
        f"[default]\naws_secret_access_key = {SECRET}\n",
        f"[Default]\naws_access_key_id = AK1\naws_secret_access_key = {SECRET}\n",
        f"[default]\naws_access_key_id =\naws_secret_access_key = {SECRET}\n",
        f"[default]\naws_access_key_id = A\u00dc\naws_secret_access_key = {SECRET}\n",
        f"[default]\naws_access_key_id = A\n\tB\naws_secret_access_key = {SECRET}\n",
        f"[default]\naws_secret_access_key = {SECRET}\naws_secret_access_key = {SECRET}\n",
        f"[default\n{SECRET}",
        SECRET * 10_000,
    ],
)
def test_what_is_wrong_in_a_file_is_told_without_the_secret(path, text):
    path.write_text(text)
    with pytest.raises(RefusedError, match=str(path)) as caught:
        s3_keys(archive_of("s3://b", credentials=path))
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(st.binary(max_size=300))
def test_any_file_gives_keys_or_the_one_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "archive"
    path.write_bytes(data)
    path.chmod(0o600)
    with suppress(RefusedError):
        s3_keys(archive_of("s3://b", credentials=path))
