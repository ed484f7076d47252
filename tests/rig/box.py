"""The installed box under test: what a technician, a telephone line and a caller do to it."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.rig.machine import HERE, PROJECT, GuestError, Machine, image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RELEASE = ("recorderd", "systemd", "pyproject.toml", "README.md", "LICENSE")

INSTALL_S = 1800
"""pip takes minutes where each instruction is emulated; a Pi is some ten times as fast."""

HOOK, RING = 17, 27  # pins of the line with the modem
CARD = 0
ENDED_S = 120
READY_S = 300


class Box:
    """A machine with releases to install beside it."""

    def __init__(self, work: Path) -> None:
        self.shared = work / "host"
        self.shared.mkdir()
        folder = image()
        shutil.copytree(folder / "wheels", self.shared / "wheels")
        self.machine = Machine(folder, work, self.shared)
        self.run = self.machine.run

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

    def install(self, release: str, *, check: bool = True) -> str:
        offline = "PIP_NO_INDEX=1 PIP_FIND_LINKS=/mnt/host/wheels"
        command = f"{offline} sh /mnt/host/{release}/systemd/install.sh"
        return self.run(command, INSTALL_S, check=check)

    def configure(self, *, driver: str = "gpiod") -> None:
        """The office's configuration, in place of the sample."""
        modem = self.run("ls /dev/recorderd/modem-*").strip()
        text = (HERE / "office.toml").read_text("utf-8")
        (self.shared / "office.toml").write_text(
            text.replace("MODEM", modem).replace('"gpiod"', f'"{driver}"'), "utf-8"
        )
        self.run("cp /mnt/host/office.toml /etc/recorderd/recorderd.toml; recorderd check")

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
        return self.run("systemctl show -p MainPID --value recorderd").strip() == str(pid)

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

    def talk(self, seconds: int, card: int = CARD) -> None:
        self.run(f"rig-line talk {card} {seconds}", seconds * 10 + 60)
