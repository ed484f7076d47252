"""A strict sound card made of software, for tests: it really loses what is not fetched in time.

A JACK server with the dummy driver keeps time by the clock and hands out periods; a client that
misses one has lost it. The card under test is another JACK client, compiled here from a few lines
of C, which writes the number of each frame into its two channels, so that a test can tell which
frames came. PortAudio dithers when it turns JACK's floats into 16-bit samples, so the
numbers are written in steps far larger than the dither: the low three digits left, the next three
right.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOOLS = ("jackd", "jack_lsp", "gcc")
RATE_HZ = 8000
PERIOD_FRAMES = 160
SOURCE_NAME = "counting card"
STEP = 64  # samples between two codes; dither is one or two
RADIX = 1000
NUMBERS = RADIX * RADIX  # frame numbers start again after these: 125 s
UP_WITHIN_S = 10.0
DOWN_WITHIN_S = 5.0

SOURCE = f"""
#include <jack/jack.h>
#include <unistd.h>
static jack_client_t *client;
static jack_port_t *ports[2];
static float code(unsigned digits) {{ return ((int)digits - {RADIX // 2}) * {STEP} / 32768.0f; }}
static int process(jack_nframes_t frames, void *unused) {{
    (void)unused;
    unsigned first = jack_last_frame_time(client);
    float *left = jack_port_get_buffer(ports[0], frames);
    float *right = jack_port_get_buffer(ports[1], frames);
    for (unsigned i = 0; i < frames; i++) {{
        left[i] = code((first + i) % {RADIX});
        right[i] = code((first + i) / {RADIX} % {RADIX});
    }}
    return 0;
}}
int main(void) {{
    client = jack_client_open("{SOURCE_NAME}", JackNoStartServer, 0);
    if (!client) return 1;
    ports[0] = jack_port_register(client, "left", JACK_DEFAULT_AUDIO_TYPE, JackPortIsOutput, 0);
    ports[1] = jack_port_register(client, "right", JACK_DEFAULT_AUDIO_TYPE, JackPortIsOutput, 0);
    jack_set_process_callback(client, process, 0);
    if (jack_activate(client)) return 1;
    for (;;) pause();
}}
"""


class StrictCard:
    """A running server and its counting card; `environment` leads PortAudio to it."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="strictcard-"))
        self.environment = {
            "JACK_DEFAULT_SERVER": self.directory.name,
            "JACK_NO_AUDIO_RESERVATION": "1",
            "ALSA_CONFIG_PATH": str(self.directory / "asound.conf"),
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        (self.directory / "asound.conf").write_text("pcm.default { type null }\n")
        (self.directory / "source.c").write_text(SOURCE)

    def start(self) -> None:
        program = str(self.directory / "source")
        source = str(self.directory / "source.c")
        subprocess.run(["gcc", "-O2", "-o", program, source, "-ljack"], check=True)
        self._run("jackd", "-R", "-P", "70", "-n", self.directory.name, "-d", "dummy",
                  "-r", str(RATE_HZ), "-p", str(PERIOD_FRAMES), "-C", "2", "-P", "2")  # fmt: skip
        self._wait_for("system:")
        self._run(program)
        self._wait_for(SOURCE_NAME)

    def _run(self, *command: str) -> None:
        nowhere = subprocess.DEVNULL
        environment = {**os.environ, **self.environment}
        process = subprocess.Popen(command, env=environment, stdout=nowhere, stderr=nowhere)
        self._processes.append(process)

    def _wait_for(self, port: str) -> None:
        deadline = time.monotonic() + UP_WITHIN_S
        environment = {**os.environ, **self.environment}
        while True:
            listed = subprocess.run(["jack_lsp"], env=environment, capture_output=True, check=False)
            if port in listed.stdout.decode():
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"no JACK port {port}")
            time.sleep(0.05)

    def close(self) -> None:
        for process in reversed(self._processes):
            # JACK has room for eight servers; one that is killed outright keeps its place.
            process.terminate()
            try:
                process.wait(DOWN_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
        for left in Path("/dev/shm").glob(f"*{self.directory.name}*"):
            if left.is_file():
                left.unlink(missing_ok=True)


def numbers(samples: bytes) -> NDArray[np.int64]:
    """The frame numbers that the counting card wrote into two channels."""
    codes = np.rint(np.frombuffer(samples, np.int16).reshape(-1, 2) / STEP).astype(np.int64)
    return codes[:, 0] + RADIX // 2 + (codes[:, 1] + RADIX // 2) * RADIX
