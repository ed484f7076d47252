"""One process of bench_upload: uploads a folder of files with some threads, and nothing else."""

from __future__ import annotations

import base64
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local


def main() -> None:
    kind, threads, folder, url, *rest = sys.argv[1:]
    path = Path(folder)
    hashes = dict(reversed(line.split()) for line in path.with_suffix(".sha256").open())
    start = {"recorderd": recorderd, "boto3": boto3_plain, "boto3-proof": boto3_proof}[kind]
    upload = start(url, *rest)
    with ThreadPoolExecutor(int(threads)) as pool:
        list(pool.map(lambda name: upload(path / name, f"calls/{name}", hashes[name]), hashes))


def recorderd(url, endpoint, credentials, host_key=""):
    from recorderd.archive.deposit import deposit
    from recorderd.archive.places import open_target
    from recorderd.archive.target import content_of_file
    from recorderd.config.values import Archive

    settings = Archive(
        url, endpoint, "us-east-1", Path(credentials), None, host_key, 0, "governance",
        "oldest-first", 0, "", "",
    )  # fmt: skip
    own = local()

    def upload(path, key, sha256):
        if not hasattr(own, "target"):
            own.target = open_target(settings)
        deposit(own.target, key, content_of_file(path, sha256))

    return upload


def boto3_client(endpoint):
    import boto3
    from botocore.config import Config

    style = Config(s3={"addressing_style": "path"}, max_pool_connections=4)
    return boto3.client("s3", endpoint_url=endpoint, config=style)


def boto3_plain(url, endpoint, *_):
    client, bucket = boto3_client(endpoint), url.removeprefix("s3://")

    def upload(path, key, _sha256):
        client.upload_file(str(path), bucket, key)

    return upload


def boto3_proof(url, endpoint, *_):
    client, bucket = boto3_client(endpoint), url.removeprefix("s3://")

    def upload(path, key, sha256):
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with path.open("rb") as body:
            client.put_object(
                Bucket=bucket, Key=key, Body=body, ChecksumSHA256=checksum, IfNoneMatch="*"
            )
        held = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        assert held["ChecksumSHA256"] == checksum

    return upload


if __name__ == "__main__":
    main()
