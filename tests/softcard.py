"""A sound card made of software, for tests: a PulseAudio server of its own with null sinks.

Each sink is one ALSA device: what is played into it can be captured from it, as if the card's
output were wired to its input. The server needs no login session, no D-Bus and no hardware, and
nothing of it is shared with another test or with the user's own sound.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

TOOLS = ("pulseaudio", "pactl", "paplay")
UP_WITHIN_S = 10.0


def require(tools: Sequence[str], what: str) -> None:
    """Skip where tools are missing, but fail in CI, where they must not be."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if not missing:
        return
    text = f"{what} needs {', '.join(missing)}"
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)


@dataclass(frozen=True)
class Sink:
    name: str
    rate_hz: int
    channels: int = 2


class SoftCard:
    """A running server; `environment` leads ALSA, and so PortAudio, to its sinks."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        # A socket's path may have 107 characters, which pytest's folders can exceed.
        self.directory = Path(tempfile.mkdtemp(prefix="softcard-"))
        self._sinks = sinks
        self._server: subprocess.Popen[bytes] | None = None
        self._write_configuration()
        self.environment = {
            "HOME": str(self.directory),
            "XDG_RUNTIME_DIR": str(self.directory),
            "PULSE_RUNTIME_PATH": str(self.directory),
            "PULSE_SERVER": f"unix:{self._socket}",
            "ALSA_CONFIG_PATH": str(self.directory / "asound.conf"),
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
            "DBUS_SYSTEM_BUS_ADDRESS": "disabled:",
            "JACK_DEFAULT_SERVER": "none-for-softcard",
        }

    @property
    def _socket(self) -> Path:
        return self.directory / "native"

    def _write_configuration(self) -> None:
        script = [
            ".fail",
            f"load-module module-native-protocol-unix auth-anonymous=1 socket={self._socket}",
            *(
                f"load-module module-null-sink sink_name={sink.name} rate={sink.rate_hz}"
                f" channels={sink.channels} format=s16le"
                for sink in self._sinks
            ),
        ]
        (self.directory / "default.pa").write_text("\n".join(script) + "\n")
        (self.directory / "daemon.conf").write_text(
            "avoid-resampling = yes\nflat-volumes = no\nrealtime-scheduling = no\n"
            "high-priority = no\nexit-idle-time = -1\nenable-shm = no\n"
        )
        (self.directory / "asound.conf").write_text(
            "".join(map(self._alsa_device, self._sinks)) + "pcm.default { type null }\n"
        )

    def _alsa_device(self, sink: Sink) -> str:
        pulse = f'type pulse server "unix:{self._socket}"'
        return (
            f"pcm.{sink.name} {{ type asym\n"
            f' playback.pcm {{ {pulse} device "{sink.name}" }}\n'
            f' capture.pcm {{ {pulse} device "{sink.name}.monitor" }} }}\n'
        )

    def start(self) -> None:
        """Start the server, also again after `kill`."""
        self._socket.unlink(missing_ok=True)
        self._server = subprocess.Popen(
            ["pulseaudio", "-n", "-F", str(self.directory / "default.pa"), "--daemonize=no",
             "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"],
            env={**os.environ, **self.environment,
                 "PULSE_CONFIG": str(self.directory / "daemon.conf")},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + UP_WITHIN_S
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError("pulseaudio does not answer")
            time.sleep(0.05)

    def _answers(self) -> bool:
        environment = {**os.environ, **self.environment}
        command = ["pactl", "info"]
        return (
            subprocess.run(command, env=environment, capture_output=True, check=False).returncode
            == 0
        )

    def play(self, wav: Path, sink: str) -> subprocess.Popen[bytes]:
        """Play a WAV file into a sink; the caller waits for it or ends it."""
        command = ["paplay", f"--device={sink}", str(wav)]
        return subprocess.Popen(command, env={**os.environ, **self.environment})

    def kill(self) -> None:
        """Pull the card out."""
        if self._server is not None:
            self._server.send_signal(signal.SIGKILL)
            self._server.wait()
            self._server = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
