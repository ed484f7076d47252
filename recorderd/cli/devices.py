"""`recorderd devices`: what this box offers, in the words that the configuration wants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recorderd.drivers.audio_pyaudio import list_devices
from recorderd.errors import DeviceError

if TYPE_CHECKING:
    import argparse


def devices(options: argparse.Namespace) -> int:
    """List sound devices, serial ports and GPIO chips."""
    found, problem = find_devices()
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return 0
    console = Console()
    if problem is not None:
        console.print(escape(problem))
    print_devices(found, console)
    return 0


def find_devices() -> tuple[dict[str, Any], str | None]:
    """Everything that line.audio.device, line.modem.port and line.hook.chip may name."""
    problem = None
    sound: list[dict[str, Any]] = []
    try:
        sound = [
            {
                "name": device.name,
                "host_api": device.host_api,
                "input_channels": device.input_channels,
                "output_channels": device.output_channels,
                "default_rate_hz": device.default_rate_hz,
            }
            for device in list_devices()
        ]
    except DeviceError as error:
        problem = str(error)
    return {"sound": sound, "serial": serial_ports(), "gpio": gpio_chips()}, problem


def serial_ports() -> list[str]:
    """Serial ports by the names that survive a replug, where there are such names."""
    stable = sorted(str(path) for path in Path("/dev/serial/by-id").glob("*"))
    return stable or sorted(
        str(path) for pattern in ("ttyACM*", "ttyUSB*") for path in Path("/dev").glob(pattern)
    )


def gpio_chips() -> list[str]:
    """GPIO character devices."""
    return sorted(str(path) for path in Path("/dev").glob("gpiochip*"))


def print_devices(found: dict[str, Any], console: Console) -> None:
    """One table for sound, a line each for the others."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("sound device", "in", "out", "rate", "interface"):
        table.add_column(title)
    for device in found["sound"]:
        table.add_row(
            escape(device["name"]),
            str(device["input_channels"]),
            str(device["output_channels"]),
            str(device["default_rate_hz"]),
            device["host_api"],
        )
    console.print(table if found["sound"] else "[bold]sound devices[/bold]  none")
    for kind, title in (("serial", "serial ports"), ("gpio", "GPIO chips")):
        console.print(f"[bold]{title}[/bold]  {escape(', '.join(found[kind]) or 'none')}")
