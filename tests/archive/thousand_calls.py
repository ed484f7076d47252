"""A thousand calls to a real archive while everything goes wrong on the way, and what came of it.

    python -m tests.archive.thousand_calls [--calls 1000] [--seed 1]

The real `recorderd upload` as a process, a real SeaweedFS, and a proxy between them. Requests are cut
after any byte, answers are cut and lost, the service says 500, 503, 403, 404 and 409; the uploader is
killed over and over; the server is killed and started again; its disk is full; the key is another one;
the box's clock is two hours behind. In the end everything must be there once. Needs root (a small disk
is mounted) and the programs weed and faketime.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from html import unescape
from pathlib import Path

from recorderd.archive.places import open_target
from recorderd.config import load
from recorderd.disk.layout import OPEN
from recorderd.store.books import Books
from recorderd.store.ledger import RECORDER, Ledger
from recorderd.store.signing import load_device_key
from recorderd.upload.uploader import RETRY_MARK
from tests.archive.faultproxy import CutAnswer, CutRequest, FaultProxy, Say
from tests.archive.servers import run_seaweed, wait_for_seaweed
from tests.store.calls import READING, SITE
from tests.store.shelf import shelve
from tests.upload.box import OFFICE

CONFIG = f"""{OFFICE}[archive]
url = "s3://{{bucket}}/offices"
endpoint = "{{endpoint}}"
credentials = "{{credentials}}"
limit_kb_s = {{limit_kb_s}}
"""

LASTS_S = 90
"""At the limit's pace all calls take so long, so that some are left for each kind of trouble."""

STAGE_S_MAX = 240

FULL_DISK = ("We encountered an internal error", "does not answer in time")
"""What comes of it at the uploader, in the server's own words, which are not the proxy's, and in ours."""

MET_S_MAX = 90
"""Within which the uploader meets a trouble that is there: an answer that never comes takes it a minute."""

SETTLES_S = 180
"""A server whose disk was full takes its time to write again."""

DISK_MB = 400
SOUND_BYTES = 20_000
POLL_S = 0.2

ANSWERS = (
    Say(500, "InternalError"),
    Say(503, "SlowDown", {"Retry-After": "1"}),
    Say(503, early=True),
    Say(409, "OperationAborted"),
    Say(403, "AccessDenied"),
    Say(404, "NoSuchBucket"),
)


class Box:
    """The state directory, its configuration, and the uploader's process."""

    def __init__(
        self,
        folder: Path,
        calls: int,
        chance: random.Random,
        sound_bytes: int = SOUND_BYTES,
        lasts_s: float = LASTS_S,
    ) -> None:
        self.directory = folder / "box"
        (self.directory / OPEN).mkdir(parents=True)
        self.config = folder / "recorderd.toml"
        self.credentials = folder / "credentials"
        self.limit_kb_s = max(1, round(2 * calls * sound_bytes / 1000 / lasts_s))
        self.log = (folder / "log").open("wb")
        self.process: subprocess.Popen[bytes] | None = None
        self.kills = self.retries = 0
        ledger = Ledger(
            self.directory, RECORDER, SITE.name, load_device_key(self.directory), lambda: READING
        )
        books = Books(self.directory, ledger)
        for number in range(calls):
            sound = chance.randbytes(sound_bytes)
            shelve(self.directory, books, f"{number:016x}", number, sound=sound)
        books.close_catalogue()
        ledger.close()

    def configure(self, bucket: str, endpoint: str) -> None:
        text = CONFIG.format(
            site=SITE.name,
            directory=self.directory,
            bucket=bucket,
            endpoint=endpoint,
            credentials=self.credentials,
            limit_kb_s=self.limit_kb_s,
        )
        self.config.write_text(text)

    def give_key(self, access: str, secret: str) -> None:
        text = f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"
        part = self.credentials.with_suffix(".part")
        part.write_text(text)
        part.chmod(0o600)
        part.replace(self.credentials)

    def start(self, *before: str) -> None:
        command = [*before, sys.executable, "-m", "recorderd", "upload", "--config", self.config]
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.kills += 1
            self.process = None

    def close(self) -> None:
        self.kill()
        self.log.close()

    def state(self) -> dict[str, object]:
        try:
            return json.loads((self.directory / "upload.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {"waiting": None, "uploaded": 0, "alarms": []}

    def say_again(self) -> None:
        """As `recorderd upload --retry` does, for what was refused."""
        mark = self.directory / RETRY_MARK
        if not mark.exists():
            self.retries += 1
            mark.touch()

    def receipts(self) -> int:
        return sum(1 for _ in self.directory.glob("calls/*/*/*/*/receipt.json"))

    def finish(self) -> int:
        """What a person does when all is well again, as often as it takes; the last exit code."""
        command = [sys.executable, "-m", "recorderd", "upload", "--retry", "--once"]
        command += ["--config", str(self.config)]
        until = time.monotonic() + SETTLES_S
        while True:
            done = subprocess.run(command, stdout=self.log, stderr=self.log, check=False)
            if done.returncode == 0 or time.monotonic() > until:
                return done.returncode


class Trouble:
    """What the proxy does, by chance; `share` of all requests are hit."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.share = 0.0
        self.faults: dict[str, int] = {}

    def plan(self, _number: int) -> object:
        if self._chance.random() >= self.share:
            return None
        fault = self._chance.choice([
            CutRequest(int(self._chance.paretovariate(0.3)) % 30_000 + 1),
            CutAnswer(0),
            CutAnswer(self._chance.randrange(1, 600)),
            *ANSWERS,
        ])
        name = f"answered {fault.status}" if isinstance(fault, Say) else type(fault).__name__
        if isinstance(fault, CutAnswer) and fault.after == 0:
            name = "acknowledgement lost"
        self.faults[name] = self.faults.get(name, 0) + 1
        return fault


class Run:
    def __init__(self, folder: Path, disk: Path, calls: int, seed: int, *, short: bool) -> None:
        self.chance = random.Random(seed)
        self.stage_s_max = STAGE_S_MAX / 12 if short else STAGE_S_MAX
        self.calls = calls
        self.disk = disk
        lasts_s = LASTS_S / 6 if short else LASTS_S
        self.box = Box(folder, calls, self.chance, lasts_s=lasts_s)
        self.trouble = Trouble(self.chance)
        self.met: dict[str, str | None] = {}  # what the uploader told of each trouble

    def go(self) -> bool:
        with (
            run_seaweed(self.disk) as server,
            FaultProxy(server.endpoint) as proxy,
            closing(self.box),
        ):
            proxy.plan = self.trouble.plan
            bucket = server.new_bucket(lock=True)
            self.box.configure(bucket, proxy.endpoint)
            self.box.give_key(server.admin.access_key, server.admin.secret_key)
            self.box.start()
            self.stage("cut and refused, one request in seven", 0.25, lambda: self.hit(0.15))
            self.stage("the uploader killed over and over", 0.45, self.kill_again_and_again)
            self.stage("the server killed and started again", 0.55, lambda: self.restart(server))
            self.stage("the server's disk full", 0.65, self.fill_disk)
            self.stage("another key, then the right one", 0.75, lambda: self.rotate(server))
            self.stage("the box's clock two hours behind", 0.85, self.skew)
            self.stage("all of it once more", 1.0, lambda: self.hit(0.3))
            self.box.kill()
            self.trouble.share = 0.0
            code = self.box.finish()
            return self.judge(server, bucket, code)

    # ------------------------------------------------------------ stages

    def stage(self, name: str, share: float, begin: object) -> None:
        """Let something go wrong, until so many of the calls have receipts."""
        began = time.monotonic()
        begin()
        wanted = round(self.calls * share)
        while self.box.receipts() < wanted and time.monotonic() - began < self.stage_s_max:
            if self.box.process is None or self.box.process.poll() is not None:
                self.box.start()
            if self.box.state().get("parked"):
                self.box.say_again()
            time.sleep(POLL_S)  # of a process outside, which tells nobody
        took_s = time.monotonic() - began
        print(f"{name}: {self.box.receipts()} of {self.calls} after {took_s:.0f} s", flush=True)

    def trouble_of(self, *words: str) -> str | None:
        """What the uploader tells, with one of the words, when it has met a trouble; None: it has not."""
        began, path = time.time(), self.box.directory / "upload.json"
        while time.time() - began < MET_S_MAX:
            told = self.box.state().get("trouble")
            if told and any(each in told for each in words) and path.stat().st_mtime > began:
                return str(told)
            time.sleep(POLL_S)  # of a process outside, which tells nobody
        return None

    def hit(self, share: float) -> None:
        self.trouble.share = share

    def kill_again_and_again(self) -> None:
        for _ in range(max(4, self.calls // 40)):
            self.box.start() if self.box.process is None else None
            time.sleep(self.chance.uniform(0.6, 2.0))  # a kill comes at any moment
            self.box.kill()
        self.box.start()

    def restart(self, server: object) -> None:
        self.trouble.share = 0.05
        for _ in range(2):
            server.process.kill()
            server.process.wait()
            time.sleep(2)  # the server is away for a while
            server.process = subprocess.Popen(
                server.process.args, stdout=self.box.log, stderr=self.box.log, cwd=self.disk
            )
            wait_for_seaweed(server)

    def fill_disk(self) -> None:
        self.trouble.share = 0.0
        filler = self.disk / "filler"
        free = os.statvfs(self.disk)
        with filler.open("wb") as file:
            for _ in range(free.f_bavail * free.f_frsize // 2**20 + 2):
                try:
                    file.write(bytes(2**20))
                    file.flush()
                except OSError:
                    break
        self.met["full disk"] = self.trouble_of(*FULL_DISK)
        filler.unlink(missing_ok=True)

    def rotate(self, server: object) -> None:
        self.trouble.share = 0.02
        self.box.kill()
        self.box.give_key("admin-key", "not-the-secret")
        self.box.start()
        self.met["other key"] = self.trouble_of("SignatureDoesNotMatch")
        self.box.give_key(server.admin.access_key, server.admin.secret_key)

    def skew(self) -> None:
        self.box.kill()
        self.box.start("faketime", "-f", "-2h")
        self.met["wrong clock"] = self.trouble_of("RequestTimeTooSkewed")
        self.box.kill()
        self.box.start()

    # ------------------------------------------------------------ what came of it

    def judge(self, server: object, bucket: str, code: int) -> bool:
        archive = replace(load(self.box.config).archive, endpoint=server.endpoint)
        target = open_target(archive)
        lost = wrong = receipts_without = 0
        for folder in sorted(self.box.directory.glob("calls/*/*/*/*")):
            prefix = f"calls/site={SITE.name}/date={'-'.join(folder.parts[-4:-1])}/{folder.name}/"
            found = {listed.key.removeprefix(prefix) for listed in target.list(prefix)}
            receipt = folder / "receipt.json"
            confirmed = json.loads(receipt.read_bytes())["files"] if receipt.exists() else {}
            for path in folder.iterdir():
                if path.name == "receipt.json":
                    continue
                data = b""
                if path.name in found:
                    data = b"".join(target.read(prefix + path.name))
                lost += path.name not in found
                wrong += path.name in found and data != path.read_bytes()
                digest = confirmed.get(path.name)
                receipts_without += (
                    digest is not None and hashlib.sha256(data).hexdigest() != digest
                )
            lost += not confirmed
        keys = sum(1 for _ in target.list("calls/"))
        versions = versions_in(server, bucket, "offices/calls/")
        target.close()
        print(
            f"uploader killed {self.box.kills} times, told to try again {self.box.retries} times; on "
            f"the way {self.trouble.faults}"
        )
        for name, told in self.met.items():
            print(f"{name}: {told}")
        print(
            f"{self.calls} calls, {keys} objects in {versions} versions: {lost} lost, {wrong} wrong, "
            f"{versions - keys} written twice, {receipts_without} receipts without their object; "
            f"`recorderd upload --once` ends with {code}"
        )
        is_met = all(told is not None for told in self.met.values())
        return is_met and not (lost or wrong or receipts_without or versions - keys or code)


def versions_in(server: object, bucket: str, prefix: str) -> int:
    """All versions of all objects, page by page (S3 API Reference, "ListObjectVersions")."""
    count, query = 0, {"versions": "", "prefix": prefix}
    while True:
        body = server.ask("GET", bucket, query).body.decode()
        count += body.count("<Version>")
        if "<IsTruncated>true" not in body:
            return count
        for name, tag in (
            ("key-marker", "NextKeyMarker"),
            ("version-id-marker", "NextVersionIdMarker"),
        ):
            query[name] = unescape(body.partition(f"<{tag}>")[2].partition("<")[0])


@contextmanager
def small_disk(folder: Path):
    """A disk of its own for the server, which can be filled."""
    folder.mkdir()
    options = f"size={DISK_MB}M"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def run(calls: int, seed: int, *, short: bool = False) -> bool:
    """Whether every promise was kept. `short`: no stage waits long for its share of the calls."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with small_disk(folder / "disk") as disk:
            return Run(folder, disk, calls, seed, short=short).go()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    return 0 if run(options.calls, options.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
