"""What must be true between keys: no clash of names, pins, channels, ports; one world of drivers.

Each check looks at values that are there and right by themselves (`.get`: a wrong one was left
out and has been reported) and reports what it finds; none stops the others.
"""

from __future__ import annotations

import base64
import binascii
import importlib.util
import re
import zoneinfo
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from recorderd.config.files import DATA, find
from recorderd.config.recipients import is_recipient
from recorderd.config.sensor_keys import HOOK
from recorderd.config.words import either, shown, suggestion
from recorderd.core.retention import STANDARD, UNKNOWN
from recorderd.errors import ClipError

if TYPE_CHECKING:
    from recorderd.config.problems import KeyPath, Problems
    from recorderd.config.settle import Tree

ClipCheck: TypeAlias = Callable[[str, Path], object]
"""Takes a clip's name and the configuration's folder; raises ClipError where it will not do."""

Claim: TypeAlias = tuple["KeyPath", Hashable, str]
"""A key, the thing that no other key may name, and what to say where one does."""

SEALED_SEGMENT_BYTES_MAX = 64_000_000
"""A sealed segment is made and checked in memory, which holds it up to three times meanwhile."""

NO_PYRAGE = (
    "sealing needs the package pyrage, which is not installed: pip install 'recorderd[seal]'; "
    "32-bit Raspberry Pi OS has no wheel of it: use the 64-bit system, or leave this table out"
)

NO_ASYNCSSH = (
    "an sftp:// archive needs the package asyncssh, which is not installed: pip install "
    "'recorderd[sftp]'"
)

_KEYS_OF_KINDS: dict[str, tuple[tuple[str, ...], Any]] = {
    "endpoint": (("s3",), ""),
    "region": (("s3",), "us-east-1"),
    "ca_file": (("s3",), ""),
    "lock_days": (("s3",), 0),
    "lock_mode": (("s3",), "governance"),
    "credentials": (("s3", "sftp"), ""),
    "host_key": (("sftp",), ""),
}
"""Which kinds of archive use a key, and the value that stands for its absence."""

_GPIO_DRIVERS = frozenset({"rpi-gpio", "gpiod"})

_PIN_KEYS = ("pin", "active", "pull", "chip", "hang_up_ms")
_VOICE_DEFAULTS = {
    key.name: key.default for key in HOOK.keys if key.name in {"hangover_s", "level_dbm0"}
}
"""Keys of line.hook that go with pins, and those of the voice trigger with their defaults."""

_HEADER_PINS = range(28)
"""BCM numbers of the 40-pin header (Raspberry Pi documentation, "GPIO and the 40-pin header")."""

_CONVERTING_DEVICE = re.compile(
    r"(default|sysdefault|pulse|pipewire|dmix|plug|plughw)(:.*)?", re.IGNORECASE
)
"""Devices of ALSA that convert what the card gives (alsa-lib documentation, "PCM plugins")."""


def check_site(site: Tree, problems: Problems) -> None:
    """The time zone must be one that this machine knows."""
    zone = site.get("time_zone")
    if zone is None or _is_zone(zone):
        return
    known = zoneinfo.available_timezones()
    mend = suggestion(zone, known) or "; `timedatectl list-timezones` lists all"
    if not known:
        mend = "; this machine has no time zones at all: install the package tzdata"
    problems.add(("site", "time_zone"), f"{shown(zone)} is not a known time zone{mend}")


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def check_seal(seal: Tree | None, problems: Problems) -> None:
    """Each recipient is whole and another one; there are two; the library that encrypts is there.

    One alone is one accident away from the loss of every call, so it must be asked for.
    """
    if seal is None:
        return
    if importlib.util.find_spec("pyrage") is None:
        problems.add(("seal",), NO_PYRAGE)
    recipients = seal.get("recipients") or []
    for index, text in enumerate(recipients):
        if not is_recipient(text):
            reason = "a letter of it is wrong, missing or doubled (its checksum does not fit)"
            mend = "copy it again from what `recorderd keys new` or age-keygen printed"
            problems.add(("seal", "recipients", index), f"number {index + 1}: {reason}; {mend}")
    claims = (
        (("seal", "recipients", index), text, f"number {index + 1} is there already")
        for index, text in enumerate(recipients)
    )
    _check_claims(claims, problems)
    if len(recipients) == 1 and seal.get("allow_single_recipient") is False:
        text = (
            "only one; when its key is lost, every call is lost with it: add a second one, kept "
            "elsewhere, or set allow_single_recipient = true"
        )
        problems.add(("seal", "recipients"), text)


def check_sealed_length(tree: Tree, problems: Problems) -> None:
    """A segment that is sealed must fit into a small box's memory, as sound that is not compressed."""
    segment_s = tree["storage"].get("segment_s")
    if tree["seal"] is None or segment_s is None:
        return
    for index, line in enumerate(tree["line"]):
        rate_hz = line["audio"].get("record_rate_hz")
        if rate_hz is not None and 4 * segment_s * rate_hz > SEALED_SEGMENT_BYTES_MAX:
            most = SEALED_SEGMENT_BYTES_MAX // (4 * rate_hz)
            text = (
                f"{rate_hz} makes segments of {segment_s} s too large to be sealed in memory; allowed "
                f"with [seal]: storage.segment_s up to {most}, or a lower rate"
            )
            problems.add(("line", index, "audio", "record_rate_hz"), text)


def check_lines(lines: list[Tree], problems: Problems) -> None:
    """Each line by itself, then all of them against each other."""
    for index, line in enumerate(lines):
        _check_audio(line["audio"], ("line", index, "audio"), problems)
        _check_pins(line, ("line", index), problems)
        _check_voice(line, ("line", index), problems)
    for claims in (_names(lines), _pins(lines), _channels(lines), _ports(lines)):
        _check_claims(claims, problems)
    _check_capture_rates(lines, problems)
    _check_gpio_libraries(lines, problems)


def _check_audio(audio: Tree, path: KeyPath, problems: Problems) -> None:
    near, far = audio.get("near_channel"), audio.get("far_channel")
    if near is not None and near == far:
        problems.add((*path, "far_channel"), f"{far} is near_channel too; each has its own")
    capture_hz, record_hz = audio.get("capture_rate_hz"), audio.get("record_rate_hz")
    if capture_hz and record_hz and record_hz > capture_hz:
        text = f"{record_hz} is more than capture_rate_hz; allowed: up to {capture_hz}"
        problems.add((*path, "record_rate_hz"), text)
    if audio.get("driver") == "pyaudio":
        _check_device_name(audio.get("device") or "", (*path, "device"), problems)


def _check_device_name(device: str, path: KeyPath, problems: Problems) -> None:
    if _CONVERTING_DEVICE.fullmatch(device):
        problems.add(
            path,
            f"{shown(device)} is not a card but a converter, which makes two channels out of a "
            "card that has one; name the card itself: `recorderd devices` lists them",
        )
    elif device.isdecimal():
        problems.add(
            path,
            f"{shown(device)} is a number, and numbers change when a card is plugged in; give "
            "the card's name: `recorderd devices` lists them",
        )


def _check_pins(line: Tree, path: KeyPath, problems: Problems) -> None:
    driver = line["hook"].get("driver")
    ring = line["ring"]
    if ring is not None and "pin" in ring and ring["pin"] is None and driver in _GPIO_DRIVERS:
        text = f"missing; the hook's driver {shown(driver)} reads it: give the pin's number"
        problems.add((*path, "ring", "pin"), text)
    for table in ("hook", "ring"):
        pin = (line[table] or {}).get("pin")
        if driver == "rpi-gpio" and pin is not None and pin not in _HEADER_PINS:
            text = f"{pin} is not on the board's header; allowed: 0 to 27 (BCM number)"
            problems.add((*path, table, "pin"), text)


def _check_voice(line: Tree, path: KeyPath, problems: Problems) -> None:
    """Where sound stands in for the hook sensor there is no pin, and the other way around."""
    hook = line["hook"]
    if hook.get("driver") != "voice":
        for key, default in _VOICE_DEFAULTS.items():
            if hook.get("driver") and hook.get(key) not in {None, default}:
                problems.add((*path, "hook", key), 'only for driver = "voice"; leave it out')
        return
    for key in _PIN_KEYS:
        if problems.is_there((*path, "hook", key)):
            mend = "it ends a call by hangover_s" if key == "hang_up_ms" else "it reads no pin"
            text = f'not with driver = "voice": {mend}; leave this out, or name the pin\'s driver'
            problems.add((*path, "hook", key), text)
    if line["ring"] is not None:
        text = (
            'the hook\'s driver reads this pin, and "voice" reads none: leave this table out (the '
            "modem says when the line rings), or name the pins' driver there"
        )
        problems.add((*path, "ring"), text)


def _names(lines: list[Tree]) -> Iterator[Claim]:
    # Upper and lower case are one to Windows and to SD cards.
    for index, line in enumerate(lines):
        if name := line.get("name"):
            text = f"{shown(name)} is the name of another line"
            yield ("line", index, "name"), name.lower(), text


def _pins(lines: list[Tree]) -> Iterator[Claim]:
    for index, line in enumerate(lines):
        hook = line["hook"]
        chip = hook.get("chip") if hook.get("driver") == "gpiod" else None
        for table in ("hook", "ring"):
            pin = (line[table] or {}).get("pin")
            if pin is not None and hook.get("driver") in _GPIO_DRIVERS:
                yield ("line", index, table, "pin"), (chip, pin), f"pin {pin} is in use"


def _channels(lines: list[Tree]) -> Iterator[Claim]:
    for index, line in enumerate(lines):
        device = line["audio"].get("device")
        channels = {line["audio"].get(key): key for key in ("far_channel", "near_channel")}
        for channel, key in channels.items():
            if device is not None and channel is not None:
                text = f"channel {channel} of {shown(device)} is another line's"
                yield ("line", index, "audio", key), (device.lower(), channel), text


def _ports(lines: list[Tree]) -> Iterator[Claim]:
    for index, line in enumerate(lines):
        modem = line["modem"] or {}
        port = modem.get("port")
        if port is not None and modem.get("driver") == "serial":
            yield ("line", index, "modem", "port"), port, f"{shown(port)} is another line's modem"


def _check_claims(claims: Iterable[Claim], problems: Problems) -> None:
    first: dict[Hashable, KeyPath] = {}
    for path, thing, text in claims:
        other = first.setdefault(thing, path)
        if other != path:
            problems.add(path, f"{text}, see line {problems.line_of(other)}")


def _check_capture_rates(lines: list[Tree], problems: Problems) -> None:
    first: dict[str, tuple[KeyPath, Any]] = {}
    for index, line in enumerate(lines):
        device, rate_hz = line["audio"].get("device"), line["audio"].get("capture_rate_hz")
        if device is None or rate_hz is None:
            continue
        path = ("line", index, "audio", "capture_rate_hz")
        other, other_hz = first.setdefault(device.lower(), (path, rate_hz))
        if rate_hz != other_hz:
            where = problems.line_of(other)
            problems.add(path, f"{rate_hz}, but {other_hz} for the same card, see line {where}")


def _check_gpio_libraries(lines: list[Tree], problems: Problems) -> None:
    first: tuple[KeyPath, str] | None = None
    for index, line in enumerate(lines):
        driver = line["hook"].get("driver")
        if driver not in _GPIO_DRIVERS:
            continue
        first = first or (("line", index, "hook", "driver"), driver)
        if driver != first[1]:
            problems.add(
                ("line", index, "hook", "driver"),
                f"{shown(driver)}, but {shown(first[1])} on line {problems.line_of(first[0])}; "
                "the two take pins from each other: use one of them for all lines",
            )


_TAKEN = {
    STANDARD: f"{shown(STANDARD)} has its days in storage.retention_days",
    UNKNOWN: f"{shown(UNKNOWN)} is for calls whose record was lost",
}


def check_retention(classes: list[Tree], lines: list[Tree], problems: Problems) -> None:
    """Each class has one number of days, and each line a class that there is."""
    for index, each in enumerate(classes):
        if text := _TAKEN.get(each.get("name", "")):
            problems.add(("retention", index, "name"), f"{text}; choose another name")
    _check_claims(_class_names(classes), problems)
    known = [STANDARD, *(each["name"] for each in classes if "name" in each)]
    for index, line in enumerate(lines):
        name = line.get("retention")
        if name is not None and name not in known:
            hint = suggestion(name, known) or f"; known: {either(known)}"
            text = f"{shown(name)} is no class: no table headed [[retention]] has this name{hint}"
            problems.add(("line", index, "retention"), text)


def _class_names(classes: list[Tree]) -> Iterator[Claim]:
    for index, each in enumerate(classes):
        if name := each.get("name"):
            yield ("retention", index, "name"), name, f"{shown(name)} is the name of another class"


def check_worlds(tree: Tree, problems: Problems) -> None:
    """The simulator is chosen for the whole file or not at all, and goes with its script."""
    drivers = list(_drivers(tree["line"]))
    simulated = [path for path, driver in drivers if driver == "sim"]
    real = [path for path, driver in drivers if driver != "sim"]
    if simulated and real:
        where = problems.line_of(real[0])
        text = (
            f'"sim" together with a hardware driver, see line {where}; '
            "the simulator never stands in for a device: make all drivers sim, or none"
        )
        problems.add(simulated[0], text)
    if simulated and tree["simulation"] is None:
        problems.add(simulated[0], '"sim" needs a table headed [simulation] with a script')
    if real and not simulated and tree["simulation"] is not None:
        text = "no driver is sim; leave this table out, or make all drivers sim"
        problems.add(("simulation",), text)


def _drivers(lines: list[Tree]) -> Iterator[tuple[KeyPath, str]]:
    for index, line in enumerate(lines):
        for table in ("audio", "hook", "modem"):
            driver = (line[table] or {}).get("driver")
            if driver not in {None, "voice"}:  # the voice trigger hears either world's sound
                yield ("line", index, table, "driver"), driver


def check_files(tree: Tree, folder: Path, check_clip: ClipCheck, problems: Problems) -> None:
    """Files that the configuration names must be there; of clips, `check_clip` says whether."""
    for index, line in enumerate(tree["line"]):
        for key in ("inbound", "outbound"):
            clip = (line["announcement"] or {}).get(key)
            if clip:
                path = ("line", index, "announcement", key)
                _check_clip(clip, folder, check_clip, path, problems)
    script = (tree["simulation"] or {}).get("script")
    if script and find(script, folder, DATA) is None:
        text = f"there is no file {shown(script)} in {folder}, and none that ships has this name"
        problems.add(("simulation", "script"), text)


def _check_clip(
    clip: str, folder: Path, check_clip: ClipCheck, path: KeyPath, problems: Problems
) -> None:
    try:
        check_clip(clip, folder)
    except ClipError as error:
        problems.add(path, str(error))


def check_archive(archive: Tree | None, problems: Problems) -> None:
    """Each kind of archive has keys of its own; hours are a part of the day."""
    if archive is None:
        return
    kind = (archive.get("url") or "").partition("://")[0]
    for key, (kinds, unused) in _KEYS_OF_KINDS.items():
        if kind and kind not in kinds and archive.get(key) not in {None, unused}:
            text = f"only for {either([f'{each}://' for each in kinds])}; leave it out"
            problems.add(("archive", key), text)
    if kind == "sftp":
        _check_sftp(archive, problems)
    start, _, end = (archive.get("hours") or "-").partition("-")
    if start and start == end:
        text = f"{shown(archive['hours'])} is no time at all; for always, leave it out"
        problems.add(("archive", "hours"), text)


def _check_sftp(archive: Tree, problems: Problems) -> None:
    if importlib.util.find_spec("asyncssh") is None:
        problems.add(("archive", "url"), NO_ASYNCSSH)
    if not _has_port(archive["url"]):
        text = f"{shown(archive['url'])} has a port that there is not; allowed: 1 to 65535"
        problems.add(("archive", "url"), text)
    host_key = archive.get("host_key")
    if host_key is None:
        return
    if not host_key:
        text = (
            "missing; without it any machine could pass for the archive: ask who keeps the server "
            "for a line of `ssh-keyscan HOST`, and leave out the host's name"
        )
        problems.add(("archive", "host_key"), text)
    elif not _is_host_key(host_key):
        problems.add(
            ("archive", "host_key"), "it is not whole: copy it anew from `ssh-keyscan HOST`"
        )


def _has_port(url: str) -> bool:
    try:
        port = urlsplit(url).port
    except ValueError:
        return False
    return port != 0


def _is_host_key(text: str) -> bool:
    """Whether the kind in front is also the first string in the key (RFC 4253, section 6.6)."""
    kind, encoded = text.split()[:2]
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return False
    inner = len(kind).to_bytes(4, "big") + kind.encode()
    return key.startswith(inner) and len(key) > len(inner) + 4
