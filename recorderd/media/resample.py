"""From a card's frames to a recording's: which two channels, and at which rate.

The resampler (soxr) is linear-phase and gives its first output frame for the moment of its first
input frame, so that positions in the recording stay true; only the delivery of frames lags, by up
to 160 ms from 48 to 8 kHz, until `finish`. Quality "HQ": it costs what the lower ones do, 1.8 s of
processor time an hour of 48 kHz stereo on a desktop machine. Samples pass through it as floats and
are rounded here: soxr's own 16-bit output is dithered, which would turn silence into noise.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recorderd.ports import Clip

SAMPLE_BYTES = 2


def take_channels(block: bytes, channels: int, near: int, far: int) -> bytes:
    """Channels `near` and `far` (1-based) out of interleaved 16-bit frames of `channels`."""
    if (channels, near, far) == (2, 1, 2):
        return block
    samples = array("h", block)
    pair = array("h", bytes(2 * SAMPLE_BYTES * (len(samples) // channels)))
    pair[0::2] = samples[near - 1 :: channels]
    pair[1::2] = samples[far - 1 :: channels]
    return pair.tobytes()


class Resampler:
    """A stream of interleaved 16-bit frames at one rate, turned into another rate."""

    def __init__(self, capture_rate_hz: int, record_rate_hz: int, channels: int = 2) -> None:
        self._capture_rate_hz = capture_rate_hz
        self._record_rate_hz = record_rate_hz
        self._channels = channels
        self._fed_frames = 0
        self._given_frames = 0
        self._converter = None
        if capture_rate_hz != record_rate_hz:
            self._converter = _Converter(capture_rate_hz, record_rate_hz, channels)

    def feed(self, block: bytes) -> bytes:
        """The output that has become certain by `block`; often more or less than its share."""
        self._fed_frames += len(block) // (SAMPLE_BYTES * self._channels)
        return block if self._converter is None else self._count(self._converter.convert(block))

    def finish(self) -> bytes:
        """The rest: in all, exactly the input's frames times the ratio, a half rounded up.

        Nothing can be fed afterwards.
        """
        if self._converter is None:
            return b""
        rest = self._converter.convert(b"", last=True)
        ratio_top, ratio_bottom = self._record_rate_hz, self._capture_rate_hz
        wanted = (2 * self._fed_frames * ratio_top + ratio_bottom) // (2 * ratio_bottom)
        size = (wanted - self._given_frames) * SAMPLE_BYTES * self._channels
        return self._count(rest[:size].ljust(size, b"\0"))

    def _count(self, block: bytes) -> bytes:
        self._given_frames += len(block) // (SAMPLE_BYTES * self._channels)
        return block


def clip_at(clip: Clip, rate_hz: int) -> bytes:
    """The samples of an announcement at another rate: 16 bit, mono."""
    resampler = Resampler(clip.rate_hz, rate_hz, channels=1)
    return resampler.feed(clip.pcm) + resampler.finish()


class _Converter:
    """The only user of soxr and numpy here; a line that needs no conversion never loads them."""

    def __init__(self, in_rate_hz: int, out_rate_hz: int, channels: int) -> None:
        import numpy as np  # noqa: PLC0415 - see the class
        import soxr  # noqa: PLC0415

        self._np = np
        self._channels = channels
        self._stream = soxr.ResampleStream(
            in_rate_hz, out_rate_hz, channels, dtype="float32", quality="HQ"
        )

    def convert(self, block: bytes, *, last: bool = False) -> bytes:
        np = self._np
        samples = np.frombuffer(block, np.int16).reshape(-1, self._channels).astype(np.float32)
        out = self._stream.resample_chunk(samples, last=last)
        rounded: bytes = np.clip(np.rint(out), -32768, 32767).astype(np.int16).tobytes()
        return rounded
