"""RPi.GPIO's interface over pins that a test moves through a socket ($STANDIN_GPIO).

The functions, constants and exceptions are the real module's (0.7.1); each line `PIN LEVEL` that
comes through the socket is an edge, and its callbacks run on a thread of this module, as there.
"""

import os
import socket
import threading

VERSION = "0.7.1"
BOARD, BCM = 10, 11
OUT, IN = 0, 1
LOW, HIGH = 0, 1
PUD_OFF, PUD_DOWN, PUD_UP = 20, 21, 22
RISING, FALLING, BOTH = 31, 32, 33

_mode = None
_levels = {}
_set_up = {}
_callbacks = {}


def setmode(mode):
    global _mode
    if _mode not in {None, mode}:
        raise ValueError("A different mode has already been set!")
    _mode = mode


def getmode():
    return _mode


def setwarnings(_on):
    pass


def setup(channel, direction, pull_up_down=PUD_OFF, initial=-1):
    if _mode is None:
        raise RuntimeError(
            "Please set pin numbering mode using GPIO.setmode(GPIO.BOARD) or GPIO.setmode(GPIO.BCM)"
        )
    _set_up[channel] = direction
    _levels.setdefault(channel, HIGH if pull_up_down == PUD_UP else LOW)


def input(channel):  # noqa: A001 - the real module's name
    if channel not in _set_up:
        raise RuntimeError("You must setup() the GPIO channel first")
    return _levels[channel]


def add_event_detect(channel, edge, callback=None, bouncetime=None):
    if channel not in _set_up:
        raise RuntimeError("You must setup() the GPIO channel first")
    if os.environ.get("STANDIN_GPIO_EDGES") == "fail":
        raise RuntimeError("Failed to add edge detection")
    if channel in _callbacks:
        raise RuntimeError("Conflicting edge detection already enabled for this GPIO channel")
    _callbacks[channel] = (edge, callback)


def remove_event_detect(channel):
    _callbacks.pop(channel, None)


def cleanup(channel=None):
    for pin in [channel] if isinstance(channel, int) else list(_set_up):
        _set_up.pop(pin, None)
        _callbacks.pop(pin, None)


def _listen(connection):
    with connection.makefile("r") as lines:
        for line in lines:
            pin, level = (int(word) for word in line.split())
            if _levels.get(pin) != level:
                _levels[pin] = level
                if pin in _callbacks:
                    _callbacks[pin][1](pin)


_connection = socket.socket(socket.AF_UNIX)
_connection.connect(os.environ["STANDIN_GPIO"])
# The levels at start come first, up to an empty line, so that setup() finds them.
_first = _connection.makefile("r", buffering=1)
for _line in iter(_first.readline, "\n"):
    _pin, _level = (int(word) for word in _line.split())
    _levels[_pin] = _level
threading.Thread(target=_listen, args=(_connection,), daemon=True).start()
