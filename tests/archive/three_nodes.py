"""A SeaweedFS cluster of three volume servers, two copies of each object, one server killed in mid-upload.

    python -m tests.archive.three_nodes [--calls 400]

What it gave once is in recorderd/archive/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from recorderd.archive.places import open_target
from recorderd.archive.sigv4 import Keys
from recorderd.config import load
from tests.archive.servers import Seaweed, identities, port_pairs, wait_for_seaweed, weed
from tests.archive.thousand_calls import Box
from tests.store.calls import SITE

SECONDS_MAX = 300


class Cluster:
    """One master, three volume servers, one filer that speaks S3; each a process."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self.folder = folder
        self._running = running
        master, filer, self.s3, *volumes = port_pairs(6)
        self.admin = Keys("admin-key", "admin-secret")
        config = folder / "s3.json"
        config.write_text(
            json.dumps(identities(self.admin, Keys("site-key", "s"), Keys("locking-key", "s")))
        )
        self.master = f"127.0.0.1:{master}"
        self._start("master", f"-port={master}", "-defaultReplication=001", f"-mdir={folder}")
        self.volumes = []
        for port in volumes:
            data = folder / f"volume-{port}"
            data.mkdir()
            process = self._start(
                "volume", f"-port={port}", f"-dir={data}", f"-master={self.master}", "-max=60"
            )
            self.volumes.append(process)
        process = self._start(
            "filer",
            f"-port={filer}",
            f"-master={self.master}",
            f"-defaultStoreDir={folder}",
            "-s3",
            f"-s3.port={self.s3}",
            f"-s3.config={config}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        )
        self.server = Seaweed(
            f"http://127.0.0.1:{self.s3}", self.admin, self.admin, self.admin, process
        )
        wait_for_seaweed(self.server)

    def _start(self, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [weed(), f"-logdir={self.folder}", kind, "-ip=127.0.0.1", *arguments]
        output = self._running.enter_context((self.folder / f"{kind}.out").open("ab"))
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            cwd=self.folder,
            env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_2": "3"},
        )
        self._running.callback(_end, process)
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@contextmanager
def run_cluster(folder: Path):
    folder.mkdir()
    with ExitStack() as running:
        yield Cluster(folder, running)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        box = Box(folder, options.calls, random.Random(1))
        with run_cluster(folder / "cluster") as cluster:
            bucket = cluster.server.new_bucket(lock=True)
            box.configure(bucket, cluster.server.endpoint)
            box.give_key(cluster.admin.access_key, cluster.admin.secret_key)
            began = time.monotonic()
            box.start()
            killed_at = _kill_one_halfway(box, cluster, options.calls, began)
            while box.receipts() < options.calls and time.monotonic() - began < SECONDS_MAX:
                time.sleep(0.05)  # of a process outside, which tells nobody
            took_s = time.monotonic() - began
            trouble = box.state().get("trouble")
            box.kill()
            code = box.finish()
            bad = _read_back(box)
            box.close()
    print(
        f"{options.calls} calls, a volume server killed after {killed_at} of them: "
        f"{options.calls - len(bad)} calls read back whole with the server dead, {len(bad)} not; "
        f"uploaded in {took_s:.1f} s; last trouble: {trouble or 'none'}; `recorderd upload --once` ends "
        f"with {code}"
    )
    return 1 if bad or code else 0


def _kill_one_halfway(box: Box, cluster: Cluster, calls: int, began: float) -> int:
    while box.receipts() < calls // 2 and time.monotonic() - began < SECONDS_MAX:
        time.sleep(0.02)  # as above
    cluster.volumes[0].kill()
    return box.receipts()


def _read_back(box: Box) -> list[str]:
    """The calls of which something is not in the archive as it is here."""
    target = open_target(load(box.config).archive)
    bad = []
    for folder in sorted(box.directory.glob("calls/*/*/*/*")):
        prefix = f"calls/site={SITE.name}/date={'-'.join(folder.parts[-4:-1])}/{folder.name}/"
        for path in folder.iterdir():
            if path.name == "receipt.json":
                continue
            if b"".join(target.read(prefix + path.name)) != path.read_bytes():
                bad.append(folder.name)
    target.close()
    return bad


if __name__ == "__main__":
    sys.exit(main())
