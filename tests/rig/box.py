"""The installed box under test: what a technician, a telephone line and a caller do to it."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.rig.machine import HERE, PROJECT, GuestError, Machine, image
from tests.rig.page import quoted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RELEASE = ("recorderd", "systemd", "pyproject.toml", "README.md", "LICENSE")

INSTALL_S = 5400
"""pip takes minutes where each instruction is emulated, and on arm64 a compiler is installed and used:
38 minutes where the guest had a quarter of a core. A Pi is some ten times as fast."""

HOOK, RING = 17, 27  # pins of the line with the modem
BACK_HOOK = 22
CARD = 0
BACK_CARD = 1
RATE_HZ = 8000
ENDED_S = 120
READY_S = 300

# Taken when the tests are collected: a page that has changed is found without a guest.
INSTALL = quoted("sudo PIP_NO_INDEX")
REMOVE = quoted("sudo sh systemd/install.sh --remove")
PURGE = quoted("--purge")
EDIT = quoted("systemctl edit")
CREDENTIALS = quoted("/etc/credstore/")

HOST = "10.0.2.2"
"""This machine's loopback, as the guest sees it."""

NETWORK = ("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=")
SECOND_DISK = "/dev/vdb"

# Finds the strongest tone of each channel of a recorded file, with the recorder's own libraries.
TONES = """
import sys, numpy, soundfile
sound, rate = soundfile.read(sys.argv[1], always_2d=True)
power = numpy.abs(numpy.fft.rfft(sound[len(sound) // 4 : len(sound) * 3 // 4], axis=0))
print([round(int(at) * rate / (len(sound) * 3 // 4 - len(sound) // 4)) for at in power.argmax(axis=0)])
"""


def figure(name: str, value: float, unit: str = "s") -> None:
    """For the reader of `pytest -s`."""
    print(f"\n{name}: {value:.1f} {unit}", end="")


def timed(name: str, work: Callable[..., str], *arguments: Any) -> str:
    began = time.monotonic()
    try:
        return work(*arguments)
    finally:
        figure(name, time.monotonic() - began)


def missing_of(call: dict[str, Any]) -> float:
    """Which part of a call's sound is missing: a slow host makes a card lose some."""
    lost: int = sum(gap["frames"] for gap in call["gaps"])
    frames: int = call["audio"]["frames"]
    return lost / frames


class Box:
    """A machine with releases to install beside it."""

    def __init__(self, work: Path) -> None:
        self.shared = work / "host"
        self.shared.mkdir()
        folder = image()
        shutil.copytree(folder / "wheels", self.shared / "wheels")
        (self.shared / "tones.py").write_text(TONES, "utf-8")
        self.machine = Machine(folder, work, self.shared)
        self.run = self.machine.run
        disk = work / "second.img"
        subprocess.run(["truncate", "-s", "1G", disk], check=True)
        self._second_disk = (
            *("-drive", f"file={disk},if=none,id=second,format=raw,cache=writeback"),
            *("-device", "virtio-blk-pci,drive=second"),
        )
        self.plug_in_second_disk(is_in=True)

    def plug_in_second_disk(self, *, is_in: bool) -> None:
        """From the next start on."""
        self.machine.devices = [*NETWORK, *(self._second_disk if is_in else ())]

    # ------------------------------------------------------------ the technician

    def put_release(self, name: str, change: Callable[[Path], None] | None = None) -> None:
        """A release, as unpacked or changed, in the guest's /mnt/host."""
        to = self.shared / name
        to.mkdir()
        for part in RELEASE:
            if (PROJECT / part).is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(PROJECT / part, to / part, ignore=ignore)
            else:
                shutil.copy(PROJECT / part, to / part)
        if change is not None:
            change(to)

    def install(self, release: str) -> str:
        """As the page has it for a box without a network, with the wheels on a stick."""
        stick = "mkdir -p /media && ln -sfn /mnt/host /media/stick"
        return self.run(f"{stick} && cd /mnt/host/{release} && {INSTALL}", INSTALL_S)

    def remove(self, more: str = "", answer: str = "", *, check: bool = True) -> str:
        command = f"{REMOVE} {more}"
        command = f"cd /mnt/host/release && echo {answer} | {command}"
        return self.run(command, 180, check=check)

    def configure(self, *, driver: str = "gpiod", archive: str = "") -> None:
        """The office's configuration; `archive` are the lines of that table."""
        modem = self.run("ls /dev/recorderd/modem-*").strip()
        text = (HERE / "office.toml").read_text("utf-8")
        text = text.replace("MODEM", modem).replace('"gpiod"', f'"{driver}"')
        if archive:
            text += f"\n[archive]\n{archive}"
        (self.shared / "office.toml").write_text(text, "utf-8")
        self.run("cp /mnt/host/office.toml /etc/recorderd/recorderd.toml; recorderd check")

    def edit(self, command: str, text: str) -> None:
        """A command that opens an editor, in which this is typed."""
        (self.shared / "typed").write_text(text, "utf-8")
        self.run(f"cp /mnt/host/typed /run/rig/typed; script -qec {shlex.quote(command)} /dev/null")

    def restart_whole(self) -> float:
        """Shut down as one should, and switch on again; how many seconds the start took."""
        self.run("systemctl stop recorderd recorderd-upload; sync")
        self.machine.cut()
        return self.machine.start()

    def synchronise_clock(self) -> None:
        """What a time daemon does: the kernel is told that its clock is right (ADJ_STATUS without
        STA_UNSYNC, and ADJ_MAXERROR of 0: else it takes the word back within a second)."""
        code = (
            "import ctypes; t = (ctypes.c_int * 52)(); t[0] = 0x14; "
            "raise SystemExit(ctypes.CDLL(None).adjtimex(t) < 0)"
        )
        self.run(f'python3 -c "{code}"')
        self.machine.until("grep -q 'clock_synchronised.: true' /var/lib/recorderd/status.json")

    def send_to(self, archive: str, credentials: str = "") -> None:
        """Another archive for the uploader, from now on."""
        self.run("systemctl stop recorderd-upload")
        self.configure(archive=archive)
        if credentials:
            (self.shared / "credentials").write_text(credentials, "utf-8")
            self.run(
                f"install -m 600 /mnt/host/credentials {CREDENTIALS}; rm /mnt/host/credentials"
            )
        self.run("systemctl reload recorderd; systemctl start recorderd-upload", 180)

    # ------------------------------------------------------------ looking

    def status(self) -> dict[str, Any]:
        """The recorder's own file: the command would take the slow guest seconds each time."""
        text = self.run("cat /var/lib/recorderd/status.json", check=False)
        try:
            found: dict[str, Any] = json.loads(text)
        except ValueError:
            raise GuestError(f"no status: {text}") from None
        return found

    def calls(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("recorderd calls --json"))
        return found

    def sound_of(self, call: dict[str, Any]) -> list[int]:
        """The tones of a call's middle file, near and far, in hertz."""
        file = call["segments"][len(call["segments"]) // 2]["file"]
        path = self.run(f"find /var/lib/recorderd/calls -name '{file}'").strip()
        found: list[int] = json.loads(
            self.run(f"/opt/recorderd/bin/python /mnt/host/tones.py {path}")
        )
        return found

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run(f"systemctl show -p {name} --value {unit}").strip()

    def verify_all(self) -> None:
        said = timed("verify --all", self.run, "recorderd verify --all", 300)
        assert f"Nothing altered: {len(self.calls())} call" in said, said
        assert "Nothing missing" in said, said

    def wait_until_ready(self) -> None:
        """No alarm: every card, pin and modem is there."""
        self._wait(lambda status: not status["alarms"], READY_S)

    def wait_for(self, state: str, line: str = "front-desk") -> None:
        """Until the recorder says that the line is so."""
        self._wait(lambda status: status["lines"][line]["state"] == state, ENDED_S)

    def _wait(self, is_so: Callable[[dict[str, Any]], bool], within_s: float) -> None:
        began = time.monotonic()
        while True:
            try:
                status = self.status()
            except GuestError as error:
                status, problem = None, str(error)
            else:
                problem = str(status)
            # One of a recorder that ran before is no answer.
            if status is not None and self.is_running(status["pid"]) and is_so(status):
                return
            if time.monotonic() - began > within_s:
                journal = self.run("journalctl -q -u recorderd -n 20 -o cat", check=False)
                raise GuestError(f"it did not come to that: {problem}\n{journal}")
            time.sleep(1)

    def is_running(self, pid: int) -> bool:
        return self.show("recorderd", "MainPID") == str(pid)

    # ------------------------------------------------------------ the line

    def offer(self, number: str, bursts: int = 4) -> None:
        """Ring, say who calls after the first burst, lift the handset after the last."""
        modem = self.machine.modem
        assert modem is not None, "it is there while the machine runs"
        with ThreadPoolExecutor(1) as line:
            ringing = line.submit(self.run, f"rig-line offer {RING} {HOOK} {bursts}")
            time.sleep(3)
            modem.ring()
            modem.caller(number)
            ringing.result()

    def lift(self, pin: int = HOOK) -> None:
        self.run(f"rig-line hook {pin} off")

    def hang_up(self, pin: int = HOOK) -> None:
        self.run(f"rig-line hook {pin} on")

    def call(self) -> None:
        """Somebody lifts the other line's handset, says something, and hangs up."""
        self.lift(BACK_HOOK)
        self.wait_for("talking", "back-office")
        self.talk(5, BACK_CARD)
        self.hang_up(BACK_HOOK)
        self.wait_for("idle", "back-office")

    def talk(self, seconds: int, card: int = CARD) -> None:
        self.run(f"rig-line talk {card} {seconds}", seconds * 10 + 60)
