"""The guest as a process: qemu, the commands that run in it, the modem on its serial port.

Software emulation only, so that it runs where there is no hardware virtualisation: everything takes
some ten times as long as on the host. A power cut is SIGKILL: what the guest's kernel had not yet
written is lost, what it had written stays (the host does not lose its own cache).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "recorderd-rig"

GUEST = os.environ.get("RECORDERD_RIG", "bookworm-amd64")
"""Which Debian, and for which processor."""

UNUSED_S = 86400
"""How long a folder of the same guest lies unused before the next build removes it."""

BOOT_S = 400
"""14 s (amd64) and 22 s (arm64) where nothing else runs; a loaded machine takes several times that."""

SERIAL = "chardev:console"
EMULATORS = {
    # The oldest processor that numpy's wheels run on.
    "amd64": ("qemu-system-x86_64", "-machine", "pc", "-cpu", "Nehalem", "-serial", SERIAL),
    # The processor of a Raspberry Pi 4.
    "arm64": ("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72", "-serial", SERIAL),
}
CONSOLES = {
    "amd64": "console=ttyS0",
    # Without the machine's own GPIO chip: gpiochip0 is the one whose lines the host pulls.
    "arm64": "console=ttyAMA0 initcall_blacklist=pl061_gpio_driver_init",
}


class GuestError(Exception):
    """A command in the guest failed, or the guest itself did."""


def image() -> Path:
    """The folder with the guest, built where what goes into it has changed."""
    needs = [sys.executable, HERE / "needs.py", PROJECT / "pyproject.toml", "pi,seal,sftp"]
    parts = [HERE / "build.sh", HERE / "early.sh"]
    parts += sorted(path for path in (HERE / "guest").rglob("*") if path.is_file())
    suite, _, architecture = GUEST.partition("-")
    content = b"".join(path.read_bytes() for path in parts)
    content += subprocess.run(needs, capture_output=True, check=True).stdout
    digest = hashlib.sha256(content).hexdigest()[:12]
    folder = CACHE / f"{GUEST}-{digest}"
    if not (folder / "disk.img").exists():
        subprocess.run([HERE / "build.sh", suite, architecture, folder], check=True)
        for old in CACHE.glob(f"{GUEST}-*"):
            if time.time() - old.stat().st_mtime > UNUSED_S:
                shutil.rmtree(old)
    os.utime(folder)  # a machine of another version's tests may still run from another folder
    return folder


class Machine:
    """One guest with a disk of its own in `work`; `shared` is its /mnt/host."""

    def __init__(self, folder: Path, work: Path, shared: Path) -> None:
        self._folder, self._work, self._shared = folder, work, shared
        self._disk = work / "disk.img"
        subprocess.run(["cp", "--sparse=always", folder / "disk.img", self._disk], check=True)
        self._qemu: subprocess.Popen[bytes] | None = None
        self._last_id = 0
        self._pending = b""
        self.modem: Modem | None = None
        self.devices: list[str] = []
        """What is plugged in besides at the next start, as arguments of qemu."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def start(self) -> float:
        """Switch on, and wait until it takes commands; how many seconds that took."""
        began = time.monotonic()
        ports = {name: self._work / name for name in ("agent", "modem")}
        for port in ports.values():
            port.unlink(missing_ok=True)
        architecture = GUEST.partition("-")[2]
        command = [
            *("nice", "-n", "1", *EMULATORS[architecture]),
            *("-accel", "tcg,tb-size=256", "-smp", "1", "-m", "768"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-kernel", self._folder / "kernel", "-initrd", self._folder / "initrd"),
            *("-append", f"{CONSOLES[architecture]} quiet panic=-1 mitigations=off net.ifnames=0"),
            *("-drive", f"file={self._disk},if=none,id=disk,format=raw,cache=writeback"),
            *("-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci"),
            *("-fsdev", f"local,id=host,path={self._shared},security_model=none"),
            *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
            *("-chardev", f"file,id=console,path={self._work / 'console'},append=on"),
            *("-device", "virtio-serial-pci"),
            *("-chardev", f"socket,id=agent,path={ports['agent']},server=on,wait=off"),
            *("-device", "virtserialport,chardev=agent,name=rig"),
            *("-chardev", f"socket,id=modem,path={ports['modem']},server=on,wait=off"),
            *("-device", "qemu-xhci", "-device", "usb-serial,chardev=modem"),
            *("-audiodev", "none,id=nowhere", "-device", "usb-audio,audiodev=nowhere"),
            *("-device", "i6300esb", "-watchdog-action", "none"),
            *self.devices,
        ]
        self._qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self._agent = _connected(ports["agent"])
        self._pending = b""
        self.modem = Modem(_connected(ports["modem"]))
        self._agent.settimeout(BOOT_S)
        self._answer(0)
        return time.monotonic() - began

    def run(self, command: str, within_s: float = 300, *, check: bool = True) -> str:
        """What a shell command in the guest says; raises GuestError where it fails."""
        self._agent.settimeout(within_s)
        self._last_id += 1
        order = {"id": self._last_id, "command": command}
        self._agent.sendall(json.dumps(order).encode() + b"\n")
        answer = self._answer(self._last_id)
        output: str = answer["output"]
        if check and answer["code"] != 0:
            raise GuestError(f"{command}: exit {answer['code']}\n{output}")
        return output

    def until(self, command: str, within_s: float = 60) -> float:
        """Wait until a command in the guest succeeds; how many seconds that took."""
        began = time.monotonic()
        while True:
            try:
                self.run(command)
            except GuestError:
                if time.monotonic() - began > within_s:
                    raise
                time.sleep(0.5)
            else:
                return time.monotonic() - began

    def cut(self) -> None:
        """Take the power away."""
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._agent.close()
            assert self.modem is not None, "both are there from the start on"
            self.modem.close()
            self._qemu = None

    def _answer(self, wanted: int) -> dict[str, Any]:
        """Answers to commands that were given up come late; they are left."""
        try:
            while data := self._agent.recv(65536):
                *lines, self._pending = (self._pending + data).split(b"\n")
                for line in lines:
                    answer: dict[str, Any] = json.loads(line)
                    if answer["id"] == wanted:
                        return answer
        except TimeoutError as error:
            raise GuestError(f"no answer in time; the console's end:\n{self._console()}") from error
        raise GuestError(f"the guest ended; the console's end:\n{self._console()}")

    def _console(self) -> str:
        return (self._work / "console").read_text("utf-8", "replace")[-3000:]


class Modem:
    """A voice modem that takes every command, and tells of a call when asked to."""

    def __init__(self, port: socket.socket) -> None:
        self._port = port
        self.commands: list[str] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # qemu may have closed it
            self._port.shutdown(socket.SHUT_RDWR)  # which ends the thread's waiting
        self._thread.join()
        self._port.close()

    def ring(self) -> None:
        self._port.sendall(b"\r\nRING\r\n")

    def caller(self, number: str) -> None:
        text = f"\r\nDATE = {time.strftime('%m%d')}\r\nTIME = {time.strftime('%H%M')}\r\nNMBR = {number}\r\n"
        self._port.sendall(text.encode())

    def _serve(self) -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while data := self._port.recv(256):
                *lines, pending = (pending + data).split(b"\r")
                for line in lines:
                    self.commands.append(line.decode("ascii", "replace").strip())
                    self._port.sendall(line + b"\r\r\nOK\r\n")


def _connected(path: Path) -> socket.socket:
    """A connection to a port of qemu, which makes the socket when it starts."""
    port = socket.socket(socket.AF_UNIX)
    for _ in range(300):
        with contextlib.suppress(OSError):
            port.connect(str(path))
            return port
        time.sleep(0.1)
    raise GuestError("qemu did not start: is it installed?")
