"""SFTP against a real sshd: who is let in and who answers, dead links, full disks, what a cut leaves."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from contextlib import closing, suppress
from hashlib import sha256

import asyncssh
import pytest

from recorderd.archive.deposit import deposit
from recorderd.archive.sftp import SftpTarget
from recorderd.archive.target import Content, content_of_bytes
from recorderd.errors import ExistsError, RefusedError, TryAgainError
from tests.archive.archives import archive_of
from tests.archive.servers import new_key

KEY = "calls/site=office-1/date=2026-11-26/01ABC/call.json"
DATA = content_of_bytes(b"x" * 1_500_000)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "archive"
    root.mkdir()
    return root


@pytest.fixture
def open_target(sshd, root):
    opened = []

    def open_target(**values):
        url = values.pop("url", sshd.url(root))
        values = {"credentials": sshd.private_key, "host_key": sshd.host_key, **values}
        opened.append(SftpTarget(archive_of(url, **values)))
        return opened[-1]

    yield open_target
    for target in opened:
        target.close()


def fingerprint(key):
    return asyncssh.import_public_key(key).get_fingerprint()


def files_in(root):
    return sorted(path.name for path in root.rglob("*") if path.is_file())


@pytest.mark.servers
def test_another_host_key_is_refused_with_both_fingerprints(open_target, sshd, tmp_path, root):
    other = new_key(tmp_path / "other")
    with pytest.raises(RefusedError) as caught:
        open_target(host_key=other).put(KEY, DATA)
    assert fingerprint(other) in str(caught.value)
    assert fingerprint(sshd.host_key) in str(caught.value)
    assert files_in(root) == []


@pytest.mark.servers
def test_of_the_keys_that_a_server_has_any_can_be_pinned(open_target, sshd):
    target = open_target(host_key=sshd.other_host_key)
    target.put(KEY, content_of_bytes(b"x"))
    assert target.look(KEY).size == 1


@pytest.mark.servers
def test_a_server_without_a_key_of_the_pinned_kind_is_refused(open_target, tmp_path):
    other = new_key(tmp_path / "other", "ecdsa")
    with pytest.raises(RefusedError, match="the server shows the key SHA256:") as caught:
        open_target(host_key=other).put(KEY, DATA)
    assert fingerprint(other) in str(caught.value)


@pytest.mark.servers
def test_a_key_that_is_not_let_in(open_target, tmp_path):
    new_key(tmp_path / "mine")
    with pytest.raises(RefusedError, match=r"does not let this key in.*authorized_keys"):
        open_target(credentials=tmp_path / "mine").put(KEY, DATA)


@pytest.mark.servers
def test_no_other_key_password_or_file_is_tried(open_target, sshd, tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_ed25519").write_bytes(sshd.private_key.read_bytes())
    (home / ".ssh" / "config").write_text("Host *\n  ProxyCommand /bin/false\n")
    (home / ".ssh" / "known_hosts").write_text("junk\n")
    monkeypatch.setenv("HOME", str(home))
    new_key(tmp_path / "mine")
    with pytest.raises(RefusedError, match="does not let this key in"):
        open_target(credentials=tmp_path / "mine").put(KEY, DATA)
    open_target().put(KEY, DATA)


@pytest.mark.servers
def test_keys_that_nobody_can_use(open_target, tmp_path):
    path = tmp_path / "locked"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "words", "-f", str(path)]
    subprocess.run(command, check=True)
    with pytest.raises(RefusedError, match="it has a passphrase"):
        open_target(credentials=path).put(KEY, DATA)
    path.write_text("no key at all")
    with pytest.raises(RefusedError, match="it is no private key"):
        open_target(credentials=path).put(KEY, DATA)
    path.chmod(0o644)
    with pytest.raises(RefusedError, match="chmod 600"):
        open_target(credentials=path).put(KEY, DATA)


@pytest.mark.servers
def test_a_folder_that_is_not_there_is_not_made(open_target, root):
    root.rmdir()
    with pytest.raises(RefusedError, match=f"there is no folder {root} on the server"):
        open_target().put(KEY, DATA)
    assert not root.exists()


@pytest.mark.servers
def test_a_user_that_may_not_write(open_target, sshd, root):
    url = sshd.url(root).replace("root@", "nobody@")
    for above in root.parents[:3]:
        above.chmod(0o711)
    with pytest.raises(RefusedError, match=r"its user may not do that there.*chown"):
        open_target(url=url).put(KEY, DATA)
    os.chown(root, pwd.getpwnam("nobody").pw_uid, -1)
    deposit(open_target(url=url), KEY, DATA)


@pytest.mark.servers
def test_a_full_disk(open_target, root):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(root)], check=True)
    try:
        target = open_target()
        with pytest.raises(TryAgainError, match="look whether its disk is full"):
            target.put(KEY, DATA)
        assert files_in(root) == []
        target.put(KEY, content_of_bytes(b"short"))
    finally:
        target.close()
        subprocess.run(["umount", "-l", str(root)], check=True)


@pytest.mark.servers
def test_an_object_is_synced_and_read_back_before_it_has_its_name(open_target, monkeypatch):
    log = []
    for kind, name in (
        (asyncssh.SFTPClientFile, "write"), (asyncssh.SFTPClientFile, "fsync"),
        (asyncssh.SFTPClientFile, "read"), (asyncssh.SFTPClient, "rename"),
        (asyncssh.SFTPClient, "posix_rename"),
    ):  # fmt: skip
        real = getattr(kind, name)

        def noting(*arguments, real=real, name=name, **named):
            if name not in log[-1:]:
                log.append(name)
            return real(*arguments, **named)

        monkeypatch.setattr(kind, name, noting)
    target = open_target()
    target.put(KEY, DATA)
    assert log == ["write", "fsync", "read", "rename"]
    log.clear()
    assert target.look(KEY).sha256 == DATA.sha256
    assert log == []  # it need not be read twice
    assert target.look(KEY).size == DATA.size
    target.replace(KEY, b"x")
    assert log == ["write", "fsync", "posix_rename"]


@pytest.mark.servers
def test_a_disk_that_gives_back_something_else(open_target, root, monkeypatch):
    async def other(self, size=-1, offset=None):
        return b"y" * 100 if offset == 0 else b""

    target = open_target()
    with monkeypatch.context() as patch:
        patch.setattr(asyncssh.SFTPClientFile, "read", other)
        with pytest.raises(TryAgainError, match="what was read back is not what was written"):
            target.put(KEY, DATA)
    assert files_in(root) == []
    target.put(KEY, DATA)


@pytest.mark.servers
def test_one_that_comes_between_is_not_replaced(open_target, root, monkeypatch):
    real = asyncssh.SFTPClient.rename

    async def late(self, part, path, flags=0):
        (root / KEY).write_bytes(b"the other's")
        await real(self, part, path, flags)

    monkeypatch.setattr(asyncssh.SFTPClient, "rename", late)
    with pytest.raises(ExistsError):
        open_target().put(KEY, DATA)
    assert (root / KEY).read_bytes() == b"the other's"
    assert files_in(root) == ["call.json"]


@pytest.mark.servers
def test_what_a_cut_has_left_is_cleared_away_when_its_object_is_there(open_target, root):
    folder = (root / KEY).parent
    folder.mkdir(parents=True)
    (folder / ".call.json.0123abcd.part").write_bytes(b"y" * 2_000_000)
    (folder / ".other.json.0123abcd.part").write_bytes(b"of another object")
    target = open_target()
    assert list(target.list("")) == []
    deposit(target, KEY, DATA)
    assert set(files_in(root)) == {"call.json", ".other.json.0123abcd.part"}
    (folder / ".call.json.0123abcd.part").write_bytes(b"y")
    with pytest.raises(ExistsError):
        target.put(KEY, DATA)
    assert set(files_in(root)) == {"call.json", ".other.json.0123abcd.part"}


@pytest.mark.servers
def test_a_folder_that_was_removed_meanwhile_is_made_anew(open_target, root):
    """What could not be stored must not seem to be."""
    target = open_target()
    target.put(KEY, DATA)
    shutil.rmtree((root / KEY).parent)
    with pytest.raises(TryAgainError, match="removed meanwhile"):
        target.put(KEY, DATA)
    target.put(KEY, DATA)
    assert files_in(root) == ["call.json"]


@pytest.mark.servers
def test_nothing_of_it_is_logged(open_target, caplog):
    caplog.set_level(logging.DEBUG)
    target = open_target()
    target.put(KEY, DATA)
    target.close()
    assert [each for each in caplog.records if each.name.startswith("asyncssh")] == []


def test_a_dead_server_is_told_at_once(tmp_path):
    key = asyncssh.generate_private_key("ssh-ed25519")
    private = tmp_path / "key"
    private.touch(0o600)
    key.write_private_key(private)
    public = key.export_public_key().decode().strip()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    target = SftpTarget(
        archive_of(f"sftp://u@127.0.0.1:{port}/a", credentials=private, host_key=public)
    )
    start = time.monotonic()
    with pytest.raises(TryAgainError, match="nothing answers there"):
        target.put(KEY, DATA)
    assert time.monotonic() - start < 5
    target.close()


# ------------------------------------------------------------------ the way there


class Way:
    """A way to the server that can be cut after some bytes, or stops to carry any."""

    def __init__(self, port):
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut_after = {"up": None, "down": None}
        self.carries = threading.Event()
        self.carries.set()
        self.carried = {"up": 0, "down": 0}
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            self._open += [client, server]
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for name, source, sink in (("up", client, server), ("down", server, client)):
                arguments = (name, source, sink)
                threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(self, name, source, sink):
        try:
            while data := source.recv(1024):
                self.carries.wait()
                limit = self.cut_after[name]
                self.carried[name] += len(data)
                if limit is not None and self.carried[name] > limit:
                    break
                sink.sendall(data)
        except OSError:
            pass
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self):
        while self._open:
            with closing(self._open.pop()) as each, suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.carries.set()
        self._listener.close()
        self.cut()


@pytest.fixture
def way(sshd):
    way = Way(sshd.port)
    yield way
    way.close()


@pytest.fixture
def far_target(way, open_target, sshd, root):
    return open_target(url=sshd.url(root).replace(str(sshd.port), str(way.port)))


@pytest.mark.servers
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_way_that_is_cut_anywhere(way, far_target, root, direction):
    data = content_of_bytes(bytes(range(256)) * 400)
    deposit(far_target, "first", data)
    whole = dict(way.carried)
    outcomes = set()
    for number, part in enumerate(range(0, whole[direction], whole[direction] // 12)):
        key = f"calls/{number}"
        far_target.close()
        way.carried.update(up=0, down=0)
        way.cut_after[direction] = part
        try:
            deposit(far_target, key, data)
            outcomes.add("done")
        except TryAgainError:
            outcomes.add("again")
        way.cut_after[direction] = None
        deposit(far_target, key, data)
        assert sha256((root / key).read_bytes()).hexdigest() == data.sha256
    assert "again" in outcomes
    assert len(files_in(root)) == number + 2


@pytest.mark.servers
def test_a_lost_acknowledgement(way, far_target, root, monkeypatch):
    real = asyncssh.SFTPClient.rename

    async def lost(self, part, path, flags=0):
        await real(self, part, path, flags)
        way.cut()
        await self.stat(path)

    with monkeypatch.context() as patch:
        patch.setattr(asyncssh.SFTPClient, "rename", lost)
        with pytest.raises(TryAgainError, match="cut"):
            deposit(far_target, KEY, DATA)
    deposit(far_target, KEY, DATA)
    assert files_in(root) == ["call.json"]


@pytest.mark.servers
def test_a_kept_connection_that_was_closed_is_made_anew(way, far_target):
    deposit(far_target, KEY, DATA)
    way.cut()
    deposit(far_target, KEY + "2", DATA)
    way.cut()
    assert far_target.look(KEY).size == DATA.size


@pytest.mark.servers
def test_a_dead_link_holds_nothing_up(way, far_target, root):
    far_target.put("first", content_of_bytes(b"x"))
    far_target.step_s_max = far_target.connect_s_max = 0.5

    def blocks():
        yield b"x" * 700_000
        way.carries.clear()
        yield b"x" * 800_000

    start = time.monotonic()
    with pytest.raises(TryAgainError, match="does not answer in time"):
        far_target.put(KEY, Content(DATA.size, DATA.sha256, blocks))
    with pytest.raises(TryAgainError, match=r"in time|cut"):
        far_target.look(KEY)
    assert time.monotonic() - start < 15
    way.carries.set()
    far_target.step_s_max = far_target.connect_s_max = 60
    deposit(far_target, KEY, DATA)
    assert files_in(root) == ["call.json", "first"]
