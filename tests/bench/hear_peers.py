"""The programs that hear caller ID and digits today, from Debian's packages, for bench_hear.py."""

from __future__ import annotations

import re
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np

from tests.dsp.signals import TONES

PACKAGES = "minimodem multimon-ng libspandsp-dev sox espeak-ng gcc"
SOURCE = Path(__file__).with_name("spandsp_hear.c")


def require() -> None:
    missing = [
        name for name in ("minimodem", "multimon-ng", "sox", "gcc") if not shutil.which(name)
    ]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}; apt-get install {PACKAGES}")


def write_wav(path: Path, samples: np.ndarray, rate_hz: int = 8000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())


class Spandsp:
    """spandsp's receivers through a small program that is built here."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "spandsp_hear"
        subprocess.run(["gcc", "-O2", "-o", self._program, SOURCE, "-lspandsp", "-lm"], check=True)

    def hear(self, mode: str, signals: list[np.ndarray]) -> list[str]:
        fed = b"".join(np.int32(len(each)).tobytes() + each.tobytes() for each in signals)
        done = subprocess.run([self._program, mode], input=fed, capture_output=True, check=True)
        return done.stdout.decode("latin-1").split("\n")[: len(signals)]


def minimodem(path: Path, modulation: str) -> bytes:
    """Bytes that minimodem receives; its own caller-ID mode is the same receiver and checks nothing."""
    mark, space = (str(int(hz)) for hz in TONES[modulation])
    command = ["minimodem", "--rx", "--quiet", "-f", str(path), "-M", mark, "-S", space, "1200"]
    return subprocess.run(command, capture_output=True, check=False).stdout


def multimon(path: Path) -> str:
    """Digits that multimon-ng hears; it reads raw samples of 22.05 kHz."""
    raw = path.with_suffix(".raw")
    convert = ["sox", "-V1", str(path), "-e", "signed", "-b", "16", "-r", "22050", str(raw)]
    subprocess.run(convert, check=True)
    command = ["multimon-ng", "-q", "-a", "DTMF", "-t", "raw", str(raw)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return "".join(re.findall(r"DTMF: (\S)", done.stdout))
