"""Caller-ID bursts in FSK: Bell 202 and V.23 at 1200 bit/s, and the messages in them.

Every burst has a run of mark before its first character: 80 bits or more in North America, 55 or
more in the United Kingdom, some 70 in Japan (which has nothing before it; the others may have a
seizure of alternating bits). Such a run is one steady tone, of at least 45 ms, whose frequency says
which modulation it is and how far its frequencies are off. What follows each run is decided bit by
bit (cpfsk.py) once the burst is over, read as characters of a start bit, eight bits and a stop bit,
and given to the parser that the modem's reports go through too (core/callerid.py).

An 8-bit checksum alone lets one wrong message in 256 pass, and two errors in the same column of two
characters in 16 of them; so a message counts only where every character had its stop bit, its
fields hold what such fields hold, and the decisions themselves leave little doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recorderd.core.callerid import (
    DLE_SOH,
    SDMF_CALL,
    SDMF_MESSAGE_WAITING,
    CallerIdMessage,
    FrameError,
    is_plausible,
    own_bytes,
    parse_frame,
    parse_number_display,
)
from recorderd.dsp.cpfsk import BAUD, SPEED_MAX, Bits, Tones, receive
from recorderd.dsp.spectrum import HOP, RATE_HZ, WINDOW, Batch, Spectrum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Mark and space: Bell 202 (Telcordia GR-30-CORE); ITU-T V.23, channel 1.
MODULATIONS: Final = {"bell202": (1200.0, 2200.0), "v23": (1300.0, 2100.0)}

MARK_HZ = (1100.0, 1400.0)
MARK_SHARE = 0.5  # of the power; white noise as strong as the burst leaves it 0.54
MARK_FRAMES = 5  # 36 ms: 55 bits of mark, the fewest anywhere (BT SIN 227), are 46 ms
MARK_MEASURED = 1600  # samples: 200 ms give its frequency to a fraction of a hertz

BURST_HZ = (900.0, 2500.0)
BURST_SHARE = 0.6  # white noise alone has 0.43
BURST_PAUSE_FRAMES = 8  # 40 ms without it: the burst is over
BURST_MAX_FRAMES = 2600 * RATE_HZ // 1000 // HOP
"""The longest message, 258 characters, takes 2.15 s; slow senders and pauses between characters
get 20 % more."""
BURST_MIN_FRAMES = 20  # 100 ms: the shortest message has 11 characters, 92 ms, and mark around

MARK_BEFORE = 8  # bits that must be mark before the first start bit
START_WITHIN = 60  # bits after the segment begins
STUFFING_MAX = 24  # bits of mark between characters: 10 in EN 300 659-2, and doubled
ERRORS_EXPECTED_MAX = 0.35
STRONG_ERRORS_EXPECTED_MAX = 3.0
"""Bits of a message that may be wrong by its own noise, on average, for it to be believed: with an
8-bit checksum, and with a CRC of 16 bits and a parity bit in every character."""
UNSEEN_EXPECTED_MAX = 3e-4
"""Pairs of wrong bits, on average, that leave an 8-bit checksum right: in the same place of two
characters, one turned each way. The bits' odds are somewhat too good, so this is strict."""
SIGNAL_TO_NOISE_MIN = 6.5
"""In a bit's band; a burst 3.5 dB over white noise has about 8. Where most messages fail, one in some
hundred fails in a way that no bit gives away, so none is believed there."""
CHARACTERS_MAX = 258

NUMBER_DISPLAY: Final = "number-display"


@dataclass(frozen=True, slots=True)
class FskMessage:
    """One message with a right checksum, and where in the audio it was."""

    start: int  # the first sample of its burst
    stop: int
    standard: str  # "bell202-sdmf", "bell202-mdmf", "v23-sdmf", "v23-mdmf", "number-display"
    message: CallerIdMessage
    raw: bytes  # as on the wire, with checksum


@dataclass(slots=True)
class _Burst:
    start_frame: int
    mark_first: int
    mark_last: int
    pause: int = 0


class FskReceiver:
    """Finds runs of mark in the spectra, and reads what follows each when its burst is over."""

    def __init__(self, spectrum: Spectrum) -> None:
        self._spectrum = spectrum
        self._carrier_first = 0
        self._carrier_pause = BURST_PAUSE_FRAMES
        self._mark_frames = 0
        self._bursts: list[_Burst] = []

    def handle(self, batch: Batch) -> list[FskMessage]:
        """The messages whose bursts end in these frames."""
        marks = batch.share(*MARK_HZ) >= MARK_SHARE
        carrier = batch.share(*BURST_HZ) >= BURST_SHARE
        found: list[FskMessage] = []
        signs = zip(marks.tolist(), carrier.tolist(), strict=True)
        for frame, (is_mark, is_carrier) in enumerate(signs, batch.first_frame):
            if is_carrier:
                if self._carrier_pause >= 3:
                    self._carrier_first = frame
                self._carrier_pause = 0
            else:
                self._carrier_pause += 1
            if self._bursts:
                found += self._close(frame, is_carrier=is_carrier)
            if is_mark:
                self._mark_frames += 1
            elif self._mark_frames:
                self._end_mark(frame)
        return found

    def finish(self, frame: int) -> list[FskMessage]:
        """The messages of bursts that go on when the sound ends."""
        found = [message for burst in self._bursts for message in self._read(burst, frame)]
        self._bursts = []
        return found

    def _end_mark(self, frame: int) -> None:
        """A run of mark ends before this frame: what follows it is a burst, if it was long enough."""
        if self._mark_frames >= MARK_FRAMES:
            first = frame - self._mark_frames
            self._bursts.append(_Burst(min(self._carrier_first, first), first, frame - 1))
        self._mark_frames = 0

    def _close(self, frame: int, *, is_carrier: bool) -> list[FskMessage]:
        found, going_on = [], []
        for burst in self._bursts:
            burst.pause = 0 if is_carrier else burst.pause + 1
            length = frame - burst.mark_last
            if burst.pause < BURST_PAUSE_FRAMES and length < BURST_MAX_FRAMES:
                going_on.append(burst)
            elif length - burst.pause >= BURST_MIN_FRAMES:
                found += self._read(burst, frame)
        self._bursts = going_on
        return found

    def _read(self, burst: _Burst, frame: int) -> list[FskMessage]:
        mark_start = burst.mark_first * HOP + WINDOW // 4
        mark_stop = burst.mark_last * HOP + 3 * WINDOW // 4
        mark = self._spectrum.samples(max(mark_start, mark_stop - MARK_MEASURED), mark_stop)
        modulation, tones = _tones(_frequency(mark))
        if tones is None:
            return []
        start = max(mark_start, mark_stop - 40 * RATE_HZ // BAUD)
        segment = self._spectrum.samples(start, frame * HOP + WINDOW)
        bits = receive(segment, tones)
        for message, last in _messages(bits):
            standard = _standard(modulation, message)
            stop = start + int(bits.begins[last - 1])
            return [FskMessage(burst.start_frame * HOP, stop, standard, *message)]
        return []


def _frequency(tone: NDArray[np.float64]) -> float:
    """The frequency of one steady tone in the mark's band, in Hz."""
    size = 8192
    window = np.hanning(len(tone))
    low, high = (round(edge * size / RATE_HZ) for edge in MARK_HZ)
    power = np.abs(np.fft.rfft(tone * window, size)[low - 1 : high + 2]) ** 2
    peak = 1 + int(power[1:-1].argmax())
    before, there, after = np.log(power[peak - 1 : peak + 2] + 1e-300)
    bend = before - 2 * there + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float((low - 1 + peak + shift) * RATE_HZ / size)


def _tones(mark_hz: float) -> tuple[str, Tones | None]:
    """The modulation whose mark this is; its space is taken to be off by as much."""
    for name, (mark, space) in MODULATIONS.items():
        speed = mark_hz / mark
        if abs(speed - 1) <= SPEED_MAX:
            return name, Tones(mark_hz, space * speed)
    return "", None


# ---------------------------------------------------------------- bits to messages


def _messages(bits: Bits) -> Iterator[tuple[tuple[CallerIdMessage, bytes], int]]:
    """Messages that can be read from one of the first start bits, and the place after their last bit."""
    values = bits.values
    for start in range(MARK_BEFORE, min(START_WITHIN, len(values))):
        if values[start] or not values[start - MARK_BEFORE : start].all():
            continue
        characters = list(_characters(values, start))
        data = bytes(byte for byte, _ in characters)
        read = _parse(data)
        if read is not None:
            stop = characters[len(read[1]) - 1][1]
            if _is_sure(bits, start, stop, [end for _, end in characters[: len(read[1])]], read[1]):
                yield read, stop


def _is_sure(bits: Bits, start: int, stop: int, ends: list[int], raw: bytes) -> bool:
    """Whether the bits of a message that passed its check leave little doubt; `ends` of characters."""
    odds = bits.error_odds(start, stop)
    if raw.startswith(DLE_SOH):
        return float(odds.sum()) <= STRONG_ERRORS_EXPECTED_MAX
    if bits.signal_to_noise(start, stop) < SIGNAL_TO_NOISE_MIN:
        return False
    places = np.array(ends)[:, None] - np.arange(8, 0, -1)
    wrong, is_one = odds[places - start], bits.values[places] == 1
    pairs = (wrong * is_one).sum(axis=0) * (wrong * ~is_one).sum(axis=0)
    # Both ways are the same in the highest place, which is worth half of the sum's modulus.
    pairs[7] = (wrong[:, 7].sum() ** 2 - (wrong[:, 7] ** 2).sum()) / 2
    return bool(odds.sum() <= ERRORS_EXPECTED_MAX and pairs.sum() <= UNSEEN_EXPECTED_MAX)


def _characters(values: NDArray[np.int8], start: int) -> Iterator[tuple[int, int]]:
    """Characters from a start bit on, each with the place after it, until one has no stop bit.

    That one is given too: a sender may cut the stop bit of its last character short.
    """
    place = start
    for _ in range(CHARACTERS_MAX):
        if place + 9 > len(values):
            return
        yield int(values[place + 1 : place + 9] @ (1 << np.arange(8))), place + 9
        place += 9
        if place >= len(values) or not values[place]:
            return
        rest = values[place : place + STUFFING_MAX]
        if rest.all():
            return
        place += int(rest.argmin())


def _parse(data: bytes) -> tuple[CallerIdMessage, bytes] | None:
    """The message at the head of `data` and its own bytes; None where there is none that is whole."""
    try:
        own = own_bytes(data)
        if own.startswith(DLE_SOH):
            return parse_number_display(own), own
        return (parse_frame(own), own) if is_plausible(own) else None
    except FrameError:
        return None


def _standard(modulation: str, read: tuple[CallerIdMessage, bytes]) -> str:
    _, raw = read
    if raw.startswith(DLE_SOH):
        return NUMBER_DISPLAY
    form = "sdmf" if raw[0] in {SDMF_CALL, SDMF_MESSAGE_WAITING} else "mdmf"
    return f"{modulation}-{form}"
