"""The process that owns one sound card: `python -m recorderd.drivers.sound_child SETTINGS`.

Why a process: four busy Python threads beside PyAudio's callback cost a fifth of the audio, and
none of it when the callback has an interpreter of its own; a card that is pulled out can leave
PortAudio hanging or silent with no error, and PortAudio never looks for new cards in a running
process. A child can be killed and started again, and can have a priority of its own.

Why callbacks: they carry the overflow flag of their own block. A blocking read reports the same
with `exception_on_overflow=True` by closing the stream, and with False not at all.

The child writes frames into the shared ring and exchanges JSON datagrams with its parent:
it says `opened` or `failed` once, then `played` for each clip; it is told `play` (with the
samples in an anonymous file, as a passed descriptor) and `stop`. When the parent's end closes, for
whatever reason, the child ends. It imports neither numpy nor soundfile, and lives in about 20 MB.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from recorderd.core.frameclock import FrameClock
from recorderd.core.holes import Block, HoleFinder
from recorderd.drivers.sound_devices import DeviceInfo, choose
from recorderd.drivers.sound_player import Mixer, Played, Player
from recorderd.errors import DeviceError
from recorderd.media.ring import RingWriter
from recorderd.units import NS_PER_MS, NS_PER_S, MonoNs, frames_to_ns, later

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recorderd.core.manifest import GapCause

BLOCKS_PER_S: Final = 10
"""Capture blocks. PortAudio gives ALSA a buffer of about two, so a block is how long this process
may be held up without loss; and each one is a wake-up. Measured on PulseAudio, in seconds of
processor a minute: 1.0 with 50 blocks a second, 0.4 with 20, 0.2 with 10, 0.1 with 5."""

SETTLING_NS: Final = 2 * NS_PER_S  # PulseAudio's account of a new stream is wrong for 1.3 s
LONGEST_HELD_BACK_NS: Final = 2 * NS_PER_S // BLOCKS_PER_S  # ALSA's buffer: two blocks

SERVER_PROOF_NS: Final = 250 * NS_PER_MS
"""PulseAudio's clock slips by up to 100 ms, with no frame lost, when another client comes."""

OUTPUT_BLOCKS_PER_S: Final = 50
"""Output blocks: two or three lie in the card, so a clip that is stopped ends within 60 ms."""

MOST_OUTPUT_CHANNELS: Final = 8
"""A device with more is a sound server's, which would spread a clip over as many as are opened."""

FIND_ATTEMPTS: Final = 3
FIND_PAUSE_S: Final = 0.3
"""While another process opens PortAudio, devices are missing from the list for a moment."""

NICENESS: Final = -11
"""Ahead of every ordinary process, but not real-time: PortAudio's thread spins while a sound server
has no frames yet, and may while a card is gone, and a real-time thread that spins takes the
processor from the very server that it waits for (and on a small board from the recorder)."""
TEND_EVERY_S: Final = 0.05  # only while a clip is announced or playing
MESSAGE_BYTES: Final = 65536
INVALID_RATE: Final = -9997  # paInvalidSampleRate


@dataclass(frozen=True, slots=True)
class Settings:
    """What the parent wants. `channels` 0: playback only. `cause` names a hole before us."""

    name: str
    rate_hz: int
    channels: int
    ring_fd: int
    socket_fd: int
    cause: GapCause


class Link:
    """The child's end of the socket."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self.orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def send(self, kind: str, **fields: object) -> None:
        """Tell the parent; if it is gone there is nobody to tell."""
        try:
            self._socket.send(json.dumps({"kind": kind, **fields}).encode())
        except OSError:
            os._exit(1)

    def listen(self) -> None:
        """Queue orders until the parent is gone, then end this process at once.

        In a thread of its own, so that not even a hanging sound library makes an orphan.
        """
        try:
            while (order := self._receive()) is not None:
                self.orders.put(order)
        finally:  # a parent that was killed may also leave an error here instead of an end
            os._exit(0)

    def _receive(self) -> dict[str, Any] | None:
        data, fds, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES, 1)
        if not data:
            return None
        order: dict[str, Any] = json.loads(data)
        for fd in fds:
            with os.fdopen(fd, "rb") as file:
                file.seek(0)
                order["pcm"] = file.read()
        return order


class Account:
    """When a block's last frame was captured, by what the card says of its frames' age.

    A sound server holds frames back, by more or less as its clients come and go, and says so (or
    hands them over early, where it is its own output that is captured); hardware hands them over
    at once. The word is taken only where it can be true: not in the first seconds, when servers
    are still estimating, and not for more than the capture buffer holds. Else the arrival stands.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._settled_at: MonoNs | None = None

    def captured_at(self, at: MonoNs, frames: int, age_of_first_s: float) -> MonoNs:
        if self._settled_at is None:
            self._settled_at = later(at, SETTLING_NS)
        held_back_ns = round((age_of_first_s - frames / self._rate_hz) * NS_PER_S)
        if at < self._settled_at or abs(held_back_ns) > LONGEST_HELD_BACK_NS:
            return at
        return later(at, -held_back_ns)


class Library:
    """PyAudio, with one list of devices for its whole life."""

    def __init__(self) -> None:
        try:
            import pyaudio  # noqa: PLC0415 - the library is loaded where it is opened
        except ImportError as error:
            raise DeviceError(
                f"PyAudio is not installed ({error}); install it: apt install portaudio19-dev gcc, "
                'then pip install "recorderd[pi]"'
            ) from error
        self._pyaudio = pyaudio
        self._audio = pyaudio.PyAudio()

    def devices(self) -> list[DeviceInfo]:
        return [self._device(index) for index in range(self._audio.get_device_count())]

    def _device(self, index: int) -> DeviceInfo:
        raw = self._audio.get_device_info_by_index(index)
        return DeviceInfo(
            index=index,
            name=str(raw["name"]),
            host_api=str(self._audio.get_host_api_info_by_index(raw["hostApi"])["name"]),
            input_channels=int(raw["maxInputChannels"]),
            output_channels=int(raw["maxOutputChannels"]),
            default_rate_hz=round(raw["defaultSampleRate"]),
        )

    def output_rate(self, device: DeviceInfo, channels: int, wanted_hz: int) -> int | None:
        """The first rate that the output takes: the capture's, since a card likes one best."""
        for rate_hz in dict.fromkeys((wanted_hz, device.default_rate_hz, 48000, 44100)):
            try:
                self._audio.is_format_supported(
                    rate_hz,
                    output_device=device.index,
                    output_channels=channels,
                    output_format=self._pyaudio.paInt16,
                )
            except ValueError:
                continue
            return rate_hz
        return None

    def capture(
        self,
        device: DeviceInfo,
        rate_hz: int,
        channels: int,
        on_block: Callable[[Block], None],
    ) -> None:
        """Start delivering blocks, in PortAudio's thread. JACK's own blocks are its periods."""
        account = Account(rate_hz)

        def callback(
            data: bytes, frames: int, times: Mapping[str, float], flags: int
        ) -> tuple[None, int]:
            at = MonoNs(time.monotonic_ns())
            age_s = times["current_time"] - times["input_buffer_adc_time"]  # of the first frame
            flagged = bool(flags & self._pyaudio.paInputOverflow)
            on_block(Block(data, frames, at, account.captured_at(at, frames, age_s), flagged))
            return None, self._pyaudio.paContinue

        self._audio.open(
            rate=rate_hz,
            channels=channels,
            format=self._pyaudio.paInt16,
            input=True,
            input_device_index=device.index,
            frames_per_buffer=0 if device.is_jack else rate_hz // BLOCKS_PER_S,
            stream_callback=callback,
        )

    def playback(self, device: DeviceInfo, mixer: Mixer) -> Any:  # a pyaudio stream, untyped
        """Start pulling blocks from the mixer. Raises OSError."""
        latency_s = 0.0

        def callback(
            _data: None, frames: int, times: Mapping[str, float], _flags: int
        ) -> tuple[bytes, int]:
            now = MonoNs(time.monotonic_ns())
            ahead_s = times["output_buffer_dac_time"] - times["current_time"]
            # Some drivers leave the time of leaving empty; the stream's figure serves then.
            delay_s = ahead_s if 0 < ahead_s < 2 else latency_s
            leaves_at = later(now, round(delay_s * NS_PER_S))
            return mixer.block(frames, now, leaves_at), self._pyaudio.paContinue

        stream = self._audio.open(
            rate=mixer.rate_hz,
            channels=mixer.channels,
            format=self._pyaudio.paInt16,
            output=True,
            output_device_index=device.index,
            frames_per_buffer=mixer.rate_hz // OUTPUT_BLOCKS_PER_S,
            stream_callback=callback,
            start=False,
        )
        latency_s = stream.get_output_latency()
        stream.start_stream()
        return stream

    def close(self) -> None:
        self._audio.terminate()


class Recorder:
    """Puts blocks into the ring, and silence where frames are missing."""

    def __init__(self, settings: Settings, device: DeviceInfo) -> None:
        self._ring = RingWriter(settings.ring_fd)
        self._cause = settings.cause
        self._device = device
        self._finder: HoleFinder | None = None

    def on_block(self, block: Block) -> None:
        """Called in the sound library's thread, for each block."""
        self._ring.beat(block.at, overrun=block.flagged)
        if self._finder is None:
            self._finder = self._start(block)
        for placed in self._finder.feed(block):
            if placed.lost_before:
                self._ring.append_loss(placed.lost_before, self._cause)
            self._ring.append(placed.block.data, placed.block.captured_at)
            self._cause = "overrun"

    def _start(self, block: Block) -> HoleFinder:
        head = self._ring.head()
        due_at = FrameClock(self._ring.rate_hz, self._ring.anchors()).time_of(head)
        block_ns = frames_to_ns(block.frames, self._ring.rate_hz)
        if self._device.is_jack:
            return HoleFinder(self._ring.rate_hz, head, due_at, block.frames, block_ns // 2)
        proof_ns = block_ns // 2 if self._device.is_hardware else SERVER_PROOF_NS
        return HoleFinder(self._ring.rate_hz, head, due_at, 1, proof_ns)


class Card:
    """The card as opened: capture running, output ready to be opened for a clip."""

    def __init__(self, settings: Settings, link: Link) -> None:
        self._link = link
        self._library, self._input, self._output = _find(settings)
        self._player = self._make_player(settings.rate_hz)
        if self._input is not None:
            self._start_capture(settings, self._input)

    def serve(self) -> None:
        """Carry out orders for ever."""
        while True:
            waits_s = TEND_EVERY_S if self._player is not None and self._player.is_open else None
            with contextlib.suppress(queue.Empty):
                self._obey(self._link.orders.get(timeout=waits_s))
            if self._player is not None:
                self._player.tend()

    def _obey(self, order: dict[str, Any]) -> None:
        if self._player is None:
            return
        if order["kind"] == "play":
            self._player.play(order["token"], order["pcm"], order["channel"], order["at"])
        else:
            self._player.stop(order["token"])

    def _start_capture(self, settings: Settings, device: DeviceInfo) -> None:
        recorder = Recorder(settings, device)
        try:
            self._library.capture(device, settings.rate_hz, settings.channels, recorder.on_block)
        except (OSError, ValueError) as error:
            raise DeviceError(_why_not_open(device, settings.rate_hz, error)) from error

    def _make_player(self, rate_hz: int) -> Player | None:
        """Also tells the parent what can be played, so that it sends the right rate."""
        device = self._output
        channels = rate = 0
        if device is not None:
            channels = device.output_channels
            channels = channels if channels <= MOST_OUTPUT_CHANNELS else 2
            rate = self._library.output_rate(device, channels, rate_hz) or 0
        self.opened = {"output_rate_hz": rate, "output_channels": channels if rate else 0}
        if device is None or not rate:
            return None
        mixer = Mixer(rate, channels)
        open_stream = lambda: self._library.playback(device, mixer)  # noqa: E731
        return Player(mixer, open_stream, self._report, lambda: MonoNs(time.monotonic_ns()))

    def _report(self, played: Played) -> None:
        self._link.send("played", **asdict(played))


def _find(settings: Settings) -> tuple[Library, DeviceInfo | None, DeviceInfo | None]:
    """The library, and the card for input and for output, after a few looks."""
    for attempt in range(1, FIND_ATTEMPTS + 1):
        library = Library()
        try:
            return library, *_find_once(library.devices(), settings)
        except DeviceError:
            if attempt == FIND_ATTEMPTS:
                raise
        library.close()
        time.sleep(FIND_PAUSE_S)
    raise AssertionError("the last attempt returns or raises")


def _find_once(
    devices: list[DeviceInfo], settings: Settings
) -> tuple[DeviceInfo | None, DeviceInfo | None]:
    if not settings.channels:
        return None, choose(devices, settings.name, 1, "output")
    found = choose(devices, settings.name, settings.channels, "input")
    try:
        return found, choose(devices, settings.name, 1, "output")
    except DeviceError:
        return found, None  # many inputs have no output; a clip for it is answered with an error


def _why_not_open(device: DeviceInfo, rate_hz: int, error: Exception) -> str:
    if error.args and error.args[0] == INVALID_RATE:
        return (
            f'sound device "{device.name}" does not capture at {rate_hz} Hz; '
            f"its own rate is {device.default_rate_hz} Hz: write that as capture_rate_hz"
        )
    return f'sound device "{device.name}" cannot be opened: {error}; it is tried again'


def _quieten() -> None:
    """Send what sound libraries print to nowhere, and what Python prints to where it went."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    os.environ["JACK_NO_START_SERVER"] = "1"


def _raise_priority() -> None:
    """Before any stream opens, since PortAudio's threads inherit it. Not permitted: as we are."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)


def _run(settings: Settings) -> None:
    link = Link(settings.socket_fd)
    threading.Thread(target=link.listen, name="orders", daemon=True).start()
    _raise_priority()
    try:
        card = Card(settings, link)
    except DeviceError as error:
        link.send("failed", reason=str(error))
        return
    gc.collect()
    gc.freeze()
    gc.disable()  # nothing here makes cycles, and a collection would hold up a callback
    link.send("opened", **card.opened)
    card.serve()


def _list() -> None:
    try:
        answer: dict[str, Any] = {"devices": [asdict(item) for item in Library().devices()]}
    except (DeviceError, OSError) as error:
        answer = {"reason": str(error)}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()


def main() -> None:
    """Signals are for the parent, which seals what is open and then closes our socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _quieten()
    if sys.argv[1] == "list":
        _list()
    else:
        _run(Settings(**json.loads(sys.argv[1])))
    os._exit(0)  # PortAudio's own end may hang on a card that is gone


if __name__ == "__main__":
    main()
