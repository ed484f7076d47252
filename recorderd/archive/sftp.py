"""An archive in a folder of a server with SFTP (sftp://): any Unix machine, most NAS boxes.

On asyncssh, because it can ask the server to bring a file to its disk (fsync@openssh.com), which
paramiko cannot, and because a limit stands on each step of it, so that a dead link never holds up the
uploader. Its event loop belongs to this connection and runs only while something is asked.

The server is known by the one key of the configuration and we by the one of the credentials: no other
file, agent or password is looked at. An object is written under a temporary name of this attempt alone,
synced where the server can, read back and compared (a server gives no hash of its own), and only then
gets its name by the plain rename of SFTP version 3, which never replaces a file. What the server holds
in its memory after the rename is out of our reach: folders cannot be synced by SFTP.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import stat
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

import asyncssh

from recorderd.archive.credentials import private_key
from recorderd.archive.target import (
    Content,
    Held,
    Listed,
    levels_of,
    part_name,
    parts_of,
    proven_blocks,
    without_parts,
)
from recorderd.errors import (
    ArchiveError,
    ExistsError,
    RecorderdError,
    RefusedError,
    TryAgainError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator

    from recorderd.config.values import Archive

T = TypeVar("T")

CONNECT_S_MAX = 10.0
STEP_S_MAX = 60.0
"""Of one request, which a server that syncs to a slow disk may take long for."""

CLOSE_S_MAX = 2.0

KEEPALIVE_S = 15

PIECE_BYTES = 1 << 19
"""Written or read at one time: the library has all its packets under way at once."""

# It says at each connection who goes where, as whom.
logging.getLogger("asyncssh").setLevel(logging.CRITICAL)

_HOST_KEY_KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""Of RFC 8709, 5656 and 8332; ssh-rsa alone signs by SHA-1."""

_GONE = (
    asyncssh.ConnectionLost,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    asyncssh.ChannelOpenError,
    ConnectionError,
)

_REFUSED: dict[type[Exception], str] = {
    asyncssh.SFTPPermissionDenied: "its user may not do that there: give it the folder (chown)",
    asyncssh.SFTPWriteProtect: "it is mounted read-only there: mount it writable",
    asyncssh.SFTPNotADirectory: "a file stands where a folder should be: move it away",
    asyncssh.SFTPFileIsADirectory: "a folder stands where a file should be: move it away",
    asyncssh.SFTPInvalidFilename: "its file system takes no such name",
    asyncssh.SFTPOpUnsupported: "the server cannot do that: use OpenSSH's",
}

_AGAIN: dict[type[Exception], str] = {
    asyncssh.SFTPNoSpaceOnFilesystem: "the archive is full: free some space, or add some",
    asyncssh.SFTPQuotaExceeded: "the quota of the archive is used up: raise it",
    asyncssh.SFTPFailure: "look whether its disk is full, and into its log",
}


class SftpTarget:
    """An archive on a server with SFTP. The connection is made when it is needed, and kept."""

    def __init__(self, archive: Archive) -> None:
        self.name = archive.url
        self._archive = archive
        self._root = PurePosixPath(unquote(urlsplit(archive.url).path) or ".")
        self._runner: asyncio.Runner | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._folders: set[PurePosixPath] = set()  # that are known to be there
        self._read_back: tuple[str, Held] | None = None  # the last put, for the look after it
        self.connect_s_max, self.step_s_max = CONNECT_S_MAX, STEP_S_MAX

    def put(self, key: str, content: Content) -> None:
        path = self._path(key)
        self._do(key, lambda sftp: self._put(sftp, path, content))
        self._read_back = (key, Held(content.size, content.sha256))

    def replace(self, key: str, data: bytes) -> None:
        path = self._path(key)
        self._do(key, lambda sftp: self._replace(sftp, path, data))

    def look(self, key: str) -> Held | None:
        """What lies there; its SHA-256 only where it was just put and read back by us."""
        path = self._path(key)
        read_back = self._read_back
        attributes = self._do(key, lambda sftp: self._attributes(sftp, path))
        if attributes is None:
            return None
        size = attributes.size or 0
        if read_back is not None and (read_back[0], read_back[1].size) == (key, size):
            return read_back[1]
        return Held(size, None)

    def read(self, key: str) -> Iterator[bytes]:
        path = self._path(key)
        file = self._do(key, lambda sftp: self._step(sftp.open(path, "rb", encoding=None)))
        if file is None:
            raise RefusedError(f"{self.name}: there is no {key}")
        offset = 0
        while block := self._once(key, self._piece(file, offset)):
            offset += len(block)
            yield block
        self._once(key, self._step(file.close()))

    def list(self, prefix: str) -> Iterator[Listed]:
        above, _, _ = prefix.rpartition("/")
        levels = levels_of(above) if above else []
        yield from self._walk(self._root.joinpath(*levels), f"{above}/" if above else "", prefix)

    def _walk(self, folder: PurePosixPath, above: str, prefix: str) -> Iterator[Listed]:
        entries = self._do(above, lambda sftp: self._step(sftp.readdir(folder))) or ()
        found = {str(each.filename): each.attrs for each in entries}
        kinds = {name: stat.S_IFMT(found[name].permissions or 0) for name in without_parts(found)}
        named = {name: "/" for name, kind in kinds.items() if kind == stat.S_IFDIR}
        named |= {name: "" for name, kind in kinds.items() if kind == stat.S_IFREG}
        for name in (".", ".."):
            named.pop(name, None)
        # With its slash a folder stands where the keys in it do.
        for name, slash in sorted(named.items(), key=lambda item: item[0] + item[1]):
            key = above + name + slash
            if slash and (key.startswith(prefix) or prefix.startswith(key)):
                yield from self._walk(folder / name, key, prefix)
            elif not slash and key.startswith(prefix):
                yield Listed(key, found[name].size or 0)

    def remove(self, key: str) -> None:
        path = self._path(key)
        self._do(key, lambda sftp: self._step(sftp.remove(path)))

    def close(self) -> None:
        """Give up the connection; what is under way on it is given up too."""
        self._sftp = self._read_back = None
        self._folders.clear()
        connection, self._connection = self._connection, None
        runner, self._runner = self._runner, None
        if runner is None:
            return
        try:
            if connection is not None:
                runner.run(_closed(connection))
        finally:
            runner.close()

    async def _put(self, sftp: asyncssh.SFTPClient, path: PurePosixPath, content: Content) -> None:
        await self._make_folder(sftp, path.parent)
        if await self._step(sftp.lexists(path)):
            await self._clear_parts(sftp, path)
            raise ExistsError(f"{self.name}: {path} is there already")
        part = path.with_name(part_name(path.name))
        async with self._attempt(sftp, part):
            await self._write(sftp, part, proven_blocks(content))
            if await self._hash_of(sftp, part) != content.sha256:
                raise TryAgainError(
                    f"{self.name}: {path}: what was read back is not what was written: look after "
                    "the server's disk"
                )
            await self._give_name(sftp, part, path)
        await self._clear_parts(sftp, path)

    async def _give_name(
        self, sftp: asyncssh.SFTPClient, part: PurePosixPath, path: PurePosixPath
    ) -> None:
        try:
            await self._step(sftp.rename(part, path))
        except asyncssh.SFTPFailure:  # no other word in version 3 for a name that is taken
            if not await self._step(sftp.lexists(path)):
                raise
            raise ExistsError(f"{self.name}: {path} is there already") from None

    async def _replace(self, sftp: asyncssh.SFTPClient, path: PurePosixPath, data: bytes) -> None:
        await self._make_folder(sftp, path.parent)
        part = path.with_name(part_name(path.name))
        async with self._attempt(sftp, part):
            await self._write(sftp, part, iter((data,)))
            await self._step(sftp.posix_rename(part, path))

    @asynccontextmanager
    async def _attempt(self, sftp: asyncssh.SFTPClient, part: PurePosixPath) -> AsyncIterator[None]:
        """Leave nothing of an attempt that fails. Where its part is gone, another writer of the key was
        faster and has cleared it away; or somebody has removed the folder."""
        try:
            yield
        except asyncssh.SFTPNoSuchFile:
            self._folders.clear()
            raise TryAgainError(f"{self.name}: {part} was removed meanwhile") from None
        except (asyncssh.SFTPError, RecorderdError):
            with suppress(asyncssh.SFTPError):
                await self._step(sftp.remove(part))
            raise

    async def _clear_parts(self, sftp: asyncssh.SFTPClient, path: PurePosixPath) -> None:
        """Clear away what is left of attempts to write an object that is there, if that can be done."""
        with suppress(asyncssh.SFTPError):
            names = map(str, await self._step(sftp.listdir(path.parent)))
            for part in parts_of(path.name, names):
                await self._step(sftp.remove(path.with_name(part)))

    async def _write(
        self, sftp: asyncssh.SFTPClient, path: PurePosixPath, blocks: Iterator[bytes]
    ) -> None:
        async with self._opened(sftp, path, "wb") as file:
            piece = bytearray()
            for block in blocks:
                piece += block
                if len(piece) >= PIECE_BYTES:
                    await self._step(file.write(bytes(piece)))
                    piece.clear()
            if piece:
                await self._step(file.write(bytes(piece)))
            with suppress(asyncssh.SFTPOpUnsupported):
                await self._step(file.fsync())

    @asynccontextmanager
    async def _opened(
        self, sftp: asyncssh.SFTPClient, path: PurePosixPath, mode: str
    ) -> AsyncIterator[asyncssh.SFTPClientFile]:
        """An open file; one that stays open on the server keeps its space, also when it is removed."""
        file = await self._step(sftp.open(path, mode, encoding=None))
        try:
            yield file
        except (asyncssh.SFTPError, RecorderdError):
            with suppress(asyncssh.SFTPError):
                await self._step(file.close())
            raise
        await self._step(file.close())

    async def _hash_of(self, sftp: asyncssh.SFTPClient, path: PurePosixPath) -> str:
        digest = hashlib.sha256()
        offset = 0
        async with self._opened(sftp, path, "rb") as file:
            while block := await self._piece(file, offset):
                digest.update(block)
                offset += len(block)
        return digest.hexdigest()

    async def _piece(self, file: asyncssh.SFTPClientFile, offset: int) -> bytes:
        piece: Any = await self._step(file.read(PIECE_BYTES, offset))  # typed as text alone
        return bytes(piece)

    async def _make_folder(self, sftp: asyncssh.SFTPClient, folder: PurePosixPath) -> None:
        """Make a folder below the archive's. That itself is not made: were the disk that holds it not
        mounted on the server, calls would go to another."""
        if folder in self._folders:
            return
        level = self._root
        if not await self._step(sftp.isdir(level)):
            raise RefusedError(
                f"{self.name}: there is no folder {level} on the server: make it once"
            )
        for name in folder.relative_to(self._root).parts:
            level /= name
            if level not in self._folders and not await self._step(sftp.isdir(level)):
                await self._step(sftp.mkdir(level))
            self._folders.add(level)

    async def _attributes(
        self, sftp: asyncssh.SFTPClient, path: PurePosixPath
    ) -> asyncssh.SFTPAttrs:
        return await self._step(sftp.lstat(path))

    def _path(self, key: str) -> PurePosixPath:
        return self._root.joinpath(*levels_of(key))

    async def _step(self, awaitable: Awaitable[T]) -> T:
        async with asyncio.timeout(self.step_s_max):
            return await awaitable

    def _do(
        self, key: str, work: Callable[[asyncssh.SFTPClient], Coroutine[Any, Any, T]]
    ) -> T | None:
        """The result of some work; None where what it is about is not there. A connection that was
        kept, and that the server has closed meanwhile, is made anew once."""
        self._read_back = None
        was_kept = self._sftp is not None
        with self._guarded(key):
            try:
                return self._run(work(self._connected()))
            except _GONE:
                if not was_kept:
                    raise
                self.close()
                return self._run(work(self._connected()))
            except asyncssh.SFTPNoSuchFile:
                return None

    def _once(self, key: str, work: Coroutine[Any, Any, T]) -> T:
        with self._guarded(key):
            return self._run(work)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._runner is None:
            work.close()
            raise ConnectionAbortedError
        return self._runner.run(work)

    def _connected(self) -> asyncssh.SFTPClient:
        if self._sftp is None:
            self._runner = asyncio.Runner()
            # Of packets under way when the connection went: what asked for them has told it already.
            self._runner.get_loop().set_exception_handler(lambda _loop, _context: None)
            self._connection = self._runner.run(self._connect())
            self._sftp = self._runner.run(self._step(self._connection.start_sftp_client()))
        return self._sftp

    async def _connect(self) -> asyncssh.SSHClientConnection:
        url = urlsplit(self._archive.url)
        user = {"username": unquote(url.username)} if url.username else {}
        pinned = asyncssh.import_public_key(self._archive.host_key)
        return await asyncssh.connect(
            url.hostname or "",
            url.port or 22,
            **user,
            client_factory=lambda: _Client(self.name, pinned),
            known_hosts=([pinned], [], []),
            server_host_key_algs=_kinds(pinned),
            client_keys=[_private_key(self._archive)],
            preferred_auth="publickey",
            x509_trusted_certs=None,
            agent_path=None,
            gss_host=None,
            config=None,
            connect_timeout=self.connect_s_max,
            login_timeout=2 * self.connect_s_max,
            keepalive_interval=KEEPALIVE_S,
        )

    @contextmanager
    def _guarded(self, key: str) -> Iterator[None]:
        """Our own errors for those of the library; where the connection may be to blame, it is given up."""
        try:
            yield
        except asyncssh.SFTPError as error:
            if isinstance(error, _GONE):
                self.close()
            raise self._sftp_error(key, error) from error
        except (asyncssh.Error, OSError) as error:
            self.close()
            raise self._error(error) from error
        except RecorderdError:
            raise
        except BaseException:
            self.close()
            raise

    def _sftp_error(self, key: str, error: asyncssh.SFTPError) -> ArchiveError:
        text = f"{self.name}: {key}: the server said: {error.reason}"
        for kind, mend in _REFUSED.items():
            if isinstance(error, kind):
                return RefusedError(f"{text}; {mend}")
        mend = _AGAIN.get(type(error), "look after the network and the server")
        return TryAgainError(f"{text}; {mend}")

    def _error(self, error: asyncssh.Error | OSError) -> ArchiveError:
        if isinstance(error, asyncssh.PermissionDenied):
            return RefusedError(
                f"{self.name}: the server does not let this key in: put its public half into the "
                "user's authorized_keys there, or mend archive.credentials or the user in archive.url"
            )
        if isinstance(error, asyncssh.KeyExchangeFailed | asyncssh.HostKeyNotVerifiable):
            return RefusedError(
                f"{self.name}: the server does not show the key that archive.host_key pins "
                f"({error.reason})"
            )
        if isinstance(error, TimeoutError):
            reason = "it does not answer in time: look after the network and the server"
        elif isinstance(error, socket.gaierror):
            reason = f"its name cannot be looked up ({error.strerror}): is the network up?"
        elif isinstance(error, ConnectionRefusedError):
            reason = "nothing answers there: is the server up, and are host and port in archive.url right?"
        elif isinstance(error, OSError) and not isinstance(error, ConnectionError):
            reason = f"the connection failed ({error})"
        else:
            reason = "the connection was cut"
        return TryAgainError(f"{self.name}: {reason}")


class _Client(asyncssh.SSHClient):
    """Is asked about each key that is not the pinned one."""

    def __init__(self, name: str, pinned: asyncssh.SSHKey) -> None:
        self._name, self._pinned = name, pinned

    def validate_host_public_key(
        self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey
    ) -> bool:
        raise RefusedError(
            f"{self._name}: the server shows the key {key.get_fingerprint()}, and archive.host_key is "
            f"{self._pinned.get_fingerprint()}: another machine answers, or the server has a new key; "
            "ask who keeps it before you change archive.host_key"
        )


async def _closed(connection: asyncssh.SSHClientConnection) -> None:
    connection.close()
    try:
        async with asyncio.timeout(CLOSE_S_MAX):
            await connection.wait_closed()
    except (asyncssh.Error, OSError):  # a dead link
        connection.abort()


def _kinds(key: asyncssh.SSHKey) -> list[str]:
    """Kinds of host keys, that of this key first: a server that has none of it shows another one."""
    own = [kind.decode() for kind in key.sig_algorithms]
    return [*(kind for kind in _HOST_KEY_KINDS if kind in own), *_HOST_KEY_KINDS]


def _private_key(archive: Archive) -> asyncssh.SSHKey:
    path, data = private_key(archive)
    try:
        return asyncssh.import_private_key(data)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        text = "it is no private key of OpenSSH: make one with: ssh-keygen -t ed25519"
        if "passphrase" in str(error).lower():
            text = "it has a passphrase, and nobody is there to type it: ssh-keygen -p removes it"
    raise RefusedError(f"{path}: {text}")
