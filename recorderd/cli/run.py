"""`recorderd run`: the daemon in this process."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

from recorderd import events as ev
from recorderd.config import find_config, load
from recorderd.config.needs import ring_seconds_of
from recorderd.daemon import Daemon
from recorderd.drivers.hardware import HardwareDevices
from recorderd.media.announcement import load_clip
from recorderd.runtime.clock import SystemClock
from recorderd.runtime.inbox import ThreadInbox
from recorderd.runtime.logs import set_up_logging
from recorderd.runtime.watchdog import ServiceManager
from recorderd.units import MonoNs

if TYPE_CHECKING:
    import argparse

    from recorderd.config.values import Config
    from recorderd.daemon import Devices
    from recorderd.ports import Post

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run(options: argparse.Namespace) -> int:
    """Record until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    set_up_logging()
    config = load(find_config(options.config), load_clip)
    inbox = ThreadInbox()
    serve(Daemon(config, make_devices(config, inbox), ServiceManager()), inbox)
    return 0


def serve(daemon: Daemon, inbox: ThreadInbox) -> None:
    """Run until a signal says stop."""
    listen_for_signals(inbox.post)
    daemon.run()


def listen_for_signals(post: Post) -> None:
    """From now on SIGTERM, SIGINT and SIGHUP become inputs.

    The interpreter writes a byte for each into a socket, whichever thread the kernel picked: threads
    that libraries start do not care for signal masks, and a Python handler would run in the middle of
    whatever the control thread does.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, lambda _number, _frame: None)
    waiter = threading.Thread(
        target=_pass_on, args=(receiver, sender, post), name="signals", daemon=True
    )
    waiter.start()


def _pass_on(receiver: socket.socket, sender: socket.socket, post: Post) -> None:
    """Turn signals into inputs, for ever. Holds `sender` so that it stays open."""
    with sender:
        while True:
            (number,) = receiver.recv(1)
            log.info("signal %s", signal.Signals(number).name)
            at = MonoNs(time.monotonic_ns())
            post(ev.ReloadRequested(at) if number == signal.SIGHUP else ev.StopRequested(at))


def make_devices(config: Config, inbox: ThreadInbox) -> Devices:
    """The box's devices, or the simulated ones where the configuration says so."""
    if config.simulation is None:
        return HardwareDevices(SystemClock(), inbox)
    # Only here, so that a box with hardware never loads the simulator.
    from recorderd.sim.devices import RealTimeOffice  # noqa: PLC0415

    office = RealTimeOffice(config, inbox, ring_seconds_of(config))
    office.start()
    return office
