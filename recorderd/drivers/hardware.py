"""The devices of this box, by the drivers that the configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recorderd.config.values import Line
    from recorderd.ports import Clock, HookSensor, Inbox, Modem, Post, SoundCard


class HardwareDevices:
    """The real devices of this box. Each library is imported when its device is opened."""

    def __init__(self, clock: Clock, inbox: Inbox) -> None:
        self.clock = clock
        self.inbox = inbox
        self._post: Post = inbox.post

    def card(self, name: str, rate_hz: int, channels: int, ring_seconds: int) -> SoundCard:
        from recorderd.drivers.audio_pyaudio import PyAudioCard  # noqa: PLC0415

        return PyAudioCard(name, rate_hz, channels, ring_seconds, self._post, self.clock.now)

    def sensor(self, line: Line) -> HookSensor:
        if line.hook.driver == "gpiod":
            from recorderd.drivers.gpio_chip import GpiodSensor  # noqa: PLC0415

            return GpiodSensor(line, self._post, self.clock.now)
        from recorderd.drivers.gpio_rpi import RpiGpioSensor  # noqa: PLC0415

        return RpiGpioSensor(line, self._post, self.clock.now)

    def modem(self, line: Line) -> Modem:
        from recorderd.drivers.modem_serial import SerialModem  # noqa: PLC0415

        assert line.modem is not None
        return SerialModem(line.modem, line.name, self._post, self.clock.now)
