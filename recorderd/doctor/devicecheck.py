"""Are the devices there that the configuration names, and do they work?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recorderd.config.needs import card_needs
from recorderd.doctor.modemcheck import has_settled, judge_modem
from recorderd.doctor.outcome import Change, Finding, Outcome, Value
from recorderd.events import DriverLost, DriverReady
from recorderd.units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorderd.config.values import Config, Line
    from recorderd.doctor.bench import Bench, Seen
    from recorderd.events import DeviceKind

STEADY_AFTER_S = 3.0
"""Sound servers and USB hand over what has piled up while they opened, all at once."""

RATE_MAX_SHARE = 0.02
"""A crystal is 0.01 % off; what is 2 % off drops sound, or runs at another rate than it says."""


def all_have_settled(config: Config, seen: Seen) -> bool:
    """Whether each device has opened or failed."""
    cards = all(_state(seen, "card", name) is not None for name in card_needs(config))
    hooks = all(_state(seen, "hook", line.name) is not None for line in _with_pins(config))
    modems = all(
        has_settled(_of(seen, line.name)) for line in config.lines if line.modem is not None
    )
    return cards and hooks and modems


def _with_pins(config: Config) -> list[Line]:
    return [line for line in config.lines if line.hook.driver != "voice"]


def _state(seen: Seen, kind: DeviceKind, name: str) -> DriverReady | DriverLost | None:
    """What was heard last of a device."""
    told = [
        each
        for each in seen
        if isinstance(each, DriverReady | DriverLost) and (each.kind, each.name) == (kind, name)
    ]
    return told[-1] if told else None


def _of(seen: Seen, line: str) -> Seen:
    """What concerns one line; a sound card may have a line's name and is not meant."""
    return [
        each
        for each in seen
        if getattr(each, "line", None) == line
        or (
            isinstance(each, DriverReady | DriverLost) and each.name == line and each.kind != "card"
        )
    ]


def count_frames(bench: Bench, wait_s: float) -> dict[str, float]:
    """Each card's frames a second, counted over so long; those that are not there are left out."""
    names = [
        name
        for name, (_, channels, _) in card_needs(bench.config).items()
        if channels and isinstance(_state(bench.seen, "card", name), DriverReady)
    ]
    bench.watch(STEADY_AFTER_S if names else 0.0)
    before = {name: (bench.card(name).head(), bench.now()) for name in names}
    bench.watch(wait_s)
    counted = {}
    for name, (head, at) in before.items():
        elapsed_s = (bench.now() - at) / NS_PER_S
        counted[name] = (bench.card(name).head() - head) / max(elapsed_s, 0.001)
    return counted


def judge_devices(
    config: Config, seen: Seen, counted: dict[str, float], offered: dict[str, Any]
) -> Iterator[Outcome]:
    """Cards, then each line's sensor and modem. `offered`: as `recorderd devices` lists it."""
    for name, (rate_hz, _, _) in card_needs(config).items():
        yield _judge_card(config, name, rate_hz, seen, counted.get(name), offered)
    for line in config.lines:
        state = _state(seen, "hook", line.name)
        if line in _with_pins(config) and not isinstance(state, DriverReady):
            reason = state.reason if state is not None else "its driver said nothing"
            mend = "check line.hook in the configuration, and that this user is in the group gpio"
            yield Outcome("sensor", line.name, {}, (Finding("sensor-missing", reason, mend),))
        if line.modem is not None:
            yield judge_modem(line.name, line.modem.port, _of(seen, line.name))


def _judge_card(
    config: Config,
    name: str,
    rate_hz: int,
    seen: Seen,
    counted_hz: float | None,
    offered: dict[str, Any],
) -> Outcome:
    state = _state(seen, "card", name)
    if not isinstance(state, DriverReady):
        return _missing(config, name, state, offered)
    if counted_hz is None:
        return Outcome("card", name, {"detail": state.detail})
    measured: dict[str, Value] = {
        "detail": state.detail,
        "rate_hz": rate_hz,
        "counted_hz": round(counted_hz),
    }
    if abs(counted_hz / rate_hz - 1) <= RATE_MAX_SHARE:
        return Outcome("card", name, measured)
    finding = Finding(
        "card-rate",
        f"{counted_hz:.0f} frames a second come from the card, and not {rate_hz}",
        "set line.audio.capture_rate_hz to a rate that the card has (`recorderd devices` shows its own), "
        "and use another USB port or a hub with a supply of its own",
    )
    return Outcome("card", name, measured, (finding,))


def _missing(
    config: Config, name: str, state: DriverLost | None, offered: dict[str, Any]
) -> Outcome:
    reason = state.reason if state is not None else "it does not open, and says nothing"
    if any(name.casefold() in each["name"].casefold() for each in offered.get("sound", [])):
        mend = (
            "do what that says; another program may hold the card, or its rate may be another one"
        )
        return Outcome("card", name, {}, (Finding("card-refuses", reason, mend),))
    inputs = [each["name"] for each in offered.get("sound", []) if each["input_channels"] >= 2]
    there = ", ".join(inputs) or "no card with two inputs"
    finding = Finding(
        "card-missing",
        reason,
        f"plug it in, or name another one in line.audio.device; there is: {there}",
    )
    changes: tuple[Change, ...] = ()
    if len(inputs) == 1:
        why = f"it is the only card with two inputs, and {name} is not there"
        changes = tuple(
            Change(("line", index, "audio", "device"), inputs[0], why)
            for index, line in enumerate(config.lines)
            if line.audio.device == name
        )
    return Outcome("card", name, {}, (finding,), changes)
