"""Where each command of the pages is given, and what is said of those that no test here can give."""

from __future__ import annotations

from tests.docs.pages import SYSTEMD, block_below

# Given in the virtual machine of tests/rig, under a real systemd.
IN_THE_RIG = {
    "sudo sh systemd/install.sh",
    "sudo sh systemd/install.sh --remove",
    "sudo PIP_NO_INDEX=1 PIP_FIND_LINKS=/media/stick/wheels sh systemd/install.sh",
    "systemctl reload recorderd",
    "systemctl edit recorderd",
    "journalctl -u recorderd LINE=front-desk",
    "cat /proc/asound/cards",
    "systemd-analyze security",
    # Their programs are, one by one; the walk of `doctor --sheet` is in tests/doctor/test_terminal.py.
    "sudo systemctl enable --now recorderd && sudo recorderd status",
    "sudo systemctl enable --now recorderd-upload",
    "sudo systemctl restart recorderd-upload",
    "sudo systemctl stop recorderd && sudo /opt/recorderd/bin/recorderd doctor --sheet acceptance.html",
    # It types all that stands below this heading.
    *block_below(SYSTEMD, "Recordings on a partition of their own"),
}

# Nothing here can give them: why.
BY_HAND = {
    "sudo raspi-config nonint enable_overlayfs": "a program of Raspberry Pi OS",
    "vcgencmd get_throttled": "asks a Pi's firmware",
    "gpiomon --bias=pull-up gpiochip0 17": "needs a GPIO chip",
    "gpiomon --bias pull-up --chip gpiochip0 17": "needs a GPIO chip, and libgpiod 2 (Debian 13)",
    "gpiodetect": "needs a GPIO chip",
    "gpioinfo": "needs a GPIO chip",
    "lsusb": "a modem's numbers are of the modem that is plugged in",
    "amixer -c CODEC scontrols": "the controls are those of the card that was bought",
    "amixer -c CODEC sset 'Auto Gain Control' off": "the same",
    "amixer -c CODEC sset 'Mic Boost' 0": "the same",
    "amixer -c CODEC sset 'Line' cap": "the same",
    "amixer -c CODEC sset 'ALC' off": "the same",
    "sudo alsactl store": "the same",
    "apt-get install minimodem multimon-ng libspandsp-dev": "changes the machine",
    "apt-get install asterisk-core-sounds-en-wav asterisk-moh-opsound-wav": "changes the machine",
    ".ci/run": "is what runs all of this",
}

EXECUTED: dict[str, str] = {}


def executes(*texts):
    """Names the pages' commands that a test gives, all of them."""

    def note(test):
        name = f"{test.__module__}.{test.__name__}"
        for text in texts:
            assert EXECUTED.setdefault(text, name) == name, f"{text} is given twice"
        return test

    return note
