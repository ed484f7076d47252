"""Sound devices as PortAudio lists them, and the choice of one by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from recorderd.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Use = Literal["input", "output"]

SOFTWARE_NAMES: Final = frozenset({
    "default",
    "sysdefault",
    "dsnoop",
    "plug",
    "plughw",
    "front",
    "asym",
})
"""ALSA devices that deliver as many channels as they are asked for by copying the ones the card
has: two equal channels from a mono card would pass for near and far."""


JACK: Final = "JACK Audio Connection Kit"  # as PortAudio names it


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One line of PortAudio's list. The index holds for this list only."""

    index: int
    name: str
    host_api: str
    input_channels: int
    output_channels: int
    default_rate_hz: int

    @property
    def is_jack(self) -> bool:
        """JACK runs at periods of its own and loses whole ones."""
        return self.host_api == JACK

    @property
    def is_hardware(self) -> bool:
        """ALSA's direct devices carry their address; all others have software in between."""
        return "(hw:" in self.name

    def channels(self, use: Use) -> int:
        return self.input_channels if use == "input" else self.output_channels


def choose(devices: Sequence[DeviceInfo], wanted: str, channels: int, use: Use) -> DeviceInfo:
    """The one device named `wanted`, or with that in its name, with enough channels.

    Raises DeviceError, whose text says what is there and what to write instead.
    """
    matching = _matching(devices, wanted)
    if not matching:
        raise DeviceError(_none_matches(devices, wanted, use))
    fitting = [device for device in matching if device.channels(use) >= channels]
    if not fitting:
        raise DeviceError(_too_few_channels(devices, matching[0], channels, use))
    if len(fitting) > 1:
        raise DeviceError(_several_match(fitting, wanted))
    if use == "input" and fitting[0].name.partition(":")[0] in SOFTWARE_NAMES:
        raise DeviceError(_made_up_channels(devices, fitting[0]))
    return fitting[0]


def _matching(devices: Iterable[DeviceInfo], wanted: str) -> list[DeviceInfo]:
    exact = [device for device in devices if device.name == wanted]
    sought = wanted.casefold()
    return exact or [device for device in devices if sought in device.name.casefold()]


def _none_matches(devices: Sequence[DeviceInfo], wanted: str, use: Use) -> str:
    return (
        f'no sound device is named "{wanted}"; found: {_listed(devices, use)}. '
        "Write a name, or a unique part of one, as the device; "
        "a card that another program holds is not listed"
    )


def _several_match(fitting: Iterable[DeviceInfo], wanted: str) -> str:
    names = ", ".join(f'"{device.name}" ({device.host_api})' for device in fitting)
    return f'"{wanted}" matches several sound devices: {names}. Write more of the name'


def _too_few_channels(
    devices: Sequence[DeviceInfo], device: DeviceInfo, channels: int, use: Use
) -> str:
    has = device.channels(use)
    enough = [other for other in devices if other.channels(use) >= channels]
    return (
        f'sound device "{device.name}" has {has} {use} channel{"s" * (has != 1)}, '
        f"{channels} are needed. Most small USB adapters take in one only; "
        f"use a card with a stereo line input. With enough channels: {_listed(enough, use)}"
    )


def _made_up_channels(devices: Iterable[DeviceInfo], device: DeviceInfo) -> str:
    real = [other for other in devices if other.name.partition(":")[0] not in SOFTWARE_NAMES]
    return (
        f'sound device "{device.name}" is software that copies channels which the card may not '
        f"have; name the card itself: {_listed(real, 'input')}"
    )


def _listed(devices: Iterable[DeviceInfo], use: Use) -> str:
    names = [f'"{device.name}" ({device.channels(use)} {use})' for device in devices]
    return ", ".join(names) or "none"
