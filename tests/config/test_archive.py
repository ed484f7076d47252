"""[archive]: which keys go with which kind of place."""

from __future__ import annotations

import base64
import importlib.util

import pytest

BLOB = (11).to_bytes(4, "big") + b"ssh-ed25519" + (32).to_bytes(4, "big") + bytes(range(32))
HOST_KEY = f"ssh-ed25519 {base64.b64encode(BLOB).decode()}"

SFTP = f'[archive]\nurl = "sftp://box@nas/calls"\nhost_key = "{HOST_KEY}"\n'
S3 = '[archive]\nurl = "s3://recordings/offices"\n'
FILE = '[archive]\nurl = "file:///mnt/nas"\n'


@pytest.mark.parametrize(
    "text",
    [
        S3,
        S3 + 'endpoint = "https://archive.example"\nregion = "x"\nca_file = "ca.pem"\ncredentials = "c"\nlock_days = 3\nlock_mode = "compliance"\n',
        SFTP,
        SFTP + 'credentials = "key"\n',
        SFTP.replace("@nas", "@nas:2222"),
        SFTP.replace(f'{HOST_KEY}"', f'{HOST_KEY} a comment"'),
        SFTP.replace("box@nas/calls", "nas"),
        FILE,
        FILE + 'hours = "20:00-07:00"\nlimit_kb_s = 500\norder = "newest-first"\n',
        FILE + 'hours = ""\n',
    ],
    ids=range(10),
)  # fmt: skip
def test_what_goes_together(problems_of, hardware, text):
    assert problems_of(hardware + text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SFTP.replace("host_key", "# "), "30: archive.host_key: missing; without it any machine could"),
        (SFTP.replace("ssh-ed25519 ", "ssh-rsa "), "32: archive.host_key: it is not whole"),
        (SFTP.replace(HOST_KEY, HOST_KEY[:30]), "32: archive.host_key: it is not whole"),
        (SFTP.replace(HOST_KEY, HOST_KEY[:41]), "32: archive.host_key: it is not whole"),
        (SFTP.replace("@nas", "@nas:99999"), '31: archive.url: "sftp://box@nas:99999/calls" has a port'),
        (SFTP.replace("@nas", "@nas:x"), '31: archive.url: "sftp://box@nas:x/calls" has a port'),
        (S3 + f'host_key = "{HOST_KEY}"', '32: archive.host_key: only for "sftp://"; leave it out'),
        (FILE + f'host_key = "{HOST_KEY}"', '32: archive.host_key: only for "sftp://"; leave it out'),
        (FILE + 'credentials = "c"', '32: archive.credentials: only for "s3://" or "sftp://"; leave'),
        (SFTP + 'endpoint = "https://x"', '33: archive.endpoint: only for "s3://"; leave it out'),
        (SFTP + 'region = "x"', '33: archive.region: only for "s3://"; leave it out'),
        (FILE + 'ca_file = "x"', '32: archive.ca_file: only for "s3://"; leave it out'),
        (FILE + "lock_days = 1", '32: archive.lock_days: only for "s3://"; leave it out'),
        (SFTP + 'lock_mode = "compliance"', '33: archive.lock_mode: only for "s3://"; leave it out'),
        (FILE + 'hours = "07:00-07:00"', '32: archive.hours: "07:00-07:00" is no time at all'),
    ],
    ids=range(15),
)  # fmt: skip
def test_what_does_not(problems_of, hardware, text, expected):
    problems = problems_of(hardware + text)
    assert len(problems) == 1, problems
    assert problems[0].startswith(expected)


def test_a_wrong_url_has_no_other_problems(problems_of, hardware):
    (problem,) = problems_of(hardware + '[archive]\nurl = "ftp://x"\nendpoint = "https://y"\n')
    assert problem.startswith("31: archive.url")


def test_without_the_library_the_mend_is_told(problems_of, hardware, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (problem,) = problems_of(hardware + SFTP)
    assert problem.startswith("31: archive.url: an sftp:// archive needs the package asyncssh")
    assert "pip install 'recorderd[sftp]'" in problem
    assert problems_of(hardware + S3) == []
