"""`recorderd keys new`, `recorderd keys test`, `recorderd rewrap`: the supervisors' keys."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track

from recorderd.config import find_config, load
from recorderd.disk import files
from recorderd.errors import StoreError, UsageError
from recorderd.runtime.clock import SystemClock
from recorderd.seal.vault import is_opened_by, keys_in, rewrap_key
from recorderd.store.ledger import open_desk

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from pathlib import Path

    from recorderd.config.values import Config, Seal

ADVICE = """\
Put this recipient into the configuration of the recorder, [seal] recipients:

  {recipient}

{path} is the secret half: it opens every call that is sealed to it. Keep it on paper or on a USB
stick in a safe, and a second supervisor's elsewhere; never on the recorder. When all of them are
lost, the calls are lost. Try it before you need it: recorderd keys test --identity {path}"""


def new(options: argparse.Namespace) -> int:
    """Make the key of one supervisor; no configuration is asked for, so that any computer will do."""
    from recorderd.seal.age import new_identity  # noqa: PLC0415  (pyrage, only where it is used)

    path: Path = options.to
    identity, recipient = new_identity()
    created = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
    text = f"# created: {created}\n# public key: {recipient}\n{identity}\n"
    _write_new(path, text.encode("ascii"))
    print(ADVICE.format(recipient=recipient, path=path))
    return 0


def _write_new(path: Path, data: bytes) -> None:
    """Like age-keygen, it never takes the place of a file: that could be somebody's only key."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path}: there is a file already; name another one") from None
    except OSError as error:
        raise files.store_error(path, error) from error
    try:
        with files.guarded(path):
            files.write_all(descriptor, data)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def test(options: argparse.Namespace) -> int:
    """Say what an identity opens; exit 0 only if that is everything."""
    # pyrage, only where it is used
    from recorderd.seal.age import Recipients, read_identities  # noqa: PLC0415  (as said above)

    config = load(find_config(options.config))
    seal = _seal_of(config)
    identities = read_identities(options.identity)
    try:
        opens_new = identities.decrypt(Recipients(seal.recipients).encrypt(b"a call")) == b"a call"
    except ValueError:
        opens_new = False
    keys = keys_in(config.storage.directory)
    opened = sum(is_opened_by(path, identities) for path in _progress(keys, "trying the key"))
    print(f"{'opens' if opens_new else 'does NOT open'} calls that are sealed from now on")
    print(f"opens {opened} of the {len(keys)} sealed calls in the vault")
    return 0 if opens_new and opened == len(keys) else 1


def rewrap(options: argparse.Namespace) -> int:
    """Encrypt the key of every call to the supervisors in the configuration, and to nobody else.

    It can be cut at any time and done again.
    """
    # pyrage, only where it is used
    from recorderd.seal.age import Recipients, read_identities  # noqa: PLC0415  (as said above)

    config = load(find_config(options.config))
    recipients = _seal_of(config).recipients
    to = Recipients(recipients)
    identities = read_identities(options.identity)
    directory = config.storage.directory
    keys = keys_in(directory)
    with open_desk(directory, config.site.name, SystemClock().reading) as desk:
        desk.append("rewrap-began", recipients=list(recipients), keys=len(keys))
        desk.sign()
        closed = [
            path
            for path in _progress(keys, "rewrapping")
            if not rewrap_key(directory, path, identities, to)
        ]
        done = len(keys) - len(closed)
        desk.append("rewrapped", recipients=list(recipients), keys=done, unopened=len(closed))
    print(f"{done} of {len(keys)} sealed calls can be opened by the {len(recipients)} recipients")
    if closed:
        raise StoreError(
            f"{len(closed)} keys are not opened by this identity, {closed[0]} first: run it again "
            "with the identity of another supervisor"
        )
    return 0


def _seal_of(config: Config) -> Seal:
    if config.seal is None:
        raise UsageError(f"{config.path}: there is no table [seal]: this recorder seals nothing")
    return config.seal


def _progress(keys: list[Path], what: str) -> Iterable[Path]:
    return track(keys, description=what, console=Console(stderr=True), transient=True)
