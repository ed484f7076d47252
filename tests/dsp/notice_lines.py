"""Announcements on a telephone line: voices, and what the line and the people on it do to a clip."""

from __future__ import annotations

import io
import subprocess
import wave
from pathlib import Path

import numpy as np
import soundfile

from recorderd.media.announcement import SHIPPED
from tests.dsp.conversation import RATE, resampled
from tests.dsp.signals import FULL_SCALE_DBM0

SPEECH = Path(SHIPPED).parent / "speech"


def shipped(name: str) -> np.ndarray:
    return soundfile.read(SHIPPED / name, dtype="int16")[0]


def spoken(text: str, voice: str = "en-us", speed: int = 160, pitch: int = 50) -> np.ndarray:
    """A clip spoken by espeak-ng, at 8 kHz and -20 dBFS."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", text]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(data[:4] + b"\xff\xff\xff\x7f" + data[8:])) as file:
        rate = file.getframerate()
    samples = resampled(np.frombuffer(data[44:], np.int16) / 32768, rate)
    samples *= 0.1 / np.sqrt(np.mean(samples**2))
    return whole(samples)


def talk(name: str) -> np.ndarray:
    """A conversation that ships, as floats at 8 kHz."""
    samples, rate = soundfile.read(SPEECH / name)
    return resampled(samples, rate) if rate != RATE else samples


def active_rms(samples: np.ndarray) -> float:
    """Of the 20 ms frames that are up to 16 dB under the mean of all (near to ITU-T P.56)."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160).astype(float)
    power = (frames**2).mean(axis=1)
    return float(np.sqrt(power[power > power.mean() / 40].mean()))


def at_dbm0(samples: np.ndarray, dbm0: float) -> np.ndarray:
    """With this level while it is active; floats, full scale 1."""
    return samples / active_rms(samples) * 10 ** ((dbm0 - FULL_SCALE_DBM0) / 20) / np.sqrt(2)


def band(samples: np.ndarray) -> np.ndarray:
    """300 to 3400 Hz as analogue filters cut it (Butterworth, fourth order), with their phases."""
    size = 1 << int(np.ceil(np.log2(len(samples) + RATE)))
    hz = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 1e-3)
    response = np.ones(len(hz), complex)
    for edge, high_pass in ((300.0, True), (3400.0, False)):
        s = 1j * (edge / hz if high_pass else hz / edge)
        s = np.conj(s) if high_pass else s
        for damping in (0.7654, 1.8478):
            response *= 1 / (s**2 + damping * s + 1)
    return np.fft.irfft(np.fft.rfft(samples, size) * response)[: len(samples)]


def echo(samples: np.ndarray, delay_ms: float, gain_db: float) -> np.ndarray:
    late = round(delay_ms * RATE / 1000)
    out = samples.copy()
    out[late:] += 10 ** (gain_db / 20) * samples[: len(samples) - late]
    return out


def clocked(samples: np.ndarray, ppm: float) -> np.ndarray:
    """As a sound card captures it whose clock is fast by so many parts in a million."""
    return resampled(samples, 1_000_000, 1_000_000 + ppm) if ppm else samples


def mu_law(samples: np.ndarray) -> np.ndarray:
    """There and back (the continuous law of ITU-T G.711 in 255 steps)."""
    small = np.sign(samples) * np.log1p(255 * np.abs(samples)) / np.log(256)
    small = np.rint(small * 127) / 127
    return np.sign(small) * np.expm1(np.abs(small) * np.log(256)) / 255


def a_law(samples: np.ndarray) -> np.ndarray:
    a, size = 87.6, np.abs(samples)
    scale = 1 + np.log(a)
    small = np.where(size < 1 / a, a * size, 1 + np.log(np.maximum(a * size, 1))) / scale
    small = (np.floor(small * 127) + 0.5) / 127
    back = np.where(small < 1 / scale, small * scale / a, np.exp(small * scale - 1) / a)
    return np.sign(samples) * back


def swinging(samples: np.ndarray, depth_db: float = 6, period_s: float = 1.5) -> np.ndarray:
    """As an automatic gain does it: up and down by `depth_db`."""
    time = np.arange(len(samples)) / RATE
    return samples * 10 ** (depth_db * np.sin(2 * np.pi * time / period_s) / 20)


def whole(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def line(
    clip: np.ndarray | None,
    random: np.random.Generator,
    *,
    dbm0: float = -20,
    voice: np.ndarray | None = None,
    under_db: float = 0,
    lead_s: float = 0.7,
    tail_s: float = 0.8,
    noise_dbm0: float = -60,
    change=lambda samples: samples,
    through=lambda samples: samples,
    ppm: float = 0,
    length_s: float = 0,
) -> np.ndarray:
    """A clip on the line (changed by `change` first) under a voice that is `under_db` louder.

    `through` is what the line does to both; `length_s` is the length where there is no clip.
    """
    size = round(length_s * RATE)
    if clip is not None:
        body = at_dbm0(clip / 32768, dbm0)
        body = np.concatenate((
            np.zeros(round(lead_s * RATE)),
            body,
            np.zeros(round(tail_s * RATE)),
        ))
        sound = change(body)
        size = len(sound)
    else:
        sound = np.zeros(size)
    if voice is not None:
        at = random.integers(0, max(1, len(voice) - size))
        over = voice[at : at + size]
        over = over if np.sqrt(np.mean(over**2)) > 1e-5 else voice[:size]
        over = at_dbm0(over, dbm0 + under_db)
        sound = sound.copy()
        sound[: len(over)] += over
    sound = clocked(through(band(sound)), ppm)
    return whole(sound + random.normal(0, 10 ** ((noise_dbm0 - FULL_SCALE_DBM0) / 20), len(sound)))


def in_a_room(samples: np.ndarray, random: np.random.Generator, seconds: float = 0.3) -> np.ndarray:
    """With reverberation that falls by 60 dB in `seconds`, half as strong as the voice."""
    time = np.arange(round(seconds * RATE)) / RATE
    tail = random.normal(0, 1, len(time)) * 10 ** (-3 * time / seconds)
    tail *= np.sqrt(0.5 / np.sum(tail**2))
    size = 1 << int(np.ceil(np.log2(len(samples) + len(tail))))
    late = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(tail, size))[: len(samples)]
    return samples + late
