"""Announcement clips: found, read and checked once at start, so that no call meets a bad one.

A clip comes from whoever set the box up. It is read whole, within a size limit, and by our own WAV
reader; a FLAC file is decoded only after its header has passed the same limits.
"""

from __future__ import annotations

import difflib
import hashlib
import sys
from array import array
from pathlib import Path

from recorderd.errors import ClipError
from recorderd.media import flac
from recorderd.media.codec import decode_flac
from recorderd.media.wav import WavData, read_wav
from recorderd.ports import Clip

SHIPPED = Path(__file__).parent.parent / "data" / "announcements"
MIN_RATE_HZ = 8_000  # less is not even telephone quality
MAX_RATE_HZ = 48_000
MIN_LENGTH_S = 0.2  # shorter is a click, not a sentence
MAX_LENGTH_S = 60  # a caller who hears a minute of it hangs up
SILENT_PEAK = 328  # -40 dBFS: a clip that never gets louder drowns in the noise of the line
MAX_FRAMES = MAX_LENGTH_S * MAX_RATE_HZ
MAX_FILE_BYTES = 16_000_000  # a minute of 48 kHz stereo is 11.5 MB; the rest is for tags
MEND = "save it again as 16-bit PCM WAV, for example: sox OLD -r 8000 -c 1 -b 16 NEW.wav"


def load_clip(name: str, config_dir: Path) -> Clip:
    """The clip that the configuration calls `name`: a path from `config_dir`, or a shipped name.

    Accepts 16-bit PCM WAV and 16-bit FLAC, mono or stereo (both channels averaged), 8 to 48 kHz,
    0.2 to 60 s. Raises ClipError naming the file, what is wrong and how to mend it.
    """
    path, data = _read(name, config_dir)
    try:
        sound = _decode(data)
        _check_format(sound)
        pcm = _mono(sound)
        _check_level(pcm)
    except ClipError as error:
        raise ClipError(f"announcement {path}: {error}") from error
    return Clip(name, hashlib.sha256(data).hexdigest(), sound.rate_hz, pcm.tobytes())


def _read(name: str, config_dir: Path) -> tuple[Path, bytes]:
    """Where the clip is, and the bytes of its file."""
    own = config_dir / name
    try:
        path = own if own.exists() or name not in shipped_names() else SHIPPED / name
        return path, _read_file(path)
    except FileNotFoundError as error:
        message = f"announcement {own}: there is no such file; {_suggestion(name)}"
        raise ClipError(message) from error
    except OSError as error:
        mend = "let the recorder read it, or name another file"
        raise ClipError(f"announcement {own}: {error.strerror}; {mend}") from error


def _read_file(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # opening a pipe would wait for ever
        raise ClipError(f"announcement {path}: it is not a file; name a WAV or FLAC file")
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        what = f"it is larger than {MAX_FILE_BYTES // 1_000_000} MB"
        raise ClipError(f"announcement {path}: {what}; use one of at most {MAX_LENGTH_S} s")
    return data


def shipped_names() -> list[str]:
    """The clips that come with recorderd."""
    return sorted(path.name for path in SHIPPED.glob("*.wav"))


def _suggestion(name: str) -> str:
    shipped = shipped_names()
    close = difflib.get_close_matches(name, shipped, n=1, cutoff=0.75)
    if close:
        return f"did you mean {close[0]}?"
    return f"put it there, or use one that ships: {', '.join(shipped)}"


def _decode(data: bytes) -> WavData:
    if not data:
        raise ClipError("it is empty; copy it again")
    try:
        is_flac = data.startswith(flac.MAGIC)
        return decode_flac(data, MAX_FRAMES) if is_flac else read_wav(data)
    except ClipError as error:
        raise ClipError(f"{error}; {MEND}") from error


def _check_format(sound: WavData) -> None:
    length_s = len(sound.pcm) / (2 * sound.channels * sound.rate_hz)
    if sound.channels > 2:
        raise ClipError(
            f"it has {sound.channels} channels; a telephone line takes one or two; {MEND}"
        )
    if not MIN_RATE_HZ <= sound.rate_hz <= MAX_RATE_HZ:
        limits = f"{MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"
        raise ClipError(f"its rate is {sound.rate_hz} Hz, outside {limits}; {MEND}")
    if not MIN_LENGTH_S <= length_s <= MAX_LENGTH_S:
        raise ClipError(f"it lasts {length_s:.1f} s; use one of {MIN_LENGTH_S} to {MAX_LENGTH_S} s")


def _check_level(pcm: array[int]) -> None:
    if min(pcm) > -SILENT_PEAK and max(pcm) < SILENT_PEAK:
        raise ClipError("it is silent; record it again, louder")


def _mono(sound: WavData) -> array[int]:
    samples = array("h", sound.pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    if sound.channels == 1:
        return samples
    both = zip(samples[0::2], samples[1::2], strict=True)
    return array("h", ((left + right) // 2 for left, right in both))
