"""A URL chooses its archive, and its library only then."""

from __future__ import annotations

import subprocess
import sys

import pytest

from recorderd.archive.places import open_target
from recorderd.archive.posixfs import FolderTarget
from recorderd.archive.s3 import S3Target
from recorderd.archive.sftp import SftpTarget
from recorderd.errors import RefusedError
from tests.archive.archives import archive_of


@pytest.mark.parametrize(
    ("url", "kind"),
    [("file:///mnt/nas", FolderTarget), ("s3://b/p", S3Target), ("sftp://u@h/f", SftpTarget)],
)
def test_the_url_says_which(url, kind):
    target = open_target(archive_of(url, host_key="ssh-ed25519 AAAA"))
    assert type(target) is kind
    assert target.name == url
    target.close()


def test_without_asyncssh_the_mend_is_told(monkeypatch):
    monkeypatch.delitem(sys.modules, "recorderd.archive.sftp")
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    with pytest.raises(RefusedError, match=r"pip install 'recorderd\[sftp\]'"):
        open_target(archive_of("sftp://u@h/f"))
    assert open_target(archive_of("s3://b")).name == "s3://b"


def test_the_library_of_sftp_is_loaded_for_sftp_alone():
    code = "import sys, recorderd.archive.places; sys.exit('asyncssh' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
