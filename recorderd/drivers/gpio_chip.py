"""Hook and ring pins through the kernel's GPIO character device, by the `gpiod` library (2.x).

The kernel stamps each edge itself, on the clock that `MonoNs` counts, so that a busy machine cannot
shift a dial pulse. Polarity is the kernel's too (active-low lines), so an active value is off-hook
or ringing. Its buffer keeps the newest 1024 edges; what it dropped shows as a gap in the line's
sequence numbers, and is told as EdgesLost.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from recorderd.drivers.pin_driver import PinDriver
from recorderd.errors import DeviceError
from recorderd.units import MonoNs

if TYPE_CHECKING:
    from recorderd.drivers.pin_driver import Pin

WAIT_S = 0.1
EVENT_BUFFER_SIZE = 1024  # the kernel's own limit: 16 events for each of 64 lines (linux/gpio.h)

_MENDS = {
    errno.ENOENT: "there is no such chip; `gpiodetect` lists what there is (a Pi 5 has its header "
    "on gpiochip0 or gpiochip4, by kernel)",
    errno.EACCES: "no permission; add the user of the service to the group gpio",
    errno.EPERM: "no permission; add the user of the service to the group gpio",
    errno.EBUSY: "another program or a device-tree overlay holds the pin; `gpioinfo` names it",
    errno.ENODEV: "this is no GPIO chip; `gpiodetect` lists what there is",
    errno.ENOTTY: "this is no GPIO chip; `gpiodetect` lists what there is",
    errno.EINVAL: "the chip has no such pin, or cannot watch it for edges or set its pull; "
    "`gpioinfo` lists the pins",
}


class GpiodSensor(PinDriver):
    """The hook and ring pins of one line of a GPIO chip; a `ports.HookSensor`."""

    _request: Any = None
    _rising: Any = None
    _opened_at = MonoNs(0)

    def _open(self) -> str:
        gpiod = _load()
        self._rising = gpiod.EdgeEvent.Type.RISING_EDGE
        chip = self._line.hook.chip
        try:
            self._request = gpiod.request_lines(
                chip,
                consumer="recorderd",
                event_buffer_size=EVENT_BUFFER_SIZE,
                config={pin.number: _settings(gpiod, pin) for pin in self._pins.values()},
            )
            self._opened_at = self._now()
            for pin in self._pins.values():
                is_active = bool(self._request.get_value(pin.number))
                self._post_level(pin, self._opened_at, is_active=is_active)
        except (OSError, ValueError) as error:
            raise self._explained(error) from error
        return f"edges of {chip}, stamped by the kernel"

    def _serve(self) -> None:
        try:
            if self._request.wait_edge_events(WAIT_S):
                for event in self._request.read_edge_events():
                    self._take(event)
        except OSError as error:
            raise self._explained(error) from error
        for pin in self._pins.values():
            pin.gate.tick(self._now())

    def _release(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            request.release()

    def _take(self, event: Any) -> None:
        pin = self._pins[event.line_offset]
        missed = event.line_seqno - pin.last_seqno - 1
        pin.last_seqno = event.line_seqno
        if missed > 0:
            pin.gate.lost(missed)
        # The level read at the start already holds what the edges before it did.
        if event.timestamp_ns > self._opened_at:
            is_active = event.event_type is self._rising
            pin.gate.edge(MonoNs(event.timestamp_ns), level=is_active)
        if missed > 0:
            pin.gate.level = bool(self._request.get_value(pin.number))

    def _explained(self, error: OSError | ValueError) -> DeviceError:
        number = error.errno if isinstance(error, OSError) else None
        mend = _MENDS.get(number or 0, str(error))
        pins = " and ".join(str(pin) for pin in self._pins)
        return DeviceError(f"cannot read pin {pins} of {self._line.hook.chip}: {mend}")


def _load() -> Any:
    try:
        import gpiod  # noqa: PLC0415  (hardware libraries are imported only where used)
    except ImportError as error:
        raise DeviceError(
            'the Python library gpiod is missing; install it: pip install "recorderd[pi]"'
        ) from error
    if not hasattr(gpiod, "request_lines"):
        raise DeviceError(
            "the Python library gpiod is version 1, whose interface is another one; "
            'install version 2: pip install "gpiod>=2.1"'
        )
    return gpiod


def _settings(gpiod: Any, pin: Pin) -> Any:
    line = gpiod.line
    biases = {"up": line.Bias.PULL_UP, "down": line.Bias.PULL_DOWN, "none": line.Bias.DISABLED}
    return gpiod.LineSettings(
        direction=line.Direction.INPUT,
        edge_detection=line.Edge.BOTH,
        bias=biases[pin.pull],
        active_low=pin.is_active_low,
        event_clock=line.Clock.MONOTONIC,
    )
