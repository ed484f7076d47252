"""The keys of the hook sensor and the ring sensor, as keys.py has those of everything else."""

from __future__ import annotations

from recorderd.config.kinds import ANY_TEXT, Choice, Number, Table, Text


def _active(meaning: str) -> Choice:
    return Choice(name="active", meaning=meaning, default="low", choices=("low", "high"))


def _pull(pin: str) -> Choice:
    return Choice(
        name="pull",
        meaning=f"Resistor inside the board that holds the {pin} pin when nothing drives it.",
        default="up",
        choices=("up", "down", "none"),
    )


def _pin(meaning: str, *, needed: bool) -> Number:
    return Number(
        name="pin",
        meaning=meaning,
        needed="with-hardware" if needed else "never",
        low=0,
        high=1023,  # the kernel refuses an offset beyond the chip's own lines
        unit="pin; with rpi-gpio 0 to 27",
    )


HOOK = Table(
    name="hook",
    meaning="The sensor that sees whether the phone is off the hook.",
    presence="required",
    keys=(
        Choice(
            name="driver",
            meaning="rpi-gpio is RPi.GPIO or rpi-lgpio; gpiod is any Linux board; voice takes sound "
            "on the line for off-hook, where there is no sensor; sim is the simulator.",
            needed="always",
            choices=("rpi-gpio", "gpiod", "voice", "sim"),
        ),
        _pin("BCM number of the pin; with gpiod the chip's line offset.", needed=True),
        _active("The level of the pin that means off-hook."),
        _pull("hook"),
        Text(
            name="chip",
            meaning="GPIO chip of both pins; only gpiod asks for it.",
            default="/dev/gpiochip0",
            pattern=f"/dev/{ANY_TEXT}",
            form="a device file in /dev",
        ),
        Number(
            name="hang_up_ms",
            meaning="On-hook for longer than this ends the call; shorter is a hook flash. Left "
            "out: as the country has it.",
            low=300,  # above the longest dial pulse
            high=5000,
            unit="milliseconds",
        ),
        # The pause in ringback is 4 s in many countries.
        Number(
            name="hangover_s",
            meaning="With voice: a call ends after so long without sound.",
            default=15,
            low=5,
            high=600,
            unit="seconds",
        ),
        # Speech is at about -20 dBm0; below -60 nobody understands it, above -20 it would be missed.
        Number(
            name="level_dbm0",
            meaning="With voice: the quietest sound that counts.",
            default=-45,
            low=-60,
            high=-20,
            unit="dBm0",
        ),
    ),
)

RING = Table(
    name="ring",
    meaning="The sensor that sees the line ring, read by the hook's driver.",
    presence="optional",
    keys=(
        _pin("BCM number of the pin; with gpiod the chip's line offset.", needed=False),
        _active("The level of the pin that means ringing."),
        _pull("ring"),
    ),
)
