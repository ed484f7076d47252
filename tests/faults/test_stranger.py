"""The four commands of a bundle's README, as a stranger gives them: no network, no Python, no recorderd."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest

from recorderd.store.signing import DeviceKey
from tests.evidence.stores import Store, files_of, short_files
from tests.evidence.test_export import commands_in
from tests.faults.alterations import Thing, UselessError, mutate
from tests.faults.size import SEED, sized
from tests.softcard import require
from tests.store.calls import KEY, in_memory

pytestmark = pytest.mark.faults

TOOLS = ("sh", "sha256sum", "openssl", "test", "echo", "cat")
KINDS = (
    "flip",
    "cut",
    "zero",
    "swap",
    "drop",
    "rename",
    "exchange",
    "replay",
    "edit",
    "resign",
    "metadata",
)
ALTERED = sized(50, 1000)


@pytest.fixture(scope="module")
def world():
    """A bundle, an older one of the same call and one of another; and a PATH with four tools."""
    require(("unshare", *TOOLS), "a stranger")
    with in_memory() as top, short_files():
        (top / "store").mkdir()
        store = Store(top / "store").fill()
        found = {
            name: store.exported(call, top / name)
            for name, call in (("old", "1a"), ("new", "1a"), ("other", "3c"))
        }
        (top / "bin").mkdir()
        for tool in TOOLS:
            (top / "bin" / tool).symlink_to(shutil.which(tool))
        files = {name: files_of(path) for name, path in found.items()}
        yield top, Thing("bundle", files["new"], files["old"], files["other"])
        store.office.writer.close()


def checked(top, folder):
    """Whether all four commands succeed, and the key is the noted one."""
    readme = (folder / "README.txt").read_text("utf-8", "replace")
    commands = commands_in(readme)
    environment = {"PATH": str(top / "bin"), "LC_ALL": "C"}
    said = []
    for command in commands:
        done = subprocess.run(
            ["unshare", "-n", top / "bin/sh", "-c", command],
            executable=shutil.which("unshare"),
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
        )
        said.append((done.returncode, done.stdout.decode("utf-8", "replace")))
    return (
        len(commands) == 4
        and not any(code for code, _ in said)
        and said[1][1].split()[0] == KEY.fingerprint
    )


def laid_out(top, files):
    folder = top / "under-test"
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        if data is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return folder


def test_there_is_no_python_and_no_network(world):
    top, _ = world
    environment = {"PATH": str(top / "bin")}
    for command in (
        "python3 -c 1",
        "python -c 1",
        "recorderd --version",
        "echo x >/dev/tcp/192.0.2.1/80",
    ):
        done = subprocess.run(
            ["unshare", "-n", top / "bin/sh", "-c", command],
            executable=shutil.which("unshare"),
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode


def test_a_clean_bundle_passes(world):
    top, thing = world
    assert checked(top, laid_out(top, thing.files))
    assert checked(top, laid_out(top, thing.older))


def test_altered_bundles_do_not(world):
    """Each altered in what the list covers. A stranger reads the README that he was given by hand: an
    altered one would name other commands, so it is let alone here; the list covers it."""
    top, thing = world
    done = 0
    for number in range(10 * ALTERED):
        rng = random.Random(f"{SEED}/{number}")
        try:
            changes = mutate(rng, thing, KINDS[number % len(KINDS)])
        except UselessError:
            continue
        if "README.txt" in changes:
            continue
        assert not checked(top, laid_out(top, {**thing.files, **changes})), (
            number,
            sorted(changes),
        )
        done += 1
        if done == ALTERED:
            return
    raise AssertionError(done)


def test_a_bundle_of_another_key_shows_by_its_fingerprint(world):
    top, thing = world
    other = DeviceKey.generate()
    files = {**thing.files, "device.pem": other.public_pem.encode()}
    folder = laid_out(top, files)
    names = sorted(name for name in files if not name.startswith("MANIFEST"))
    listed = subprocess.run(
        ["sha256sum", *names], cwd=folder, capture_output=True, check=True
    ).stdout
    (folder / "MANIFEST.sha256").write_bytes(listed)
    (folder / "MANIFEST.sig").write_bytes(other.sign(listed))
    (folder / "ledger/checkpoint.sig").write_bytes(
        other.sign((folder / "ledger/checkpoint.txt").read_bytes())
    )
    assert not checked(top, folder)
